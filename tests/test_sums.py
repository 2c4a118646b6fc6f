"""Boxes in window sums against the reference: any size, exact footprints, the stated error."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies import LAYOUTS, geometries, laid_out, numbers
from test_operator import OPERATIONS, assert_right, in_a_process

import faltung
from faltung import native, reference
from faltung.methods import sums
from faltung.problem import Options, build

pytestmark = pytest.mark.skipif(not native.variants("sums"), reason="no compiled library")

TYPES = ("bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "float16", "float32",
         "float64", "complex64", "complex128")  # fmt: skip
BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")


def box(shape, dtype, tap):
    return np.full(shape, tap).astype(dtype)


def window_sums(x, taps, dtype, axes=None, **options):
    """Sums over windows, along one axis after the other."""
    x = x.astype(dtype)
    for axis, n in zip(axes or range(x.ndim), taps, strict=True):
        x = reference.correlate(x, np.ones(n, dtype), axes=axis, **options)
    return x


@settings(max_examples=800)
@given(st.sampled_from(OPERATIONS), geometries(), st.sampled_from(TYPES),
       st.sampled_from(["int64", "float32", "float64", "complex128"]),
       st.sampled_from([1, 3, -2, 0, 0.37]), st.sampled_from(LAYOUTS), st.sampled_from([0, 1]),
       st.integers(0, 99))  # fmt: skip
@example("convolve", ((5, 40, 70), (12, 33), {"axes": (1, 2)}), "uint8", "float32", 0.37,
         "plain", 1, 0)  # fmt: skip
@example("correlate", ((9, 40, 3), (9, 33, 3), {"axes": (0, 1, 2)}), "uint8", "float32", 0.37,
         "plain", 1, 0)  # fmt: skip
def test_every_geometry_and_dtype(operation, geometry, x_type, k_type, tap, layout, fill, seed):
    shape, taps, options = geometry
    if k_type == "complex128":
        tap = tap * (1 - 2j)
    x = laid_out(numbers(np.random.default_rng(seed), shape, x_type), layout)
    options = {**options, "stride": 1, "fill_value": fill, "method": "sums"}
    assert_right(operation, x, box(taps, k_type, tap), options)


@settings(max_examples=60)
@given(st.integers(1, 700), st.integers(1, 60), st.tuples(st.integers(1, 90), st.integers(1, 400)),
       st.sampled_from(BOUNDARIES), st.sampled_from(["uint8", "int16", "uint16", "float32"]),
       st.sampled_from([1, 3, 4]), st.integers(0, 99))  # fmt: skip
@example(700, 60, (40, 400), "reflect", "uint8", 3, 0)
@example(513, 60, (300, 7), "edge", "uint8", 1, 0)  # columns beyond 16 bits
def test_every_way_through_the_pipeline(width, height, taps, boundary, dtype, colours, seed):
    rng = np.random.default_rng(seed)
    x = numbers(rng, (height, width, colours), dtype, small=False)
    k = box(taps, "float32" if dtype == "float32" else "int64", 1)
    assume(dtype == "float32" or k.size * np.iinfo(dtype).max < 2**31)
    options = {"axes": (0, 1), "boundary": boundary}
    y = faltung.correlate(x, k, method="sums", **options)

    wide = "float64" if dtype == "float32" else "int64"
    bound = faltung.plan(x.shape, dtype, k, operation="correlate", method="sums", **options)
    size = window_sums(np.abs(x.astype(float)), taps, "float64", **options)
    assert (np.abs(y - window_sums(x, taps, wide, **options)) <= bound.error_bound * size).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("taps", [(3, 3), (15, 15), (5, 51), (70, 70), (300, 2), (3, 5, 4)])
def test_blurred_pictures_are_rounded_once(dtype, taps):
    rng = np.random.default_rng(3)
    shape = (20, 60, 90)[-len(taps) :] if len(taps) == 3 else (150, 400)
    x = numbers(rng, shape, dtype, small=False)
    k = box(taps, "float32", 1 / np.prod(taps))
    options = {"boundary": "reflect", "dtype": dtype, "overflow": "saturate", "method": "sums"}
    y = faltung.correlate(x, k, **options)
    exact = window_sums(x, taps, "int64", boundary="reflect")
    mean = exact * float(k.flat[0])
    assert (np.abs(y - mean) <= 0.5 + 1e-6 * mean).all()
    for tap in (-1, 300):
        y = faltung.correlate(x, box(taps, "int64", tap), **options)
        assert (y == np.clip(tap * exact, 0, np.iinfo(dtype).max)).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize(("shape", "axes"), [((40, 50, 100), (0, 1)), ((3, 40, 50, 80), (1, 2)),
                                             ((40, 3, 50, 70), (0, 2))])  # fmt: skip
@pytest.mark.parametrize(("tap", "options"), [
    (1, {}),
    (1 / 81, {"dtype": "uint8", "overflow": "saturate"}),
    (1 / 81, {"dtype": "uint16", "overflow": "saturate"}),
    (1 / 81, {"dtype": "float32"}),
    (1 / 81, {"dtype": "int64", "boundary": "reflect"}),
])  # fmt: skip
def test_boxes_over_axes_that_are_not_innermost(dtype, shape, axes, tap, options):
    x = numbers(np.random.default_rng(5), shape, dtype, small=False)
    k = box((9, 9), "int64" if tap == 1 else "float64", tap)
    y = faltung.convolve(x, k, axes=axes, method="sums", **options)
    options = {name: value for name, value in options.items() if name == "boundary"}
    exact = window_sums(x, (9, 9), "int64", axes, **options) * tap
    if tap == 1:
        assert (y == exact).all()
    else:
        if y.dtype.kind == "u":
            exact = np.clip(exact, 0, np.iinfo(y.dtype).max)
        half = 0.5 if y.dtype.kind in "iu" else 0
        assert (np.abs(y - exact) <= half + 5e-7 * np.abs(exact) + 1e-6).all()


def test_the_bound_of_boxes_of_16_bits_is_that_of_their_scaling_in_float32():
    x = numbers(np.random.default_rng(0), (200, 300), "uint16", small=False)
    k = box((25, 25), "float64", 1 / 625)
    options = {"overflow": "saturate", "method": "sums"}
    plan = faltung.plan(x.shape, x.dtype, k, result_dtype="uint16", mode="valid", **options)
    exact = window_sums(x, (25, 25), "int64", mode="valid").astype(np.longdouble) * k.flat[0]
    error = np.abs(plan(x) - exact)
    assert error.max() > 0.5 + 1e-4  # so that the test would fail with the bound of float64
    assert (error <= 0.5 + plan.error_bound * exact).all()


@pytest.mark.parametrize("rows", [1, 7])
def test_tiles_of_fewer_rows_than_the_kernel(monkeypatch, rows):
    monkeypatch.setattr(sums, "TILE", rows * 4 * 300)
    x = numbers(np.random.default_rng(3), (100, 280), "int16", small=False)
    k = box((40, 20), "int64", 1)
    y = faltung.plan(x.shape, x.dtype, k, operation="correlate", method="sums", mode="valid")(x)
    assert (y == window_sums(x, (40, 20), "int64", mode="valid")).all()


# ---- the meaning of the direct method --------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("taps", [(15, 15), (1, 33), (33, 1), (7, 120), (4, 5, 6)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e17])
def test_great_numbers_stay_in_their_footprint(dtype, taps, value):
    shape = (300, 500) if len(taps) == 2 else (20, 30, 200)
    rng = np.random.default_rng(1)
    x, k = rng.random(shape).astype(dtype), box(taps, dtype, 0.5)
    clean = faltung.correlate(x, k, method="sums")
    spots = np.zeros(shape, dtype)
    spots[tuple(rng.integers(0, n, 5) for n in shape)] = 1
    touched = window_sums(spots, taps, "int64") > 0
    y = faltung.correlate(np.where(spots > 0, value, x)
                          .astype(dtype), k, method="sums")  # fmt: skip
    np.testing.assert_array_equal(y[~touched], clean[~touched])
    if np.isnan(value):
        assert np.isnan(y[touched]).all()
    else:
        assert (np.sign(y[touched]) == np.sign(value)).all()
        assert (np.isinf(y[touched]) == np.isinf(value)).all()


def test_infinities_of_both_signs_in_one_window_are_nan():
    x = np.zeros((1, 64), "float32")
    x[0, 20], x[0, 30] = np.inf, -np.inf
    y = faltung.correlate(x, np.ones((1, 15), "float32"), method="sums")[0]
    assert np.isnan(y[23:28]).all()
    assert (y[13:23] == np.inf).all()
    assert (y[28:38] == -np.inf).all()
    assert (y[:13] == 0).all()
    assert (y[38:] == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_overflow_that_the_products_have_not_and_subnormals_are_kept(dtype):
    info = np.finfo(dtype)
    x = np.full((40, 300), info.max, dtype)
    k = box((9, 15), dtype, 2.0**-10)
    y = faltung.correlate(x, k, method="sums", mode="valid")
    np.testing.assert_allclose(y, info.max * (135 * 2.0**-10), rtol=1e-5)
    x[...] = info.smallest_subnormal
    y = faltung.correlate(x, np.ones((9, 15), dtype), method="sums", mode="valid")
    assert (y == 135 * x[0, 0]).all()


@pytest.mark.parametrize(("dtype", "result"), [
    ("uint8", "uint8"), ("uint8", "float32"), ("uint16", "uint16"), ("int16", "int32"),
    ("float32", "float32"), ("float64", "float64"), ("complex64", "complex64"),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(701, 900), (100003,), (40, 50, 60)])
def test_any_thread_count_gives_the_same_bits(dtype, result, shape):
    x = numbers(np.random.default_rng(5), shape, dtype, small=False)
    k = box((9,) * len(shape), "int64" if result == "int32" else "float32", 3)
    options = {"method": "sums", "dtype": result, "overflow": "saturate"}
    one = faltung.convolve(x, k, workers=1, **options)
    for workers in (2, 3, 7):
        y = faltung.convolve(x, k, workers=workers, **options)
        assert y.tobytes() == one.tobytes()


def test_out_is_written_nowhere_else():
    frame = np.full((60, 300), -7.0, "float32")
    x = np.ones((50, 280), "float32")
    faltung.correlate(x, box((5, 31), "float32", 1), out=frame[5:55, 9:289], method="sums")
    frame[5:55, 9:289] = -7
    assert (frame == -7).all()


# ---- when ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x_type", "k", "options", "reason"), [
    ("float32", [[1.0, 2.0]], {}, "not all equal"),
    ("float32", [[np.inf, np.inf]], {}, "not finite"),
    ("float32", [[np.nan]], {}, "not all equal"),
    ("float32", [[1.0, 1.0]], {"stride": 2}, "strides"),
    ("int64", [[1 << 40, 1 << 40]], {}, "no exact pipeline"),
    ("uint16", np.ones((200, 200)), {}, "32 bits"),
    ("float64", np.ones((2, 2), "longdouble"), {}, "no pipeline sums"),
])  # fmt: skip
def test_what_is_refused_and_why(x_type, k, options, reason):
    k = np.asarray(k)
    with pytest.raises(ValueError, match=f"sums.*{reason}"):
        faltung.plan((300, 300), x_type, k, method="sums", **options)


def test_four_spanned_axes_are_refused():
    with pytest.raises(ValueError, match="4 axes"):
        faltung.plan((5, 5, 5, 5), "float32", np.ones((2, 2, 2, 2), "float32"), method="sums")


def test_large_boxes_are_chosen_and_small_ones_are_not():
    for n, method in ((3, "direct"), (31, "sums"), (101, "sums")):
        k = box((n, n), "float32", 1 / n**2)
        assert faltung.plan((1000, 1000), "float32", k).method == method
    gauss = np.outer([1, 2, 1], [1.0, 2, 1])
    assert faltung.plan((1000, 1000), "float32", gauss).method == "direct"


@given(st.integers(1, 5000))
def test_digits_make_the_width(width):
    a, b, c, c1, c0 = sums.digits(width)
    assert c * a * b + c1 * a + c0 == width
    assert min(a, b, c) >= 1
    assert min(c1, c0) >= 0
    assert a + b + c + c1 + c0 <= width + 2


def test_the_error_bound_grows_with_the_sides_and_not_with_the_area():
    options = Options(method="sums")
    for n in (15, 101):
        k = box((n, n), "float32", 1)
        found = sums.error_bound(build("correlate", (999, 999), "float32", k, options))
        assert found < 4 * n * np.finfo("float32").eps
    k = box((101, 101), "float32", 0.3)
    found = sums.error_bound(build("correlate", (999, 999), "uint8", k, options))
    assert found <= 3 * np.finfo("float32").eps


SELF_CHECK = """
import numpy as np, faltung
from faltung import reference
rng = np.random.default_rng(0)
for dtype in ("uint8", "uint16", "int16", "float32", "float64"):
    for shape, taps in (((9, 13), (3, 3)), ((64, 200), (5, 6)), ((40, 300), (9, 30)), (999, 35)):
        x, k = rng.integers(0, 99, shape).astype(dtype), np.ones(taps, dtype)
        y = faltung.convolve(x, k, boundary="reflect", method="sums")
        assert (y == reference.convolve(x.astype(float), k.astype(float), boundary="reflect")).all()
x = rng.integers(0, 256, (50, 500), "uint8")
k = np.full((15, 15), 1 / 225, "float32")
y = faltung.convolve(x, k, dtype="uint8", overflow="saturate", method="sums")
assert (np.abs(y - reference.convolve(x.astype(float), k.astype(float))) < 0.50001).all()
"""


@pytest.mark.parametrize("level", ["avx512", "avx2", "baseline"])
def test_every_instruction_set_level(level):
    done = in_a_process(SELF_CHECK, FALTUNG_LEVEL=level)
    assert done.returncode == 0, done.stderr
