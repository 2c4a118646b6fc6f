"""Products of spectra: the outputs are cut into tiles, each with a transform of its own.

Overlap-save: a transform of length ``n`` along an axis gives ``n - reach`` outputs. Tiles are small
enough for transform, product and inverse to stay in a core's cache, and threads share the tiles.
The noise of a transform is that of its greatest sample, and a NaN spoils all of it: tiles with
samples that are not finite, or that would drown in noise, are summed as the definition has it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from faltung import fourier, native
from faltung.blocked import Blocked, Step
from faltung.dtypes import Array, DType, convert
from faltung.geometry import Axis, tiles
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict, direct, reference
from faltung.problem import Problem

NAME = "fft"
ERROR_UNIT = "norm(k) * norm(x)"
HELD = 3  # a tile at work holds its samples, their spectrum and the sums
# Bytes of samples of a transform, and what it costs more beyond them: nearer caches are faster.
SLOWER = ((2 << 20, 1.0), (8 << 20, 1.2), (1 << 62, 1.5))
BATCH = 2 << 20  # bytes of samples of small transforms that are made together
LONGEST = {1: 256, 2: 32}  # lengths that are tried, in kernels, for so many axes
PASSES = 2.6  # transforms forth and back, and what goes with them, in transforms
QUIET = 1e-2  # of a tile's usual magnitude: noise beyond it is too much


def supports(problem: Problem) -> Verdict:
    """Floating sums, unless the noise of a transform could be told from the answer's."""
    arithmetic = problem.arithmetic
    if arithmetic.exact:
        return Verdict(False, "exact integers have transforms of their own")
    if precision(problem) is None:
        return Verdict(False, f"no transform computes in {arithmetic.accumulator}")
    if not any(along.reach for along in problem.geometry):
        return Verdict(False, "the kernel has a single tap")
    if tiling(problem) is None:
        return Verdict(False, f"a transform would take more than {problem.max_memory:,} bytes")
    drowned = drowns(problem, within)
    if drowned:
        return Verdict(False, drowned)
    shape = "x".join(map(str, tiling(problem) or ()))
    return Verdict(True, f"transforms of {shape}")


def drowns(problem: Problem, within: Callable[[Problem], float]) -> str:
    """Say why the noise of transforms, ``within`` so much, forbids them; "" where it does not."""
    k = problem.taps.array
    if not np.isfinite(k).all() or not k.any():
        return "the taps are not finite, or all are zero"
    arithmetic = problem.arithmetic
    if problem.result_dtype.kind in "iu" and arithmetic.overflow != "saturate":
        return 'its noise could pass for an overflow; overflow="saturate" would allow it'
    if problem.tolerance is not None:
        bound = within(problem)
        if bound > problem.tolerance:
            return f"its noise of {bound:.2g} is above the tolerance"
    elif problem.nonnegative:
        return "its noise may be negative; a tolerance would allow it"
    elif k.dtype.kind != "c" and (k >= 0).all() and k[k > 0].min() < k.max() * eps_of(problem):
        return "its noise would drown the smallest taps; a tolerance would allow it"
    return ""


def precision(problem: Problem) -> DType | None:
    """Return the dtype of the samples that are transformed."""
    dtype = np.dtype(problem.arithmetic.accumulator)
    return dtype if dtype.name in ("float32", "float64", "complex64", "complex128") else None


def eps_of(problem: Problem) -> float:
    """Return the unit of rounding's double."""
    return float(np.finfo(np.dtype(problem.arithmetic.accumulator)).eps)


def tiling(problem: Problem) -> tuple[int, ...] | None:
    """Return the lengths of the transforms along the convolved axes; None where too much."""
    item = np.dtype(problem.arithmetic.accumulator).itemsize
    return lengths(problem.geometry, item, problem.max_memory)


@lru_cache(maxsize=256)
def lengths(axes: tuple[Axis, ...], item: int, memory: int) -> tuple[int, ...] | None:
    """Return the lengths that cost least for all the outputs.

    Two tiles at a time should fit into the memory, or one where the kernel leaves no choice. The
    number of threads has no say: the bits must not depend on it.
    """
    choices: list[tuple[int, ...]] = []
    for axis in axes:
        low, high = axis.span(0, max(1, axis.count))
        least = fourier.smooth(axis.reach + 1)
        most = min(high - low, max(64, LONGEST.get(len(axes), 8) * axis.reach))
        choices.append(fourier.fast_lengths(least, most) if axis.reach else (1,))
    shapes = list(itertools.product(*choices))
    for tiles_at_once in (2, 1):
        most = memory // (tiles_at_once * HELD * item)
        fitting = [shape for shape in shapes if math.prod(shape) <= most]
        if fitting:
            return min(fitting, key=lambda shape: points(axes, shape, item))
    return None


def points(axes: tuple[Axis, ...], shape: tuple[int, ...], item: int) -> float:
    """Return what the transforms of all outputs take, in stages of samples."""
    samples = math.prod(shape)
    tiles = math.prod(-(-a.count // a.outputs_of(n)) for a, n in zip(axes, shape, strict=True))
    slow = next(factor for most, factor in SLOWER if samples * item <= most)
    return tiles * (samples * (math.log2(samples) + 4) * slow + 6e5)


def within(problem: Problem) -> float:
    """Return the error bound in the unit of a tolerance: sum |k| * max |x|."""
    shape = tiling(problem)
    assert shape is not None
    return (
        error_bound(problem)
        * problem.taps.norm
        / problem.taps.absolute_sum
        * math.sqrt(math.prod(shape))
    )


def cost(problem: Problem, machine: Machine) -> Cost:
    """Count the transforms of all tiles, and a call of NumPy for each."""
    shape = tiling(problem)
    if shape is None:
        return Cost(math.inf, 0)
    dtype = np.dtype(problem.arithmetic.accumulator)
    real = dtype.kind != "c"
    item = dtype.itemsize
    batches = math.prod(n for a, n in enumerate(problem.shape) if a not in problem.axes)
    single = 1.0 if item // (1 if real else 2) == 4 else 2.0
    work = points(problem.geometry, shape, item) * PASSES * single * (1 if real else 2)
    tiles = batches * math.prod(
        -(-a.count // a.outputs_of(n)) for a, n in zip(problem.geometry, shape, strict=True)
    )
    threads = min(native.processors(), max(tiles, 1))  # a batch axis may be empty
    seconds = batches * work * machine.transform / threads
    held = HELD * math.prod(shape) * item
    memory = held * max(1, min(threads, problem.max_memory // held))
    return Cost(seconds + tiles * machine.tile + 2e-4, memory)


def held(problem: Problem) -> int:
    """Return the bytes that a plan keeps: the kernel's spectrum."""
    item = np.dtype(problem.arithmetic.accumulator).itemsize
    return item * math.prod(tiling(problem) or ())


def error_bound(problem: Problem) -> float:
    """Return ``c`` in ``|error| <= c * norm(k) * norm(x)``, with ``x`` as it is continued."""
    shape = tiling(problem)
    assert shape is not None
    parts = 2 if np.dtype(problem.arithmetic.accumulator).kind == "c" else 1
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    return parts * fourier.error(math.prod(shape), eps_of(problem)) + last


def prepare(problem: Problem) -> Run:
    """Return the run over the tiles."""
    return Tiles(problem)


@dataclass(frozen=True)
class Tile:
    """A block, and which of the batch axes' indices it is for."""

    step: Step
    batch: tuple[slice, ...]


class Tiles:
    """A problem cut into tiles, with its kernel's spectrum."""

    def __init__(self, problem: Problem) -> None:
        shape, dtype = tiling(problem), precision(problem)
        assert shape is not None
        assert dtype is not None
        self.problem, self.shape, self.dtype = problem, shape, dtype
        limit = [a.outputs_of(n) for a, n in zip(problem.geometry, shape, strict=True)]
        cut = tiles(problem.geometry, problem.boundary, limit)
        self.blocked = Blocked(problem, cut, dtype, dtype)
        taps = problem.correlation_taps
        wide = np.complex128 if taps.dtype.kind == "c" or dtype.kind == "c" else np.float64
        laid = np.zeros([a.reach + 1 for a in problem.geometry], wide)
        laid[tuple(slice(None, None, a.dilation) for a in problem.geometry)] = taps
        every = tuple(range(laid.ndim))
        spectrum = fourier.transform(laid, shape, every, 1)
        if wide is np.complex128:  # the conjugate at -f is the spectrum of the conjugate taps
            spectrum = fourier.transform(np.conj(laid), shape, every, 1)
        narrow = np.complex64 if dtype.itemsize // (2 if dtype.kind == "c" else 1) == 4 else None
        spectrum = np.conj(spectrum).astype(narrow or np.complex128)
        # the axes of the problem's memory: batch axes are 1 long in the spectrum
        order = np.argsort(problem.axes)
        spread = [1] * len(problem.shape)
        ordered = spectrum.transpose(order)
        for n, axis in zip(ordered.shape, sorted(problem.axes), strict=True):
            spread[axis] = n
        # the last axis that is transformed is the halved one: it must be the same in both
        self.axes = problem.axes
        self.spectrum = ordered.reshape(spread)
        self.noise = fourier.error(math.prod(shape), eps_of(problem))
        self.gain = problem.taps.norm
        self.total = problem.taps.absolute_sum

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute every tile, a thread for each."""
        every = list(self._tiles())
        if len(every) == 1 or workers == 1:
            for tile in every:
                self._tile(tile, x, out, workers)
            return
        held = HELD * math.prod(self.shape) * self.dtype.itemsize
        threads = max(1, min(workers, len(every), self.problem.max_memory // held))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda tile: self._tile(tile, x, out, 1), every))

    def _tiles(self) -> Iterator[Tile]:
        """Yield the tiles, with as much of the batches in each as a cache holds."""
        shape = self.problem.shape
        size = math.prod(self.shape) * self.dtype.itemsize
        together = max(1, BATCH // size)
        ranges = []
        for axis in reversed(range(len(shape))):
            if axis in self.problem.axes:
                ranges.append([slice(None)])
                continue
            length = min(together, shape[axis])
            ranges.append([slice(i, i + length) for i in range(0, shape[axis], max(1, length))])
            together = max(1, together // max(1, length))
        for step in self.blocked.steps:
            for batch in itertools.product(*reversed(ranges)):
                yield Tile(step, batch)

    def _tile(self, tile: Tile, x: Array, out: Array, threads: int) -> None:
        """Compute one tile's outputs."""
        problem = self.problem
        batch = tile.batch
        source = self.blocked.gather(tile.step, x[batch])
        target = out[batch][tile.step.outputs]
        if target.size == 0:
            return
        if not source.any():
            sums: Array = np.zeros(target.shape, self.dtype)
        elif self._drowns(source):
            sums = self._plain(source, target.shape)
        else:
            spectrum = fourier.transform(source, self.shape, self.axes, threads)
            spectrum *= self.spectrum
            sums = fourier.inverse(
                spectrum, self.shape, self.axes, threads, self.dtype.kind != "c"
            )[self._given(target)]
            if not np.isfinite(sums.sum()):
                sums = self._plain(source, target.shape)
            elif problem.nonnegative:
                np.maximum(sums, 0, out=sums)
        target[...] = convert(sums, out.dtype, problem.arithmetic.overflow)

    def _given(self, target: Array) -> tuple[slice, ...]:
        """Return which of a tile's sums are outputs."""
        along = dict(zip(self.problem.axes, self.problem.geometry, strict=True))
        return tuple(
            slice(0, along[a].stride * (n - 1) + 1, along[a].stride) if a in along else slice(None)
            for a, n in enumerate(target.shape)
        )

    def _drowns(self, source: Array) -> bool:
        """Whether the noise of the greatest sample would hide what the usual ones give.

        A tolerance allows it. Looked at are the greatest magnitude and the median of a sample.
        """
        if self.problem.tolerance is not None:
            return False
        if source.dtype.kind == "c":
            top = float(np.abs(source).max())
        else:
            top = max(float(source.max()), -float(source.min()))
        info = np.finfo(self.dtype)
        if not math.isfinite(top) or 0 < top < info.tiny / info.eps:  # or sums lose their digits
            return True
        return 0 < usual(source) * self.total * QUIET < self.noise * self.gain * top

    def _plain(self, source: Array, shape: tuple[int, ...]) -> Array:
        """Sum a tile as the definition has it, from its samples with the boundary laid around."""
        sums = np.empty(shape, self.dtype)
        inner = inside(self.problem, source.shape, self.dtype)
        method = direct if direct.supports(inner).ok else reference
        method.prepare(inner)(source, sums, 1)
        return sums


def usual(samples: Array) -> float:
    """Return the median magnitude of a sample of the samples."""
    flat = samples.reshape(-1)
    return float(np.median(np.abs(flat[:: max(1, flat.size // 512)])))


def inside(problem: Problem, shape: tuple[int, ...], dtype: DType) -> Problem:
    """Return the problem of a block's samples, where every tap lies inside."""
    return replace(
        problem,
        shape=shape,
        dtype=dtype.name,
        mode="valid",
        boundary=("constant",) * len(problem.axes),
        fill_value=0.0,
        arithmetic=replace(problem.arithmetic, result=dtype.name),
        nonnegative=False,
        tolerance=None,
        method="auto",
    )
