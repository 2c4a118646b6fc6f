"""Checks of what is given to networks and trainings: what it was, what is allowed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from faltung.dtypes import Array

LONGEST = 80  # letters of a value in an error
RULES: dict[str, Callable[[float], bool]] = {
    "a number": math.isfinite,
    "a number above 0": lambda value: 0 < value < math.inf,
    "a number, 0 or above": lambda value: 0 <= value < math.inf,
    "from 0 to 1": lambda value: 0 <= value <= 1,
    "from 0 to less than 1": lambda value: 0 <= value < 1,
    "seconds, 0 or above": lambda value: value >= 0,  # infinity is never
}


def shown(value: Any) -> str:
    """Return a value as an error shows it: on one line, and not all of an array."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def number(name: str, value: Any, rule: str = "a number") -> float:
    """Return a number that keeps a rule.

    >>> number("rate", 1, "a number above 0")
    1.0
    >>> number("rate", "fast", "a number above 0")
    Traceback (most recent call last):
    ValueError: rate='fast' must be a number above 0.
    """
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not RULES[rule](value):
        raise ValueError(f"{name}={shown(value)} must be {rule}.")
    return float(value)


def whole(name: str, value: Any, least: int | None = None) -> int:
    """Return an int that is no less than another.

    >>> whole("epochs", 2.5, 1)
    Traceback (most recent call last):
    ValueError: epochs=2.5 must be an int, 1 or above.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    truth = isinstance(value, (bool, np.bool_))
    if found is None or truth or (least is not None and found < least):
        above = "" if least is None else f", {least} or above"
        raise ValueError(f"{name}={shown(value)} must be an int{above}.")
    return found


def flag(name: str, value: Any) -> bool:
    """Return True or False, which nothing else stands for.

    >>> flag("bias", "no")
    Traceback (most recent call last):
    ValueError: bias='no' must be True or False.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={shown(value)} must be True or False.")
    return bool(value)


def finite(array: Array) -> bool:
    """Whether an array holds neither NaN nor infinity.

    A sum is quicker than a look at each; where it is no number, it may have overflowed.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum())) or bool(np.isfinite(array).all())


def first_not_finite(array: Array) -> int | None:
    """Return the first image or parameter of an array that holds NaN or infinity.

    >>> first_not_finite(np.array([[1.0, 2.0], [np.nan, 3.0]]))
    1
    """
    return None if finite(array) else int(np.argwhere(~np.isfinite(array))[0][0])
