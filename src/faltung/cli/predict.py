"""``faltung predict`` and ``evaluate``: what a network that was learnt says."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faltung.cli.common import fail, printable, say, speaking, write_text

if TYPE_CHECKING:
    from faltung.data import Dataset
    from faltung.nn import Graph

ONE_SIZE = {
    "give one for all of them, such as size=64": "resize them, or train with --size, which does it"
}
TRUSTED = "; if the file is to be trusted, raise the limit with max_pixels (--max-pixels)"
PLACES = 4  # of probabilities
SHOWN = 10  # classes in an error
workers_option = click.option(
    "--workers", type=click.IntRange(1, 1024), help="Processors used; default all."
)
model_argument = click.argument(
    "model", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


def seen(quiet: bool = False) -> bool:
    """Return whether somebody sees a bar on standard output."""
    return not quiet and sys.stdout is not None and sys.stdout.isatty()


def limited(workers: int | None) -> Any:
    """Return a context that uses so many processors, or all."""
    from faltung.settings import workers as limit

    return limit(workers) if workers else nullcontext()


@click.command("evaluate")
@model_argument
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@workers_option
def evaluate_command(model: Path, data: Path, workers: int | None) -> None:
    """Tell how well MODEL does on DATA: its part for testing, where it has one.

    Of the data that it was trained on only what was held out counts, since a network knows the rest
    by heart. Printed are accuracy, the confusion matrix (a row for each true class), and of each
    class how many were found (recall) and how many of those named so are (precision).
    """
    import numpy as np

    from faltung import nn
    from faltung.data import has_test, load
    from faltung.nn.evaluation import confusion

    network = nn.load(model)
    with speaking({**ONE_SIZE, TRUSTED: "; make it smaller"}):
        found = load(
            data, "test" if has_test(data) else "train", progress=seen(), **reading(network)
        )
    names = nn.classes(network)
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [name for name in found.classes if name not in numbers]
    if unknown:
        known = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise click.ClickException(
            f"{data}: class {unknown[0]!r} is none of the model's, which are {known}."
        )
    kept, which = unseen(network, found)
    x = found.x[kept]
    y = np.array([numbers[name] for name in found.classes])[found.y[kept]]
    with limited(workers), naming_data(data):
        table = confusion(nn.probabilities(network, x).argmax(axis=1), y, len(names))
    click.echo(printed(table, names, which))


@contextmanager
def naming_data(data: Path) -> Iterator[None]:
    """Let an error say of which data it is."""
    try:
        yield
    except ValueError as error:
        raise click.ClickException(f"{data}: {error}") from None


def reading(network: Graph) -> dict[str, Any]:
    """Return how pictures are read for a network: of its size, in its channels."""
    shape = network.input_shape
    if len(shape) != 3 or shape[0] > 4:
        return {}
    return {"size": shape[1:] if "size" in network.notes else None, "channels": shape[0]}


def unseen(network: Graph, found: Dataset) -> tuple[Any, str]:
    """Return which samples the network was not trained on, and words on that."""
    from faltung.checking import number, whole
    from faltung.nn.training import digest, held_out

    try:
        trained = json.loads(network.notes["trained"])
        known, part, seed = (trained[name] for name in ("digest", "validation", "seed"))
        if known != digest(found.x):
            return slice(None), ""
        if part:
            _, held = held_out(
                len(found.y), number("validation", part), whole("seed", seed, 0), found.y
            )
            return held, f", held out of the {len(found.y)} that it was trained on"
    except (KeyError, ValueError, TypeError, RecursionError):  # a file may say anything
        return slice(None), ""
    say("MODEL was trained on all of DATA: it knows them by heart.", "warning", "yellow")
    return slice(None), ""


def printed(table: Any, classes: list[str], which: str = "") -> str:
    """Return a confusion matrix as text, with recall and precision."""
    right = table.diagonal()
    wide = max(4, *(len(str(n)) for n in table.ravel()))
    label = max(4, *map(len, classes))
    numbers = "".join(str(i).rjust(wide + 1) for i in range(len(classes)))
    space = " " * (label + 4)
    lines = [
        f"accuracy {right.sum() / table.sum():.2%} of {table.sum()}{which}",
        "",
        f"{space}  taken for",
        f"    {'true'.ljust(label)}{numbers}    recall  precision",
    ]
    for i, name in enumerate(classes):
        each = "".join(str(n).rjust(wide + 1) for n in table[i])
        recall, precision = (
            f"{right[i] / total:.2%}" if total else "-"
            for total in (table[i].sum(), table[:, i].sum())
        )
        lines.append(f"{i:2d}  {name.ljust(label)}{each}  {recall:>8}  {precision:>9}")
    return "\n".join(map(printable, lines))


@click.command("predict")
@model_argument
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", metavar="OUT.csv", type=click.Path(dir_okay=False, path_type=Path),
    help="Write a table with the probability of every class; - for stdout.",
)  # fmt: skip
@workers_option
def predict_command(
    model: Path, files: tuple[Path, ...], output: Path | None, workers: int | None
) -> int:
    """Name the class of each picture or series in FILES.

    FILES are pictures, folders of pictures (with or without folders for classes), or data as for
    training; classes that they state do not count, and need not be there. Pictures are brought to
    the size that MODEL takes. A line has the file, the class and its probability, parted by tabs.
    Of several files, those that cannot be read or do not fit are told, and the status is 1.

    \b
    Examples:
      faltung predict model cat.png dog.png
      faltung predict model new-pictures/ -o classes.csv
      faltung predict model series.csv
    """
    from faltung import nn
    from faltung.data import inputs
    from faltung.files import check_writable

    if output is not None and str(output) != "-":
        check_writable(output)
    network = nn.load(model)
    names = nn.classes(network)
    rows: list[list[str]] = []
    read: list[str] = []
    failed = 0
    for file in files:
        try:
            found, x = inputs(file, network.input_shape, progress=seen())
            with limited(workers):
                shares = nn.probabilities(network, x)
        except (ValueError, TypeError, OSError) as error:
            told = str(error).replace(TRUSTED, "; make it smaller")
            told = told if str(file) in told else f"{file}: {told}"
            if len(files) == 1:
                raise click.ClickException(told) from None
            failed = fail(told, 1)
            continue
        read += found
        for name, each in zip(found, shares, strict=True):
            best = int(each.argmax())
            numbers = [f"{share:.{PLACES}f}" for share in each]
            rows.append([name, names[best], numbers[best], *numbers])
            if output is None:
                click.echo("\t".join(printable(text) for text in rows[-1][:3]))
    if output is not None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["file", "class", "probability", *names])
        table.writerows(rows)
        if str(output) == "-":
            click.echo(text.getvalue(), nl=False)
        else:
            write_text(output, text.getvalue())
            click.echo(printable(str(output)))
    if "size" not in network.notes:
        tell_sizes(read, network.input_shape)
    return failed


def tell_sizes(files: list[str], shape: tuple[int, ...]) -> None:
    """Say that pictures are resized for a network that learnt from others of one size."""
    from faltung import image
    from faltung.albums import is_picture

    wanted = shape[:0:-1]
    sizes = [image.size(file)[:2] for file in files if is_picture(Path(file))]
    other = [size for size in sizes if size not in (wanted, wanted[::-1])]  # turned by orientation
    if other:
        say(
            f"{len(other)} of {len(files)} pictures are brought to the model's {wanted[0]}x"
            f"{wanted[1]} pixels, the first from {other[0][0]}x{other[0][1]}.",
            "warning",
            "yellow",
        )
