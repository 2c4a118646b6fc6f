"""A long smooth kernel along one axis as three short ones: decimate, smooth, interpolate.

With a window ``h`` of ``T * M`` taps and a coarse kernel ``c`` ::

    d[b] = sum_j h[j] x[b M + j]            blur and decimate by M
    e[a] = sum_l c[l] d[a + l]              smooth on the coarse grid
    y[q M + r] = sum_u M h[r + u M] e[q - u]     interpolate

so that output phase ``r`` is a correlation of ``x`` with taps ``K_r`` of its own. ``h`` is a Kaiser
window (Kaiser, 1974), whose spectrum falls steeply where decimation folds it back; that blur and
its twin at the end are divided out of the coarse kernel, as in gridding (Jackson et al., 1991): it
is the least-squares fit of all ``K_r`` to the wanted taps. The bound does not rest on any of this.
It is the sum of ``|K_r - k|`` over all offsets, computed for each phase from the rounded numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from faltung.dtypes import Array
from faltung.remember import digest, remembered

WINDOWS = (4, 5, 6, 8, 10, 12)  # T: windows that overlap; each adds about a digit
FACTORS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48)  # M
COARSE = 600  # taps of the coarse kernel: with more of them, larger factors do as well


@dataclass(frozen=True, eq=False)
class Stages:
    """The three stages along one axis, in the precision that they are computed in.

    Attributes
    ----------
    factor, windows : int
        ``M`` and ``T``.
    down : ndarray
        ``h`` in rows of ``M``: one for each window.
    coarse : ndarray
        ``c``; the first stands at offset ``lead``, which may be negative.
    up : ndarray
        The interpolation's weights: a row of ``T`` for each phase.
    error : float
        The greatest sum of ``|K_r - k|``, for taps ``k`` that sum to 1.
    gain : float
        How far the three stages can make a sample grow: the sums of their magnitudes.
    """

    factor: int
    windows: int
    down: Array
    coarse: Array
    lead: int
    up: Array
    error: float
    gain: float

    @property
    def roundings(self) -> int:
        """Length of the longest chain of roundings, products counted in."""
        return self.factor + 3 * self.windows + self.coarse.size

    @property
    def before(self) -> int:
        """How far the first decimated sample's window reaches back behind the kernel's."""
        return (self.windows - 1 - self.lead) * self.factor

    def runs(self, count: int) -> int:
        """Return the runs of phases that cover so many outputs."""
        return -(-count // self.factor)

    def smoothed(self, count: int) -> int:
        """Return the coarse samples that their interpolation needs."""
        return self.runs(count) + self.windows - 1

    def decimated(self, count: int) -> int:
        """Return the decimated samples that these need."""
        return self.smoothed(count) + self.coarse.size - 1

    def samples(self, count: int) -> int:
        """Return the input samples that these need."""
        return (self.decimated(count) - 1 + self.windows) * self.factor

    @cached_property
    def along_rows(self) -> Array:
        """The coarse kernel as one for the direct pipelines, along the rows' axis."""
        return self.coarse.reshape(1, -1, 1)

    @cached_property
    def along_columns(self) -> Array:
        """The coarse kernel as one along the columns' axis."""
        return self.coarse.reshape(1, 1, -1)

    def scaled(self, factor: float) -> Stages:
        """Return the same stages for taps that sum to ``factor``."""
        return self if factor == 1 else replace(self, up=(self.up * factor).astype(self.up.dtype))

    @property
    def work(self) -> float:
        """Time for each sample where two axes are alike, in multiply-adds; from measurements.

        The numbers are traffic to and from memory, the windows over the input, and the arrays of
        ``1 / M`` of the input's size that lie between the axes.
        """
        t, m = self.windows, self.factor
        return 22 + 2.2 * t + 85 / m + 2 * self.coarse.size / m**2


def window(count: int, factor: int, ratio: float) -> Array:
    """Return the Kaiser window of ``count * factor`` taps for a Gaussian of ``ratio * factor``.

    Its first zero lies where the Gaussian's spectrum, folded back, begins to matter; the numbers
    were found by trying.
    """
    n = count * factor
    at = (2 * np.arange(n) + 1 - n) / n
    edge = (0.27 + 0.055 * count) / ratio
    shape = math.pi * count * max(0.5, 1 - edge)
    taps = np.i0(shape * np.sqrt(1 - at * at))
    return np.asarray(taps / taps.sum())


def fit(taps: Array, h: Array, count: int, factor: int, budget: float) -> tuple[Array, int]:
    """Return the coarse kernel that fits all phases best in the mean square, and its lead."""
    own = np.convolve(h, h[::-1])  # the window's autocorrelation, centred at len(h) - 1
    centre = h.size - 1
    sides = own[centre % factor :: factor]  # at multiples of the factor
    gram = np.convolve(sides, sides)[2 * (centre // factor) :]
    wanted = np.convolve(taps, own)
    lead = -count
    at = np.arange(lead, taps.size // factor + count + 1) * factor + centre
    valid = (at >= 0) & (at < wanted.size)
    right = np.where(valid, wanted[np.clip(at, 0, wanted.size - 1)], 0)
    gram = np.pad(gram, (0, max(0, at.size - gram.size)))[: at.size]
    # what the windows can hardly carry stays out: it would only make the coarse taps large
    gram[0] *= 1 + max(1e-15, (1e-3 * budget) ** 2)
    from scipy.linalg import solve_toeplitz  # only here: it takes longer to load than the rest

    coarse = solve_toeplitz(gram, right)
    small = np.abs(coarse) < 1e-3 * budget * np.abs(coarse).sum() / coarse.size
    keep = np.flatnonzero(~small)
    # no tap may lie outside what is read, or a NaN there would not be seen
    first = min(int(keep[0]), 2 * count - 1)
    stop = max(int(keep[-1]) + 1, -(-taps.size // factor) + 2)
    return coarse[first:stop] / factor, lead + first


def phases(stages: Stages) -> Iterator[tuple[Array, int]]:
    """Yield the taps ``K_r`` of every phase, and the offset of the first from output 0."""
    m, t = stages.factor, stages.windows
    spread = np.zeros((stages.coarse.size - 1) * m + 1)
    spread[::m] = stages.coarse
    both = np.convolve(spread, stages.down.ravel().astype(float))
    for r in range(m):
        taps = np.zeros(both.size + (t - 1) * m)
        for u in range(t):
            taps[u * m : u * m + both.size] += float(stages.up[r, u]) * both
        yield taps, -stages.before


def distance(stages: Stages, taps: Array) -> float:
    """Return the greatest sum of ``|K_r - k|`` over the phases."""
    worst = 0.0
    for r, (found, lead) in enumerate(phases(stages)):
        first = min(lead, r)
        difference = np.zeros(max(lead + found.size, r + taps.size) - first)
        difference[lead - first : lead - first + found.size] += found
        difference[r - first : r - first + taps.size] -= taps
        worst = max(worst, float(np.abs(difference).sum()))
    return worst


def design(
    taps: Array, sigma: float, factor: int, count: int, dtype: str, budget: float
) -> Stages | None:
    """Return the stages for normalised taps with a given factor and number of windows."""
    h = window(count, factor, sigma / factor)
    try:
        coarse, lead = fit(taps, h, count, factor, budget)
    except np.linalg.LinAlgError:
        return None
    down = h.astype(dtype).reshape(count, factor)
    # weight [r, t] is the window at r + (count - 1 - t) * factor
    up = np.ascontiguousarray((h * factor).astype(dtype).reshape(count, factor)[::-1].T)
    coarse = coarse.astype(dtype)
    magnitudes = [np.abs(part.astype(float)) for part in (down, coarse, up)]
    gain = float(magnitudes[0].sum() * magnitudes[1].sum() * magnitudes[2].sum(1).max())
    stages = Stages(factor, count, down, coarse, lead, up, 0.0, gain)
    return replace(stages, error=distance(stages, taps))


def rounding(stages: tuple[Stages, ...], dtype: str) -> float:
    """Bound the roundings of stages one behind the other (Higham, 2002, lemma 3.1)."""
    n = sum(s.roundings for s in stages) + 4
    unit = float(np.finfo(dtype).eps) / 2
    if n * unit >= 0.5:
        return math.inf
    return n * unit / (1 - n * unit) * math.prod(s.gain for s in stages)


@remembered(64, name=digest)
def best(data: bytes, sigma: float, dtype: str, budget: float) -> Stages | None:
    """Return the cheapest stages whose error stays within a budget; None where there are none.

    ``data`` holds the taps, normalised, as float64.
    """
    taps = np.frombuffer(data)
    chosen: Stages | None = None
    for count in WINDOWS:
        # the error grows with the factor, or nearly so: the largest within budget by bisection
        longest = taps.size / (COARSE - 2 * count - 1)
        factors = [m for m in FACTORS if longest <= m <= sigma / 1.5]
        low, high = 0, len(factors)
        found: Stages | None = None
        while low < high:
            middle = (low + high) // 2
            stages = design(taps, sigma, factors[middle], count, dtype, budget)
            if stages is not None and stages.error + rounding((stages,), dtype) <= budget:
                found, low = stages, middle + 1
            else:
                high = middle
        if found is not None and (chosen is None or found.work < chosen.work):
            chosen = found
        elif found is not None:
            break  # more windows only cost more from here on
    return chosen
