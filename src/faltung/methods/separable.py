"""Kernels that are products of one-dimensional ones, or sums of a few such products.

A block is summed along one axis after the other. Where two axes of the kernel include the one that
lies densely in memory, one pipeline does both in tiles that stay in cache; any other combination
goes through the direct pipelines, axis by axis, with the sums between them in scratch memory.

Several products may have different signs where the kernel has one: of an infinite sample they
would make NaN. So blocks are looked at first, and one with a sample that is not finite is summed
directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np

from faltung import native
from faltung.analysis import Factors, factor, obstacle
from faltung.buffers import address
from faltung.compiled import (
    LEAST_MEMORY,
    SIZE_BLOCK,
    Compiled,
    Route,
    convert_seconds,
    copies,
    ends_seconds,
    passes_of,
    real_parts,
    route,
    spanned_axes,
)
from faltung.dtypes import Array, DType
from faltung.layout import INTERLEAVED
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict, direct
from faltung.methods.sparse import CHECKED_ROWS, Guarded, Look, may_be_infinite
from faltung.native import Call, Form
from faltung.problem import Problem, Taps

NAME = "separable"
NO_FACTORS = "the kernel is no sum of a few products of 1-D kernels"
Triple = tuple[int, int, int]

THICKNESS = 512  # bytes of sums that strips are wide at least: the sums along a row in registers
# Memory is fetched ahead along rows, so that tiles are wide and low; the sums between the passes
# take a part of a core's second-level cache, more of it where each of them is read more often.
TILE_WIDTH = 4096
TILE_ROWS = 64
TILE_BYTES = 1 << 17
TALL = 48
WAYS = 14  # accesses of sums in the cache for each output, whatever the kernel
BLOCK_BYTES = 1 << 24  # of the sums between two pipelines: they stay in the last-level cache


def factored(problem: Problem) -> list[Factors] | None:
    """Return the factors of the kernel's real parts, in the order of memory."""
    found = [factor(Taps.of(np.ascontiguousarray(part))) for part in real_parts(problem)]
    return [f for f in found if f] if all(found) else None


def supports(problem: Problem) -> Verdict:
    """Floating sums over two or three axes whose kernel factors within the taps' precision."""
    if not native.variants(NAME):
        return Verdict(False, "the compiled library is not there")
    found = route(problem)
    if isinstance(found, str):
        return Verdict(False, found)
    if problem.arithmetic.exact:
        return Verdict(False, "exact integers are summed directly")
    taps = sum(n > 1 for n in problem.taps.shape)
    if taps < 2:
        return Verdict(False, "the kernel spans a single axis" if taps else "there is a single tap")
    if len(spanned_axes(problem)) > 3:
        spanned = len(spanned_axes(problem))
        return Verdict(False, f"the kernel spans {spanned} axes and the pipelines at most 3")
    if found.variant not in native.variants(NAME):
        return Verdict(False, f"there is no separable pipeline from {found.input}")
    factors = factored(problem)
    if factors is None:
        return Verdict(False, NO_FACTORS)
    rank = max(f.rank for f in factors)
    what = "separable" if rank == 1 else f"a sum of {rank} separable terms"
    return Verdict(True, f"the kernel is {what}")


def reason(problem: Problem) -> str | None:
    """Say more of why a kernel has no factors; None where that is not what refuses it."""
    if supports(problem).note != NO_FACTORS:
        return None
    parts = [Taps.of(np.ascontiguousarray(part)) for part in real_parts(problem)]
    return next((obstacle(part) for part in parts if factor(part) is None), None)


def cost(problem: Problem, machine: Machine) -> Cost:
    """Take the larger of the arithmetic of the passes and the memory traffic, and the calls."""
    factors = factored(problem)
    found = route(problem)
    if factors is None or isinstance(found, str):
        return Cost(math.inf, 0)
    item = np.dtype(found.accumulator).itemsize
    outputs = math.prod(problem.result_shape)
    taps = sum(problem.taps.shape) * max(f.rank for f in factors) * passes_of(problem)
    taps += passes_of(problem) * looks(problem, factors)  # a look costs about as much as a tap
    in_size = math.prod(problem.shape) * np.dtype(problem.dtype).itemsize
    traffic = machine.moving(in_size + outputs * problem.result_dtype.itemsize)
    # besides its taps, an output is written and read between the passes, in the cache
    arithmetic = outputs * (
        passes_of(problem) * WAYS * item / machine.cached
        + taps / (machine.multiply_adds * 4 / item)
    )
    steps = 1 if outputs <= 1 << 15 else 2 * len(problem.axes) + 1
    seconds = max(arithmetic / native.processors(), traffic)
    seconds += convert_seconds(problem, found, machine)
    seconds += passes_of(problem) * ends_seconds(problem, found, machine, THICKNESS)
    memory = copies(problem, found, between(problem, factors))
    return Cost(seconds + steps * 2 * machine.call, memory)


def chained(problem: Problem) -> bool:
    """Whether pipelines follow one another, with the sums of a block between them in memory."""
    spanned = spanned_axes(problem)
    channels = math.prod(problem.result_shape[max(spanned) + 1 :])
    dense = channels == 1 or (channels < INTERLEAVED and problem.stride[-1] == 1)
    return len(spanned) == 3 or not dense


def between(problem: Problem, factors: Sequence[Factors]) -> int:
    """Return the bytes of what there is of a block between pipelines: sums, or what a look sums."""
    if chained(problem):
        return block_bytes(problem)
    return block_bytes(problem) // CHECKED_ROWS if looks(problem, factors) else 0


def block_bytes(problem: Problem) -> int:
    """Return the bytes of sums of the blocks that several pipelines work on."""
    return min(BLOCK_BYTES, max(LEAST_MEMORY, problem.max_memory // 4))


def looks(problem: Problem, factors: Sequence[Factors]) -> bool:
    """Whether blocks must be looked at: several products, and samples that may be infinite."""
    return max(f.rank for f in factors) > 1 and may_be_infinite(problem)


def error_bound(problem: Problem) -> float:
    """Add the factors' own error and a rounding for each multiply-add of the passes."""
    factors = factored(problem)
    assert factors is not None
    eps = float(np.finfo(np.dtype(problem.arithmetic.accumulator)).eps)
    last = float(np.finfo(problem.result_dtype).eps) if problem.result_dtype.kind in "fc" else 0.0
    bound = max(f.error_bound(eps) for f in factors)
    if any(f.rank > 1 for f in factors):  # blocks too small for the tiles are summed directly
        bound = max(bound, (problem.taps.size + 1) * eps)
    return passes_of(problem) * bound + last


def prepare(problem: Problem) -> Run:
    """Return the run over the problem's blocks."""
    found, factors = route(problem), factored(problem)
    assert isinstance(found, Route)
    assert factors is not None
    wholes = [np.ascontiguousarray(part, found.accumulator) for part in real_parts(problem)]
    look = may_be_infinite(problem)
    calls = [Passes(found, f, whole, look) for f, whole in zip(factors, wholes, strict=True)]
    work = float(sum(problem.taps.shape) * passes_of(problem))
    size = block_bytes(problem) // np.dtype(found.accumulator).itemsize
    small = chained(problem) or looks(problem, factors)
    block = size if small else SIZE_BLOCK
    return Compiled(problem, found, calls, work, thickness=THICKNESS, block=block)


class Passes:
    """Prepares the passes of one real kernel for a form of memory."""

    def __init__(self, found: Route, factors: Factors, whole: Array, look: bool) -> None:
        self.found, self.factors = found, factors
        self.look = look and factors.rank > 1
        self.whole = direct.calls(found, whole)
        self.item = np.dtype(found.accumulator).itemsize
        self.terms = [long_lines([t.array for t in term], whole.dtype) for term in factors.terms]

    def __call__(self, form: Form) -> Callable[[int, int, int], None]:
        """Return what runs on the addresses of input and output."""
        spanned = [axis for axis in (2, 1, 0) if form.k_shape[axis] > 1]  # outermost first
        lines = {axis: [term[n] for term in self.terms] for n, axis in enumerate(spanned)}
        fused = spanned[-1] == 0 and self._wide(form, spanned[-2])
        if len(spanned) == 2 and fused:
            passes = self._fused(self.found, form, lines, spanned[0])
            if not self.look:
                return passes
            return Guarded(passes, Look(self.found, form), self.whole(form))
        if self.factors.rank > 1 or self.found.output != self.found.accumulator:
            return self.whole(form)
        # one pass after the other, the outermost axis first: its sums are the fewest
        runs: list[Callable[[int, int, int], None]] = []
        scratch = []
        rest, source = spanned, self.found.input
        while rest:
            last = len(rest) == 1 or (len(rest) == 2 and fused)
            here, form = split_pass(form, rest[0], last)
            route = Route(source, self.found.accumulator, self.found.output)
            if last and len(rest) == 2:
                runs.append(self._fused(route, here, lines, rest[0]))
            else:
                runs.append(direct.calls(route, lines[rest[0]][0])(here))
            scratch.append(math.prod(here.y_shape) * self.item)
            source = self.found.accumulator
            rest = [] if last else rest[1:]
        return Chain(runs, scratch[:-1])

    def _wide(self, form: Form, outer: int) -> bool:
        """Whether the outputs fill the least tile of the fused pipeline."""
        return form.y_shape[0] * self.item >= THICKNESS and form.y_shape[outer] >= 4

    def _fused(self, found: Route, form: Form, lines: dict[int, list[Array]], outer: int) -> Call:
        """Return the call that sums along ``outer`` and x in tiles."""
        if outer == 2:
            form = swapped(form)
        if form.stride[2] > 1:  # without a kernel there, a stride is a longer step
            steps = (*form.x_strides[:2], form.x_strides[2] * form.stride[2])
            form = replace(form, x_strides=steps)
        across, down = (
            np.ascontiguousarray(np.stack(lines[axis]), found.accumulator) for axis in (0, outer)
        )
        reach = form.dilation[0] * (form.k_shape[0] - 1)
        width, height = form.y_shape[:2]
        rank = self.factors.rank
        wide = tile_length(width, TILE_WIDTH, THICKNESS // self.item)
        buffered = (wide * form.stride[0] + reach) * rank * self.item
        size = TILE_BYTES * (2 if form.k_shape[1] > TALL else 1)
        high = tile_length(height, min(TILE_ROWS, max(4, size // buffered)), 4)
        strip = min(wide, THICKNESS // self.item)
        numbers = (
            *form.stride[:2], *form.dilation[:2], *divmod(form.k_shape[1], 4), wide, high, strip,
        )  # fmt: skip
        work = math.prod(form.y_shape) * rank * sum(form.k_shape[:2])
        return Call(NAME, found.variant, form, [across, down], numbers, work)


def long_lines(term: Sequence[Array], dtype: DType) -> list[Array]:
    """Return the factors of more than one tap; those of one tap are numbers, which go into them."""
    scale = math.prod(float(line[0]) for line in term if len(line) == 1)
    lines = [line.astype(dtype) for line in term if len(line) > 1]
    return [(lines[0] * scale).astype(dtype), *lines[1:]]


def tile_length(length: int, wanted: int, multiple: int) -> int:
    """Return a length near the wanted one that cuts a whole evenly, and does not exceed it.

    >>> tile_length(1000, 300, 32), tile_length(40, 300, 32)
    (352, 40)
    """
    pieces = max(1, round(length / wanted))
    return min(length, -(-length // pieces // multiple) * multiple)


def swapped(form: Form) -> Form:
    """Exchange the two outer axes."""
    changed = {}
    for part in fields(form):
        x, y, z = getattr(form, part.name)
        changed[part.name] = (x, z, y)
    return Form(**changed)


def split_pass(form: Form, axis: int, last: bool) -> tuple[Form, Form]:
    """Return the form of a pass along one axis, and that of the passes which remain.

    The last pass writes to the output, any other to scratch memory, densely.
    """
    if last:
        return form, form
    x, y, z = form.x_shape
    between = replaced((x, y, z), axis, form.y_shape[axis])
    steps = (1, between[0], between[0] * between[1])
    one = (1, 1, 1)
    here = replace(
        form,
        y_shape=between,
        y_strides=steps,
        k_shape=replaced(one, axis, form.k_shape[axis]),
        stride=replaced(one, axis, form.stride[axis]),
        dilation=replaced(one, axis, form.dilation[axis]),
    )
    rest = replace(
        form,
        x_shape=between,
        x_strides=steps,
        k_shape=replaced(form.k_shape, axis, 1),
        stride=replaced(form.stride, axis, 1),
        dilation=replaced(form.dilation, axis, 1),
    )
    return here, rest


def replaced(values: Triple, axis: int, value: int) -> Triple:
    """Return the three values with one of them replaced."""
    x, y, z = (value if a == axis else v for a, v in enumerate(values))
    return x, y, z


class Chain:
    """Passes one after the other, each into scratch memory but the last."""

    def __init__(
        self, runs: Sequence[Callable[[int, int, int], None]], scratch: Sequence[int]
    ) -> None:
        self.runs, self.scratch = runs, scratch

    def __call__(self, x: int, y: int, threads: int) -> None:
        """Run on the addresses of input and output."""
        between = [np.empty(size, np.uint8) for size in self.scratch]
        stations = [x, *map(address, between), y]
        for run, source, target in zip(self.runs, stations, stations[1:], strict=False):
            run(source, target, threads)
