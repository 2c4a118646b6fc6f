"""Which named kernels a kernel is most like."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.kernels.catalogue import FAMILIES
from faltung.kernels.checks import whole
from faltung.kernels.kernel import Kernel
from faltung.kernels.tables import NAMED

Array = NDArray[Any]
LARGEST_DIVISOR = 10_000  # of a factor that is taken for a fraction
SAME = 12  # decimals: scores that differ by less are the same


class Near(NamedTuple):
    """A named kernel and how much another is like it: about ``factor`` times it, turned.

    Attributes
    ----------
    kernel : Kernel
    score : float
        From 0 to 1.
    turns : int
        Quarter turns to the left that lay the named kernel on the other.
    factor : float
        What the turned kernel is multiplied with to come nearest; negative where the sign differs,
        infinite where that is beyond the largest float. Within rounding of a fraction of small
        numbers it is that.
    """

    kernel: Kernel
    score: float
    turns: int
    factor: float


def nearest(k: Any, n: int = 3) -> list[Near]:
    """Return the named kernels that a kernel is most like, the best first.

    The score is the greatest ``|<k, m>| / (||k|| ||m||)``, the cosine of the angle between the taps
    as vectors, over the four quarter turns of the named kernel m: scale, sign and such turns make
    no difference; 1 means the same but for these, within rounding. Both lie with their middles on
    each other, padded with zeros; of an even and an odd side, both ways of laying them are tried.
    Mirror images count as different. A kernel of one axis counts as a row.

    Families with parameters take part with those that are usual; ask for
    ``faltung.kernels.FAMILIES`` to see them. Of kernels with the same score those that are not
    turned come first, then those with a positive factor, then those with the factor 1, then those
    that ``names()`` has first.

    Parameters
    ----------
    k : array_like or Kernel
        Real and finite, with one axis or two, and not all 0.
    n : int
        How many to return.

    Returns
    -------
    list of Near

    Raises
    ------
    ValueError
        Where ``k`` is no such kernel.

    Examples
    --------
    >>> near = nearest([[-2, -4, -2], [0, 0, 0], [2, 4, 2]])[0]
    >>> near.kernel.name, round(near.score, 6), near.turns, round(near.factor, 6)
    ('sobel.y', 1.0, 0, 2.0)
    """
    count = whole("nearest", "n", n, 1, 1000)
    taps = np.asarray(k)
    if taps.dtype.kind not in "biuf" or taps.size == 0 or not 1 <= taps.ndim <= 2:
        raise ValueError(
            f"nearest: a real kernel of one axis or two is needed; got {taps.dtype} {taps.shape}."
        )
    plane = np.atleast_2d(taps).astype(float)
    greatest = float(np.abs(plane).max())
    if not np.isfinite(greatest) or greatest == 0:
        raise ValueError("nearest: the taps must be finite and not all 0.")
    plane = plane / greatest  # squares of the greatest numbers are none
    length = float(np.sqrt((plane * plane).sum()))
    found = []
    for kernel, turned in candidates():
        laid = [overlap(plane, other) for other in turned]
        norm = float(np.sqrt((turned[0] * turned[0]).sum()))
        scores = [round(abs(product) / (length * norm), SAME) for product in laid]
        turns = max(range(4), key=lambda t: (scores[t], -t))
        score = min(1.0, abs(laid[turns]) / (length * norm))
        found.append(Near(kernel, score, turns, simple(laid[turns] / norm**2 * greatest)))

    def place(near: Near) -> tuple[float, ...]:
        return -round(near.score, SAME), near.turns, near.factor < 0, near.factor != 1

    return sorted(found, key=place)[:count]


def simple(factor: float) -> float:
    """Return the fraction of small numbers that a factor is but for rounding, else the factor.

    >>> simple(4.000000000000001), simple(1 / 3 + 1e-16) == 1 / 3, simple(2**0.5) == 2**0.5
    (4.0, True, True)
    """
    if not np.isfinite(factor):
        return factor
    near = float(Fraction(factor).limit_denominator(LARGEST_DIVISOR))
    return near if abs(near - factor) <= 10**-SAME * abs(factor) else factor


@lru_cache(maxsize=1)
def candidates() -> tuple[tuple[Kernel, tuple[Array, ...]], ...]:
    """Return the named kernels, and those of the families, each turned four times."""
    kernels = [*NAMED.values()]
    for family in FAMILIES.values():
        if not family.many:  # every shift is an impulse somewhere
            kernels += [family.kernel(text) for text in (family.usual, *family.others)]
    turned = []
    for kernel in kernels:
        plane = np.atleast_2d(kernel.array).astype(float)
        turned.append((kernel, tuple(np.rot90(plane, turns) for turns in range(4))))
    return tuple(turned)


def overlap(a: Array, b: Array) -> float:
    """Return the inner product of greatest magnitude, middle on middle.

    Where the sides differ by an odd number, the middles can be laid on each other in two ways.
    """
    ways: list[list[tuple[slice, slice]]] = []
    for m, n in zip(a.shape, b.shape, strict=True):
        starts = {(m - n) // 2, -((n - m) // 2)}  # of b, counted from the start of a
        ways.append([
            (slice(max(0, s), min(m, s + n)), slice(max(0, -s), min(n, m - s))) for s in starts
        ])  # fmt: skip
    products = [
        float((a[rows_a, columns_a] * b[rows_b, columns_b]).sum())
        for rows_a, rows_b in ways[0]
        for columns_a, columns_b in ways[1]
    ]
    return max(products, key=lambda product: (abs(product), product))
