"""Products of spectra: the definition within their bound, and exactly where noise would tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import LAYOUTS, geometries, laid_out, numbers
from test_separable import plan_takes

import faltung
from faltung import reference

METHODS = ("fft", "fused_fft")
TYPES = ("bool", "uint8", "int16", "float16", "float32", "float64", "complex64", "complex128")


def continued_norm(x, k, options):
    """The norm of all samples that the kernel may meet, one number for each batch."""
    axes = options["axes"]
    dilation = np.broadcast_to(options.get("dilation", 1), k.ndim)
    pads = [(0, 0)] * x.ndim
    for axis, n, d in zip(axes, k.shape, dilation, strict=True):
        pads[axis] = (int(d * n), int(d * n))
    wide = np.abs(x.astype(np.result_type(x, np.longdouble)))
    for axis, boundary in zip(axes, options["boundary"], strict=True):
        one = [(0, 0)] * x.ndim
        one[axis] = pads[axis]
        wide = np.pad(wide, one, mode=boundary) if x.shape[axis] else wide
    return np.sqrt((wide**2).sum(axis=tuple(axes), keepdims=True))


@settings(max_examples=1200)
@given(st.sampled_from(METHODS), st.sampled_from(["convolve", "correlate"]), geometries(),
       st.sampled_from(TYPES), st.sampled_from(["float32", "float64", "complex64"]),
       st.sampled_from(LAYOUTS), st.integers(0, 99))  # fmt: skip
def test_products_of_spectra_are_the_reference(
    method, operation, geometry, x_type, k_type, layout, seed
):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = laid_out(numbers(rng, shape, x_type), layout), numbers(rng, taps, k_type)
    if x_type in ("bool", "uint8", "int16") and k_type == "complex64":
        return
    plan = faltung.plan(x.shape, x.dtype, k, operation=operation, **options)
    if not plan_takes(plan, method):
        return
    plan = faltung.plan(x.shape, x.dtype, k, operation=operation, method=method, **options)
    y = plan(x, workers=1 + seed % 3)
    wide = np.result_type(x.dtype, k, np.longdouble)
    wanted = getattr(reference, operation)(x.astype(wide), k.astype(wide), **options)
    assert y.shape == wanted.shape
    size = continued_norm(x, k, options) * np.linalg.norm(k.astype(np.complex128).ravel())
    assert (np.abs(y - wanted) <= plan.error_bound * size + 1e-44).all()


def tiled(method, rng, shape, taps, **options):
    """A problem of many tiles, by transforms and by the plain sum."""
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    return x, k, faltung.plan(shape, x.dtype, k, method=method, **options)


@pytest.mark.parametrize("boundary", ["constant", "edge", "symmetric", "reflect", "wrap"])
@pytest.mark.parametrize("mode", ["same", "full", "valid"])
@pytest.mark.parametrize("method", METHODS)
def test_tiles(boundary, mode, method):
    rng = np.random.default_rng(0)
    for shape, taps in (((9000,), (301,)), ((700, 900), (41, 31)), ((40, 50, 60), (9, 8, 7)),
                        ((3, 5000), (1, 200)), ((5000, 3), (200, 1))):  # fmt: skip
        options = {"boundary": boundary, "mode": mode}
        x, k, plan = tiled(method, rng, shape, taps, **options)
        wanted = faltung.convolve(x, k, method="direct", **options)
        np.testing.assert_allclose(plan(x), wanted, atol=1e-11 * np.abs(k).sum())


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_the_same_bits_for_any_number_of_threads(workers, method):
    x, _, plan = tiled(method, np.random.default_rng(0), (600, 800), (51, 21))
    assert (plan(x, workers=1) == plan(x, workers=workers)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_stays_in_its_footprint(bad, method):
    x, k, plan = tiled(method, np.random.default_rng(0), (600, 800), (51, 21), boundary="wrap")
    x[0, 5] = x[300, 400] = bad
    wanted = faltung.convolve(x, k, method="direct", boundary="wrap")
    y = plan(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(wanted))
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(y[finite], wanted[finite], atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_a_spike_does_not_wipe_out_its_neighbours(method):
    x, k, plan = tiled(method, np.random.default_rng(0), (9000,), (301,))
    x[4000] = 1e17
    wanted = faltung.convolve(x, k, method="direct")
    away = np.abs(wanted) < 1e6
    np.testing.assert_allclose(plan(x)[away], wanted[away], rtol=1e-9, atol=1e-9)


def test_the_sum_of_two_poisson_variables_keeps_its_tail():
    stats = pytest.importorskip("scipy.stats")
    k = np.arange(2000)
    p = stats.poisson.pmf(k, 50)
    p = p[: int(np.flatnonzero(p)[-1]) + 1]
    plan = faltung.plan(p.shape, p.dtype, p, mode="full")
    assert plan.method not in METHODS
    tail = plan(p)[301:].sum()
    assert abs(tail / stats.poisson.sf(300, 100) - 1) < 1e-9
    refused = {c.method: c for c in plan.candidates()}["fft"]
    assert not refused.taken
    assert "noise" in refused.note


def test_what_must_not_be_negative_is_not_left_to_transforms():
    k = np.ones(5000) + np.random.default_rng(0).random(5000)
    assert faltung.plan(100_000, float, k).method in METHODS
    assert faltung.plan(100_000, float, k, nonnegative=True).method not in METHODS
    assert faltung.plan(100_000, float, k, nonnegative=True, tolerance=1e-6).method in METHODS


@pytest.mark.parametrize("method", METHODS)
def test_a_tolerance_lets_no_negative_noise_through(method):
    rng = np.random.default_rng(0)
    x, k = np.zeros((600, 600), np.float32), rng.random((61, 61)).astype(np.float32)
    x[100:110, 100:110], x[300, 300] = rng.random((10, 10)), 1000
    y = faltung.convolve(x, k, nonnegative=True, tolerance=1e-3, method=method)
    assert y.min() == 0


@pytest.mark.parametrize("overflow", ["raise", "wrap"])
def test_noise_is_no_overflow(overflow):
    x = np.zeros((700, 700), np.uint8)
    x[:300] = 1
    k = (np.random.default_rng(0).random((61, 61)) * 1e6).astype(np.float32)
    plan = faltung.plan(x.shape, x.dtype, k, result_dtype="uint32", overflow=overflow)
    assert plan.method not in METHODS
    assert (plan(x)[331:] == 0).all()
    for method in METHODS:
        with pytest.raises(ValueError, match="overflow"):
            faltung.convolve(x, k, dtype="uint32", overflow=overflow, method=method)


@pytest.mark.parametrize("boundary", ["constant", "symmetric", "wrap"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_windows_of_every_shape(boundary, dtype):
    """Short and long axes, axes in any order, batches, and windows left without another."""
    rng = np.random.default_rng(0)
    cases = (
        ((50,), (20,), (0,)), ((1100,), (60,), (0,)), ((5, 4000), (90,), (1,)),
        ((4000, 5), (90,), (0,)), ((20, 21), (9, 8), (0, 1)), ((40, 700), (9, 30), (0, 1)),
        ((700, 40), (9, 30), (1, 0)), ((3, 200, 150), (31, 21), (1, 2)),
        ((200, 150, 3), (31, 21), (0, 1)), ((10, 60, 70), (5, 6, 7), (0, 1, 2)),
        ((30, 130, 70), (9, 3, 40), (0, 1, 2)), ((40, 2, 50, 60), (3, 8, 9), (0, 2, 3)),
        ((30, 30, 30), (16, 5, 5), (2, 0, 1)),
    )  # fmt: skip
    for shape, taps, axes in cases:
        for mode in ("same", "full"):
            x, k = rng.standard_normal(shape).astype(dtype), rng.standard_normal(taps).astype(dtype)
            options = {"boundary": boundary, "axes": axes, "mode": mode}
            y = faltung.convolve(x, k, method="fused_fft", **options)
            wanted = faltung.convolve(x.astype(float), k.astype(float), method="fft", **options)
            close = 30 * np.finfo(dtype).eps * np.abs(wanted).max()
            np.testing.assert_allclose(y, wanted, atol=close, err_msg=f"{shape} {taps}")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38, 1e-42])
def test_the_windows_of_a_pair_do_not_spoil_each_other(bad):
    """The two windows of a pair share a transform, not their noise, NaN or overflow."""
    rng = np.random.default_rng(0)
    k = rng.random((15, 15)).astype("float32")
    for at in ((30, 30), (30, 150), (299, 399), (130, 60)):
        x = np.zeros((300, 400), "float32") if bad == 1e-42 else rng.random((300, 400), "float32")
        x[at] = bad
        y = faltung.convolve(x, k, method="fused_fft")
        wanted = faltung.convolve(x, k, method="direct")
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(wanted))
        finite = np.isfinite(wanted) & (np.abs(wanted) < 1e6)
        np.testing.assert_allclose(y[finite], wanted[finite], rtol=2e-4)


def test_quiet_windows_beside_a_loud_one_are_exact_zeros():
    x = np.zeros((300, 400), "float32")
    x[:40, :40] = np.random.default_rng(0).random((40, 40))
    k = np.random.default_rng(1).random((15, 15)).astype("float32")
    y = faltung.convolve(x, k, method="fused_fft")
    assert (y[:, 250:] == 0).all()
    assert (y[200:] == 0).all()


def test_kernels_longer_than_the_windows_are_refused():
    for shape, taps in (((10**6,), (70_000,)), ((600, 600), (300, 3)), ((50, 50, 50), (17, 5, 5))):
        k = np.random.default_rng(0).random(taps)
        with pytest.raises(ValueError, match="window"):
            faltung.plan(shape, float, k, method="fused_fft")


def test_scratch_memory_is_bounded():
    k = np.random.default_rng(0).random(10**6)
    for shape in (10**7, 10**8):
        plan = faltung.plan(shape, "float32", k, max_memory=64 << 20)
        assert plan.method == "fft"
        assert plan.cost().memory <= 64 << 20
    small = faltung.plan(10**7, "float32", k, max_memory=8 << 20)
    assert small.method != "fft"
    refused = {c.method: c for c in small.candidates()}["fft"]
    assert "max_memory=8,388,608" in refused.note


def test_small_tiles_give_the_same_within_the_bound():
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal((500, 400)), rng.standard_normal((30, 40))
    large, small = (
        faltung.plan(x.shape, x.dtype, k, method="fft", max_memory=m) for m in (64 << 20, 1 << 19)
    )
    assert small.cost().memory <= 1 << 19 < large.cost().memory
    np.testing.assert_allclose(small(x), large(x), atol=1e-10)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200])
@pytest.mark.parametrize("method", ["fft", "fused_fft"])
def test_kernels_whose_squares_underflow_or_overflow(scale, method):
    k = np.random.default_rng(0).normal(size=200) * scale
    x = np.random.default_rng(1).normal(size=3000)
    got = faltung.plan(x.shape, x.dtype, k, method=method)(x)
    truth = faltung.plan(x.shape, x.dtype, k, method="direct")(x)
    np.testing.assert_allclose(got, truth, rtol=0, atol=1e-12 * scale + 1e-315)
