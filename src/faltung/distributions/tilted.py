"""Sums of many or long parts: tilted Fourier transforms, joined so that every tail is right.

A transform's noise is about 1e-16 of the highest probability, everywhere, so that a plain one says
nothing of tails below that. Under a tilt the wanted part of the sum is the highest, and its
noise, which is bounded here from the very spectrum, falls with it when the tilt is taken back.
Several tilts are joined until every point is within the tolerance. What a circular transform lays
over its window from outside is bounded by Chernoff (see :mod:`faltung.distributions.cumulant`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.cumulant import Part, Sum
from faltung.distributions.lattice import BYTES_A_POINT
from faltung.distributions.scaled import EPS, LONG, NOTHING, Scaled, scaled, shifted, zeros
from faltung.fourier import STAGE, smooth

Array = NDArray[Any]

MOST_TILTS = 2000
MOST_WORK = 1 << 29  # samples of all transforms together: a minute or so
ALIASED = 100.0  # bits below 1 of what lies outside a circular window
WHOLE = 1 << 16  # a support of fewer points is transformed whole
NEGLIGIBLE = 90.0  # minus logarithms of spectra that are taken for 0
REFINED = 100_000_000  # products at most, for spectra in long double
MOST_LAID = 1 << 20  # points of which it is asked whether they are sums at all
DIRECT = 200_000_000  # products at most, for points that no tilt reaches


@dataclass(frozen=True, eq=False)
class Window:
    """Some probabilities of a sum.

    Parameters
    ----------
    first : int
        Index of the first one, from the sum of the parts' first points.
    masses : Scaled
    below, inside, above : float
        What may be missing: before the first, at points that no tilt shows within the tolerance,
        after the last. Those points have a lower bound of their probability.
    error : float
        Bound on the relative error of all others.
    tilts : int
        How many transforms were joined.
    length : int
        Samples of the longest transform.
    """

    first: int
    masses: Scaled
    below: float
    inside: float
    above: float
    error: float
    tilts: int
    length: int


@dataclass(frozen=True, eq=False)
class Tilted:
    """A sum under one tilt, around ``start``: ``2**(power - tilt * t)`` takes the tilt back."""

    start: int
    values: Array
    noise: float
    tilt: float
    power: np.longdouble
    mean: float
    error: float


def window(total: Sum, rtol: float, lost: float, most: int) -> Window:
    """Return the probabilities of a sum of which at most ``lost`` is cut off.

    Parameters
    ----------
    total : Sum
    rtol : float
        Wanted relative error of every probability.
    lost : float
        The mass that may be cut off at the two ends together.
    most : int
        Points at most.

    Raises
    ------
    ValueError
        Where the window has more points, or no tilt is exact enough.
    """
    bits = -np.log2(lost) + 1 if lost else 1 << 40
    high, above = total.edge(bits, 1)
    low, below = total.edge(bits, -1)
    low, high = low + 1, high - 1  # the tails' ends are not in the window
    count = high - low + 1
    if count > most:
        raise ValueError(
            f"the sum has {count:,} points down to a lost mass of {lost:.3g}, about "
            f"{count * BYTES_A_POINT:,} bytes at work, and {most:,} points are allowed; allow more "
            "with max_points=, cut off more with lost=, or use a coarser step."
        )
    whole = zeros(count)
    done = impossible(total, low, high)
    inside, worst, tilts, length, work = 0.0, 0.0, 0, 0, 0
    targets = [float(np.clip(total.cumulant(0.0)[1], low, high))]
    reach, probed = 0.0, False
    while not done.all():
        if tilts == MOST_TILTS or work > MOST_WORK:
            raise ValueError(
                f"{tilts} transforms of up to {length:,} points do not reach every point within "
                f"rtol={rtol:g}; allow a larger rtol=, cut off more with lost=, or use a coarser "
                "step."
            )
        if targets:
            target, asked = targets.pop(), None
        else:
            asked = nearest_gap(done, -low)
            side = 1 if asked >= -low else -1
            target = asked + low + side * reach
            target = float(np.clip(target, low, high))
        found = under_tilt(total, total.tilt_to(target), most)
        tilts, length = tilts + 1, max(length, len(found.values))
        work += len(found.values)
        least = max(found.error, found.noise / float(found.values.max()))  # at the very peak
        if least > rtol / 2:
            raise ValueError(
                f"no transform promises rtol={rtol:g} for this sum; "
                f"rtol={100 * least:.0e} would do."
            )
        worst = max(worst, found.error)
        fresh, width = lay(whole, done, found, low, rtol)
        if asked is None or done[asked]:
            reach = 0.8 * width if fresh else reach
            continue
        if reach:
            reach = 0.0  # aim at the very point next
            continue
        if not probed and not (done[asked:] if asked >= -low else done[: asked + 1]).any():
            probed, targets = True, probes(asked + low, low, high)
            continue
        probed = False
        inside += leave(whole, done, found, low, asked, total)
    return Window(
        low - total.first, whole, upward(below), upward_float(inside), upward(above),
        rtol / 2 + worst, tilts, length,
    )  # fmt: skip


def impossible(total: Sum, low: int, high: int) -> NDArray[np.bool_]:
    """Return which points of a window are no sum at all, as 1 is none of {0, 3, 5}.

    Those are 0 for certain, and no tilt needs to look for them. Of windows that are far from the
    least sum, or of parts without gaps, none is told.
    """
    none = np.zeros(high - low + 1, bool)
    size = high - total.first + 1
    if size > MOST_LAID or all((part.masses.mantissa > 0).all() for part in total.parts):
        return none
    whole = np.ones(1)
    for part in total.parts:
        sums, left = (part.masses.mantissa[:size] > 0).astype(float), part.copies
        while left:
            whole = reached(whole, sums, size) if left & 1 else whole
            left >>= 1
            more = reached(sums, sums, size) if left else sums
            if left and len(more) == len(sums) and (more == sums).all():  # for good: 0 is in it
                whole, left = reached(whole, sums, size), 0
            sums = more
    none[:] = True
    within = whole[low - total.first :] > 0
    none[: len(within)] = ~within
    return none


def reached(a: Array, b: Array, size: int) -> Array:
    """Return 1 where a sum of two of these points lies, of the first ``size``, and else 0."""
    import faltung

    long, short = (a, b) if len(a) >= len(b) else (b, a)
    # counts, which transforms give to a millionth
    found: Array = (faltung.convolve(long, short, mode="full")[:size] > 0.5).astype(float)
    return found


def probes(point: int, low: int, high: int) -> list[float]:
    """Return points ever farther out to the window's end, the nearest last, to look for others."""
    room = high - point if point >= 0 else point - low
    steps = [2**n for n in range(room.bit_length())] + [room]
    return [float(point + step if point >= 0 else point - step) for step in reversed(steps)]


def upward(bits: float) -> float:
    """Return ``2**bits``, never rounded down to 0."""
    return 0.0 if bits == -np.inf else max(float(np.exp2(bits)) * (1 + 1e-12), 5e-324)


def upward_float(value: float) -> float:
    """Return a bound with room for its rounding."""
    return value * (1 + 1e-9)


def nearest_gap(done: NDArray[np.bool_], centre: int) -> int:
    """Return the open point nearest to the centre."""
    open_ = np.flatnonzero(~done)
    return int(open_[np.abs(open_ - centre).argmin()])


def lay(
    whole: Scaled, done: NDArray[np.bool_], found: Tilted, low: int, rtol: float
) -> tuple[int, float]:
    """Lay what is exact enough of a tilted sum where nothing lies yet.

    Returns
    -------
    fresh : int
        How many points that were.
    width : float
        How far from the tilted mean they reach, on one side.
    """
    start, stop = max(found.start, low), min(found.start + len(found.values), low + len(whole))
    if stop <= start:
        return 0, 0.0
    values = found.values[start - found.start : stop - found.start]
    good = values * (rtol / 2) >= found.noise
    where = np.flatnonzero(good & ~done[start - low : stop - low])
    if not len(where):
        return 0, 0.0
    points = where + start
    laid = untilted(values[where], points, found)
    whole.mantissa[points - low], whole.exponent[points - low] = laid.mantissa, laid.exponent
    done[points - low] = True
    return len(where), float(np.abs(np.flatnonzero(good) + start - found.mean).max())


def untilted(values: Array, points: Array, found: Tilted) -> Scaled:
    """Return values with their tilt taken back."""
    base = int(np.floor(found.power))
    fraction = float(found.power - base)
    shift = -found.tilt * points.astype(float)  # exact: the tilt has few bits
    steps = np.floor(shift)
    return scaled(values * np.exp2(shift - steps + fraction), steps.astype(np.int64) + base)


def leave(
    whole: Scaled, done: NDArray[np.bool_], found: Tilted, low: int, asked: int, total: Sum
) -> float:
    """Settle points that no tilt shows, up to the next that is settled or to the window's end.

    Returns what they may hold.

    Of two parts they are computed by the definition. Of more they get what they have at least,
    and what they may have beyond that is returned: most such points are impossible, as a total of
    1 from {0, 3, 5} is.
    """
    rest = np.flatnonzero(done[asked:]) if asked >= -low else np.flatnonzero(done[: asked + 1])
    if asked >= -low:
        stop = asked + int(rest[0]) if len(rest) else len(done)
        points = np.arange(asked, stop)
    else:
        start = int(rest[-1]) + 1 if len(rest) else 0
        points = np.arange(start, asked + 1)
    done[points] = True
    copies = [part for part in total.parts for _ in range(min(part.copies, 3))]
    if len(copies) == 2 and len(points) * min(len(p.masses) for p in copies) <= DIRECT:
        for point in points.tolist():
            value = by_definition(copies[0], copies[1], point + low)
            whole.mantissa[point], whole.exponent[point] = value.mantissa[0], value.exponent[0]
        return 0.0
    at = points + low - found.start
    there = (at >= 0) & (at < len(found.values))
    values = np.zeros(len(points))
    values[there] = found.values[at[there]]
    least = np.maximum(values - found.noise, 0.0)
    laid = untilted(least, points + low, found)
    whole.mantissa[points], whole.exponent[points] = laid.mantissa, laid.exponent
    unsure = np.maximum(values + found.noise - least, 0.0)
    return max(float(untilted(unsure, points + low, found).floats().sum()), 5e-324)


def by_definition(a: Part, b: Part, point: int) -> Scaled:
    """Return one probability of a sum of two parts, whatever its size."""
    if len(a.masses) > len(b.masses):
        a, b = b, a
    at = point + a.centre + b.centre
    start, stop = max(0, at - len(b.masses) + 1), min(len(a.masses), at + 1)
    left, right = a.masses[start:stop], b.masses[at - stop + 1 : at - start + 1][::-1]
    exponents = left.exponent + right.exponent
    base = int(exponents.max())
    if base <= NOTHING // 2:
        return zeros(1)
    terms = shifted(left.mantissa * right.mantissa, exponents - base)
    return scaled(terms.sum(keepdims=True), base)


def under_tilt(total: Sum, tilt: float, most: int) -> Tilted:
    """Return a sum under one tilt by a circular transform, with a bound on all that is wrong."""
    span = total.last - total.first + 1
    start, length, aliased = total.first, smooth(span), 0.0
    if span > max(WHOLE, 16 * max(len(part.masses) for part in total.parts)):
        high, over = total.edge(ALIASED, 1, tilt)
        low, under = total.edge(ALIASED, -1, tilt)
        if high - low < span:
            start, length = low, smooth(high - low + 1)
            aliased = upward(over) + upward(under)
    if length > 4 * max(most, WHOLE):
        raise ValueError(
            f"the sum needs transforms of {length:,} points, about {length * BYTES_A_POINT:,} "
            f"bytes at work, and {most:,} points are allowed; allow more with max_points=, or use "
            "a coarser step."
        )
    stage = STAGE * max(1.0, float(np.log2(length))) * EPS
    known, error = np.longdouble(0), 8 * EPS
    parts: list[tuple[Array, Array, Part]] = []
    sizes = np.zeros(length // 2 + 1)  # logarithms of bounds of the spectrum's sizes
    for part in total.parts:
        weights, power = tilted_weights(part, tilt)
        factor = part_spectrum(weights, part, length)
        parts.append((weights, factor, part))
        sizes += part.copies * np.log(np.abs(factor) + stage)
        known += part.copies * power
        error += part.copies * LONG * (np.log2(len(weights)) + 8 + abs(float(power)))
    noise = np.exp(np.minimum(sizes, 1))
    spectrum: Array = np.zeros(length // 2 + 1, complex)
    worth = np.flatnonzero(sizes > -NEGLIGIBLE)
    if any(part.copies > 64 for part in total.parts):
        refined = refine(spectrum, noise, parts, length, worth)
    else:
        refined = False
    if not refined:
        multiply(spectrum, noise, parts, stage, worth)
    mean_size = 2 * float(np.abs(spectrum).sum()) / length
    bound = 2 * float(noise.sum()) / length + stage * mean_size + aliased
    from scipy import fft

    values = fft.irfft(spectrum, length)
    values = np.roll(values, -(start % length))[: min(length, span)]
    _, mean = total.cumulant(tilt)
    return Tilted(start, values, bound, tilt, known, mean, float(error))


def tilted_weights(part: Part, tilt: float) -> tuple[Array, np.longdouble]:
    """Return a part's tilted probabilities in long double, and log2 of what divides them."""
    shift = tilt * part.points  # exact: the tilt has few bits
    steps = np.floor(shift)
    exponents = part.masses.exponent + steps.astype(np.int64)
    values = part.masses.mantissa.astype(np.longdouble) * np.exp2(
        (shift - steps).astype(np.longdouble)
    )
    top = int(exponents[part.masses.mantissa > 0].max())
    values = shifted(values, exponents - top)
    total = values.sum()
    return values / total, np.log2(total) + top


def part_spectrum(weights: Array, part: Part, length: int) -> Array:
    """Return the transform of tilted probabilities around their centre."""
    from scipy import fft

    at = (np.arange(len(weights)) - part.centre) % length
    laid = np.bincount(at, weights.astype(float), length)  # those beyond the length come round
    spectrum: Array = fft.rfft(laid)
    return spectrum


def multiply(
    spectrum: Array, noise: Array, parts: list[tuple[Array, Array, Part]], stage: float,
    where: Array,
) -> None:  # fmt: skip
    """Multiply the parts' spectra where that is not negligible, and bound what is wrong."""
    product: Array = np.ones(len(where), complex)
    unsure = np.zeros(len(where))  # relative errors
    for _, factor, part in parts:
        values = factor[where]
        sizes = np.abs(values) + stage
        logs = np.log(sizes)
        unsure += part.copies * (stage / sizes + 4 * EPS * (np.abs(logs) + 4))
        if part.copies > 1:
            values = np.exp(part.copies * np.log(np.where(values == 0, 1e-300, values)))
        product *= values
    spectrum[where] = product
    noise[where] *= np.minimum(np.expm1(np.minimum(unsure, 1)), 2)


def refine(
    spectrum: Array, noise: Array, parts: list[tuple[Array, Array, Part]], length: int,
    where: Array,
) -> bool:  # fmt: skip
    """Compute the frequencies that matter in long double, by their definition.

    A power of n multiplies relative errors by n, and for many copies only few frequencies are
    not negligible. The turns of a frequency are products of two tables, of rows and columns, or
    those of the few points that there are.

    Returns
    -------
    done : bool
        False where that would take too long, or long double is no longer than float64.
    """
    if len(where) * sum(len(weights) for weights, *_ in parts) > REFINED or LONG == EPS:
        return False
    logs = np.zeros(len(where), np.clongdouble)
    unsure = np.zeros(len(where))
    turn = 2 * np.arccos(np.longdouble(-1)) / length

    def turns(points: Array) -> tuple[Array, Array]:
        angles = (np.multiply.outer(points, where) % length).astype(np.longdouble) * turn
        return np.cos(angles), -np.sin(angles)

    for weights, _, part in parts:
        there = np.flatnonzero(weights)
        columns = int(np.ceil(np.sqrt(len(weights))))
        rows = -(-len(weights) // columns)
        if len(there) <= columns + rows:
            real, imaginary = (weights[there] @ one for one in turns(there - part.centre))
            found = real + 1j * imaginary
        else:
            laid = np.zeros(rows * columns, np.longdouble)
            laid[: len(weights)] = weights
            table = laid.reshape(rows, columns)
            real, imaginary = (table @ one for one in turns(np.arange(columns)))
            cosines, sines = turns(np.arange(rows) * columns - part.centre)
            found = (real * cosines - imaginary * sines).sum(axis=0) + 1j * (
                real * sines + imaginary * cosines
            ).sum(axis=0)
        sizes = np.abs(found).astype(float)
        each = (rows + columns + 16) * LONG
        found = np.where(found == 0, np.clongdouble(1e-300), found)
        sizes = np.maximum(sizes, 1e-300)
        unsure += part.copies * (each / sizes + 4 * LONG * (np.abs(np.log(sizes)) + 4))
        logs += part.copies * np.log(found)
    spectrum[where] = np.exp(logs).astype(complex)
    noise[where] *= np.minimum(np.expm1(np.minimum(unsure + 4 * EPS, 1)), 2)
    return True
