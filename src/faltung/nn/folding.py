"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from faltung.nn.convolution import Conv, Dense
from faltung.nn.layer import Layer
from faltung.nn.network import Graph
from faltung.nn.norms import BatchNorm


def folded(network: Graph) -> Graph:
    """Return the network without the batch norms that directly follow a convolution.

    With running mean ``m`` and variance ``v`` the kernels become ``k * gain / sqrt(v + epsilon)``
    and the bias ``(bias - m) * gain / sqrt(v + epsilon) + shift``. A batch norm stays where
    the convolution's output goes elsewhere, too. Dense layers are folded alike.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import nn
    >>> network = nn.small_cnn()
    >>> light = nn.folded(network)
    >>> len(network.nodes) - len(light.nodes)
    3
    >>> x = np.random.default_rng(0).random((4, 1, 28, 28))
    >>> bool(np.allclose(light.predict(x), network.predict(x), atol=1e-5))
    True
    """
    network.prepare()
    users = network.users()
    light = Graph(network.input_shape, network.seed, network.dtype)
    light.notes = dict(network.notes)
    numbers = {0: 0}
    norms: dict[int, BatchNorm] = {}
    for number, node in enumerate(network.nodes, 1):
        source = node.inputs[0]
        before = network.nodes[source - 1].layer if source else None
        plain = isinstance(before, (Conv, Dense)) and len(users[source]) == 1
        if isinstance(node.layer, BatchNorm) and plain:
            numbers[number] = numbers[source]
            norms[source] = node.layer
        else:
            copy = _copied(node.layer)
            numbers[number] = light.add(copy, *(numbers[i] for i in node.inputs))
    # a folded layer needs a bias, which changes its parameters: options first, numbers after
    for source in norms:
        layer = light.nodes[numbers[source] - 1].layer
        assert isinstance(layer, (Conv, Dense))
        layer.bias = True
    arrays = {}
    for number, node in enumerate(network.nodes, 1):
        if isinstance(node.layer, BatchNorm) and norms.get(node.inputs[0]) is node.layer:
            continue
        parameters = {**node.layer.parameters, **node.layer.state}
        if number in norms:
            norm = norms[number]
            rate = norm.parameters["gain"] / np.sqrt(norm.state["variance"] + norm.epsilon)
            k = parameters["weights"]
            bias = parameters.get("bias", np.zeros(len(k))) - norm.state["mean"]
            column = (-1, *(1,) * (k.ndim - 1))
            parameters["weights"] = (k * rate.reshape(column)).astype(k.dtype)
            parameters["bias"] = (bias * rate + norm.parameters["shift"]).astype(k.dtype)
        name = light.nodes[numbers[number] - 1].name
        arrays.update({f"{name}.{key}": array for key, array in parameters.items()})
    light.load(arrays)
    return light


def _copied(layer: Layer) -> Layer:
    """Return a layer with the same options."""
    options = {f.name: getattr(layer, f.name) for f in fields(layer)}  # type: ignore[arg-type]
    return type(layer)(**options)
