"""The sum over the taps as it stands, in compiled pipelines."""

from __future__ import annotations

import math

import numpy as np

from faltung import native
from faltung.compiled import (
    COPY_BLOCK,
    SMALL,
    Calls,
    Compiled,
    Route,
    passes_of,
    real_parts,
    route,
    spanned_axes,
    too_long,
)
from faltung.dtypes import Array
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.native import Call, Form
from faltung.problem import Problem

NAME = "direct"


def supports(problem: Problem) -> Verdict:
    """Every problem whose types have a pipeline and whose kernel spans at most three axes."""
    if not native.variants(NAME):
        return Verdict(False, "the compiled library is not there")
    found = route(problem)
    if isinstance(found, str):
        return Verdict(False, found)
    if why := too_long(problem):
        return Verdict(False, why)
    spanned = spanned_axes(problem)
    if len(spanned) > 3:
        return Verdict(False, f"the kernel spans {len(spanned)} axes and the pipelines at most 3")
    types = f"{found.input} in, {found.accumulator} sums, {found.output} out"
    return Verdict(True, f"{types}; {native.describe()}")


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
    found = route(problem)
    assert isinstance(found, Route)
    parts = [np.ascontiguousarray(part, found.accumulator) for part in real_parts(problem)]
    work = float(problem.taps.size * passes_of(problem))
    return Compiled(problem, found, [calls(found, part) for part in parts], work)


def calls(found: Route, taps: Array) -> Calls:
    """Return what prepares the call for one real kernel."""

    def make(form: Form) -> Call:
        loaded = native.library()
        assert loaded is not None
        width, height, depth = form.k_shape
        kernel = taps.reshape(depth, height, width)
        numbers = (*form.stride, *form.dilation, *loaded.rows(height))
        work = math.prod(form.y_shape) * kernel.size
        return Call(NAME, found.variant, form, [kernel], numbers, work)

    return make
