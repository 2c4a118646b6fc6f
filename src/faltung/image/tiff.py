"""TIFF files: what their entries mean, and the pages that Pillow cannot hold, by tifffile."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image, TiffImagePlugin

from faltung.image.formats import Array, ImageError, check_pixels, extra, is_picture
from faltung.image.picture import Metadata, Picture, profile, resolution


class TiffTag(IntEnum):
    """The entries of a TIFF file that decide what its numbers mean (TIFF 6.0, section 8)."""

    Width = 256
    Rows = 257
    BitsPerSample = 258
    Photometric = 262  # 0: white is zero, 1: black is zero, 2: RGB
    Strips = 273
    Compression = 259  # 1: none
    Orientation = 274  # EXIF's too
    Samples = 277
    RowsPerStrip = 278
    StripBytes = 279
    Resolution = 282  # across
    Planar = 284  # 2: channel after channel
    ColorMap = 320
    TileWidth = 322
    TileLength = 323
    Tiles = 324
    TileBytes = 325
    ExtraSamples = 338  # 1: alpha that the colours are multiplied with, 2: alpha
    SampleFormat = 339  # 1: unsigned, 2: signed, 3: float


# what is kept of a TIFF's own entries: they are EXIF's, too, and say nothing of the pixels
DESCRIBING = (270, 271, 272, 305, 306, 315, 33432)
EXIF_PARTS = (34665, 34853)  # camera settings, position
LARGEST_TILE = 1 << 22  # pixels of one that may be larger than the picture
WIDER = {"int8": np.int16, "float16": np.float32, "bool": np.uint8}


def tag(picture: Image.Image, number: TiffTag, otherwise: Any) -> Any:
    """Return a TIFF's entry: a number, or a tuple of one for each channel."""
    entries = getattr(picture, "tag_v2", {})
    return entries.get(number, otherwise)


def numbers(value: Any) -> tuple[int, ...]:
    """Return an entry as a tuple, whether it is one number or several."""
    return tuple(value) if isinstance(value, Sequence) else (value,)


def is_plain(picture: Image.Image) -> bool:
    """Whether Pillow keeps all the bits of the open page, and their meaning."""
    bits = set(numbers(tag(picture, TiffTag.BitsPerSample, 1)))
    formats = set(numbers(tag(picture, TiffTag.SampleFormat, 1))) - {4}  # 4: not said
    samples = tag(picture, TiffTag.Samples, 1)
    single = samples == 1
    turned = tag(picture, TiffTag.Photometric, 1) == 0
    apart = not single and tag(picture, TiffTag.Planar, 1) == 2
    if samples > 4 or (apart and samples != 3) or (turned and (not single or formats - {1})):
        return False  # Pillow drops channels, loses planes, and turns over too much or nothing
    if bits <= {1, 2, 4, 8} and formats <= {1}:
        return True
    big = getattr(getattr(picture, "tag_v2", None), "prefix", b"II") == b"MM"
    if big and tag(picture, TiffTag.Compression, 1) != 1 and (bits, formats or {1}) != ({16}, {1}):
        return False  # libtiff swaps the bytes, and Pillow swaps them back
    known = ({16}, {1}), ({16}, {2}), ({32}, {1}), ({32}, {2}), ({32}, {3})
    return (
        single and (bits, formats or {1}) in known and picture.mode in ("F", "I", "I;16", "I;16B")
    )


def check_directories(file: BinaryIO, name: object) -> None:
    """Raise where a directory of entries is cut off: the codecs believe what is left of it."""
    length = file.seek(0, 2)
    file.seek(0)
    start = file.read(16)
    order = "<" if start[:1] == b"I" else ">"
    big = b"+" in start[2:4]
    count, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    place, seen = (8, set[int]()) if big else (4, set[int]())
    while True:
        file.seek(place)
        found = file.read(struct.calcsize(link))
        if len(found) < struct.calcsize(link):
            raise ImageError(f"{name}: the picture is broken (its directory is cut off).")
        (place,) = struct.unpack(order + link, found)
        if place == 0 or place in seen:
            return
        seen.add(place)
        file.seek(min(place, length))
        stated = file.read(struct.calcsize(count))
        if len(stated) < struct.calcsize(count):
            raise ImageError(f"{name}: the picture is broken (its directory is cut off).")
        place = min(length, place + len(stated) + entry * struct.unpack(order + count, stated)[0])


def check_chunks(picture: Image.Image, file: BinaryIO, name: object) -> None:
    """Raise where strips or tiles are missing from a TIFF: Pillow makes their pixels up."""
    tiles = tag(picture, TiffTag.Tiles, None)
    offsets = tag(picture, TiffTag.Strips, ()) if tiles is None else tiles
    bytes_tag = TiffTag.StripBytes if tiles is None else TiffTag.TileBytes
    rows, width = tag(picture, TiffTag.Rows, 0), tag(picture, TiffTag.Width, 0)
    if tiles is None:
        across, down = width, min(rows, int(tag(picture, TiffTag.RowsPerStrip, rows)))
    else:
        across = tag(picture, TiffTag.TileWidth, 0)
        down = tag(picture, TiffTag.TileLength, 0)
    planes = tag(picture, TiffTag.Samples, 1) if tag(picture, TiffTag.Planar, 1) == 2 else 1
    counts = numbers(tag(picture, bytes_tag, ()))
    chunks = numbers(offsets), counts or (1,) * len(numbers(offsets))
    check_cover((width, rows), (across, down), planes, chunks, file.seek(0, 2), name)


def check_cover(
    size: tuple[int, int],
    chunk: tuple[int, int],
    planes: int,
    chunks: tuple[Sequence[int], Sequence[int]],
    length: int,
    name: object,
) -> None:
    """Raise where strips or tiles do not cover a picture, or are much larger than it.

    Sizes are across and down; the chunks are offsets and counts of bytes, in a file of a length.
    """
    if min(chunk) <= 0:
        raise ImageError(f"{name}: the picture is broken (its strips or tiles have no size).")
    if chunk[0] * chunk[1] > max(LARGEST_TILE, 4 * size[0] * size[1]):
        raise ImageError(
            f"{name}: its tiles of {chunk[0]} x {chunk[1]} are far larger than the picture of "
            f"{size[0]} x {size[1]}."
        )
    needed = -(-size[0] // chunk[0]) * -(-size[1] // chunk[1]) * planes
    offsets, counts = chunks
    held = zip(offsets[:needed], counts[:needed], strict=False)
    if sum(1 for at, n in held if 0 < at < length and n > 0) < needed:
        raise ImageError(f"{name}: the picture is broken (strips, rows or tiles are missing).")


def mend_palette(picture: Image.Image) -> None:
    """Read a palette of numbers below 256 as 8 bits, as some programs write it, not as 16."""
    colours = tag(picture, TiffTag.ColorMap, ())
    if picture.mode == "P" and colours and max(colours) < 256:
        third = len(colours) // 3
        planes = [colours[n * third : (n + 1) * third] for n in range(3)]
        picture.putpalette([value for entry in zip(*planes, strict=True) for value in entry])


def meant(picture: Image.Image, array: Array) -> Array:
    """Return a loaded page's numbers as its entries mean them."""
    # Pillow turns white-is-zero over for 8 bits but not for 16
    if array.dtype == np.uint16 and tag(picture, TiffTag.Photometric, 1) == 0:
        return np.iinfo(np.uint16).max - array
    if array.dtype == np.int32:
        signed = set(numbers(tag(picture, TiffTag.SampleFormat, 1))) == {2}
        bits = set(numbers(tag(picture, TiffTag.BitsPerSample, 32)))
        if not signed:
            return array.view(np.uint32)
        return array.astype(np.int16) if bits == {16} else array
    return array


def exif(picture: Image.Image) -> bytes | None:
    """Return what a TIFF says of its camera and its author, as EXIF."""
    found = picture.getexif()
    kept = Image.Exif()
    for number in DESCRIBING:
        if number in found:
            kept[number] = found[number]
    for part in EXIF_PARTS:
        entries = found.get_ifd(part)
        if entries:
            kept.get_ifd(part).update(entries)
            kept[part] = entries
    return kept.tobytes() if len(kept) else None


def read_all(file: BinaryIO, name: object, limit: int, every: bool) -> tuple[Picture, bool]:
    """Read the pages of a file that Pillow cannot open, as :func:`faltung.image.load` does."""
    notes: tuple[str, ...] = ()
    with pages_of(file, name) as pages:
        frames: list[Array] = []
        pixels = 0
        for page in pages if every else pages[:1]:
            pixels = check_pixels(name, page.imagewidth, page.imagelength, limit, pixels)
            frames.append(read_page(page, name))
        dpi = resolution(page_dpi(pages[0]))
        icc = profile({"icc_profile": pages[0].iccprofile})
        if pages[0].tags.get(EXIF_PARTS[0]) is not None:
            notes = ("its EXIF was left out",)
        several = len(pages) > 1
    return Picture(tuple(frames), "TIFF", metadata=Metadata(icc, dpi), notes=notes), several


@contextmanager
def pages_of(file: BinaryIO, name: object) -> Iterator[Any]:
    """Open the pages of a file with tifffile."""
    tifffile = extra("tifffile", f"{name}: a TIFF with such pixels")
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # not to the terminal
    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        if not len(opened.pages):
            raise ImageError(f"{name}: the picture is broken (it has no page).")
        yield opened.pages


def page_dpi(page: Any) -> tuple[float, float] | None:
    """Return a page's dots per inch."""
    unit = {2: 1.0, 3: 2.54}.get(int(page.tags.valueof(296, default=2)))
    stated = [page.tags.valueof(number, default=None) for number in (282, 283)]
    if unit is None or not all(isinstance(n, tuple) and len(n) == 2 and n[1] for n in stated):
        return None
    (across, down) = (unit * n[0] / n[1] for n in stated)
    return across, down


def read_page(page: Any, name: object) -> Array:
    """Read a page that Pillow cannot hold: deep colours, doubles, signed numbers."""
    photometric, samples = int(page.photometric), int(page.samplesperpixel)
    if photometric not in (0, 1, 2) or samples > 4 or page.dtype is None or page.imagedepth > 1:
        bits = f"{page.bitspersample} bits per colour"
        raise ImageError(
            f"{name}: a TIFF of photometric kind {photometric}, {samples} channels, with {bits} is "
            "not supported; convert it to an RGB PNG or TIFF."
        )
    tiled = bool(page.is_tiled)
    across, down = (
        (int(page.tilewidth), int(page.tilelength))
        if tiled
        else (int(page.imagewidth), min(int(page.imagelength), int(page.rowsperstrip)))
    )
    planes = samples if samples > 1 and int(page.planarconfig) == 2 else 1
    chunks = page.dataoffsets, page.databytecounts
    size = int(page.imagewidth), int(page.imagelength)
    length = page.parent.filehandle.size
    check_cover(size, (across, down), planes, chunks, length, name)
    if int(page.compression) == 1 and 8 * length < page.bitspersample * samples * size[0] * size[1]:
        raise ImageError(f"{name}: the picture is broken (its pixels end too early).")
    if photometric == 0 and page.dtype.kind != "u":
        raise ImageError(
            f"{name}: a TIFF of {page.dtype} in which white is zero is not supported; convert it "
            "to one in which black is zero."
        )
    array = np.asarray(page.asarray())
    if samples > 1 and int(page.planarconfig) == 2:
        array = np.moveaxis(array, 0, -1)
    array = array.astype(WIDER.get(array.dtype.name, array.dtype.newbyteorder("=")))
    shape = (page.imagelength, page.imagewidth, *((samples,) if samples > 1 else ()))
    if not is_picture(array) or array.shape != shape or not array.size:
        raise ImageError(f"{name}: {array.dtype} {array.shape} is not supported.")
    if photometric == 0 and array.dtype.kind == "u":
        colours = array[:, :, :1] if samples > 1 else array  # alpha is not turned over
        np.subtract(np.iinfo(array.dtype).max, colours, out=colours)
    if samples in (2, 4) and [int(kind) for kind in page.extrasamples] == [1]:
        array = apart(array)
    return oriented(array, page.tags.valueof(TiffTag.Orientation, default=1))


def oriented(array: Array, orientation: Any) -> Array:
    """Return a picture upright, from the number its file states (EXIF 2.32, tag 274).

    Examples
    --------
    >>> oriented(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation in (5, 6, 7, 8):  # rows and columns change places, then as below
        array, orientation = array.swapaxes(0, 1), {5: 1, 6: 2, 7: 3, 8: 4}[orientation]
    if orientation in (2, 3):
        array = array[:, ::-1]
    if orientation in (3, 4):
        array = array[::-1]
    return np.ascontiguousarray(array)


def apart(array: Array) -> Array:
    """Return colours that were multiplied with their alpha as they are without it."""
    top = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
    alpha = array[:, :, -1:].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        colours = np.where(alpha > 0, array[:, :, :-1] * (top / alpha), 0)
    if array.dtype.kind != "f":
        colours = np.rint(np.clip(colours, 0, top))
    return np.concatenate([colours.astype(array.dtype), array[:, :, -1:]], axis=2)


def needs_tifffile(array: Array) -> bool:
    """Whether Pillow cannot write a page."""
    name = array.dtype.name
    return name != "uint8" and not (array.ndim == 2 and name in ("uint16", "int32", "float32"))


class Pages(TiffImagePlugin.AppendingTiffWriter):
    """Pillow's writer of pages, which would walk from the first to the last for each new one."""

    last = 0  # where the last page found so far says where the next one is

    def skipIFDs(self) -> None:  # noqa: N802
        """Walk on from the last page that was found."""
        if self.last:
            self.f.seek(self.last)
        super().skipIFDs()
        self.last = self.whereToWriteNewIFDOffset or 0


def append_pages(file: BinaryIO, frames: Sequence[Array], options: dict[str, Any]) -> None:
    """Write pages with Pillow, one after another."""
    with Pages(file) as pages:
        for array in frames:
            Image.fromarray(array).save(cast(BinaryIO, pages), "TIFF", **options)
            pages.newFrame()


def encode(file: BinaryIO, frames: Sequence[Array], metadata: Metadata) -> None:
    """Write pages with tifffile, uncompressed."""
    tifffile = extra("tifffile", "a TIFF with such pixels")
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    with tifffile.TiffWriter(file) as writer:
        for array in frames:
            options: dict[str, Any] = {}
            channels = array.shape[2] if array.ndim == 3 else 1
            if channels in (2, 4):
                options["extrasamples"] = ["unassalpha"]
            if channels > 1:
                options["planarconfig"] = "contig"
            if metadata.dpi:
                options.update(resolution=metadata.dpi, resolutionunit="INCH")
            if metadata.icc:
                options["iccprofile"] = metadata.icc
            writer.write(
                array,
                photometric="rgb" if channels > 2 else "minisblack",
                metadata=None,
                **options,
            )
