"""Sums and mixtures of distributions on one lattice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from faltung.distributions import scaled as numbers
from faltung.distributions import sums
from faltung.distributions.exact import Exact, over_one
from faltung.distributions.lattice import MOST_POINTS, check_points, common_step, shown
from faltung.distributions.pmf import PMF
from faltung.distributions.scaled import EPS, Scaled
from faltung.distributions.sums import RTOL, Lost

MOST_COPIES = 1 << 62


def sum_of(
    parts: Sequence[tuple[PMF, int]],
    *,
    rtol: float = RTOL,
    method: str = "auto",
    lost: float | None = None,
    max_points: int = MOST_POINTS,
) -> PMF:
    """Return the distribution of a sum of independent copies of distributions.

    Parameters
    ----------
    parts : sequence of (PMF, copies)
    rtol, method, lost, max_points
        As in :meth:`PMF.add`.

    Raises
    ------
    ValueError
        Where steps have no common lattice of few points, or the result would have too many.

    Examples
    --------
    >>> coin = PMF([0.5, 0.5])
    >>> sum_of([(coin, 2), (PMF({10: 1.0}), 1)]).probabilities.tolist()
    [0.25, 0.5, 0.25]
    """
    sums.check_options(rtol, method, lost)
    if isinstance(parts, PMF):
        raise TypeError("parts are pairs of a PMF and how many copies: [(x, 1), (y, 2)].")
    for part, copies in parts:
        check_pmf(part)
        if isinstance(copies, bool) or not isinstance(copies, (int, np.integer)) or copies < 0:
            raise ValueError(f"copies are {copies!r}; they must be an integer of at least 0.")
        if copies > MOST_COPIES and not certain(part):
            raise ValueError(f"copies are {shown(Fraction(copies))}; at most {MOST_COPIES:,}.")
    parts = [(part, int(copies)) for part, copies in parts if copies]
    if not parts:
        return PMF.made(Fraction(0), Fraction(1), Exact((1,), 1), Lost(), 0.0, "nothing is added")
    if len(parts) == 1 and parts[0][1] == 1 and method == "auto":
        return parts[0][0]
    origin = sum((part.origin * n for part, n in parts), Fraction(0))
    parts = [pair for pair in parts if not certain(pair[0])] or [(parts[0][0], 1)]
    step, masses = on_one_lattice([part for part, _ in parts], max_points)
    found = sums.summed(
        [(m, n) for m, (_, n) in zip(masses, parts, strict=True)], rtol, method, lost, max_points
    )
    given = float(np.expm1(sum(n * np.log1p(part.error) for part, n in parts)))
    # what is missing of one part is missing anywhere in the sum
    missing = sum(min(n * part.lost.total, 1.0) for part, n in parts) * (1 + 4 * EPS)
    lost_all = Lost(found.lost.below, found.lost.anywhere + missing, found.lost.above)
    return PMF.made(
        origin + step * found.first, step, found.masses, lost_all,
        (1 + given) * (1 + found.error) - 1, found.method,
    )  # fmt: skip


def check_pmf(x: Any) -> None:
    """Raise TypeError unless it is a distribution."""
    if not isinstance(x, PMF):
        raise TypeError(f"{x!r} is no PMF; make one, or add a number with +.")


def certain(x: PMF) -> bool:
    """Return whether it has one value, which adds to a sum as a number does."""
    return len(x) == 1 and not x.lost.total and float(x.scaled.floats()[0]) == 1


def on_one_lattice(parts: Sequence[PMF], max_points: int) -> tuple[Fraction, list[Scaled | Exact]]:
    """Return a common step and the probabilities laid on it, zeros between them."""
    steps = [part.step for part in parts if len(part) > 1] or [parts[0].step]
    step = common_step(steps)
    longest = max(int(part.step / step) * (len(part) - 1) + 1 for part in parts if len(part))
    if longest > max(max_points, max(map(len, parts))):
        named = " and ".join(sorted({shown(each) for each in steps})[:4])
        check_points(
            longest, max_points,
            f"steps of {named} have only {shown(step)} as a common step; a distribution on it",
        )  # fmt: skip
    return step, [
        part.masses if len(part) == 1 else spread(part.masses, int(part.step / step))
        for part in parts
    ]


def spread(masses: Scaled | Exact, apart: int) -> Scaled | Exact:
    """Return probabilities with zeros between them."""
    if apart == 1:
        return masses
    if isinstance(masses, Exact):
        laid = [0] * ((len(masses) - 1) * apart + 1)
        laid[::apart] = masses.numerators
        return Exact(tuple(laid), masses.denominator)
    wide = numbers.zeros((len(masses) - 1) * apart + 1)
    wide.mantissa[::apart], wide.exponent[::apart] = masses.mantissa, masses.exponent
    return wide


def mixture(
    parts: Sequence[tuple[Any, PMF]], *, normalise: bool = False, max_points: int = MOST_POINTS
) -> PMF:
    """Return the distribution of one of several, taken at random.

    Parameters
    ----------
    parts : sequence of (share, PMF)
        Shares of at least 0 that sum to 1; fractions and integers stay exact.
    normalise : bool
        Divide shares by their sum.
    max_points : int

    Examples
    --------
    >>> mixture([(0.75, PMF({0: 1})), (0.25, PMF({1: 0.5, 2: 0.5}))]).probabilities.tolist()
    [0.75, 0.125, 0.125]
    """
    from faltung.distributions.making import checked_shares

    if isinstance(parts, (PMF, Mapping)) or not all(np.ndim(share) == 0 for share, _ in parts):
        raise TypeError("parts are pairs of a share and a PMF: [(0.75, x), (0.25, y)].")
    for _, part in parts:
        check_pmf(part)
    shares = checked_shares([share for share, _ in parts], normalise, "shares")
    given = [(share, part) for share, (_, part) in zip(shares, parts, strict=True) if share]
    least = min(part.origin for _, part in given)
    offsets = [part.origin - least for _, part in given if part.origin != least]
    steps = [part.step for _, part in given if len(part) > 1]
    step = common_step([*steps, *offsets] or [Fraction(1)])
    starts = [int((part.origin - least) / step) for _, part in given]
    sizes = [
        1 if len(part) == 1 else int(part.step / step) * (len(part) - 1) + 1 for _, part in given
    ]
    count = max(start + size for start, size in zip(starts, sizes, strict=True))
    check_points(count, max_points, f"the mixture on the common step {shown(step)}")
    exact = all(part.exact and isinstance(share, (int, Fraction)) for share, part in given)
    laid: list[Any] = []
    for share, part in given:
        apart = int(part.step / step) if len(part) > 1 else 1
        laid.append((share, spread(part.masses if exact else part.scaled, apart)))
    masses: Scaled | Exact
    if exact:
        sums_ = [Fraction(0)] * count
        for (share, one), start in zip(laid, starts, strict=True):
            for n, p in enumerate(one.fractions()):
                sums_[start + n] += share * p
        masses = over_one(sums_)
    else:
        masses = numbers.zeros(count)
        for (share, one), start in zip(laid, starts, strict=True):
            at = slice(start, start + len(one))
            added = numbers.add(masses[at], one.times(float(share)))
            masses.mantissa[at], masses.exponent[at] = added.mantissa, added.exponent
    lost = Lost(anywhere=sum(float(s) * part.lost.total for s, part in given) * (1 + 4 * EPS))
    error = 0.0 if exact else max(part.error for _, part in given) + (len(given) + 2) * EPS
    return PMF.made(least, step, masses, lost, error, "mixture")
