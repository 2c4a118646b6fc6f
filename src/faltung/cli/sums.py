"""``faltung sum`` and ``faltung ways``: sums of random numbers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from faltung.cli.common import printable, speaking, together, write_text
from faltung.cli.complete import complete_file

if TYPE_CHECKING:
    from faltung.distributions import PMF

WORDS = {  # what a command's user can do about it
    "ask for floats with .rounded(), whose tails": "leave out --exact: the tails of floats",
    "cut off more with mass=, or use a coarser unit": "use a coarser unit",
    ", cut off more mass, or allow more with max_points=": "",
    "allow more with max_points=, or use a coarser step": "use a coarser step",
    "allow more with max_points=, cut off more with lost=, or use a coarser step": (
        "use a coarser step"
    ),
    "cut off more with lost=, or use": "or use",
}
PLOTS = ("avif", "eps", "gif", "jpeg", "jpg", "pdf", "png", "svg", "tif", "tiff", "webp")

exact_options = together(
    click.option("--exact", is_flag=True, help="Fractions instead of floats."),
    click.option("--normalise", is_flag=True, help="Divide the numbers of files by their sum."),
)


@click.command("sum")
@click.argument("terms", nargs=-1, required=True)
@click.option("--sf", "beyond", multiple=True, metavar="X", help="P(sum > X), however small.")
@click.option("--cdf", "upto", multiple=True, metavar="X", help="P(sum <= X), however small.")
@click.option("--quantile", "quantiles", multiple=True, metavar="Q", help="Least x, cdf(x) >= Q.")
@click.option("--isf", "shares", multiple=True, metavar="Q", help="Least x with sf(x) <= Q.")
@exact_options
@click.option("--rtol", type=float, default=1e-9, show_default=True, help="Relative error allowed.")
@click.option("--explain", is_flag=True, help="How it was computed, and what is certain.")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    shell_complete=complete_file,
    help="Write all of it: .csv, .txt, or - for stdout; .npy holds floats only, 0 below 5e-324.",
)
@click.option("--csv", "as_csv", is_flag=True, help="The same as -o -.")
@click.option("--plot", metavar="OUT", help="Draw it to this file; needs faltung[plot].")
@click.option("--log", is_flag=True, help="Draw logarithms: the tails.")
def sum_command(
    terms: tuple[str, ...], beyond: tuple[str, ...], upto: tuple[str, ...],
    quantiles: tuple[str, ...], shares: tuple[str, ...], exact: bool, normalise: bool, rtol: float,
    explain: bool, output: str | None, as_csv: bool, plot: str | None, log: bool,
) -> None:  # fmt: skip
    """Add independent random numbers, and show how their sum is distributed.

    TERMS are d6, 10d6, coin, coin:1/3, binomial:10,0.3, poisson:50, geometric:0.1,
    hypergeometric:52,13,5, uniform:1,6, a number, or files: .csv with rows of value and probability
    (or probabilities from 0 on), .npy, or - for such rows on stdin; or copies: 100*poisson:50.

    \b
    Examples:
      faltung sum d6 d6
      faltung sum 10d6 --quantile 0.99
      faltung sum poisson:50 poisson:50 --sf 300
      faltung sum 2d6 coin --exact --sf 11
      faltung sum losses.csv losses.csv -o total.csv --plot total.png
    """
    from faltung.distributions import sum_of

    if log and not plot:
        raise click.UsageError("--log goes with --plot.")
    output = "-" if as_csv and output is None else output
    check_targets(terms, output, plot, (".csv", ".txt", ".npy"))
    asked = [(given(text, "--sf"), "sf") for text in beyond]
    asked += [(given(text, "--cdf"), "cdf") for text in upto]
    wanted = [(text, share(text, "--quantile"), "quantile") for text in quantiles]
    wanted += [(text, share(text, "--isf"), "isf") for text in shares]
    with speaking(WORDS):
        total = sum_of([term(text, exact, normalise) for text in terms], rtol=rtol)
    if output is not None:
        save(total, output)
    if plot is not None:
        total.plot(plot, log=log, title=" + ".join(map(printable, terms)))
    lines = [line for value, kind in asked for line in tail(total, value, kind)]
    lines += [inverse(total, *item) for item in wanted]
    if explain:
        lines.append(total.explain())
    if not lines and output is None:
        lines = [f"{' + '.join(map(printable, terms))}: {repr(total)[5:-1]}", "", total.text()]
    if output != "-":
        lines += [printable(str(name)) for name in (output, plot) if name is not None]
    for line in lines:
        click.echo(line, err=output == "-")


class Negative(click.Command):
    """A command whose arguments may be negative numbers, which are no options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Lay numbers such as -3 behind the mark that ends the options."""
        is_number = [re.fullmatch(r"-\.?\d[\d./eE+-]*", arg) is not None for arg in args]
        if "--" not in args and any(is_number):
            paired = [arg for arg, number in zip(args, is_number, strict=True) if not number]
            numbers = [arg for arg, number in zip(args, is_number, strict=True) if number]
            args = [*paired, "--", *numbers]
        return super().parse_args(ctx, args)


@click.command("ways", cls=Negative)
@click.argument("first")
@click.argument("second")
@click.argument("total")
@exact_options
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    shell_complete=complete_file,
    help="Write it: a .csv file, or - for stdout.",
)
@click.option("--plot", metavar="OUT", help="Draw it to this file; needs faltung[plot].")
def ways_command(
    first: str, second: str, total: str, exact: bool, normalise: bool, output: str | None,
    plot: str | None,
) -> None:  # fmt: skip
    """List every way in which two random numbers add up to TOTAL.

    FIRST and SECOND are as in `faltung sum`.

    \b
    Examples:
      faltung ways d6 d6 7 --exact
      faltung ways f.csv g.csv 3
    """
    check_targets((first, second), output, plot, (".csv", ".txt"))
    aim = given(total, "TOTAL")
    with speaking(WORDS):
        x, y = (copied(*term(text, exact, normalise)) for text in (first, second))
        table = x.ways(y, aim)
    lines = str(table).splitlines()
    if plot is not None:
        table.plot(plot)
    if output is not None:
        rows = "".join(",".join(map(str, row)).lower() + "\n" for row in table)
        put("a,b,f(a),g(b),product\n" + rows, output)
        lines = lines[-1:]
    if output != "-":
        lines += [printable(name) for name in (output, plot) if name is not None]
    for line in lines:
        click.echo(line, err=output == "-")


def check_targets(
    terms: Sequence[str], output: str | None, plot: str | None, endings: tuple[str, ...]
) -> None:
    """Raise before any work is done where something cannot be read or written."""
    if terms.count("-") > 1:
        raise click.UsageError("only one of the terms may be -, stdin.")
    if output not in (None, "-") and Path(str(output)).suffix.lower() not in endings:
        known = f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise click.UsageError(f"{output!r}: the ending must be {known}.")
    for target in (output, plot):
        if target in (None, "-"):
            continue
        place = Path(str(target))
        if not place.parent.is_dir():
            raise click.UsageError(f"{target}: there is no directory {place.parent}; create it.")
        if place.exists() and any(Path(t).exists() and place.samefile(t) for t in terms):
            raise click.UsageError(f"{target}: this is what is read; write another file.")
    if plot is not None:
        from faltung.distributions.shown import pyplot

        pyplot()
        if Path(plot).suffix.lstrip(".").lower() not in PLOTS:
            raise click.UsageError(f"{plot}: plots are written as {', '.join(PLOTS)}.")


def term(text: str, exact: bool, normalise: bool) -> tuple[PMF, int]:
    """Return a distribution and its copies; - is a table in stdin."""
    from faltung.distributions.text import MOST_BYTES, from_csv, parsed

    if text != "-":
        return parsed(text, exact, normalise)
    if sys.stdin is None:
        raise click.UsageError("stdin is closed; name a file.")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise click.UsageError(f"stdin: at most {MOST_BYTES:,} bytes are read; write a file.")
    return from_csv("stdin", data, exact, normalise), 1


def copied(x: PMF, copies: int) -> PMF:
    """Return the sum of copies."""
    return x if copies == 1 else x.repeat(copies)


def given(text: str, what: str) -> Any:
    """Return a number that was typed."""
    from faltung.distributions.lattice import number

    try:
        return number(text.strip(), what)
    except ValueError:
        raise click.UsageError(f"{what} {text!r} must be a number.") from None


def share(text: str, what: str) -> Any:
    """Return a probability that was typed."""
    found = given(text, what)
    if not 0 <= found <= 1:
        raise click.UsageError(f"{what} {text!r} must be at least 0 and at most 1.")
    return found


def tail(total: PMF, value: Any, kind: str) -> list[str]:
    """Return lines on one tail: its mass, and what is certain of it."""
    from faltung.distributions.lattice import shown

    sign = ">" if kind == "sf" else "<="
    head = f"P(sum {sign} {shown(value)}) = "
    mass = getattr(total, kind)(value)
    if total.exact:
        return [f"{head}{mass} = {decimal(getattr(total, f'log_{kind}')(value))}"]
    logs = getattr(total, f"log_{kind}")(value)
    bounds: Callable[[Any], tuple[float, float]] = getattr(total, f"{kind}_bounds")
    low, high = bounds(value)
    lines = [head + decimal(logs)]
    if total.lost.total and (low < mass * (1 - 1e-6) or high > mass * (1 + 1e-6)):
        lines.append(f"  certainly from {low:.6g} to {high:.6g}")
    return lines


def decimal(log: float) -> str:
    """Return what has a natural logarithm, also where no float holds it.

    >>> decimal(-3000.0), decimal(-float("inf"))
    ('1.307839e-1303', '0')
    """
    import math

    if log == -math.inf:
        return "0"
    if log > -700:
        return f"{math.exp(log):.12g}"
    power = math.floor(log / math.log(10))
    return f"{math.exp(log - power * math.log(10)):.8g}e{power}"


def inverse(total: PMF, text: str, q: Any, kind: str) -> str:
    """Return a line on one quantile."""
    value = q if total.exact else float(q)
    if kind == "quantile":
        open_ = total.lost.total > 0 and total.lost.total >= 1 - q
        sure = "  (what was cut off may lie beyond)" if open_ else ""
        return f"quantile({text}) = {total.quantile(value)}{sure}"
    low, high = total.isf_bounds(value)
    sure = "" if low == high else f"  (certainly from {low} to {high})"
    return f"isf({text}) = {total.isf(value)}{sure}"


def save(total: PMF, output: str) -> None:
    """Write all values and probabilities."""
    if output.endswith(".npy"):
        import numpy as np

        from faltung.image import replace_whole

        floats = total.rounded()
        table = np.stack([np.asarray(floats.values, float), floats.probabilities], axis=1)

        def write(file: BinaryIO) -> None:
            np.save(file, table)

        replace_whole(Path(output), write)
        return
    put("value,probability\n" + "".join(rows(total)), output)


def rows(total: PMF) -> Sequence[str]:
    """Return lines of value and probability, as fractions or with all digits."""
    from faltung.distributions.lattice import shown
    from faltung.distributions.scaled import texts

    values = [shown(total.origin + total.step * n) for n in range(len(total))]
    told = map(str, total.probabilities) if total.exact else texts(total.scaled)
    return [f"{value},{probability}\n" for value, probability in zip(values, told, strict=True)]


def put(text: str, output: str) -> None:
    """Write a text to a .csv file, or to stdout."""
    if output == "-":
        click.echo(text, nl=False)
    elif Path(output).suffix.lower() in (".csv", ".txt"):
        write_text(Path(output), text)
    else:
        raise click.UsageError(f"{output!r}: the ending must be .csv, .txt or .npy.")
