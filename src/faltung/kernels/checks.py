"""Checked arguments of the families of kernels: what is no such number is refused in one line."""

from __future__ import annotations

import math
import numbers
from fractions import Fraction
from typing import Any

import numpy as np


def whole(family: str, name: str, value: Any, low: int, high: int) -> int:
    """Return an int within bounds, or raise ValueError."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        fits = False
    else:
        fits = low <= value.__index__() <= high
    if not fits:
        raise ValueError(f"{family}: {name}={value!r} must be an int from {low} to {high}.")
    return int(value.__index__())


def odd(family: str, name: str, value: Any, low: int, high: int) -> int:
    """Return an odd int within bounds, or raise ValueError."""
    found = whole(family, name, value, low, high)
    if found % 2 == 0:
        raise ValueError(f"{family}: {name}={value!r} must be odd, from {low} to {high}.")
    return found


def number(
    family: str, name: str, value: Any, low: float, high: float, *, above: bool = False
) -> float:
    """Return a float within bounds, or raise ValueError; ``above`` leaves out the lower one."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not low <= value <= high or (above and value == low):
        least = "more than" if above else "from"
        raise ValueError(
            f"{family}: {name}={value!r} must be a number {least} {written(low)} "
            f"{'and at most' if above else 'to'} {written(high)}."
        )
    return float(value)


def along(family: str, name: str, value: Any, axes: Any) -> tuple[Any, ...]:
    """Return a value for each axis: the same for all, of which there are 2 if not said, or each."""
    several = isinstance(value, (tuple, list))
    usual = len(value) if several else 2
    count = whole(family, "axes", usual if axes is None else axes, 1, 32)
    if several and len(value) != count:
        raise ValueError(
            f"{family}: {name}={value!r} must be one number, or one for each of the {count} axes."
        )
    return tuple(value) if several else (value,) * count


def sides(values: tuple[float, ...]) -> str:
    """Return values along the axes as a name says them, as in ``3x5``.

    >>> sides((3, 5)), sides((3, 3)), sides((2.5,))
    ('3x5', '3', '2.5,axes=1')
    """
    texts = [written(value) if isinstance(value, float) else str(value) for value in values]
    if len(set(texts)) > 1:
        return "x".join(texts)
    return texts[0] + marks(axes=unusual(len(texts), 2))


def choice(family: str, name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """Return one of a few words, or raise ValueError."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{family}: {name}={value!r} must be one of {', '.join(allowed)}.")
    return value


def marks(**given: Any) -> str:
    """Return parameters as a name says them, those that are None or an empty text left out."""
    texts = {name: written(v) if isinstance(v, float) else v for name, v in given.items()}
    return "".join(f",{name}={text}" for name, text in texts.items() if text not in (None, ""))


def unusual(value: Any, usual: Any) -> Any:
    """Return a value where it is not the usual one."""
    return None if value == usual else value


def written(number: float) -> str:
    """Write a number in full, without the zero of a whole one."""
    if not math.isfinite(number):
        return str(number)
    # names take no exponents
    return np.format_float_positional(number, trim="-")


def scalar(value: Any) -> Fraction | float | None:
    """Return a factor: exact where it is rational, a float where it is one, None where neither."""
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, numbers.Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            raise ValueError(f"a kernel cannot be scaled by {value!r}; give a finite number.")
        return float(value)
    return None
