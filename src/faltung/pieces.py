"""What a stream is made of: samples without ends, and what sums their pieces.

:class:`Continued` lays the boundary around what arrives; :class:`Blocks` computes outputs by plans
of the pieces, :class:`Partitioned` by partitions of a long kernel.
"""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from faltung import fourier, native, partitions
from faltung.boundary import FILL
from faltung.dtypes import Array, DType, convert
from faltung.geometry import Running, cuts
from faltung.limits import least_memory
from faltung.machine import machine
from faltung.methods import direct, fft, reference
from faltung.partitions import Doubt, Line, Spectra, Stretch
from faltung.planner import BY_NAME, Plan, choose, held_by
from faltung.problem import SCRATCH, Problem

BLOCK = 512  # samples of a block under a long kernel, unless the call gives a latency
MOST = 1 << 18  # samples of a block at the most: what is waited for is held
WORTH = 4.0  # times that partitions must be faster before samples are waited for unasked
PLANS = 16  # lengths of pieces whose plans are kept
KEPT = 32 << 20  # bytes that they may hold together
LONG = 1 << 15  # outputs from which planning is nothing beside computing
TRIED = range(21)  # powers of two of outputs, for pieces within a given memory
CHUNK = 1 << 17  # samples that partitions take at a time
SHARED = 1 << 14  # samples from which channels are shared among threads


def along(axis: int, first: int, stop: int | None) -> tuple[slice, ...]:
    """Return the index of a part of an axis."""
    return (*(slice(None),) * axis, slice(first, stop))


def owned(samples: Array) -> Array:
    """Return samples in memory of our own: a caller may fill his block anew."""
    return samples if samples.base is None and samples.flags.owndata else samples.copy()


def taken(x: Array, axis: int, indices: Array, fill: Any) -> Array:
    """Return the samples of an index map, and the fill value where it names none."""
    found = x.take(np.maximum(indices, 0), axis)
    outside = indices == FILL
    if outside.any():
        found[(slice(None),) * axis + (outside,)] = fill
    return found


class Continued:
    """Samples that arrive, with what stands before the first and beyond the last one."""

    def __init__(self, running: Running, axis: int, fill: Array) -> None:
        self.running, self.axis, self.fill = running, axis, fill
        self.count = 0
        self._begun = False
        self._last: Array | None = None

    def begin(self, empty: tuple[int, ...]) -> Array | None:
        """Return what stands before the first sample where that is known already."""
        if self.running.needed:
            return None
        self._begun = True
        return self._around(np.empty(empty, self.fill.dtype), -self.running.before, 0)

    def feed(self, block: Array) -> Array:
        """Take samples and return the sequence so far as it is known, from where it broke off."""
        self.count += block.shape[self.axis]
        if self._begun:
            self._keep(block, self.running.kept)
            return block
        held = self._keep(block, self.count)
        if self.count < self.running.needed:
            return held[along(self.axis, 0, 0)]
        self._begun = True
        before = self._around(held, -self.running.before, 0)
        source = np.concatenate([before, held], self.axis)
        self._keep(block[along(self.axis, 0, 0)], self.running.kept)
        return source

    def end(self, stop: int, empty: tuple[int, ...]) -> Array:
        """Return the rest of the sequence, up to the position ``stop``."""
        held = np.empty(empty, self.fill.dtype) if self._last is None else self._last
        low = self.count if self._begun else -self.running.before
        return self._around(held, low, max(low, stop))

    def _keep(self, block: Array, kept: int) -> Array:
        """Hold the newest samples."""
        length = block.shape[self.axis]
        if self._last is not None and length < kept:
            more = self._last.shape[self.axis] + length - kept
            old = self._last[along(self.axis, max(0, more), None)]
            self._last = np.concatenate([old, block], self.axis)
        else:
            self._last = block[along(self.axis, max(0, length - kept), None)].copy()
        return self._last

    def _around(self, held: Array, low: int, high: int) -> Array:
        """Return the samples at positions, of which the last are held."""
        indices = self.running.around(self.count, low, high)
        if (indices == FILL).all():
            shape = list(held.shape)
            shape[self.axis] = high - low
            return np.full(shape, self.fill, self.fill.dtype)
        first = self.count - held.shape[self.axis]
        return taken(held, self.axis, np.where(indices == FILL, FILL, indices - first), self.fill)


class Blocks:
    """Pieces of a sequence without ends, each by a plan of its own."""

    name = "plans"

    def __init__(self, problem: Problem, axis: int, wait: int) -> None:
        self.problem, self.axis, self.wait = problem, axis, wait
        self.geometry = problem.geometry[problem.axes.index(axis)]
        self._plans: OrderedDict[int, Plan] = OrderedDict()
        self._plan(1)  # so that what no method takes is told at once
        self._new = self._last = 0  # lengths that were planned, and the last one asked for
        self._most = None if problem.max_memory == SCRATCH else best_count(problem, axis)

    @property
    def memory(self) -> int:
        """Bytes of the samples that are held."""
        item = np.dtype(self.problem.dtype).itemsize + (8 if self.problem.weighted else 0)
        beside = math.prod(n for axis, n in enumerate(self.problem.shape) if axis != self.axis)
        return (self.geometry.reach + self.geometry.stride + self.wait) * beside * item

    def described(self) -> str:
        """Say what computes, at the lengths that came last."""
        plans = sorted((count, plan.method) for count, plan in self._plans.items())
        shown = [f"{method} for {count:,} output{'s'[: count > 1]}" for count, method in plans[-4:]]
        return f"plans of the pieces: {', '.join(shown)}"

    def reset(self) -> None:
        """Forget the samples."""
        self._held: Array | None = None
        self._weights: Array | None = None
        self._skip = 0

    def feed(self, source: Array, weights: Array | None) -> Array | None:
        """Take samples and return what is ready and may not wait."""
        self._hold(source, weights)
        assert self._held is not None
        reach, length = self.geometry.reach, self._held.shape[self.axis]
        if length <= reach + self.wait or self._skip:
            self._held = owned(self._held)
            self._weights = None if self._weights is None else owned(self._weights)
            return None
        return self._outputs(self.geometry.outputs_of(length))

    def finish(self, source: Array, weights: Array | None) -> Array | None:
        """Take the last samples and return what is left."""
        self._hold(source, weights)
        assert self._held is not None
        count = self.geometry.outputs_of(self._held.shape[self.axis])
        return None if not count or self._skip else self._outputs(count)

    def _hold(self, source: Array, weights: Array | None) -> None:
        """Add samples to those that are held."""
        drop = min(self._skip, source.shape[self.axis])
        self._skip -= drop
        self._held = self._added(self._held, source, drop)
        if weights is not None:
            self._weights = self._added(self._weights, weights, drop)

    def _added(self, held: Array | None, more: Array, drop: int) -> Array:
        more = more[along(self.axis, drop, None)]
        if held is None or held.shape[self.axis] == 0:
            return more
        return np.concatenate([held, more], self.axis) if more.shape[self.axis] else held

    def _outputs(self, count: int) -> Array:
        """Compute outputs and drop the samples that no other one needs."""
        assert self._held is not None
        length = self._held.shape[self.axis]
        parts = list(self._parts(count))
        outputs = self._computed(*parts[0])
        if len(parts) > 1:
            shape = list(outputs.shape)
            shape[self.axis] = count
            whole = np.empty(shape, outputs.dtype)
            whole[along(self.axis, *parts[0])] = outputs
            for part in parts[1:]:
                whole[along(self.axis, *part)] = self._computed(*part)
            outputs = whole
        passed = self.geometry.stride * count
        self._skip = max(0, passed - length)
        self._held = self._held[along(self.axis, min(passed, length), None)].copy()
        if self._weights is not None:
            self._weights = self._weights[along(self.axis, min(passed, length), None)].copy()
        return outputs

    def _computed(self, first: int, stop: int) -> Array:
        """Compute outputs of what is held."""
        assert self._held is not None
        stride, reach = self.geometry.stride, self.geometry.reach
        used = along(self.axis, stride * first, stride * (stop - 1) + reach + 1)
        weights = None if self._weights is None else self._weights[used]
        return self._plan(stop - first)(self._held[used], weights=weights)

    def _parts(self, count: int) -> Iterator[tuple[int, int]]:
        """Yield the outputs that are computed together, in ranges that may overlap.

        To plan takes longer than to compute a short piece twice: where every length is a new one,
        two overlapping pieces of a power of two give it.
        """
        for first, stop in cuts(0, count, self._most or count):
            n = stop - first
            known = n in self._plans or n == self._last or n >= LONG or self._new < PLANS
            self._new += n not in self._plans
            self._last = n
            power = 1 << n.bit_length() - 1
            if known or power == n:
                yield first, stop
            else:
                yield first, first + power
                yield stop - power, stop

    def _plan(self, count: int) -> Plan:
        """Return the plan of so many outputs."""
        found = self._plans.pop(count, None)
        if found is None:
            found = plan_of(self.problem, self.axis, count)
        self._plans[count] = found
        while len(self._plans) > 1 and (
            len(self._plans) > PLANS or sum(map(held_by, self._plans.values())) > KEPT
        ):
            self._plans.popitem(last=False)
        return found


def best_count(problem: Problem, axis: int) -> int | None:
    """Return how many outputs are computed fastest at a time within the memory that is given.

    It warns where that memory leaves only the loops of the definition.
    """
    table, found = machine(), []
    for power in TRIED:
        try:
            plan = plan_of(problem, axis, 1 << power)
        except ValueError:  # nothing keeps within it
            continue
        found.append((plan.cost(table).seconds / (1 << power), 1 << power, plan.method))
    if not found:
        return None
    seconds, count, method = min(found)
    usual = plan_of(replace(problem, max_memory=SCRATCH), axis, count)
    if method == reference.NAME != usual.method:
        least = least_memory(BY_NAME[usual.method], usual.problem)
        warnings.warn(
            f"max_memory={problem.max_memory:,} leaves this stream only the loops of the "
            f"definition, about {1 / seconds:,.0f} outputs a second; max_memory={least} would do "
            f"for {usual.method}.",
            stacklevel=5,
        )
    return count


def plan_of(problem: Problem, axis: int, count: int) -> Plan:
    """Return the plan of a piece with so many outputs along an axis.

    A method that was asked for may refuse short pieces, which any other then computes.
    """
    along = problem.geometry[problem.axes.index(axis)]
    shape = list(problem.shape)
    shape[axis] = along.stride * (count - 1) + along.reach + 1
    piece = replace(problem, shape=tuple(shape))
    if problem.max_memory == SCRATCH:
        piece = replace(piece, max_memory=piece.usual_memory)
    if problem.method == "auto":
        return choose(piece)
    try:
        return choose(piece)
    except ValueError:
        if not isinstance(problem.method, str) or problem.method not in BY_NAME:
            raise  # it is unknown
        return choose(replace(piece, method="auto"))


def partitioned(problem: Problem, axis: int, room: int | None) -> tuple[Stretch, ...] | None:
    """Return the partitions of a long kernel, None where plans of the pieces do as well.

    ``room`` is for how many samples may be waited; None for what is worth it.
    """
    along = problem.geometry[problem.axes.index(axis)]
    plain = problem.arithmetic.exact or fft.precision(problem) is None or problem.normalised
    if len(problem.axes) != 1 or plain or along.reach < partitions.LEAST:
        return None
    if problem.method not in ("auto", "fft") or math.prod(problem.shape) == 0:
        return None
    block = BLOCK if room is None else min(room + 1, MOST)
    dtype = np.dtype(problem.arithmetic.accumulator)
    table = machine()
    cut = partitions.best_cut(along.reach + 1, block, dtype.itemsize, table)

    def within(_: Problem) -> float:
        error = partitions.error_bound(cut, fft.eps_of(problem))
        return (
            error
            * problem.taps.norm
            / problem.taps.absolute_sum
            * math.sqrt(along.reach + 2 * block)
        )

    if fft.drowns(problem, within):
        return None
    channels = math.prod(problem.shape) // problem.shape[axis]
    limited = problem.max_memory != SCRATCH
    if limited and memory_of(cut, along.reach, channels, dtype.itemsize) > problem.max_memory:
        return None
    outputs = max(1, block // along.stride)
    pieces = plan_of(problem, axis, outputs).cost(table).seconds / block
    worth = WORTH if room is None else 1.0
    takes = channels * partitions.seconds(cut, dtype.itemsize, table)
    return cut if pieces > worth * takes else None


def memory_of(cut: tuple[Stretch, ...], reach: int, channels: int, item: int) -> int:
    """Return the bytes of spectra and of the samples that partitions hold."""
    spectra, channel = partitions.held(cut, item)
    return spectra + channels * (channel + (2 * reach + 2 * CHUNK) * item)


@dataclass(frozen=True)
class Shape:
    """How the samples of several channels lie in a block."""

    axis: int
    beside: tuple[int, ...]

    def lines(self, block: Array, dtype: DType) -> Array:
        """Return one row for each channel."""
        moved = np.moveaxis(block, self.axis, -1)
        return np.ascontiguousarray(moved.reshape(math.prod(self.beside), moved.shape[-1]), dtype)

    def block(self, lines: Array) -> Array:
        """Return rows as they lie in a block."""
        return np.moveaxis(lines.reshape(*self.beside, lines.shape[-1]), -1, self.axis)


class Partitioned:
    """A sequence without ends under a long kernel, channel by channel."""

    name = "partitions"

    def __init__(self, problem: Problem, axis: int, cut: tuple[Stretch, ...]) -> None:
        self.problem, self.cut = problem, cut
        self.geometry = problem.geometry[0]
        self._dtype = np.dtype(problem.arithmetic.accumulator)
        beside = tuple(n for place, n in enumerate(problem.shape) if place != axis)
        self._shape = Shape(axis, beside)
        taps = np.zeros(self.geometry.reach + 1, problem.taps.array.dtype)
        taps[:: problem.dilation[0]] = np.flip(problem.correlation_taps)
        self._spectra = tuple(Spectra(taps, each, self._dtype) for each in cut)
        self._plain = problem_of_channel(problem, self._dtype)
        self._doubt = self._doubts()

    def _doubts(self) -> Doubt | None:
        if self.problem.tolerance is not None:
            return None
        gain = self.problem.taps.norm
        info = np.finfo(self._dtype)
        noise = fourier.error(2 * max(each.size for each in self.cut), float(info.eps))
        share = self.problem.taps.absolute_sum * fft.QUIET
        return Doubt(noise * gain, share, float(info.tiny / info.eps))

    @property
    def memory(self) -> int:
        """Bytes of spectra and of the samples that are held."""
        channels = math.prod(self._shape.beside)
        return memory_of(self.cut, self.geometry.reach, channels, self._dtype.itemsize)

    def described(self) -> str:
        """Say what computes."""
        shown = [f"{s.partitions} of {s.size:,}" for s in self.cut]
        return f"partitions of the kernel, by products of spectra: {', '.join(shown)} taps"

    def reset(self) -> None:
        """Forget the samples."""
        channels = math.prod(self._shape.beside)
        self._lines = [
            Line(self._spectra, self.geometry.reach, self._doubt) for _ in range(channels)
        ]
        # so much silence first that the first output begins a block
        silence = -self.geometry.reach % self.cut[0].size
        self._pending = np.zeros((channels, silence), self._dtype)
        self._drop = self.geometry.reach + silence  # sums before the first output

    def feed(self, source: Array, weights: Array | None) -> Array | None:
        """Take samples and return what is ready."""
        del weights  # there are none
        return self._outputs(self._sums(self._shape.lines(source, self._dtype)))

    def finish(self, source: Array, weights: Array | None) -> Array | None:
        """Take the last samples and return what is left."""
        del weights
        source = self._shape.lines(source, self._dtype)
        left = self._pending.shape[1] + source.shape[1]
        block = self.cut[0].size
        silence = np.zeros((len(source), -left % block), self._dtype)
        return self._outputs(self._sums(np.concatenate([source, silence], 1))[:, :left])

    def _sums(self, source: Array) -> Array:
        """Return the sums of as many whole blocks as there are."""
        pending = np.concatenate([self._pending, source], 1)
        block = self.cut[0].size
        whole = pending.shape[1] // block * block
        self._pending = pending[:, whole:].copy()
        sums = np.empty((len(pending), whole), self._dtype)

        def run(channel: int) -> None:
            for first, stop in cuts(0, whole, max(block, CHUNK // block * block)):
                line = self._lines[channel]
                sums[channel, first:stop] = line(pending[channel, first:stop], self._summed)

        workers = min(native.get_workers(), len(pending))
        if workers > 1 and whole >= SHARED:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(run, range(len(pending))))
        else:
            for channel in range(len(pending)):
                run(channel)
        return sums

    def _summed(self, samples: Array) -> Array:
        """Sum a block as the definition has it."""
        problem = replace(self._plain, shape=samples.shape)
        sums = np.empty(len(samples) - self.geometry.reach, self._dtype)
        method = direct if direct.supports(problem).ok else reference
        method.prepare(problem)(np.ascontiguousarray(samples), sums, 1)
        return sums

    def _outputs(self, sums: Array) -> Array | None:
        """Return the outputs among sums."""
        stride = self.geometry.stride
        drop, length = self._drop, sums.shape[1]
        outputs = sums[:, drop::stride] if drop < length else sums[:, :0]
        self._drop = (drop - length) if drop >= length else -(length - drop) % stride
        if not outputs.shape[1]:
            return None
        if self.problem.nonnegative:
            outputs = np.maximum(outputs, 0)
        arithmetic = self.problem.arithmetic
        found = convert(outputs, self.problem.result_dtype, arithmetic.overflow)
        return np.ascontiguousarray(self._shape.block(found))


def problem_of_channel(problem: Problem, dtype: DType) -> Problem:
    """Return the problem of one channel's samples, where every tap lies inside."""
    inner = fft.inside(problem, (problem.geometry[0].reach + 1,), dtype)
    return replace(inner, axes=(0,), stride=(1,), max_memory=SCRATCH)
