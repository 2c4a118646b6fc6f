"""Layers with a kernel of its own for each channel, and many taps.

``out[m, y, c] = bias[c] + sum_t,j k[j, t, c] * input[m + j * step, y + t, c]``: along ``m`` lie the
images, innermost, and the positions of a row. Kernels have a multiple of ``CHUNK`` rows, so that a
loaded vector serves all the rows of a register tile that need it. Borders do not exist here.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import CHUNK, Level
from pipelines.types import HALIDE_TYPES, Variant

VARIANTS = (Variant("float32", "float32", "float32"),)
LEVELS = ("avx512", "avx2")
ROWS = 4  # of a register tile
VECTORS = {512: 4, 256: 2}  # of a register tile, where a row has as many


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.input]
    vec = level.vector_bits // kind.bits()
    m, y, c = (hl.Var(v) for v in "myc")
    inp, ker = hl.ImageParam(kind, 3, "input"), hl.ImageParam(kind, 3, "weights")
    bias = hl.ImageParam(kind, 1, "bias")
    step, relu = hl.Param(hl.Int(32), "step"), hl.Param(hl.Int(32), "relu")
    tasks = hl.Param(hl.Int(32), "tasks")

    # ---- the algorithm -------------------------------------------------------------------
    acc, out = hl.Func("acc"), hl.Func("depthwise")
    columns, chunks = ker.dim(0).extent(), ker.dim(1).extent() // CHUNK
    k = hl.RDom([(0, CHUNK), (0, columns), (0, chunks)], "k")
    row = k[0] + k[2] * CHUNK
    acc[m, y, c] = bias[c]
    acc[m, y, c] += ker[k[1], row, c] * inp[m + k[1] * step, y + row, c]
    total = acc[m, y, c]
    out[m, y, c] = hl.select((relu != 0) & (total < 0), hl.cast(kind, 0), total)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, ker, bias, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    mo, mi, yo, yi, task, tile = (hl.Var(v) for v in ("mo", "mi", "yo", "yi", "task", "tile"))
    shift = hl.TailStrategy.ShiftInwards
    acc.compute_at(out, mo).vectorize(m, vec).unroll(m).unroll(y)
    update = acc.update(0)
    update.reorder(m, y, k[0], k[1], k[2], c)
    for vectors in (VECTORS[level.vector_bits], 1):
        fits = (result.dim(0).extent() >= vectors * vec) & (result.dim(1).extent() >= ROWS)
        stage = out.specialize(fits)
        stage.split(m, mo, mi, vectors * vec, shift).split(y, yo, yi, ROWS, shift)
        stage.reorder(mi, yi, mo, yo, c).vectorize(mi, vec).unroll(mi).unroll(yi)
        stage.fuse(yo, c, tile)
        tiles = (result.dim(1).extent() + ROWS - 1) // ROWS * result.dim(2).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        update.specialize(fits).vectorize(m, vec).unroll(m).unroll(y).unroll(k[0])
        acc.specialize(fits).vectorize(m, vec).unroll(m).unroll(y)
    out.specialize_fail("a row is shorter than a vector, or there are fewer rows than a tile has")
    return out, [inp, ker, bias, step, relu, tasks]
