"""Arithmetic on taps as plain numbers: exact where they are integers, no matter how large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

WORK = 1 << 32  # multiply-adds: a composition that takes more is refused


def quotients(numerators: Sequence[int], divisor: int, shape: tuple[int, ...]) -> Array:
    """Return integers over a divisor: int64 where that is exact, else float64."""
    taps = np.array(numerators)
    if taps.dtype == np.int64 and divisor <= 1 << 53:
        array = taps if divisor == 1 else taps / divisor
    else:  # integers of any size; each quotient is rounded once
        array = np.array([n / divisor for n in numerators])
    return array.reshape(shape)


def lowest(numerators: Sequence[int], divisor: int) -> tuple[tuple[int, ...], int]:
    """Return the same fractions with the least divisor, which is positive."""
    common = math.gcd(divisor, *numerators)
    common = -common if divisor < 0 else common
    return tuple(n // common for n in numerators), divisor // common


def integers(numerators: Sequence[int], shape: tuple[int, ...]) -> Array:
    """Return Python integers in an array of objects, which never overflow."""
    array = np.empty(len(numerators), object)
    array[:] = numerators
    return array.reshape(shape)


def aligned(
    parts: Sequence[tuple[Array, tuple[int, ...]]],
) -> tuple[list[Array], tuple[int, ...]]:
    """Pad arrays with zeros to one shape, so that their anchors lie on each other.

    Parameters
    ----------
    parts : sequence of (array, anchor)

    Returns
    -------
    arrays, anchor
    """
    axes = range(parts[0][0].ndim)
    before = tuple(max(anchor[n] for _, anchor in parts) for n in axes)
    after = tuple(max(a.shape[n] - anchor[n] for a, anchor in parts) for n in axes)
    padded = []
    for array, anchor in parts:
        room = np.zeros([b + a for b, a in zip(before, after, strict=True)], array.dtype)
        room[
            tuple(
                slice(b - a, b - a + taps)
                for b, a, taps in zip(before, anchor, array.shape, strict=True)
            )
        ] = array
        padded.append(room)
    return padded, before


def full(a: Array, b: Array) -> Array:
    """Return the full convolution of two arrays of taps, by the definition.

    Integers (int64 or Python's) stay exact; int64 is used where the sums provably fit.

    Raises
    ------
    ValueError
        Where it would take too long.
    """
    if a.size * b.size > WORK:
        raise ValueError(
            f"composing kernels of {a.shape} and {b.shape} taps takes too long; apply one after "
            "the other."
        )
    if a.size > b.size:
        a, b = b, a
    dtype: Any = np.result_type(a, b)
    if dtype.kind == "O":
        bound = int(np.abs(a).sum()) * int(np.abs(b).sum())
        if bound < 1 << 63:
            a, b, dtype = a.astype(np.int64), b.astype(np.int64), np.int64
    out = np.zeros([m + n - 1 for m, n in zip(a.shape, b.shape, strict=True)], dtype)
    for j in np.ndindex(a.shape):
        if a[j] != 0:
            window = tuple(slice(at, at + taps) for at, taps in zip(j, b.shape, strict=True))
            out[window] += a[j] * b
    return out


def split(taps: Array) -> list[list[int]] | None:
    """Return integers, one list for each axis, whose product the taps are; None where none are.

    Lists but the first have no common divisor. In each but the last the sum is positive or, where
    it is 0, the last number that is not 0.
    """
    if not taps.any():
        return None
    parts: list[list[int]] = []
    rest = taps
    while rest.ndim > 1:
        rows = rest.reshape(-1, rest.shape[-1])
        first = next(row for row in rows if row.any())
        common = math.gcd(*(int(n) for n in first))
        line = [int(n) // common for n in first]
        at = next(i for i, n in enumerate(line) if n)
        heights = [int(row[at]) for row in rows]
        if any(h % line[at] for h in heights):
            return None
        scales = integers([h // line[at] for h in heights], rest.shape[:-1])
        if (np.multiply.outer(scales, integers(line, (len(line),))) != rest).any():
            return None
        parts.insert(0, line)
        rest = scales
    lines = [[int(n) for n in rest], *parts]
    for n, line in enumerate(lines[:-1]):
        if (sum(line) or next(tap for tap in reversed(line) if tap)) < 0:
            lines[n], lines[-1] = [-tap for tap in line], [-tap for tap in lines[-1]]
    return lines
