"""What the header of a WAV file says of its length, and what of that is to be believed.

A program that writes WAV into a pipe does not know its length when it writes the header. Then that
says 0, or one of the greatest numbers that it can hold: 0xFFFFFFFF (ffmpeg), 0x7FFFFFFF, 0x7FFFF000
in whole frames (SoX), 0x7FFFFF00 (arecord). Such a length is unknown: what is there counts.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from shutil import copyfileobj
from tempfile import TemporaryFile, gettempdir
from typing import BinaryIO

from faltung.files import naming

ORDERS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<"}
NEAR = 1 << 13  # bytes around 2**31, 2**32 and 2**64 in which a length is none
COPIED = 1 << 20  # bytes at a time


@dataclass(frozen=True)
class Header:
    """The header of a WAV file.

    Attributes
    ----------
    kind : bytes
        "RIFF", "RIFX" (big-endian) or "RF64" (of 64 bits).
    layout : bytes
        Its chunk "fmt ".
    place : int
        Where the samples begin.
    stated : int
        Bytes of samples that it says there are.
    whole : bool
        Whether the length of the file is the one that it says.
    """

    kind: bytes
    layout: bytes
    place: int
    stated: int
    whole: bool

    @property
    def unknown(self) -> bool:
        """Whether it says nothing of the length."""
        tops = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
        return not self.whole and (
            self.stated == 0 or any(abs(self.stated - top) <= NEAR for top in tops)
        )

    @property
    def frame(self) -> int:
        """Bytes of a frame, or of what is packed together."""
        order = ORDERS[self.kind]
        (size,) = struct.unpack_from(f"{order}H", self.layout.ljust(14, b"\0"), 12)
        return max(1, int(size))


def header_of(raw: BinaryIO) -> Header | None:
    """Return the header of a WAV file, None where it is none or has no samples."""
    size = raw.seek(0, os.SEEK_END)
    raw.seek(0)
    head = raw.read(12)
    kind = head[:4]
    if len(head) < 12 or kind not in ORDERS or head[8:] != b"WAVE":
        return None
    order, place, layout = ORDERS[kind], 12, b""
    total: int = struct.unpack_from(f"{order}I", head, 4)[0]
    long_length = None
    while place + 8 <= size:
        raw.seek(place)
        name, length = struct.unpack(f"{order}4sI", raw.read(8))
        if name == b"data":
            stated = length if long_length is None else long_length
            return Header(kind, layout, place + 8, stated, total + 8 == size)
        if name == b"fmt ":
            layout = raw.read(min(length, 1 << 10))
        elif name == b"ds64" and kind == b"RF64":
            total, long_length = struct.unpack("<QQ", raw.read(16).ljust(16, b"\0"))
        place += 8 + length + length % 2
    return None


def spooled(raw: BinaryIO) -> BinaryIO:
    """Return what a pipe gives as a file without a name."""
    file: BinaryIO = TemporaryFile()  # noqa: SIM115  (the caller closes it)
    with naming(f"a file in {gettempdir()}"):
        copyfileobj(raw, file, COPIED)
        file.seek(0)
    return file


def restated(raw: BinaryIO, header: Header, length: int) -> BinaryIO:
    """Return the same samples with a header that says how many there are.

    It is one of 64 bits, as of RF64 (European Broadcasting Union, Tech 3306, 2009).
    """
    layout = header.layout + b"\0" * (len(header.layout) % 2)
    chunks = struct.pack("<4sI", b"fmt ", len(header.layout)) + layout
    chunks += struct.pack("<4sI", b"data", 0xFFFFFFFF)
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, 40 + len(chunks) + length, length, 0, 0)
    file: BinaryIO = TemporaryFile()  # noqa: SIM115  (the caller closes it)
    raw.seek(header.place)
    with naming(f"a file in {gettempdir()}"):
        file.write(struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE") + sizes + chunks)
        copyfileobj(raw, file, COPIED)
        file.seek(0)
    return file
