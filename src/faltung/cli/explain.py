"""``faltung explain``: the plan of a convolution, without computing it."""

from __future__ import annotations

import re
from pathlib import Path

import click

from faltung.cli.common import BOUNDARIES, MODES, kernel_option, write_text


@click.command("explain")
@click.option("--shape", required=True, help="Of the input, such as 2160x3840 or 300x451x3.")
@click.option("--dtype", default="float32", show_default=True, help="Of the input.")
@kernel_option
@click.option(
    "--operation",
    type=click.Choice(("convolve", "correlate")),
    default="convolve",
    show_default=True,
    help="Flip the kernel, or lay it as it is written.",
)
@click.option("--mode", type=click.Choice(MODES), default="same", show_default=True)
@click.option(
    "--boundary",
    default="constant",
    show_default=True,
    help=f"{', '.join(BOUNDARIES)}; one, or one for each axis: edge,wrap.",
)
@click.option("--stride", default="1", show_default=True, help="One, or one for each axis: 2,3.")
@click.option("--dilation", default="1", show_default=True, help="As --stride.")
@click.option("--axes", help="The axes convolved over, such as 0,1; by default the last ones.")
@click.option("--tolerance", type=float, help="The error allowed, of sum |k| * max |x|.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page to this file, too.")
def explain_command(
    shape: str,
    dtype: str,
    kernel: str,
    operation: str,
    mode: str,
    boundary: str,
    stride: str,
    dilation: str,
    axes: str | None,
    tolerance: float | None,
    html: Path | None,
) -> None:
    """Print the plan of a convolution.

    It tells the equation, the geometry, every method and its cost. Nothing is computed, so that
    the input may be of any size.

    \b
    Examples:
      faltung explain --shape 2160x3840 --dtype float32 --kernel gaussian:5
      faltung explain --shape 300x451x3 --dtype uint8 -k edge --axes 0,1 --boundary edge
      faltung explain --shape 1000 -k "[1,2,1]/4" --stride 2 --html plan.html
    """
    from faltung import explain, kernels, ops

    plan = ops.plan(
        integers(shape, "--shape", "x"),
        dtype,
        kernels.parse(kernel),
        operation=operation,
        mode=mode,
        boundary=tuple(boundary.split(",")) if "," in boundary else boundary,
        stride=one_or_all(integers(stride, "--stride")),
        dilation=one_or_all(integers(dilation, "--dilation")),
        axes=None if axes is None else integers(axes, "--axes"),
        tolerance=tolerance,
    )
    report = plan.report()
    if html is not None:
        write_text(html, explain.as_page(report))
    click.echo(explain.as_text(report))


def integers(text: str, option: str, between: str = ",") -> tuple[int, ...]:
    """Return the ints of a text such as 2160x3840 or 0,1."""
    parts = [part.strip() for part in text.split(between)]
    if not all(re.fullmatch("-?[0-9]{1,18}", part) for part in parts):
        usual = between.join(("30", "40") if between == "x" else ("0", "1"))
        raise click.UsageError(f"{option} {text!r} must be whole numbers such as {usual}.")
    return tuple(map(int, parts))


def one_or_all(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return a single value for all axes, or one for each."""
    return values[0] if len(values) == 1 else values
