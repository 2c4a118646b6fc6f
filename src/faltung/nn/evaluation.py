"""What a network names, and how well."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np

from faltung import layers
from faltung.checking import finite
from faltung.dtypes import Array
from faltung.nn.network import Graph


def classes(network: Graph) -> list[str]:
    """Return the names of a network's outputs.

    ``nn.save(network, path, classes=names)`` and ``faltung train`` keep them; without, they are
    numbers.

    Raises
    ------
    ValueError
        Where its output is no list of classes.

    Examples
    --------
    >>> from faltung import nn
    >>> classes(nn.Sequential([nn.Dense(3)], (2,)))
    ['0', '1', '2']
    """
    if len(network.output_shape) != 1:
        raise ValueError(
            f"the network's output is {network.output_shape} for an image; it must be (classes,)."
        )
    found: Any = None
    with suppress(ValueError, RecursionError):
        found = json.loads(network.notes.get("classes", "[]"))
    count = network.output_shape[0]
    known = isinstance(found, list) and all(isinstance(name, str) for name in found)
    return list(found) if known and len(found) == count else [str(i) for i in range(count)]


def probabilities(network: Graph, x: Any, batch: int = 256) -> Array:
    """Return how probable a network that was trained by cross entropy holds each class.

    Parameters
    ----------
    network : Graph
        Its outputs are logits (classes,).
    x : array (images, *input_shape)
        In the scale that the network was trained in: ``faltung.data`` reads pixels from 0 to 1.

    Returns
    -------
    array (images, classes)
        The softmax of the logits; each row sums to 1.

    Raises
    ------
    ValueError
        Where the network gives NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import nn
    >>> network = nn.lenet5()
    >>> shares = probabilities(network, np.zeros((2, 1, 28, 28)))
    >>> shares.shape, shares.sum(axis=1).round(6).tolist()
    ((2, 10), [1.0, 1.0])
    """
    logits = network.predict(x, batch)
    if not finite(logits):
        raise ValueError("the network gives NaN or infinity: it is of no use.")
    return layers.softmax(logits)


def confusion(found: Any, true: Any, classes: int) -> Array:
    """Return how often each true class (row) was taken for each class (column).

    Parameters
    ----------
    found, true : array of int (images,)
    classes : int

    Returns
    -------
    array of int (classes, classes)

    Examples
    --------
    >>> confusion([0, 1, 1], [0, 0, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    found, true = np.asarray(found), np.asarray(true)
    pairs = np.bincount(true * classes + found, minlength=classes * classes)
    return pairs.reshape(classes, classes)
