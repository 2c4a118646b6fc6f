"""What a training does with its network in every step: batch, forward, back, down the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.finite import spreading
from faltung.layers.memory import innermost, outermost, pipelined
from faltung.layers.recording import recording
from faltung.nn.crew import Crew, Job
from faltung.nn.flat import Flat
from faltung.nn.layer import Mode
from faltung.nn.network import Graph
from faltung.nn.optimisers import SGD, Optimiser

MOST = 2**31 - 1  # bytes of an array that the pipelines count
FEW = 32  # images of a part at least
PARTS = 8  # of a batch at most
KEPT = 1 << 27  # bytes of outputs from which on a recording keeps more memory than it is worth


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
            call = bound(part, [*arrays, settings], [arrays[0], *arrays[2:]], w.size)
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
    numbers: tuple[int, ...] = (),
) -> native.Bound:
    """Return a call of a part of ``pipelines/training.py``, which has not been made."""
    name = inputs[0].dtype.name
    shapes, found = (tuple((a.dtype.name, a.shape) for a in arrays) for arrays in (inputs, outputs))
    shaped = native.Shaped("training", (name, part, name), shapes, found, numbers, work)
    return shaped.on(inputs, outputs)


class Entropy:
    """The cross entropy of logits in one pass, with labels that all count the same.

    ``count`` is the number of images that the mean is over.
    """

    def __init__(self, logits: Array, count: int) -> None:
        laid = innermost(logits)
        self.labels = np.zeros(len(logits), np.int32)
        self.out = np.empty((len(laid) + 2, len(logits)), logits.dtype)
        self.dy = outermost(self.out[:-2])
        self.call = bound("entropy", [laid, self.labels], [self.out], laid.size, (count,))

    @property
    def told(self) -> tuple[float, float]:
        """The images' losses, summed, and how many labels were hit; the gradient is ``dy``."""
        loss, hits = self.out[-2:].sum(axis=1, dtype=np.float64).tolist()
        return loss, hits

    @staticmethod
    def takes(logits: Array) -> bool:
        """Whether it takes logits, as they lie."""
        laid = logits.ndim == 2 and logits.T.flags.c_contiguous and logits.dtype == np.float32
        return laid and ("float32", "entropy", "float32") in native.variants("training")


class Part:
    """What is done with some of a batch's images, recorded on zeros: it is played from then on."""

    def __init__(self, network: Graph, flat: Flat, images: slice, count: int) -> None:
        self.images = images
        length = images.stop - images.start
        self.laid = np.zeros((*network.input_shape, length), network.dtype)
        self.picked = np.zeros(length, np.int32)
        self.gradients = flat.gradients()
        with recording() as self.there, spreading(), np.errstate(all="ignore"):
            self.out = network.forward(outermost(self.laid), Mode(True))
        self.entropy = Entropy(self.out, count) if Entropy.takes(self.out) else None
        self.dy = np.zeros_like(self.out) if self.entropy is None else self.entropy.dy
        self.dy[:] = 0
        with recording() as self.back, spreading(), np.errstate(all="ignore"):
            network.backward(self.dy)
            flat.gather(self.gradients)
        self.refused = self.there.refused or self.back.refused

    def take(self, whole: Array) -> None:
        """Have batches be taken from these images."""
        rows, laid = whole.reshape(len(whole), -1), self.laid.reshape(-1, self.picked.size)
        self.gather = bound("gather", [rows, self.picked], [laid], laid.size)

    def through(self, picked: Array, labels: Array) -> None:
        """Take its images of those picked there and back, with the cross entropy between."""
        assert self.entropy is not None
        self.picked[:], self.entropy.labels[:] = picked[self.images], labels[self.images]
        self.gather()
        self.there.play()
        self.entropy.call()
        self.back.play()


class Steps:
    """The two ways through a network in training, for batches of so many images.

    Where every layer can be recorded, and outputs are small, batches are cut into parts, by their
    size alone, and a part is always played by the same thread: what that wrote it finds in its
    cache. Batches that a layer wants to have as a whole are one part, of all threads. What is not
    finite may spread: the loss tells. What is recorded are calls on the same arrays: the
    parameters must stay where they are.
    """

    def __init__(
        self, network: Graph, images: int, optimiser: Optimiser, state: dict[str, Array]
    ) -> None:
        self.network, self.images = network, images
        self.flat = network.flat()
        self.parts: list[Part] = []
        kept = (
            sum(math.prod(node.shape) for node in network.nodes) * images * network.dtype.itemsize
        )
        if kept < KEPT and all(node.layer.recordable for node in network.nodes):
            each = images if self._undivided() else images // parts_of(images)
            for start in range(0, images, each):
                part = Part(network, self.flat, slice(start, start + each), images)
                if part.refused:
                    break
                self.parts.append(part)
        self.gradients = self.parts[0].gradients if self.parts else self.flat.gradients()
        self.descent = Descent(optimiser, self.flat.parameters, self.gradients, state)
        self.crew = Crew(min(len(self.parts), native.get_workers()))
        self.whole: Array | None = None

    def _undivided(self) -> bool:
        """Whether a layer wants batches as a whole."""
        network = self.network
        shapes = ((node.layer, network.shape(node.inputs[0])) for node in network.nodes)
        return any(layer.wants_all(s, self.images, network.dtype) for layer, s in shapes)

    def close(self) -> None:
        """Let the threads go."""
        self.crew.close()

    def plays(self, images: int) -> bool:
        """Whether a batch of so many images is played."""
        return bool(self.parts) and images == self.images

    def through(self, whole: Array, picked: Array, labels: Array) -> tuple[float, int] | None:
        """Take the picked images there and back, where all that is compiled.

        Return the mean cross entropy of the labels, and how many were hit.
        """
        if not self.plays(len(picked)) or not self._takes(whole):
            return None
        entropies = [part.entropy for part in self.parts if part.entropy is not None]
        if len(entropies) < len(self.parts):
            return None
        self._run([partial(part.through, picked, labels) for part in self.parts])
        self._total()
        losses, hits = zip(*(entropy.told for entropy in entropies), strict=True)
        return sum(losses) / self.images, int(sum(hits))

    def _takes(self, whole: Array) -> bool:
        """Whether batches of these images are gathered by a pipeline."""
        if whole is not self.whole:
            if not whole.flags.c_contiguous or whole.nbytes > MOST or not pipelined(whole.dtype):
                return False
            self.whole = whole
            for part in self.parts:
                part.take(whole)
        return True

    def forward(self, x: Array, mode: Mode) -> Array:
        """Return the network's output."""
        if not self.plays(len(x)):
            with spreading():
                return self.network.forward(x, mode)
        for part in self.parts:
            np.copyto(part.laid, innermost(x[part.images]))
        self._run([part.there.play for part in self.parts])
        outputs = [part.out for part in self.parts]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def backward(self, dy: Array) -> None:
        """Have the gradients of all parameters in ``gradients``."""
        if not self.plays(len(dy)):
            with spreading():
                self.network.backward(dy)
            self.flat.gather(self.gradients)
            return
        for part in self.parts:
            np.copyto(part.dy, dy[part.images])
        self._run([part.back.play for part in self.parts])
        self._total()

    def _run(self, jobs: Sequence[Job]) -> None:
        if len(jobs) == 1:
            jobs[0]()  # its calls may use all threads
        else:
            self.crew.run(jobs)

    def _total(self) -> None:
        """Add the other parts' gradients to the first's, in order."""
        for part in self.parts[1:]:
            for name, array in self.gradients.items():
                np.add(array, part.gradients[name], out=array)


def parts_of(images: int) -> int:
    """Return into how many parts a batch is cut: of 32 images or a multiple of them, 8 at most.

    >>> [parts_of(n) for n in (32, 64, 96, 100, 128, 512, 1000)]
    [1, 2, 3, 1, 4, 8, 1]
    """
    return max((n for n in range(1, PARTS + 1) if images % (n * FEW) == 0), default=1)
