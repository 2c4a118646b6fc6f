"""``faltung filter``: pictures and kernels to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from faltung.cli.common import (
    DEPTHS,
    MODES,
    STREAM,
    alpha_option,
    boundary_options,
    checked_colour,
    conversion_options,
    files_argument,
    files_options,
    fill_for,
    kernel_option,
    signed_option,
    terminal_width,
)
from faltung.cli.complete import complete_kernel


@dataclass(frozen=True)
class Filter:
    """The filter of a call: frames to frames."""

    kernel: Any
    options: dict[str, Any]
    background: str | None = None

    def __call__(self, frame: Any, threads: int) -> Any:
        """Filter one frame."""
        from faltung import image

        return image.filter(self.laid(frame), self.kernel, workers=threads, **self.options)

    def laid(self, frame: Any) -> Any:
        """Return a frame on the background, where there is one."""
        from faltung import image

        if self.background is None:
            return frame
        return image.flattened(frame, self.background, linear=self.options["linear"])

    def sample(self, frame: Any) -> Any:
        """Return a pixel of the result's kind."""
        from faltung import image

        pixel = self.laid(frame[:1, :1])
        return image.converted(pixel, self.options["dtype"] or pixel.dtype)


@click.command("filter")
@files_argument
@kernel_option("--then K applies another one to the result.")
@click.option(
    "--then",
    multiple=True,
    metavar="K",
    shell_complete=complete_kernel,
    help="Another kernel, applied to the result; may be given again. Only the end is rounded.",
)
@files_options
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="same",
    show_default=True,
    help="Keep the size, or give all that the kernel reaches, or only what it fits on.",
)
@boundary_options
@signed_option
@alpha_option
@conversion_options
@click.option("--explain", is_flag=True, help="Print the plan: equation, method, cost.")
def filter_command(
    kernel: str,
    then: tuple[str, ...],
    mode: str,
    boundary: str,
    fill_value: float | None,
    flip: bool,
    linear: bool,
    signed: str,
    alpha: str,
    depth: str | None,
    background: str | None,
    explain: bool,
    **files: Any,
) -> int:
    """Filter pictures with a kernel.

    Depth and size stay, unless --depth or --mode is given.

    FILES are pictures and folders, which are taken with all that is in them and keep their
    structure; - is standard input. The kernel is laid on the picture as its numbers are written.
    Results are rounded and saturate. Of animations and pages each is filtered. Colour profile,
    resolution and EXIF are kept, without its thumbnail; turned pictures are written upright. GIF is
    only read: in a folder its results are PNGs.

    Exit status: 0 if all went well, 1 if some of several pictures failed, 2 for a mistake or if
    the only picture failed, 130 after Ctrl-C, which leaves whole files alone.

    \b
    Examples:
      faltung filter photo.jpg --kernel edge -o edges.png
      faltung filter photo.jpg --kernel gaussian:2 --then sharpen -o both.jpg
      faltung filter photo.png --kernel "[[0,-1,0],[-1,5,-1],[0,-1,0]]" -o sharp.png
      faltung filter photo.jpg --kernel sobel.x --signed centre -o relief.png
      faltung filter holiday/ --kernel gaussian:2 -o soft/ --skip-existing
      faltung filter *.tif --kernel my_kernel.npy --format png -o results/
      faltung filter scan16.png --kernel sharpen --depth 8 --background white -o scan.jpg
      curl -s https://example.org/a.jpg | faltung filter - -k edge -o - > edges.jpg
    """
    from faltung import image, kernels
    from faltung.cli import batch
    from faltung.cli.jobs import Job
    from faltung.explain import as_text
    from faltung.image.filtering import check_kernel

    taps = [kernels.parse(text) for text in (kernel, *then)]
    for each in taps:
        check_kernel(each)
    laying: dict[str, Any] = {
        "operation": "convolve" if flip else None,
        "mode": mode,
        "boundary": boundary,
        "fill_value": fill_for(fill_value, boundary),
    }
    dtype = DEPTHS[depth] if depth else None
    more = {"then": tuple(taps[1:]), "signed": signed, "alpha": alpha, "linear": linear}
    change = Filter(taps[0], laying | more | {"dtype": dtype}, checked_colour(background))

    def print_plan(job: Job) -> None:
        if job.source == STREAM or job.target == STREAM:
            raise click.UsageError("--explain goes with a file that is read and one written.")
        first = image.read(job.source, max_pixels=files["max_pixels"])
        laid = change.laid(first)
        plans = image.filter_plans(laid, taps, linear=linear, dtype=dtype, **laying)
        width = max(60, terminal_width())
        click.echo("\n".join(as_text(plan.report(), width) for plan in plans))

    return batch.run(batch.Files(**files), change, print_plan if explain else None)
