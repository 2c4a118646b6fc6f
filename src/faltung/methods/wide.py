"""Exact integer sums of 64 bits and more, in compiled pipelines.

Where the bound of the sums shows that 64 bits tell everything, for a block's samples if not for
all of the dtype, a pipeline sums modulo 2**64. Elsewhere the numbers are cut into limbs whose sums
are exact in float64, and :mod:`faltung.limbs` finds the sums that do not fit.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from faltung import native
from faltung.blocked import Blocked, Core, batches
from faltung.compiled import (
    SMALL,
    WORK_BLOCK,
    Compiled,
    Route,
    real_parts,
    spanned_axes,
)
from faltung.dtypes import Array, convert
from faltung.geometry import blocks
from faltung.limbs import (
    INT64,
    UINT64,
    Cut,
    block_lengths,
    bound_of,
    choose_cut,
    cut,
    join,
    suffices,
    width,
)
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict, scratch
from faltung.methods.direct import calls
from faltung.problem import Problem

NAME = "wide"
BLOCK = 1 << 17  # outputs at a time, for what limbs need to stay in the cache
INTEGERS = Route("int64", "int64", "int64")
FLOATS = Route("float64", "float64", "float64")


def supports(problem: Problem) -> Verdict:
    """Integers whose kernel spans at most three axes."""
    if not problem.arithmetic.exact:
        return Verdict(False, "only for integers")
    if INTEGERS.variant not in native.variants("direct"):
        return Verdict(False, "the compiled library is not there")
    spanned = spanned_axes(problem)
    if len(spanned) > 3:
        return Verdict(False, f"the kernel spans {len(spanned)} axes and the pipelines at most 3")
    return Verdict(True, f"sums modulo 2**64, overflow found exactly; {native.describe()}")


def cost(problem: Problem, machine: Machine) -> Cost:
    """Count one pass of the pipeline, and NumPy's over every output to prepare and to check it."""
    strided = 8 if problem.stride[-1] != 1 else 1
    arithmetic = problem.multiply_adds * strided / (machine.multiply_adds / 2)
    outputs = math.prod(problem.result_shape)
    rows = outputs // problem.result_shape[-1] if outputs else 1  # what threads share
    seconds = arithmetic / min(rows, native.processors()) + outputs * machine.numpy_element / 2
    steps = 1 if outputs <= SMALL else 2 * len(problem.axes) + outputs / BLOCK
    return Cost(seconds + 5 * steps * machine.call, scratch(problem, 12 * 8 * BLOCK, 12 * 8))


def error_bound(problem: Problem) -> float:
    """None: every sum is exact."""
    return 0.0


def prepare(problem: Problem) -> Run:
    """Return the run over the problem's blocks."""
    return Wide(problem)


class Wide:
    """A problem with its pipelines prepared; those for limbs when they are needed."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.taps = np.ascontiguousarray(real_parts(problem)[0])
        if self.taps.dtype != UINT64:
            self.taps = self.taps.astype(INT64)
        self.sums = self._cores(INTEGERS, [self.taps.view(INT64)])[0]
        self.floats: Core | None = None
        self.cuts: dict[int, tuple[Cut, list[Core]]] = {}
        self.blocked: dict[tuple[int, ...], Blocked] = {}
        work = min(BLOCK, max(1, WORK_BLOCK // problem.taps.size))
        self.lengths = block_lengths(problem.geometry, work)
        self.batches = list(batches(problem, max(1, work // math.prod(self.lengths))))

    def _cores(self, found: Route, kernels: list[Array]) -> list[Core]:
        makes = [calls(found, taps) for taps in kernels]
        return Compiled(self.problem, found, makes, self.taps.size).cores

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute the problem on ``x`` into ``out`` on at most ``workers`` threads."""
        for batch in self.batches:
            piece = x[batch]
            if piece.shape not in self.blocked:
                self.blocked[piece.shape] = self._blocks(piece.shape)
            self.blocked[piece.shape](self.core, piece, out[batch], workers)

    def _blocks(self, shape: tuple[int, ...]) -> Blocked:
        problem = replace(self.problem, shape=shape)
        cuts = blocks(
            problem.geometry,
            problem.boundary,
            whole=math.prod(problem.result_shape) <= SMALL,
            margins=[8] * len(problem.axes),
            limit=self.lengths,
        )
        return Blocked(problem, cuts, np.dtype(problem.dtype), problem.result_dtype)

    def core(self, source: Array, target: Array, workers: int) -> None:
        """Compute a block: modulo 2**64 where that is enough, else limb by limb."""
        overflow = self.problem.arithmetic.overflow
        enough = suffices(bound_of(self.problem, source), target.dtype, overflow)
        words = source.view(INT64) if source.dtype == UINT64 else source.astype(INT64, copy=False)
        fits = target.dtype == UINT64 and (enough == UINT64 or overflow == "wrap")
        fits = fits or (target.dtype == INT64 and enough != UINT64)
        sums = target.view(INT64) if fits else np.empty(target.shape, INT64)
        self.sums(words, sums, workers)
        if enough is None and not self._seen_to_fit(source, sums, workers):
            self._limbs(source, target, workers)
        elif not fits:
            target[...] = convert(sums.view(enough or INT64), target.dtype, overflow)

    def _seen_to_fit(self, source: Array, sums: Array, workers: int) -> bool:
        """Whether sums modulo 2**64 are the sums themselves, by sums in float64 beside them.

        Those err by a rounding for each number, product and sum (Higham, 2002, 3.1). Where the
        two differ by less than 2**63 and the errors are below 2**62, no multiple of 2**64 is lost.
        """
        # not the bound of the sums: where samples are alike, far larger products cancel in them
        largest = max(-int(source.min()), int(source.max())) * self.problem.taps.absolute_sum
        if largest * (self.taps.size + 4) * 2.0**-52 > 2.0**62:
            return False
        if self.floats is None:
            self.floats = self._cores(FLOATS, [self.taps.astype(float)])[0]
        near = np.empty(sums.shape)
        self.floats(source.astype(float), near, workers)
        near -= sums
        return bool(near.max() < 2.0**63 and near.min() > -(2.0**63))

    def _limbs(self, source: Array, target: Array, workers: int) -> None:
        bits = width(int(source.min()), int(source.max()))
        if bits not in self.cuts:
            found = choose_cut(bits, self.taps, exact, lambda x, k: x * k)
            self.cuts[bits] = found, self._cores(FLOATS, found.taps)
        found, cores = self.cuts[bits]
        limbs = cut(source, found.x_bits, found.x_count)
        diagonals = []
        sums = np.empty(target.shape)
        for d in range(found.diagonals):
            total = np.zeros(target.shape, INT64)
            for i, j in found.pairs(d):
                cores[j](limbs[i], sums, workers)
                total += sums.astype(INT64)
            diagonals.append(total)
        target[...] = join(diagonals, found.shift, target.dtype, self.problem.arithmetic.overflow)


def exact(found: Cut) -> bool:
    """Whether float64 holds every sum of a limb of samples and a limb of taps."""
    taps = max(float(np.abs(limb).sum()) for limb in found.taps)
    return taps * 2.0 ** (found.x_bits - 1) < 2**53
