"""Blur and decimate along the rows' axis: every output row is a weighted sum of many input rows.

The weights come as ``windows`` pieces of ``factor`` rows each; pieces are summed one by one, which
keeps the chain of roundings at ``factor + windows`` instead of their product (blocked summation,
Higham, 2002, 4.2). Which row stands where is said by an index map, so that any boundary is laid
around the input without a copy; -1 stands for a row of the fill value.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant, in_order

VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
    Variant("uint8", "float32", "float32"),
    Variant("uint16", "float32", "float32"),
    Variant("int16", "float32", "float32"),
)

VECTORS = 4  # of sums held in registers
COLUMNS = 2048  # bytes of sums along a row per strip: long enough for whole bursts from memory


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    t_in, t_acc = HALIDE_TYPES[variant.input], HALIDE_TYPES[variant.accumulator]
    x, i, z, t = hl.Var("x"), hl.Var("i"), hl.Var("z"), hl.Var("t")
    inp, weights = hl.ImageParam(t_in, 3, "input"), hl.ImageParam(t_acc, 2, "weights")
    rows, fill = hl.ImageParam(hl.Int(32), 1, "rows"), hl.ImageParam(t_acc, 1, "fill")
    tasks = hl.Param(hl.Int(32), "tasks")  # parallel tasks, each a run of strips of columns

    # ---- the algorithm -------------------------------------------------------------------
    piece, acc, out = hl.Func("piece"), hl.Func("acc"), hl.Func("decimate")
    factor, windows = weights.dim(0).extent(), weights.dim(1).extent()
    m = hl.RDom([(0, factor)], "m")
    w = hl.RDom([(0, windows)], "w")
    row = rows[(i + t) * factor + m]
    inside = hl.clamp(row, 0, inp.dim(1).extent() - 1)
    sample = hl.select(row < 0, fill[0], hl.cast(t_acc, inp[x, inside, z]))
    piece[x, i, z, t] = hl.cast(t_acc, 0)
    piece[x, i, z, t] = in_order(piece[x, i, z, t] + weights[m, t] * sample, level)
    acc[x, i, z] = hl.cast(t_acc, 0)
    acc[x, i, z] = in_order(acc[x, i, z] + piece[x, i, z, w], level)
    out[x, i, z] = acc[x, i, z]

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, weights, rows, fill, result):
        buffer.dim(0).set_stride(1)
    for buffer, dims in ((inp, 3), (weights, 2), (rows, 1), (fill, 1), (result, 3)):
        for axis in range(dims):
            buffer.dim(axis).set_min(0)
    vec = level.vector_bits // t_acc.bits()
    xo, xi, xs, strip, task = (hl.Var(n) for n in ("xo", "xi", "xs", "strip", "task"))
    columns = COLUMNS * 8 // t_acc.bits()

    def schedule_out(stage: hl.Func | hl.Stage, tile: int, strips: int) -> None:
        # a strip of columns from top to bottom: what overlapping windows read again is in the cache
        shift = hl.TailStrategy.ShiftInwards
        stage.split(x, xo, xs, strips, shift if strips > 1 else hl.TailStrategy.Auto)
        stage.split(xs, xs, xi, tile)
        stage.reorder(xi, xs, i, xo, z).fuse(xo, z, strip)
        count = (result.width() + strips - 1) // strips * result.dim(2).extent()
        per_task = hl.max((count + tasks - 1) // tasks, 1)
        stage.split(strip, task, strip, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        if tile > 1:
            stage.vectorize(xi, vec).unroll(xi)

    branches = [
        (result.width() >= columns, columns, VECTORS),
        (result.width() >= VECTORS * vec, VECTORS * vec, VECTORS),
        (result.width() >= vec, vec, 1),
    ]
    acc.compute_at(out, xs)
    piece.compute_at(acc, w)
    acc.vectorize(x, vec, hl.TailStrategy.RoundUp)
    piece.vectorize(x, vec, hl.TailStrategy.RoundUp)
    acc.update(0).reorder(x, i, z, w)
    piece.update(0).reorder(x, i, z, t, m)
    for condition, strips, vectors in branches:
        schedule_out(out.specialize(condition), vectors * vec, strips)
        for stage in (acc.update(0), piece.update(0)):
            stage.specialize(condition).vectorize(x, vec).unroll(x)
    schedule_out(out, 1, 1)
    return out, [inp, weights, rows, fill, tasks]
