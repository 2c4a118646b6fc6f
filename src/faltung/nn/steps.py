"""What a training does with its network in every step: batch, forward, back, down the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.memory import innermost, outermost, pipelined
from faltung.layers.recording import Tape, recording
from faltung.nn.flat import Flat
from faltung.nn.layer import Mode
from faltung.nn.network import Graph
from faltung.nn.optimisers import SGD, Optimiser

MOST = 2**31 - 1  # bytes of an array that the pipelines count


class Descent:
    """An optimiser's steps on flat parameters: its ``step``, or the same in one compiled pass."""

    def __init__(self, optimiser: Optimiser, flat: Flat, state: dict[str, Array]) -> None:
        self.optimiser, self.flat, self.state = optimiser, flat, state
        self.calls: list[tuple[native.Bound, Array, bool]] = []
        dtype = flat.parameters["weights"].dtype
        if not pipelined(dtype) or any(w.nbytes > MOST for w in flat.parameters.values()):
            return
        part, moments = ("sgd", ("",)) if isinstance(optimiser, SGD) else ("adam", (".1", ".2"))
        for name, w in flat.parameters.items():
            if not w.size:
                continue
            kept = [state.setdefault(name + which, np.zeros_like(w)) for which in moments]
            settings = np.array(optimiser.settings(1, 0.0, w.ndim > 1), dtype)
            arrays = [a.reshape(-1) for a in (w, flat.gradients[name], *kept)]
            call = bound(part, [*arrays, settings], [arrays[0], *arrays[2:]], w.size)
            self.calls.append((call, settings, w.ndim > 1))

    def step(self, number: int, factor: float) -> None:
        """Change the parameters in place: see the optimiser's ``step``."""
        if not self.calls:
            self.optimiser.step(
                self.flat.parameters, self.flat.gradients, self.state, number, factor
            )
        for call, settings, decays in self.calls:
            settings[:] = self.optimiser.settings(number, factor, decays)
            call()


def bound(part: str, inputs: Sequence[Array], outputs: Sequence[Array], work: int) -> native.Bound:
    """Return a call of a part of ``pipelines/training.py``, which has not been made."""
    name = inputs[0].dtype.name
    shapes, found = (tuple((a.dtype.name, a.shape) for a in arrays) for arrays in (inputs, outputs))
    shaped = native.Shaped("training", (name, part, name), shapes, found, (), work)
    return shaped.on(inputs, outputs)


class Entropy:
    """The cross entropy of a batch's logits in one pass, with labels that all count the same."""

    def __init__(self, logits: Array) -> None:
        laid = innermost(logits)
        self.labels = np.zeros(len(logits), np.int32)
        self.out = np.empty((len(laid) + 2, len(logits)), logits.dtype)
        self.dy = outermost(self.out[:-2])
        self.call = bound("entropy", [laid, self.labels], [self.out], laid.size)

    def __call__(self, labels: Array) -> tuple[float, int]:
        """Return the mean loss and how many labels were hit; the gradient is ``dy``."""
        self.labels[:] = labels
        self.call()
        loss, hits = self.out[-2:].sum(axis=1, dtype=np.float64).tolist()
        return loss / len(self.labels), int(hits)

    @staticmethod
    def takes(logits: Array) -> bool:
        """Whether it takes logits, as they lie."""
        laid = logits.ndim == 2 and logits.T.flags.c_contiguous
        return laid and ("float32", "entropy", "float32") in native.variants("training")


class Steps:
    """The two ways through a network in training, for batches of so many images.

    Where every layer can be recorded, the first batch is: the next ones play what it did. What is
    recorded are calls on the arrays of that batch, so the parameters must stay where they are.
    """

    def __init__(
        self, network: Graph, images: int, optimiser: Optimiser, state: dict[str, Array]
    ) -> None:
        self.network = network
        self.flat = network.flat()
        self.descent = Descent(optimiser, self.flat, state)
        self.laid = np.empty((*network.input_shape, images), network.dtype)
        self.x = outermost(self.laid)
        self.records = all(node.layer.recordable for node in network.nodes)
        self.out, self.dy = self.x, self.x
        self.there: Tape | None = None
        self.back: Tape | None = None
        self.entropy: Entropy | None = None
        self.played = False
        self.whole: Array | None = None
        self.gather: native.Bound | None = None
        self.picked = np.zeros(images, np.int32)

    def batch(self, x: Array, picked: Array) -> Array:
        """Return the images of a batch, innermost in memory."""
        if x is not self.whole:
            self.whole, self.gather = x, None
            if pipelined(x.dtype) and x.flags.c_contiguous and x.nbytes < MOST:
                rows = x.reshape(len(x), -1)
                laid = self.laid.reshape(-1, len(self.x))
                self.gather = bound("gather", [rows, self.picked], [laid], 8 * laid.size)
        if self.gather is None or len(picked) != len(self.x):
            return np.asarray(x[picked])
        self.picked[:] = picked
        self.gather()
        return self.x

    def forward(self, x: Array, mode: Mode) -> Array:
        """Return the network's output."""
        self.played = self.records and x.shape == self.x.shape
        if not self.played:
            return self.network.forward(x, mode)
        if x is not self.x:
            np.copyto(self.laid, innermost(x))
        if self.there is not None and self.back is not None:
            self.there.play()
            return self.out
        with recording() as self.there:
            self.out = self.network.forward(self.x, mode)
        self.back = None
        if self.out.dtype == np.float32 and Entropy.takes(self.out):
            self.entropy = Entropy(self.out)
        self.dy = np.empty_like(self.out) if self.entropy is None else self.entropy.dy
        self.records = not self.there.refused
        return self.out

    def cross_entropy(self, labels: Array) -> tuple[float, int, Array] | None:
        """Return loss, hits and gradient of the last output, where that is one compiled pass."""
        if self.entropy is None or not self.played:
            return None
        return *self.entropy(labels), self.dy

    def backward(self, dy: Array) -> None:
        """Have the gradients of all parameters in the flat ones."""
        if not self.played:
            self.network.backward(dy)
            self.flat.gather()
            return
        if dy is not self.dy:
            np.copyto(self.dy, dy)
        if self.back is not None:
            self.back.play()
            return
        with recording() as self.back:
            self.network.backward(self.dy)
            self.flat.gather()
        self.records = not self.back.refused
