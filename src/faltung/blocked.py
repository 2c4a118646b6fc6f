"""Cut a problem into blocks, and give each block's samples to a core as plain memory.

The outputs are cut into an interior, which reads the input where it lies, and strips along the
ends, for which the boundary is laid around a copy of just the samples they need. What a core sees
has no boundary any more: an array that covers every tap, in the dtype it works in, and the outputs.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.dtypes import Array, DType, convert
from faltung.geometry import Block, Source
from faltung.problem import Problem

Core = Callable[[Array, Array, int], None]
"""Computes outputs from a source that covers their taps: ``core(source, outputs, workers)``."""


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
    """One block, ready to run: views of input and output, and the boundary to lay around."""

    outputs: tuple[slice, ...]
    inputs: tuple[slice, ...]
    takes: tuple[tuple[int, Source, int], ...]
    padded: tuple[int, ...] | None
    inner: tuple[slice, ...]


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
    return Step(
        tuple(outputs),
        tuple(inputs),
        tuple(takes),
        tuple(padded) if pads else None,
        tuple(inner),
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

    def __call__(self, core: Core, x: Array, out: Array, workers: int) -> None:
        """Give every block to the core, and its sums to ``out`` under the overflow rule."""
        if self.pairs:
            part = np.result_type(self.work_out, np.complex64)
            sums = (
                out if out.dtype == part and out.flags.c_contiguous else np.empty(out.shape, part)
            )
            self._blocks(core, as_pairs(x, part), as_pairs(sums, part), workers)
            if sums is not out:
                out[...] = convert(sums, out.dtype, self.problem.arithmetic.overflow)
        else:
            self._blocks(core, x, out, workers)

    def _blocks(self, core: Core, x: Array, out: Array, workers: int) -> None:
        overflow = self.problem.arithmetic.overflow
        direct = out.dtype == self.work_out
        for step in self.steps:
            target = out[step.outputs]
            sums = target if direct else np.empty(target.shape, self.work_out)
            core(self.gather(step, x), sums, workers)
            if not direct:
                target[...] = convert(sums, out.dtype, overflow)

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
            for axis, inner in enumerate(step.inner):
                if inner != slice(None):  # the ends alone: what lies between is copied
                    padded[along(axis, slice(0, inner.start))] = self.fill
                    padded[along(axis, slice(inner.stop, None))] = self.fill
            padded[step.inner] = source
            return padded
        return source if source.dtype == self.work_in else source.astype(self.work_in, order="C")


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


def as_pairs(array: Array, dtype: Any) -> Array:
    """View complex numbers as a last axis of two real ones."""
    array = np.ascontiguousarray(array, dtype)
    return array.view(array.real.dtype).reshape(*array.shape, 2)


def run_parts(blocked: Blocked, cores: list[Core], x: Array, out: Array, workers: int) -> None:
    """Run one core, or those of a kernel's real and imaginary part, and put the sums together."""
    if len(cores) == 1:
        blocked(cores[0], x, out, workers)
        return
    part = np.result_type(blocked.work_out, np.complex64) if blocked.pairs else blocked.work_out
    sums = [np.empty(out.shape, part) for _ in cores]
    for core, partial in zip(cores, sums, strict=True):
        blocked(core, x, partial, workers)
    real, imaginary = sums
    with np.errstate(invalid="ignore", over="ignore"):
        if blocked.pairs:
            out.real = real.real - imaginary.imag
            out.imag = real.imag + imaginary.real
        else:
            out.real, out.imag = real, imaginary
