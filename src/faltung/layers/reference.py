"""The layers with windows as plain NumPy: the definition, and the path without a compiled library.

A layer is its input, continued (:func:`continued`), and a sum over the taps of what lies under
each (:func:`under`). Gradients are the same sums read backwards: what went from ``a`` to ``b`` by
a weight comes back from ``b`` to ``a`` by it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from faltung.boundary import FILL
from faltung.dtypes import Array
from faltung.layers.problem import Conv
from faltung.windows import Window


def continued(
    x: Array, windows: Sequence[Window], boundary: Sequence[str], fill: float = 0.0
) -> Array:
    """Return an input (..., *space) continued as far as the windows reach."""
    first = x.ndim - len(windows)
    for axis, (window, name) in enumerate(zip(windows, boundary, strict=True), first):
        indices = window.source(name).indices()
        if indices.size == window.n and np.array_equal(indices, np.arange(window.n)):
            continue
        x = np.take(x, np.maximum(indices, 0), axis=axis)
        outside = indices == FILL
        if outside.any():
            x[(slice(None),) * axis + (outside,)] = fill
    return x


def folded(
    dx: Array, windows: Sequence[Window], boundary: Sequence[str], shape: Sequence[int]
) -> Array:
    """Return the gradient of an input from that of the continued one: the reverse of continued."""
    first = dx.ndim - len(windows)
    for axis, (window, name) in enumerate(zip(windows, boundary, strict=True), first):
        indices = window.source(name).indices()
        if indices.size == window.n and np.array_equal(indices, np.arange(window.n)):
            continue
        source = np.moveaxis(dx, axis, 0)
        target = np.zeros((window.n, *source.shape[1:]), dx.dtype)
        low = max(0, window.before)
        stop = min(low + window.n, indices.size)
        if stop > low:
            target[: stop - low] = source[low:stop]
        for position in itertools.chain(range(min(low, indices.size)), range(stop, indices.size)):
            if indices[position] != FILL:
                target[indices[position]] += source[position]
        dx = np.moveaxis(target, 0, axis)
    return dx


def under(windows: Sequence[Window]) -> Iterator[tuple[Any, Any]]:
    """Yield every tap, and the samples of the continued input that lie under it, as indices."""
    for taps in itertools.product(*(range(w.taps) for w in windows)):
        place = (
            slice(w.dilation * t, w.dilation * t + w.stride * (w.count - 1) + 1, w.stride)
            for w, t in zip(windows, taps, strict=True)
        )
        yield (..., *taps), (..., *place)


def conv(problem: Conv, x: Array, k: Array) -> Array:
    """Return ``y[n, o, i] = sum_c,t k[o, c, t] x[n, c, s*i + d*t - before]``."""
    laid = _grouped(continued(x, problem.windows, problem.boundary), problem.groups)
    kernels = k.reshape(problem.groups, -1, *k.shape[1:])
    y = np.zeros((problem.images, problem.groups, kernels.shape[1], *problem.y_shape[2:]), x.dtype)
    for taps, place in under(problem.windows):
        weights = kernels[taps]
        y += np.einsum("ngc...,goc->ngo...", laid[place], weights, optimize=True)
    return y.reshape(problem.y_shape)


def input_gradient(problem: Conv, dy: Array, k: Array) -> Array:
    """Return the gradient with respect to the input: each output goes back by its taps."""
    gradient = _grouped(dy, problem.groups)
    kernels = k.reshape(problem.groups, -1, *k.shape[1:])
    lengths = [w.length for w in problem.windows]
    each = problem.channels // problem.groups
    laid = np.zeros((problem.images, problem.groups, each, *lengths), dy.dtype)
    for taps, place in under(problem.windows):
        weights = kernels[taps]
        laid[place] += np.einsum("ngo...,goc->ngc...", gradient, weights, optimize=True)
    laid = laid.reshape(problem.images, problem.channels, *lengths)
    return folded(laid, problem.windows, problem.boundary, problem.x_shape)


def weight_gradient(problem: Conv, x: Array, dy: Array) -> Array:
    """Return the gradient with respect to the kernels."""
    laid = _grouped(continued(x, problem.windows, problem.boundary), problem.groups)
    gradient = _grouped(dy, problem.groups).reshape(problem.images, problem.groups, -1, _size(dy))
    dk = np.zeros(problem.k_shape, x.dtype)
    for taps, place in under(problem.windows):
        seen = laid[place].reshape(problem.images, problem.groups, -1, _size(dy))
        sums = np.einsum("ngcp,ngop->goc", seen, gradient, optimize=True)
        dk[taps] = sums.reshape(problem.k_shape[:2])
    return dk


def _grouped(x: Array, groups: int) -> Array:
    return x.reshape(x.shape[0], groups, -1, *x.shape[2:])


def _size(dy: Array) -> int:
    return math.prod(dy.shape[2:])


def max_pool(x: Array, windows: Sequence[Window]) -> tuple[Array, Array]:
    """Return the greatest sample of each window and the number of its tap, the first of equals."""
    laid = continued(x, windows, ("constant",) * len(windows), -np.inf)
    best: Array | None = None
    for number, (_, place) in enumerate(under(windows)):
        seen = laid[place]
        if best is None:
            best, where = seen.copy(), np.zeros_like(seen, tap_type(windows))
            continue
        better = (seen > best) | np.isnan(seen)
        np.copyto(best, seen, where=better)
        where[better] = number
    assert best is not None
    return best, where


def max_pool_gradient(dy: Array, where: Array, windows: Sequence[Window]) -> Array:
    """Return the gradient of the samples: each window's goes to its greatest one."""
    lengths = [w.length for w in windows]
    laid = np.zeros((*dy.shape[:2], *lengths), dy.dtype)
    for number, (_, place) in enumerate(under(windows)):
        laid[place] += np.where(where == number, dy, dy.dtype.type(0))
    shape = [w.n for w in windows]
    return folded(laid, windows, ("constant",) * len(windows), shape)


def tap_type(windows: Sequence[Window]) -> np.dtype[np.generic]:
    """Return the dtype that numbers the taps of a window."""
    return np.dtype("uint8" if math.prod(w.taps for w in windows) <= 255 else "int32")
