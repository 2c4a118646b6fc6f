"""``faltung compare``: one picture under several kernels, on a contact sheet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import click

from faltung.cli.common import (
    SHOWN,
    STREAM,
    alpha_option,
    boundary_options,
    doubts,
    fill_for,
    overheard,
    printable,
    signed_option,
)
from faltung.cli.complete import complete_file, complete_kernels


@click.command("compare")
@click.argument("picture", metavar="PICTURE", shell_complete=complete_file)
@click.option(
    "-k",
    "--kernels",
    "names",
    required=True,
    multiple=True,
    shell_complete=complete_kernels,
    help="With commas between them: edge,sharpen,gaussian:3,[[1,2,1]]/4; more where given again.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT|-",
    shell_complete=complete_file,
    help="Where the sheet goes; - is stdout, as PNG.",
)
@click.option("--columns", type=click.IntRange(1, 20), default=4, show_default=True)
@click.option(
    "--width",
    type=click.IntRange(16, 4096),
    default=320,
    show_default=True,
    help="Of each picture on the sheet, in pixels.",
)
@click.option("--max-pixels", type=click.IntRange(min=1), default=178_956_970, show_default=True)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processors used; default all.")
@click.option("--show", is_flag=True, help=f"Show the sheet {SHOWN}.")
@boundary_options
@signed_option
@alpha_option
def compare_command(
    picture: str,
    names: tuple[str, ...],
    output: str | None,
    columns: int,
    width: int,
    max_pixels: int,
    workers: int | None,
    show: bool,
    boundary: str,
    fill_value: float | None,
    flip: bool,
    linear: bool,
    signed: str,
    alpha: str,
) -> int:
    """Show several kernels on one contact sheet.

    It holds PICTURE (- is standard input) and what each kernel makes of it, with their names. What
    is transparent is laid on white.

    \b
    Examples:
      faltung compare photo.jpg --kernels edge,sharpen,gaussian:3 -o sheet.png
      faltung compare photo.jpg -k sobel.x,sobel.y --signed centre --columns 3 --show
    """
    from faltung import kernels
    from faltung.image.filtering import check_kernel
    from faltung.image.sheets import listed

    chosen = [text for texts in names for text in listed(texts)]
    for text in chosen:  # all of them before the first is applied
        check_kernel(kernels.parse(text))
    options: dict[str, Any] = {
        "operation": "convolve" if flip else None,
        "boundary": boundary,
        "fill_value": fill_for(fill_value, boundary),
        "linear": linear,
        "signed": signed,
        "alpha": alpha,
        "workers": workers,
    }

    def make() -> Any:
        from faltung import image

        array, title = first_of(picture, max_pixels)
        return image.compare(array, chosen, title=title, columns=columns, width=width, **options)

    from faltung.cli.show import passing

    if output is not None:
        return put(make, picture, output, show)
    if not show:
        raise click.UsageError("Missing option '-o' / '--output'.")
    with passing("sheet.png") as place:
        return put(make, picture, place, show)


def first_of(picture: str, max_pixels: int) -> tuple[Any, str]:
    """Return a file's first picture, and its title on the sheet."""
    from faltung import image
    from faltung.cli.batch import loaded, tell

    if picture == STREAM:
        read = loaded(picture, max_pixels)
        tell(f"standard input: {note}" for note in read.notes)
        return read.frames[0], "standard input"
    with overheard() as lines, catch_warnings(record=True) as said:
        simplefilter("always")
        array = image.read(picture, max_pixels=max_pixels)
    tell(str(each.message) for each in said)
    tell(f"{picture}: {note}" for note in doubts(lines))
    return array, printable(Path(picture).name)


def put(make: Callable[[], Any], picture: str, output: str, show: bool) -> int:
    """Write the sheet, tell of it, and show it."""
    from faltung import image
    from faltung.cli.batch import check_stream, make_folder
    from faltung.cli.jobs import Job, check_apart
    from faltung.cli.show import show as show_file
    from faltung.image.writing import format_of

    if output == STREAM:
        if show:
            raise click.UsageError("--show needs a file; leave out -o - or --show.")
        check_stream()
        content, _ = image.encode(image.Picture((make(),)), "PNG")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return 0
    format_of(Path(output))
    check_apart([Job(picture, output)])
    sheet = make()
    make_folder(Path(output).parent)
    image.write(output, sheet)
    height, across = sheet.shape[:2]
    click.echo(f"{printable(output)}: {across} x {height} pixels")
    if show:
        show_file(Path(output))
    return 0
