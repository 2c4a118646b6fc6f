"""Layers of one tap: products of weights with the samples of all channels.

``out[m, o] = bias[o] + sum_c weights[c * step + o * step_out] * input[m, c]``: along ``m`` lie the
images, innermost, and all their positions. So many samples of every channel are brought together
first: channels lie far apart, and all outputs look at them.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant

VARIANTS = (Variant("float32", "float32", "float32"),)
LEVELS = ("avx512", "avx2")
CHANNELS = 6  # outputs of a register tile
VECTORS = {512: 4, 256: 2}  # of a register tile


def build(variant: Variant, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.input]
    vec = level.vector_bits // kind.bits()
    many = VECTORS[level.vector_bits] * vec
    m, oi, ob, c = (hl.Var(v) for v in ("m", "oi", "ob", "c"))
    inp, ker = hl.ImageParam(kind, 2, "input"), hl.ImageParam(kind, 1, "weights")
    bias = hl.ImageParam(kind, 1, "bias")
    step, step_out = hl.Param(hl.Int(32), "step"), hl.Param(hl.Int(32), "step_out")
    relu, tasks = hl.Param(hl.Int(32), "relu"), hl.Param(hl.Int(32), "tasks")

    # ---- the algorithm -------------------------------------------------------------------
    panel, acc, out = hl.Func("panel"), hl.Func("acc"), hl.Func("pointwise")
    panel[m, c] = inp[m, c]
    k = hl.RDom([(0, inp.dim(1).extent())], "k")
    # a last tile repeats the last output
    o = hl.unsafe_promise_clamped(
        hl.min(ob * CHANNELS + oi, bias.dim(0).extent() - 1), 0, bias.dim(0).extent() - 1
    )
    weight = hl.unsafe_promise_clamped(k * step + o * step_out, 0, ker.dim(0).extent() - 1)
    acc[m, oi, ob] = bias[o]
    acc[m, oi, ob] += ker[weight] * panel[m, k]
    total = acc[m, oi, ob]
    out[m, oi, ob] = hl.select((relu != 0) & (total < 0), hl.cast(kind, 0), total)

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (inp, ker, bias, result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    mo, mi, task = (hl.Var(v) for v in ("mo", "mi", "task"))
    out.bound(oi, 0, CHANNELS)
    out.split(m, mo, mi, many, hl.TailStrategy.ShiftInwards).reorder(mi, oi, ob, mo)
    per_task = hl.max(((result.dim(0).extent() + many - 1) // many + tasks - 1) // tasks, 1)
    out.split(mo, task, mo, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
    out.vectorize(mi, vec).unroll(mi).unroll(oi)
    panel.compute_at(out, mo).vectorize(m, vec).unroll(m)
    acc.compute_at(out, ob).vectorize(m, vec).unroll(m).unroll(oi)
    acc.update(0).reorder(m, oi, k).vectorize(m, vec).unroll(m).unroll(oi)
    return out, [inp, ker, bias, step, step_out, relu, tasks]
