"""The greatest sample of each window, with the tap that it stands at, and the way back.

Images lie innermost. Of equal samples the first tap wins, and NaN wins over all. On the way back
every sample looks at the windows that it lies in: ``parts`` of them along an axis. With ``relu``
only what was ``pooled`` above 0 passes.
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.parts import Part
from pipelines.types import HALIDE_TYPES

VARIANTS = tuple(Part(d, way) for d in ("float32", "float64") for way in ("max", "back"))
LEVELS = ("avx512", "avx2")


def build(variant: Part, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    make = greatest if variant.part == "max" else back
    return make(HALIDE_TYPES[variant.dtype], level)


def schedule(
    out: hl.Func,
    inner: hl.Func,
    result: hl.OutputImageParam,
    conditions: list[hl.Expr],
    vec: int,
    tasks: hl.Param,
    pairs: bool = False,
) -> list[hl.Expr]:
    """Vectorise over images where there are enough, for each condition; return all conditions.

    With ``pairs``, two neighbours are computed at once under the first of them.
    """
    n, x, y, c = out.args()
    task, tile, no, ni, xo, xi = (hl.Var(v) for v in ("task", "tile", "no", "ni", "xo", "xi"))
    inner.compute_at(out, no)
    always = result.dim(0).extent() >= 1
    cases = [(result.dim(0).extent() >= vec) & c for c in conditions]
    sizes = [vec] * len(cases)
    for width in (vec, vec // 2):
        cases.append((result.dim(0).extent() >= width) & always)
        sizes.append(width)
    for condition, width in [*zip(cases, sizes, strict=True), (None, 1)]:
        stage = out if condition is None else out.specialize(condition)
        stage.fuse(y, c, tile)
        tiles = result.dim(2).extent() * result.dim(3).extent()
        per_task = hl.max((tiles + tasks - 1) // tasks, 1)
        stage.split(tile, task, tile, per_task, hl.TailStrategy.GuardWithIf).parallel(task)
        tail = hl.TailStrategy.ShiftInwards if width > 1 else hl.TailStrategy.Auto
        stage.split(n, no, ni, width, tail)
        if width > 1:
            stage.vectorize(ni)
        if pairs and condition is cases[0]:
            stage.split(x, xo, xi, 2, hl.TailStrategy.RoundUp)
            stage.reorder(ni, xi, no, xo, tile).unroll(xi)
    return cases


def greatest(kind: hl.Type, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the greatest sample of each window."""
    n, x, y, c = (hl.Var(v) for v in "nxyc")
    inp = hl.ImageParam(kind, 4, "input")
    width, height = hl.Param(hl.Int(32), "width"), hl.Param(hl.Int(32), "height")
    sx, sy = hl.Param(hl.Int(32), "stride_x"), hl.Param(hl.Int(32), "stride_y")
    dx, dy = hl.Param(hl.Int(32), "dilation_x"), hl.Param(hl.Int(32), "dilation_y")
    tasks = hl.Param(hl.Int(32), "tasks")
    taps = hl.RDom([(0, width), (0, height)], "taps")
    best, out = hl.Func("best"), hl.Func("pooling")
    value = inp[n, x * sx + taps[0] * dx, y * sy + taps[1] * dy, c]
    # the tap first: Halide may store the parts of an update one after the other
    best[n, x, y, c] = (hl.cast(hl.UInt(8), 0), hl.cast(kind, hl.f32(float("-inf"))))
    at, so_far = best[n, x, y, c][0], best[n, x, y, c][1]
    better = hl.strict_float(value > so_far) | hl.is_nan(hl.strict_float(value))
    here = hl.cast(hl.UInt(8), taps[0] + width * taps[1])
    best[n, x, y, c] = (hl.select(better, here, at), hl.select(better, value, so_far))
    out[n, x, y, c] = (best[n, x, y, c][1], best[n, x, y, c][0])

    results = out.output_buffers()
    for buffer in (inp, *results):
        buffer.dim(0).set_stride(1)
    for buffer in (inp, results[0]):
        for i in range(4):
            buffer.dim(i).set_min(0)
    vec = level.vector_bits // kind.bits()
    halves = (width == 2) & (height == 2) & (sx == 2) & (sy == 2) & (dx == 1) & (dy == 1)
    best.update(0).reorder(n, taps[0], taps[1], x, y, c)
    cases = schedule(out, best, results[0], [halves], vec, tasks)
    for condition, lanes in zip(cases, (vec, vec, vec // 2), strict=True):
        stage = best.update(0).specialize(condition).vectorize(n, lanes)
        if condition is cases[0]:
            stage.unroll(taps[0]).unroll(taps[1])
        best.specialize(condition).vectorize(n, lanes)
    return out, [inp, width, height, sx, sy, dx, dy, tasks]


def back(kind: hl.Type, level: Level) -> tuple[hl.Func, list[hl.Argument]]:
    """Return the gradient of the samples from that of the windows' greatest ones."""
    n, x, y, c = (hl.Var(v) for v in "nxyc")
    gradient, where = hl.ImageParam(kind, 4, "gradient"), hl.ImageParam(hl.UInt(8), 4, "where")
    pooled, relu = hl.ImageParam(kind, 4, "pooled"), hl.Param(hl.Int(32), "relu")
    width, height = hl.Param(hl.Int(32), "width"), hl.Param(hl.Int(32), "height")
    sx, sy = hl.Param(hl.Int(32), "stride_x"), hl.Param(hl.Int(32), "stride_y")
    parts_x, parts_y = hl.Param(hl.Int(32), "parts_x"), hl.Param(hl.Int(32), "parts_y")
    before_x, before_y = hl.Param(hl.Int(32), "before_x"), hl.Param(hl.Int(32), "before_y")
    tasks = hl.Param(hl.Int(32), "tasks")
    parts = hl.RDom([(0, parts_x), (0, parts_y)], "parts")
    acc, out = hl.Func("acc"), hl.Func("pooling")
    at_x, at_y = x + before_x, y + before_y
    tap_x, tap_y = at_x % sx + parts[0] * sx, at_y % sy + parts[1] * sy
    window = (n, at_x // sx + parts_x - 1 - parts[0], at_y // sy + parts_y - 1 - parts[1], c)
    hit = where[window] == hl.cast(hl.UInt(8), tap_x + width * tap_y)
    hit = hit & (tap_x < width) & (tap_y < height)
    hit = hit & ((relu == 0) | (pooled[window] > 0))
    acc[n, x, y, c] = hl.cast(kind, 0)
    acc[n, x, y, c] += hl.select(hit, gradient[window], hl.cast(kind, 0))
    out[n, x, y, c] = acc[n, x, y, c]

    result = out.output_buffer()
    for buffer in (gradient, where, pooled, result):
        buffer.dim(0).set_stride(1)
        for i in range(4):
            buffer.dim(i).set_min(0)
    vec = level.vector_bits // kind.bits()
    acc.update(0).reorder(n, parts[0], parts[1], x, y, c)
    # windows of two or three, two apart; those of two beside each other are read but once
    two = (sx == 2) & (sy == 2)
    even = (before_x == 0) & (before_y == 0) & (result.dim(1).extent() % 2 == 0)
    conditions = [two & even & (parts_x == 1) & (parts_y == 1)]
    conditions += [two & (parts_x == p) & (parts_y == p) for p in (1, 2)]
    cases = schedule(out, acc, result, conditions, vec, tasks, pairs=True)
    for number, condition in enumerate(cases):
        lanes = vec if number < len(cases) - 1 else vec // 2
        stage = acc.update(0).specialize(condition).vectorize(n, lanes)
        if number < len(conditions):
            stage.unroll(parts[0]).unroll(parts[1])
        if number < 1:
            stage.unroll(x)
            acc.specialize(condition).vectorize(n, lanes).unroll(x)
        else:
            acc.specialize(condition).vectorize(n, lanes)
    return out, [
        gradient, where, pooled, width, height, sx, sy, parts_x, parts_y, before_x, before_y, relu,
        tasks,
    ]  # fmt: skip
