"""Products of weights with what lies at tabled places: layers, with their sums in registers.

``out[m, r, o] = bias[o] + sum_k weights[o, k] * input[base[r] + places[tap] + m]``, for each of a
number of groups. Along ``m`` lie the images of a batch, innermost, and the positions along the last
axis; ``r`` counts the rows, ``k`` the taps of all channels. A strided layer, the gradient of one, a
dense layer and the products of Winograd's transforms are the same sums with other tables. Borders
do not exist here: whoever makes the tables lays them around the input first.

A loaded vector serves all output channels of a tile, a weight all its vectors.
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

# Output channels of a register tile, and its vectors where there are 32 registers and 16.
TILES = {8: (3, 1), 6: (4, 2), 4: (6, 3), 2: (8, 4), 1: (8, 8)}


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.input]
    m, r, oi, ob, g = (hl.Var(n) for n in ("m", "r", "oi", "ob", "g"))
    inp = hl.ImageParam(kind, 1, "input")
    ker, bias = hl.ImageParam(kind, 4, "weights"), hl.ImageParam(kind, 3, "bias")
    places, base = hl.ImageParam(hl.Int(32), 1, "places"), hl.ImageParam(hl.Int(32), 1, "base")
    spans = hl.ImageParam(hl.Int(32), 2, "spans")
    run = hl.Param(hl.Int(32), "run")
    group = hl.Param(hl.Int(32), "group")  # how far the groups' inputs lie apart
    relu = hl.Param(hl.Int(32), "relu")
    tasks = hl.Param(hl.Int(32), "tasks")

    # ---- the algorithm -------------------------------------------------------------------
    acc, out = hl.Func("acc"), hl.Func("products")
    # taps in runs: a row takes so many runs, and so many taps of each, from the first it takes on
    k = hl.RDom([(0, run), (0, ker.dim(1).extent() // run)], "k")
    k.where((k[0] < spans[1, r]) & (k[1] < spans[3, r]))
    tap = spans[0, r] + k[0] + (spans[2, r] + k[1]) * run
    tap = hl.unsafe_promise_clamped(tap, 0, ker.dim(1).extent() - 1)
    place = base[r] + places[tap] + g * group + m
    place = hl.unsafe_promise_clamped(place, 0, inp.dim(0).extent() - 1)
    acc[m, r, oi, ob, g] = bias[oi, ob, g]
    product = ker[oi, tap, ob, g] * inp[place]
    acc[m, r, oi, ob, g] = in_order(acc[m, r, oi, ob, g] + product, level)
    total = acc[m, r, oi, ob, g]
    # a sum that is NaN stays NaN
    out[m, r, oi, ob, g] = hl.select((relu != 0) & (total < 0), hl.cast(kind, 0), total)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, ker, bias, places, base, spans, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    vec = level.vector_bits // kind.bits()
    mo, mi, task, tile = (hl.Var(n) for n in ("mo", "mi", "task", "tile"))
    shift = hl.TailStrategy.ShiftInwards
    acc.compute_at(out, ob)
    acc.vectorize(m, vec).unroll(m).unroll(oi)
    update = acc.update(0)
    update.reorder(m, oi, k[0], k[1], r, ob, g)

    def schedule(condition: hl.Expr | None, outputs: int, vectors: int) -> None:
        stage = out if condition is None else out.specialize(condition)
        stage.split(m, mo, mi, vectors * vec, shift)
        stage.reorder(mi, oi, ob, mo, r, g).fuse(r, g, tile)
        tiles = result.dim(1).extent() * result.dim(4).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        stage.vectorize(mi, vec).unroll(mi).unroll(oi)
        inner = update if condition is None else update.specialize(condition)
        inner.vectorize(m, vec).unroll(m).unroll(oi)

    few = level.vector_bits < 512
    channels = result.dim(2).extent()
    for outputs, counts in TILES.items():
        for vectors in dict.fromkeys((counts[few], 1)):
            fits = (channels == outputs) & (result.dim(0).extent() >= vectors * vec)
            schedule(fits, outputs, vectors)
    out.specialize_fail("no tile has so many channels, or a row is shorter than a vector")
    return out, [inp, ker, bias, places, base, spans, run, group, relu, tasks]
