"""Gradients of the operator: ``vjp`` gives a result and what takes its gradient back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung import normalised
from faltung.adjoint import adjoint, kernel_gradient
from faltung.dtypes import Array, DType, overlap, plain_array
from faltung.ops import result_for
from faltung.planner import choose, plan_for
from faltung.problem import Options, Problem, kernel_array

Ints = int | Sequence[int]


@dataclass(frozen=True, eq=False, repr=False)
class Pullback:
    """What takes the gradient of a result back to the arguments; made by :func:`vjp`.

    Call it as ``pullback(dy)``, as often as wished; see :func:`vjp`.

    Attributes
    ----------
    problem : Problem
        What was computed.
    dtypes : dict
        dtypes of the gradients by argument.
    """

    problem: Problem
    dtypes: dict[str, DType]
    x: Array
    y: Array
    weights: Array | None
    limits: tuple[int | None, int | None]  # threads, and scratch of each convolution

    def __repr__(self) -> str:
        names = ", ".join(self.dtypes)
        return f"<pullback of {self.y.dtype} {self.y.shape} to {names}>"

    def __call__(self, dy: Any, wrt: str | Sequence[str] | None = None) -> Any:
        """Return the gradients with respect to ``wrt``.

        Parameters
        ----------
        dy : array_like
            Gradient with respect to the result, of its shape.
        wrt : {"x", "k", "weights"} or a sequence of them, optional
            What to compute the gradients of; by default all arguments of the call.

        Returns
        -------
        tuple of ndarray, or ndarray
            One for each name in ``wrt``, in its order; not in a tuple where ``wrt`` is one name.

        Raises
        ------
        ValueError, TypeError
            Where ``dy`` does not go with the result, or ``wrt`` names something else.

        Examples
        --------
        >>> import faltung
        >>> y, pullback = faltung.vjp([1.0, 2.0, 3.0], [1.0, 0.0, -1.0], mode="valid")
        >>> pullback([1.0], wrt="k").tolist()
        [3.0, 2.0, 1.0]
        """
        names: tuple[Any, ...] = tuple(self.dtypes) if wrt is None else (wrt,)
        if isinstance(wrt, (list, tuple)):
            names = tuple(wrt)
        for name in names:
            if not isinstance(name, str) or name not in self.dtypes:
                hint = "; the call had no weights" if name == "weights" else ""
                raise ValueError(f"wrt={wrt!r} is not allowed{hint}; use {', '.join(self.dtypes)}.")
        given = self._checked(dy)
        find = self._normalised if self.problem.normalised else self._plain
        found = find(given, names)
        ready = tuple(narrowed(found[name], self.dtypes[name]) for name in names)
        return ready[0] if isinstance(wrt, str) else ready

    def _checked(self, dy: Any) -> Array:
        given = plain_array(dy, "dy")
        if given.shape != self.y.shape:
            raise ValueError(
                f"dy has shape {given.shape} and the result {self.y.shape}; give the gradient with "
                "respect to every number of the result."
            )
        if given.dtype.kind not in "biufc" or (given.dtype.kind, self.y.dtype.kind) == ("c", "f"):
            raise TypeError(
                f"dy is {given.dtype} and the result {self.y.dtype}; give a gradient of its kind."
            )
        return given.astype(precision_of(self.problem), copy=False)

    def _plain(self, dy: Array, names: Sequence[str]) -> dict[str, Array]:
        found = {}
        if "x" in names:
            found["x"] = adjoint(self.problem, dy, *self.limits)
        if "k" in names:
            x = self.x.astype(np.result_type(self.x, dy.real.dtype), copy=False)
            found["k"] = kernel_gradient(self.problem, x, dy, *self.limits)
        return found

    def _normalised(self, dy: Array, names: Sequence[str]) -> dict[str, Array]:
        """Differentiate ``y = S N / M``: the sum of taps, the weighed sums, and the mass."""
        problem = self.problem
        sums, mass = normalised.split(problem)
        precision, real = np.dtype(sums.dtype), np.dtype(mass.dtype)
        w = normalised.checked_weights(self.weights, problem.shape, real)
        missing = np.zeros(problem.shape, bool)
        if problem.missing == "ignore" and self.x.dtype.kind in "fc":
            missing = np.isnan(self.x)
            w[missing] = 0
        there = np.where(missing, 0, self.x).astype(precision)
        whole = choose(mass)(w, workers=self.limits[0])
        total = problem.taps.absolute_sum
        held = whole > 0  # elsewhere the result is NaN, whatever the arguments
        with np.errstate(all="ignore"):
            over_n = np.where(held, dy * (real.type(total) / whole), 0).astype(precision)
            agreeing = np.where(held, (np.conj(self.y) * dy).real, 0)
            over_m = np.where(held, agreeing / whole, 0).astype(real)
        found = {}
        if {"x", "weights"} & set(names):
            back = adjoint(sums, over_n, *self.limits)
            found["x"] = back * w
            if "weights" in names:
                change = (np.conj(there) * back).real - adjoint(mass, over_m, *self.limits)
                change[missing] = 0
                assert self.weights is not None
                found["weights"] = summed_to(change, self.weights.shape)
        if "k" in names:
            weighed = np.where(w == 0, 0, there * w).astype(precision)
            k = kernel_gradient(sums, weighed, over_n, *self.limits).real
            k = k - kernel_gradient(mass, w, over_m, *self.limits)
            found["k"] = k + (agreeing.sum() / total if total else 0)
        return found


def vjp(
    x: Any,
    k: Any,
    *,
    operation: str = "convolve",
    mode: str = "same",
    boundary: str | Sequence[str] = "constant",
    fill_value: Any = 0,
    anchor: Ints | None = None,
    axes: Ints | None = None,
    stride: Ints = 1,
    dilation: Ints = 1,
    dtype: Any = None,
    missing: str = "propagate",
    weights: Any = None,
    tolerance: float | None = None,
    nonnegative: bool = False,
    method: str = "auto",
    max_memory: int | None = None,
    out: Array | None = None,
    conjugate: bool = False,
    workers: int | None = None,
) -> tuple[Array, Pullback]:
    """Convolve, and return the result with the function that takes its gradient back.

    ``vjp`` is a vector-Jacobian product: with a loss L and ``dy`` its gradient with respect to
    the result, ``pullback(dy)`` gives its gradients with respect to the input, the kernel and the
    weights. They are convolutions, too, and the planner chooses how each is computed.

    Parameters
    ----------
    x : array_like
        Input, as for :func:`convolve`. Integers are taken where the result is a float.
    k : array_like or faltung.kernels.Kernel
        Kernel.
    operation : {"convolve", "correlate"}
        Flip the kernel, or lay it as it is written.
    mode, boundary, fill_value, anchor, axes, stride, dilation, missing, weights, tolerance
        As in :func:`convolve`. A ``tolerance`` holds for the gradient with respect to the input
        as well, with ``dy`` in the place of ``x``.
    dtype : dtype, optional
        dtype of the result, a float or complex one; the gradients keep those of their arguments.
    nonnegative, method
        As in :func:`convolve`, of the result. How each gradient is computed is chosen for it.
    max_memory : int, optional
        Scratch of the result's convolution, and of each that a gradient is made of, in bytes; the
        input as it is continued beyond its ends, and copies of it, come to these.
    out : ndarray, optional
        Where to write the result; it must not overlap ``x``, which the pullback needs.
    conjugate : bool
        Take the complex conjugate of the kernel; of a correlation only.
    workers : int, optional
        Number of threads, of the pullback too.

    Returns
    -------
    y : ndarray
        What :func:`convolve` or :func:`correlate` gives.
    pullback : Pullback
        ``pullback(dy)`` gives the tuple of gradients with respect to x, k and, where there are
        any, weights; ``pullback(dy, wrt="k")`` only that one, at no cost for the others. Each has
        its argument's shape; the kernel's sums over all batches. Of complex numbers the gradient
        is ``dL/dRe + i dL/dIm`` of a real loss, in ``dy`` as in the results, which is twice
        Wirtinger's derivative with respect to the conjugate (PyTorch has the same convention);
        a real argument of a complex result gets the real part. With ``missing="propagate"`` a NaN
        in ``x`` makes every tap's gradient NaN that meets it. A sample that is missing has the
        gradient 0, and so has what an output NaN for lack of samples depends on. With missing or
        weighted samples the taps are not negative, and the gradient of a tap of 0 is that of its
        increase. A pullback keeps ``x`` and ``y``: do not change them in between.

    Raises
    ------
    ValueError, TypeError
        As :func:`convolve` does, where the result is no float or complex number (exact integers
        have no gradient), and where ``out`` overlaps an argument.

    Examples
    --------
    >>> import numpy as np
    >>> import faltung
    >>> x, k = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.5])
    >>> y, pullback = faltung.vjp(x, k, mode="valid")
    >>> y.tolist()
    [1.5, 3.0]
    >>> dx, dk = pullback(2 * (y - [1.0, 1.0]))  # the loss is the sum of squared differences
    >>> dx.tolist(), dk.tolist()
    ([0.5, 2.5, 2.0], [18.0, 9.0])
    """
    x = plain_array(x, "x")
    options = Options(
        mode, boundary, fill_value, anchor, axes, stride, dilation, dtype, missing=missing,
        weighted=weights is not None, tolerance=tolerance, nonnegative=nonnegative, method=method,
        conjugate=conjugate, max_memory=max_memory,
    )  # fmt: skip
    if isinstance(out, np.ndarray):
        for name, array in (("x", x), ("k", k), ("weights", weights)):
            if isinstance(array, np.ndarray) and overlap(array, out):
                raise ValueError(f"out overlaps {name}; the pullback needs that as it is.")
        if dtype is None:
            options = options._replace(dtype=result_for(out, operation, x, k, options))
    plan = plan_for(operation, x.shape, x.dtype, k, options)
    problem = plan.problem
    if problem.result_dtype.kind not in "fc":
        raise TypeError(
            f"the result is {problem.result_dtype}, which has no gradient; give floats, as with "
            "x.astype(float)."
        )
    y = plan(x, out=out, weights=weights, workers=workers)
    precision = precision_of(problem)
    taps = kernel_array(k)[0].dtype
    dtypes = {"x": gradient_dtype(x.dtype, precision)}
    dtypes["k"] = gradient_dtype(taps if taps.kind in "fc" else np.dtype(bool), precision)
    given = None
    if weights is not None:
        given = plain_array(weights, "weights")
        dtypes["weights"] = gradient_dtype(given.dtype, precision)
    return y, Pullback(problem, dtypes, x, y, given, (workers, max_memory))


def precision_of(problem: Problem) -> DType:
    """Return the dtype that the gradients are computed in: that of the sums."""
    return np.dtype(problem.arithmetic.accumulator)


def gradient_dtype(dtype: DType, precision: DType) -> DType:
    """Return the dtype of an argument's gradient: its own; the computation's for an integer."""
    if dtype.kind in "fc":
        return dtype.newbyteorder("=")
    return np.empty(0, precision).real.dtype


def narrowed(gradient: Array, dtype: DType) -> Array:
    """Return a gradient in its argument's dtype, which for a real one is the real part."""
    part = gradient if dtype.kind == "c" else gradient.real
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(part, dtype)


def summed_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum the gradient of a broadcast array to the shape that it had before."""
    more = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(more)))
    stretched = tuple(n for n, size in enumerate(shape) if size == 1)
    return np.asarray(gradient.sum(axis=stretched, keepdims=True))
