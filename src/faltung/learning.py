"""Learning a kernel: the filter between signals, images or volumes before and after it.

The result of a convolution is linear in the taps, ``after = D k``, with a row of the samples under
the taps for each output, so that the kernel is the solution of a least squares problem. Its
closed form goes through the triangular factor of D (Golub and Van Loan, 2013, 5.3), made block
by block, so that neither D is held nor its condition squared; the other way is conjugate gradients
(CGLS: Hestenes and Stiefel, 1952) through the operator and its pullback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.adjoint import continued, kernel_gradient
from faltung.dtypes import Array, plain_array
from faltung.planner import plan_for
from faltung.problem import Options, Problem, build, per_axis

if TYPE_CHECKING:
    from faltung.kernels import Near

Ints = int | Sequence[int]
METHODS = ("closed", "gradient")
BLOCK = 1 << 20  # numbers of a block of rows, where four times the taps squared are not more
ERRORS = 1024  # taps: the errors of more are not worth their time beside conjugate gradients


@dataclass(frozen=True, eq=False, repr=False)
class Learnt:
    """A kernel that :func:`learn_kernel` found.

    Attributes
    ----------
    kernel : ndarray
        The taps, float64 or complex128.
    standard_error : ndarray, optional
        Of each tap, where the noise of ``after`` is independent with one variance; that of the
        bias which ``ridge`` brings is not in it. None where it was not computed, or there are no
        more outputs than taps.
    noise : float
        Standard deviation of what the kernel leaves of ``after``: the root of the sum of squares
        over the number of outputs less that of taps.
    residual : float
        Norm of what is left, relative to ``after``.
    condition : float, optional
        The greatest over the least singular value of the least squares problem, without the
        ridge: errors relative to ``after`` may come that many times greater into the taps. None
        where it was not computed.
    samples : int
        Number of outputs that were used.
    left_out : int
        Number of those that were not: at the limits, or touched by an unknown boundary.
    iterations : int
        Of conjugate gradients; 0 for the closed form.
    converged : bool
        Whether conjugate gradients came to their tolerance; True for the closed form.
    operation : str
        Which of the two the kernel is for.
    """

    kernel: Array
    standard_error: Array | None
    noise: float
    residual: float
    condition: float | None
    samples: int
    left_out: int
    iterations: int
    converged: bool
    operation: str

    @cached_property
    def nearest(self) -> Near | None:
        """The named kernel most like the taps as they are written.

        None of volumes, complex taps, and zeros.
        """
        from faltung import kernels

        plain = self.kernel.dtype.kind == "f" and self.kernel.ndim <= 2
        if not plain or not np.isfinite(self.kernel).all() or not self.kernel.any():
            return None
        return kernels.nearest(self.kernel, 1)[0]

    def __repr__(self) -> str:
        size = "x".join(map(str, self.kernel.shape))
        parts = [f"{size} kernel from {self.samples:,} samples", f"residual {self.residual:.2g}"]
        if not self.converged:
            parts.append(f"not converged after {self.iterations} iterations")
        if self.standard_error is not None:
            parts.append(f"standard errors up to {self.standard_error.max():.2g}")
        if self.condition is not None:
            parts.append(f"condition {self.condition:.3g}")
        if self.nearest is not None:
            near = self.nearest
            turned = f" turned by {90 * near.turns} degrees" if near.turns else ""
            parts.append(
                f"{near.score:.4f} like {near.factor:.4g} times {near.kernel.name}{turned}"
            )
        return f"<{'; '.join(parts)}>"


@dataclass(frozen=True, eq=False)
class Pair:
    """One input and output, and which numbers of the output count."""

    problem: Problem
    x: Array
    y: Array
    keep: Array

    def blocks(self) -> Iterator[Array]:
        """Yield rows of samples under the taps, and the output as the last column."""
        laid = np.ascontiguousarray(continued(self.problem, self.x, self.x.dtype))
        taps = np.zeros(1, np.intp)
        outputs = np.zeros(1, np.intp)
        steps = [s // laid.itemsize for s in laid.strides]
        for n, step in enumerate(steps):
            along = np.arange(self.y.shape[n])
            if n in self.problem.axes:
                along = along * self.problem.stride[self.problem.axes.index(n)]
            outputs = (outputs[:, None] + step * along).ravel()
        for n, axis in zip(self.problem.axes, self.problem.geometry, strict=True):
            along = steps[n] * axis.dilation * np.arange(axis.taps)
            taps = (taps[:, None] + along).ravel()
        if self.problem.operation == "convolve":
            taps = taps[::-1]
        flat, after, kept = laid.ravel(), self.y.ravel(), np.flatnonzero(self.keep)
        rows = max(BLOCK, 4 * (taps.size + 1) ** 2) // (taps.size + 1)  # few beside the factor
        for first in range(0, kept.size, rows):
            part = kept[first : first + rows]
            block = np.empty((part.size, taps.size + 1), flat.dtype)
            block[:, :-1] = flat[outputs[part][:, None] + taps]
            block[:, -1] = after[part]
            yield block

    def forward(self, k: Array, workers: int | None) -> Array:
        """Return the result with a kernel, 0 where it does not count."""
        plan = self._plan(k)
        return np.where(self.keep, plan(self.x, workers=workers), 0)

    def back(self, rest: Array, workers: int | None) -> Array:
        """Return the gradient with respect to the kernel."""
        return kernel_gradient(self.problem, self.x, rest, workers)

    def _plan(self, k: Array) -> Any:
        p = self.problem
        options = Options(
            p.mode, p.boundary, p.fill_value, p.anchor, p.axes, p.stride, p.dilation
        )  # fmt: skip
        return plan_for(p.operation, p.shape, self.x.dtype, k, options)


def learn_kernel(
    before: Any,
    after: Any,
    size: Ints,
    *,
    boundary: str | Sequence[str] | None = None,
    mode: str = "same",
    operation: str = "correlate",
    axes: Ints | None = None,
    anchor: Ints | None = None,
    stride: Ints = 1,
    dilation: Ints = 1,
    fill_value: Any = 0,
    limits: tuple[float, float] | None = None,
    ridge: float = 0.0,
    method: str = "closed",
    iterations: int | None = None,
    tolerance: float = 1e-12,
    workers: int | None = None,
) -> Learnt:
    """Find the kernel that makes ``after`` of ``before``, by least squares.

    Parameters
    ----------
    before, after : array_like, or lists of arrays
        A signal, image or volume before and after the unknown filter; or lists of as many arrays,
        all pairs made by the same one. Axes that are not convolved over are batches.
    size : int or ints
        The kernel's shape; an int for one axis.
    boundary : {"constant", "edge", "symmetric", "reflect", "wrap"}, or one per axis, optional
        How ``before`` was continued. Where it is not known, leave it out: only the outputs whose
        taps all lie inside are used then.
    operation : {"correlate", "convolve"}
        Whether the taps are written as they lie on the input, as tables of image processing and
        layers of networks have them, or flipped, as filters of signals.
    mode, axes, anchor, stride, dilation, fill_value
        Of the filter, as in :func:`plan`.
    limits : (low, high), optional
        Where ``after`` was cut off, such as (0, 255) for a picture of 8 bits: outputs at or beyond
        the limits do not count.
    ridge : float
        Weight of the taps' squares, relative to the mean of the taps' sums of squared samples:
        what is minimised is ``|D k - after|**2 + ridge * mean(diag(D* D)) * |k|**2``. It makes
        kernels of samples that do not tell their taps apart, and draws all taps towards 0.
    method : {"closed", "gradient"}
        The triangular factor of the least squares problem, which takes a time of outputs times
        taps squared; or conjugate gradients through the operator, for large kernels. Both go to
        the same kernel. Of more than 1024 taps, "gradient" gives neither errors nor condition, and
        of samples that do not tell the taps apart the least kernel in place of an error.
    iterations : int, optional
        The most of conjugate gradients; by default four for each tap, at least 100.
    tolerance : float
        Conjugate gradients stop where the gradient is that much smaller than at first.
    workers : int, optional
        Number of threads.

    Returns
    -------
    Learnt
        The kernel with its standard errors, residual, condition and nearest named kernel.

    Raises
    ------
    ValueError
        Where shapes do not go together, a number is NaN or infinite, there are fewer outputs than
        taps, or the samples do not tell the taps apart, as those of constant pictures; ``ridge``
        helps with the last two.

    Notes
    -----
    The standard errors are the roots of the diagonal of ``noise**2 (D* D)**-1``, the usual ones of
    linear regression. Noise in ``before`` draws the taps towards 0, and is not in them. With
    ``limits``, noise in outputs near these biases the taps, too.

    Examples
    --------
    >>> import numpy as np
    >>> import faltung
    >>> x = np.random.default_rng(0).random(50)
    >>> y = faltung.convolve(x, [0.25, 0.5, 0.25], boundary="edge")
    >>> learnt = faltung.learn_kernel(x, y, 3)
    >>> learnt.kernel.round(12).tolist(), learnt.left_out
    ([0.25, 0.5, 0.25], 2)
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; use one of {', '.join(METHODS)}.")
    if isinstance(ridge, bool) or not isinstance(ridge, (int, float)) or not 0 <= ridge < math.inf:
        raise ValueError(f"ridge={ridge!r} must be a number of at least 0, such as 1e-6.")
    if iterations is not None and (not isinstance(iterations, int) or iterations < 1):
        raise ValueError(f"iterations={iterations!r} must be None or an int of at least 1.")
    if limits is not None and np.shape(limits) != (2,):
        raise ValueError(f"limits={limits!r} must be (low, high), two real numbers.")
    rank = np.size(np.asarray(size)) if isinstance(size, (tuple, list, np.ndarray)) else 1
    shape = per_axis(size, rank, "size", 1)
    options = Options(
        mode, "constant" if boundary is None else boundary, fill_value, anchor, axes, stride,
        dilation,
    )  # fmt: skip
    pairs = [
        pair_of(x, y, name, shape, operation, options, boundary is None, limits)
        for x, y, name in named_pairs(before, after)
    ]
    count = sum(int(pair.keep.sum()) for pair in pairs)
    left = sum(pair.y.size for pair in pairs) - count
    taps = math.prod(shape)
    if count < taps and not ridge:
        raise ValueError(
            f"{count} outputs do not determine {taps} taps"
            f"{f' ({left} were left out)' if left else ''}; give more samples, a smaller size, "
            "the boundary, or ridge=1e-6."
        )
    if method == "closed":
        kernel, factor, rest, done, good = closed(pairs, taps, ridge, singular_text(pairs))
    else:
        kernel, factor, rest, done, good = by_gradients(
            pairs, shape, ridge, iterations, tolerance, workers, singular_text(pairs)
        )
    size_after = math.sqrt(sum(float((np.abs(p.y[p.keep]) ** 2).sum()) for p in pairs))
    noise = rest / math.sqrt(count - taps) if count > taps else math.nan
    error, condition = (None, None) if factor is None else judged(factor, ridge, noise)
    return Learnt(
        kernel.reshape(shape),
        None if error is None else error.reshape(shape),
        noise,
        rest / size_after if size_after else 0.0,
        condition,
        count,
        left,
        done,
        good,
        operation,
    )


def named_pairs(before: Any, after: Any) -> Iterator[tuple[Any, Any, str]]:
    """Yield the pairs of a call, each with what errors call it."""
    several = isinstance(before, (list, tuple))
    if not (several and any(isinstance(b, np.ndarray) and b.ndim for b in before)):
        yield before, after, ""
        return
    if not isinstance(after, (list, tuple)) or len(after) != len(before):
        given = len(after) if isinstance(after, (list, tuple)) else "no list"
        raise ValueError(
            f"before is a list of {len(before)} arrays and after {given}; give one for each."
        )
    for n, (x, y) in enumerate(zip(before, after, strict=True)):
        yield x, y, f"[{n}]"


def pair_of(
    before: Any,
    after: Any,
    name: str,
    size: tuple[int, ...],
    operation: str,
    options: Options,
    interior: bool,
    limits: tuple[float, float] | None,
) -> Pair:
    """Check one pair, and say which of its outputs count."""
    x, y = plain_array(before, f"before{name}"), plain_array(after, f"after{name}")
    for array, role in ((x, "before"), (y, "after")):
        if array.dtype.kind not in "biufc":
            raise ValueError(f"{role}{name} must hold numbers; got dtype {array.dtype}.")
        if not np.isfinite(array).all():
            raise ValueError(
                f"{role}{name} holds NaN or infinities, {int((~np.isfinite(array)).sum())} of "
                f"{array.size} numbers; cut them off or fill them."
            )
    complex_ = "c" in (x.dtype.kind, y.dtype.kind)
    wide = np.complex128 if complex_ else np.float64
    problem = build(operation, x.shape, wide, np.zeros(size, wide), options)
    if y.shape != problem.result_shape:
        raise ValueError(
            f"before{name} of shape {x.shape} gives {problem.result_shape} with "
            f"mode={options.mode!r}, and after{name} has {y.shape}; give pairs of one size, or "
            "the mode and stride."
        )
    keep = np.ones(y.shape, bool)
    if interior:
        for n, axis in zip(problem.axes, problem.geometry, strict=True):
            inside = np.zeros(axis.count, bool)
            inside[slice(*axis.inside)] = True
            keep &= inside.reshape([-1 if m == n else 1 for m in range(y.ndim)])
    if limits is not None:
        low, high = limits
        if complex_ or not low < high:
            raise ValueError(f"limits={limits!r} must be (low, high) of real numbers.")
        keep &= (y > low) & (y < high)
    return Pair(problem, x.astype(wide), np.where(keep, y, 0).astype(wide), keep)


def singular_text(pairs: Sequence[Pair]) -> Callable[[float], str]:
    """Return what makes the message for samples that do not tell the taps apart."""

    def text(condition: float) -> str:
        flat = [n for n, p in enumerate(pairs) if p.x.size == 0 or (p.x == p.x.flat[0]).all()]
        if len(flat) == len(pairs):
            why = "before is constant" if len(flat) == 1 else "every picture of before is constant"
        elif flat:
            why = f"before{flat} are constant and the others too smooth or periodic"
        else:
            why = "before is too smooth or periodic for so many taps"
        return (
            f"the samples do not tell the taps apart (condition {condition:.2g}): {why}. Give "
            "other samples, a smaller size, or ridge=1e-6."
        )

    return text


def closed(
    pairs: Sequence[Pair], taps: int, ridge: float, text: Callable[[float], str]
) -> tuple[Array, Array | None, float, int, bool]:
    """Return the taps, the triangular factor, the norm of what is left, no iterations, True."""
    factor: Array = np.zeros((0, taps + 1), pairs[0].x.dtype)
    rows = 0
    for pair in pairs:
        for block in pair.blocks():
            factor = np.asarray(np.linalg.qr(np.concatenate([factor, block]), mode="r"))
            rows += len(block)
    plain, target = factor[:taps, :taps], factor[:, taps]
    check_rank(plain, taps, rows, ridge, text)
    design = factor[:, :taps]
    if ridge:
        scale = math.sqrt(ridge * float((np.abs(plain) ** 2).sum()) / taps)
        design = np.concatenate([design, scale * np.eye(taps)])
        target = np.concatenate([target, np.zeros(taps)])
    found = np.linalg.lstsq(design, target, rcond=None)[0]
    rest = factor[:, :taps] @ found - factor[:, taps]
    return found, plain, float(np.linalg.norm(rest)), 0, True


def check_rank(
    factor: Array, taps: int, rows: int, ridge: float, text: Callable[[float], str]
) -> None:
    """Raise where the samples do not tell the taps apart and no ridge helps."""
    values = np.linalg.svd(factor, compute_uv=False)
    eps = float(np.finfo(float).eps)
    if ridge or (len(values) == taps and values[-1] > values[0] * eps * max(taps, rows**0.5)):
        return
    small = values[-1] if len(values) == taps else 0.0
    raise ValueError(text(float(values[0] / small) if small > 0 else math.inf))


def judged(factor: Array, ridge: float, noise: float) -> tuple[Array | None, float]:
    """Return the standard errors and the condition, from the factor without the ridge."""
    taps = factor.shape[1]
    _, values, right = np.linalg.svd(factor, full_matrices=False)
    small = float(values[-1]) if len(values) == taps else 0.0
    condition = float(values[0]) / small if small > 0 else math.inf
    if not np.isfinite(noise):
        return None, condition
    penalty = ridge * float((values**2).sum()) / taps
    with np.errstate(all="ignore"):
        gain = np.where(values > 0, values / (values**2 + penalty), 0)
    spread = (np.abs(right) ** 2 * gain[:, None] ** 2).sum(axis=0)
    return noise * np.sqrt(spread), condition


def by_gradients(
    pairs: Sequence[Pair],
    shape: tuple[int, ...],
    ridge: float,
    iterations: int | None,
    tolerance: float,
    workers: int | None,
    text: Callable[[float], str],
) -> tuple[Array, Array | None, float, int, bool]:
    """Return the taps, a factor, the norm of what is left, the iterations, whether enough."""
    taps = math.prod(shape)

    def back(rests: Sequence[Array]) -> Array:
        parts = [p.back(r, workers) for p, r in zip(pairs, rests, strict=True)]
        return np.asarray(np.sum(parts, axis=0))

    factor = None
    if taps <= ERRORS:
        factor = root(pairs, taps)
        check_rank(factor, taps, 1, ridge, text)
    penalty = 0.0
    if ridge:
        blocks = (block[:, :-1] for pair in pairs for block in pair.blocks())
        penalty = ridge / taps * sum(float((np.abs(block) ** 2).sum()) for block in blocks)
    k = np.zeros(shape, pairs[0].x.dtype)
    rests = [p.y.copy() for p in pairs]
    gradient = back(rests)
    way, power = gradient, float((np.abs(gradient) ** 2).sum())
    enough, done = tolerance**2 * power, 0
    most = max(100, 4 * taps) if iterations is None else iterations
    while power > enough and done < most:
        steps = [p.forward(way, workers) for p in pairs]
        curvature = sum(float((np.abs(s) ** 2).sum()) for s in steps)
        length = power / (curvature + penalty * float((np.abs(way) ** 2).sum()))
        k = k + length * way
        rests = [r - length * s for r, s in zip(rests, steps, strict=True)]
        gradient = back(rests) - penalty * k
        power, last = float((np.abs(gradient) ** 2).sum()), power
        way = gradient + (power / last) * way
        done += 1
    rest = math.sqrt(sum(float((np.abs(r) ** 2).sum()) for r in rests))
    return k, factor, rest, done, power <= enough


def root(pairs: Sequence[Pair], taps: int) -> Array:
    """Return a matrix F with ``F* F = D* D``, which is summed over blocks of rows."""
    squares: Array = np.zeros((taps, taps), pairs[0].x.dtype)
    for pair in pairs:
        for block in pair.blocks():
            squares += np.conj(block[:, :-1].T) @ block[:, :-1]
    values, vectors = np.linalg.eigh(squares)
    least = float(np.finfo(float).eps) * taps * values[-1]  # below are rounding errors
    scales = np.sqrt(np.where(values > least, values, 0))
    return np.asarray(scales[:, None] * np.conj(vectors.T))
