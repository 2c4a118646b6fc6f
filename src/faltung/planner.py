"""Choosing a method for a problem, and the ``Plan`` that carries the choice out."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from faltung import machine, native, normalised
from faltung.dtypes import Array, DType, overlap, plain_array
from faltung.explain import Report, as_html, as_text, report, title
from faltung.kernels.kernel import Kernel
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
from faltung.problem import Options, Problem, build

LAID_OUT = 1 << 24  # samples that a boundary may add in any case
METHODS: tuple[Method, ...] = (
    sums, separable, sparse, recursive, direct, fused_fft, fft, wide, wide_fft, reference,
)  # fmt: skip
BY_NAME = {method.NAME: method for method in METHODS}


@dataclass(frozen=True)
class Candidate:
    """One method's answer: taken or refused, at what cost and with what error bound."""

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
        """The factor ``c`` in ``|error| <= c * (|k| * |x|)``; 0 where the result is exact.

        A result that is rounded to integers is off by at most half a unit more. With missing or
        weighted samples, ``|k| * |x|`` is the same normalised convolution of magnitudes. The method
        "recursive" bounds the error by ``c * sum |k| * max |x|`` instead.
        """
        return bound_of(BY_NAME[self.method], self.problem)

    @cached_property
    def _run(self) -> Run:
        method = BY_NAME[self.method]
        if not method.supports(self.problem).ok:  # pickled where there was a compiled library
            method = BY_NAME[choose(replace(self.problem, method="auto")).method]
        return method.prepare(self.problem)

    @cached_property
    def _weighing(self) -> tuple[Run, Run]:
        sums, mass = normalised.split(self.problem)
        return choose(sums)._run, choose(mass)._run

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("problem", "method", "reason")}

    def __call__(
        self, x: Any, *, out: Array | None = None, weights: Any = None, workers: int | None = None
    ) -> Array:
        """Compute the planned problem.

        Parameters
        ----------
        x : array_like
            Input of the planned shape and dtype.
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
        >>> import faltung
        >>> p = faltung.plan(5, "float32", [1, 2, 1])
        >>> p(np.ones(5, np.float32)).tolist()
        [3.0, 4.0, 4.0, 4.0, 3.0]
        """
        problem = self.problem
        x = plain_array(x, "x")
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
            check_out(out, self, x)
        if out.size == 0:
            return out
        if problem.weighted != (weights is not None):
            raise ValueError(
                "weights go with a plan made for them; use faltung.plan(..., weighted=True)."
            )
        if problem.normalised:
            normalised.run(problem, self._weighing, x, weights, out, threads)
        else:
            self._run(x, out, threads)
        return out

    def cost(self, table: Machine | None = None) -> Cost:
        """Return predicted seconds and scratch bytes, from this machine's table or another."""
        return predicted(BY_NAME[self.method], self.problem, table or machine.machine())

    def __repr__(self) -> str:
        return f"<{title(self.problem)}; {self.method}: {self.reason}>"

    def _repr_html_(self) -> str:
        return as_html(self.report())

    def candidates(self) -> tuple[Candidate, ...]:
        """Return every method's answer to the problem."""
        return tuple(consider(method, self.problem) for method in METHODS)

    def report(self) -> Report:
        """Return what :meth:`explain` prints, as data."""
        parts: tuple[str, ...] = ()
        if self.problem.normalised:
            parts = tuple(choose(part).method for part in normalised.split(self.problem))
        return report(self.problem, self.method, self.candidates(), parts)

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


def bound_of(method: Method, problem: Problem) -> float:
    """Return the error bound of a method's answer, through the quotient of a normalised one."""
    if not problem.normalised:
        return method.error_bound(problem)
    parts = [choose(part) for part in normalised.split(problem)]
    eps = float(np.finfo(np.dtype(problem.arithmetic.accumulator)).eps)
    result = problem.result_dtype
    narrows = result.kind in "fc" and result != problem.arithmetic.accumulator
    last = float(np.finfo(result).eps) if narrows else 0.0
    return sum(part.error_bound for part in parts) + 8 * eps + last


def unit_of(method: Method, problem: Problem) -> str:
    """Return what the factor of an error bound is times."""
    # the two sums of a normalised problem are left to methods that bound each output
    return "(|k| * |x|)" if problem.normalised else getattr(method, "ERROR_UNIT", "(|k| * |x|)")


def check_out(out: Any, plan: Plan, x: Array) -> None:
    """Raise unless ``out`` can take the result."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array; got {type(out).__name__}.")
    if out.shape != plan.shape or out.dtype != plan.dtype:
        raise ValueError(
            f"out must be {plan.dtype} {plan.shape}; got {out.dtype} {out.shape}. "
            f"Use np.empty({plan.shape}, np.{plan.dtype}), or ask for another result with dtype=."
        )
    if not out.flags.writeable:
        raise ValueError("out is read-only; give a writeable array.")
    if overlap(x, out):
        raise ValueError("out overlaps the input; give an array of its own, or out=None.")


def predicted(method: Method, problem: Problem, table: Machine) -> Cost:
    """Return what a call is expected to need, its new output included."""
    cost = method.cost(problem, table)
    size = math.prod(problem.result_shape) * problem.result_dtype.itemsize
    return cost._replace(seconds=cost.seconds + table.fresh(size))


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
def consider(method: Method, problem: Problem) -> Candidate:
    """Ask one method about a problem."""
    why = None if method is reference else too_long(problem)  # it looks each sample up
    if why is not None:
        return Candidate(method.NAME, False, why)
    verdict = method.supports(problem)
    if not verdict.ok:
        return Candidate(method.NAME, False, verdict.note)
    cost = predicted(method, problem, machine.machine())
    # what takes every problem stays; a method that was asked for, too
    fits = cost.memory <= problem.max_memory or problem.method == method.NAME
    if not fits and method is not reference:
        note = f"it would need {cost.memory:,} bytes of scratch; max_memory={problem.max_memory:,}"
        return Candidate(method.NAME, False, note)
    return Candidate(
        method.NAME,
        True,
        verdict.note,
        cost,
        bound_of(method, problem),
        unit_of(method, problem),
    )


def choose(problem: Problem) -> Plan:
    """Return the plan with the cheapest method that takes the problem.

    Raises
    ------
    ValueError
        Where the method that was asked for is unknown or refuses.
    """
    if problem.method != "auto":
        if not isinstance(problem.method, str) or problem.method not in BY_NAME:
            raise ValueError(
                f"method={problem.method!r} is unknown; use auto, {', '.join(BY_NAME)}."
            )
        answer = consider(BY_NAME[problem.method], problem)
        if not answer.taken:
            raise ValueError(
                f"method={problem.method!r} cannot take this: {answer.note}. Use method='auto'."
            )
        return Plan(problem, answer.method, f"asked for; {answer.note}")
    answers = [consider(method, problem) for method in METHODS]
    taken = [a for a in answers if a.taken and a.cost is not None]
    best = min(taken, key=lambda a: a.cost.seconds if a.cost else math.inf)
    return Plan(problem, best.method, best.note)


# ---- the cache of plans ----------------------------------------------------------------------


class PlanCache:
    """The plans last used, looked up by the arguments of the call; so many, and so many bytes."""

    def __init__(self, size: int, memory: int) -> None:
        self.size, self.memory = size, memory
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        self._held = 0
        self.renew()

    def renew(self) -> None:
        """Take a new lock; reentrant, as a signal's handler may convolve, too."""
        self._lock = threading.RLock()

    def get(self, key: Any) -> Plan | None:
        """Return the plan made for these arguments, if it is still here."""
        with self._lock:
            found = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
            return found

    def put(self, key: Any, value: Plan) -> None:
        """Keep a plan; the one unused for longest goes when there are too many."""
        with self._lock:
            replaced = self._plans.pop(key, None)
            self._held += held_by(value) - (held_by(replaced) if replaced else 0)
            self._plans[key] = value
            while self._plans and (len(self._plans) > self.size or self._held > self.memory):
                self._held -= held_by(self._plans.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget every plan."""
        with self._lock:
            self._plans.clear()
            self._held = 0


def held_by(plan: Plan) -> int:
    """Return about how many bytes a plan keeps: its taps, and what its method made of them."""
    taps = plan.problem.taps
    item = 64 if taps.dtype == "object" else np.dtype(taps.dtype).itemsize
    held = getattr(BY_NAME[plan.method], "held", None)
    return 2 * taps.size * item + (held(plan.problem) if held else 0)


_cache = PlanCache(256, 256 << 20)
native.renew_after_fork(_cache.renew)


def forget() -> None:
    """Forget every plan, as after a calibration."""
    _cache.clear()


CACHED_KERNEL = 1 << 22  # bytes: plans of larger kernels are not kept
CACHED_TAPS = 1 << 20  # the same for kernels with a name, which are cheap to compare


class plan_cache:  # noqa: N801  (used like a function)
    """Set the number of plans that are kept, for good or for the length of a ``with`` block.

    Parameters
    ----------
    size : int
        Number of plans; 0 keeps none.

    Examples
    --------
    >>> import faltung
    >>> with faltung.plan_cache(0):
    ...     faltung.plan(5, "float32", [1, 2, 1]).shape
    (5,)
    """

    def __init__(self, size: int) -> None:
        if not isinstance(size, int) or size < 0:
            raise ValueError(f"size={size!r} must be an int of at least 0.")
        self._before = _cache.size
        _cache.size = size
        if size == 0:
            _cache.clear()

    def __enter__(self) -> plan_cache:
        return self

    def __exit__(self, *_exception: object) -> None:
        _cache.size = self._before


def kernel_key(k: Any) -> Any:
    """Return a hashable stand-in for a kernel, or None where it should not be kept."""
    if isinstance(k, np.ndarray):
        if isinstance(k, np.ma.MaskedArray) or k.dtype == object or k.nbytes > CACHED_KERNEL:
            return None
        return k.shape, k.dtype, k.tobytes()
    return k if isinstance(k, Kernel) and k.size <= CACHED_TAPS else None


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


def types_of(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the types of the values, and of what tuples among them hold."""
    return tuple(types_of(v) if type(v) is tuple else type(v) for v in values)


def _environment() -> Any:
    return native.library() is not None
