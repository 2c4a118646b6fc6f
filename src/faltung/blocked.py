"""Cut a problem into blocks, and give each block's samples to a core as plain memory.

The outputs are cut into an interior, which reads the input where it lies, and strips along the
ends, for which the boundary is laid around a copy of just the samples they need. What a core sees
has no boundary any more: an array that covers every tap, in the dtype it works in, and the outputs.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from faltung.dtypes import Array, DType, convert
from faltung.geometry import Block, Source
from faltung.problem import Problem

Core = Callable[[Array, Array, int], None]
"""Computes outputs from a source that covers their taps: ``core(source, outputs, workers)``."""


LITTLE = 1 << 14  # samples that are filled sooner than their ends are found
SCRATCH = 8 << 20  # bytes of a block's copy up to which its memory is kept for the next


class Kept(threading.local):
    """Memory that a thread's blocks are copied to: fresh pages cost more than the copy.

    Memory is given out anew when no array lies in it any more: the handler of a signal may
    convolve in the middle of a block, on the same thread.
    """

    def __init__(self) -> None:
        self.buffers: dict[str, tuple[bytearray, weakref.ref[Array] | None]] = {}

    def empty(self, shape: Iterable[int], dtype: DType, use: str) -> Array:
        """Return an array, in the memory last kept for this use where that is free."""
        shape = tuple(shape)
        size = math.prod(shape) * dtype.itemsize
        if not 0 < size <= SCRATCH or dtype.hasobject:
            return np.empty(shape, dtype)
        # who interrupts this between taking the memory and putting it back finds none
        memory, last = self.buffers.pop(use, (bytearray(), None))
        if len(memory) < size or (last is not None and last() is not None):
            memory = bytearray(size)
        # every view keeps this array alive, as there is no other array below it
        array: Array = np.frombuffer(memory, dtype, math.prod(shape))
        self.buffers[use] = memory, weakref.ref(array)
        return array.reshape(shape)


_kept = Kept()


@dataclass(frozen=True)
class Step:
    """One block, ready to run: views of input and output, and the boundary to lay around.

    ``fills`` are the places around the samples for the fill value; ``samples`` and ``count`` are
    the numbers of its samples and outputs along the convolved axes.
    """

    outputs: tuple[slice, ...]
    inputs: tuple[slice, ...]
    takes: tuple[tuple[int, Source, int], ...]
    padded: tuple[int, ...] | None
    inner: tuple[slice, ...]
    fills: tuple[tuple[slice, ...], ...]
    samples: int
    count: int


def step_of(problem: Problem, block: Block) -> Step:
    """Prepare a block."""
    outputs = [slice(None)] * len(problem.shape)
    inputs = [slice(None)] * len(problem.shape)
    inner = [slice(None)] * len(problem.shape)
    padded = list(problem.shape)
    takes = []
    for axis, ends, source in zip(problem.axes, block.outputs, block.sources, strict=True):
        outputs[axis] = slice(*ends)
        padded[axis] = source.length
        if source.mapped:
            low, high = source.reaches()
            inputs[axis] = slice(low, high)
            takes.append((axis, source, low))
        else:
            inputs[axis] = slice(source.first, source.stop)
            inner[axis] = slice(source.before, source.before + source.stop - source.first)
    pads = any(s.before or s.after for s in block.sources)
    # the ends alone, as what lies between is copied; of little, all at once
    fills = [
        along(axis, place)
        for axis, at in enumerate(inner)
        if at.stop is not None
        for place in (slice(0, at.start), slice(at.stop, None))
    ]
    if math.prod(padded) <= LITTLE:
        fills = [(slice(None),)]
    return Step(
        tuple(outputs),
        tuple(inputs),
        tuple(takes),
        tuple(padded) if pads else None,
        tuple(inner),
        tuple(fills),
        math.prod(source.length for source in block.sources),
        math.prod(stop - first for first, stop in block.outputs),
    )


class Blocked:
    """A problem's blocks, and the dtypes that a core works in.

    ``pairs`` says that complex samples go to the core as real ones, with a last axis of two.
    """

    def __init__(
        self,
        problem: Problem,
        blocks: Iterable[Block],
        work_in: DType,
        work_out: DType,
        *,
        pairs: bool = False,
    ) -> None:
        self.problem, self.work_in, self.work_out, self.pairs = problem, work_in, work_out, pairs
        fill = problem.fill_value
        self.fill = np.array([fill.real, fill.imag]) if pairs else fill
        self.steps = [step_of(problem, block) for block in blocks]

    @property
    def sums(self) -> DType:
        """The dtype of a block's sums, as whole numbers where they are complex."""
        return np.result_type(self.work_out, np.complex64) if self.pairs else self.work_out

    def __call__(self, core: Core, x: Array, out: Array, workers: int) -> None:
        """Give every block to the core, and its sums to ``out`` under the overflow rule."""
        self.parts([core], x, out, workers)

    def parts(self, cores: Sequence[Core], x: Array, out: Array, workers: int) -> None:
        """Give every block to one core, or to those of a kernel's real and imaginary part."""
        if self.pairs:
            x = as_pairs(x)
        for step in self.steps:
            self._step(step, cores, x, out, workers)

    def _step(self, step: Step, cores: Sequence[Core], x: Array, out: Array, workers: int) -> None:
        target, source = out[step.outputs], self.gather(step, x)
        direct = len(cores) == 1 and out.dtype == self.sums
        sums = [target if direct else np.empty(target.shape, self.sums) for _ in cores]
        for core, part in zip(cores, sums, strict=True):
            core(source, as_pairs(part) if self.pairs else part, workers)
        if len(sums) == 2:
            self._join(sums[0], sums[1], target)
        elif not direct:
            target[...] = convert(sums[0], out.dtype, self.problem.arithmetic.overflow)

    def _join(self, real: Array, imaginary: Array, target: Array) -> None:
        """Put the sums with the kernel's real part and those with its imaginary part together."""
        with np.errstate(invalid="ignore", over="ignore"):
            if self.pairs:
                real.real -= imaginary.imag
                real.imag += imaginary.real
                target[...] = real
            else:
                target.real, target.imag = real, imaginary

    def gather(self, step: Step, x: Array) -> Array:
        """Return the samples a block needs, in the working dtype, the boundary laid around."""
        source = x[step.inputs]
        for axis, ends, low in step.takes:
            source = continued(source, axis, ends, low)
        if step.padded is not None:
            shape = list(source.shape)
            for axis in self.problem.axes:
                shape[axis] = step.padded[axis]
            padded = _kept.empty(shape, self.work_in, "padded")
            for place in step.fills:
                padded[place] = self.fill
            padded[step.inner] = source
            return padded
        return source if source.dtype == self.work_in else source.astype(self.work_in, order="C")


def batches(problem: Problem, most: int) -> Iterator[tuple[slice, ...]]:
    """Cut the batch axes into pieces of at most ``most`` batches, innermost axes whole first."""
    steps = list(problem.shape)
    for axis in reversed(range(len(steps))):
        if axis not in problem.axes:
            steps[axis] = max(1, min(steps[axis], most))
            most //= steps[axis]
    counts = [
        range(1) if axis in problem.axes else range(0, n, steps[axis])
        for axis, n in enumerate(problem.shape)
    ]
    for first in np.ndindex(*(len(count) for count in counts)):
        yield tuple(
            slice(None)
            if axis in problem.axes
            else slice(i * steps[axis], min(problem.shape[axis], (i + 1) * steps[axis]))
            for axis, i in enumerate(first)
        )


def continued(x: Array, axis: int, source: Source, low: int) -> Array:
    """Return samples of an axis that is mapped past its ends: a slice is faster than indices.

    ``x`` begins at the sample ``low``.
    """
    shape = [*x.shape[:axis], source.length, *x.shape[axis + 1 :]]
    samples = _kept.empty(shape, x.dtype, f"axis {axis}")
    indices = source.indices() - low
    end = source.length - source.after
    plain = slice(source.first - low, source.stop - low) if end > source.before else slice(0, 0)
    samples[along(axis, slice(source.before, end))] = x[along(axis, plain)]
    for place in (slice(0, source.before), slice(end, source.length)):
        samples[along(axis, place)] = x.take(indices[place], axis)
    return samples


def along(axis: int, place: slice) -> tuple[slice, ...]:
    """Return the index of a part of an axis."""
    return (*(slice(None),) * axis, place)


def as_pairs(array: Array) -> Array:
    """View complex numbers as a last axis of two real ones, in whatever order they lie."""
    real = array.real
    shape, steps = (*real.shape, 2), (*real.strides, real.itemsize)
    pairs: Array = np.lib.stride_tricks.as_strided(real, shape, steps)
    return pairs
