"""``faltung edges``: pictures to the magnitude or the direction of their gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from faltung.cli.common import (
    DEPTHS,
    boundary_options,
    checked_colour,
    conversion_options,
    files_argument,
    files_options,
    fill_for,
    steepness_option,
)
from faltung.cli.complete import complete_pair


@dataclass(frozen=True)
class FindEdges:
    """The edges of a call: frames to frames, of other channels."""

    pair: Any
    signed: str
    direction: bool
    options: dict[str, Any]
    dtype: str | None = None
    background: str | None = None

    def __call__(self, frame: Any, threads: int) -> Any:
        """Return the edges of one frame."""
        from faltung import image

        if self.background is not None:
            frame = image.flattened(frame, self.background, linear=self.options["linear"])
        found = image.edges(frame, self.pair, workers=threads, **self.options)
        return found.coloured() if self.direction else found.picture(self.signed, self.dtype)

    def sample(self, frame: Any) -> Any:
        """Return a pixel of the result's kind."""
        return self(frame[:1, :1], 1)


@click.command("edges")
@files_argument
@click.option(
    "-k",
    "--kernel",
    "names",
    multiple=True,
    shell_complete=complete_pair,
    help="A pair: sobel (sobel:5 is larger), scharr, scharr-optimal, prewitt, roberts; or given "
    "twice, a kernel for the gradient to the right and one downwards.",
)
@click.option("--direction", is_flag=True, help="Colour the edges by their direction.")
@files_options
@boundary_options
@steepness_option
@conversion_options
def edges_command(
    names: tuple[str, ...],
    direction: bool,
    boundary: str,
    fill_value: float | None,
    flip: bool,
    linear: bool,
    signed: str,
    depth: str | None,
    background: str | None,
    **files: Any,
) -> int:
    """Find the edges of pictures.

    What is written is how steep the brightness is: hypot(x, y) of two kernels. The numbers are
    those of the kernels and saturate: a step from black to white under Sobel's kernels is 4
    times white. --signed stretch makes the steepest place white. With --direction the hue says
    where it gets brighter: red to the right, yellow-green below, cyan to the left, violet
    above. Of colours the steepest counts; what is transparent counts for nothing, and the result
    has no transparency.

    \b
    Examples:
      faltung edges photo.jpg -o edges.png
      faltung edges photo.jpg --direction -o hues.png
      faltung edges photo.jpg -k "[[-1,0,1]]" -k "[[-1],[0],[1]]" -o plain.png
      faltung edges holiday/ -o edges/ --format png
    """
    from faltung import kernels
    from faltung.cli import batch
    from faltung.image.filtering import check_kernel

    if len(names) > 2:
        raise click.UsageError("--kernel names a pair, or is given twice: for x and for y.")
    if direction and (signed != "clip" or depth not in (None, "8")):
        raise click.UsageError(
            "--direction gives colours of 8 bits; leave --signed and --depth out."
        )
    if len(names) == 2:
        pair = [kernels.parse(text) for text in names]
    else:
        pair = list(kernels.pair((*names, "sobel")[0]))
    for each in pair:
        check_kernel(each)
    options = {
        "operation": "convolve" if flip else None,
        "boundary": boundary,
        "fill_value": fill_for(fill_value, boundary),
        "linear": linear,
    }
    dtype = DEPTHS[depth] if depth else None
    change = FindEdges(pair, signed, direction, options, dtype, checked_colour(background))
    return batch.run(batch.Files(**files), change)
