"""Windows of samples that one compiled pipeline transforms, multiplies and transforms back.

The pipeline (``pipelines/fused.py``) takes windows in pairs, of ``side`` by ``side`` samples or of
``side * side`` in a row, where they lie in memory. Here are the windows' places, the kernel's
spectrum in the pipeline's order, and what is done about windows whose greatest samples would drown
the others, or are not finite: they are summed as the definition has it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from faltung import native
from faltung.buffers import address
from faltung.dtypes import Array, DType
from faltung.native import Call, Form

FAMILY = "fused"
TASKS = 8  # that a call should have at least, where its planes can be shared out


@dataclass(frozen=True)
class Tiling:
    """How outputs are cut into windows: their side, and how far each axis of taps reaches.

    A kernel along one axis has windows of ``side * side`` samples in a row, of which whole rows
    are outputs. One along three has windows on the last two, and goes along the first.
    """

    side: int
    reach: tuple[int, ...]
    complex: bool = False

    @property
    def form(self) -> str:
        """The pipeline's word for what windows are cut from."""
        return {1: "line", 2: "plane", 3: "solid"}[len(self.reach)]

    @property
    def line(self) -> bool:
        """Whether the windows lie along one axis."""
        return len(self.reach) == 1

    @property
    def depth(self) -> int:
        """Number of planes of taps."""
        return self.reach[0] + 1 if self.form == "solid" else 1

    @property
    def window(self) -> tuple[int, ...]:
        """Samples of a window along each of its axes."""
        return (self.side**2,) if self.line else (self.side, self.side)

    @property
    def step(self) -> tuple[int, ...]:
        """Outputs of a window along each of its axes; less than 1 where the kernel is too long."""
        if self.line:
            return ((self.side**2 - self.reach[0]) // self.side * self.side,)
        return tuple(self.side - reach for reach in self.reach[-2:])

    def variant(self, dtype: DType) -> native.Variant:
        """Return the pipeline's name, with the dtype of a sample's parts."""
        return (dtype.name,) * 3 + (f"{'c' * self.complex}{self.form}{self.side}",)


def frequencies(radices: tuple[int, ...]) -> Array:
    """Return the frequency at each place of a spectrum whose digits are in the wrong order.

    >>> frequencies((2, 4)).tolist()
    [0, 2, 4, 6, 1, 3, 5, 7]
    """
    n = math.prod(radices)
    places, found, size, factor = np.arange(n), np.zeros(n, int), n, 1
    for radix in radices:
        size //= radix
        found += factor * (places // size % radix)
        factor *= radix
    return found


def in_strips(plane: Array, lanes: int, dtype: DType) -> Array:
    """Lay a complex plane out as the pipeline reads it: [part, strip, column, lane of rows]."""
    rows, columns = plane.shape
    strips = plane.reshape(rows // lanes, lanes, columns).transpose(0, 2, 1)
    return np.ascontiguousarray(np.stack([strips.real, strips.imag]), dtype)


@lru_cache(maxsize=16)
def tables(side: int, line: bool, dtype: DType) -> tuple[Array, ...]:
    """Return the roots of unity of a side, and what joins short transforms into a long one."""
    loaded = native.library()
    assert loaded is not None
    angles = -2j * np.pi * np.arange(side) / side
    roots = np.exp(angles)
    made = [np.ascontiguousarray(np.stack([roots.real, roots.imag]), dtype)]
    if line:
        order = frequencies(loaded.radices[side])
        turns = np.exp(-2j * np.pi * np.outer(order, np.arange(side)) / side**2)
        made.append(in_strips(turns, loaded.vector // dtype.itemsize, dtype))
    return tuple(made)


def spectrum(taps: Array, tiling: Tiling, dtype: DType) -> Array:
    """Return the spectrum of correlation taps, which is that of a convolution's conjugated."""
    from scipy import fft

    loaded = native.library()
    assert loaded is not None
    side, lanes = tiling.side, loaded.vector // dtype.itemsize
    order = frequencies(loaded.radices[side])
    planes = []
    for plane in taps.reshape(tiling.depth, *taps.shape[-len(tiling.window) :]):
        found = np.conj(fft.fftn(np.conj(plane).astype(np.complex128), tiling.window)) / side**2
        if tiling.line:  # frequency `row + side * column`
            found = found.reshape(side, side).T
        planes.append(in_strips(found[np.ix_(order, order)], lanes, dtype))
    return np.stack(planes)


@dataclass(frozen=True)
class Group:
    """Windows that one call takes: where the first lies, and steps to the others.

    ``half`` leads from a window to the other one of its pair, ``loops`` to further pairs; all as
    numbers of outputs along the axes.
    """

    first: tuple[int, ...]
    half: tuple[int, ...]
    loops: tuple[tuple[int, tuple[int, ...]], ...]


def paired(
    counts: tuple[int, ...],
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int | None]]:
    """Cut a grid of windows into parts with an even number along one axis: first, counts, axis.

    A window that is left alone has no axis.

    >>> list(paired((3, 5)))
    [((0, 0), (3, 4), 1), ((0, 4), (2, 1), 0), ((2, 4), (1, 1), None)]
    """
    first, counts = [0] * len(counts), tuple(counts)
    while True:
        even = [axis for axis, count in enumerate(counts) if count % 2 == 0]
        if even:
            yield tuple(first), counts, even[-1]
            return
        long = [axis for axis, count in enumerate(counts) if count > 1]
        if not long:
            yield tuple(first), counts, None
            return
        axis = long[-1]
        most = tuple(n - 1 if a == axis else n for a, n in enumerate(counts))
        yield tuple(first), most, axis
        first[axis] += most[axis]
        counts = tuple(1 if a == axis else n for a, n in enumerate(counts))


@lru_cache(maxsize=256)
def groups(outputs: tuple[int, ...], step: tuple[int, ...], pairs: bool) -> tuple[Group, ...]:
    """Cover the outputs with windows: from the start on, and one more where some are left.

    That one computes outputs anew that others did; it comes later, so that the bits are its.
    Without ``pairs`` every window stands for itself.
    """
    parts = []
    for n, s in zip(outputs, step, strict=True):
        part = [(0, n // s)]
        if n % s:
            part.append((n - s, 1))
        parts.append(part)
    found = []
    for grid in itertools.product(*parts):
        starts, counts = tuple(start for start, _ in grid), tuple(count for _, count in grid)
        for begin, many, axis in paired(counts) if pairs else [((0,) * len(step), counts, None)]:
            first = tuple(a + b * s for a, b, s in zip(starts, begin, step, strict=True))
            unit = [tuple(s if a == b else 0 for b, s in enumerate(step)) for a in range(len(step))]
            loops = []
            for a, n in enumerate(many):
                twice = 2 if a == axis else 1
                loops.append((n // twice, tuple(twice * s for s in unit[a])))
            half = unit[axis] if axis is not None else (0,) * len(step)
            found.append(Group(first, half, tuple(loops)))
    return tuple(found)


Bad = Callable[[list[Array]], list[bool]]
"""Which of the windows that share a transform must be summed plainly."""
Plain = Callable[[Array, Array], None]
"""Sums a window's outputs plainly: ``plain(window, outputs)``."""


class Windows:
    """A kernel's windows: gives a block's outputs from the samples that cover its taps.

    Parameters
    ----------
    taps : ndarray
        Correlation taps with dilation put in, for the axes of the tiling.
    tiling : Tiling
    dtype : dtype
        Of samples and outputs.
    doubtful : float
        How much greater than the least column of a pair of windows the greatest may be, in sums of
        magnitudes, before ``bad`` is asked.
    bad, plain : callables
        See above.
    """

    def __init__(
        self,
        taps: Array,
        tiling: Tiling,
        dtype: DType,
        doubtful: float,
        bad: Bad,
        plain: Plain,
    ) -> None:
        part = np.finfo(dtype).dtype  # of a complex number's parts
        self.tiling, self.dtype, self.part = tiling, dtype, part
        self.doubtful, self.bad, self.plain = doubtful, bad, plain
        self.constants = [spectrum(taps, tiling, part), *tables(tiling.side, tiling.line, part)]
        total, info = float(np.abs(taps).sum()), np.finfo(dtype)
        # sums of magnitudes beyond which transforms would overflow, or lose digits
        self.most = float(info.max) / (4 * tiling.side**2 * max(1.0, total))
        self.least = tiling.side * float(info.tiny) / float(info.eps)
        self.calls: dict[Any, Call] = {}

    def __call__(self, source: Array, target: Array, workers: int) -> None:
        """Compute the outputs; the axes of the tiling are the last ones of both arrays."""
        rank, step = len(self.tiling.step), self.tiling.step
        if self.tiling.line:  # windows are a little longer than what their outputs need
            fitting = max(0, (source.shape[-1] - self.tiling.window[0]) // step[0] + 1) * step[0]
            self._whole(source, target[..., :fitting], workers)
            source, target = source[..., fitting:], target[..., fitting:]
            covered: tuple[int, ...] = (-(-target.shape[-1] // step[0]) * step[0],)
        else:
            covered = tuple(map(max, step, target.shape[-rank:]))
        if (target.shape[-rank:] == covered and not self.tiling.line) or target.size == 0:
            self._whole(source, target, workers)
        else:  # windows of their own, with zeros behind the samples
            more = zip(covered, step, self.tiling.window, strict=True)
            lengths = [n - s + w for n, s, w in more]
            ends: tuple[Any, ...] = (..., *(slice(n) for n in target.shape[-rank:]))
            sums = np.empty((*target.shape[:-rank], *covered), self.dtype)
            self._whole(padded(source, (*source.shape[:-rank], *lengths)), sums, workers)
            target[...] = sums[ends]

    def _whole(self, source: Array, target: Array, workers: int) -> None:
        """Compute outputs of whole windows, all of which lie within the samples."""
        if target.size == 0:
            return
        if not self.takes(source):
            source = np.ascontiguousarray(source)
        if not self.takes(target):
            sums = np.empty(target.shape, self.dtype)
            self._whole(source, sums, workers)
            target[...] = sums
            return
        outputs = target.shape[-len(self.tiling.step) :]
        for group in groups(outputs, self.tiling.step, not self.tiling.complex):
            self._group(group, source, target, workers)

    def takes(self, array: Array) -> bool:
        """Whether the pipeline reads or writes the array where it lies."""
        span = sum(abs(n * s) for n, s in zip(array.shape, array.strides, strict=True))
        return (
            array.strides[-1] == array.itemsize
            and span < 2**31
            and all(s >= 0 and s % array.itemsize == 0 for s in array.strides)
        )

    def _group(self, group: Group, source: Array, target: Array, workers: int) -> None:
        """Compute the outputs of a group of windows, for every index of the batch axes."""
        rank, item = len(self.tiling.reach), self.part.itemsize
        batch = target.shape[: target.ndim - max(rank, len(self.tiling.step))]
        loops = [
            (n, offset(steps, source, item), offset(steps, target, item))
            for n, steps in group.loops
        ] + [
            (n, a // item, b // item)
            for n, a, b in zip(batch, source.strides, target.strides, strict=False)
        ]
        loops = sorted((loop for loop in loops if loop[0] != 1), key=lambda loop: -loop[0])
        if any(n == 0 for n, _, _ in loops):
            return
        inner, outer = loops[:2], loops[2:]
        inner += [(1, 0, 0)] * (2 - len(inner))
        halves = offset(group.half, source, item), offset(group.half, target, item)
        if self.tiling.complex:
            halves = 1, 1
        call = self._call(inner, halves, source, target)
        counts = inner[1][0], inner[0][0]
        for at in itertools.product(*(range(n) for n, _, _ in outer)):
            x = offset(group.first, source, item)
            y = offset(group.first, target, item)
            for i, (_, x_step, y_step) in zip(at, outer, strict=True):
                x, y = x + i * x_step, y + i * y_step
            sizes = np.empty((*counts, 2, self.tiling.side), self.part)
            call(address(source) + x * item, address(target) + y * item,
                 workers, sizes)  # fmt: skip
            for z, p in np.argwhere(self.doubts(sizes)).tolist():
                starts = [
                    (x + p * inner[0][1] + z * inner[1][1] + half * halves[0],
                     y + p * inner[0][2] + z * inner[1][2] + half * halves[1])
                    for half in range(1 if self.tiling.complex else 2)
                ]  # fmt: skip
                self._mend(sizes[z, p], source, target, starts)

    def doubts(self, sizes: Array) -> Array:
        """Return which pairs of windows must be looked at, from their columns' magnitudes."""
        if self.tiling.complex:
            sizes = sizes.sum(2, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore"):
            top = sizes.max((2, 3))
            low = np.where(sizes > 0, sizes, np.inf).min((2, 3))
            even = top <= self.doubtful * low
        fine = even & (top < self.most) & ((top > self.least) | (top == 0))
        none = (sizes.max(3) == 0).any(2) & (top > 0)
        found: Array = ~fine | none
        return found

    def _mend(
        self, sizes: Array, source: Array, target: Array, starts: list[tuple[int, int]]
    ) -> None:
        """Sum the windows of a pair anew where the transforms do not tell what they give."""
        item = self.part.itemsize
        deep = len(self.tiling.reach) - len(self.tiling.step)  # whole along further axes
        rank = len(self.tiling.reach)
        lengths = source.shape[-rank:][:deep], target.shape[-rank:][:deep]
        windows = [view(source, x * item, (*lengths[0], *self.tiling.window)) for x, _ in starts]
        sums = [view(target, y * item, (*lengths[1], *self.tiling.step)) for _, y in starts]
        top = float(sizes.max())
        sure = self.least < top < self.most  # it may be NaN
        which = self.bad(windows) if sure else [True] * len(windows)
        if self.tiling.complex:
            sizes = sizes.sum(0, keepdims=True)
        for size, window, outputs, is_bad in zip(sizes, windows, sums, which, strict=True):
            if not size.any():
                outputs[...] = 0
            elif is_bad:
                self.plain(window, outputs)

    def _call(
        self, inner: list[tuple[int, int, int]], halves: tuple[int, int], x: Array, y: Array
    ) -> Call:
        """Return the prepared call for these steps."""
        side, item = self.tiling.side, self.part.itemsize
        unit = self.dtype.itemsize // item
        rows = (
            (side * unit,) * 2
            if self.tiling.line
            else (x.strides[-2] // item, y.strides[-2] // item)
        )
        step = self.tiling.step
        shape = (side, step[0] // side) if self.tiling.line else (step[1], step[0])
        planes = [(1, 0), (1, 0)]
        if self.tiling.form == "solid":
            planes = [(array.shape[-3], array.strides[-3] // item) for array in (x, y)]
        key = (tuple(inner), halves, *rows, *planes)
        if key not in self.calls:
            (p, xp, yp), (q, xq, yq) = inner
            (zx, xz), (zy, yz) = planes
            form = Form(
                (side, side, 2, p, q, zx), (unit, rows[0], halves[0], xp, xq, xz), (1, 1, 1),
                (*shape, 2, p, q, zy), (unit, rows[1], halves[1], yp, yq, yz), (1, 1, 1), (1, 1, 1),
            )  # fmt: skip
            work = p * q * zx * side**2 * 64
            # planes that one task goes through: enough tasks for many cores, however few pairs
            chunk = max(4 * self.tiling.depth, -(-zy // max(1, TASKS // (p * q))))
            numbers = (chunk,) if self.tiling.form == "solid" else ()
            variant = self.tiling.variant(self.part)
            call = Call(FAMILY, variant, form, self.constants, numbers, work)
            if len(self.calls) >= 256:
                return call
            self.calls[key] = call
        return self.calls[key]


class Held:
    """An array's memory seen otherwise, in NumPy's protocol."""

    def __init__(self, array: Array, start: int, shape: tuple[int, ...]) -> None:
        self.base = array
        self.__array_interface__ = {
            **array.__array_interface__,
            "data": (address(array) + start, False),
            "shape": shape,
            "strides": array.strides[-len(shape) :],
        }


def view(array: Array, start: int, shape: tuple[int, ...]) -> Array:
    """Return a window over the last axes that begins so many bytes after the array."""
    return np.asarray(Held(array, start, shape))


def offset(steps: tuple[int, ...], array: Array, item: int) -> int:
    """Return how many items lie between places so far apart along the last axes."""
    strides = array.strides[-len(steps) :]
    return sum(n * s for n, s in zip(steps, strides, strict=True)) // item


def padded(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the array with zeros behind it."""
    made = np.zeros(shape, array.dtype)
    made[tuple(map(slice, array.shape))] = array
    return made
