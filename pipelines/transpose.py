"""Exchange the two inner axes, in tiles that stay in the first cache."""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant

VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
)

TILE = 16


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.input]
    x, y, z = hl.Var("x"), hl.Var("y"), hl.Var("z")
    xi, yi, tile, task = (hl.Var(n) for n in ("xi", "yi", "tile", "task"))
    inp, out = hl.ImageParam(kind, 3, "input"), hl.Func("transpose")
    tasks = hl.Param(hl.Int(32), "tasks")  # parallel tasks, each a number of rows of tiles
    out[x, y, z] = inp[y, x, z]

    result = out.output_buffer()
    for buffer in (inp, result):
        buffer.dim(0).set_stride(1)
        for axis in range(3):
            buffer.dim(axis).set_min(0)

    def schedule(stage: hl.Func | hl.Stage, side: int) -> None:
        shift = hl.TailStrategy.ShiftInwards
        stage.tile(x, y, xi, yi, side, side, shift if side > 1 else hl.TailStrategy.Auto)
        stage.reorder(xi, yi, y, x, z).fuse(x, z, tile)
        rows = (result.width() + side - 1) // side * result.dim(2).extent()
        per_task = hl.max((rows + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        if side > 1:
            stage.vectorize(xi).unroll(yi)

    schedule(out.specialize((result.width() >= TILE) & (result.height() >= TILE)), TILE)
    schedule(out, 1)
    return out, [inp, tasks]
