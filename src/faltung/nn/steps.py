"""What a training does with its network in every step: batch, forward, back, down the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.memory import innermost, outermost, pipelined
from faltung.layers.recording import recording
from faltung.nn.layer import Mode
from faltung.nn.network import Graph
from faltung.nn.optimisers import SGD, Optimiser

MOST = 2**31 - 1  # bytes of an array that the pipelines count
SHARED = 8  # times as much work for threads as its size tells: it comes from far in memory


class Descent:
    """An optimiser's steps on flat parameters: its ``step``, or the same in one compiled pass."""

    def __init__(
        self,
        optimiser: Optimiser,
        parameters: dict[str, Array],
        gradients: dict[str, Array],
        state: dict[str, Array],
    ) -> None:
        self.optimiser, self.parameters = optimiser, parameters
        self.gradients, self.state = gradients, state
        self.calls: list[tuple[native.Bound, Array, bool]] = []
        dtype = parameters["weights"].dtype
        if not pipelined(dtype) or any(w.nbytes > MOST for w in parameters.values()):
            return
        part, moments = ("sgd", ("",)) if isinstance(optimiser, SGD) else ("adam", (".1", ".2"))
        for name, w in parameters.items():
            if not w.size:
                continue
            kept = [state.setdefault(name + which, np.zeros_like(w)) for which in moments]
            settings = np.array(optimiser.settings(1, 0.0, w.ndim > 1), dtype)
            arrays = [a.reshape(-1) for a in (w, gradients[name], *kept)]
            call = bound(part, [*arrays, settings], [arrays[0], *arrays[2:]], SHARED * w.size)
            self.calls.append((call, settings, w.ndim > 1))

    def step(self, number: int, factor: float) -> None:
        """Change the parameters in place: see the optimiser's ``step``."""
        if not self.calls:
            self.optimiser.step(self.parameters, self.gradients, self.state, number, factor)
        for call, settings, decays in self.calls:
            settings[:] = self.optimiser.settings(number, factor, decays)
            call()


def bound(
    part: str,
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    work: int,
) -> native.Bound:
    """Return a call of a part of ``pipelines/training.py``, which has not been made."""
    name = inputs[0].dtype.name
    shapes, found = (tuple((a.dtype.name, a.shape) for a in arrays) for arrays in (inputs, outputs))
    shaped = native.Shaped("training", (name, part, name), shapes, found, (), work)
    return shaped.on(inputs, outputs)


class Entropy:
    """The cross entropy of logits in one pass, with labels that all count the same."""

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
        laid = logits.ndim == 2 and logits.T.flags.c_contiguous and logits.dtype == np.float32
        return laid and ("float32", "entropy", "float32") in native.variants("training")


class Steps:
    """The two ways through a network in training, for batches of so many images.

    Where every layer can be recorded, they are, once, on zeros; batches play what was recorded.
    That are calls on the same arrays, so the parameters must stay where they are.
    """

    def __init__(
        self, network: Graph, images: int, optimiser: Optimiser, state: dict[str, Array]
    ) -> None:
        self.network, self.images = network, images
        self.flat = network.flat()
        self.gradients = self.flat.gradients()
        self.descent = Descent(optimiser, self.flat.parameters, self.gradients, state)
        self.plays = all(node.layer.recordable for node in network.nodes)
        if self.plays:
            self._record()

    def _record(self) -> None:
        self.laid = np.zeros((*self.network.input_shape, self.images), self.network.dtype)
        self.picked = np.zeros(self.images, np.int32)
        self.whole: Array | None = None
        with recording() as self.there:
            self.out = self.network.forward(outermost(self.laid), Mode(True))
        self.entropy = Entropy(self.out) if Entropy.takes(self.out) else None
        self.dy = np.zeros_like(self.out) if self.entropy is None else self.entropy.dy
        self.dy[:] = 0
        with recording() as self.back:
            self.network.backward(self.dy)
            self.flat.gather(self.gradients)
        self.plays = not (self.there.refused or self.back.refused)

    def forward(self, whole: Array, picked: Array, mode: Mode) -> Array:
        """Return the network's output for the picked ones of all images."""
        if not self.plays or len(picked) != self.images:
            return self.network.forward(whole[picked], mode)
        if self.takes(whole):
            self.picked[:] = picked
            self.gather()
        else:
            np.copyto(self.laid, innermost(whole[picked]))
        self.there.play()
        return self.out

    def takes(self, whole: Array) -> bool:
        """Whether batches of these images are gathered by a pipeline."""
        if whole is self.whole:
            return True
        if not whole.flags.c_contiguous or whole.nbytes > MOST or not pipelined(whole.dtype):
            return False
        rows, laid = whole.reshape(len(whole), -1), self.laid.reshape(-1, self.images)
        self.gather = bound("gather", [rows, self.picked], [laid], SHARED * laid.size)
        self.whole = whole
        return True

    def cross_entropy(self, out: Array, labels: Array) -> tuple[float, int, Array] | None:
        """Return loss, hits and gradient of the output, where that is one compiled pass."""
        if not self.plays or out is not self.out or self.entropy is None:
            return None
        return *self.entropy(labels), self.dy

    def backward(self, dy: Array) -> None:
        """Have the gradients of all parameters in ``gradients``."""
        if not self.plays or len(dy) != self.images:
            self.network.backward(dy)
            self.flat.gather(self.gradients)
            return
        if dy is not self.dy:
            np.copyto(self.dy, dy)
        self.back.play()
