"""What a kernel's analysis says is so, and what it does not know it does not say."""

import numpy as np
import pytest

import faltung
from faltung import analysis, kernels, native
from faltung.problem import Taps

compiled = pytest.mark.skipif(not native.library(), reason="no compiled library")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("k", "words"), [
    (kernels.sharpen, "dense, of rank 2"),
    (RNG.random((21, 5)) @ RNG.random((5, 21)), "dense, of rank 5"),
    (RNG.random((9, 9)), "dense, of rank 9"),
    (kernels.gaussian(3), "separable"),
    (kernels.edge, "a sum of 2 separable terms"),
    ([1, np.inf, 2], "1 of 3 taps are infinite or NaN"),
    ([[1, np.nan], [np.nan, 3]], "2 of 4 taps are infinite or NaN"),
    ([1, 2, 3], "dense"),
])  # fmt: skip
def test_structure(k, words):
    assert faltung.analyse(k).structure == words


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_no_whole_number(bad):
    found = faltung.analyse([1.0, bad, 2.0])
    assert not found.integers
    assert "whole numbers" not in str(found)
    assert found.infinite == 1
    assert found.nonzero == 3
    assert found.dynamic_range == 2


@pytest.mark.parametrize(("k", "wanted"), [
    ([1 + 1j, 2, 1 - 1j], ("hermitian",)), ([1, 2, 1j], ("none",)),
    ([1 + 1j, 2, 1 + 1j], ("even",)),
    ([[1j, 1], [-1j, 1]], ("hermitian", "none")), ([1, 0, -1], ("odd",)),
])  # fmt: skip
def test_symmetry(k, wanted):
    assert faltung.analyse(k).symmetry == wanted


@compiled
@pytest.mark.parametrize(("k", "words"), [
    (kernels.sharpen.array.astype(float), "rank 2; so many products of 1-D kernels are no cheaper"),
    (RNG.random((21, 5)) @ RNG.random((5, 21)), "rank 5; at most 4 products"),
    (RNG.random((5, 5, 5)), "spans 3 axes"),
    (np.full((3, 3), np.nan), "not all finite"),
    (np.zeros((3, 3)), "all taps are zero"),
])  # fmt: skip
def test_refusals_of_factors_are_true(k, words):
    plan = faltung.plan((40,) * k.ndim, "float64", k)
    notes = {a.method: a.note for a in plan.candidates()}
    assert words in notes["separable"]


def test_an_obstacle_is_named_only_where_there_are_no_factors():
    k = Taps.of(RNG.random((7, 3)) @ RNG.random((3, 7)))
    assert analysis.rank_of(k) == 3
    assert analysis.factor(k) is not None
    assert analysis.rank_of(Taps.of(np.ones((200, 200)))) is None


def test_zero_taps_add_no_error():
    k = np.zeros((9, 9))
    k[2, 3] = 1.5
    shift = faltung.plan((50, 50), "float32", k.astype("float32"), method="reference")
    assert shift.error_bound < 1e-6
    x = RNG.random((50, 50), np.float32)
    wanted = faltung.convolve(x.astype(float), k)
    assert (np.abs(shift(x) - wanted) <= shift.error_bound * np.abs(wanted)).all()


@compiled
def test_the_deepest_reason_comes_first():
    notes = {a.method: a.note for a in faltung.plan(90, "float64", [1.0, -2, 4]).candidates()}
    assert notes["recursive"] == "the kernel is no Gaussian"
    assert "fewer than half" in notes["sparse"]
    assert notes["separable"] == "the kernel spans a single axis"
    gaussian = faltung.plan((90, 90), "float64", kernels.gaussian(5)).candidates()
    notes = {a.method: a.note for a in gaussian}
    assert notes["recursive"] == "the call gives no tolerance"


def test_notebooks_show_an_analysis():
    assert faltung.analyse([1, 2])._repr_html_().startswith("<p>kernel 2 int64, ")
