"""The main job on a real photograph: filter it with every named kernel and show the results."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from faltung import image, kernels

PHOTOGRAPH = Path(__file__).parent / "data" / "chelsea.png"
SHOWN: tuple[str, ...] = (
    "edge",
    "edge-cross",
    "sharpen",
    "box:9",
    "gaussian5",
    "unsharp5",
    "emboss",
    "sobel.x",
)
SHOWN += ("sobel.y", "edge-diagonal", "gaussian3")


def run(folder: Path, say: Callable[[str], None]) -> Path:
    """Filter the photograph and write the results and a contact sheet into a folder.

    Parameters
    ----------
    folder : Path
        Created where it does not exist.
    say : callable
        Takes each line that tells what is done.

    Returns
    -------
    Path
        The contact sheet.

    Raises
    ------
    faltung.image.ImageError
        Where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise image.ImageError(f"{folder}: cannot be created ({error.strerror}).") from None
    photograph = image.read(PHOTOGRAPH)
    height, width = photograph.shape[:2]
    say(f"{PHOTOGRAPH.name}: {width} x {height} pixels, RGB, {photograph.dtype}")
    pictures = [("the photograph", f"{width} x {height} pixels", photograph)]
    for name in SHOWN:
        kernel = kernels.get(name)
        plan = image.filter_plan(photograph.shape, photograph.dtype, kernel)
        plan(photograph)  # the first call prepares; the second shows what a call takes
        start = time.perf_counter()
        filtered = plan(photograph)
        milliseconds = (time.perf_counter() - start) * 1e3
        target = folder / f"{name.replace(':', '')}.png"
        image.write(target, filtered)
        say(f"{name:<14}{milliseconds:7.3f} ms  {target}")
        say(f"              {plan!r}")
        size = "x".join(map(str, kernel.shape))
        pictures.append((name, f"{size} taps, {milliseconds:.2f} ms", filtered))
    sheet = folder / "contact-sheet.png"
    image.write(sheet, image.contact_sheet(pictures))
    say(f"contact sheet  {sheet}")
    return sheet
