"""Pooling layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faltung import layers
from faltung.dtypes import Array
from faltung.layers.problem import Ints, Padding, per_axis, windows
from faltung.nn.convolution import channels
from faltung.nn.layer import INFERENCE, Layer, Mode, Shape
from faltung.windows import Window


class _Windowed(Layer):
    """What max and average pooling share: their windows."""

    size: Ints
    stride: Ints | None
    padding: Padding
    ceil: bool

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """Return the windows along each axis of space."""
        channels(type(self).__name__, shape)
        taps = per_axis("size", self.size, len(shape) - 1, 1)
        stride = taps if self.stride is None else self.stride
        return windows(shape[1:], taps, stride, 1, self.padding, ceil=self.ceil)

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (channels, *positions)."""
        return (shapes[0][0], *(w.count for w in self.windows(shapes[0])))

    def _options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "ceil": self.ceil}


@dataclass(eq=False)
class MaxPool(_Windowed):
    """The greatest sample of each window: see :func:`faltung.layers.max_pool`.

    >>> MaxPool(2).output_shape((6, 28, 28))
    (6, 14, 14)
    """

    size: Ints
    stride: Ints | None = None
    padding: Padding = 0
    ceil: bool = False

    takes_gate = recordable = True

    def halves(self, shape: Shape) -> bool:
        """Whether the windows are of two samples, two apart, without padding.

        >>> MaxPool(2).halves((6, 28, 28)), MaxPool(3, stride=2).halves((6, 28, 28))
        (True, False)
        """
        found = self.windows(shape)
        plain = all((w.taps, w.stride, w.before, w.after) == (2, 2, 0, 0) for w in found)
        return plain and all(w.count == w.n // 2 for w in found)

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the greatest samples: those that come, where the layer before has pooled."""
        if self.fused and mode.training:
            self.keep(mode, ())
            return x
        y, where = layers.max_pool(x, self.size, **self._options())
        self.keep(mode, (x.shape[2:], where, y if self.gate else None))
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient, through the relu before it where that is left to this layer."""
        if self.fused:
            self.kept()
            return dy
        space, where, pooled = self.kept()
        if not wanted:
            return None
        return layers.max_pool_gradient(
            dy, where, space, self.size, pooled=pooled, **self._options()
        )


@dataclass(eq=False)
class AveragePool(_Windowed):
    """The average of each window: see :func:`faltung.layers.average_pool`.

    >>> AveragePool(3, stride=2, padding=1).output_shape((6, 28, 28))
    (6, 14, 14)
    """

    size: Ints
    stride: Ints | None = None
    padding: Padding = 0
    ceil: bool = False
    count_padding: bool = True

    recordable = True

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the averages."""
        self.keep(mode, x.shape[2:])
        return layers.average_pool(
            x, self.size, count_padding=self.count_padding, **self._options()
        )

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        space = self.kept()
        if not wanted:
            return None
        return layers.average_pool_gradient(
            dy, space, self.size, count_padding=self.count_padding, **self._options()
        )


@dataclass(eq=False)
class GlobalAveragePool(Layer):
    """The average of each channel over all space.

    >>> GlobalAveragePool().output_shape((128, 7, 7))
    (128,)
    """

    recordable = True

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (channels,)."""
        return (channels("GlobalAveragePool", shapes[0]),)

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """Return one window over all."""
        return tuple(Window(n, n) for n in shape[1:])

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the averages."""
        self.keep(mode, x.shape[2:])
        return layers.global_average_pool(x)

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        space = self.kept()
        return layers.global_average_pool_gradient(dy, space) if wanted else None


class _Adaptive(Layer):
    """What adaptive pooling layers share: so many cells."""

    counts: Ints

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (channels, *counts)."""
        rank = len(shapes[0]) - 1
        return (
            channels(type(self).__name__, shapes[0]),
            *per_axis("counts", self.counts, rank, 1),
        )

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """Return windows as long as the longest cell, about so far apart."""
        counts = self.output_shape(shape)[1:]
        return tuple(
            Window(n, min(n, -(-n // c) + (n % c > 0)), max(1, n // c))
            for n, c in zip(shape[1:], counts, strict=True)
        )


@dataclass(eq=False)
class AdaptiveAveragePool(_Adaptive):
    """Averages over so many cells: see :func:`faltung.layers.adaptive_average_pool`.

    >>> AdaptiveAveragePool(6).output_shape((256, 13, 13))
    (256, 6, 6)
    """

    counts: Ints

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the averages."""
        self.keep(mode, x.shape[2:])
        return layers.adaptive_average_pool(x, self.counts)

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        space = self.kept()
        return layers.adaptive_average_pool_gradient(dy, space) if wanted else None


@dataclass(eq=False)
class AdaptiveMaxPool(_Adaptive):
    """The greatest samples of so many cells: see :func:`faltung.layers.adaptive_max_pool`.

    >>> AdaptiveMaxPool((2, 3)).output_shape((4, 13, 13))
    (4, 2, 3)
    """

    counts: Ints

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the greatest samples."""
        y, where = layers.adaptive_max_pool(x, self.counts)
        self.keep(mode, (where, x.shape[2:]))
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        where, space = self.kept()
        return layers.adaptive_max_pool_gradient(dy, where, space) if wanted else None
