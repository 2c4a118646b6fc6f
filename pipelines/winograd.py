"""Layers of 3x3 taps in tiles of 4x4 outputs, with a quarter of the multiplications.

Cook and Toom's convolution of short sequences at the points 0, 1, -1, 2, -2 and infinity, along
both axes (Winograd, 1980; Lavin and Gray, 2016): with the outputs weighted by ``g``,
``sum_i,t x[i + t] w[t] g[i]`` is a sum over six points of products of three transforms, each of one
factor. It may be read for any of the three:

``layer``     Tiles of samples are transformed by ``INPUT``, multiplied by as many transformed
              weights, summed over channels, and transformed to outputs (``OUTPUT``). A tile of so
              many images goes through all of it in cache. The weights come transformed.
``weights``   Weights by ``WEIGHTS``.
``gradient``  Tiles of the input by ``INPUT``, tiles of the gradient by the transpose of ``OUTPUT``;
              their products are summed over images and tiles, point by point. Images are a whole
              number of vectors. Sums are by block, of so many images and rows of tiles: what blocks
              there are depends on the shapes alone.
``taps``      Such sums to weights, by the transpose of ``WEIGHTS``.

Samples outside of input and gradient are 0.
"""

from __future__ import annotations

import functools
import operator

import halide as hl

from pipelines.levels import Level
from pipelines.parts import Part
from pipelines.types import HALIDE_TYPES

VARIANTS = tuple(Part("float32", part) for part in ("layer", "weights", "gradient", "taps"))
LEVELS = ("avx512", "avx2")

INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
# What a row of three weights becomes: its polynomial at the points, over what the others need
WEIGHTS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
SIDE = 4  # outputs of a tile along an axis
CHANNELS = 6  # of a register tile
VECTORS = {512: 4, 256: 2}  # of a register tile
POINTS = len(INPUT)
ROWS = 2  # of points, which a gradient's samples are transformed to at once
TILES = {512: (4, 6), 256: (2, 6)}  # channels and outputs of a gradient's register tile


def build(variant: Part, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.dtype]
    if variant.part in ("weights", "taps"):
        back = tuple(zip(*WEIGHTS, strict=True))
        return plane(WEIGHTS if variant.part == "weights" else back, kind, level)
    return (layer if variant.part == "layer" else gradient)(kind, level)


def combined(weights: tuple[float, ...], values: list[hl.Expr], kind: hl.Type) -> hl.Expr:
    """Return a sum of values times small numbers."""
    pairs = zip(weights, values, strict=True)
    terms = [v if w == 1 else hl.cast(kind, hl.f64(float(w))) * v for w, v in pairs if w]
    return functools.reduce(operator.add, terms)


def plane(
    matrix: tuple[tuple[float, ...], ...], kind: hl.Type, level: Level
) -> tuple[hl.Func, list[hl.Argument]]:
    """Return planes multiplied by a matrix along both axes; they lie beside each other."""
    vec = level.vector_bits // kind.bits()
    n, a, b, no, ni, task = (hl.Var(v) for v in ("n", "a", "b", "no", "ni", "task"))
    inp, tasks = hl.ImageParam(kind, 3, "input"), hl.Param(hl.Int(32), "tasks")
    across, out = hl.Func("across"), hl.Func("winograd")
    side = range(len(matrix[0]))
    across[n, a, b] = hl.mux(a, [combined(w, [inp[n, i, b] for i in side], kind) for w in matrix])
    out[n, a, b] = hl.mux(b, [combined(w, [across[n, a, j] for j in side], kind) for w in matrix])

    result = out.output_buffer()
    for buffer in (inp, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    vectors = (result.dim(0).extent() + vec - 1) // vec
    out.bound(a, 0, len(matrix)).bound(b, 0, len(matrix))
    out.split(n, no, ni, vec, hl.TailStrategy.ShiftInwards).reorder(ni, a, b, no)
    out.split(no, task, no, hl.max((vectors + tasks - 1) // tasks, 1), hl.TailStrategy.GuardWithIf)
    out.parallel(task).vectorize(ni).unroll(a).unroll(b)
    across.compute_at(out, no).vectorize(n, vec).unroll(a).unroll(b)
    return out, [inp, tasks]


def layer(kind: hl.Type, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the outputs of a layer."""
    vec, many = level.vector_bits // kind.bits(), VECTORS[level.vector_bits]
    n, x, y, oi, ob, c = (hl.Var(v) for v in ("n", "x", "y", "oi", "ob", "c"))
    a, b, tx, ty = (hl.Var(v) for v in ("a", "b", "tx", "ty"))
    inp, ker = hl.ImageParam(kind, 4, "input"), hl.ImageParam(kind, 4, "weights")
    bias = hl.ImageParam(kind, 2, "bias")
    before_x, before_y = hl.Param(hl.Int(32), "before_x"), hl.Param(hl.Int(32), "before_y")
    relu, tasks = hl.Param(hl.Int(32), "relu"), hl.Param(hl.Int(32), "tasks")
    zero = hl.cast(kind, 0)

    # ---- the algorithm -------------------------------------------------------------------
    samples, down, spectrum = hl.Func("samples"), hl.Func("down"), hl.Func("spectrum")
    acc, products = hl.Func("acc"), hl.Func("products")
    up, back, out = hl.Func("up"), hl.Func("back"), hl.Func("winograd")
    width, height = inp.dim(1).extent(), inp.dim(2).extent()
    at_x, at_y = tx * SIDE + a - before_x, ty * SIDE + b - before_y
    inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
    value = inp[n, hl.clamp(at_x, 0, width - 1), hl.clamp(at_y, 0, height - 1), c]
    samples[n, a, b, c, tx, ty] = hl.select(inside, value, zero)
    column = [samples[n, a, j, c, tx, ty] for j in range(6)]
    down[n, a, b, c, tx, ty] = hl.mux(b, [combined(w, column, kind) for w in INPUT])
    row = [down[n, i, b, c, tx, ty] for i in range(6)]
    spectrum[n, a, b, c, tx, ty] = hl.mux(a, [combined(w, row, kind) for w in INPUT])
    k = hl.RDom([(0, ker.dim(1).extent())], "k")
    acc[n, oi, a, b, ob, tx, ty] = zero
    acc[n, oi, a, b, ob, tx, ty] += ker[oi, k, ob, a + 6 * b] * spectrum[n, a, b, k, tx, ty]
    products[n, oi, a, b, ob, tx, ty] = acc[n, oi, a, b, ob, tx, ty]
    column = [products[n, oi, a, j, ob, tx, ty] for j in range(6)]
    up[n, oi, a, b, ob, tx, ty] = hl.mux(b, [combined(w, column, kind) for w in OUTPUT])
    row = [up[n, oi, i, b, ob, tx, ty] for i in range(6)]
    back[n, oi, a, b, ob, tx, ty] = hl.mux(a, [combined(w, row, kind) for w in OUTPUT])
    total = back[n, oi, x % SIDE, y % SIDE, ob, x // SIDE, y // SIDE] + bias[oi, ob]
    out[n, x, y, oi, ob] = hl.select((relu != 0) & (total < 0), zero, total)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, ker, bias, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    no, nv, ni, xo, xi, yo, yi, task, lot = (
        hl.Var(v) for v in ("no", "nv", "ni", "xo", "xi", "yo", "yi", "task", "lot")
    )
    shift, guard = hl.TailStrategy.ShiftInwards, hl.TailStrategy.GuardWithIf
    out.bound(oi, 0, CHANNELS)
    out.split(n, no, ni, many * vec, shift).split(ni, nv, ni, vec)
    out.split(x, xo, xi, SIDE, guard).split(y, yo, yi, SIDE, guard)
    out.reorder(ni, xi, yi, nv, oi, ob, xo, no, yo).fuse(no, yo, lot)
    lots = (result.dim(0).extent() + many * vec - 1) // (many * vec)
    rows = (result.dim(2).extent() + SIDE - 1) // SIDE * lots
    out.split(lot, task, lot, hl.max((rows + tasks - 1) // tasks, 1), guard).parallel(task)
    out.vectorize(ni).unroll(xi).unroll(yi)

    spectrum.compute_at(out, xo).split(n, nv, ni, vec).reorder(ni, a, b, nv, c)
    spectrum.vectorize(ni).unroll(a).unroll(b).reorder_storage(n, c, a, b, tx, ty)
    down.compute_at(spectrum, nv).vectorize(n, vec).unroll(a).unroll(b)
    samples.compute_at(spectrum, nv).vectorize(n, vec).unroll(a).unroll(b)
    products.compute_at(out, ob).reorder(n, oi, a, b)
    products.vectorize(n, vec).unroll(n).unroll(oi)
    acc.compute_at(products, a)
    acc.vectorize(n, vec).unroll(n).unroll(oi)
    acc.update(0).reorder(n, oi, k).vectorize(n, vec).unroll(n).unroll(oi)
    up.compute_at(out, nv).vectorize(n, vec).unroll(a).unroll(b)
    back.compute_at(out, nv).vectorize(n, vec).unroll(a).unroll(b)
    # the last tile may be cut: that it is one tile is beyond Halide's arithmetic
    for func in (samples, down, spectrum, acc, products, up, back):
        func.bound_extent(tx, 1).bound_extent(ty, 1)
    return out, [inp, ker, bias, before_x, before_y, relu, tasks]


def gradient(kind: hl.Type, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the sums of products of a layer's input and of its output's gradient."""
    vec, (tall, wide) = level.vector_bits // kind.bits(), TILES[level.vector_bits]
    n, x, tx, ty, c, a, b = (hl.Var(v) for v in ("n", "x", "tx", "ty", "c", "a", "b"))
    ci, co, oi, oo, block = (hl.Var(v) for v in ("ci", "co", "oi", "oo", "block"))
    lane, m, panel, inner = (hl.Var(v) for v in ("lane", "m", "panel", "inner"))
    inp, slopes = hl.ImageParam(kind, 4, "input"), hl.ImageParam(kind, 4, "slopes")
    before_x, before_y = hl.Param(hl.Int(32), "before_x"), hl.Param(hl.Int(32), "before_y")
    vectors, across = hl.Param(hl.Int(32), "vectors"), hl.Param(hl.Int(32), "across")
    rows, lots = hl.Param(hl.Int(32), "rows"), hl.Param(hl.Int(32), "lots")  # blocks of images
    tasks = hl.Param(hl.Int(32), "tasks")

    # ---- the algorithm -------------------------------------------------------------------
    def transformed(
        source: hl.ImageParam,
        matrix: tuple[tuple[int, ...], ...],
        each: int,
        shift: list[hl.Expr],
        name: str,
    ) -> tuple[hl.Func, hl.Func, hl.Func, hl.Func]:
        """Return tiles of samples, and what becomes of them along one axis and along both."""
        names = ("samples", "down", "both", "panels")
        samples, down, both, panels = (hl.Func(f"{name}_{w}") for w in names)
        side = len(matrix[0])
        width, height = source.dim(1).extent(), source.dim(2).extent()
        at_x, at_y = x - shift[0], ty * SIDE + b - shift[1]
        inside = hl.likely(at_x >= 0) & hl.likely(at_x < width) & (at_y >= 0) & (at_y < height)
        near_x = hl.clamp(hl.likely(at_x), 0, width - 1)
        value = source[n, near_x, hl.clamp(at_y, 0, height - 1), c]
        samples[n, x, b, ty, c] = hl.select(inside, value, hl.cast(kind, 0))
        # some rows of points at a time, whose numbers are known only then
        numbers = [hl.mux(b, [hl.cast(kind, w[j]) for w in matrix]) for j in range(side)]
        down[n, x, b, ty, c] = functools.reduce(
            operator.add, (numbers[j] * samples[n, x, j, ty, c] for j in range(side))
        )
        row = [down[n, tx * SIDE + i, b, ty, c] for i in range(side)]
        both[n, tx, ty, c, a, b] = hl.mux(a, [combined(w, row, kind) for w in matrix])
        # in panels: what a register tile multiplies lies in a row
        channel = hl.min(each * panel + inner, source.dim(3).extent() - 1)
        value = both[m * vec + lane, tx, ty, channel, a, b]
        panels[lane, inner, m, tx, ty, a, b, panel] = value
        return samples, down, both, panels

    zero = [hl.i32(0), hl.i32(0)]
    parts = (
        transformed(inp, INPUT, tall, [before_x, before_y], "input"),
        transformed(slopes, tuple(zip(*OUTPUT, strict=True)), wide, zero, "slopes"),
    )
    spectrum, other = parts[0][-1], parts[1][-1]
    acc, total, out = hl.Func("acc"), hl.Func("total"), hl.Func("winograd")
    over = hl.RDom([(0, vectors), (0, across), (0, rows)], "over")
    lanes = hl.RDom([(0, vec)], "lanes")
    there = (block % lots * vectors + over[0], over[1], block // lots * rows + over[2])
    acc[lane, ci, co, oi, oo, a, b, block] = hl.cast(kind, 0)
    product = spectrum[(lane, ci, *there, a, b, co)] * other[(lane, oi, *there, a, b, oo)]
    acc[lane, ci, co, oi, oo, a, b, block] += product
    total[ci, co, oi, oo, a, b, block] = hl.cast(kind, 0)
    total[ci, co, oi, oo, a, b, block] += acc[lanes[0], ci, co, oi, oo, a, b, block]
    out[ci, co, oi, oo, a, b, block] = total[ci, co, oi, oo, a, b, block]

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, slopes, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    out.bound(ci, 0, tall).bound(oi, 0, wide).bound(a, 0, POINTS).bound(b, 0, POINTS)
    task, tile, bo, bi = (hl.Var(v) for v in ("task", "tile", "bo", "bi"))
    per_task = hl.max((POINTS // ROWS * result.dim(6).extent() + tasks - 1) // tasks, 1)
    out.split(b, bo, bi, ROWS)
    out.reorder(ci, oi, co, a, bi, oo, bo, block).fuse(bo, block, tile)
    out.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
    out.unroll(ci).unroll(oi)
    acc.compute_at(out, co).vectorize(lane).unroll(ci).unroll(oi)
    acc.update(0).reorder(lane, ci, oi, over[0], over[1], over[2])
    acc.update(0).vectorize(lane).unroll(ci).unroll(oi)
    total.compute_at(out, co).unroll(ci).unroll(oi)
    total.update(0).reorder(lanes[0], ci, oi).atomic().vectorize(lanes[0]).unroll(ci).unroll(oi)

    # rows of points of all channels stay in cache, and the same of the outputs of a tile
    spectrum.compute_at(out, tile)
    other.compute_at(out, oo)
    for number, (samples, down, _, panels) in enumerate(parts):
        panels.reorder(lane, a, m, tx, b, inner, ty, panel).vectorize(lane)
        panels.bound(lane, 0, vec).bound(inner, 0, (tall, wide)[number])
        panels.bound(a, 0, POINTS).unroll(a).bound_extent(b, ROWS)
        down.compute_at(panels, inner).split(n, n, lane, vec).reorder(lane, b, n, x, ty, c)
        down.vectorize(lane).bound_extent(b, ROWS).unroll(b).bound_extent(ty, 1).bound_extent(c, 1)
        samples.compute_at(down, n).vectorize(n, vec).unroll(b)
        samples.bound_extent(ty, 1).bound_extent(c, 1).bound_extent(x, 1)
    return out, [inp, slopes, before_x, before_y, vectors, across, rows, lots, tasks]
