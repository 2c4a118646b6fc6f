"""The limits of a call: scratch memory and tolerance, kept or refused with what would do."""

import re

import numpy as np
import pytest

import faltung
from faltung import native, planner
from faltung.limits import least_memory

compiled = pytest.mark.skipif(not native.library(), reason="no compiled library")
K = np.random.default_rng(0).random((31, 31), np.float32)


# ---- memory ----------------------------------------------------------------------------------


def test_the_usual_limit_is_64_mb_or_4_times_input_and_output():
    assert faltung.plan(8, "float64", [1, 2]).problem.max_memory == 64 << 20
    large = faltung.plan((4000, 3000), "float32", [[1, 2]], mode="valid").problem
    assert large.max_memory == 4 * 4 * (4000 * 3000 + 4000 * 2999)
    assert faltung.plan((4000, 3000), "float32", [[1]], max_memory=9**9).problem.max_memory == 9**9


@pytest.mark.parametrize("options", [{}, {"missing": "ignore"}, {"weighted": True}])
@pytest.mark.parametrize("shape", [(64, 50), (512, 512)])
def test_a_limit_that_is_too_small_is_an_error_that_names_the_least_that_does(shape, options):
    with pytest.raises(ValueError, match=r"max_memory=1 .*give max_memory=") as raised:
        faltung.plan(shape, "float32", K, max_memory=1, **options)
    least = int(re.search(r"give max_memory=([0-9]+)", str(raised.value)).group(1))
    plan = faltung.plan(shape, "float32", K, max_memory=least, **options)
    assert plan.cost().memory <= least
    with pytest.raises(ValueError, match="max_memory="):
        faltung.plan(shape, "float32", K, max_memory=least - 1, **options)


@pytest.mark.parametrize("method", [m.NAME for m in planner.METHODS])
def test_no_method_is_taken_that_needs_more(method):
    k = np.ones((3, 3)) if method == "sums" else faltung.kernels.gaussian(4).array
    k = k.astype(int) + 1 if method.startswith("wide") else k
    k = np.eye(9) if method == "sparse" else k
    dtype = "int64" if method.startswith("wide") else "float64"
    options = {"tolerance": 1e-2} if method == "recursive" else {}
    if not planner.BY_NAME[method].supports(faltung.plan((90, 99), dtype, k, **options).problem).ok:
        pytest.skip("needs the compiled library")
    with pytest.raises(ValueError, match=r"; max_memory=[0-9]+ would do") as raised:
        faltung.plan((90, 99), dtype, k, method=method, max_memory=9, **options)
    least = int(re.search(r"; max_memory=([0-9]+) would", str(raised.value)).group(1))
    plan = faltung.plan((90, 99), dtype, k, method=method, max_memory=least, **options)
    assert plan.cost().memory <= least
    assert least_memory(planner.BY_NAME[method], plan.problem) == least


@compiled
def test_scratch_scales_with_the_problem():
    for method in ("direct", "sums", "reference"):
        small, large = (
            faltung.plan(n, "float64", np.ones(3), method=method).cost().memory for n in (8, 10**6)
        )
        assert small <= 1000 < large
    assert faltung.plan(8, "float64", [1, 2, 3.0], max_memory=4_000_000).method == "direct"


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "object"])
def test_the_reference_needs_no_more_than_it_says(dtype):
    import tracemalloc

    plan = faltung.plan((40, 500), dtype, np.arange(6).reshape(2, 3), method="reference")
    x, out = np.ones((40, 500), dtype), np.empty((40, 500), plan.dtype)
    plan(x, out=out)
    tracemalloc.start()
    plan(x, out=out)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most <= plan.cost().memory <= 8 * most


def test_without_a_limit_there_is_always_a_method():
    for shape, axes in (((2, 40_000_000), 0), ((3, 10**12), 0), ((10**7,) * 2, (0, 1))):
        taps = np.ones((1,) * max(1, np.size(axes)), object)
        assert faltung.plan(shape, "object", taps, axes=axes).method == "reference"


@compiled
def test_large_by_large_has_the_memory_of_a_whole_transform():
    plan = faltung.plan((2000, 2000), "float64", np.random.default_rng(0).random((1000, 1000)))
    assert plan.method == "fft"
    strict = faltung.plan((2000, 2000), "float64", plan.problem.taps.array, max_memory=64 << 20)
    assert plan.cost().seconds < strict.cost().seconds / 4


def test_a_float_of_bytes_gets_a_hint():
    with pytest.raises(ValueError, match="Write max_memory=1500000"):
        faltung.plan(8, "float64", [1, 2], max_memory=1.5e6)


# ---- tolerance -------------------------------------------------------------------------------


def test_a_tolerance_that_nothing_meets_is_an_error_that_says_the_best_bound():
    with pytest.raises(ValueError, match=r"sum \|k\| \* max \|x\|.*dtype=.float64.") as raised:
        faltung.plan((512, 512), "float32", K, tolerance=1e-12)
    best = float(re.search(r"the least is ([0-9.e-]+)", str(raised.value)).group(1))
    assert faltung.plan((512, 512), "float32", K, tolerance=1.01 * best).error_bound <= 1.01 * best
    assert faltung.plan((512, 512), "float32", K,
                        tolerance=1e-9, result_dtype="float64").error_bound <= 1e-9  # fmt: skip


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 3e-5, 1e-6])
@pytest.mark.parametrize("method", [m.NAME for m in planner.METHODS])
def test_no_method_is_taken_whose_bound_is_above_the_tolerance(method, tolerance):
    k = faltung.kernels.gaussian(10).array.astype("float32")
    try:
        plan = faltung.plan((300, 300), "float32", k, method=method, tolerance=tolerance)
    except ValueError:
        return  # refused, for this or for another reason
    x = np.random.default_rng(1).choice([-1, 1], (300, 300)).astype("float32")
    exact = faltung.convolve(x.astype("float64"), k.astype("float64"))
    assert np.abs(plan(x) - exact).max() <= tolerance * np.abs(k).sum()
    if plan.error_unit != "norm(k) * norm(x)":
        assert plan.error_bound <= tolerance


def test_refusals_by_tolerance_say_their_unit():
    k = faltung.kernels.gaussian(10)
    answers = faltung.plan((300, 300), "float32", k, tolerance=3e-5).candidates()
    notes = {a.method: a.note for a in answers if not a.taken}
    for method in ("fft", "reference", "recursive"):
        if "library" not in notes[method]:
            assert re.search(r"tolerance of 3e-05|3e-05 \* sum", notes[method]), notes
            assert "sum |k| * max |x|" in notes[method]


@pytest.mark.parametrize("tolerance", [0, True, False, -1.0, float("nan"), float("inf"), "1", 0.0])
def test_what_is_no_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match=r"tolerance=.*more than 0.*sum \|k\|"):
        faltung.plan(9, "float64", [1.0], tolerance=tolerance)


def test_integers_and_numpy_numbers_are_tolerances():
    assert faltung.plan(9, "float64", [1.0], tolerance=1).problem.tolerance == 1
    assert faltung.plan(9, "float64", [1.0], tolerance=np.float32(0.5)).problem.tolerance == 0.5
    assert faltung.plan(9, "int32", [1], tolerance=1e-30).error_bound == 0


# ---- units, and normalised plans ---------------------------------------------------------------


def test_a_plan_names_the_unit_of_its_bound():
    assert faltung.plan(9, "float32", [1.0, 2]).error_unit == "(|k| * |x|)"
    assert faltung.plan(999, "float32", K[0], method="fft").error_unit == "norm(k) * norm(x)"
    assert faltung.plan(9, "float32", [1.0], missing="ignore").error_unit == "(|k| * |x|)"


def test_a_normalised_plan_names_and_prices_what_runs(monkeypatch):
    k = np.random.default_rng(0).random(3001)
    plan = faltung.plan(100_001, "float64", k, missing="ignore")
    plain = faltung.plan(100_001, "float64", k, method=plan.method)
    assert plan.cost().seconds > 2 * plain.cost().seconds
    assert plan.cost().memory > plain.cost().memory
    assert f"both sums by {plan.method}\n" in plan.explain()
    assert "600,206,002 multiply-adds" in plan.explain()
    seen = []
    method = planner.BY_NAME[plan.method]
    prepare = method.prepare
    monkeypatch.setattr(method, "prepare", lambda p: seen.append(p) or prepare(p))
    planner.choose(plan.problem)(np.ones(100_001))
    assert len(seen) == 2


@pytest.mark.parametrize("method", ["fft", "recursive"])
def test_a_quotient_is_not_promised_to_methods_without_a_bound_for_each_output(method):
    with pytest.raises(ValueError, match="quotient of two sums") as raised:
        faltung.plan(999, "float32", K[0], missing="ignore", method=method, tolerance=0.1)
    assert "would allow" not in str(raised.value)
