"""The sum over the taps as it stands, in compiled pipelines."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from faltung import native
from faltung.compiled import (
    SMALL,
    THICKNESS,
    Calls,
    Compiled,
    Pipeline,
    Route,
    convert_seconds,
    copies,
    ends_seconds,
    passes_of,
    real_parts,
    route,
    spanned_axes,
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
    item = np.dtype(found.accumulator).itemsize
    lanes = 4 / item
    strided = 8 if problem.stride[-1] != 1 else 1
    deep = 0.75 if len(spanned_axes(problem)) == 3 else 1.0  # planes share no loads
    threads = native.processors()
    passes = passes_of(problem)
    arithmetic = passes * problem.multiply_adds * strided / (machine.multiply_adds * lanes * deep)
    in_size = math.prod(problem.shape) * np.dtype(problem.dtype).itemsize
    out_size = math.prod(problem.result_shape) * problem.result_dtype.itemsize
    traffic = machine.moving(in_size + out_size)
    steps = 1 if math.prod(problem.result_shape) <= SMALL else 2 * len(problem.axes) + 1
    seconds = max(arithmetic / threads, traffic) + steps * machine.call
    seconds += convert_seconds(problem, found, machine)
    seconds += passes * ends_seconds(problem, found, machine, THICKNESS)
    return Cost(seconds, copies(problem, found))


def error_bound(problem: Problem) -> float:
    """One rounding per fused multiply-add, two without fusion (Higham, 2002, 3.1)."""
    if problem.arithmetic.exact:
        return 0.0
    eps = float(np.finfo(np.dtype(problem.arithmetic.accumulator)).eps)
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    taps = int(np.count_nonzero(problem.taps.array))  # what a zero adds is exact
    return passes_of(problem) * (taps + 1) * eps + last


def prepare(problem: Problem) -> Run:
    """Return the run over the problem's blocks."""
    found = route(problem)
    assert isinstance(found, Route)
    parts = [np.ascontiguousarray(part, found.accumulator) for part in real_parts(problem)]
    work = float(problem.taps.size * passes_of(problem))
    return Compiled(problem, found, [calls(found, part) for part in parts], work)


def calls(found: Route, taps: Array) -> Calls:
    """Return what prepares the call for one real kernel."""

    def make(form: Form) -> Pipeline:
        if is_line(form) and taps.size > 1:
            return Line(found, form, taps.reshape(-1))
        width, height, depth = form.k_shape
        return call(found, form, taps.reshape(depth, height, width), height, 0)

    return make


def call(found: Route, form: Form, kernel: Array, rows: int, ragged: int) -> Call:
    """Return a call with so many complete rows of taps, and taps of one more."""
    loaded = native.library()
    assert loaded is not None
    numbers = (*form.stride, *form.dilation, *loaded.rows(rows), ragged)
    work = math.prod(form.y_shape) * kernel.size
    return Call(NAME, found.variant, form, [kernel], numbers, work)


def is_line(form: Form) -> bool:
    """Whether there is a single row of outputs, dense, for a kernel along it."""
    flat = form.y_shape[1] == form.y_shape[2] == form.k_shape[1] == form.k_shape[2] == 1
    return flat and form.stride == (1, 1, 1) and form.dilation[0] == 1


class Line:
    """A row of outputs folded into many short ones, and its kernel with it.

    Written as ``i = pitch * u + v`` and ``j = pitch * a + b``, outputs and taps are those of a
    picture whose rows overlap in memory. Its register tiles load each sample once for several
    outputs and taps, and threads share its rows. Taps that do not fill a row are a ragged last one;
    outputs that do not are summed apart.
    """

    def __init__(self, found: Route, form: Form, taps: Array) -> None:
        item_in, item_out = (np.dtype(t).itemsize for t in (found.input, found.output))
        pitch = 128 // taps.itemsize  # two vectors at most
        rows = form.y_shape[0] // pitch
        complete, ragged = divmod(taps.size, pitch)
        self.steps: list[tuple[Call, int, int]] = []  # a call, and where it starts in bytes
        if rows >= 4:
            kernel = np.zeros((1, complete + 1, pitch), taps.dtype)
            kernel.reshape(-1)[: taps.size] = taps
            folded = Form(
                (2 * pitch, rows + complete, 1), (1, pitch, 0), (pitch, complete + 1, 1),
                (pitch, rows, 1), (1, pitch, 0), (1, 1, 1), (1, 1, 1),
            )  # fmt: skip
            self.steps.append((call(found, folded, kernel, complete, ragged), 0, 0))
        else:
            rows = 0
        done = rows * pitch
        left = form.y_shape[0] - done
        if left:
            rest = replace(
                form,
                x_shape=(left + taps.size - 1, 1, 1),
                y_shape=(left, 1, 1),
            )
            whole = call(found, rest, taps.reshape(1, 1, -1), 1, 0)
            self.steps.append((whole, done * item_in, done * item_out))

    def __call__(self, x: int, y: int, threads: int) -> None:
        """Run on the addresses of input and output."""
        for step, x_at, y_at in self.steps:
            step(x + x_at, y + y_at, threads)
