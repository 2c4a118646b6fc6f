"""Layers that sum: convolutions, transposed ones, and dense layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from faltung import layers
from faltung.checking import whole
from faltung.dtypes import Array
from faltung.layers.memory import innermost, outermost
from faltung.layers.problem import (
    Boundary,
    Ints,
    Padding,
    conv_problem,
    per_axis,
    transposed_shape,
)
from faltung.layers.problem import Conv as Problem
from faltung.layers.recording import unrecorded
from faltung.layers.winograd import supported
from faltung.nn.layer import INFERENCE, Layer, Mode, Shape, Weight
from faltung.windows import Window


def channels(kind: str, shape: Shape, rank: int | None = None) -> int:
    """Return an input's channels, or raise ValueError where it has none or no such rank."""
    if not shape or (rank is not None and len(shape) != rank + 1):
        space = "*space" if rank is None else f"{rank} axes of space"
        raise ValueError(f"{kind} takes images (channels, {space}); got {shape}.")
    return shape[0]


@dataclass(eq=False)
class Conv(Layer):
    """A convolution layer: see :func:`faltung.layers.conv`.

    Parameters
    ----------
    outputs : int
    size : int, or one per axis of space
        Of the kernels. An int serves any number of axes.
    stride, dilation, padding, boundary, groups
        As of :func:`faltung.layers.conv`. ``groups=-1`` is depthwise: one group per channel.
    bias : bool
    initial : str
        ``"he"`` (for relu) or ``"glorot"`` (for tanh and sigmoid).
    connections : list of lists of int, optional
        Of each output, the channels that it sees, where it does not see all (LeCun et al., 1998).

    Examples
    --------
    >>> from faltung import nn
    >>> nn.Conv(6, 5, padding=2).output_shape((1, 28, 28))
    (6, 28, 28)
    """

    outputs: int
    size: Ints
    stride: Ints = 1
    dilation: Ints = 1
    padding: Padding = 0
    boundary: Boundary = "constant"
    groups: int = 1
    bias: bool = True
    initial: str = "he"
    connections: Any = None

    takes_relu = takes_gate = recordable = True

    def problem(self, shape: Shape) -> Problem:
        """Return the checked layer for one image of this shape."""
        into = channels("Conv", shape)
        groups = into if self.groups == -1 else self.groups
        if groups < 1 or into % groups:
            raise ValueError(f"groups={groups} must divide the {into} channels of {shape}.")
        taps = per_axis("size", self.size, len(shape) - 1, 1)
        return conv_problem(
            (1, *shape), (self.outputs, into // groups, *taps),
            self.stride, self.dilation, self.padding, self.boundary, groups,
        )  # fmt: skip

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (outputs, *positions)."""
        return self.problem(shapes[0]).y_shape[1:]

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """Return the kernel's windows."""
        return self.problem(shape).windows

    def weights(self, shape: Shape) -> dict[str, Weight]:
        """Return the kernels, and the bias."""
        problem = self.problem(shape)
        k_shape = problem.k_shape
        self._check_connections(k_shape[1])
        out = math.prod(k_shape[2:]) * self.outputs // problem.groups
        found = {"weights": Weight(k_shape, self.initial, (math.prod(k_shape[1:]), out))}
        if self.bias:
            found["bias"] = Weight((self.outputs,))
        return found

    def _check_connections(self, seen: int) -> None:
        """Raise ValueError where connections are not those of ``seen`` channels to the outputs."""
        given = self.connections
        if given is None:
            return
        lists = isinstance(given, (list, tuple)) and all(
            isinstance(c, (list, tuple)) for c in given
        )
        if not lists or len(given) != self.outputs:
            raise ValueError(f"connections must be a list of channels for each of {self.outputs}.")
        for channel in (whole("connections", c, 0) for channels in given for c in channels):
            if channel >= seen:
                raise ValueError(f"connections has channel {channel}; an output sees {seen}.")

    def draw(self, shape: Shape, seed: Any, dtype: np.dtype[Any]) -> None:
        """Draw the kernels; connections that are cut weigh 0."""
        super().draw(shape, seed, dtype)
        if self.connections is not None:
            self.parameters["weights"] *= self.mask(self.parameters["weights"])

    def mask(self, weights: Array) -> Array:
        """Return 1 where an output sees a channel, as the kernels' shape."""
        found = np.zeros_like(weights)
        for output, seen in enumerate(self.connections):
            found[output, list(seen)] = 1
        return found

    def _options(self, x_channels: int) -> dict[str, Any]:
        groups = x_channels if self.groups == -1 else self.groups
        return {
            "stride": self.stride, "dilation": self.dilation, "padding": self.padding,
            "boundary": self.boundary, "groups": groups,
        }  # fmt: skip

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the convolution, with bias, and relu where the network asks for it."""
        self.keep(mode, x)
        k, bias = self.parameters["weights"], self.parameters.get("bias")
        return layers.conv(x, k, bias, relu=self.relu, **self._options(x.shape[1]))

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Set the gradients of kernels and bias."""
        x, k = self.kept(), self.parameters["weights"]
        options = self._options(x.shape[1])
        dk = layers.conv_weight_gradient(x, dy, k.shape[2:], **options)
        if self.connections is not None:
            unrecorded()
            dk = dk * self.mask(k)
        self.gradients = {"weights": dk}
        if self.bias:
            self.gradients["bias"] = layers.bias_gradient(dy)
        if not wanted:
            return None
        gate = x if self.gate else None
        return layers.conv_input_gradient(dy, k, x.shape[2:], gate=gate, **options)

    def wants_all(self, shape: Shape, images: int, dtype: np.dtype[Any]) -> bool:
        """Whether it is one of Winograd's, which few images at once do not fill."""
        return supported(replace(self.problem(shape), images=images), dtype)

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiplications of one image."""
        problem = self.problem(shape)
        if self.connections is None:
            return problem.multiply_adds
        seen = sum(map(len, self.connections))
        return seen * math.prod(problem.k_shape[2:]) * math.prod(problem.y_shape[2:])


@dataclass(eq=False)
class ConvTransposed(Layer):
    """A transposed convolution: see :func:`faltung.layers.conv_transposed`.

    Examples
    --------
    >>> from faltung import nn
    >>> nn.ConvTransposed(3, 2, stride=2).output_shape((8, 5, 5))
    (3, 10, 10)
    """

    outputs: int
    size: Ints
    stride: Ints = 1
    dilation: Ints = 1
    padding: Padding = 0
    extra: Ints = 0
    groups: int = 1
    bias: bool = True
    initial: str = "he"

    def _k_shape(self, shape: Shape) -> Shape:
        into = channels("ConvTransposed", shape)
        if self.outputs < 1:
            raise ValueError(f"outputs={self.outputs} must be at least 1.")
        if self.groups < 1 or into % self.groups or self.outputs % self.groups:
            raise ValueError(
                f"groups={self.groups} must divide the {into} channels of {shape} and the "
                f"{self.outputs} outputs."
            )
        taps = per_axis("size", self.size, len(shape) - 1, 1)
        return (into, self.outputs // self.groups, *taps)

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (outputs, *positions)."""
        return transposed_shape(
            (1, *shapes[0]), self._k_shape(shapes[0]),
            self.stride, self.dilation, self.padding, self.extra, self.groups,
        )[1:]  # fmt: skip

    def weights(self, shape: Shape) -> dict[str, Weight]:
        """Return the kernels, and the bias."""
        k_shape = self._k_shape(shape)
        taps = math.prod(k_shape[2:])
        fans = (max(1, k_shape[0] // self.groups * taps), self.outputs * taps)
        found = {"weights": Weight(k_shape, self.initial, fans)}
        if self.bias:
            found["bias"] = Weight((self.outputs,))
        return found

    def _options(self) -> dict[str, Any]:
        return {
            "stride": self.stride, "dilation": self.dilation, "padding": self.padding,
            "groups": self.groups,
        }  # fmt: skip

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the transposed convolution, with bias."""
        self.keep(mode, x)
        k, bias = self.parameters["weights"], self.parameters.get("bias")
        return layers.conv_transposed(x, k, bias, extra=self.extra, **self._options())

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Set the gradients of kernels and bias."""
        x, k = self.kept(), self.parameters["weights"]
        dk = layers.conv_weight_gradient(dy, x, k.shape[2:], **self._options())
        self.gradients = {"weights": dk}
        if self.bias:
            self.gradients["bias"] = layers.bias_gradient(dy)
        return layers.conv(dy, k, **self._options()) if wanted else None

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiplications of one image."""
        return math.prod(shape[1:]) * math.prod(self._k_shape(shape))


@dataclass(eq=False)
class Dense(Layer):
    """A dense layer, ``x @ weights.T + bias``; an input with space is flattened, channels first.

    It is a convolution without space, on the same pipelines: their results have the same bits for
    any number of threads, which matrix products of a BLAS do not promise.

    Examples
    --------
    >>> from faltung import nn
    >>> nn.Dense(10).output_shape((84,))
    (10,)
    """

    outputs: int
    bias: bool = True
    initial: str = "he"

    takes_relu = takes_gate = recordable = True

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (outputs,)."""
        if math.prod(shapes[0]) < 1 or self.outputs < 1:
            raise ValueError(f"Dense({self.outputs}) on {shapes[0]} is empty.")
        return (self.outputs,)

    def weights(self, shape: Shape) -> dict[str, Weight]:
        """Return the weights, and the bias."""
        inputs = math.prod(shape)
        found = {"weights": Weight((self.outputs, inputs), self.initial, (inputs, self.outputs))}
        if self.bias:
            found["bias"] = Weight((self.outputs,))
        return found

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the products, with bias, and relu where the network asks for it."""
        shape, x = x.shape, layers.flatten(x)
        self.keep(mode, (x, shape))
        bias = self.parameters.get("bias")
        return layers.conv(x, self.parameters["weights"], bias, relu=self.relu)

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Set the gradients of weights and bias."""
        x, shape = self.kept()
        self.gradients = {"weights": layers.conv_weight_gradient(x, dy, ())}
        if self.bias:
            self.gradients["bias"] = layers.bias_gradient(dy)
        if not wanted:
            return None
        gate = x if self.gate else None
        dx = layers.conv_input_gradient(dy, self.parameters["weights"], (), gate=gate)
        return unflattened(dx, shape)

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiplications of one image."""
        return self.outputs * math.prod(shape)


def unflattened(x: Array, shape: Shape) -> Array:
    """Return (images, features) as (images, *shape): no copy where the images lie innermost."""
    return outermost(innermost(x).reshape(*shape[1:], shape[0]))
