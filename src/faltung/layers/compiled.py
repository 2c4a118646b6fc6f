"""Convolution layers on the compiled pipelines: tables of places, weights in tiles, and calls.

All three sums of a layer are sums over places in one padded buffer: its tables are kept by the
problem, so that a call only packs the weights. The images of a batch are innermost; the axis before
them may be strided, then its samples are parted by phase (see :class:`faltung.geometry.Window`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers import reference, winograd
from faltung.layers.memory import (
    fresh,
    images_first,
    innermost,
    outermost,
    pipelined,
    run,
    straight,
)
from faltung.layers.problem import Conv
from faltung.layers.recording import do, unrecorded
from faltung.layers.shortcuts import shortcut
from faltung.windows import Phase

MOST = 2**31 - 1  # bytes of a buffer that the pipelines count
BLOCK = 8192  # samples of a row that one partial sum of the weights' gradient takes, or about so
ROW = 2048  # samples of a row, or about so, where rows may be cut anywhere
PARTS = 8  # that the weights' outputs are cut into at most, and rows that threads share
# What a sum costs in a tile of so many channels, and the tile's vectors, with 32 registers and 16
TILES = {
    512: {
        8: (1.08, (2, 1)), 6: (1.0, (4, 2, 1)), 4: (1.05, (6, 2, 1)), 2: (1.3, (8, 1)),
        1: (2.0, (8, 1)),
    },
    256: {6: (1.0, (2, 1)), 4: (1.05, (3, 1)), 8: (1.4, (1,)), 2: (1.4, (4, 1)), 1: (2.0, (8, 1))},
}  # fmt: skip
RELU, GATE = 1, 2  # what becomes of sums: ``pipelines/products.py``
CLIPPED = {1: 4, 4: 2}  # vectors of images from which on a position is a row, by the channels


@dataclass(frozen=True, eq=False)
class Places:
    """Where sums find their samples: see ``pipelines/products.py``.

    Attributes
    ----------
    taps, rows : array of int32
        Where each tap of each channel lies, the channels innermost, and where each row begins.
    spans : array of int32 (rows, 4)
        The taps that a row takes of each run: the first, and how many; and the same of the runs.
    run : int
        Taps of a run.
    group : int
        How far the groups lie apart.
    width : int
        Samples of a row.
    """

    taps: Array
    rows: Array
    spans: Array
    run: int
    group: int
    width: int


@dataclass(frozen=True, eq=False)
class Order:
    """Where sums find their weights, in a layer's kernels as they lie in memory.

    Attributes
    ----------
    offsets : array of int32
        Of each tap of each channel, in the order of its places.
    step, group : int
        How far the weights of two outputs lie apart, and how much farther those of two groups.
    """

    offsets: Array
    step: int
    group: int


@dataclass(frozen=True)
class Line:
    """What sums find along one axis: the taps' offsets and the outputs' positions, of ``n``."""

    offsets: tuple[int, ...]
    positions: tuple[int, ...]
    n: int

    def inside(self) -> list[tuple[int, int]]:
        """Return, of each output, the first tap that lies inside, and how many do."""
        found = []
        for at in self.positions:
            good = [t for t, offset in enumerate(self.offsets) if 0 <= at + offset < self.n]
            found.append((good[0] if good else 0, len(good)))
        return found


def clipped(lines: Sequence[Line], channels: int, images: int) -> Places:
    """Return the places where nothing is padded: each position takes the taps inside."""
    lines = [Line((0,), (0,), 1)] * (2 - len(lines)) + list(lines)
    down, across = lines
    step = images * across.n
    area = step * down.n
    taps = table(
        [
            [step * offset for offset in down.offsets],
            [images * offset for offset in across.offsets],
            [area * channel for channel in range(channels)],
        ]
    )
    rows = table([[step * at for at in down.positions], [images * at for at in across.positions]])
    spans = [
        (channels * first, channels * count, *runs)
        for runs, (first, count) in itertools.product(down.inside(), across.inside())
    ]
    ordered = np.array(spans, np.int32)
    run = channels * len(across.offsets)
    return Places(taps, rows, ordered, run, channels * area, images)


def unclipped(offsets: Sequence[Sequence[int]], rows: Array, group: int, width: int) -> Places:
    """Return the places where every row takes all the taps.

    Rows that follow one another without a gap are one, and are cut anew.
    """
    taps = table(offsets)
    if np.array_equal(rows, width * np.arange(rows.size)):
        samples = width * rows.size
        width = max_divisor(samples, max(width, ROW))
        rows = np.arange(0, samples, width, dtype=np.int32)
    spans = np.zeros((rows.size, 4), np.int32)
    spans[:, 1], spans[:, 3] = taps.size, 1
    return Places(taps, rows, spans, taps.size, group, width)


def clips(problem: Conv, itemsize: int, channels: int) -> bool:
    """Whether there are images enough to take each position for itself, without padding."""
    loaded = native.library()
    assert loaded is not None
    plain = all(name == "constant" for name in problem.boundary)
    vectors, rest = divmod(problem.images * itemsize, loaded.vector)
    enough = vectors >= min(least for few, least in CLIPPED.items() if channels >= few)
    return plain and 1 <= len(problem.windows) <= 2 and rest == 0 and enough


def bare(problem: Conv) -> bool:
    """Whether the sums find their samples in the input as it is."""
    return all(w.before == 0 and w.length == w.n for w in problem.windows) and all(
        w.stride == 1 for w in problem.windows[-1:]
    )


@lru_cache(maxsize=1024)
def supported(problem: Conv, dtype: np.dtype[np.generic]) -> bool:
    """Whether the pipelines take a problem: not on old processors, nor from 2 GB on."""
    lengths = math.prod(w.length + w.stride for w in problem.windows)
    taps = math.prod(w.n + 2 * w.reach + w.stride for w in problem.windows)
    most = max(problem.channels, problem.outputs + 8) * problem.images * max(lengths, taps)
    return pipelined(dtype) and most * dtype.itemsize < MOST


# ---- buffers -----------------------------------------------------------------------------------


def padded_shape(problem: Conv) -> tuple[int, ...]:
    """Return the shape of the padded input: the phases of the last axis before its samples."""
    if not problem.windows:
        return (problem.channels, problem.images)
    *outer, last = problem.windows
    phases = (last.stride, last.phase_length)
    return (problem.channels, *(w.length for w in outer), *phases, problem.images)


def padded(problem: Conv, x: Array, slack: int) -> Array:
    """Return the input as the sums find it, with ``slack`` samples behind it."""
    if not slack and bare(problem):
        return innermost(x)
    shape = padded_shape(problem)
    size = math.prod(shape)
    buffer = np.zeros(size + slack, x.dtype)
    target = buffer[:size].reshape(shape)
    if not problem.windows:
        do(np.copyto, target, innermost(x))
        return buffer
    windows = problem.windows
    if any(name != "constant" for name in problem.boundary):
        unrecorded()
        x = reference.continued(x, windows, problem.boundary)
        windows = tuple(w.bare for w in windows)
    source = innermost(x)
    here: list[Any] = [slice(None)]
    there: list[Any] = [slice(None)]
    for window in windows[:-1]:
        ends = window.source("constant")
        here.append(slice(ends.before, ends.before + ends.stop - ends.first))
        there.append(slice(ends.first, ends.stop))
    for phase in range(windows[-1].stride):
        inside, positions = windows[-1].within(phase)
        do(np.copyto, target[(*here, phase, inside)], source[(*there, positions)])
    return buffer


@lru_cache(maxsize=1024)
def forward_places(problem: Conv) -> Places:
    """Return where the taps and the rows of a layer lie in its padded input."""
    shape = padded_shape(problem)
    steps = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    each = problem.channels // problem.groups
    offsets, rows = [], [[0]]
    width = problem.images
    for axis, window in enumerate(problem.windows[:-1], 1):
        offsets.append([steps[axis] * window.dilation * t for t in range(window.taps)])
        rows.append([steps[axis] * window.stride * i for i in range(window.count)])
    for window in problem.windows[-1:]:
        places = map(window.place, range(window.taps))
        offsets.append([steps[-3] * phase + steps[-2] * at for phase, at in places])
        width *= window.count
    offsets.append([channel * steps[0] for channel in range(each)])
    return unclipped(offsets, table(rows), each * steps[0], width)


@lru_cache(maxsize=1024)
def clipped_places(problem: Conv) -> Places:
    """Return where they lie in the input itself."""
    lines = [
        Line(
            tuple(w.dilation * t - w.before for t in range(w.taps)),
            tuple(w.stride * i for i in range(w.count)),
            w.n,
        )
        for w in problem.windows
    ]
    return clipped(lines, problem.channels // problem.groups, problem.images)


@lru_cache(maxsize=1024)
def forward_order(problem: Conv) -> Order:
    """Return where a layer's sums find their weights: the channels innermost, as in its places."""
    taps, each = math.prod(problem.k_shape[2:]), problem.k_shape[1]
    offsets = table([range(taps), [taps * channel for channel in range(each)]])
    return Order(offsets, taps * each, 0)


@lru_cache(maxsize=1024)
def backward_order(problem: Conv, taps: tuple[tuple[int, ...], ...]) -> Order:
    """Return where those of the way back find them: some taps, the outputs innermost."""
    outputs, each, *lengths = problem.k_shape
    of_group = outputs // problem.groups
    area = math.prod(lengths)
    steps = [math.prod(lengths[axis + 1 :]) for axis in range(len(lengths))]
    along = [[step * tap for tap in some] for step, some in zip(steps, taps, strict=True)]
    offsets = table([*along, [area * each * output for output in range(of_group)]])
    return Order(offsets, area, (of_group - 1) * each * area)


def table(offsets: Sequence[Sequence[int]]) -> Array:
    """Return all sums of one offset from each list, the last list's innermost."""
    return np.array([sum(each) for each in itertools.product(*offsets)], np.int32)


# ---- sums --------------------------------------------------------------------------------------


def tile(outputs: int, groups: int, vectors: int) -> int:
    """Return how many channels a register tile takes: little is computed in vain."""
    loaded = native.library()
    assert loaded is not None
    tiles = TILES[8 * loaded.vector]

    def cost(channels: int) -> float:
        each, widths = tiles[channels]
        wide = next((w for w in widths if vectors >= w), 1)
        each *= 1.1 if 1 < wide < widths[0] else 1.0
        spent = -(-outputs // channels) * channels * -(-vectors // wide) * wide
        return spent * each * (1 + (wide == 1) * 2 / channels)

    return min((t for t in tiles if groups == 1 or outputs % t == 0), key=cost)


def products(
    places: Places,
    order: Order,
    x: Array,
    k: Array,
    bias: Array | None,
    outputs: int,
    groups: int,
    end: int = 0,
    gate: Array | None = None,
) -> Array:
    """Return the sums (outputs, rows, width) of weights over a padded input.

    ``end`` says what becomes of them: see ``pipelines/products.py``.
    """
    each = tile(outputs // groups, groups, places.width // vector(x.dtype))
    parts, tiles = groups, -(-outputs // groups // each)
    if groups == 1 and places.rows.size < PARTS:
        parts, tiles = tiles, 1  # threads share tiles where there are few rows
    bias = zeros(outputs, x.dtype) if bias is None else straight(bias)
    width = max(places.width, vector(x.dtype))
    out = fresh((parts, tiles, each, places.rows.size, width), x.dtype)
    channels = outputs // groups if groups > 1 else tiles * each
    apart = (places.group, order.step, order.group) if groups > 1 else (0, order.step, 0)
    numbers = (places.run, *apart, channels, each, width, end)
    inputs = [
        # the gate is read in any case: without one, what the output held
        x.reshape(-1), (out if gate is None else gate).reshape(-1), straight(k).reshape(-1), bias,
        places.taps, places.rows, order.offsets, places.spans,
    ]  # fmt: skip
    run("products", inputs, numbers, [out], out.size * order.offsets.size)
    sums = out.reshape(-1, places.rows.size, width)[:outputs]
    return sums if width == places.width else straight(sums[..., : places.width])


@lru_cache(maxsize=64)
def zeros(count: int, dtype: np.dtype[np.generic]) -> Array:
    """Return the bias of layers without one."""
    return np.zeros(count, dtype)


def vector(dtype: np.dtype[np.generic]) -> int:
    """Return how many samples a register holds: no row may be shorter."""
    loaded = native.library()
    assert loaded is not None
    return loaded.vector // dtype.itemsize


def conv(problem: Conv, x: Array, k: Array, bias: Array | None, relu: bool) -> Array:
    """Return a layer's output."""
    y = shortcut(problem, x, k, False, bias, relu)
    if y is not None:
        return y
    each = problem.outputs // problem.groups
    if clips(problem, x.itemsize, each) and not bare(problem):
        places, laid = clipped_places(problem), innermost(x)
    else:
        places = forward_places(problem)
        laid = padded(problem, x, max(0, vector(x.dtype) - places.width))
    order = forward_order(problem)
    end = RELU if relu else 0
    sums = products(places, order, laid, k, bias, problem.outputs, problem.groups, end)
    return outermost(sums.reshape(*problem.y_shape[1:], problem.images))


# ---- the gradient of the input -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Part:
    """One phase of the input's gradient: its samples, its taps, and where those find it."""

    target: tuple[slice, ...]
    counts: tuple[int, ...]
    taps: tuple[tuple[int, ...], ...]
    places: Places


@dataclass(frozen=True, eq=False)
class Backward:
    """How the gradient of the output is padded, and the phases of the input's.

    ``shape`` is what is computed: the input, or the continued one, where its ends are folded back.
    """

    padding: tuple[tuple[int, int], ...]
    shape: tuple[int, ...]
    folds: bool
    parts: tuple[Part, ...]


@lru_cache(maxsize=1024)
def backward(problem: Conv, clip: bool) -> Backward:
    """Return the phases of the input's gradient, with its places in the padded gradient or not."""
    folds = any(name != "constant" for name in problem.boundary)
    ranges = [(0, w.length) if folds else (w.before, w.before + w.n) for w in problem.windows]
    phases = [w.phases(*ends) for w, ends in zip(problem.windows, ranges, strict=True)]
    padding, lengths = [], []
    for window, found in zip(problem.windows, phases, strict=True):
        seen = [(at, at + phase.count) for phase in found for at in phase.outputs]
        low = min([0, *(first for first, _ in seen)])
        high = max([window.count, *(stop for _, stop in seen)])
        if clip:
            low, high = 0, window.count
        padding.append((-low, high - window.count))
        lengths.append(high - low)
    each = problem.outputs // problem.groups
    steps = [problem.images * math.prod(lengths[axis:]) for axis in range(len(lengths) + 1)]
    parts = []
    for combination in itertools.product(*phases):
        if clip:
            lines = [
                Line(phase.outputs, tuple(range(phase.count)), window.count)
                for phase, window in zip(combination, problem.windows, strict=True)
            ]
            places = clipped(lines, each, problem.images)
        else:
            offsets, rows = [], [[0]]
            for axis, (phase, (before, _)) in enumerate(zip(combination, padding, strict=True), 1):
                offsets.append([steps[axis] * (at + before) for at in phase.outputs])
                if axis < len(combination):
                    rows.append([steps[axis] * at for at in range(phase.count)])
            offsets.append([channel * steps[0] for channel in range(each)])
            width = problem.images * math.prod(p.count for p in combination[-1:])
            places = unclipped(offsets, table(rows), each * steps[0], width)
        parts.append(
            Part(
                target(combination, problem),
                tuple(phase.count for phase in combination),
                tuple(phase.taps for phase in combination),
                places,
            )
        )
    shape = tuple(high - low for low, high in ranges)
    return Backward(tuple(padding), shape, folds, tuple(parts))


def target(phases: Sequence[Phase], problem: Conv) -> tuple[slice, ...]:
    """Return where the samples of a phase of each axis stand."""
    return tuple(
        slice(phase.first, None, window.stride)
        for phase, window in zip(phases, problem.windows, strict=True)
    )


def input_gradient(problem: Conv, dy: Array, k: Array, gate: Array | None = None) -> Array:
    """Return the gradient of a layer's input, 0 where a gate (the input itself) is not above 0."""
    dx = shortcut(problem, dy, k, True)
    if dx is not None:
        return dx if gate is None else gated(dx, gate)
    unpadded = all(w.taps == 1 and w.stride == 1 for w in problem.windows)
    each = problem.channels // problem.groups
    plan = backward(problem, clips(problem, dy.itemsize, each) and not unpadded)
    source = innermost(dy)
    slack = vector(dy.dtype)
    padding = ((0, 0), *plan.padding, (0, 0))
    if any(before or after for before, after in padding) or any(
        part.places.width < slack for part in plan.parts
    ):
        shape = [n + sum(ends) for n, ends in zip(source.shape, padding, strict=True)]
        buffer = np.zeros(math.prod(shape) + slack, dy.dtype)
        inside = tuple(
            slice(before, before + n) for n, (before, _) in zip(source.shape, padding, strict=True)
        )
        do(np.copyto, buffer[: math.prod(shape)].reshape(shape)[inside], source)
        source = buffer
    # the pipeline takes the gate where its sums are the gradient, as it lies
    at_once = len(plan.parts) == 1 and not plan.folds and plan.parts[0].places.width >= slack
    end, shut = (GATE, innermost(gate)) if gate is not None and at_once else (0, None)
    out: Array | None = None
    for part in plan.parts:
        if not all(part.taps):  # a stride wider than the kernel leaves samples that go nowhere
            continue
        order = backward_order(problem, part.taps)
        sums = products(
            part.places, order, source, k, None, problem.channels, problem.groups, end, shut
        )
        sums = sums.reshape(problem.channels, *part.counts, problem.images)
        if len(plan.parts) == 1:
            out = sums
            break
        if out is None:
            out = np.zeros((problem.channels, *plan.shape, problem.images), dy.dtype)
        do(np.copyto, out[(slice(None), *part.target)], sums)
    if out is None:
        out = np.zeros((problem.channels, *plan.shape, problem.images), dy.dtype)
    dx = outermost(out)
    if plan.folds:
        unrecorded()
        dx = reference.folded(dx, problem.windows, problem.boundary, problem.x_shape)
    return dx if gate is None or shut is not None else gated(dx, gate)


def gated(dx: Array, gate: Array) -> Array:
    """Return a gradient, 0 where a gate is not above 0; in its place."""
    laid, shut = innermost(dx), fresh(innermost(dx).shape, np.bool_)
    do(np.greater, innermost(gate), 0, out=shut)
    do(np.logical_not, shut, out=shut)
    do(np.copyto, laid, dx.dtype.type(0), where=shut)
    return outermost(laid)


# ---- the gradient of the weights ---------------------------------------------------------------


def weight_sums(places: Places, x: Array, dy: Array, groups: int) -> Array:
    """Return the sums (outputs, taps) over rows of a padded input times a gradient.

    ``dy`` is (outputs, rows, width), contiguous; the width is a whole number of vectors.
    """
    outputs, rows, width = dy.shape
    # one group's outputs are cut into parts that see the same input, for threads to share
    parts = max(
        d for d in range(1, PARTS + 1) if (groups == 1 and outputs % (4 * d) == 0) or d == 1
    )
    cut = groups * parts
    # rows of a partial sum: as many as go well, if there are blocks for threads to share
    each = max_divisor(rows, max(1, min(BLOCK // width, rows * cut // PARTS)))
    gradient_rows = np.arange(rows, dtype=np.int32) * width
    out = fresh((cut, rows // each, outputs // cut, places.taps.size), x.dtype)
    step = rows * width
    apart = places.group if parts == 1 else 0
    numbers = (width // vector(x.dtype), each, apart, step, outputs // cut * step)
    inputs = [x.reshape(-1), dy.reshape(-1), places.taps, places.rows, gradient_rows]
    run("weights", inputs, numbers, [out], dy.size * places.taps.size)
    # one after the other: the order, and so the bits, are those of the shapes
    if out.shape[1] == 1:
        return out.reshape(outputs, -1)
    sums = np.empty((cut, *out.shape[2:]), np.float64)
    do(np.sum, out, axis=1, dtype=np.float64, out=sums)
    dk = np.empty((outputs, places.taps.size), x.dtype)
    do(np.copyto, dk, sums.reshape(dk.shape), casting="same_kind")
    return dk


def weight_gradient(problem: Conv, x: Array, dy: Array) -> Array:
    """Return the gradient of a layer's kernels."""
    if not problem.windows and problem.groups == 1 and problem.channels >= vector(x.dtype):
        return dense_weight_gradient(problem, x, dy)
    if winograd.supported(problem, x.dtype, gradient=True):
        dk = winograd.weight_gradient(problem, x, dy)
        if dk is not None:
            return dk
    places = forward_places(problem)
    source = innermost(dy).reshape(problem.outputs, places.rows.size, places.width)
    slack = -places.width % vector(x.dtype)
    if slack:
        laid = np.zeros((*source.shape[:2], places.width + slack), dy.dtype)
        do(np.copyto, laid[..., : places.width], source)
        source = laid
    sums = weight_sums(places, padded(problem, x, slack), source, problem.groups)
    outputs, channels, *taps = problem.k_shape
    laid = sums.reshape(outputs, *taps, channels)
    return laid.transpose(0, -1, *range(1, laid.ndim - 1))


def dense_weight_gradient(problem: Conv, x: Array, dy: Array) -> Array:
    """Return it where there is no space: few images leave the sums over them short.

    They are products too, of the gradient with the features of an image, the images being taps.
    """
    images, channels, outputs = problem.images, problem.channels, problem.outputs
    places, order = dense_places(images, channels)
    laid, weights = images_first(x).reshape(-1), innermost(dy)
    return products(places, order, laid, weights, None, outputs, 1).reshape(outputs, channels)


@lru_cache(maxsize=1024)
def dense_places(images: int, channels: int) -> tuple[Places, Order]:
    """Return where those products find the features, and the gradient."""
    taps, rows = channels * np.arange(images, dtype=np.int32), np.zeros(1, np.int32)
    spans = np.array([[0, images, 0, 1]], np.int32)
    order = Order(np.arange(images, dtype=np.int32), images, 0)
    return Places(taps, rows, spans, images, 0, channels), order


@lru_cache(maxsize=1024)
def max_divisor(n: int, most: int) -> int:
    """Return the greatest divisor of a number that is not above another."""
    return max(d for d in range(1, min(n, most) + 1) if n % d == 0)
