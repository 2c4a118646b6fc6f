"""Kernels with few taps among many zeros: the work is that of the taps that are not zero.

A footprint includes its zero taps all the same: a zero times NaN or infinity is NaN. So each block
is looked at first, and one whose samples are not all finite is summed by the direct pipelines.
"""

from __future__ import annotations

import math

import numpy as np

from faltung import native
from faltung.buffers import address
from faltung.compiled import (
    SIZE_BLOCK,
    SMALL,
    Calls,
    Compiled,
    Pipeline,
    Route,
    copies,
    passes_of,
    real_parts,
    route,
    spanned_axes,
)
from faltung.dtypes import Array
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict, direct
from faltung.native import Call, Form
from faltung.problem import Problem

NAME = "sparse"
Box = tuple[int, int, int]

BLOCK_BYTES = 1 << 24  # of samples that are looked at and then used, which a cache should hold
PITCH = 4096  # outputs in each of the rows that a long one is cut into, for threads to share
CHECKED_ROWS = 8  # rows that are looked at together: their zeros are summed
LOADING = 0.5  # of the direct multiply-adds a second: each of these loads its samples


def supports(problem: Problem) -> Verdict:
    """Kernels most of whose taps are zero, without strides."""
    if not native.variants(NAME):
        return Verdict(False, "the compiled library is not there")
    found = route(problem)
    if isinstance(found, str):
        return Verdict(False, found)
    count, size = np.count_nonzero(problem.taps.array), problem.taps.size
    if 2 * count >= size:
        return Verdict(False, f"{count} of {size} taps are not zero, and fewer than half would do")
    if set(problem.stride) != {1}:
        return Verdict(False, "lists of taps have no strides")
    if found.variant not in native.variants(NAME):
        types = f"{found.input} in, {found.accumulator} sums, {found.output} out"
        return Verdict(False, f"there is no pipeline for lists of taps: {types}")
    spanned = spanned_axes(problem)
    if len(spanned) > 3:
        return Verdict(False, f"the kernel spans {len(spanned)} axes and the pipelines at most 3")
    return Verdict(True, f"{count} of {size} taps are not zero")


def counts(problem: Problem) -> list[int]:
    """Return the number of taps in the lists, one for each real part of the kernel."""
    return [max(1, int(np.count_nonzero(part))) for part in real_parts(problem)]


def may_be_infinite(problem: Problem) -> bool:
    """Whether a sample may be infinite or NaN."""
    return np.dtype(problem.dtype).kind in "fc"


def cost(problem: Problem, machine: Machine) -> Cost:
    """Add the arithmetic, most of which waits for samples, the memory traffic and the calls."""
    found = route(problem)
    if isinstance(found, str):
        return Cost(math.inf, 0)
    item = np.dtype(found.accumulator).itemsize
    lanes = 4 / item
    outputs = math.prod(problem.result_shape)
    parts = 2 if np.dtype(problem.dtype).kind == "c" else 1
    # a pass that looks for what is not finite costs about as much as a tap
    taps = parts * (sum(counts(problem)) + may_be_infinite(problem))
    arithmetic = outputs * taps / (LOADING * machine.multiply_adds * lanes)
    in_size = math.prod(problem.shape) * np.dtype(problem.dtype).itemsize
    traffic = machine.moving(in_size + outputs * problem.result_dtype.itemsize)
    steps = 1 if outputs <= SMALL else 2 * len(problem.axes) + 1
    steps += in_size // BLOCK_BYTES
    seconds = arithmetic / native.processors() + traffic
    memory = copies(problem, found, BLOCK_BYTES // CHECKED_ROWS)
    return Cost(seconds + 2 * steps * machine.call, memory)


def error_bound(problem: Problem) -> float:
    """Count the taps that are not zero: what a zero adds is exact."""
    if problem.arithmetic.exact:
        return 0.0
    eps = float(np.finfo(np.dtype(problem.arithmetic.accumulator)).eps)
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    return passes_of(problem) * (max(counts(problem)) + 1) * eps + last


def prepare(problem: Problem) -> Run:
    """Return the run over the problem's blocks."""
    found = route(problem)
    assert isinstance(found, Route)
    parts = [np.ascontiguousarray(part, found.accumulator) for part in real_parts(problem)]
    look = may_be_infinite(problem)
    block = BLOCK_BYTES // np.dtype(found.input).itemsize if look else SIZE_BLOCK
    work = float(sum(counts(problem)) * passes_of(problem))
    every = [calls(found, part, look) for part in parts]
    return Compiled(problem, found, every, work, block=block)


def calls(found: Route, taps: Array, look: bool) -> Calls:
    """Return what prepares the calls for one real kernel."""
    whole = direct.calls(found, taps)

    def make(form: Form) -> Pipeline:
        few = listed(found, form, taps)
        return Guarded(few, Look(found, form), whole(form)) if look else few

    return make


class Lists:
    """Calls of the pipeline on one region of memory: boxes of outputs, each with a list of taps."""

    def __init__(self, found: Route, form: Form) -> None:
        self.found = found
        self.sizes = [np.dtype(t).itemsize for t in (found.input, found.output)]
        axes = list(zip(form.x_shape, form.x_strides, strict=True))
        # the pipeline counts from the region's lowest address on
        self.lowest = sum(min(0, (n - 1) * step) for n, step in axes)
        self.length = 1 + sum((n - 1) * abs(step) for n, step in axes)
        self.calls: list[tuple[Call, int]] = []

    def add(
        self, weights: Array, offsets: Array, steps: Box, shape: Box, strides: Box, at: int = 0
    ) -> None:
        """Add a box of outputs: its steps on the input, its shape, its strides and its beginning.

        A single row that is long is cut into several, for threads to share.
        """
        width, height, depth = shape
        if height == 1 and width >= 2 * PITCH:
            rows, left = divmod(width, PITCH)
            done = rows * PITCH
            steps, strides = (1, PITCH, steps[2]), (1, PITCH, strides[2])
            self._add(weights, offsets, steps, (PITCH, rows, depth), strides, at)
            if left:
                self._add(weights, offsets + done, steps, (left, 1, depth), strides, at + done)
        else:
            self._add(weights, offsets, steps, shape, strides, at)

    def _add(
        self, weights: Array, offsets: Array, steps: Box, shape: Box, strides: Box, at: int
    ) -> None:
        ones = (1, 1, 1)
        form = Form((self.length, 1, 1), (1, 0, 0), ones, shape, strides, ones, ones)
        distances = (offsets - self.lowest).astype(np.int32)
        numbers = (*steps[1:], int(distances.min()), int(distances.max()))
        work = math.prod(shape) * len(weights)
        call = Call(NAME, self.found.variant, form, [weights, distances], numbers, work)
        self.calls.append((call, at * self.sizes[1]))

    def __call__(self, x: int, y: int, threads: int) -> None:
        """Run on the addresses of input and output."""
        x += self.lowest * self.sizes[0]
        for call, at in self.calls:
            call(x, y + at, threads)


def listed(found: Route, form: Form, taps: Array) -> Lists:
    """Return the calls that sum the taps that are not zero; the first, if all of them are."""
    depth, height, width = form.k_shape[::-1]
    taps = taps.reshape(depth, height, width)
    places = np.nonzero(taps)
    if not len(places[0]):
        places = (np.zeros(1, np.intp),) * 3
    steps = [d * s for d, s in zip(form.dilation, form.x_strides, strict=True)]
    offsets = sum(place * step for place, step in zip(places, steps[::-1], strict=True))
    x_steps, shape, strides = form.x_strides, form.y_shape, form.y_strides
    lists = Lists(found, form)
    lists.add(
        np.ascontiguousarray(taps[places]),
        np.asarray(offsets),
        (x_steps[0], x_steps[1], x_steps[2]),
        (shape[0], shape[1], shape[2]),
        (strides[0], strides[1], strides[2]),
    )
    return lists


class Look:
    """Whether all the samples of a region are finite: zero times each, summed over a few rows."""

    def __init__(self, found: Route, form: Form) -> None:
        self.sums = Lists(found, form)
        self.dtype = np.dtype(found.output)
        self.size = 0
        (width, height, depth), (_, down, deep) = form.x_shape, form.x_strides
        left = 0
        if height == 1:  # a long row is many short ones
            down = PITCH
            height, left = divmod(width, PITCH)
            width = min(width, PITCH)
        groups = height // CHECKED_ROWS
        self._rows(width, groups, CHECKED_ROWS, depth, 0, down, deep)
        done = groups * CHECKED_ROWS
        self._rows(width, 1, height - done, depth, done * down, down, deep)
        self._rows(left, 1, 1, depth, height * down, down, deep)

    def _rows(
        self, width: int, groups: int, rows: int, depth: int, first: int, down: int, deep: int
    ) -> None:
        """Look at so many groups of so many rows each, in every plane."""
        shape = (width, groups, depth)
        if 0 in (*shape, rows):
            return
        zeros = np.zeros(rows, self.dtype)
        offsets = first + down * np.arange(rows)
        dense = (1, width, width * groups)
        self.sums.add(zeros, offsets, (1, down * rows, deep), shape, dense, self.size)
        self.size += math.prod(shape)

    def __call__(self, x: int, threads: int) -> bool:
        """Look at the samples from an address on."""
        sums = np.empty(self.size, self.dtype)
        self.sums(x, address(sums), threads)
        return not np.isnan(sums.max())  # a greatest number is NaN where there is any


class Guarded:
    """The list of taps where all samples are finite, and the whole kernel where not."""

    def __init__(self, few: Pipeline, look: Look, whole: Pipeline) -> None:
        self.few, self.look, self.whole = few, look, whole

    def __call__(self, x: int, y: int, threads: int) -> None:
        """Run on the addresses of input and output."""
        run = self.few if self.look(x, threads) else self.whole
        run(x, y, threads)
