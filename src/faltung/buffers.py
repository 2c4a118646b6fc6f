"""Arrays as Halide's pipelines take them: halide_buffer_t, with the addresses that arrays have."""

from __future__ import annotations

import ctypes
import itertools
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from faltung.dtypes import Array


class Dim(ctypes.Structure):
    """halide_dimension_t."""

    _fields_ = (
        ("min", ctypes.c_int32),
        ("extent", ctypes.c_int32),
        ("stride", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


class Buffer(ctypes.Structure):
    """halide_buffer_t."""

    _fields_ = (
        ("device", ctypes.c_uint64),
        ("device_interface", ctypes.c_void_p),
        ("host", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("type_code", ctypes.c_uint8),
        ("type_bits", ctypes.c_uint8),
        ("type_lanes", ctypes.c_uint16),
        ("dimensions", ctypes.c_int32),
        ("dim", ctypes.POINTER(Dim)),
        ("padding", ctypes.c_void_p),
    )


TYPE_CODES = {"i": 0, "u": 1, "f": 2}


@lru_cache(maxsize=1024)
def buffer_template(
    dtype: str, shape: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[bytes, Any]:
    """Return a buffer without its address as bytes, and the dimensions that it points to.

    ``shape`` and ``strides`` (in elements) are innermost first.
    """
    dims = (Dim * len(shape))(*(Dim(0, n, s, 0) for n, s in zip(shape, strides, strict=True)))
    bits = int("".join(c for c in dtype if c.isdigit()))
    code = TYPE_CODES[dtype[0]]
    return bytes(Buffer(0, None, None, 0, code, bits, 1, len(shape), dims)), dims


def pointers(arrays: Sequence[Array], templates: Sequence[tuple[bytes, Any]]) -> list[Any]:
    """Return what a pipeline takes for arrays of these templates."""
    found = []
    for array, (template, _) in zip(arrays, templates, strict=True):
        buffer = Buffer.from_buffer_copy(template)
        buffer.host = address(array)
        found.append(ctypes.byref(buffer))
    return found


def contiguous_template(dtype: str, shape: tuple[int, ...]) -> tuple[bytes, Any]:
    """Return a contiguous array's buffer without its address, and its dimensions."""
    reverse = shape[::-1]
    steps = tuple(itertools.accumulate(reverse[:-1], operator.mul, initial=1))
    return buffer_template(dtype, reverse, steps)


def constant_buffer(array: Array) -> tuple[Array, Any, Buffer]:
    """Return an array, kept alive, with its dimensions and its buffer."""
    assert array.flags.c_contiguous
    template, dims = contiguous_template(array.dtype.name, array.shape)
    buffer = Buffer.from_buffer_copy(template)
    buffer.host = address(array)
    return array, dims, buffer


def address(array: Array) -> int:
    """Return the address of an array's first element."""
    return int(array.__array_interface__["data"][0])
