"""Exact integer sums of any size out of sums that float64 holds exactly.

Samples and taps are cut into limbs, digits with a sign: ``x = sum_i x_i 2**(b i)``. The sum over
the taps is then ``sum_d c_d 2**(b d)``, where the diagonal ``c_d`` adds up the convolutions of
``x_i`` and ``k_j`` with ``i + j = d``. Limbs are chosen short enough for every ``c_d`` to be exact.
What becomes of sums that leave the result's dtype is decided here, exactly, without ever forming
a number longer than 64 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from faltung.dtypes import Array, DType, convert, data_bound, holds
from faltung.geometry import Axis
from faltung.problem import Problem

WORD = 64
INT64, UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


def width(low: int, high: int) -> int:
    """Return how many bits two's complement needs for the numbers from ``low`` to ``high``.

    >>> width(-128, 127), width(0, 128), width(0, 0)
    (8, 9, 1)
    """
    return max(max(low, ~low).bit_length(), max(high, ~high).bit_length()) + 1


def cut(values: Array, bits: int, count: int) -> list[Array]:
    """Cut integers into ``count`` limbs of at most ``2**(bits - 1)`` in magnitude, least first.

    The last one takes what is left, so ``count`` has to cover the numbers' width.

    >>> [limb.tolist() for limb in cut(np.array([300, -1]), 4, 3)]
    [[-4.0, -1.0], [3.0, 0.0], [1.0, 0.0]]
    """
    limbs = []
    if count > 1 and values.dtype == UINT64:  # the first cut makes room for a sign
        limb = values.view(INT64) << (WORD - bits) >> (WORD - bits)
        limbs.append(limb.astype(float))
        values = (values >> np.uint64(bits)).view(INT64) + (limb < 0)
    elif values.dtype != UINT64:
        values = values.astype(INT64, copy=False)
    while len(limbs) < count - 1:
        limb = values << (WORD - bits) >> (WORD - bits)
        limbs.append(limb.astype(float))
        values = (values >> bits) + (limb < 0)
    return [*limbs, values.astype(float)]


@dataclass(frozen=True)
class Cut:
    """How samples of a width and a kernel are cut.

    ``x_bits`` is the length of the samples' limbs (the whole width where there is one limb),
    ``shift`` the distance of the diagonals in bits.
    """

    x_bits: int
    x_count: int
    shift: int
    taps: list[Array]

    @property
    def diagonals(self) -> int:
        """Number of diagonals."""
        return self.x_count + len(self.taps) - 1

    def pairs(self, diagonal: int) -> Iterator[tuple[int, int]]:
        """Yield the limbs of samples and taps that meet on a diagonal."""
        for i in range(self.x_count):
            if 0 <= diagonal - i < len(self.taps):
                yield i, diagonal - i

    def needed(self, modular: bool) -> int:
        """Return how many diagonals there are, or how many matter modulo 2**64."""
        return min(self.diagonals, -(-WORD // self.shift)) if modular else self.diagonals


@lru_cache(maxsize=256)
def ways(x_width: int, k_width: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """Return the ways to cut numbers of these widths: counts and lengths of limbs, and the shift.

    Of those with the same counts it is the one with the shortest limbs. Where both are cut, the
    limbs have one length, for pairs to meet on diagonals.
    """
    found: dict[tuple[int, int], tuple[int, int, int, int, int]] = {}
    for bits in range(2, max(2, x_width, k_width) + 1):
        for x_bits, k_bits in ((bits, bits), (x_width, bits), (bits, k_width)):
            x_bits, k_bits = min(x_bits, x_width), min(k_bits, k_width)
            counts = -(-x_width // x_bits), -(-k_width // k_bits)
            found.setdefault(counts, (*counts, x_bits, k_bits, min(bits, WORD - 1)))
    return tuple(found.values())


def choose_cut(
    x_width: int, taps: Array, exact: Callable[[Cut], bool], cost: Callable[[int, int], float]
) -> Cut:
    """Return the cheapest cut whose diagonals are exact; ``cost`` takes the counts of limbs."""
    k_width = width(int(taps.min()), int(taps.max()))
    for way in sorted(ways(x_width, k_width), key=lambda way: cost(way[0], way[1])):
        x_count, k_count, x_bits, k_bits, shift = way
        found = Cut(x_bits, x_count, shift, cut(taps, k_bits, k_count))
        if exact(found):
            return found
    raise AssertionError("two bits are short enough for any kernel that memory holds")


def suffices(bound: tuple[int, int], result: DType, overflow: str) -> DType | None:
    """Return the dtype as which sums modulo 2**64 say everything about the result, if any."""
    if holds(INT64, bound) or (overflow == "wrap" and result.kind in "biu"):
        return INT64
    return UINT64 if holds(UINT64, bound) else None


def bound_of(problem: Problem, source: Array) -> tuple[int, int]:
    """Return the least and the greatest sum that the samples at hand allow."""
    assert problem.arithmetic.bound is not None
    if suffices(problem.arithmetic.bound, problem.result_dtype, problem.arithmetic.overflow):
        return problem.arithmetic.bound
    return data_bound(problem.taps.array, int(source.min()), int(source.max()))


def modular(diagonals: list[Array], shift: int) -> Array:
    """Return the sums modulo 2**64, as int64."""
    total = diagonals[0].copy()
    for d, values in enumerate(diagonals[1:], 1):
        if d * shift < WORD:
            total += values << (d * shift)
    return total


def words(diagonals: list[Array], shift: int) -> tuple[Array, Array]:
    """Return the sums modulo 2**64, and what they hold beyond: the sums // 2**64.

    The second is clamped to 62 bits. The diagonals of the limbs have less than 60 bits, so that a
    clamped part keeps its sign, and stays far from 0, whatever is still added to it.
    """
    beyond = np.zeros_like(diagonals[0])
    high = range(-(-WORD // shift), len(diagonals))
    for d in reversed(high):
        beyond = raised(beyond, shift) + diagonals[d]
    if high:
        beyond = raised(beyond, high[0] * shift - WORD)
    low = np.zeros(beyond.shape, UINT64)
    for at, values in zip(range(0, WORD, shift), diagonals, strict=False):
        part = (values << at).view(UINT64)
        low += part
        beyond += (values >> (WORD - at) if at else values >> (WORD - 1)) + (low < part)
    return low.view(INT64), beyond


def raised(values: Array, bits: int) -> Array:
    """Return ``values * 2**bits``, clamped where it would leave 62 bits."""
    most = 1 << (62 - bits)
    return np.clip(values, -most, most) << bits


def join(diagonals: list[Array], shift: int, result: DType, overflow: str) -> Array:
    """Put diagonals (int64) together to sums of the result's dtype, under the overflow rule."""
    low, top = words(diagonals, shift)
    if (top == low >> (WORD - 1)).all():
        return convert(low, result, overflow)
    if not top.any():
        return convert(low.view(UINT64), result, overflow)
    if overflow == "saturate" and result == UINT64:
        values = low.view(UINT64)
        values[top < 0] = 0
        values[top > 0] = np.iinfo(UINT64).max
        return values
    if overflow == "saturate" and result.kind in "biu":
        low[(top > 0) | ((top == 0) & (low < 0))] = np.iinfo(INT64).max
        low[(top < -1) | ((top == -1) & (low >= 0))] = np.iinfo(INT64).min
        return convert(low, result, overflow)
    # An error that names the sums, or a result that holds any number: Python's integers do it.
    sums = np.zeros(low.shape, object)
    for d, values in enumerate(diagonals):
        sums += values.astype(object) << (d * shift)
    return convert(sums, result, overflow)


# ---- blocks of bounded size --------------------------------------------------------------------


def block_lengths(axes: tuple[Axis, ...], outputs: int) -> list[int]:
    """Return how long blocks of about so many outputs are along each axis.

    Blocks much shorter than the kernel would read the same samples again and again; beyond that
    they grow from the innermost axis on.
    """
    for times in (4, 2, 1):
        lengths = [max(1, min(a.count, times * a.reach // a.stride)) for a in axes]
        if math.prod(lengths) <= outputs:
            break
    for n in reversed(range(len(axes))):
        others = math.prod(lengths) // lengths[n]
        lengths[n] = max(1, min(axes[n].count, max(lengths[n], outputs // others)))
    return lengths
