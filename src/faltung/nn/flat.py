"""All the parameters of a network in two arrays: what an optimiser steps at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faltung.dtypes import Array
from faltung.layers.recording import do
from faltung.nn.layer import Layer

VECTOR = 64  # bytes: the arrays are so many long, or twice, and so on


class Flat:
    """The parameters of layers as views of two arrays, and their gradients for two like them.

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
        self.places: list[tuple[Layer, str, str, slice]] = []
        self.views: list[Array] = []
        found = [(layer, key) for layer in layers for key in layer.parameters]
        for name, several in (("weights", True), ("biases", False)):
            places = [p for p in found if (p[0].parameters[p[1]].ndim > 1) == several]
            length = sum(layer.parameters[key].size for layer, key in places)
            length += -length % (VECTOR // dtype.itemsize)
            shape = (1, length) if several else (length,)
            self.parameters[name] = np.zeros(shape, dtype)
            used = 0
            for layer, key in places:
                array = layer.parameters[key]
                self.places.append((layer, key, name, slice(used, used + array.size)))
                used += array.size
        self.views = self.parts(self.parameters)
        for (layer, key, _, _), view in zip(self.places, self.views, strict=True):
            np.copyto(view, layer.parameters[key])
            layer.parameters[key] = view

    def parts(self, flat: dict[str, Array]) -> list[Array]:
        """Return each parameter's part of two arrays like these."""
        return [
            flat[name].reshape(-1)[place].reshape(layer.parameters[key].shape)
            for layer, key, name, place in self.places
        ]

    def gradients(self) -> dict[str, Array]:
        """Return arrays for all the gradients."""
        return {name: np.zeros_like(array) for name, array in self.parameters.items()}

    def holds(self, layers: Sequence[Layer]) -> bool:
        """Whether the layers' parameters are these views, which copies of a network are not."""
        if sum(len(layer.parameters) for layer in layers) != len(self.views):
            return False
        return all(
            layer.parameters.get(key) is view
            and np.may_share_memory(view, self.parameters[name])  # a copied view has memory its own
            for (layer, key, name, _), view in zip(self.places, self.views, strict=True)
        )

    def gather(self, gradients: dict[str, Array]) -> None:
        """Take the gradients that the layers have."""
        for (layer, key, _, _), slot in zip(self.places, self.parts(gradients), strict=True):
            do(np.copyto, slot, layer.gradients[key])
