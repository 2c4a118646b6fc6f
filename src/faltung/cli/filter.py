"""``faltung filter``: a picture and a kernel to a picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from faltung.cli.common import BOUNDARIES, MODES, kernel_option


@click.command("filter")
@click.argument("picture", type=click.Path(path_type=Path))
@kernel_option
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Where the result goes; the ending names the format.",
)
@click.option(
    "--boundary",
    type=click.Choice(BOUNDARIES),
    default="symmetric",
    show_default=True,
    help="How the picture goes on beyond its edges.",
)
@click.option(
    "--fill-value",
    type=int,
    default=None,
    help="The value beyond the edges with --boundary constant; 0 by default.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="same",
    show_default=True,
    help="Keep the size, or give all that the kernel reaches, or only what it fits on.",
)
@click.option("--flip", is_flag=True, help="Flip the kernel: convolution proper.")
@click.option("--explain", is_flag=True, help="Print the plan: equation, method, cost.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Number of threads.")
def filter_command(
    picture: Path,
    kernel: str,
    output: Path,
    boundary: str,
    fill_value: int | None,
    mode: str,
    flip: bool,
    explain: bool,
    workers: int | None,
) -> None:
    """Filter PICTURE with a kernel; its depth stays, and so does its size unless --mode is given.

    The kernel is laid on the picture as its numbers are written. Results are rounded and saturate.
    Alpha is kept as it is. Colour profiles and other notes in the file are not.

    \b
    Examples:
      faltung filter photo.jpg --kernel edge -o edges.png
      faltung filter photo.jpg --kernel box:9 --boundary edge -o soft.jpg
      faltung filter photo.png --kernel "[[0,-1,0],[-1,5,-1],[0,-1,0]]" -o sharp.png
      faltung filter scan.tif --kernel my_kernel.npy --explain -o out.tif
    """
    from faltung import image, kernels

    if fill_value is not None and boundary != "constant":
        raise click.UsageError("--fill-value goes with --boundary constant.")
    taps = kernels.parse(kernel)
    array = image.read(picture)
    image.check_target(output, array)
    operation = "convolve" if flip else "correlate"
    options: dict[str, Any] = {
        "operation": operation,
        "mode": mode,
        "boundary": boundary,
        "fill_value": fill_value or 0,
    }
    if explain:
        colours = array[:, :, :-1] if array.ndim == 3 and array.shape[2] in (2, 4) else array
        click.echo(image.filter_plan(colours.shape, array.dtype, taps, **options).explain())
    start = time.perf_counter()
    filtered = image.filter(array, taps, workers=workers, **options)
    milliseconds = (time.perf_counter() - start) * 1e3
    image.write(output, filtered)
    height, width = filtered.shape[:2]
    name = click.format_filename(output)
    click.echo(f"{name}: {width} x {height} pixels, {milliseconds:.1f} ms")
