"""The formats of picture files: their endings, what each one holds, and the limit on pixels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.dtypes import plain_array

Array = NDArray[Any]

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".pgm": "PPM",
    ".ppm": "PPM",
    ".pnm": "PPM",
}
# GIF is only read. Pillow knows more, but cuts some of them to 8 bits without a word (JPEG 2000,
# AVIF) and starts another program for one (EPS).
READABLE = (*dict.fromkeys(FORMATS.values()), "GIF")
ENDINGS = (*FORMATS, ".gif")
LARGEST = 178_956_970  # pixels: where Pillow takes a picture for an attack
DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")


@dataclass(frozen=True)
class Format:
    """What a format holds.

    Attributes
    ----------
    dtypes : tuple of str
    alpha : bool
    animated : bool
        Whether it keeps several frames with their durations.
    quality : bool
        Whether it can be written with losses, the fewer the higher a number from 1 to 100.
    """

    dtypes: tuple[str, ...] = ("uint8",)
    alpha: bool = False
    animated: bool = False
    quality: bool = False


HOLDS = {
    "PNG": Format(("uint8", "uint16"), alpha=True, animated=True),
    "JPEG": Format(quality=True),
    "TIFF": Format(DTYPES, alpha=True),
    "BMP": Format(),
    "WEBP": Format(alpha=True, animated=True, quality=True),
    "PPM": Format(("uint8", "uint16")),
}


class ImageError(ValueError):
    """A picture that cannot be read, written or filtered; the message is one line."""


def extra(module: str, what: str) -> Any:
    """Import a module of the extra ``faltung[deep]``, or say that it is needed."""
    try:
        return import_module(module)
    except ImportError:
        raise ImageError(f"{what} needs the extra: pip install 'faltung[deep]'.") from None


def check_pixels(name: object, width: int, height: int, limit: int, before: int = 0) -> int:
    """Return the pixels of a picture and those before it in its file; raise beyond the limit."""
    pixels = before + width * height
    if pixels > limit:
        more = f"{width} x {height} pixels" if not before else f"{pixels:,} pixels in its frames"
        raise ImageError(
            f"{name}: {more} are more than the limit of {limit:,}; if the file is to be trusted, "
            "raise the limit with max_pixels (--max-pixels)."
        )
    return pixels


def is_picture(array: Array) -> bool:
    """Whether an array has a picture's axes and numbers, in any byte order."""
    return array.ndim in (2, 3) and array.dtype.newbyteorder("=").name in DTYPES


def checked(picture: Any) -> Array:
    """Return a picture in the machine's byte order, or raise."""
    picture = plain_array(picture, "picture")
    if not is_picture(picture):
        raise ImageError(
            f"a picture is {', '.join(DTYPES)}, (H, W) or (H, W, C); got {picture.dtype} "
            f"{picture.shape}."
        )
    return np.asarray(picture.astype(picture.dtype.newbyteorder("="), copy=False))


def has_alpha(array: Array) -> bool:
    """Whether the last channel of a picture is alpha."""
    return array.ndim == 3 and array.shape[2] in (2, 4)


def full_scale(dtype: Any) -> float:
    """Return the number that stands for full brightness: 1 for floats."""
    dtype = np.dtype(dtype)
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
