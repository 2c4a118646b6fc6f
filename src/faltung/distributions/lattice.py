"""Lattices: values ``origin + step * index`` as fractions, and the finest of several steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np

MOST_POINTS = 1 << 24
LARGEST = 300  # decimal digits of a number by text
MOST_BITS = 14_000  # of what is no text: Python prints 4,300 digits
LONGEST = 8600  # letters of a fraction by text: Python reads 4,300 digits
BYTES_A_POINT = 120  # at work: mantissas, exponents, running sums and their transforms


def number(value: Any, what: str) -> Fraction:
    """Return a number as a fraction; a float is the decimal that it prints as.

    >>> number(0.1, "the step")
    Fraction(1, 10)
    """
    if isinstance(value, np.floating):  # the decimal that it prints as, of any precision
        value = float(str(value)) if np.isfinite(value) else float(value)
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Rational):
        found = Fraction(value)
        if max(found.numerator.bit_length(), found.denominator.bit_length()) > MOST_BITS:
            raise ValueError(f"{what} has more than 4,300 digits; give a number of fewer.")
        return found
    if isinstance(value, float) and math.isfinite(value):
        return Fraction(repr(value))
    if isinstance(value, Decimal) or (isinstance(value, str) and len(value) <= LONGEST):
        try:
            if abs(Decimal(0 if "/" in str(value) else value).adjusted()) > LARGEST:
                raise ValueError  # a fraction of it would fill the memory
            return Fraction(value)
        except (ValueError, ZeroDivisionError, ArithmeticError):
            pass
    raise ValueError(
        f"{what} is {value!r}; it must be a finite number of at most 300 digits: an integer, a "
        "fraction or a float."
    )


def positive(value: Any, what: str) -> Fraction:
    """Return a positive number as a fraction."""
    found = number(value, what)
    if found <= 0:
        raise ValueError(f"{what} is {value!r}; it must be more than 0.")
    return found


def common_step(steps: Sequence[Fraction]) -> Fraction:
    """Return the largest step of which all are multiples.

    >>> common_step([Fraction(1, 2), Fraction(1, 3)])
    Fraction(1, 6)
    """
    below = math.lcm(*(step.denominator for step in steps))
    return Fraction(math.gcd(*(int(step * below) for step in steps)), below)


def short(count: int) -> str:
    """Return a count in few letters.

    >>> short(12_345), short(10**300)
    ('12,345', 'about 1e+300')
    """
    return f"{count:,}" if count < 10**15 else f"about {Decimal(count):.0e}"


def check_points(count: int, most: int, why: str) -> None:
    """Raise ValueError where a support has too many points, with their memory."""
    if count > most:
        raise ValueError(
            f"{why} takes {short(count)} points, {short(count * BYTES_A_POINT)} bytes at work, and "
            f"{most:,} points are allowed; use a coarser step, cut off more mass, or allow more "
            "with max_points=."
        )


def floated(value: Fraction) -> float:
    """Return the nearest float, infinite beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def about(value: Fraction | float, digits: int) -> str:
    """Return a number to some digits, also where no float is as large.

    >>> about(Fraction(5, 2), 6), about(Fraction(10**400, 3), 6)
    ('2.5', '3.33333e+399')
    """
    if isinstance(value, Fraction) and math.isinf(floated(value)):
        return f"{Decimal(value.numerator) / Decimal(value.denominator):.{digits}g}"
    return f"{float(value):.{digits}g}"


def shown(value: Fraction) -> str:
    """Return a number as short as it can be told.

    >>> shown(Fraction(5, 2)), shown(Fraction(1, 3)), shown(Fraction(7))
    ('2.5', '1/3', '7')
    """
    if value.denominator == 1:
        brief = f"{Decimal(value.numerator).normalize()}".lower()
        long = abs(value.numerator) >= 10**20 and Fraction(brief) == value
        return brief if long else str(value.numerator)
    near = floated(value)
    return f"{near:g}" if math.isfinite(near) and Fraction(f"{near:g}") == value else str(value)
