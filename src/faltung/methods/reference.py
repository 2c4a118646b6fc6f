"""The definition as a method: takes every problem, and is slow."""

from __future__ import annotations

import math

import numpy as np

from faltung import reference
from faltung.dtypes import Array, convert
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.problem import Problem

NAME = "reference"
BLOCK = 1 << 20  # outputs summed at a time, which bounds the memory
ARRAYS = 4  # of samples and of sums that there are at a time, for each tap


def supports(problem: Problem) -> Verdict:
    """Every problem."""
    return Verdict(True, "loops over the taps in NumPy")


def cost(problem: Problem, machine: Machine) -> Cost:
    """Every tap passes over every output once."""
    slow = 20.0 if np.dtype(problem.dtype).kind == "O" else 1.0
    seconds = problem.taps.size * machine.numpy_call
    seconds += problem.multiply_adds * machine.numpy_element * slow
    dtypes = (problem.dtype, problem.arithmetic.accumulator)
    item = sum(8 if name == "object" else np.dtype(name).itemsize for name in dtypes)
    return Cost(seconds, ARRAYS * item * block_samples(problem))


def block_samples(problem: Problem) -> int:
    """Return the samples that are looked up at a time."""
    axis, shape = problem.axes[0], problem.result_shape
    pairs = enumerate(zip(problem.shape, shape, strict=True))
    others = math.prod(max(pair) for a, pair in pairs if a != axis)
    return min(shape[axis], rows_of(math.prod(shape), shape[axis])) * others


def rows_of(outputs: int, count: int) -> int:
    """Return how many rows along the first convolved axis are summed at a time."""
    return max(1, BLOCK // max(1, outputs // max(1, count)))


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
    """Return the loop over blocks of rows of the first convolved axis."""

    def run(x: Array, out: Array, workers: int) -> None:
        accumulator = problem.arithmetic.accumulator
        if problem.arithmetic.exact:
            accumulator = reference.exact_accumulator(problem, x)
        axis = problem.axes[0]
        count = problem.geometry[0].count
        rows = rows_of(out.size, count)
        for first in range(0, count, rows):
            stop = min(count, first + rows)
            sums = reference.evaluate(problem, x, accumulator, (first, stop))
            where = (slice(None),) * axis + (slice(first, stop),)
            out[where] = convert(sums, problem.result_dtype, problem.arithmetic.overflow)

    return run
