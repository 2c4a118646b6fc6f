"""Kernels that factor: recognised, and summed axis by axis with the meaning of the plain sum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import LAYOUTS, geometries, laid_out, numbers
from test_operator import assert_right

import faltung
from faltung import analysis, reference
from faltung.problem import Taps

TYPES = ("bool", "uint8", "int16", "uint16", "float16", "float32", "float64", "complex64")


def product(rng, shape, dtype="float64"):
    """A random kernel with factors, some of whose taps are zero."""
    lines = [np.where(rng.random(n) < 0.1, 0, rng.standard_normal(n)) for n in shape]
    for line in lines:
        line[rng.integers(len(line))] = 1
    return analysis.outer(lines).astype(dtype)


def plan_takes(plan, method):
    """Whether a method would compute a plan's problem."""
    return any(c.taken for c in plan.candidates() if c.method == method)


@settings(max_examples=600)
@given(st.sampled_from(["convolve", "correlate"]), geometries(ranks=(2, 3)), st.sampled_from(TYPES),
       st.sampled_from(["float32", "float64"]), st.sampled_from(LAYOUTS),
       st.integers(0, 99))  # fmt: skip
def test_separable_is_the_reference(operation, geometry, x_type, k_type, layout, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = laid_out(numbers(rng, shape, x_type), layout), product(rng, taps, k_type)
    if sum(n > 1 for n in taps) < 2:
        return
    plan = faltung.plan(shape, x.dtype, k, operation=operation, **options)
    if plan_takes(plan, "separable"):
        assert_right(operation, x, k, {**options, "method": "separable"})


@settings(max_examples=60)
@given(st.integers(130, 300), st.integers(5, 90), st.integers(2, 40), st.integers(2, 90),
       st.sampled_from([(), (3,), (4,), (2,)]), st.integers(1, 2), st.integers(1, 3),
       st.sampled_from(["float32", "float64", "uint8", "uint16"]),
       st.sampled_from(["constant", "reflect", "wrap"]), st.integers(1, 3),
       st.integers(0, 99))  # fmt: skip
def test_tiles_and_colours(width, height, tall, wide, colours, stride, dilation, dtype, boundary,
                           rank, seed):  # fmt: skip
    rng = np.random.default_rng(seed)
    x = numbers(rng, (height, width, *colours), dtype)
    k = sum(product(rng, (tall, wide), "float32") for _ in range(rank))
    options = {"axes": (0, 1), "stride": stride, "dilation": dilation, "boundary": boundary}
    plan = faltung.plan(x.shape, x.dtype, k, operation="correlate", **options)
    assert plan_takes(plan, "separable") or rank > 1
    if plan_takes(plan, "separable"):
        assert_right("correlate", x, k, {**options, "method": "separable"})


def test_a_picture_keeps_its_dtype():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (70, 300, 3), "uint8")
    k = np.outer([1, 4, 6, 4, 1], [1, 2, 1]) / 64
    options = {"axes": (0, 1), "dtype": "uint8", "overflow": "saturate", "boundary": "reflect"}
    ours = faltung.correlate(x, k, method="separable", **options)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, faltung.correlate(x, k, method="direct", **options))


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_the_same_bits_for_any_number_of_threads(workers):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 200, 300)).astype("f4")
    for k in (product(rng, (9, 11), "f4"), product(rng, (3, 5, 7), "f4")):
        one = faltung.convolve(x, k, method="separable", workers=1)
        assert (one == faltung.convolve(x, k, method="separable", workers=workers)).all()


def test_ends_that_are_not_numbers_stay_in_their_footprint():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 400)).astype("f4")
    x[3, 7], x[80, 200], x[100, 390] = np.nan, np.inf, -np.inf
    k = np.outer(rng.random(9) + 0.1, rng.random(21) + 0.1).astype("f4")
    ours = faltung.convolve(x, k, method="separable", boundary="wrap")
    plain = faltung.convolve(x, k, method="direct", boundary="wrap")
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(plain))
    np.testing.assert_array_equal(np.isinf(ours), np.isinf(plain))


# ---- analysis ----------------------------------------------------------------------------------


def test_factors_give_the_kernel_back():
    rng = np.random.default_rng(0)
    for shape in ((3, 5), (7, 1), (4, 5, 6), (2, 2, 2, 2)):
        k = product(rng, shape)
        found = analysis.factor(Taps.of(k))
        assert found is not None
        assert found.rank == 1
        again = analysis.outer([part.array for part in found.terms[0]])
        np.testing.assert_allclose(again, k, rtol=1e-15)


def test_a_sum_of_terms_is_found_and_a_random_kernel_is_not():
    rng = np.random.default_rng(0)
    lines = rng.random((4, 9)) + 0.5
    two = np.outer(lines[0], lines[1]) + np.outer(lines[2], lines[3])
    assert analysis.factor(Taps.of(two)).rank == 2
    assert analysis.factor(Taps.of(rng.random((9, 9)))) is None
    assert analysis.factor(Taps.of(np.full((3, 3), np.inf))) is None
    assert analysis.factor(Taps.of(np.zeros((3, 3)))) is None


@pytest.mark.parametrize(("k", "words"), [
    ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], ["separable", "even, even", "whole numbers"]),
    (np.ones((5, 5)) / 25, ["a box"]),
    ([0, 0, 1], ["a shift"]),
    ([-1, 0, 1], ["odd"]),
    (np.random.default_rng(0).random((4, 4)), ["dense", "none"]),
    (np.eye(9), ["sparse: 9 of 81"]),
    (faltung.kernels.sobel_x, ["separable", "odd"]),
])  # fmt: skip
def test_the_report(k, words):
    report = str(faltung.analyse(k))
    assert all(word in report for word in words), report
    assert "\n" not in report


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", [(300, 400), (60, 3000)])
def test_infinite_samples_under_a_difference_of_products(value, dtype, shape):
    rng = np.random.default_rng(0)
    k = np.multiply.outer(1 + rng.random(9), 1 + rng.random(9)) - 0.3 * np.multiply.outer(
        rng.random(9), rng.random(9)
    )
    k = k.astype("float32" if dtype == "complex64" else dtype)
    x = rng.random(shape).astype(dtype)
    clean = faltung.convolve(x, k, method="separable")
    spots = [(50, 60), (20, 200)]
    for spot in spots:
        x[spot] = value
    y = faltung.convolve(x, k, method="separable")
    with np.errstate(all="ignore"):
        wanted = reference.convolve(x, k)
    for part, want in ((y.real, wanted.real), (y.imag, wanted.imag)):
        np.testing.assert_array_equal(np.isnan(part), np.isnan(want))
        np.testing.assert_array_equal(part[np.isinf(want)], want[np.isinf(want)])
        assert np.isinf(part).sum() == np.isinf(want).sum()
    finite = np.isfinite(wanted)
    assert finite.sum() == y.size - 2 * k.size
    np.testing.assert_allclose(y[finite], clean[finite], rtol=1e-4)
