"""The sum over the taps as it stands, in compiled pipelines.

The outputs are cut into an interior, which reads the input where it lies, and strips along the
ends, for which the boundary is laid around a copy of just the samples they need.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung import native
from faltung.dtypes import Array, convert, holds
from faltung.geometry import Block, blocks
from faltung.layout import Along, Layout, layout
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.problem import Problem

NAME = "direct"

SMALL = 1 << 15  # outputs up to which one padded copy of the whole input is cheapest
COPY_BLOCK = 1 << 18  # outputs per block where samples or sums must be converted
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
    def variant(self) -> tuple[str, str, str]:
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
        finite = bool(np.isfinite(problem.taps.array).all())
        return Route(name, real, name if narrowed and finite else real)
    return Route(real, real, real)


def supports(problem: Problem) -> Verdict:
    """Every problem whose types have a pipeline and whose kernel spans at most three axes."""
    if not native.variants():
        return Verdict(False, "the compiled library is not there")
    found = route(problem)
    if isinstance(found, str):
        return Verdict(False, found)
    spanned = spanned_axes(problem)
    if len(spanned) > 3:
        return Verdict(False, f"the kernel spans {len(spanned)} axes and the pipelines at most 3")
    types = f"{found.input} in, {found.accumulator} sums, {found.output} out"
    return Verdict(True, f"{types}; {native.describe()}")


def spanned_axes(problem: Problem) -> frozenset[int]:
    """Return the axes that are more than batch axes to the pipelines."""
    pairs = zip(problem.axes, problem.geometry, strict=True)
    return frozenset(axis for axis, along in pairs if along.taps > 1 or along.stride > 1)


def cost(problem: Problem, machine: Machine) -> Cost:
    """Take the larger of the arithmetic and the memory traffic, and the calls."""
    found = route(problem)
    if isinstance(found, str):
        return Cost(math.inf, 0)
    lanes = 4 / np.dtype(found.accumulator).itemsize
    strided = 8 if problem.stride[-1] != 1 else 1
    threads = native.get_workers()
    passes = passes_of(problem)
    arithmetic = passes * problem.multiply_adds * strided / (machine.multiply_adds * lanes)
    in_size = math.prod(problem.shape) * np.dtype(problem.dtype).itemsize
    out_size = math.prod(problem.result_shape) * problem.result_dtype.itemsize
    traffic = (in_size + out_size) / machine.bandwidth
    steps = 1 if math.prod(problem.result_shape) <= SMALL else 2 * len(problem.axes) + 1
    seconds = max(arithmetic / threads, traffic) + steps * machine.call
    return Cost(seconds, 2 * 8 * COPY_BLOCK)


def passes_of(problem: Problem) -> int:
    """Real passes that complex numbers take."""
    x_complex = np.dtype(problem.dtype).kind == "c"
    k_complex = np.dtype(problem.taps.dtype).kind == "c"
    return (2 if x_complex else 1) * (2 if k_complex else 1)


def error_bound(problem: Problem) -> float:
    """One rounding per fused multiply-add, two without fusion (Higham, 2002, 3.1)."""
    if problem.arithmetic.exact:
        return 0.0
    eps = float(np.finfo(np.dtype(problem.arithmetic.accumulator)).eps)
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    return passes_of(problem) * (problem.taps.size + 1) * eps + last


def prepare(problem: Problem) -> Run:
    """Return the run over the problem's blocks."""
    return Direct(problem)


@dataclass(frozen=True)
class Step:
    """One block, ready to run: views of input and output, and the boundary to lay around."""

    outputs: tuple[slice, ...]
    inputs: tuple[slice, ...]
    takes: tuple[tuple[int, Any], ...]
    padded: tuple[int, ...] | None
    inner: tuple[slice, ...]


class Direct:
    """A problem with its blocks cut, its kernel laid out and its pipeline calls prepared."""

    def __init__(self, problem: Problem) -> None:
        found = route(problem)
        assert isinstance(found, Route)
        self.problem, self.route = problem, found
        self.work_in, self.work_out = np.dtype(found.input), np.dtype(found.output)
        # the input's axes in the order of memory, whatever order they were named in
        taps = problem.correlation_taps.transpose(np.argsort(problem.axes))
        parts = [taps.real, taps.imag] if taps.dtype.kind == "c" else [taps]
        self.parts = [np.ascontiguousarray(p, dtype=found.accumulator) for p in parts]
        self.pairs = np.dtype(problem.dtype).kind == "c"  # complex samples: real ones in pairs
        # Complex sums that are narrowed or put together go through an array of their own.
        self.whole = self.pairs or len(self.parts) > 1
        self.spanned = spanned_axes(problem)
        fill = problem.fill_value
        self.fill = np.array([fill.real, fill.imag]) if self.pairs else fill
        self.steps = [self._step(block) for block in self._blocks()]
        self.calls: dict[Any, tuple[Layout, native.Call] | None] = {}

    # ---- preparation ----------------------------------------------------------------------

    def _blocks(self) -> list[Block]:
        problem = self.problem
        total = math.prod(problem.result_shape)
        if total == 0:
            return []
        converts = self.work_in != problem.dtype or self.work_out != problem.result_dtype
        most = max(1, WORK_BLOCK // (problem.taps.size * passes_of(problem)))
        copied = self._limit(min(COPY_BLOCK, most))
        limit = copied if converts else self._limit(min(SIZE_BLOCK, most))
        margins = [4] * len(problem.axes)
        margins[-1] = THICKNESS // np.dtype(self.route.accumulator).itemsize
        return list(
            blocks(
                problem.geometry,
                problem.boundary,
                whole=total <= SMALL,
                margins=margins,
                limit=limit,
                strip_limit=copied,
            )
        )

    def _limit(self, outputs: int) -> list[int]:
        """Return how far blocks of so many outputs may reach along each axis."""
        problem = self.problem
        outputs = max(1, outputs // math.prod(problem.shape[: min(problem.axes)]))
        limit = []
        for axis, along in zip(problem.axes, problem.geometry, strict=True):
            inner = math.prod(problem.result_shape[axis + 1 :])
            # blocks much shorter than the kernel would read the same samples again and again
            limit.append(max(1, outputs // max(1, inner), 4 * along.reach // along.stride))
        return limit

    def _step(self, block: Block) -> Step:
        problem = self.problem
        outputs = [slice(None)] * len(problem.shape)
        inputs = [slice(None)] * len(problem.shape)
        inner = [slice(None)] * len(problem.shape)
        padded = list(problem.shape)
        takes = []
        for axis, ends, source in zip(problem.axes, block.outputs, block.sources, strict=True):
            outputs[axis] = slice(*ends)
            padded[axis] = source.length
            if source.mapped:
                takes.append((axis, source.indices()))
            else:
                inputs[axis] = slice(source.first, source.stop)
                inner[axis] = slice(source.before, source.before + source.stop - source.first)
        pads = any(s.before or s.after for s in block.sources)
        return Step(
            tuple(outputs),
            tuple(inputs),
            tuple(takes),
            tuple(padded) if pads else None,
            tuple(inner),
        )

    # ---- running --------------------------------------------------------------------------

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute the problem on ``x`` into ``out`` on at most ``workers`` threads."""
        if not self.whole:
            self._pass(x, self.parts[0], out, workers)
            return
        dtype = np.dtype(self.problem.arithmetic.accumulator)
        part = np.result_type(self.work_out, np.complex64) if self.pairs else self.work_out
        passes = []
        for taps in self.parts:
            sums = np.empty(self.problem.result_shape, part)
            if self.pairs:
                self._pass(as_pairs(x, part), taps, as_pairs(sums, part), workers)
            else:
                self._pass(x, taps, sums, workers)
            passes.append(sums)
        if len(passes) == 1:
            out[...] = passes[0]
        else:
            with np.errstate(invalid="ignore"):
                out[...] = (passes[0] + 1j * passes[1]).astype(dtype, copy=False)

    def _pass(self, x: Array, taps: Array, out: Array, workers: int) -> None:
        """Run one real kernel over real samples."""
        k = native.address(taps)
        overflow = self.problem.arithmetic.overflow
        for number, step in enumerate(self.steps):
            source = self._gather(step, x)
            target = out[step.outputs]
            sums = target
            if out.dtype != self.work_out:
                sums = np.empty(target.shape, self.work_out)
            order = tuple(range(x.ndim))
            prepared = self._prepared(number, source, sums, order)
            if prepared is None:
                # Memory that no pipeline takes as it lies is copied, batch axes first.
                order = tuple(sorted(order, key=self.spanned.__contains__))
                source = np.ascontiguousarray(source.transpose(order))
                sums = np.empty([target.shape[axis] for axis in order], self.work_out)
                prepared = self._prepared(number, source, sums, order)
                assert prepared is not None
            run_loops(prepared, native.address(source), k, native.address(sums), workers)
            if sums is not target:
                back = sums.transpose(np.argsort(order))
                target[...] = convert(back, out.dtype, overflow)

    def _gather(self, step: Step, x: Array) -> Array:
        """Return the samples a block needs, in the working dtype, the boundary laid around."""
        source = x[step.inputs]
        for axis, indices in step.takes:
            source = source.take(indices, axis)
        if step.padded is not None:
            shape = step.padded + x.shape[len(step.padded) :]
            padded = np.full(shape, self.fill, self.work_in)
            padded[step.inner] = source
            return padded
        return source if source.dtype == self.work_in else source.astype(self.work_in, order="C")

    def _prepared(
        self, number: int, x: Array, y: Array, order: tuple[int, ...]
    ) -> tuple[Layout, native.Call] | None:
        """Return the call for a block with these strides; None where it must be copied.

        ``order`` says which axis of the problem each axis of ``x`` and ``y`` is.
        """
        key = (number, x.strides, y.strides, order)
        try:
            return self.calls[key]
        except KeyError:
            pass
        found = layout(self._alongs(x, y, order), x.itemsize, y.itemsize)
        prepared = None
        if found is not None:
            prepared = found, native.Call(self.route.variant, found.form)
        if len(self.calls) < 256:
            self.calls[key] = prepared
        return prepared

    def _alongs(self, x: Array, y: Array, order: tuple[int, ...]) -> tuple[Along, ...]:
        convolved = dict(zip(self.problem.axes, self.problem.geometry, strict=True))
        alongs = []
        for sizes, axis in zip(
            zip(x.shape, y.shape, x.strides, y.strides, strict=True), order, strict=True
        ):
            along = convolved.get(axis)
            kernel = (along.taps, along.stride, along.dilation) if along else ()
            alongs.append(Along(*sizes, *kernel))
        return tuple(alongs)


def as_pairs(array: Array, dtype: Any) -> Array:
    """View complex numbers as a last axis of two real ones."""
    array = np.ascontiguousarray(array, dtype)
    return array.view(array.real.dtype).reshape(*array.shape, 2)


def run_loops(prepared: tuple[Layout, native.Call], x: int, k: int, y: int, workers: int) -> None:
    """Run a call for every combination of the loops around it."""
    found, call = prepared
    if not found.loops:
        call(x, k, y, workers)
        return
    for at in itertools.product(*(range(count) for count, _, _ in found.loops)):
        dx = sum(i * step for i, (_, step, _) in zip(at, found.loops, strict=True))
        dy = sum(i * step for i, (_, _, step) in zip(at, found.loops, strict=True))
        call(x + dx, k, y + dy, workers)
