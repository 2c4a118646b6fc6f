"""Distributions: sums against closed forms and fractions, their algebra, what is refused."""

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from faltung.distributions import (
    PMF,
    Density,
    binomial,
    coin,
    die,
    geometric,
    hypergeometric,
    mixture,
    named,
    poisson,
    products,
    sum_of,
    uniform,
)
from faltung.distributions import exact as integers
from faltung.distributions import scaled as numbers

counts = st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any)


@st.composite
def exact_pmfs(draw):
    return PMF(
        draw(counts), origin=draw(st.fractions(-9, 9, max_denominator=4)), normalise=True,
        step=draw(st.sampled_from([1, 2, Fraction(1, 2), 0.25])),
    )  # fmt: skip


def table(x):
    """The plain definition of a distribution: a dict of fractions."""
    return {x.origin + x.step * n: p for n, p in enumerate(map(Fraction, x.probabilities)) if p}


def sum_by_definition(f, g):
    found = {}
    for a, p in f.items():
        for b, q in g.items():
            found[a + b] = found.get(a + b, 0) + p * q
    return found


@given(exact_pmfs(), exact_pmfs())
@settings(max_examples=60)
def test_sums_differences_and_scales_are_those_of_the_definition(x, y):
    f, g = table(x), table(y)
    assert table(x + y) == table(y + x) == sum_by_definition(f, g)
    assert table(x - y) == sum_by_definition(f, {-b: q for b, q in g.items()})
    assert table(-x) == {-a: p for a, p in f.items()}
    assert table(Fraction(3, 2) * x) == {Fraction(3, 2) * a: p for a, p in f.items()}
    assert table(x + 3) == {a + 3: p for a, p in f.items()}
    assert table(1 - x) == {1 - a: p for a, p in f.items()}
    assert x.repeat(2) == x + x
    difference = x - x
    assert difference == -difference


@given(exact_pmfs(), exact_pmfs(), st.integers(0, 5))
@settings(max_examples=40)
def test_cumulants_add_and_floats_agree_with_fractions(x, y, n):
    for a, b, c in zip(x.cumulants(5), y.cumulants(5), (x + y).cumulants(5), strict=True):
        assert a + b == c
    assert x.repeat(n).variance() == n * x.variance()
    floats = (x.rounded() + y.rounded()).repeat(max(n, 1))
    true = (x + y).repeat(max(n, 1))
    for p, q in zip(floats.probabilities, true.probabilities, strict=True):
        assert abs(p - q) <= floats.error * q
    scale = float(true.std()) + 1e-9
    for n, (p, q) in enumerate(zip(floats.cumulants(4), true.cumulants(4), strict=True)):
        assert abs(p - float(q)) <= 1e-10 * (scale + abs(float(true.mean()))) ** (n + 1)


@given(exact_pmfs(), st.fractions(-30, 30, max_denominator=8), st.fractions(0, 1))
@settings(max_examples=60)
def test_cdf_sf_and_quantiles_are_those_of_the_definition(x, at, q):
    f = table(x)
    below = sum(p for a, p in f.items() if a <= at)
    assert x.cdf(at) == below
    assert x.sf(at) == 1 - below
    least = min(a for a in f if sum(p for b, p in f.items() if b <= a) >= q)
    assert x.quantile(q) == float(least)
    reached = min(a for a in f if sum(p for b, p in f.items() if b > a) <= q)
    assert x.isf(q) == float(reached)
    floats = x.rounded()
    for upper in (False, True):
        low, high = floats.sf_bounds(at) if upper else floats.cdf_bounds(at)
        true = 1 - below if upper else below
        assert Fraction(low) <= true <= Fraction(high)


def test_dice_and_coins():
    three = die().repeat(3)
    assert [p * 216 for p in three.probabilities] == [
        1, 3, 6, 10, 15, 21, 25, 27, 27, 25, 21, 15, 10, 6, 3, 1,
    ]  # fmt: skip
    assert coin().repeat(40) == binomial(40, Fraction(1, 2))
    tails = coin(Fraction(1, 3)).repeat(100)
    assert tails.probability(100) == Fraction(1, 3) ** 100
    assert tails.probability(37) == math.comb(100, 37) * Fraction(2**63, 3**100)


def test_hypergeometric_against_its_closed_form_and_scipy():
    x = hypergeometric(50, 20, 10)
    assert x.mean() == 4
    assert x.variance() == 10 * Fraction(2, 5) * Fraction(3, 5) * Fraction(40, 49)
    np.testing.assert_allclose(
        x.rounded().probabilities, stats.hypergeom(50, 20, 10).pmf(np.arange(11)), rtol=1e-12
    )
    # drawn in two lots, the second from what the first left: a mixture of sums
    lots = mixture([
        (p, PMF({a: 1}) + hypergeometric(46, 20 - a, 6))
        for a, p in zip(range(5), hypergeometric(50, 20, 4).probabilities, strict=True)
    ])  # fmt: skip
    assert lots == x


@pytest.mark.parametrize(("ours", "theirs"), [
    (poisson(3.7), stats.poisson(3.7)), (binomial(60, 0.2), stats.binom(60, 0.2)),
    (geometric(0.25), stats.geom(0.25)), (uniform(-3, 8).rounded(), stats.randint(-3, 9)),
])  # fmt: skip
def test_families_against_scipy(ours, theirs):
    k = ours.values[:200]
    np.testing.assert_allclose(ours.probabilities[:200], theirs.pmf(k), rtol=2e-12)
    np.testing.assert_allclose(ours.cdf(k), theirs.cdf(k), rtol=1e-12)
    peer = PMF.from_scipy(theirs)
    np.testing.assert_allclose(peer.mean(), theirs.mean(), rtol=1e-12)
    np.testing.assert_allclose(peer.variance(), theirs.var(), rtol=1e-9)
    assert ours.quantile(0.3) == theirs.ppf(0.3)
    assert ours.isf(0.01) == theirs.isf(0.01)


def test_families_add_up():
    np.testing.assert_allclose(
        (poisson(2.5) + poisson(4)).probabilities[:250],
        poisson(6.5).probabilities[:250],
        rtol=1e-13,
    )
    np.testing.assert_allclose(
        (binomial(10, 0.3) + binomial(25, 0.3)).probabilities, binomial(35, 0.3).probabilities,
        rtol=1e-13,
    )  # fmt: skip
    failures = geometric(0.5) + geometric(0.5)
    k = np.arange(2, 400)
    np.testing.assert_allclose(failures.probabilities[:398], (k - 1) * 0.5**k, rtol=1e-13)


def test_the_ways_of_the_ball_that_is_dropped_twice():
    f = PMF([Fraction(1, 10), Fraction(2, 10), Fraction(3, 10), Fraction(4, 10)])
    g = PMF([Fraction(1, 4)] * 4)
    ways = f.ways(g, total=3)
    assert [(a, b) for a, b, *_ in ways] == [(0, 3), (1, 2), (2, 1), (3, 0)]
    assert [row[4] for row in ways] == [Fraction(n, 40) for n in (1, 2, 3, 4)]
    assert ways.probability == (f + g).probability(3) == Fraction(1, 4)
    lines = str(ways).splitlines()
    assert lines[0].split() == ["a", "b", "f(a)", "g(b)", "f(a)", "g(b)"]
    assert lines[-1].startswith("P(a + b = 3)")
    assert lines[-1].endswith("1/4")
    assert "<td>3/40</td>" in ways._repr_html_()
    assert len(f.ways(g, 99)) == 0
    assert abs(f.rounded().ways(g.rounded(), 3).probability - 0.25) < 1e-15


@given(st.lists(st.integers(0, 10**40), min_size=1, max_size=9),
       st.lists(st.integers(0, 10**9), min_size=1, max_size=9), st.integers(1, 4))  # fmt: skip
@settings(max_examples=50)
def test_long_integers_convolve_exactly(a, b, n):
    x, y = integers.Exact(tuple(a), 7), integers.Exact(tuple(b), 3)
    whole = [sum(a[i] * b[k - i] for i in range(len(a)) if 0 <= k - i < len(b))
             for k in range(len(a) + len(b) - 1)]  # fmt: skip
    assert integers.convolve(x, y).numerators == tuple(whole)
    power = x
    for _ in range(n - 1):
        power = integers.convolve(power, x)
    assert integers.power(x, n) == power


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=40), st.integers(0, 2**31))
@settings(max_examples=40)
def test_numbers_of_any_range_convolve_and_add_with_relative_accuracy(powers, seed):
    rng = np.random.default_rng(seed)
    mantissas = rng.random(len(powers)) * (rng.random(len(powers)) < 0.8)
    x = numbers.scaled(mantissas, np.array(powers, np.int64))
    y = numbers.scaled(rng.random(7), rng.integers(-3000, 3000, 7))
    a, b = ([Fraction(float(m)) * Fraction(2) ** int(e) if m else Fraction(0)
             for m, e in zip(z.mantissa, z.exponent, strict=True)] for z in (x, y))  # fmt: skip
    found, bound = products.convolve(x, y)
    sums = x.running()
    for k in range(len(a) + 6):
        true = sum(a[i] * b[k - i] for i in range(len(a)) if 0 <= k - i < 7)
        assert near(found, k, true, bound)
    for k in range(len(a)):
        assert near(sums, k, sum(a[: k + 1]), 1e-15)


def test_probabilities_of_a_wide_range_take_few_convolutions(monkeypatch):
    made = []
    product = products.product
    monkeypatch.setattr(products, "product", lambda x, y: made.append(1) or product(x, y))
    found = poisson(50).repeat(40)
    assert len(made) < 80  # pieces of 450 bits would make thousands
    assert "direct" in found.method
    at = np.arange(1000, 3500)
    there = found.log_probabilities[at - int(found.origin)]
    # as closely as SciPy's logarithms, of numbers of about 1e5
    np.testing.assert_allclose(there, stats.poisson(2000).logpmf(at), rtol=1e-13, atol=1e-10)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=25)
def test_tilts_give_every_output_that_pieces_give(n, m, apart, seed):
    rng = np.random.default_rng(seed)

    def steep(size):
        slopes = np.sort(rng.normal(0, 90, size))[::-1]  # logarithms that are concave
        spread = numbers.zeros((size - 1) * apart + 1)
        one = numbers.from_log2(np.cumsum(slopes))
        spread.mantissa[::apart], spread.exponent[::apart] = one.mantissa, one.exponent
        return spread

    a, b = steep(n), steep(m)
    wanted, bound = products.by_pieces(products.pieces(a), products.pieces(b), len(a) + len(b) - 1)
    found, error = products.under_tilts(a, b)
    np.testing.assert_array_equal(found.mantissa > 0, wanted.mantissa > 0)
    off = found.mantissa * np.exp2(np.clip(found.exponent - wanted.exponent, -9, 9))
    np.testing.assert_array_less(np.abs(off - wanted.mantissa), (bound + error) * off + 1e-300)


def near(values, k, true, bound):
    mantissa, exponent = float(values.mantissa[k]), int(values.exponent[k])
    value = Fraction(mantissa) * Fraction(2) ** exponent if mantissa else Fraction(0)
    return abs(value - true) <= Fraction(bound) * true


def test_steps_that_differ_meet_on_a_common_lattice():
    x, y = PMF({0: 0.5, 0.5: 0.5}), PMF({0: 0.5, Fraction(1, 3): 0.5})
    assert (x + y).step == Fraction(1, 6)
    assert (x + y).probability(Fraction(5, 6)) == 0.25
    assert PMF({0.1: 0.5, 0.3: 0.5}).step == Fraction(1, 5)
    with pytest.raises(ValueError, match=r"common step.* takes .* bytes .*coarser step"):
        PMF([0.5, 0.5]) + PMF([0.5, 0.5], step=0.1234567891)


def test_mixtures_and_samples():
    x = mixture([(Fraction(1, 4), die(4)), (Fraction(3, 4), PMF({0.5: 1}))])
    assert x.probability(0.5) == Fraction(3, 4)
    assert x.probability(4) == Fraction(1, 16)
    drawn = die().repeat(2).sample(20_000, seed=3)
    assert abs(drawn.mean() - 7) < 0.1
    assert drawn.min() >= 2
    assert drawn.max() <= 12
    np.testing.assert_array_equal(drawn, die().repeat(2).sample(20_000, np.random.default_rng(3)))
    again = PMF.from_samples(drawn)
    assert again.mean() == Fraction(int(drawn.sum()), 20_000)
    assert PMF.from_samples([0.11, 0.19, 0.31], step=0.1).probability(0.2) == Fraction(1, 3)


def test_densities_bound_what_the_grid_does():
    x = Density.from_scipy(stats.gamma(2), step=0.02)
    y = Density.from_scipy(stats.uniform(), step=0.02)
    whole = x + x
    true = stats.gamma(4)
    for at in (0.5, 3.0, 12.0, 30.0):
        low, high = whole.sf_bounds(at)
        assert low <= true.sf(at) <= high
        low, high = whole.cdf_bounds(at)
        assert low <= true.cdf(at) <= high
        assert abs(whole.cdf(at) - true.cdf(at)) < 1e-4
    triangle = y.repeat(2)
    np.testing.assert_allclose(triangle.cdf([0.5, 1, 1.5]), [0.125, 0.5, 0.875], atol=1e-3)
    assert triangle.displacement == Fraction(1, 50)
    assert (2 * x - y + 1).displacement == Fraction(3, 100)
    drawn = y.sample(1000, seed=1)
    assert -0.011 < drawn.min() < drawn.max() < 1.011
    with pytest.raises(ValueError, match="step"):
        Density.from_scipy(stats.norm(), step=0)
    with pytest.raises(TypeError, match=r"PMF\.from_scipy"):
        Density.from_scipy(stats.poisson(3), step=1)
    with pytest.raises(ValueError, match="bytes at work"):
        Density.from_scipy(stats.norm(), step=1e-8)


@pytest.mark.parametrize(("make", "told"), [
    (lambda: PMF([]), "at least one"),
    (lambda: PMF([0.5, 0.6]), r"sum to 1.1, which is \+0.1 off 1.*normalise=True"),
    (lambda: PMF([1, 2]), "sum to 3"),
    (lambda: PMF([0.5, -0.25, 0.75]), r"\[1\] is -0.25; none may be negative"),
    (lambda: PMF({1: Fraction(3, 2), 2: Fraction(-1, 2)}), "negative"),
    (lambda: PMF([0.5, math.nan]), r"\[1\] is nan"),
    (lambda: PMF([0.0, 0.0]), "all probabilities are 0"),
    (lambda: PMF([[0.5, 0.5]]), "shape"),
    (lambda: PMF([1.0], step=0), "step"),
    (lambda: PMF([1.0], origin=math.inf), "origin"),
    (lambda: PMF({math.nan: 1.0}), "a value is nan"),
    (lambda: PMF({0: 0.5, 1e-9: 0.25, 3: 0.25}), "bytes at work"),
    (lambda: PMF.from_scipy(stats.zipf(2)), "bytes.*larger mass"),
    (lambda: PMF.from_samples([]), "at least one"),
    (lambda: PMF.from_samples([1, math.nan]), "1 of 2 samples are NaN"),
    (lambda: PMF.from_samples([0.123456789123, math.e, math.pi]), "step= rounds"),
    (lambda: die().repeat(-1), "at least 0"),
    (lambda: die().repeat(2.5), "integer"),
    (lambda: die().repeat(10**7), r"bytes.*\.rounded\(\)"),
    (lambda: uniform(1, 1000).rounded().repeat(10**9), "bytes at work.*max_points"),
    (lambda: PMF([1, 10**3000], normalise=True).repeat(10**9), "bytes"),
    (lambda: 0 * die(), "for certain"),
    (lambda: die().rounded().add(die(), method="exact"), "fractions"),
    (lambda: die().add(die(), method="fft"), "method"),
    (lambda: die().add(die(), rtol=0), "rtol"),
    (lambda: die().quantile(1.5), "at most 1"),
    (lambda: die().truncate(1), "less than 1"),
    (lambda: die().cdf(math.nan), "finite"),
    (lambda: poisson(-1), "more than 0"),
    (lambda: binomial(3, 1.5), r"\[0, 1\]"),
    (lambda: hypergeometric(5, 6, 1), "population"),
    (lambda: named("d0"), "from 1"),
    (lambda: named("binomial:3"), "takes 2: binomial:N,P"),
    (lambda: named("nothing"), "no distribution"),
    (lambda: named("poisson:5", exact=True), "no end"),
    (lambda: mixture([(0.5, die())]), "sum to 0.5"),
])  # fmt: skip
def test_mistakes_say_what_to_do(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_types_that_are_no_numbers():
    with pytest.raises(TypeError, match="from_scipy"):
        PMF(stats.poisson(3))
    with pytest.raises(TypeError):
        die() + "3"
    with pytest.raises(TypeError, match="numbers"):
        PMF(["a"])


def test_values_are_shown_and_drawn(tmp_path):
    x = die() + die()
    assert repr(x) == "<PMF 2 to 12 step 1, 11 points: exact, mean 7, sd 2.415>"
    assert x.text(width=6).splitlines()[5] == " 7  16.667  %  ██████"
    assert "<pre>" in x._repr_html_()
    assert "exact: integers" in x.explain()
    assert hash(x) == hash(die().repeat(2))
    assert x != die()
    pytest.importorskip("matplotlib")
    x.plot(tmp_path / "x.png")
    x.rounded().repeat(300).plot(tmp_path / "y.png", log=True)
    assert (tmp_path / "y.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="written as"):
        x.plot(tmp_path / "x.doc")
    assert len(list(tmp_path.iterdir())) == 2


def test_distributions_are_values():
    for x in (die().repeat(3), poisson(7), Density.from_scipy(stats.norm(), step=0.1)):
        again = pickle.loads(pickle.dumps(x))
        assert again == x == copy.deepcopy(x)
        assert repr(again) == repr(x)
    with pytest.raises(AttributeError):
        die().step = 2


def test_many_parts_on_one_lattice():
    total = sum_of([(die(), 3), (coin(), 2), (PMF({Fraction(1, 2): 1}), 1)])
    assert total == die().repeat(3) + coin().repeat(2) + Fraction(1, 2)
    assert sum_of([(die(), 0)]) == PMF({0: 1})


@pytest.mark.parametrize(("make", "told"), [
    (lambda: die().quantile("0.1"), "q is '0.1'"), (lambda: die().isf([0.5, 2]), "q is 2"),
    (lambda: die().truncate("a"), "mass is 'a'"), (lambda: die().cumulants(1.5), "order is 1.5"),
    (lambda: die().add(3), "3 is no PMF"), (lambda: die().ways(3, 1), "must be a PMF"),
    (lambda: sum_of([(3, 1)]), "no PMF"), (lambda: mixture([(1, 3)]), "no PMF"),
    (lambda: mixture({die(): 1}), "pairs of a share"),
    (lambda: sum_of(die()), "pairs"), (lambda: poisson("3"), "must be a number"),
    (lambda: binomial(5, "0.3"), r"\[0, 1\]"), (lambda: coin(2), "coin of p=2"),
    (lambda: geometric("x"), "must be a number"), (lambda: named(3), "no text"),
    (lambda: PMF.from_samples([1e300], step=1e-5), "coarser step"),
    (lambda: PMF.from_samples(np.ma.masked_array([1, 2], [0, 1])), "masked"),
    (lambda: PMF(np.ma.masked_array([0.5, 0.5], [0, 1])), "masked"),
    (lambda: Density.from_scipy(stats.norm(1e17, 1), step=0.1), "narrower than floats"),
    (lambda: PMF([0.5, 0.5], origin=10**5000), "4,300 digits"),
    (lambda: coin().repeat(10**400), "copies are"), (lambda: die().repeat(2000), r"\.rounded\(\)"),
])  # fmt: skip
def test_wrong_kinds_are_told(make, told):
    with pytest.raises((ValueError, TypeError), match=told):
        make()


def test_quantiles_of_arrays():
    for x in (die(), die().rounded()):
        q = np.array([[0, 0.2, 0.5], [0.9, 1, 1 / 6]])
        for method in (x.quantile, x.isf):
            assert method(q).tolist() == [[method(one) for one in row] for row in q.tolist()]


def test_what_is_certain_is_repeated_as_a_number():
    for three in (PMF({3: 1}), PMF({3: 1.0})):
        assert three.repeat(10**20).quantile(0.5) == 3 * 10**20
        assert (three + die()).mean() == 6.5


def test_values_and_moments_of_any_size():
    assert "mean 5e+199, sd 5e+199" in repr(PMF([0.5, 0.5], step=1e200))
    assert "mean 5e+199" in repr(PMF([Fraction(1, 2)] * 2, step=10**200))
    assert "mean 5.00000e+1000" in repr(PMF([Fraction(1, 2)] * 2, step=10**1001))
    assert PMF([0.5, 0.5], origin=2**60).values.tolist() == [2**60, 2**60 + 1]
    assert PMF([0.5, 0.5], origin=1e300, step=1e-300).values.tolist() == [1e300, 1e300]
    assert PMF([5e-324, 2.0], normalise=True).log_probabilities[0] == pytest.approx(-745.133, 1e-5)
    assert PMF([1e308] * 10, normalise=True).probability(3) == pytest.approx(0.1)
    assert PMF([0.5, 0.5], step=np.float32(0.1)).step == Fraction(1, 10)
    assert PMF([0.5, 0.5]).cdf(np.longdouble(0.5)) == 0.5


def test_nobody_writes_into_a_distribution():
    x = PMF([0.25, 0.75])
    for y in (x, -x, x + x, x + 3, x.truncate(0)):
        with pytest.raises(ValueError, match="read-only"):
            y.masses.mantissa[0] = 0.5


def test_densities_and_numbers_add_on_either_side():
    x = Density.from_scipy(stats.norm(), step=0.5)
    assert (3 - x).mean() == pytest.approx(3)
    assert (coin() - x).variance() == pytest.approx(x.variance() + 0.25)
    assert (x / 2).step == Fraction(1, 4)
    assert Density.from_scipy(stats.expon(), step=0.1, mass=0.1).sf(100.0) == 0


def test_densities_tell_what_their_cells_do():
    x = Density.from_scipy(stats.norm(), step=0.5)
    assert x.std() == pytest.approx(math.sqrt(x.variance()))
    assert x.cumulants(2) == (x.cells.mean(), x.cells.variance())
    assert len(x.truncate(0.1).cells) < len(x.cells)
    assert "displaced      at most 0.25" in x.explain()
    assert "but for what was cut off" in x.explain()
    with pytest.raises(TypeError, match=r"Density\.from_scipy"):
        Density(np.ones(10) / 10, 0)


def test_texts_of_copies_and_numbers():
    assert named("100*poisson:5").mean() == pytest.approx(500)
    assert named("3*2D6", exact=True) == named("6d6", exact=True)
    assert named("2.5", exact=True).mean() == Fraction(5, 2)
    assert named("-3").values.tolist() == [-3]
    for text in ("0*d6", "2*nothing", "*d6", "9999999999*d6"):
        with pytest.raises(ValueError, match=r"from 1|no distribution"):
            named(text)
