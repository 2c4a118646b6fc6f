"""Writing pictures: whole files or none."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from faltung.files import replace_whole
from faltung.image import jpeg, tiff
from faltung.image.exif import sized
from faltung.image.formats import FORMATS, HOLDS, Array, ImageError, extra, has_alpha, is_picture
from faltung.image.picture import LONGEST_SEGMENT, Metadata, Picture, fits

QUALITY = 95  # of a JPEG
# of 12 megapixels in photographs level 4 takes half of the time of level 6, and 2 % more bytes
# (benchmarked on three; at most 18 % more on text and patterns). Levels below 4 cost 10 to 20 %.
COMPRESSION = 4
SOME = ", ".join(sorted(FORMATS))


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
    kind = format_of(path)
    check_picture(path, kind, array)
    check_place(path)
    return kind


def format_of(path: Path) -> str:
    """Return the format that a path's ending stands for."""
    kind = FORMATS.get(path.suffix.lower())
    if path.suffix.lower() == ".gif":
        raise ImageError(f"{path}: GIF is only read; write a .png, which holds animation, too.")
    if kind is None:
        raise ImageError(f"{path}: the ending {path.suffix!r} is unknown; use one of {SOME}.")
    return kind


def check_picture(path: Path, kind: str, array: Array) -> None:
    """Raise where a format cannot hold a picture; the path's ending says what of PNM is meant."""
    holds, name, ending = HOLDS[kind], array.dtype.newbyteorder("=").name, path.suffix.lower()
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.size == 0:
        raise ImageError(f"{path}: a picture of shape {array.shape} has no pixels to write.")
    if not is_picture(array) or channels > 4:
        raise ImageError(f"{path}: {array.dtype} {array.shape} is no picture of 8 or 16 bits.")
    if ending == ".pgm" and channels != 1:
        raise ImageError(f"{path}: a .pgm holds grey; write colours to a .ppm or .png.")
    if ending == ".ppm" and channels == 1:
        raise ImageError(f"{path}: a .ppm holds colours; write grey to a .pgm or .png.")
    if name == "uint16" and name not in holds.dtypes:
        raise ImageError(
            f"{path}: {kind} holds 8 bits per colour, not 16; write a .png or .tiff, or convert "
            'it: image.converted(picture, "uint8") (--depth 8).'
        )
    if name not in holds.dtypes:
        raise ImageError(
            f"{path}: {array.dtype} {array.shape} is no picture of 8 or 16 bits, which is all that "
            f'{kind} holds; write a .tiff, or convert it: image.converted(picture, "uint8") '
            "(--depth 8)."
        )
    if has_alpha(array) and not holds.alpha:
        raise ImageError(
            f"{path}: {kind} holds no alpha; write a .png, .tiff or .webp, or lay it on a colour: "
            'image.flattened(picture, "white") (--background white).'
        )
    if kind == "PNG" and name == "uint16" and channels > 1:
        extra("imagecodecs", f"{path}: 16 bits per colour")
    if kind == "TIFF" and tiff.needs_tifffile(array):
        extra("tifffile", f"{path}: {name} with {channels} channels")


def check_place(path: Path) -> None:
    """Raise where no file can be written at a path."""
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


def write(path: str | os.PathLike[str], array: Array, *, quality: int | None = None) -> None:
    r"""Write a picture in the format that the path's ending names.

    The file appears whole or not at all: it is written under another name and then renamed.

    Parameters
    ----------
    path : path
        Where to, ending in .png, .jpg, .tiff, .bmp, .webp, .pgm, .ppm or .pnm.
    array : ndarray
        (H, W) or (H, W, C) with C from 1 to 4; uint8, for PNG, TIFF and PNM also uint16, for TIFF
        also uint32, int16, int32, float32 and float64.
    quality : int, optional
        1 to 100, of a JPEG (95 by default) or of a WebP, which is written without loss by default.

    Raises
    ------
    ImageError
        Where the format cannot hold the picture or has no quality, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/grey.png", np.full((2, 3), 128, np.uint8))
    ...     Path(f"{folder}/grey.png").read_bytes()[:4]
    b'\x89PNG'
    """
    check_target(checked_path(path, array), array)
    save(path, Picture((array,)), quality=quality)


def checked_path(path: Any, picture: object) -> Path:
    """Return where to write, or raise; the two are easily swapped."""
    if isinstance(path, (str, os.PathLike)):
        return Path(path)
    swapped = " The path comes first." if isinstance(picture, (str, os.PathLike)) else ""
    raise ImageError(
        f"a picture is written to a path, such as 'a.png'; got {type(path).__name__}.{swapped} "
        "For the bytes of a file use image.encode."
    )


def save(
    path: str | os.PathLike[str], picture: Picture, *, quality: int | None = None
) -> tuple[str, ...]:
    """Write all the frames or pages of a picture, with what it says beside its pixels.

    The colour profile, the resolution and EXIF are kept where the format has a place for them, an
    animation's durations in PNG and WebP, a JPEG's subsampling in JPEG. The sizes that EXIF states
    become those of the first frame.

    Parameters
    ----------
    path : path
        As in :func:`write`, as is the quality.
    picture : Picture

    Returns
    -------
    tuple of str
        Notes on what the format does not hold, such as all the frames but the first.

    Raises
    ------
    ImageError
        As in :func:`write`.

    Examples
    --------
    >>> import tempfile
    >>> frames = tuple(np.full((2, 3), shade, np.uint8) for shade in (0, 255))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/a.bmp", Picture(frames))
    ('BMP holds one picture: of 2 frames the first was written',)
    """
    path = checked_path(path, picture)
    if not isinstance(picture, Picture):
        raise ImageError(
            f"{path}: save takes an image.Picture; got {type(picture).__name__}. Arrays are "
            "written with image.write."
        )
    kind = format_of(path)
    for array in picture.frames:
        check_target(path, array)
    content, notes = encode(picture, kind, path=path, quality=quality)

    def put(file: BinaryIO) -> None:
        file.write(content)

    try:
        replace_whole(path, put)
    except (OSError, ValueError) as error:  # the disk's limits
        raise unwritable(path, error) from None
    return notes


def unwritable(path: object, error: Exception) -> ImageError:
    """Return the error of a picture that cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return ImageError(f"{path}: cannot be written ({' '.join(str(reason).split())}).")


def encode(
    picture: Picture, kind: str, *, path: Path = Path("-"), quality: int | None = None
) -> tuple[memoryview, tuple[str, ...]]:
    r"""Return the bytes of a picture's file, and notes on what the format does not hold.

    Raises
    ------
    ImageError
        Where the format cannot hold the picture.

    Examples
    --------
    >>> content, notes = encode(Picture((np.zeros((1, 2), np.uint8),)), "PPM")
    >>> bytes(content), notes
    (b'P5\n2 1\n255\n\x00\x00', ())
    """
    notes = []
    check_quality(path, kind, quality)
    frames = [native(array) for array in picture.frames]
    for array in frames:
        check_picture(path, kind, array)
    if frames_held(picture, kind) < len(frames):
        why = f"{kind} holds one picture"
        if HOLDS[kind].animated:
            why = f"pages without durations are no animation, and {kind} holds no others"
        if HOLDS[kind].animated and picture.animated:
            why = "frames that are all equal are a still picture"
        notes.append(f"{why}: of {len(frames)} frames the first was written")
        frames = frames[:1]
    elif picture.animated and kind == "TIFF":
        notes.append("TIFF holds no durations: the frames became pages")
    if len(frames) > 1 and kind != "TIFF" and any(a.dtype != np.uint8 for a in frames):
        raise ImageError(f"{path}: an animation has 8 bits per colour; write a .tiff.")
    metadata, more = kept(picture.metadata, kind, frames[0])
    notes.extend(more)
    timing = (picture.durations, picture.loop) if len(frames) > 1 else ((), 0)
    try:
        content = encoded(frames, kind, metadata, timing, quality)
    except ImageError:
        raise
    except Exception as error:  # Pillow takes EXIF apart; the formats have limits of their own
        if metadata.exif is None:
            raise unwritable(path, error) from None
        notes.append("its EXIF cannot be written and was left out")
        try:
            content = encoded(frames, kind, replace(metadata, exif=None), timing, quality)
        except Exception as again:
            raise unwritable(path, again) from None
    return content, tuple(notes)


def frames_held(picture: Picture, kind: str) -> int:
    """Return how many of a picture's frames or pages a format holds: all, or the first.

    Equal frames that follow each other become one, as long as all of them: of frames that are all
    equal no animation is left.
    """
    first = picture.frames[0]
    several = kind == "TIFF" or (
        HOLDS[kind].animated
        and picture.animated
        and not all(np.array_equal(first, array) for array in picture.frames[1:])
    )
    return len(picture.frames) if several else 1


def check_quality(path: object, kind: str, quality: int | None) -> None:
    """Raise where a format knows no such quality."""
    if quality is None:
        return
    if not HOLDS[kind].quality:
        raise ImageError(
            f"{path}: {kind} is written without loss and has no quality; leave it out, or write a "
            ".jpg or .webp."
        )
    if not 1 <= quality <= 100:
        raise ImageError(f"{path}: quality={quality} must be from 1 to 100.")


def native(array: Array) -> Array:
    """Return a picture contiguous, in the machine's byte order, one channel without its axis."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def kept(metadata: Metadata, kind: str, array: Array) -> tuple[Metadata, list[str]]:
    """Return what of the metadata a format keeps with such a picture, and notes on the rest."""
    notes = []
    grey = array.ndim == 2 or array.shape[2] == 2
    if metadata.icc and not fits(metadata.icc, grey):
        whose = {b"RGB ": "RGB", b"GRAY": "grey", b"CMYK": "CMYK"}.get(
            metadata.icc[16:20], "other colours"
        )
        result = "grey" if grey else "RGB"
        notes.append(f"its colour profile is for {whose}, the result is {result}: it was left out")
        metadata = replace(metadata, icc=None)
    if metadata.exif:
        metadata = replace(metadata, exif=sized(metadata.exif, array.shape[1], array.shape[0]))
    if metadata.exif and kind == "JPEG" and len(metadata.exif) > LONGEST_SEGMENT:
        notes.append("its EXIF is too long for a JPEG and was left out")
        metadata = replace(metadata, exif=None)
    if metadata.icc and kind == "JPEG" and len(metadata.icc) > jpeg.MOST_PARTS * jpeg.PART:
        notes.append("its colour profile is too long for a JPEG and was left out")
        metadata = replace(metadata, icc=None)
    if kind in ("BMP", "PPM") and (metadata.icc or metadata.exif):
        notes.append(f"{kind} has no place for colour profile and EXIF")
    return metadata, notes


def encoded(
    frames: Sequence[Array],
    kind: str,
    metadata: Metadata,
    timing: tuple[Sequence[float], int],
    quality: int | None,
) -> memoryview:
    """Return the bytes of a file."""
    first = frames[0]
    if kind == "JPEG" and (done := jpeg.encode(first, metadata, quality or QUALITY)) is not None:
        return memoryview(done)
    file = io.BytesIO()
    deep = first.dtype != np.uint8
    if kind == "TIFF" and any(tiff.needs_tifffile(array) for array in frames):
        tiff.encode(file, frames, metadata)
    elif kind == "PPM" and deep:
        height, width = first.shape[:2]
        file.write(b"P%d\n%d %d\n65535\n" % (5 if first.ndim == 2 else 6, width, height))
        file.write(first.astype(">u2").tobytes())
    elif kind == "PNG" and deep and first.ndim == 3:
        content = extra("imagecodecs", "16 bits per colour").png_encode(first, level=COMPRESSION)
        file.write(png_with(bytes(content), metadata))
    else:
        options = options_for(kind, metadata, quality)
        durations, loop = timing
        if durations:
            options.update(duration=[round(d) for d in durations], loop=loop)
        if len(frames) > 1 and kind == "TIFF":
            tiff.append_pages(file, frames, options)
            return file.getbuffer()
        if len(frames) > 1:
            rest = [Image.fromarray(array) for array in frames[1:]]
            options.update(save_all=True, append_images=rest)
        Image.fromarray(first).save(file, kind, **options)
    return file.getbuffer()


def options_for(kind: str, metadata: Metadata, quality: int | None) -> dict[str, Any]:
    """Return what Pillow is told."""
    options: dict[str, Any] = {}
    if kind == "JPEG":
        subsampling = metadata.subsampling
        options.update(
            quality=quality or QUALITY, subsampling=0 if subsampling is None else subsampling
        )
    if kind == "PNG":
        options.update(compress_level=COMPRESSION)
    if kind == "WEBP" and quality is None:
        options.update(lossless=True, exact=True)
    elif kind == "WEBP":
        options.update(quality=quality)
    if metadata.dpi and kind in ("JPEG", "PNG", "TIFF", "BMP"):
        options["dpi"] = metadata.dpi
    if metadata.icc and kind not in ("BMP", "PPM"):
        options["icc_profile"] = metadata.icc
    if metadata.exif and kind not in ("BMP", "PPM"):
        options["exif"] = metadata.exif
    return options


def png_with(content: bytes, metadata: Metadata) -> bytes:
    """Return a PNG file with chunks for what Pillow did not get to write (PNG 3, section 11.3)."""
    import struct
    import zlib

    chunks = b""

    def chunk(name: bytes, body: bytes) -> bytes:
        summed = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", summed)

    if metadata.icc:
        chunks += chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.dpi:
        across, down = (round(n / 0.0254) for n in metadata.dpi)  # dots per metre
        chunks += chunk(b"pHYs", struct.pack(">IIB", across, down, 1))
    if metadata.exif:
        chunks += chunk(b"eXIf", metadata.exif[6:])
    header = 8 + 25  # the signature, and IHDR with its length, name and sum
    return content[:header] + chunks + content[header:]
