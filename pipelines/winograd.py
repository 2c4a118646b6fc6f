"""Layers of 3x3 taps in tiles of 4x4 outputs, with a quarter of the multiplications.

Cook and Toom's convolution of short sequences at the points 0, 1, -1, 2, -2 and infinity, along
both axes (Winograd, 1980; Lavin and Gray, 2016). Six samples along an axis are transformed
(``INPUT``), multiplied by as many transformed weights, summed over channels, and transformed to
four outputs (``OUTPUT``). A tile of so many images goes through all of it in cache. Samples
outside of the input are 0. The weights come transformed (``faltung.layers.winograd``).
"""

from __future__ import annotations

import functools
import operator

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant

VARIANTS = (Variant("float32", "float32", "float32"),)
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
SIDE = 4  # outputs of a tile along an axis
CHANNELS = 6  # of a register tile
VECTORS = {512: 4, 256: 2}  # of a register tile


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.input]
    vec, many = level.vector_bits // kind.bits(), VECTORS[level.vector_bits]
    n, x, y, oi, ob, c = (hl.Var(v) for v in ("n", "x", "y", "oi", "ob", "c"))
    a, b, tx, ty = (hl.Var(v) for v in ("a", "b", "tx", "ty"))
    inp, ker = hl.ImageParam(kind, 4, "input"), hl.ImageParam(kind, 4, "weights")
    bias = hl.ImageParam(kind, 2, "bias")
    before_x, before_y = hl.Param(hl.Int(32), "before_x"), hl.Param(hl.Int(32), "before_y")
    relu, tasks = hl.Param(hl.Int(32), "relu"), hl.Param(hl.Int(32), "tasks")
    zero = hl.cast(kind, 0)

    # ---- the algorithm -------------------------------------------------------------------
    def combined(weights: tuple[int, ...], values: list[hl.Expr]) -> hl.Expr:
        pairs = zip(weights, values, strict=True)
        terms = [v if w == 1 else hl.cast(kind, w) * v for w, v in pairs if w]
        return functools.reduce(operator.add, terms)

    samples, down, spectrum = hl.Func("samples"), hl.Func("down"), hl.Func("spectrum")
    acc, products = hl.Func("acc"), hl.Func("products")
    up, back, out = hl.Func("up"), hl.Func("back"), hl.Func("winograd")
    width, height = inp.dim(1).extent(), inp.dim(2).extent()
    at_x, at_y = tx * SIDE + a - before_x, ty * SIDE + b - before_y
    inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
    value = inp[n, hl.clamp(at_x, 0, width - 1), hl.clamp(at_y, 0, height - 1), c]
    samples[n, a, b, c, tx, ty] = hl.select(inside, value, zero)
    column = [samples[n, a, j, c, tx, ty] for j in range(6)]
    down[n, a, b, c, tx, ty] = hl.mux(b, [combined(w, column) for w in INPUT])
    row = [down[n, i, b, c, tx, ty] for i in range(6)]
    spectrum[n, a, b, c, tx, ty] = hl.mux(a, [combined(w, row) for w in INPUT])
    k = hl.RDom([(0, ker.dim(1).extent())], "k")
    acc[n, oi, a, b, ob, tx, ty] = zero
    acc[n, oi, a, b, ob, tx, ty] += ker[oi, k, ob, a + 6 * b] * spectrum[n, a, b, k, tx, ty]
    products[n, oi, a, b, ob, tx, ty] = acc[n, oi, a, b, ob, tx, ty]
    column = [products[n, oi, a, j, ob, tx, ty] for j in range(6)]
    up[n, oi, a, b, ob, tx, ty] = hl.mux(b, [combined(w, column) for w in OUTPUT])
    row = [up[n, oi, i, b, ob, tx, ty] for i in range(6)]
    back[n, oi, a, b, ob, tx, ty] = hl.mux(a, [combined(w, row) for w in OUTPUT])
    total = back[n, oi, x % SIDE, y % SIDE, ob, x // SIDE, y // SIDE] + bias[oi, ob]
    out[n, x, y, oi, ob] = hl.select((relu != 0) & (total < 0), zero, total)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, ker, bias, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    no, nv, ni, xo, xi, yo, yi, task = (
        hl.Var(v) for v in ("no", "nv", "ni", "xo", "xi", "yo", "yi", "task")
    )
    shift, guard = hl.TailStrategy.ShiftInwards, hl.TailStrategy.GuardWithIf
    out.bound(oi, 0, CHANNELS)
    out.split(n, no, ni, many * vec, shift).split(ni, nv, ni, vec)
    out.split(x, xo, xi, SIDE, guard).split(y, yo, yi, SIDE, guard)
    out.reorder(ni, xi, yi, nv, oi, ob, no, xo, yo)
    per_task = hl.max(((result.dim(2).extent() + SIDE - 1) // SIDE + tasks - 1) // tasks, 1)
    out.split(yo, task, yo, per_task, guard).parallel(task)
    out.vectorize(ni).unroll(xi).unroll(yi)

    spectrum.compute_at(out, no).split(n, nv, ni, vec).reorder(ni, a, b, nv, c)
    spectrum.vectorize(ni).unroll(a).unroll(b)
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
