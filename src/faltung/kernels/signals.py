"""Kernels of one axis: weights by age, Savitzky-Golay, shifts, wavelets; and interpolation.

What filters signals in time is written for :func:`faltung.convolve`: the first tap of an age
weighting is the newest sample's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from faltung.kernels.checks import choice, marks, number, odd, unusual, whole, written
from faltung.kernels.exact import lowest
from faltung.kernels.kernel import Kernel
from faltung.kernels.tables import HAAR

LONGEST = 1001
KEYS = "Source: Keys (1981), Cubic convolution interpolation for digital image processing."

# ---- weights by age --------------------------------------------------------------------------


def exponential_age(alpha: float = 0.3, taps: int | None = None) -> Kernel:
    """Return weights that fall by the same factor for each step of age; they sum to 1.

    The weight of a sample of age ``j`` is ``(1 - alpha)**j`` over the sum of all: exponential
    smoothing, cut. The anchor is the first tap, so that convolving is causal.

    Parameters
    ----------
    alpha : float
        0.001 to 1: the greater, the faster the past is forgotten.
    taps : int, optional
        1 to 1001; as many as leave out less than 1e-4 of the whole, if not given.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> exponential_age(0.5, 3).array.round(4).tolist()
    [0.5714, 0.2857, 0.1429]
    """
    a = number("age.exponential", "alpha", alpha, 0.001, 1)
    if taps is None:
        count = 1 if a == 1 else math.ceil(math.log(1e-4) / math.log1p(-a))
    else:
        count = whole("age.exponential", "taps", taps, 1, LONGEST)
    weights = [(1 - a) ** j for j in range(count)]
    total = math.fsum(weights)
    mark = "" if taps is None else f",taps={count}"
    return Kernel(
        f"age.exponential:{written(a)}{mark}",
        (count,),
        values=tuple(w / total for w in weights),
        anchor=(0,),
        operation="convolve",
        about=f"Weights by age, newest first, {written(round(1 - a, 12))} for each step; causal, "
        "sums to 1.",
        source="Source: Brown (1959), Statistical forecasting for inventory control.",
    )


def linear_age(taps: int = 5) -> Kernel:
    """Return weights that fall evenly with age; they sum to 1, exactly.

    Parameters
    ----------
    taps : int
        1 to 1001.

    Raises
    ------
    ValueError
        Where there is no such number of taps.

    Examples
    --------
    >>> linear_age(3), linear_age(3).anchor
    (<Kernel age.linear:3: [3, 2, 1] / 6>, (0,))
    """
    count = whole("age.linear", "taps", taps, 1, LONGEST)
    return Kernel(
        f"age.linear:{count}",
        (count,),
        tuple(range(count, 0, -1)),
        count * (count + 1) // 2,
        "Weights by age, newest first, one unit less for each step; causal, sums to 1.",
        "Source: the linearly weighted moving average.",
        anchor=(0,),
        operation="convolve",
    )


# ---- Savitzky-Golay --------------------------------------------------------------------------


def savitzky_golay(
    window: int = 5, degree: int = 2, *, derivative: int = 0, spacing: float = 1
) -> Kernel:
    """Return the kernel that fits a polynomial to each window and takes its middle, or slope.

    The taps are fractions, as the paper prints them: the normal equations of the fit are solved in
    whole numbers. They are written for convolution, as :func:`scipy.signal.savgol_coeffs` gives
    them.

    Parameters
    ----------
    window : int
        Number of samples, odd, 1 to 1001.
    degree : int
        Of the polynomial, less than ``window``, 0 to 12.
    derivative : int
        Order of the derivative, 0 to ``degree``.
    spacing : float
        Of the samples; the derivative is per unit. A float makes floats of the taps, an int or a
        fraction does not.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> savitzky_golay(5, 2)
    <Kernel savgol:5,2: [-3, 12, 17, 12, -3] / 35>
    >>> savitzky_golay(5, 2, derivative=1)
    <Kernel savgol:5,2,deriv=1: [2, 1, 0, -1, -2] / 10>
    """
    width = odd("savgol", "window", window, 1, LONGEST)
    degree = whole("savgol", "degree", degree, 0, min(12, width - 1))
    derivative = whole("savgol", "derivative", derivative, 0, degree)
    places = range(-(width // 2), width // 2 + 1)
    moments = [sum(i**n for i in places) for n in range(2 * degree + 1)]
    rows = [
        [Fraction(moments[p + q]) for q in range(degree + 1)] + [Fraction(p == derivative)]
        for p in range(degree + 1)
    ]
    factorial = math.factorial(derivative)
    weights = [factorial * c for c in solve(rows)]
    taps = [sum((c * i**p for p, c in enumerate(weights)), Fraction()) for i in places]
    divisor = math.lcm(*(t.denominator for t in taps))
    whole_taps, divisor = lowest([int(t * divisor) for t in reversed(taps)], divisor)
    mark = f",deriv={derivative}" if derivative else ""
    kernel = Kernel(
        f"savgol:{width},{degree}{mark}",
        (width,),
        whole_taps,
        divisor,
        operation="convolve",
    )
    what = f"Derivative {derivative} of a" if derivative else "A"
    if spacing != 1:
        gap = number("savgol", "spacing", spacing, 0, math.inf, above=True)
        exact = gap if isinstance(spacing, (float, np.floating)) else spacing
        kernel = kernel / exact**derivative if derivative else kernel
        mark += f",spacing={spacing}" if derivative else ""
    return kernel.renamed(
        f"savgol:{width},{degree}{mark}",
        f"{what} polynomial of degree {degree} fitted to {width} samples. "
        "Any: savgol:WINDOW,DEGREE.",
        "Source: Savitzky and Golay (1964), with the corrections of Steinier et al. (1972).",
    )


def solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """Solve a small positive definite system, given with its right side, in fractions."""
    count = len(rows)
    for n in range(count):
        pivot = rows[n][n]
        rows[n] = [value / pivot for value in rows[n]]
        for m in range(count):
            if m != n and rows[m][n]:
                scale = rows[m][n]
                rows[m] = [a - scale * b for a, b in zip(rows[m], rows[n], strict=True)]
    return [row[-1] for row in rows]


# ---- shifts ----------------------------------------------------------------------------------

METHODS = ("linear", "cubic", "lanczos")
SHIFT_SOURCES = {
    "linear": "Source: linear interpolation.",
    "cubic": KEYS,
    "lanczos": "Source: Duchon (1979), Lanczos filtering in one and two dimensions; 3 lobes.",
}


def keys(t: Any) -> Any:
    """Return Keys' cubic, with a = -1/2, at a distance; exact at a fraction."""
    t = abs(t)
    if t < 1:
        return ((3 * t - 5) * t * t + 2) / 2
    return (((5 - t) * t - 8) * t + 4) / 2 if t < 2 else t * 0


def lanczos(t: float) -> float:
    """Return the sinc with a window of three lobes at a distance."""
    return float(np.sinc(t) * np.sinc(t / 3)) if abs(t) < 3 else 0.0


WINDOWS: dict[str, tuple[Callable[[float], Any], int]] = {
    "linear": (lambda t: max(0.0, 1 - abs(t)), 1),
    "cubic": (keys, 2),
    "lanczos": (lanczos, 3),
}


def shift(*distances: float, method: str = "linear") -> Kernel:
    """Return the kernel that moves the samples along each axis.

    A whole distance is one tap. A fraction is interpolated: by the line between two samples, Keys'
    cubic through four, or a windowed sinc over six, whose taps are scaled to sum to 1. Along one
    axis it is written for convolution, in which ``y[i] = x[i - distance]``; of more axes, as other
    kernels for pictures, for correlation.

    Parameters
    ----------
    *distances : float
        One for each axis, -1000 to 1000; positive moves towards greater indices: right or down.
    method : {"linear", "cubic", "lanczos"}

    Raises
    ------
    ValueError
        Where one of these is not allowed.

    Examples
    --------
    >>> import faltung
    >>> faltung.convolve([1, 2, 3, 4], shift(1)).tolist()
    [0, 1, 2, 3]
    >>> shift(0.5, method="cubic").array.tolist()
    [0.0, -0.0625, 0.5625, 0.5625, -0.0625]
    """
    if not distances or len(distances) > 4:
        raise ValueError("shift: give a distance for each of 1 to 4 axes, as in shift(0.5).")
    choice("shift", "method", method, METHODS)
    moved = [number("shift", "distance", d, -1000, 1000) for d in distances]
    kernels = [shifted(d, method) for d in moved]
    if math.prod(k.size for k in kernels) > 1 << 20:
        raise ValueError("shift: these distances need more than a million taps; move by slicing.")
    kernel = kernels[0]
    for other in kernels[1:]:
        kernel = kernel.outer(other)
    kernel = kernel.flipped() if len(kernels) > 1 else kernel
    far = ",".join(written(d) for d in moved)
    fraction = any(d != round(d) for d in moved)
    mark = f",method={method}" if fraction and method != "linear" else ""
    about = f"Moves the samples by {far.replace(',', ' and ')}" + (
        f", by {method} interpolation." if fraction else "."
    )
    source = SHIFT_SOURCES[method] if fraction else "Source: the definition, a unit impulse."
    return kernel.renamed(f"shift:{far}{mark}", about, source)


def shifted(distance: float, method: str) -> Kernel:
    """Return the shift along one axis."""
    low = math.floor(distance)
    part = distance - low
    if part == 0:
        half = abs(low)
        taps = [int(i == low) for i in range(-half, half + 1)]
        return Kernel("shift", (len(taps),), tuple(taps), operation="convolve")
    window, reach = WINDOWS[method]
    places = range(low - reach + 1, low + reach + 1)
    weights = [float(window(i - distance)) for i in places]
    total = math.fsum(weights)
    half = max(abs(places[0]), abs(places[-1]))
    line = [0.0] * (2 * half + 1)
    for i, weight in zip(places, weights, strict=True):
        line[i + half] = weight / total
    return Kernel("shift", (len(line),), values=tuple(line), operation="convolve")


def soft_shift(left: float, stay: float, right: float) -> Kernel:
    """Return the soft shift of a Neural Turing Machine: weights for moving left, staying, right.

    Written for convolution, in which the weights are those of the shifts by -1, 0 and 1:
    ``y[i] = left x[i + 1] + stay x[i] + right x[i - 1]``. The circular form of the paper is
    ``faltung.convolve(x, soft_shift(...), boundary="wrap")``. Correlated, the same numbers move the
    other way: ``[1, 0, 0]`` shifts to the left as a convolution and to the right as a correlation.

    Parameters
    ----------
    left, stay, right : float
        At least 0; they sum to 1.

    Raises
    ------
    ValueError
        Where they are no such weights.

    Examples
    --------
    >>> import faltung
    >>> attention = [0.0, 0.0, 0.0, 1.0]
    >>> faltung.convolve(attention, soft_shift(0.1, 0.1, 0.8), boundary="wrap").tolist()
    [0.8, 0.0, 0.1, 0.1]
    """
    weights = [
        number("soft-shift", name, value, 0, 1)
        for name, value in (("left", left), ("stay", stay), ("right", right))
    ]
    if abs(math.fsum(weights) - 1) > 1e-6:
        raise ValueError(
            f"soft-shift: left={left!r}, stay={stay!r}, right={right!r} must sum to 1; divide each "
            "by their sum."
        )
    return Kernel(
        f"soft-shift:{','.join(map(written, weights))}",
        (3,),
        values=tuple(weights),
        operation="convolve",
        about='Moves left, stays, moves right, each to a part; circular with boundary="wrap".',
        source="Source: Graves, Wayne and Danihelka (2014), Neural Turing Machines, eq. 8.",
    )


# ---- interpolation ---------------------------------------------------------------------------


def upsampling(name: str, line: Kernel, factor: int, about: str, source: str, axes: int) -> Kernel:
    """Return the product along each axis, with what every interpolation has to say."""
    kernel = reduce(Kernel.outer, [line] * axes)
    zeros = "1 zero" if factor == 2 else f"{factor - 1} zeros"
    about += f" for a picture with {zeros} between its pixels; sums to {factor**axes}."
    name = f"{name}:{factor}{marks(axes=unusual(axes, 2))}"
    return kernel.renamed(name, about, source)


def bilinear(factor: int = 2, *, axes: int = 2) -> Kernel:
    """Return the kernel that fills in a picture, whose pixels were moved apart, by lines.

    Parameters
    ----------
    factor : int
        How many times larger the picture gets, 1 to 64: there are ``factor - 1`` zeros between its
        pixels. The taps sum to ``factor`` along each axis.
    axes : int
        Number of axes, 1 to 3.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> import faltung
    >>> bilinear(2, axes=1)
    <Kernel bilinear:2,axes=1: [1, 2, 1] / 2>
    >>> faltung.convolve([10, 0, 20, 0, 30], bilinear(2, axes=1)).tolist()
    [10.0, 15.0, 20.0, 25.0, 30.0]
    """
    n, axes = whole("bilinear", "factor", factor, 1, 64), whole("bilinear", "axes", axes, 1, 3)
    taps = [n - abs(i) for i in range(1 - n, n)]
    line = Kernel.of(taps, "bilinear", divisor=n)
    source = "Source: bilinear interpolation; Gonzalez and Woods (2018), ch. 2."
    return upsampling("bilinear", line, n, "Bilinear interpolation", source, axes)


def bicubic(factor: int = 2, *, axes: int = 2) -> Kernel:
    """Return the kernel that fills in a picture, whose pixels were moved apart, by Keys' cubic.

    Parameters
    ----------
    factor : int
        As in :func:`bilinear`.
    axes : int
        Number of axes, 1 to 3.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> bicubic(2, axes=1)
    <Kernel bicubic:2,axes=1: [-1, 0, 9, 16, 9, 0, -1] / 16>
    """
    n, axes = whole("bicubic", "factor", factor, 1, 64), whole("bicubic", "axes", axes, 1, 3)
    taps = [keys(Fraction(i, n)) for i in range(1 - 2 * n, 2 * n)]
    whole_taps, divisor = lowest([int(t * 2 * n**3) for t in taps], 2 * n**3)
    line = Kernel.of(list(whole_taps), "bicubic", divisor=divisor)
    return upsampling("bicubic", line, n, "Bicubic interpolation (a = -1/2)", KEYS, axes)


# ---- wavelets --------------------------------------------------------------------------------

DAUBECHIES = "Source: Daubechies (1988), Orthonormal bases of compactly supported wavelets."
BANDS = ("low", "high")


def wavelet(order: int = 2, band: str = "low") -> Kernel:
    """Return a filter of Daubechies' orthonormal wavelets with the shortest support.

    The low filter ``h`` is the root of the half-band polynomial with all zeros inside the unit
    circle, and sums to ``sqrt(2)``; the high one is ``g[n] = (-1)**n h[L - 1 - n]``. Both are in
    the paper's order, for correlation: ``sum_n h[n] x[2 i + n]`` is an analysis step, in which they
    are given with ``anchor=0, stride=2``.

    Parameters
    ----------
    order : int
        Number of vanishing moments, 1 (Haar) to 8; there are twice as many taps.
    band : {"low", "high"}

    Raises
    ------
    ValueError
        Where there is no such filter.

    Examples
    --------
    >>> wavelet(2).array.round(4).tolist()
    [0.483, 0.8365, 0.2241, -0.1294]
    """
    n = whole("daubechies", "order", order, 1, 8)
    choice("daubechies", "band", band, BANDS)
    low = scaling(n)
    taps = low if band == "low" else [(-1) ** i * h for i, h in enumerate(reversed(low))]
    return Kernel(
        f"daubechies.{band}:{n}",
        (2 * n,),
        values=tuple(taps),
        about=f"{'Low' if band == 'low' else 'High'} filter of Daubechies' wavelet with {n} "
        f"vanishing moment{'s' if n > 1 else ''}; anchor 0 and stride 2.",
        source=HAAR if n == 1 else DAUBECHIES,
        anchor=(0,),
    )


def scaling(n: int) -> list[float]:
    """Return Daubechies' scaling filter of an order.

    ``|H|**2 = 2 cos(w/2)**(2n) P(sin(w/2)**2)`` with ``P(y) = sum_k C(n - 1 + k, k) y**k``. Each
    root ``y`` of P gives a pair of zeros z and 1/z with ``z + 1/z = 2 - 4 y``, of which the one
    inside the circle is taken.
    """
    zeros = []
    for y in np.roots([float(math.comb(n - 1 + k, k)) for k in reversed(range(n))]):
        b = 1 - 2 * complex(y)
        root = np.sqrt(b * b - 1)
        zeros.append(min(b + root, b - root, key=abs))
    taps = np.poly([-1.0] * n + zeros).real
    taps *= math.sqrt(2) / taps.sum()
    return [float(tap) for tap in taps]
