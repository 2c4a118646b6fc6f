"""Shifts: whole, in fractions, soft, along several axes; and which way they go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import faltung
from faltung import kernels
from faltung.signal import shift

BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")
PAD = {"edge": "edge", "symmetric": "symmetric", "reflect": "reflect", "wrap": "wrap"}


def padded(x, before, after, boundary, fill):
    if boundary == "constant":
        return np.pad(x, (before, after), constant_values=fill)
    return np.pad(x, (before, after), mode=boundary)


@settings(max_examples=80)
@given(st.integers(1, 12), st.integers(-40, 40), st.sampled_from(BOUNDARIES),
       st.sampled_from(["uint8", "int64", "float32", "complex128", "bool", "object"]))  # fmt: skip
def test_whole_steps_are_the_continued_signal_read_elsewhere(n, by, boundary, dtype):
    x = np.random.default_rng(n).integers(0, 2, n).astype(dtype)
    fill = x[0].item() if dtype != "object" else x[0]
    laid = padded(x, 40, 40, boundary, fill)
    ours = shift(x, by, boundary=boundary, fill_value=fill)
    assert ours.dtype == x.dtype
    np.testing.assert_array_equal(ours, laid[40 - by : 40 - by + n])


@settings(max_examples=80)
@given(st.integers(1, 12), st.floats(-30, 30), st.sampled_from(BOUNDARIES),
       st.sampled_from(["linear", "cubic", "lanczos"]))  # fmt: skip
def test_fractions_are_the_kernel_laid_on_the_continued_signal(n, by, boundary, method):
    x = np.random.default_rng(n).standard_normal(n)
    ours = shift(x, by, boundary=boundary, fill_value=1.5, method=method)
    laid = padded(x, 80, 80, boundary, 1.5)
    kernel = kernels.shift(by, method=method)
    wanted = faltung.convolve(laid, kernel, boundary="edge")[80 : 80 + n]
    np.testing.assert_allclose(ours, wanted, atol=1e-12)


def test_positive_shifts_go_to_the_right_and_the_classical_slip():
    signal = [0, 3, 4, 5, 0, 0]
    assert shift(signal, 1).tolist() == [0, 0, 3, 4, 5, 0]
    assert faltung.correlate(signal, [1, 0, 0]).tolist() == shift(signal, 1).tolist()
    assert faltung.convolve(signal, [1, 0, 0]).tolist() == shift(signal, -1).tolist()
    assert faltung.convolve(signal, [0, 0, 1]).tolist() == shift(signal, 1).tolist()


@pytest.mark.parametrize(("ours", "theirs"), [
    ("constant", "grid-constant"), ("edge", "nearest"), ("symmetric", "reflect"),
    ("reflect", "mirror"), ("wrap", "grid-wrap"),
])  # fmt: skip
def test_lines_against_scipy_in_two_dimensions(ours, theirs):
    x = np.random.default_rng(5).standard_normal((9, 11))
    for by in ((1.25, -2.5), (-0.3, 4.0), (0.0, 0.75)):
        wanted = ndimage.shift(x, by, order=1, mode=theirs)
        np.testing.assert_allclose(shift(x, by, boundary=ours), wanted, atol=1e-12)


def test_fourier_moves_band_limited_signals_exactly_and_against_scipy():
    for n in (15, 16):
        t = np.arange(n)
        wave = lambda t: 1 + np.cos(2 * np.pi * 3 * t / n + 0.4) - np.sin(2 * np.pi * t / n)  # noqa: B023, E731
        for by in (0.3, -2.71, 100.5):
            ours = shift(wave(t), by, boundary="wrap", method="fourier")
            np.testing.assert_allclose(ours, wave(t - by), atol=1e-12)
        x = np.random.default_rng(n).standard_normal(n)
        theirs = np.fft.ifft(ndimage.fourier_shift(np.fft.fft(x), 0.4)).real
        np.testing.assert_allclose(
            shift(x, 0.4, boundary="wrap", method="fourier"), theirs, atol=1e-12
        )
        z = x + 1j * x[::-1]
        np.testing.assert_allclose(
            shift(z, 0.4, boundary="wrap", method="fourier"),
            shift(z.real, 0.4, boundary="wrap", method="fourier")
            + 1j * shift(z.imag, 0.4, boundary="wrap", method="fourier"),
            atol=1e-12,
        )


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_soft_shifts_are_means_over_shifts_and_convolutions(boundary):
    x = np.random.default_rng(6).standard_normal((3, 8))
    weights = {-1: 0.2, 0: 0.5, 1: 0.3}
    wanted = sum(w * shift(x, by, boundary=boundary) for by, w in weights.items())
    ours = shift(x, weights, boundary=boundary)
    np.testing.assert_allclose(ours, wanted, atol=1e-14)
    words = {"left": 0.2, "stay": 0.5, "right": 0.3}
    np.testing.assert_array_equal(shift(x, words, boundary=boundary), ours)
    kernel = kernels.soft_shift(0.2, 0.5, 0.3)
    np.testing.assert_allclose(shift(x, kernel, boundary=boundary), ours, atol=1e-14)
    two = shift(x, {(1, 0): 0.5, (0, -2): 0.5}, boundary=boundary)
    wanted = shift(x, (1, 0), boundary=boundary) + shift(x, (0, -2), boundary=boundary)
    np.testing.assert_allclose(two, wanted / 2, atol=1e-14)


def test_a_soft_shift_that_is_sure_is_a_shift_and_its_mass_stays_on_a_circle():
    x = np.random.default_rng(7).random(20)
    np.testing.assert_array_equal(shift(x, {3: 1.0}, boundary="wrap"), np.roll(x, 3))
    spread = shift(x, {-5: 0.25, 7: 0.75}, boundary="wrap")
    assert spread.sum() == pytest.approx(x.sum())


def test_nan_stays_where_it_is_moved_to():
    x = np.array([0.0, 1.0, np.nan, 3.0, 4.0])
    assert np.isnan(shift(x, 1)).tolist() == [False, False, False, True, False]
    assert np.isnan(shift(x, 0.5)).tolist() == [False, False, True, True, False]


def test_numbers_and_axes_may_be_arrays():
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(shift(x, np.array(1)), shift(x, 1))
    np.testing.assert_array_equal(shift(x, np.float64(0.5)), shift(x, np.array(0.5)))
    both = shift(x, (1, 1), axes=(0, 1))
    np.testing.assert_array_equal(shift(x, 1, axes=np.array([0, 1])), both)
    np.testing.assert_array_equal(shift(x, np.array([1, 1]), axes=np.array([0, 1])), both)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_parts_of_the_least_samples_keep_their_digits(dtype):
    least = np.finfo(dtype).smallest_subnormal
    x = least * np.array([1, 1, 9, 4], dtype)
    wanted = least * np.array([1, 1, 5, 6], dtype)  # halves go to the even number
    np.testing.assert_array_equal(shift(x, 0.5, boundary="edge"), wanted)
    np.testing.assert_array_equal(shift(x, {0: 0.5, 1: 0.5}, boundary="edge"), wanted)


def test_dtypes_and_empty_signals():
    assert shift(np.zeros(4, "float32"), 0.5).dtype == np.float32
    assert shift(np.zeros(4, "uint8"), 0.5).dtype == np.float32
    assert shift(np.zeros(4, "int64"), 0.5).dtype == np.float64
    assert shift(np.zeros(4, "int32"), {0: 1.0}).dtype == np.float64
    for by in (1, 0.5, {1: 1.0}):
        assert shift(np.zeros((0,)), by).shape == (0,)
    assert shift(np.arange(3), 10**9, boundary="wrap").tolist() == np.roll([0, 1, 2], 1).tolist()
    x = np.arange(3.0)
    assert shift(x, 0) is not x


@pytest.mark.parametrize(("by", "options", "words"), [
    (np.nan, {}, "by="), (np.inf, {}, "by="), ("1", {}, "by="), ([], {}, "by="), (1j, {}, "by="),
    ((1, 2), {}, "by gives 2 distances and x has the shape"), ({}, {}, "names no shifts"),
    ((1, 1), {"axes": 0}, "names 1"), (1, {"axes": (0, 1)}, "x has the shape"),
    ({"left": 0.5, -1: 0.5}, {}, "-1 names a shift that is named before"),
    ({0: -1.0, 1: 2.0}, {}, "at least 0"),
    ({0: 0.5}, {}, "sum to 0.5"), ({0.5: 1.0}, {}, "whole steps"),
    ({0: 0.5, (1, 1): 0.5}, {}, "one for each axis"), ({"up": 1.0}, {}, "'up'"),
    (0.5, {"method": "spline"}, "method="), (0.5, {"method": "fourier"}, "wrap"),
    (1, {"boundary": "nearest"}, "'edge' here"), (1, {"fill_value": "a"}, "fill_value"),
])  # fmt: skip
def test_what_is_not_allowed_is_said_in_one_line(by, options, words):
    with pytest.raises(ValueError, match=words) as error:
        shift([1.0, 2.0, 3.0], by, **options)
    assert "\n" not in str(error.value)
