"""Normalised convolution: sums over the samples that are there, by their weights.

With weights ``w`` (0 where a sample is missing) the result is ::

    y = (k * (w x)) / (|k| * w) * sum |k|

so that it is the plain convolution where every weight is 1, the weighted average of what is there
for an averaging kernel, and NaN where nothing is (Knutsson and Westin, 1993). Beyond the ends, the
fill value and the continued samples count like any other.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from faltung.dtypes import Arithmetic, Array, DType, convert, plain_array
from faltung.machine import Machine
from faltung.methods import Cost, Run
from faltung.problem import Problem, Taps

WEIGHING, DIVIDING = 4, 3  # arrays that NumPy goes through, of samples and of results
MOST = 1e18  # of weights: their sums stay within float32


def split(problem: Problem) -> tuple[Problem, Problem]:
    """Return the two plain problems: of the weighed samples, and of their weights."""
    precision = np.dtype(problem.arithmetic.accumulator)
    real = real_part(precision)
    unknown = missing_fill(problem)
    magnitudes = Taps.of(np.abs(problem.taps.array).astype(real))
    taps = Taps.of(problem.taps.array.astype(precision))
    sums = plain(problem, precision, taps, 0 if unknown else problem.fill_value)
    return sums, plain(problem, real, magnitudes, 0 if unknown else 1)


def plain(problem: Problem, dtype: DType, taps: Taps, fill_value: Any) -> Problem:
    """Return the same geometry as a plain problem on floats."""
    return replace(
        problem,
        dtype=dtype.name,
        taps=taps,
        fill_value=fill_value,
        arithmetic=Arithmetic(dtype.name, dtype.name),
        missing="propagate",
        weighted=False,
        nonnegative=True,  # of methods with noise: the quotient of two zeros must stay one
        tolerance=None,  # of the quotient, which small errors of a small mass could exceed
        max_memory=max(1, problem.max_memory - extra_bytes(problem)),
    )


def extra(problem: Problem, machine: Machine) -> Cost:
    """Return what comes to the two sums: weighing the samples, and dividing."""
    precision = np.dtype(problem.arithmetic.accumulator)
    x, y = math.prod(problem.shape), math.prod(problem.result_shape)
    moved = (WEIGHING * x + DIVIDING * y) * precision.itemsize
    return Cost(moved / machine.copy + machine.numpy_call / 2, extra_bytes(problem))


def extra_bytes(problem: Problem) -> int:
    """Return the scratch besides that of the two sums: weights, weighed samples, mass, quotient."""
    precision = np.dtype(problem.arithmetic.accumulator)
    p, r = precision.itemsize, real_part(precision).itemsize
    x, y = math.prod(problem.shape), math.prod(problem.result_shape)
    given = 8 * x if problem.weighted else 0  # the weights as they are checked
    narrowed = 0 if problem.result_dtype == precision else p + problem.result_dtype.itemsize
    return max((r + 1) * x + given, (r + p + 1) * x, r * x + (r + 1) * y) + narrowed * y


def real_part(dtype: DType) -> DType:
    """Return the dtype of a complex dtype's real part, and any other dtype as it is."""
    return np.empty(0, dtype).real.dtype


def missing_fill(problem: Problem) -> bool:
    """Whether the fill value itself counts as missing."""
    return problem.missing == "ignore" and bool(np.isnan(problem.fill_value))


def run(
    problem: Problem,
    runs: tuple[Run, Run],
    x: Array,
    weights: Any,
    out: Array,
    workers: int,
) -> None:
    """Compute a problem with missing or weighted samples into ``out``.

    ``runs`` computes the two problems of :func:`split`.

    Raises
    ------
    ValueError
        Where the weights are negative, infinite, no numbers or of another shape.
    """
    precision = np.dtype(problem.arithmetic.accumulator)
    real = real_part(precision)
    w = checked_weights(weights, x.shape, real)
    if problem.missing == "ignore" and x.dtype.kind in "fc":
        w[np.isnan(x)] = 0
    # into the output where that has the dtype of the sums
    numerator = out if out.dtype == precision else np.empty(out.shape, precision)
    with np.errstate(all="ignore"):
        weighed = np.empty(x.shape, precision)
        np.multiply(x, w, out=weighed, casting="unsafe")
        weighed[w == 0] = 0
        runs[0](weighed, numerator, workers)
        del weighed  # its memory is that of the mass
        mass = np.empty(out.shape, real)
        runs[1](w, mass, workers)
        mass[mass <= 0] = np.nan  # nothing is there
        # in this order: both are tiny where little of the weight is there, their quotient is not
        numerator /= mass
        numerator *= real.type(problem.taps.absolute_sum)
    if numerator is not out:
        out[...] = convert(numerator, out.dtype, problem.arithmetic.overflow)


def checked_weights(weights: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the weights broadcast to the input's shape."""
    if weights is None:
        return np.ones(shape, dtype)
    given = plain_array(weights, "weights")
    try:
        if given.dtype.kind not in "biuf":
            raise TypeError
        w = np.broadcast_to(given.astype(np.result_type(given, np.float64)), shape)
    except (ValueError, TypeError):
        raise ValueError(
            f"weights of shape {given.shape} and dtype {given.dtype} do not go with an input of "
            f"shape {shape}; give one real weight per sample."
        ) from None
    if not (w >= 0).all() or np.isinf(w).any():
        raise ValueError("weights must be finite and at least 0; 0 marks a missing sample.")
    if not MOST**-1 <= w.max(initial=0) <= MOST and w.any():
        raise ValueError(f"the greatest weight must lie between {MOST**-1:g} and {MOST:g}.")
    return w.astype(dtype)
