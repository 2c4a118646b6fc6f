"""Separable correlation: a sum of products of a kernel along x and one along y, fused in tiles.

Each tile is first summed down its columns into a buffer that stays in cache, then along its rows.
Like the direct family it knows three axes, of which z is a batch here, and no borders.

Both passes are limited by loads unless what was loaded serves several sums. Down the columns, a row
serves all rows of the register tile that need it. Along a row, a register holds the sums of ``P``
neighbouring outputs, and tap ``j + P`` of one register's outputs meets what tap ``j`` of the next
register's does: so the taps are taken in steps of ``P``, a few of them at a time.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import CHUNK, Level
from pipelines.types import HALIDE_TYPES, Variant, converted, in_order

VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
    Variant("uint8", "float32", "uint8"),
    Variant("uint8", "float32", "float32"),
    Variant("uint16", "float64", "uint16"),
    Variant("uint16", "float32", "float32"),
    Variant("int16", "float32", "float32"),
)

SPACINGS = (1, 3, 4)  # of the taps along x: colours lie between them
ROW_REGISTERS = 8
RESTS = (0, 1, 2, 3)  # of the columns' taps, which go in chunks of CHUNK: see pipelines.direct


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    t_in, t_acc, t_out = (
        HALIDE_TYPES[t] for t in (variant.input, variant.accumulator, variant.output)
    )
    x, y, z, r = hl.Var("x"), hl.Var("y"), hl.Var("z"), hl.Var("r")
    inp = hl.ImageParam(t_in, 3, "input")
    along_x, along_y = hl.ImageParam(t_acc, 2, "along_x"), hl.ImageParam(t_acc, 2, "along_y")
    sx, sy = hl.Param(hl.Int(32), "stride_x"), hl.Param(hl.Int(32), "stride_y")
    dx, dy = hl.Param(hl.Int(32), "dilation_x"), hl.Param(hl.Int(32), "dilation_y")
    chunks, rest = hl.Param(hl.Int(32), "chunks"), hl.Param(hl.Int(32), "rest")
    tile_width = hl.Param(hl.Int(32), "tile_width")
    tile_height = hl.Param(hl.Int(32), "tile_height")
    strip = hl.Param(hl.Int(32), "strip")  # width in which a tile is summed down its columns
    tasks = hl.Param(hl.Int(32), "tasks")

    # ---- the algorithm -------------------------------------------------------------------
    down, columns = hl.Func("down"), hl.Func("columns")
    across, rows, out = hl.Func("across"), hl.Func("rows"), hl.Func("separable")

    def tap(j: hl.Expr) -> hl.Expr:
        return along_y[j, r] * hl.cast(t_acc, inp[x, y * sy + j * dy, z])

    in_chunks = hl.RDom([(0, CHUNK), (0, chunks)], "in_chunks")
    in_rest = hl.RDom([(0, rest)], "in_rest")
    vec = level.vector_bits // t_acc.bits()
    width, rank = along_x.dim(0).extent(), along_x.dim(1).extent()
    steps, odd = width // vec, width % vec  # the first `odd` residues have a step more
    down[x, y, z, r] = hl.cast(t_acc, 0)
    for j in (in_chunks[1] * CHUNK + in_chunks[0], chunks * CHUNK + in_rest[0]):
        down[x, y, z, r] = in_order(down[x, y, z, r] + tap(j), level)
    columns[x, y, z, r] = down[x, y, z, r]
    across[x, y, z] = hl.cast(t_acc, 0)
    groups: list[tuple[hl.RDom, bool]] = []
    for name, first, count, many in (
        ("more", 0, odd, steps + 1),
        ("less", odd, vec - odd, steps),
    ):
        chunked = hl.RDom([(0, CHUNK), (first, count), (0, many // CHUNK), (0, rank)], name)
        left = hl.RDom([(0, many % CHUNK), (first, count), (0, rank)], f"{name}_rest")
        groups += [(chunked, False), (left, True)]
        for dom, step, term in (
            (chunked, chunked[2] * CHUNK + chunked[0], chunked[3]),
            (left, many // CHUNK * CHUNK + left[0], left[2]),
        ):
            j = step * vec + dom[1]
            product = along_x[j, term] * columns[x * sx + j * dx, y, z, term]
            across[x, y, z] = in_order(across[x, y, z] + product, level)
    rows[x, y, z] = across[x, y, z]
    out[x, y, z] = converted(rows[x, y, z], t_acc, t_out)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, along_x, along_y, result):
        buffer.dim(0).set_stride(1)
    for buffer in (along_x, along_y):
        buffer.dim(0).set_min(0).set_bounds(0, buffer.dim(0).extent())
        buffer.dim(1).set_min(0)
    for i in range(3):
        result.dim(i).set_min(0)
    shift = hl.TailStrategy.ShiftInwards
    xt, yt, xo, xi, yo, yi = (hl.Var(n) for n in ("xt", "yt", "xo", "xi", "yo", "yi"))
    task, tile = hl.Var("task"), hl.Var("tile")

    row = ROW_REGISTERS * vec  # outputs along a row whose sums are in registers
    main = out.specialize((tile_width >= row) & (tile_height >= 4) & (strip >= 2 * vec))
    main.split(x, xt, x, tile_width, shift).split(y, yt, y, tile_height, shift)
    main.reorder(x, y, xt, yt, z).fuse(yt, z, yt).fuse(xt, yt, tile)
    per_row = (result.width() + tile_width - 1) // tile_width
    per_column = (result.height() + tile_height - 1) // tile_height
    tiles = per_row * per_column * result.dim(2).extent()
    per_task = hl.max((tiles + tasks - 1) // tasks, 1)
    main.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
    main.vectorize(x, vec, shift)
    out.specialize_fail("the tile is smaller than the registers'")

    # What a loop over register tiles depends on is decided outside of it: hence the conditions on
    # the Func around the sums, repeated for each stage of the sums.
    # memory "on the stack" of changing size is kept from tile to tile; the heap's is not
    columns.compute_at(out, tile).store_in(hl.MemoryType.Stack)
    down.compute_at(columns, xo)
    stages = (down.update(0), down.update(1))
    stages[0].reorder(x, y, in_chunks[0], in_chunks[1])
    stages[1].reorder(x, y, in_rest[0])
    down.vectorize(x, vec).unroll(x).unroll(y)

    def schedule_columns(stage: hl.Stage | hl.Func) -> None:
        stage.split(x, xt, x, strip, shift).split(x, xo, xi, 2 * vec, shift)
        stage.split(y, yo, yi, 4, shift).reorder(xi, yi, xo, yo, xt)
        stage.vectorize(xi, vec).unroll(xi).unroll(yi)

    for fixed in RESTS:
        condition = (sy == 1) & (dy == 1) & (rest == fixed)
        schedule_columns(columns.specialize(condition))
        for stage, inner in zip(stages, (in_chunks[0], in_rest[0]), strict=True):
            stage.specialize(condition).vectorize(x, vec).unroll(x).unroll(y).unroll(inner)
    schedule_columns(columns)
    for stage in stages:
        stage.vectorize(x, vec).unroll(x).unroll(y)

    rows.compute_at(out, y).store_in(hl.MemoryType.Stack)
    across.compute_at(rows, xo)
    across.vectorize(x, vec).unroll(x)
    for number, (dom, is_rest) in enumerate(groups):
        across.update(number).reorder(x, dom[0], *(dom[i] for i in range(1, 3 if is_rest else 4)))
    for spacing in SPACINGS:
        for fixed in RESTS:
            condition = (sx == 1) & (dx == spacing) & (steps % CHUNK == fixed)
            rows.specialize(condition).split(x, xo, xi, row, shift).vectorize(xi, vec).unroll(xi)
            for number, (dom, _) in enumerate(groups):
                special = across.update(number).specialize(condition)
                special.vectorize(x, vec).unroll(x).unroll(dom[0])
    rows.split(x, xo, xi, row, shift).vectorize(xi, vec).unroll(xi)
    for number in range(len(groups)):
        across.update(number).vectorize(x, vec).unroll(x)
    return out, [
        inp, along_x, along_y, sx, sy, dx, dy, chunks, rest, tile_width, tile_height, strip, tasks,
    ]  # fmt: skip
