"""Run the stages of :mod:`faltung.decimation` along one axis or two, in blocks of bounded scratch.

An input is seen as planes with rows along ``y``, columns along ``z`` and ``channels`` neighbouring
samples in each place. Every pipeline works along the rows' axis, on whole rows at a time; for the
other axis, what lies between the stages is transposed while it is small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung import native
from faltung.buffers import address
from faltung.compiled import Route
from faltung.decimation import Stages
from faltung.dtypes import Array, DType, convert
from faltung.geometry import Axis, cuts, stretched, untouched
from faltung.layout import MOST
from faltung.native import Call, Form
from faltung.problem import Problem

SCRATCH = 24 << 20  # bytes of the largest array between the stages; there are two such
LINES = 64  # a single line is cut into so many, side by side, for the vectors
SEGMENT = 300_000  # outputs of a single line that are computed at a time
WIDE = 64  # samples in a row that fill the vectors

Index = NDArray[np.intp]


# ---- one axis of a block ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Along:
    """One axis of a block: its outputs, their stages, and where its samples stand.

    ``rows`` says for each sample of the stages which one of ``base`` to ``end`` it is, or -1 for
    the fill value; ``box`` the same for the samples under the kernel. An axis without a kernel has
    no stages, and its outputs stand where their samples do.
    """

    outputs: slice
    base: int
    end: int
    stages: Stages | None = None
    taps: int = 1
    rows: Array | None = None
    box: Array | None = None

    @property
    def count(self) -> int:
        """Number of outputs."""
        return int(self.outputs.stop - self.outputs.start)

    @cached_property
    def tail(self) -> Array:
        """The interpolation's weights for a last run that is cut short."""
        assert self.stages is not None
        return np.ascontiguousarray(self.stages.up[: self.count % self.stages.factor])


def along(axis: Axis, boundary: str, stages: Stages, first: int, stop: int) -> Along:
    """Lay out the outputs ``first`` to ``stop`` of an axis with a kernel."""
    low, high = axis.span(first, stop)
    rows = stretched(axis, boundary, low - stages.before, stages.samples(stop - first))
    box = stretched(axis, boundary, low, high - low)
    inside = rows[rows >= 0]
    base, end = (int(inside.min()), int(inside.max()) + 1) if inside.size else (0, 1)
    return Along(
        slice(first, stop), base, end, stages, axis.taps, based(rows, base), based(box, base)
    )


def based(rows: Index, base: int) -> Array:
    """Count an index map from ``base`` on."""
    return np.where(rows < 0, -1, rows - base).astype(np.int32)


# ---- the stages ------------------------------------------------------------------------------

Calls = dict[Any, Call]


class Stage:
    """Calls the pipelines on two-dimensional arrays, all on one number of threads.

    ``calls`` keeps the prepared calls; their constants must outlive it.
    """

    def __init__(self, sums: DType, fill: Array, workers: int, calls: Calls) -> None:
        self.sums, self.fill, self.workers, self.calls = sums, fill, workers, calls
        self.buffers = [np.empty(0, sums), np.empty(0, sums)]

    def call(
        self,
        family: str,
        source: Array,
        target: Array,
        constants: list[Array],
        work: int,
        taps: tuple[int, int, int] = (1, 1, 1),
        numbers: tuple[int, ...] = (),
    ) -> None:
        """Run a pipeline; ``target`` may have three axes."""
        lengths = source.shape, source.strides, target.shape, target.strides
        key = family, source.dtype.char, target.dtype.char, lengths, tuple(map(id, constants))
        prepared = self.calls.get(key)
        if prepared is None:
            x, y = (a if a.ndim == 3 else a[None] for a in (source, target))
            one = (1, 1, 1)
            variant = (source.dtype.name, self.sums.name, target.dtype.name)
            form = Form(*sizes(x), (taps[2], taps[1], taps[0]), *sizes(y), one, one)
            prepared = Call(family, variant, form, constants, numbers, work)
            if len(self.calls) < 256:
                self.calls[key] = prepared
        prepared(address(source), address(target), self.workers)

    def empty(self, *shape: int) -> Array:
        """Return an array for the sums of a stage; it lasts until the next but one is taken.

        A stage reads what the one before it wrote. Fresh memory for each would cost more time
        than most of the stages take.
        """
        self.buffers.reverse()
        count = math.prod(shape)
        if self.buffers[0].size < count:
            self.buffers[0] = np.empty(count, self.sums)
        return self.buffers[0][:count].reshape(shape)

    def columns(self, x: Array, channels: int) -> Array:
        """Turn rows of places into rows of what was a column, one channel after the other."""
        if channels == 1 and x.dtype == self.sums:
            target = self.empty(x.shape[1], x.shape[0])
            self.call("transpose", x, target, [], x.size)
            return target
        target = self.empty(x.shape[1] // channels, channels * x.shape[0])
        places = x.reshape(x.shape[0], -1, channels)
        target.reshape(-1, channels, x.shape[0])[...] = places.transpose(1, 2, 0)
        return target

    def rows(self, x: Array, channels: int, target: Array | None = None) -> Array:
        """Undo :meth:`columns`."""
        if target is None:
            target = self.empty(x.shape[1] // channels, channels * x.shape[0])
        if channels == 1 and target.dtype == self.sums:
            self.call("transpose", x, target, [], x.size)
        else:
            places = x.reshape(x.shape[0], channels, -1)
            target.reshape(-1, x.shape[0], channels)[...] = places.transpose(2, 0, 1)
        return target

    def decimated(self, x: Array, axis: Along) -> Array:
        """Blur and decimate the rows that an axis names."""
        s, rows = axis.stages, axis.rows
        assert s is not None
        assert rows is not None
        target = self.empty(s.decimated(axis.count), x.shape[1])
        self.call("decimate", x, target, [s.down, rows, self.fill], target.size * s.down.size)
        return target

    def smoothed(self, x: Array, kernel: Array) -> Array:
        """Correlate with a coarse kernel."""
        loaded = native.library()
        assert loaded is not None
        _, height, width = kernel.shape
        target = self.empty(x.shape[0] - height + 1, x.shape[1] - width + 1)
        numbers = (1, 1, 1, 1, 1, 1, *loaded.rows(height), 0)
        work = target.size * kernel.size
        self.call("direct", x, target, [kernel], work, (1, height, width), numbers)
        return target

    def interpolated(self, x: Array, axis: Along, target: Array) -> Array:
        """Spread rows into the outputs of an axis: whole runs first, then the rest of one."""
        s = axis.stages
        assert s is not None
        runs, over = divmod(axis.count, s.factor)
        work = target.size * s.windows
        step, inner = target.strides
        if runs:
            folded = np.lib.stride_tricks.as_strided(
                target, (runs, s.factor, target.shape[1]), (step * s.factor, step, inner)
            )
            self.call("interpolate", x, folded, [s.up], work)
        if over:
            self.call("interpolate", x[runs:], target[None, runs * s.factor :], [axis.tail], work)
        return target


def sizes(x: Array) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return lengths and strides in elements, innermost first."""
    steps = [step // x.itemsize for step in x.strides]
    return (x.shape[2], x.shape[1], x.shape[0]), (
        steps[2] if x.shape[2] > 1 else 1,
        steps[1],
        steps[0],
    )


def compute(stage: Stage, x: Array, y: Along, z: Along, channels: int, target: Array) -> bool:
    """Compute a block of a plane, whose rows hold all channels of every place, from its samples.

    Returns False, and leaves the target as it is, where a sample is not finite: sums of such
    never are.
    """
    if z.stages is None:
        assert y.stages is not None
        coarse = stage.smoothed(stage.decimated(x, y), y.stages.along_rows)
        if not np.isfinite(coarse).all():
            return False
        stage.interpolated(coarse, y, target)
        return True
    rows = x if y.stages is None else stage.decimated(x, y)
    columns = stage.columns(rows, channels)
    coarse = stage.smoothed(stage.decimated(columns, z), z.stages.along_rows)
    if y.stages is not None:
        each = coarse.reshape(coarse.shape[0] * channels, -1)
        coarse = stage.smoothed(each, y.stages.along_columns).reshape(coarse.shape[0], -1)
    if not np.isfinite(coarse).all():
        return False
    across = stage.interpolated(coarse, z, stage.empty(z.count, coarse.shape[1]))
    if y.stages is None:
        stage.rows(across, channels, target)
    else:
        stage.interpolated(stage.rows(across, channels), y, target)
    return True


# ---- what is not finite ----------------------------------------------------------------------


def touched(flags: Array, outside: bool, y: Along, z: Along) -> Array | None:
    """Say which outputs have a flagged sample, or a flagged fill value, in their box of taps.

    None where no sample is flagged, nor the fill value; lines without any are passed over.
    """
    if not outside and not flags.any():
        return None
    for dimension, axis in enumerate((y, z)):
        if axis.box is None:
            continue
        flags = np.moveaxis(flags, dimension, 0)
        found = np.zeros((axis.count, flags.shape[1]), bool)
        beyond = outside and bool((axis.box < 0).any())
        lines = np.flatnonzero(flags.any(0) | beyond)
        for first, stop in cuts(0, lines.size, WIDE):
            some = lines[first:stop]
            taken = flags[:, some][np.maximum(axis.box, 0)]
            taken[axis.box < 0] = outside
            counts = np.zeros((taken.shape[0] + 1, some.size), np.int32)
            np.cumsum(taken, 0, np.int32, counts[1:])
            found[:, some] = counts[axis.taps :] > counts[: -axis.taps]
        flags = np.moveaxis(found, 0, dimension)
    return flags


def mend(x: Array, fill: float, y: Along, z: Along, target: Array) -> None:
    """Write the outputs whose box of taps holds an infinite or NaN sample."""
    above = touched(np.isposinf(x), fill == math.inf, y, z)
    below = touched(np.isneginf(x), fill == -math.inf, y, z)
    if above is not None:
        target[above] = math.inf
    if below is not None:
        target[below] = -math.inf
        if above is not None:
            target[above & below] = math.nan
    holes = touched(np.isnan(x), math.isnan(fill), y, z)
    if holes is not None:
        target[holes] = math.nan


# ---- planes and blocks -----------------------------------------------------------------------


class Planes:
    """A problem as planes, one for each place along the axes around them, in blocks."""

    def __init__(self, problem: Problem, stages: dict[int, Stages], types: Route) -> None:
        self.problem, self.calls = problem, Calls()
        self.work_in, self.sums = np.dtype(types.input), np.dtype(types.accumulator)
        self.geometry = dict(
            zip(problem.axes, zip(problem.geometry, problem.boundary, strict=True), strict=True)
        )
        first = min(stages)  # carries the kernel's sum
        total = float(problem.taps.array.astype(float).sum())
        self.stages = {a: s.scaled(total) if a == first else s for a, s in stages.items()}
        fill = problem.fill_value
        self.fill = np.array([fill], self.sums)
        self.calm = np.array([fill if math.isfinite(fill) else 0], self.sums)
        self.quarter = self.calm / 4
        self.parts: dict[int, Along] = {}
        # the last stage can round and saturate by itself
        self.narrow = types.output == "uint8" and problem.result_dtype == np.uint8
        self._arrange()

    def _arrange(self) -> None:
        """Choose the axes of the planes, and cut them into blocks."""
        shape, spanned = self.problem.shape, sorted(self.stages)
        before = [a for a in range(len(shape)) if a not in spanned and a < spanned[-1]]
        after = list(range(spanned[-1] + 1, len(shape)))
        self.order = (*before, *spanned, *after)
        lead = tuple(shape[a] for a in before)
        sides = [self.problem.result_shape[a] for a in spanned]
        self.channels = math.prod(shape[a] for a in after)
        self.y: int | None
        self.z: int | None
        self.y, self.z = spanned[0], spanned[-1]
        self.line = False
        if len(spanned) == 2:
            self.head, self.sides = lead, (sides[0], sides[1])
        elif self.channels >= WIDE:  # rows of what follows the axis
            self.head, self.sides, self.z = lead, (sides[0], self.channels), None
            self.channels = 1
        elif self.channels * math.prod(lead) >= WIDE // 4:  # rows of what goes before it
            self.head, self.sides, self.y = (), (math.prod(lead), sides[0]), None
        else:
            self.line, self.head, self.sides = True, (), (math.prod(lead), sides[0])
        self.blocks = [] if self.line else self._cut()

    @cached_property
    def copied(self) -> list[tuple[Along, Along]]:
        """The blocks for arrays whose memory no pipeline takes as it lies."""
        return self._cut(copied=True)

    def _cut(self, *, copied: bool = False) -> list[tuple[Along, Along]]:
        """Cut a plane into blocks whose arrays between the stages keep to the scratch.

        Where blocks are ``copied``, their samples and their outputs take as much besides.
        """
        shape, dtype = self.problem.shape, np.dtype(self.problem.dtype)
        y, z = (None if a is None else self.stages[a] for a in (self.y, self.z))
        converts = dtype not in (self.work_in, self.sums)
        converts |= self.problem.result_dtype != self.sums and not self.narrow
        converts |= copied
        sides = list(self.sides)

        def between(sides: list[int]) -> int:
            rows = y.decimated(sides[0]) if y and not converts else sides[0]
            width = sides[1]
            if z is not None and self.z is not None:
                width = max(width, min(z.samples(width), shape[self.z]))
            return rows * width * self.channels * self.sums.itemsize

        steps = [s.factor if s else 1 for s in (y, z)]
        least = [4 * s.coarse.size * s.factor if s else WIDE for s in (y, z)]
        # without a kernel along the rows' axis whole samples are transposed, which wants the cache
        most = SCRATCH if y is not None else SCRATCH // 16
        most = most // 3 if copied else most
        while between(sides) > most:
            halved = [side / 2 / enough for side, enough in zip(sides, least, strict=True)]
            n = 0 if halved[0] >= halved[1] else 1
            if halved[n] < 0.5:
                break  # smaller blocks would read more around themselves than within
            sides[n] = -(-sides[n] // (2 * steps[n])) * steps[n]
        rows, columns = (
            self._along(axis, cuts(0, count, side))
            for axis, count, side in zip((self.y, self.z), self.sides, sides, strict=True)
        )
        return list(product(rows, columns))

    def _along(self, axis: int | None, ends: list[tuple[int, int]]) -> list[Along]:
        if axis is None:
            return [Along(slice(*cut), *cut) for cut in ends]
        return [along(*self.geometry[axis], self.stages[axis], *cut) for cut in ends]

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute the problem on ``x`` into ``out``."""
        stage = Stage(self.sums, self.fill, workers, self.calls)
        moved = out.transpose(self.order)
        planes_in, planes_out = self._planes(x.transpose(self.order)), self._planes(moved)
        lies = x.dtype.isnative and all(map(lies_well, (planes_in, planes_out)))
        blocks = self.blocks if lies or self.line else self.copied
        for at in np.ndindex(self.head):
            if self.line:
                for row, channel in np.ndindex(self.sides[0], self.channels):
                    self._line(stage, planes_in[row, :, channel], planes_out[row, :, channel])
            for y, z in blocks:
                source = planes_in[at][y.base : y.end, z.base : z.end]
                target = planes_out[at][y.outputs, z.outputs]
                self._block(stage, source, y, z, self.channels, target)
        if not np.may_share_memory(planes_out, out):
            moved[...] = planes_out.reshape(moved.shape)

    def _planes(self, x: Array) -> Array:
        """View an array as planes of rows, columns and channels; copied where that takes one."""
        if self.z is None:
            return x.reshape(*self.head, x.shape[len(self.head)], -1, 1)
        if self.y is None or self.line:
            return x.reshape(self.sides[0], -1, self.channels)
        return x.reshape(*self.head, *x.shape[len(self.head) :][:2], self.channels)

    def _block(
        self, stage: Stage, source: Array, y: Along, z: Along, channels: int, target: Array
    ) -> None:
        """Compute a block, in memory that the pipelines take."""
        flat = dense(merged(source), self.work_in)
        into = merged(target)
        sums = into
        fits = into.dtype == stage.sums or (self.narrow and y.stages is not None)
        if not fits or not takes(into) or not np.may_share_memory(into, target):
            sums = np.empty(into.shape, stage.sums)
        if not compute(stage, flat, y, z, channels, sums):
            clean = np.where(np.isfinite(flat), flat, flat.dtype.type(0))
            stage.fill = self.calm
            if not compute(stage, clean, y, z, channels, sums):  # near the greatest float
                stage.fill = self.quarter
                compute(stage, clean / 4, y, z, channels, sums)
                with np.errstate(over="ignore"):
                    sums *= 4
            stage.fill = self.fill
            for c in range(channels):
                part = flat[:, c::channels], float(self.problem.fill_value)
                mend(*part, y, z, sums[:, c::channels])
        if self.problem.nonnegative:  # the taps applied may be a little below 0
            np.maximum(sums, 0, out=sums)
        if sums is not into:
            overflow = self.problem.arithmetic.overflow
            target[...] = convert(sums, target.dtype, overflow).reshape(target.shape)

    def _line(self, stage: Stage, x: Array, out: Array) -> None:
        """Compute a single line: cut into overlapping ones, which lie side by side as a plane."""
        ((number, s),) = self.stages.items()  # the kernel may have axes of one tap besides
        axis, boundary = self.geometry[number]
        for first, count, lines in segments(axis.count, s.factor):
            columns = self._segment(s, count, axis.taps)
            low, _ = axis.span(first, first + count)
            total = columns.end + (lines - 1) * count
            line = samples(x, axis, boundary, low - s.before, total, self.problem.fill_value)
            line = np.ascontiguousarray(line, self.work_in)
            step = line.itemsize
            plane = np.lib.stride_tricks.as_strided(
                line, (lines, columns.end, 1), (count * step, step, step)
            )
            target = np.empty((lines, count, 1), out.dtype)
            self._block(stage, plane, Along(slice(0, lines), 0, lines), columns, 1, target)
            out[first : first + lines * count] = target.ravel()

    def _segment(self, s: Stages, count: int, taps: int) -> Along:
        """Lay out so many outputs of a line whose samples are there already."""
        try:
            return self.parts[count]
        except KeyError:
            pass
        there = np.arange(s.samples(count), dtype=np.int32)
        box = there[s.before : s.before + count + taps - 1]
        part = Along(slice(0, count), 0, there.size, s, taps, there, box)
        return self.parts.setdefault(count, part)


def segments(count: int, factor: int) -> Iterator[tuple[int, int, int]]:
    """Cut the outputs of a line as (first, outputs of each part, parts side by side)."""
    first = 0
    while first < count:
        each = min(SEGMENT, count - first) // LINES // factor * factor
        lines = LINES if each else 1
        each = each or count - first
        yield first, each, lines
        first += lines * each


def samples(x: Array, axis: Axis, boundary: str, low: int, count: int, fill: Any) -> Array:
    """Return samples of a line, the boundary laid around it where they reach an end."""
    if untouched(axis, low, count):
        return x[low : low + count]
    rows = stretched(axis, boundary, low, count)
    found = x[np.maximum(rows, 0)]
    found[rows < 0] = fill
    return found


def merged(plane: Array) -> Array:
    """View rows, columns and channels as rows of all channels; copied where that takes one."""
    return plane.reshape(plane.shape[0], plane.shape[1] * plane.shape[2])


def lies_well(planes: Array) -> bool:
    """Whether the rows of planes can be seen as rows of all channels, densely."""
    columns, channels = planes.shape[-2:]
    step, inner = planes.strides[-2:]
    dense = channels == 1 or inner == planes.itemsize
    return bool(dense and (columns == 1 or step == channels * planes.itemsize))


def takes(x: Array) -> bool:
    """Whether the pipelines take a plane's memory as it lies."""
    return (
        (x.strides[1] == x.itemsize or x.shape[1] == 1)
        and x.strides[0] % x.itemsize == 0
        and sum(n * abs(step) for n, step in zip(x.shape, x.strides, strict=True)) <= MOST
    )


def dense(x: Array, dtype: DType) -> Array:
    """Return a plane as the pipelines take it."""
    if x.dtype != dtype:
        return x.astype(dtype, order="C")
    return x if takes(x) else np.ascontiguousarray(x)
