"""``faltung smooth``: columns of a table to their weighted averages."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faltung.cli.common import BOUNDARIES, printable, speaking, write_bytes
from faltung.cli.complete import complete_file

if TYPE_CHECKING:
    from faltung.signal import Smoothed
    from faltung.tables import Table

STREAM = "-"
FEW = 5  # weights that are printed
WORDS = {"times": "time", "time_exponential(tau)": "time.exponential:TAU"}


@click.command("smooth")
@click.argument("file", metavar="FILE", shell_complete=complete_file)
@click.option(
    "-c",
    "--column",
    "columns",
    multiple=True,
    help="A column to smooth, by name or number from 1; may be given again.",
)
@click.option("-t", "--time", help="The column of the times: numbers, or dates (ISO 8601).")
@click.option(
    "-w",
    "--weights",
    help="exponential:ALPHA, linear:N, gaussian:SIGMA, box:N, savgol:N,DEGREE, [newest,...,oldest];"
    " by real ages time.exponential:TAU, time.gaussian:SIGMA.",
)
@click.option("--step", type=float, help="Of the times; by default the smallest between two.")
@click.option(
    "--edges",
    type=click.Choice(("renormalise", *BOUNDARIES)),
    default="renormalise",
    show_default=True,
    help="What counts beyond the ends: nothing, or the track continued.",
)
@click.option("--fill-value", type=float, default=None, help="With --edges constant; 0 by default.")
@click.option(
    "--missing",
    type=click.Choice(("ignore", "propagate")),
    default="ignore",
    show_default=True,
    help="Average what is there, or leave empty what meets a gap.",
)
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Leave empty what rests on less of the weight than this.",
)
@click.option(
    "-o",
    "--output",
    default=STREAM,
    shell_complete=complete_file,
    help="A .csv or .npy file; default - is stdout.",
)
@click.option("--plot", help="Draw it to this file: .png, .svg or .pdf; needs matplotlib.")
def smooth_command(
    file: str,
    columns: tuple[str, ...],
    time: str | None,
    weights: str | None,
    fill_value: float | None,
    output: str,
    plot: str | None,
    **options: Any,
) -> None:
    """Smooth columns of FILE by a weighted average; its weights sum to 1.

    FILE is a table: .csv text with any delimiter, with or without a header, or a .npy array; - is
    standard input. Empty cells and nan are missing, and so is what --time leaves out: what is there
    is averaged. For each column, the result has the column, its average, and its coverage: how much
    of the weight was there. A .npy file has the averages only.

    exponential:ALPHA weighs the newest sample with ALPHA, and each before it with 1 - ALPHA times
    the next.

    \b
    Examples:
      faltung smooth track.csv --column x --weights exponential:0.3 -o out.csv --plot out.png
      faltung smooth track.csv -c x -c y --time t --weights linear:5 -o out.csv
      faltung smooth log.csv -c 2 --time 1 --weights time.exponential:30 > smooth.csv
      cut -d, -f3 log.csv | faltung smooth - --weights gaussian:2
    """
    from faltung import signal, tables

    if weights is None:
        raise click.UsageError(
            "say what weighs how much: --weights exponential:0.3 for the newest most, linear:5 for "
            "the last five, gaussian:2 or box:5 around each sample, or your own: [0.5,0.3,0.2]."
        )
    if fill_value is not None and options["edges"] != "constant":
        raise click.UsageError("--fill-value goes with --edges constant.")
    check_targets(file, output, plot)
    with speaking({}):
        chosen = signal.weights(weights)
    table = read_table(file)
    names = chosen_columns(table, columns, time)
    moments = None if time is None else table.times(time)
    done: dict[str, Smoothed] = {}
    found: dict[str, Any] = {}
    if time is not None:
        found[table.name(table.place(time))] = table.cells(time)
    samples = {}
    for name in names:
        samples[name] = table.numbers(names[name])
        with speaking(WORDS):
            done[name] = signal.smooth(
                samples[name], chosen, times=moments, fill_value=fill_value or 0.0, **options
            )
        found[name] = samples[name]
        taken = {*names, *found}
        found[unused(f"{name}_smooth", taken)] = done[name].values
        found[unused(f"{name}_coverage", taken)] = done[name].coverage
    drawn = None
    if plot is not None:
        from faltung.signal.plots import track_figure, written_figure

        drawn = written_figure(
            track_figure(samples, done, moments, weights=weights), Path(plot).suffix
        )
    if output == STREAM:
        click.echo(tables.written(found), nl=False)
    else:
        write_bytes(Path(output), contents(output, found, done))
        report(next(iter(done.values())), len(table))
        click.echo(printable(output))
    if plot is not None and drawn is not None:
        write_bytes(Path(plot), drawn)
        click.echo(printable(plot), err=output == STREAM)


def check_targets(file: str, output: str, plot: str | None) -> None:
    """Raise before any work is done where a result cannot go where it is sent."""
    if output != STREAM and Path(output).suffix.lower() not in (".csv", ".npy"):
        raise click.UsageError(f"{output}: write to a .csv or .npy file, or to - for stdout.")
    for target in (output, plot):
        if target is None or target == STREAM:
            continue
        place = Path(target)
        if not place.parent.is_dir():
            raise click.UsageError(f"{target}: there is no directory {place.parent}; create it.")
        both = file != STREAM and place.exists() and Path(file).exists()
        if both and os.path.samefile(file, target):
            raise click.UsageError(f"{target}: this is what is read; write another file.")
    if plot is not None:
        from faltung.signal.plots import check_ending

        check_ending(plot)


def read_table(file: str) -> Table:
    """Return the table in a file or on standard input."""
    from faltung import tables

    if file != STREAM:
        return tables.read(file)
    if sys.stdin is None:
        raise click.UsageError("standard input is closed; name a file.")
    if sys.stdin.isatty():
        raise click.UsageError("there is nothing on standard input; name a file, or write | to it.")
    return tables.read("stdin", sys.stdin.buffer.read(tables.LARGEST + 1))


def chosen_columns(table: Table, columns: tuple[str, ...], time: str | None) -> dict[str, str]:
    """Return the columns to smooth: their names in the result, and how they were asked for."""
    taken = None if time is None else table.place(time)
    if not columns:
        others = [n for n in range(table.width) if n != taken]
        if len(others) != 1:
            known = ", ".join(table.names) if table.names else f"1 to {table.width}"
            raise click.UsageError(f"name what to smooth with --column: {known}.")
        columns = (str(others[0] + 1),) if not table.names else (table.names[others[0]],)
    names: dict[str, str] = {}
    for column in columns:
        place = table.place(column)
        if place == taken:
            raise click.UsageError(f"--column {column} is the column of the times.")
        used = {*names} if taken is None else {*names, table.name(taken)}
        names[unused(table.name(place), used)] = column
    if len({table.place(column) for column in columns}) != len(columns):
        raise click.UsageError("a column is given twice; give each once.")
    return names


def unused(name: str, taken: set[str]) -> str:
    """Return a name, with a mark where it is taken."""
    while name in taken:
        name += "_"
    return name


def contents(output: str, found: dict[str, Any], done: dict[str, Smoothed]) -> bytes:
    """Return the bytes of the file of results."""
    import numpy as np

    from faltung import tables

    if Path(output).suffix.lower() == ".csv":
        return tables.written(found).encode()
    file = io.BytesIO()
    arrays = [each.values for each in done.values()]
    np.save(file, np.stack(arrays, axis=1) if len(arrays) > 1 else arrays[0])
    return file.getvalue()


def report(smoothed: Smoothed, count: int) -> None:
    """Print the weights, their sum and the rule of the edges."""
    import numpy as np

    weights = smoothed.weights
    if isinstance(weights, np.ndarray):
        some = ", ".join(f"{w:.4g}" for w in weights[:FEW])
        more = f", ... ({weights.size} of them)" if weights.size > FEW else ""
        order = "newest first" if smoothed.anchor == 0 else "around the sample"
        click.echo(f"weights {some}{more}, {order}; their sum is {weights.sum():.12g}")
    else:
        click.echo(f"weights {weights.name} of the real ages, divided by their sum")
    click.echo(f"{count} samples; {smoothed.rule}")
