"""Networks: layers one after the other, or as a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.checking import whole
from faltung.dtypes import Array
from faltung.layers.memory import innermost, outermost
from faltung.layers.recording import unrecorded
from faltung.nn.activations import Join, ReLU
from faltung.nn.flat import Flat
from faltung.nn.layer import INFERENCE, Layer, Mode, Shape
from faltung.nn.norms import BatchNorm
from faltung.nn.pooling import MaxPool


@dataclass(frozen=True, eq=False)
class Node:
    """A layer of a network, where its inputs come from, and the shape of one image behind it."""

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    shape: Shape


class Graph:
    """A network: each layer takes the outputs of layers before it.

    Parameters
    ----------
    input_shape : tuple of int
        Of one image (channels, *space), or (features,).
    seed : int
        Of the parameters, which are drawn when they are first needed.
    dtype : float32 or float64

    Examples
    --------
    A residual block:

    >>> import numpy as np
    >>> from faltung import nn
    >>> graph = nn.Graph((4, 8, 8))
    >>> start = graph.add(nn.Conv(4, 3, padding=1))
    >>> for layer in (nn.BatchNorm(), nn.ReLU(), nn.Conv(4, 3, padding=1)):
    ...     end = graph.add(layer)
    >>> added = graph.add(nn.Add(), start, end)
    >>> graph.predict(np.zeros((2, 4, 8, 8))).shape
    (2, 4, 8, 8)
    """

    def __init__(self, input_shape: Sequence[int], seed: int = 0, dtype: Any = np.float32) -> None:
        try:
            self.input_shape: Shape = tuple(whole("", n, 1) for n in input_shape)
        except (TypeError, ValueError):
            self.input_shape = ()
        if not self.input_shape:
            raise ValueError(
                f"input_shape={input_shape!r} must be that of one image, (channels, *space)."
            )
        self.seed, self.dtype = whole("seed", seed, 0), np.dtype(dtype)
        if self.dtype not in (np.dtype("f4"), np.dtype("f8")):
            raise ValueError(f"dtype={dtype!r} must be float32 or float64.")
        self.nodes: list[Node] = []
        self.notes: dict[str, str] = {}
        self._ready = False
        self._fused = False
        self._flat: Flat | None = None
        self._last: list[int] = []  # of the input and each layer, the last that takes its output

    def __repr__(self) -> str:
        kind, layers = type(self).__name__, len(self.nodes)
        ways = f"{self.input_shape} -> {self.output_shape}"
        return f"<{kind} of {layers} layers: {ways}, {self.count():,} parameters>"

    # ---- building ------------------------------------------------------------------------------

    def add(self, layer: Layer, *inputs: int) -> int:
        """Add a layer behind the given ones, by default the last; return its number.

        Layers count from 1; 0 is the network's input.

        Raises
        ------
        ValueError
            Where the shapes do not fit; the message has the shape behind each layer.
        """
        if not isinstance(layer, Layer):
            advice = f"; write {layer.__name__}()" if isinstance(layer, type) else ""
            raise TypeError(f"{layer!r} is no layer{advice}.")
        found = tuple(whole("input", i) for i in inputs) or (len(self.nodes),)
        if any(not 0 <= i <= len(self.nodes) for i in found):
            raise ValueError(f"inputs={found} must be numbers of layers, 0 to {len(self.nodes)}.")
        kind = type(layer).__name__
        if layer.joins != (len(found) > 1):
            raise ValueError(f"{kind} takes {'several inputs' if layer.joins else 'one input'}.")
        if any(node.layer is layer for node in self.nodes):
            raise ValueError(f"this {kind} is part of the network already; make another.")
        alike = sum(type(node.layer) is type(layer) for node in self.nodes)
        name = f"{kind.lower()}{alike + 1}"
        try:
            layer.check()
            shape = layer.output_shape(*(self.shape(i) for i in found))
            layer.weights(self.shape(found[0]))
        except ValueError as error:
            so_far = "".join(f", {node.name} {node.shape}" for node in self.nodes)
            raise ValueError(
                f"{name} does not fit: {error} Shapes so far: input {self.input_shape}{so_far}."
            ) from None
        self.nodes.append(Node(name, layer, found, shape))
        self._fused = False
        if self._ready:
            self._draw(len(self.nodes))
        return len(self.nodes)

    def shape(self, number: int) -> Shape:
        """Return the shape of one image behind a layer; 0 is the input."""
        return self.nodes[number - 1].shape if number else self.input_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of one output."""
        return self.shape(len(self.nodes))

    def _draw(self, number: int) -> None:
        node = self.nodes[number - 1]
        node.layer.draw(self.shape(node.inputs[0]), (self.seed, number), self.dtype)

    def prepare(self) -> None:
        """Draw the parameters, if that was not done, and see which passes can be one."""
        if not self._ready:
            for number in range(1, len(self.nodes) + 1):
                self._draw(number)
            self._ready = True
            self.flat()
        if not self._fused:
            self._fuse()
            self._pool()
            self._last = [max(found, default=0) for found in self.users()]
            self._fused = True

    def users(self) -> list[list[int]]:
        """Return, of the input and each layer, the layers that take its output."""
        found: list[list[int]] = [[] for _ in range(len(self.nodes) + 1)]
        for number, node in enumerate(self.nodes, 1):
            for i in node.inputs:
                found[i].append(number)
        return found

    def _fuse(self) -> None:
        """Leave a relu to the layer before it, and its way back to that or to the layer behind.

        That takes a layer whose output goes nowhere else.
        """
        users = self.users()
        for node in self.nodes:
            node.layer.relu = node.layer.gate = False
        for number, node in enumerate(self.nodes, 1):
            if not isinstance(node.layer, ReLU):
                continue
            node.layer.done = (False, False)
            source = node.inputs[0]
            before = self.nodes[source - 1].layer if source else None
            alone = len(users[source]) == 1 and before is not None and before.takes_relu
            behind = [self.nodes[i - 1].layer for i in users[number]]
            if before is not None and alone:
                before.relu = True
            back = alone and isinstance(before, BatchNorm)
            if not back and len(behind) == 1 and behind[0].takes_gate:
                behind[0].gate = back = True
            node.layer.done = (alone, back)

    def _pool(self) -> None:
        """Leave a pooling by halves to the batch norm before it, a relu between them or not."""
        users = self.users()
        for node in self.nodes:
            node.layer.fused = False
        for number, node in enumerate(self.nodes, 1):
            behind = users[number]
            if len(behind) == 1 and isinstance(self.nodes[behind[0] - 1].layer, ReLU):
                behind = users[behind[0]]
            last = self.nodes[behind[0] - 1].layer if len(behind) == 1 else None
            if isinstance(node.layer, BatchNorm) and isinstance(last, MaxPool):
                node.layer.fused = last.fused = last.halves(node.shape)

    # ---- running -------------------------------------------------------------------------------

    def taken(self, x: Any) -> Array:
        """Return checked images in the network's dtype, the images innermost in memory."""
        x = np.asarray(x)
        if x.dtype.kind not in "biuf":
            raise TypeError(f"x has dtype {x.dtype}; networks take real numbers.")
        if x.shape[1:] != self.input_shape or x.ndim == 0:
            shapes = "".join(f", {node.name} {node.shape}" for node in self.nodes)
            single = " One image is x[None]." if x.shape == self.input_shape else ""
            raise ValueError(
                f"x has shape {x.shape}; the network takes (images, "
                f"{', '.join(map(str, self.input_shape))}).{single} Its shapes: input "
                f"{self.input_shape}{shapes}."
            )
        if len(x) == 0:
            raise ValueError(f"x of shape {x.shape} is an empty batch; give at least one image.")
        return outermost(innermost(x.astype(self.dtype, copy=False)))

    def forward(self, x: Any, mode: Mode = INFERENCE) -> Array:
        """Return the network's output (images, *output_shape).

        With ``Mode(training=True, seed=...)`` the layers keep what :meth:`backward` needs.
        """
        y: Array | None = None
        for _, found in self.outputs(x, mode):
            y = found
        assert y is not None
        return y

    def outputs(self, x: Any, mode: Mode = INFERENCE) -> Iterator[tuple[Node, Array]]:
        """Yield each layer and its output, in turn.

        A relu that the layer before does in its own pass counts there.
        """
        if not self.nodes:
            raise ValueError("the network has no layers.")
        self.prepare()
        values: list[Array | None] = [self.taken(x)]
        for number, node in enumerate(self.nodes, 1):
            inputs = [values[i] for i in node.inputs]
            each = Mode(mode.training, (*mode.seed, number))
            if isinstance(node.layer, Join):
                y = node.layer.join(inputs, each)  # type: ignore[arg-type]
            else:
                y = node.layer.forward(inputs[0], each)  # type: ignore[arg-type]
            values.append(y)
            for i in node.inputs:
                if self._last[i] == number:
                    values[i] = None  # nobody wants it any more
            yield node, y

    def backward(self, dy: Array) -> None:
        """Set every parameter's gradient from that of the output of the last forward pass."""
        learns = [False]
        for node in self.nodes:
            learns.append(bool(node.layer.parameters) or any(learns[i] for i in node.inputs))
        found: list[Array | None] = [None] * len(self.nodes) + [dy]
        for number in range(len(self.nodes), 0, -1):
            node, each = self.nodes[number - 1], found[number]
            found[number] = None
            if each is None or not learns[number]:
                continue
            if isinstance(node.layer, Join):
                parts: list[Array | None] = list(node.layer.part(each))
            else:
                parts = [node.layer.backward(each, any(learns[i] for i in node.inputs))]
            for i, part in zip(node.inputs, parts, strict=True):
                before = found[i]
                if before is None or part is None:
                    found[i] = part
                else:
                    unrecorded()
                    found[i] = before + part

    def predict(self, x: Any, batch: int = 256) -> Array:
        """Return the outputs of images, ``batch`` at a time: logits, where a loss takes those.

        Raises
        ------
        ValueError
            Where the shapes do not fit; the message has the shape behind each layer.
        """
        x = np.asarray(x)
        if batch < 1:
            raise ValueError(f"batch={batch!r} must be at least 1.")
        if x.ndim and len(x) == 0 and x.shape[1:] == self.input_shape:
            return np.zeros((0, *self.output_shape), self.dtype)
        starts = range(0, len(x), batch) if x.ndim else [0]
        parts = [self.forward(x[s : s + batch] if x.ndim else x) for s in starts]
        return np.ascontiguousarray(np.concatenate(parts))

    # ---- what it holds -------------------------------------------------------------------------

    def parameters(self) -> dict[str, Array]:
        """Return what is learnt, as ``layer.name``; changing an array changes the network."""
        self.prepare()
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.parameters.items()}

    def flat(self) -> Flat:
        """Return the parameters as views of two arrays, which they become if they are not."""
        self.prepare()
        layers = [node.layer for node in self.nodes]
        if self._flat is None or not self._flat.holds(layers):
            self._flat = Flat(layers, self.dtype)
        return self._flat

    def gradients(self) -> dict[str, Array]:
        """Return the gradients, under the parameters' names."""
        return {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.gradients.items()}

    def arrays(self) -> dict[str, Array]:
        """Return parameters and running moments, under their names."""
        self.prepare()
        state = {f"{n.name}.{k}": a for n in self.nodes for k, a in n.layer.state.items()}
        return {**self.parameters(), **state}

    def load(self, arrays: dict[str, Array]) -> None:
        """Take parameters and running moments from arrays under their names.

        Raises
        ------
        ValueError
            Where one is missing, or has another shape.
        """
        found = []
        for node in self.nodes:
            shape = self.shape(node.inputs[0])
            for wanted, dtype in (
                (node.layer.weights(shape), self.dtype),
                (node.layer.states(shape), np.dtype("f8")),
            ):
                held = {}
                for key, weight in wanted.items():
                    name = f"{node.name}.{key}"
                    given = arrays[name].shape if name in arrays else "nothing"
                    if given != weight.shape:
                        raise ValueError(f"{name} must have shape {weight.shape}; got {given}.")
                    held[key] = np.array(arrays[name], dtype)
                found.append(held)
        for node, parameters, state in zip(self.nodes, found[::2], found[1::2], strict=True):
            node.layer.parameters, node.layer.state = parameters, state
        self._ready = True  # nothing is left to draw
        self.flat()

    def count(self) -> int:
        """Return the number of parameters; nothing is drawn for that."""
        return sum(row.parameters for row in self.summary().rows)

    def summary(self) -> Any:
        """Return a table of the layers: shapes, parameters, multiply-adds, receptive fields."""
        from faltung.nn.summary import summarised

        return summarised(self)


class Sequential(Graph):
    """A network whose layers follow one another.

    Parameters
    ----------
    layers : list of layers
    input_shape, seed, dtype
        As of :class:`Graph`.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import nn
    >>> network = nn.Sequential([nn.Conv(4, 3), nn.ReLU(), nn.MaxPool(2), nn.Dense(10)], (1, 8, 8))
    >>> network.predict(np.zeros((5, 1, 8, 8))).shape, network.count()
    ((5, 10), 410)
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        input_shape: Sequence[int],
        seed: int = 0,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(input_shape, seed, dtype)
        for layer in layers:
            self.add(layer)
