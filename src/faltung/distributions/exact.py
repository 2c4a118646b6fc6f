"""Exact probabilities: Python integers over one denominator, and their convolution.

Sums that int64 holds go through :func:`faltung.convolve`, which is exact there. Longer integers
are laid side by side in the bits of one large integer, and the product of two such integers holds
the convolution (L. Kronecker, 1882; Harvey, J. Symbolic Computation 44, 2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.scaled import Scaled

Array = NDArray[Any]

BITS = 1 << 25  # of one large integer: multiplications beyond it take many seconds


@dataclass(frozen=True)
class Exact:
    """Probabilities ``numerators / denominator``.

    Examples
    --------
    >>> Exact((1, 2, 1), 4).fractions()
    [Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)]
    """

    numerators: tuple[int, ...]
    denominator: int

    def __len__(self) -> int:
        return len(self.numerators)

    def __getitem__(self, where: slice) -> Exact:
        return Exact(self.numerators[where], self.denominator)

    def fractions(self) -> list[Fraction]:
        """Return the probabilities in lowest terms."""
        return [Fraction(n, self.denominator) for n in self.numerators]

    def scaled(self) -> Scaled:
        """Return them rounded, each with an exponent of its own."""
        return scaled_integers(self.numerators, self.denominator)


def over_one(values: Sequence[Fraction | int]) -> Exact:
    """Return fractions over their least common denominator."""
    below = math.lcm(*(Fraction(value).denominator for value in values))
    return Exact(tuple(int(value * below) for value in values), below)


def scaled_integers(numerators: Sequence[int], denominator: int) -> Scaled:
    """Return quotients of integers of any length, each rounded once, relatively."""
    mantissas, exponents = [], []
    for n in numerators:
        shift = denominator.bit_length() - n.bit_length()
        # brought near 1 before the division, which Python rounds correctly
        quotient = (n << shift) / denominator if shift > 0 else n / (denominator << -shift)
        mantissa, power = math.frexp(quotient)
        mantissas.append(mantissa)
        exponents.append(power - shift if n else -(1 << 40))
    return Scaled(np.array(mantissas), np.array(exponents, np.int64))


def convolve(a: Exact, b: Exact) -> Exact:
    """Return the full convolution.

    Examples
    --------
    >>> die = Exact((1,) * 6, 6)
    >>> convolve(die, die).numerators
    (1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1)
    """
    below = a.denominator * b.denominator
    if max(sum(a.numerators), 1) * max(sum(b.numerators), 1) < 1 << 62:
        import faltung

        long, short = (a, b) if len(a) >= len(b) else (b, a)
        counts = faltung.convolve(
            np.array(long.numerators, np.int64), np.array(short.numerators, np.int64),
            mode="full", dtype=np.int64,
        )  # fmt: skip
        return Exact(tuple(counts.tolist()), below)
    size = len(a) + len(b) - 1
    room = room_for(sum(a.numerators).bit_length() + sum(b.numerators).bit_length(), size)
    return Exact(unpacked(packed(a, room) * packed(b, room), room, size), below)


def power(a: Exact, n: int) -> Exact:
    """Return the convolution of ``n`` copies.

    Raises
    ------
    ValueError
        Where the integers would be too long to multiply.
    """
    size = (len(a) - 1) * n + 1
    room = room_for(sum(a.numerators).bit_length() * n, size)
    return Exact(unpacked(packed(a, room) ** n, room, size), a.denominator**n)


def room_for(bits: int, count: int) -> int:
    """Return how many bytes a number gets, where none has more bits."""
    room = bits // 8 + 1
    if room * count * 8 > BITS:
        raise ValueError(
            f"exact arithmetic would need {count:,} integers of {room:,} bytes each, "
            f"{room * count:,} bytes, and at most {BITS // 8:,} are multiplied; "
            "ask for floats with .rounded(), whose tails keep their relative accuracy."
        )
    return room


def packed(a: Exact, room: int) -> int:
    """Return one integer with all numerators in its bytes, the first lowest."""
    return int.from_bytes(b"".join(n.to_bytes(room, "little") for n in a.numerators), "little")


def unpacked(whole: int, room: int, count: int) -> tuple[int, ...]:
    """Return the numbers in an integer's bytes."""
    data = whole.to_bytes(room * count, "little")
    return tuple(
        int.from_bytes(data[at : at + room], "little") for at in range(0, room * count, room)
    )
