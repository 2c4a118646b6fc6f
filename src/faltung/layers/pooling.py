"""Pooling: the greatest sample or the average of each window, of all space, or of cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from faltung.checking import flag
from faltung.dtypes import Array
from faltung.layers import compiled, reference
from faltung.layers.memory import fresh, innermost, outermost, pipelined, run
from faltung.layers.problem import (
    Conv,
    Ints,
    Padding,
    check_shape,
    floats,
    frozen,
    images,
    per_axis,
    places,
    windows,
)
from faltung.layers.recording import do, unrecorded
from faltung.windows import Window, cells


def _windows(
    space: Sequence[int], size: Any, stride: Any, dilation: Any, padding: Any, ceil: bool
) -> tuple[Window, ...]:
    flag("ceil", ceil)
    return _windows_of(tuple(space), *map(frozen, (size, stride, dilation, padding)), ceil)


@lru_cache(maxsize=1024)
def _windows_of(
    space: tuple[int, ...], size: Any, stride: Any, dilation: Any, padding: Any, ceil: bool
) -> tuple[Window, ...]:
    taps = per_axis("size", size, len(space), 1)
    found = windows(space, taps, taps if stride is None else stride, dilation, padding, ceil=ceil)
    if any(max(w.before, w.after) > w.reach for w in found):
        raise ValueError(
            f"padding={padding!r} is wider than a window of {taps} reaches: some windows would "
            "see no sample."
        )
    return found


def max_pool(
    x: Any,
    size: Ints,
    *,
    stride: Ints | None = None,
    dilation: Ints = 1,
    padding: Padding = 0,
    ceil: bool = False,
) -> tuple[Array, Array]:
    """Return the greatest sample of each window, and at which tap it stands.

    Of equal samples the first wins, in the order of memory of an image (rows, then columns). NaN
    wins over all. Padding never wins over a sample that is a number above minus infinity.

    Parameters
    ----------
    x : array (images, channels, *space)
    size : int, or one per axis of space
    stride : int, or one per axis; the size by default
    dilation : int, or one per axis
    padding : as of :func:`faltung.layers.conv`
        No wider than a window reaches.
    ceil : bool
        Whether a last window that leaves the padded input counts, where it begins inside the
        input or before it. Else samples behind the last whole window are not looked at.

    Returns
    -------
    y : array (images, channels, *positions)
    where : array of uint8 (or int32 from 256 taps on), the same shape
        The tap's number, for :func:`max_pool_gradient`.

    Raises
    ------
    ValueError
        Where the windows do not fit.

    Examples
    --------
    >>> from faltung import layers
    >>> y, where = layers.max_pool([[[1.0, 3.0, 3.0, 3.0]]], 2)
    >>> y.tolist(), where.tolist()
    ([[[3.0, 3.0]]], [[[1, 0]]])
    """
    x = images("x", x)
    found = _windows(x.shape[2:], size, stride, dilation, padding, ceil)
    if not _has_pipeline(x, found):
        unrecorded()
        y, where = reference.max_pool(x, found)
        return outermost(innermost(y)), outermost(innermost(where))
    if any(w.before or w.length > w.n for w in found):
        unrecorded()
        x = reference.continued(x, found, ("constant",) * len(found), -np.inf)
    laid = innermost(x)
    source = _four(laid, x.shape[0])
    shape = (x.shape[1], *(w.count for w in found), x.shape[0])
    y, where = fresh(shape, x.dtype), fresh(shape, np.uint8)
    across, down = _pair(found)
    numbers = (
        across.taps, down.taps, across.stride, down.stride, across.dilation, down.dilation,
    )  # fmt: skip
    _run(source, (), numbers, (_four(y, x.shape[0]), _four(where, x.shape[0])), "max")
    return outermost(y), outermost(where)


def max_pool_gradient(
    dy: Any,
    where: Any,
    space: Sequence[int],
    size: Ints,
    *,
    stride: Ints | None = None,
    dilation: Ints = 1,
    padding: Padding = 0,
    ceil: bool = False,
    pooled: Any = None,
) -> Array:
    """Return the gradient of :func:`max_pool`: each window's goes to its greatest sample.

    Parameters
    ----------
    dy : array (images, channels, *positions)
        The gradient with respect to the output.
    where : array
        What :func:`max_pool` gave.
    space : tuple of int
        The input's shape along the axes of space.
    size, stride, dilation, padding, ceil
        As they were given to :func:`max_pool`.
    pooled : array, as ``dy``, optional
        The output of :func:`max_pool`, where its input came out of a relu: then the gradient of
        that is taken in the same pass, and only what is above 0 passes.

    Returns
    -------
    array (images, channels, *space)

    Raises
    ------
    ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> from faltung import layers
    >>> layers.max_pool_gradient([[[5.0, 7.0]]], [[[1, 0]]], (4,), 2).tolist()
    [[[0.0, 5.0, 7.0, 0.0]]]
    """
    dy = images("dy", dy)
    found = _windows(
        per_axis("space", space, dy.ndim - 2, 1), size, stride, dilation, padding, ceil
    )
    check_shape("dy", dy, (*dy.shape[:2], *(w.count for w in found)))
    where = places("where", where, dy.shape)
    if pooled is not None:
        pooled = floats("pooled", pooled, dy.dtype)
        check_shape("pooled", pooled, dy.shape)
    plain = all(w.dilation == 1 for w in found)
    if not (plain and _has_pipeline(dy, found)):
        unrecorded()
        passed = dy if pooled is None else dy * (pooled > 0)
        return outermost(innermost(reference.max_pool_gradient(passed, where, found)))
    around = [(w.windows_of()[1], w.windows_of()[2]) for w in found]
    arrays = [dy, where.astype(np.uint8, copy=False), dy if pooled is None else pooled]
    laid = [innermost(array) for array in arrays]
    if any(before or after for before, after in around):
        laid = [_amid_zeros(array, ((0, 0), *around, (0, 0))) for array in laid]
    count = dy.shape[0]
    out = fresh((dy.shape[1], *(w.n for w in found), count), dy.dtype)
    across, down = _pair(found)
    numbers = (
        across.taps, down.taps, across.stride, down.stride,
        across.windows_of()[0], down.windows_of()[0], across.before, down.before,
        int(pooled is not None),
    )  # fmt: skip
    source, *more = (_four(array, count) for array in laid)
    _run(source, more, numbers, (_four(out, count),), "back")
    return outermost(out)


def _amid_zeros(x: Array, around: Sequence[tuple[int, int]]) -> Array:
    """Return an array with so many zeros before and after it along each axis."""
    out = np.zeros([n + sum(ends) for n, ends in zip(x.shape, around, strict=True)], x.dtype)
    inside = zip(x.shape, around, strict=True)
    do(np.copyto, out[tuple(slice(before, before + n) for n, (before, _) in inside)], x)
    return out


def _has_pipeline(x: Array, found: Sequence[Window]) -> bool:
    small = math.prod(w.taps for w in found) <= 255
    return 1 <= len(found) <= 2 and small and pipelined(x.dtype) and x.nbytes < 2**30


def _pair(found: Sequence[Window]) -> tuple[Window, Window]:
    """Return the windows along the last axis and the one before it."""
    return found[-1], found[0] if len(found) == 2 else Window(1, 1)


def _four(x: Array, count: int) -> Array:
    """Return an array (channels, *space, images) with two axes of space."""
    return x if x.ndim == 4 else x.reshape(x.shape[0], 1, -1, count)


def _run(
    source: Array, inputs: Sequence[Array], numbers: tuple[int, ...], outputs: Any, way: str
) -> None:
    run("pooling", (source, *inputs), numbers, outputs, 4 * source.size, way)


# ---- averages ----------------------------------------------------------------------------------


def average_pool(
    x: Any,
    size: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    """Return the average of each window: a convolution of each channel with a box.

    Parameters
    ----------
    x : array (images, channels, *space)
    size : int, or one per axis of space
    stride : int, or one per axis; the size by default
    padding : as of :func:`faltung.layers.conv`
        No wider than a window reaches; zeros.
    ceil : bool
        Whether a last window that leaves the padded input counts, where it begins inside the
        input or before it.
    count_padding : bool
        Whether the sum is divided by all samples and padding in the window, or by samples alone.
        What lies beyond the padding never counts.

    Returns
    -------
    array (images, channels, *positions)

    Raises
    ------
    ValueError
        Where the windows do not fit.

    Examples
    --------
    >>> from faltung import layers
    >>> layers.average_pool([[[1.0, 3.0, 5.0]]], 2, ceil=True).tolist()
    [[[2.0, 5.0]]]
    """
    x = images("x", x)
    problem, box, shares = _box(x.shape, x.dtype, size, stride, padding, ceil, count_padding)
    if compiled.supported(problem, x.dtype):
        y = compiled.conv(problem, x, box, None, False)
    else:
        unrecorded()
        y = reference.conv(problem, x, box)
    do(np.multiply, y, shares, out=y)
    return y


def average_pool_gradient(
    dy: Any,
    space: Sequence[int],
    size: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> Array:
    """Return the gradient of :func:`average_pool`: each window's goes to its samples in parts.

    Parameters
    ----------
    dy : array (images, channels, *positions)
    space : tuple of int
        The input's shape along the axes of space.
    size, stride, padding, ceil, count_padding
        As they were given to :func:`average_pool`.

    Returns
    -------
    array (images, channels, *space)

    Examples
    --------
    >>> from faltung import layers
    >>> layers.average_pool_gradient([[[2.0, 4.0]]], (4,), 2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    dy = images("dy", dy)
    shape = (*dy.shape[:2], *per_axis("space", space, dy.ndim - 2, 1))
    problem, box, shares = _box(shape, dy.dtype, size, stride, padding, ceil, count_padding)
    check_shape("dy", dy, problem.y_shape)
    parts = np.empty_like(dy)
    do(np.multiply, dy, shares, out=parts)
    if compiled.supported(problem, dy.dtype):
        return compiled.input_gradient(problem, parts, box)
    unrecorded()
    return reference.input_gradient(problem, parts, box)


def _box(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    size: Any,
    stride: Any,
    padding: Any,
    ceil: bool,
    count_padding: bool,
) -> tuple[Conv, Array, Array]:
    """Return the convolution with ones of each channel, its kernels, and the windows' shares."""
    count, channels, *space = shape
    flag("count_padding", count_padding)
    found = _windows(space, size, stride, 1, padding, ceil)
    problem = Conv(count, channels, channels, channels, found, ("constant",) * len(found))
    counts: Array = np.ones(())
    for window in found:
        counts = counts[..., None] * window.covered(count_padding)
    return problem, np.ones(problem.k_shape, dtype), (1 / counts).astype(dtype)


def global_average_pool(x: Any) -> Array:
    """Return the average of each channel over all space.

    Parameters
    ----------
    x : array (images, channels, *space)

    Returns
    -------
    array (images, channels)

    Examples
    --------
    >>> from faltung import layers
    >>> layers.global_average_pool([[[1.0, 3.0]]]).tolist()
    [[2.0]]
    """
    x = images("x", x)
    laid = innermost(x).reshape(x.shape[1], -1, x.shape[0])
    out = np.empty((len(laid), len(x)), x.dtype)
    do(np.sum, laid, axis=1, out=out)
    do(np.divide, out, x.dtype.type(laid.shape[1]), out=out)
    return outermost(out)


def global_average_pool_gradient(dy: Any, space: Sequence[int]) -> Array:
    """Return the gradient of :func:`global_average_pool`: the same part for each position.

    Parameters
    ----------
    dy : array (images, channels)
    space : tuple of int

    Returns
    -------
    array (images, channels, *space)

    Examples
    --------
    >>> from faltung import layers
    >>> layers.global_average_pool_gradient([[6.0]], (3,)).tolist()
    [[[2.0, 2.0, 2.0]]]
    """
    dy = images("dy", dy)
    if dy.ndim != 2 or not isinstance(space, (list, tuple)):
        raise ValueError(f"dy {dy.shape} must be (images, channels), and space {space} lengths.")
    space = per_axis("space", space, len(space), 1)
    source = innermost(dy)
    part, laid = np.empty_like(source), fresh((len(source), *space, len(dy)), dy.dtype)
    do(np.divide, source, dy.dtype.type(math.prod(space)), out=part)
    do(np.copyto, laid, part.reshape(len(part), *(1,) * len(space), len(dy)))
    return outermost(laid)


# ---- so many cells -----------------------------------------------------------------------------


def _cells(space: Sequence[int], counts: Ints) -> list[tuple[Any, Any, tuple[int, ...]]]:
    """Return every cell's index, that of its samples, and its lengths."""
    each = per_axis("counts", counts, len(space), 1)
    ranges = [list(enumerate(cells(n, c))) for n, c in zip(space, each, strict=True)]
    found = []
    for cell in itertools.product(*ranges):
        place = (slice(*ends) for _, ends in cell)
        lengths = tuple(stop - first for _, (first, stop) in cell)
        found.append(((..., *(i for i, _ in cell)), (..., *place), lengths))
    return found


def adaptive_average_pool(x: Any, counts: Ints) -> Array:
    """Return the averages over so many cells, whatever the size of the input.

    Cell ``i`` of ``c`` along ``n`` samples goes from ``floor(i n / c)`` to ``ceil((i + 1) n / c)``.

    Parameters
    ----------
    x : array (images, channels, *space)
    counts : int, or one per axis of space

    Returns
    -------
    array (images, channels, *counts)

    Examples
    --------
    >>> from faltung import layers
    >>> layers.adaptive_average_pool([[[1.0, 2.0, 4.0]]], 2).tolist()
    [[[1.5, 3.0]]]
    """
    x = outermost(innermost(images("x", x)))  # the same sums whatever the layout
    each = per_axis("counts", counts, x.ndim - 2, 1)
    y = np.empty((x.shape[1], *each, x.shape[0]), x.dtype)
    out = outermost(y)
    for index, place, _ in _cells(x.shape[2:], each):
        axes = tuple(range(2, x.ndim))
        out[index] = x[place].mean(axis=axes)
    return out


def adaptive_average_pool_gradient(dy: Any, space: Sequence[int]) -> Array:
    """Return the gradient of :func:`adaptive_average_pool`.

    Parameters
    ----------
    dy : array (images, channels, *counts)
    space : tuple of int
        The input's shape along the axes of space.

    Returns
    -------
    array (images, channels, *space)
    """
    dy = images("dy", dy)
    space = per_axis("space", space, dy.ndim - 2, 1)
    dx = outermost(np.zeros((dy.shape[1], *space, dy.shape[0]), dy.dtype))
    for index, place, sizes in _cells(space, dy.shape[2:]):
        part = dy[index] / dy.dtype.type(math.prod(sizes))
        dx[place] += part.reshape(*part.shape, *(1,) * len(space))
    return dx


def adaptive_max_pool(x: Any, counts: Ints) -> tuple[Array, Array]:
    """Return the greatest sample of each of so many cells, and its number within the cell.

    The cells are those of :func:`adaptive_average_pool`; of equal samples the first wins.

    Parameters
    ----------
    x : array (images, channels, *space)
    counts : int, or one per axis of space

    Returns
    -------
    y : array (images, channels, *counts)
    where : array of int32, the same shape

    Examples
    --------
    >>> from faltung import layers
    >>> layers.adaptive_max_pool([[[1.0, 2.0, 4.0]]], 2)[0].tolist()
    [[[2.0, 4.0]]]
    """
    x = outermost(innermost(images("x", x)))  # the same sums whatever the layout
    each = per_axis("counts", counts, x.ndim - 2, 1)
    shape = (x.shape[1], *each, x.shape[0])
    y, where = outermost(np.empty(shape, x.dtype)), outermost(np.empty(shape, np.int32))
    for index, place, _ in _cells(x.shape[2:], each):
        flat = x[place].reshape(*x.shape[:2], -1)
        best = flat.argmax(axis=2)
        where[index] = best
        y[index] = np.take_along_axis(flat, best[..., None], axis=2)[..., 0]
    return y, where


def adaptive_max_pool_gradient(dy: Any, where: Any, space: Sequence[int]) -> Array:
    """Return the gradient of :func:`adaptive_max_pool`.

    Parameters
    ----------
    dy : array (images, channels, *counts)
    where : array
        What :func:`adaptive_max_pool` gave.
    space : tuple of int
        The input's shape along the axes of space.

    Returns
    -------
    array (images, channels, *space)
    """
    dy = images("dy", dy)
    where = places("where", where, dy.shape)
    space = per_axis("space", space, dy.ndim - 2, 1)
    dx = outermost(np.zeros((dy.shape[1], *space, dy.shape[0]), dy.dtype))
    for index, place, sizes in _cells(space, dy.shape[2:]):
        number = np.arange(math.prod(sizes)).reshape(sizes)
        each = (*dy.shape[:2], *(1,) * len(space))
        hit = where[index].reshape(each) == number
        dx[place] += np.where(hit, dy[index].reshape(each), dy.dtype.type(0))
    return dx
