"""Kernels from texts: names, written numbers, and files."""

from __future__ import annotations

import ast
import io
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.kernels.catalogue import get
from faltung.kernels.kernel import Kernel

Taps = Kernel | NDArray[Any]
LONGEST_FILE = 64 << 20  # bytes of a kernel in a file
SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
SHOWN = 60  # letters of a text that an error repeats
LARGEST_SIDE = 1001  # pixels of a picture


def parse(text: str) -> Taps:
    """Return the kernel that a text names: a name, its numbers, or a file.

    Parameters
    ----------
    text : str
        A name (``edge``, ``box:5``, ``motion:15,30deg``), nested lists of numbers with an optional
        divisor (``[[1,2,1],[2,4,2],[1,2,1]]/16``), or the path of a file:

        - ``.npy``: an array saved by :func:`numpy.save`;
        - ``.csv``: rows of numbers between commas, semicolons or white space;
        - ``.json``: nested lists, or an object with ``taps`` and, if wished, ``divisor``,
          ``anchor``, ``operation`` and ``name``;
        - ``.png``: the grey value of each pixel over the sum of all, so that black is 0 and the
          taps sum to 1; colours are taken as their luminance, and nothing may be transparent.

    Returns
    -------
    Kernel or ndarray
        A Kernel where the numbers are whole (over a whole divisor) and for names, pictures and JSON
        objects, else an array of float64.

    Raises
    ------
    ValueError
        Where the text is none of these, the file cannot be read, or the taps are no finite numbers.

    Examples
    --------
    >>> parse("[[1, 2, 1]]/4")
    <Kernel given: [[1, 2, 1]] / 4>
    """
    text = text.strip()
    if text.startswith("["):
        return literal(text)
    if text.lower().endswith(".npy"):
        return checked(load(text), text)
    for ending, read in READERS.items():
        if text.lower().endswith(ending):
            return read(text)
    try:
        return get(text)
    except ValueError:
        if not os.path.isfile(text):
            raise
    raise ValueError(
        f"kernel {cut(text)!r} is a file, and no name of a kernel; files are read whose names end "
        f"in {', '.join(ENDINGS)}."
    )


def encoded(path: str, kernel: Any) -> bytes:
    """Return what a file holds from which :func:`parse` reads the kernel again.

    Parameters
    ----------
    path : str
        Its ending tells the format: ``.npy`` and ``.csv`` hold the taps, of one axis or two for
        ``.csv``; ``.json`` everything but the text: fractions stay exact.
    kernel : Kernel or array_like

    Raises
    ------
    ValueError
        Where the ending is none of these, or the file cannot hold the kernel.

    Examples
    --------
    >>> print(encoded("k.json", parse("[[1, 2, 1]]/4")).decode())
    {"taps": [[1, 2, 1]], "divisor": 4, "anchor": [0, 1], "operation": "correlate", "name": "given"}
    """
    import json

    kernel, ending = Kernel.of(kernel), os.path.splitext(path)[1].lower()
    taps = kernel.array
    if ending == ".npy":
        file = io.BytesIO()
        np.save(file, taps)
        return file.getvalue()
    if ending == ".csv" and kernel.ndim <= 2:
        rows = np.atleast_2d(taps).tolist()
        return "".join(",".join(map(repr, row)) + "\n" for row in rows).encode()
    if ending == ".csv":
        raise ValueError(f"{path}: a .csv holds one axis or two, not {kernel.ndim}; use .npy.")
    if ending != ".json":
        raise ValueError(f"{path}: the numbers go to a .npy, .csv or .json file.")
    numbers = taps
    if kernel.exact:
        numbers = np.array(kernel.numerators, object).reshape(kernel.shape)
    content = {
        "taps": numbers.tolist(),
        "divisor": kernel.divisor,
        "anchor": list(kernel.anchor),
        "operation": kernel.operation,
        "name": kernel.name if kernel.name.isprintable() and len(kernel.name) <= 60 else "given",
    }
    return json.dumps(content).encode()


def content(path: str, help_: str) -> bytes:
    """Return the bytes of a file, or raise ValueError."""
    try:
        place = Path(path)
        if place.exists() and not place.is_file():
            raise ValueError(f"kernel file {path}: this is no regular file.")
        with place.open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        raise ValueError(f"kernel file {path}: there is no such file.") from None
    except OSError as error:
        raise ValueError(f"kernel file {path}: {error.strerror or error}.") from None
    if len(data) > LONGEST_FILE:
        raise ValueError(f"kernel file {path}: it is longer than {LONGEST_FILE >> 20} MB; {help_}")
    return data


def load(path: str) -> NDArray[Any]:
    """Return the array in a ``.npy`` file, or raise ValueError."""
    help_ = "write one with numpy.save(path, array)."
    data = content(path, "save fewer taps.")
    try:
        return np.asarray(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
    except Exception:  # NumPy parses the header as Python, with errors of every kind
        raise ValueError(f"kernel file {path}: no array of numbers; {help_}") from None


def read_csv(path: str) -> Taps:
    """Return the kernel in a ``.csv`` file: rows of numbers."""
    help_ = "write rows of equal length, with the same mark between all numbers, as in 0.5, 0.25."
    data = content(path, help_)
    try:
        lines = [line for line in data.decode("utf-8-sig").splitlines() if line.strip()]
        lines = [line.strip(" \t,;") for line in lines]
        marks = {mark.strip() for line in lines for mark in SEPARATOR.findall(line)}
        if len(marks) > 1:  # 0,5; 0,5 may be two numbers with decimal commas: better not guessed
            raise ValueError
        taps = np.array([[number(part) for part in SEPARATOR.split(line)] for line in lines])
    except (ValueError, OverflowError):
        raise ValueError(f"kernel file {path}: no table of numbers; {help_}") from None
    return given(taps, path)


def number(text: str) -> int | float:
    """Return a written number, an int where it is one; Python's 1_0 is none."""
    if not text.isascii() or "_" in text:
        raise ValueError
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else float(text)


def read_json(path: str) -> Taps:
    """Return the kernel in a ``.json`` file: lists, or an object that says more."""
    import json

    help_ = 'write [[1, 2, 1]] or {"taps": [[1, 2, 1]], "divisor": 4}.'
    data = content(path, help_)
    try:
        value = json.loads(data)
        more = dict(value) if isinstance(value, dict) else {"taps": value}
        numbers = more.pop("taps")
        if has_words(numbers):
            raise ValueError
        taps = np.array(numbers)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        raise ValueError(f"kernel file {path}: no table of numbers; {help_}") from None
    unknown = more.keys() - {"divisor", "anchor", "operation", "name"}
    if unknown:
        names = cut(", ".join(map(repr, sorted(unknown))))
        raise ValueError(f"kernel file {path}: {names} is unknown; {help_}")
    if not more:
        return given(taps, path)
    array = checked(taps, path)
    divisor = more.pop("divisor", 1)
    if (
        isinstance(divisor, bool)
        or not isinstance(divisor, (int, float))
        or not (0 < divisor < float("inf"))
    ):
        raise ValueError(
            f"kernel file {path}: divisor={cut(repr(divisor))} must be a finite number more than 0."
        )
    name = more.pop("name", "given")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 60:
        raise ValueError(
            f"kernel file {path}: name={cut(repr(name))} must be a text of 1 to 60 letters."
        )
    if "anchor" in more:
        anchor = more["anchor"]
        if not isinstance(anchor, list) or not all(type(place) is int for place in anchor):
            raise ValueError(
                f"kernel file {path}: anchor={cut(repr(anchor))} must be whole numbers, one for "
                "each axis, as in [1, 1]."
            )
        more["anchor"] = tuple(anchor)
    try:
        if array.dtype.kind in "iu" and isinstance(divisor, int):
            more["divisor"] = divisor
        else:
            array = checked(array / divisor, path)
        return Kernel.of(array, name, **more)
    except OverflowError:
        raise ValueError(
            f"kernel file {path}: divisor={cut(repr(divisor))} is beyond every float."
        ) from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"kernel file {path}: {error}") from None


def read_png(path: str) -> Taps:
    """Return the kernel in a ``.png`` file: grey values over their sum."""
    from PIL import Image

    help_ = f"give a grey picture of at most {LARGEST_SIDE} x {LARGEST_SIDE} pixels."
    data = content(path, help_)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            width, height = picture.size
            if max(width, height) > LARGEST_SIDE:
                raise ValueError(f"it has {width} x {height} pixels")
            grey = grey_values(picture)
    except ValueError as error:
        raise ValueError(f"kernel file {path}: {error}; {help_}") from None
    except Exception:  # Pillow reports what is broken in many ways
        raise ValueError(f"kernel file {path}: no readable PNG picture; {help_}") from None
    total = int(grey.sum())
    if total == 0:
        raise ValueError(f"kernel file {path}: it is all black, and the taps would sum to 0.")
    name = Path(path).stem
    kernel = Kernel.of(grey, name if name.isprintable() and len(name) <= 60 else "given")
    return (kernel / total).renamed(kernel.name, "Grey values of a picture over their sum.")


def grey_values(picture: Any) -> NDArray[Any]:
    """Return the grey values of a picture of Pillow's, or raise ValueError where it has holes."""
    if "A" in picture.mode or "transparency" in picture.info:
        colours = picture.convert("RGBA")
        if np.asarray(colours)[:, :, 3].min() < 255:
            raise ValueError("a part of it is transparent")
        picture = colours.convert("RGB")
    deep = picture.mode.startswith("I")  # 16 bits
    return np.asarray(picture if deep else picture.convert("L")).astype(np.int64)


def has_words(value: Any) -> bool:
    """Whether nested lists hold true or false, which NumPy would take for 1 and 0."""
    if isinstance(value, list):
        return any(map(has_words, value))
    return isinstance(value, bool)


def cut(text: str) -> str:
    """Return the beginning of a text that is too long for an error's line."""
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


READERS: dict[str, Callable[[str], Taps]] = {
    ".csv": read_csv,
    ".json": read_json,
    ".png": read_png,
}


ENDINGS = (".npy", *READERS)


def literal(text: str) -> Taps:
    """Return the kernel of written numbers with an optional divisor."""
    numbers, _, below = text.rpartition("]")
    divisor = below.strip().removeprefix("/").strip() or "1"
    try:
        if below.strip() and not re.fullmatch(r"/\s*\S.*", below.strip()):
            raise ValueError
        taps = np.array(ast.literal_eval(f"{numbers}]"))
        scale = ast.literal_eval(divisor)
        if taps.dtype.kind not in "iuf" or type(scale) not in (int, float):
            raise ValueError
        if scale == 0 or not math.isfinite(scale):
            raise ValueError
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError):
        raise ValueError(
            f"kernel {cut(text)!r} is not a table of numbers; write rows of equal length of plain "
            "numbers, with a divisor at the end: [[0,-1,0],[-1,5,-1],[0,-1,0]] or [[1,2,1]]/4."
        ) from None
    if taps.dtype.kind in "iu" and taps.size and isinstance(scale, int) and scale > 0:
        return Kernel("given", taps.shape, tuple(taps.ravel().tolist()), scale)
    return checked(taps / scale, cut(text))


def given(taps: NDArray[Any], what: str) -> Taps:
    """Return a Kernel of whole numbers, else the checked array of them."""
    taps = checked(taps, what)
    return Kernel.of(taps) if taps.dtype.kind in "iu" and taps.ndim else taps


def checked(taps: NDArray[Any], what: str) -> NDArray[Any]:
    """Return the taps, or raise ValueError where they are none."""
    if taps.size == 0:
        raise ValueError(f"kernel {what}: it is empty (shape {taps.shape}); give at least one tap.")
    if taps.dtype.kind not in "biuf" or not np.isfinite(taps).all():
        raise ValueError(f"kernel {what}: the taps must be finite real numbers.")
    return taps
