"""EXIF, changed where it says something of the pixels: byte by byte, the rest stays as it was.

EXIF 2.32 is a TIFF: directories of entries of 12 bytes, and offsets (sections 4.5 and 4.6). Nothing
is moved, so that all offsets stay true, those in makers' notes too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

EXIF = b"Exif\0\0"  # what EXIF begins with in a JPEG, and here
ORIENTATION = 274  # section 4.6.4
DETAILS = 34665  # the offset of the camera's own directory
WIDTHS, HEIGHTS = (256, 0xA002), (257, 0xA003)  # in the first directory, in the camera's
PREVIEWS = ((513, 514), (273, 279))  # offsets and bytes of a JPEG, of strips
INTEGERS = {3: "H", 4: "I"}  # SHORT and LONG


@dataclass(frozen=True)
class Directory:
    """A directory: where it is, and where its entries are, by their numbers."""

    order: str
    entries: dict[int, int]
    start: int
    end: int

    def integers(self, body: bytearray, tag: int) -> tuple[int, ...]:
        """Return an entry's numbers; none where it is missing or of another kind."""
        if tag not in self.entries:
            return ()
        at = self.entries[tag]
        kind, count = struct.unpack_from(f"{self.order}HI", body, at + 2)
        if kind not in INTEGERS:
            return ()
        shape = f"{self.order}{count}{INTEGERS[kind]}"
        inside = struct.calcsize(shape) <= 4
        place = at + 8 if inside else struct.unpack_from(f"{self.order}I", body, at + 8)[0]
        return struct.unpack_from(shape, body, place)

    def put(self, body: bytearray, tag: int, value: int) -> None:
        """Set an entry, where there is one, to one number: a SHORT where it fits."""
        if tag not in self.entries:
            return
        at = self.entries[tag] + 2
        if value < 1 << 16:
            struct.pack_into(f"{self.order}HIHH", body, at, 3, 1, value, 0)
        else:
            struct.pack_into(f"{self.order}HII", body, at, 4, 1, value)


def byte_order(body: bytearray) -> str:
    """Return the sign of an order of bytes; struct.error where there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(body[:4]))
    if order is None:
        raise struct.error("no TIFF")
    return order


def directory(body: bytearray, start: int) -> Directory:
    """Return a directory; struct.error where it reaches beyond the end."""
    order = byte_order(body)
    (count,) = struct.unpack_from(f"{order}H", body, start)
    end = start + 2 + 12 * count
    places = range(start + 2, end, 12)
    tags = [struct.unpack_from(f"{order}H8xH", body, at)[0] for at in places]
    return Directory(order, dict(zip(tags, places, strict=True)), start, end)


def first(body: bytearray) -> Directory:
    """Return the first directory."""
    return directory(body, struct.unpack_from(f"{byte_order(body)}I", body, 4)[0])


def upright(exif: bytes) -> bytes | None:
    """Return EXIF of orientation 1 and without its thumbnail, or None where it is broken.

    A thumbnail shows what the picture was: its bytes are removed where they are the last ones, and
    are else set to 0.

    Examples
    --------
    >>> upright(b"no EXIF") is None
    True
    """
    body = bytearray(exif.removeprefix(EXIF))
    try:
        main = first(body)
        main.put(body, ORIENTATION, 1)
        if len(body) >= main.end + 4:  # the offset of the next directory, which is the thumbnail's
            (start,) = struct.unpack_from(f"{main.order}I", body, main.end)
            struct.pack_into(f"{main.order}I", body, main.end, 0)
            if start:
                remove_preview(body, start, main)
    except struct.error:
        return None
    return EXIF + bytes(body)


def remove_preview(body: bytearray, start: int, main: Directory) -> None:
    """Take the pixels of a thumbnail's directory away; struct.error where it lies."""
    try:
        preview = directory(body, start)
    except struct.error:  # cut off: nobody finds a thumbnail there
        return
    parts: list[tuple[int, int]] = []
    for places, counts in PREVIEWS:
        found = preview.integers(body, places), preview.integers(body, counts)
        parts += zip(*found, strict=False)
    for at, count in sorted(parts, reverse=True):
        end = min(at + count, len(body))
        if at < 8 or (at < main.end + 4 and end > main.start):
            raise struct.error("a thumbnail over what describes it")
        if at >= len(body):
            continue
        body[at:end] = b"" if end == len(body) else bytes(end - at)


def sized(exif: bytes, width: int, height: int) -> bytes:
    """Return EXIF that states a size in pixels wherever it stated one.

    Examples
    --------
    >>> sized(b"no EXIF", 3, 2)
    b'no EXIF'
    """
    body = bytearray(exif.removeprefix(EXIF))
    try:
        main = first(body)
        places = main.integers(body, DETAILS)
        parts = [main, *(directory(body, place) for place in places[:1])]
        for part in parts:
            for tags, value in ((WIDTHS, width), (HEIGHTS, height)):
                for tag in tags:
                    part.put(body, tag, value)
    except struct.error:  # as it was: it is for the codecs to judge
        return exif
    return EXIF + bytes(body)
