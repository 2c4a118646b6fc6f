"""Choosing a method for a problem, and the ``Plan`` that carries the choice out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung import machine, native, normalised
from faltung.dtypes import Array, DType, check_out, listed, plain_array
from faltung.explain import Report, as_html, as_text, report, title
from faltung.limits import (
    BOUNDLESS,
    OUTPUTS,
    TOLERANCE,
    bound_as_tolerance,
    least_memory,
    more_exact,
    too_coarse,
    too_much,
    unit_of,
    whole_reason,
)
from faltung.machine import Machine
from faltung.methods import (
    Cost,
    Method,
    Run,
    direct,
    fft,
    fused_fft,
    recursive,
    reference,
    separable,
    sparse,
    sums,
    wide,
    wide_fft,
)
from faltung.problem import Options, Problem, build, kernel_key
from faltung.remember import Kept, types_of
from faltung.settings import Setting

if TYPE_CHECKING:
    from faltung.streaming import Stream

LAID_OUT = 1 << 24  # samples that a boundary may add in any case
METHODS: tuple[Method, ...] = (
    sums, separable, sparse, recursive, direct, fused_fft, fft, wide, wide_fft, reference,
)  # fmt: skip
BY_NAME = {method.NAME: method for method in METHODS}


@dataclass(frozen=True)
class Candidate:
    """One method's answer: taken or refused, at what cost and with what error bound.

    Attributes
    ----------
    method : str
    taken : bool
        Whether it takes the problem.
    note : str
        How it would go about it, or why not.
    cost : Cost, optional
        Predicted seconds and bytes of scratch; None where refused, as are the others.
    error_bound : float, optional
        The factor of its bound; 0 where exact.
    error_unit : str
        What that is times; see :attr:`Plan.error_unit`.
    """

    method: str
    taken: bool
    note: str
    cost: Cost | None = None
    error_bound: float | None = None
    error_unit: str = ""


@dataclass(frozen=True)
class Plan:
    """A problem and the method chosen for it; call it with an input.

    A plan is a value: frozen, hashable, printable, picklable. Calling it again costs little more
    than the arithmetic. It is made by :func:`plan`.

    Attributes
    ----------
    problem : Problem
        What is computed.
    method : str
        The chosen method.
    reason : str
        Why it was chosen.
    """

    problem: Problem
    method: str
    reason: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return self.problem.result_shape

    @property
    def dtype(self) -> DType:
        """The dtype of the result."""
        return self.problem.result_dtype

    @property
    def error_bound(self) -> float:
        """The factor ``c`` of the bound on every output's error; 0 where the result is exact.

        What it is times is :attr:`error_unit`. A result that is rounded to integers is off by at
        most half a unit more.
        """
        return bound_of(BY_NAME[self.method], parts_of(self.problem), self.problem.result_dtype)

    @property
    def error_unit(self) -> str:
        """What :attr:`error_bound` is times.

        ``"(|k| * |x|)"``
            the same convolution of magnitudes: a bound of its own for each output. With missing or
            weighted samples it is normalised likewise.
        ``"norm(k) * norm(x)"``
            the square roots of the sums of squared magnitudes, of the taps and of the samples with
            their boundary: of the method "fft".
        ``"sum |k| * max |x|"``
            as a tolerance is: of the method "recursive".
        """
        return unit_of(BY_NAME[self.method])

    @cached_property
    def _runs(self) -> list[Run]:
        """What runs: one part, or the two sums of a normalised problem, by the same method."""
        parts = parts_of(self.problem)
        method = BY_NAME[self.method]
        if not all(method.supports(part).ok for part in parts):
            # pickled where there was a compiled library
            method = BY_NAME[choose(replace(self.problem, method="auto")).method]
        return [method.prepare(part) for part in parts]

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("problem", "method", "reason")}

    def __call__(
        self, x: Any, *, out: Array | None = None, weights: Any = None, workers: int | None = None
    ) -> Array:
        """Compute the planned problem.

        Parameters
        ----------
        x : array_like
            Input of the planned shape and dtype. A list takes the planned dtype, where that is of
            a kind that holds its numbers.
        out : ndarray, optional
            Where the result goes; of the planned result's shape and dtype, apart from ``x``.
        weights : array_like, optional
            Non-negative weight of each sample, where the plan was made with ``weighted=True``.
        workers : int, optional
            Number of threads; all the processors by default. The result has the same bits for any.

        Returns
        -------
        ndarray

        Raises
        ------
        ValueError, TypeError, OverflowError
            Where the input or ``out`` is not what was planned, or a result does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import faltung
        >>> p = faltung.plan(5, "float32", [1, 2, 1])
        >>> p(np.ones(5, np.float32)).tolist()
        [3.0, 4.0, 4.0, 4.0, 3.0]
        """
        problem = self.problem
        x = plain_array(x, "x") if isinstance(x, np.ndarray) else listed(x, problem.dtype)
        if x.shape != problem.shape or (
            x.dtype != problem.dtype and x.dtype.newbyteorder("=") != problem.dtype
        ):
            raise ValueError(
                f"this plan takes {problem.dtype} {problem.shape}; got {x.dtype} {x.shape}. "
                "Make a plan for this shape and dtype, or call faltung.convolve."
            )
        threads = native.get_workers() if workers is None else native.check_workers(workers)
        if problem.nonnegative and x.size and not x.min() >= 0:
            raise ValueError("nonnegative=True needs an input without negative samples or NaN.")
        if out is None:
            out = np.empty(self.shape, self.dtype)
        else:
            check_out(out, self.shape, self.dtype, x)
        if out.size == 0:
            return out
        if problem.weighted and weights is None:
            raise ValueError(
                "this plan was made with weighted=True and needs weights=, one for each sample; "
                "without weights, make it without weighted=True."
            )
        if weights is not None and not problem.weighted:
            raise ValueError(
                "weights go with a plan made for them; use faltung.plan(..., weighted=True)."
            )
        if problem.normalised:
            sums, mass = self._runs
            normalised.run(problem, (sums, mass), x, weights, out, threads)
        else:
            self._runs[0](x, out, threads)
        return out

    def adjoint(self, y: Any, *, workers: int | None = None) -> Array:
        """Return ``A* y``: what every output gives back to the samples under its taps.

        ``A`` is the linear map from input to result: the sums before they are rounded or saturate,
        without what the fill value adds. So ``vdot(A x, y) == vdot(x, A* y)`` for all x and y.

        Parameters
        ----------
        y : array_like
            Numbers of the planned result's shape, of any dtype.
        workers : int, optional
            Number of threads.

        Returns
        -------
        ndarray
            Of the planned input's shape, in the dtype that ``y`` and the taps give.

        Raises
        ------
        ValueError
            Where ``y`` has another shape, or missing or weighted samples are planned, whose map
            depends on the input: see :func:`vjp`.

        Examples
        --------
        >>> import faltung
        >>> faltung.plan(4, "float64", [1, 2], mode="valid").adjoint([1.0, 0.0, 0.0]).tolist()
        [2.0, 1.0, 0.0, 0.0]
        """
        from faltung.matrices import adjoint_of  # goes down to the planner again

        return adjoint_of(self, y, workers)

    def matrix(self, *, max_memory: int = 1 << 30) -> Any:
        """Return the sparse matrix of this plan: the fully connected layer that equals it.

        Parameters
        ----------
        max_memory : int
            Bytes that making it may take.

        Returns
        -------
        scipy.sparse.csr_array
            With a row for each output and a column for each sample, both in C order, so that
            ``matrix @ x.ravel()`` is ``plan(x).ravel()`` but for rounding, an overflow rule, and
            what a fill value other than 0 adds, which is ``plan`` of zeros.

        Raises
        ------
        ValueError
            Where it would take more memory, or samples may be missing or are weighted.

        Examples
        --------
        >>> import faltung
        >>> faltung.plan(4, "int64", [1, 2, 3], boundary="wrap").matrix().toarray().tolist()
        [[2, 1, 0, 3], [3, 2, 1, 0], [0, 3, 2, 1], [1, 0, 3, 2]]
        """
        from faltung.matrices import matrix_of  # SciPy's sparse matrices load slowly

        return matrix_of(self.problem, max_memory)

    def cost(self, table: Machine | None = None) -> Cost:
        """Return the predicted cost of a call.

        Parameters
        ----------
        table : Machine, optional
            The figures of a machine; by default those in use here.

        Returns
        -------
        Cost
            ``seconds``, and ``memory``: the bytes of scratch besides input and output.

        Examples
        --------
        >>> import faltung
        >>> cost = faltung.plan((1000, 1000), "float32", [[1, 2, 1]]).cost()
        >>> 0 < cost.seconds < 1 and cost.memory < 2**24
        True
        """
        method = BY_NAME[self.method]
        return predicted(method, self.problem, parts_of(self.problem), table or machine.machine())

    def __repr__(self) -> str:
        return f"<{title(self.problem)}; {self.method}: {self.reason}>"

    def _repr_html_(self) -> str:
        return as_html(self.report())

    def candidates(self) -> tuple[Candidate, ...]:
        """Return every method's answer to the problem, taken or refused.

        Returns
        -------
        tuple of Candidate

        Examples
        --------
        >>> import faltung
        >>> answers = faltung.plan(9, "int64", [1, 2]).candidates()
        >>> [a.note for a in answers if a.method == "fft"]
        ['exact integers have transforms of their own']
        """
        parts = parts_of(self.problem)
        return tuple(consider(method, self.problem, parts, thorough=True) for method in METHODS)

    def report(self) -> Report:
        """Return what :meth:`explain` prints, as data.

        Returns
        -------
        Report

        Examples
        --------
        >>> import faltung
        >>> faltung.plan(9, "int64", [1, 2]).report().equation
        'y[i] = sum_j k[j] x[i - j]'
        """
        return report(self.problem, self.method, self.candidates())

    def explain(self) -> str:
        """Return the index equation, the geometry, the methods and the costs, as text.

        A notebook shows the same as a table.

        Examples
        --------
        >>> import faltung
        >>> print(faltung.plan(10, "float64", [1, 2, 1]).explain().splitlines()[1])
          y[i] = sum_j k[j] x[i + 1 - j]
        """
        return as_text(self.report())

    def stream(self, *, axis: int | None = None, latency: int | None = None) -> Stream:
        """Return a stream that computes the same block by block, as :func:`faltung.stream` does.

        Parameters
        ----------
        axis : int, optional
            Along which blocks follow one another; by default the first that is convolved over.
            The planned length along it says nothing then.
        latency : int, optional
            The most samples that an output may be late.

        Returns
        -------
        Stream

        Examples
        --------
        >>> import faltung
        >>> s = faltung.plan(6, "int64", [1, 2, 1]).stream()
        >>> s.feed([0, 0, 3]).tolist(), s.feed([4, 5, 0]).tolist(), s.flush().tolist()
        ([0, 3], [10, 16, 14], [5])
        """
        from faltung import streaming

        return streaming.of_plan(self.problem, axis, latency)


def parts_of(problem: Problem) -> tuple[Problem, ...]:
    """Return what a method has to compute: the problem, or the two sums of a normalised one."""
    return normalised.split(problem) if problem.normalised else (problem,)


def bound_of(method: Method, parts: Sequence[Problem], result: DType) -> float:
    """Return the error bound of a method's answer, through the quotient of a normalised one."""
    if len(parts) == 1:
        return method.error_bound(parts[0])
    accumulator = parts[0].arithmetic.accumulator
    eps = float(np.finfo(np.dtype(accumulator)).eps)
    narrows = result.kind in "fc" and result != accumulator
    last = float(np.finfo(result).eps) if narrows else 0.0
    return sum(map(method.error_bound, parts)) + 8 * eps + last


def predicted(method: Method, problem: Problem, parts: Sequence[Problem], table: Machine) -> Cost:
    """Return what a call is expected to need, its new output included."""
    costs = [method.cost(part, table) for part in parts]
    seconds = sum(cost.seconds for cost in costs) + table.fresh(problem.traffic[1])
    memory = max(cost.memory for cost in costs)
    if problem.normalised:
        more = normalised.extra(problem, table)
        seconds, memory = seconds + more.seconds, memory + more.memory
    return Cost(seconds, memory)


def too_long(problem: Problem) -> str | None:
    """Return why a kernel with large steps between its taps should not be laid out in memory."""
    laid = math.prod(problem.shape) * math.prod(
        (along.span(0, along.count)[1] - along.span(0, along.count)[0]) / max(1, along.n)
        for along in problem.geometry
    )
    if laid > LAID_OUT + 8 * (math.prod(problem.shape) + math.prod(problem.result_shape)):
        return f"the input would have to be laid out to {laid:.2g} samples"
    return None


@np.errstate(all="ignore")  # norms of taps that are great or infinite are infinite
def consider(
    method: Method, problem: Problem, parts: Sequence[Problem], *, thorough: bool = False
) -> Candidate:
    """Ask one method about a problem; ``thorough`` looks for the whole reason of a refusal."""

    def refused(note: str) -> Candidate:
        return Candidate(method.NAME, False, note)

    if problem.normalised and unit_of(method) != OUTPUTS:
        return refused("a quotient of two sums needs a bound for each output, which it has not")
    for part in parts:
        why = None if method is reference else too_long(part)  # it looks each sample up
        if why is not None:
            return refused(why)
        verdict = method.supports(part)
        if not verdict.ok:
            return refused(whole_reason(method, part, verdict.note) if thorough else verdict.note)
    cost = predicted(method, problem, parts, machine.machine())
    if cost.memory > problem.max_memory:
        # under the usual limit, what takes every problem stays; a method that was asked for, too
        stays = method is reference or problem.method == method.NAME
        if not (stays and problem.max_memory == problem.usual_memory):
            return refused(too_much(cost.memory, problem.max_memory))
    bound = bound_of(method, parts, problem.result_dtype)
    if problem.tolerance is not None:
        error = bound_as_tolerance(method, problem, bound)
        if not error <= problem.tolerance:
            return refused(too_coarse(error, problem.tolerance))
    return Candidate(method.NAME, True, verdict.note, cost, bound, unit_of(method))


def choose(problem: Problem) -> Plan:
    """Return the plan with the cheapest method that takes the problem.

    Raises
    ------
    ValueError
        Where the method that was asked for is unknown or refuses, or none keeps within the
        tolerance and ``max_memory``.
    """
    parts = parts_of(problem)
    if problem.method != "auto":
        if not isinstance(problem.method, str) or problem.method not in BY_NAME:
            raise ValueError(
                f"method={problem.method!r} is unknown; use auto, {', '.join(BY_NAME)}."
            )
        method = BY_NAME[problem.method]
        answer = consider(method, problem, parts)
        if not answer.taken:
            note = consider(method, problem, parts, thorough=True).note
            raise ValueError(f"method={problem.method!r} cannot take this: {note}. "
                             "Use method='auto'.")  # fmt: skip
        return Plan(problem, answer.method, f"asked for; {answer.note}")
    answers = [consider(method, problem, parts) for method in METHODS]
    taken = [a for a in answers if a.taken and a.cost is not None]
    if not taken:
        raise ValueError(nothing_left(problem))
    best = min(taken, key=lambda a: a.cost.seconds if a.cost else math.inf)
    return Plan(problem, best.method, best.note)


def nothing_left(problem: Problem) -> str:
    """Say which of a call's limits no method keeps, and what would do."""
    free = replace(problem, tolerance=None, max_memory=BOUNDLESS)
    parts = parts_of(free)
    able = [method for method in METHODS if consider(method, free, parts).taken]
    if problem.tolerance is not None:
        bound, name = min(
            (
                bound_as_tolerance(method, free, bound_of(method, parts, problem.result_dtype)),
                method.NAME,
            )
            for method in able
        )
        if bound > problem.tolerance:
            return (
                f"tolerance={problem.tolerance:g} (times {TOLERANCE}) is below every method's "
                f"error bound; the least is {bound:.3g}, of the method {name!r}. "
                f"{more_exact(problem)}"
            )
    needs = []
    for method in able:
        tried = replace(problem, max_memory=BOUNDLESS)
        tried_parts = parts_of(tried)
        if consider(method, tried, tried_parts).taken:
            needed = [least_memory(method, part) or BOUNDLESS for part in tried_parts]
            more = normalised.extra(problem, machine.machine()).memory * problem.normalised
            needs.append((max(needed) + more, method.NAME))
    least, name = min(needs)
    within = "" if problem.tolerance is None else " within the tolerance"
    return (
        f"max_memory={problem.max_memory:,} bytes of scratch are too few for every method{within}; "
        f"give max_memory={least} or more, which {name!r} needs."
    )


# ---- the cache of plans ----------------------------------------------------------------------


def held_by(plan: Plan) -> int:
    """Return about how many bytes a plan keeps: its taps, and what its method made of them."""
    taps = plan.problem.taps
    item = 64 if taps.dtype == "object" else np.dtype(taps.dtype).itemsize
    held = getattr(BY_NAME[plan.method], "held", None)
    return 2 * taps.size * item + (held(plan.problem) if held else 0)


_cache: Kept[Plan] = Kept(256, 256 << 20, held_by)
native.renew_after_fork(_cache.renew)


def forget() -> None:
    """Forget every plan, as after a calibration."""
    _cache.clear()


class plan_cache(Setting):  # noqa: N801  (used like a function)
    """Set how many plans the process keeps, for good or for the length of a ``with`` block.

    A call with the same shapes, dtypes, taps and options as one of the last 256 uses its plan
    again, and so does :func:`plan`; that saves most of the time of a small call. Plans of kernels
    beyond 4 MB are not kept. The number holds from the moment that this is made, for every thread;
    at the end of a ``with`` block the number from before comes back. ``plan_cache(0)`` forgets
    every plan.

    Parameters
    ----------
    size : int
        Number of plans; 0 keeps none.

    Raises
    ------
    ValueError
        Where ``size`` is no such int.

    Examples
    --------
    >>> import faltung
    >>> with faltung.plan_cache(0):
    ...     faltung.plan(5, "float32", [1, 2, 1]).shape
    (5,)
    """

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"size={size!r} must be an int of at least 0.")
        super().__init__(size)

    def _read(self) -> int:
        return _cache.size

    def _write(self, value: int) -> None:
        _cache.size = value
        if value == 0:
            _cache.clear()


def plan_for(operation: str, shape: Any, dtype: Any, k: Any, options: Options) -> Plan:
    """Return the plan for a call, from the cache where it was made before."""
    stand_in = kernel_key(k)
    if stand_in is None:
        return choose(build(operation, shape, dtype, k, options))
    # equal numbers of other types (1, 1.0, True) are not the same argument
    key = (operation, shape, dtype, stand_in, options, types_of(options), _environment())
    try:
        found = _cache.get(key)
    except TypeError:  # an argument is a list or an array
        return choose(build(operation, shape, dtype, k, options))
    if found is None:
        found = choose(build(operation, shape, dtype, k, options))
        _cache.put(key, found)
    return found


def _environment() -> Any:
    return native.library() is not None
