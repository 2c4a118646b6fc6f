"""What the methods with compiled pipelines share: types, blocks, layouts and calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

import numpy as np

from faltung import native
from faltung.blocked import Blocked, Core, batches
from faltung.buffers import address
from faltung.dtypes import Array, holds
from faltung.geometry import Block, blocks, boxes, cuts
from faltung.layout import Along, Layout, layout
from faltung.machine import Machine
from faltung.methods import scratch
from faltung.problem import Problem

SMALL = 1 << 15  # outputs up to which one padded copy of the whole input is cheapest
COPY_BLOCK = 1 << 18  # outputs per block where samples or sums must be converted
SIDE = 256  # outputs of blocks of arrays whose memory is turned by the copy, along each axis
WHOLE, ROWS, SQUARES = "whole", "rows", "squares"  # what an interior is cut into
LEAST_BLOCK = 1 << 14  # the same where little memory is allowed
LEAST_MEMORY = 1 << 20  # bytes of a block's copies for which batches are not cut any further
WORK_BLOCK = 1 << 32  # multiply-adds per block: an interrupt waits no longer than for one block
SIZE_BLOCK = 1 << 28  # outputs per block: the pipelines count in 32 bits
THICKNESS = 64  # bytes of sums that strips along the innermost axis are wide at least: a vector

WORKING_INPUT = {"bool": "uint8", "int8": "int16"}
NARROW = ("uint8", "uint16")


@dataclass(frozen=True)
class Route:
    """The compiled types that a problem goes through."""

    input: str
    accumulator: str
    output: str

    @property
    def variant(self) -> native.Variant:
        """The types as the compiled library names them."""
        return self.input, self.accumulator, self.output


def route(problem: Problem) -> Route | str:
    """Return the types a problem goes through, or why there are none."""
    arithmetic, x = problem.arithmetic, np.dtype(problem.dtype)
    name = WORKING_INPUT.get(problem.dtype, problem.dtype)
    narrowed = arithmetic.overflow == "saturate" and arithmetic.result == name in NARROW
    if "object" in (problem.dtype, problem.taps.dtype, arithmetic.result):
        return "no pipeline takes Python objects"
    if arithmetic.bound is not None:
        if name in ("uint8", "uint16", "int16"):
            if narrowed and name == "uint8" and holds(np.dtype(np.int16), arithmetic.bound):
                return Route(name, "int16", name)
            if holds(np.dtype(np.int32), arithmetic.bound):
                return Route(name, "int32", name if narrowed else "int32")
        if max(-arithmetic.bound[0], arithmetic.bound[1]) < 2**53 and x.itemsize <= 4:
            return Route("float64", "float64", "float64")  # integers below 2**53 are exact in it
        return f"sums up to {arithmetic.bound[1]} have no exact pipeline"
    sums = np.dtype(arithmetic.accumulator)
    real = {"complex64": "float32", "complex128": "float64"}.get(sums.name, sums.name)
    if real not in ("float32", "float64"):
        return f"no pipeline sums in {sums.name}"
    if real == "float32" and name in ("uint8", "uint16", "int16") and sums.kind == "f":
        most = problem.taps.absolute_sum * float(np.iinfo(name).max)
        finite = most < float(np.finfo(real).max)  # no sum is NaN, of which integers make anything
        return Route(name, real, name if narrowed and finite else real)
    if (name, real, name) == ("uint16", "float64", "uint16") and narrowed:
        most = problem.taps.absolute_sum * 2.0**16
        if most < float(np.finfo(real).max):
            return Route(name, real, name)
    return Route(real, real, real)


def spanned_axes(problem: Problem) -> frozenset[int]:
    """Return the axes that are more than batch axes to the pipelines."""
    pairs = zip(problem.axes, problem.geometry, strict=True)
    return frozenset(axis for axis, along in pairs if along.taps > 1 or along.stride > 1)


def ends_seconds(problem: Problem, found: Route, machine: Machine, thickness: int) -> float:
    """Predict what the strips along the ends take, whose samples are copied on one core."""
    outputs, item = math.prod(problem.result_shape), np.dtype(found.input).itemsize
    ends = [
        (along, boundary)
        for along, boundary in zip(problem.geometry, problem.boundary, strict=True)
        if along.inside != (0, along.count)
    ]
    # fill values are laid around once, samples from elsewhere axis by axis
    ways = 1 + 0.5 * sum(boundary != "constant" for _, boundary in ends)
    if outputs <= SMALL:
        return ways * outputs * item / machine.copy if ends else 0.0
    copied = 0.0
    for along, _ in ends:
        inner = along is problem.geometry[-1]
        least = thickness // np.dtype(found.accumulator).itemsize if inner else 4
        strip = min(2 * max(least, along.reach / 2) + 2 * along.reach, along.n + along.reach)
        copied += outputs * strip / max(1, along.count)
    return ways * copied * item / machine.copy


def convert_seconds(problem: Problem, found: Route, machine: Machine) -> float:
    """Predict what it takes to bring samples and sums into the compiled types, on one core."""
    name = WORKING_INPUT.get(problem.dtype, problem.dtype)
    name = {"complex64": "float32", "complex128": "float64"}.get(name, name)
    result = problem.arithmetic.result
    result = {"complex64": "float32", "complex128": "float64"}.get(result, result)
    ways = 0.5 * (found.input != name) + 1.2 * (found.output != result)  # rounded and checked
    if np.dtype(problem.taps.dtype).kind == "c":
        ways += 2  # the sums of the kernel's two parts are put together
    item = np.dtype(found.accumulator).itemsize
    return math.prod(problem.result_shape) * ways * item / machine.copy


def passes_of(problem: Problem) -> int:
    """Real passes that complex numbers take."""
    x_complex = np.dtype(problem.dtype).kind == "c"
    k_complex = np.dtype(problem.taps.dtype).kind == "c"
    return (2 if x_complex else 1) * (2 if k_complex else 1)


def real_parts(problem: Problem) -> list[Array]:
    """Return the taps as they lie on the input, axes in the order of memory, in real parts."""
    taps = problem.correlation_taps.transpose(np.argsort(problem.axes))
    return [taps.real, taps.imag] if taps.dtype.kind == "c" else [taps]


def copied_item(problem: Problem, found: Route) -> int:
    """Return the bytes that an output takes in a copied block: samples, laid out, and sums."""
    item_in, item_out = (np.dtype(t).itemsize for t in (found.input, found.output))
    parts = len(real_parts(problem))
    pairs = 2 if np.dtype(problem.dtype).kind == "c" else 1
    return (3 * item_in + max(2, parts) * item_out) * pairs


def copied_outputs(problem: Problem, found: Route) -> int:
    """Return how many outputs a copied block has: fewer where little memory is allowed."""
    fitting = problem.max_memory // (2 * copied_item(problem, found))  # room for a method's own
    return min(COPY_BLOCK, max(LEAST_BLOCK, fitting))


def least_lengths(problem: Problem, found: Route) -> list[int]:
    """Return how long copied blocks are at least: shorter ones copy the same samples repeatedly."""
    most = problem.max_memory // (2 * copied_item(problem, found))
    lengths: list[int] = []
    for times in (4, 2, 1):
        lengths = [max(1, min(a.count, times * a.reach // a.stride)) for a in problem.geometry]
        if math.prod(lengths) <= most:
            break
    return lengths


def copies(problem: Problem, found: Route, more: int = 0) -> int:
    """Return the scratch bytes of blocks in copies, and ``more`` for each; less of few outputs."""
    item = copied_item(problem, found)
    pairs = zip(problem.geometry, least_lengths(problem, found), strict=True)
    least = math.prod(along.stride * n + along.reach for along, n in pairs)
    return scratch(problem, max(least, copied_outputs(problem, found)) * item + more, item)


Pipeline = Callable[[int, int, int], None]
"""A prepared call, or several: takes the addresses of input and output and the thread count."""

Calls = Callable[[native.Form], Pipeline]
"""Prepares the call for lengths and strides: one for each real part of a kernel."""

Prepared = tuple[Layout, Pipeline]


class Compiled:
    """A problem with its blocks cut and its pipeline calls prepared.

    ``calls`` holds, for each real part of the kernel, what makes a call; ``work`` is about the
    number of multiply-adds for each output, and ``thickness`` the least width of strips in bytes.
    """

    def __init__(
        self,
        problem: Problem,
        found: Route,
        calls: Sequence[Calls],
        work: float,
        *,
        thickness: int = THICKNESS,
        block: int = SIZE_BLOCK,
    ) -> None:
        self.problem, self.route = problem, found
        self.thickness, self.block = thickness, block
        self.spanned = spanned_axes(problem)
        self.pairs = np.dtype(problem.dtype).kind == "c"
        types = (found.input, found.output)
        self.converts = types != (problem.dtype, problem.arithmetic.result) or len(calls) > 1
        self.work, self.item = work, copied_item(problem, found)
        self.least = least_lengths(problem, found)
        self.blocked = self._blocked(ROWS if self.converts else WHOLE)
        self.cores: list[Core] = [PipelineCore(self, make) for make in calls]
        self.copied: dict[str, Blocked] = {}
        self.lying: dict[Any, str] = {}
        self.pieces: dict[str, list[tuple[slice, ...]]] = {}

    def _blocked(self, cut: str) -> Blocked:
        return Blocked(
            self.problem,
            self._cut(cut),
            np.dtype(self.route.input),
            np.dtype(self.route.output),
            pairs=self.pairs,
        )

    def _cut(self, cut: str) -> list[Block]:
        problem, found = self.problem, self.route
        total = math.prod(problem.result_shape)
        if total == 0:
            return []
        most = max(1, int(WORK_BLOCK / self.work))
        copied = self._limit(min(copied_outputs(problem, found), most), most)
        limit = copied
        if cut == WHOLE:
            limit = self._limit(min(self.block, most), most)
        elif cut == SQUARES:
            limit = self._squares(copied)
        margins = [4] * len(problem.axes)
        margins[-1] = self.thickness // np.dtype(found.accumulator).itemsize
        every = blocks(
            problem.geometry,
            problem.boundary,
            whole=total <= SMALL,
            margins=margins,
            limit=limit,
            strip_limit=copied,
        )
        if total <= SMALL:
            return list(every)
        return list(chain.from_iterable(map(self._shortened, every)))

    def _shortened(self, block: Block) -> Iterable[Block]:
        """Cut a strip that is copied and very long, as beside the interior of a long axis."""
        if all(source.plain for source in block.sources):
            return [block]
        problem = self.problem
        lengths = [stop - first for first, stop in block.outputs]
        others = math.prod(n for a, n in enumerate(problem.shape) if a not in problem.axes)
        least, most = self.least, copied_outputs(problem, self.route)
        while math.prod(lengths) * others > most:
            n = max(range(len(lengths)), key=lambda n: lengths[n] / least[n])
            if lengths[n] <= least[n]:
                break
            lengths[n] = max(least[n], -(-lengths[n] // 2))
        ranges = [cuts(*ends, n) for ends, n in zip(block.outputs, lengths, strict=True)]
        return boxes(ranges, problem.geometry, problem.boundary)

    def _limit(self, outputs: int, most: int) -> list[int]:
        """Return how far blocks of so many outputs, or ``most``, may reach along each axis."""
        problem = self.problem
        batches = math.prod(problem.shape[: min(problem.axes)])
        outputs, most = max(1, outputs // batches), max(1, most // batches)
        limit = []
        for axis, least in zip(problem.axes, self.least, strict=True):
            inner = math.prod(problem.result_shape[axis + 1 :])
            reach = min(least, most // max(1, inner))
            limit.append(max(1, outputs // max(1, inner), reach))
        return limit

    def _squares(self, most: list[int]) -> list[int]:
        """Return lengths of blocks that reach as far along each axis: what is turned reads less."""
        problem = self.problem
        others = math.prod(n for a, n in enumerate(problem.result_shape) if a not in problem.axes)
        outputs = min(COPY_BLOCK, math.prod(most) * others)
        side = min(SIDE, int((outputs / max(1, others)) ** (1 / len(most))))
        return [
            max(1, min(along.count, max(side, least)))
            for along, least in zip(problem.geometry, self.least, strict=True)
        ]

    def alongs(self, x: Array, y: Array, order: tuple[int, ...]) -> tuple[Along, ...]:
        """Describe the axes of a block; ``order`` says which of the problem's axes each one is."""
        convolved = dict(zip(self.problem.axes, self.problem.geometry, strict=True))
        alongs = []
        for sizes, axis in zip(
            zip(x.shape, y.shape, x.strides, y.strides, strict=True), order, strict=True
        ):
            along = convolved.get(axis)
            kernel = (1, 1, 1)
            if along:  # a step that is never taken may be too long for the pipelines
                stride = along.stride if sizes[1] > 1 else 1
                kernel = (along.taps, stride, along.dilation if along.taps > 1 else 1)
            alongs.append(Along(*sizes, *kernel))
        return tuple(alongs)

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute the problem on ``x`` into ``out`` on at most ``workers`` threads."""
        cut = self._cut_for(x, out)
        blocked = self.blocked
        if cut != WHOLE and not self.converts:  # no more than a block is copied at a time
            if cut not in self.copied:
                self.copied[cut] = self._blocked(cut)
            blocked = self.copied[cut]
        for batch in self._batches(blocked, cut):
            blocked.parts(self.cores, x[batch], out[batch], workers)

    def _cut_for(self, x: Array, out: Array) -> str:
        """Say what blocks arrays are cut into that lie as these do."""
        if self.converts:
            return ROWS
        key = x.strides, out.strides, x.dtype.isnative
        if key not in self.lying:
            if len(self.lying) >= 256:
                self.lying.clear()
            turned = any(abs(a.strides[-1]) > 2 * a.itemsize for a in (x, out))
            copied = SQUARES if turned and len(self.problem.axes) > 1 else ROWS
            taken = x.dtype.isnative and self._taken(x, out)
            self.lying[key] = WHOLE if taken else copied
        return self.lying[key]

    def _taken(self, x: Array, out: Array) -> bool:
        """Whether a pipeline takes the interior, which comes last; strips are copied anyway."""
        if not self.blocked.steps:
            return True
        step = self.blocked.steps[-1]
        if step.padded is not None or step.takes:
            return True
        source, target = x[step.inputs], out[step.outputs]
        alongs = self.alongs(source, target, tuple(range(x.ndim)))
        return layout(alongs, x.itemsize, out.itemsize) is not None

    def _batches(self, blocked: Blocked, cut: str) -> list[tuple[slice, ...]]:
        """Cut the batch axes where the copies of one block would take more than the memory."""
        if cut not in self.pieces:
            copied = (s for s in blocked.steps if cut != WHOLE or s.padded is not None or s.takes)
            each = max((max(s.samples, s.count) for s in copied), default=1) * self.item
            most = max(self.problem.max_memory, LEAST_MEMORY) // each
            self.pieces[cut] = list(batches(self.problem, max(1, most)))
        return self.pieces[cut]


class PipelineCore:
    """Hands a block to a pipeline: where it lies, or through a copy that the pipeline can take."""

    def __init__(self, compiled: Compiled, make: Calls) -> None:
        self.compiled, self.make = compiled, make
        self.calls: dict[Any, Prepared | None] = {}

    def __call__(self, source: Array, target: Array, workers: int) -> None:
        """Compute a block's outputs from the samples that cover its taps."""
        prepared = self._prepared(source, target, None)
        if prepared is not None:
            run_loops(prepared, address(source), address(target), workers)
            return
        # Memory that no pipeline takes as it lies is copied, batch axes first.
        order = tuple(sorted(range(source.ndim), key=self.compiled.spanned.__contains__))
        source = np.ascontiguousarray(source.transpose(order))
        sums = np.empty([target.shape[axis] for axis in order], target.dtype)
        prepared = self._prepared(source, sums, order)
        assert prepared is not None
        run_loops(prepared, address(source), address(sums), workers)
        target[...] = sums.transpose(np.argsort(order))

    def _prepared(self, x: Array, y: Array, order: tuple[int, ...] | None) -> Prepared | None:
        """Return the call for these lengths and strides; None where the block must be copied."""
        key = (x.shape, x.strides, y.shape, y.strides, order)
        try:
            return self.calls[key]
        except KeyError:
            pass
        alongs = self.compiled.alongs(x, y, order or tuple(range(x.ndim)))
        found = layout(alongs, x.itemsize, y.itemsize)
        prepared = None if found is None else (found, self.make(found.form))
        if len(self.calls) < 256:
            self.calls[key] = prepared
        return prepared


def run_loops(prepared: Prepared, x: int, y: int, workers: int) -> None:
    """Run a call for every combination of the loops around it."""
    found, call = prepared
    if not found.loops:
        call(x, y, workers)
        return
    for at in product(*(range(count) for count, _, _ in found.loops)):
        dx = sum(i * step for i, (_, step, _) in zip(at, found.loops, strict=True))
        dy = sum(i * step for i, (_, _, step) in zip(at, found.loops, strict=True))
        call(x + dx, y + dy, workers)
