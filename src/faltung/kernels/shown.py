"""Taps as lines of text and as a small heat map for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRINTED = 225  # taps: of a larger kernel only some are printed
WIDE = 31  # and of a longer row
CELLS = 33  # along each axis of a heat map; larger kernels are thinned out
NEGATIVE, POSITIVE = (178, 58, 44), (37, 99, 168)  # of the greatest magnitude; 0 is white


def short(taps: NDArray[Any], most: int) -> list[str]:
    """Return taps as lines of text; only those at the ends where there are more than ``most``."""
    with np.printoptions(
        threshold=most, edgeitems=max(1, most // 4), precision=4, linewidth=96, legacy=False
    ):
        return str(taps).splitlines()


def colour(level: float) -> str:
    """Return the colour of a level from -1 to 1, as HTML writes it."""
    end = POSITIVE if level > 0 else NEGATIVE
    return "#" + "".join(f"{round(255 + (c - 255) * abs(level)):02x}" for c in end)


def html(title: str, taps: NDArray[Any], notes: Sequence[str]) -> str:
    """Return a title, a heat map of the taps with their numbers where they fit, and notes.

    Kernels of one axis are a row; of kernels with more than two, the middle plane is shown.
    """
    from html import escape

    plane = taps.reshape(1, -1) if taps.ndim == 1 else taps
    hidden = []
    while plane.ndim > 2:
        plane = plane[len(plane) // 2]
        hidden = ["The middle plane."]
    thinned = plane[thin(plane.shape[0])][:, thin(plane.shape[1])]
    if thinned.shape != plane.shape:
        hidden.append(f"{thinned.shape[0]} x {thinned.shape[1]} of its taps.")
    notes = [*(note for note in notes if note), *hidden]
    return "\n".join(
        [
            f"<div><b>{escape(title)}</b>",
            '<table style="border-collapse:collapse">',
            *cells(thinned),
            "</table>",
            *(f"<div>{escape(note)}</div>" for note in notes),
            "</div>",
        ]
    )


def thin(count: int) -> NDArray[Any]:
    """Return the places of at most ``CELLS`` taps, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, CELLS)).round().astype(int))


def cells(plane: NDArray[Any]) -> Iterator[str]:
    """Yield the rows of the heat map."""
    levels = plane.astype(float)
    top = float(np.abs(levels).max()) or 1.0
    numbers = max(plane.shape) <= 9
    for row, shades in zip(plane, levels / top, strict=True):
        line = []
        for tap, level in zip(row, shades, strict=True):
            ink = "#fff" if abs(level) > 0.6 else "#222"
            text = (f"{tap:.4g}" if isinstance(tap, float) else str(tap)) if numbers else ""
            line.append(
                f'<td title="{tap}" style="background:{colour(float(level))};color:{ink};'
                f"border:1px solid #ddd;text-align:right;padding:{'3px 7px' if numbers else '4px'}"
                f'">{text}</td>'
            )
        yield f"<tr>{''.join(line)}</tr>"
