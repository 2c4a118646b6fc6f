"""Convolutions as matrices, and matrices as convolutions.

A convolution without its fill value is linear, and its matrix has a row for each output and a
column for each sample: a fully connected layer, most of whose weights are 0 and the rest shared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from faltung.adjoint import adjoint
from faltung.boundary import BOUNDARIES, FILL
from faltung.dtypes import Arithmetic, Array, plain_array
from faltung.geometry import MODES, OPERATIONS, Axis, default_anchor
from faltung.planner import Plan
from faltung.problem import Problem, Taps, boundaries, convolved_axes, lengths, per_axis

MOST_TRIALS = 200  # the likely ones come first
ENTRY = 32  # bytes that making an entry takes besides its value
MOST_TAPS = 1000  # of a kernel that is looked for


def check_linear(problem: Problem) -> None:
    """Raise where the map from input to result depends on more than the plan."""
    if problem.normalised:
        raise ValueError(
            "with missing or weighted samples the map depends on the input; use faltung.vjp for "
            'its gradients, or make the plan with missing="propagate" and without weights.'
        )


def adjoint_of(plan: Plan, y: Any, workers: int | None) -> Array:
    """Return the adjoint of a plan's linear map, applied to ``y``."""
    check_linear(plan.problem)
    given = plain_array(y, "y")
    if given.shape != plan.shape:
        raise ValueError(f"the adjoint takes what the plan gives, {plan.shape}; got {given.shape}.")
    return adjoint(plan.problem, given, workers)


def matrix_of(problem: Problem, max_memory: int) -> Any:
    """Return the matrix of a problem's linear map; see :meth:`faltung.Plan.matrix`."""
    check_linear(problem)
    taps = problem.correlation_taps.ravel()
    accumulator = problem.arithmetic.accumulator
    if accumulator == "object":
        raise ValueError("a matrix holds numbers, not Python objects; plan for floats instead.")
    taps = taps.astype(accumulator)
    chosen = np.flatnonzero(taps)
    outputs, samples = math.prod(problem.result_shape), math.prod(problem.shape)
    needed = outputs * chosen.size * (ENTRY + taps.itemsize) + 8 * (outputs + 1)
    if needed > max_memory:
        raise ValueError(
            f"the matrix has {outputs:,} rows of up to {chosen.size:,} entries and takes "
            f"{needed:,} bytes to make, more than max_memory={max_memory:,}; give that many, or "
            "use the plan and plan.adjoint, which need no matrix."
        )
    columns = footprints(problem, chosen)
    there = columns != FILL
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    values = np.broadcast_to(taps[chosen], columns.shape)[there]
    found = sparse.csr_array((values, columns[there], ends), shape=(outputs, samples))
    found.sum_duplicates()
    return found


def footprints(problem: Problem, chosen: Array) -> Array:
    """Return the sample under each chosen tap, (outputs, taps), or ``FILL``.

    Outputs and samples are counted in C order, taps from the one that reaches furthest back.
    """
    each = np.unravel_index(chosen, problem.taps.shape)
    found = np.zeros((1, chosen.size), np.intp)
    for n, size in enumerate(problem.shape):
        if n in problem.axes:
            at = problem.axes.index(n)
            along = problem.geometry[at].indices(problem.boundary[at])[:, each[at]]
        else:
            along = np.broadcast_to(np.arange(size)[:, None], (size, chosen.size))
        outside = (found[:, None] == FILL) | (along == FILL)
        found = np.where(outside, FILL, found[:, None] * size + along).reshape(-1, chosen.size)
    return found


# ---- from a matrix back ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Match:
    """What :func:`from_matrix` found.

    Attributes
    ----------
    found : bool
        Whether the matrix is the convolution, within the tolerance; else one of those tried that
        differ in the fewest outputs is told.
    kernel : ndarray
        Its taps.
    options : dict
        Those of :func:`faltung.plan` beside the kernel: operation, mode, boundary, anchor, axes,
        stride and dilation.
    residual : float
        Norm of the matrix less that of the convolution, relative to the matrix.
    difference : tuple, optional
        Where they first differ: the output and the sample, as indices, the matrix's entry, and the
        convolution's. None where they do not.
    """

    found: bool
    kernel: Array
    residual: float
    options: dict[str, Any] = field(default_factory=dict)
    difference: tuple[tuple[int, ...], tuple[int, ...], Any, Any] | None = None

    def __repr__(self) -> str:
        o = self.options
        size = "x".join(map(str, self.kernel.shape))
        what = f"{o['operation']} with {size}, {o['mode']}, {', '.join(o['boundary'])}"
        for name in ("stride", "dilation"):
            what += "" if set(o[name]) == {1} else f", {name} {o[name]}"
        if self.difference is None:
            return f"<{what}; residual {self.residual:.2g}>"
        output, sample, entry, other = self.difference
        return (
            f"<no convolution; nearest is {what}, residual {self.residual:.2g}; they first differ "
            f"at output {output}, sample {sample}: {entry:.6g}, not {other:.6g}>"
        )


def from_matrix(
    matrix: Any,
    shape: int | Sequence[int],
    *,
    axes: int | Sequence[int] | None = None,
    operation: str = "convolve",
    mode: str | None = None,
    boundary: str | Sequence[str] | None = None,
    stride: int | Sequence[int] | None = None,
    size: int | Sequence[int] | None = None,
    tolerance: float | None = None,
    max_memory: int = 1 << 30,
) -> Match:
    """Say whether a matrix is a convolution, and which.

    The way back from :meth:`Plan.matrix <faltung.Plan.matrix>`. What is not given is looked for:
    the shape of the outputs, mode, stride and boundary. The middle row tells how far the kernel
    reaches, and its taps are those of least squares over the outputs that no boundary touches, or
    over all where it touches each. Kernels that reach further than the middle row shows are looked
    for among those as long as the input allows; none has more than 1,000 taps, and no more than
    200 convolutions are tried: ``size`` and the other options help. Several convolutions may have
    the same matrix (of three taps, "edge" and "symmetric" are the same): the first that is found
    is told.

    Parameters
    ----------
    matrix : array_like or sparse matrix
        With a row for each output and a column for each sample, in C order.
    shape : int or ints
        Shape of the input.
    axes : int or ints, optional
        The axes convolved over; all by default. The others are batches.
    operation : {"convolve", "correlate"}
        Which of the two the kernel is told for.
    mode, boundary, stride, size
        Look only among these; ``size`` is the kernel's, its zeros between dilated taps included.
    tolerance : float, optional
        Difference allowed between entries, relative to the greatest, and what counts as 0 beside
        it; by default 100 times the
        spacing of the matrix's dtype.
    max_memory : int
        Bytes that one trial may take.

    Returns
    -------
    Match

    Raises
    ------
    ValueError
        Where the matrix has not a column for each sample, holds nothing but zeros or NaN, or its
        rows are no outputs of any convolution of such an input.

    Examples
    --------
    >>> import faltung
    >>> plan = faltung.plan((5, 6), "float64", [[0, 1], [2, 3]], boundary="edge")
    >>> match = faltung.from_matrix(plan.matrix(), (5, 6))
    >>> match.kernel.round(12).tolist(), match.options["boundary"]
    ([[0.0, 1.0], [2.0, 3.0]], ('edge', 'edge'))
    >>> rows = [[1, 2, 0, 0], [0, 1, 2, 0], [0, 7, 1, 2], [0, 0, 0, 1]]
    >>> faltung.from_matrix(rows, 4).difference  # output, sample, entry, that of a convolution
    ((2,), (1,), 7.0, 0.0)
    """
    sizes = lengths(shape)
    plain = matrix if sparse.issparse(matrix) else plain_array(matrix, "matrix")
    if plain.ndim != 2 or plain.shape[1] != math.prod(sizes):
        raise ValueError(
            f"a matrix for inputs of shape {sizes} has {math.prod(sizes)} columns; got one "
            f"of shape {plain.shape}."
        )
    if plain.dtype.kind not in "biufc":
        raise TypeError(f"the matrix must hold numbers; got dtype {plain.dtype}.")
    given = sparse.csr_array(plain)
    if not np.isfinite(given.data).all():
        raise ValueError("the matrix must hold finite numbers; NaN and infinities are none.")
    if not given.data.any():
        raise ValueError("the matrix holds nothing but zeros: any kernel of zeros has it.")
    if operation not in OPERATIONS:
        raise ValueError(f"operation={operation!r} is unknown; use convolve or correlate.")
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode={mode!r} is unknown; use one of {', '.join(MODES)}, or None.")
    rank = len(sizes) if axes is None else np.size(axes)
    over = convolved_axes(axes, sizes, (1,) * rank)
    search = Search(
        given.astype(np.result_type(given.dtype, np.float64)),
        sizes,
        over,
        MODES[1:] + MODES[:1] if mode is None else (mode,),
        None if boundary is None else boundaries(boundary, rank),
        None if stride is None else per_axis(stride, rank, "stride", 1),
        None if size is None else per_axis(size, rank, "size", 1),
        tolerance_for(given.dtype) if tolerance is None else float(tolerance),
        max_memory,
    )
    best = search.best()
    if best is None:
        raise ValueError(
            f"no convolution of an input {sizes} has {given.shape[0]} outputs in "
            f"{'any mode' if mode is None else f'mode={mode!r}'}; check the shape and the axes."
        )
    return told(best, search, operation, given.dtype.kind in "biu")


def tolerance_for(dtype: Any) -> float:
    """Return the usual tolerance for a matrix."""
    inexact = dtype if dtype.kind in "fc" else np.dtype(float)
    return 100 * float(np.finfo(inexact).eps)


@dataclass(frozen=True, eq=False)
class Trial:
    """A correlation that was fitted to a matrix."""

    problem: Problem
    exact: bool
    residual: float
    difference: tuple[int, int, Any, Any] | None
    within: bool  # whether outputs differ that no boundary touches
    wrong: int  # outputs that differ

    @property
    def order(self) -> tuple[int, float]:
        """What the nearest has least of."""
        return self.wrong, self.residual


@dataclass(frozen=True, eq=False)
class Search:
    """What is looked for, and in what matrix."""

    matrix: Any
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    modes: tuple[str, ...]
    boundary: tuple[str, ...] | None
    stride: tuple[int, ...] | None
    size: tuple[int, ...] | None
    tolerance: float
    max_memory: int

    def geometries(self) -> list[tuple[tuple[Axis, ...], bool]]:
        """Return the geometries that the matrix may have; those with the fewest taps come first.

        Each with whether its kernel is as long as the input allows, whatever the middle row says.
        """
        batch = math.prod(n for a, n in enumerate(self.shape) if a not in self.axes)
        rows = self.matrix.shape[0]
        if rows == 0 or rows % batch:
            return []
        found: dict[tuple[Axis, ...], tuple[bool, int]] = {}
        for whole in (False, True):
            for counts in factors(rows // batch, len(self.axes)):
                for geometry in self._geometries(counts, whole):
                    taps = math.prod(axis.taps for axis in geometry)
                    if taps <= MOST_TAPS:
                        found.setdefault(geometry, (whole, taps))
        order = sorted(found, key=lambda geometry: found[geometry])
        return [(geometry, found[geometry][0]) for geometry in order]

    def _geometries(self, counts: tuple[int, ...], whole: bool) -> Iterator[tuple[Axis, ...]]:
        """Yield what the middle row and its neighbours allow for these numbers of outputs."""
        middle = tuple((count - 1) // 2 for count in counts)
        low, high = self._support(counts, middle)
        strides = []
        for n, count in enumerate(counts):
            if self.stride is not None:
                strides.append({self.stride[n]})
                continue
            steps = {1}
            if count > 1:
                beside = tuple(m + (a == n) for a, m in enumerate(middle))
                other = self._support(counts, beside)
                steps |= {b[n] - a[n] for a, b in zip((low, high), other, strict=True)}
            steps = {step for step in steps if step > 0}
            if steps == {1}:  # the ends may hide what the stride is
                samples = self.shape[self.axes[n]]
                steps |= {s for s in range(1, samples + 1) if s <= 4 or -(-samples // s) == count}
            strides.append(steps)
        for mode in self.modes:
            for stride in itertools.product(*(sorted(s, reverse=True) for s in strides)):
                axes = []
                for n, axis in enumerate(self.axes):
                    ends = low[n] - stride[n] * middle[n], high[n] - stride[n] * middle[n]
                    size = None if self.size is None else self.size[n]
                    axes.append(
                        along(mode, self.shape[axis], counts[n], stride[n], ends, size, whole)
                    )
                found = tuple(axis for axis in axes if axis is not None)
                if len(found) == len(axes):
                    yield found

    def _support(self, counts: tuple[int, ...], output: tuple[int, ...]) -> tuple[Any, Any]:
        """Return the least and the greatest sample of an output, per axis, of the first batch."""
        shape, place = list(self.shape), [0] * len(self.shape)
        for axis, count, i in zip(self.axes, counts, output, strict=True):
            shape[axis], place[axis] = count, i
        row = int(np.ravel_multi_index(tuple(place), tuple(shape)))
        ends = slice(self.matrix.indptr[row], self.matrix.indptr[row + 1])
        great = np.abs(self.matrix.data[ends]) > self.tolerance * self.scale
        columns = self.matrix.indices[ends][great]
        if columns.size == 0:
            return output, output
        samples = np.unravel_index(columns, self.shape)
        return tuple(
            tuple(int(pick(samples[axis])) for axis in self.axes) for pick in (np.min, np.max)
        )  # type: ignore[return-value]

    def continued(self, geometry: tuple[Axis, ...]) -> Iterator[Problem]:
        """Yield the correlation with every boundary that makes a difference, its taps still 0."""
        choices: list[tuple[str, ...]] = []
        for n, axis in enumerate(geometry):
            low, high = axis.span(0, axis.count)
            beyond = low < 0 or high > axis.n
            each = BOUNDARIES if beyond else BOUNDARIES[:1]
            choices.append(each if self.boundary is None else (self.boundary[n],))
        for boundary in itertools.product(*choices):
            yield Problem(
                "correlate",
                self.shape,
                "float64",
                Taps.of(np.zeros([axis.taps for axis in geometry])),
                self.axes,
                geometry[0].mode,
                boundary,
                0,
                tuple(axis.anchor for axis in geometry),
                tuple(axis.stride for axis in geometry),
                (1,) * len(geometry),
                Arithmetic(self.matrix.dtype.name, self.matrix.dtype.name),
            )

    @cached_property
    def scale(self) -> float:
        """The greatest entry."""
        return float(np.abs(self.matrix.data).max())

    def best(self) -> Trial | None:
        """Return the first trial that is exact, or the nearest of what the middle row shows."""
        best: Trial | None = None
        tried = 0
        for geometry, whole in self.geometries():
            for problem in self.continued(geometry):
                if tried == MOST_TRIALS:
                    return best
                tried += 1
                trial = self.fit(problem)
                if trial.exact:
                    return trial
                # of as many taps as entries, any matrix is nearly one
                fair = not whole and 2 * trial.problem.taps.size <= self.matrix.nnz
                if best is None or (fair and trial.order < best.order):
                    best = trial
                if trial.within:  # no boundary mends that
                    break
        return best

    def fit(self, problem: Problem) -> Trial:
        """Fit the taps, to the outputs that no boundary touches where there are any; compare."""
        taps = np.arange(problem.taps.size)
        needed = math.prod(problem.result_shape) * taps.size * 2 * ENTRY
        if needed > self.max_memory:
            raise ValueError(
                f"fitting {taps.size:,} taps takes {needed:,} bytes, more than "
                f"max_memory={self.max_memory:,}; give that many, or mode, stride and size."
            )
        columns = footprints(problem, taps)
        constant = replace(problem, boundary=("constant",) * len(problem.boundary))
        inside = (footprints(constant, taps) != FILL).all(axis=1)
        used = columns != FILL
        used[~inside] &= not inside.any()
        rows, tap = np.nonzero(used)
        width = self.matrix.shape[1]
        places, pair = np.unique(rows * width + columns[rows, tap], return_inverse=True)
        design = sparse.csr_array(
            (np.ones(tap.size), (pair.ravel(), tap)), shape=(places.size, taps.size)
        )
        entries = np.asarray(self.matrix[places // width, places % width]).ravel()
        gram = (design.T @ design).toarray()
        found = np.linalg.lstsq(gram, design.T @ entries, rcond=None)[0]
        fitted = replace(problem, taps=Taps.of(found.reshape(problem.taps.shape)))
        other = matrix_of(fitted, self.max_memory)
        rest = (self.matrix - other).tocoo()
        residual = float(np.linalg.norm(rest.data) / np.linalg.norm(self.matrix.data))
        wrong = np.abs(rest.data) > self.tolerance * self.scale
        if not wrong.any():
            return Trial(fitted, True, residual, None, False, 0)
        row, column = min(zip(rest.row[wrong].tolist(), rest.col[wrong].tolist(), strict=True))
        difference = row, column, self.matrix[row, column], other[row, column]
        outputs = np.unique(rest.row[wrong])
        return Trial(fitted, False, residual, difference, inside[outputs].any(), outputs.size)


def along(
    mode: str, n: int, count: int, stride: int, ends: tuple[int, int], size: int | None, whole: bool
) -> Axis | None:
    """Return the geometry of an axis whose taps reach from ``ends[0]`` to ``ends[1]``, or None.

    With ``whole`` the kernel is as long as any that tells samples apart.
    """
    if mode == "same":
        low, high = (1 - n, n - 1) if whole else (min(ends[0], 0), max(ends[1], 0))
        if size is not None:
            low = -default_anchor(size) if high - low >= size else low
            high = low + size - 1
        axis = Axis(n, high - low + 1, mode, "correlate", -low, stride)
        return axis if axis.count == count and 0 <= -low < axis.taps else None
    sign = 1 if mode == "full" else -1  # n + reach samples, or n - reach, make so many outputs
    bounds = sorted(sign * (extent - n) for extent in ((count - 1) * stride + 1, count * stride))
    least = max(0, bounds[0], ends[1] if mode == "valid" else -ends[0])
    reach = bounds[1] if whole else least
    reach = reach if size is None else size - 1
    if not least <= reach <= bounds[1] and size is None:
        return None
    axis = Axis(n, reach + 1, mode, "correlate", 0, stride)
    return axis if axis.count == count and (mode == "full" or axis.fits) else None


def factors(number: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to write a number as a product of so many."""
    if parts == 1:
        yield (number,)
        return
    for first in range(1, number + 1):
        if number % first == 0:
            yield from ((first, *rest) for rest in factors(number // first, parts - 1))


def told(trial: Trial, search: Search, operation: str, whole: bool) -> Match:
    """Say what was found in the words of the operator."""
    problem = trial.problem
    kernel, anchor = problem.taps.array, list(problem.anchor)
    scale = np.abs(kernel).max()
    there = np.abs(kernel) > search.tolerance * scale
    dilation = []
    for n, axis in enumerate(problem.geometry):
        used = np.flatnonzero(there.any(axis=tuple(m for m in range(kernel.ndim) if m != n)))
        low, high = 0, axis.taps
        if problem.mode == "same" and search.size is None:
            low, high = min(used[0], anchor[n]), max(used[-1], anchor[n]) + 1
        origin = anchor[n] if problem.mode == "same" else 0
        step = math.gcd(*(abs(int(t) - origin) for t in (*used, low, high - 1))) or 1
        cut = [slice(None)] * kernel.ndim
        cut[n] = slice(low, high, step)
        kernel, there = kernel[tuple(cut)], there[tuple(cut)]
        anchor[n] = (anchor[n] - low) // step
        dilation.append(step)
    if operation == "convolve":
        kernel = np.flip(kernel)
        anchor = [taps - 1 - a for taps, a in zip(kernel.shape, anchor, strict=True)]
    if whole and trial.exact and np.abs(kernel - np.rint(kernel)).max() < 1e-6 * max(1.0, scale):
        kernel = np.rint(kernel).astype(np.int64)
    difference = None
    if trial.difference is not None:
        row, column, entry, other = trial.difference
        places = [
            tuple(int(i) for i in np.unravel_index(index, shape))
            for index, shape in ((row, problem.result_shape), (column, problem.shape))
        ]
        difference = places[0], places[1], entry.item(), other.item()
    options = {
        "operation": operation,
        "mode": problem.mode,
        "boundary": problem.boundary,
        "anchor": tuple(anchor) if problem.mode == "same" else None,
        "axes": problem.axes,
        "stride": problem.stride,
        "dilation": tuple(dilation),
    }
    return Match(trial.exact, np.ascontiguousarray(kernel), trial.residual, options, difference)
