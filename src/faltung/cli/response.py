"""The frequency response of a kernel, as text and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.kernels import Kernel

EIGHTHS = ("0", "1/16", "1/8", "3/16", "1/4", "5/16", "3/8", "7/16", "1/2")
PAPER, INK, FAINT, LINE = (250, 249, 246), (30, 30, 30), (200, 198, 192), (37, 99, 168)
SIDE, EDGE = 384, 64  # pixels of a plot, and around it


def gains(kernel: Kernel, frequencies: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the gain along each axis, and of a kernel with two along the diagonals, too."""
    values = np.abs(kernel.frequency_response(frequencies=frequencies).values)
    names = {1: ("gain",), 2: ("down", "across")}.get(kernel.ndim)
    middle = int(np.abs(frequencies).argmin())
    for axis in reversed(range(kernel.ndim)):
        place: list[Any] = [middle] * kernel.ndim
        place[axis] = slice(None)
        yield names[axis] if names else f"axis {axis}", values[tuple(place)]
    if kernel.ndim == 2:
        yield "falling", np.diagonal(values)
        yield "rising", np.diagonal(values[:, ::-1])


def as_text(kernel: Kernel) -> Iterator[str]:
    """Yield the gains at nine frequencies as lines of text.

    Examples
    --------
    >>> from faltung.kernels import binomial
    >>> print(*as_text(binomial(3, axes=1)), sep="\\n")
    gain at cycles per sample
                    0     1/16      1/8     3/16      1/4     5/16      3/8     7/16      1/2
                    1    0.962    0.854    0.691      0.5    0.309    0.146   0.0381        0
    """
    yield "gain at cycles per sample"
    yield " " * 8 + "".join(f"{f:>9}" for f in EIGHTHS)
    half = np.linspace(0, 0.5, len(EIGHTHS))
    both = np.concatenate([-half[:0:-1], half])
    least = 1e-9 * float(np.abs(kernel.array).sum())  # less is rounding
    for name, line in gains(kernel, both):
        shown = "" if kernel.ndim == 1 else name
        numbers = (0.0 if gain < least else gain for gain in line[len(half) - 1 :])
        yield f"{shown:<8}" + "".join(f"{gain:>9.3g}" for gain in numbers)


def as_picture(kernel: Kernel) -> NDArray[np.uint8]:
    """Draw the gain: a curve for one axis, for two a map on which white is the greatest gain."""
    from PIL import Image, ImageDraw, ImageFont

    if kernel.ndim > 2:
        raise ValueError(
            f"the response of a kernel with {kernel.ndim} axes cannot be drawn; one or two can."
        )
    frequencies = np.linspace(-0.5, 0.5, SIDE + 1)
    gain = np.abs(kernel.frequency_response(frequencies=frequencies).values)
    top = float(gain.max()) or 1.0
    size = SIDE + 2 * EDGE
    sheet = Image.new("RGB", (size, size), PAPER)
    draw = ImageDraw.Draw(sheet)
    small = ImageFont.load_default(13)
    draw.text((EDGE, 16), kernel.name, INK, ImageFont.load_default(18))
    if kernel.ndim == 2:  # rows count downwards: the first, of frequency -1/2, is 1/2 upwards
        grey = np.rint(255 * gain / top).astype(np.uint8)
        sheet.paste(Image.fromarray(grey).convert("RGB"), (EDGE, EDGE))
        note = f"gain, black 0 to white {top:.4g}; cycles per sample to the right and upwards"
    else:
        points = [
            (EDGE + n, EDGE + SIDE * (1 - float(value) / top)) for n, value in enumerate(gain)
        ]
        draw.rectangle((EDGE, EDGE, EDGE + SIDE, EDGE + SIDE), outline=FAINT)
        draw.line([(EDGE + SIDE // 2, EDGE), (EDGE + SIDE // 2, EDGE + SIDE)], FAINT)
        draw.line(points, LINE, 2)
        draw.text((EDGE - 8, EDGE), f"{top:.4g}", INK, small, anchor="rm")
        draw.text((EDGE - 8, EDGE + SIDE), "0", INK, small, anchor="rm")
        note = "gain against cycles per sample"
    for part, text in ((0, "-1/2"), (0.5, "0"), (1, "1/2")):
        draw.text((EDGE + part * SIDE, EDGE + SIDE + 14), text, INK, small, anchor="mm")
        if kernel.ndim == 2:
            draw.text((EDGE - 8, EDGE + SIDE * (1 - part)), text, INK, small, anchor="rm")
    draw.text((EDGE, size - 26), note, INK, ImageFont.load_default(11))
    return np.asarray(sheet)
