"""Training: mini-batches, a validation part, checkpoints, and a resume to the last bit.

All that is random is drawn from seeds that count the epoch and the step, so that a checkpoint has
no generators to keep: the counts are enough.
"""

from __future__ import annotations

import json
import math
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from faltung import layers
from faltung.checking import finite, first_not_finite, number, shown, whole
from faltung.dtypes import Array
from faltung.files import check_writable
from faltung.layers.memory import reusing
from faltung.nn import saving
from faltung.nn.augmentation import Augment
from faltung.nn.layer import INFERENCE, Mode
from faltung.nn.network import Graph
from faltung.nn.optimisers import (
    SGD,
    Adam,
    Constant,
    Cosine,
    OneCycle,
    Optimiser,
    Schedule,
)
from faltung.nn.progress import Bar, patient
from faltung.nn.steps import Steps

SUM = "faltung.checksum"
SPLIT, SHUFFLE, CHANGE, DROP = range(4)  # what a seed is for
PART = 256  # images that are measured at a time
LOSSES = ("cross_entropy", "mean_squared_error")
KINDS: tuple[tuple[str, Any, str], ...] = (
    ("network", Graph, "a network: nn.Sequential or nn.Graph"),
    ("optimiser", (SGD, Adam), "nn.SGD(...), nn.Adam(...) or nn.adamw(...)"),
    ("schedule", (Constant, Cosine, OneCycle), "nn.Constant(), nn.Cosine() or nn.OneCycle()"),
    ("augment", (Augment, type(None)), "nn.Augment(...) or None"),
    ("checkpoint", (str, PathLike, type(None)), "a path or None"),
    ("told", (Callable, type(None)), "a function or None"),
)


@dataclass(frozen=True)
class Epoch:
    """What one pass over the data gave; accuracies are NaN where there are no classes.

    The training's loss and accuracy are means over the epoch, while the parameters change; those
    of the validation part are of the end, NaN without one.
    """

    number: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    rate: float
    seconds: float = field(compare=False, default=0.0)

    def __str__(self) -> str:
        told = f"epoch {self.number}: {_figures(self.loss, self.accuracy)}"
        if math.isnan(self.validation_loss):
            return told
        return f"{told}; held out {_figures(self.validation_loss, self.validation_accuracy)}"


def _figures(loss: float, accuracy: float) -> str:
    return f"loss {loss:.4f}" + ("" if math.isnan(accuracy) else f", accuracy {accuracy:.2%}")


@dataclass
class _Run:
    """Where a training stands."""

    epoch: int = 0
    batch: int = 0  # batches done in this epoch
    steps: int = 0
    loss: float = 0.0  # sums over the images of this epoch
    hits: int = 0
    best: float = math.inf
    waited: int = 0
    history: list[Epoch] = field(default_factory=list)


@dataclass(eq=False)
class Trainer:
    """Trains a network.

    Parameters
    ----------
    network : Graph
    optimiser : SGD or Adam
    schedule : Constant, Cosine or OneCycle
        Over all the steps.
    epochs, batch : int
    seed : int
        Of the shuffling, the validation part, augmentation and dropout.
    loss : "cross_entropy" of logits, or "mean_squared_error"
    smoothing : float
        Of the labels.
    class_weights : array (classes,) or "balanced", optional
        ``"balanced"`` weighs a class by one over its frequency.
    augment : Augment, optional
    patience : int, optional
        Stop when the validation loss has not fallen for so many epochs, and take the parameters of
        the best.
    checkpoint : path, optional
        Where to keep the state, every ``every`` seconds, at the end and at Ctrl-C, which waits for
        the end of a step (a second one does not).
    every : float
    progress : bool
        Show a bar with loss and accuracy, and print each epoch.
    told : function, optional
        Called with each :class:`Epoch` as it ends, instead of printing it.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import nn
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((64, 1, 4, 4)) + np.repeat([-1, 1], 32)[:, None, None, None]
    >>> network = nn.Sequential([nn.Conv(4, 3), nn.ReLU(), nn.Dense(2)], (1, 4, 4))
    >>> history = nn.Trainer(network, epochs=5, batch=16).fit(x, np.repeat([0, 1], 32))
    >>> history[-1].loss < history[0].loss, history[-1].accuracy
    (True, 1.0)
    """

    network: Graph
    optimiser: Optimiser = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=Constant)
    epochs: int = 10
    batch: int = 64
    seed: int = 0
    loss: str = "cross_entropy"
    smoothing: float = 0.0
    class_weights: Any = None
    augment: Augment | None = None
    patience: int | None = None
    checkpoint: str | PathLike[str] | None = None
    every: float = 30.0
    progress: bool = False
    told: Callable[[Epoch], None] | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("seed", 0)):
            setattr(self, name, whole(name, getattr(self, name), least))
        if self.patience is not None:
            self.patience = whole("patience", self.patience, 1)
        self.smoothing = number("smoothing", self.smoothing, "from 0 to 1")
        self.every = number("every", self.every, "seconds, 0 or above")
        for name, kinds, allowed in KINDS:
            if not isinstance(getattr(self, name), kinds):
                raise ValueError(f"{name}={shown(getattr(self, name))} must be {allowed}.")
        if self.loss not in LOSSES:
            raise ValueError(f"loss={self.loss!r} is unknown; use {' or '.join(LOSSES)}.")
        if not self._classes and (self.smoothing or self.class_weights is not None):
            raise ValueError("smoothing and class_weights go with the cross entropy.")
        self._run, self._state, self._best = _Run(), {}, {}  # type: ignore[var-annotated]
        self._steps: Steps | None = None

    # ---- the way -------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any, *, validation: Any = None, resume: bool = False) -> list[Epoch]:
        """Train, and return what each epoch gave.

        Parameters
        ----------
        x : array (images, *input_shape)
        y : array
            Labels (images,) as integers from 0, or targets as the network's output.
        validation : pair of arrays, or float, optional
            Images and labels that are not trained on, or the part of ``x`` that is left out, of
            each class alike.
        resume : bool
            Go on from the checkpoint, where there is one: to the bits that a training without a
            stop gives, on processors of one level (AVX-512, AVX2). The recipe and the data must be
            the same.

        Raises
        ------
        ValueError
            Where shapes do not fit, labels are out of range, there are no images, some are no
            numbers, or the checkpoint is damaged or of another training.
        OSError
            Where the checkpoint cannot be written, before the training begins.
        FloatingPointError
            Where the loss is no number any more; the message names the layer where it began.
        """
        x, y = self._checked(x, y)
        held: tuple[Array, Array] | None = None
        if isinstance(validation, (tuple, list)):
            if len(validation) != 2:
                raise ValueError(f"validation is {len(validation)} things; give images and labels.")
            held = self._checked(*validation)
        elif validation is not None:
            x, y, held = self._split(x, y, number("validation", validation))
        if self.patience is not None and held is None:
            raise ValueError("patience needs a validation part; give validation=0.1.")
        if self.checkpoint is not None:
            check_writable(Path(self.checkpoint))
        self.network.prepare()
        self._run, self._state, self._best, self._steps = _Run(), {}, {}, None
        key = "" if self.checkpoint is None else self._key(x, y)
        if resume and self.checkpoint is not None and Path(self.checkpoint).exists():
            self._restore(key)
        weights = self._class_weights(y)
        if bad := self._bad():
            raise ValueError(f"{bad} holds NaN or infinity before the training; load or draw it.")
        self._saved = time.monotonic()
        quiet = np.errstate(over="ignore", invalid="ignore")  # the loss tells
        with reusing(), quiet, patient(self.checkpoint is not None) as interrupted:
            try:
                while self._run.epoch < self.epochs and not self._stopped():
                    self._epoch(x, y, held, weights, key, interrupted)
            finally:
                self._leave()
            if self._best:
                self.network.load(self._best)
            self._save(key)
        if interrupted():
            raise KeyboardInterrupt
        return list(self._run.history)

    def _leave(self) -> None:
        """Let go of what the steps hold."""
        if self._steps is not None:
            self._steps.close()
        self._steps = None

    def _stopped(self) -> bool:
        return self.patience is not None and self._run.waited >= self.patience

    def _epoch(
        self, x: Array, y: Array, held: Any, weights: Array | None, key: str,
        interrupted: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Go on with an epoch to its end."""
        run, started = self._run, time.monotonic()
        order = np.random.default_rng((self.seed, SHUFFLE, run.epoch)).permutation(len(x))
        batches = -(-len(x) // self.batch)
        last = max(1, self.epochs * batches - 1)
        images = min(self.batch, len(x))
        if self._steps is None or self._steps.flat is not self.network.flat():
            self._leave()
            self._steps = Steps(self.network, images, self.optimiser, self._state)
        label = f"epoch {run.epoch + 1}/{self.epochs}"
        with Bar(label, batches, run.batch) if self.progress else nullcontext() as show:
            while run.batch < batches:
                picked = order[run.batch * self.batch : (run.batch + 1) * self.batch]
                factor = self.schedule.factor(run.steps / last)
                loss, hits = self._step(x, y, picked, weights, factor)
                run.loss += loss * len(picked)
                run.hits += hits
                run.batch += 1
                seen = min(run.batch * self.batch, len(x))
                if show is not None:
                    hit = f" accuracy {run.hits / seen:.1%}" if self._classes else ""
                    show(run.batch, f"loss {run.loss / seen:.4g}{hit}")
                if interrupted() or time.monotonic() - self._saved > self.every:
                    self._save(key)
                if interrupted():
                    raise KeyboardInterrupt
        factor = self.schedule.factor((run.steps - 1) / last)
        loss_held, accuracy_held = (math.nan, math.nan) if held is None else self.measure(*held)
        run.history.append(
            Epoch(
                run.epoch + 1, run.loss / len(x), self._share(run.hits, len(x)), loss_held,
                accuracy_held, self.optimiser.rate * factor, time.monotonic() - started,
            )
        )  # fmt: skip
        if self.told is not None:
            self.told(run.history[-1])
        elif self.progress:
            print(run.history[-1])
        if self._bad():
            told = f"the network holds NaN or infinity at the end of epoch {run.epoch + 1}"
            raise FloatingPointError(self._diagnosis(x[:0], INFERENCE, told))
        if held is not None and not math.isfinite(loss_held):
            told = f"the loss held out is {loss_held} at the end of epoch {run.epoch + 1}"
            raise FloatingPointError(self._diagnosis(held[0], INFERENCE, told))
        run.epoch, run.batch, run.loss, run.hits = run.epoch + 1, 0, 0.0, 0
        if self.patience is not None:
            run.waited += 1
            if loss_held < run.best:
                run.best, run.waited = loss_held, 0
                self._best = {name: a.copy() for name, a in self.network.arrays().items()}

    def _step(
        self, x: Array, y: Array, picked: Array, weights: Array | None, factor: float
    ) -> tuple[float, int]:
        """Descend once; return the batch's loss and how many labels were hit."""
        run, steps, labels = self._run, self._steps, y[picked]
        assert steps is not None
        plain = self._classes and weights is None and not self.smoothing and self.augment is None
        told = steps.through(x, picked, labels) if plain else None
        if told is None or not math.isfinite(told[0]):
            told = self._apart(x[picked], labels, weights)
        run.steps += 1
        steps.descent.step(run.steps, factor)
        return told

    def _apart(self, x: Array, y: Array, weights: Array | None) -> tuple[float, int]:
        """Take a batch there and back, with any loss; return that and the hits."""
        run, steps = self._run, self._steps
        assert steps is not None
        if self.augment is not None:
            x = self.augment(x, (self.seed, CHANGE, run.steps))
        mode = Mode(True, (self.seed, DROP, run.steps))
        out = steps.forward(x, mode)
        loss, dy = self._loss(out, y, weights)
        if not math.isfinite(loss):
            told = f"the loss is {loss} in epoch {run.epoch + 1}, step {run.steps + 1}"
            raise FloatingPointError(self._diagnosis(x, mode, told))
        steps.backward(dy)
        return loss, self._hits(out, y)

    def _loss(self, out: Array, y: Array, weights: Array | None) -> tuple[float, Array]:
        if not self._classes:
            return layers.mean_squared_error(out, y)
        if weights is not None and not weights[y].sum() > 0:
            return 0.0, np.zeros_like(out)  # a batch of classes that do not count
        return layers.cross_entropy(out, y, weights=weights, smoothing=self.smoothing)

    def _hits(self, out: Array, y: Array) -> int:
        return int((out.argmax(axis=1) == y).sum()) if self._classes else 0

    @property
    def _classes(self) -> bool:
        return self.loss == "cross_entropy"

    def _share(self, hits: int, count: int) -> float:
        return hits / count if self._classes else math.nan

    def measure(self, x: Any, y: Any, batch: int = PART) -> tuple[float, float]:
        """Return the mean loss and the accuracy on images that are not trained on."""
        x, y = self._checked(x, y)
        total, hits = 0.0, 0
        for start in range(0, len(x), batch):
            part = slice(start, start + batch)
            out = self.network.forward(x[part])
            if self._classes:
                loss, _ = layers.cross_entropy(out, y[part])
            else:
                loss, _ = layers.mean_squared_error(out, y[part])
            total += loss * len(out)
            hits += self._hits(out, y[part])
        return total / len(x), self._share(hits, len(x))

    # ---- what is given -------------------------------------------------------------------------

    def _checked(self, x: Any, y: Any) -> tuple[Array, Array]:
        x, y = np.asarray(x), np.asarray(y)
        with np.errstate(over="ignore"):  # infinity is told
            self.network.taken(x[:1] if x.ndim and len(x) else x)  # its errors name the shapes
            x = x.astype(self.network.dtype, copy=False)
        if y.shape[:1] != x.shape[:1]:
            raise ValueError(f"there are {len(x)} images, and labels or targets of {y.shape}.")
        if (image := first_not_finite(x)) is not None:
            raise ValueError(f"image {image} holds NaN or infinity in {x.dtype}. Fill or drop it.")
        shape = self.network.output_shape
        if not self._classes:
            if y.shape[1:] != shape:
                raise ValueError(f"targets have shape {y.shape}; they must be (images, *{shape}).")
            if y.dtype.kind not in "biuf":
                raise TypeError(f"targets have dtype {y.dtype}; they must be real numbers.")
            if (image := first_not_finite(y)) is not None:
                raise ValueError(f"the target of image {image} holds NaN or infinity. Drop it.")
            return x, y
        if len(shape) != 1 or y.ndim != 1 or y.dtype.kind not in "iu":
            raise ValueError(
                f"labels {y.shape} of {y.dtype} do not fit an output {shape}: labels are integers "
                f"(images,), the output is (classes,)."
            )
        wrong = np.flatnonzero((y < 0) | (y >= shape[0]))
        if wrong.size:
            raise ValueError(
                f"label {y[wrong[0]]} of image {wrong[0]} is out of range: the network has "
                f"{shape[0]} classes, 0 to {shape[0] - 1}."
            )
        return x, y

    def _split(self, x: Array, y: Array, part: float) -> tuple[Array, Array, Any]:
        kept, left = held_out(len(x), part, self.seed, y if self._classes else None)
        return x[kept], y[kept], (x[left], y[left])

    def _class_weights(self, y: Array) -> Array | None:
        if self.class_weights is None:
            return None
        classes = self.network.output_shape[0]
        if isinstance(self.class_weights, str):
            if self.class_weights != "balanced":
                raise ValueError(
                    f'class_weights={self.class_weights!r}: use "balanced" or numbers.'
                )
            counts = np.bincount(y, minlength=classes)
            return np.asarray(len(y) / (classes * np.maximum(counts, 1)))
        weights = np.asarray(self.class_weights)
        fits = weights.shape == (classes,) and weights.dtype.kind in "biuf"
        if not fits or not (weights >= 0).all() or not 0 < weights.sum(dtype="f8") < math.inf:
            raise ValueError(f"class_weights must be {classes} numbers, not negative, not all 0.")
        weights = weights.astype(np.float64)
        return weights

    def _bad(self) -> str | None:
        """Return the last parameter that holds NaN or infinity, or else the last such moment."""
        return _last_bad(self.network.parameters()) or _last_bad(self.network.arrays())

    def _diagnosis(self, x: Array, mode: Mode, told: str) -> str:
        """Say in which layer the first number appeared that is none.

        Parameters turn bad on the way back, which begins at the last layer: the last bad one was
        the first.
        """
        advice = "The parameters are lost; use a lower rate, or load the last checkpoint."
        if bad := _last_bad(self.network.parameters()):
            return f"{told}: it first appeared in {bad}, in the step before. {advice}"
        for start in range(0, len(x), PART):
            for node, y in self.network.outputs(x[start : start + PART], mode):
                if not finite(y):
                    return f"{told}: it first appeared in the output of {node.name}. {advice}"
        return f"{told}: it first appeared in {self._bad() or 'the loss'}. {advice}"

    # ---- checkpoints ---------------------------------------------------------------------------

    def _key(self, x: Array, y: Array) -> str:
        """Return what must be the same for a resume: network, recipe and data."""
        recipe = [
            saving.described(self.network), repr(self.optimiser), repr(self.schedule), self.epochs,
            self.batch, self.seed, self.loss, self.smoothing, repr(self.class_weights),
            repr(self.augment), self.patience, x.shape,
            digest(x), digest(y),
        ]  # fmt: skip
        return json.dumps(recipe)

    def _save(self, key: str) -> None:
        """Write a checkpoint; where that fails, the last one stays and training goes on."""
        if self.checkpoint is None or self._bad():  # the last good one stays
            return
        arrays = {f"network/{n}": a for n, a in self.network.arrays().items()}
        arrays |= {f"optimiser/{n}": a for n, a in self._state.items()}
        arrays |= {f"best/{n}": a for n, a in self._best.items()}
        run = json.dumps(asdict(self._run))
        texts = {"faltung.training": run, "faltung.recipe": key, SUM: _checksum(arrays, run)}
        try:
            saving.write(self.checkpoint, arrays, texts)
        except OSError as error:
            warnings.warn(
                f"the checkpoint {self.checkpoint} could not be written ({error.strerror}); the "
                "last one stays, and training goes on.",
                stacklevel=2,
            )
        self._saved = time.monotonic()

    def _restore(self, key: str) -> None:
        assert self.checkpoint is not None
        arrays, texts = saving.read(self.checkpoint)
        if texts.get("faltung.recipe") != key:
            raise ValueError(
                f"{self.checkpoint} is the checkpoint of another network, recipe or data; remove "
                "it, or give what it was made with."
            )
        try:
            if texts[SUM] != _checksum(arrays, texts["faltung.training"]):
                raise ValueError("its checksum is another")
            found = json.loads(texts["faltung.training"])
            history = [Epoch(**_known(epoch)) for epoch in found.pop("history")]
            run = _Run(**found, history=history)
            counts = (run.epoch, run.batch, run.steps, run.waited, run.hits)
            for count in counts:
                whole("a count", count, 0)
            if not (isinstance(run.loss, float) and isinstance(run.best, float)):
                raise ValueError("its losses are no numbers")
            parts: dict[str, dict[str, Array]] = {"network": {}, "optimiser": {}, "best": {}}
            for name, array in arrays.items():
                part, rest = name.split("/", 1)
                parts[part][rest] = array
            self.network.load(parts["network"])
            flat = self.network.flat().parameters
            for name, array in parts["optimiser"].items():
                _same_kind(name, array, flat[name.split(".")[0]])
            for name, array in self.network.arrays().items() if parts["best"] else ():
                _same_kind(name, parts["best"][name], array)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{self.checkpoint} is damaged, or of another version: {error}. Remove it, or "
                "train without a resume."
            ) from None
        self._run, self._state, self._best = run, parts["optimiser"], parts["best"]


def held_out(
    count: int, part: float, seed: int, labels: Array | None = None
) -> tuple[Array, Array]:
    """Return which images are trained on, and which are left out for validation.

    Of each class the same part is left out, as far as its images can be divided.

    >>> labels = np.repeat([0, 1], [40, 10])
    >>> kept, left = held_out(50, 0.2, 0, labels)
    >>> np.bincount(labels[kept]).tolist(), np.bincount(labels[left]).tolist()
    ([32, 8], [8, 2])
    """
    left = round(count * part)
    if not (0 < part < 1 and 0 < left < count):
        raise ValueError(
            f"validation={part} of {count} images leaves one side empty; give a part between 0 "
            "and 1, or a pair of images and labels."
        )
    order = np.random.default_rng((seed, SPLIT)).permutation(count)
    if labels is not None:
        drawn, sizes = labels[order], np.bincount(labels)
        before = np.empty(count)  # of an image's class, as they are drawn
        before[np.argsort(drawn, kind="stable")] = np.concatenate([np.arange(n) for n in sizes])
        order = order[np.argsort((before + 0.5) / sizes[drawn], kind="stable")]
    return np.sort(order[left:]), np.sort(order[:left])


def _known(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures with the one NaN that equals itself in comparisons of values."""
    return {name: math.nan if value != value else value for name, value in figures.items()}


def _same_kind(name: str, array: Array, wanted: Array) -> None:
    """Raise ValueError unless an array of a checkpoint is like that of the network."""
    if (array.shape, array.dtype) != (wanted.shape, wanted.dtype):
        raise ValueError(f"{name} is {array.shape} of {array.dtype}, not {wanted.shape}")


def _last_bad(arrays: dict[str, Array]) -> str | None:
    """Return the name of the last array that holds NaN or infinity."""
    return next((name for name, a in reversed(arrays.items()) if not finite(a)), None)


def _checksum(arrays: dict[str, Array], run: str) -> str:
    """Return what tells that a checkpoint's numbers are those that were written."""
    found = zlib.crc32(run.encode())
    for name, array in arrays.items():
        found = zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(name.encode(), found))
    return str(found)


def digest(array: Array) -> int:
    """Return a checksum of an array's numbers."""
    return zlib.crc32(np.ascontiguousarray(array).data)
