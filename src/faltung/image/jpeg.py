"""JPEG by imagecodecs, where the extra ``faltung[deep]`` is installed: the same bits, sooner.

Both it and Pillow call libjpeg-turbo. Pillow goes through memory of its own with 4 bytes for each
pixel, which costs about as much as a third of the decoding. Whatever is unusual is left to Pillow.
"""

from __future__ import annotations

import struct
from functools import cache
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from faltung.image.formats import Array
from faltung.image.picture import Metadata

END = b"\xff\xd9"  # the marker that a whole file ends with
HEADER = b"\xff\xd8\xff\xe0\x00\x10JFIF\0"
PART = 65519  # bytes of a profile in one segment (ICC.1:2022, annex B.4)
MOST_PARTS = 255  # they are counted in one byte
SLACK = 1 << 25  # bytes of EXIF, profiles and previews
SUBSAMPLINGS = {0: "444", 1: "422", 2: "420"}


@cache
def codecs() -> Any:
    """Return imagecodecs, or None."""
    try:
        return import_module("imagecodecs")
    except ImportError:
        return None


def decode(picture: Image.Image, file: BinaryIO) -> Array | None:
    """Return the pixels of a picture that Pillow has opened, or None where Pillow shall read them.

    A file that does not end as it should is left to Pillow, which tells what is missing.
    """
    plain = picture.mode in ("L", "RGB") and picture.info.get("adobe_transform", 1) == 1
    if codecs() is None or not plain:
        return None
    # no more is read than a picture of that size can need: a sparse file costs nothing to make
    file.seek(0)
    most = SLACK + 8 * picture.width * picture.height
    content = file.read(most + 1)
    if len(content) > most:
        return None
    if not content.rstrip(b"\0").endswith(END):
        return None
    try:
        array = np.asarray(codecs().jpeg8_decode(content))
    except Exception:
        return None
    channels = () if picture.mode == "L" else (3,)
    fits = array.dtype == np.uint8 and array.shape == (picture.height, picture.width, *channels)
    return array if fits else None


def encode(array: Array, metadata: Metadata, quality: int) -> bytes | None:
    """Return a file, or None where Pillow shall write it."""
    if codecs() is None:
        return None
    subsampling = SUBSAMPLINGS[metadata.subsampling or 0]
    try:
        content = bytes(
            codecs().jpeg8_encode(array, level=quality, subsampling=subsampling)
            if array.ndim == 3
            else codecs().jpeg8_encode(array, level=quality)
        )
    except Exception:
        return None
    if not content.startswith(HEADER):
        return None
    after = 4 + 16  # the start, and the first segment
    return with_resolution(content[:after], metadata) + segments(metadata) + content[after:]


def with_resolution(header: bytes, metadata: Metadata) -> bytes:
    """Return the header with dots per inch (JFIF 1.02: unit 1, then across and down)."""
    if metadata.dpi is None:
        return header
    across, down = (max(1, round(n)) for n in metadata.dpi)
    return header[:13] + struct.pack(">BHH", 1, across, down) + header[18:]


def segments(metadata: Metadata) -> bytes:
    """Return the segments of EXIF and of the colour profile."""
    found = []
    if metadata.exif:
        found.append((b"\xff\xe1", metadata.exif))
    if metadata.icc:
        parts = [metadata.icc[n : n + PART] for n in range(0, len(metadata.icc), PART)]
        for number, part in enumerate(parts, 1):
            head = b"ICC_PROFILE\0" + bytes([number, len(parts)])
            found.append((b"\xff\xe2", head + part))
    return b"".join(marker + struct.pack(">H", len(body) + 2) + body for marker, body in found)
