"""Layers that normalise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from faltung import layers
from faltung.dtypes import Array
from faltung.layers.recording import do, note, recorded
from faltung.nn.convolution import channels
from faltung.nn.layer import INFERENCE, Layer, Mode, Shape, Weight
from faltung.windows import Window


@dataclass(eq=False)
class BatchNorm(Layer):
    """Each channel with mean 0 and variance 1, times a gain, plus a shift (Ioffe, Szegedy, 2015).

    While training with the moments of the batch, which the running ones follow with ``momentum``;
    else with those.

    >>> from faltung import nn
    >>> network = nn.Sequential([nn.BatchNorm()], (1,))
    >>> network.forward([[1.0], [3.0]], nn.Mode(training=True)).round(4).tolist()
    [[-1.0], [1.0]]
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    takes_relu = recordable = True
    rules: ClassVar[dict[str, str]] = {"momentum": "from 0 to 1", "epsilon": "a number, 0 or above"}

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the input's shape."""
        channels("BatchNorm", shapes[0])
        return shapes[0]

    def weights(self, shape: Shape) -> dict[str, Weight]:
        """Return gain and shift, by channel."""
        return {"gain": Weight(shape[:1], "ones"), "shift": Weight(shape[:1])}

    def states(self, shape: Shape) -> dict[str, Weight]:
        """Return the running moments."""
        return {"mean": Weight(shape[:1]), "variance": Weight(shape[:1], "ones")}

    def wants_all(self, shape: Shape, images: int, dtype: np.dtype[Any]) -> bool:
        """Return True: the moments are those of the batch."""
        return True

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the normalised batch, with relu and pooling where the network asks for it."""
        gain, shift = self.parameters["gain"], self.parameters["shift"]
        kept = self.state["mean"], self.state["variance"]
        self.keep(mode, None)
        if not mode.training:
            return layers.batch_norm_inference(
                x, gain, shift, *kept, epsilon=self.epsilon, relu=self.relu
            )
        if self.fused:
            y, found = layers.batch_norm_max_pool(
                x, gain, shift, epsilon=self.epsilon, relu=self.relu
            )
            moments = found.moments
            self.keep(mode, (x, found))
        else:
            y, moments = layers.batch_norm(x, gain, shift, epsilon=self.epsilon, relu=self.relu)
            self.keep(mode, (x, moments))
        if not recorded():  # the numbers that a tape is recorded on are none of the data
            self._follow(moments)
        note(partial(self._follow, moments))
        return y

    def _follow(self, moments: layers.Moments) -> None:
        """Have the running moments follow those of a batch."""
        kept = self.state["mean"], self.state["variance"]
        self.state["mean"], self.state["variance"] = moments.running(*kept, self.momentum)

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Set the gradients of gain and shift; the relu's is taken in the same pass."""
        x, found = self.kept()
        gain, shift = self.parameters["gain"], self.parameters["shift"]
        back = layers.batch_norm_max_pool_gradient if self.fused else layers.batch_norm_gradient
        dx, dgain, dshift = back(dy, x, gain, shift, found, epsilon=self.epsilon, relu=self.relu)
        self.gradients = {"gain": dgain, "shift": dshift}
        return dx


@dataclass(eq=False)
class LayerNorm(Layer):
    """Each image with mean 0 and variance 1, times gains, plus shifts (Ba, Kiros, Hinton, 2016).

    >>> from faltung import nn
    >>> nn.Sequential([nn.LayerNorm()], (2,)).predict([[1.0, 3.0]]).round(4).tolist()
    [[-1.0, 1.0]]
    """

    epsilon: float = 1e-5

    rules: ClassVar[dict[str, str]] = {"epsilon": "a number, 0 or above"}

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """Return one window over all, by the moments."""
        return tuple(Window(n, n) for n in shape[1:])

    def weights(self, shape: Shape) -> dict[str, Weight]:
        """Return gain and shift, of the shape of an image."""
        return {"gain": Weight(shape, "ones"), "shift": Weight(shape)}

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the normalised images."""
        gain, shift = self.parameters["gain"], self.parameters["shift"]
        y, moments = layers.layer_norm(x, gain, shift, epsilon=self.epsilon)
        self.keep(mode, (x, moments))
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Set the gradients of gain and shift."""
        x, moments = self.kept()
        dx, dgain, dshift = layers.layer_norm_gradient(
            dy, x, self.parameters["gain"], moments, epsilon=self.epsilon
        )
        self.gradients = {"gain": dgain, "shift": dshift}
        return dx


@dataclass(eq=False)
class Standardise(Layer):
    """Samples less a mean, over a deviation: what the data is like, which is not learnt.

    As a network's first layer it makes its file complete: the network takes the data as it is.

    >>> import numpy as np
    >>> Standardise(2.0, 4.0).forward(np.array([[4.0]])).tolist()
    [[0.5]]
    """

    mean: float = 0.0
    deviation: float = 1.0

    recordable = True

    rules: ClassVar[dict[str, str]] = {"deviation": "a number above 0"}

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the standardised samples."""
        kind = x.dtype.type
        y: Array = np.empty_like(x)
        do(np.subtract, x, kind(self.mean), out=y)
        do(np.multiply, y, kind(1 / self.deviation), out=y)
        return y

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Return the gradient."""
        dx: Array = np.empty_like(dy)
        do(np.multiply, dy, dy.dtype.type(1 / self.deviation), out=dx)
        return dx
