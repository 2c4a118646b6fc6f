"""``faltung kernels``: the named kernels and their numbers."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap

import click

from faltung.cli.common import fitting, printable, terminal_width, write_text
from faltung.cli.complete import complete_file, complete_kernel


@click.command("kernels")
@click.argument("name", required=False, shell_complete=complete_kernel)
@click.option(
    "--response",
    metavar="OUT",
    shell_complete=complete_file,
    help="Draw the frequency response of NAME to this file.",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    help="Write a page with all kernels, and a photograph filtered with each, to this file.",
)
def kernels_command(name: str | None, response: str | None, gallery: Path | None) -> None:
    """List the named kernels, or show the numbers, properties and frequency response of one.

    Names that end in a colon and numbers stand for a family: other numbers make other kernels.

    \b
    Examples:
      faltung kernels
      faltung kernels gaussian5
      faltung kernels motion:15,30deg
      faltung kernels savgol:7,2,deriv=1 --response slope.png
      faltung kernels --gallery kernels.html
    """
    if response is not None and name is None:
        raise click.UsageError("--response draws one kernel; name it.")
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
    from faltung.analysis import analyse
    from faltung.cli.response import as_picture, as_text
    from faltung.kernels.catalogue import members

    names = members(name) or [name]
    if response is not None and len(names) > 1:
        raise click.UsageError(f"--response draws one kernel; name one of {', '.join(names)}.")
    for number, each in enumerate(names):
        kernel = kernels.get(each)
        space = "\n\n" if number else ""
        click.echo(fitting(f"{space}{kernel}\n\n{analyse(kernel).summary}\n"))
        for line in as_text(kernel):
            click.echo(line)
        if family := kernels.FAMILIES.get(kernel.name.partition(":")[0]):
            click.echo(fitting("\n" + "\n".join(family.usage)))
    if response is not None:
        from faltung import image

        image.write(response, as_picture(kernel))
        click.echo(f"\n{printable(response)}")


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
            if family and f"{family.name}:" not in about:
                about += f" Any: {family.form}."
            first, *rest = wrap(about, max(24, width - 36), break_on_hyphens=False)
            click.echo(f"  {click.style(f'{known:<27}', bold=True)}{size:<6} {first}")
            for line in rest:
                click.echo(f"{'':36}{line}")
