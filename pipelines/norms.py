"""Normalisation over images and positions: moments, the layer itself, and the way back.

Samples are ``[m, b, c]``: blocks ``b`` of ``m`` samples of channel ``c``, a whole number of
vectors each. A channel's normalisation is ``scale[c] * (x - centre[c]) + shift[c]``; with ``relu``
what is below 0 becomes 0, and the way back knows from ``x`` where that was. Sums are by block: what
blocks there are depends on the shapes alone.

``moments``  sum of a block, and sum of squares about the block's own mean
``apply``    the layer
``sums``     sum of the gradient, and of its product with ``x - centre[c]``
``back``     ``scale[c] * gradient + by[c] * (x - centre[c]) + offset[c]``
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.parts import Part
from pipelines.types import HALIDE_TYPES

PARTS = ("moments", "apply", "sums", "back")
VARIANTS = tuple(Part(dtype, part) for dtype in ("float32", "float64") for part in PARTS)
LEVELS = ("avx512", "avx2")
ROWS = 4  # vectors at once


def build(variant: Part, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.dtype]
    vec = level.vector_bits // kind.bits()
    m, b, c, s = (hl.Var(v) for v in "mbcs")
    x, gradient = hl.ImageParam(kind, 3, "x"), hl.ImageParam(kind, 3, "gradient")
    scale, shift = hl.ImageParam(kind, 1, "scale"), hl.ImageParam(kind, 1, "shift")
    centre, by = hl.ImageParam(kind, 1, "centre"), hl.ImageParam(kind, 1, "by")
    offset = hl.ImageParam(kind, 1, "offset")
    relu, tasks = hl.Param(hl.Int(32), "relu"), hl.Param(hl.Int(32), "tasks")
    out, zero = hl.Func("norms"), hl.cast(kind, 0)
    used: list[hl.Argument] = {
        "moments": [x],
        "apply": [x, scale, shift, centre, relu],
        "sums": [x, gradient, scale, shift, centre, relu],
        "back": [x, gradient, scale, shift, centre, by, offset, relu],
    }[variant.part]

    # ---- the algorithm -------------------------------------------------------------------
    def normal(at: hl.Expr) -> hl.Expr:
        return scale[c] * (x[at, b, c] - centre[c]) + shift[c]

    def passed(at: hl.Expr) -> hl.Expr:
        stopped = (relu != 0) & (normal(at) <= 0)
        return hl.select(stopped, zero, gradient[at, b, c])

    def total(term: hl.Func, name: str) -> tuple[hl.Func, hl.Func]:
        """Return the sum of a term over a block, and of its vectors."""
        over = hl.RDom([(0, ROWS * vec), (0, x.dim(0).extent() // (ROWS * vec))], name)
        rest = hl.RDom([(0, vec), (0, x.dim(0).extent() // vec % ROWS)], f"{name}_rest")
        lanes = hl.RDom([(0, ROWS * vec)], f"{name}_lanes")
        lane = hl.Var("lane")
        part, whole = hl.Func(f"{name}_part"), hl.Func(f"{name}_whole")
        part[lane, b, c] = zero
        part[over[0], b, c] += term(over[0] + over[1] * ROWS * vec)
        part[rest[0], b, c] += term(rest[0] + rest[1] * vec + over[1].extent() * ROWS * vec)
        whole[b, c] = zero
        whole[b, c] += part[lanes[0], b, c]
        part.vectorize(lane, vec).unroll(lane)
        ri, ro = hl.RVar("ri"), hl.RVar("ro")
        part.update(0).split(over[0], ro, ri, vec).vectorize(ri).unroll(ro)
        part.update(1).vectorize(rest[0])
        whole.update(0).atomic().vectorize(lanes[0], ROWS * vec)
        return whole, part

    if variant.part == "apply":
        value = normal(m)
        out[m, b, c] = hl.select((relu != 0) & (value < 0), zero, value)
    elif variant.part == "back":
        out[m, b, c] = scale[c] * passed(m) + by[c] * (x[m, b, c] - centre[c]) + offset[c]
    elif variant.part == "moments":
        first, part = total(lambda at: x[at, b, c], "first")
        mean = first[b, c] / hl.cast(kind, x.dim(0).extent())
        second, other = total(lambda at: squared(x[at, b, c] - mean), "second")
        out[s, b, c] = hl.select(s == 0, first[b, c], second[b, c])
    else:
        first, part = total(passed, "first")
        second, other = total(lambda at: passed(at) * (x[at, b, c] - centre[c]), "second")
        out[s, b, c] = hl.select(s == 0, first[b, c], second[b, c])

    # ---- the schedule --------------------------------------------------------------------
    result = out.output_buffer()
    for buffer in (*(u for u in used if isinstance(u, hl.ImageParam)), result):
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)
    task, tile = hl.Var("task"), hl.Var("tile")
    stage = out
    stage.fuse(b, c, tile)
    tiles = result.dim(1).extent() * result.dim(2).extent()
    per_task = hl.max((tiles + tasks - 1) // tasks, 1)
    stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
    if variant.part in ("apply", "back"):
        stage.vectorize(m, vec, hl.TailStrategy.ShiftInwards)
    else:
        stage.bound(s, 0, 2).unroll(s)
        for whole, vectors in ((first, part), (second, other)):
            whole.compute_at(out, tile)
            vectors.compute_at(out, tile)
    return out, [*used, tasks]


def squared(value: hl.Expr) -> hl.Expr:
    """Return a square."""
    return value * value
