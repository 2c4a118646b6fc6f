"""Checked arguments of the layers with windows, as frozen values."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np

from faltung.boundary import BOUNDARIES
from faltung.checking import shown, whole
from faltung.dtypes import Array
from faltung.geometry import default_anchor
from faltung.layers.recording import unrecorded
from faltung.windows import Window, transposed_length

Ints = int | Sequence[int]
Padding = Literal["same", "valid"] | int | Sequence[int] | Sequence[tuple[int, int]]
Boundary = str | Sequence[str]
MOST = 1 << 31  # no length, stride or padding is as long as this
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class Conv:
    """A convolution layer: its shapes and what is summed where.

    Attributes
    ----------
    images, channels, outputs, groups : int
    windows : tuple of Window
        One per axis of space.
    boundary : tuple of str
    """

    images: int
    channels: int
    outputs: int
    groups: int
    windows: tuple[Window, ...]
    boundary: tuple[str, ...]

    @cached_property
    def _hash(self) -> int:
        return hash((self.images, self.channels, self.outputs, self.groups, self.windows))

    def __hash__(self) -> int:
        return self._hash  # looked up several times a call

    @cached_property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the input."""
        return (self.images, self.channels, *(w.n for w in self.windows))

    @cached_property
    def k_shape(self) -> tuple[int, ...]:
        """Shape of the kernels."""
        return (self.outputs, self.channels // self.groups, *(w.taps for w in self.windows))

    @cached_property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return (self.images, self.outputs, *(w.count for w in self.windows))

    @cached_property
    def multiply_adds(self) -> int:
        """Number of multiplications that the definition asks for."""
        return math.prod(self.y_shape) * math.prod(self.k_shape[1:])


def floats(name: str, array: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """Return an array of float32 or float64; float16 becomes float32, integers float64."""
    found = np.asarray(array)
    # a dtype is never compared with None, which NumPy takes for float64
    if found.dtype in FLOATS and (dtype is None or dtype == found.dtype):
        return found
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {found.dtype}; layers take real numbers.")
    small = found.dtype.kind == "f" and found.dtype.itemsize <= 4
    wanted = dtype or FLOATS[not small]
    unrecorded()
    return found.astype(wanted, copy=False)


def images(name: str, array: Any) -> Array:
    """Return an array (images, channels, *space) of float32 or float64, which is not empty."""
    found = floats(name, array)
    if found.ndim < 2 or found.size == 0:
        raise ValueError(
            f"{name} has shape {found.shape}; it must be (images, channels, *space) and not empty."
        )
    return found


def places(name: str, array: Any, shape: tuple[int, ...]) -> Array:
    """Return an array of ints of this shape."""
    found = np.asarray(array)
    check_shape(name, found, shape)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {found.dtype}; it must be what the pooling gave.")
    return found


def per_axis(name: str, value: Any, rank: int, least: int) -> tuple[int, ...]:
    """Return one int per axis of space."""
    values = tuple(value) if isinstance(value, (list, tuple, np.ndarray)) else (value,) * rank
    known = all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values)
    if not known or len(values) != rank or any(not least <= int(v) < MOST for v in values):
        raise ValueError(
            f"{name}={shown(value)} must be an int of at least {least}, or one for each of the "
            f"{rank} axes of space."
        )
    return tuple(int(v) for v in values)


def pads(padding: Any, taps: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """Return how far each axis is continued before and after.

    ``"same"`` lays the kernel's anchor, the left one of two middle taps, on the input's samples.
    """
    rank = len(taps)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f'padding={padding!r} is unknown; use "same", "valid" or numbers.')
        if padding == "valid":
            return [(0, 0)] * rank
        before = [d * default_anchor(t) for t, d in zip(taps, dilation, strict=True)]
        reaches = [d * (t - 1) for t, d in zip(taps, dilation, strict=True)]
        return [(b, r - b) for b, r in zip(before, reaches, strict=True)]
    if isinstance(padding, (list, tuple, np.ndarray)) and any(map(np.ndim, padding)):
        ends = [per_axis("padding", pair, 2, 0) for pair in padding]
        if len(ends) != rank:
            raise ValueError(f"padding={padding!r} must have a pair for each of {rank} axes.")
        return [(before, after) for before, after in ends]
    return [(p, p) for p in per_axis("padding", padding, rank, 0)]


def boundaries(boundary: Any, rank: int) -> tuple[str, ...]:
    """Return one boundary per axis of space."""
    names = tuple(boundary) if isinstance(boundary, (list, tuple)) else (boundary,) * rank
    if len(names) != rank or any(name not in BOUNDARIES for name in names):
        raise ValueError(
            f"boundary={shown(boundary)} must be one of {', '.join(BOUNDARIES)}, "
            f"or one for each of the {rank} axes of space."
        )
    return names


def windows(
    shape: Sequence[int],
    taps: Sequence[int],
    stride: Any,
    dilation: Any,
    padding: Any,
    *,
    ceil: bool = False,
) -> tuple[Window, ...]:
    """Return the geometry along each axis of space."""
    rank = len(shape)
    strides = per_axis("stride", stride, rank, 1)
    dilations = per_axis("dilation", dilation, rank, 1)
    ends = pads(padding, taps, dilations)
    found = tuple(
        Window(n, t, s, d, before, after, ceil)
        for n, t, s, d, (before, after) in zip(shape, taps, strides, dilations, ends, strict=True)
    )
    if any(w.count == 0 for w in found):
        spans = tuple(w.reach + 1 for w in found)
        raise ValueError(
            f"a window of {tuple(taps)}, which spans {spans}, does not fit on an input of "
            f"{tuple(shape)} continued by {ends}. Give it more padding or a smaller window."
        )
    return found


def conv_problem(
    x_shape: Sequence[int],
    k_shape: Sequence[int],
    stride: Any = 1,
    dilation: Any = 1,
    padding: Any = 0,
    boundary: Any = "constant",
    groups: int = 1,
) -> Conv:
    """Check a convolution layer's arguments.

    Raises
    ------
    ValueError
        Where they do not fit together; the message has the shapes.
    """
    arguments = (stride, dilation, padding, boundary)
    groups = whole("groups", groups, 1)
    return _conv_problem(tuple(x_shape), tuple(k_shape), *map(frozen, arguments), groups)


def frozen(value: Any) -> Any:
    """Return lists as tuples, which can be looked up, and what cannot be as a text."""
    if isinstance(value, (list, tuple, np.ndarray)) and np.shape(value):
        return tuple(map(frozen, value))
    return value if isinstance(value, Hashable) else shown(value)


@lru_cache(maxsize=1024)
def _conv_problem(
    x_shape: tuple[int, ...],
    k_shape: tuple[int, ...],
    stride: Any,
    dilation: Any,
    padding: Any,
    boundary: Any,
    groups: int,
) -> Conv:
    if len(x_shape) != len(k_shape) or len(x_shape) < 2:
        raise ValueError(
            f"an input {x_shape} and kernels {k_shape} do not fit: they are (images, channels, "
            f"*space) and (outputs, channels / groups, *taps), with as many axes."
        )
    images, channels, *space = x_shape
    outputs, each, *taps = k_shape
    if channels % groups or outputs % groups:
        raise ValueError(
            f"groups={groups} must divide the {channels} channels of the input {x_shape} and the "
            f"{outputs} outputs of the kernels {k_shape}."
        )
    if each * groups != channels:
        raise ValueError(
            f"kernels {k_shape} in {groups} group{'s' * (groups > 1)} need an input of "
            f"{each * groups} channels; got {channels} in {x_shape}."
        )
    if min(*x_shape, *k_shape) < 1:
        raise ValueError(f"an input {x_shape} or kernels {k_shape} are empty.")
    rank = len(space)
    found = windows(space, taps, stride, dilation, padding)
    names = boundaries(boundary, rank)
    return Conv(images, channels, outputs, groups, found, names)


def check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raise ValueError where an array has not the shape that the others ask for."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must be {shape}.")


def transposed_shape(
    x_shape: Sequence[int],
    k_shape: Sequence[int],
    stride: Any,
    dilation: Any,
    padding: Any,
    extra: Any,
    groups: int,
) -> tuple[int, ...]:
    """Return the shape of a transposed convolution's output."""
    groups = whole("groups", groups, 1)
    rank = len(x_shape) - 2
    if rank < 0 or len(k_shape) != rank + 2 or x_shape[1] != k_shape[0]:
        raise ValueError(
            f"an input {tuple(x_shape)} and kernels {tuple(k_shape)} do not fit: they are (images, "
            f"channels, *space) and (channels, outputs / groups, *taps), with as many axes."
        )
    strides = per_axis("stride", stride, rank, 1)
    dilations = per_axis("dilation", dilation, rank, 1)
    extras = per_axis("extra", extra, rank, 0)
    if any(e >= s for e, s in zip(extras, strides, strict=True)):
        raise ValueError(f"extra={extra!r} must be less than the stride, {strides}.")
    ends = pads(padding, k_shape[2:], dilations)
    lengths = [
        transposed_length(n, t, s, d, *pair) + e
        for n, t, s, d, pair, e in zip(
            x_shape[2:], k_shape[2:], strides, dilations, ends, extras, strict=True
        )
    ]
    if any(n < 1 for n in lengths):
        raise ValueError(f"padding={padding!r} leaves nothing of {tuple(lengths)} positions.")
    return (x_shape[0], k_shape[1] * groups, *lengths)
