"""Draw docs/kernels.png: a photograph filtered with every named kernel of two axes.

The picture is the middle of the photograph in grey, cut out before it is filtered so that its
borders are seen, and continued symmetrically. Every kernel is applied as its numbers are written
for, in float64, and shown by one rule:

- taps that sum to more than a twentieth of their magnitudes: the result over that sum, clipped;
- all others are signed: mid-grey plus the result, measured against the greatest that the kernel
  can give (half the sum of its magnitudes times the brightest pixel), times the gain that stands
  beneath: the greatest power of two that clips at most 1 of 100 pixels.

Run it as ``python docs/kernels_sheet.py`` from the repository's root.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import faltung
from faltung import image, kernels
from faltung.demo import PHOTOGRAPH

TARGET = Path(__file__).parent / "kernels.png"
CUT = np.s_[40:188, 90:290]  # the face
COLUMNS, WIDTH = 9, 200
WHOLE = 99  # per cent of the pixels that are not


def shown(kernel: kernels.Kernel, grey: NDArray[np.float64]) -> tuple[NDArray[np.uint8], str]:
    """Return a filtered picture as it is shown, and a line that says how."""
    apply = getattr(faltung, kernel.operation)
    result = apply(grey, kernel, boundary="symmetric")
    total, size = float(kernel.total), float(np.abs(kernel.array).sum())
    taps = "x".join(map(str, kernel.shape))
    if total > size / 20:
        picture, note = result / total, taps if abs(total - 1) < 1e-9 else f"{taps}, over {total:g}"
    else:
        result = result / size  # within -127.5 and 127.5
        gain = 2 ** math.floor(math.log2(127.5 / np.percentile(np.abs(result), WHOLE)))
        picture, note = 127.5 + gain * result, f"{taps}, signed, x{gain}"
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), note


def main() -> None:
    """Write the sheet."""
    grey = image.read(PHOTOGRAPH)[CUT].mean(axis=2)
    plain = np.rint(grey).astype(np.uint8)
    pictures = [("the photograph", "in grey", plain)]
    for name in (name for group in kernels.groups().values() for name in group):
        kernel = kernels.get(name)
        if kernel.ndim == 2:
            picture, note = shown(kernel, grey)
            pictures.append((name, note, picture))
    sheet = image.contact_sheet(pictures, columns=COLUMNS, width=WIDTH)
    Image.fromarray(sheet).convert("L").save(TARGET, optimize=True)
    print(f"{len(pictures)} pictures, {TARGET.stat().st_size / 1e6:.1f} MB: {TARGET}")


if __name__ == "__main__":
    main()
