"""The operator backwards: its adjoint, and its gradients.

With the continued input X and the taps t counted from the one that reaches furthest back, either
operation is ::

    y[i] = sum_t k[t] X[start + s*i + d*t]

and the gradients are convolutions again (Dumoulin and Visin, 2016, draw them for layers):

- with respect to X: ``dX[p] = sum_t conj(k[t]) dy[i]`` over all ``start + s*i + d*t = p``, which is
  the full convolution of ``dy`` with the taps; a stride makes one of each phase of the taps, so
  that no zeros are laid between the outputs. What lies beyond the ends is folded back onto the
  samples that it came from (``boundary.fold``).
- with respect to k: ``dk[t] = sum_i conj(X[start + s*i + d*t]) dy[i]``, which is the valid
  correlation of X with ``dy``, stride and dilation exchanged, summed over the batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from faltung import native
from faltung.blocked import Blocked
from faltung.boundary import fold
from faltung.dtypes import Array, DType
from faltung.geometry import blocks
from faltung.machine import machine
from faltung.planner import Plan, choose, plan_for
from faltung.problem import Options, Problem, build

PIECE = 1 << 16  # outputs whose products with all taps are summed while they are in cache
SECONDS = 1e-10  # per byte of an output and tap, of NumPy's sums of products
COMPILED = 1.2e-11  # the same of a pipeline, on one processor
SPACE = 3  # axes that pipelines take
FEW = 32  # taps: that many sums cost less than any transform


def adjoint(
    problem: Problem, y: Array, workers: int | None = None, max_memory: int | None = None
) -> Array:
    """Return ``A* y``, of the input's shape, where ``A`` is the problem without its fill value.

    ``max_memory`` is the scratch of each convolution that this takes.
    """
    taps = np.conj(problem.correlation_taps)
    if y.size == 0:
        return np.zeros(problem.shape, np.result_type(y, taps))
    along, mode = problem.geometry, dual_mode(problem)
    if mode is not None:
        anchor = tuple(axis.tap_anchor for axis in along)
        borders = problem.boundary if mode == "same" else "constant"
        plan = spread(problem, y, taps, mode, problem.dilation, max_memory, borders, anchor)
        return plan(y, workers=workers)
    shape = list(problem.shape)
    for n, axis in zip(problem.axes, along, strict=True):
        low, high = axis.span(0, axis.count)
        shape[n] = high - low
    found: Array | None = None
    for phases in itertools.product(*(axis.phases() for axis in along)):
        part = taps[tuple(phase.taps for phase in phases)]
        dilation = tuple(phase.dilation for phase in phases)
        sums = spread(problem, y, part, "full", dilation, max_memory)(y, workers=workers)
        if sums.dtype.kind == "i":
            sums = sums.astype(np.int64)
        places = [slice(None)] * len(shape)
        for n, phase in zip(problem.axes, phases, strict=True):
            places[n] = phase.places
        if sums.shape == tuple(shape):
            found = sums
        else:
            found = np.zeros(shape, sums.dtype) if found is None else found
            found[tuple(places)] = sums
    assert found is not None
    for n, axis, boundary in zip(problem.axes, along, problem.boundary, strict=True):
        if axis.start != 0 or found.shape[n] != axis.n:
            found = fold(found, n, axis.start, axis.n, boundary)
    return found


def dual_mode(problem: Problem) -> str | None:
    """Return the mode in which one plain convolution is the adjoint, if there is such a mode."""
    if set(problem.stride) != {1}:
        return None
    borders = set(problem.boundary)
    if problem.mode == "valid":
        return "full"
    if problem.mode == "same" and borders <= {"constant", "wrap"}:
        return "same"
    return "valid" if problem.mode == "full" and borders == {"constant"} else None


def spread(
    problem: Problem,
    y: Array,
    taps: Array,
    mode: str,
    dilation: tuple[int, ...],
    max_memory: int | None,
    boundary: Any = "constant",
    anchor: Any = None,
) -> Plan:
    """Return the plan that gives every output back to the samples under its taps."""
    options = Options(
        mode,
        boundary,
        anchor=anchor if mode == "same" else None,
        axes=problem.axes,
        dilation=dilation,
        tolerance=problem.tolerance if y.dtype.kind in "fc" else None,
        max_memory=max_memory,
    )
    return plan_for("convolve", y.shape, y.dtype, np.ascontiguousarray(taps), options)


def kernel_gradient(
    problem: Problem,
    x: Array,
    dy: Array,
    workers: int | None = None,
    max_memory: int | None = None,
) -> Array:
    """Return the gradient with respect to the kernel as it was given, before any conjugate.

    ``x`` and ``dy`` are floats or complex numbers. The sums go through transforms where that is
    predicted to cost less than one sum of products for each tap.
    """
    shape = problem.taps.shape
    dtype = np.result_type(x, dy)
    if dy.size == 0:
        return np.zeros(shape, dtype)
    laid = continued(problem, x, dtype)
    call = by_pipeline(problem, laid, dy, workers)
    rate = SECONDS if call is None else COMPILED / native.processors()
    sums = None
    if problem.taps.size > FEW:
        most = rate * dy.nbytes * problem.taps.size
        sums = by_transforms(problem, laid, dy.astype(dtype, copy=False), workers, max_memory, most)
    if sums is None and call is not None:
        sums = call()
    if sums is None:
        sums = by_products(problem, laid, dy)
    if problem.operation == "convolve":
        sums = np.flip(sums)
    return np.conj(sums) if problem.conjugate else sums


def continued(problem: Problem, x: Array, dtype: DType) -> Array:
    """Return the input from the first sample that a tap meets to the last, boundary laid around."""
    whole = blocks(problem.geometry, problem.boundary, whole=True)
    laying = Blocked(problem, whole, dtype, dtype)
    return laying.gather(laying.steps[0], x)


def by_pipeline(
    problem: Problem, laid: Array, dy: Array, workers: int | None
) -> Callable[[], Array | None] | None:
    """Return the call of a layer's pipeline that sums the products, where one takes them.

    It is the gradient of the kernel of a layer with one channel, all batches being its images.
    Images, and samples of a row, are summed one after the other, so that there may not be too many.
    Where a sum is NaN or infinite the call gives None, since there it may be of too many taps.
    """
    from faltung.layers import compiled, plain_sums
    from faltung.layers.problem import conv_problem

    space, shape = len(problem.axes), problem.taps.shape
    real = laid.dtype == dy.dtype and laid.dtype in (np.dtype("f4"), np.dtype("f8"))
    if not real or not 0 < space <= SPACE:
        return None
    images = [np.moveaxis(a, problem.axes, range(-space, 0)) for a in (laid, dy)]
    x, y = (a.reshape(-1, 1, *a.shape[a.ndim - space :]) for a in images)
    if max(y.shape[0], y.shape[-1]) > PIECE:
        return None
    layer = conv_problem(x.shape, (1, 1, *shape), problem.stride, problem.dilation)
    if not compiled.supported(layer, x.dtype):
        return None

    def call() -> Array | None:
        with native.own_workers(workers), plain_sums(), np.errstate(all="ignore"):
            sums = np.asarray(compiled.weight_gradient(layer, x, y)).reshape(shape)
        return sums if np.isfinite(sums).all() else None

    return call


def by_products(problem: Problem, laid: Array, dy: Array) -> Array:
    """Sum the products of ``dy`` with the samples under each tap; pieces of them in cache."""
    sums = np.zeros(problem.taps.shape, np.result_type(np.result_type(laid, dy), np.float64))
    letters = list(range(dy.ndim))
    real = laid.dtype.kind != "c"
    with np.errstate(all="ignore"):
        for piece in pieces(dy.shape, PIECE):
            part = dy[piece]
            for tap in np.ndindex(sums.shape):
                under = [slice(None)] * laid.ndim
                for n, axis, t in zip(problem.axes, problem.geometry, tap, strict=True):
                    under[n] = axis.laid(t)
                samples = laid[tuple(under)][piece]
                samples = samples if real else samples.conj()
                sums[tap] += np.einsum(samples, letters, part, letters, [])
    return sums.astype(np.result_type(laid, dy), copy=False)


def pieces(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Cut a shape into boxes of about ``most`` numbers, the last axes whole as far as they go."""
    inner, cut = 1, len(shape)
    while cut > 0 and inner * shape[cut - 1] <= most:
        cut -= 1
        inner *= shape[cut]
    if cut == 0:
        yield (slice(None),) * len(shape)
        return
    step = max(1, most // inner)
    for lead in np.ndindex(shape[: cut - 1]):
        outer = tuple(slice(i, i + 1) for i in lead)
        for first in range(0, shape[cut - 1], step):
            yield (*outer, slice(first, first + step), *(slice(None),) * (len(shape) - cut))


def by_transforms(
    problem: Problem,
    laid: Array,
    dy: Array,
    workers: int | None,
    max_memory: int | None,
    most: float,
) -> Array | None:
    """Correlate the continued input with ``dy`` by transforms; None from so many seconds on."""
    axes = tuple(range(laid.ndim))
    stride, dilation = [1] * laid.ndim, [1] * laid.ndim
    for n, axis in zip(problem.axes, problem.geometry, strict=True):
        stride[n], dilation[n] = axis.dilation, axis.stride  # exchanged
    options = Options(
        "valid", axes=axes, stride=tuple(stride), dilation=tuple(dilation),
        conjugate=True, tolerance=1.0, method="fft", max_memory=max_memory,
    )  # fmt: skip
    asked = build("correlate", laid.shape, laid.dtype, dy, options)
    try:
        plan = choose(asked)  # not kept: no two calls have the same dy
    except ValueError:
        return None
    if plan.cost(machine()).seconds > most:
        return None
    order = (*(n for n in axes if n not in problem.axes), *problem.axes)
    return np.conj(plan(laid, workers=workers).transpose(order).reshape(problem.taps.shape))
