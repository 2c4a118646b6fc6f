"""Plans are values that explain themselves."""

import gc
import os
import pickle
import re
import subprocess
import sys
import tracemalloc
import warnings
from dataclasses import fields

import numpy as np
import pytest

import faltung
from faltung import native, planner, remember


def make(**options):
    return faltung.plan((40, 50), "float32", [[1, 2, 3], [4, 5, 6]], **options)


def test_a_plan_is_frozen_hashable_and_equal_by_value():
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make(mode="full") != make()
    with pytest.raises(AttributeError):
        make().method = "other"


def test_a_pickled_plan_computes_the_same_in_another_process(tmp_path):
    plan = make(boundary="wrap")
    x = np.random.default_rng(0).random((40, 50), np.float32)
    wanted = plan(x)  # prepared now, which must not end up in the pickle
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan
    (tmp_path / "plan").write_bytes(pickle.dumps((plan, x)))
    code = (
        f"import pickle; plan, x = pickle.load(open({str(tmp_path / 'plan')!r}, 'rb'));"
        "print(plan(x).tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == wanted.tobytes().hex(), done.stderr


def test_repr_is_one_line_and_names_what_matters():
    text = repr(make(boundary=("edge", "wrap"), stride=2))
    assert "\n" not in text
    for part in ("convolve", "float32", "40x50", "2x3", "same", "edge, wrap", "stride 2"):
        assert part in text


@pytest.mark.parametrize("operation", ["convolve", "correlate"])
@pytest.mark.parametrize("options", [
    {}, {"mode": "full"}, {"mode": "valid", "stride": (2, 3)}, {"dilation": 2, "anchor": (1, 0)},
])  # fmt: skip
def test_the_equation_that_explain_prints_computes_the_result(operation, options):
    k = np.array([[1, 2, 3], [4, 5, 6]])
    x = np.random.default_rng(1).integers(0, 99, (7, 9))
    plan = faltung.plan(x.shape, x.dtype, k, operation=operation, **options)
    equation = plan.explain().splitlines()[1]
    inputs = re.search(r" x\[(.*)\]", equation).group(1)
    y = plan(x)
    for i0, i1 in np.ndindex(y.shape):
        total = 0
        for j0, j1 in np.ndindex(k.shape):
            p0, p1 = eval(inputs, {"i0": i0, "i1": i1, "j0": j0, "j1": j1})
            if 0 <= p0 < x.shape[0] and 0 <= p1 < x.shape[1]:
                total += k[j0, j1] * x[p0, p1]
        assert total == y[i0, i1]


def test_explain_tells_every_method_and_why_a_fallback_was_taken():
    text = faltung.plan(9, "int64", [1, 2]).explain()
    assert re.search(r"direct .* refused: .*exact", text)
    assert re.search(r"wide .* chosen", text)
    assert "exact integers" in text
    text = faltung.plan(9, "object", [1, 2]).explain()
    assert re.search(r"wide .* refused: only for integers", text)
    assert re.search(r"reference .* chosen", text)


@pytest.mark.parametrize("x", [np.zeros((40, 51), "float32"), np.zeros((40, 50))])
def test_an_input_that_was_not_planned_is_refused(x):
    with pytest.raises(ValueError, match="this plan takes float32"):
        make()(x)


def test_a_plan_made_with_the_library_runs_without_it():
    plan = faltung.plan(4, "float32", np.ones(3, "f4"), method="direct")
    code = "import pickle, sys, numpy as np; p = pickle.load(sys.stdin.buffer); " \
        "print(p(np.ones(4, 'f4')).tolist())"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(plan),
                          capture_output=True,
                          env={**os.environ, "FALTUNG_NATIVE": "0"})  # fmt: skip
    assert done.stdout.strip() == b"[2.0, 3.0, 3.0, 2.0]", done.stderr


def test_arguments_of_other_types_are_other_plans():
    k = np.ones(3)
    faltung.convolve(np.ones(4), k, stride=(2,))
    with pytest.raises(ValueError, match="stride"):
        faltung.convolve(np.ones(4), k, stride=(2.0,))


def test_plans_that_keep_much_are_not_all_kept():
    rng = np.random.default_rng(0)
    plans = [faltung.plan((300, 300), float, rng.random((40, 40)), method="fft") for _ in range(9)]
    memory = 3 * planner.held_by(plans[0])
    cache = remember.Kept(256, memory, planner.held_by)
    for n, plan in enumerate(plans):
        cache.put(n, plan)
    kept = [n for n in range(9) if cache.get(n) is not None]
    assert 0 < len(kept) < 9
    assert sum(planner.held_by(plans[n]) for n in kept) <= memory
    assert 8 in kept
    cache.clear()
    assert cache.get(8) is None


def test_weights_belong_to_plans_made_for_them():
    x = np.ones((40, 50), "float32")
    with pytest.raises(ValueError, match="weighted=True"):
        make()(x, weights=x)
    with pytest.raises(ValueError, match=r"needs weights=.*make it without weighted=True"):
        make(weighted=True)(x)
    np.testing.assert_allclose(make(weighted=True)(x, weights=x), make()(x), rtol=1e-6)


def test_repeated_calls_use_the_kept_plan_and_a_cache_of_0_keeps_none():
    from faltung.planner import plan_for
    from faltung.problem import Options

    k = np.array([1.0, 2.0])
    first = plan_for("convolve", (5,), np.dtype(float), k, Options())
    assert plan_for("convolve", (5,), np.dtype(float), k, Options()) is first
    with faltung.plan_cache(0):
        assert plan_for("convolve", (5,), np.dtype(float), k, Options()) is not first
    k[0] = 5  # the plan goes by the numbers, not by the array
    assert plan_for("convolve", (5,), np.dtype(float), k, Options()) != first


def test_equal_numbers_of_another_type_are_another_argument():
    assert faltung.convolve(np.ones(3), [1.0], stride=1).size == 3
    with pytest.raises(ValueError, match="stride"):
        faltung.convolve(np.ones(3), np.ones(1), stride=1.0)


def test_equal_taps_of_another_type_are_another_kernel():
    x = np.ones(3, "uint8")
    assert faltung.convolve(x, (1, 1)).dtype == np.int32
    assert faltung.convolve(x, (1.0, 1.0)).dtype == np.float32


def test_lists_have_plans_that_are_kept_by_their_numbers():
    first = faltung.plan(5, "float32", [1, 2, 1])
    assert faltung.plan(5, "float32", [1, 2, 1]) is first
    assert faltung.plan(5, "float32", (1, 2, 1)) is first
    for other in ([1, 2, 1.0], [1, 2, 2], [[1, 2, 1]], np.array([1, 2, 1])):
        if np.ndim(other) == 1:
            assert faltung.plan(5, "float32", other) is not first
    assert faltung.plan(5, "float32", np.array([1, 2, 1])).dtype == np.float64
    with pytest.raises(ValueError, match="no array"):
        faltung.plan((5, 5), "float32", [[1, 2], [1]])


@pytest.mark.parametrize(("dtype", "values"), [
    ("float32", [0.0, 1.5, 2.0]), ("float32", [0, 1, 2]), ("complex64", [1, 2.5, 1j]),
    ("uint8", [0, 1, 255]), ("uint8", [True, False, True]), ("float16", (1, 2, 3)),
])  # fmt: skip
def test_lists_take_the_planned_dtype(dtype, values):
    plan = faltung.plan(3, dtype, [1, 2])
    wanted = plan(np.array(values, dtype))
    np.testing.assert_array_equal(plan(values), wanted)


@pytest.mark.parametrize(("dtype", "values"), [
    ("uint8", [0, 1, 256]), ("uint8", [0.0, 1.0, 2.0]), ("float32", [1j, 0, 0]),
    ("float32", np.zeros(3)), ("float32", [[1, 2, 3]]), ("float32", ["a", "b", "c"]),
])  # fmt: skip
def test_what_the_planned_dtype_does_not_hold_is_refused(dtype, values):
    with pytest.raises((ValueError, TypeError), match=r"this plan takes|has dtype|no array"):
        faltung.plan(3, dtype, [1, 2])(values)


@pytest.mark.parametrize("setting", [faltung.workers, faltung.plan_cache])
def test_settings_can_be_entered_again(setting):
    from faltung.planner import _cache

    def now():
        return native.get_workers() if setting is faltung.workers else _cache.size

    before = now()
    seven = setting(7)
    assert now() == 7  # for good, until a block ends
    for _ in range(2):
        with seven:
            assert now() == 7
            with setting(5), seven:
                assert now() == 7
            assert now() == 7
        assert now() == before
    assert repr(seven) == f"faltung.{setting.__name__}(7)"
    for wrong in (True, -1, 1.0, "7"):
        with pytest.raises(ValueError, match="must be an int"):
            setting(wrong)
    assert now() == before


def test_workers_are_set_for_a_block_or_for_good():
    before = native.get_workers()
    with faltung.workers(3):
        assert native.get_workers() == 3
        with faltung.workers(1):
            assert native.get_workers() == 1
        assert native.get_workers() == 3
    assert native.get_workers() == before


def test_the_number_of_threads_has_no_say_in_costs_or_in_the_method():
    kernels = {
        "box": np.ones((31, 31)),
        "gaussian": np.multiply.outer(np.hanning(33)[1:-1], np.hanning(33)[1:-1]),
        "dense": np.random.default_rng(0).random((31, 31)),
        "integers": np.random.default_rng(0).integers(1, 99, (31, 31)),
    }

    def choices():
        planner.forget()
        found = []
        for k in kernels.values():
            for dtype in ("uint8", "int64", "float32"):
                for tolerance in (None, 1e-2):
                    p = faltung.plan((700, 900), dtype, k, tolerance=tolerance)
                    found.append((p, p.candidates()))
        return found

    with faltung.workers(1):
        one = choices()
    with faltung.workers(64):
        many = choices()
    assert one == many


def test_nothing_keeps_large_kernels_alive_when_their_plans_are_gone():
    taps, line = 1 + np.random.default_rng(0).random((1500, 700)), np.hanning(1 << 20)[1:-1]
    product = np.multiply.outer(np.hanning(1202)[1:-1], np.hanning(902)[1:-1])
    faltung.plan((4, 4), "float64", [[1.0, 2.0], [2.0, 4.0]], tolerance=0.1).explain()
    tracemalloc.start()
    try:
        for shape, k in (((30, 30), taps), ((30, 30), product), ((30,), line)):
            for _ in range(2):
                faltung.plan(shape, "float64", k, tolerance=0.1).explain()
                faltung.analyse(k)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_spectra_of_integers_count_as_held():
    k = np.random.default_rng(0).integers(1, 1 << 20, (40, 1000))
    plan = faltung.plan((60, 3000), "int64", k, method="wide_fft")
    x = np.random.default_rng(1).integers(0, 1 << 20, (60, 3000))
    plan(x)
    plan(x >> 10)
    spectra = plan._runs[0].spectra.values()
    held = sum(s.nbytes for kept in spectra for s in kept.taps)
    assert len(spectra) == 2
    assert planner.held_by(plan) >= held


@pytest.mark.parametrize("taps", [[np.inf, -np.inf], [1e308, 1e308], [np.nan, 1.0], [-1e308] * 9])
def test_great_and_infinite_taps_are_explained_without_a_warning(taps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "reference" in faltung.plan(50, "float64", np.array(taps)).explain()
        faltung.plan((50, 50), "float64", np.array([taps, taps]), tolerance=0.1).explain()
        str(faltung.analyse(taps))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "longdouble"])
def test_plans_of_a_fill_value_of_nan_are_equal_by_value(dtype):
    plans = [make_nan(dtype), make_nan(dtype), pickle.loads(pickle.dumps(make_nan(dtype)))]
    assert len(set(plans)) == 1
    assert plans[0] == plans[1] == plans[2]


def make_nan(dtype):
    return faltung.plan((40, 50), dtype, [[1, 2, 3]], fill_value=float("nan"))


def test_an_unpickled_plan_has_read_only_taps_and_no_more_than_its_fields():
    plan = make()
    assert plan(np.ones((40, 50), "float32")).shape == plan.problem.result_shape
    plan.problem.correlation_taps, plan.problem.taps.absolute_sum  # noqa: B018 (work them out)
    taken = pickle.loads(pickle.dumps(plan))
    assert set(vars(taken.problem)) == {field.name for field in fields(taken.problem)}
    assert not taken.problem.taps.array.flags.writeable
    assert not taken.problem.correlation_taps.flags.writeable
