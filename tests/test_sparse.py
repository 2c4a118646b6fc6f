"""Kernels with few taps that are not zero: the definition, whatever lies under the zeros."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import LAYOUTS, geometries, laid_out, numbers
from test_operator import assert_right, in_a_process
from test_separable import plan_takes

import faltung
from faltung import native, reference
from faltung.machine import Machine
from faltung.methods import sparse
from faltung.problem import Options, build

pytestmark = pytest.mark.skipif(not native.variants("sparse"), reason="no compiled library")

TYPES = ("bool", "uint8", "int8", "int16", "uint16", "int32", "float16", "float32", "float64",
         "complex64")  # fmt: skip
FORCED = {"method": "sparse"}


def few(rng, shape, dtype, most=9):
    """A kernel of which fewer than half the taps are not zero: none at all, perhaps."""
    k = np.zeros(shape, dtype)
    count = rng.integers(0, min(most, (k.size - 1) // 2) + 1)
    places = rng.choice(k.size, count, replace=False)
    k.flat[places] = numbers(rng, (count,), dtype)
    return k


def unstrided(geometry):
    """The geometry without its strides, which are refused."""
    shape, taps, options = geometry
    return shape, taps, {**options, "stride": 1}


@settings(max_examples=800)
@given(st.sampled_from(["convolve", "correlate"]), geometries(), st.sampled_from(TYPES),
       st.sampled_from(["float32", "float64", "int16", "complex64"]), st.sampled_from(LAYOUTS),
       st.sampled_from([0, 1]), st.integers(0, 99))  # fmt: skip
def test_few_taps_are_the_reference(operation, geometry, x_type, k_type, layout, fill, seed):
    shape, taps, options = unstrided(geometry)
    rng = np.random.default_rng(seed)
    x, k = laid_out(numbers(rng, shape, x_type, small=False), layout), few(rng, taps, k_type)
    options = {**options, "fill_value": fill}
    plan = faltung.plan(shape, x.dtype, k, operation=operation, **options)
    if plan_takes(plan, "sparse"):
        assert_right(operation, x, k, {**options, **FORCED})


@given(st.sampled_from(["convolve", "correlate"]), geometries(),
       st.sampled_from(["float32", "float64"]), st.sampled_from([np.nan, np.inf, -np.inf]),
       st.booleans(), st.integers(0, 99))  # fmt: skip
def test_what_is_not_finite_fills_its_footprint(operation, geometry, dtype, bad, empty, seed):
    shape, taps, options = unstrided(geometry)
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, shape, dtype), few(rng, taps, dtype, most=0 if empty else 9)
    x[rng.random(shape) < 0.05] = bad
    if not plan_takes(faltung.plan(shape, x.dtype, k, **options), "sparse"):
        return
    y = getattr(faltung, operation)(x, k, **options, **FORCED)
    wanted = getattr(reference, operation)(x, k, **options)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(wanted))
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(y[finite], wanted[finite], atol=1e-4)


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 20), st.sampled_from([(), (3,), (4,), (70,)]),
       st.tuples(st.integers(2, 9), st.integers(2, 9)), st.integers(1, 3),
       st.sampled_from(["edge", "wrap", "constant"]),
       st.sampled_from(["uint8", "int16", "float32", "float64"]), st.integers(0, 99))  # fmt: skip
def test_every_register_tile(width, height, colours, taps, dilation, boundary, dtype, seed):
    rng = np.random.default_rng(seed)
    x, k = numbers(rng, (height, width, *colours), dtype, small=False), few(rng, taps, dtype)
    options = {"axes": (0, 1), "boundary": boundary, "dilation": dilation, **FORCED}
    assert_right("correlate", x, k, options)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex64"])
@pytest.mark.parametrize(("shape", "taps", "axes"), [
    ((257, 300), (9, 7), (0, 1)),
    ((1500, 900), (3, 5), (0, 1)),
    ((300, 400, 3), (4, 7), (1, 0)),
    ((40, 50, 60), (3, 5, 4), (0, 1, 2)),
    ((3, 70, 400), (4, 11), (1, 2)),
    ((90000,), (67,), (0,)),
    ((5, 20000), (33,), (1,)),
    ((70000, 1), (31,), (0,)),
    ((400, 200), (31,), (0,)),
    ((20, 30, 5, 40), (3, 3, 3), (0, 1, 3)),
])  # fmt: skip
@pytest.mark.parametrize("boundary", ["constant", "reflect"])
def test_inputs_that_are_cut(dtype, shape, taps, axes, boundary):
    rng = np.random.default_rng(1)
    x, k = numbers(rng, shape, dtype, small=False), few(rng, taps, dtype)
    assert_right("convolve", x, k, {"axes": axes, "boundary": boundary, "fill_value": 1, **FORCED})


@pytest.mark.parametrize("shape", [(1500, 1100), (3_000_001,), (2, 300, 2000)])
@pytest.mark.parametrize("place", [0, 0.3, 0.77, 1])
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_no_sample_is_overlooked(shape, place, bad):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype("f4")
    x.flat[int(place * (x.size - 1))] = bad
    k = np.zeros((7,) * min(2, len(shape)), "f4")
    k.flat[-3] = 2
    y = faltung.convolve(x, k, boundary="edge", **FORCED)
    wanted = faltung.convolve(x, k, boundary="edge", method="direct")
    np.testing.assert_array_equal(y, wanted)


def test_a_shift_is_a_shift():
    x = np.random.default_rng(0).standard_normal((200, 300)).astype("f4")
    k = np.zeros((7, 7), "f4")
    k[6, 1] = 1
    y = faltung.convolve(x, k, boundary="wrap", **FORCED)
    np.testing.assert_array_equal(y, np.roll(x, (3, -2), (0, 1)))


@pytest.mark.parametrize("result", ["uint8", "float32"])
def test_a_picture_may_keep_its_dtype(result):
    rng = np.random.default_rng(0)
    x, k = rng.integers(0, 256, (170, 301, 3), "uint8"), few(rng, (9, 9), "f4") / 3
    options = {"axes": (0, 1), "dtype": result, "overflow": "saturate", "boundary": "reflect"}
    ours = faltung.correlate(x, k, **options, **FORCED)
    assert ours.dtype == result
    wanted = faltung.correlate(x, k, method="direct", **options)
    np.testing.assert_allclose(ours.astype(float), wanted, atol=1 if result == "uint8" else 1e-3)


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "complex64"])
def test_the_same_bits_for_any_number_of_threads(workers, dtype):
    rng = np.random.default_rng(0)
    for shape, taps in (((701, 900), (15, 15)), ((100_003,), (99,)), ((30, 70, 50), (5, 5, 5))):
        x, k = numbers(rng, shape, dtype), few(rng, taps, "f4")
        one = faltung.convolve(x, k, workers=1, **FORCED)
        assert one.tobytes() == faltung.convolve(x, k, workers=workers, **FORCED).tobytes()


@pytest.mark.parametrize("level", ["avx512", "avx2", "baseline"])
def test_every_instruction_set_level(level):
    code = (
        "import numpy as np, faltung\n"
        "from faltung import reference\n"
        "rng = np.random.default_rng(0)\n"
        "for dtype in ('uint8', 'int16', 'float32', 'float64'):\n"
        "    x, k = (rng.random((90, 300)) * 99).astype(dtype), np.zeros((9, 9), dtype)\n"
        "    k[[0, 3, 8], [8, 4, 1]] = 1, 3, 2\n"
        "    y = [faltung.convolve(x, k, method='sparse', workers=n) for n in (1, 2)]\n"
        "    assert (y[0] == y[1]).all()\n"
        "    np.testing.assert_allclose(y[0], reference.convolve(x, k), rtol=1e-5)\n"
    )
    done = in_a_process(code, FALTUNG_LEVEL=level)
    assert done.returncode == 0, done.stderr


def test_what_is_refused_and_why():
    def note(x, k, **options):
        found = {c.method: c for c in faltung.plan(x, "f4", k, **options).candidates()}["sparse"]
        assert not found.taken
        return found.note

    comb = np.eye(9, dtype="f4")
    assert "25 of 25" in note((99, 99), np.ones((5, 5)))
    assert "stride" in note((99, 99), comb, stride=2)
    assert "4 axes" in note((9,) * 4, np.pad(np.ones((1,) * 4), 1))
    assert "laid out" in note((99, 99), comb, dilation=2**30)


def test_it_is_chosen_where_it_is_fastest():
    rng = np.random.default_rng(0)
    k = np.zeros((31, 31), "f4")
    k.flat[rng.choice(k.size, 9, replace=False)] = rng.random(9)
    assert faltung.plan((1000, 1000), "f4", k).method == "sparse"
    assert faltung.plan((1000, 1000), "f4", k + 1).method != "sparse"


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (3, 0, 4)])
def test_nothing_in_nothing_out(shape):
    k = np.eye(3, dtype="f4")
    problem = build("convolve", shape, "f4", k, Options(**FORCED))
    out = np.empty(problem.result_shape, "f4")
    sparse.prepare(problem)(np.zeros(shape, "f4"), out, 2)
    assert out.size == 0
    assert sparse.cost(problem, Machine()).seconds >= 0
