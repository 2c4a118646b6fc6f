"""The definition of convolution and correlation, as loops over the two equations.

::

    convolve:   y[i] = sum_j k[j] x[s*i + o + d*(a - j)]
    correlate:  y[i] = sum_j k[j] x[s*i + o + d*(j - a)]

Slow and obviously right: the loop over the taps ``j`` is Python's, and for each tap NumPy looks up
the samples that lie under it for every output ``i``. Every other method is tested against this
one, and it serves where no compiled library is present. It takes any dtype, Python integers and
:class:`fractions.Fraction` in object arrays included.

Complex numbers are summed part by part: with a real kernel, ``Re y`` is the sum over ``Re x`` and
``Im y`` that over ``Im x``; with a real input, ``Re y`` is the sum with ``Re k`` and ``Im y`` that
with ``Im k``; of two complex numbers all four products are summed, ``Re k Re x - Im k Im x`` and
``Re k Im x + Im k Re x``, those with a part of zero among them. So what is infinite or NaN stays in
its part where one side is real, and where both are complex a part of zero times infinity is NaN,
whichever method computes it. (NumPy's own product ``1.0 * (inf + 0j)`` has a NaN in it.) Numbers
are real or complex by their dtype, whatever their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from faltung.boundary import FILL, index_map
from faltung.dtypes import Array, convert, data_bound, holds, plain_array
from faltung.problem import Options, Problem, build

__all__ = ["convolve", "correlate"]


def convolve(x: Any, k: Any, **options: Any) -> Array:
    """Convolve by the definition; the options are those of :func:`faltung.convolve`.

    Parameters
    ----------
    x, k : array_like
        Input and kernel, of any number of axes and any dtype.
    **options
        ``mode``, ``boundary``, ``fill_value``, ``anchor``, ``axes``, ``stride``, ``dilation``,
        ``dtype`` and ``overflow``.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError, OverflowError
        As :func:`faltung.convolve` does.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import numpy as np
    >>> import faltung
    >>> third = Fraction(1, 3)
    >>> x = np.array([3, 6, 9], dtype=object)
    >>> faltung.reference.convolve(x, [third, third, third]).tolist()
    [Fraction(3, 1), Fraction(6, 1), Fraction(5, 1)]
    """
    return _call("convolve", x, k, options)


def correlate(x: Any, k: Any, **options: Any) -> Array:
    """Correlate by the definition; see :func:`convolve`.

    Examples
    --------
    >>> import faltung
    >>> faltung.reference.correlate([0, 0, 3, 4, 5, 0], [1, 0, 0]).tolist()
    [0, 0, 0, 3, 4, 5]
    """
    return _call("correlate", x, k, options)


def _call(operation: str, x: Any, k: Any, options: dict[str, Any]) -> Array:
    x = plain_array(x, "x")
    problem = build(operation, x.shape, x.dtype, k, Options(**options))
    if problem.normalised:
        raise ValueError("the definition has no missing or weighted samples; leave them out.")
    accumulator = problem.arithmetic.accumulator
    if problem.arithmetic.exact:
        accumulator = exact_accumulator(problem, x)
    sums = evaluate(problem, x, accumulator)
    return convert(sums, problem.result_dtype, problem.arithmetic.overflow)


def exact_accumulator(problem: Problem, x: Array) -> str:
    """Return int64 where the sums of this input provably fit, else Python integers."""
    bound = problem.arithmetic.bound
    assert bound is not None
    int64 = np.dtype(np.int64)
    # sums modulo 2**64 are enough for integers that wrap, not for floats, which hold the sums
    wraps = problem.arithmetic.overflow == "wrap" and problem.result_dtype.kind in "biu"
    if holds(int64, bound) or wraps or x.size == 0:
        return "int64"
    ends = int(x.min()), int(x.max())
    fill = problem.fill_value
    bound = data_bound(problem.taps.array, min(*ends, fill), max(*ends, fill))
    return "int64" if holds(int64, bound) else "object"


def evaluate(
    problem: Problem,
    x: Array,
    accumulator: Any,
    ends: Sequence[tuple[int, int]] | None = None,
) -> Array:
    """Return the sums of the definition in the dtype ``accumulator``.

    ``ends`` limits the outputs along each convolved axis to a range (first, stop), and ``x`` may
    be a part of the batch axes.
    """
    ends = ends or [(0, along.count) for along in problem.geometry]
    ranges = [np.arange(*pair) for pair in ends]
    shape = list(x.shape)
    for axis, i in zip(problem.axes, ranges, strict=True):
        shape[axis] = len(i)
    y = np.zeros(shape, accumulator)
    if y.size == 0:
        return y
    k = problem.taps.array.astype(accumulator)
    is_complex = x.dtype.kind == "c", problem.taps.array.dtype.kind == "c"
    sign = -1 if problem.operation == "convolve" else 1
    # an axis that is cut short goes first: what is looked up next is less
    order = sorted(range(len(ranges)), key=lambda n: len(ranges[n]) / x.shape[problem.axes[n]])
    with np.errstate(all="ignore"):
        for j in np.ndindex(k.shape):
            value = x
            outside = np.zeros((1,) * x.ndim, bool)
            for n in order:
                axis = problem.axes[n]
                s, o, a = problem.stride[n], problem.geometry[n].offset, problem.anchor[n]
                positions = s * ranges[n] + o + sign * problem.dilation[n] * (j[n] - a)
                indices = index_map(positions, x.shape[axis], problem.boundary[n])
                value = value.take(indices, axis)  # FILL takes some sample, replaced below
                along = [1] * x.ndim
                along[axis] = -1
                outside = outside | (indices == FILL).reshape(along)
            value = np.where(outside, np.asarray(problem.fill_value, x.dtype), value)
            add_product(y, k[j], value.astype(accumulator), *is_complex)
    return y


def add_product(y: Array, tap: Any, value: Array, x_complex: bool, k_complex: bool) -> None:
    """Add a tap times a value; complex numbers part by part, of which real ones have but one."""
    if y.dtype.kind != "c":
        y += tap * value
        return
    y.real += tap.real * value.real
    if x_complex:
        y.imag += tap.real * value.imag
    if k_complex:
        y.imag += tap.imag * value.real
    if x_complex and k_complex:
        y.real -= tap.imag * value.imag
