"""Products of spectra: the definition within their bound, and exactly where noise would tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import LAYOUTS, geometries, laid_out, numbers
from test_separable import plan_takes

import faltung
from faltung import reference

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


@settings(max_examples=600)
@given(st.sampled_from(["convolve", "correlate"]), geometries(), st.sampled_from(TYPES),
       st.sampled_from(["float32", "float64", "complex64"]), st.sampled_from(LAYOUTS),
       st.integers(0, 99))  # fmt: skip
def test_products_of_spectra_are_the_reference(operation, geometry, x_type, k_type, layout, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = laid_out(numbers(rng, shape, x_type), layout), numbers(rng, taps, k_type)
    if x_type in ("bool", "uint8", "int16") and k_type == "complex64":
        return
    plan = faltung.plan(x.shape, x.dtype, k, operation=operation, **options)
    if not plan_takes(plan, "fft"):
        return
    plan = faltung.plan(x.shape, x.dtype, k, operation=operation, method="fft", **options)
    y = plan(x, workers=1 + seed % 3)
    wide = np.result_type(x.dtype, k, np.longdouble)
    wanted = getattr(reference, operation)(x.astype(wide), k.astype(wide), **options)
    assert y.shape == wanted.shape
    size = continued_norm(x, k, options) * np.linalg.norm(k.astype(np.complex128).ravel())
    assert (np.abs(y - wanted) <= plan.error_bound * size + 1e-44).all()


def tiled(rng, shape, taps, **options):
    """A problem of many tiles, by transforms and by the plain sum."""
    x, k = rng.standard_normal(shape), rng.standard_normal(taps)
    return x, k, faltung.plan(shape, x.dtype, k, method="fft", **options)


@pytest.mark.parametrize("boundary", ["constant", "edge", "symmetric", "reflect", "wrap"])
@pytest.mark.parametrize("mode", ["same", "full", "valid"])
def test_tiles(boundary, mode):
    rng = np.random.default_rng(0)
    for shape, taps in (((9000,), (301,)), ((700, 900), (41, 31)), ((40, 50, 60), (9, 8, 7)),
                        ((3, 5000), (1, 200)), ((5000, 3), (200, 1))):  # fmt: skip
        options = {"boundary": boundary, "mode": mode}
        x, k, plan = tiled(rng, shape, taps, **options)
        wanted = faltung.convolve(x, k, method="direct", **options)
        np.testing.assert_allclose(plan(x), wanted, atol=1e-11 * np.abs(k).sum())


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_the_same_bits_for_any_number_of_threads(workers):
    x, _, plan = tiled(np.random.default_rng(0), (600, 800), (51, 21))
    assert (plan(x, workers=1) == plan(x, workers=workers)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_footprint(bad):
    x, k, plan = tiled(np.random.default_rng(0), (600, 800), (51, 21), boundary="wrap")
    x[0, 5] = x[300, 400] = bad
    wanted = faltung.convolve(x, k, method="direct", boundary="wrap")
    y = plan(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(wanted))
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(y[finite], wanted[finite], atol=1e-10)


def test_a_spike_does_not_wipe_out_its_neighbours():
    x, k, plan = tiled(np.random.default_rng(0), (9000,), (301,))
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
    assert plan.method != "fft"
    tail = plan(p)[301:].sum()
    assert abs(tail / stats.poisson.sf(300, 100) - 1) < 1e-9
    refused = {c.method: c for c in plan.candidates()}["fft"]
    assert not refused.taken
    assert "noise" in refused.note


def test_what_must_not_be_negative_is_not_left_to_transforms():
    k = np.ones(5000) + np.random.default_rng(0).random(5000)
    assert faltung.plan(100_000, float, k).method == "fft"
    assert faltung.plan(100_000, float, k, nonnegative=True).method != "fft"
    assert faltung.plan(100_000, float, k, nonnegative=True, tolerance=1e-6).method == "fft"


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
