"""The table behind one number of a sum: every way to get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.distributions.exact import Exact
from faltung.distributions.lattice import MOST_POINTS, number
from faltung.distributions.scaled import Scaled, scaled
from faltung.distributions.scaled import plain as plain_numbers
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
        Probabilities that a float holds with fewer digits, below 1e-308, are decimals.
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

    def plot(self, path: Any = None, *, title: str = "") -> Any:
        """Draw the products, each over its a, with matplotlib; see :meth:`PMF.plot`."""
        from faltung.distributions.shown import plot_ways

        return plot_ways(self, path, title)

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
    return value if isinstance(value, str) else f"{value:.6g}".lower()


def ways(x: PMF, y: PMF, total: Any) -> Ways:
    """Return every way in which values of two distributions add up to a total."""
    from faltung.distributions.combined import on_one_lattice
    from faltung.distributions.pmf import PMF

    if not isinstance(y, PMF):
        raise TypeError(f"the other is {y!r}; it must be a PMF.")
    aim = number(total, "the total")
    step, (f, g) = on_one_lattice([x, y], MOST_POINTS)
    place = (aim - x.origin - y.origin) / step  # the sum of two indices
    at = int(place) if place.denominator == 1 else -1
    first = np.arange(max(0, at - len(g) + 1), min(len(f), at + 1))
    if isinstance(f, Exact) and isinstance(g, Exact):
        exact = [Fraction(f.numerators[n], f.denominator) for n in first.tolist()]
        others = [Fraction(g.numerators[at - n], g.denominator) for n in first.tolist()]
        both = [p * q for p, q in zip(exact, others, strict=True)]
        columns: Any = (exact, others, both)
        whole: Any = sum(both, Fraction(0))
    else:
        p = floated(f)[first]
        q = floated(g)[at - first]
        products = scaled(p.mantissa * q.mantissa, p.exponent + q.exponent)
        columns = tuple(map(plain_numbers, (p, q, products)))
        whole = plain_numbers(products.total())[0] if len(first) else 0.0
    rows = [
        (plain(a), plain(aim - a), *cells)
        for a, *cells in zip((x.origin + step * n for n in first.tolist()), *columns, strict=True)
        if cells[0] and cells[1]
    ]
    if len(rows) > MOST:
        raise ValueError(f"there are {len(rows):,} ways; at most {MOST:,} are listed.")
    return Ways(plain(aim), tuple(rows), whole)


def floated(masses: Scaled | Exact) -> Scaled:
    """Return probabilities as numbers of any size."""
    return masses.scaled() if isinstance(masses, Exact) else masses
