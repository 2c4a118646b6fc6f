"""Deconvolution: what was convolved, estimated from the result and the kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from faltung.dtypes import Array, plain_array
from faltung.signal.blur import (
    Blur,
    difference_matrix,
    differences_back,
    differences_length,
    roughness,
    transfer,
)

METHODS = ("wiener", "richardson_lucy", "least_squares")
MOST_POWERS = 1 << 18  # of a spectrum that tells the signal: more would tell no better
ITERATIONS = {"wiener": 200, "least_squares": 1000, "richardson_lucy": 50}
PRIORS = ("smooth", "white")
NEAR = 150  # binary orders from 1, within which squares of squares are normal
TAKES = {  # the arguments that only some methods have
    "noise": METHODS,
    "signal": ("wiener",),
    "damping": ("least_squares",),
}


@dataclass(frozen=True, eq=False)
class Deconvolved:
    """An estimate of what was convolved, and how far it may be trusted.

    Attributes
    ----------
    values : ndarray
        The estimate.
    method : str
    solver : str
        "spectrum" (circular: one division), "matrix" (small: singular values), "lsqr" or
        "multiplicative" (iterations of the operator and its adjoint).
    boundary : tuple of str
        What was assumed beyond the ends.
    iterations : int
    stopped : str
        Why it stopped.
    residual : float
        Root mean square of what is left: the estimate convolved, less ``y``.
    damping : float
        The factor of what was made least besides the residual.
    condition : float
        The blur's greatest singular value over the least: so much may relative errors grow without
        damping. Infinite where something is lost altogether.
    rank : int
        Number of singular values that are not lost to rounding.
    standard_error : float
        What the noise makes of the estimate: root mean square over its samples, with ``noise`` as
        given or as the residual has it; without what damping smooths away. NaN where unknown.
    exact : bool
        Whether condition, rank and standard error are those of this operator. Otherwise they are
        those of the circular convolution of the same size: an estimate.
    """

    values: Array = field(repr=False)
    method: str
    solver: str
    boundary: tuple[str, ...]
    iterations: int
    stopped: str
    residual: float
    damping: float
    condition: float
    rank: int
    standard_error: float
    exact: bool

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype=dtype, copy=True if copy is None else copy)


def deconvolve(
    y: Any,
    k: Any,
    *,
    method: str = "wiener",
    noise: float | None = None,
    signal: float | None = None,
    prior: str = "smooth",
    damping: float | None = None,
    iterations: int | None = None,
    tolerance: float = 1e-6,
    mode: str = "same",
    boundary: str | Sequence[str] = "constant",
    fill_value: float = 0.0,
    anchor: int | Sequence[int] | None = None,
    axes: int | Sequence[int] | None = None,
    operation: str = "convolve",
) -> Deconvolved:
    """Estimate ``x`` from ``y = convolve(x, k, mode=..., boundary=...) + noise``.

    ``"wiener"``
        The likeliest ``x`` where its samples and the noise are spread by normal distributions
        (Wiener, 1949): what makes ``|A x - y|**2 + damping |D x|**2`` least, with
        ``damping = noise**2 / signal**2``. With the prior "smooth", ``D x`` are the differences of
        neighbours along the convolved axes, as fits tracks and photographs, whose power falls as
        one over the squared frequency; with "white" it is ``x`` less its mean.
    ``"least_squares"``
        ``|A x - y|**2 + damping |x|**2`` (Tikhonov, 1963) for a ``damping`` of your own; without
        one the least squares of least norm, however the noise grows: ``condition`` says how much.
    ``"richardson_lucy"``
        ``x <- x A^T(y / A x) / A^T 1``, never negative, for counts (Richardson, 1972; Lucy, 1974).
        Many iterations fit the noise: give ``noise``, or few.

    ``A`` is the convolution with its boundary, not a circular one unless ``boundary="wrap"``. A
    circular one is divided by its spectrum and a small one by its singular values; others are
    solved by LSQR (Paige and Saunders, 1982) with the operator and its adjoint.

    Parameters
    ----------
    y : array_like
        Real and finite.
    k : array_like or Kernel
        What it was convolved with: real and finite.
    method : {"wiener", "least_squares", "richardson_lucy"}
    noise : float, optional
        The standard deviation of the noise in ``y``. "wiener" needs it; "richardson_lucy" stops
        where no more is left than that (Morozov, 1966).
    signal : float, optional
        Of "wiener": the standard deviation of ``D x``. If not given, it is the one that makes the
        spectrum of ``y`` likeliest (maximum likelihood, as in a circular convolution of ``y``
        faded out at its ends).
    prior : {"smooth", "white"}
        Of "wiener".
    damping : float, optional
        Of "least_squares", at least 0.
    iterations : int, optional
        At most; 200, 1000 and 50 by default.
    tolerance : float
        Iterations stop where what is left to gain is relatively less: of LSQR ``atol`` and
        ``btol``, of Richardson-Lucy the change of the estimate.
    mode : {"same", "full", "valid"}
        What ``y`` is of ``x``. With "valid" nothing is assumed beyond the ends: the estimate is
        larger than ``y``, and what it says there rests on few samples.
    boundary, fill_value, anchor, axes
        As in :func:`faltung.convolve`; a named kernel's own anchor is used.
    operation : {"convolve", "correlate"}

    Returns
    -------
    Deconvolved
        Its values are float32 for a float32 ``y``, else float64.

    Raises
    ------
    ValueError, TypeError
        Where an argument is not allowed.

    Examples
    --------
    >>> import faltung
    >>> from faltung.signal import deconvolve
    >>> y = faltung.convolve([1.0, 2.0, 1.0, 5.0], [0.2, 0.6, 0.2])
    >>> done = deconvolve(y, [0.2, 0.6, 0.2], method="least_squares")
    >>> done.values.round(6).tolist(), round(done.condition, 2), done.solver
    ([1.0, 2.0, 1.0, 5.0], 3.34, 'matrix')
    """
    given = {"noise": noise, "signal": signal, "damping": damping}
    check_options(method, given, prior, iterations, tolerance)
    y, kernel = checked(y, "y"), checked(k, "k")
    if anchor is None and hasattr(k, "anchor"):
        anchor = k.anchor
    fill_value = checked_fill(fill_value)
    if not kernel.any():
        raise ValueError("k is all 0, so that nothing of x is in y; give another.")
    far, size = (
        math.frexp(float(max(np.abs(array.astype(float)).max(), given or 0.0)))[1]
        for array, given in ((y, noise), (kernel, None))
    )
    narrow = np.float32 if y.dtype == np.float32 else np.float64
    if max(abs(far), abs(size)) > NEAR:  # squares would overflow or vanish
        done = deconvolve(
            np.ldexp(y.astype(float), -far).astype(narrow), np.ldexp(kernel.astype(float), -size),
            method=method,
            noise=scaled(noise, -far), signal=scaled(signal, size - far), prior=prior,
            damping=scaled(damping, -2 * size), iterations=iterations, tolerance=tolerance,
            mode=mode, boundary=boundary, fill_value=fill_value * 2.0 ** (size - far),
            anchor=anchor, axes=axes, operation=operation,
        )  # fmt: skip
        return replace(
            done, values=np.ldexp(done.values, far - size).astype(done.values.dtype),
            residual=math.ldexp(done.residual, far), damping=np.ldexp(done.damping, 2 * size),
            standard_error=float(np.ldexp(done.standard_error, far - size)),
        )  # fmt: skip
    positive = method == "richardson_lucy"
    if positive and (y.min(initial=0) < 0 or kernel.min() < 0 or not kernel.any()):
        raise ValueError(
            'method="richardson_lucy" is for counts: neither y nor k may be negative, nor k all 0; '
            "take numpy.maximum(y, 0), or another method."
        )
    wide = y.astype(float)
    blur = Blur.of(
        kernel.astype(float), y.shape, operation=operation, mode=mode, boundary=boundary,
        fill_value=fill_value, axes=axes, anchor=anchor, clean=positive,
    )  # fmt: skip
    most = ITERATIONS[method] if iterations is None else iterations
    factor, centre, smooth = damping or 0.0, 0.0, method == "wiener" and prior == "smooth"
    if method == "wiener" and noise:
        factor = (noise / (signal or likeliest(blur, wide, noise, smooth))) ** 2
    if method == "wiener" and not smooth:
        centre = centre_of(wide, blur.kernel)
    least = Least(blur, factor, smooth)
    if positive:
        values, steps, stopped = multiply(blur, wide, noise, most, tolerance)
        solver = "multiplicative"
    else:
        off = wide - blur.rest - (blur.forth(np.full(blur.shape, centre)) if centre else 0.0)
        values, solver, steps, stopped = least.solve(off, most, tolerance)
        values = values + centre
    left = blur.forth(values) + blur.rest - wide
    residual = math.sqrt(float(np.mean(left**2)))
    known = noise if noise is not None or positive else estimated(blur, left, factor)
    condition, rank, exact = conditioning(blur)
    error = math.nan if known is None or positive else known * least.growth()
    values = values.astype(narrow, copy=False)
    return Deconvolved(
        values, method, solver, blur.boundary, steps, stopped, residual, factor, condition, rank,
        error, exact,
    )  # fmt: skip


# ---- arguments -------------------------------------------------------------------------------


def check_options(
    method: Any, given: dict[str, Any], prior: Any, iterations: Any, tolerance: Any
) -> None:
    """Raise ValueError unless the numbers are such and go with the method."""
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; use one of {', '.join(METHODS)}.")
    for name, value in given.items():
        if value is None:
            continue
        if method not in TAKES[name]:
            raise ValueError(
                f"{name}= is not for method={method!r}, but for {' and '.join(TAKES[name])}."
            )
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise ValueError(f"{name}={value!r} must be a finite number of at least 0.")
    if given["signal"] == 0:
        raise ValueError("signal=0 says that x is the same everywhere; give a number more than 0.")
    if not isinstance(prior, str) or prior not in PRIORS:
        raise ValueError(f"prior={prior!r} is unknown; use one of {', '.join(PRIORS)}.")
    if method == "wiener" and given["noise"] is None:
        raise ValueError(
            'method="wiener" weighs the noise against the signal; give noise=, the standard '
            "deviation of the noise in y."
        )
    if iterations is not None and (
        isinstance(iterations, bool) or not hasattr(iterations, "__index__") or iterations < 1
    ):
        raise ValueError(f"iterations={iterations!r} must be an int of at least 1.")
    if not isinstance(tolerance, (int, float)) or not 0 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance!r} must be a number from 0 to below 1.")


def checked(value: Any, name: str) -> Array:
    """Return real and finite numbers, or raise."""
    array = plain_array(value, name)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise TypeError(
            f"{name} must be real numbers along at least one axis; got {array.dtype} of shape "
            f"{array.shape}."
        )
    if array.size == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} has NaN or an infinity, which would spread everywhere; fill the gaps first, "
            "for instance by faltung.signal.smooth."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def scaled(value: float | None, power: int) -> float | None:
    """Return a number times a power of two."""
    return None if value is None else float(np.ldexp(value, power))


def checked_fill(value: Any) -> float:
    """Return the value beyond the ends, or raise ValueError."""
    if not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        raise ValueError(f"fill_value={value!r} must be a finite number.")
    return float(value)


def centre_of(y: Array, kernel: Array) -> float:
    """Return the mean of ``x``, as that of ``y`` tells it."""
    gain = float(kernel.sum())
    return float(y.mean()) / gain if abs(gain) > 1e-9 * float(np.abs(kernel).sum()) else 0.0


def likeliest(blur: Blur, y: Array, noise: float, smooth: bool) -> float:
    """Return the spread of the prior under which the spectrum of ``y`` is likeliest.

    Each of its powers is spread as an exponential distribution whose mean is the noise's power and
    the prior's behind the blur (Whittle, 1953). The ends are faded out, except on a circle, as
    the jump between them would count as signal.
    """
    from scipy import fft, optimize

    faded = y - y.mean(axis=blur.axes, keepdims=True)
    if not blur.circular:
        for axis in blur.axes:
            n = y.shape[axis]
            taper = np.sin(np.pi * (np.arange(n) + 0.5) / n)
            faded = faded * np.expand_dims(taper, [a for a in range(y.ndim) if a != axis])
            faded *= math.sqrt(n / float((taper**2).sum()))
    count = math.prod(y.shape[axis] for axis in blur.axes)
    power = np.abs(fft.rfftn(faded, axes=blur.axes)) ** 2 / count
    penalty = roughness(y.shape, blur.axes) if smooth else 1.0
    gain = np.abs(transfer(blur, y.shape)) ** 2 / np.maximum(penalty, 1e-300)
    known = np.broadcast_to(np.asarray(penalty) > 0, gain.shape).copy()
    known[tuple(0 if a in blur.axes else slice(None) for a in range(y.ndim))] = False  # the mean
    known = np.broadcast_to(known, power.shape)
    power, gain = power[known], np.broadcast_to(gain, power.shape)[known]
    if not power.any() or not gain.any():
        return noise  # nothing tells of it
    noise = max(noise, 1e-12 * math.sqrt(float(power.max())))  # less would be rounding
    step = -(-power.size // MOST_POWERS)
    power, gain = power[::step], gain[::step]

    def unlikely(log: float) -> float:
        mean = gain * math.exp(2 * log) + noise**2
        return float((power / mean + np.log(mean)).sum())

    strongest = math.sqrt(float(gain.max()) or 1.0)
    size = math.sqrt(float(power.max())) / strongest
    ends = math.log(1e-6 * noise / strongest), math.log(10 * size + 10 * noise / strongest)
    return math.exp(float(optimize.minimize_scalar(unlikely, bounds=ends, method="bounded").x))


# ---- solvers ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Least:
    """The least of ``|A x - y|**2 + damping |D x|**2``; D is 1 or takes neighbours' differences."""

    blur: Blur
    damping: float
    smooth: bool

    def gains(self) -> Array:
        """Return what the spectrum of ``y`` is multiplied by, of a circular blur."""
        blur = self.blur
        factors, size = blur.spectrum, np.abs(blur.spectrum)
        penalty = roughness(blur.shape, blur.axes) if self.smooth else 1.0
        below = size**2 + self.damping * penalty
        keep = ~lost(np.sqrt(below), blur.unknowns)
        return np.divide(np.conj(factors), below, out=np.zeros_like(factors), where=keep)

    @cached_property
    def inverse(self) -> Array:
        """Return the matrix (samples, outputs) that gives the estimate."""
        matrix = self.blur.matrix()
        least = max(matrix.shape) * float(np.finfo(float).eps)
        if self.damping == 0:
            return np.linalg.pinv(matrix, rcond=least)
        if not self.smooth:
            u, s, v = np.linalg.svd(matrix, full_matrices=False)
            whole: Array = (v.T * (s / (s * s + self.damping))) @ u.T
            return whole
        lines = math.sqrt(self.damping) * difference_matrix(self.blur)
        stacked: Array = np.linalg.pinv(np.concatenate([matrix, lines]), rcond=least)
        return stacked[:, : matrix.shape[0]]

    def growth(self) -> float:
        """Return the root mean square that noise of standard deviation 1 makes of the estimate."""
        if self.blur.small:
            return math.sqrt(float((self.inverse**2).sum()) / self.blur.unknowns)
        square = np.abs(self.gains()) ** 2
        return math.sqrt(float((self.blur.repeats * square).sum()) / self.blur.unknowns)

    def solve(self, y: Array, most: int, tolerance: float) -> tuple[Array, str, int, str]:
        """Return the estimate, the solver, its steps and why it stopped."""
        blur = self.blur
        if blur.circular:
            from scipy import fft

            turned = fft.rfftn(y, axes=blur.axes) * self.gains()
            sizes = [blur.shape[axis] for axis in blur.axes]
            return fft.irfftn(turned, sizes, axes=blur.axes), "spectrum", 1, "solved"
        if blur.small:
            return blur.unrowed(blur.rows(y) @ self.inverse.T), "matrix", 1, "solved"
        return self.lsqr(y, most, tolerance)

    def lsqr(self, y: Array, most: int, tolerance: float) -> tuple[Array, str, int, str]:
        """Solve by iterations; differences are rows below those of the blur."""
        from scipy.sparse.linalg import LinearOperator, lsqr

        blur, root = self.blur, math.sqrt(self.damping)
        size = math.prod(blur.shape)
        below = differences_length(blur) if self.smooth and root else 0

        def forth(x: Array) -> Array:
            x = x.reshape(blur.shape)
            parts = [blur.forth(x).ravel()]
            if below:
                parts += [root * np.diff(x, axis=axis).ravel() for axis in blur.axes]
            return np.concatenate(parts)

        def back(r: Array) -> Array:
            x = blur.back(r[: y.size].reshape(y.shape))
            if below:
                x = x + root * differences_back(blur, r[y.size :])
            return x.ravel()

        operator = LinearOperator((y.size + below, size), matvec=forth, rmatvec=back, dtype=float)
        right = np.concatenate([y.ravel(), np.zeros(below)])
        found = lsqr(
            operator, right, damp=0.0 if below else root, atol=tolerance, btol=tolerance,
            conlim=0, iter_lim=most,
        )  # fmt: skip
        ends = {7: f"after {most} iterations, short of the tolerance"}
        return found[0].reshape(blur.shape), "lsqr", int(found[2]), ends.get(found[1], "converged")


def lost(s: Array, count: int) -> Array:
    """Return which singular values are rounding, as :func:`numpy.linalg.matrix_rank` has it."""
    return np.asarray(s <= s.max(initial=0) * count * np.finfo(float).eps)


def multiply(
    blur: Blur, y: Array, noise: float | None, most: int, tolerance: float
) -> tuple[Array, int, str]:
    """Return Richardson's and Lucy's estimate, the number of iterations, and why it stopped."""
    seen = blur.back(np.ones(y.shape))
    gain = float(blur.kernel.sum())
    x = np.full(blur.shape, max(float(y.mean()) / gain, np.finfo(float).tiny))
    for n in range(most):
        blurred = blur.forth(x) + blur.rest
        if noise is not None and math.sqrt(float(np.mean((blurred - y) ** 2))) <= noise:
            return x, n, "no more is left than the noise"
        ratio = np.divide(y, blurred, out=np.zeros(y.shape), where=blurred > 0)
        factor = np.divide(blur.back(ratio), seen, out=np.ones(x.shape), where=seen > 0)
        better = x * factor
        change = float(np.linalg.norm(better - x))
        x = better
        if change <= tolerance * float(np.linalg.norm(x)):
            return x, n + 1, "converged"
    return x, most, f"after {most} iterations"


# ---- conditioning ----------------------------------------------------------------------------


def singular_values(blur: Blur) -> tuple[Array, Array]:
    """Return singular values and how many samples each stands for.

    Those of a blur that is neither circular nor small are of the circular one of its size.
    """
    if blur.small:
        values = np.linalg.svd(blur.matrix(), compute_uv=False)
        more = np.zeros(blur.unknowns - values.size)  # of fewer outputs than samples
        return np.concatenate([values, more]), np.ones(blur.unknowns)
    factors = np.abs(blur.spectrum)
    return factors.ravel(), np.broadcast_to(blur.repeats, factors.shape).ravel()


def estimated(blur: Blur, left: Array, damping: float) -> float | None:
    """Return the noise that a residual tells of, where there is more than what was fitted."""
    values, weights = singular_values(blur)
    batches = left.size / math.prod(along.count for along in blur.geometry)
    keep = ~lost(values, blur.unknowns)
    square = values[keep] ** 2
    fitted = float((weights[keep] * square / (square + damping)).sum()) * batches
    free = left.size - fitted
    return math.sqrt(float((left**2).sum()) / free) if free >= 1 else None


def conditioning(blur: Blur) -> tuple[float, int, bool]:
    """Return condition and rank, and whether they are exact."""
    values, weights = singular_values(blur)
    rank = round(float(weights[~lost(values, blur.unknowns)].sum()))
    condition = float(values.max() / values.min()) if rank == blur.unknowns else math.inf
    return condition, rank, blur.circular or blur.small
