"""Scaling by powers of two, which rounds nothing: so that no square overflows or underflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from faltung.dtypes import Array

STRIDE = 1000  # of powers: 2**1000 and 2**-1000 are floats, and every other is their product


def exponent(largest: float) -> int:
    """Return the power of two that a magnitude is below, and at least half of; 0 for 0."""
    return math.frexp(largest)[1]


def scaled(values: Any, power: int) -> Any:
    """Return values times ``2**power``: the same digits, unless that is beyond every float.

    Parameters
    ----------
    values : float or ndarray
        Real or complex floats.
    power : int

    Examples
    --------
    >>> scaled(3.0, -2), scaled(5e-324, 1074), scaled(1.0, 2000)
    (0.75, 1.0, inf)
    """
    with np.errstate(over="ignore", under="ignore"):
        result = values * 2.0 ** max(-STRIDE, min(STRIDE, power))
        for _ in range((abs(power) - 1) // STRIDE):
            power -= int(math.copysign(STRIDE, power))
            result = result * 2.0 ** max(-STRIDE, min(STRIDE, power))
    return result


def largest_of(values: Array) -> float:
    """Return the greatest magnitude among finite real numbers, 0 where there are none."""
    if not values.size:
        return 0.0
    return max(float(values.max()), -float(values.min()))


def magnitude(samples: Array) -> float:
    """Return the greatest magnitude, of real and imaginary parts, without what is missing."""
    if not samples.size:
        return 0.0
    parts = (samples.real, samples.imag) if samples.dtype.kind == "c" else (samples,)
    found = [f(part, None) for part in parts for f in (np.fmax.reduce, np.fmin.reduce)]
    return float(np.max(np.abs(found), where=~np.isnan(found), initial=0))
