"""Pictures: reading, filtering, writing, and contact sheets.

A picture is an array of uint8 or uint16: (H, W) grey, (H, W, 2) grey with alpha, (H, W, 3) RGB, or
(H, W, 4) RGB with alpha. Pillow reads and writes; what it cannot hold, colours of 16 bits, goes
through imagecodecs and tifffile, which the extra ``faltung[deep]`` brings.
"""

from __future__ import annotations

import os
import secrets
import stat
import warnings
from collections.abc import Callable, Sequence
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from faltung.dtypes import plain_array
from faltung.ops import plan
from faltung.planner import Plan
from faltung.problem import kernel_array

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
DEEP_FORMATS = ("PNG", "TIFF")
ALPHA_FORMATS = ("PNG", "TIFF", "WEBP")
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}
LARGEST = 178_956_970  # pixels: where Pillow takes a picture for an attack


class ImageError(ValueError):
    """A picture that cannot be read, written or filtered; the message is one line."""


class TiffTag(IntEnum):
    """The entries of a TIFF file that decide what its numbers mean."""

    Rows = 257
    BitsPerSample = 258
    Photometric = 262  # 0: white is zero, 1: black is zero, 2: RGB
    Strips = 273
    Orientation = 274  # EXIF's too
    RowsPerStrip = 278
    Planar = 284  # 2: channel after channel


# ---- reading ---------------------------------------------------------------------------------


def read(path: str | os.PathLike[str]) -> Array:
    """Read a picture.

    Parameters
    ----------
    path : path
        A PNG, JPEG, TIFF, BMP, WebP, PGM, PPM or GIF file, told by its content. The orientation
        that it states is applied; palettes and other colour models become RGB. Of several pictures
        in one file the first is read, with a warning.

    Returns
    -------
    ndarray
        uint8 or uint16, (H, W), (H, W, 2), (H, W, 3) or (H, W, 4).

    Raises
    ------
    ImageError
        Where the file is missing, no picture, broken, too large, or of a kind not supported.

    Examples
    --------
    >>> from faltung.demo import PHOTOGRAPH
    >>> read(PHOTOGRAPH).shape
    (300, 451, 3)
    """
    path = Path(path)
    try:
        if not path.exists():
            raise ImageError(f"{path}: there is no such file.")
        if not path.is_file():
            raise ImageError(f"{path}: this is no regular file; name a picture.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is said in errors alone
            with Image.open(path, formats=READABLE) as picture:
                # phones put a preview behind the photograph (MPO): that is no second picture
                several = picture.format != "MPO" and getattr(picture, "is_animated", False)
                deep = is_deep_colour(picture)
                array = read_deep(picture, path) if deep else pixels(picture, path)
        if several:
            warnings.warn(f"{path}: holds several pictures; only the first is read.", stacklevel=2)
        return array
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{path}: the picture does not fit into memory.") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path}: the picture has more than {LARGEST:,} pixels.") from None
    except UnidentifiedImageError:
        kinds = ", ".join(READABLE)
        raise ImageError(f"{path}: this is no picture that can be read; use {kinds}.") from None
    except Exception as error:  # codecs meet hostile bytes with exceptions of every kind
        if isinstance(error, OSError) and error.strerror:  # the system's, not a codec's
            raise ImageError(f"{path}: {error.strerror}.") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: the picture is broken ({reason}).") from None


def is_deep_colour(picture: Image.Image) -> bool:
    """Whether Pillow would silently drop bits: of several channels it keeps 8 in each."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return False  # one channel, kept whole
    if picture.format == "TIFF":
        return bool(np.max(tag(picture, TiffTag.BitsPerSample, 1)) > 8)
    # a tile is (codec, box, offset, arguments); PNG's say "RGB;16B", PPM's the largest value
    arguments = [np.atleast_1d(np.array(tile[3], object)) for tile in getattr(picture, "tile", [])]
    return any(
        ";16" in part if isinstance(part, str) else picture.format == "PPM" and part > 255
        for group in arguments
        for part in group
        if isinstance(part, (str, int))
    )


def tag(picture: Image.Image, number: TiffTag, otherwise: Any) -> Any:
    """Return a TIFF's entry: a number, or a tuple of one for each channel."""
    entries = getattr(picture, "tag_v2", {})
    return entries.get(number, otherwise)


def oriented(array: Array, orientation: int) -> Array:
    """Return a picture upright, from the number its file states (EXIF 2.32, tag 274)."""
    if orientation in (5, 6, 7, 8):  # rows and columns change places, then as below
        array, orientation = array.swapaxes(0, 1), {5: 1, 6: 2, 7: 3, 8: 4}[orientation]
    if orientation in (2, 3):
        array = array[:, ::-1]
    if orientation in (3, 4):
        array = array[::-1]
    return np.ascontiguousarray(array)


def extra(module: str, what: str) -> Any:
    """Import a module of the extra ``faltung[deep]``, or say that it is needed."""
    try:
        return import_module(module)
    except ImportError:
        raise ImageError(f"{what} needs the extra: pip install 'faltung[deep]'.") from None


def read_deep(picture: Image.Image, path: Path) -> Array:
    """Read a picture with colours of 16 bits, of which Pillow has read the header."""
    if picture.width * picture.height > LARGEST:
        raise ImageError(f"{path}: the picture has more than {LARGEST:,} pixels.")
    if picture.format == "PNG":
        array = extra("imagecodecs", f"{path}: a PNG with 16 bits per colour").png_decode(
            path.read_bytes()
        )
    elif picture.format == "TIFF" and tag(picture, TiffTag.Photometric, 2) == 2:
        array = extra("tifffile", f"{path}: a TIFF with 16 bits per colour").imread(path, key=0)
        if tag(picture, TiffTag.Planar, 1) == 2:
            array = np.moveaxis(array, 0, -1)
    else:
        raise ImageError(
            f"{path}: {picture.format} {picture.mode} with 16 bits per colour is not supported; "
            "convert it to an RGB PNG or TIFF."
        )
    if (
        array.dtype != np.uint16
        or array.ndim != 3
        or array.shape[2] not in (2, 3, 4)
        or array.shape[0] * array.shape[1] != picture.width * picture.height
        or (picture.format == "TIFF" and set(tag(picture, TiffTag.BitsPerSample, 1)) != {16})
    ):
        raise ImageError(f"{path}: {array.dtype} {array.shape} is not supported.")
    return oriented(array, picture.getexif().get(TiffTag.Orientation, 1))


def pixels(picture: Image.Image, path: Path) -> Array:
    """Return a picture's array, converted to grey or RGB, with or without alpha."""
    check_rows(picture, path)
    picture.load()
    kind, mode = picture.format, picture.mode
    # Pillow turns white-is-zero over for 8 bits but not for 16
    negative = mode.startswith("I;16") and tag(picture, TiffTag.Photometric, 1) == 0
    picture = ImageOps.exif_transpose(picture)
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"{path}: the picture has no pixels.")
    if mode.startswith("I;16") or (mode == "I" and kind in ("PNG", "PPM")):
        array = np.asarray(picture).astype(np.uint16)
        return np.iinfo(np.uint16).max - array if negative else array
    if mode in ("I", "F"):
        raise ImageError(
            f"{path}: pixels of 32 bits, floats or signed numbers are not supported; "
            "convert it to 16 bits."
        )
    if mode == "1":
        picture = picture.convert("L")
    elif "transparency" in picture.info:  # a colour or a palette's entries that mean nothing
        picture = picture.convert("LA" if mode == "L" else "RGBA")
    elif mode == "P":
        picture = picture.convert("RGB")
    elif mode not in ("L", "LA", "RGB", "RGBA"):
        picture = picture.convert("RGBA" if mode in ("PA", "La", "RGBa") else "RGB")
    return np.array(picture)


def check_rows(picture: Image.Image, path: Path) -> None:
    """Raise where a TIFF holds fewer rows than it states: Pillow makes the others up."""
    per_strip, strips = tag(picture, TiffTag.RowsPerStrip, 0), tag(picture, TiffTag.Strips, ())
    if strips and per_strip and len(strips) * per_strip < tag(picture, TiffTag.Rows, 0):
        raise ImageError(f"{path}: the picture is broken (rows are missing).")


# ---- writing ---------------------------------------------------------------------------------


def check_target(path: str | os.PathLike[str], array: Array) -> str:
    """Return the format a path's ending stands for, once sure that the picture can go there.

    Raises
    ------
    ImageError
        Where the ending is unknown, the format cannot hold the picture, or the place is none.
    """
    path = Path(path)
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{path}: a picture is an array of numbers; got {type(array).__name__}.")
    kind = FORMATS.get(path.suffix.lower())
    channels = array.shape[2] if array.ndim == 3 else 1
    deep = array.dtype.itemsize == 2
    if kind is None:
        known = ", ".join(sorted(FORMATS))
        raise ImageError(f"{path}: the ending {path.suffix!r} is unknown; use one of {known}.")
    if array.size == 0:
        raise ImageError(f"{path}: a picture of shape {array.shape} has no pixels to write.")
    if not is_picture(array) or channels > 4:
        raise ImageError(f"{path}: {array.dtype} {array.shape} is no picture of 8 or 16 bits.")
    if path.suffix.lower() == ".pgm" and channels != 1:
        raise ImageError(f"{path}: a .pgm holds grey; write colours to a .ppm or .png.")
    if path.suffix.lower() == ".ppm" and channels == 1:
        raise ImageError(f"{path}: a .ppm holds colours; write grey to a .pgm or .png.")
    if deep and kind not in DEEP_FORMATS:
        raise ImageError(f"{path}: {kind} holds 8 bits per colour, not 16; write a .png or .tiff.")
    if channels in (2, 4) and kind not in ALPHA_FORMATS:
        raise ImageError(f"{path}: {kind} holds no alpha; write a .png, .tiff or .webp.")
    if deep and channels == 2 and kind == "TIFF":
        raise ImageError(f"{path}: grey of 16 bits with alpha goes into a .png, not into a TIFF.")
    if deep and channels > 1:
        extra("imagecodecs" if kind == "PNG" else "tifffile", f"{path}: 16 bits per colour")
    try:
        if path.is_symlink():
            os.path.realpath(path, strict=path.exists())
        if path.is_dir():
            raise ImageError(f"{path}: this is a directory; name a file.")
        if path.exists() and not os.access(path, os.W_OK):
            raise ImageError(f"{path}: this file is write-protected.")
        if path.exists() and not path.is_file():
            raise ImageError(f"{path}: this is no regular file.")
        if not path.parent.is_dir():
            raise ImageError(f"{path}: there is no directory {path.parent}; create it first.")
    except OSError as error:  # such as a name that is too long
        raise ImageError(f"{path}: {error.strerror}.") from None
    return kind


def is_picture(array: Array) -> bool:
    """Whether an array has a picture's axes and depth, in any byte order."""
    return array.ndim in (2, 3) and array.dtype.kind == "u" and array.dtype.itemsize <= 2


def write(path: str | os.PathLike[str], array: Array) -> None:
    """Write a picture in the format that the path's ending names.

    The file appears whole or not at all: it is written under another name and then renamed.

    Parameters
    ----------
    path : path
        Where to, ending in .png, .jpg, .tiff, .bmp, .webp, .pgm or .ppm.
    array : ndarray
        uint8 or uint16, (H, W) or (H, W, C) with C from 1 to 4.

    Raises
    ------
    ImageError
        Where the format cannot hold the picture or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/grey.png", np.full((2, 3), 128, np.uint8))
    ...     read(f"{folder}/grey.png").shape
    (2, 3)
    """
    path = Path(path)
    kind = check_target(path, array)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]

    def save(file: BinaryIO) -> None:
        if array.ndim == 2 or array.dtype == np.uint8:
            Image.fromarray(array).save(file, kind, **SAVE_OPTIONS.get(kind, {}))
        elif kind == "PNG":
            file.write(extra("imagecodecs", "16 bits per colour").png_encode(array))
        else:
            extra("tifffile", "16 bits per colour").imwrite(
                file, array, photometric="rgb", planarconfig="contig"
            )

    try:
        replace_whole(path, save)
    except (OSError, ValueError) as error:  # the disk's and the formats' limits
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be written ({reason}).") from None


def replace_whole(path: Path, save: Callable[[BinaryIO], None]) -> None:
    """Write a file under another name beside it, then rename; leave nothing where that fails."""
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    mode = path.stat().st_mode if path.exists() else None
    unfinished = path.with_name(f".faltung.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), stat.S_IMODE(mode))  # a private file stays private
            save(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


# ---- filtering -------------------------------------------------------------------------------


def filter_plan(
    shape: tuple[int, ...],
    dtype: Any,
    kernel: Any,
    *,
    operation: str = "correlate",
    mode: str = "same",
    boundary: str | Sequence[str] = "symmetric",
    fill_value: int = 0,
) -> Plan:
    """Plan the filtering of pictures: of one grey plane, or of their colours.

    Raises
    ------
    ImageError
        Where the kernel has not two axes.
    """
    taps, _ = kernel_array(kernel)
    if taps.ndim != 2:
        raise ImageError(
            f"a picture needs a kernel with two axes; got shape {taps.shape}. "
            "Write a single row as [[1, 2, 1]]."
        )
    return plan(
        shape,
        dtype,
        kernel,
        operation=operation,
        axes=(0, 1),
        mode=mode,
        boundary=boundary,
        fill_value=fill_value,
        result_dtype=dtype,
        overflow="saturate",
    )


def filter(
    picture: Array,
    kernel: Any,
    *,
    operation: str = "correlate",
    mode: str = "same",
    boundary: str | Sequence[str] = "symmetric",
    fill_value: int = 0,
    workers: int | None = None,
) -> Array:
    """Filter a picture with a kernel, laid on it as it is written.

    Parameters
    ----------
    picture : ndarray
        uint8 or uint16, (H, W) or (H, W, C). With C of 2 or 4 the last is alpha, which is kept.
    kernel : array_like or Kernel
        Two axes.
    operation : {"correlate", "convolve"}
        Lay the kernel as it is written, or flip it.
    mode, boundary, fill_value, workers
        As in :func:`faltung.convolve`; pictures are continued symmetrically by default, so that
        they keep their brightness along the edges.

    Returns
    -------
    ndarray
        Of the picture's dtype, rounded half to even and saturated.

    Raises
    ------
    ImageError, ValueError
        Where picture or kernel are none, or an option is not allowed.

    Examples
    --------
    >>> from faltung import kernels
    >>> filter(np.full((3, 4), 7, np.uint8), kernels.edge).max().item()
    0
    """
    picture = plain_array(picture, "picture")
    if not is_picture(picture):
        raise ImageError(
            f"a picture is uint8 or uint16, (H, W) or (H, W, C); got {picture.dtype} "
            f"{picture.shape}."
        )
    picture = picture.astype(picture.dtype.newbyteorder("="), copy=False)
    alpha = picture.ndim == 3 and picture.shape[2] in (2, 4)
    if alpha and mode != "same":
        raise ImageError(f'a picture with alpha keeps its size: use mode="same", not {mode!r}.')
    colours = picture[:, :, :-1] if alpha else picture
    planned = filter_plan(
        colours.shape,
        picture.dtype,
        kernel,
        operation=operation,
        mode=mode,
        boundary=boundary,
        fill_value=fill_value,
    )
    result = planned(colours, workers=workers)
    return np.concatenate([result, picture[:, :, -1:]], axis=2) if alpha else result


# ---- contact sheets --------------------------------------------------------------------------

MARGIN, CAPTION = 24, 58
PAPER, INK, FAINT = (250, 249, 246), (30, 30, 30), (120, 118, 112)


def contact_sheet(
    pictures: Sequence[tuple[str, str, Array]], *, columns: int = 4, width: int = 320
) -> Array:
    """Lay pictures side by side with a title and a line of small print beneath each.

    Parameters
    ----------
    pictures : sequence of (title, note, picture)
        The pictures are uint8, (H, W) or (H, W, 3).
    columns : int
        Pictures in a row.
    width : int
        Width of each on the sheet, in pixels.

    Returns
    -------
    ndarray
        uint8 RGB.

    Raises
    ------
    ImageError
        Where there is no picture, or one is not uint8.

    Examples
    --------
    >>> contact_sheet([("grey", "", np.zeros((10, 20), np.uint8))], columns=1).shape
    (266, 368, 3)
    """
    if not pictures:
        raise ImageError("a contact sheet needs at least one picture.")
    columns = min(columns, len(pictures))
    scaled = []
    for title, note, array in pictures:
        if array.dtype != np.uint8 or array.size == 0:
            raise ImageError(f"{title}: a contact sheet takes uint8 pictures; got {array.dtype}.")
        height = max(1, round(array.shape[0] * width / array.shape[1]))
        filtering = Image.Resampling.LANCZOS
        thumb = Image.fromarray(array).convert("RGB").resize((width, height), filtering)
        scaled.append((title, note, thumb))
    cell = max(thumb.height for _, _, thumb in scaled)
    rows = -(-len(scaled) // columns)
    size = (
        MARGIN + columns * (width + MARGIN),
        MARGIN + rows * (cell + CAPTION + MARGIN),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(18), ImageFont.load_default(12)
    for number, (title, note, thumb) in enumerate(scaled):
        left = MARGIN + number % columns * (width + MARGIN)
        top = MARGIN + number // columns * (cell + CAPTION + MARGIN)
        sheet.paste(thumb, (left, top))
        draw.text((left, top + thumb.height + 8), title, INK, large)
        draw.text((left, top + thumb.height + 34), note, FAINT, small)
    return np.asarray(sheet)
