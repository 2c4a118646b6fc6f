"""Correlation with a list of taps: the work is that of the taps in the list, however far apart.

Nothing is shared between the outputs of a register tile but the weights: each multiply-add loads
its samples. The input is flat memory, so that a tap is a weight and one distance, counted from an
output's own place, whatever the axes; the caller multiplies indices, dilations and strides.
Borders do not exist here: the caller hands over an input that covers every tap.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant, converted, in_order

VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
    Variant("uint8", "float32", "uint8"),
    Variant("uint8", "float32", "float32"),
    Variant("uint8", "int32", "int32"),
    Variant("int16", "int32", "int32"),
)

TILES = ((8, 1), (2, 4), (1, 4), (1, 1))  # vectors and rows of register tiles, best first


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    t_in, t_acc, t_out = (
        HALIDE_TYPES[t] for t in (variant.input, variant.accumulator, variant.output)
    )
    x, y, z = hl.Var("x"), hl.Var("y"), hl.Var("z")
    inp = hl.ImageParam(t_in, 3, "input")  # all of it along the first axis
    weights, offsets = hl.ImageParam(t_acc, 1, "weights"), hl.ImageParam(hl.Int(32), 1, "offsets")
    step_y, step_z = hl.Param(hl.Int(32), "step_y"), hl.Param(hl.Int(32), "step_z")
    least, greatest = hl.Param(hl.Int(32), "least"), hl.Param(hl.Int(32), "greatest")
    tasks = hl.Param(hl.Int(32), "tasks")  # parallel tasks, each a run of rows of tiles

    # ---- the algorithm -------------------------------------------------------------------
    acc, out = hl.Func("acc"), hl.Func("sparse")
    taps = hl.RDom([(0, weights.dim(0).extent())], "taps")
    offset = hl.unsafe_promise_clamped(offsets[taps[0]], least, greatest)
    value = inp[offset + x + y * step_y + z * step_z, 0, 0]
    acc[x, y, z] = hl.cast(t_acc, 0)
    product = weights[taps[0]] * hl.cast(t_acc, value)
    acc[x, y, z] = in_order(acc[x, y, z] + product, level)
    out[x, y, z] = converted(acc[x, y, z], t_acc, t_out)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, weights, offsets, result):
        buffer.dim(0).set_stride(1)
    for buffer in (inp, weights, offsets):
        buffer.dim(0).set_min(0)
    for i in range(3):
        result.dim(i).set_min(0)
    vec = level.vector_bits // t_acc.bits()
    xo, xi, yo, yi, task, tile = (hl.Var(n) for n in ("xo", "xi", "yo", "yi", "task", "tile"))
    shift = hl.TailStrategy.ShiftInwards

    def schedule_out(stage: hl.Stage | hl.Func, columns: int, rows: int) -> None:
        stage.split(x, xo, xi, columns, shift).split(y, yo, yi, rows, shift)
        stage.reorder(xi, yi, xo, yo, z).fuse(yo, z, tile)
        tiles = (result.height() + rows - 1) // rows * result.dim(2).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        if columns > 1:
            stage.vectorize(xi, vec).unroll(xi).unroll(yi)

    sums = acc.update(0)
    acc.compute_at(out, xo)
    acc.vectorize(x, vec, hl.TailStrategy.RoundUp)
    sums.reorder(x, y, taps[0])
    for vectors, rows in TILES:
        condition = (result.width() >= vectors * vec) & (result.height() >= rows)
        schedule_out(out.specialize(condition), vectors * vec, rows)
        sums.specialize(condition).vectorize(x, vec).unroll(x).unroll(y)
    schedule_out(out, 1, 1)
    return out, [inp, weights, offsets, step_y, step_z, least, greatest, tasks]
