"""What a call's limits of memory and error leave of the methods, and how refusals say it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from faltung.machine import Machine, machine
from faltung.methods import Method
from faltung.problem import Problem

OUTPUTS = "(|k| * |x|)"  # what a method's bound is times, unless it says otherwise
TOLERANCE = "sum |k| * max |x|"  # what a tolerance is times
BOUNDLESS = 1 << 62  # bytes
LOOSE = 1e300  # a tolerance that every bound keeps


def unit_of(method: Method) -> str:
    """Return what the factor of a method's error bound is times."""
    return getattr(method, "ERROR_UNIT", OUTPUTS)


def bound_as_tolerance(method: Method, problem: Problem, bound: float) -> float:
    """Return a method's error bound in the unit of a tolerance.

    What bounds each output by ``|k| * |x|`` there bounds it by ``sum |k| * max |x|``, too.
    """
    if unit_of(method) in (OUTPUTS, TOLERANCE):
        return bound
    within: Any = getattr(method, "within", None)
    return bound if within is None else float(within(problem))


def too_coarse(bound: float, tolerance: float) -> str:
    """Say that a method's error bound is above the tolerance, with the unit of both."""
    return f"its bound of {bound:.3g} * {TOLERANCE} is above the tolerance of {tolerance:.3g}"


def too_much(least: int | None, limit: int) -> str:
    """Say that a method needs more memory than it may have, and how much would do."""
    given = f"max_memory={limit:,}"
    if least is None:
        return f"it would need more scratch memory than {given} bytes"
    return f"it needs {least:,} bytes of scratch and {given}; max_memory={least} would do"


def least_memory(method: Method, problem: Problem, table: Machine | None = None) -> int | None:
    """Return the least ``max_memory`` with which a method takes a problem; None where none does.

    A method may cut its work by the memory that it has, so that the least is searched for.
    """
    table = table or machine()

    def needs(limit: int) -> int | None:
        tried = replace(problem, max_memory=limit)
        return method.cost(tried, table).memory if method.supports(tried).ok else None

    def fits(limit: int) -> bool:
        needed = needs(limit)
        return needed is not None and needed <= limit

    high = needs(BOUNDLESS)
    if high is None:
        return None
    high = max(1, high)
    while not fits(high):
        high *= 2
    low = 0 if fits(high - 1) else high - 1  # most methods need what they need
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def whole_reason(method: Method, problem: Problem, note: str) -> str:
    """Return why a method refuses, the reason that lies deepest first.

    Looking for it takes longer than the refusal, so that only what is printed asks for it.
    """
    reason: Any = getattr(method, "reason", None)
    if reason is not None:
        note = reason(problem) or note
    if problem.tolerance is not None and hasattr(method, "within"):
        tried = replace(problem, tolerance=LOOSE)
        if method.supports(tried).ok:
            return too_coarse(method.within(tried), problem.tolerance)
    if method.supports(replace(problem, max_memory=BOUNDLESS)).ok:
        return too_much(least_memory(method, problem), problem.max_memory)
    return note


def more_exact(problem: Problem) -> str:
    """Say what would make every method's error less."""
    sums = np.dtype(problem.arithmetic.accumulator)
    wider = {"float32": "float64", "complex64": "complex128"}.get(sums.name)
    if wider is None:
        return f"Sums in {sums.name} are no more exact: give a tolerance above it, or none."
    return f"Give a tolerance above it, or dtype={wider!r} for sums in {wider}."
