"""Boxes: sums over windows of any size at about the same cost, in compiled pipelines.

No running sum with subtraction: every output is a sum of its own samples and of no others, so that
NaN, infinities and the rounding of great numbers stay where the definition has them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import fields, replace
from functools import lru_cache

import numpy as np

from faltung import native
from faltung.buffers import address
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
    spanned_axes,
)
from faltung.compiled import route as route_of_products
from faltung.layout import INTERLEAVED
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict, scratch
from faltung.native import Call, Form
from faltung.problem import Problem

NAME = "sums"
ROW = 16 << 10  # bytes of sums in a row of a tile at most
TILE = 64 << 20  # bytes of sums in a tile at most
TILES = 16  # tiles that there should be, for threads to share
LONG = 512  # bytes of sums from which rows take the long way through the pipeline
SLAB = 16 << 20  # bytes of sums between the two passes over a volume


def supports(problem: Problem) -> Verdict:
    """Kernels of equal finite taps, without strides, whose integer sums fit 32 bits."""
    if not native.variants(NAME):
        return Verdict(False, "the compiled library is not there")
    taps = problem.taps.array
    if taps.dtype == object or not (taps == taps.flat[0]).all():
        return Verdict(False, "the taps are not all equal")
    if not np.isfinite(taps.flat[0]):
        return Verdict(False, "the taps are not finite")
    if set(problem.stride) != {1}:
        return Verdict(False, "window sums have no strides")
    found = route(problem)
    if isinstance(found, str):
        return Verdict(False, found)
    spanned = spanned_axes(problem)
    if len(spanned) > 3:
        return Verdict(False, f"the kernel spans {len(spanned)} axes and the pipelines at most 3")
    types = f"{found.input} in, {found.accumulator} sums, {found.output} out"
    stages = [found, *stages_of(found)] if len(spanned) > 1 else [found]
    if not all(stage.variant in native.variants(NAME) for stage in stages):
        return Verdict(False, f"there is no pipeline for window sums: {types}")
    return Verdict(True, f"a box, in window sums; {types}; {native.describe()}")


def route(problem: Problem) -> Route | str:
    """Return the types a box goes through: integers are summed first and scaled once."""
    found = route_of_products(problem)
    if isinstance(found, str) or found.input.startswith("float"):
        return found
    info = np.iinfo(found.input)
    most = problem.taps.size * max(-int(info.min), int(info.max))
    flat = len(spanned_axes(problem)) <= 2
    if (
        flat
        and most <= np.iinfo(np.uint16).max
        and (found.input, found.output) == ("uint8", "uint8")
    ):
        return Route(found.input, "uint16", found.output)
    if most > np.iinfo(np.int32).max:
        return f"sums up to {most} do not fit 32 bits"
    low = found.input == "uint8" and max(problem.taps.shape) * 255 <= np.iinfo(np.uint16).max
    return Route(found.input, "uint32" if flat and low else "int32", found.output)


def cost(problem: Problem, machine: Machine) -> Cost:
    """Take the larger of the additions and the memory traffic, and the calls."""
    found = route(problem)
    if isinstance(found, str):
        return Cost(math.inf, 0)
    row = np.dtype(found.accumulator).itemsize
    column = 2 if found.accumulator == "uint32" else row
    outputs = math.prod(problem.result_shape)
    spanned = len(spanned_axes(problem))
    moved: float = row * (sum(digits(problem.taps.shape[-1])) + 4) + column * (
        8 if spanned > 1 else 0
    )
    seconds = passes_of(problem) * outputs * moved / machine.cached / native.processors()
    in_size = math.prod(problem.shape) * np.dtype(problem.dtype).itemsize
    traffic = machine.moving(in_size + outputs * problem.result_dtype.itemsize)
    volume = spanned > 2
    calls = 2 if outputs <= SMALL else 4 * len(problem.axes) + 2
    tiles = min(max(problem.taps.shape) * ROW, TILE) * native.processors()
    tiles = scratch(problem, tiles, passes_of(problem) * max(row, column))
    memory = copies(problem, found, slab(problem)) + tiles
    ends = convert_seconds(problem, found, machine)
    ends += passes_of(problem) * ends_seconds(problem, found, machine, THICKNESS)
    return Cost(max(seconds, traffic) * (1 + volume) + ends + calls * machine.call, memory)


def slab(problem: Problem) -> int:
    """Return the bytes of the sums between the two passes over a volume; 0 where there is none."""
    spanned = sorted(spanned_axes(problem))
    dense = math.prod(problem.shape[spanned[-1] + 1 :]) < INTERLEAVED if spanned else True
    if len(spanned) < 3 and (dense or len(spanned) < 2):
        return 0
    outer = spanned[0]
    lengths = (max(pair) for pair in zip(problem.shape, problem.result_shape, strict=True))
    plane = 8 * math.prod(n for axis, n in enumerate(lengths) if axis > outer)
    along = problem.geometry[problem.axes.index(outer)]
    return max(SLAB, min(along.count, along.reach + along.dilation) * plane)


def error_bound(problem: Problem) -> float:
    """Return the bound from the longest way of a sample through the additions.

    Integers are summed exactly, then rounded to a float and scaled. A float is scaled, and an axis
    of ``n`` taps takes it through at most ``n`` additions of running sums and one that joins two.
    """
    if problem.arithmetic.exact:
        return 0.0
    found = route(problem)
    assert isinstance(found, Route)
    floating = found.accumulator.startswith("float")
    # the pipelines scale sums of integers in float32, those of 16 bits to 16 bits, too
    eps = float(np.finfo(np.dtype(problem.arithmetic.accumulator if floating else "float32")).eps)
    result = problem.result_dtype
    last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
    if not floating:
        return passes_of(problem) * 2 * eps + last
    roundings = 1 + sum(along.taps + 1 for along in problem.geometry)
    return passes_of(problem) * (roundings + 1) * eps + last


def prepare(problem: Problem) -> Run:
    """Return the run over the problem's blocks."""
    found = route(problem)
    assert isinstance(found, Route)
    makers = [calls(found, part.flat[0]) for part in real_parts(problem)]
    work = float(sum(map(sum, map(digits, problem.taps.shape))) * passes_of(problem))
    return Compiled(problem, found, makers, work)


@lru_cache(maxsize=256)
def digits(width: int) -> tuple[int, int, int, int, int]:
    """Write a width as ``c*a*b + c1*a + c0``, as (a, b, c, c1, c0), in the least time.

    >>> digits(101), digits(15)
    ((4, 5, 5, 0, 1), (3, 1, 5, 0, 0))
    """

    def time(found: tuple[int, int, int, int, int]) -> int:
        return sum(found) + (2 if found[1] > 1 else 0)  # a further row to be stored

    best = (1, 1, width, 0, 0)
    most = 2 * math.isqrt(width) + 2
    for a, b in itertools.product(range(1, most + 1), repeat=2):
        c, rest = divmod(width, a * b)
        found = (a, b, c, rest // a, rest % a)
        if c and time(found) < time(best):
            best = found
    return best


def steps_of(width: int, columns: int, size: int) -> int:
    """Return how many sums one upon the other a row takes: the pipeline has code for each."""
    if columns * size < LONG:
        return 3
    return 1 if width == 1 else 2 if digits(width)[1] == 1 else 3


def calls(found: Route, tap: complex) -> Calls:
    """Return what prepares the calls for one real tap."""

    def make(form: Form) -> Pipeline:
        if form.k_shape[1] == 1:
            form = turned(form)
        if form.k_shape[2] == 1:
            return Planes(found, tap, form)
        return Volume(found, tap, form)

    return make


def turned(form: Form) -> Form:
    """Exchange the two outer axes."""

    def turn(values: tuple[int, ...]) -> tuple[int, int, int]:
        x, y, z = values
        return x, z, y

    return Form(*(turn(getattr(form, field.name)) for field in fields(form)))


class Planes:
    """The calls for boxes that span the two inner axes of a form.

    The rows of the output are cut into blocks of equal height, no higher than the kernel, with a
    call of its own for a lower block at the end. Rows that a dilation keeps apart are summed apart.
    """

    def __init__(self, found: Route, tap: complex, form: Form) -> None:
        in_size, out_size = np.dtype(found.input).itemsize, np.dtype(found.output).itemsize
        in_row, out_row = form.x_strides[1], form.y_strides[1]
        apart, taps = form.dilation[1], form.k_shape[1]
        self.parts: list[tuple[int, int, Call]] = []
        for first in range(min(apart, form.y_shape[1])):
            count = -(-(form.y_shape[1] - first) // apart)
            rows = -(-count // -(-count // min(taps, rows_within(found, form))))
            done = 0
            while done < count:
                rows = min(rows, count - done)
                blocks = (count - done) // rows
                at = first + done * apart
                call = planes_call(found, tap, form, rows, blocks)
                self.parts.append((at * in_row * in_size, at * out_row * out_size, call))
                done += rows * blocks

    def __call__(self, x: int, y: int, workers: int) -> None:
        """Run on the addresses of the input and the output."""
        for dx, dy, call in self.parts:
            call(x + dx, y + dy, workers)


def planes_call(found: Route, tap: complex, form: Form, rows: int, blocks: int) -> Call:
    """Return the call for some blocks of rows."""
    width, height, _ = form.k_shape
    apart = form.dilation[1]
    in_row, out_row = form.x_strides[1] * apart, form.y_strides[1] * apart
    cut = replace(
        form,
        x_shape=(form.x_shape[0], rows * blocks + height - 1, form.x_shape[2]),
        x_strides=(1, in_row, form.x_strides[2]),
        y_shape=(form.y_shape[0], rows, blocks, form.y_shape[2]),
        y_strides=(1, out_row, rows * out_row, form.y_strides[2]),
    )
    radix = digits(width)
    columns = columns_of(found, form, blocks * form.y_shape[2])
    size = np.dtype(found.accumulator).itemsize
    numbers = (height, rows, form.dilation[0], *radix, steps_of(width, columns, size), columns)
    work = math.prod(cut.y_shape) * (sum(radix) + 8)
    floating = found.accumulator.startswith("float")
    dtype = found.accumulator if floating else "int32" if found.output == "int32" else "float32"
    taps = np.array([tap.real]).astype(dtype)
    return Call(NAME, found.variant, cut, [taps], numbers, work)


def rows_within(found: Route, form: Form) -> int:
    """Return how many rows of running sums a tile may hold."""
    size = np.dtype(found.accumulator).itemsize
    halo = (form.k_shape[0] - 1) * form.dilation[0]
    return max(1, TILE // (min(form.y_shape[0], max(ROW // size, 4 * halo)) + halo) // size)


def columns_of(found: Route, form: Form, tiles: int) -> int:
    """Return the width of a tile: whole rows, which memory is read in best, unless tiles are few.

    The width has no influence on any bit of the result.
    """
    out, halo = form.y_shape[0], (form.k_shape[0] - 1) * form.dilation[0]
    size = np.dtype(found.accumulator).itemsize
    lanes = 64 // size
    most = max(ROW // size, 4 * halo)
    if tiles < TILES:
        most = min(most, max(-(-out * tiles // TILES), 2 * halo, LONG // size))
    columns = -(-out // -(-out // most))
    columns += -(columns + halo) % lanes  # whole vectors of running sums
    return min(out, columns)


def stages_of(found: Route) -> tuple[Route, Route]:
    """Return the types of the two passes over a volume; sums of integers pass on as int32.

    A kernel along two axes is given to a volume, too, where an axis without taps lies densest in
    memory, whatever narrower sums its planes could have.
    """
    sums = found.accumulator if found.accumulator.startswith("float") else "int32"
    return Route(found.input, sums, sums), Route(sums, sums, found.output)


class Volume:
    """The calls for boxes that span the outermost axis: first along it, then in its planes."""

    def __init__(self, found: Route, tap: complex, form: Form) -> None:
        first, second = stages_of(found)
        self.dtype = np.dtype(first.output)
        floating = self.dtype.kind == "f"
        nx, ny, _ = form.x_shape
        count = form.y_shape[2]
        plane = nx * ny * self.dtype.itemsize
        slab = min(count, max(form.k_shape[2] * form.dilation[2], SLAB // plane))
        self.in_step = form.x_strides[2] * np.dtype(found.input).itemsize
        self.out_step = form.y_strides[2] * np.dtype(found.output).itemsize
        self.shape = (slab, ny, nx)
        self.slabs: list[tuple[int, Planes, Planes]] = []
        prepared: dict[int, tuple[Planes, Planes]] = {}
        for at in range(0, count, slab):
            deep = min(slab, count - at)
            if deep not in prepared:
                reach = (form.k_shape[2] - 1) * form.dilation[2]
                along = replace(
                    form,
                    x_shape=(nx, ny, deep + reach),
                    k_shape=(1, 1, form.k_shape[2]),
                    y_shape=(nx, ny, deep),
                    y_strides=(1, nx, nx * ny),
                    dilation=(1, 1, form.dilation[2]),
                )
                within = replace(
                    form,
                    x_shape=(nx, ny, deep),
                    x_strides=(1, nx, nx * ny),
                    k_shape=(*form.k_shape[:2], 1),
                    y_shape=(*form.y_shape[:2], deep),
                    dilation=(*form.dilation[:2], 1),
                )
                prepared[deep] = (
                    Planes(first, tap if floating else 1, turned(along)),
                    Planes(second, 1 if floating else tap, within),
                )
            self.slabs.append((at, *prepared[deep]))

    def __call__(self, x: int, y: int, workers: int) -> None:
        """Run on the addresses of the input and the output."""
        sums = np.empty(self.shape, self.dtype)
        for at, along, within in self.slabs:
            along(x + at * self.in_step, address(sums), workers)
            within(address(sums), y + at * self.out_step, workers)
