"""``faltung compare``: one picture under several kernels, on a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from faltung.cli.common import boundary_options, fill_for, printable, signed_option
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
    "-o", "--output", metavar="OUT", shell_complete=complete_file, help="Where the sheet goes."
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
@click.option("--show", is_flag=True, help="Show the sheet in the terminal or in a viewer.")
@boundary_options
@signed_option
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
) -> int:
    """Show several kernels on one contact sheet.

    It holds PICTURE and what each kernel makes of it, with their names.

    \b
    Examples:
      faltung compare photo.jpg --kernels edge,sharpen,gaussian:3 -o sheet.png
      faltung compare photo.jpg -k sobel.x,sobel.y --signed centre --columns 3 --show
    """
    from faltung import image, kernels
    from faltung.cli.show import show as show_file
    from faltung.image.filtering import check_kernel
    from faltung.image.sheets import listed

    chosen = [text for texts in names for text in listed(texts)]
    for text in chosen:  # all of them before the first is applied
        check_kernel(kernels.parse(text))

    if output is None:
        if not show:
            raise click.UsageError("Missing option '-o' / '--output'.")
        from tempfile import mkdtemp

        output = mkdtemp(prefix="faltung-") + "/sheet.png"
    options: dict[str, Any] = {
        "operation": "convolve" if flip else None,
        "boundary": boundary,
        "fill_value": fill_for(fill_value, boundary),
        "linear": linear,
        "signed": signed,
        "workers": workers,
    }
    array = image.read(picture, max_pixels=max_pixels)
    title = printable(Path(picture).name)
    sheet = image.compare(array, chosen, title=title, columns=columns, width=width, **options)
    image.write(output, sheet)
    height, across = sheet.shape[:2]
    click.echo(f"{printable(output)}: {across} x {height} pixels")
    if show:
        show_file(Path(output))
    return 0
