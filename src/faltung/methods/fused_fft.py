"""Products of spectra in small windows, fused into one compiled pipeline.

Overlap-save, as in :mod:`faltung.methods.fft`, with transforms of 64 to 256 samples a side whose
passes, products and passes back never leave a core's caches. Kernels along one axis have windows of
4096 to 65536 samples. What the noise of a window's greatest sample would hide is summed plainly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np

from faltung import fourier, native
from faltung.blocked import SCRATCH, Blocked
from faltung.dtypes import Array, DType
from faltung.geometry import Axis, Block, bands, boxes, cuts
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict, direct, fft, reference
from faltung.problem import Problem
from faltung.spectra import FAMILY, TASKS, Tiling, Windows, groups

NAME = "fused_fft"
ERROR_UNIT = fft.ERROR_UNIT
CALL = 5  # times the least call: windows are looked through for what noise would drown
OUTPUTS = 1 << 27  # of a block, so that an interrupt waits no longer than for one


def supports(problem: Problem) -> Verdict:
    """Floating sums along one, two or three axes."""
    if not native.variants(FAMILY):
        return Verdict(False, "its windows are not compiled for this processor")
    along = spanned(problem)
    if not 1 <= len(along) <= 3 or any(axis.stride != 1 for axis in problem.geometry):
        return Verdict(False, "its windows lie along one to three axes, without strides")
    if problem.arithmetic.exact or fft.precision(problem) is None:
        return Verdict(False, f"no window is compiled for {problem.arithmetic.accumulator}")
    found = tiling(problem)
    if found is None:
        return Verdict(False, "the kernel is longer than the windows")
    if memory(problem, found) > problem.max_memory:
        return Verdict(False, f"its windows would take {memory(problem, found):,} bytes")
    drowned = fft.drowns(problem, within)
    if drowned:
        return Verdict(False, drowned)
    return Verdict(True, f"windows of {'x'.join(map(str, found.window))}, fused")


def spanned(problem: Problem) -> tuple[Axis, ...]:
    """Return the axes with more than one tap, in the order of memory."""
    pairs = sorted(zip(problem.axes, problem.geometry, strict=True))
    return tuple(axis for _, axis in pairs if axis.reach)


def tiling(problem: Problem) -> Tiling | None:
    """Return the windows that take least."""
    return cheapest(spanned(problem), np.dtype(problem.arithmetic.accumulator))


@lru_cache(maxsize=256)
def cheapest(axes: tuple[Axis, ...], dtype: DType) -> Tiling | None:
    """Return the windows that take least for all outputs, None where there are none."""
    loaded = native.library()
    if loaded is None or not 1 <= len(axes) <= 3:
        return None
    reach = tuple(axis.reach for axis in axes)
    part, compiled = np.finfo(dtype).dtype, native.variants(FAMILY)
    fitting = [
        t
        for t in (Tiling(side, reach, dtype.kind == "c") for side in loaded.radices)
        if min(t.step) > 0 and t.depth <= loaded.deep and t.variant(part) in compiled
    ]
    return min(fitting, key=lambda t: windows(axes, t) * stages(t, dtype.itemsize), default=None)


def windows(axes: tuple[Axis, ...], found: Tiling) -> int:
    """Return the number of windows that cover the outputs."""
    *deep, _, _ = axes if found.form == "solid" else (None, None)
    planes = math.prod(axis.count + axis.reach for axis in deep)
    pairs = zip(axes[len(deep) :], found.step, strict=True)
    return planes * math.prod(max(1, -(-axis.count // step)) for axis, step in pairs)


def stages(found: Tiling, item: int) -> float:
    """Return what a window takes, in stages of float32 samples."""
    far = 1.1 if found.side == 256 else 1.0  # three passes instead of two
    passes = math.log2(found.side) + 1 + 0.8 * (found.depth - 1)
    return found.side**2 * passes * far * item / 4


def within(problem: Problem) -> float:
    """Return the error bound in the unit of a tolerance: sum |k| * max |x|."""
    found = tiling(problem)
    assert found is not None
    return error_bound(problem) * problem.taps.norm / problem.taps.absolute_sum * found.side


def cost(problem: Problem, machine: Machine) -> Cost:
    """Count the windows, and the samples that are copied along the ends."""
    found = tiling(problem)
    if found is None:
        return Cost(math.inf, 0)
    axes, dtype = spanned(problem), np.dtype(problem.arithmetic.accumulator)
    convolved = {a for a, axis in zip(problem.axes, problem.geometry, strict=True) if axis.reach}
    batches = math.prod(n for a, n in enumerate(problem.result_shape) if a not in convolved)
    each = stages(found, dtype.itemsize) * (1 if found.complex else 2) * machine.fused
    turns, calls = rounds(axes, found, batches)
    seconds = turns * each + calls * CALL * machine.call
    copied = sum(
        math.prod(stop - first + axis.reach for axis, (first, stop) in zip(axes, box, strict=True))
        for box, plain in parts(axes, found)
        if not plain
    )
    size = batches * math.prod(axis.count for axis in axes) * dtype.itemsize
    # fill values are laid beside what is copied, samples from elsewhere axis by axis
    ways = 0.3 if set(problem.boundary) == {"constant"} else 0.8
    converts = (problem.dtype != dtype.name) + (problem.arithmetic.result != dtype.name)
    seconds += (ways * batches * copied * dtype.itemsize + converts * size) / machine.copy
    seconds += machine.moving(2 * size) + machine.fresh(size)
    return Cost(seconds, memory(problem, found))


def rounds(axes: tuple[Axis, ...], found: Tiling, batches: int) -> tuple[float, int]:
    """Return how many pairs of windows the busiest thread transforms, and in how many calls."""
    threads, total, calls = native.processors(), 0.0, 0
    *deep, _, _ = axes if found.form == "solid" else (None, None)
    chunk = max(4 * found.depth, -(-math.prod(axis.count for axis in deep) // TASKS))
    for box, _ in parts(axes, found):
        outputs = [stop - first for first, stop in box[len(deep) :]]
        covered = tuple(map(max, outputs, found.step))
        for group in groups(covered, found.step, not found.complex):
            pairs = batches * math.prod(n for n, _ in group.loops)
            calls += 1
            if deep:  # the first planes of each chunk are transformed again
                planes = deep[0].count + deep[0].reach * -(-deep[0].count // chunk)
                total += planes * pairs / min(threads, max(1, pairs * deep[0].count // chunk))
            else:
                total += -(-pairs // threads)
    return total, calls


def memory(problem: Problem, found: Tiling) -> int:
    """Return the scratch bytes: two tiles for each thread, the spectrum, and a strip."""
    item = np.dtype(problem.arithmetic.accumulator).itemsize
    processors = native.processors()
    planes = found.depth + (2 * 16 if found.form == "solid" else 0) * processors
    return ((4 * processors + 4) + 2 * planes) * found.side**2 * item + SCRATCH


def held(problem: Problem) -> int:
    """Return the bytes that a plan keeps: the kernel's spectrum."""
    found = tiling(problem)
    item = np.dtype(problem.arithmetic.accumulator).itemsize
    return 2 * item * found.side**2 * found.depth if found else 0


def error_bound(problem: Problem) -> float:
    """Return ``c`` in ``|error| <= c * norm(k) * norm(x)``, with ``x`` as it is continued.

    A window's noise is that of its pair, whose norm is less than that of ``x`` times sqrt(2).
    """
    found = tiling(problem)
    assert found is not None
    eps = fft.eps_of(problem)
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    if np.dtype(problem.arithmetic.accumulator).kind == "c":
        last += eps  # products of complex taps and samples
    sums = 4 * eps * found.depth if found.depth > 1 else 0.0  # of products, plane by plane
    return math.sqrt(2) * (fourier.error(2 * found.side**2, eps) + sums) + last


Box = tuple[tuple[int, int], ...]
"""Ranges of outputs, one for each axis."""


def parts(axes: tuple[Axis, ...], found: Tiling) -> Iterator[tuple[Box, bool]]:
    """Yield an interior of whole windows, which is plain, and the strips around it."""
    deep = len(axes) - len(found.step)  # axes that windows go along: a cut costs more than a copy
    whole = tuple((0, axis.count) for axis in axes[:deep])
    *outer, inner = axes[deep:]
    across = bands(inner, found.step[-1])
    for rows in product(*(bands(axis, found.step[0]) for axis in outer)):
        between = all(lies_inside(axis, ends) for axis, ends in zip(outer, rows, strict=True))
        # strips over the ends of the rows go all the way across: few windows are left alone
        for columns in across if between else [(0, inner.count)]:
            box = (*whole, *rows, columns)
            yield box, all(map(lies_inside, axes, box))


def lies_inside(axis: Axis, ends: tuple[int, int]) -> bool:
    """Whether a range of outputs needs no boundary."""
    return axis.inside[0] <= ends[0] and ends[1] <= axis.inside[1]


def cut(axes: tuple[Axis, ...], boundaries: tuple[str, ...], found: Tiling) -> Iterator[Block]:
    """Cut the parts into blocks that can be interrupted, and copied."""
    deep = len(axes) - len(found.step)
    steps = (*(axis.count for axis in axes[:deep]), *found.step)
    for box, plain in parts(axes, found):
        most = OUTPUTS if plain else SCRATCH // 16
        ranges = []
        for n, ((first, stop), step) in enumerate(zip(box, steps, strict=True)):
            other = math.prod(b - a for a, b in (*box[:deep], *box[n + 1 :]))
            together = most // max(1, other) // max(1, step)
            ranges.append(cuts(first, stop, max(1, together) * max(1, step)))
        yield from boxes(ranges, axes, boundaries)


def prepare(problem: Problem) -> Run:
    """Return the run over the blocks."""
    return Fused(problem)


class Fused:
    """A problem cut into blocks of windows, with its kernel's spectrum."""

    def __init__(self, problem: Problem) -> None:
        found = tiling(problem)
        assert found is not None
        dtype = np.dtype(problem.arithmetic.accumulator)
        self.problem, self.dtype = problem, dtype
        self.noise = error_bound(problem)
        taps = problem.correlation_taps
        self.gain = problem.taps.norm
        self.total = problem.taps.absolute_sum
        self.blocked = Blocked(problem, self._blocks(found), dtype, dtype)
        self.convolved = [
            axis
            for axis, along in sorted(zip(problem.axes, problem.geometry, strict=True))
            if along.reach
        ]
        rest = [axis for axis in range(len(problem.shape)) if axis not in self.convolved]
        self.order = (*rest, *self.convolved)
        laid = np.zeros([axis.reach + 1 for axis in problem.geometry], taps.dtype)
        laid[tuple(slice(None, None, axis.dilation) for axis in problem.geometry)] = taps
        laid = laid.transpose(np.argsort(problem.axes))
        laid = laid.reshape([axis.reach + 1 for axis in spanned(problem)])
        doubtful = fft.QUIET * self.total / (self.noise * self.gain * found.side)
        if problem.tolerance is not None:
            doubtful = math.inf
        self.windows = Windows(laid, found, dtype, doubtful, self._bad, self._plain)

    def _blocks(self, found: Tiling) -> Iterator[Block]:
        """Yield the blocks, with an entry for every axis of the problem."""
        problem = self.problem
        order = sorted(range(len(problem.axes)), key=lambda n: problem.axes[n])
        spans = [n for n in order if problem.geometry[n].reach]
        axes = tuple(problem.geometry[n] for n in spans)
        others = [n for n in order if n not in spans]
        for block in cut(axes, tuple(problem.boundary[n] for n in spans), found):
            ranges = [[(0, 0)]] * len(problem.axes)
            for n, ends in zip(spans, block.outputs, strict=True):
                ranges[n] = [ends]
            for n in others:
                ranges[n] = [(0, problem.geometry[n].count)]
            yield from boxes(ranges, problem.geometry, problem.boundary)

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute every block."""
        self.blocked(self._core, x, out, workers)

    def _core(self, source: Array, target: Array, workers: int) -> None:
        self.windows(source.transpose(self.order), target.transpose(self.order), workers)
        if self.problem.nonnegative:
            np.maximum(target, 0, out=target)

    def _bad(self, windows: list[Array]) -> list[bool]:
        """Whether the noise of the greatest sample would hide what the usual ones give."""
        noise = self.noise * self.gain * max(float(np.abs(window).max()) for window in windows)
        return [0 < fft.usual(window) * self.total * fft.QUIET < noise for window in windows]

    def _plain(self, window: Array, sums: Array) -> None:
        """Sum a window's outputs as the definition has it."""
        reach = [along.reach for along in spanned(self.problem)]
        lengths = tuple(n + r for n, r in zip(sums.shape, reach, strict=True))
        samples, outputs = [1] * len(self.problem.shape), [1] * len(self.problem.shape)
        for axis, n, m in zip(self.convolved, lengths, sums.shape, strict=True):
            samples[axis], outputs[axis] = n, m
        inner = fft.inside(self.problem, tuple(samples), self.dtype)
        method = direct if direct.supports(inner).ok else reference
        window = window[tuple(map(slice, lengths))].reshape(samples)
        method.prepare(inner)(window, sums.reshape(outputs), 1)
