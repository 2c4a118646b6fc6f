"""Batch normalisation, relu and the greatest sample of each window of 2x2, in one pass each way.

Arrays are ``[n, x, y, c]``, the images innermost. A channel's normalisation is
``scale[c] * (x - centre[c]) + shift[c]``. Of equal samples the first tap wins. Samples of a last
odd column or row lie in no window.

``forward``  the greatest normalised sample of each window, with relu; the sample that it is of; and
             the tap that it stands at
``back``     ``scale[c] * g + by[c] * (x - centre[c]) + offset[c]``, with ``g`` the gradient of the
             window whose greatest sample this is, where relu lets it pass
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.parts import Part
from pipelines.types import HALIDE_TYPES

VARIANTS = tuple(Part("float32", way) for way in ("forward", "back"))
LEVELS = ("avx512", "avx2")


def build(variant: Part, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind, forward = HALIDE_TYPES[variant.dtype], variant.part == "forward"
    n, x, y, c = (hl.Var(v) for v in "nxyc")
    inp, gradient = hl.ImageParam(kind, 4, "input"), hl.ImageParam(kind, 4, "gradient")
    greatest, where = hl.ImageParam(kind, 4, "greatest"), hl.ImageParam(hl.UInt(8), 4, "where")
    scale, shift, centre = (hl.ImageParam(kind, 1, v) for v in ("scale", "shift", "centre"))
    by, offset = hl.ImageParam(kind, 1, "by"), hl.ImageParam(kind, 1, "offset")
    relu, tasks = hl.Param(hl.Int(32), "relu"), hl.Param(hl.Int(32), "tasks")
    out, zero = hl.Func("normpool"), hl.cast(kind, 0)

    # ---- the algorithm -------------------------------------------------------------------
    def normal(sample: hl.Expr) -> hl.Expr:
        return scale[c] * (sample - centre[c]) + shift[c]

    inputs = [inp, scale, shift, centre]
    number = hl.Int(kind.bits())  # as wide as a sample: comparisons are masks of one width
    if forward:
        best, at = inp[n, 2 * x, 2 * y, c], hl.cast(number, 0)
        for tap in (1, 2, 3):
            sample = inp[n, 2 * x + tap % 2, 2 * y + tap // 2, c]
            # a NaN makes the moments NaN, and so every sample of its channel
            better = normal(sample) > normal(best)
            best, at = hl.select(better, sample, best), hl.select(better, hl.cast(number, tap), at)
        most = normal(best)
        rectified = hl.select((relu != 0) & (most < 0), zero, most)
        out[n, x, y, c] = (rectified, best, hl.cast(hl.UInt(8), at))
    else:
        inputs = [inp, gradient, greatest, where, scale, shift, centre, by, offset]
        width, height = gradient.dim(1).extent(), gradient.dim(2).extent()
        window = (n, hl.min(x // 2, width - 1), hl.min(y // 2, height - 1), c)
        stopped = (relu != 0) & (normal(greatest[window]) <= 0)
        hit = hl.cast(number, where[window]) == hl.cast(number, x % 2 + 2 * (y % 2))
        hit = hit & (x // 2 < width) & (y // 2 < height)
        passed = hl.select(hit, hl.select(stopped, zero, gradient[window]), zero)
        rest = by[c] * (inp[n, x, y, c] - centre[c]) + offset[c]
        out[n, x, y, c] = scale[c] * passed + rest

    # ---- the schedule --------------------------------------------------------------------
    results = out.output_buffers() if forward else [out.output_buffer()]
    for buffer in (*inputs, *results):
        buffer.dim(0).set_stride(1)
    for buffer in (*inputs, results[0]):
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    vec = level.vector_bits // kind.bits()
    task, tile, xo, xi, yo, yi = (hl.Var(v) for v in ("task", "tile", "xo", "xi", "yo", "yi"))
    columns, rows = results[0].dim(1).extent(), results[0].dim(2).extent()
    shift_in = hl.TailStrategy.ShiftInwards
    stages = [out] if forward else [out.specialize((columns % 2 == 0) & (rows % 2 == 0)), out]
    for number, stage in enumerate(stages):
        down, count = y, rows
        if len(stages) > 1 and number == 0:  # a window at a time
            stage.split(x, xo, xi, 2, hl.TailStrategy.RoundUp)
            stage.split(y, yo, yi, 2, hl.TailStrategy.RoundUp)
            stage.reorder(xi, yi, n, xo, yo, c).unroll(xi).unroll(yi)
            down, count = yo, rows // 2
        stage.vectorize(n, vec, shift_in)
        stage.fuse(down, c, tile)
        per_task = hl.max((count * results[0].dim(3).extent() + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
    return out, [*inputs, relu, tasks]
