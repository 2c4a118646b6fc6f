"""Many pictures as one array: of one size, as grey or in colours, from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from faltung.dtypes import Array
from faltung.machine import memory

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm"}
GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
CHANNELS = {1: "grey", 2: "grey with transparency", 3: "in colours", 4: "colours with transparency"}


def is_picture(path: Path) -> bool:
    """Return whether a file's name is that of a picture.

    >>> is_picture(Path("a/B.JPG")), is_picture(Path("a.txt"))
    (True, False)
    """
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures of a folder and of those in it, in order; hidden ones do not count."""
    return sorted(
        path
        for path in folder.rglob("*")
        if is_picture(path)
        and not path.is_dir()  # a link to nowhere is told when it is read
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def sides(size: Any) -> tuple[int, int] | None:
    """Return (rows, columns) of what is given as them, as one number or as None.

    >>> sides(28), sides((28, 32)), sides(None)
    ((28, 28), (28, 32), None)
    """
    if size is None:
        return None
    found = (size, size) if isinstance(size, int) else tuple(size)
    if len(found) != 2 or not all(isinstance(n, int) and n > 0 for n in found):
        raise ValueError(f"size={size!r} must be rows and columns, such as (64, 64), or one side.")
    return found


def gathered(
    files: Sequence[Path], size: Any = None, channels: int | None = None, *, progress: bool = False
) -> Array:
    """Return the pictures of files as one array (pictures, channels, rows, columns) of float32.

    Parameters
    ----------
    files : paths
    size : (rows, columns) or int, optional
        Each picture is brought to this size, whatever its shape, by means over what a pixel covers
        (triangles, as Pillow has them). Without it they must be of one size.
    channels : 1, 2, 3 or 4, optional
        Grey or colours, or these with transparency. By default what they all have; where they
        differ it is colours if one has colours, else grey, and what is transparent lies on white.
    progress : bool
        Show a bar.

    Raises
    ------
    ValueError
        Where sizes differ and none is given; ImageError, one too, where a file is no picture.

    Examples
    --------
    >>> from faltung.demo import PHOTOGRAPH
    >>> gathered([PHOTOGRAPH], (30, 45), 1).shape
    (1, 1, 30, 45)
    """
    from faltung import image
    from faltung.nn.progress import Bar

    wanted = sides(size)
    if channels not in (None, *CHANNELS):
        raise ValueError(f"channels={channels!r} must be 1, 2, 3 or 4.")
    if wanted is not None:
        needed = 4 * len(files) * math.prod(wanted)  # of grey ones
        if needed > memory():
            raise ValueError(
                f"{len(files)} pictures of {wanted[0]}x{wanted[1]} take {needed:,} bytes, more "
                f"than the {memory():,} of memory; give a smaller size."
            )
    read = []
    with Bar("reading", len(files)) if progress else nullcontext() as show:
        for number, file in enumerate(files, 1):  # large ones are not kept
            picture = samples(image.read(file))
            read.append(picture if wanted is None else shrunk(picture, wanted))
            if show is not None:
                show(number, file.name)
    held = {len(picture) for picture in read}
    if channels is None:
        channels = held.pop() if len(held) == 1 else 3 if max(held) > 2 else 1
    by_size = {p.shape[1:]: file for p, file in zip(read, files, strict=True)}
    if len(by_size) > 1:
        (least, one), (most, other) = min(by_size.items()), max(by_size.items())
        raise ValueError(
            f"the pictures have {len(by_size)} sizes, such as {least[0]}x{least[1]} ({one}) "
            f"and {most[0]}x{most[1]} ({other}); give one for all of them, such as size=64."
        )
    out = np.empty((len(read), channels, *read[0].shape[1:]), np.float32)
    for number, picture in enumerate(read):
        out[number] = coloured(whole_range(picture), channels)
    return out


def samples(picture: Array) -> Array:
    """Return a picture (H, W) or (H, W, C) as (C, H, W)."""
    return np.moveaxis(picture[..., None] if picture.ndim == 2 else picture, 2, 0)


def whole_range(picture: Array) -> Array:
    """Return float32, of whole numbers of 8 and 16 bits from 0 to 1."""
    kind = picture.dtype
    top = np.iinfo(kind).max if kind.kind == "u" and kind.itemsize <= 2 else 1
    return np.asarray(picture * np.float32(1 / top), np.float32)


def shrunk(picture: Array, size: tuple[int, int]) -> Array:
    """Return a picture (C, H, W) in another size; what is more opaque weighs more."""
    x = whole_range(picture)
    if x.shape[1:] == size:
        return x
    if len(x) in (1, 3):
        return np.stack([resized(plane, size) for plane in x])
    opacity = resized(x[-1], size)
    seen = [resized(plane * x[-1], size) for plane in x[:-1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([*(np.where(opacity > 0, each / opacity, 0) for each in seen), opacity])


def coloured(x: Array, channels: int) -> Array:
    """Return a picture (C, H, W) in other channels; transparency that is left out is white."""
    if len(x) == channels:
        return x
    x, opacity = (x, np.ones_like(x[:1])) if len(x) in (1, 3) else (x[:-1], x[-1:])
    if channels in (1, 3):
        x = x * opacity + (1 - opacity)
    if channels < 3 and len(x) == 3:
        x = np.tensordot(np.array(GREY, np.float32), x, 1)[None]
    if channels > 2 and len(x) == 1:
        x = np.repeat(x, 3, axis=0)
    return x if len(x) == channels else np.concatenate([x, opacity])


def resized(plane: Array, size: tuple[int, int]) -> Array:
    """Return an array (rows, columns) of float32 in another size.

    >>> 7 * resized(np.array([[1, 1, 3, 3]] * 2, np.float32), (1, 2))
    array([[ 9., 19.]], dtype=float32)
    """
    from PIL import Image

    triangle = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size[::-1], triangle))
