"""Direct correlation: every output is the sum of its taps, with the accumulators in registers.

The algorithm knows three axes (x innermost). One- and two-dimensional problems, batches and
interleaved colours are all brought to this form by ``faltung.layout``: an axis that is not
convolved over has a kernel of extent 1 there, and interleaved colours are a dilation along x.
Borders do not exist here: the caller hands over an input that covers every tap.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import CHUNK, Level
from pipelines.types import HALIDE_TYPES, Variant, converted, in_order

# The kernel always has the accumulator's type. Integer sums are exact: the caller proves from the
# kernel that they fit, or wants them modulo 2**64. Floating sums of integers serve kernels with
# fractional taps.
VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
    Variant("uint8", "int16", "uint8"),
    Variant("uint8", "int32", "uint8"),
    Variant("uint8", "int32", "int32"),
    Variant("uint8", "float32", "uint8"),
    Variant("uint8", "float32", "float32"),
    Variant("uint16", "int32", "uint16"),
    Variant("uint16", "int32", "int32"),
    Variant("uint16", "float64", "uint16"),
    Variant("uint16", "float32", "float32"),
    Variant("int16", "int32", "int32"),
    Variant("int16", "float32", "float32"),
    Variant("int64", "int64", "int64"),
)

# The rows of taps that remain are unrolled, too. 5 and 7 spare odd heights a rest of one row, which
# shares no loads. faltung.native passes the counts, with the greatest rest that there is.
RESTS = (0, 1, 2, 3, 5, 7)


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    t_in, t_acc, t_out = (
        HALIDE_TYPES[t] for t in (variant.input, variant.accumulator, variant.output)
    )
    x, y, z = hl.Var("x"), hl.Var("y"), hl.Var("z")
    inp, ker = hl.ImageParam(t_in, 3, "input"), hl.ImageParam(t_acc, 3, "kernel")
    sx, sy, sz = (hl.Param(hl.Int(32), f"stride_{a}") for a in "xyz")
    dx, dy, dz = (hl.Param(hl.Int(32), f"dilation_{a}") for a in "xyz")
    chunks, rest = hl.Param(hl.Int(32), "chunks"), hl.Param(hl.Int(32), "rest")
    ragged = hl.Param(hl.Int(32), "ragged")  # taps of one more row, which is not complete
    tasks = hl.Param(hl.Int(32), "tasks")  # parallel tasks, each a run of rows of tiles

    # ---- the algorithm -------------------------------------------------------------------
    acc, out = hl.Func("acc"), hl.Func("direct")

    def tap(jx: hl.Expr, jy: hl.Expr, jz: hl.Expr) -> hl.Expr:
        value = inp[x * sx + jx * dx, y * sy + jy * dy, z * sz + jz * dz]
        return ker[jx, jy, jz] * hl.cast(t_acc, value)

    width, depth = ker.dim(0).extent(), ker.dim(2).extent()
    in_chunks = hl.RDom([(0, CHUNK), (0, width), (0, chunks), (0, depth)], "in_chunks")
    in_rest = hl.RDom([(0, rest), (0, width), (0, depth)], "in_rest")
    acc[x, y, z] = hl.cast(t_acc, 0)
    chunked = tap(in_chunks[1], in_chunks[2] * CHUNK + in_chunks[0], in_chunks[3])
    acc[x, y, z] = in_order(acc[x, y, z] + chunked, level)
    rest_of = tap(in_rest[1], chunks * CHUNK + in_rest[0], in_rest[2])
    acc[x, y, z] = in_order(acc[x, y, z] + rest_of, level)
    in_ragged = hl.RDom([(0, ragged), (0, depth)], "in_ragged")
    last = hl.min(chunks * CHUNK + rest, ker.dim(1).extent() - 1)  # where there is none, inside
    left = tap(in_ragged[0], last, in_ragged[1])
    acc[x, y, z] = in_order(acc[x, y, z] + left, level)
    out[x, y, z] = converted(acc[x, y, z], t_acc, t_out)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, ker, result):
        buffer.dim(0).set_stride(1)
    for i in range(3):
        ker.dim(i).set_min(0)
        result.dim(i).set_min(0)
    vec = level.vector_bits // t_acc.bits()
    unit = (sx == 1) & (sy == 1) & (sz == 1)
    wide, tall = result.width() >= 2 * vec, result.height() >= 4
    # condition, vectors and rows of the register tile, and the rest where it is unrolled
    branches: list[tuple[hl.Expr, int, int, int | None]] = [
        *((unit & wide & tall & (dy == 1) & (rest == r), 2, 4, r) for r in RESTS),
        (unit & wide & tall, 2, 4, None),
        (unit & (result.width() >= 8 * vec), 8, 1, None),
        (unit & (result.width() >= vec), 1, 1, None),
        (result.width() >= vec, 1, 1, None),
    ]
    xo, xi, yo, yi, task, tile = (hl.Var(n) for n in ("xo", "xi", "yo", "yi", "task", "tile"))

    def schedule_out(stage: hl.Stage | hl.Func, columns: int, rows: int) -> None:
        shift = hl.TailStrategy.ShiftInwards
        stage.split(x, xo, xi, columns, shift).split(y, yo, yi, rows, shift)
        stage.reorder(xi, yi, xo, yo, z).fuse(yo, z, tile)
        tiles = (result.height() + rows - 1) // rows * result.dim(2).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        if columns > 1:
            stage.vectorize(xi, vec).unroll(xi).unroll(yi)

    stages = [acc.update(0), acc.update(1), acc.update(2)]
    acc.compute_at(out, xo)
    acc.vectorize(x, vec, hl.TailStrategy.RoundUp)
    stages[0].reorder(x, y, in_chunks[0], in_chunks[1], in_chunks[2], in_chunks[3])
    stages[1].reorder(x, y, in_rest[0], in_rest[1], in_rest[2])
    stages[2].reorder(x, y, in_ragged[0], in_ragged[1])
    for condition, vectors, rows, fixed_rest in branches:
        schedule_out(out.specialize(condition), vectors * vec, rows)
        for stage, inner in zip(stages, (in_chunks[0], in_rest[0], None), strict=True):
            special = stage.specialize(condition)
            special.vectorize(x, vec).unroll(x).unroll(y)
            if fixed_rest is not None and inner is not None:
                special.unroll(inner)
    schedule_out(out, 1, 1)
    return out, [inp, ker, sx, sy, sz, dx, dy, dz, chunks, rest, ragged, tasks]
