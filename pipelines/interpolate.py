"""Interpolate along the rows' axis: every input row spreads into a run of output rows.

Output row ``r`` of run ``q`` is the sum of the input rows ``q + t``, weighted by ``weights[t, r]``.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant, converted, in_order

VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
    Variant("float32", "float32", "uint8"),
)

WINDOWS = (4, 5, 6, 8)  # input rows per output row for which the sum is unrolled
VECTORS = 4  # of sums held in registers
COLUMNS = 4096  # bytes along a row that are finished before the next run of rows


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    t_acc, t_out = HALIDE_TYPES[variant.accumulator], HALIDE_TYPES[variant.output]
    x, r, q = hl.Var("x"), hl.Var("r"), hl.Var("q")
    inp, weights = hl.ImageParam(t_acc, 3, "input"), hl.ImageParam(t_acc, 2, "weights")
    tasks = hl.Param(hl.Int(32), "tasks")  # parallel tasks, each a number of runs

    # ---- the algorithm -------------------------------------------------------------------
    acc, out = hl.Func("acc"), hl.Func("interpolate")
    w = hl.RDom([(0, weights.dim(0).extent())], "w")
    acc[x, r, q] = hl.cast(t_acc, 0)
    acc[x, r, q] = in_order(acc[x, r, q] + weights[w, r] * inp[x, q + w, 0], level)
    out[x, r, q] = converted(acc[x, r, q], t_acc, t_out)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer, dims in ((inp, 3), (weights, 2), (result, 3)):
        buffer.dim(0).set_stride(1)
        for axis in range(dims):
            buffer.dim(axis).set_min(0)
    vec = level.vector_bits // t_acc.bits()
    xo, xi, xs, run, task = (hl.Var(n) for n in ("xo", "xi", "xs", "run", "task"))
    columns = COLUMNS * 8 // t_acc.bits()
    tile = VECTORS * vec
    count = weights.dim(0).extent()
    branches = [
        *(((result.width() >= columns) & (count == n), columns, VECTORS, n) for n in WINDOWS),
        *(((result.width() >= tile) & (count == n), tile, VECTORS, n) for n in WINDOWS),
        (result.width() >= tile, tile, VECTORS, None),
        (result.width() >= vec, vec, 1, None),
    ]

    def schedule_out(stage: hl.Func | hl.Stage, tile: int, strips: int) -> None:
        shift = hl.TailStrategy.ShiftInwards
        stage.split(x, xo, xs, strips, shift if strips > 1 else hl.TailStrategy.Auto)
        stage.split(xs, xs, xi, tile)
        stage.reorder(xi, r, xs, q, xo).fuse(q, xo, run)
        strip_count = (result.width() + strips - 1) // strips * result.dim(2).extent()
        per_task = hl.max((strip_count + tasks - 1) // tasks, 1)
        stage.split(run, task, run, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        if tile > 1:
            stage.vectorize(xi, vec).unroll(xi)

    acc.compute_at(out, r)
    acc.vectorize(x, vec, hl.TailStrategy.RoundUp)
    acc.update(0).reorder(x, r, q, w)
    for condition, strips, vectors, unrolled in branches:
        schedule_out(out.specialize(condition), vectors * vec, strips)
        special = acc.update(0).specialize(condition)
        special.vectorize(x, vec).unroll(x)
        if unrolled is not None:
            special.unroll(w)
    schedule_out(out, 1, 1)
    return out, [inp, weights, tasks]
