"""Gaussians, their derivatives and what is made of them: LoG, DoG, unsharp, steerable, Gabor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from faltung.kernels.checks import along, choice, marks, number, sides, unusual, whole, written
from faltung.kernels.kernel import MOST, Kernel
from faltung.kernels.smoothing import direction
from faltung.kernels.tables import identity

KINDS = ("sampled", "integrated", "discrete")
KIND_SOURCES = {
    "sampled": "Source: exp(-i**2 / (2 sigma**2)) at whole i; Gonzalez and Woods (2018), ch. 3.",
    "integrated": "Source: the Gaussian integrated over each pixel, by the error function.",
    "discrete": "Source: Lindeberg (1990), Scale-space for discrete signals.",
}
DERIVATIVES = "sampled derivatives as in Koenderink and van Doorn (1987)"
LOG_SOURCE = "Source: Marr and Hildreth (1980), Theory of edge detection."
GREATEST_ORDER = 4
REACH = 60  # sigma of those that are no products along the axes: their taps are kept one by one


def gaussian(
    sigma: float | Sequence[float],
    *,
    cut: float = 4.0,
    axes: int | None = None,
    order: int | Sequence[int] = 0,
    kind: str = "sampled",
) -> Kernel:
    """Return a Gaussian whose taps sum to 1, or a derivative of it.

    Along each axis the taps are ``exp(-i**2 / (2 sigma**2))`` over their sum, for ``|i|`` up to
    ``cut * sigma``, rounded up. What is left out at ``cut=4`` comes to less than 1e-4 of the sum
    along an axis. The other kinds are the average of the Gaussian over each pixel, and Lindeberg's
    discrete analogue ``exp(-t) I_n(t)`` with ``t = sigma**2`` and the modified Bessel functions
    ``I_n``, each over its sum, too.

    A derivative is written for correlation: positive where the picture rises along the axis. The
    sampled one is the polynomial of that order times the sampled Gaussian, as
    :func:`scipy.ndimage.gaussian_filter1d` has it; the integrated one the difference of the next
    lower derivative at the pixel's ends; the discrete one takes differences of the taps, central
    for odd orders, and is longer by as many taps.

    Parameters
    ----------
    sigma : float or floats
        Standard deviation in samples, more than 0; or one for each axis: down the columns, then
        across.
    cut : float
        Where the kernel ends, in sigmas, more than 0.
    axes : int, optional
        Number of axes, at least 1; as many as there are sigmas, or 2, if not given.
    order : int or ints
        Order of the derivative along the last axis, or along each; 0 to 4.
    kind : {"sampled", "integrated", "discrete"}

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
    >>> gaussian((1, 2)).shape
    (9, 17)
    >>> gaussian(1, cut=1, axes=1).array.round(3).tolist()
    [0.274, 0.452, 0.274]
    >>> gaussian(1, cut=1, axes=1, order=1).array.round(3).tolist()
    [-0.274, 0.0, 0.274]
    """
    widths = along("gaussian", "sigma", sigma, axes)
    for name, value in (*(("sigma", width) for width in widths), ("cut", cut)):
        real = isinstance(value, (int, float, np.integer, np.floating))
        if isinstance(value, bool) or not real or not 0 < value < math.inf:
            raise ValueError(f"gaussian: {name}={value!r} must be a number more than 0.")
    widths, cut = tuple(map(float, widths)), float(cut)
    if min(widths) < 0.01 or cut * max(widths) > 1e6:
        raise ValueError(
            f"gaussian: sigma={sigma!r} with cut={cut!r} is out of range; give a sigma of at least "
            "0.01 that reaches a million samples at most."
        )
    orders = orders_of(order, len(widths))
    choice("gaussian", "kind", kind, KINDS)
    lines = {
        (width, n): tuple(profile(width, math.ceil(cut * width), n, kind))
        for width, n in set(zip(widths, orders, strict=True))
    }
    profiles = tuple(lines[each] for each in zip(widths, orders, strict=True))
    sigmas, comma, count = sides(widths).partition(",")
    mark = marks(order=written_orders(orders), kind=unusual(kind, "sampled"), cut=unusual(cut, 4.0))
    uneven = "x" in sigmas and len(widths) == 2
    shown = f"{written(widths[0])} down and {written(widths[1])} across" if uneven else sigmas
    derivative = f"Derivative of order {', '.join(map(str, orders))} of a" if any(orders) else "A"
    usual = kind == "sampled" and not any(orders)
    about = (
        f"Gaussian of sigma {shown}, cut at {written(cut)} sigma; sums to 1. "
        "Any: gaussian:SIGMA, gaussian:DOWNxACROSS."
        if usual
        else f"{derivative} Gaussian of sigma {shown}, {kind}."
    )
    return Kernel(
        f"gaussian:{sigmas}{mark}{comma}{count}",
        tuple(map(len, profiles)),
        (),
        about=about,
        source=KIND_SOURCES[kind]
        + (f" With {DERIVATIVES}." if any(orders) and kind == "sampled" else ""),
        profiles=profiles,
    )


def orders_of(order: Any, axes: int) -> tuple[int, ...]:
    """Return the order of the derivative along each axis."""
    several = isinstance(order, (tuple, list))
    given = tuple(order) if several else (*(0,) * (axes - 1), order)
    if len(given) != axes:
        raise ValueError(f"gaussian: order={order!r} needs one int for each of the {axes} axes.")
    return tuple(whole("gaussian", "order", n, 0, GREATEST_ORDER) for n in given)


def written_orders(orders: tuple[int, ...]) -> str:
    """Return the orders as a name says them; none where there is no derivative."""
    if any(orders[:-1]):
        return "/".join(map(str, orders))
    return str(orders[-1]) if orders[-1] else ""


def profile(sigma: float, reach: int, order: int, kind: str) -> list[float]:
    """Return the taps of a Gaussian, or of a derivative, along one axis, for correlation."""
    if kind == "sampled":
        half = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(reach + 1)]
    elif kind == "integrated":
        half = [pixel(i, sigma) for i in range(reach + 1)]
    else:
        from scipy.special import ive  # heavy, and only this kind needs it

        half = ive(np.arange(reach + 1), sigma * sigma).tolist()
    taps = [*half[:0:-1], *half]
    total = math.fsum(taps)
    if order == 0:
        return [tap / total for tap in taps]
    if kind == "sampled":
        return [
            hermite(i, sigma, order) * (-1) ** order * taps[i + reach] / total
            for i in range(-reach, reach + 1)
        ]
    if kind == "integrated":
        edges = [i - 0.5 for i in range(-reach, reach + 2)]
        values = [hermite(x, sigma, order - 1) * math.exp(-0.5 * (x / sigma) ** 2) for x in edges]
        scale = (-1) ** order / (sigma * math.sqrt(2 * math.pi))
        return [scale * (b - a) for a, b in pairwise(values)]
    found = np.array(taps) / total
    for _ in range(order // 2):
        found = np.convolve(found, [1.0, -2.0, 1.0])
    if order % 2:
        found = np.convolve(found, [-0.5, 0.0, 0.5])
    return [float(tap) for tap in found]


def pixel(i: int, sigma: float) -> float:
    """Return the Gaussian's integral over the pixel ``i >= 0``, precise in the tail."""
    low, high = ((i + s) / (sigma * math.sqrt(2)) for s in (-0.5, 0.5))
    if i == 0:
        return math.erf(high)
    return (math.erfc(low) - math.erfc(high)) / 2


def hermite(x: float, sigma: float, order: int) -> float:
    """Return the polynomial before the Gaussian in its derivative of an order."""
    before, now = 0.0, 1.0  # g' = -x/s**2 g; g[n+1] = -(x g[n] + n g[n-1]) / s**2
    for n in range(order):
        before, now = now, -(x * now + n * before) / (sigma * sigma)
    return now


# ---- made of Gaussians -----------------------------------------------------------------------


def log(sigma: float = 2, *, cut: float = 4.0, balanced: bool = True) -> Kernel:
    """Return the Laplacian of a Gaussian: the sum of its second derivatives along both axes.

    Sampled and cut, its taps do not quite sum to 0; ``balanced`` takes the sum off as a Gaussian of
    the same sigma, so that a flat picture gives 0. Without it, the taps are those of
    :func:`scipy.ndimage.gaussian_laplace`.

    Parameters
    ----------
    sigma : float
        In pixels, 0.3 to 60.
    cut : float
        Where it ends, in sigmas, 1 to 10.
    balanced : bool

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> log(1.4).shape
    (13, 13)
    """
    width = number("log", "sigma", sigma, 0.3, REACH)
    cut = number("log", "cut", cut, 1, 10)
    kernel = gaussian(width, cut=cut, order=(2, 0)) + gaussian(width, cut=cut, order=(0, 2))
    if balanced:
        kernel = kernel - gaussian(width, cut=cut) * float(kernel.total)
    about = f"Laplacian of a Gaussian of sigma {written(width)}. Any: log:SIGMA."
    mark = marks(cut=unusual(cut, 4.0)) + ("" if balanced else ",unbalanced")
    return kernel.renamed(f"log:{written(width)}{mark}", about, LOG_SOURCE)


def dog(sigma: float = 1, wider: float | None = None, *, cut: float = 4.0) -> Kernel:
    """Return the difference of two Gaussians, the narrow one minus the wide one; sums to 0.

    Parameters
    ----------
    sigma : float
        Of the narrow one, in pixels, 0.3 to 60.
    wider : float, optional
        Of the wide one, more than ``sigma`` and at most 100; 1.6 times ``sigma`` if not given, for
        which it is nearest to the Laplacian of a Gaussian (Marr and Hildreth).
    cut : float
        Where each ends, in sigmas, 1 to 10.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> dog(1, 2).shape
    (17, 17)
    """
    narrow = number("dog", "sigma", sigma, 0.3, REACH)
    wide = 1.6 * narrow if wider is None else number("dog", "wider", wider, narrow, 100, above=True)
    cut = number("dog", "cut", cut, 1, 10)
    name = f"dog:{written(narrow)}" + ("" if wider is None else f",{written(wide)}")
    name += marks(cut=unusual(cut, 4.0))
    about = (
        f"Gaussian of sigma {written(narrow)} minus one of {written(round(wide, 12))}; sums to 0."
    )
    return (gaussian(narrow, cut=cut) - gaussian(wide, cut=cut)).renamed(name, about, LOG_SOURCE)


def unsharp(sigma: float = 1, amount: float = 1, *, cut: float = 4.0) -> Kernel:
    """Return unsharp masking: the picture plus ``amount`` times what a Gaussian takes away.

    Parameters
    ----------
    sigma : float
        In pixels, 0.1 to 60.
    amount : float
        0 to 100.
    cut : float
        Where the Gaussian ends, in sigmas, 1 to 10.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> round(float(unsharp(1, 0.5).total), 12)
    1.0
    """
    width = number("unsharp", "sigma", sigma, 0.1, REACH)
    amount = number("unsharp", "amount", amount, 0, 100)
    cut = number("unsharp", "cut", cut, 1, 10)
    name = f"unsharp:{written(width)}" + ("" if amount == 1 else f",{written(amount)}")
    name += marks(cut=unusual(cut, 4.0))
    about = (
        f"The picture plus {written(amount)} times its difference from a Gaussian of sigma "
        f"{written(width)}; sums to 1."
    )
    source = "Source: Gonzalez and Woods (2018), ch. 3, unsharp masking."
    made = identity * (1 + amount) - gaussian(width, cut=cut) * amount
    return made.renamed(name, about, source)


def high_boost(amount: float = 1.5) -> Kernel:
    """Return high-boost filtering: ``amount`` times the picture plus its negated Laplacian.

    The taps sum to ``amount``, so that the picture gets brighter where it is more than 1, as the
    source has it; ``normalised()`` keeps the brightness.

    Parameters
    ----------
    amount : float
        0.01 to 100.

    Raises
    ------
    ValueError
        Where the amount is no such number.

    Examples
    --------
    >>> high_boost(2).array.tolist()
    [[-1.0, -1.0, -1.0], [-1.0, 10.0, -1.0], [-1.0, -1.0, -1.0]]
    """
    amount = number("high-boost", "amount", amount, 0.01, 100)
    taps = np.full((3, 3), -1.0)
    taps[1, 1] = amount + 8
    return Kernel.of(
        taps,
        f"high-boost:{written(amount)}",
        about=f"{written(amount)} times the picture plus its negated Laplacian; sums to "
        f"{written(amount)}.",
        source="Source: Gonzalez and Woods (2002), Digital Image Processing, 2nd ed., ch. 3.",
    )


def steerable(sigma: float = 2, angle: float = 0, *, order: int = 1, cut: float = 4.0) -> Kernel:
    """Return the derivative of a Gaussian along a direction, steered from its basis.

    First order: ``cos(t) Gx + sin(t) Gy``; second: ``cos(t)**2 Gxx + 2 cos(t) sin(t) Gxy +
    sin(t)**2 Gyy``, with the sampled derivatives along x, to the right, and y, upwards. Filter with
    the two or three of the basis once and every angle is a weighted sum.

    Parameters
    ----------
    sigma : float
        In pixels, 0.3 to 60.
    angle : float
        The direction in degrees from the rows, turning to the left.
    order : {1, 2}
    cut : float
        Where it ends, in sigmas, 1 to 10.

    Returns
    -------
    Kernel
        Written for correlation: of the first order, positive where the picture gets brighter in
        the direction.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> steerable(1, 90).array[0].sum() > 0  # brighter towards the top
    np.True_
    """
    width = number("steerable", "sigma", sigma, 0.3, REACH)
    degrees = number("steerable", "angle", angle, -3600, 3600)
    order = whole("steerable", "order", order, 1, 2)
    cut = number("steerable", "cut", cut, 1, 10)
    c, s = direction(degrees)
    if order == 1:  # the rows of a picture count downwards
        basis = (((0, 1), c), ((1, 0), -s))
    else:
        basis = (((0, 2), c * c), ((1, 1), -2 * c * s), ((2, 0), s * s))  # type: ignore[assignment]
    taps = sum(gaussian(width, cut=cut, order=o).array * weight for o, weight in basis)
    mark = marks(order=unusual(str(order), "1"), cut=unusual(cut, 4.0))
    return Kernel.of(
        taps,
        f"steerable:{written(width)},{written(degrees)}deg{mark}",
        about=f"Derivative of order {order} of a Gaussian of sigma {written(width)} at "
        f"{written(degrees)} degrees.",
        source="Source: Freeman and Adelson (1991), The design and use of steerable filters.",
    )


def gabor(
    wavelength: float = 8,
    angle: float = 0,
    *,
    sigma: float | None = None,
    aspect: float = 0.5,
    phase: float = 0,
    cut: float = 3.0,
) -> Kernel:
    """Return a wave under a Gaussian: ``g(x', y') cos(2 pi x' / wavelength + phase)``.

    ``x'`` runs along the wave and ``y'`` along its crests, in a frame that is turned to the left by
    ``angle``; ``g`` is ``exp(-(x'**2 + aspect**2 y'**2) / (2 sigma**2))`` over its sum.

    Parameters
    ----------
    wavelength : float
        In pixels, 2 to 200.
    angle : float
        The direction of the wave in degrees from the rows, turning to the left.
    sigma : float, optional
        Of the Gaussian along the wave, 0.3 to 100; 0.56 times the wavelength if not given, which
        is a bandwidth of an octave.
    aspect : float
        0.2 to 5; below 1 the Gaussian is longer along the crests.
    phase : float
        In degrees; 0 is even, 90 odd.
    cut : float
        Where it ends, in sigmas, 1 to 10.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> gabor(4).shape
    (29, 15)
    """
    wave = number("gabor", "wavelength", wavelength, 2, 200)
    degrees = number("gabor", "angle", angle, -3600, 3600)
    width = 0.56 * wave if sigma is None else number("gabor", "sigma", sigma, 0.3, 100)
    aspect = number("gabor", "aspect", aspect, 0.2, 5)
    turn = number("gabor", "phase", phase, -3600, 3600)
    cut = number("gabor", "cut", cut, 1, 10)
    c, s = direction(degrees)
    along, crests = cut * width, cut * width / aspect
    columns = math.ceil(max(abs(along * c), abs(crests * s)))
    rows = math.ceil(max(abs(along * s), abs(crests * c)))
    if (2 * rows + 1) * (2 * columns + 1) > MOST:
        raise ValueError(
            f"gabor: {2 * rows + 1} x {2 * columns + 1} taps are more than {MOST}; give a smaller "
            "sigma or cut, or a greater aspect."
        )
    x = np.arange(-columns, columns + 1)[None, :]
    y = -np.arange(-rows, rows + 1)[:, None]  # upwards
    u, v = x * c + y * s, -x * s + y * c
    under = np.exp(-(u * u + (aspect * v) ** 2) / (2 * width * width))
    # odd and even to the last bit
    cosine, sine = direction(turn)
    waves = np.cos(2 * np.pi * u / wave) * cosine - np.sin(2 * np.pi * u / wave) * sine
    mark = marks(
        sigma=None if sigma is None else width,
        aspect=unusual(aspect, 0.5),
        phase=f"{written(turn)}deg" if turn else "",
        cut=unusual(cut, 3.0),
    )
    return Kernel.of(
        under * waves / under.sum(),
        f"gabor:{written(wave)},{written(degrees)}deg{mark}",
        about=f"Wave of {written(wave)} pixels at {written(degrees)} degrees under a Gaussian.",
        source="Source: Gabor (1946), Theory of communication; Daugman (1985) in two dimensions.",
    )


def gabor_bank(
    wavelengths: Sequence[float] = (4, 8, 16), angles: int = 4, **options: Any
) -> tuple[Kernel, ...]:
    """Return Gabor kernels of several wavelengths, each at angles evenly spread over 180 degrees.

    Parameters
    ----------
    wavelengths : sequence of float
    angles : int
        Number of angles, 1 to 36.
    **options
        ``sigma``, ``aspect``, ``phase``, ``cut`` of :func:`gabor`.

    Examples
    --------
    >>> [k.name for k in gabor_bank((4,), 3)]
    ['gabor:4,0deg', 'gabor:4,60deg', 'gabor:4,120deg']
    """
    count = whole("gabor_bank", "angles", angles, 1, 36)
    return tuple(
        gabor(wave, 180 * n / count, **options) for wave in wavelengths for n in range(count)
    )
