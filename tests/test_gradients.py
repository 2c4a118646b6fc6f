"""Gradients: the dot-product test, finite differences, and PyTorch's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BOUNDARIES, geometries, numbers

import faltung
from faltung import adjoint, boundary, reference
from faltung.layers.memory import pipelined

OPERATIONS = ("convolve", "correlate")
INEXACT = ("float32", "float64", "complex64", "complex128")
LINE = np.ones(3)
#: Geometries small enough for matrices and finite differences.
small = geometries(ranks=(1, 2), batch=True)


def eps_of(*arrays):
    return max(float(np.finfo(a.dtype).eps) for a in arrays)


def real_dot(a, b):
    """The inner product that gradients are of: of real and imaginary parts."""
    wide = np.clongdouble
    return (np.conj(a.astype(wide)) * b.astype(wide)).sum().real


@settings(max_examples=200)
@given(st.sampled_from(OPERATIONS), geometries(), st.sampled_from(INEXACT),
       st.sampled_from(INEXACT), st.integers(0, 99))  # fmt: skip
def test_dot_products(operation, geometry, x_type, k_type, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, x_type), numbers(rng, taps, k_type)
    y, pullback = faltung.vjp(x, k, operation=operation, **options)
    assert np.array_equal(y, getattr(faltung, operation)(x, k, **options))
    dy = numbers(rng, y.shape, y.dtype)
    dx, dk = pullback(dy)
    assert (dx.shape, dx.dtype, dk.shape, dk.dtype) == (x.shape, x.dtype, k.shape, k.dtype)
    size = np.abs(dy).sum(dtype=float) * np.abs(x).max(initial=0) * np.abs(k).sum(dtype=float)
    limit = 100 * eps_of(x, k) * max(size, 1e-30)
    # the result is linear in the input and in the kernel
    assert abs(real_dot(y, dy) - real_dot(x, dx)) <= limit
    assert abs(real_dot(y, dy) - real_dot(k, dk)) <= limit
    plan = faltung.plan(shape, x_type, k, operation=operation, **options)
    back = plan.adjoint(dy)
    assert back.shape == shape
    assert np.abs(dx - (back if x.dtype.kind == "c" else back.real)).max(initial=0) <= limit


@settings(max_examples=60)
@given(st.sampled_from(OPERATIONS), geometries(ranks=(1, 2)), st.integers(0, 99))
def test_the_adjoint_of_integers_is_exact(operation, geometry, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, "int16"), numbers(rng, taps, "int16")
    plan = faltung.plan(shape, "int16", k, operation=operation, **options)
    y = numbers(rng, plan.shape, "int32")
    back = plan.adjoint(y)
    assert back.dtype.kind == "i"
    assert int((plan(x).astype(object) * y).sum()) == int((x.astype(object) * back).sum())


@settings(max_examples=60)
@given(st.sampled_from(OPERATIONS), small, st.sampled_from([0.0, 1.5]), st.integers(0, 99))
def test_finite_differences(operation, geometry, fill, seed):
    """The operator is linear in each argument: central differences have no error of their own."""
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    options = {**options, "fill_value": fill, "operation": operation}
    y, pullback = faltung.vjp(x, k, **options)
    dy = rng.standard_normal(y.shape)
    for name, gradient in zip(("x", "k"), pullback(dy), strict=True):
        way = rng.standard_normal(gradient.shape)

        def moved(step, name=name, way=way):
            at = {"x": x, "k": k}
            at[name] = at[name] + step * way
            return faltung.vjp(at["x"], at["k"], **options)[0]

        slope = (dy * (moved(0.5) - moved(-0.5))).sum()
        size = np.abs(dy).sum() * (np.abs(x).max(initial=fill) + 1) * (np.abs(k).sum() + 1)
        assert abs(slope - (gradient * way).sum()) <= 1e-6 * max(abs(slope), 1e-6 * size)


@settings(max_examples=100)
@given(st.sampled_from(OPERATIONS), small, st.booleans(), st.booleans(), st.booleans(),
       st.integers(0, 99))  # fmt: skip
def test_finite_differences_with_missing_and_weighted_samples(
    operation, geometry, missing, weighted, complex_, seed
):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x = numbers(rng, shape, "complex128" if complex_ else "float64")
    k = 0.1 + rng.random(taps)
    weights = 0.5 + rng.random(shape)
    options = {**options, "operation": operation, "fill_value": 2.0}
    gone = rng.random(shape) < 0.2
    if missing:
        options["missing"] = "ignore"
        x[gone] = np.nan
        if seed % 3 == 0:
            options["fill_value"] = np.nan
    if not (missing or weighted):
        return
    at = {"x": x, "k": k, "weights": weights if weighted else None}
    y, pullback = faltung.vjp(**at, **options)
    held = ~np.isnan(y)
    dy = numbers(rng, y.shape, y.dtype)
    gradients = pullback(dy)
    assert len(gradients) == 2 + weighted
    for name, gradient in zip(("x", "k", "weights"), gradients, strict=False):
        assert gradient.shape == at[name].shape
        assert np.isfinite(gradient).all()
        if missing and name != "k":
            assert not gradient[gone].any()
        way = numbers(rng, gradient.shape, gradient.dtype)
        step = 1e-6

        def moved(step, name=name, way=way):
            changed = {**at, name: at[name] + step * way}
            return faltung.vjp(**changed, **options)[0]

        change = (moved(step) - moved(-step))[held] / (2 * step)
        slope = (np.conj(dy[held]) * change).sum().real
        size = np.abs(dy[held]).sum() * np.abs(way).max(initial=0) * 10
        assert abs(slope - real_dot(gradient, way)) <= 1e-6 * abs(slope) + 1e-7 * size


def test_broadcast_weights_get_a_gradient_of_their_own_shape():
    rng = np.random.default_rng(0)
    x, k, weights = rng.random((4, 9)), rng.random(3), rng.random((1, 9)) + 0.5
    y, pullback = faltung.vjp(x, k, weights=weights)
    dy = rng.random(y.shape)
    whole = faltung.vjp(x, k, weights=np.broadcast_to(weights, x.shape))[1](dy, wrt="weights")
    got = pullback(dy, wrt="weights")
    np.testing.assert_allclose(got, whole.sum(axis=0, keepdims=True))


@given(st.integers(1, 7), st.integers(-30, 10), st.integers(1, 50), st.sampled_from(BOUNDARIES))
def test_folding_is_the_transpose_of_continuing(n, low, length, name):
    values = np.arange(length, dtype=np.int64) ** 2 + 1
    wanted = np.zeros(n, np.int64)
    for value, sample in zip(
        values, boundary.index_map(np.arange(low, low + length), n, name), strict=True
    ):
        if sample != boundary.FILL:
            wanted[sample] += value
    assert boundary.fold(values, 0, low, n, name).tolist() == wanted.tolist()
    both = np.stack([values, 2 * values])
    assert boundary.fold(both, 1, low, n, name).tolist() == [(wanted * m).tolist() for m in (1, 2)]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("options", [
    {"axes": (0, 1)}, {"axes": (1, 0), "stride": (2, 3), "dilation": (3, 2)},
    {"axes": (0, 1), "mode": "full", "boundary": ("wrap", "edge")},
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("seconds", [0, np.inf])  # sums of products, and transforms
def test_large_kernels_go_both_ways(operation, options, dtype, seconds, monkeypatch):
    monkeypatch.setattr(adjoint, "SECONDS", seconds)
    monkeypatch.setattr(adjoint, "COMPILED", seconds)
    ways = []
    for name in ("by_products", "by_transforms"):
        way = getattr(adjoint, name)
        monkeypatch.setattr(adjoint, name, lambda *a, way=way, name=name: note(name, way(*a)))

    def note(name, found):
        ways.extend([name] if found is not None else [])
        return found

    rng = np.random.default_rng(1)
    x, k = numbers(rng, (90, 85, 3), dtype), numbers(rng, (19, 23), dtype)
    y, pullback = faltung.vjp(x, k, operation=operation, **options)
    dy = numbers(rng, y.shape, dtype)
    dk = pullback(dy, wrt="k")
    compiled = dtype == "float32" and pipelined(np.dtype(dtype))
    sums = [] if compiled else ["by_products"]
    assert ways == (["by_transforms"] if seconds else sums)
    for j in [(0, 0), (18, 22), (7, 11)]:
        impulse = np.zeros(k.shape, dtype)
        impulse[j] = 1
        under = getattr(reference, operation)(x, impulse, **options)
        wanted = (np.conj(under.astype(complex)) * dy).sum()
        size = np.linalg.norm(x.astype(complex)) * np.linalg.norm(dy.astype(complex))
        assert abs(dk[j] - wanted) <= 20 * eps_of(x) * size


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("stride", "dilation", "pad"), [
    (1, 1, False), (2, 1, True), (3, 2, False),
])  # fmt: skip
def test_torch(dims, stride, dilation, pad):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(dims)
    shape = (2, *{1: (40,), 2: (15, 18), 3: (9, 10, 11)}[dims])
    x, k = rng.standard_normal(shape), rng.standard_normal((3,) * dims)
    mode = "same" if pad else "valid"
    y, pullback = faltung.vjp(
        x, k, operation="correlate", mode=mode, stride=stride, dilation=dilation
    )
    dy = rng.standard_normal(y.shape)
    xt = torch.tensor(x[:, None], requires_grad=True)
    kt = torch.tensor(k[None, None], requires_grad=True)
    layer = getattr(torch.nn.functional, f"conv{dims}d")
    yt = layer(xt, kt, stride=stride, dilation=dilation, padding=dilation if pad else 0)
    yt.backward(torch.tensor(dy[:, None]))
    np.testing.assert_allclose(y, yt.detach().numpy()[:, 0], atol=1e-12)
    dx, dk = pullback(dy)
    np.testing.assert_allclose(dx, xt.grad.numpy()[:, 0], atol=1e-12)
    np.testing.assert_allclose(dk, kt.grad.numpy()[0, 0], atol=1e-11)


@pytest.mark.parametrize(("how", "name"), [("circular", "wrap"), ("reflect", "reflect"),
                                       ("replicate", "edge")])  # fmt: skip
def test_torch_with_boundaries_and_complex_numbers(how, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    x, k = numbers(rng, (2, 12), "complex128"), numbers(rng, 5, "complex128")
    y, pullback = faltung.vjp(x, k, operation="correlate", boundary=name)
    dy = numbers(rng, y.shape, "complex128")
    xt, kt = torch.tensor(x, requires_grad=True), torch.tensor(k, requires_grad=True)
    padded = torch.nn.functional.pad(torch.view_as_real(xt).permute(0, 2, 1), (2, 2), mode=how)
    padded = torch.view_as_complex(padded.permute(0, 2, 1).contiguous())
    yt = (padded.unfold(1, 5, 1) * kt).sum(dim=-1)
    yt.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, yt.detach().numpy(), atol=1e-12)
    dx, dk = pullback(dy)
    np.testing.assert_allclose(dx, xt.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(dk, kt.grad.numpy(), atol=1e-12)


@settings(max_examples=30)
@given(geometries(), st.sampled_from(["float32", "complex64"]), st.booleans(), st.integers(0, 99))
def test_options_of_the_result_leave_the_gradients_as_they_are(geometry, dtype, there, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, "float32"), numbers(rng, taps, "float32")
    plain, pullback = faltung.vjp(x, k, **options)
    wide = np.result_type(dtype, np.float64)
    out = np.empty(plain.shape, wide)
    how = {"out": out} if there else {"dtype": wide}
    y, other = faltung.vjp(x, k, method="reference", max_memory=1 << 26, **how, **options)
    assert (y is out) == there
    assert y.dtype == wide
    np.testing.assert_allclose(y, plain, atol=1e-4 * np.abs(k).sum() * np.abs(x).max(initial=1))
    dy = numbers(rng, plain.shape, "float32")
    for a, b in zip(pullback(dy), other(dy), strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(a).max(initial=0))


def test_little_memory_gives_the_same_gradients_or_says_what_it_takes():
    rng = np.random.default_rng(0)
    x, k, dy = rng.random((90, 80)), rng.random((25, 25)), rng.random((90, 80))
    free = faltung.vjp(x, k)[1](dy)
    tight = faltung.vjp(x, k, max_memory=100_000)[1](dy)
    for a, b in zip(free, tight, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    with pytest.raises(ValueError, match="max_memory"):
        faltung.vjp(x, k, max_memory=1)


@pytest.mark.skipif(not pipelined(np.dtype("f4")), reason="no pipelines here")
@settings(max_examples=60)
@given(geometries(), st.sampled_from(["float32", "float64"]), st.booleans(), st.integers(0, 99))
def test_the_sums_of_a_pipeline_are_those_of_products(geometry, dtype, broken, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
    y, pullback = faltung.vjp(x, k, **options)
    dy = numbers(rng, y.shape, dtype)
    if dy.size == 0:
        return
    if broken and x.size > 2:
        x.flat[rng.choice(x.size, 2, replace=False)] = [np.nan, np.inf]
    problem = pullback.problem
    laid = adjoint.continued(problem, x, x.dtype)
    call = adjoint.by_pipeline(problem, laid, dy, None)
    assert (call is None) == (len(problem.axes) > adjoint.SPACE)
    if call is not None:
        with np.errstate(all="ignore"):
            wanted = adjoint.by_products(problem, laid, dy)
            found = adjoint.kernel_gradient(problem, x, dy)
        wanted = np.flip(wanted) if problem.operation == "convolve" else wanted
        most = np.abs(dy).sum() * np.abs(np.nan_to_num(x, posinf=0)).max()
        np.testing.assert_allclose(found, wanted, atol=100 * eps_of(x) * most)


def test_sums_of_very_many_images_are_not_left_to_one_after_the_other():
    x = np.ones((70_000, 4), np.float32)
    _, pullback = faltung.vjp(x, np.ones(2, np.float32), mode="valid")
    dy = np.ones((70_000, 3), np.float32)
    assert adjoint.by_pipeline(pullback.problem, x, dy, None) is None
    assert pullback(dy, wrt="k").tolist() == [210_000, 210_000]


def test_only_what_is_asked_for_comes_back():
    y, pullback = faltung.vjp(np.ones(5, np.float32), [1, 2, 3])
    assert y.dtype == np.float32
    dy = np.ones(5)
    assert pullback(dy, wrt="k").dtype == np.float32
    assert [g.shape for g in pullback(dy, wrt=("k", "x"))] == [(3,), (5,)]
    assert "x, k" in repr(pullback)
    half = faltung.vjp(np.ones(5, np.float16), np.ones(3, np.float16))[1]
    assert half(dy, wrt="x").dtype == np.float16
    pixels = faltung.vjp(np.ones(5, np.uint8), np.ones(3))[1]
    assert [g.dtype for g in pixels(dy)] == [np.float32, np.float64]


def test_the_bits_are_the_same_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    x, k = numbers(rng, (2, 200, 210), "float32"), numbers(rng, (7, 9), "float32")
    options = {"boundary": ("edge", "wrap"), "stride": (2, 1)}
    found = []
    for workers in (1, 2, 5):
        y, pullback = faltung.vjp(x, k, workers=workers, **options)
        found.append([g.tobytes() for g in pullback(np.cos(y))])
    assert found[0] == found[1] == found[2]


def test_an_empty_input_has_empty_gradients():
    _, pullback = faltung.vjp(np.ones((0, 4)), [1.0, 2.0])
    dx, dk = pullback(np.ones((0, 4)))
    assert dx.shape == (0, 4)
    assert dk.tolist() == [0, 0]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: faltung.vjp([1, 2, 3], [1, 2]), TypeError, "has no gradient"),
    (lambda: faltung.vjp([1.0, 2.0], [1.0])[1]([1.0]), ValueError, "dy has shape"),
    (lambda: faltung.vjp([1.0, 2.0], [1.0])[1]([1j, 0]), TypeError, "dy is complex128"),
    (lambda: faltung.vjp([1.0], [1.0])[1]([1.0], wrt="weights"), ValueError, "no weights"),
    (lambda: faltung.vjp([1.0], [1.0])[1]([1.0], wrt="y"), ValueError, "use x, k"),
    (lambda: faltung.vjp(LINE, [1.0], out=LINE), ValueError, "out overlaps x"),
    (lambda: faltung.vjp(LINE, [1.0], out=np.zeros(3, int)), TypeError, "the result is float64"),
    (lambda: faltung.vjp(LINE, [1.0], dtype=int), TypeError, "has no gradient"),
    (lambda: faltung.vjp(LINE, [1.0], method="magic"), ValueError, "method"),
    (lambda: faltung.plan(3, "float64", [1]).adjoint([1]), ValueError, "takes what the plan"),
    (lambda: faltung.plan(3, "f8", [1], missing="ignore").adjoint([1, 2, 3]), ValueError, "vjp"),
])  # fmt: skip
def test_errors_say_what_to_do(call, error, words):
    with pytest.raises(error, match=words):
        call()
