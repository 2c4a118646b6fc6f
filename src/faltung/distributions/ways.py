"""The table behind one number of a sum: every way to get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.distributions.lattice import number
from faltung.distributions.tails import plain

if TYPE_CHECKING:
    from faltung.distributions.pmf import PMF

MOST = 1_000_000
Row = tuple[Any, Any, Any, Any, Any]


@dataclass(frozen=True)
class Ways:
    """Every a and b that add up to one total, with their probabilities.

    Attributes
    ----------
    total : number
        What they add up to.
    rows : tuple of (a, b, f(a), g(b), f(a) g(b))
    probability : number
        The sum of the products: the probability of the total.

    Examples
    --------
    >>> from faltung.distributions import die
    >>> print(die().ways(die(), 4))
    a  b  f(a)  g(b)  f(a) g(b)
    1  3   1/6   1/6       1/36
    2  2   1/6   1/6       1/36
    3  1   1/6   1/6       1/36
    P(a + b = 4)           1/12
    """

    total: Any
    rows: tuple[Row, ...]
    probability: Any

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __str__(self) -> str:
        """Return the table in columns."""
        table = [("a", "b", "f(a)", "g(b)", "f(a) g(b)")]
        table += [tuple(map(told, row)) for row in self.rows]  # type: ignore[misc]
        wide = [max(len(row[n]) for row in table) for n in range(5)]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, wide, strict=True)).rstrip()
                 for row in table]  # fmt: skip
        label = f"P(a + b = {told(self.total)})"
        sum_ = told(self.probability)
        whole = max(len(lines[0]), len(label) + 2 + len(sum_))
        return "\n".join([*lines, label + sum_.rjust(whole - len(label))])

    def _repr_html_(self) -> str:
        from html import escape

        def row(cells: Any, kind: str = "td") -> str:
            inside = "".join(f"<{kind}>{escape(told(cell))}</{kind}>" for cell in cells)
            return f"<tr>{inside}</tr>"

        head = row(("a", "b", "f(a)", "g(b)", "f(a) g(b)"), "th")
        last = row((f"P(a + b = {told(self.total)})", "", "", "", self.probability))
        return f"<table>{head}{''.join(map(row, self.rows))}{last}</table>"


def told(value: Any) -> str:
    """Return a cell's text."""
    if isinstance(value, (int, Fraction)):
        return str(value)
    return value if isinstance(value, str) else f"{value:.6g}"


def ways(x: PMF, y: PMF, total: Any) -> Ways:
    """Return every way in which values of two distributions add up to a total."""
    aim = number(total, "the total")
    exact = x.exact and y.exact
    found = []
    if len(x) > MOST:
        raise ValueError(f"a table of up to {len(x):,} rows; at most {MOST:,} are listed.")
    f, g = (x.probabilities, y.probabilities) if exact else (x.scaled.floats(), y.scaled.floats())
    for n in range(len(x)):
        a = x.origin + x.step * n
        at = (aim - a - y.origin) / y.step
        if at.denominator == 1 and 0 <= at < len(y) and f[n] and g[int(at)]:
            p, q = (v if exact else float(v) for v in (f[n], g[int(at)]))
            found.append((plain(a), plain(aim - a), p, q, p * q))
    products = [row[4] for row in found]
    whole = sum(products, Fraction(0)) if exact else float(np.sum(products))
    return Ways(plain(aim), tuple(found), whole)
