"""Draw docs/kernels.png: a photograph filtered with every named kernel of two axes.

The picture is the middle of the photograph in grey, cut out before it is filtered so that its
borders are seen. How a result is shown is said in :func:`faltung.cli.gallery.shown`.

Run it as ``python docs/kernels_sheet.py``, or ``make sheet``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from faltung import image, kernels
from faltung.cli.gallery import photograph, shown

TARGET = Path(__file__).parent / "kernels.png"
COLUMNS, WIDTH = 9, 212  # as wide as the picture, so that nothing is resampled


def main() -> None:
    """Write the sheet."""
    grey = photograph()
    pictures = [("the photograph", "in grey", np.rint(grey).astype(np.uint8))]
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
