"""The operator against the reference: every option, dtype, layout and size."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies import COMPLEX, DTYPES, FLOATS, INTEGERS, LAYOUTS, geometries, laid_out, numbers

import faltung
from faltung import planner, reference

OPERATIONS = ("convolve", "correlate")


def as_objects(array):
    """Python integers of the same values."""
    return (array.astype("uint8") if array.dtype == bool else array).astype(object)


def assert_right(operation, x, k, options, *, soft=False):
    """Compare with the reference: integers to the last bit, floats within the stated bound."""
    call, oracle = getattr(faltung, operation), getattr(reference, operation)
    taps = k.tolist() if soft else k
    y = call(x, taps, **options)
    plan = faltung.plan(x.shape, x.dtype, taps, operation=operation, **options)
    assert y.dtype == plan.dtype
    assert y.shape == plan.shape
    if plan.error_bound == 0:
        wanted = oracle(as_objects(x), as_objects(k), **options)
        assert y.shape == wanted.shape
        assert (y.astype(object) == wanted).all()
        return
    used = plan.problem.taps.array
    wide = np.result_type(x.dtype, used, np.longdouble)
    wanted = oracle(x.astype(wide), used.astype(wide), **options)
    size = oracle(np.abs(x.astype(wide)), np.abs(used.astype(wide)), **options)
    assert y.shape == wanted.shape
    # below the normal range a rounding error is absolute: half a subnormal for every operation
    smallest = float(np.finfo(np.zeros(0, y.dtype).real.dtype).smallest_subnormal)
    slack = smallest * (used.size + 1)
    assert (np.abs(y - wanted) <= plan.error_bound * size + slack).all()


@settings(max_examples=1500)
@given(st.sampled_from(OPERATIONS), geometries(), st.sampled_from(DTYPES), st.sampled_from(DTYPES),
       st.sampled_from(LAYOUTS), st.sampled_from([0, 1]), st.integers(0, 99))  # fmt: skip
def test_every_path_is_the_reference(operation, geometry, x_type, k_type, layout, fill, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    small = np.dtype(x_type).itemsize == 8
    x = laid_out(numbers(rng, shape, x_type, small), layout)
    k = numbers(rng, taps, k_type)
    assert_right(operation, x, k, {**options, "fill_value": fill})


@given(st.sampled_from(OPERATIONS), geometries(ranks=(1, 2)), st.sampled_from([*INTEGERS, *FLOATS]),
       st.booleans(), st.integers(0, 99))  # fmt: skip
def test_a_list_of_taps_takes_the_input_s_precision(operation, geometry, dtype, whole, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x = numbers(rng, shape, dtype)
    k = numbers(rng, taps, "int64" if whole else "float64")
    assert_right(operation, x, k, options, soft=True)
    result = getattr(faltung, operation)(x, k.tolist(), **options).dtype
    if x.dtype.kind == "f":
        assert result == x.dtype
    elif not whole:
        assert result == (np.float32 if x.dtype.itemsize <= 2 else np.float64)


@settings(max_examples=60)
@given(st.sampled_from(OPERATIONS), st.integers(1, 200), st.integers(1, 40),
       st.tuples(st.integers(1, 13), st.integers(1, 13)), st.sampled_from(["edge", "wrap"]),
       st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]),
       st.integers(0, 99))  # fmt: skip
@example("convolve", 200, 180, (13, 9), "wrap", "float32", 0)
@example("correlate", 200, 180, (2, 12), "edge", "uint8", 0)
def test_every_register_tile(operation, width, height, taps, boundary, dtype, seed):
    rng = np.random.default_rng(seed)
    x = numbers(rng, (height, width), dtype, small=False)
    k = numbers(rng, taps, dtype)
    assert_right(operation, x, k, {"boundary": boundary})


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "complex64", "float16"])
@pytest.mark.parametrize(("shape", "taps", "axes"), [
    ((257, 300), (5, 7), (0, 1)),
    ((300, 400, 3), (3, 3), (0, 1)),
    ((300, 400, 3), (9, 2), (1, 0)),
    ((40, 50, 60), (3, 5, 2), (0, 1, 2)),
    ((3, 70, 400), (4, 11), (1, 2)),
    ((90000,), (33,), (0,)),
    ((200, 400), (31,), (1,)),
    ((400, 200), (31,), (0,)),
    ((20, 30, 5, 40), (3, 3, 3), (0, 1, 3)),
])  # fmt: skip
@pytest.mark.parametrize("boundary", ["constant", "reflect"])
def test_inputs_that_are_cut_into_interior_and_strips(dtype, shape, taps, axes, boundary):
    rng = np.random.default_rng(1)
    x, k = numbers(rng, shape, dtype, small=False), numbers(rng, taps, dtype)
    assert_right("convolve", x, k, {"axes": axes, "boundary": boundary, "fill_value": 1})
    assert_right("correlate", x, k, {"axes": axes, "boundary": boundary, "stride": 2})


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 0, 4)])
@pytest.mark.parametrize("mode", ["same", "full"])
def test_empty_inputs_give_empty_outputs(shape, mode):
    for boundary in ("constant", "wrap"):
        y = faltung.convolve(np.zeros(shape), np.ones((3,) * min(2, len(shape))), mode=mode,
                             boundary=boundary)  # fmt: skip
        assert y.size == 0


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
@pytest.mark.parametrize(("shape", "axes"), [((0, 50), (1,)), ((5, 0), (1,)), ((0, 8, 3), (0, 1))])
def test_every_method_tells_of_empty_inputs(dtype, shape, axes):
    k = np.ones((3,) * len(axes), int)
    plan = faltung.plan(shape, dtype, k, axes=axes)
    assert plan(np.zeros(shape, dtype)).shape == shape
    assert "reference" in plan.explain()


def test_broadcast_input_with_zero_strides():
    x = np.broadcast_to(np.arange(50.0), (300, 50))
    assert_right("convolve", x, np.arange(9.0).reshape(3, 3), {"boundary": "edge"})


# ---- dtypes and overflow ---------------------------------------------------------------------


@given(st.sampled_from(["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64"]),
       st.sampled_from(INTEGERS), st.sampled_from(["raise", "saturate", "wrap"]),
       st.integers(0, 99))  # fmt: skip
def test_integer_results_are_those_of_python_integers(x_type, result, overflow, seed):
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, (6, 7), x_type, small=False), rng.integers(-9, 10, (3, 2))
    exact = reference.convolve(as_objects(x), as_objects(k))
    info = np.iinfo(result)
    fits = int(info.min) <= exact.min() and exact.max() <= int(info.max)
    options = {"dtype": result, "overflow": overflow}
    if overflow == "raise" and not fits:
        with pytest.raises(OverflowError, match="holds"):
            faltung.convolve(x, k, **options)
        return
    y = faltung.convolve(x, k, **options)
    assert y.dtype == result
    if overflow == "saturate":
        exact = np.clip(exact, int(info.min), int(info.max))
    elif overflow == "wrap":
        exact = (exact - int(info.min)) % 2**info.bits + int(info.min)
    assert (y.astype(object) == exact).all()


def test_the_smallest_integer_dtype_that_provably_holds_the_result():
    assert faltung.convolve(np.zeros(3, "uint8"), [1, 1]).dtype == np.int32
    assert faltung.convolve(np.zeros(3, "uint16"), [40000, 1]).dtype == np.int64
    assert faltung.convolve(np.zeros(3, "int32"), [1, 1]).dtype == np.int64
    assert faltung.convolve(np.zeros(3, bool), [1, 1]).dtype == np.int32


def test_int64_sums_beyond_64_bits_are_an_overflow_error_and_no_wrong_number():
    with pytest.raises(OverflowError, match="9223372036854775808"):
        faltung.convolve(np.array([2**62, 2**62]), [1, 1], mode="full")
    assert faltung.convolve(np.array([2**62, -(2**62)]), [1, 1]).tolist() == [2**62, 0]


def test_rounding_is_half_to_even_and_saturates():
    x = np.array([1, 3, 5, 7, 255], "uint8")
    y = faltung.convolve(x, [0.5], dtype="uint8", overflow="saturate")
    assert y.tolist() == [0, 2, 2, 4, 128]
    assert faltung.convolve(x, [-3.0], dtype="uint8", overflow="saturate").tolist() == [0] * 5
    assert faltung.convolve(x, [300.0], dtype="uint16", overflow="wrap").tolist()[:2] == [300, 900]


@given(st.sampled_from(["int8", "uint8", "int32", "uint64"]), st.integers(0, 99))
def test_floats_saturate_to_the_ends_of_an_integer_dtype(result, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(50) * 10.0 ** rng.integers(0, 25, 50)
    x[0], x[1] = np.inf, -np.inf
    y = faltung.convolve(x, [1.0], dtype=result, overflow="saturate")
    info = np.iinfo(result)
    for value, got in zip(x.tolist(), y.tolist(), strict=True):
        if value >= info.max:
            assert got == info.max
        elif value <= info.min:
            assert got == info.min
        else:
            assert got == round(value)


def test_float_results_narrow_and_widen():
    x, k = np.arange(5, dtype="float32"), np.ones(2, "float32")
    assert faltung.convolve(x, k, dtype="float64").dtype == np.float64
    assert faltung.convolve(x.astype("float64"), k, dtype="float32").dtype == np.float32
    assert faltung.convolve(x, k, dtype="complex64").dtype == np.complex64
    assert faltung.convolve(x.astype("float16"), k.astype("float16")).dtype == np.float16


# ---- out -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 30), (300, 400)])
def test_out_in_a_part_of_a_larger_array_leaves_the_rest(shape):
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal(shape), rng.standard_normal((3, 3))
    wanted = faltung.convolve(x, k)
    for step in (1, 2):
        frame = np.full((shape[0] + 4, step * shape[1] + 6), -7.0)
        out = frame[2:-2, 3 : 3 + step * shape[1] : step]
        assert faltung.convolve(x, k, out=out) is out
        np.testing.assert_array_equal(out, wanted)
        out[...] = -7
        assert (frame == -7).all()


def test_out_may_lie_between_the_samples_of_x():
    pairs = np.arange(20.0).reshape(10, 2)
    faltung.convolve(pairs[:, 0], [1.0, 1.0], out=pairs[:, 1])
    assert pairs[:3, 1].tolist() == [0, 2, 6]


def test_out_decides_the_dtype_within_its_kind():
    x = np.arange(6, dtype="uint8")
    out = np.empty(6, "int64")
    assert faltung.convolve(x, [1, 1], out=out).dtype == np.int64
    out = np.empty(6, "float32")
    assert faltung.convolve(x.astype(float), [0.5, 0.5], out=out).dtype == np.float32


# ---- missing samples -------------------------------------------------------------------------


@given(st.sampled_from(OPERATIONS), geometries(ranks=(1, 2)), st.sampled_from([*FLOATS, *COMPLEX]),
       st.integers(0, 99))  # fmt: skip
def test_nan_just_where_the_footprint_holds_one(operation, geometry, dtype, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, dtype), rng.integers(0, 2, taps).astype("float64")  # zero taps too
    gaps = rng.random(shape) < 0.05
    x[gaps] = np.nan
    y = getattr(faltung, operation)(x, k, **options)
    touched = getattr(reference, operation)(gaps.astype(int), np.ones(taps, int), **options) > 0
    np.testing.assert_array_equal(np.isnan(y), touched)


def normalised_by_hand(operation, x, k, w, options):
    oracle = getattr(reference, operation)
    fill = options.pop("fill_value", 0)
    size = np.abs(k)
    sums = oracle(np.where(w > 0, x, 0) * w, k, fill_value=fill, **options)
    mass = oracle(w, size, fill_value=1, **options)
    with np.errstate(all="ignore"):
        return np.where(mass > 0, sums * size.sum() / mass, np.nan)


@given(st.sampled_from(OPERATIONS), geometries(ranks=(1, 2)), st.booleans(), st.booleans(),
       st.integers(0, 99))  # fmt: skip
def test_missing_and_weighted_samples_are_normalised(operation, geometry, gaps, weighted, seed):
    shape, taps, options = geometry
    rng = np.random.default_rng(seed)
    x, k = rng.standard_normal(shape), rng.random(taps) + 0.1
    w = rng.integers(0, 4, shape).astype(float) if weighted else np.ones(shape)
    given_weights = {"weights": w} if weighted else {}
    if gaps:
        hole = rng.random(shape) < 0.2
        x[hole] = np.nan
        w = np.where(hole, 0, w)
    wanted = normalised_by_hand(operation, x, k, w, dict(options))
    y = getattr(faltung, operation)(x, k, missing="ignore", **given_weights, **options)
    np.testing.assert_allclose(y, wanted, rtol=1e-9, atol=1e-12)


@given(st.integers(1, 9), st.integers(1, 5), st.sampled_from(["float32", "float64"]),
       st.integers(0, 99))  # fmt: skip
def test_the_bound_of_a_normalised_result(n, taps, dtype, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(n), rng.random(n) * 10.0 ** rng.integers(-9, 9, n)
    k = rng.random(taps) * 10.0 ** rng.integers(-9, 9, taps)
    x, w, k = x.astype(dtype), w.astype(dtype), k.astype(dtype)
    plan = faltung.plan(n, dtype, k, weighted=True, boundary="wrap")
    x_, w_, k_ = (a.astype(np.longdouble) for a in (x, w, k))

    def sums(values):
        return reference.convolve(values, k_, boundary="wrap")

    wanted, size = (sums(v * w_) * k_.sum() / sums(w_) for v in (x_, np.abs(x_)))
    error = np.abs(plan(x, weights=w) - wanted)
    assert (error <= plan.error_bound * size + 1e-44).all()


@pytest.mark.parametrize(("x_type", "result"), [
    ("float16", None), ("float64", "float32"), ("float64", "float16"), ("complex128", "complex64"),
])  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_the_bound_of_a_normalised_result_counts_its_last_rounding(x_type, result, weighted):
    rng = np.random.default_rng(1)
    x = numbers(rng, (300,), x_type)
    x[rng.random(300) < 0.3] = np.nan
    w = 0.5 + rng.random(300) if weighted else None
    k = np.array([0.25, 0.5, 0.25])
    options = {"missing": "ignore", "weights": w}
    y = faltung.convolve(x, k.tolist(), dtype=result, **options)
    exact = faltung.convolve(x.astype(np.result_type(x, "float64")), k, **options)
    size = faltung.convolve(np.abs(x).astype("float64"), k, **options)
    plan = faltung.plan(x.shape, x.dtype, k.tolist(), result_dtype=result, missing="ignore",
                        weighted=weighted)  # fmt: skip
    there = ~np.isnan(exact)
    error, most = np.abs(y - exact)[there], (plan.error_bound * size)[there]
    assert (error <= most).all()
    assert most.max() < 20 * error.max()


def test_ignoring_nothing_changes_nothing_and_all_missing_is_nan():
    x, k = np.arange(9.0), [0.25, 0.5, 0.25]
    plain = faltung.convolve(x, k)
    np.testing.assert_allclose(faltung.convolve(x, k, missing="ignore"), plain, rtol=1e-15)
    x[2:7] = np.nan
    y = faltung.convolve(x, k, missing="ignore", boundary="edge")
    np.testing.assert_allclose(y[[1, 7]], [2 / 3, 22 / 3])
    assert np.isnan(y[3:6]).all()


def test_integer_input_with_weights_gives_a_float():
    y = faltung.convolve(np.array([1, 2, 9], "uint8"), [1, 1, 1], weights=[1, 1, 0])
    assert y.dtype == np.float32


# ---- the other arguments ---------------------------------------------------------------------


def test_conjugate():
    x, k = np.array([1 + 2j, 3 - 1j, 2j]), np.array([1j, 2.0])
    np.testing.assert_array_equal(
        faltung.correlate(x, k, conjugate=True), faltung.correlate(x, k.conj())
    )


def test_steps_so_long_that_the_input_cannot_be_laid_out():
    x, k = np.arange(3, dtype="f4"), np.array([1, 2, 3], "f4")
    for dilation in (2**28, 2**40):
        y = faltung.convolve(x, k, dilation=dilation, boundary="wrap")
        wanted = reference.convolve(x, k, dilation=dilation, boundary="wrap")
        np.testing.assert_array_equal(y, wanted)
        for dtype, taps in (("f4", np.ones(3, "f4")), ("u1", np.array([1, 5, 3])),
                            ("i8", np.array([1, 5, 3])),
                            ("c8", np.array([1.0, 0, 0, 2]))):  # fmt: skip
            z, call = x.astype(dtype), {"dilation": dilation, "boundary": "wrap"}
            np.testing.assert_array_equal(
                faltung.convolve(z, taps, **call), reference.convolve(z, taps, **call)
            )
    assert faltung.convolve(x, k[:1], dilation=2**40, stride=2**40).shape == (1,)


def test_three_axes_before_many_channels():
    rng = np.random.default_rng(0)
    x, k = rng.random((4, 5, 6, 70)), rng.random((2, 3, 2))
    y = faltung.convolve(x, k, axes=(0, 1, 2), method="direct")
    np.testing.assert_allclose(y, reference.convolve(x, k, axes=(0, 1, 2)), rtol=1e-13)


def test_infinite_sums_saturate_alike_on_every_path():
    x, k = np.full(5, 255, "u1"), np.array([3e38, 3e38, 3e38], "f4")
    options = {"dtype": "u1", "overflow": "saturate"}
    np.testing.assert_array_equal(
        faltung.convolve(x, k, method="direct", **options),
        faltung.convolve(x, k, method="reference", **options),
    )


def test_infinite_complex_numbers_stay_in_their_part():
    x, k = np.array([1 + 0j, np.inf, 2 - 1j]), np.array([1.0, 2.0])
    for taps in (k, k * (1 + 1j)):
        np.testing.assert_array_equal(
            faltung.convolve(x, taps, method="direct"),
            faltung.convolve(x, taps, method="reference"),
        )


NUMBERS = (0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan)


@given(st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)), min_size=1,
                max_size=30),
       st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)), min_size=1,
                max_size=5),
       st.booleans(), st.booleans(), st.sampled_from(sorted(planner.BY_NAME)))  # fmt: skip
@example([(1, 0), (np.inf, 0), (2, 0)], [(1, 0), (2, 1)], False, True, "direct")
@example([(1, 0), (2, 0), (2, 0)], [(np.inf, 1), (2, 1)], False, True, "direct")
@example([(1, 0), (2, 0), (2, 0)], [(np.inf, 0), (2, 0)], False, False, "direct")
@example([(1, 0), (np.inf, 0), (2, 0)], [(1, 0), (2, 0)], True, True, "direct")
def test_what_is_not_finite_in_complex_sums(x, k, x_complex, k_complex, method):
    """The four sums of real parts, each of them real, put together by hand."""
    x, k = np.array(x, float), np.array(k, float)
    given_x = x.view(complex)[:, 0] if x_complex else x[:, 0]
    given_k = k.view(complex)[:, 0] if k_complex else k[:, 0]
    options = {"result_dtype": "complex128", "boundary": "edge", "method": method}
    try:
        y = faltung.plan(given_x.shape, given_x.dtype, given_k, **options)(given_x)
    except ValueError:
        assume(False)

    def part(a, b):
        return reference.convolve(x[:, a], k[:, b], boundary="edge")

    with np.errstate(all="ignore"):
        real, imaginary = part(0, 0), np.zeros(len(y))
        if x_complex:
            imaginary = imaginary + part(1, 0)
        if k_complex:
            imaginary = imaginary + part(0, 1)
        if x_complex and k_complex:
            real = real - part(1, 1)
    np.testing.assert_allclose(y.real, real, atol=1e-9)
    np.testing.assert_allclose(y.imag, imaginary, atol=1e-9)


def test_floats_of_sums_beyond_64_bits_do_not_wrap():
    x, k = np.array([2**62] * 4), np.array([3, 3])
    for result in ("float64", "object", "complex128"):
        for method in ("auto", "reference"):
            y = faltung.convolve(x, k, dtype=result, overflow="wrap", method=method)
            assert y.tolist() == [3 * 2**62] + [6 * 2**62] * 3


def test_white_stays_white_in_16_bits():
    white = np.full((80, 80), 65535, "u2")
    for size in (9, 31, 50, 59):
        k = faltung.kernels.box(size)
        y = faltung.correlate(white, k, boundary="edge", dtype="u2")
        assert (y == 65535).all()


def test_bool_wraps_modulo_two():
    for x in (np.array([2, 3]), np.array([2, 3], object), np.array([2.0, 3.0])):
        y = faltung.convolve(x, [1], dtype=bool, overflow="wrap")
        assert y.tolist() == [False, True]


def test_nonnegative_is_a_promise_that_is_checked():
    x, k = np.array([0.0, 1e-300, 2.0]), [0.5, 0.5]
    assert (faltung.convolve(x, k, nonnegative=True) >= 0).all()
    with pytest.raises(ValueError, match="nonnegative"):
        faltung.convolve(-x, k, nonnegative=True)
    with pytest.raises(ValueError, match="nonnegative"):
        faltung.convolve(x, [0.5, -0.5], nonnegative=True)


def test_tolerance_is_taken():
    x, k = np.arange(9.0), [0.25, 0.5, 0.25]
    np.testing.assert_allclose(faltung.convolve(x, k, tolerance=1e-3), faltung.convolve(x, k))


def test_fill_value_of_nan_spreads_from_the_ends():
    y = faltung.convolve(np.ones(5), [1.0, 1, 1], fill_value=np.nan)
    assert np.isnan(y).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("method", ["direct", "reference"])
def test_methods_can_be_asked_for(method):
    if method == "direct" and faltung.plan(9, "float64", [1.0]).method != "direct":
        pytest.skip("the compiled library is not there")
    y = faltung.convolve(np.arange(4.0), [1, 1], method=method)
    assert y.tolist() == [0.0, 1.0, 3.0, 5.0]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", [(701, 900), (100003,)])
def test_any_thread_count_gives_the_same_bits(dtype, shape):
    rng = np.random.default_rng(5)
    x, k = numbers(rng, shape, dtype), numbers(rng, (7,) * len(shape), dtype)
    one = faltung.convolve(x, k, workers=1)
    for workers in (2, 3, 4, 7):
        assert faltung.convolve(x, k, workers=workers).tobytes() == one.tobytes()


# ---- other levels and no library -------------------------------------------------------------

SELF_CHECK = """
import sys
sys.path.insert(0, "tests")
import numpy as np, faltung
from faltung import reference
from strategies import numbers
rng = np.random.default_rng(0)
for dtype in ("uint8", "uint16", "int16", "int32", "float32", "float64", "complex64"):
    for shape, taps in (((7, 9), (3, 3)), ((64, 200), (5, 6)), ((200, 201), (7, 8)), (999, 9)):
        x, k = numbers(rng, shape, dtype), numbers(rng, taps, dtype)
        y = faltung.convolve(x, k, boundary="reflect")
        wide = np.result_type(x, np.float64)
        w = reference.convolve(x.astype(wide), k.astype(wide), boundary="reflect")
        if y.dtype.kind in "iu":
            assert (y == w).all()
        else:
            np.testing.assert_allclose(y, w, atol=1e-4)
x = np.array([1, 3, 200, 255], "uint8")
assert faltung.convolve(x, [1.5], dtype="uint8", overflow="saturate").tolist() == [2, 4, 255, 255]
print(faltung.plan((50, 50), "float32", [[1.0]]))
"""


def in_a_process(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("level", ["avx512", "avx2", "baseline"])
def test_every_instruction_set_level(level):
    done = in_a_process(SELF_CHECK, FALTUNG_LEVEL=level)
    assert done.returncode == 0, done.stderr
    assert "RuntimeWarning" not in done.stderr


def test_without_the_library_the_answers_are_the_same():
    done = in_a_process(SELF_CHECK, FALTUNG_NATIVE="0")
    assert done.returncode == 0, done.stderr
    assert "reference" in done.stdout
    assert "RuntimeWarning" not in done.stderr


def test_a_missing_library_is_warned_of_once():
    code = (
        "import numpy as np, faltung, pathlib\nfrom faltung import native\n"
        "native.FOLDER = pathlib.Path('nowhere')\n"
        "for n in range(3, 6): print(faltung.convolve(np.arange(n), [1, 1]))\n"
    )
    done = in_a_process(code, FALTUNG_NATIVE="1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
    assert "reference path" in done.stderr


def test_averages_hold_where_next_to_no_weight_is_there():
    x = np.full(4, np.nan)
    x[0] = 7
    got = faltung.convolve(x, [1, 1e-310, 1e-320], anchor=0, missing="ignore")
    np.testing.assert_allclose(got, [7, 7, 7, np.nan], rtol=1e-3)  # as 1e-320 has digits
