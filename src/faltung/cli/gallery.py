"""The gallery of kernels: a page with the numbers of each, its source and a filtered picture."""

from __future__ import annotations

import base64
import io
import math
from html import escape

import numpy as np
from numpy.typing import NDArray

from faltung.kernels import Kernel, get, groups

CUT = np.s_[40:188, 84:296]  # of the photograph: an eye, and fur in all directions
WHOLE = 99  # per cent of the pixels that a gain does not clip
STYLE = (
    "body{font:15px/1.45 sans-serif;margin:2em auto;max-width:76em;color:#222;background:#faf9f6}"
    "article{display:inline-block;vertical-align:top;width:23em;margin:0 1em 1.6em 0}"
    "img{display:block;margin:.4em 0}table{font-size:11px;margin:.3em 0}"
    "small{color:#666}"
)


def photograph() -> NDArray[np.float64]:
    """Return the middle of the photograph in grey."""
    from faltung import image
    from faltung.demo import PHOTOGRAPH

    return np.asarray(image.read(PHOTOGRAPH)[CUT].mean(axis=2))


def shown(kernel: Kernel, grey: NDArray[np.float64]) -> tuple[NDArray[np.uint8], str]:
    """Filter a grey picture of 0 to 255 and return it as it is shown, with a line that says how.

    The kernel is applied as its numbers are written for, in float64, on the picture continued
    symmetrically. Taps that sum to more than a twentieth of their magnitudes: the result over that
    sum, clipped. All others are signed: mid-grey plus the result, measured against the greatest
    that the kernel can give (half the sum of its magnitudes times 255), times a gain, which the
    line names: the greatest power of two that clips at most 1 of 100 pixels.

    Examples
    --------
    >>> from faltung.kernels import sobel_x
    >>> picture, note = shown(sobel_x, np.eye(9) * 200)
    >>> note
    '3x3, signed, x1'
    """
    import faltung

    apply = faltung.convolve if kernel.operation == "convolve" else faltung.correlate
    result = apply(grey, kernel, boundary="symmetric")
    total, size = float(kernel.total), float(np.abs(kernel.array).sum())
    taps = "x".join(map(str, kernel.shape))
    if total > size / 20:
        picture, note = result / total, taps if abs(total - 1) < 1e-9 else f"{taps}, over {total:g}"
    else:
        result = result / size  # within -127.5 and 127.5
        most = float(np.percentile(np.abs(result), WHOLE)) or 127.5
        gain = 2 ** math.floor(math.log2(127.5 / most))
        picture, note = 127.5 + gain * result, f"{taps}, signed, x{gain:g}"
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), note


def inline(picture: NDArray[np.uint8]) -> str:
    """Return a picture as the address that holds it."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.standard_b64encode(content.getvalue()).decode()


def page() -> str:
    """Return the page of all named kernels, which needs no other file."""
    grey = photograph()
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>The kernels of faltung</title><style>{STYLE}</style></head><body>"
        "<h1>The kernels of faltung</h1>"
        "<p>Each with its taps (blue above 0, red below), its source, and a photograph filtered "
        "with it. Taps that sum to 0 give signed results, which are shown around mid-grey with the "
        "gain that stands beneath.</p>"
    ]
    for group, names in groups().items():
        parts.append(f"<h2>{escape(group[0].upper() + group[1:])}</h2>")
        for name in names:
            kernel = get(name)
            parts.append(f"<article>{kernel._repr_html_()}")
            if kernel.ndim == 2:
                picture, note = shown(kernel, grey)
                height, width = picture.shape
                parts.append(
                    f'<img src="{inline(picture)}" width="{width}" height="{height}" '
                    f'alt="{escape(name)}"><small>{escape(note)}</small>'
                )
            parts.append("</article>")
    return "\n".join([*parts, "</body></html>\n"])
