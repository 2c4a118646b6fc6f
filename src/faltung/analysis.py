"""What a kernel is like: its factors, symmetries and values, on which cheaper methods rest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from html import escape
from typing import Any

import numpy as np

from faltung.dtypes import Array
from faltung.kernels import Kernel
from faltung.problem import Taps, kernel_array
from faltung.remember import remembered

MOST_TERMS = 4  # more separable terms than this are not looked for
DECOMPOSED = 1 << 14  # taps: the decomposition of larger kernels takes longer than it saves
SUMMED = 1 << 20  # taps: the sum of more takes too long in Python
MARGIN = 4.0  # a factored kernel may err by this much more than the plain sum does


@dataclass(frozen=True)
class Factors:
    """A kernel as a sum of products of one-dimensional ones.

    Attributes
    ----------
    terms : tuple of tuple of Taps
        One kernel per axis for each term.
    growth : float
        The greatest ratio, tap by tap, of the terms' magnitudes summed to the tap's: the factor by
        which rounding errors grow.
    residual : float
        The greatest error of a tap, relative to it.
    """

    terms: tuple[tuple[Taps, ...], ...]
    growth: float
    residual: float

    @property
    def rank(self) -> int:
        """Number of terms."""
        return len(self.terms)

    def error_bound(self, eps: float) -> float:
        """Return ``c`` in ``|error| <= c * (|k| * |x|)``, for sums rounded with ``eps``."""
        taps = sum(len(part.array) for part in self.terms[0]) + self.rank
        return self.residual + self.growth * (taps + len(self.terms[0])) * eps


def assess(k: Array, terms: list[list[Array]]) -> Factors | None:
    """Return the factors with what they cost in accuracy; None where a zero tap is not zero."""
    wide = k.astype(np.longdouble)
    products = [outer([part.astype(np.longdouble) for part in term]) for term in terms]
    size = np.sum([np.abs(p) for p in products], axis=0)
    error = np.abs(np.sum(products, axis=0) - wide)
    magnitude = np.abs(wide)
    if (size[magnitude == 0] != 0).any():
        return None
    there = magnitude > 0
    growth = float((size[there] / magnitude[there]).max(initial=1))
    residual = float((error[there] / magnitude[there]).max(initial=0))
    return Factors(tuple(tuple(map(Taps.of, term)) for term in terms), growth, residual)


def outer(parts: list[Array]) -> Array:
    """Return the product of one-dimensional kernels."""
    return reduce(np.multiply.outer, parts)


@remembered(256, name=lambda taps: taps.name)
def factor(taps: Taps, most: int = MOST_TERMS) -> Factors | None:
    """Write a real floating kernel as a sum of at most ``most`` products of 1-D kernels.

    One term is found by the fibres through the greatest tap, for any number of axes; more, for two
    axes, by the singular value decomposition (Treitel and Shanks, 1971). They hold within the
    taps' precision, tap by tap, or there are none.
    """
    k = taps.array
    if k.dtype.kind != "f" or k.ndim < 2 or not np.isfinite(k).all() or not k.any():
        return None
    plain = (k.size + 1) * float(np.finfo(k.dtype).eps)
    one = assess(k, [fibres(k)])
    if one is not None and one.error_bound(np.finfo(k.dtype).eps) <= MARGIN * plain:
        return one
    if k.ndim != 2 or most < 2 or k.size > DECOMPOSED:
        return None
    u, s, v = np.linalg.svd(k.astype(float))
    rank = int((s > s[0] * max(k.shape) * np.finfo(k.dtype).eps).sum())
    if not 1 <= rank <= min(most, min(k.shape) - 1):
        return None
    roots = np.sqrt(s)
    terms = [
        [(u[:, i] * roots[i]).astype(k.dtype), (v[i] * roots[i]).astype(k.dtype)]
        for i in range(rank)
    ]
    several = assess(k, terms)
    if several is None or several.error_bound(np.finfo(k.dtype).eps) > MARGIN * plain:
        return None
    return several


@remembered(256, name=lambda taps: taps.name)
def rank_of(taps: Taps) -> int | None:
    """Return the numerical rank of a real kernel over two axes; None where it is not looked for."""
    k = taps.array
    if k.ndim != 2 or k.dtype.kind not in "biuf" or k.size > DECOMPOSED:
        return None
    wide = k.astype(float)
    if not np.isfinite(wide).all():
        return None
    eps = float(np.finfo(k.dtype if k.dtype.kind == "f" else float).eps)
    values = np.linalg.svd(wide, compute_uv=False)
    return int((values > values[0] * max(k.shape) * eps).sum())


def obstacle(taps: Taps) -> str:
    """Say why :func:`factor` has no factors for a kernel over two axes or more."""
    rank, k = rank_of(taps), taps.array
    if not np.isfinite(k).all():
        return "the taps are not all finite"
    if not k.any():
        return "all taps are zero"
    if rank is None:
        large = k.ndim == 2
        many = "has more than 16,384 taps" if large else f"spans {k.ndim} axes"
        return f"the kernel is no product of 1-D kernels, and {many}: no sum of some is looked for"
    if rank * sum(k.shape) >= k.size:
        return f"the kernel has rank {rank}; so many products of 1-D kernels are no cheaper than it"
    if rank > MOST_TERMS:
        return f"the kernel has rank {rank}; at most {MOST_TERMS} products of 1-D kernels are taken"
    return f"the kernel has rank {rank}, but so many products give its taps too coarsely"


def fibres(k: Array) -> list[Array]:
    """Return the lines of taps through the greatest one, scaled so that their product is it."""
    at = np.unravel_index(int(np.abs(k).argmax()), k.shape)
    wide = k.astype(float)
    pivot = wide[at]
    lines = []
    for axis in range(k.ndim):
        where: list[Any] = list(at)
        where[axis] = slice(None)
        lines.append(wide[tuple(where)] / (pivot if axis else 1))
    return [line.astype(k.dtype) for line in lines]


# ---- the report ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Analysis:
    """What a kernel is like; print it for a short report. Made by :func:`analyse`.

    Attributes
    ----------
    shape, dtype
        Of the kernel.
    nonzero : int
        Number of taps that are not zero.
    sum, absolute_sum : float or complex
        Of the taps, and of their magnitudes.
    dynamic_range : float
        The greatest finite magnitude over the least that is not zero.
    symmetry : tuple of str
        "even", "odd", "hermitian" (the complex conjugate of its mirror image) or "none" along each
        axis.
    integers : bool
        Whether every tap is a whole number.
    constant : bool
        Whether all taps are equal: a box.
    factors : Factors or None
        Separable terms, where there are any that serve.
    rank : int or None
        Of the matrix of taps, for a real kernel over two axes of at most 16,384 taps.
    infinite : int
        Number of taps that are infinite or NaN.
    """

    shape: tuple[int, ...]
    dtype: str
    nonzero: int
    sum: Any
    absolute_sum: float
    dynamic_range: float
    symmetry: tuple[str, ...]
    integers: bool
    constant: bool
    factors: Factors | None
    rank: int | None = None
    infinite: int = 0

    @property
    def size(self) -> int:
        """Number of taps."""
        return int(np.prod(self.shape))

    @property
    def structure(self) -> str:
        """Say in a word what a cheaper method may rest on."""
        if self.infinite:
            return f"{self.infinite} of {self.size} taps are infinite or NaN"
        if self.nonzero == 0:
            return "all zero"
        if self.nonzero == 1:
            return "a shift: one tap is not zero"
        if self.constant:
            return "a box: all taps are equal"
        words = []
        if self.factors is not None:
            rank = self.factors.rank
            words.append("separable" if rank == 1 else f"a sum of {rank} separable terms")
        if self.nonzero <= self.size - self.nonzero:
            words.append(f"sparse: {self.nonzero} of {self.size} taps are not zero")
        if words:
            return ", ".join(words)
        return "dense" if self.rank is None else f"dense, of rank {self.rank}"

    @property
    def summary(self) -> str:
        """Say what the taps are like, in one line."""
        rounding = float(np.finfo(float).eps) * self.absolute_sum
        total = 0 if abs(self.sum) < rounding else self.sum  # each tap was rounded
        return (
            f"{self.structure}; symmetry {', '.join(self.symmetry)}; sum {total:.6g}, "
            f"absolute sum {self.absolute_sum:.6g}, dynamic range {self.dynamic_range:.3g}"
            f"{', whole numbers' if self.integers else ''}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"

    def __str__(self) -> str:
        return f"kernel {'x'.join(map(str, self.shape))} {self.dtype}, {self.summary}"


def analyse(k: Any) -> Analysis:
    """Analyse a kernel: factors, symmetry, zeros, whole numbers, range.

    Parameters
    ----------
    k : array_like or faltung.kernels.Kernel
        Real or complex taps.

    Returns
    -------
    Analysis
        Print it for a short report.

    Raises
    ------
    ValueError, TypeError
        Where ``k`` is empty or no array of numbers.

    Examples
    --------
    >>> import faltung
    >>> print(faltung.analyse([[1, 2, 1], [2, 4, 2], [1, 2, 1]]).structure)
    separable
    """
    array, _ = kernel_array(k)
    if array.dtype.kind not in "biufc" or array.size == 0 or array.ndim == 0:
        raise ValueError(f"a kernel of numbers with an axis is needed; got {array.dtype}"
                         f" {array.shape}.")  # fmt: skip
    found = analysed(Taps.of(array))
    exact = isinstance(k, Kernel) and k.exact
    return replace(found, sum=float(k.total)) if exact else found


@remembered(256, name=lambda taps: taps.name)
def analysed(taps: Taps) -> Analysis:
    """Return the analysis of a problem's taps."""
    k = taps.array
    real = k if k.dtype.kind == "f" else k.astype(float) if k.dtype.kind in "biu" else None
    with np.errstate(all="ignore"):  # of infinite taps, and of great ones
        magnitude = np.abs(k.astype(np.result_type(k, float)))
        finite = np.isfinite(magnitude)
        there = magnitude[finite & (magnitude > 0)]
        spread = float(there.max() / there.min()) if there.size else 0.0
        absolute = float(magnitude.sum())
        total = sum_of(k, absolute)
        same = bool((k == k.flat[0]).all())
        whole = bool(k.dtype.kind in "biu" or (finite & (k == np.rint(k))).all())
        symmetries = tuple(symmetry(k, axis) for axis in range(k.ndim))
    return Analysis(
        taps.shape,
        taps.dtype,
        int(np.count_nonzero(k)),
        total,
        absolute,
        spread,
        symmetries,
        whole,
        same,
        None if real is None else factor(Taps.of(np.ascontiguousarray(real))),
        rank_of(taps),
        int(k.size - finite.sum()),
    )


def sum_of(k: Array, absolute: float) -> Any:
    """Return the sum of the taps; of floats rounded once, so that what cancels gives 0."""
    if k.dtype.kind == "f" and k.dtype.itemsize <= 8 and k.size <= SUMMED and absolute < np.inf:
        return math.fsum(k.ravel().tolist())
    return k.sum(dtype=np.result_type(k, float)).item()


def symmetry(k: Array, axis: int) -> str:
    """Return whether a kernel equals its mirror image along an axis, its negative or conjugate."""
    mirrored = np.flip(k, axis)
    if (mirrored == k).all():
        return "even"
    signed = k.astype(np.result_type(k, float)) if k.dtype.kind in "bu" else k
    if (mirrored == -signed).all():
        return "odd"
    conjugate = k.dtype.kind == "c" and (mirrored == k.conj()).all()
    return "hermitian" if conjugate else "none"
