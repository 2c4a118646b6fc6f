"""The methods: one file each, the same functions in all of them.

``supports(problem)``
    Whether the method can compute the problem, and why not.
``cost(problem, machine)``
    Predicted seconds, and bytes beyond input and output.
``error_bound(problem)``
    The factor ``c`` in ``|error| <= c * (|k| * |x|)``, output by output; 0 where exact.
    A method whose bound is of another kind says so in ``ERROR_UNIT``.
``prepare(problem)``
    A callable ``run(x, out, workers)``, in which everything that does not depend on the numbers
    of ``x`` is done already. A plan keeps it, so that a repeated call starts at the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from faltung.dtypes import Array
from faltung.machine import Machine
from faltung.problem import Problem

Run = Callable[[Array, Array, int], None]


class Verdict(NamedTuple):
    """Whether a method takes a problem; ``note`` says how, or why not."""

    ok: bool
    note: str = ""


class Cost(NamedTuple):
    """What a call is expected to need.

    Attributes
    ----------
    seconds : float
    memory : int
        Bytes of scratch besides the input and the result.
    """

    seconds: float
    memory: int


def scratch(problem: Problem, most: int, item: int) -> int:
    """Return the scratch bytes of a method that works block by block, ``most`` at a time.

    A small problem needs less: its samples with the boundary laid around, and its sums, of so many
    bytes each.
    """
    spans = [along.span(0, along.count) for along in problem.geometry]
    laid = math.prod(high - low for low, high in spans)
    laid *= math.prod(n for axis, n in enumerate(problem.shape) if axis not in problem.axes)
    return min(most, (laid + math.prod(problem.result_shape)) * item)


class Method(Protocol):
    """What a method's module offers."""

    NAME: str

    def supports(self, problem: Problem) -> Verdict:
        """Say whether the method computes the problem, and how or why not."""

    def cost(self, problem: Problem, machine: Machine) -> Cost:
        """Predict seconds and scratch bytes."""

    def error_bound(self, problem: Problem) -> float:
        """Return the factor of the error bound."""

    def prepare(self, problem: Problem) -> Run:
        """Return the callable that computes the problem."""
