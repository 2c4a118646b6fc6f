"""``faltung kernels``: the named kernels and their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from faltung.cli.common import drawable, fitting, printable, terminal_width, write_bytes, write_text
from faltung.cli.complete import complete_file, complete_kernel

if TYPE_CHECKING:
    from faltung.kernels import Kernel


@click.command("kernels")
@click.argument("name", required=False, shell_complete=complete_kernel)
@click.option(
    "--response",
    metavar="OUT",
    callback=drawable,
    shell_complete=complete_file,
    help="Draw the frequency response of NAME to this file.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    help="Write a page with all kernels, and a photograph filtered with each, to this file.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Save the numbers of NAME to this .npy, .csv or .json file.",
)
@click.option("--numbers", is_flag=True, help="Print all the numbers of NAME instead.")
def kernels_command(
    name: str | None,
    response: str | None,
    gallery: Path | None,
    output: Path | None,
    numbers: bool,
) -> None:
    """List the named kernels, or show the numbers, properties and frequency response of one.

    Names that end in a colon and numbers stand for a family: other numbers make other kernels.
    NAME may be numbers or a file, too; of large kernels not all numbers are shown.

    \b
    Examples:
      faltung kernels
      faltung kernels gaussian5
      faltung kernels motion:15,30deg
      faltung kernels motion:15,30deg -o blur.csv
      faltung kernels savgol:7,2,deriv=1 --response slope.png
      faltung kernels --gallery kernels.html
    """
    alone = {"--response": response, "--output": output, "--numbers": numbers or None}
    given = [option for option, value in alone.items() if value is not None]
    if given and name is None:
        raise click.UsageError(f"{given[0]} is of one kernel; name it.")
    if gallery is not None:
        from faltung.cli.gallery import page

        write_text(gallery, page())
        click.echo(printable(str(gallery)))
        if name is None:
            return
    if name is None:
        listing()
        return
    from faltung import kernels
    from faltung.kernels.catalogue import members
    from faltung.kernels.text import encoded

    chosen = [kernels.Kernel.of(kernels.parse(each)) for each in members(name) or [name]]
    if given and len(chosen) > 1:
        several = ", ".join(kernel.name for kernel in chosen)
        raise click.UsageError(f"{given[0]} is of one kernel; name one of {several}.")
    content = b"" if output is None else encoded(str(output), chosen[0])
    for number, kernel in enumerate(chosen):
        click.echo("\n\n" if number else "", nl=False)
        click.echo("\n".join(all_numbers(kernel) if numbers else description(kernel)))
    if output is not None:
        write_bytes(output, content)
        click.echo(f"\n{printable(str(output))}")
    if response is not None:
        from faltung import image
        from faltung.cli.response import as_picture

        image.write(response, as_picture(chosen[0]))
        click.echo(f"\n{printable(response)}")


def description(kernel: Kernel) -> Iterator[str]:
    """Yield the lines on a kernel."""
    from faltung.analysis import analyse
    from faltung.cli.response import as_text
    from faltung.kernels import FAMILIES

    yield fitting(f"{kernel}\n\n{analyse(kernel).summary}\n")
    yield from as_text(kernel)
    if family := FAMILIES.get(kernel.name.partition(":")[0]):
        yield fitting("\n" + "\n".join(family.usage))


def all_numbers(kernel: Kernel) -> Iterator[str]:
    """Yield the taps, each row on a line, in full."""
    for row in kernel.array.reshape(-1, kernel.shape[-1]).tolist():
        yield " ".join(map(repr, row))


def listing() -> None:
    """Print the names by what the kernels are for."""
    from faltung import kernels

    width = terminal_width()
    for number, (group, names) in enumerate(kernels.groups().items()):
        heading = click.style(group[0].upper() + group[1:], underline=True)
        click.echo(f"{chr(10) if number else ''}{heading}")
        for known in names:
            kernel = kernels.get(known)
            size = "x".join(map(str, kernel.shape))
            family = kernels.FAMILIES.get(known.partition(":")[0])
            about = kernel.about
            if family and ":" in known and f"{family.name}:" not in about:
                about += f" Any: {family.form}."
            first, *rest = wrap(about, max(24, width - 36), break_on_hyphens=False)
            click.echo(f"  {click.style(f'{known:<27}', bold=True)}{size:<6} {first}")
            for line in rest:
                click.echo(f"{'':36}{line}")
