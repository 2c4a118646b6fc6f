"""The definition as a method: takes every problem, and is slow."""

from __future__ import annotations

import numpy as np

from faltung import reference
from faltung.dtypes import Array, convert
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.problem import Problem

NAME = "reference"
BLOCK = 1 << 20  # outputs summed at a time, which bounds the memory


def supports(problem: Problem) -> Verdict:
    """Every problem."""
    return Verdict(True, "loops over the taps in NumPy")


def cost(problem: Problem, machine: Machine) -> Cost:
    """Every tap passes over every output once."""
    slow = 20.0 if np.dtype(problem.dtype).kind == "O" else 1.0
    seconds = problem.taps.size * machine.numpy_call
    seconds += problem.multiply_adds * machine.numpy_element * slow
    return Cost(seconds, 4 * 16 * BLOCK)


def error_bound(problem: Problem) -> float:
    """One rounding for each product and each sum, and one for the result (Higham, 2002, 3.1)."""
    accumulator = np.dtype(problem.arithmetic.accumulator)
    if accumulator.kind not in "fc":
        return 0.0
    eps = float(np.finfo(accumulator).eps)
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    complex_factor = 2.0 if accumulator.kind == "c" else 1.0
    return complex_factor * (problem.taps.size + 1) * eps + last


def prepare(problem: Problem) -> Run:
    """Return the loop over blocks of rows of the first convolved axis."""

    def run(x: Array, out: Array, workers: int) -> None:
        accumulator = problem.arithmetic.accumulator
        if problem.arithmetic.exact:
            accumulator = reference.exact_accumulator(problem, x)
        axis = problem.axes[0]
        count = problem.geometry[0].count
        others = max(1, out.size // max(1, count))
        rows = max(1, BLOCK // others)
        for first in range(0, count, rows):
            stop = min(count, first + rows)
            sums = reference.evaluate(problem, x, accumulator, (first, stop))
            where = (slice(None),) * axis + (slice(first, stop),)
            out[where] = convert(sums, problem.result_dtype, problem.arithmetic.overflow)

    return run
