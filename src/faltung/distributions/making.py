"""Distributions from what users have: tables, arrays, SciPy's, samples; and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.distributions.exact import Exact, over_one
from faltung.distributions.lattice import (
    BYTES_A_POINT,
    MOST_POINTS,
    common_step,
    number,
    positive,
    short,
    shown,
)
from faltung.distributions.scaled import EPS, Scaled, from_log2, scaled, zeros
from faltung.distributions.sums import Lost

if TYPE_CHECKING:
    from faltung.distributions.pmf import PMF

SLACK = 1 + 1e-9  # for the rounding of bounds
NOISE = 1e-14  # of SciPy's sf and cdf
SINGLE = 1 << 12  # points beyond an end that are summed one by one
FARTHEST = 40  # octaves of points beyond an end that are summed in blocks
SHORT = 1e-9  # what probabilities may miss of 1, which is taken for rounding


@dataclass(frozen=True)
class Made:
    """The fields of a distribution."""

    origin: Fraction
    step: Fraction
    masses: Scaled | Exact
    lost: Lost
    error: float
    method: str


def checked_shares(values: Sequence[Any], normalise: bool, what: str) -> list[Any]:
    """Return numbers of at least 0 that sum to 1, exact where all of them are.

    >>> checked_shares([1, 3], True, "shares")
    [Fraction(1, 4), Fraction(3, 4)]
    """
    if len(values) == 0:
        raise ValueError(f"there are no {what}; give at least one.")
    items = [value.item() if isinstance(value, np.generic) else value for value in values]
    for n, value in enumerate(items):
        if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
            raise TypeError(f"{what}[{n}] is {value!r}; they must be numbers.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{what}[{n}] is {value!r}; they must be finite.")
        if value < 0:
            raise ValueError(f"{what}[{n}] is {float(value):g}; none may be negative.")
    exact = not any(isinstance(value, float) for value in items)
    total: Any = sum(map(Fraction, items)) if exact else math.fsum(items)
    if total == 0:
        raise ValueError(f"all {what} are 0; at least one must be positive.")
    if not normalise and (total != 1 if exact else abs(total - 1) > SHORT):
        told = shown(total) if exact else f"{total:.12g}"
        raise ValueError(
            f"{what} sum to {told}, which is {float(total - 1):+.3g} off 1; give all of them, or "
            "normalise=True to divide by the sum."
        )
    if exact:
        return [Fraction(value) / total for value in items]
    return items if total == 1 else [float(value) / total for value in items]


def from_array(values: Any, origin: Fraction, step: Fraction, normalise: bool) -> Made:
    """Return a distribution of probabilities from the first value on."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError("probabilities are a masked array; give those that count as a mapping.")
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(
            f"probabilities have shape {array.shape}; they must be one list of numbers."
        )
    if array.dtype.kind not in "iufO" and array.size:
        raise TypeError(f"probabilities are {array.dtype}; they must be numbers.")
    if array.dtype.kind == "f" and array.size:
        return of_floats(array.astype(float), origin, step, normalise)
    shares = checked_shares(list(array.tolist()), normalise, "probabilities")
    return of_shares(shares, origin, step)


def of_floats(array: Any, origin: Fraction, step: Fraction, normalise: bool) -> Made:
    """Return a distribution of float64 probabilities."""
    bad = ~np.isfinite(array) | (array < 0)
    if bad.any():
        at = int(bad.argmax())
        checked_shares(array[: at + 1].tolist(), True, "probabilities")  # raises
    power = math.frexp(float(array.max(initial=0)))[1]  # sums neither overflow nor vanish
    total = math.fsum(np.ldexp(array, -power))
    checked_shares([over(total, power)], normalise, "probabilities")
    there = np.flatnonzero(array)
    masses = scaled(array[there[0] : there[-1] + 1])
    if total != 1 or power:
        masses = scaled(masses.mantissa / total, masses.exponent - power)
    return Made(origin + step * int(there[0]), step, masses, Lost(), 2 * EPS, "given")


def over(value: float, power: int) -> float:
    """Return ``value * 2**power``, at most the greatest float."""
    return math.ldexp(value, power) if power < 1000 else float(np.finfo(float).max)


def of_shares_array(array: Any, origin: Fraction, step: Fraction) -> Made:
    """Return a distribution of checked float64 probabilities."""
    there = np.flatnonzero(array)
    first, last = int(there[0]), int(there[-1])
    return Made(origin + step * first, step, scaled(array[first : last + 1]), Lost(), 2 * EPS,
                "given")  # fmt: skip


def of_shares(shares: Sequence[Any], origin: Fraction, step: Fraction) -> Made:
    """Return a distribution of checked numbers, exact where they are fractions."""
    if any(isinstance(share, float) for share in shares):
        return of_shares_array(np.array([float(s) for s in shares]), origin, step)
    there = [n for n, share in enumerate(shares) if share]
    kept = over_one(shares[there[0] : there[-1] + 1])
    return Made(origin + step * there[0], step, kept, Lost(), 0.0, "given")


def from_mapping(table: Mapping[Any, Any], normalise: bool) -> Made:
    """Return a distribution of values and their probabilities, on their common lattice."""
    shares = checked_shares(list(table.values()), normalise, "probabilities")
    return on_lattice([number(value, "a value") for value in table], shares)


def on_lattice(values: Sequence[Fraction], shares: Sequence[Any]) -> Made:
    """Return a distribution of values with shares."""
    least, step, at, count = places(values)
    laid: list[Any] = [Fraction(0)] * count
    for place, share in zip(at, shares, strict=True):
        laid[place] = share
    return of_shares(laid, least, step)


def places(values: Sequence[Fraction]) -> tuple[Fraction, Fraction, list[int], int]:
    """Return the lattice of values: the least, the step, where each lies, and how many points."""
    if len(set(values)) < len(values):
        twice = next(shown(v) for v in values if values.count(v) > 1)
        raise ValueError(f"the value {twice} stands there twice; give each once.")
    least = min(values)
    apart = [value - least for value in values if value != least]
    step = common_step(apart) if apart else Fraction(1)
    count = int((max(values) - least) / step) + 1
    if count > MOST_POINTS:
        raise ValueError(
            f"the values from {shown(least)} to {shown(max(values))} have only {shown(step)} as a "
            f"common step, which makes {short(count)} points, {short(count * BYTES_A_POINT)} bytes "
            f"at work, and {MOST_POINTS:,} points are allowed; round the values to a coarser step."
        )
    return least, step, [int((value - least) / step) for value in values], count


def of_scaled(values: Sequence[Fraction], masses: Scaled, normalise: bool) -> Made:
    """Return a distribution of values with probabilities of any size, which none may lack."""
    total = math.fsum(masses.floats())
    checked_shares([total], normalise, "probabilities")
    least, step, at, count = places(values)
    laid = zeros(count)
    if total != 1:
        masses = scaled(masses.mantissa / total, masses.exponent)
    laid.mantissa[at], laid.exponent[at] = masses.mantissa, masses.exponent
    return Made(least, step, laid, Lost(), 3 * EPS, "given")


def from_samples(samples: Any, step: Any) -> PMF:
    """Return the shares of values in samples."""
    from faltung.distributions.pmf import PMF

    if isinstance(samples, np.ma.MaskedArray):
        raise TypeError("samples are a masked array; give samples.compressed().")
    array = np.asarray(samples)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iuf":
        raise ValueError(
            f"samples are {array.dtype} of shape {array.shape}; they must be a list of numbers, "
            "at least one."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"{bad} of {array.size} samples are NaN or infinite; leave them out.")
    if step is not None:
        apart = positive(step, "step")
        with np.errstate(over="ignore"):
            steps = np.rint(array / float(apart))
        if np.abs(steps).max() >= 2.0**53:
            raise ValueError(
                f"samples of up to {np.abs(array).max():.3g} are more than 2**53 steps of "
                f"{shown(apart)}, of which floats are no multiples any more; give a coarser step="
            )
        array = steps.astype(np.int64)
    values, counts = np.unique(array, return_counts=True)
    points = [number(value, "a sample") for value in values]
    if step is not None:
        points = [point * apart for point in points]
    try:
        made = on_lattice(points, [Fraction(int(n), int(array.size)) for n in counts])
    except ValueError as error:
        raise ValueError(f"samples: {error} step= rounds them to a lattice.") from None
    return PMF.made(made.origin, made.step, made.masses, made.lost, made.error, "samples")


def from_scipy(frozen: Any, mass: float, max_points: int) -> PMF:
    """Return a frozen distribution of scipy.stats, with its tails cut off at a mass."""
    from faltung.distributions.pmf import PMF

    check_mass(mass)
    try:
        frozen.pmf  # noqa: B018  (continuous ones have none)
        first, last, centre = (np.asarray(each) for each in (*frozen.support(), frozen.median()))
    except (AttributeError, TypeError):
        raise TypeError(
            f"{type(frozen).__name__} is no frozen discrete distribution of scipy.stats, such as "
            "stats.poisson(50); for a continuous one use Density.from_scipy."
        ) from None
    if first.ndim or last.ndim or centre.ndim:
        raise ValueError(
            f"this is {max(first.size, last.size, centre.size)} distributions; give one, with "
            "numbers as its parameters."
        )
    if not np.isfinite(centre):
        raise ValueError(f"SciPy says that its median is {centre}; are its parameters allowed?")
    if any(np.isfinite(each) and each != np.rint(each) for each in (first, last, centre)):
        raise ValueError(
            f"its values from {first} to {last} are no integers; take one of integers, and add or "
            "multiply afterwards, as in PMF.from_scipy(stats.poisson(3)) + 0.5."
        )
    middle = int(centre)
    high = end_of_tail(frozen, middle, float(last), mass, 1, max_points)
    low = end_of_tail(frozen, middle, float(first), mass, -1, max_points)
    points = np.arange(low, high + 1)
    with np.errstate(all="ignore"):
        values = np.asarray(frozen.pmf(points), float)
        masses = scaled(np.where(np.isfinite(values), np.maximum(values, 0), 0))
        if hasattr(frozen, "logpmf") and (values < 1e-290).any():
            logs = np.asarray(frozen.logpmf(points), float) / np.log(2)
            tiny = from_log2(np.where(np.isnan(logs), -np.inf, logs))
            small = values < 1e-290
            masses = Scaled(
                np.where(small, tiny.mantissa, masses.mantissa),
                np.where(small, tiny.exponent, masses.exponent),
            )
    above = lost_beyond(frozen, high, float(last), 1)
    below = lost_beyond(frozen, low, float(first), -1)
    total = math.fsum(masses.floats())
    off = max(total - 1, 1 - (above + below) * SLACK - total, 0.0)
    if not off < 1e-6:
        raise ValueError(
            f"the probabilities from {low} to {high} sum to {total:.12g}, and at most "
            f"{above + below:.3g} is cut off; SciPy's numbers are wrong there."
        )
    return PMF.made(
        Fraction(low), Fraction(1), masses, Lost(below, 0.0, above),
        max(4 * EPS, 2 * off), "scipy.stats",
    )  # fmt: skip


def check_mass(mass: Any) -> None:
    """Raise ValueError unless a mass may be cut off."""
    if not isinstance(mass, (int, float, np.number)) or not 0 < mass < 1:
        raise ValueError(f"mass is {mass!r}; it must be a number more than 0 and less than 1.")


def end_of_tail(frozen: Any, middle: int, end: float, mass: float, sign: int, most: int) -> int:
    """Return the first point from the middle beyond which at most ``mass`` lies."""
    near, far = 0, 1
    while lost_beyond(frozen, middle + sign * far, end, sign) > mass:
        near, far = far, far * 2
        if far > most:
            left = lost_beyond(frozen, middle + sign * near, end, sign)
            raise ValueError(
                f"the support is too long: beyond {near:,} points from the median {left:.3g} is "
                f"left, and mass={mass:g}; a window of {most:,} points takes "
                f"about {most * BYTES_A_POINT:,} bytes. Give a larger mass=, or allow "
                "more with max_points=."
            )
    while far - near > 1:
        half = (near + far) // 2
        if lost_beyond(frozen, middle + sign * half, end, sign) > mass:
            near = half
        else:
            far = half
    reached = middle + sign * far
    return int(min(reached, end) if sign > 0 else max(reached, end))


def lost_beyond(frozen: Any, point: int, end: float, sign: int) -> float:
    """Return a bound on the mass beyond a point, as far as SciPy's probabilities are right.

    They are summed, point by point and farther out in blocks, in which they are taken to fall; so
    no ratio of them need be. SciPy's sf and cdf, of which some are 1 less the other and so noise
    below 1e-16, count where they are more, or say it closer.
    """
    if (point >= end) if sign > 0 else (point <= end):
        return 0.0
    with np.errstate(all="ignore"):
        told = float(frozen.sf(point) if sign > 0 else frozen.cdf(point - 1))
    added = added_up(frozen, point, end, sign)
    if not told <= NOISE + added * SLACK:  # probabilities do not fall there
        return min(told * SLACK + NOISE, 1.0) if told == told else 1.0
    return max(min(added * SLACK, told * SLACK + NOISE, 1.0), 5e-324)


def added_up(frozen: Any, point: int, end: float, sign: int) -> float:
    """Return the sum of probabilities beyond a point, of distant ones block by block."""
    steps = np.arange(1, SINGLE)
    if abs(end - point) >= SINGLE:
        distant = np.rint(SINGLE * 2.0 ** (np.arange(16 * (FARTHEST - 12) + 1) / 16))
        steps = np.concatenate([steps, distant.astype(np.int64)])
    steps = steps[: np.searchsorted(steps, abs(end - point), side="right")]
    widths = np.diff(steps, append=steps[-1] + 1)
    with np.errstate(all="ignore"):
        logs = np.asarray(frozen.logpmf(point + sign * steps), float)
        masses = np.exp(logs + np.log(widths))
    if np.isnan(masses).any():
        return math.inf
    rest = 0.0
    if steps[-1] >= 2.0**FARTHEST:  # octave by octave the masses fall as these do, or faster
        before, last = (float(masses[at].sum()) for at in (slice(-33, -17), slice(-17, -1)))
        rest = math.inf if last >= before > 0 else last * last / (before - last) if before else 0.0
    return float(masses.sum()) + rest
