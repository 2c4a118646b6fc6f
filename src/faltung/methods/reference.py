"""The definition as a method: takes every problem, and is slow."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from faltung import reference
from faltung.blocked import batches
from faltung.dtypes import Array, convert
from faltung.geometry import cuts
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.problem import Problem

NAME = "reference"
BLOCK = 1 << 20  # outputs summed at a time, which bounds the memory
LEAST = 1 << 12  # the same where little memory is allowed
ARRAYS = 4  # of samples and of sums that there are at a time, for each tap
POSITIONS = 3 * 8  # bytes of an output's position, and of the sample there, along a single axis


def supports(problem: Problem) -> Verdict:
    """Every problem."""
    return Verdict(True, "loops over the taps in NumPy")


def cost(problem: Problem, machine: Machine) -> Cost:
    """Every tap passes over every output once."""
    slow = 20.0 if np.dtype(problem.dtype).kind == "O" else 1.0
    seconds = problem.taps.size * machine.numpy_call
    seconds += problem.multiply_adds * machine.numpy_element * slow
    return Cost(seconds, item_of(problem) * block_samples(problem))


def item_of(problem: Problem) -> int:
    """Return the bytes that an output takes while it is summed."""
    dtypes = (problem.dtype, problem.arithmetic.accumulator)
    item = sum(8 if name == "object" else np.dtype(name).itemsize for name in dtypes)
    return ARRAYS * item + POSITIONS


def cut(problem: Problem) -> tuple[list[int], int]:
    """Return how many outputs are summed at a time along each axis, and in how many batches."""
    most = min(BLOCK, max(LEAST, problem.max_memory // item_of(problem)))
    lengths = [max(1, along.count) for along in problem.geometry]
    for n in sorted(range(len(lengths)), key=problem.axes.__getitem__):
        lengths[n] = max(1, min(lengths[n], most * lengths[n] // math.prod(lengths)))
    return lengths, max(1, most // math.prod(lengths))


def block_samples(problem: Problem) -> int:
    """Return the samples, or outputs, that there are in an array at a time."""
    lengths, together = cut(problem)
    batches = math.prod(n for a, n in enumerate(problem.shape) if a not in problem.axes)
    sizes = [problem.shape[axis] for axis in problem.axes]
    found = math.prod(lengths)
    for n in sorted(range(len(sizes)), key=lambda n: lengths[n] / max(1, sizes[n])):
        sizes[n] = lengths[n]
        found = max(found, math.prod(sizes))
    return min(batches, together) * found


def error_bound(problem: Problem) -> float:
    """One rounding for each product and each sum, and one for the result (Higham, 2002, 3.1)."""
    accumulator = np.dtype(problem.arithmetic.accumulator)
    if accumulator.kind not in "fc":
        return 0.0
    eps = float(np.finfo(accumulator).eps)
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    complex_factor = 2.0 if accumulator.kind == "c" else 1.0
    taps = int(np.count_nonzero(problem.taps.array))  # what a zero adds is exact
    return complex_factor * (taps + 1) * eps + last


def prepare(problem: Problem) -> Run:
    """Return the loop over blocks of outputs."""
    lengths, together = cut(problem)
    pieces = list(batches(problem, together))
    pairs = zip(problem.geometry, lengths, strict=True)
    ranges = [cuts(0, along.count, most) for along, most in pairs]

    def run(x: Array, out: Array, workers: int) -> None:
        accumulator = problem.arithmetic.accumulator
        if problem.arithmetic.exact:
            accumulator = reference.exact_accumulator(problem, x)
        for batch, ends in product(pieces, product(*ranges)):
            sums = reference.evaluate(problem, x[batch], accumulator, ends)
            where = list(batch)
            for axis, pair in zip(problem.axes, ends, strict=True):
                where[axis] = slice(*pair)
            out[tuple(where)] = convert(sums, problem.result_dtype, problem.arithmetic.overflow)

    return run
