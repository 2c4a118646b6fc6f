"""Gaussian kernels within a tolerance, at a cost that does not grow with sigma.

The stages are those of :mod:`faltung.decimation`, along one axis or two: blur and decimate, smooth
the coarse grid, interpolate. It is taken only where the call gives a tolerance, which means ::

    |y - exact| <= tolerance * sum |k| * max |x|

where ``max |x|`` is over the samples, and the fill value where it is reached, before a rounding
to integers. What it states is computed for the kernel given: the greatest distance of the taps
that are applied from those that are wanted, over every position of an output on the coarse grid,
and a bound of all roundings. (Below the normal range of floats a rounding is absolute, as always.)

Boundaries are index maps along each axis. A window that reaches further than the kernel sees the
nearest sample again that the kernel does reach, so that nothing else counts. An infinite or NaN
sample would spoil its whole surroundings: such samples are taken out, and the outputs whose box of
taps holds one, which every tap being positive are not finite, are written by what they hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from faltung import native
from faltung.coarse import SCRATCH, Planes
from faltung.compiled import Route, route
from faltung.decimation import Stages, best, rounding
from faltung.dtypes import Array
from faltung.machine import Machine
from faltung.methods import Cost, Run, Verdict
from faltung.problem import Problem

NAME = "recursive"
FAMILIES = ("decimate", "interpolate", "transpose", "direct")
FITS = 1e-5  # the share of a kernel that may differ from the Gaussian fitted to it

LEAST = 1e-20  # the kernel's sum, so that no weight leaves the normal range of float32

ERROR_UNIT = "sum |k| * max |x|"  # other methods bound each output by |k| * |x| there


# ---- which kernels ---------------------------------------------------------------------------


def factors(taps: Array) -> list[Array]:
    """Return the sums along all other axes, each divided by the whole sum, in float64."""
    wide = taps.astype(float)
    total = wide.sum()
    axes = range(taps.ndim)
    return [wide.sum(tuple(a for a in axes if a != axis)) / total for axis in axes]


def rest(taps: Array) -> float:
    """Return how far taps are from the product of their :func:`factors`, over their sum."""
    wide = taps.astype(float)
    outer = np.ones(())
    for factor in factors(taps):
        outer = np.multiply.outer(outer, factor)
    return float(np.abs(wide / wide.sum() - outer).sum())


def sigma_of(factor: Array) -> float | None:
    """Return the sigma of a sampled Gaussian, 0 for a single tap, None for anything else.

    The logarithms of the taps are fitted by a parabola, weighted by the taps (Guo, 2011).
    """
    if factor.size == 1:
        return 0.0
    if factor.size < 3:
        return None
    at = np.arange(factor.size) - (factor.size - 1) / 2
    parabola = np.polynomial.Polynomial.fit(at, np.log(factor), 2, w=factor)
    bend = float(parabola.convert().coef[2]) if parabola.degree() == 2 else 0.0
    flat = -0.5 / (4 * factor.size) ** 2  # flatter ones are all but a box
    if bend > flat or not np.abs(np.exp(parabola(at)) - factor).sum() <= FITS:
        return None
    return math.sqrt(-0.5 / bend)


def gaussian_sigmas(taps: Array) -> tuple[float, ...] | None:
    """Return the sigma along each axis of a separable Gaussian kernel, None for any other.

    Parameters
    ----------
    taps : ndarray
        Cut off anywhere and of any positive sum; all taps must be positive.

    Returns
    -------
    tuple of float or None
        In taps; 0 along an axis of one tap.

    Examples
    --------
    >>> k = np.exp(-np.arange(-9, 10) ** 2 / 18)
    >>> gaussian_sigmas(k / k.sum())
    (3.0,)
    >>> gaussian_sigmas(np.ones(5))
    """
    if taps.dtype.kind not in "iuf" or not taps.size or not np.isfinite(taps).all():
        return None
    if not (taps > 0).all() or rest(taps) > FITS:
        return None
    sigmas = [sigma_of(factor) for factor in factors(taps)]
    if any(sigma is None for sigma in sigmas):
        return None
    return tuple(round(sigma, 9) for sigma in sigmas if sigma is not None)


@dataclass(frozen=True, eq=False)
class Design:
    """What a problem is computed with: the stages of each axis of the input, and the bound."""

    stages: dict[int, Stages]
    sigmas: tuple[float, ...]
    bound: float


designs: WeakKeyDictionary[Problem, Design | str] = WeakKeyDictionary()


def design(problem: Problem) -> Design | str:
    """Return what a problem is computed with, or why it is refused; kept while the problem is."""
    known = designs.get(problem)
    if known is None:
        known = designs[problem] = new_design(problem)
    return known


def reason(problem: Problem) -> str | None:
    """Return why no tolerance would let the method take a problem; None where one would."""
    found = route(problem)
    if isinstance(found, str):
        return found
    if problem.arithmetic.exact or np.dtype(problem.dtype).kind not in "iuf":
        return "it computes in real floating point"
    if set(problem.stride + problem.dilation) != {1}:
        return "stride and dilation must be 1"
    spanned = sum(taps > 1 for taps in problem.taps.shape)
    if spanned == 0:
        return "the kernel has a single tap"
    if spanned > 2:
        return f"the kernel spans {spanned} axes and not one or two"
    if gaussian_sigmas(problem.taps.array) is None:
        return "the kernel is no Gaussian"
    if not LEAST < problem.taps.array.astype(float).sum() < 1 / LEAST:
        return "the kernel's sum is too far from 1"
    return None


def new_design(problem: Problem) -> Design | str:
    """Return the stages that keep within the tolerance, or why there are none."""
    if problem.tolerance is None:
        return "the call gives no tolerance"
    why, found = reason(problem), route(problem)
    if why is not None:
        return why
    sigmas = gaussian_sigmas(problem.taps.array)
    assert isinstance(found, Route)
    assert sigmas is not None
    spanned = [n for n, taps in enumerate(problem.taps.shape) if taps > 1]
    taps = problem.correlation_taps
    unfactored = rest(taps)
    each = (0.98 * problem.tolerance - unfactored) / len(spanned)
    stages = {}
    for n in spanned:
        data = factors(taps)[n].tobytes()
        fitting = best(data, sigmas[n], found.accumulator, each) if each > 0 else None
        if fitting is None:
            return (
                f"no coarse grid for sigma {sigmas[n]:.4g} is within the tolerance of "
                f"{problem.tolerance:.2g} * {ERROR_UNIT}"
            )
        stages[problem.axes[n]] = fitting
    bound = unfactored + math.prod(1 + s.error for s in stages.values()) - 1
    bound += rounding(tuple(stages.values()), found.accumulator)
    result = problem.result_dtype
    if result.kind in "fc" and result != found.accumulator:
        bound += (1 + bound) * float(np.finfo(result).eps) / 2
    if bound > problem.tolerance:
        return (
            f"its bound of {bound:.3g} * {ERROR_UNIT} is above the tolerance of "
            f"{problem.tolerance:.3g}"
        )
    return Design(stages, sigmas, bound)


# ---- the method ------------------------------------------------------------------------------


def supports(problem: Problem) -> Verdict:
    """Gaussian kernels along one axis or two, where the stated bound is below the tolerance."""
    if problem.tolerance is None:
        return Verdict(False, "the call gives no tolerance")
    if not all(native.variants(family) for family in FAMILIES):
        return Verdict(False, "the compiled library is not there")
    found = design(problem)
    if isinstance(found, str):
        return Verdict(False, found)
    sigmas = " x ".join(f"{sigma:.4g}" for sigma in found.sigmas)
    steps = " x ".join(str(found.stages[axis].factor) for axis in sorted(found.stages))
    return Verdict(
        True,
        f"Gaussian of sigma {sigmas}, on a grid coarser by {steps}; {native.describe()}",
    )


def cost(problem: Problem, machine: Machine) -> Cost:
    """Input and output pass once, what lies between them, and a call for each stage."""
    found = design(problem)
    if isinstance(found, str):
        return Cost(math.inf, 0)
    samples = max(math.prod(problem.shape), math.prod(problem.result_shape))
    size = np.dtype(problem.arithmetic.accumulator).itemsize
    axes = len(found.stages)
    work = sum(s.work for s in found.stages.values()) / axes * samples * size / 4
    # the output's memory is read before it is written; rows and single lines are also transposed
    last = max(found.stages) == len(problem.shape) - 1
    passes = 3 if axes == 2 or not last else 9 if len(problem.shape) > 1 else 11
    traffic = passes * samples * size / machine.bandwidth
    planes = math.prod(n for a, n in enumerate(problem.shape) if a not in found.stages)
    blocks = 1 + samples * size // (SCRATCH if axes == 2 else SCRATCH // 16)
    calls = 9 * max(blocks, planes if axes == 2 else 1)
    seconds = max(work / machine.multiply_adds / native.processors(), traffic)
    return Cost(seconds + calls * 2 * machine.call, 2 * SCRATCH)


def error_bound(problem: Problem) -> float:
    """Return the factor of ``sum |k| * max |x|``; unlike other methods', not output by output."""
    found = design(problem)
    return math.inf if isinstance(found, str) else found.bound


def prepare(problem: Problem) -> Run:
    """Return the loop over planes and blocks."""
    found, types = design(problem), route(problem)
    assert isinstance(found, Design)
    assert isinstance(types, Route)
    return Planes(problem, found.stages, types)
