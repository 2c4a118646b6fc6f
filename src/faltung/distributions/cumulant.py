"""The cumulant generating function of a sum, and the bounds on its tails that follow from it.

For a sum S of independent parts ``K(h) = sum_i n_i log2 sum_j p_i[j] 2**(h (j - c_i))``, to the
base 2 and counted from the parts' centres ``c_i``. For every ``h >= 0``
``P(S >= t) <= 2**(K(h) - h t)`` (H. Chernoff, Annals of Mathematical Statistics 23, 1952), least
where ``K'(h) = t``; multiplying by ``2**(h j)`` ("tilting", F. Esscher, 1932) moves the mean there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.scaled import Scaled

Array = NDArray[Any]

STEEPEST = 512.0  # bits for each point: the ends of the support are all that is left


@dataclass(frozen=True, eq=False)
class Part:
    """``copies`` independent copies of probabilities whose first and last are not 0."""

    masses: Scaled
    copies: int

    @cached_property
    def logs(self) -> Array:
        """Logarithms of the probabilities to the base 2."""
        return self.masses.log2()

    @cached_property
    def centre(self) -> int:
        """The point nearest to the mean; indices are counted from it."""
        weights = np.exp2(self.logs - self.logs.max())
        return round(float((weights * np.arange(len(weights))).sum() / weights.sum()))

    @cached_property
    def points(self) -> Array:
        """Indices from the centre."""
        return np.arange(len(self.masses)) - float(self.centre)

    def cumulant(self, tilt: float) -> tuple[float, float]:
        """Return ``K`` of one copy and its derivative."""
        logs = self.logs + tilt * self.points
        top = logs.max()
        weights = np.exp2(logs - top)
        total = weights.sum()
        return float(top + np.log2(total)), float((weights * self.points).sum() / total)


@dataclass(frozen=True, eq=False)
class Sum:
    """A sum of independent parts, its values counted from the parts' centres."""

    parts: tuple[Part, ...]

    @property
    def first(self) -> int:
        """The least value."""
        return -sum(part.copies * part.centre for part in self.parts)

    @property
    def last(self) -> int:
        """The greatest value."""
        return self.first + sum(part.copies * (len(part.masses) - 1) for part in self.parts)

    def cumulant(self, tilt: float) -> tuple[float, float]:
        """Return ``K`` and its derivative, the mean under the tilt."""
        found = [(part.copies, *part.cumulant(tilt)) for part in self.parts]
        return sum(n * k for n, k, _ in found), sum(n * mean for n, _, mean in found)

    def tilt_to(self, mean: float) -> float:
        """Return the tilt, in few bits, under which the sum has about this mean."""

        def beyond(tilt: float) -> bool:
            found = self.cumulant(tilt)[1]
            return found >= mean if tilt > 0 else found <= mean

        sign = 1.0 if mean > self.cumulant(0.0)[1] else -1.0
        return few_bits(sign * search(lambda size: beyond(sign * size)))

    def edge(self, bits: float, sign: int, tilt: float = 0.0) -> tuple[int, float]:
        """Return where a tail begins that holds at most about ``2**-bits`` under the tilt.

        Returns
        -------
        edge : int
            The least value of the upper tail (``sign=1``), the greatest of the lower (-1). Beyond
            the support where no tail need be cut off.
        bound : float
            Logarithm to the base 2 of the most that the tail may hold; -inf beyond the support.
        """
        here, _ = self.cumulant(tilt)

        def weight(steep: float) -> tuple[float, float]:
            value, mean = self.cumulant(tilt + sign * steep)
            return value - here - sign * steep * mean, mean

        steep = search(lambda size: weight(size)[0] <= -bits)
        if steep >= STEEPEST:
            return (self.last + 1 if sign > 0 else self.first - 1), -np.inf
        mean = weight(steep)[1]
        edge = int(np.ceil(mean)) if sign > 0 else int(np.floor(mean))
        if not self.first <= edge <= self.last:
            return (self.last + 1 if sign > 0 else self.first - 1), -np.inf
        value = self.cumulant(tilt + sign * steep)[0]
        # what rounding may have taken from the exponent
        slack = 1e-12 * (abs(value) + abs(here) + abs(steep * edge)) + 1e-6
        return edge, value - here - sign * steep * edge + slack


def search(enough: Callable[[float], bool]) -> float:
    """Return about the least size that is enough, at most :data:`STEEPEST`."""
    low, high = 0.0, 2.0**-40
    while not enough(high):
        low, high = high, high * 4
        if low >= STEEPEST:
            return STEEPEST
    for _ in range(26):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return min(high, STEEPEST)


def few_bits(value: float) -> float:
    """Return a float of 20 significant bits, whose products with indices are exact.

    >>> few_bits(0.1) * 2**23 == int(few_bits(0.1) * 2**23)
    True
    """
    mantissa, power = np.frexp(value)
    return float(np.ldexp(np.rint(mantissa * 2.0**20) / 2.0**20, power))
