"""Averages: boxes, tents, binomials, disks and the blur of a moving camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.kernels.checks import along, marks, number, sides, unusual, whole, written
from faltung.kernels.kernel import Kernel
from faltung.kernels.tables import USUAL

Array = NDArray[Any]


def box(size: int | Sequence[int] = 3, *, axes: int | None = None) -> Kernel:
    """Return the average of a square of ``size`` by ``size`` pixels, or of a rectangle.

    Parameters
    ----------
    size : int or ints
        Side of the square, at least 1; or one for each axis: rows, then columns.
    axes : int, optional
        Number of axes, at least 1; as many as there are sizes, or 2, if not given.

    Raises
    ------
    ValueError
        Where a size is less than 1, or there are not as many as axes.

    Examples
    --------
    >>> box(3)
    <Kernel box:3: [[1, 1, 1], [1, 1, 1], [1, 1, 1]] / 9>
    >>> box((2, 3))
    <Kernel box:2x3: [[1, 1, 1], [1, 1, 1]] / 6>
    """
    lengths = along("box", "size", size, axes)
    for n in lengths:
        if isinstance(n, bool) or not hasattr(n, "__index__") or n < 1:
            raise ValueError(f"box: size {size!r} must be an int of at least 1, or one per axis.")
    shape = tuple(n.__index__() for n in lengths)
    pixels = " x ".join(map(str, shape)) + (" pixels" if len(shape) > 1 else " samples")
    about = f"Average of {pixels}; sums to 1. Any: box:N, box:ROWSxCOLUMNS."
    count = math.prod(shape)
    return Kernel(f"box:{sides(shape)}", shape, (1,) * count, count, about, USUAL)


def product(name: str, taps: list[int], axes: int, about: str, source: str) -> Kernel:
    """Return the exact product, along each axis, of integers over their sum."""
    line = Kernel.of(taps, divisor=sum(taps))
    kernel = line
    for _ in range(axes - 1):
        kernel = kernel.outer(line)
    return kernel.renamed(name + marks(axes=unusual(axes, 2)), about, source)


def tent(size: int = 3, *, axes: int = 2) -> Kernel:
    """Return the product of tents along the axes: weights that fall evenly to both sides.

    It is a box of ``(size + 1) // 2`` samples applied to one of ``size // 2 + 1``: 1 2 3 2 1 over
    9 for 5 samples, and 1 2 2 1 over 6 for 4.

    Parameters
    ----------
    size : int
        Number of taps along each axis, 1 to 1001.
    axes : int
        Number of axes, 1 to 4.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> tent(5, axes=1)
    <Kernel tent:5,axes=1: [1, 2, 3, 2, 1] / 9>
    """
    size, axes = whole("tent", "size", size, 1, 1001), whole("tent", "axes", axes, 1, 4)
    taps = [min(i + 1, size - i) for i in range(size)]
    about = "Tent (Bartlett window), the product along each axis; sums to 1. Any side: tent:N."
    source = "Source: Bartlett (1950), Periodogram analysis and continuous spectra."
    return product(f"tent:{size}", taps, axes, about, source)


def binomial(size: int = 3, *, axes: int = 2) -> Kernel:
    """Return the product of rows of Pascal's triangle: a Gaussian in whole numbers.

    Its variance along each axis is ``(size - 1) / 4``, and binomials compose to binomials.

    Parameters
    ----------
    size : int
        Number of taps along each axis, 1 to 61.
    axes : int
        Number of axes, 1 to 4.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> binomial(5, axes=1)
    <Kernel binomial:5,axes=1: [1, 4, 6, 4, 1] / 16>
    """
    size, axes = whole("binomial", "size", size, 1, 61), whole("binomial", "axes", axes, 1, 4)
    taps = [math.comb(size - 1, i) for i in range(size)]
    about = f"Row {size - 1} of Pascal's triangle, along each axis; sums to 1. binomial:N."
    source = "Source: Marchand and Marmet (1983), Binomial smoothing filter."
    return product(f"binomial:{size}", taps, axes, about, source)


def disk(radius: float = 3) -> Kernel:
    """Return the average over a disk, the blur of a lens out of focus.

    Each tap is the area of the pixel that the disk covers, over the area of the disk, in closed
    form: with the quarter disk ``sqrt(r**2 - t**2)`` integrated up to the pixel's corners.

    Parameters
    ----------
    radius : float
        In pixels, 0.1 to 300.

    Raises
    ------
    ValueError
        Where the radius is no such number.

    Examples
    --------
    >>> disk(1).array.round(4).tolist()[1]
    [0.1453, 0.3183, 0.1453]
    """
    r = number("disk", "radius", radius, 0.1, 300)
    half = max(0, math.ceil(r - 0.5))
    # covered areas of the rectangles from the middle to the corners of the pixels, one quadrant
    corners = np.minimum(np.maximum(np.arange(-1, half + 1) + 0.5, 0), r)
    covered = quarter(corners[:, None], corners[None, :], r)
    areas = np.diff(np.diff(covered, axis=0), axis=1)
    areas = np.maximum((areas + areas.T) / 2, 0.0)  # the same to the last bit both ways
    areas[0] *= 2  # the pixels on the axes lie in two quadrants, the middle one in four
    areas[:, 0] *= 2
    mirror = np.abs(np.arange(-half, half + 1))
    return Kernel.of(
        areas[np.ix_(mirror, mirror)] / (math.pi * r**2),
        f"disk:{written(r)}",
        about=f"Average over a disk of radius {written(r)}, each pixel by the area covered; sums "
        "to 1. Any: disk:RADIUS.",
        source="Source: areas of pixels under a circle; lens blur as in Horn (1986), ch. 6.",
    )


def quarter(x: Array, y: Array, r: float) -> Array:
    """Return the area of the disk within the rectangle from its centre to (x, y), each <= r."""
    inner = np.sqrt(np.maximum(r * r - y * y, 0.0))  # up to here the circle is above y
    under = np.minimum(x, inner) * y
    return under + np.where(x > inner, primitive(x, r) - primitive(np.minimum(inner, x), r), 0.0)


def primitive(t: Array, r: float) -> Array:
    """Return the integral of ``sqrt(r**2 - t**2)`` from 0."""
    root = np.sqrt(np.maximum(r * r - t * t, 0.0))
    found: Array = (t * root + r * r * np.arcsin(np.minimum(t / r, 1.0))) / 2
    return found


def motion(length: float = 15, angle: float = 0) -> Kernel:
    """Return the average along a line, the blur of a camera that moves.

    The line is a rectangle one pixel wide, ``length`` long and turned about its middle; each tap is
    the area of the pixel that it covers, over its area. An odd length at angle 0 gives equal taps.

    Parameters
    ----------
    length : float
        In pixels, 1 to 500.
    angle : float
        In degrees from the rows, turning to the left; 90 is upwards.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> motion(3).array.round(3).tolist()
    [[0.333, 0.333, 0.333]]
    >>> motion(3, 45).shape
    (3, 3)
    """
    long = number("motion", "length", length, 1, 500)
    degrees = number("motion", "angle", angle, -3600, 3600)
    across, up = direction(degrees % 180)
    corners = [
        (s * long / 2 * across - t * up / 2, -(s * long / 2 * up + t * across / 2))
        for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    reach = [max(abs(corner[n]) for corner in corners) for n in (0, 1)]
    columns, rows = (max(0, math.ceil(r - 0.5 - 1e-9)) for r in reach)
    taps = np.zeros((2 * rows + 1, 2 * columns + 1))
    for row in range(-rows, rows + 1):
        strip = cut(cut(corners, 1, row - 0.5, 1), 1, row + 0.5, -1)
        if not strip:
            continue
        left = max(-columns, math.floor(min(x for x, _ in strip) + 0.5))
        right = min(columns, math.ceil(max(x for x, _ in strip) - 0.5))
        for column in range(left, right + 1):
            pixel = cut(cut(strip, 0, column - 0.5, 1), 0, column + 0.5, -1)
            taps[row + rows, column + columns] = area(pixel)
    taps = (taps + taps[::-1, ::-1]) / 2  # the same to the last bit on both sides
    return Kernel.of(
        taps / taps.sum(),
        f"motion:{written(long)},{written(degrees)}deg",
        about=f"Average along a line of {written(long)} pixels at {written(degrees)} degrees; sums "
        "to 1. Any: motion:LENGTH,ANGLE.",
        source="Source: areas of pixels under a line one pixel wide; blur as in Gonzalez and Woods "
        "(2018), ch. 5.",
    )


def direction(degrees: float) -> tuple[float, float]:
    """Return cosine and sine of an angle in degrees, exact for whole quarter turns."""
    if degrees % 90 == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(degrees // 90) % 4]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


Points = list[tuple[float, float]]


def cut(polygon: Points, axis: int, at: float, sign: int) -> Points:
    """Return the part of a convex polygon on one side of a line (Sutherland and Hodgman, 1974)."""
    kept: Points = []
    for n, here in enumerate(polygon):
        before = polygon[n - 1]
        inside, was = sign * (here[axis] - at) >= 0, sign * (before[axis] - at) >= 0
        if inside != was:
            part = (at - before[axis]) / (here[axis] - before[axis])
            kept.append(
                (
                    before[0] + part * (here[0] - before[0]),
                    before[1] + part * (here[1] - before[1]),
                )
            )
        if inside:
            kept.append(here)
    return kept


def area(polygon: Points) -> float:
    """Return the area of a polygon."""
    twice = sum(
        a[0] * b[1] - a[1] * b[0] for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True)
    )
    return abs(twice) / 2
