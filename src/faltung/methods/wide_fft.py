"""Exact integer sums under long kernels, by Fourier transforms of limbs.

Overlap-save: every block of samples is cut into limbs, transformed, multiplied with the transforms
of the kernel's limbs and transformed back. The limbs are so short that the transforms' rounding
errors, by a bound that always holds, stay below 1/4; rounding to integers gives the exact sums.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from faltung import fourier, native
from faltung.blocked import Blocked, batches
from faltung.dtypes import Array, convert
from faltung.geometry import Axis, blocks
from faltung.limbs import (
    WORD,
    Cut,
    bound_of,
    choose_cut,
    cut,
    join,
    modular,
    suffices,
    ways,
    width,
)
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.problem import Problem

NAME = "wide_fft"
MOST = 1 << 18  # samples of a transform, where the kernel is not longer: what a cache holds
THREADS = 4  # each has a block's spectrum of its own
STAGE = 2.0**-53 * 8  # relative error of one stage of a transform
TRANSFORM = 0.6e-9  # seconds for one sample in one stage of a transform, with what goes with it
CALL = 5e-5  # seconds for a transform at the least
PRODUCT = 0.1  # of a transform: the product of two spectra
KEPT = 2  # kinds of transformed kernels that a plan keeps


def supports(problem: Problem) -> Verdict:
    """Integers."""
    if not problem.arithmetic.exact:
        return Verdict(False, "only for integers")
    if not any(axis.reach for axis in problem.geometry):
        return Verdict(False, "the kernel has a single tap")
    shape = "x".join(map(str, sizes(problem.geometry)))
    return Verdict(
        True, f"exact: transforms of the integers in pieces, {shape} at a time, overflow found"
    )


def cost(problem: Problem, machine: Machine) -> Cost:
    """Count transforms and products for samples of the dtype's whole range."""
    shape = sizes(problem.geometry)
    samples, count = math.prod(shape), 1
    for n, axis in zip(shape, problem.geometry, strict=True):
        count *= -(-axis.count // axis.outputs_of(n))
    count *= math.prod(n for a, n in enumerate(problem.shape) if a not in problem.axes)
    together = max(1, min(count, MOST // samples))  # an input may be empty
    work, x, k = limbs(problem)
    threads = min(THREADS, native.processors())
    memory = 8 * (3 * x + 3 * k + 4 * threads) * samples * together
    seconds = count * samples * (4 + math.log2(samples)) * TRANSFORM + count / together * CALL
    return Cost(seconds * work / threads + 3e-4, memory)


def held(problem: Problem) -> int:
    """Return the bytes that a plan keeps: the transforms of the kernel's limbs, of a few cuts."""
    # samples of fewer bits leave more room to the taps, which are cut into as many limbs or fewer
    return KEPT * limbs(problem)[2] * 8 * math.prod(sizes(problem.geometry))


def limbs(problem: Problem) -> tuple[float, int, int]:
    """Return what the limbs cost, and how many samples and taps are cut into, at the most."""
    samples, taps = math.prod(sizes(problem.geometry)), problem.taps.array
    x_width = 8 * np.dtype(problem.dtype).itemsize + 1
    return min(
        (limbs_cost(x, k), x, k)
        for x, k, x_bits, k_bits, _ in ways(x_width, width(int(taps.min()), int(taps.max())))
        if error(samples, x_bits, min(x, k), *norms_at_most(taps.size, k_bits)) < 0.25
    )


def limbs_cost(x: int, k: int) -> float:
    """Return what so many limbs cost, in transforms: forth, back, and the products."""
    return x + (x + k - 1) + PRODUCT * x * k


def error_bound(problem: Problem) -> float:
    """None: every sum is exact."""
    return 0.0


def prepare(problem: Problem) -> Run:
    """Return the run over the problem's blocks."""
    return WideTransform(problem)


@lru_cache(maxsize=256)
def sizes(axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """Return the lengths of the transforms along the axes: powers of two, 1 without a kernel.

    Of those that fit, the cheapest for all the outputs.
    """
    choices = []
    for axis in axes:
        low, high = axis.span(0, max(1, axis.count))
        least = axis.reach.bit_length()
        most = min(max(least, (high - low - 1).bit_length()), least + 8)
        choices.append([1 << b for b in range(least, most + 1)] if axis.reach else [1])
    small = max(MOST, 2 * math.prod(lengths[0] for lengths in choices))

    def total(shape: tuple[int, ...]) -> float:
        samples = math.prod(shape)
        if samples > small:
            return math.inf
        counts = (-(-a.count // a.outputs_of(n)) for a, n in zip(axes, shape, strict=True))
        return math.prod(counts) * (samples * (4 + math.log2(samples)) * TRANSFORM + CALL)

    return min(itertools.product(*choices), key=total)


def error(samples: int, x_bits: int, pairs: int, two: float, one: float) -> float:
    """Bound the errors of a diagonal that transforms of a power of two of samples give.

    ``pairs`` limbs of samples, of ``x_bits`` bits, and of taps, of the norms ``two`` and ``one``,
    meet on it. A transform of 2**t samples errs by at most ``e = STAGE * t`` relative to its 2-norm
    (Higham, 2002, theorem 24.2: less than 7 roundings for each of t stages of radix 2; higher
    radices are such stages taken together). With Cauchy and Schwarz over the frequencies, the
    errors of the two spectra and of their products make ``(2 e + rounding) |x|_2 |k|_2`` in any
    output, and the transform back adds ``e`` times the 2-norm of its result, which is at most
    ``|x|_2 |k|_1`` (Young).
    """
    most = 2.0 ** (x_bits - 1)
    if pairs * most * one >= 2.0**50:  # the sums themselves
        return math.inf
    stages = STAGE * math.log2(samples)
    rounding = 2.0**-53 * (pairs + 4)
    errors = two * (2 * stages + rounding) + one * stages
    return 1.01 * pairs * math.sqrt(samples) * most * errors  # 1.01 for products of errors


def norms(taps: list[Array]) -> tuple[float, float]:
    """Return the greatest 2-norm and the greatest 1-norm of limbs."""
    two = max(math.sqrt(float(np.square(limb).sum())) for limb in taps)
    return two, max(float(np.abs(limb).sum()) for limb in taps)


def norms_at_most(size: int, bits: int) -> tuple[float, float]:
    """Return the norms that so many limbs of so many bits cannot exceed."""
    return math.sqrt(size) * 2.0 ** (bits - 1), size * 2.0 ** (bits - 1)


@dataclass(frozen=True)
class Spectra:
    """A cut, and the conjugate transforms of the kernel's limbs."""

    cut: Cut
    taps: list[Array]


class WideTransform:
    """A problem with the transforms of its kernel, made when they are needed."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        geometry, shape = problem.geometry, sizes(problem.geometry)
        self.shape = {a: n for a, n in zip(problem.axes, shape, strict=True) if n > 1}
        self.samples = math.prod(shape)
        self.spectra: dict[int, Spectra] = {}
        self.blocked: dict[tuple[int, ...], Blocked] = {}
        # what a transform gives along its axes, and along the others as much as there is room for
        room = max(1, MOST // self.samples)
        self.lengths = [axis.outputs_of(n) for axis, n in zip(geometry, shape, strict=True)]
        for n, axis in enumerate(geometry):
            if shape[n] == 1:
                self.lengths[n] = max(1, min(axis.count, room))
                room //= self.lengths[n]
        self.batches = list(batches(problem, room))

    def __call__(self, x: Array, out: Array, workers: int) -> None:
        """Compute the problem on ``x`` into ``out`` on at most ``workers`` threads."""
        with ThreadPoolExecutor(min(THREADS, workers)) as pool:

            def core(source: Array, target: Array, _workers: int) -> None:
                self.core(source, target, pool)

            for batch in self.batches:
                piece = x[batch]
                if piece.shape not in self.blocked:
                    self.blocked[piece.shape] = self._blocks(piece.shape)
                self.blocked[piece.shape](core, piece, out[batch], workers)

    def _blocks(self, shape: tuple[int, ...]) -> Blocked:
        problem = replace(self.problem, shape=shape)
        # one kind of block, of equal size: a strip would take a transform as long
        cuts = blocks(problem.geometry, problem.boundary, whole=True, strip_limit=self.lengths)
        return Blocked(problem, cuts, np.dtype(problem.dtype), problem.result_dtype)

    def _prepared(self, bits: int) -> Spectra:
        bits = -(-bits // 4) * 4 if bits < WORD else bits  # few kinds of transformed kernels
        try:
            return self.spectra[bits]
        except KeyError:
            pass

        def exact(found: Cut) -> bool:
            pairs = min(found.x_count, len(found.taps))
            return error(self.samples, found.x_bits, pairs, *norms(found.taps)) < 0.25

        problem = self.problem
        taps = problem.correlation_taps.transpose(np.argsort(problem.axes))
        found = choose_cut(bits, taps, exact, limbs_cost)
        alongs = dict(zip(problem.axes, problem.geometry, strict=True))
        every = range(len(problem.shape))
        laid = np.zeros([alongs[a].reach + 1 if a in alongs else 1 for a in every])
        tapped = tuple(slice(None, None, alongs[a].dilation if a in alongs else 1) for a in every)
        spectra = []
        for limb in found.taps:
            laid[tapped] = limb.reshape(laid[tapped].shape)
            spectra.append(self._transform(laid).conj())
        while len(self.spectra) >= KEPT:
            self.spectra.pop(next(iter(self.spectra)), None)
        self.spectra[bits] = kept = Spectra(found, spectra)
        return kept

    def _transform(self, values: Array) -> Array:
        return fourier.transform(values, tuple(self.shape.values()), tuple(self.shape), 1)

    def core(self, source: Array, target: Array, pool: ThreadPoolExecutor) -> None:
        """Compute a block whose samples one transform takes, a thread for each diagonal."""
        overflow = self.problem.arithmetic.overflow
        enough = suffices(bound_of(self.problem, source), target.dtype, overflow)
        prepared = self._prepared(width(int(source.min()), int(source.max())))
        found = prepared.cut
        limbs = cut(source, found.x_bits, found.x_count)
        spectra = list(pool.map(self._transform, limbs))
        alongs = dict(zip(self.problem.axes, self.problem.geometry, strict=True))
        given = tuple(
            slice(0, alongs[a].stride * (n - 1) + 1, alongs[a].stride) if a in self.shape else
            slice(None, None, alongs[a].stride if a in alongs else 1)
            for a, n in enumerate(target.shape)
        )  # fmt: skip

        lengths = tuple(self.shape.values())

        def diagonal(d: int) -> Array:
            total: Any = 0.0
            for i, j in found.pairs(d):
                total = total + spectra[i] * prepared.taps[j]
            sums = fourier.inverse(total, lengths, tuple(self.shape), 1, True)[given]
            rounded: Array = np.rint(sums).astype(np.int64)
            return rounded

        diagonals = list(pool.map(diagonal, range(found.needed(enough is not None))))
        if enough is None:
            target[...] = join(diagonals, found.shift, target.dtype, overflow)
        else:
            sums = modular(diagonals, found.shift).view(enough)
            target[...] = convert(sums, target.dtype, overflow)
