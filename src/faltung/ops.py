"""The public operator: ``convolve``, ``correlate`` and ``plan``.

A call goes down in steps, and never back up: the arguments become a ``Problem`` (``problem``), its
geometry and dtypes are worked out (``geometry``, ``dtypes``), a method is chosen (``planner``), the
output is allocated, and the method runs. What comes before the output is looked up when it was
done before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from faltung.dtypes import Array, check_number, overlap, plain_array
from faltung.planner import Plan, plan_for
from faltung.problem import Default, Options, lengths, number_type

SAME, CONSTANT, RAISE, PROPAGATE = map(Default, ("same", "constant", "raise", "propagate"))
Ints = int | Sequence[int]


def convolve(
    x: Any,
    k: Any,
    *,
    mode: str = SAME,
    boundary: str | Sequence[str] = CONSTANT,
    fill_value: Any = 0,
    anchor: Ints | None = None,
    axes: Ints | None = None,
    stride: Ints = 1,
    dilation: Ints = 1,
    dtype: Any = None,
    overflow: str = RAISE,
    missing: str = PROPAGATE,
    weights: Any = None,
    tolerance: float | None = None,
    nonnegative: bool = False,
    method: str = "auto",
    max_memory: int | None = None,
    out: Array | None = None,
    workers: int | None = None,
    dialect: str | None = None,
) -> Array:
    """Convolve ``x`` with the kernel ``k``: ``y[i] = sum_j k[j] x[s*i + o + d*(a - j)]``.

    The kernel is flipped; :func:`correlate` does not flip it. ``a`` is the anchor, ``s`` the
    stride, ``d`` the dilation, and the mode gives the offset ``o``.

    Parameters
    ----------
    x : array_like
        Input of any shape: bool, integers, floats, complex numbers, or Python numbers.
    k : array_like or faltung.kernels.Kernel
        Kernel with one axis for each axis that is convolved over. A list or a named kernel takes
        the input's precision, an array keeps its own.
    mode : {"same", "full", "valid"}
        Which outputs: as many as inputs (n), all that any tap reaches (n + k - 1), or those whose
        taps all lie inside (n - k + 1).
    boundary : {"constant", "edge", "symmetric", "reflect", "wrap"}, or one per axis
        How ``x`` is continued beyond its ends, under :func:`numpy.pad`'s names.
    fill_value : number
        The value beyond the ends with ``boundary="constant"``.
    anchor : int or ints, optional
        The tap that lies on the output's position; by default a named kernel's own, else
        ``(k - 1) // 2``.
    axes : int or ints, optional
        The axes that are convolved over, by default the last ``k.ndim``; ``(0, 1)`` for a colour
        image (H, W, C). Every other axis is a batch axis.
    stride, dilation : int or ints
        Steps between outputs, and between taps.
    dtype : dtype, optional
        dtype of the result. By default floats promote as in NumPy; integers with integer taps give
        int32 or int64, whichever provably holds every sum; 8- and 16-bit integers with fractional
        taps give float32, other integers float64.
    overflow : {"raise", "saturate", "wrap"}
        What becomes of a sum that an integer ``dtype`` cannot hold. Rounding is half to even. NaN,
        which no integer holds, raises, or becomes 0.
    missing : {"propagate", "ignore"}
        NaN wherever a tap meets a NaN, or normalised convolution over the samples that are there:
        ``sum(k) * (k * (w x)) / (k * w)`` with ``w = 0`` for NaN and 1 otherwise (Knutsson and
        Westin, 1993), for kernels without negative taps. It is the average of what is there where
        the taps sum to 1, and NaN where nothing is. The fill value counts as a sample;
        ``fill_value=numpy.nan`` makes it missing, too.
    weights : array_like, optional
        The ``w`` of that formula, at least 0, broadcast to ``x``.
    tolerance : float, optional
        The error allowed, more than 0: ``|y - exact| <= tolerance * sum |k| * max |x|`` for every
        output, with the fill value counted in ``max |x|`` where a tap reaches it, and before a
        rounding to integers. Every method whose bound is below it may be used, "recursive" and
        noisier transforms among them; where none is, that is an error. Without a tolerance,
        methods are used whose errors are those of the sums themselves, or of transforms of the
        whole (see ``plan.error_unit``).
    nonnegative : bool
        Ask for a result that is never negative; kernel, input and fill value must not be either.
    method : str
        "auto", or the name of a method, as ``plan.explain()`` lists them: "direct", "separable",
        "sums", "sparse", "fused_fft", "fft", "recursive", "wide", "wide_fft" or "reference".
        Kernels over more than three axes of more than one tap go through "fft", "wide_fft" or
        "reference".
    max_memory : int, optional
        Bytes of scratch memory that the method may use besides input and output. A method that
        needs more is refused; where none is left, that is an error which says how many would do.
        By default 64 MB, or four times the bytes of input and output where that is more: as much
        as the transforms of a large input under a large kernel take.
    out : ndarray, optional
        Where the result goes; it must not overlap ``x``. Its dtype stands in for ``dtype``. After
        an error it may hold a part of the result.
    workers : int, optional
        Number of threads. The result has the same bits for any number.
    dialect : str, optional
        Follow another library's conventions, such as "cv2.filter2D"; see :mod:`faltung.dialects`.

    Returns
    -------
    ndarray
        Of the input's shape with the convolved axes replaced by their number of outputs.

    Raises
    ------
    ValueError, TypeError
        Where an argument is not allowed; the message says what is.
    OverflowError
        Where a result does not fit its dtype and ``overflow="raise"``.

    Examples
    --------
    >>> import faltung
    >>> faltung.convolve([0, 0, 3, 4, 5, 0], [1, 0, 0]).tolist()
    [0, 3, 4, 5, 0, 0]
    >>> faltung.convolve([1, 2, 3], [0.5, 0.5], mode="full").tolist()
    [0.5, 1.5, 2.5, 1.5]
    """
    options = Options(
        mode, boundary, fill_value, anchor, axes, stride, dilation, dtype, overflow, missing,
        weights is not None, tolerance, nonnegative, method, max_memory=max_memory,
    )  # fmt: skip
    return call("convolve", x, k, options, weights, out, workers, dialect)


def correlate(
    x: Any,
    k: Any,
    *,
    mode: str = SAME,
    boundary: str | Sequence[str] = CONSTANT,
    fill_value: Any = 0,
    anchor: Ints | None = None,
    axes: Ints | None = None,
    stride: Ints = 1,
    dilation: Ints = 1,
    dtype: Any = None,
    overflow: str = RAISE,
    missing: str = PROPAGATE,
    weights: Any = None,
    tolerance: float | None = None,
    nonnegative: bool = False,
    method: str = "auto",
    max_memory: int | None = None,
    out: Array | None = None,
    workers: int | None = None,
    dialect: str | None = None,
    conjugate: bool = False,
) -> Array:
    """Correlate ``x`` with the kernel ``k``: ``y[i] = sum_j k[j] x[s*i + o + d*(j - a)]``.

    The kernel is laid on the input as it is written, which is what the tables of image processing
    and the layers of neural networks mean.

    Parameters
    ----------
    x, k, mode, boundary, fill_value, anchor, axes, stride, dilation, dtype, overflow, missing, \
weights, tolerance, nonnegative, method, max_memory, out, workers, dialect
        As in :func:`convolve`.
    conjugate : bool
        Take the complex conjugate of the kernel.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError, OverflowError
        As in :func:`convolve`.

    Examples
    --------
    >>> import faltung
    >>> faltung.correlate([0, 0, 3, 4, 5, 0], [1, 0, 0]).tolist()
    [0, 0, 0, 3, 4, 5]
    """
    options = Options(
        mode, boundary, fill_value, anchor, axes, stride, dilation, dtype, overflow, missing,
        weights is not None, tolerance, nonnegative, method, conjugate, max_memory,
    )  # fmt: skip
    return call("correlate", x, k, options, weights, out, workers, dialect)


def call(
    operation: str,
    x: Any,
    k: Any,
    options: Options,
    weights: Any,
    out: Array | None,
    workers: int | None,
    dialect: str | None,
) -> Array:
    """Take the steps from arguments to result."""
    x = plain_array(x, "x")
    if dialect is not None:
        from faltung import dialects

        operation, x, k, options = dialects.translate(dialect, operation, x, k, options)
    if out is not None and options.dtype is None and isinstance(out, np.ndarray):
        options = options._replace(dtype=result_for(out, operation, x, k, options))
    plan = plan_for(operation, x.shape, x.dtype, k, options)
    if isinstance(k, np.ndarray) and out is not None and overlap(k, out):
        raise ValueError("out overlaps the kernel; give an array of its own, or out=None.")
    return plan(x, out=out, weights=weights, workers=workers)


def result_for(out: Array, operation: str, x: Array, k: Any, options: Options) -> Any:
    """Return the dtype of ``out`` where a result of its kind may go there without being asked.

    As NumPy's "same_kind" rule has it, floats do not become integers, nor complex numbers real.
    """
    natural = plan_for(operation, x.shape, x.dtype, k, options).dtype
    order = "biufcO"
    kinds = order.index(natural.kind), order.index(out.dtype.kind)
    if kinds[1] >= kinds[0] or {natural.kind, out.dtype.kind} <= set("iu"):
        return out.dtype
    raise TypeError(
        f"the result is {natural} and out is {out.dtype}; give an out of a kind that holds it, or "
        f"ask for the conversion with dtype={str(out.dtype)!r}."
    )


def plan(
    shape: Ints,
    dtype: Any = None,
    k: Any = None,
    *,
    operation: str = "convolve",
    mode: str = "same",
    boundary: str | Sequence[str] = "constant",
    fill_value: Any = 0,
    anchor: Ints | None = None,
    axes: Ints | None = None,
    stride: Ints = 1,
    dilation: Ints = 1,
    result_dtype: Any = None,
    overflow: str = "raise",
    missing: str = "propagate",
    weighted: bool = False,
    tolerance: float | None = None,
    nonnegative: bool = False,
    method: str = "auto",
    max_memory: int | None = None,
    conjugate: bool = False,
) -> Plan:
    """Plan a convolution for every input of one shape and dtype.

    It takes what :func:`convolve` takes, with the shape and the dtype of the inputs in the place
    of an input. So ``dtype`` is the input's here, and ``result_dtype`` what is ``dtype`` there.
    Plans have no ``dialect``: what another library does may depend on the numbers of an input.
    The same arguments give the same plan while it is kept; see :class:`plan_cache`.

    Parameters
    ----------
    shape : int or ints
        Shape of the inputs.
    dtype : dtype
        dtype of the inputs.
    k : array_like or faltung.kernels.Kernel
        The kernel. A list or a named kernel takes the inputs' precision, an array keeps its own.
    operation : {"convolve", "correlate"}
        Flip the kernel, or lay it as it is written.
    mode : {"same", "full", "valid"}
        Which outputs: as many as inputs, all that a tap reaches, or those whose taps lie inside.
    boundary : {"constant", "edge", "symmetric", "reflect", "wrap"}, or one per axis
        How inputs are continued beyond their ends, under :func:`numpy.pad`'s names.
    fill_value : number
        The value beyond the ends with ``boundary="constant"``.
    anchor : int or ints, optional
        The tap on the output's position; ``(k - 1) // 2`` by default.
    axes : int or ints, optional
        The axes that are convolved over, by default the last ``k.ndim``.
    stride, dilation : int or ints
        Steps between outputs, and between taps.
    result_dtype : dtype, optional
        dtype of the result; what ``dtype`` is in :func:`convolve`.
    overflow : {"raise", "saturate", "wrap"}
        What becomes of a sum that an integer result cannot hold.
    missing : {"propagate", "ignore"}
        NaN wherever a tap meets a NaN, or normalised convolution over what is there.
    weighted : bool
        Whether the plan will be called with ``weights``.
    tolerance : float, optional
        The error allowed, times ``sum |k| * max |x|``.
    nonnegative : bool
        Ask for a result that is never negative.
    method : str
        "auto", or the name of a method.
    max_memory : int, optional
        Bytes of scratch memory besides input and output; by default 64 MB, or four times input and
        output.
    conjugate : bool
        Take the complex conjugate of the kernel; of a correlation only.

    Returns
    -------
    Plan
        Call it with an input; print ``plan.explain()``; pickle it.

    Raises
    ------
    ValueError, TypeError
        As in :func:`convolve`.

    Examples
    --------
    >>> import faltung
    >>> smooth = faltung.plan((4, 6), "float32", [[0.25, 0.5, 0.25]], boundary="edge")
    >>> smooth.shape, smooth.dtype
    ((4, 6), dtype('float32'))
    >>> smooth([[0, 0, 4, 0, 0, 0]] * 4)[0].tolist()
    [0.0, 1.0, 2.0, 1.0, 0.0, 0.0]
    >>> smooth.cost().memory < 2**20, smooth.error_unit
    (True, '(|k| * |x|)')
    """
    options = Options(
        mode, boundary, fill_value, anchor, axes, stride, dilation, result_dtype, overflow,
        missing, weighted, tolerance, nonnegative, method, conjugate, max_memory,
    )  # fmt: skip
    sizes, x_dtype = lengths(shape), number_type(dtype, "the input's dtype")
    check_number(x_dtype, "the input")
    return plan_for(operation, sizes, x_dtype, k, options)
