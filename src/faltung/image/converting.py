"""From one kind of picture to another, where it was asked for: depth and transparency."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from PIL import ImageColor

from faltung.image.colour import bands, decoded, from_linear, shown, to_linear, whole
from faltung.image.formats import DTYPES, Array, ImageError, checked, full_scale, has_alpha

WHITE = "white"


def dtype_of(given: Any, source: Any) -> np.dtype[Any]:
    """Return the dtype that is meant: ``"float"`` is one of as many bits as are needed.

    Examples
    --------
    >>> dtype_of("float", "uint16"), dtype_of("float", "int32"), dtype_of(None, "uint8")
    (dtype('float32'), dtype('float64'), dtype('uint8'))
    """
    before: np.dtype[Any] = np.dtype(source)
    if given is None:
        return before
    if isinstance(given, str) and given == "float":
        return before if before.kind == "f" else np.dtype(f"f{4 if before.itemsize < 4 else 8}")
    found: np.dtype[Any] | None = None
    with suppress(TypeError):
        found = np.dtype(given)
    if found is None or found.name not in DTYPES:
        raise ImageError(f"dtype={given!r} must be float or one of {', '.join(DTYPES)}.")
    return found


def scaled(values: Array, before: Any, after: Any) -> Array:
    """Return real numbers of one kind of picture in those of another: white stays white.

    Whole numbers have no NaN, which becomes 0.
    """
    factor = full_scale(after) / full_scale(before)
    if np.dtype(after).kind != "f" and np.dtype(before).kind == "f":
        values = np.where(np.isnan(values), 0, values)
    if factor == 1:
        return values
    kind: Any = np.float32 if values.dtype == np.float32 and factor <= 1 else np.float64
    return np.asarray(values.astype(kind) * factor)


def converted(picture: Array, dtype: Any) -> Array:
    """Return a picture in another dtype: full brightness becomes full brightness.

    That is 255, 65535 and so on for whole numbers, and 1 for floats.

    Parameters
    ----------
    picture : ndarray
        As in :func:`faltung.image.filter`.
    dtype : dtype
        One of a picture, or ``"float"``: float32, or float64 where it takes that many bits.

    Returns
    -------
    ndarray
        Whole numbers are rounded half to even and saturated, and NaN becomes 0; floats are not
        clipped.

    Raises
    ------
    ImageError
        Where this is no picture, or no dtype of one.

    Examples
    --------
    >>> converted(np.array([[0, 128, 65535]], np.uint16), "uint8").tolist()
    [[0, 0, 255]]
    >>> converted(np.array([[0, 51, 255]], np.uint8), "float").round(3).tolist()
    [[0.0, 0.20000000298023224, 1.0]]
    """
    picture = checked(picture)
    after = dtype_of(dtype, picture.dtype)
    if after == picture.dtype:
        return picture
    return shown(scaled(picture, picture.dtype, after), after, "clip")


def flattened(picture: Array, background: Any = WHITE, *, linear: bool = False) -> Array:
    """Return a picture without alpha, laid on a colour.

    Parameters
    ----------
    picture : ndarray
        As in :func:`faltung.image.filter`; without alpha it is returned as it is.
    background : str or sequence of numbers
        A name or a number of CSS, such as ``"white"`` or ``"#ff8000"``, or three numbers from 0 to
        255. A grey picture on a colour becomes RGB.
    linear : bool
        Mix in linear light, as :func:`faltung.image.filter` does; floats are taken to be linear.

    Returns
    -------
    ndarray
        (H, W) or (H, W, 3), ``a c + (1 - a) b``; whole numbers are rounded half to even.

    Raises
    ------
    ImageError
        Where this is no picture, or the background no colour.

    Examples
    --------
    >>> flattened(np.array([[[0, 255], [0, 0], [200, 51]]], np.uint8), "white").tolist()
    [[0, 255, 244]]
    """
    picture = checked(picture)
    shades = shades_of(background)
    if not has_alpha(picture):
        return picture
    grey = picture.shape[2] == 2 and len(set(shades.tolist())) == 1
    dtype, top = picture.dtype, full_scale(picture.dtype)
    behind = decoded(shades) if linear else shades * (1 if dtype.kind == "f" else top)
    out = np.empty((*picture.shape[:2], 1 if grey else 3), dtype)
    for band in bands(picture):
        colours, clear = picture[band][:, :, :-1], picture[band][:, :, -1:] / np.float64(top)
        light = to_linear(colours) if linear else colours
        # 0 times NaN would be NaN, where nothing is seen
        seen = np.multiply(light, clear, out=np.zeros(light.shape), where=clear != 0)
        mixed = seen + (1 - clear) * behind[: 1 if grey else 3]
        if dtype.kind == "f":
            out[band] = mixed
        else:
            out[band] = whole(from_linear(mixed) * top if linear else mixed, dtype)
    return out[:, :, 0] if grey else out


def shades_of(colour: Any) -> Array:
    """Return a colour's red, green and blue from 0 to 1."""
    try:
        numbers = ImageColor.getrgb(colour) if isinstance(colour, str) else tuple(colour)
        shades = np.array(numbers, np.float64)
    except (ValueError, TypeError):
        shades = np.zeros(0)
    if shades.shape != (3,) or not ((shades >= 0) & (shades <= 255)).all():
        raise ImageError(
            f"{colour!r} is no colour; give a name such as white, or a number such as #ff8000."
        )
    return shades / 255
