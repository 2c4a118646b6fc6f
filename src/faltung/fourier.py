"""Fast Fourier transforms (scipy.fft), loaded when first used: importing faltung costs little."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from faltung import native
from faltung.dtypes import Array

STAGE = 8.0  # units of rounding for each stage of a transform, at most (Higham, 2002, 24.2)


def transform(values: Array, shape: tuple[int, ...], axes: tuple[int, ...], threads: int) -> Array:
    """Return the spectrum along ``axes``, padded with zeros to ``shape`` there."""
    from scipy import fft

    call = fft.fftn if values.dtype.kind == "c" else fft.rfftn
    with native.unforked():
        result: Array = call(values, shape, axes, workers=threads)
    return result


def inverse(
    spectrum: Array, shape: tuple[int, ...], axes: tuple[int, ...], threads: int, real: bool
) -> Array:
    """Return what has the spectrum, whose memory may be used for it."""
    from scipy import fft

    call = fft.irfftn if real else fft.ifftn
    with native.unforked():
        result: Array = call(spectrum, shape, axes, workers=threads, overwrite_x=True)
    return result


@lru_cache(maxsize=64)
def fast_lengths(least: int, most: int) -> tuple[int, ...]:
    """Return lengths from ``least`` on whose transforms are fast: products of 2, 3 and 5.

    They grow by at least an eighth, up to the first that is not below ``most``.

    >>> fast_lengths(100, 200)
    (100, 120, 135, 160, 180, 216)
    """
    found = []
    length = least
    while True:
        length = smooth(length)
        found.append(length)
        if length >= most:
            return tuple(found)
        length += max(1, -(-length // 8))


def smooth(least: int) -> int:
    """Return the least product of 2, 3 and 5 that is not below ``least``."""
    best = 1 << max(0, (least - 1).bit_length())
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            rest = -(-least // threes)
            best = min(best, threes << max(0, (rest - 1).bit_length()))
            threes *= 3
        fives *= 5
    return best


def error(samples: int, eps: float) -> float:
    """Return ``c`` in ``|error| <= c * |k|_2 * |x|_2`` for a product of spectra transformed back.

    Two transforms forth and one back of ``samples`` numbers (Higham, 2002, theorem 24.2), the
    products, and the rounding of the kernel's spectrum.
    """
    return (3 * STAGE * max(1.0, float(np.log2(max(2, samples)))) + 4) * eps / 2
