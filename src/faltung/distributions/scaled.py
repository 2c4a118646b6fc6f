"""Positive numbers of any size: float64 mantissas, each with an exponent of its own.

float64 ends at 1e-308; the probability that a thousand dice show a thousand is 1e-778. Here a
number is ``mantissa * 2**exponent`` with the mantissa in [0.5, 1), as :func:`numpy.frexp` has it,
and the exponent an int64, so that every number keeps the relative accuracy of float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NOTHING = -(1 << 40)  # the exponent of 0, below that of any number
FAR = 32000  # bits: beyond what any float holds, and within what ldexp takes everywhere
SPAN = 450  # bits between numbers that are multiplied as plain float64: products stay normal
EPS = float(np.finfo(np.float64).eps) / 2  # what one rounding changes, relatively
NORMAL = 2.3e-308  # floats below have fewer digits
DIGITS = Context(prec=40, Emax=10**15, Emin=-(10**15))  # for numbers as text
LONG = float(np.finfo(np.longdouble).eps) / 2  # the same where sums are kept in long double


@dataclass(frozen=True, eq=False)
class Scaled:
    """An array of numbers that are not negative, ``mantissa * 2**exponent``.

    Parameters
    ----------
    mantissa : ndarray of float64
        In [0.5, 1), or 0.
    exponent : ndarray of int64
        :data:`NOTHING` where the mantissa is 0.

    Examples
    --------
    >>> tiny = scaled(np.array([0.5, 0.25])).times_power(-5000)
    >>> tiny.exponent.tolist(), tiny.floats().tolist()
    ([-5000, -5001], [0.0, 0.0])
    """

    mantissa: Array
    exponent: Array

    def __len__(self) -> int:
        return len(self.mantissa)

    def __getitem__(self, where: Any) -> Scaled:
        return Scaled(self.mantissa[where], self.exponent[where])

    def floats(self, base: int = 0) -> Array:
        """Return ``self * 2**-base`` as float64; what is too small for it becomes 0."""
        floats: Array = shifted(self.mantissa, self.exponent - base)
        return floats

    def log2(self) -> Array:
        """Return logarithms to the base 2, -inf for 0."""
        with np.errstate(divide="ignore"):
            logs: Array = np.log2(self.mantissa)
        whole: Array = np.where(self.mantissa > 0, logs + self.exponent, -np.inf)
        return whole

    def log(self) -> Array:
        """Return natural logarithms, -inf for 0."""
        logs: Array = self.log2() * np.log(2.0)
        return logs

    def times_power(self, power: int) -> Scaled:
        """Return ``self * 2**power``, exactly."""
        return Scaled(self.mantissa, np.where(self.mantissa > 0, self.exponent + power, NOTHING))

    def times(self, factor: float) -> Scaled:
        """Return ``self * factor`` for a positive float."""
        return scaled(self.mantissa * factor, self.exponent)

    @cached_property
    def filled(self) -> Array:
        """Exponents in which a zero has that of the number before, the first ones of the next."""
        there = self.mantissa > 0
        last = np.maximum.accumulate(np.where(there, np.arange(len(self)), -1))
        first = int(there.argmax())
        filled: Array = self.exponent[np.where(last < 0, first, last)]
        return filled

    def total(self) -> Scaled:
        """Return the sum as an array of one number."""
        return self.running()[-1:]

    def running(self) -> Scaled:
        """Return the sums from the first number to each.

        Relative error at most ``len(self) * LONG + EPS``: no term is negative, and the sums are
        kept in long double.
        """
        if not self.mantissa.any():
            return self
        parts = []
        carry, at = np.longdouble(0), 0
        for start, stop in runs(self.filled, 2 * SPAN):
            base = int(self.filled[start:stop].max())
            base = max(base, at) if carry else base
            values = self[start:stop].floats(base).astype(np.longdouble)
            values[0] += np.ldexp(carry, max(at - base, -FAR))
            sums = np.cumsum(values)
            rounded = scaled(sums.astype(np.float64), base)
            parts.append(rounded)
            carry, at = sums[-1], base
        return join(parts)


def shifted(values: Array, powers: Array) -> Array:
    """Return ``values * 2**powers``; what is too small becomes 0."""
    moved: Array = np.ldexp(values, np.clip(powers, -FAR, FAR).astype(np.intc))
    return moved


def scaled(values: Array, exponent: Array | int = 0) -> Scaled:
    """Return ``values * 2**exponent`` for float64 values that are not negative."""
    mantissa, shift = np.frexp(values)
    exponents = np.where(mantissa > 0, shift.astype(np.int64) + exponent, NOTHING)
    return Scaled(mantissa.astype(np.float64), exponents)


def from_log2(logs: Array) -> Scaled:
    """Return ``2**logs``; -inf gives 0."""
    there = np.isfinite(logs)
    whole = np.floor(np.where(there, logs, 0))
    return scaled(np.where(there, np.exp2(np.where(there, logs, 0) - whole), 0.0),
                  whole.astype(np.int64))  # fmt: skip


def by_text(texts: Sequence[str]) -> Scaled:
    """Return decimals of any exponent, each rounded once; ArithmeticError where one is no number.

    >>> by_text(["0.25", "1e-9999"]).exponent.tolist()
    [-1, -33215]
    """
    found = []
    with localcontext(DIGITS):
        for text in texts:
            value = Decimal(text)
            if not value:
                found.append((0.0, 0))
                continue
            power = int(np.floor(value.adjusted() * np.log2(10.0)))
            found.append((float(value / Decimal(2) ** power), power))
    return scaled(np.array([m for m, _ in found]), np.array([e for _, e in found], np.int64))


def plain(values: Scaled) -> list[float | Decimal]:
    """Return each as a float, or as a decimal of 17 digits where a float has fewer.

    >>> [f"{number:.5g}" for number in plain(by_text(["0", "0.1", "7e-779"]))]
    ['0', '0.1', '7.0000e-779']
    """
    floats = values.floats().tolist()
    found: list[float | Decimal] = []
    with localcontext(DIGITS):
        for number, mantissa, exponent in zip(
            floats, values.mantissa.tolist(), values.exponent.tolist(), strict=True
        ):
            if number <= NORMAL and mantissa:
                number = Decimal(f"{Decimal(mantissa) * Decimal(2) ** exponent:.16e}")
            found.append(number)
    return found


def texts(values: Scaled) -> list[str]:
    """Return decimals that are read back as the same numbers, of any exponent."""
    return [str(number).lower() for number in plain(values)]


def join(parts: list[Scaled]) -> Scaled:
    """Return arrays one after the other."""
    return Scaled(
        np.concatenate([part.mantissa for part in parts]),
        np.concatenate([part.exponent for part in parts]),
    )


def zeros(count: int) -> Scaled:
    """Return that many zeros."""
    return Scaled(np.zeros(count), np.full(count, NOTHING))


def add(a: Scaled, b: Scaled) -> Scaled:
    """Return the sums of two arrays of one length."""
    base = np.maximum(a.exponent, b.exponent)
    low = np.where(base == NOTHING, 0, base)

    def moved(part: Scaled) -> Any:
        return shifted(part.mantissa, part.exponent - low)

    return scaled(moved(a) + moved(b), low)


def runs(exponent: Array, span: int) -> Iterator[tuple[int, int]]:
    """Yield stretches, as long as may be, in which exponents differ by no more than ``span``.

    >>> list(runs(np.array([0, -200, -500, -600, -2000]), 450))
    [(0, 2), (2, 4), (4, 5)]
    """
    start, size = 0, len(exponent)
    while start < size:
        ahead, stop = 256, None
        while stop is None:
            part = exponent[start : start + ahead]
            wide = np.maximum.accumulate(part) - np.minimum.accumulate(part) > span
            if wide.any():
                stop = start + int(wide.argmax())
            elif start + ahead >= size:
                stop = size
            ahead *= 4
        yield start, stop
        start = stop
