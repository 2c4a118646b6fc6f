"""``faltung edges``: pictures to the magnitude or the direction of their gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import click

from faltung.cli.common import (
    boundary_options,
    complete_kernel,
    files_options,
    fill_for,
    signed_option,
)


@dataclass(frozen=True)
class FindEdges:
    """The edges of a call: frames to frames, of other channels."""

    pair: Any
    signed: str
    direction: bool
    options: dict[str, Any]
    reshapes: ClassVar[bool] = True

    def __call__(self, frame: Any, threads: int) -> Any:
        """Return the edges of one frame."""
        from faltung import image

        found = image.edges(frame, self.pair, workers=threads, **self.options)
        return found.coloured() if self.direction else found.picture(self.signed)


@click.command("edges")
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@click.option(
    "-k",
    "--kernel",
    "names",
    multiple=True,
    shell_complete=complete_kernel,
    help="A pair such as sobel, for sobel.x and sobel.y; or given twice, the two kernels.",
)
@click.option("--direction", is_flag=True, help="Colour the edges by their direction.")
@files_options
@boundary_options
@signed_option
def edges_command(
    names: tuple[str, ...],
    direction: bool,
    boundary: str,
    fill_value: float | None,
    flip: bool,
    linear: bool,
    signed: str,
    **files: Any,
) -> int:
    """Find the edges of pictures.

    What is written is how steep the brightness is: hypot(x, y) of two kernels. The numbers are
    those of the kernels and saturate: a step from black to white under Sobel's kernels is 4
    times white. --signed stretch makes the steepest place white. With --direction the hue says
    where it gets brighter: red to the right, yellow-green below, cyan to the left, violet
    above. Of colours the steepest counts; transparency is left out.

    \b
    Examples:
      faltung edges photo.jpg -o edges.png
      faltung edges photo.jpg --direction --signed clip -o hues.png
      faltung edges photo.jpg -k "[[-1,0,1]]" -k "[[-1],[0],[1]]" -o plain.png
      faltung edges holiday/ -o edges/ --format png
    """
    from faltung import kernels
    from faltung.cli import batch
    from faltung.image.filtering import check_kernel

    if len(names) > 2:
        raise click.UsageError("--kernel names a pair, or is given twice: for x and for y.")
    texts = names if len(names) == 2 else [f"{(*names, 'sobel')[0]}.{axis}" for axis in "xy"]
    pair = [kernels.parse(text) for text in texts]
    for each in pair:
        check_kernel(each)
    options = {
        "operation": "convolve" if flip else "correlate",
        "boundary": boundary,
        "fill_value": fill_for(fill_value, boundary),
        "linear": linear,
    }
    return batch.run(batch.Files(**files), FindEdges(pair, signed, direction, options))
