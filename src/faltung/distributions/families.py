"""The usual discrete distributions, exact where their parameters are fractions.

Each is made from the ratios of its neighbouring probabilities, outwards from the highest, in long
double: no logarithm of a factorial takes digits from the tails. What is cut off is bounded by a
geometric series, since the ratios of all of them fall outwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.exact import Exact
from faltung.distributions.lattice import BYTES_A_POINT, check_points, number
from faltung.distributions.pmf import PMF
from faltung.distributions.scaled import EPS, LONG, Scaled
from faltung.distributions.sums import Lost
from faltung.distributions.tails import is_number

Array = NDArray[Any]
MASS = 1e-300
MOST = 1 << 22
WHOLE = 512  # points on one side of the highest that are kept whatever their mass


def uniform(first: int, last: int) -> PMF:
    """Return integers from ``first`` to ``last``, each as likely, exactly.

    >>> uniform(1, 4).mean()
    Fraction(5, 2)
    """
    first, last = integer(first, "first"), integer(last, "last")
    if last < first:
        raise ValueError(f"uniform from {first} to {last}; the last must not be below the first.")
    count = last - first + 1
    check_points(count, MOST, f"uniform from {first} to {last}")
    return PMF.made(
        Fraction(first), Fraction(1), Exact((1,) * count, count), Lost(), 0.0, "uniform"
    )


def die(sides: int = 6) -> PMF:
    """Return a fair die, exactly.

    >>> (die() + die()).probability(12)
    Fraction(1, 36)
    """
    sides = integer(sides, "sides")
    if sides < 1:
        raise ValueError(f"a die of {sides} sides; there must be at least 1.")
    return uniform(1, sides)


def coin(p: Any = Fraction(1, 2)) -> PMF:
    """Return 1 with probability ``p``, else 0; exact where ``p`` is a fraction."""
    if not is_number(p) or not 0 <= p <= 1:
        raise ValueError(f"coin of p={p!r}; it must be a number in [0, 1].")
    return binomial(1, p)


def binomial(n: int, p: Any) -> PMF:
    """Return the successes of ``n`` trials; exact where ``p`` is a fraction.

    >>> binomial(2, Fraction(1, 3)).probabilities.tolist()
    [Fraction(4, 9), Fraction(4, 9), Fraction(1, 9)]
    """
    n = integer(n, "n")
    if n < 0 or not is_number(p) or not 0 <= p <= 1:
        raise ValueError(f"binomial of n={n!r}, p={p!r}; n must be at least 0 and p in [0, 1].")
    if p in (0, 1):
        return PMF({n * int(p): 1})
    if isinstance(p, Fraction):
        check_points(n + 1, 1 << 16, f"an exact binomial of n={n}")
        a, b = p.numerator, p.denominator - p.numerator
        counts = tuple(math.comb(n, k) * a**k * b ** (n - k) for k in range(n + 1))
        return PMF.made(
            Fraction(0), Fraction(1), Exact(counts, p.denominator**n), Lost(), 0.0, "binomial"
        )
    odds = np.longdouble(p) / (1 - np.longdouble(p))
    return outwards(lambda k: odds * (n - k) / (k + 1), min(n, int((n + 1) * p)), 0, n, "binomial")


def poisson(mu: float, *, mass: float = MASS) -> PMF:
    """Return the events of a Poisson process of ``mu`` on average, down to a mass.

    >>> twice = poisson(50) + poisson(50)
    >>> f"{twice.sf(300):.10e}"
    '6.0323916150e-59'
    """
    if not is_number(mu) or not 0 < mu < math.inf:
        raise ValueError(f"poisson of mu={mu!r}; it must be a number more than 0, and finite.")
    mean = np.longdouble(float(mu))
    return outwards(lambda k: mean / (k + 1), int(mu), 0, None, "poisson", mass)


def geometric(p: float, *, mass: float = MASS) -> PMF:
    """Return the trials to the first success, from 1 on, as scipy.stats.geom, down to a mass."""
    if not is_number(p) or not 0 < p <= 1:
        raise ValueError(f"geometric of p={p!r}; it must be a number more than 0 and at most 1.")
    if p == 1:
        return PMF({1: 1})
    ratio = 1 - np.longdouble(float(p))
    return outwards(lambda k: ratio + 0 * k, 1, 1, None, "geometric", mass)


def hypergeometric(population: int, successes: int, draws: int) -> PMF:
    """Return the successes among ``draws`` without replacement, exactly.

    >>> hypergeometric(10, 4, 3).probability(0)
    Fraction(1, 6)
    """
    whole, good, taken = (
        integer(value, what)
        for value, what in ((population, "population"), (successes, "successes"), (draws, "draws"))
    )
    if not (0 <= good <= whole and 0 <= taken <= whole):
        raise ValueError(
            f"hypergeometric of {whole}, {good}, {taken}; successes and draws must be at least 0 "
            "and at most the population."
        )
    first, last = max(0, taken - (whole - good)), min(good, taken)
    check_points(last - first + 1, 1 << 16, "an exact hypergeometric")
    counts = tuple(
        math.comb(good, k) * math.comb(whole - good, taken - k) for k in range(first, last + 1)
    )
    return PMF.made(
        Fraction(first), Fraction(1), Exact(counts, math.comb(whole, taken)), Lost(), 0.0,
        "hypergeometric",
    )  # fmt: skip


def outwards(
    ratio: Callable[[Array], Array], mode: int, first: int, last: int | None, name: str,
    mass: float = MASS,
) -> PMF:  # fmt: skip
    """Return a distribution from the ratios ``p(k + 1) / p(k)``, which fall with k.

    Parameters
    ----------
    ratio : callable
    mode : int
        A highest probability.
    first, last : int
        The support's ends; None for no end.
    name : str
    mass : float
        What may be cut off at each end.
    """
    if not 0 < mass < 1:
        raise ValueError(f"mass is {mass!r}; it must be more than 0 and less than 1.")
    top = None if last is None else last - mode
    up, above = side(lambda i: ratio(np.longdouble(mode) + i), top, mass, name)
    down, below = side(lambda i: 1 / ratio(np.longdouble(mode) - 1 - i), mode - first, mass, name)
    values = np.concatenate([down[::-1], np.ones(1, np.longdouble), up])
    total = values.sum()
    mantissa, exponent = np.frexp(values / total)
    count = len(values)
    lost = Lost(bound(below, total), 0.0, bound(above, total))
    masses = Scaled(mantissa.astype(float), exponent.astype(np.int64))
    origin = Fraction(mode - len(down))
    # what is cut off is missing in the sum that divides the rest, too
    error = EPS + (3 * count + 8) * LONG + lost.total
    return PMF.made(origin, Fraction(1), masses, lost, error, f"{name}: from its ratios")


def bound(beyond: Any, total: Any) -> float:
    """Return a mass relative to the highest probability as a bound that is not below it."""
    return max(float(beyond / total) * (1 + 1e-9), 5e-324) if beyond else 0.0


def side(
    ratio: Callable[[Array], Array], most: int | None, mass: float, name: str
) -> tuple[Array, Any]:
    """Return probabilities outwards, relative to the highest, and a bound on those beyond."""
    ahead = 256
    while True:
        count = ahead if most is None else min(ahead, most)
        with np.errstate(divide="ignore"):  # beyond the support's end
            factors = ratio(np.arange(count + 1, dtype=np.longdouble))
        values = np.cumprod(factors[:count])
        if count == most and count <= WHOLE:
            return values, np.longdouble(0)
        with np.errstate(invalid="ignore"):
            tail = values * factors[1:] / (1 - factors[1:])
        # the highest probability is at most 1, so that relative masses are enough
        enough = np.flatnonzero((tail <= mass) & (factors[1:] < 1))
        if len(enough):
            stop = int(enough[0]) + 1
            return values[:stop], tail[stop - 1]
        if count == most:
            return values, np.longdouble(0)
        if ahead >= MOST:
            raise ValueError(
                f"{name} has more than {MOST:,} points down to a mass of {mass:g}, about "
                f"{MOST * BYTES_A_POINT:,} bytes; cut off more with mass=, or use a coarser unit."
            )
        ahead *= 4


def integer(value: Any, what: str) -> int:
    """Return an integer."""
    found = number(value, what)
    if found.denominator != 1:
        raise ValueError(f"{what} is {value!r}; it must be an integer.")
    return int(found)
