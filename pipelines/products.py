"""Products of weights with what lies at tabled places: layers, with their sums in registers.

``out[m, r, o] = bias[o] + sum_k weights[o * step + order[k]] * input[base[r] + places[k] + m]``,
for each of a number of groups. Along ``m`` lie the images of a batch, innermost, and the positions
along the last axis; ``r`` counts the rows, ``k`` the taps of all channels. A strided layer, the
gradient of one and a dense layer are the same sums with other tables: the weights are read where
they are. Borders do not exist here: whoever makes the tables lays them around the input first.

A loaded vector serves all output channels of a tile, a weight all its vectors. The last tiles may
have more channels than there are: they repeat the last one, and nobody reads them. One group is cut
into several with the same input where there are too few rows for threads to share.

What becomes of the sums is ``RELU``: those below 0 become 0, or ``GATE``: those become 0 where
``gate``, which lies as the output does, is not above 0. That is the way back of a relu. It is read
in any case, and may be the output itself.
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
RELU, GATE = 1, 2

# Output channels of a register tile, and its vectors where there are 32 registers and 16; of few
# images there are only two vectors.
TILES = {
    512: {8: (2, 1), 6: (4, 2, 1), 4: (6, 2, 1), 2: (8, 1), 1: (8, 1)},
    256: {8: (1,), 6: (2, 1), 4: (3, 1), 2: (4, 1), 1: (8, 1)},
}


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.input]
    m, r, oi, ob, g = (hl.Var(n) for n in ("m", "r", "oi", "ob", "g"))
    inp, gate = hl.ImageParam(kind, 1, "input"), hl.ImageParam(kind, 1, "gate")
    ker, bias = hl.ImageParam(kind, 1, "weights"), hl.ImageParam(kind, 1, "bias")
    places, base = hl.ImageParam(hl.Int(32), 1, "places"), hl.ImageParam(hl.Int(32), 1, "base")
    order, spans = hl.ImageParam(hl.Int(32), 1, "order"), hl.ImageParam(hl.Int(32), 2, "spans")
    run = hl.Param(hl.Int(32), "run")
    group = hl.Param(hl.Int(32), "group")  # how far the groups' inputs lie apart
    step = hl.Param(hl.Int(32), "step")  # how far the weights of two channels lie apart
    weights_group = hl.Param(hl.Int(32), "weights_group")  # and besides, those of two groups
    channels, tile = hl.Param(hl.Int(32), "channels"), hl.Param(hl.Int(32), "tile")  # of a group
    width = hl.Param(hl.Int(32), "width")
    end = hl.Param(hl.Int(32), "end")  # RELU, GATE or nothing
    tasks = hl.Param(hl.Int(32), "tasks")

    # ---- the algorithm -------------------------------------------------------------------
    acc, out = hl.Func("acc"), hl.Func("products")
    # taps in runs: a row takes so many runs, and so many taps of each, from the first it takes on
    k = hl.RDom([(0, run), (0, order.dim(0).extent() // run)], "k")
    k.where((k[0] < spans[1, r]) & (k[1] < spans[3, r]))
    tap = spans[0, r] + k[0] + (spans[2, r] + k[1]) * run
    tap = hl.unsafe_promise_clamped(tap, 0, order.dim(0).extent() - 1)
    place = base[r] + places[tap] + g * group + m
    place = hl.unsafe_promise_clamped(place, 0, inp.dim(0).extent() - 1)
    channel = hl.min(ob * tile + oi + g * channels, bias.dim(0).extent() - 1)
    channel = hl.unsafe_promise_clamped(channel, 0, bias.dim(0).extent() - 1)
    weight = channel * step + g * weights_group + order[tap]
    weight = hl.unsafe_promise_clamped(weight, 0, ker.dim(0).extent() - 1)
    acc[m, r, oi, ob, g] = bias[channel]
    acc[m, r, oi, ob, g] = in_order(acc[m, r, oi, ob, g] + ker[weight] * inp[place], level)
    total = acc[m, r, oi, ob, g]
    # without a gate it is one row, which stays in cache
    row = hl.select(end == GATE, r + base.dim(0).extent() * channel, 0)
    there = m + width * row
    there = hl.unsafe_promise_clamped(there, 0, gate.dim(0).extent() - 1)
    # a sum that is NaN stays NaN
    shut = ((end == RELU) & (total < 0)) | ((end == GATE) & ~(gate[there] > 0))
    out[m, r, oi, ob, g] = hl.select(shut, hl.cast(kind, 0), total)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, gate, ker, bias, places, base, order, spans, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    vec = level.vector_bits // kind.bits()
    mo, mi, task, both = (hl.Var(n) for n in ("mo", "mi", "task", "both"))
    shift = hl.TailStrategy.ShiftInwards
    acc.compute_at(out, ob)
    acc.vectorize(m, vec).unroll(m).unroll(oi)
    update = acc.update(0)
    update.reorder(m, oi, k[0], k[1], r, ob, g)

    def schedule(condition: hl.Expr | None, outputs: int, vectors: int) -> None:
        stage = out if condition is None else out.specialize(condition)
        stage.split(m, mo, mi, vectors * vec, shift)
        stage.reorder(mi, oi, ob, mo, r, g).fuse(r, g, both)
        tiles = result.dim(1).extent() * result.dim(4).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(both, task, both, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        stage.vectorize(mi, vec).unroll(mi).unroll(oi)
        inner = update if condition is None else update.specialize(condition)
        inner.vectorize(m, vec).unroll(m).unroll(oi)

    for outputs, counts in TILES[level.vector_bits].items():
        for vectors in counts:
            fits = (result.dim(2).extent() == outputs) & (result.dim(0).extent() >= vectors * vec)
            schedule(fits, outputs, vectors)
    out.specialize_fail("no tile has so many channels, or a row is shorter than a vector")
    return out, [
        inp, gate, ker, bias, places, base, order, spans, run, group, step, weights_group, channels,
        tile, width, end, tasks,
    ]  # fmt: skip
