"""What the numbers of a picture stand for: linear light, alpha, and how signed results are shown.

The transfer function is that of sRGB (IEC 61966-2-1:1999): ``v / 12.92`` up to 0.04045, beyond it
``((v + 0.055) / 1.055) ** 2.4``. A colour profile is not regarded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.image.formats import Array, ImageError, full_scale

SIGNED = ("clip", "absolute", "centre", "stretch")


def to_linear(array: Array) -> Array:
    """Return whole numbers as linear light from 0 to 1, in float32.

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
    return decoded(array / full_scale(array.dtype)).astype(np.float32)


def decoded(v: Any) -> Array:
    """Return linear light from sRGB values of 0 to 1."""
    v = np.asarray(v, np.float64)
    return np.asarray(np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4))


def from_linear(light: Array) -> Array:
    """Return sRGB values from linear light; negative light is encoded as its magnitude, negative.

    Examples
    --------
    >>> from_linear(np.array([0.0, 0.5, -0.5])).round(3).tolist()
    [0.0, 0.735, -0.735]
    """
    size = np.abs(light)
    encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    return np.copysign(encoded, light).astype(light.dtype, copy=False)


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
    top = full_scale(dtype)
    if signed == "absolute":
        values = np.abs(values)
    elif signed == "centre" and dtype.kind != "i":  # of signed numbers 0 is the middle
        values = values + (0.5 if dtype.kind == "f" else (int(top) + 1) // 2)
    elif signed == "stretch":
        values = stretched(values, top)
    if dtype.kind == "f":
        return values.astype(dtype)
    if values.dtype.kind == "f":
        values = np.rint(values)
    limits = np.iinfo(dtype)
    # the largest 32-bit number is no float32: one beyond the limit would wrap
    wide = values.astype(np.float64) if values.dtype == np.float32 and top > 2**24 else values
    return np.asarray(np.clip(wide, limits.min, limits.max).astype(dtype))


def check_rule(signed: str) -> None:
    """Raise where there is no such rule."""
    if signed not in SIGNED:
        raise ImageError(f"signed={signed!r} must be one of {', '.join(SIGNED)}.")


def stretched(values: Array, top: float) -> Array:
    """Return values from 0 for the smallest to ``top`` for the largest; 0 where all are equal."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return values
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return np.zeros(values.shape)
    return (values - low) * (top / (high - low))
