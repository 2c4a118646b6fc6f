"""Frequency responses: what a kernel makes of waves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Response(NamedTuple):
    """A frequency response.

    Attributes
    ----------
    frequencies : tuple of ndarray
        For each axis, in cycles per sample.
    values : ndarray of complex128
        One axis for each axis of the kernel.
    """

    frequencies: tuple[Array, ...]
    values: Array


def grid(points: Any, frequencies: Any) -> Array:
    """Return the frequencies that are asked for, or raise ValueError."""
    if frequencies is None:
        if isinstance(points, bool) or not hasattr(points, "__index__") or points < 1:
            raise ValueError(f"points={points!r} must be an int of at least 1.")
        return np.linspace(-0.5, 0.5, points) if points > 1 else np.zeros(1)
    given = np.asarray(frequencies, float)
    if given.ndim != 1 or not np.isfinite(given).all():
        raise ValueError("frequencies must be a list of finite numbers, in cycles per sample.")
    return given


def along(lines: Array, anchor: int, frequencies: Array, sign: int) -> Array:
    """Return ``sum_j k[j] exp(sign 2 pi i f (j - a))`` along the last axis, for each frequency."""
    phases = np.exp(sign * 2j * np.pi * np.outer(np.arange(lines.shape[-1]) - anchor, frequencies))
    return lines @ phases


def of_product(profiles: Sequence[Any], anchor: Sequence[int], f: Array, sign: int) -> Response:
    """Return the response of a product of profiles: the product of theirs."""
    lines = [along(np.array(p), a, f, sign) for p, a in zip(profiles, anchor, strict=True)]
    return Response((f,) * len(lines), reduce(np.multiply.outer, lines))


def of_taps(taps: Array, anchor: Sequence[int], f: Array, sign: int) -> Response:
    """Return the response of any taps."""
    values = taps.astype(complex)
    for axis, a in enumerate(anchor):
        values = np.moveaxis(along(np.moveaxis(values, axis, -1), a, f, sign), -1, axis)
    return Response((f,) * taps.ndim, values)
