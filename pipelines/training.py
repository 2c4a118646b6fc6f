"""What a training step does besides its layers: batches, sums for biases, and the descent.

``gather``  images picked by number, as an array with the images innermost
``entropy`` the cross entropy of logits: its gradient by class, and behind those, of each image the
            loss (NaN where a logit is none or infinite above) and whether its class has the
            greatest logit, the first of equal ones
``sums``    of the samples of each channel: blocks in vectors, their totals in float64
``sgd``     gradient descent with momentum, in place: ``settings`` are rate, momentum, decay, and
            whether Nesterov's form is asked for
``adam``    Adam with decay apart, in place: ``settings`` are rate, the moments' factors and what
            they leave of 1, one over the second moment's bias, epsilon, and what decay leaves
"""

from __future__ import annotations

import halide as hl

from pipelines.levels import Level
from pipelines.parts import Part
from pipelines.types import HALIDE_TYPES

Made = tuple[hl.Func, list[hl.Argument]]


PARTS = ("gather", "sums", "sgd", "adam")
VARIANTS = tuple(Part(dtype, part) for dtype in ("float32", "float64") for part in PARTS)
VARIANTS += (Part("float32", "entropy"),)  # exponentials in vectors are those of float32
LEVELS = ("avx512", "avx2")
ROWS = 4  # vectors that are summed apart
SIDE = 16  # of the tiles that are turned


def build(variant: Part, level: Level) -> Made:
    """Return the output Func and its arguments, scheduled for one instruction set level."""
    kind = HALIDE_TYPES[variant.dtype]
    vec = level.vector_bits // kind.bits()
    if variant.part == "gather":
        return gather(kind)
    if variant.part == "entropy":
        return entropy(kind, vec)
    return sums(kind, vec) if variant.part == "sums" else descent(variant.part, kind, vec)


def plain(*buffers: hl.ImageParam | hl.OutputImageParam) -> None:
    """Have buffers begin at 0, their first axes without gaps."""
    for buffer in buffers:
        buffer.dim(0).set_stride(1)
        for i in range(buffer.dimensions()):
            buffer.dim(i).set_min(0)


def shared(stage: hl.Stage | hl.Func, over: hl.Var, count: hl.Expr, tasks: hl.Param) -> None:
    """Give tasks their parts of an axis."""
    task = hl.Var("task")
    each = hl.max((count + tasks - 1) // tasks, 1)
    stage.split(over, task, over, each, hl.TailStrategy.GuardWithIf).parallel(task)


def gather(kind: hl.Type) -> Made:
    """Return a batch: its images are rows of the whole."""
    n, f, ni, fi = (hl.Var(v) for v in ("n", "f", "ni", "fi"))
    whole, picked = hl.ImageParam(kind, 2, "whole"), hl.ImageParam(hl.Int(32), 1, "picked")
    tasks, out = hl.Param(hl.Int(32), "tasks"), hl.Func("training")
    image = hl.unsafe_promise_clamped(picked[n], 0, whole.dim(1).extent() - 1)
    out[n, f] = whole[f, image]
    result = out.output_buffer()
    plain(whole, picked, result)
    fits = (result.dim(0).extent() >= SIDE) & (result.dim(1).extent() >= SIDE)
    for stage, side in ((out.specialize(fits), SIDE), (out, 1)):
        tail = hl.TailStrategy.ShiftInwards if side > 1 else hl.TailStrategy.Auto
        stage.tile(n, f, ni, fi, side, side, tail).reorder(ni, fi, f, n)
        shared(stage, n, (result.dim(0).extent() + side - 1) // side, tasks)
        if side > 1:
            stage.vectorize(ni).unroll(fi)
    return out, [whole, picked, tasks]


def entropy(kind: hl.Type, vec: int) -> Made:
    """Return gradients and losses of images (innermost) and what was hit."""
    n, c = hl.Var("n"), hl.Var("c")
    logits, labels = hl.ImageParam(kind, 2, "logits"), hl.ImageParam(hl.Int(32), 1, "labels")
    count = hl.Param(hl.Int(32), "count")  # of the images that the mean is over
    tasks, out = hl.Param(hl.Int(32), "tasks"), hl.Func("training")
    top, first, bad, total, power = (
        hl.Func(name) for name in ("top", "first", "bad", "total", "power")
    )
    classes = logits.dim(1).extent()
    over = hl.RDom([(0, classes)], "over")
    each = logits[n, over[0]]
    lost = hl.is_nan(hl.strict_float(each)) | hl.is_inf(hl.strict_float(each)) & (each > 0)
    low = hl.cast(kind, hl.f32(float("-inf")))
    top[n] = low
    top[n] = hl.max(top[n], each)
    bad[n] = hl.select(top[n] > low, 0, 1)
    bad[n] = hl.select(lost, 1, bad[n])
    first[n] = classes
    first[n] = hl.min(first[n], hl.select(each == top[n], over[0], classes))
    power[n, c] = hl.exp(logits[n, c] - top[n])
    total[n] = hl.cast(kind, 0)
    total[n] += power[n, over[0]]
    label = hl.unsafe_promise_clamped(labels[n], 0, classes - 1)
    off = hl.log(total[n]) - (logits[n, label] - top[n])
    loss = hl.select(bad[n] != 0, hl.cast(kind, hl.f32(float("nan"))), off)
    hit = hl.select(first[n] == labels[n], hl.cast(kind, 1), hl.cast(kind, 0))
    share = hl.cast(kind, 1) / hl.cast(kind, count)
    inside = power[n, hl.min(c, classes - 1)] * (share / total[n])
    gradient = inside - hl.select(c == labels[n], share, hl.cast(kind, 0))
    out[n, c] = hl.select(c < classes, gradient, hl.select(c == classes, loss, hit))

    result = out.output_buffer()
    plain(logits, labels, result)
    no, ni = hl.Var("no"), hl.Var("ni")
    wide = result.dim(0).extent() >= vec
    for stage, lanes in ((out.specialize(wide), vec), (out, 1)):
        tail = hl.TailStrategy.ShiftInwards if lanes > 1 else hl.TailStrategy.Auto
        stage.split(n, no, ni, lanes, tail).reorder(ni, c, no)
        if lanes > 1:
            stage.vectorize(ni)
    for func in (top, bad, first, total, power):
        func.compute_at(out, no).specialize(wide).vectorize(n, vec)
        if func is not power:
            func.update(0).reorder(n, over[0]).specialize(wide).vectorize(n, vec)
    return out, [logits, labels, count, tasks]


def sums(kind: hl.Type, vec: int) -> Made:
    """Return the sum of each channel's blocks of ``m`` samples, a whole number of vectors each."""
    lane, b, c = hl.Var("lane"), hl.Var("b"), hl.Var("c")
    x, tasks = hl.ImageParam(kind, 3, "x"), hl.Param(hl.Int(32), "tasks")
    part, block, total = hl.Func("part"), hl.Func("block"), hl.Func("total")
    out, wide = hl.Func("training"), hl.Float(64)
    vectors = x.dim(0).extent() // vec
    over = hl.RDom([(0, ROWS * vec), (0, vectors // ROWS)], "over")
    rest = hl.RDom([(0, vec), (0, vectors % ROWS)], "rest")
    lanes = hl.RDom([(0, ROWS * vec)], "lanes")
    blocks = hl.RDom([(0, x.dim(1).extent())], "blocks")
    part[lane, b, c] = hl.cast(kind, 0)
    part[over[0], b, c] += x[over[0] + over[1] * ROWS * vec, b, c]
    part[rest[0], b, c] += x[rest[0] + rest[1] * vec + over[1].extent() * ROWS * vec, b, c]
    block[b, c] = hl.cast(kind, 0)
    block[b, c] += part[lanes[0], b, c]
    total[c] = hl.cast(wide, 0)
    total[c] += hl.cast(wide, block[blocks[0], c])
    out[c] = hl.cast(kind, total[c])

    result = out.output_buffer()
    plain(x, result)
    shared(out, c, result.dim(0).extent(), tasks)
    total.compute_at(out, c)
    block.compute_at(total, blocks[0])
    part.compute_at(total, blocks[0]).vectorize(lane, vec).unroll(lane)
    ri, ro = hl.RVar("ri"), hl.RVar("ro")
    part.update(0).split(over[0], ro, ri, vec).vectorize(ri).unroll(ro)
    part.update(1).vectorize(rest[0])
    block.update(0).atomic().vectorize(lanes[0], ROWS * vec)
    return out, [x, tasks]


def descent(part: str, kind: hl.Type, vec: int) -> Made:
    """Return the new parameters and the new moments; they may lie where the old ones do.

    All that is read of a vector is read before anything is written, and no vector is done twice:
    arrays are a whole number of vectors long.
    """
    i = hl.Var("i")
    w, g, first, second, settings = (
        hl.ImageParam(kind, 1, name) for name in ("w", "g", "first", "second", "settings")
    )
    tasks = hl.Param(hl.Int(32), "tasks")
    m, v, new, out = hl.Func("m"), hl.Func("v"), hl.Func("new"), hl.Func("training")
    if part == "sgd":
        rate, momentum, decay, nesterov = (settings[n] for n in range(4))
        gradient = g[i] + decay * w[i]
        m[i] = momentum * first[i] + gradient
        new[i] = w[i] - rate * hl.select(nesterov != 0, gradient + momentum * m[i], m[i])
        moments, kept = [m], [first]
    else:
        rate, keep, take, keep_square, take_square, grown, epsilon, left = (
            settings[n] for n in range(8)
        )
        m[i] = keep * first[i] + take * g[i]
        v[i] = keep_square * second[i] + take_square * (g[i] * g[i])
        new[i] = left * w[i] - rate * m[i] / (hl.sqrt(v[i] * grown) + epsilon)
        moments, kept = [m, v], [first, second]
    out[i] = (new[i], *(moment[i] for moment in moments))

    plain(w, g, *kept, settings, out.output_buffers()[0])
    for buffer in out.output_buffers()[1:]:
        buffer.dim(0).set_stride(1)
    length = out.output_buffers()[0].dim(0)
    vectors = length.extent() // vec
    length.set_extent(vectors * vec)
    io, ii = hl.Var("io"), hl.Var("ii")
    out.split(i, io, ii, vec, hl.TailStrategy.RoundUp).vectorize(ii)
    shared(out, io, vectors, tasks)
    for func in (new, *moments):
        func.compute_at(out, io).vectorize(i, vec)
    return out, [w, g, *kept, settings, tasks]
