"""What a training does with its network in every step: forward, back, and down the gradient."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from faltung.dtypes import Array
from faltung.layers.recording import Tape, do, recording
from faltung.nn.layer import Layer, Mode
from faltung.nn.network import Graph
from faltung.nn.optimisers import Optimiser


class Flat:
    """All the parameters of a network in two arrays, and their gradients in two like them.

    An optimiser takes them as two parameters: ``weights``, which have several axes and decay, and
    ``biases``. Each layer's parameters become views of them, with the numbers they had.
    """

    def __init__(self, layers: Iterable[Layer], dtype: np.dtype[np.generic]) -> None:
        self.places = [(layer, key) for layer in layers for key in layer.parameters]
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.views: list[Array] = []
        self.slots: list[Array] = []
        many = [layer.parameters[key].ndim > 1 for layer, key in self.places]
        for name, wanted in (("weights", True), ("biases", False)):
            sizes = [
                layer.parameters[key].size
                for (layer, key), several in zip(self.places, many, strict=True)
                if several == wanted
            ]
            shape = (1, sum(sizes)) if wanted else (sum(sizes),)
            self.parameters[name] = np.empty(shape, dtype)
            self.gradients[name] = np.zeros(shape, dtype)
        used = dict.fromkeys(self.parameters, 0)
        for (layer, key), several in zip(self.places, many, strict=True):
            name, array = "weights" if several else "biases", layer.parameters[key]
            part = slice(used[name], used[name] + array.size)
            used[name] += array.size
            view = self.parameters[name].reshape(-1)[part].reshape(array.shape)
            np.copyto(view, array)
            layer.parameters[key] = view
            self.views.append(view)
            self.slots.append(self.gradients[name].reshape(-1)[part].reshape(array.shape))

    @property
    def whole(self) -> bool:
        """Whether the layers' parameters are still the views."""
        return all(
            layer.parameters.get(key) is view
            for (layer, key), view in zip(self.places, self.views, strict=True)
        )

    def gather(self) -> None:
        """Take the gradients that the layers hold."""
        for (layer, key), slot in zip(self.places, self.slots, strict=True):
            do(np.copyto, slot, layer.gradients[key])


class Steps:
    """The two ways through a network in training, for batches of so many images.

    Where every layer can be recorded, the first batch is: the next ones play what it did. What is
    recorded are calls on the arrays of that batch, so the parameters must stay where they are.
    """

    def __init__(self, network: Graph, images: int) -> None:
        self.network = network
        self.flat = Flat((node.layer for node in network.nodes), network.dtype)
        self.x = np.empty((images, *network.input_shape), network.dtype)
        self.records = all(node.layer.recordable for node in network.nodes)
        self.out, self.dy = self.x, self.x
        self.there: Tape | None = None
        self.back: Tape | None = None
        self.played = False

    def batch(self, x: Array, picked: Array) -> Array:
        """Return the images of a batch."""
        if len(picked) != len(self.x) or x.dtype != self.x.dtype:
            return np.asarray(x[picked])
        return x.take(picked, axis=0, out=self.x, mode="clip")  # the others copy once more

    def forward(self, x: Array, mode: Mode) -> Array:
        """Return the network's output."""
        self.played = self.records and x.shape == self.x.shape
        if not self.played:
            return self.network.forward(x, mode)
        if x is not self.x:
            np.copyto(self.x, x)
        if self.there is not None and self.back is not None:
            self.there.play()
            return self.out
        with recording() as self.there:
            self.out = self.network.forward(self.x, mode)
        self.back = None
        self.dy = np.empty_like(self.out)
        self.records = not self.there.refused
        return self.out

    def backward(self, dy: Array) -> None:
        """Have the gradients of all parameters in the flat ones."""
        if not self.played:
            self.network.backward(dy)
            self.flat.gather()
            return
        np.copyto(self.dy, dy)
        if self.back is not None:
            self.back.play()
            return
        with recording() as self.back:
            self.network.backward(self.dy)
            self.flat.gather()
        self.records = not self.back.refused

    def descend(
        self, optimiser: Optimiser, state: dict[str, Array], number: int, factor: float
    ) -> None:
        """Change the parameters in place."""
        optimiser.step(self.flat.parameters, self.flat.gradients, state, number, factor)
