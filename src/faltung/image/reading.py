"""Reading pictures: files of any kind to arrays, upright, in grey or RGB."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin, PpmImagePlugin, UnidentifiedImageError

from faltung.image import jpeg, tiff
from faltung.image.exif import EXIF, ORIENTATION, upright
from faltung.image.formats import (
    LARGEST,
    READABLE,
    Array,
    ImageError,
    check_pixels,
    extra,
)
from faltung.image.picture import Metadata, Picture, profile, resolution

BAND = 1 << 20  # bytes taken out of Pillow's memory at a time: what stays in cache
PLAIN = ("L", "LA", "RGB", "RGBA")
WORDS = {
    "1": ("L", "black and white became grey"),
    "P": ("RGB", "a palette became RGB"),
    "PA": ("RGBA", "a palette became RGB"),
    "CMYK": ("RGB", "CMYK became RGB"),
    "YCbCr": ("RGB", "YCbCr became RGB"),
    "RGBX": ("RGB", "a fourth channel without a meaning was left out"),
    "RGBa": ("RGBA", ""),  # premultiplied: the same colours
    "La": ("LA", ""),
}
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # and BigTIFF
_lifting = threading.RLock()


def read(path: str | os.PathLike[str], *, max_pixels: int = LARGEST) -> Array:
    """Read a picture.

    Parameters
    ----------
    path : path
        A PNG, JPEG, TIFF, BMP, WebP, PGM, PPM or GIF file, told by its content. The orientation
        that it states is applied; palettes and other colour models become RGB. Of several pictures
        in one file the first is read, with a warning; :func:`load` reads them all.
    max_pixels : int
        The most pixels a file may have.

    Returns
    -------
    ndarray
        uint8 or uint16, from a TIFF also uint32, int16, int32, float32 or float64; (H, W),
        (H, W, 2), (H, W, 3) or (H, W, 4).

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
    path = checked_path(path)
    with reading(path, max_pixels), path.open("rb") as file:
        picture, several = decode(file, path, max_pixels, every=False)
    if several:
        warnings.warn(f"{path}: holds several pictures; only the first is read.", stacklevel=2)
    return picture.frames[0]


def load(path: str | os.PathLike[str], *, max_pixels: int = LARGEST) -> Picture:
    """Read every frame or page of a picture file, and what it says beside its pixels.

    Parameters
    ----------
    path, max_pixels
        As in :func:`read`; the limit holds for all frames together.

    Returns
    -------
    Picture

    Raises
    ------
    ImageError
        As in :func:`read`.

    Examples
    --------
    >>> from faltung.demo import PHOTOGRAPH
    >>> picture = load(PHOTOGRAPH)
    >>> picture.kind, len(picture.frames), picture.notes
    ('PNG', 1, ())
    """
    path = checked_path(path)
    with reading(path, max_pixels), path.open("rb") as file:
        return decode(file, path, max_pixels)[0]


def loads(content: bytes, *, name: str = "the data", max_pixels: int = LARGEST) -> Picture:
    """Read a picture from the bytes of its file, as :func:`load` does from a path.

    Examples
    --------
    >>> loads(b"P5 2 1 255 ab").frames[0].tolist()
    [[97, 98]]
    """
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise ImageError(
            f"loads takes the bytes of a file; got {type(content).__name__}. Paths are for "
            "image.load."
        )
    with telling(name, max_pixels):
        return decode(io.BytesIO(content), name, max_pixels)[0]


def size(path: str | os.PathLike[str], *, max_pixels: int = LARGEST) -> tuple[int, int, int]:
    """Return the width, the height and the frames that a file states; no pixel is read.

    Examples
    --------
    >>> from faltung.demo import PHOTOGRAPH
    >>> size(PHOTOGRAPH)
    (451, 300, 1)
    """
    path = checked_path(path)
    with reading(path, max_pixels), path.open("rb") as file:
        try:
            with opened(file, path, max_pixels) as picture:
                return *picture.size, getattr(picture, "n_frames", 1)
        except UnidentifiedImageError:
            file.seek(0)
            if file.read(4) not in TIFFS:
                raise
            with tiff.pages_of(file, path) as pages:
                width, height = pages[0].imagewidth, pages[0].imagelength
                check_pixels(path, width, height, max_pixels)
                return width, height, len(pages)


def checked_path(path: Any) -> Path:
    """Return where to read, or raise."""
    if isinstance(path, (str, os.PathLike)):
        return Path(path)
    instead = (
        "Bytes of a file are read with image.loads."
        if isinstance(path, (bytes, bytearray, memoryview))
        else "The bytes of an open file are read with image.loads(file.read())."
        if hasattr(path, "read")
        else "An array is a picture already; image.loads reads the bytes of a file."
    )
    raise ImageError(f"a picture is read from a path; got {type(path).__name__}. {instead}")


# ---- errors ----------------------------------------------------------------------------------


@contextmanager
def reading(path: Path, limit: int) -> Iterator[None]:
    """Check that a path is a file, and turn what goes wrong with it into errors of one line."""
    with telling(path, limit):
        if not path.exists():
            raise ImageError(f"{path}: there is no such file.")
        if not path.is_file():  # opening a FIFO would wait for its writer
            raise ImageError(f"{path}: this is no regular file; name a picture.")
        yield


@contextmanager
def telling(name: object, limit: int) -> Iterator[None]:
    """Turn whatever a codec raises into an error of one line."""
    try:
        with quiet():
            yield
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{name}: the picture does not fit into memory.") from None
    except Image.DecompressionBombError:
        raise ImageError(
            f"{name}: its pixels are more than the limit of {min(limit, LARGEST):,}; if the file "
            "is to be trusted, raise the limit with max_pixels (--max-pixels)."
        ) from None
    except UnidentifiedImageError:
        kinds = ", ".join(READABLE)
        raise ImageError(f"{name}: this is no picture that can be read; use {kinds}.") from None
    except Exception as error:  # codecs meet hostile bytes with exceptions of every kind
        if isinstance(error, OSError) and error.strerror:  # the system's, not a codec's
            raise ImageError(f"{name}: {error.strerror}.") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: the picture is broken ({reason}).") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the codecs' warnings: what is wrong with a file is said in errors alone.

    The filters of warnings belong to the process, so that only the main thread changes them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def opened(file: BinaryIO, name: object, limit: int) -> Iterator[Image.Image]:
    """Open a picture of no more pixels than the limit.

    Pillow's own limit belongs to the process; it is lifted only while a higher one was asked for.
    """
    if limit <= LARGEST:
        with Image.open(file, formats=READABLE) as picture:
            check_pixels(name, *picture.size, limit)
            yield picture
        return
    with _lifting:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(file, formats=READABLE) as picture:
                check_pixels(name, *picture.size, limit)
                yield picture
        finally:
            Image.MAX_IMAGE_PIXELS = usual


# ---- decoding --------------------------------------------------------------------------------


def decode(file: BinaryIO, name: object, limit: int, every: bool = True) -> tuple[Picture, bool]:
    """Return a file's picture, and whether there were frames that ``every=False`` left out."""
    tagged = file.read(4) in TIFFS
    if tagged:
        tiff.check_directories(file, name)
    file.seek(0)
    try:
        return with_pillow(file, name, limit, every)
    except (
        UnidentifiedImageError,
        SyntaxError,
    ):  # Pillow's word for pixels that it has no mode for
        if not tagged:
            raise
        return tiff.read_all(file, name, limit, every)


def with_pillow(file: BinaryIO, name: object, limit: int, every: bool) -> tuple[Picture, bool]:
    """Return a file's picture, opened by Pillow."""
    with ExitStack() as open_pages, opened(file, name, limit) as picture:
        pages: Any = None  # tifffile's list: made once, where a page needs it
        kind = str(picture.format)
        # phones put a preview behind the photograph (MPO): that is no second picture
        count = 1 if kind == "MPO" else int(getattr(picture, "n_frames", 1))
        # a PNG may hold a still picture for viewers that show no animation
        first = 1 if every and count > 1 and getattr(picture, "default_image", False) else 0
        loop = picture.info.get("loop", 0)
        frames, durations, total = [], [], 0
        notes: dict[str, None] = {}  # an ordered set
        for number in range(first, count if every else 1):
            if count > 1:
                picture.seek(number)
            total = check_pixels(name, *picture.size, limit, total)
            deep = is_deep_colour(picture)  # before getexif() loads a PNG, which ends its tiles
            if number == first:  # before Pillow's load() takes the orientation out of a TIFF
                metadata = metadata_of(picture, notes)
            if picture.format == "TIFF" and pages is None and not tiff.is_plain(picture):
                pages = open_pages.enter_context(tiff.pages_of(file, name))
            array, note = frame(picture, file, number, name, deep, pages)
            frames.append(array)
            durations.append(picture.info.get("duration"))
            if note:
                notes[note] = None
    if first:
        notes["its still picture for viewers without animation was left out"] = None
    if len({array.ndim == 2 or array.shape[2] for array in frames}) > 1 and kind != "TIFF":
        frames = [with_alpha(array) for array in frames]  # some frames have transparent places
    timed = [float(d) for d in durations if isinstance(d, (int, float)) and d >= 0]
    return Picture(
        tuple(frames),
        "JPEG" if kind == "MPO" else kind,
        tuple(timed) if 1 < len(timed) == len(frames) else (),
        loop if isinstance(loop, int) and 0 <= loop < 1 << 16 else 0,
        metadata,
        tuple(notes),
    ), count > 1


def frame(
    picture: Image.Image, file: BinaryIO, number: int, name: object, deep: bool, pages: Any
) -> tuple[Array, str]:
    """Return one frame of an opened file, upright, and a note on what was converted."""
    if picture.format == "TIFF":
        if not tiff.is_plain(picture):
            return tiff.read_page(pages[number], name), ""
        tiff.check_chunks(picture, file, name)
        tiff.mend_palette(picture)
        array, note = pixels(picture, name)  # Pillow turns it upright as it loads
        if picture.mode == "RGB" and tiff.tag(picture, tiff.TiffTag.Samples, 1) == 4:
            note = WORDS["RGBX"][1]
        return tiff.meant(picture, array), note
    fast = jpeg.decode(picture, file) if picture.format in ("JPEG", "MPO") else None
    if fast is not None:
        array, note = fast, ""
    elif deep:
        array, note = read_deep(picture, file, name), ""
    else:
        array, note = pixels(picture, name)
    return tiff.oriented(array, orientation(picture)), note


def is_deep_colour(picture: Image.Image) -> bool:
    """Whether Pillow would silently drop bits: of several channels it keeps 8 in each."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return False  # one channel, kept whole
    # a tile is (codec, box, offset, arguments); PNG's say "RGB;16B", PPM's the largest value
    arguments = [np.atleast_1d(np.array(tile[3], object)) for tile in getattr(picture, "tile", [])]
    return any(
        ";16" in part if isinstance(part, str) else picture.format == "PPM" and part > 255
        for group in arguments
        for part in group
        if isinstance(part, (str, int))
    )


def read_deep(picture: Image.Image, file: BinaryIO, name: object) -> Array:
    """Read a picture with colours of 16 bits, of which Pillow has read the header."""
    if picture.format == "PNG":
        file.seek(0)
        array = extra("imagecodecs", f"{name}: a PNG with 16 bits per colour").png_decode(
            file.read()
        )
    elif isinstance(picture, PpmImagePlugin.PpmImageFile) and picture.tile[0][0] == "ppm":
        array = read_deep_ppm(picture, file)
    else:
        raise ImageError(
            f"{name}: {picture.format} {picture.mode} with 16 bits per colour is not supported; "
            "convert it to an RGB PNG or TIFF."
        )
    if (
        array.dtype != np.uint16
        or array.ndim != 3
        or array.shape[2] not in (2, 3, 4)
        or array.shape[:2] != (picture.height, picture.width)
    ):
        raise ImageError(f"{name}: {array.dtype} {array.shape} is not supported.")
    return np.asarray(array)


def read_deep_ppm(picture: PpmImagePlugin.PpmImageFile, file: BinaryIO) -> Array:
    """Read a binary PPM of 16 bits: big-endian numbers up to the largest value that it states."""
    offset, arguments = picture.tile[0][2], picture.tile[0][3]
    largest = arguments[1] if isinstance(arguments, tuple) else 65535
    shape = (picture.height, picture.width, 3)
    file.seek(offset)
    content = file.read(2 * shape[0] * shape[1] * 3)
    if len(content) < 2 * shape[0] * shape[1] * 3:
        raise OSError("the pixels end too early")
    values = np.frombuffer(content, ">u2").reshape(shape)
    if largest == 65535:
        return values.astype(np.uint16)
    # to the full scale, as Pillow does with grey
    scaled = np.rint(np.minimum(values, largest) * (65535 / largest))
    return np.asarray(scaled.astype(np.uint16))


def pixels(picture: Image.Image, name: object) -> tuple[Array, str]:
    """Return a picture's array in grey or RGB, with or without alpha, and what was converted."""
    if picture.format == "PNG" and picture.mode == "P" and picture.palette is None:
        raise ImageError(f"{name}: the picture is broken (its palette is missing).")
    picture.load()
    mode = picture.mode
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"{name}: the picture has no pixels.")
    if mode.startswith("I;16") or (mode == "I" and picture.format in ("PNG", "PPM")):
        array = np.asarray(picture).astype(np.uint16)
        clear = picture.info.get("transparency")  # one shade of grey that means nothing
        if picture.format == "PNG" and isinstance(clear, int):
            array = np.stack([array, np.where(array == clear, 0, 65535).astype(np.uint16)], axis=2)
        return array, ""
    if mode in ("I", "F"):
        return np.array(picture), ""
    to, note = WORDS.get(mode, ("RGB", f"{mode} became RGB"))
    if mode == "CMYK" and profile(picture.info):
        note += ", without regard to its colour profile"
    if "transparency" in picture.info:  # a colour or a palette's entries that mean nothing
        to = "LA" if mode in ("1", "L") else "RGBA"
        note = note if mode in WORDS else ""
    elif mode in PLAIN:
        return array_of(picture), ""
    return array_of(picture.convert(to)), note


def array_of(picture: Image.Image) -> Array:
    """Return the bytes of a picture in one of the plain modes.

    Taken out in bands, which stay in cache, they come three times as fast as at once.
    """
    width, height = picture.size
    channels = len(picture.getbands())
    shape = (height, width) if channels == 1 else (height, width, channels)
    out = np.empty(shape, np.uint8)
    rows = max(1, BAND // (width * channels))
    for top in range(0, height, rows):
        below = min(top + rows, height)
        out[top:below] = np.asarray(picture.crop((0, top, width, below)))
    return out


def with_alpha(array: Array) -> Array:
    """Return RGB with alpha, from grey or RGB with or without it."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.shape[2] in (1, 3):
        array = np.concatenate([array, np.full_like(array[:, :, :1], 255)], axis=2)
    if array.shape[2] == 2:
        array = array[:, :, [0, 0, 0, 1]]
    return array


def orientation(picture: Image.Image) -> int:
    """Return the orientation that a file states: 1 where it states none that exists."""
    with suppress(Exception):  # broken EXIF is of every kind
        stated = picture.getexif().get(ORIENTATION, 1)
        if isinstance(stated, int) and 1 <= stated <= 8:
            return stated
    return 1


def metadata_of(picture: Image.Image, notes: dict[str, None]) -> Metadata:
    """Return what a file says beside its pixels, and note what is broken in it."""
    info = picture.info
    exif = None
    raw = tiff.exif(picture) if picture.format == "TIFF" else info.get("exif")
    if isinstance(raw, bytes) and raw.removeprefix(EXIF):
        exif = upright(raw)
        if exif is None:
            notes["its EXIF is broken and was left out"] = None
    stated = picture.format != "TIFF" or tiff.tag(picture, tiff.TiffTag.Resolution, None)
    dpi = resolution(info.get("dpi")) if stated else None  # Pillow makes one up for a TIFF
    turned = picture.format == "TIFF" and tiff.tag(picture, tiff.TiffTag.Orientation, 1)
    if dpi and (turned or orientation(picture)) in (5, 6, 7, 8):
        dpi = dpi[::-1]
    subsampling = None
    if picture.format in ("JPEG", "MPO"):
        found = JpegImagePlugin.get_sampling(picture)
        subsampling = found if found in (0, 1, 2) else None
    return Metadata(profile(info), dpi, exif, subsampling)
