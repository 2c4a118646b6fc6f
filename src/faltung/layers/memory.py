"""How layers lie in memory: the images of a batch innermost.

An array is (images, channels, *space) to whoever reads it, and (channels, *space, images) in
memory, so that every operation fills its vectors whatever the size of an image. Every function
of this package takes any memory layout and gives this one; what has it already is not copied.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.recording import do, note

TURNED = 1 << 12  # samples from which turning an array is left to the compiled pipeline


def innermost(x: Array) -> Array:
    """Return an array (images, ...) as (..., images), contiguous: no copy where it lies so.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.layers.memory import innermost, outermost
    >>> x = np.zeros((8, 3, 5, 5))
    >>> innermost(x).shape
    (3, 5, 5, 8)
    >>> np.shares_memory(innermost(outermost(innermost(x))), innermost(x))
    False
    >>> laid = outermost(innermost(x))
    >>> np.shares_memory(innermost(laid), laid)
    True
    """
    turned = x.transpose(*range(1, x.ndim), 0)
    if turned.flags.c_contiguous or not x.flags.c_contiguous or not _turns(x):
        return straight(turned)
    return _turned(x.reshape(x.shape[0], -1)).reshape(turned.shape)


def images_first(x: Array) -> Array:
    """Return an array (images, ...) as one that is contiguous: no copy where it lies so."""
    laid = x.transpose(*range(1, x.ndim), 0)
    if x.flags.c_contiguous or not laid.flags.c_contiguous or not _turns(x):
        return straight(x)
    return _turned(laid.reshape(-1, x.shape[0])).reshape(x.shape)


def _turns(x: Array) -> bool:
    """Whether turning an array is left to the compiled pipeline."""
    name = x.dtype.name
    known = (name, name, name) in native.variants("transpose")
    return known and x.size >= TURNED and x.nbytes < 2**31


def _turned(x: Array) -> Array:
    """Return a contiguous array's transpose, contiguous."""
    out = fresh(x.shape[::-1], x.dtype)
    run("transpose", [x[None]], (), [out[None]], x.size)
    return out


def straight(x: Array) -> Array:
    """Return an array as it is where it is contiguous, else a copy that is."""
    if x.flags.c_contiguous:
        return x
    out = np.empty(x.shape, x.dtype)
    do(np.copyto, out, x)
    return out


def outermost(x: Array) -> Array:
    """Return an array (..., images) as (images, ...), without a copy."""
    return x.transpose(-1, *range(x.ndim - 1))


class _Kept(threading.local):
    """A thread's buffers by their size, and how many :func:`reusing` it is in."""

    depth = 0

    def __init__(self) -> None:
        self.buffers: dict[int, list[Array]] = {}


_kept = _Kept()
KEPT = 1 << 14  # bytes from which on a buffer is kept


def _free(buffers: list[Array]) -> Array | None:
    """Return a buffer that nobody holds but the list."""
    for buffer in buffers:
        if sys.getrefcount(buffer) == HELD:
            return buffer
    return None


def _held() -> int:
    """Return how many references :func:`_free` counts of a buffer that nobody holds."""
    counts = []
    for buffer in [np.empty(1, np.uint8)]:
        counts.append(sys.getrefcount(buffer))
    return counts[0]


HELD = _held() if sys.implementation.name == "cpython" else 0


@contextmanager
def reusing() -> Iterator[None]:
    """Give the memory of arrays that nobody holds any more to the next, inside and in this thread.

    New memory costs a fault for each page, in every step of a training; kept memory costs none.
    """
    _kept.depth += 1
    try:
        yield
    finally:
        _kept.depth -= 1
        if not _kept.depth:
            _kept.buffers.clear()


def fresh(shape: Sequence[int], dtype: Any) -> Array:
    """Return an array of any content, as :func:`numpy.empty` does; see :func:`reusing`.

    >>> with reusing():
    ...     first = fresh((100, 100), np.float32)
    ...     first[0, 0], place = 7, first.ctypes.data
    ...     other = fresh((100, 100), np.float32)  # the first is still held
    ...     apart = not np.shares_memory(first, other)
    ...     del first
    ...     again = fresh((10, 1000), np.float32)
    >>> apart, again.ctypes.data == place
    (True, True)
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not _kept.depth or size < KEPT or not HELD:
        return np.empty(shape, dtype)
    buffers = _kept.buffers.setdefault(size, [])
    found = _free(buffers)
    if found is None:
        found = np.empty(size, np.uint8)
        buffers.append(found)
    return np.asarray(found.view(dtype).reshape(shape))


def empty(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Return an array (images, ...) whose images lie innermost."""
    return outermost(fresh((*shape[1:], shape[0]), dtype))


NAMES = {np.dtype(name): name for name in ("float32", "float64", "int32", "uint8")}


def run(
    family: str,
    inputs: Sequence[Array],
    numbers: tuple[int, ...],
    outputs: Sequence[Array],
    work: int,
    part: str | None = None,
) -> None:
    """Call a pipeline, or a part of one: its inputs, contiguous, its numbers, its outputs."""
    shapes = tuple([(NAMES[array.dtype], array.shape) for array in inputs])
    found = tuple([(NAMES[array.dtype], array.shape) for array in outputs])
    call = _shaped(family, part, shapes, found, numbers, work).on(inputs, outputs)
    call()
    note(call)


@lru_cache(maxsize=4096)
def _shaped(
    family: str, part: str | None, inputs: Any, outputs: Any, numbers: tuple[int, ...], work: int
) -> native.Shaped:
    """Return a prepared call, which is kept by its shapes."""
    name = inputs[0][0]
    return native.Shaped(family, (name, part or name, name), inputs, outputs, numbers, work)


@cache
def pipelined(dtype: np.dtype[Any]) -> bool:
    """Whether layers of a dtype have pipelines on this machine."""
    name = NAMES.get(dtype, "")
    return (name, name, name) in native.variants("products")
