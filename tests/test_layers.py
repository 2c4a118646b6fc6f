"""Convolution layers: the definition, finite differences, PyTorch, threads, and errors."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BOUNDARIES, laid_out

import faltung
from faltung import layers, native
from faltung.boundary import index_map
from faltung.layers.memory import innermost, outermost
from faltung.layers.problem import conv_problem

few = settings(max_examples=60)


@st.composite
def problems(draw, most_rank=3):
    """Draw shapes and options of a layer."""
    rank = draw(st.integers(1, most_rank))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    images = draw(st.sampled_from([1, 2, 5, 16]))
    channels, outputs = (groups * draw(st.integers(1, 3)) for _ in range(2))
    taps = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    options = {
        "stride": tuple(draw(st.sampled_from([1, 1, 2, 3])) for _ in taps),
        "dilation": tuple(draw(st.sampled_from([1, 1, 2])) for _ in taps),
        "padding": tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in taps),
        "boundary": tuple(draw(st.sampled_from(BOUNDARIES)) for _ in taps),
        "groups": groups,
    }
    space = tuple(
        max(1, d * (t - 1) + 1 - sum(p)) + draw(st.integers(0, 5))
        for t, d, p in zip(taps, options["dilation"], options["padding"], strict=True)
    )
    return (images, channels, *space), (outputs, channels // groups, *taps), options


def definition(x, k, stride, dilation, padding, boundary, groups):
    """Return a layer's output by its equation, one output position and tap at a time."""
    space, taps = x.shape[2:], k.shape[2:]
    counts = [
        (n + sum(p) - d * (t - 1) - 1) // s + 1
        for n, t, s, d, p in zip(space, taps, stride, dilation, padding, strict=True)
    ]
    y = np.zeros((x.shape[0], k.shape[0], *counts))
    inputs, outputs = x.shape[1] // groups, k.shape[0] // groups
    for i in itertools.product(*map(range, counts)):
        for t in itertools.product(*map(range, taps)):
            at = [
                int(index_map(np.array(s * a + d * b - p[0]), n, name))
                for s, a, d, b, p, n, name in zip(
                    stride, i, dilation, t, padding, space, boundary, strict=True
                )
            ]
            if min(at) < 0:
                continue
            for g in range(groups):
                mine, ours = (slice(g * n, (g + 1) * n) for n in (inputs, outputs))
                y[(slice(None), ours, *i)] += x[(slice(None), mine, *at)] @ k[(ours, ..., *t)].T
    return y


def near(got, wanted, bound):
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= bound * max(1e-30, np.abs(wanted).max())


@few
@given(problems(2), st.sampled_from(["float32", "float64"]), st.integers(0, 9))
def test_a_layer_is_its_equation(problem, dtype, seed):
    x_shape, k_shape, options = problem
    rng = np.random.default_rng(seed)
    x, k = (rng.standard_normal(s).astype(dtype) for s in (x_shape, k_shape))
    bias = rng.standard_normal(k_shape[0]).astype(dtype)
    y = layers.conv(x, k, bias, **options)
    assert y.dtype == dtype
    assert np.moveaxis(y, 0, -1).flags.c_contiguous
    wanted = definition(x, k, **options) + bias.reshape(-1, *(1,) * (x.ndim - 2))
    near(y, wanted, 1e-5 if dtype == "float32" else 1e-13)
    near(layers.conv(x, k, bias, relu=True, **options), np.maximum(wanted, 0), 1e-5)


@few
@given(problems(), st.sampled_from(["float32", "float64"]), st.integers(0, 9))
def test_gradients_are_the_way_back(problem, dtype, seed):
    """A layer is linear in its input and in its kernels: dot products tell all."""
    x_shape, k_shape, options = problem
    rng = np.random.default_rng(seed)
    x, k = (rng.standard_normal(s).astype(dtype) for s in (x_shape, k_shape))
    y = layers.conv(x, k, **options)
    dy = rng.standard_normal(y.shape).astype(dtype)
    dx = layers.conv_input_gradient(dy, k, x.shape[2:], **options)
    dk = layers.conv_weight_gradient(x, dy, k.shape[2:], **options)
    assert (dx.shape, dk.shape, dx.dtype, dk.dtype) == (x.shape, k.shape, dtype, dtype)
    terms = np.abs(y.astype(float) * dy).sum() + 1e-30
    bound = 2e-5 if dtype == "float32" else 1e-12
    dot = np.vdot(y.astype(float), dy)
    assert abs(dot - np.vdot(x.astype(float), dx)) <= bound * terms
    assert abs(dot - np.vdot(k.astype(float), dk)) <= bound * terms


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_are_the_finite_differences(boundary, stride):
    rng = np.random.default_rng(3)
    options = {"padding": 2, "boundary": boundary, "stride": stride}
    x, k = rng.standard_normal((2, 2, 4, 5)), rng.standard_normal((3, 2, 3, 2))
    dy = rng.standard_normal(layers.conv(x, k, **options).shape)
    dx = layers.conv_input_gradient(dy, k, (4, 5), **options)
    dk = layers.conv_weight_gradient(x, dy, (3, 2), **options)
    for array, gradient in ((x, dx), (k, dk)):
        for at in np.ndindex(array.shape):
            before, values = array[at], []
            for step in (1e-3, -1e-3):
                array[at] = before + step
                values.append(np.vdot(layers.conv(x, k, **options), dy))
            array[at] = before
            slope = (values[0] - values[1]) / 2e-3
            assert gradient[at] == pytest.approx(slope, rel=1e-6, abs=1e-8)


@few
@given(problems(), st.integers(0, 9))
def test_the_path_without_pipelines_is_the_same_layer(problem, seed):
    from faltung.layers import compiled, reference

    x_shape, k_shape, options = problem
    asked = conv_problem(x_shape, k_shape, **options)
    rng = np.random.default_rng(seed)
    x, k = rng.standard_normal(x_shape), rng.standard_normal(k_shape)
    y = reference.conv(asked, x, k)
    dy = rng.standard_normal(y.shape)
    if not compiled.supported(asked, x.dtype):
        pytest.skip("there are no pipelines here")
    near(compiled.conv(asked, x, k, None, False), y, 1e-13)
    near(compiled.input_gradient(asked, dy, k), reference.input_gradient(asked, dy, k), 1e-13)
    near(compiled.weight_gradient(asked, x, dy), reference.weight_gradient(asked, x, dy), 1e-12)


TORCH_CASES = [
    ((4, 3, 9, 8), (6, 3, 3, 3), {"padding": 1}),
    ((4, 4, 9, 8), (6, 2, 3, 2), {"padding": 2, "stride": (2, 1), "groups": 2}),
    ((3, 6, 12), (6, 1, 4), {"groups": 6, "dilation": 2, "stride": 3}),
    ((2, 2, 5, 6, 4), (4, 2, 2, 3, 1), {"padding": (1, 0, 0), "stride": (1, 2, 1)}),
    ((64, 6, 14, 14), (16, 6, 5, 5), {}),
]


@pytest.mark.parametrize(("x_shape", "k_shape", "options"), TORCH_CASES)
def test_layers_are_torchs(x_shape, k_shape, options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal(x_shape), rng.standard_normal(k_shape)
    bias = rng.standard_normal(k_shape[0])
    x_, k_, bias_ = (torch.tensor(a, requires_grad=True) for a in (x, k, bias))
    there = getattr(torch.nn.functional, f"conv{len(x_shape) - 2}d")(x_, k_, bias_, **options)
    y = layers.conv(x, k, bias, **options)
    near(y, there.detach().numpy(), 1e-13)
    dy = rng.standard_normal(y.shape)
    there.backward(torch.tensor(dy))
    near(layers.conv_input_gradient(dy, k, x.shape[2:], **options), x_.grad.numpy(), 1e-13)
    near(layers.conv_weight_gradient(x, dy, k.shape[2:], **options), k_.grad.numpy(), 1e-12)
    near(layers.bias_gradient(dy), bias_.grad.numpy(), 1e-12)


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_layers_are_torchs(groups, extra):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal((3, 4, 5, 6)), rng.standard_normal((4, 3, 3, 2))
    bias = rng.standard_normal(3 * groups)
    options = {"stride": (2, 3), "padding": 1, "dilation": (1, 2), "groups": groups}
    x_, k_ = (torch.tensor(a, requires_grad=True) for a in (x, k))
    there = torch.nn.functional.conv_transpose2d(
        x_, k_, torch.tensor(bias), output_padding=extra, **options
    )
    y = layers.conv_transposed(x, k, bias, extra=extra, **options)
    near(y, there.detach().numpy(), 1e-13)
    dy = rng.standard_normal(y.shape)
    there.backward(torch.tensor(dy))
    near(layers.conv(dy, k, **options), x_.grad.numpy(), 1e-13)
    near(layers.conv_weight_gradient(dy, x, (3, 2), **options), k_.grad.numpy(), 1e-12)


def test_a_dense_layer_is_a_product_of_matrices():
    rng = np.random.default_rng(0)
    for images, inputs, outputs in itertools.product((1, 3, 64), (1, 10, 84), (1, 10, 120)):
        x, w = rng.standard_normal((images, inputs)), rng.standard_normal((outputs, inputs))
        dy = rng.standard_normal((images, outputs))
        near(layers.dense(x, w), x @ w.T, 1e-12)
        near(layers.dense_input_gradient(dy, w), dy @ w, 1e-12)
        near(layers.dense_weight_gradient(x, dy), dy.T @ x, 1e-12)


def test_a_layer_is_the_operators_correlation():
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal((2, 1, 12, 13)), rng.standard_normal((1, 1, 4, 3))
    for boundary in BOUNDARIES:
        y = layers.conv(x, k, padding="same", boundary=boundary, stride=2)
        wanted = faltung.correlate(x[:, 0], k[0, 0], boundary=boundary, stride=2)
        near(y[:, 0], wanted, 1e-13)


@pytest.mark.parametrize(
    "layout", ["plain", "fortran", "flipped", "swapped", "strided", "readonly"]
)
def test_any_memory_layout_will_do(layout):
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal((5, 3, 8, 7)), rng.standard_normal((4, 3, 3, 3))
    dy = rng.standard_normal((5, 4, 6, 5))
    a, b, c = (laid_out(array, layout) for array in (x, k, dy))
    assert np.array_equal(layers.conv(a, b), layers.conv(x, k))
    assert np.array_equal(
        layers.conv_input_gradient(c, b, (8, 7)), layers.conv_input_gradient(dy, k, (8, 7))
    )
    assert np.array_equal(
        layers.conv_weight_gradient(a, c, (3, 3)), layers.conv_weight_gradient(x, dy, (3, 3))
    )


def test_what_lies_right_is_not_copied():
    x = outermost(np.zeros((3, 8, 8, 16)))
    assert np.shares_memory(innermost(x), x)
    assert np.shares_memory(layers.flatten(x), x)
    turned = innermost(np.arange(4 * 3000.0).reshape(4, 30, 100))  # by the compiled pipeline
    assert np.array_equal(turned, np.moveaxis(np.arange(4 * 3000.0).reshape(4, 30, 100), 0, -1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_do_not_depend_on_threads(dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((33, 7, 20, 19)).astype(dtype)
    k = rng.standard_normal((10, 7, 3, 3)).astype(dtype)
    options = {"padding": 1, "stride": (1, 2)}
    dy = rng.standard_normal(layers.conv(x, k, **options).shape).astype(dtype)

    wide, kernels = np.ones((12, 25, 26, 27), dtype), np.ones((24, 25, 3, 3), dtype)
    wide[:] = rng.standard_normal(wide.shape)

    def bits():
        gain, shift = np.ones(7, dtype), np.zeros(7, dtype)
        pooled, where = layers.max_pool(x, 2)
        normal, moments = layers.batch_norm(x, gain, shift)
        found = [
            layers.conv(x, k, **options),
            layers.conv(wide, kernels, padding=1),
            layers.conv_weight_gradient(wide, wide[:, :24], (3, 3), padding=1),
            layers.conv_input_gradient(dy, k, x.shape[2:], **options),
            layers.conv_weight_gradient(x, dy, (3, 3), **options),
            pooled,
            layers.max_pool_gradient(pooled, where, x.shape[2:], 2),
            normal,
            *layers.batch_norm_gradient(normal, x, gain, shift, moments),
        ]
        return [array.tobytes() for array in found]

    with faltung.workers(1):
        one = bits()
    for threads in (2, 3, 8):
        with faltung.workers(threads):
            assert bits() == one


def test_nan_and_infinity_go_where_their_taps_go():
    x = np.zeros((16, 2, 6, 6), np.float32)
    x[3, 1, 2, 2] = np.nan
    x[5, 0, 3, 3] = np.inf
    y = layers.conv(x, np.ones((3, 2, 3, 3)), padding=1, relu=True)
    wrong = np.zeros(y.shape, bool)
    wrong[3, :, 1:4, 1:4] = True
    assert np.array_equal(np.isnan(y), wrong)
    assert np.array_equal(np.isinf(y[5, 0]), np.pad(np.ones((3, 3), bool), ((2, 1), (2, 1))))


def test_errors_name_the_shapes():
    x, k = np.zeros((2, 3, 8, 8)), np.zeros((4, 3, 3, 3))
    with pytest.raises(ValueError, match=r"\(4, 2, 3, 3\).*need an input of 2 channels.*\(2, 3, 8"):
        layers.conv(x, k[:, :2])
    with pytest.raises(ValueError, match=r"groups=2 must divide the 3 channels"):
        layers.conv(x, k, groups=2)
    with pytest.raises(ValueError, match=r"window of \(3, 3\), which spans \(9, 9\).*\(8, 8\)"):
        layers.conv(x, k, dilation=4)
    with pytest.raises(ValueError, match=r"as many axes"):
        layers.conv(x[0], k)
    with pytest.raises(ValueError, match=r"bias has shape \(3,\); it must be \(4,\)"):
        layers.conv(x, k, np.zeros(3))
    with pytest.raises(ValueError, match=r"dy has shape \(2, 4, 8, 8\); it must be \(2, 4, 6, 6\)"):
        layers.conv_input_gradient(np.zeros((2, 4, 8, 8)), k, (8, 8))
    with pytest.raises(ValueError, match=r"are empty"):
        layers.conv(x[:0], k)
    with pytest.raises(ValueError, match=r"stride=0 must be an int of at least 1"):
        layers.conv(x, k, stride=0)
    with pytest.raises(ValueError, match=r"boundary='mirror' must be one of"):
        layers.conv(x, k, boundary="mirror")
    with pytest.raises(ValueError, match=r"extra=2 must be less than the stride"):
        layers.conv_transposed(np.zeros((2, 4, 8, 8)), k, extra=2)
    with pytest.raises(ValueError, match=r"Flatten it"):
        layers.dense(x, np.zeros((2, 192)))
    with pytest.raises(TypeError, match=r"complex128"):
        layers.conv(x * 1j, k)


def test_layers_run_without_the_library():
    code = """
import numpy as np
from faltung import layers
x, k = np.ones((2, 3, 5, 5), np.float32), np.ones((4, 3, 3, 3), np.float32)
y = layers.conv(x, k, padding=1)
layers.conv_input_gradient(y, k, (5, 5), padding=1)
layers.conv_weight_gradient(x, y, (3, 3), padding=1)
pooled, where = layers.max_pool(y, 2)
layers.max_pool_gradient(pooled, where, (5, 5), 2)
z, moments = layers.batch_norm(y, np.ones(4), np.zeros(4), relu=True)
layers.batch_norm_gradient(z, y, np.ones(4), np.zeros(4), moments, relu=True)
print(y[0, 0].tolist()[0], y.dtype)
"""
    environment = {"FALTUNG_NATIVE": "0", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.split() == b"[12.0, 18.0, 18.0, 18.0, 12.0] float32".split()


def test_lesser_levels_give_the_layer_too():
    if native.library() is None:
        pytest.skip("there is no library here")
    code = """
import numpy as np
from faltung import layers
rng = np.random.default_rng(0)
x, k = rng.standard_normal((9, 6, 8, 8)), rng.standard_normal((10, 6, 3, 3))
y = layers.conv(x, k, padding=1)
dx = layers.conv_input_gradient(y, k, (8, 8), padding=1)
dk = layers.conv_weight_gradient(x, y, (3, 3), padding=1)
print(repr(float(np.vdot(x, dx))), repr(float(np.vdot(k, dk))), repr(float(np.vdot(y, y))))
x, k = rng.standard_normal((9, 25, 16, 14)), rng.standard_normal((24, 25, 3, 3))
y, small = layers.conv(x, k, padding=1), [a.astype(np.float32) for a in (x, k)]
dk = layers.conv_weight_gradient(x, y, (3, 3), padding=1)
for got, wanted in (
    (layers.conv(*small, padding=1), y),
    (layers.conv_weight_gradient(small[0], y.astype(np.float32), (3, 3), padding=1), dk),
):
    assert abs(got - wanted).max() < 1e-5 * abs(wanted).max()
"""
    for level in ("avx2", "baseline"):
        environment = {"FALTUNG_LEVEL": level, "PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        first, second, third = map(float, done.stdout.split())
        assert first == pytest.approx(third, rel=1e-12)
        assert second == pytest.approx(third, rel=1e-12)


WINOGRAD = [
    ((64, 12, 4, 4), (12, 12, 3, 3), 1),
    ((70, 16, 5, 3), (13, 16, 3, 3), 1),
    ((64, 20, 7, 10), (15, 20, 3, 3), ((2, 0), (0, 1))),
    ((64, 25, 7, 6), (26, 25, 3, 3), 1),
    ((8, 26, 14, 15), (24, 26, 3, 3), 1),
    ((5, 24, 30, 22), (25, 24, 3, 3), (2, 0)),
    ((4, 24, 21, 29), (27, 24, 3, 3), ((0, 2), (1, 1))),
]


@pytest.mark.parametrize(("x_shape", "k_shape", "padding"), WINOGRAD)
def test_fewer_multiplications_stay_within_their_error(x_shape, k_shape, padding):
    from faltung.layers import reference, winograd

    problem = conv_problem(x_shape, k_shape, padding=padding)
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal(x_shape), rng.standard_normal(k_shape)
    bias = rng.standard_normal(k_shape[0])
    y = reference.conv(problem, x, k)
    dy = rng.standard_normal(y.shape)
    small, weights, above = (a.astype(np.float32) for a in (x, k, dy))
    if not winograd.supported(problem, small.dtype):
        pytest.skip("there is no pipeline here")
    unit = np.finfo(np.float32).eps * reference.conv(problem, np.abs(x), np.abs(k)).max()
    got = layers.conv(small, weights, bias.astype(np.float32), padding=padding, relu=True)
    wanted = np.maximum(y + bias[:, None, None], 0)
    assert 0 < np.abs(got - wanted).max() <= winograd.ERROR * unit
    unit = np.finfo(np.float32).eps * reference.input_gradient(problem, np.abs(dy), np.abs(k)).max()
    got = layers.conv_input_gradient(above, weights, x_shape[2:], padding=padding)
    assert np.abs(got - reference.input_gradient(problem, dy, k)).max() <= winograd.ERROR * unit
    most = reference.weight_gradient(problem, np.abs(x), np.abs(dy)).max()
    got = layers.conv_weight_gradient(small, above, (3, 3), padding=padding)
    error = np.abs(got - reference.weight_gradient(problem, x, dy)).max()
    assert error <= winograd.ERROR * np.finfo(np.float32).eps * most


@pytest.mark.parametrize("x_shape", [(64, 24, 7, 7), (8, 26, 14, 14)])
def test_plain_sums_have_less_error(x_shape):
    from faltung.layers import reference

    if not native.variants("winograd"):
        pytest.skip("there is no pipeline here")
    rng = np.random.default_rng(0)
    x = rng.standard_normal(x_shape).astype(np.float32)
    k = rng.standard_normal((24, x_shape[1], 3, 3)).astype(np.float32)
    options = {"padding": 1}
    problem = conv_problem(x_shape, k.shape, **options)
    calls = (
        (lambda: layers.conv(x, k, **options), reference.conv, (x, k)),
        (
            lambda: layers.conv_weight_gradient(x, x[:, :24], (3, 3), **options),
            reference.weight_gradient,
            (x, x[:, :24]),
        ),
    )
    for call, definition, arrays in calls:
        wanted = definition(problem, *(a.astype(float) for a in arrays))
        with layers.plain_sums():
            plain = np.abs(call() - wanted).max()
        assert plain < np.abs(call() - wanted).max()  # Winograd's outside of the block


def test_a_gradient_that_is_not_finite_is_so_only_where_it_must():
    x, dy = (np.ones((64, 24, 8, 8), np.float32) for _ in range(2))
    x[3, 1, 0, 0] = np.nan
    dk = layers.conv_weight_gradient(x, dy, (3, 3), padding=1)
    assert np.isnan(dk).sum() == 24 * 4  # the first sample meets four of the nine taps
    assert np.isnan(dk[:, 1, :2, :2]).all()


def test_what_is_not_finite_stays_under_its_taps():
    x = np.zeros((64, 12, 9, 9), np.float32)
    x[3, 1, 2, 2], x[9, 0, 5, 5] = np.nan, np.inf
    y = layers.conv(x, np.ones((12, 12, 3, 3), np.float32), padding=1)
    assert np.isnan(y).sum() == np.isinf(y).sum() == 12 * 9
    assert np.isnan(y[3, :, 1:4, 1:4]).all()
    assert np.isinf(y[9, :, 4:7, 4:7]).all()
    few = np.zeros((64, 12, 9, 9), np.float32)
    few[3, 1, 2, 2] = np.inf
    y = layers.conv(few, np.ones((48, 12, 3, 3), np.float32), padding=1)  # looks at its input
    assert np.isinf(y).sum() == np.isinf(y[3, :, 1:4, 1:4]).sum() == 48 * 9
    few[3, 1, 2, 2] = 3e38
    y = layers.conv(few, np.ones((48, 12, 3, 3), np.float32), padding=1)
    assert (y.max(), np.isfinite(y).all()) == (np.float32(3e38), True)
    deep = np.zeros((4, 2, 16, 16), np.float32)
    deep[3, 1, 7, 8] = np.nan
    y = layers.conv(deep, np.ones((2, 1, 5, 5), np.float32), padding=2, groups=2)
    assert np.isnan(y).sum() == np.isnan(y[3, 1, 5:10, 6:11]).sum() == 25


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("taps", [(5, 3), (7, 9), (11, 1)])
@pytest.mark.parametrize("images", [1, 3, 8])
def test_depthwise_layers_of_many_taps_are_the_definition(images, taps, relu):
    from faltung.layers import reference

    shape, rng = (images, 3, 17, 23), np.random.default_rng(0)
    padding = ((taps[0] // 2, 1), (0, taps[1] - 1))
    problem = conv_problem(shape, (3, 1, *taps), padding=padding, groups=3)
    x, k = rng.standard_normal(shape), rng.standard_normal((3, 1, *taps))
    bias, y = rng.standard_normal(3), reference.conv(problem, x, k)
    dy = rng.standard_normal(y.shape)
    small, weights, above, offset = (a.astype(np.float32) for a in (x, k, dy, bias))
    got = layers.conv(small, weights, offset, padding=padding, groups=3, relu=relu)
    wanted = y + bias[:, None, None]
    near(got, np.maximum(wanted, 0) if relu else wanted, 1e-5)
    got = layers.conv_input_gradient(above, weights, shape[2:], padding=padding, groups=3)
    near(got, reference.input_gradient(problem, dy, k), 1e-5)


@pytest.mark.parametrize("space", [(7,), (9, 8), (2, 3, 4)])
@pytest.mark.parametrize(("images", "channels", "outputs"), [(1, 33, 5), (6, 32, 37), (64, 40, 32)])
def test_layers_of_one_tap_are_products(images, channels, outputs, space):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, channels, *space)).astype(np.float32)
    k = rng.standard_normal((outputs, channels)).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    kernels = k.reshape(*k.shape, *(1,) * len(space))
    y = layers.conv(x, kernels, bias, relu=True)
    wanted = np.einsum("oc,nc...->no...", k.astype(float), x) + bias.reshape(-1, *(1,) * len(space))
    near(y, np.maximum(wanted, 0), 1e-5)
    dx = layers.conv_input_gradient(y, kernels, space)
    near(dx, np.einsum("oc,no...->nc...", k.astype(float), y), 1e-5)
