"""How a sum of independent distributions is computed: exactly, directly, or by tilted transforms.

``direct`` sums products, none of which is negative, so that each probability has a relative error
of about the number of terms. ``tilted`` is for what would take too long so. ``exact`` is for
fractions. The choice is part of the result, which says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from faltung.distributions import exact, products, tilted
from faltung.distributions import scaled as numbers
from faltung.distributions.cumulant import Part, Sum
from faltung.distributions.exact import Exact
from faltung.distributions.lattice import MOST_POINTS, check_points
from faltung.distributions.scaled import Scaled

RTOL = 1e-9
WORK = 20_000_000_000  # multiply-adds of direct sums: a second or so
LOST = (1e-300, 1e-100, 1e-30)  # cut off a long sum, the first that leaves few points
FEW = 1 << 22


@dataclass(frozen=True)
class Lost:
    """Bounds on the mass that is missing: below the first point, above the last, and anywhere.

    Anywhere is what earlier cuts lacked, and what points lack that no tilt shows closely enough.
    """

    below: float = 0.0
    anywhere: float = 0.0
    above: float = 0.0

    @property
    def total(self) -> float:
        """All that may be missing."""
        return self.below + self.anywhere + self.above

    def times(self, factor: float) -> Lost:
        """Return it for a distribution that has only a share."""
        return Lost(self.below * factor, self.anywhere * factor, self.above * factor)

    def mirrored(self) -> Lost:
        """Return it for the distribution of the negative."""
        return Lost(self.above, self.anywhere, self.below)


@dataclass(frozen=True, eq=False)
class Summed:
    """A sum's probabilities from its ``first`` point on, and how they came about."""

    first: int
    masses: Scaled | Exact
    lost: Lost
    error: float
    method: str


def check_options(rtol: float, method: str, lost: float | None) -> None:
    """Raise ValueError where an option of a sum is not allowed."""
    if method not in ("auto", "exact", "direct", "tilted"):
        raise ValueError(f"method is {method!r}; it must be 'auto', 'exact', 'direct' or 'tilted'.")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol is {rtol!r}; it must be more than 0 and less than 1.")
    if lost is not None and not 0 <= lost < 1:
        raise ValueError(f"lost is {lost!r}; it must be at least 0 and less than 1.")


def summed(
    parts: Sequence[tuple[Scaled | Exact, int]],
    rtol: float = RTOL,
    method: str = "auto",
    lost: float | None = None,
    max_points: int = MOST_POINTS,
) -> Summed:
    """Return the distribution of a sum of independent parts on one lattice.

    Parameters
    ----------
    parts : sequence of (probabilities, copies)
        The first and the last probability of each must not be 0.
    rtol : float
        Relative error allowed for every probability, where they are not exact.
    method : {"auto", "exact", "direct", "tilted"}
    lost : float, optional
        Mass that may be cut off, by tilted transforms; 0 keeps the whole support. By default
        the least of 1e-300, 1e-100 and 1e-30 that leaves no more than four million points.
    max_points : int

    Raises
    ------
    ValueError
    """
    check_options(rtol, method, lost)
    integers = [masses for masses, _ in parts if isinstance(masses, Exact)]
    if method == "exact" and len(integers) < len(parts):
        raise ValueError("method='exact' needs every distribution exact: give fractions.")
    if method == "exact" or (method == "auto" and len(integers) == len(parts)):
        powers = [exact.power(m, n) for m, n in parts if isinstance(m, Exact)]
        return Summed(0, reduce(exact.convolve, powers), Lost(), 0.0, "exact: integers")
    floats = [(m.scaled() if isinstance(m, Exact) else m, n) for m, n in parts]
    count = 1 + sum((len(m) - 1) * n for m, n in floats)
    work = direct_work([(len(m), n) for m, n in floats])
    direct = method == "direct" or (method == "auto" and work <= WORK)
    if direct:
        check_points(count, max_points, "the sum")
        masses, error = folded(floats)
        if error > rtol:
            raise ValueError(
                f"direct sums promise a relative error of {error:.2g} here, and rtol={rtol:g}; "
                "ask for no less, or give fractions."
            )
        why = f"direct: {work:,} multiply-adds of numbers that are not negative"
        return Summed(0, masses, Lost(), error, why)
    return by_tilts(floats, rtol, lost, max_points)


def by_tilts(
    parts: Sequence[tuple[Scaled, int]], rtol: float, lost: float | None, max_points: int
) -> Summed:
    """Return the sum by tilted transforms, on the coarsest lattice that holds it."""
    apart = np.gcd.reduce([spacing(m) for m, _ in parts])
    apart = max(1, int(apart))
    total = Sum(tuple(Part(m[::apart], n) for m, n in parts))
    if lost is None:
        lost = next((bit for bit in LOST if points(total, bit) <= FEW), LOST[-1])
    found = tilted.window(total, rtol, lost, max_points // apart)
    masses = found.masses
    if apart > 1:
        spread = numbers.zeros((len(masses) - 1) * apart + 1)
        spread.mantissa[::apart], spread.exponent[::apart] = masses.mantissa, masses.exponent
        masses = spread
    transforms = "transform" if found.tilts == 1 else "transforms"
    return Summed(
        found.first * apart, masses, Lost(found.below, found.inside, found.above), found.error,
        f"tilted: {found.tilts} {transforms} of up to {found.length:,} points",
    )  # fmt: skip


def points(total: Sum, lost: float) -> int:
    """Return how many points a sum has where so much is cut off."""
    bits = -float(np.log2(lost)) + 1
    return total.edge(bits, 1)[0] - total.edge(bits, -1)[0]


def spacing(masses: Scaled) -> int:
    """Return the greatest step that all points lie on, from the first; 0 of a single point."""
    return int(np.gcd.reduce(np.flatnonzero(masses.mantissa > 0)))


def direct_work(sizes: Sequence[tuple[int, int]]) -> int:
    """Return the multiply-adds of :func:`folded`."""
    work, so_far = 0, 1
    for size, copies in sizes:
        last = size - 1
        grown, power, left = 1, last, copies
        while left:
            if left & 1:
                work += grown * (power + 1)
                grown += power
            left >>= 1
            if left:
                work += (power + 1) ** 2
                power *= 2
        work += so_far * grown
        so_far += grown - 1
    return work


def folded(parts: Sequence[tuple[Scaled, int]]) -> tuple[Scaled, float]:
    """Return the sum of parts, one after the other, and a bound on relative errors."""
    whole: tuple[Scaled, float] | None = None
    for masses, copies in parts:
        found = power(masses, copies)
        whole = found if whole is None else both(whole, found)
    assert whole is not None
    return whole


def power(masses: Scaled, copies: int) -> tuple[Scaled, float]:
    """Return the sum of copies by repeated doubling."""
    whole: tuple[Scaled, float] | None = None
    doubled = (masses, 0.0)
    while copies:
        if copies & 1:
            whole = doubled if whole is None else both(whole, doubled)
        copies >>= 1
        if copies:
            doubled = both(doubled, doubled)
    assert whole is not None
    return whole


def both(a: tuple[Scaled, float], b: tuple[Scaled, float]) -> tuple[Scaled, float]:
    """Return the sum of two, and the bound on its relative errors."""
    masses, error = products.convolve(a[0], b[0])
    return masses, (1 + a[1]) * (1 + b[1]) * (1 + error) - 1
