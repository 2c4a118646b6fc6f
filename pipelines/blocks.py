"""Few images cut into blocks, each of which is an image of its own, and blocks put together.

Images lie innermost, and so do the blocks, beside them: ``[image, block, x, y, channel]``. Block
``b`` stands at ``(b % across, b // across)`` and begins ``step`` samples behind its neighbour.

``cut``     the blocks, with what they share; samples outside of the image are 0
``joined``  the image
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.parts import Part
from pipelines.types import HALIDE_TYPES

VARIANTS = tuple(Part("float32", way) for way in ("cut", "joined"))
LEVELS = ("avx512", "avx2")


def build(variant: Part, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.dtype]
    cuts = variant.part == "cut"
    n, b, x, y, c = (hl.Var(v) for v in "nbxyc")
    inp, out = hl.ImageParam(kind, 4 if cuts else 5, "input"), hl.Func("blocks")
    across = hl.Param(hl.Int(32), "across")
    step_x, step_y = hl.Param(hl.Int(32), "step_x"), hl.Param(hl.Int(32), "step_y")
    before_x, before_y = hl.Param(hl.Int(32), "before_x"), hl.Param(hl.Int(32), "before_y")
    tasks = hl.Param(hl.Int(32), "tasks")
    used: list[hl.Argument] = [inp, across, step_x, step_y]

    # ---- the algorithm -------------------------------------------------------------------
    if cuts:
        used += [before_x, before_y]
        width, height = inp.dim(1).extent(), inp.dim(2).extent()
        at_x = b % across * step_x + x - before_x
        at_y = b / across * step_y + y - before_y
        inside = hl.likely(at_x >= 0) & hl.likely(at_x < width) & (at_y >= 0) & (at_y < height)
        near_x = hl.clamp(hl.likely(at_x), 0, width - 1)
        value = inp[n, near_x, hl.clamp(at_y, 0, height - 1), c]
        out[n, b, x, y, c] = hl.select(inside, value, hl.cast(kind, 0))
    else:
        block = x / step_x + across * (y / step_y)
        block = hl.unsafe_promise_clamped(block, 0, inp.dim(1).extent() - 1)
        out[n, x, y, c] = inp[n, block, x % step_x, y % step_y, c]

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    task, tile, no, ni = (hl.Var(v) for v in ("task", "tile", "no", "ni"))
    rows = (
        result.dim(result.dimensions() - 2).extent() * result.dim(result.dimensions() - 1).extent()
    )
    per_task = hl.max((rows + tasks - 1) // tasks, 1)
    for vec in (*(level.vector_bits // kind.bits() // part for part in (1, 2, 4)), 0):
        stage = out.specialize(result.dim(0).extent() >= vec) if vec else out
        stage.fuse(y, c, tile)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        if vec:
            stage.split(n, no, ni, vec, hl.TailStrategy.ShiftInwards).vectorize(ni)
            if cuts:  # a block's row at a time: where it lies is computed once
                stage.reorder(ni, x, no, b)
    return out, [*used, tasks]
