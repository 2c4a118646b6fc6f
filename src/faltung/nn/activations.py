"""Layers that act on single samples, flatten, drop, or join."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from faltung import layers
from faltung.dtypes import Array
from faltung.nn.convolution import channels, unflattened
from faltung.nn.layer import INFERENCE, Layer, Mode, Shape, Weight


@dataclass(eq=False)
class ReLU(Layer):
    """The samples, and 0 for those below it.

    A network leaves it to the layers around it where they can do it in their own pass.

    >>> ReLU().forward([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    recordable = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.done = (False, False)  # forward by the layer before, backward by one of the two

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the samples above 0."""
        y = x if self.done[0] else layers.relu(x)
        self.keep(mode, y)
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient where the output is above 0."""
        y = self.kept()
        return dy if self.done[1] else layers.relu_gradient(dy, y)


@dataclass(eq=False)
class LeakyReLU(Layer):
    """The samples, and ``slope`` times those below 0.

    >>> LeakyReLU(0.5).forward([[-1.0, 2.0]]).tolist()
    [[-0.5, 2.0]]
    """

    slope: float = 0.01

    rules: ClassVar[dict[str, str]] = {"slope": "a number above 0"}

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the samples."""
        y = layers.leaky_relu(x, self.slope)
        self.keep(mode, y)
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        return layers.leaky_relu_gradient(dy, self.kept(), self.slope)


@dataclass(eq=False)
class ELU(Layer):
    """The samples, and ``alpha * (exp(x) - 1)`` for those below 0.

    >>> ELU().forward([[-1e9, 2.0]]).tolist()
    [[-1.0, 2.0]]
    """

    alpha: float = 1.0

    rules: ClassVar[dict[str, str]] = {"alpha": "a number above 0"}

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the samples."""
        y = layers.elu(x, self.alpha)
        self.keep(mode, y)
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        return layers.elu_gradient(dy, self.kept(), self.alpha)


@dataclass(eq=False)
class Sigmoid(Layer):
    """``1 / (1 + exp(-x))``.

    >>> Sigmoid().forward([[0.0]]).tolist()
    [[0.5]]
    """

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the sigmoid."""
        y = layers.sigmoid(x)
        self.keep(mode, y)
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        return layers.sigmoid_gradient(dy, self.kept())


@dataclass(eq=False)
class Tanh(Layer):
    """``height * tanh(slope * x)``; LeCun et al. (1998) have 1.7159 and 2/3.

    >>> import numpy as np
    >>> Tanh(1.7159, 2 / 3).forward(np.array([[1.0]])).round(4).tolist()
    [[1.0]]
    """

    height: float = 1.0
    slope: float = 1.0

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the hyperbolic tangent."""
        y = layers.tanh(x if self.slope == 1 else x * x.dtype.type(self.slope))
        self.keep(mode, y)
        return y if self.height == 1 else y * y.dtype.type(self.height)

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        y = self.kept()
        return layers.tanh_gradient(dy * y.dtype.type(self.height * self.slope), y)


@dataclass(eq=False)
class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` over the channels; the cross entropy takes logits, without it.

    >>> Softmax().forward([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the shares."""
        y = layers.softmax(x)
        self.keep(mode, y)
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        return layers.softmax_gradient(dy, self.kept())


@dataclass(eq=False)
class Scale(Layer):
    """Each channel times a gain, plus a shift, which are learnt.

    >>> sorted(Scale().weights((6, 14, 14)))
    ['gain', 'shift']
    """

    def weights(self, shape: Shape) -> dict[str, Weight]:
        """Return gain and shift."""
        count = (channels("Scale", shape),)
        return {"gain": Weight(count, "ones"), "shift": Weight(count)}

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the scaled channels."""
        self.keep(mode, x)
        column = (-1, *(1,) * (x.ndim - 2))
        gain, shift = (self.parameters[name].reshape(column) for name in ("gain", "shift"))
        return np.asarray(x * gain + shift)

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Set the gradients of gain and shift."""
        x = self.kept()
        self.gradients = {"gain": layers.bias_gradient(dy * x), "shift": layers.bias_gradient(dy)}
        return np.asarray(dy * self.parameters["gain"].reshape(-1, *(1,) * (x.ndim - 2)))


@dataclass(eq=False)
class Dropout(Layer):
    """While training each sample is 0 with probability ``rate``; see layers.dropout.

    >>> import numpy as np
    >>> from faltung.nn import Mode
    >>> y = Dropout(0.5).forward(np.ones((4, 100)), Mode(training=True, seed=(0,)))
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    rate: float = 0.5

    rules: ClassVar[dict[str, str]] = {"rate": "from 0 to less than 1"}

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the samples, of which a part is 0 while training."""
        self.keep(mode, None)
        if not mode.training:
            return x
        y, factors = layers.dropout(x, self.rate, mode.seed)
        self.keep(mode, factors)
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient of those that were kept."""
        return np.asarray(dy * self.kept())


@dataclass(eq=False)
class Flatten(Layer):
    """Images as lists of features, channels first.

    >>> Flatten().output_shape((16, 5, 5))
    (400,)
    """

    recordable = True

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return (features,)."""
        return (math.prod(shapes[0]),)

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return (images, features)."""
        self.keep(mode, x.shape)
        return layers.flatten(x)

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient as images."""
        return unflattened(dy, self.kept())


class Join(Layer):
    """A layer that takes several inputs."""

    joins = True

    def join(self, inputs: list[Array], mode: Mode = INFERENCE) -> Array:
        """Return the output of several inputs."""
        raise NotImplementedError

    def part(self, dy: Array) -> list[Array]:
        """Return the gradient of each input."""
        raise NotImplementedError


@dataclass(eq=False)
class Add(Join):
    """The sum of inputs of one shape: the end of a residual branch (He et al., 2016).

    >>> Add().output_shape((8, 5, 5), (8, 5, 5))
    (8, 5, 5)
    """

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the shape of each."""
        if len(set(shapes)) != 1:
            raise ValueError(f"Add takes inputs of one shape; got {', '.join(map(str, shapes))}.")
        return shapes[0]

    def join(self, inputs: list[Array], mode: Mode = INFERENCE) -> Array:
        """Return the sum, from the first to the last."""
        self.keep(mode, len(inputs))
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total

    def part(self, dy: Array) -> list[Array]:
        """Return the gradient, to each."""
        return [dy] * self.kept()


@dataclass(eq=False)
class Concatenate(Join):
    """The channels of the inputs, one after the other.

    >>> Concatenate().output_shape((8, 5, 5), (4, 5, 5))
    (12, 5, 5)
    """

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the shape with all the channels."""
        if not all(shapes) or len({shape[1:] for shape in shapes}) != 1:
            found = ", ".join(map(str, shapes))
            raise ValueError(f"Concatenate takes inputs (channels, *space) of one space; {found}.")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def join(self, inputs: list[Array], mode: Mode = INFERENCE) -> Array:
        """Return all the channels; the images stay innermost."""
        self.keep(mode, [x.shape[1] for x in inputs])
        laid = np.concatenate([np.moveaxis(x, 0, -1) for x in inputs], axis=0)
        return np.moveaxis(laid, -1, 0)

    def part(self, dy: Array) -> list[Array]:
        """Return each input's channels of the gradient."""
        return np.split(dy, np.cumsum(self.kept())[:-1], axis=1)
