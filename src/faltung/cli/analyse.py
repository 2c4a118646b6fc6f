"""``faltung analyse``: what any kernel is like, and which named ones it resembles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from faltung.cli.common import drawable, fitting, printable
from faltung.cli.complete import complete_file, complete_kernel

if TYPE_CHECKING:
    from faltung.kernels import Kernel, Near


@click.command("analyse")
@click.argument("kernel", shell_complete=complete_kernel)
@click.option(
    "-n",
    "--nearest",
    "count",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="How many of the named kernels most like it to list.",
)
@click.option(
    "--response",
    metavar="OUT",
    callback=drawable,
    shell_complete=complete_file,
    help="Draw its frequency response to this file.",
)
def analyse_command(kernel: str, count: int, response: str | None) -> None:
    """Say what KERNEL is like: a name, numbers, or a .npy, .csv, .json or .png file.

    Printed are its numbers, what a cheaper method may rest on (factors, symmetry, zeros), its gain,
    and the named kernels most like it: a score of 1 is the same but for scale, sign and quarter
    turns.

    \b
    Examples:
      faltung analyse kernel.npy
      faltung analyse "[[1,2,1],[2,4,2],[1,2,1]]/16"
      faltung analyse spot.png --nearest 5 --response gain.png
    """
    from faltung import kernels
    from faltung.analysis import analyse
    from faltung.cli.response import as_picture, as_text

    taps = kernels.parse(kernel)
    found = kernels.Kernel.of(taps)
    analysis = analyse(taps)
    lines = [str(found), "", analysis.summary, *factors(found), "", *as_text(found)]
    if count and found.ndim <= 2 and analysis.nonzero:
        lines += ["", "most like", *map(likeness, kernels.nearest(found, count))]
    click.echo(fitting("\n".join(lines)))
    if response is not None:
        from faltung import image

        image.write(response, as_picture(found))
        click.echo(f"\n{printable(response)}")


def factors(kernel: Kernel) -> Iterator[str]:
    """Yield the exact factors of a kernel, where they are known and not too long."""
    parts = kernel.factors if kernel.exact and kernel.ndim > 1 else None
    for axis, part in enumerate(parts or ()):
        if part.size <= 31:
            divisor = "" if part.divisor == 1 else f" / {part.divisor}"
            yield f"factor along axis {axis}: {' '.join(map(str, part.numerators))}{divisor}"


def likeness(near: Near) -> str:
    """Return a line on a named kernel that is near."""
    turned = f", turned by {90 * near.turns} degrees" if near.turns else ""
    return f"  {near.score:.4f}  {near.kernel.name:<26} {near.factor:.4g} times it{turned}"
