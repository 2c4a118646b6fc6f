"""Box correlation: window sums that cost about the same for any size, without a subtraction.

A running sum that adds the sample which enters and subtracts the one which leaves would carry one
NaN, one infinity or the rounding of one great number along the whole row. Here every output is a
sum of just the samples of its window.

Along y the outputs are cut into blocks of at most as many rows as the kernel is high. Every window
of a block then reaches to or over one place, ``height`` rows below the block's first: it is the
sum of the last rows before that place and of the first ones after it. Both are running sums in one
direction (van Herk, 1992; Gil and Werman, 1993). Along x the width is written in mixed radix,
``c * (a * b) + c1 * a + c0``: sums of ``a`` samples, of ``b`` of those, of ``c`` of those, and what
is left, all of one row, which stays in the nearest caches.

The output has four axes (x innermost): column, row of a block, block, plane. Borders do not exist.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant, converted

# Integer sums are exact: the caller proves from the kernel's size that they fit.
VARIANTS = (
    Variant("float32", "float32", "float32"),
    Variant("float64", "float64", "float64"),
    Variant("uint8", "uint16", "uint8"),
    Variant("uint8", "uint32", "uint8"),
    Variant("uint8", "uint32", "int32"),
    Variant("uint8", "uint32", "float32"),
    Variant("uint8", "int32", "uint8"),
    Variant("uint8", "int32", "int32"),
    Variant("uint8", "int32", "float32"),
    Variant("uint16", "int32", "uint16"),
    Variant("uint16", "int32", "int32"),
    Variant("uint16", "int32", "float32"),
    Variant("int16", "int32", "int32"),
    Variant("int16", "int32", "float32"),
    # the second pass over a volume
    Variant("int32", "int32", "uint8"),
    Variant("int32", "int32", "uint16"),
    Variant("int32", "int32", "int32"),
    Variant("int32", "int32", "float32"),
)

UNROLL = 8  # vectors summed side by side: the accumulators stay in registers


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    t_in, t_acc, t_out = (
        HALIDE_TYPES[t] for t in (variant.input, variant.accumulator, variant.output)
    )
    # sums along y in half the bits where they are told to fit
    t_tall = hl.UInt(16) if variant.accumulator == "uint32" else t_acc
    floating = t_acc.is_float()
    t_tap = t_acc if floating else t_out if t_out == hl.Int(32) else hl.Float(32)
    x, i, block, z = hl.Var("x"), hl.Var("i"), hl.Var("block"), hl.Var("z")
    inp, tap = hl.ImageParam(t_in, 3, "input"), hl.ImageParam(t_tap, 1, "tap")
    names = ("height", "rows", "dilation", "a", "b", "c", "c1", "c0", "steps", "columns", "tasks")
    params = {name: hl.Param(hl.Int(32), name) for name in names}
    height, rows, dx, a, b, c, c1, c0, steps, columns, tasks = params.values()
    out = hl.Func("sums")

    # ---- the algorithm -------------------------------------------------------------------
    def sample(row: hl.Expr) -> hl.Expr:
        value = hl.cast(t_tall, inp[x, block * rows + row, z])
        # floats are scaled first, so that nothing overflows that would not in the products
        return tap[0] * value if floating else value

    # Rows 0 to rows - 1 hold suffix sums, then window sums; the row after them what still runs.
    tall = hl.Func("tall")
    up = hl.RDom([(0, height)], "up")
    down = hl.RDom([(0, 2), (1, rows - 1)], "down")
    zero = hl.cast(t_tall, 0)
    tall[x, i, block, z] = hl.undef(t_tall)
    tall[x, rows, block, z] = zero
    last = height - 1 - up.x
    tall[x, hl.min(last, rows), block, z] = tall[x, hl.min(last + 1, rows), block, z] + sample(last)
    tall[x, rows, block, z] = zero
    first = down.x == 0
    place = hl.select(first, rows, down.y)
    more = hl.select(first, sample(height + down.y - 1), tall[x, rows, block, z])
    tall[x, place, block, z] = tall[x, place, block, z] + more

    reductions: dict[str, list[hl.RDom]] = {}

    def row_sum(name: str, terms: list[tuple[hl.Func, hl.Expr, hl.Expr, hl.Expr]]) -> hl.Func:
        """Sum ``count`` entries of each Func, ``step`` apart, from ``start`` on.

        The first Func has one at least.
        """
        total = hl.Func(name)
        total[x, i, block, z] = hl.cast(t_acc, terms[0][0][x, i, block, z])
        for func, count, start, step in terms:
            done = 0 if total.name() in reductions else 1
            r = hl.RDom([(done, count - done)], f"{name}_{func.name()}")
            reductions.setdefault(total.name(), []).append(r)
            # never cuts; it tells the bounds of a count of 0 that nothing beyond is read
            offset = hl.min(start + r.x * step, width - step) * dx
            total[x, i, block, z] += hl.cast(t_acc, func[x + offset, i, block, z])
        return total

    def stored(name: str, total: hl.Func) -> hl.Func:
        func = hl.Func(name)
        func[x, i, block, z] = total[x, i, block, z]
        return func

    none, one = hl.cast(hl.Int(32), 0), hl.cast(hl.Int(32), 1)
    width, tail = c * a * b + c1 * a + c0, c * a * b + c1 * a
    sum_a = row_sum("sum_a", [(tall, a, none, one)])
    row_a = stored("row_a", sum_a)
    sum_b = row_sum("sum_b", [(row_a, b, none, a)])
    row_b = stored("row_b", sum_b)
    rest = (tall, c0, tail, one)
    sum_2 = row_sum("sum_2", [(row_a, c, none, a), rest])
    sum_3 = row_sum("sum_3", [(row_b, c, none, a * b), (row_a, c1, c * a * b, a), rest])
    found = [hl.cast(t_acc, func[x, i, block, z]) for func in (tall, sum_2, sum_3)]
    value = hl.select(steps == 1, found[0], hl.select(steps == 2, found[1], found[2]))
    if not floating:
        value = tap[0] * hl.cast(t_tap, value)
    out[x, i, block, z] = converted(value, t_tap, t_out)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, tap, result):
        buffer.dim(0).set_stride(1)
    tap.dim(0).set_min(0)
    for n in range(4):
        result.dim(n).set_min(0)
    vec = level.vector_bits // t_acc.bits()
    tall_vec = level.vector_bits // t_tall.bits()
    xo, xi, xv, xu, task, tile = (hl.Var(n) for n in ("xo", "xi", "xv", "xu", "task", "tile"))
    shift, guard = hl.TailStrategy.ShiftInwards, hl.TailStrategy.GuardWithIf
    long = columns >= UNROLL * vec
    # condition and lanes of what is summed side by side
    branches = [
        (long & (steps == 1), UNROLL * vec),
        (long & (steps == 2), UNROLL * vec),
        (long & (steps == 3), UNROLL * vec),
        ((columns >= 2 * vec) & (steps == 3), 2 * vec),
        ((columns >= vec) & (steps == 3), vec),
    ]

    def schedule_out(stage: hl.Stage | hl.Func, lanes: int) -> None:
        stage.split(x, xo, xi, columns, shift).split(xi, xi, xv, lanes, shift)
        stage.reorder(xv, xi, i, block, xo, z).fuse(block, xo, tile).fuse(tile, z, tile)
        tiles = (result.width() + columns - 1) // columns
        tiles = tiles * result.dim(2).extent() * result.dim(3).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, guard).parallel(task)
        if lanes > 1:
            stage.vectorize(xv, vec).unroll(xv)

    def schedule_sum(total: hl.Func, consumer: hl.Func, at: hl.Var) -> None:
        """Keep the sums of a few vectors in registers while their terms run past."""
        total.compute_at(consumer, at)
        for condition, _ in branches:
            total.specialize(condition).vectorize(x, vec).unroll(x)
        for n, r in enumerate(reductions[total.name()]):
            stage = total.update(n).reorder(x, r.x)
            for condition, _ in branches:
                stage.specialize(condition).vectorize(x, vec).unroll(x)

    for condition, lanes in branches:
        schedule_out(out.specialize(condition), lanes)
    schedule_out(out, 1)
    tall.compute_at(out, tile).hoist_storage(out, task).align_storage(x, tall_vec)
    for n in range(4):
        stage = tall.update(n).split(x, xu, xv, tall_vec, guard).vectorize(xv)
        if n == 1:
            ro, ri = hl.RVar("ro"), hl.RVar("ri")
            stage.split(up.x, ro, ri, 4, guard).unroll(ri).reorder(xv, ri, xu, ro)
        elif n == 3:
            stage.unroll(down.x).reorder(xv, down.x, xu, down.y)
    for total, func in ((sum_a, row_a), (sum_b, row_b)):
        func.compute_at(out, i).hoist_storage(out, task)
        for condition, lanes in branches:
            special = func.specialize(condition)
            special.split(x, xu, xv, lanes, shift).vectorize(xv, vec).unroll(xv)
        func.split(x, xu, xv, 1)
        schedule_sum(total, func, xu)
    schedule_sum(sum_2, out, xi)
    schedule_sum(sum_3, out, xi)
    return out, [inp, tap, *params.values()]
