"""The gradient of a layer's weights: sums over images and positions of input times gradient.

``out[k, o, b] = sum_m,r input[base[r] + places[k] + m] * gradient[rows[r] + o * step + m]`` over
the rows ``r`` of block ``b``, for each of a number of groups. The tables are those of
``pipelines.products``. Rows are whole vectors long: who cuts them fills the gradient with zeros.
What blocks there are depends on the shapes alone, so that the sum over them, which the caller
takes in order, has the same bits for any number of threads.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant, in_order

VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
)
LEVELS = ("avx512", "avx2")

# Taps and output channels of a register tile, best first, where there are 32 registers and 16.
TILES = {
    512: ((6, 4), (4, 6), (8, 1), (1, 1)),
    256: ((3, 4), (4, 3), (8, 1), (1, 1)),
}


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.input]
    vec = level.vector_bits // kind.bits()
    k, o, b, g, lane = (hl.Var(n) for n in ("k", "o", "b", "g", "lane"))
    inp, gradient = hl.ImageParam(kind, 1, "input"), hl.ImageParam(kind, 1, "gradient")
    places, base = hl.ImageParam(hl.Int(32), 1, "places"), hl.ImageParam(hl.Int(32), 1, "base")
    gradient_base = hl.ImageParam(hl.Int(32), 1, "gradient_base")
    vectors, rows = hl.Param(hl.Int(32), "vectors"), hl.Param(hl.Int(32), "rows")  # of a block
    group = hl.Param(hl.Int(32), "group")  # how far the groups' inputs lie apart
    step = hl.Param(hl.Int(32), "step")  # from one channel's gradient to the next
    gradient_group = hl.Param(hl.Int(32), "gradient_group")
    tasks = hl.Param(hl.Int(32), "tasks")

    # ---- the algorithm -------------------------------------------------------------------
    acc, total, out = hl.Func("acc"), hl.Func("total"), hl.Func("weights")
    over = hl.RDom([(0, vectors), (0, rows)], "over")
    lanes = hl.RDom([(0, vec)], "lanes")
    row, along = b * rows + over[1], over[0] * vec + lane
    at = base[row] + places[k] + g * group + along
    there = gradient_base[row] + o * step + g * gradient_group + along
    value = inp[hl.unsafe_promise_clamped(at, 0, inp.dim(0).extent() - 1)]
    other = gradient[hl.unsafe_promise_clamped(there, 0, gradient.dim(0).extent() - 1)]
    acc[lane, k, o, b, g] = hl.cast(kind, 0)
    acc[lane, k, o, b, g] = in_order(acc[lane, k, o, b, g] + value * other, level)
    total[k, o, b, g] = hl.cast(kind, 0)
    total[k, o, b, g] += acc[lanes[0], k, o, b, g]
    out[k, o, b, g] = total[k, o, b, g]

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, gradient, places, base, gradient_base, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    ko, ki, oo, oi, task, tile = (hl.Var(n) for n in ("ko", "ki", "oo", "oi", "task", "tile"))
    shift = hl.TailStrategy.ShiftInwards
    acc.compute_at(out, oo).vectorize(lane).unroll(k).unroll(o)
    sums = acc.update(0)
    sums.reorder(lane, k, o, over[0], over[1], b, g)
    total.compute_at(out, oo).unroll(k).unroll(o)
    total.update(0).reorder(lanes[0], k, o).atomic().vectorize(lanes[0]).unroll(k).unroll(o)

    taps, channels = result.dim(0).extent(), result.dim(1).extent()
    for height, width in TILES[level.vector_bits]:
        fits = (taps >= height) & (channels >= width)
        if width == 4 and height != 1:
            fits = fits & ((channels % 4 == 0) | (channels < 6))
        stage = out.specialize(fits)
        stage.split(k, ko, ki, height, shift).split(o, oo, oi, width, shift)
        stage.reorder(ki, oi, oo, ko, b, g).fuse(b, g, tile)
        tiles = result.dim(2).extent() * result.dim(3).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        stage.unroll(ki).unroll(oi)
        sums.specialize(fits).vectorize(lane).unroll(k).unroll(o)
    out.specialize_fail("there are no taps")
    return out, [
        inp, gradient, places, base, gradient_base, vectors, rows, group, step, gradient_group,
        tasks,
    ]  # fmt: skip
