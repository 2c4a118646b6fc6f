"""Many pictures as one array: of one size, as grey or in colours, from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faltung.dtypes import Array

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


def gathered(files: Sequence[Path], size: Any = None, channels: int | None = None) -> Array:
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

    wanted = sides(size)
    if channels not in (None, *CHANNELS):
        raise ValueError(f"channels={channels!r} must be 1, 2, 3 or 4.")
    read = [image.read(file) for file in files]
    held = {planes(picture) for picture in read}
    if channels is None:
        channels = held.pop() if len(held) == 1 else 3 if max(held) > 2 else 1
    if wanted is None:
        by_size = {p.shape[:2]: file for p, file in zip(read, files, strict=True)}
        if len(by_size) > 1:
            (least, one), (most, other) = min(by_size.items()), max(by_size.items())
            raise ValueError(
                f"the pictures have {len(by_size)} sizes, such as {least[0]}x{least[1]} ({one}) "
                f"and {most[0]}x{most[1]} ({other}); give one for all of them, such as size=64."
            )
        wanted = read[0].shape[:2]
    out = np.empty((len(read), channels, *wanted), np.float32)
    for number, picture in enumerate(read):
        out[number] = fitted(picture, wanted, channels)
    return out


def planes(picture: Array) -> int:
    """Return how many channels a picture has."""
    return 1 if picture.ndim == 2 else picture.shape[2]


def fitted(picture: Array, size: tuple[int, int], channels: int) -> Array:
    """Return a picture (H, W) or (H, W, C) as (channels, *size); whole numbers from 0 to 1."""
    from faltung import image

    x = image.converted(picture, np.float32) if picture.dtype.kind == "u" else picture
    if planes(x) in (2, 4) and channels in (1, 3):
        x = image.flattened(x)
    x = np.moveaxis(x[..., None] if x.ndim == 2 else x, 2, 0).astype(np.float32, copy=False)
    if len(x) in (2, 4) and channels != len(x):
        x, opacity = x[:-1], x[-1:]
    else:
        opacity = np.ones_like(x[:1])
    if channels in (1, 2) and len(x) == 3:
        x = np.tensordot(np.array(GREY, np.float32), x, 1)[None]
    if channels > 2 and len(x) == 1:
        x = np.repeat(x, 3, axis=0)
    if len(x) < channels:
        x = np.concatenate([x, opacity])
    return x if x.shape[1:] == size else np.stack([resized(plane, size) for plane in x])


def resized(plane: Array, size: tuple[int, int]) -> Array:
    """Return an array (rows, columns) of float32 in another size.

    >>> 7 * resized(np.array([[1, 1, 3, 3]] * 2, np.float32), (1, 2))
    array([[ 9., 19.]], dtype=float32)
    """
    from PIL import Image

    triangle = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size[::-1], triangle))
