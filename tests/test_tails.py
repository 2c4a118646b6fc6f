"""Tails: relative accuracy far below 1e-16, tilted transforms, certified bounds."""

import itertools
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from faltung.distributions import PMF, binomial, coin, geometric, poisson, sum_of
from faltung.distributions.exact import scaled_integers
from faltung.distributions.tails import plain

LOADED = PMF([1, 2, 3, 4, 5, 6], origin=1, normalise=True)
COPIES = 1000


@pytest.fixture(scope="module")
def truth():
    """A thousand loaded dice in exact integers: probabilities, and sf from each value on."""
    x = LOADED.repeat(COPIES)
    down = list(itertools.accumulate(reversed(x.masses.numerators)))[::-1]
    return x.masses.scaled(), scaled_integers(down, x.masses.denominator)


def off(found, true):
    """The greatest relative error of numbers of any size."""
    ratio = np.ldexp(found.mantissa, np.clip(found.exponent - true.exponent, -3000, 3000))
    return np.abs(ratio / true.mantissa - 1).max()


@pytest.mark.parametrize("method", ["direct", "tilted"])
def test_a_thousand_loaded_dice_are_right_everywhere(truth, method):
    x = LOADED.rounded().repeat(COPIES, method=method, lost=0)
    probabilities, down = truth
    assert (x.origin, len(x), x.lost.total) == (COPIES, len(probabilities), 0)
    assert off(x.scaled, probabilities) <= min(x.error, 1e-9)  # down to 1e-1322
    assert off(x.scaled[::-1].running()[::-1], down) < 1e-9


def test_the_whole_sf_of_a_thousand_loaded_dice_down_to_1e_250(truth):
    x = LOADED.rounded().repeat(COPIES)
    values = np.arange(COPIES - 1, 6 * COPIES)
    true = truth[1].floats()
    found = x.sf(values)
    there = true > 1e-250
    assert there.sum() > 2000
    assert np.abs(found[there] / true[there] - 1).max() < 1e-9
    np.testing.assert_allclose(x.log_sf(values), truth[1].log(), rtol=1e-12, atol=1e-9)


def poisson_sf(mu, k, digits=60):
    """P(X > k) of a Poisson distribution in decimals of many digits."""
    with localcontext() as context:
        context.prec = digits
        term = (-Decimal(mu)).exp()
        total = Decimal(0)
        for n in range(1, k + 600):
            term = term * Decimal(mu) / n
            total += term if n > k else 0
        return float(total)


def test_poisson_fifty_twice():
    true = poisson_sf(100, 300)
    assert 6e-59 < true < 6.1e-59
    ours = (poisson(50) + poisson(50)).sf(300)
    assert abs(ours / true - 1) < 1e-12
    scipys = PMF.from_scipy(stats.poisson(50))
    assert abs((scipys + scipys).sf(300) / true - 1) < 1e-10
    low, high = (poisson(50) + poisson(50)).sf_bounds(300)
    assert low <= true <= high < low * (1 + 1e-10)


def test_a_million_copies_of_a_thousand_points():
    n = 10**6
    # the sum of three uniform numbers has 1,000 points and cumulants that are known
    parts = [PMF([1] * k, normalise=True).rounded() for k in (333, 334, 335)]
    x = sum_of([(part, 1) for part in parts])
    assert len(x) == 1000
    total = x.repeat(n)
    assert total.lost.total <= 1e-29
    assert total.error < 1e-6  # a million times that of the parts' own sum
    low, high = total.isf_bounds(1e-12)
    quantile = total.isf(1e-12)
    assert low <= quantile <= high <= low + 1
    # Lugannani and Rice (1980): the saddlepoint's sf is within about 1/n, relatively
    j = np.arange(1000.0)
    p = x.probabilities / x.probabilities.sum()
    mean = (p * j).sum()

    def cumulant(h):
        w = p * np.exp(h * (j - mean))
        m = w.sum()
        first = (w * (j - mean)).sum() / m
        return np.log(m), first, (w * (j - mean) ** 2).sum() / m - first**2

    t = (quantile + 1 - n * mean) / n  # of P(S >= quantile + 1)
    h = t / cumulant(0)[2]
    for _ in range(50):
        _, first, second = cumulant(h)
        h -= (first - t) / second
    k, _, second = cumulant(h)
    w = np.sqrt(2 * n * (h * t - k))
    u = 2 * np.sinh(h / 2) * np.sqrt(n * second)  # on a lattice: Daniels (1987)
    saddle = stats.norm.sf(w) + stats.norm.pdf(w) * (1 / u - 1 / w)
    assert abs(total.sf(quantile) / saddle - 1) < 1e-4


def test_a_million_coins_against_the_binomial():
    x = coin(0.5).repeat(10**6)
    assert x.method.startswith("tilted")
    k = np.array([480_000, 495_000, 500_000, 503_517, 520_000])
    truth = binomial(10**6, 0.5)
    np.testing.assert_allclose(x.sf(k), truth.sf(k), rtol=1e-9)
    np.testing.assert_allclose(x.cdf(k), truth.cdf(k), rtol=1e-9)


small = st.lists(st.integers(0, 9), min_size=2, max_size=7).filter(lambda c: sum(map(bool, c)) > 1)


@given(small, small, st.integers(1, 90), st.integers(0, 9))
@settings(max_examples=30)
def test_tilted_transforms_keep_their_bound(a, b, n, m):
    x, y = PMF(a, normalise=True), PMF(b, normalise=True)
    true = sum_of([(x, n), (y, m)])
    found = sum_of([(x.rounded(), n), (y.rounded(), m)], method="tilted", lost=0)
    missing = found.lost.anywhere  # impossible totals, and what no tilt shows
    for k, p in enumerate(true.masses.fractions()):
        q = Fraction(float(found.probability(plain(true.origin + k))))
        assert abs(q - p) <= Fraction(found.error) * p + Fraction(missing)
    for value in (true.origin, true.origin + len(true) // 2, true.last):
        low, high = found.sf_bounds(value)
        assert Fraction(low) <= true.sf(value) <= Fraction(high)
        low, high = found.cdf_bounds(value)
        assert Fraction(low) <= true.cdf(value) <= Fraction(high)


def test_transforms_without_long_double_keep_their_bound(truth, monkeypatch):
    monkeypatch.setattr("faltung.distributions.tilted.REFINED", 0)
    die = LOADED.rounded()
    x = die.repeat(COPIES, method="tilted", lost=0, rtol=1e-8)
    assert off(x.scaled, truth[0]) <= x.error <= 1.1e-8
    with pytest.raises(ValueError, match=r"rtol=1e-13 for this sum; rtol=.* would do"):
        die.repeat(COPIES, method="tilted", rtol=1e-13)


def test_a_window_is_certified(truth):
    x = LOADED.rounded().repeat(COPIES, method="tilted", lost=1e-40)
    assert len(x) < 1500
    assert 0 < x.lost.below + x.lost.above <= 1e-40
    outside = truth[1].floats()
    assert outside[int(x.last) + 1 - COPIES] <= x.lost.above
    for value in range(int(x.origin), int(x.last), 100):
        low, high = x.sf_bounds(value)
        assert low <= outside[value + 1 - COPIES] <= high


@given(st.sampled_from([1e-3, 1e-6, 1e-12]), st.integers(1, 3))
@settings(max_examples=9)
def test_truncated_sums_hold_the_truth_between_their_bounds(mass, n):
    x = binomial(30, Fraction(1, 3))
    short = x.rounded().truncate(mass)
    assert len(short) < len(x)
    assert short.lost.total <= mass
    true, found = (x + x).repeat(n), (short + short).repeat(n)
    for value in range(0, 60 * n, 3):
        for kind in ("sf", "cdf"):
            low, high = getattr(found, f"{kind}_bounds")(value)
            assert Fraction(low) <= getattr(true, kind)(value) <= Fraction(high)
    low, high = found.isf_bounds(0.01)
    assert low <= true.isf(Fraction(1, 100)) <= high


def test_bounds_count_what_was_cut_off_beyond_the_ends():
    x = geometric(0.5, mass=1e-3)
    last = int(x.last)
    for value in (last, last + 1, last + 50):
        low, high = x.cdf_bounds(value)
        assert low <= 1 - 0.5**value <= high
    y = -x
    for value in (-last - 1, -last - 2, -last - 50):
        low, high = y.sf_bounds(value)
        assert low <= 1 - 0.5 ** (-value - 1) <= high
        low, high = y.cdf_bounds(value)
        assert low <= 0.5 ** (-value - 1) <= high
    assert x.isf_bounds(1e-9)[1] == math.inf
    assert y.isf_bounds(1 - 1e-9)[0] == -math.inf
    low, high = x.sf_bounds(np.arange(-2, 40))
    true = np.minimum(0.5 ** np.arange(-2.0, 40), 1)
    assert ((low <= true) & (true <= high)).all()


def test_values_between_the_points_and_beyond_the_ends():
    x = PMF([0.25, 0.5, 0.25], origin=-1)
    at = np.array([-np.inf, -1e300, -1.5, -1, -0.5, 0, 0.999, 1, 1e300, np.inf])
    np.testing.assert_array_equal(x.cdf(at), [0, 0, 0, 0.25, 0.25, 0.75, 0.75, 1, 1, 1])
    np.testing.assert_array_equal([x.cdf(float(a)) for a in at], x.cdf(at))
    np.testing.assert_array_equal(x.sf(at.reshape(2, 5)).ravel(), 1 - x.cdf(at))
    np.testing.assert_array_equal((x / 2).cdf(at / 2), x.cdf(at))
    with pytest.raises(ValueError, match="NaN"):
        x.cdf(np.array([1.0, np.nan]))
    assert (np.float64(3) + x).origin == 2
    assert (np.int64(2) * x).step == 2
    one = PMF({7: 1.0})
    assert one.repeat(1000, method="tilted").origin == 7000


def test_two_long_parts_by_tilts_equal_direct_sums():
    rng = np.random.default_rng(5)
    steep = np.exp(-0.01 * np.arange(6000)) * rng.random(6000)
    x, y = PMF(steep, normalise=True), PMF(rng.random(4000), normalise=True)
    direct, tilted = x.add(y, method="direct"), x.add(y, method="tilted", lost=0)
    assert off(tilted.scaled, direct.scaled) < 1e-9
    # a valley that no tilt shows is computed by the definition
    valley = PMF({0: 0.5, 1: 1e-200, 200: 0.5}, normalise=True)
    both = valley.add(valley, method="tilted", lost=0)
    assert abs(both.probability(1) / 1e-200 - 1) < 1e-12
    assert abs(both.probability(201) / 1e-200 - 1) < 1e-12


def test_an_ordinary_transform_would_be_noise_there():
    x = LOADED.rounded().probabilities
    spectrum = np.fft.rfft(x, 5001) ** COPIES
    noise = np.fft.irfft(spectrum, 5001)
    assert np.abs(noise[-200:]).max() > 1e-25  # the truth is below 1e-400
    assert LOADED.rounded().repeat(COPIES).log_sf(5799) < np.log(1e-300)


def test_what_scipy_cuts_off_is_bounded():
    x = PMF.from_scipy(stats.geom(0.5), mass=1e-20)
    assert 0.5 ** int(x.last) <= x.lost.above <= 1e-20
    assert x.lost.below == 0
    y = geometric(0.5, mass=1e-20)
    assert 0.5 ** int(y.last) <= y.lost.above <= 1e-20
    shifted = PMF.from_scipy(stats.nbinom(5, 0.1))
    np.testing.assert_allclose(shifted.mean(), 45, rtol=1e-12)


@pytest.mark.parametrize("mass", [1e-6, 1e-14, 1e-25])
@pytest.mark.parametrize("frozen", [
    stats.zipf(10), stats.yulesimon(30), stats.nbinom(0.01, 0.3), stats.logser(0.4),
    stats.poisson(50), stats.skellam(3, 4), stats.binom(10**4, 0.01),
], ids=lambda frozen: frozen.dist.name)  # fmt: skip
def test_what_is_cut_off_of_scipy_is_bounded_whatever_the_tails_are_like(frozen, mass):
    kept = PMF.from_scipy(frozen, mass=mass)
    ends = int(kept.origin), int(kept.last)
    # by SciPy's probabilities: its sf and cdf are noise below 1e-16
    beyond = np.exp(frozen.logpmf(ends[1] + np.arange(1, 5000))).sum()
    before = np.exp(frozen.logpmf(ends[0] - np.arange(1, 5000))).sum()
    for lost, true in ((kept.lost.above, beyond), (kept.lost.below, before)):
        assert true <= lost <= min(mass, 1.1 * true + 5e-324) or true == lost == 0
    assert kept.error < 1e-12
    low, high = kept.sf_bounds(ends[1] - 1)
    assert low <= beyond + frozen.pmf(ends[1]) <= high


@pytest.mark.parametrize(("frozen", "told"), [
    (stats.poisson(-1), "median is nan"), (stats.poisson([3, 4]), "2 distributions"),
    (stats.poisson(3, loc=0.5), "no integers"), (stats.poisson, "frozen"), (3, "frozen"),
    (stats.norm(), "Density"),
])  # fmt: skip
def test_what_is_no_distribution_of_integers_is_told(frozen, told):
    with pytest.raises((ValueError, TypeError), match=told):
        PMF.from_scipy(frozen)
    with pytest.raises(ValueError, match="mass is 'a'"):
        PMF.from_scipy(frozen, mass="a")


def test_rare_events_take_short_transforms():
    rare = PMF({0: 1 - 1e-12, 1: 5e-13, 1000: 5e-13})
    found = rare.repeat(10**6, lost=1e-18)  # of a billion points that are possible
    assert len(found) < 10_000
    events = stats.poisson(1e-6)  # but for 1e-12 of itself
    assert math.isclose(found.sf(0), events.sf(0), rel_tol=1e-4)
    assert math.isclose(found.probability(2000), events.pmf(2) / 4, rel_tol=1e-4)
    apart = PMF({0: 1 - 1e-9, 1000: 5e-10, 1001: 5e-10}).repeat(10**4, lost=1e-30)
    assert apart.lost.total < 1e-25  # what lies between is no sum at all
    low, high = apart.sf_bounds(1999)
    assert low <= stats.binom(10**4, 1e-9).sf(1) * (1 + 1e-9) <= high * (1 + 2e-9)
    assert high - low < 1e-6 * low
    with pytest.raises(ValueError, match="max_points"):
        PMF({0: 0.5, 1: 0.5}).repeat(10**6, method="tilted", lost=0, max_points=1000)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=3), st.integers(1, 9))
@settings(max_examples=30)
def test_points_that_are_no_sum_are_told(points, copies):
    from faltung.distributions.cumulant import Part, Sum
    from faltung.distributions.tilted import impossible

    x = PMF({at: 1 / (len(set(points)) + 1) for at in {0, *points}}, normalise=True)
    size = (len(x) - 1) * copies
    laid = x.masses
    total = Sum((Part(laid, copies), Part(laid, 1)))
    sums = {0}
    for _ in range(copies + 1):
        sums = {a + b for a in sums for b in np.flatnonzero(laid.mantissa).tolist()}
    for low, high in ((0, size), (3, max(3, size // 2))):
        told = impossible(total, low + total.first, high + total.first)
        assert told.tolist() == [at not in sums for at in range(low, high + 1)] or (
            laid.mantissa.all() and not told.any()
        )
