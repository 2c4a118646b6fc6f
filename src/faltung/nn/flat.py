"""All the parameters of a network in two arrays: what an optimiser steps at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faltung.dtypes import Array
from faltung.layers.recording import do
from faltung.nn.layer import Layer

VECTOR = 64  # bytes: the arrays are so many long, or twice, and so on


class Flat:
    """The parameters of layers as views of two arrays, and their gradients in two like them.

    An optimiser takes them as two parameters: ``weights``, which have several axes and decay, and
    ``biases``. The layers' parameters keep their numbers.

    >>> from faltung import nn
    >>> network = nn.Sequential([nn.Dense(2)], (3,))
    >>> flat = network.flat()
    >>> flat.parameters["weights"][:] = 7
    >>> network.parameters()["dense1.weights"].tolist()
    [[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]]
    """

    def __init__(self, layers: Sequence[Layer], dtype: np.dtype[np.generic]) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.slots: list[tuple[Layer, str, Array, Array]] = []
        found = [(layer, key) for layer in layers for key in layer.parameters]
        for name, several in (("weights", True), ("biases", False)):
            places = [p for p in found if (p[0].parameters[p[1]].ndim > 1) == several]
            length = sum(layer.parameters[key].size for layer, key in places)
            length += -length % (VECTOR // dtype.itemsize)
            shape = (1, length) if several else (length,)
            self.parameters[name] = np.zeros(shape, dtype)
            self.gradients[name] = np.zeros(shape, dtype)
            used = 0
            for layer, key in places:
                array = layer.parameters[key]
                part = slice(used, used + array.size)
                used += array.size
                view, slot = (
                    flat.reshape(-1)[part].reshape(array.shape)
                    for flat in (self.parameters[name], self.gradients[name])
                )
                np.copyto(view, array)
                layer.parameters[key] = view
                self.slots.append((layer, key, view, slot))

    def holds(self, layers: Sequence[Layer]) -> bool:
        """Whether the layers' parameters are these views."""
        count = sum(len(layer.parameters) for layer in layers)
        views = ((layer.parameters.get(key), view) for layer, key, view, _ in self.slots)
        return count == len(self.slots) and all(held is view for held, view in views)

    def gather(self) -> None:
        """Take the gradients that the layers have."""
        for layer, key, _, slot in self.slots:
            do(np.copyto, slot, layer.gradients[key])
