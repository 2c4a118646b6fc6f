"""The method for Gaussians within a tolerance: the stated bound must hold, whatever the input."""

import math
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BOUNDARIES, LAYOUTS, laid_out

import faltung
from faltung import coarse, decimation, native
from faltung.methods import recursive

if not native.library():
    pytest.skip("the compiled library is not there", allow_module_level=True)

TINY = 1e-38  # below the normal range a rounding error is absolute


def gaussian(sigma, cut=4.0, shift=0.0):
    """A sampled Gaussian, cut off, that sums to 1."""
    reach = int(cut * sigma + 0.5)
    at = np.arange(-reach, reach + 1) - shift
    taps = np.exp(-0.5 * (at / sigma) ** 2)
    return taps / taps.sum()


def wide(problem):
    """The taps that a problem uses, as float64."""
    return problem.taps.array.astype(float)


def exact(problem, x, **options):
    """The result in float64 by the direct method, from the taps that the problem uses."""
    call = getattr(faltung, problem.operation)
    return call(x.astype(float), wide(problem), method="direct", **options)


def assert_within(plan, x, reach=1.0, **options):
    """Compare with the exact result; ``reach`` is the fill value's magnitude, where it counts."""
    assert plan.method == "recursive"
    assert plan.error_bound <= plan.problem.tolerance
    y = plan(x)
    wanted = exact(plan.problem, x, **options)
    assert y.shape == wanted.shape
    assert y.dtype == plan.dtype
    most = max(np.abs(x.astype(float)).max(), reach)
    allowed = plan.error_bound * np.abs(wide(plan.problem)).sum() * most + TINY
    observed = np.abs(y - wanted).max(initial=0)
    assert observed <= allowed
    return observed / allowed


# ---- which kernels ---------------------------------------------------------------------------


@given(st.floats(1, 60), st.floats(2, 6), st.floats(-0.5, 0.5), st.sampled_from(["f4", "f8"]))
def test_gaussians_are_recognised(sigma, cut, shift, dtype):
    k = gaussian(sigma, cut, shift)
    (found,) = recursive.gaussian_sigmas(k.astype(dtype))
    assert math.isclose(found, sigma, rel_tol=1e-4)
    both = recursive.gaussian_sigmas((3 * np.outer(k, gaussian(5.0))).astype(dtype))
    np.testing.assert_allclose(both, (sigma, 5), rtol=1e-4)


@pytest.mark.parametrize("taps", [
    np.ones(9), np.ones((9, 9)), [0.5, 0.5], [0.0, 1, 0], [1.0, 0, 1],
    np.arange(1.0, 20), -gaussian(5.0), gaussian(5.0) + 1e-4, [math.nan, 1, 1],
    np.exp(-np.abs(np.arange(-20, 21)) / 5), np.exp(np.arange(-9, 10) ** 2 / 18),
    np.outer(gaussian(5.0), gaussian(4.0)) + np.eye(41, 33) * 1e-3, [1j, 2j, 1j], np.ones(0),
])  # fmt: skip
def test_other_kernels_are_not(taps):
    assert recursive.gaussian_sigmas(np.array(taps)) is None


def test_an_axis_of_one_tap_has_sigma_0():
    np.testing.assert_allclose(recursive.gaussian_sigmas(gaussian(7.0)[:, None]), (7, 0))


@pytest.mark.parametrize(("k", "options", "why"), [
    (gaussian(5.0), {"tolerance": None}, "no tolerance"),
    (gaussian(5.0), {"tolerance": 1e-9}, "no coarse grid"),
    (gaussian(1.0), {}, "no coarse grid"),
    (np.ones(30), {}, "no Gaussian"),
    (gaussian(5.0), {"stride": 2}, "stride"),
    (gaussian(5.0), {"dilation": 3}, "dilation"),
    (gaussian(5.0) * 1e-30, {}, "too far from 1"),
    (gaussian(5.0), {"missing": "ignore"}, "quotient"),
    (gaussian(5.0) * (1 + 0j), {}, "no Gaussian"),
])  # fmt: skip
def test_refusals_say_why(k, options, why):
    options = {"tolerance": 1e-3, **options}
    with pytest.raises(ValueError, match=why):
        faltung.plan((90,), "float64", k, method="recursive", **options)
    assert faltung.plan((90,), "float64", k, **options).method != "recursive"


def test_three_axes_are_refused():
    k = np.einsum("i,j,k", *[gaussian(3.0)] * 3)
    with pytest.raises(ValueError, match="3 axes"):
        faltung.plan((30, 30, 30), "float64", k, method="recursive", tolerance=1e-2)


def test_it_is_chosen_for_large_kernels_and_never_without_a_tolerance():
    k = np.outer(gaussian(10.0), gaussian(10.0)).astype("float32")
    assert faltung.plan((2000, 2000), "float32", k, tolerance=1e-3).method == "recursive"
    assert faltung.plan((2000, 2000), "float32", k, tolerance=3e-5).method != "recursive"
    assert faltung.plan((2000, 2000), "float32", k).method != "recursive"
    text = faltung.plan((2000, 2000), "float32", k, tolerance=1e-3).explain()
    assert "sum |k| * max |x|" in text


# ---- the bound -------------------------------------------------------------------------------


@st.composite
def problems(draw):
    """Shape, kernel and options of a call along one axis or two, with batch axes."""
    rank = draw(st.sampled_from([1, 2]))
    extra = draw(st.integers(0, 3 - rank))
    shape = tuple(draw(st.integers(1, 90)) for _ in range(rank + extra))
    axes = tuple(draw(st.permutations(range(rank + extra)))[:rank])
    parts = []
    for _ in axes:
        sigma, cut = draw(st.floats(4, 12)), draw(st.floats(2.5, 4.5))
        parts.append(gaussian(sigma, cut, draw(st.sampled_from([0, 0.5, -0.3]))))
    k = parts[0] if rank == 1 else np.outer(*parts)
    k = k * draw(st.sampled_from([1, 1, 0.01, 1000]))
    options = {
        "axes": axes,
        "mode": draw(st.sampled_from(["same", "full", "valid"])),
        "boundary": tuple(draw(st.sampled_from(BOUNDARIES)) for _ in axes),
        "anchor": draw(
            st.sampled_from([None, tuple(draw(st.integers(0, n - 1)) for n in k.shape)])
        ),
        "fill_value": draw(st.sampled_from([0, 1, -3])),
    }
    if options["mode"] == "valid":
        lengths = dict(zip(axes, k.shape, strict=True))
        shape = tuple(max(n, lengths.get(axis, 0)) for axis, n in enumerate(shape))
    return shape, k, options


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["convolve", "correlate"]), problems(), st.sampled_from(["f4", "f8"]),
       st.sampled_from(["normal", "signs", "ones", "spikes"]), st.sampled_from(LAYOUTS),
       st.integers(0, 99))  # fmt: skip
def test_every_geometry_keeps_within_the_bound(operation, drawn, dtype, content, layout, seed):
    shape, k, options = drawn
    rng = np.random.default_rng(seed)
    x = {
        "normal": lambda: rng.standard_normal(shape),
        "signs": lambda: rng.choice([-1.0, 1.0], shape),
        "ones": lambda: np.ones(shape),
        "spikes": lambda: np.where(rng.random(shape) < 0.02, 1e6, rng.random(shape)),
    }[content]()
    x = laid_out(x.astype(dtype), layout)
    plan = faltung.plan(shape, dtype, k.astype(dtype), operation=operation, tolerance=0.1,
                        method="recursive", **options)  # fmt: skip
    assert_within(plan, x, abs(options["fill_value"]), **options)


def applied(stages, taps, phase):
    """Return where a phase's taps begin, those that are applied, and those that are wanted."""
    found, lead = list(decimation.phases(stages))[phase]
    first = min(lead, phase)
    both = np.zeros((2, max(lead + found.size, phase + taps.size) - first))
    both[0, lead - first :][: found.size] = found
    both[1, phase - first :][: taps.size] = taps
    return first - phase, *both


@settings(max_examples=40, deadline=None)
@given(st.floats(3.5, 30), st.sampled_from([3.0, 4.0, 5.0]), st.sampled_from([3e-2, 5e-3, 5e-4]),
       st.sampled_from(["float32", "float64"]), st.integers(0, 60))  # fmt: skip
def test_the_worst_input_meets_the_bound_and_no_more(sigma, cut, tolerance, dtype, step):
    k = gaussian(sigma, cut).astype(dtype)
    options = {"operation": "correlate", "mode": "valid", "tolerance": tolerance}
    answer = recursive.supports(faltung.plan((1500,), dtype, k, **options).problem)
    if not answer.ok:
        assert "no coarse grid" in answer.note
        return
    plan = faltung.plan((1500,), dtype, k, method="recursive", **options)
    ((_, stages),) = recursive.design(plan.problem).stages.items()
    k = wide(plan.problem) / wide(plan.problem).sum()
    errors = []
    for phase in range(stages.factor):
        _, found, wanted = applied(stages, k, phase)
        errors.append(np.abs(found - wanted).sum())
    assert max(errors) == pytest.approx(stages.error, rel=1e-9)
    at = 400 + step
    first, found, wanted = applied(stages, k, at % stages.factor)
    x = np.ones(1500)
    x[at + first :][: found.size] = np.where(found < wanted, -1, 1)
    x = x.astype(dtype)
    assert_within(plan, x, mode="valid")
    error = abs(float(plan(x)[at]) - float(exact(plan.problem, x, mode="valid")[at]))
    near = pytest.approx(errors[at % stages.factor], rel=1e-3, abs=3 * float(np.finfo(dtype).eps))
    assert error == near


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sigmas", "tolerance"), [((9.0, 6.0), 2e-3), ((20.0, 14.0), 3e-4)])
def test_the_worst_picture_meets_the_bound_and_no_more(dtype, sigmas, tolerance):
    k = np.outer(*map(gaussian, sigmas)).astype(dtype)
    plan = faltung.plan((420, 400), dtype, k, operation="correlate", mode="valid",
                        method="recursive", tolerance=tolerance)  # fmt: skip
    stages = recursive.design(plan.problem).stages
    parts = recursive.factors(plan.problem.taps.array)
    worst = 0.0
    for at in ((130, 140), (131, 143), (133, 141)):
        (y, *rows), (z, *columns) = (
            applied(stages[axis], parts[axis], at[axis] % stages[axis].factor) for axis in (0, 1)
        )
        off = np.outer(rows[0], columns[0]) - np.outer(rows[1], columns[1])
        x = np.ones((420, 400), dtype)
        x[at[0] + y :, at[1] + z :][: off.shape[0], : off.shape[1]] = np.where(off < 0, -1, 1)
        used = assert_within(plan, x, mode="valid")
        error = abs(float(plan(x)[at]) - float(exact(plan.problem, x, mode="valid")[at]))
        assert error == pytest.approx(np.abs(off).sum(), rel=1e-2)
        worst = max(worst, used)
    assert worst > 0.6  # the bound is no larger than it has to be


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sigma", [4.0, 10.0, 30.0])
def test_hard_inputs(dtype, sigma):
    n = 450 if sigma == 30 else 700
    k = np.outer(gaussian(sigma), gaussian(sigma)).astype(dtype)
    plan = faltung.plan((n, n), dtype, k, tolerance=4e-4, method="recursive", boundary="reflect")
    i, j = np.indices((n, n))
    rng = np.random.default_rng(0)
    spikes = np.zeros((n, n))
    spikes[rng.integers(0, n, 9), rng.integers(0, n, 9)] = 1e6
    for x in (
        np.ones((n, n)), (-1.0) ** (i + j), (-1.0) ** i, np.where(j < 333, 1.0, -1.0),
        np.where(i + j < n, 1.0, 0.0), spikes, np.sign(np.sin(i * 1.9) * np.sin(j * 0.31)),
        np.where((i // 5 + j // 5) % 2, 1.0, -1.0), np.where((i // 6 + j // 7) % 2, 1.0, -1.0),
        i * 1.0, (i - j) * 1e30,
    ):  # fmt: skip
        assert separable_within(plan, x.astype(dtype), gaussian(sigma)) <= 1


def separable_within(plan, x, taps):
    """Like :func:`assert_within`, with the exact result from two passes in float64."""
    wanted = faltung.convolve(x.astype(float), taps[:, None], boundary="reflect", method="direct")
    wanted = faltung.convolve(wanted, taps[None], boundary="reflect", method="direct")
    y = plan(x)
    most = float(np.abs(x).max())
    # the taps were rounded to the dtype, which the two passes do not see
    return np.abs(y - wanted).max() / (most * (plan.error_bound + float(np.finfo(x.dtype).eps)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.floats(3.5, 20), st.sampled_from(BOUNDARIES), st.integers(0, 99))
def test_a_line_shorter_than_its_kernel(n, sigma, boundary, seed):
    x = np.random.default_rng(seed).standard_normal(n)
    plan = faltung.plan((n,), "float64", gaussian(sigma), boundary=boundary, tolerance=5e-3,
                        method="recursive")  # fmt: skip
    assert_within(plan, x, 0, boundary=boundary)


@pytest.mark.parametrize("shape", [(5000,), (300, 5), (5, 300), (200, 210, 3), (3, 200, 210)])
@pytest.mark.parametrize("scratch", [1 << 12, 1 << 15, 1 << 18])
def test_blocks_fit_together(monkeypatch, shape, scratch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    axes = {(300, 5): (0,), (5, 300): (1,), (200, 210, 3): (0, 1)}.get(shape)
    k = gaussian(5.0)
    if len(shape) == 3:
        k = np.outer(k, gaussian(4.0))
    options = {"boundary": "wrap", "axes": axes}
    once = faltung.plan(shape, "float64", k, tolerance=1e-3, method="recursive", **options)(x)
    monkeypatch.setattr(coarse, "SCRATCH", scratch)
    monkeypatch.setattr(coarse, "SEGMENT", scratch // 4)
    with faltung.plan_cache(0):
        cut = faltung.plan(shape, "float64", k, tolerance=1e-3, method="recursive", **options)
        if len(shape) == 3 and scratch == 1 << 15:
            assert len(cut._runs[0].blocks) > 1
        if len(shape) > 1:  # the blocks begin at whole factors, so that no seam is seen
            np.testing.assert_allclose(cut(x), once, rtol=0, atol=1e-14)
        assert_within(cut, x, **options)


# ---- dtypes and out --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int8", "int32", "float16"])
@pytest.mark.parametrize("shape", [(90, 80), (90, 80, 3), (5000,)])
def test_other_dtypes(dtype, shape):
    rng = np.random.default_rng(0)
    x = (rng.random(shape) * 120).astype(dtype)
    k = gaussian(5.0) if len(shape) == 1 else np.outer(gaussian(5.0), gaussian(4.0))
    options = {"boundary": "edge", "axes": tuple(range(min(2, len(shape))))}
    plan = faltung.plan(shape, dtype, k.tolist(), tolerance=2e-3, method="recursive", **options)
    assert_within(plan, x, **options)


def test_results_of_eight_bits_are_rounded_and_saturated():
    x = np.random.default_rng(0).integers(0, 2, (200, 300), "uint8") * np.uint8(255)
    k = np.outer(gaussian(5.0), gaussian(5.0)).tolist()
    options = {"dtype": "uint8", "overflow": "saturate", "boundary": "reflect"}
    near = faltung.convolve(x, k, tolerance=1e-3, method="recursive", **options)
    wanted = faltung.convolve(x, k, **options)
    assert near.dtype == np.uint8
    assert np.abs(near.astype(int) - wanted).max() <= 1


def test_out_in_a_part_of_a_larger_array_leaves_the_rest():
    x = np.random.default_rng(0).standard_normal((130, 140))
    k = np.outer(gaussian(4.0), gaussian(4.0))
    options = {"tolerance": 1e-3, "method": "recursive"}
    wanted = faltung.convolve(x, k, **options)
    for step in (1, 2):
        frame = np.full((134, step * 150), -7.0)
        out = frame[2:-2, 3 : 3 + step * 140 : step]
        assert faltung.convolve(x, k, out=out, **options) is out
        np.testing.assert_array_equal(out, wanted)
        out[...] = -7
        assert (frame == -7).all()


def test_nonnegative_results():
    x = np.zeros((200, 200))
    x[100, 100] = 1
    k = np.outer(gaussian(5.0), gaussian(5.0))
    options = {"tolerance": 5e-3, "method": "recursive"}
    assert faltung.convolve(x, k, **options).min() < 0
    assert faltung.convolve(x, k, nonnegative=True, **options).min() == 0


# ---- what is not finite ----------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(problems(), st.sampled_from(["f4", "f8"]), st.sampled_from([0.0005, 0.02]),
       st.sampled_from([0, math.nan, math.inf]), st.integers(0, 99))  # fmt: skip
def test_not_finite_just_where_the_footprint_says_so(drawn, dtype, density, fill, seed):
    shape, k, options = drawn
    options = {**options, "fill_value": fill}
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(dtype)
    bad = rng.random(shape) < density
    x[bad] = rng.choice([math.nan, math.inf, -math.inf], int(bad.sum()))
    y = faltung.convolve(x, k.astype(dtype), tolerance=0.1, method="recursive", **options)
    with np.errstate(invalid="ignore"):
        wanted = faltung.convolve(x, k.astype(dtype), method="direct", **options)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(wanted))
    np.testing.assert_array_equal(np.isneginf(y), np.isneginf(wanted))
    fine = np.isfinite(wanted)
    most = max(np.abs(x[np.isfinite(x)]).max(initial=0), 1)
    assert (np.abs(y[fine] - wanted[fine]) <= 0.101 * k.sum() * most).all()


@pytest.mark.parametrize("cut", [2.5, 4.0, 8.0, 12.0])
@pytest.mark.parametrize("tolerance", [0.1, 2e-3])
@pytest.mark.parametrize("mode", ["same", "full", "valid"])
def test_a_nan_under_the_smallest_tap_is_seen(cut, tolerance, mode):
    k = gaussian(6.0, cut)
    options = {"mode": mode, "tolerance": tolerance}
    plan = faltung.plan((400,), "float64", k, **options)
    if not recursive.supports(plan.problem).ok:
        return
    plan = faltung.plan((400,), "float64", k, method="recursive", **options)
    ((_, stages),) = recursive.design(plan.problem).stages.items()
    for n in range(1, 99):  # every sample under the taps is one that the stages read
        assert stages.before >= 0
        assert stages.samples(n) - stages.before >= n + k.size - 1
    for at in (0, 1, 200, 399):
        x = np.ones(400)
        x[at] = math.nan
        wanted = faltung.convolve(x, k, mode=mode, method="direct")
        np.testing.assert_array_equal(np.isnan(plan(x)), np.isnan(wanted))


def test_samples_near_the_greatest_float_do_not_overflow():
    x = np.full((90, 90), 3.3e38, "float32")
    x[40:, :] *= -1
    k = np.outer(gaussian(5.0), gaussian(5.0)).astype("float32")
    options = {"tolerance": 5e-3, "boundary": "edge"}
    y = faltung.convolve(x, k, method="recursive", **options)
    wanted = faltung.convolve(x.astype(float), k.astype(float), method="direct", boundary="edge")
    fine = np.abs(wanted) < 3.2e38
    assert fine.any()
    assert np.isfinite(y[fine]).all()
    assert (np.abs(y - wanted)[fine] <= 5e-3 * 3.3e38).all()


# ---- threads, memory, levels -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(701, 900), (100003,), (701, 900, 3)])
def test_any_thread_count_gives_the_same_bits(dtype, shape):
    x = (np.random.default_rng(5).random(shape) * 200).astype(dtype)
    k = gaussian(6.0) if len(shape) == 1 else np.outer(gaussian(6.0), gaussian(9.0))
    options = {"axes": tuple(range(min(2, len(shape)))), "tolerance": 1e-3, "method": "recursive"}
    plan = faltung.plan(shape, dtype, k.tolist(), **options)
    one = plan(x, workers=1)
    for workers in (2, 3, 7):
        assert plan(x, workers=workers).tobytes() == one.tobytes()


@pytest.mark.parametrize("shape", [(4000, 5000), (20000000,), (200, 100000), (100000, 200)])
def test_scratch_is_bounded(shape):
    x = np.zeros(shape, "float32")
    k = gaussian(10.0) if len(shape) == 1 else np.outer(gaussian(10.0), gaussian(10.0))
    plan = faltung.plan(shape, "float32", k.astype("float32"), tolerance=1e-3, method="recursive")
    out = np.empty(plan.shape, plan.dtype)
    plan(np.zeros(shape, "float32"), out=out)
    tracemalloc.start()
    plan(x, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 64 << 20


@pytest.mark.parametrize("level", ["avx2", "baseline"])
def test_every_instruction_set_level(level):
    tests = ["tests/test_recursive.py"]
    if os.environ.get("FALTUNG_LEVEL"):
        pytest.skip("runs in the tests of the usual level")
    names = "thread_count or hard_inputs or every_geometry"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", names, *tests],
        env={**os.environ, "FALTUNG_LEVEL": level}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("shape", [(9000, 3), (3, 9000)])
def test_a_single_line_of_a_kernel_with_an_axis_of_one_tap(shape):
    axis = int(np.argmax(shape))
    taps = gaussian(30.0).astype(np.float32)
    k = taps[:, None] if axis == 0 else taps[None]
    x = np.random.default_rng(2).random(shape, np.float32)
    options = {"boundary": "reflect"}
    plan = faltung.plan(shape, "float32", k, tolerance=1e-2, method="recursive", **options)
    assert_within(plan, x, **options)
    one = faltung.convolve(x, taps, axes=axis, tolerance=1e-2, method="recursive", **options)
    assert (plan(x) == one).all()
