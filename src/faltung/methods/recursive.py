"""Gaussian kernels within a tolerance, at a cost that does not grow with sigma.

The stages are those of :mod:`faltung.decimation`, along one axis or two: blur and decimate, smooth
the coarse grid, interpolate. It is taken only where the call gives a tolerance, which means ::

    |y - exact| <= tolerance * sum |k| * max |x|

where ``max |x|`` is over the samples, and the fill value where it is reached, before a rounding
to integers. What it states is computed for the kernel given: the greatest distance of the taps
that are applied from those that are wanted, over every position of an output on the coarse grid,
and a bound of all roundings. (Below the normal range of floats a rounding is absolute, as always.)

Boundaries are index maps along each axis. A window that reaches further than the kernel sees the
nearest sample again that the kernel does reach, so that nothing else counts. An infinite or NaN
sample would spoil its whole surroundings: such samples are taken out, and the outputs whose box of
taps holds one, which every tap being positive are not finite, are written by what they hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from faltung import native
from faltung.compiled import Route, route
from faltung.decimation import Stages, best, rounding
from faltung.dtypes import Array, convert
from faltung.geometry import Axis, cuts, stretched
from faltung.layout import MOST
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.native import Call, Form
from faltung.problem import Problem

NAME = "recursive"
FAMILIES = ("decimate", "interpolate", "transpose", "direct")
FITS = 1e-5  # the share of a kernel that may differ from the Gaussian fitted to it
SCRATCH = 24 << 20  # bytes of the largest array between the stages; there are two such
LINES = 64  # a single line is cut into so many, side by side, for the vectors
SEGMENT = 1 << 20  # outputs of a single line that are computed at a time

LEAST = 1e-20  # the kernel's sum, so that no weight leaves the normal range of float32

ERROR_UNIT = "sum |k| * max |x|"  # other methods bound each output by |k| * |x| there

Index = NDArray[np.intp]


# ---- which kernels ---------------------------------------------------------------------------


def factors(taps: Array) -> list[Array]:
    """Return the sums along all other axes, each divided by the whole sum, in float64."""
    wide = taps.astype(float)
    total = wide.sum()
    axes = range(taps.ndim)
    return [wide.sum(tuple(a for a in axes if a != axis)) / total for axis in axes]


def rest(taps: Array) -> float:
    """Return how far taps are from the product of their :func:`factors`, over their sum."""
    wide = taps.astype(float)
    outer = np.ones(())
    for factor in factors(taps):
        outer = np.multiply.outer(outer, factor)
    return float(np.abs(wide / wide.sum() - outer).sum())


def sigma_of(factor: Array) -> float | None:
    """Return the sigma of a sampled Gaussian, 0 for a single tap, None for anything else.

    The logarithms of the taps are fitted by a parabola, weighted by the taps (Guo, 2011).
    """
    if factor.size == 1:
        return 0.0
    if factor.size < 3:
        return None
    at = np.arange(factor.size) - (factor.size - 1) / 2
    parabola = np.polynomial.Polynomial.fit(at, np.log(factor), 2, w=factor)
    bend = float(parabola.convert().coef[2]) if parabola.degree() == 2 else 0.0
    flat = -0.5 / (4 * factor.size) ** 2  # flatter ones are all but a box
    if bend > flat or not np.abs(np.exp(parabola(at)) - factor).sum() <= FITS:
        return None
    return math.sqrt(-0.5 / bend)


def gaussian_sigmas(taps: Array) -> tuple[float, ...] | None:
    """Return the sigma along each axis of a separable Gaussian kernel, None for any other.

    Parameters
    ----------
    taps : ndarray
        Cut off anywhere and of any positive sum; all taps must be positive.

    Returns
    -------
    tuple of float or None
        In taps; 0 along an axis of one tap.

    Examples
    --------
    >>> k = np.exp(-np.arange(-9, 10) ** 2 / 18)
    >>> gaussian_sigmas(k / k.sum())
    (3.0,)
    >>> gaussian_sigmas(np.ones(5))
    """
    if taps.dtype.kind not in "iuf" or not taps.size or not np.isfinite(taps).all():
        return None
    if not (taps > 0).all() or rest(taps) > FITS:
        return None
    sigmas = [sigma_of(factor) for factor in factors(taps)]
    if any(sigma is None for sigma in sigmas):
        return None
    return tuple(round(sigma, 9) for sigma in sigmas if sigma is not None)


@dataclass(frozen=True, eq=False)
class Design:
    """What a problem is computed with: the stages of each axis of the input, and the bound."""

    stages: dict[int, Stages]
    sigmas: tuple[float, ...]
    bound: float


designs: WeakKeyDictionary[Problem, Design | str] = WeakKeyDictionary()


def design(problem: Problem) -> Design | str:
    """Return what a problem is computed with, or why it is refused; kept while the problem is."""
    known = designs.get(problem)
    if known is None:
        known = designs[problem] = new_design(problem)
    return known


def new_design(problem: Problem) -> Design | str:
    """Return the stages that keep within the tolerance, or why there are none."""
    if problem.tolerance is None:
        return "the call gives no tolerance"
    if problem.normalised:
        return "a quotient of two sums has no such bound"
    found = route(problem)
    if isinstance(found, str):
        return found
    if problem.arithmetic.exact or np.dtype(problem.dtype).kind not in "iuf":
        return "it computes in real floating point"
    if set(problem.stride + problem.dilation) != {1}:
        return "stride and dilation must be 1"
    spanned = [n for n, taps in enumerate(problem.taps.shape) if taps > 1]
    if not 1 <= len(spanned) <= 2:
        return f"the kernel spans {len(spanned)} axes and not one or two"
    sigmas = gaussian_sigmas(problem.taps.array)
    if sigmas is None:
        return "the kernel is no Gaussian"
    taps = problem.correlation_taps
    if not LEAST < taps.astype(float).sum() < 1 / LEAST:
        return "the kernel's sum is too far from 1"
    unfactored = rest(taps)
    each = (0.98 * problem.tolerance - unfactored) / len(spanned)
    stages = {}
    for n in spanned:
        data = factors(taps)[n].tobytes()
        fitting = best(data, sigmas[n], found.accumulator, each) if each > 0 else None
        if fitting is None:
            return f"sigma {sigmas[n]:.4g} has no decimation within {problem.tolerance:.2g}"
        stages[problem.axes[n]] = fitting
    bound = unfactored + math.prod(1 + s.error for s in stages.values()) - 1
    bound += rounding(tuple(stages.values()), found.accumulator)
    result = problem.result_dtype
    if result.kind in "fc" and result != found.accumulator:
        bound += (1 + bound) * float(np.finfo(result).eps) / 2
    if bound > problem.tolerance:
        return f"the error bound of {bound:.2g} is above the tolerance"
    return Design(stages, sigmas, bound)


# ---- the method ------------------------------------------------------------------------------


def supports(problem: Problem) -> Verdict:
    """Gaussian kernels along one axis or two, where the stated bound is below the tolerance."""
    if problem.tolerance is None:
        return Verdict(False, "the call gives no tolerance")
    if not all(native.variants(family) for family in FAMILIES):
        return Verdict(False, "the compiled library is not there")
    found = design(problem)
    if isinstance(found, str):
        return Verdict(False, found)
    sigmas = " x ".join(f"{sigma:.4g}" for sigma in found.sigmas)
    steps = " x ".join(str(found.stages[axis].factor) for axis in sorted(found.stages))
    return Verdict(
        True,
        f"Gaussian of sigma {sigmas}, decimated by {steps}, within {found.bound:.2g} of "
        f"sum |k| max |x|; {native.describe()}",
    )


def cost(problem: Problem, machine: Machine) -> Cost:
    """Input and output pass once, what lies between them, and a call for each stage."""
    found = design(problem)
    if isinstance(found, str):
        return Cost(math.inf, 0)
    samples = max(math.prod(problem.shape), math.prod(problem.result_shape))
    size = np.dtype(problem.arithmetic.accumulator).itemsize
    work = sum(s.work for s in found.stages.values()) * samples * size / 4
    # the output's memory is read before it is written; a line is copied to be cut, and back
    passes = 3 if len(problem.shape) > 1 and min(found.stages) < len(problem.shape) - 1 else 9
    traffic = passes * samples * size / machine.bandwidth
    planes = math.prod(n for a, n in enumerate(problem.shape) if a not in found.stages)
    blocks = 1 + samples * size // (2 * SCRATCH)
    calls = 9 * blocks * (planes if len(found.stages) == 2 else 1)
    seconds = max(work / machine.multiply_adds / native.get_workers(), traffic)
    return Cost(seconds + calls * 10 * machine.call, 2 * SCRATCH)


def error_bound(problem: Problem) -> float:
    """Return the factor of ``sum |k| * max |x|``; unlike other methods', not output by output."""
    found = design(problem)
    return math.inf if isinstance(found, str) else found.bound


def prepare(problem: Problem) -> Run:
    """Return the loop over planes and blocks."""
    found, types = design(problem), route(problem)
    assert isinstance(found, Design)
    assert isinstance(types, Route)
    return Planes(problem, found, types)


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


class Stage:
    """Calls the pipelines on two-dimensional arrays, all on one number of threads."""

    def __init__(self, types: Route, fill: Any, workers: int) -> None:
        self.sums = np.dtype(types.accumulator)
        self.fill = np.array([fill], self.sums)
        self.workers = workers
        self.buffers = [np.empty(0, self.sums), np.empty(0, self.sums)]

    def call(
        self,
        family: str,
        source: Array,
        target: Array,
        constants: list[Array],
        work: int,
        taps: tuple[int, int] = (1, 1),
        numbers: tuple[int, ...] = (),
    ) -> None:
        """Run a pipeline; ``target`` may have three axes."""
        x, y = (a if a.ndim == 3 else a[None] for a in (source, target))
        one = (1, 1, 1)
        variant = (source.dtype.name, self.sums.name, self.sums.name)
        form = Form(*sizes(x), (taps[1], taps[0], 1), *sizes(y), one, one)
        prepared = Call(family, variant, form, constants, numbers, work)
        prepared(native.address(source), native.address(target), self.workers)

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

    def transposed(self, x: Array, target: Array | None = None) -> Array:
        """Exchange rows and columns."""
        target = self.empty(x.shape[1], x.shape[0]) if target is None else target
        self.call("transpose", x, target, [], x.size)
        return target

    def decimated(self, x: Array, axis: Along) -> Array:
        """Blur and decimate the rows that an axis names."""
        s, rows = axis.stages, axis.rows
        assert s is not None
        assert rows is not None
        target = self.empty(s.decimated(axis.count), x.shape[1])
        self.call("decimate", x, target, [s.down, rows, self.fill], target.size * s.down.size)
        return target

    def smoothed(self, x: Array, axis: Along, dimension: int) -> Array:
        """Correlate with the coarse kernel, along the rows' axis (0) or the columns' (1)."""
        s = axis.stages
        assert s is not None
        loaded = native.library()
        assert loaded is not None
        taps = (s.coarse.size, 1) if dimension == 0 else (1, s.coarse.size)
        target = self.empty(x.shape[0] - taps[0] + 1, x.shape[1] - taps[1] + 1)
        numbers = (1, 1, 1, 1, 1, 1, *loaded.rows(taps[0]))
        work = target.size * s.coarse.size
        self.call("direct", x, target, [s.coarse.reshape(1, *taps)], work, taps, numbers)
        return target

    def interpolated(self, x: Array, axis: Along, target: Array) -> Array:
        """Spread rows into the outputs of an axis: whole runs first, then the rest of one."""
        s = axis.stages
        assert s is not None
        runs, over = divmod(axis.count, s.factor)
        whole = target[: runs * s.factor]
        work = target.size * s.windows
        if runs:
            step, inner = whole.strides
            folded = np.lib.stride_tricks.as_strided(
                whole, (runs, s.factor, whole.shape[1]), (step * s.factor, step, inner)
            )
            self.call("interpolate", x, folded, [s.up], work)
        if over:
            last = target[None, runs * s.factor :]
            self.call("interpolate", x[runs:], last, [np.ascontiguousarray(s.up[:over])], work)
        return target


def sizes(x: Array) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return lengths and strides in elements, innermost first."""
    steps = [step // x.itemsize for step in x.strides]
    return (x.shape[2], x.shape[1], x.shape[0]), (
        steps[2] if x.shape[2] > 1 else 1,
        steps[1],
        steps[0],
    )


def compute(stage: Stage, x: Array, y: Along, z: Along, target: Array) -> bool:
    """Compute a block of a plane, rows along ``y`` and columns along ``z``, from its samples.

    Returns False, and leaves the target half done, where a sample is not finite: sums of such
    never are.
    """
    if z.stages is None:
        coarse = stage.smoothed(stage.decimated(x, y), y, 0)
        if not np.isfinite(coarse).all():
            return False
        stage.interpolated(coarse, y, target)
        return True
    rows = x if y.stages is None else stage.decimated(x, y)
    columns = stage.transposed(rows if rows.dtype == stage.sums else rows.astype(stage.sums))
    coarse = stage.smoothed(stage.decimated(columns, z), z, 0)
    if y.stages is not None:
        coarse = stage.smoothed(coarse, y, 1)
    if not np.isfinite(coarse).all():
        return False
    across = stage.interpolated(coarse, z, stage.empty(z.count, coarse.shape[1]))
    if y.stages is None:
        stage.transposed(across, target)
    else:
        stage.interpolated(stage.transposed(across), y, target)
    return True


# ---- what is not finite ----------------------------------------------------------------------


def touched(flags: Array, outside: bool, y: Along, z: Along) -> Array:
    """Say which outputs have a flagged sample, or a flagged fill value, in their box of taps."""
    for dimension, axis in enumerate((y, z)):
        if axis.box is None:
            continue
        flags = np.moveaxis(flags, dimension, 0)
        taken = np.where((axis.box < 0)[:, None], outside, flags[np.maximum(axis.box, 0)])
        counts = np.zeros((taken.shape[0] + 1, taken.shape[1]), np.int32)
        np.cumsum(taken, 0, np.int32, counts[1:])
        flags = np.moveaxis(counts[axis.taps :] > counts[: -axis.taps], 0, dimension)
    return flags


def mend(x: Array, fill: float, y: Along, z: Along, target: Array) -> None:
    """Write the outputs whose box of taps holds an infinite or NaN sample."""
    holes = touched(np.isnan(x), math.isnan(fill), y, z)
    above = touched(np.isposinf(x), fill == math.inf, y, z)
    below = touched(np.isneginf(x), fill == -math.inf, y, z)
    target[above] = math.inf
    target[below] = -math.inf
    target[holes | (above & below)] = math.nan


# ---- planes and blocks -----------------------------------------------------------------------


class Planes:
    """A problem as planes, one for each place along the axes without a kernel, in blocks."""

    def __init__(self, problem: Problem, design: Design, types: Route) -> None:
        self.problem, self.types = problem, types
        self.geometry = dict(
            zip(problem.axes, zip(problem.geometry, problem.boundary, strict=True), strict=True)
        )
        self.stages = self._scaled(design)
        self.line = len(problem.shape) == 1
        spanned = sorted(design.stages)
        others = [axis for axis in range(len(problem.shape)) if axis not in spanned]
        # a kernel along one axis: the innermost of the others becomes the other axis of the plane
        self.plane = spanned if len(spanned) == 2 or self.line else sorted([*spanned, others[-1]])
        self.blocks = [] if self.line else self._cut()

    def _scaled(self, design: Design) -> dict[int, Stages]:
        """Let the first axis carry the kernel's sum."""
        total = float(self.problem.taps.array.astype(float).sum())
        first = min(design.stages)
        return {axis: s.scaled(total) if axis == first else s for axis, s in design.stages.items()}

    def _cut(self) -> list[tuple[Along, Along]]:
        """Cut a plane into blocks whose arrays between the stages keep to the scratch."""
        shape, size = self.problem.shape, np.dtype(self.types.accumulator).itemsize
        whole = [self.problem.result_shape[axis] for axis in self.plane]
        sides = list(whole)
        y, z = (self.stages.get(axis) for axis in self.plane)

        def between(sides: list[int]) -> int:
            rows = y.decimated(sides[0]) if y else sides[0]
            width = max(min(z.samples(sides[1]), shape[self.plane[1]]) if z else 0, sides[1])
            return rows * width * size

        steps = [s.factor if s else 1 for s in (y, z)]
        least = [4 * s.coarse.size * s.factor if s else 64 for s in (y, z)]
        while between(sides) > SCRATCH:
            halved = [max(sides[n] / 2 / least[n], 0) for n in (0, 1)]
            n = 0 if halved[0] >= halved[1] else 1
            if halved[n] < 0.5:
                break  # smaller blocks would read more around themselves than within
            sides[n] = -(-sides[n] // (2 * steps[n])) * steps[n]
        rows, columns = (
            self._along(axis, cuts(0, count, side))
            for axis, count, side in zip(self.plane, whole, sides, strict=True)
        )
        return list(product(rows, columns))

    def _along(self, axis: int, ends: list[tuple[int, int]]) -> list[Along]:
        if axis not in self.stages:
            return [Along(slice(*cut), *cut) for cut in ends]
        return [along(*self.geometry[axis], self.stages[axis], *cut) for cut in ends]

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute the problem on ``x`` into ``out``."""
        stage = Stage(self.types, self.problem.fill_value, workers)
        if self.line:
            self._line(stage, x, out)
            return
        last = range(-len(self.plane), 0)
        planes_in, planes_out = (np.moveaxis(a, self.plane, last) for a in (x, out))
        for at in np.ndindex(planes_in.shape[:-2]):
            for y, z in self.blocks:
                source = planes_in[at][y.base : y.end, z.base : z.end]
                self._block(stage, source, y, z, planes_out[at][y.outputs, z.outputs])

    def _block(self, stage: Stage, source: Array, y: Along, z: Along, target: Array) -> None:
        """Compute a block, in memory that the pipelines take."""
        source = dense(source, np.dtype(self.types.input))
        if self.types.input != self.types.accumulator and y.stages is None:
            source = source.astype(stage.sums)
        sums = target
        if target.dtype != stage.sums or not takes(target):
            sums = np.empty(target.shape, stage.sums)
        if not compute(stage, source, y, z, sums):
            with np.errstate(invalid="ignore"):
                clean = np.where(np.isfinite(source), source, source.dtype.type(0))
            fill = self.problem.fill_value
            calm = Stage(self.types, fill if math.isfinite(fill) else 0, stage.workers)
            if not compute(calm, clean, y, z, sums):  # samples near the greatest float
                calm.fill /= 4
                compute(calm, clean / 4, y, z, sums)
                sums *= 4
            mend(source, fill, y, z, sums)
        if self.problem.nonnegative:  # the taps applied may be a little below 0
            np.maximum(sums, 0, out=sums)
        if sums is not target:
            target[...] = convert(sums, target.dtype, self.problem.arithmetic.overflow)

    def _line(self, stage: Stage, x: Array, out: Array) -> None:
        """Compute a single line: cut into overlapping ones, which lie side by side as a plane."""
        (axis, boundary), s = self.geometry[0], self.stages[0]
        for first, stop in cuts(0, axis.count, SEGMENT):
            while first < stop:
                # whole lines as long as there are, then what is left of the segment as one
                each = (stop - first) // LINES // s.factor * s.factor
                lines, each = (LINES, each) if each else (1, stop - first)
                low, _ = axis.span(first, first + lines * each)
                total = s.samples(each) + (lines - 1) * each
                rows = stretched(axis, boundary, low - s.before, total)
                line = x[np.maximum(rows, 0)]
                line[rows < 0] = self.problem.fill_value
                step = line.itemsize
                plane = np.lib.stride_tricks.as_strided(
                    line, (lines, s.samples(each)), (each * step, step)
                )
                there = np.arange(s.samples(each), dtype=np.int32)
                box = there[s.before : s.before + each + axis.taps - 1]
                columns = Along(slice(0, each), 0, there.size, s, axis.taps, there, box)
                target = out[first : first + lines * each]
                dense_out = target.strides == (target.itemsize,)
                sums = target if dense_out else np.empty(target.shape, target.dtype)
                every = Along(slice(0, lines), 0, lines)
                self._block(stage, plane, every, columns, sums.reshape(lines, each))
                if sums is not target:
                    target[...] = sums
                first += lines * each


def takes(x: Array) -> bool:
    """Whether the pipelines take a plane's memory as it lies."""
    return (
        (x.strides[1] == x.itemsize or x.shape[1] == 1)
        and x.strides[0] % x.itemsize == 0
        and sum(n * abs(step) for n, step in zip(x.shape, x.strides, strict=True)) <= MOST
    )


def dense(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return a plane as the pipelines take it."""
    if x.dtype != dtype:
        return x.astype(dtype, order="C")
    return x if takes(x) else np.ascontiguousarray(x)
