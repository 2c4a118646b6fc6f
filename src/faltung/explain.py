"""How a plan explains itself: its facts as a ``Report``, and the report as text or HTML.

Nothing is computed here but words: the planner hands over the problem and the methods' answers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.analysis import analysed
from faltung.problem import Problem

if TYPE_CHECKING:
    from faltung.planner import Candidate

WIDTH = 110  # of the text
ROOM = 24  # for a note beside the numbers of a method
LABEL = 13  # columns of the names at the left


@dataclass(frozen=True)
class Row:
    """One method's line in the table.

    Attributes
    ----------
    method, status, note : str
        The name; "chosen", "possible" or "refused"; how it would go about it, or why not.
    milliseconds, megabytes, error_bound : float or None
        Predicted time and scratch memory, and the factor of the error bound; None where refused.
    error_unit : str
        What that factor is times.
    """

    method: str
    status: str
    note: str
    milliseconds: float | None = None
    megabytes: float | None = None
    error_bound: float | None = None
    error_unit: str = ""

    @property
    def numbers(self) -> tuple[str, str, str, str]:
        """Time, memory, bound and its unit as text."""
        if self.milliseconds is None or self.megabytes is None or self.error_bound is None:
            return "", "", "", ""
        exact = self.error_bound == 0
        return (
            duration(self.milliseconds / 1e3),
            storage(self.megabytes * 1e6),
            "exact" if exact else f"{self.error_bound:.2g}",
            "" if exact else f"* {self.error_unit}",
        )


HEADINGS = ("predicted", "scratch", "error at most", "")


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it.

    >>> duration(2.3e-5), duration(0.0171), duration(3.2), duration(8e4)
    ('23 us', '17.1 ms', '3.2 s', '22.2 h')
    """
    for size, unit in ((1e-3, "us"), (1.0, "ms"), (3600.0, "s")):
        if seconds < size:
            return f"{figures(seconds * {'us': 1e6, 'ms': 1e3, 's': 1}[unit])} {unit}"
    return f"{figures(seconds / 3600)} h"


def storage(size: float) -> str:
    """Write a number of bytes in the unit that suits it.

    >>> storage(144), storage(4194304), storage(1.5e12)
    ('144 B', '4.19 MB', '1,500 GB')
    """
    for below, unit, scale in ((1e3, "B", 1.0), (1e6, "kB", 1e3), (1e9, "MB", 1e6)):
        if size < below:
            return f"{figures(size / scale)} {unit}"
    return f"{figures(size / 1e9)} GB"


def figures(number: float) -> str:
    """Write a number with three figures, and all those before the point."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


@dataclass(frozen=True)
class Report:
    """What a plan says of itself.

    Attributes
    ----------
    title, equation : str
        The problem in one line, and what is computed, with the numbers put in.
    facts : tuple of (str, str)
        Labels and what they say.
    rows : tuple of Row
        The methods: the chosen one, the possible ones by their predicted time, the refused ones.
    """

    title: str
    equation: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


# ---- the facts -------------------------------------------------------------------------------


def report(problem: Problem, method: str, answers: Sequence[Candidate]) -> Report:
    """Return the report of a problem that a method was chosen for.

    Parameters
    ----------
    problem : Problem
    method : str
        The chosen method.
    answers : sequence of Candidate
        What every method says.
    """
    rows = sorted((row(a, method) for a in answers), key=order)
    return Report(
        f"{title(problem)}; {method}",
        equation(problem),
        tuple(facts(problem, next(r for r in rows if r.status == "chosen"))),
        tuple(rows),
    )


def row(answer: Candidate, method: str) -> Row:
    """Return the line of one method's answer."""
    chosen = answer.method == method
    if answer.cost is None or answer.error_bound is None:
        note = answer.note
        if chosen:  # a plan from where there was a compiled library
            note = f"but another runs in its place here, as it refuses: {note}"
        return Row(answer.method, "chosen" if chosen else "refused", note)
    return Row(
        answer.method,
        "chosen" if chosen else "possible",
        answer.note,
        answer.cost.seconds * 1e3,
        answer.cost.memory / 1e6,
        answer.error_bound,
        answer.error_unit,
    )


def order(row: Row) -> tuple[int, float]:
    """Return what rows are sorted by; the refused ones stay in their order."""
    return ("chosen", "possible", "refused").index(row.status), row.milliseconds or 0


def times(shape: tuple[int, ...]) -> str:
    """Write a shape as 3x4.

    >>> times((3, 4)), times((5,))
    ('3x4', '5')
    """
    return "x".join(map(str, shape))


def title(problem: Problem) -> str:
    """Return the problem in one line."""
    p = problem
    boundary = p.boundary[0] if len(set(p.boundary)) == 1 else ", ".join(p.boundary)
    extras = [
        f"{name} {one_or_all(value)}"
        for name, value, usual in (
            ("axes", p.axes, tuple(range(len(p.shape) - len(p.axes), len(p.shape)))),
            ("stride", p.stride, (1,) * len(p.axes)),
            ("dilation", p.dilation, (1,) * len(p.axes)),
        )
        if value != usual
    ]
    return (
        f"Plan {p.operation} {p.dtype} {times(p.shape)} with {times(p.taps.shape)}, "
        f"{', '.join([p.mode, boundary, *extras])} -> {p.arithmetic.result} "
        f"{times(p.result_shape)}"
    )


def one_or_all(values: tuple[int, ...]) -> str:
    """Write one number for all axes, or each.

    >>> one_or_all((2, 2)), one_or_all((0,)), one_or_all((1, 2))
    ('2', '0', '(1, 2)')
    """
    return str(values[0]) if len(set(values)) == 1 else str(values)


def fill_text(value: Any) -> str:
    """Write a fill value: whole numbers without a point, real ones without an imaginary part.

    >>> fill_text(0j), fill_text(7.25), fill_text(0.0)
    ('0', '7.25', '0')
    """
    if isinstance(value, complex) and value.imag == 0:
        value = value.real
    return str(value).removesuffix(".0")


def equation(problem: Problem) -> str:
    """Return the index equation with the numbers put in."""
    letters = ("i", "j") if len(problem.axes) == 1 else ("i{}", "j{}")
    outputs = [letters[0].format(n) for n in range(len(problem.axes))]
    taps = [letters[1].format(n) for n in range(len(problem.axes))]
    inputs = [
        along.formula(i, j) for along, i, j in zip(problem.geometry, outputs, taps, strict=True)
    ]
    star = "conj(k)" if problem.conjugate else "k"
    return (
        f"y[{', '.join(outputs)}] = sum_{','.join(taps)} {star}[{', '.join(taps)}] "
        f"x[{', '.join(inputs)}]"
    )


def facts(problem: Problem, chosen: Row) -> Iterator[tuple[str, str]]:
    """Yield what is known before the methods, with labels."""
    p = problem
    over = f"axes {p.axes}" if len(p.axes) > 1 else f"axis {p.axes[0]}"
    yield "input", f"{p.dtype} {p.shape}, {p.operation}d over {over}"
    yield "kernel", f"{p.taps.dtype} {p.taps.shape}, anchor {p.anchor}"
    if p.taps.dtype != "object":
        yield "", analysed(p.taps).summary
    for n, (axis, along) in enumerate(zip(p.axes, p.geometry, strict=True)):
        low, high = along.inside
        beyond = along.count - (high - low)
        end = p.boundary[n]
        if end == "constant":
            end += " " + fill_text(p.fill_value)
        reach = (
            f"{beyond:,} of them reach beyond an end ({end})"
            if beyond
            else "none reaches beyond an end"
        )
        yield f"axis {axis}", f"{p.mode}: {along.count_formula()} outputs, {reach}"
    yield "result", f"{p.result_dtype} {p.result_shape}, computed in {sums_text(p)}"
    in_size, out_size = p.traffic
    work, sums = (2 * p.multiply_adds, " for two sums") if p.normalised else (p.multiply_adds, "")
    yield "work", f"{work:,} multiply-adds{sums}, {in_size:,} bytes in, {out_size:,} bytes out"
    asked = [] if p.tolerance is None else [f"tolerance {p.tolerance:g}"]
    asked += ["nonnegative"] if p.nonnegative else []
    asked += [f"method {p.method}"] if p.method != "auto" else []
    if asked:
        yield "asked for", ", ".join(asked)
    if chosen.error_bound is not None:
        yield "error", error_text(chosen.error_bound, chosen.error_unit, p)
    if p.normalised:
        nan = p.missing == "ignore" and np.dtype(p.dtype).kind in "fc"
        w = "1" if not p.weighted else "the weights"
        zero = ", 0 for NaN" if nan else ""
        yield "normalised", f"y = sum(k) * (k * (w x)) / (k * w), w = {w}{zero}"
        yield "", f"both sums by {chosen.method}"
        yield "", "in the errors, |k| * |x| is normalised likewise"


def sums_text(problem: Problem) -> str:
    """Say what the sums are computed in."""
    bound = problem.arithmetic.bound
    rule = f", overflow {problem.arithmetic.overflow}" if problem.result_dtype.kind in "biu" else ""
    if bound is None:
        return f"{problem.arithmetic.accumulator}{rule}"
    return f"exact integers from {bound[0]:,} to {bound[1]:,}{rule}"


def error_text(bound: float, unit: str, problem: Problem) -> str:
    """Say what the error bound means."""
    if bound == 0:
        return "none, the sums are exact"
    rounded = ", and half a unit to round" if problem.result_dtype.kind in "biu" else ""
    return f"at most {bound:.2g} * {unit}{rounded}"


# ---- as text ---------------------------------------------------------------------------------


def as_text(report: Report, width: int = WIDTH) -> str:
    """Return the report as lines of plain text, of at most 110 characters or as many as said.

    What cannot be broken, such as the table's numbers, may be longer.
    """
    width = min(width, WIDTH)
    lines = wrapped(report.title, "", "    ", width)
    lines += wrapped(report.equation, "  ", "      ", width)
    for label, text in report.facts:
        lines += wrapped(text, f"  {label:<{LABEL}}", width=width)
    return "\n".join([*lines, *table(report.rows, width)])


def table(rows: Sequence[Row], width: int = WIDTH) -> Iterator[str]:
    """Yield the lines of the table of methods."""
    cells = [HEADINGS, *(row.numbers for row in rows)]
    widths = [max(len(cell[n]) for cell in cells) for n in range(len(HEADINGS))]

    def aligned(numbers: Sequence[str]) -> str:
        *figures, unit = (f"{n:>{width}}" for n, width in zip(numbers, widths, strict=True))
        return f"{'  '.join(figures)} {unit.strip():<{widths[-1]}}  "  # units to the left

    yield f"  {'methods':<{LABEL}}{aligned(HEADINGS)}".rstrip()
    for row in rows:
        # what a refused method has to say takes the room of its numbers
        numbers = "" if row.milliseconds is None else aligned(row.numbers)
        first = f"    {row.method:<{LABEL - 2}}{numbers}"
        if numbers and len(first) + ROOM > width:  # no room beside them: the note stands below
            yield first.rstrip()
            first = " " * (LABEL + 2)
        yield from wrapped(f"{row.status}: {row.note}", first, width=width)


def wrapped(text: str, first: str, rest: str | None = None, width: int = WIDTH) -> list[str]:
    """Return a text as lines: after ``first``, and then after ``rest`` or as many blanks."""
    rest = " " * len(first) if rest is None else rest
    text = text.encode("ascii", "backslashreplace").decode()
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


# ---- as HTML ---------------------------------------------------------------------------------

# the colours are those of the page around it, light or dark
STYLE = """\
.faltung-plan { color:inherit; background:transparent; overflow-x:auto }
.faltung-plan table { border-collapse: collapse; margin-top: 0.8em }
.faltung-plan :is(th, td) { padding: 0.15em 0.8em; text-align: left; vertical-align: top }
.faltung-plan tbody.methods tr { border-top: 1px solid currentColor }
.faltung-plan td.number { text-align: right; white-space: nowrap }
.faltung-plan td.unit { padding-left: 0; white-space: nowrap }
.faltung-plan tr.chosen { font-weight: bold }"""


def as_html(report: Report) -> str:
    """Return the report as two small tables, for a notebook: no script, no colours of its own."""
    facts = "\n".join(html_fact(label, text) for label, text in report.facts)
    time, memory, error, _ = HEADINGS
    heads = "".join(f'<th scope="col">{text}</th>' for text in ("methods", time, memory))
    heads += f'<th scope="colgroup" colspan="2">{error}</th><th scope="col">how, or why not</th>'
    rows = "\n".join(html_row(row) for row in report.rows)
    return f"""\
<div class="faltung-plan">
<style>
{STYLE}
</style>
<p><strong>{escape(report.title)}</strong><br><code>{escape(report.equation)}</code></p>
<table>
<tbody>
{facts}
</tbody>
</table>
<table>
<thead><tr>{heads}</tr></thead>
<tbody class="methods">
{rows}
</tbody>
</table>
</div>
"""


def html_fact(label: str, text: str) -> str:
    """Return the row of a fact; one without a label goes on with the one before."""
    head = f'<th scope="row">{escape(label)}</th>' if label else "<td></td>"
    return f"<tr>{head}<td>{escape(text)}</td></tr>"


def html_row(row: Row) -> str:
    """Return one method's row."""
    *figures, unit = row.numbers
    cells = [f'<th scope="row">{escape(row.method)}</th>']
    cells += [f'<td class="number">{escape(figure)}</td>' for figure in figures]
    cells.append(f'<td class="unit">{escape(unit)}</td>')
    cells.append(f"<td>{escape(row.status)}: {escape(row.note)}</td>")
    return f'<tr class="{row.status}">{"".join(cells)}</tr>'


def as_page(report: Report) -> str:
    """Return the report as an HTML page of its own, light or dark as the reader prefers."""
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{escape(report.title)}</title>
<style>body {{ font-family: system-ui, sans-serif; margin: 2em }}</style>
</head>
<body>
{as_html(report)}</body>
</html>
"""
