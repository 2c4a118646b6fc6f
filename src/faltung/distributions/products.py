"""The convolution of positive numbers of any size, each output within a relative error.

All terms are positive, so that sums in any order have a relative error of about their number of
terms. float64 holds only some of the range: numbers of a wide range are multiplied by ``2**(h j)``
first ("tilted", F. Esscher, 1932), which multiplies the outputs by the same, and under each of a
few tilts another stretch of outputs is large. What is dropped there is too small to tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.cumulant import few_bits, search
from faltung.distributions.scaled import (
    EPS,
    NOTHING,
    SPAN,
    Scaled,
    add,
    runs,
    scaled,
    shifted,
    zeros,
)

Array = NDArray[Any]

FEW = 4  # pairs of pieces that are cheaper than tilts
DROPPED = -500  # bits below the greatest: products of what stays are normal
SHOWN = -420  # bits: what is dropped is 2**-76 of these for each term, at most
OUTLINE = 4096  # points by which a tilt is found, and at each end
ENDS = 512


def convolve(a: Scaled, b: Scaled) -> tuple[Scaled, float]:
    """Return the full convolution and a bound on its relative error, for numbers of any range.

    Everything is summed by plans of :mod:`faltung` as float64: of the whole where its range is
    small, else under tilts, or of pieces where no tilt shows some output.
    """
    if len(a) < len(b):
        a, b = b, a
    left, right = pieces(a), pieces(b)
    found = None
    if len(left) * len(right) > FEW:
        found = under_tilts(a, b)
    return by_pieces(left, right, len(a) + len(b) - 1) if found is None else found


def product(x: Array, y: Array) -> tuple[Array, float]:
    """Return the convolution of numbers that are not negative, and its relative error."""
    import faltung

    long, short = (x, y) if len(x) >= len(y) else (y, x)
    plan = faltung.plan(len(long), long.dtype, short, mode="full", nonnegative=True)
    return plan(long), plan.error_bound


def under_tilts(a: Scaled, b: Scaled) -> tuple[Scaled, float] | None:
    """Return the convolution under tilts, or None where an output is small under all of them."""
    outlines = outline(a), outline(b)
    whole = zeros(len(a) + len(b) - 1)
    open_ = possible(a, b)
    centre = mean(outlines, 0.0)
    bound, reach, target, asked = EPS, 0.0, centre, -1
    while True:
        tilt = tilt_to(outlines, target)
        start, values, base, error = tilted(a, b, tilt)
        good = values >= 2.0**SHOWN
        fresh = np.flatnonzero(good & open_[start : start + len(values)]) + start
        back = untilted(values[fresh - start], fresh, tilt, base)
        whole.mantissa[fresh], whole.exponent[fresh] = back.mantissa, back.exponent
        open_[fresh] = False
        bound = max(bound, error)
        left_open = np.flatnonzero(open_)
        if not len(left_open):
            return whole, bound
        if asked >= 0 and open_[asked]:
            if not reach:
                return None
            reach = 0.0  # aim at the very point next
        else:
            shown = np.flatnonzero(good) + start - mean(outlines, tilt)
            reach = 0.8 * float(np.abs(shown).max())
        asked = int(left_open[np.abs(left_open - centre).argmin()])
        target = asked + (reach if asked >= centre else -reach)


def outline(values: Scaled) -> tuple[Array, Array]:
    """Return places and logarithms of numbers that are enough to find a tilt by: few maxima."""
    logs = values.log2()
    count = len(logs)
    apart = -(-count // OUTLINE)
    blocks = -(-count // apart)
    laid = np.pad(logs, (0, blocks * apart - count), constant_values=-np.inf)
    highest = np.arange(blocks) * apart + laid.reshape(blocks, apart).argmax(axis=1)
    ends = np.r_[: min(ENDS, count), max(0, count - ENDS) : count]  # as steep as may be
    places = np.union1d(highest, ends)
    places = places[np.isfinite(logs[places])]
    return places.astype(float), logs[places]


def mean(outlines: tuple[tuple[Array, Array], ...], tilt: float) -> float:
    """Return about the mean output under a tilt."""
    found = 0.0
    for places, logs in outlines:
        powers = logs + tilt * places
        weights = np.exp2(powers - powers.max())
        found += float((weights * places).sum() / weights.sum())
    return found


def tilt_to(outlines: tuple[tuple[Array, Array], ...], target: float) -> float:
    """Return a tilt of few bits under which the mean output is about the target."""
    sign = 1.0 if target > mean(outlines, 0.0) else -1.0
    return few_bits(sign * search(lambda size: sign * (mean(outlines, sign * size) - target) >= 0))


def possible(a: Scaled, b: Scaled) -> NDArray[np.bool_]:
    """Return which outputs have a term that is not 0."""
    import faltung

    left, right = ((each.mantissa > 0).astype(np.int64) for each in (a, b))
    if left.all() and right.all():
        return np.ones(len(a) + len(b) - 1, bool)
    found: NDArray[np.bool_] = faltung.convolve(left, right, mode="full") > 0
    return found


def tilted(a: Scaled, b: Scaled, tilt: float) -> tuple[int, Array, int, float]:
    """Return outputs under a tilt from ``start`` on, over ``2**base``, and their relative error."""
    start, base, found = 0, 0, []
    for values in (a, b):
        power = tilt * np.arange(len(values))  # exact: the tilt has few bits
        steps = np.floor(power)
        exponents = values.exponent + steps.astype(np.int64)
        mantissas = values.mantissa * np.exp2(power - steps)
        top = int(exponents[values.mantissa > 0].max())
        kept = np.flatnonzero((exponents - top > DROPPED) & (values.mantissa > 0))
        some = slice(int(kept[0]), int(kept[-1]) + 1)
        scale = exponents[some] - top
        found.append(np.where(scale > DROPPED, shifted(mantissas[some], scale), 0.0))
        start, base = start + some.start, base + top
    summed, error = product(found[0], found[1])
    dropped = min(len(a), len(b)) * 2.0 ** (DROPPED + 4 - SHOWN)
    return start, summed, base, error + 16 * EPS + dropped


def untilted(values: Array, points: Array, tilt: float, base: int) -> Scaled:
    """Return outputs with their tilt taken back."""
    power = -tilt * points
    steps = np.floor(power)
    return scaled(values * np.exp2(power - steps), steps.astype(np.int64) + base)


def pieces(values: Scaled) -> list[tuple[int, Array, int]]:
    """Return ``(start, float64 numbers, base)`` that add up to the values, each of a narrow range.

    Stretches where that takes few of them; else all numbers of one size together, the others 0.
    """
    there = values.mantissa > 0
    if not there.any():
        return []
    bands = np.where(there, values.exponent // SPAN, NOTHING)
    kinds = np.unique(bands[there])
    stretches = []
    for start, stop in runs(values.filled, SPAN):
        stretches.append((start, stop))
        if len(stretches) > 64 + 4 * len(kinds):
            break
    else:
        found = []
        for start, stop in stretches:
            base = int(values.filled[start:stop].max())
            found.append((start, values[start:stop].floats(base), base))
        return found
    found = []
    for kind in kinds:
        where = np.flatnonzero(bands == kind)
        start, stop = int(where[0]), int(where[-1]) + 1
        base = int(kind) * SPAN + SPAN
        part = np.where(bands[start:stop] == kind, values[start:stop].floats(base), 0.0)
        found.append((start, part, base))
    return found


def by_pieces(
    left: list[tuple[int, Array, int]], right: list[tuple[int, Array, int]], size: int
) -> tuple[Scaled, float]:
    """Return the convolution as the sum of those of all pairs of pieces."""
    bound = EPS
    whole = zeros(size)
    for s, x, x_base in left:
        for t, y, y_base in right:
            values, error = product(x, y)
            bound = max(bound, error + (len(left) * len(right) + 2) * EPS)
            part = scaled(values, x_base + y_base)
            if len(left) == len(right) == 1 and len(values) == size:
                return part, bound
            at = slice(s + t, s + t + len(values))
            summed = add(whole[at], part)
            whole.mantissa[at], whole.exponent[at] = summed.mantissa, summed.exponent
    return whole, bound
