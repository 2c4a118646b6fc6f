"""What the numbers of a picture stand for: linear light, alpha, and how signed results are shown.

The transfer function is that of sRGB (IEC 61966-2-1:1999): ``v / 12.92`` up to 0.04045, beyond it
``((v + 0.055) / 1.055) ** 2.4``. A colour profile is not regarded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from faltung.image.formats import Array, ImageError, full_scale

BAND = 1 << 16  # numbers taken at a time
BEYOND = 1 << 62  # saturates in every picture, and leaves int64 room for a sign and a middle
SIGNED = ("clip", "absolute", "centre", "stretch")


def to_linear(array: Array) -> Array:
    """Return whole numbers as linear light from 0 to 1; negative ones as negative light.

    In float32, those of 32 bits in float64.

    Examples
    --------
    >>> to_linear(np.array([0, 128, 255], np.uint8)).astype(float).round(4).tolist()
    [0.0, 0.2159, 1.0]
    """
    if array.dtype.kind == "f":
        return array  # floats are taken for linear light already
    if array.dtype == np.uint8:
        table: Array = decoded(np.arange(256) / 255).astype(np.float32)
        return np.asarray(table[array])
    light = decoded(array / full_scale(array.dtype))
    return light if array.dtype.itemsize > 2 else light.astype(np.float32)


def decoded(v: Any) -> Array:
    """Return linear light from sRGB values of 0 to 1; of negative ones, mirrored."""
    v = np.asarray(v, np.float64)
    size = np.abs(v)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.copysign(light, v))


def from_linear(light: Array) -> Array:
    """Return sRGB values from linear light; negative light is encoded as its magnitude, negative.

    Examples
    --------
    >>> from_linear(np.array([0.0, 0.5, -0.5])).round(3).tolist()
    [0.0, 0.735, -0.735]
    """
    out = np.empty_like(light)
    for band in bands(light):
        size = np.abs(light[band])
        encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
        out[band] = np.copysign(encoded, light[band])
    return out


def bands(array: Array) -> Iterator[slice]:
    """Yield the rows of an array in bands that stay in cache from one step to the next."""
    rows = max(1, BAND * len(array) // max(1, array.size))
    for top in range(0, len(array), rows):
        yield slice(top, top + rows)


def shown(values: Array, dtype: Any, signed: str) -> Array:
    """Return real results as a picture of a dtype, by one of four rules.

    Nothing is rescaled but by ``"stretch"``.

    Parameters
    ----------
    values : ndarray
        Results of a filter, in the picture's own numbers.
    dtype : dtype
        Of the picture.
    signed : {"clip", "absolute", "centre", "stretch"}
        Whole numbers: ``"clip"`` saturates at 0 and at full brightness, ``"absolute"`` drops the
        signs first, ``"centre"`` lays 0 on mid-grey (128, 32768), ``"stretch"`` makes the smallest
        value 0 and the largest full brightness. Floats are never clipped; their mid-grey is 0.5
        and their full brightness 1.

    Raises
    ------
    ImageError
        Where there is no such rule.

    Examples
    --------
    >>> values = np.array([-300, -10, 0, 20, 300])
    >>> [shown(values, "uint8", rule).tolist() for rule in ("clip", "absolute", "centre")]
    [[0, 0, 0, 20, 255], [255, 10, 0, 20, 255], [0, 118, 128, 148, 255]]
    >>> shown(values, "uint8", "stretch").tolist()
    [0, 123, 128, 136, 255]
    """
    check_rule(signed)
    dtype = np.dtype(dtype)
    low, high = extremes(values) if signed == "stretch" else (0.0, 0.0)
    out = np.empty(values.shape, dtype)
    for band in bands(values):
        part = roomy(values[band], dtype)
        if signed == "absolute":
            part = np.abs(part)
        elif signed == "centre" and dtype.kind != "i":  # of signed numbers 0 is the middle
            part = part + (0.5 if dtype.kind == "f" else (int(full_scale(dtype)) + 1) // 2)
        elif signed == "stretch":
            part = stretched(part, low, high, full_scale(dtype))
        out[band] = part if dtype.kind == "f" else whole(part, dtype)
    return out


def roomy(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return results in a type that holds their magnitudes, and their sums with a middle."""
    if values.dtype.kind in "iu":
        if values.dtype.itemsize > 4:
            values = np.clip(values, -BEYOND if values.dtype.kind == "i" else 0, BEYOND)
        return values.astype(np.int64)
    deep = values.dtype == np.float32 and dtype.kind != "f" and dtype.itemsize > 2
    return values.astype(np.float64) if deep else values


def stretched(values: Array, low: float, high: float, top: float) -> Array:
    """Return numbers with the lowest at 0 and the highest at the top; in float64."""
    values = values.astype(np.float64)
    if math.isinf(high - low):  # the greatest floats are further apart than any float
        values, low, high = values / 2, low / 2, high / 2
    values = values - low
    if not high > low:
        return values
    scale = top / (high - low)
    exact = np.finfo(np.float64).tiny <= scale < math.inf  # not so for the extremes of floats
    return values * scale if exact else values / (high - low) * top


def whole(values: Array, dtype: Any) -> Array:
    """Return numbers rounded half to even and saturated."""
    limits = np.iinfo(dtype)
    if values.dtype.kind == "f":
        # the largest 32-bit number is no float32: one beyond the limit would wrap
        wide = values.dtype == np.float32 and limits.max > 2**24
        values = np.rint(values.astype(np.float64) if wide else values)
    return np.asarray(np.clip(values, limits.min, limits.max).astype(dtype))


def check_rule(signed: str) -> None:
    """Raise where there is no such rule."""
    if signed not in SIGNED:
        raise ImageError(f"signed={signed!r} must be one of {', '.join(SIGNED)}.")


def extremes(values: Array) -> tuple[float, float]:
    """Return the smallest and the largest number that is finite; 0 where there is none."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
