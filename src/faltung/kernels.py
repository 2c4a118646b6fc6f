"""Named kernels, as numbers with a name and a source: exact where they are fractions.

The numbers are written as the tables of image processing print them, which means: to be laid on
the picture as they stand, by :func:`faltung.correlate`. All of them but the emboss and Sobel
kernels are symmetric, so that :func:`faltung.convolve` gives the same.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Kernel:
    """A kernel with a name: integers over a common divisor, so that the taps are exact.

    A kernel that is no fraction, such as a Gaussian, is the product of ``profiles`` instead, one
    for each axis: a large one stays a small value. As an argument of :func:`faltung.convolve` a
    kernel takes the input's precision.

    Attributes
    ----------
    name : str
    shape : tuple of int
    numerators : tuple of int
        The taps times the divisor, row by row; empty where there are profiles.
    divisor : int
    about : str
        What it does, in one line.
    source : str
        Where the numbers come from.
    profiles : tuple of tuple of float
        One-dimensional taps, one for each axis, whose product the kernel is.

    Examples
    --------
    >>> np.asarray(sharpen).tolist()
    [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    """

    name: str
    shape: tuple[int, ...]
    numerators: tuple[int, ...]
    divisor: int = 1
    about: str = ""
    source: str = ""
    profiles: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for n in (*self.shape, *self.numerators, self.divisor):
            operator.index(n)  # raises TypeError
        if self.profiles:
            fits = self.shape == tuple(map(len, self.profiles)) and not self.numerators
            fits = fits and self.divisor == 1
        else:
            fits = len(self.numerators) == self.size and self.divisor >= 1
        if not fits:
            raise ValueError(
                f"kernel {self.name!r}: {self.shape} needs as many taps, divisor >= 1."
            )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array: NDArray[Any]
        if self.profiles:
            array = reduce(np.multiply.outer, map(np.array, self.profiles))
        else:
            taps = np.array(self.numerators).reshape(self.shape)
            array = taps if self.divisor == 1 else taps / self.divisor
        return array if dtype is None else array.astype(dtype)

    @property
    def array(self) -> NDArray[Any]:
        """The taps: int64 where they are integers, else float64."""
        return np.asarray(self)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of taps."""
        return math.prod(self.shape)

    def rows(self) -> Iterator[str]:
        """Yield the numbers as text: each row, or what fits of a large kernel."""
        if self.profiles:
            same = len(set(self.profiles)) == 1
            for n, profile in enumerate(self.profiles[:1] if same else self.profiles):
                yield "the product, along each axis, of" if same else f"along axis {n}"
                yield from short(np.array(profile), 24)
            return
        taps = np.array(self.numerators).reshape(-1, self.shape[-1])
        if self.size > PRINTED:
            yield from short(taps, 8)
            return
        width = max(len(str(n)) for n in self.numerators)
        for row in taps:
            yield " ".join(f"{n:>{width}}" for n in row)

    def __str__(self) -> str:
        divisor = "" if self.divisor == 1 else f"  / {self.divisor}"
        size = "x".join(map(str, self.shape))
        lines = [f"{self.name}  ({size}){divisor}", *(f"  {row}" for row in self.rows())]
        return "\n".join([*lines, *(text for text in (self.about, self.source) if text)])

    def __repr__(self) -> str:
        divisor = "" if self.divisor == 1 else f" / {self.divisor}"
        if self.profiles or self.size > PRINTED:
            return f"<Kernel {self.name}: {'x'.join(map(str, self.shape))} taps{divisor}>"
        rows = np.array(self.numerators).reshape(self.shape).tolist()
        return f"<Kernel {self.name}: {rows}{divisor}>"


PRINTED = 225  # taps: of a larger kernel only some are printed


def short(taps: NDArray[Any], most: int) -> list[str]:
    """Return taps as lines of text; only those at the ends where there are more than ``most``."""
    with np.printoptions(
        threshold=most, edgeitems=most // 4, precision=4, linewidth=96, legacy=False
    ):
        return str(taps).splitlines()


def table(name: str, rows: list[list[int]], divisor: int, about: str, source: str) -> Kernel:
    """Return a kernel from its printed table."""
    taps = np.array(rows)
    return Kernel(name, taps.shape, tuple(taps.ravel().tolist()), divisor, about, source)


USUAL = "Source: the usual table of image processing kernels; Gonzalez and Woods (2018), ch. 3."

identity = table("identity", [[0, 0, 0], [0, 1, 0], [0, 0, 0]], 1, "Leaves the picture.", USUAL)
edge_diagonal = table(
    "edge-diagonal",
    [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
    1,
    "Mixed second difference: answers to corners and slanted edges.",
    USUAL,
)
edge_cross = table(
    "edge-cross",
    [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
    1,
    "Negated Laplacian over the 4 nearest neighbours.",
    USUAL,
)
edge = table(
    "edge",
    [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    1,
    "Negated Laplacian over all 8 neighbours; 0 where the picture is flat.",
    USUAL,
)
sharpen = table(
    "sharpen",
    [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    1,
    "The picture plus its negated Laplacian.",
    USUAL,
)
gaussian3 = table(
    "gaussian3",
    [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
    16,
    "Binomial approximation of a Gaussian; sums to 1.",
    USUAL,
)
gaussian5 = table(
    "gaussian5",
    [[1, 4, 6, 4, 1], [4, 16, 24, 16, 4], [6, 24, 36, 24, 6], [4, 16, 24, 16, 4], [1, 4, 6, 4, 1]],
    256,
    "Binomial approximation of a Gaussian; sums to 1.",
    USUAL,
)
unsharp5 = Kernel(
    "unsharp5",
    (5, 5),
    tuple(2 * 256 * (i == 12) - n for i, n in enumerate(gaussian5.numerators)),
    256,
    "Unsharp masking: twice the picture minus its gaussian5; 476 / 256 in the middle.",
    USUAL,
)
emboss = table(
    "emboss",
    [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    1,
    "Relief lit from the upper left, on the picture itself; sums to 1.",
    "Source: the usual table of convolution matrices in image editors.",
)
SOBEL = "Source: Sobel and Feldman (1968), as printed in Gonzalez and Woods (2018), ch. 10."
sobel_x = table(
    "sobel.x",
    [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    1,
    "Difference from left to right, smoothed along the columns; positive where it gets brighter.",
    SOBEL,
)
sobel_y = table(
    "sobel.y",
    [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    1,
    "Difference from top to bottom, smoothed along the rows; positive where it gets brighter.",
    SOBEL,
)


def box(size: int = 3) -> Kernel:
    """Return the average of a square of ``size`` by ``size`` pixels.

    Parameters
    ----------
    size : int
        Side of the square, at least 1.

    Raises
    ------
    ValueError
        Where the size is less than 1.

    Examples
    --------
    >>> box(3)
    <Kernel box:3: [[1, 1, 1], [1, 1, 1], [1, 1, 1]] / 9>
    """
    if isinstance(size, bool) or not hasattr(size, "__index__") or size < 1:
        raise ValueError(f"box: size {size!r} must be an int of at least 1.")
    size = size.__index__()
    about = f"Average of {size} x {size} pixels; sums to 1. Any side: box:N."
    return Kernel(f"box:{size}", (size, size), (1,) * size**2, size**2, about, USUAL)


def gaussian(sigma: float, *, cut: float = 4.0, axes: int = 2) -> Kernel:
    """Return a sampled Gaussian whose taps sum to 1.

    Along each axis the taps are ``exp(-i**2 / (2 sigma**2))`` over their sum, for ``|i|`` up to
    ``cut * sigma``, rounded up. What is left out at ``cut=4`` comes to less than 1e-4 of the sum
    along an axis.

    Parameters
    ----------
    sigma : float
        Standard deviation in samples, more than 0.
    cut : float
        Where the kernel ends, in sigmas, more than 0.
    axes : int
        Number of axes, at least 1.

    Returns
    -------
    Kernel
        It takes the input's precision, as every named kernel does.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> gaussian(5)
    <Kernel gaussian:5: 41x41 taps>
    >>> gaussian(1, cut=1, axes=1).array.round(3).tolist()
    [0.274, 0.452, 0.274]
    """
    for name, value in (("sigma", sigma), ("cut", cut)):
        real = isinstance(value, (int, float, np.integer, np.floating))
        if isinstance(value, bool) or not real or not 0 < value < math.inf:
            raise ValueError(f"gaussian: {name}={value!r} must be a number more than 0.")
    if isinstance(axes, bool) or not hasattr(axes, "__index__") or not 1 <= axes <= 32:
        raise ValueError(f"gaussian: axes={axes!r} must be an int from 1 to 32.")
    width, reach = float(sigma), float(cut) * float(sigma)
    if width < 0.01 or reach > 1e6:
        raise ValueError(
            f"gaussian: sigma={sigma!r} with cut={cut!r} is out of range; give a sigma of at least "
            "0.01 that reaches a million samples at most."
        )
    half = [math.exp(-0.5 * (i / width) ** 2) for i in range(math.ceil(reach) + 1)]
    taps = [*half[:0:-1], *half]
    total = math.fsum(taps)
    profile = tuple(tap / total for tap in taps)
    count = axes.__index__()
    return Kernel(
        f"gaussian:{written(width)}",
        (len(profile),) * count,
        (),
        about=f"Gaussian of sigma {written(width)}, cut at {written(float(cut))} sigma; sums to 1. "
        "Any sigma: gaussian:SIGMA.",
        source="Source: exp(-i**2 / (2 sigma**2)) at whole i; Gonzalez and Woods (2018), ch. 3.",
        profiles=(profile,) * count,
    )


def written(number: float) -> str:
    """Write a float in full, without the zero of a whole one."""
    return repr(number).removesuffix(".0")


NAMED: dict[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        identity,
        edge_diagonal,
        edge_cross,
        edge,
        sharpen,
        gaussian3,
        gaussian5,
        unsharp5,
        emboss,
        sobel_x,
        sobel_y,
    )
}
LARGEST = 1001  # side of a box given as text: a typing error should not fill the memory
WIDEST = 300  # and sigma of a Gaussian


def sized_box(size: str) -> Kernel:
    """Return the box of a written size."""
    if size.isascii() and size.isdigit() and len(size) < 9 and 1 <= int(size) <= LARGEST:
        return box(int(size))
    raise ValueError(f"the size must be 1 to {LARGEST}, as in box:5.")


def sized_gaussian(size: str) -> Kernel:
    """Return the Gaussian of a written sigma."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,17})?", size) and 0.1 <= float(size) <= WIDEST:
        return gaussian(float(size))
    raise ValueError(f"sigma must be a decimal from 0.1 to {WIDEST}, as in gaussian:2.5.")


# the families, each with its usual size and what its size is called
SIZED: dict[str, tuple[Callable[[str], Kernel], str, str]] = {
    "box": (sized_box, "3", "N"),
    "gaussian": (sized_gaussian, "1", "SIGMA"),
}


def names() -> list[str]:
    """Return the names of all kernels; those that take a size stand with their usual one.

    Examples
    --------
    >>> names()[:3]
    ['identity', 'edge-diagonal', 'edge-cross']
    """
    return [*NAMED, *(f"{name}:{usual}" for name, (_, usual, _) in SIZED.items())]


def get(name: str) -> Kernel:
    """Return the kernel of a name, such as ``sharpen``, ``box:5`` or ``gaussian:2.5``.

    Raises
    ------
    ValueError
        Where there is none of that name; the message lists those there are.

    Examples
    --------
    >>> get("gaussian3")
    <Kernel gaussian3: [[1, 2, 1], [2, 4, 2], [1, 2, 1]] / 16>
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a kernel is a text; got {type(name).__name__}.")
    spelled = {re.sub("[._-]", "-", known): kernel for known, kernel in NAMED.items()}
    found = spelled.get(re.sub("[._-]", "-", name))
    if found is not None:
        return found
    family, _, size = name.partition(":")
    if family in SIZED:
        make, usual, _ = SIZED[family]
        try:
            return make(size or usual)
        except ValueError as error:
            raise ValueError(f"kernel {name!r}: {error}") from None
    close = difflib.get_close_matches(name, [*NAMED, *SIZED], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    sized = ", ".join(f"{family}:{unit}" for family, (_, _, unit) in SIZED.items())
    raise ValueError(
        f"there is no kernel named {name!r}.{hint} Named kernels: {', '.join(NAMED)}, {sized}; "
        "numbers such as [[0,1,0],[1,-4,1],[0,1,0]]/4 and .npy files are taken too."
    )


def parse(text: str) -> Kernel | NDArray[Any]:
    """Return the kernel that a text names: a name, its numbers, or a ``.npy`` file.

    Parameters
    ----------
    text : str
        A name (``edge``, ``box:5``, ``gaussian:2.5``), nested lists of numbers with an optional
        divisor (``[[1,2,1],[2,4,2],[1,2,1]]/16``), or the path of an array saved by
        :func:`numpy.save`.

    Returns
    -------
    Kernel or ndarray
        A Kernel where the numbers are whole (over a whole divisor), else an array of float64.

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
    if text.endswith(".npy"):
        return checked(load(text), text)
    if text.startswith("["):
        return literal(text)
    return get(text)


def load(path: str) -> NDArray[Any]:
    """Return the array in a ``.npy`` file, or raise ValueError."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError(f"kernel file {path}: this is no regular file.")
        with Path(path).open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except FileNotFoundError:
        raise ValueError(f"kernel file {path}: there is no such file.") from None
    except OSError as error:
        raise ValueError(f"kernel file {path}: {error.strerror or error}.") from None
    except Exception as error:  # NumPy parses the header as Python, with errors of every kind
        if "regular file" in str(error):
            raise
        raise ValueError(
            f"kernel file {path}: no array of numbers; write one with numpy.save(path, array)."
        ) from None


def literal(text: str) -> Kernel | NDArray[Any]:
    """Return the kernel of written numbers with an optional divisor."""
    numbers, _, below = text.rpartition("]")
    divisor = below.strip().removeprefix("/").strip() or "1"
    try:
        if below.strip() and not re.fullmatch(r"/\s*\S.*", below.strip()):
            raise ValueError
        taps = np.array(ast.literal_eval(f"{numbers}]"))
        scale = ast.literal_eval(divisor)
        if taps.dtype.kind not in "if" or type(scale) not in (int, float):
            raise ValueError
        if scale == 0 or not math.isfinite(scale):
            raise ValueError
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ValueError(
            f"kernel {text!r} is not a table of numbers; write rows of equal length of plain "
            "numbers, with a divisor at the end: [[0,-1,0],[-1,5,-1],[0,-1,0]] or [[1,2,1]]/4."
        ) from None
    if taps.dtype.kind == "i" and taps.size and isinstance(scale, int) and scale > 0:
        return Kernel("given", taps.shape, tuple(taps.ravel().tolist()), scale)
    return checked(taps / scale, text)


def checked(taps: NDArray[Any], what: str) -> NDArray[Any]:
    """Return the taps, or raise ValueError where they are none."""
    if taps.size == 0:
        raise ValueError(f"kernel {what}: it is empty (shape {taps.shape}); give at least one tap.")
    if taps.dtype.kind not in "biuf" or not np.isfinite(taps).all():
        raise ValueError(f"kernel {what}: the taps must be finite real numbers.")
    return taps
