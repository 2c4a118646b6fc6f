"""Contact sheets: pictures side by side, each with a title."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faltung import kernels
from faltung.image.converting import converted, flattened
from faltung.image.filtering import filter
from faltung.image.formats import Array, ImageError, checked

MARGIN, CAPTION = 24, 58
TALLEST = 4  # times the width: the thinnest pictures get narrower instead
PAPER, INK, FAINT = (250, 249, 246), (30, 30, 30), (120, 118, 112)


def contact_sheet(
    pictures: Sequence[tuple[str, str, Array]], *, columns: int = 4, width: int = 320
) -> Array:
    """Lay pictures side by side with a title and a line of small print beneath each.

    Parameters
    ----------
    pictures : sequence of (title, note, picture)
        The pictures are uint8, (H, W) or (H, W, C); those with alpha are laid on white.
    columns : int
        Pictures in a row.
    width : int
        Width of each on the sheet, in pixels; those more than four times as tall are narrower.

    Returns
    -------
    ndarray
        uint8 RGB.

    Raises
    ------
    ImageError
        Where there is no picture, or one is not uint8 or has more than four channels.

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
        check_channels(array, title)
        plane = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else flattened(array)
        filtering = Image.Resampling.LANCZOS
        thumb = Image.fromarray(plane).convert("RGB").resize(fitted(plane, width), filtering)
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
        draw.text((left, top + thumb.height + 8), fitting(draw, title, large, width), INK, large)
        draw.text((left, top + thumb.height + 34), fitting(draw, note, small, width), FAINT, small)
    return np.asarray(sheet)


def check_channels(array: Array, title: str) -> None:
    """Raise where nobody can say how the channels look."""
    if array.ndim == 3 and not 1 <= array.shape[2] <= 4:
        raise ImageError(
            f"{title}: a contact sheet takes grey and RGB pictures, with or without alpha; got "
            f"{array.shape[2]} channels. Give some of them, as in picture[:, :, :3]."
        )


def fitted(array: Array, width: int) -> tuple[int, int]:
    """Return the width and height of a picture on a sheet.

    Examples
    --------
    >>> fitted(np.zeros((10, 20)), 320), fitted(np.zeros((2000, 1)), 320)
    ((320, 160), (1, 1280))
    """
    height, across = array.shape[:2]
    tall = max(1, round(height * width / across))
    if tall <= TALLEST * width:
        return width, tall
    return max(1, round(across * TALLEST * width / height)), TALLEST * width


def fitting(draw: ImageDraw.ImageDraw, text: str, font: Any, width: int) -> str:
    """Return a text, cut where it is too long for its place."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}...", font) > width:
        text = text[:-1]
    return f"{text}..."


def compare(
    picture: Array,
    chosen: str | Sequence[Any],
    *,
    title: str = "the picture",
    columns: int = 4,
    width: int = 320,
    **options: Any,
) -> Array:
    """Return a contact sheet of a picture and what each of some kernels makes of it.

    Every kernel is applied to the picture at its full size; only the sheet is small. What is
    transparent is laid on white.

    Parameters
    ----------
    picture : ndarray
        As in :func:`faltung.image.filter`.
    chosen : str or sequence of kernels
        Names, numbers, or kernels; or one text such as ``"edge,sharpen,gaussian:3"``.
    title : str
        What stands under the picture itself.
    columns, width
        As in :func:`contact_sheet`.
    **options
        As in :func:`faltung.image.filter`.

    Returns
    -------
    ndarray
        uint8 RGB.

    Raises
    ------
    ImageError, ValueError
        Where these are no picture and no kernels.

    Examples
    --------
    >>> compare(np.zeros((10, 20), np.uint8), "edge,gaussian:3").shape
    (266, 1056, 3)
    """
    picture = checked(picture)
    check_channels(picture, title)
    height, across = picture.shape[:2]
    entries = [(title, f"{across} x {height} pixels, {picture.dtype}", converted(picture, "uint8"))]
    for each in listed(chosen) if isinstance(chosen, str) else list(chosen):
        kernel = kernels.parse(each) if isinstance(each, str) else each
        name = each if isinstance(each, str) else str(getattr(kernel, "name", "given"))
        size = " x ".join(map(str, np.shape(kernel)))
        filtered = filter(picture, kernel, **options)
        entries.append((name, f"{size} taps", converted(filtered, "uint8")))
    return contact_sheet(entries, columns=columns, width=width)


def listed(text: str) -> list[str]:
    """Return the kernels of a text with commas between them.

    Commas inside brackets belong to a kernel's numbers, and what begins with a digit or a sign, or
    with the name of a parameter, to the kernel before.

    Examples
    --------
    >>> listed("edge, motion:15,30deg,[[1,2],[3,4]]/10,gaussian:1,order=1,sobel.x")
    ['edge', 'motion:15,30deg', '[[1,2],[3,4]]/10', 'gaussian:1,order=1', 'sobel.x']
    """
    parts, depth, start = [], 0, 0
    parameter = re.compile(r"\s*([-+.0-9]|[a-z]+\s*=)")
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0 and not parameter.match(text, place + 1):
            parts.append(text[start:place].strip())
            start = place + 1
    parts.append(text[start:].strip())
    if not all(parts):
        raise ImageError(f"{text!r} names no kernel between two commas; write edge,gaussian:3.")
    return parts
