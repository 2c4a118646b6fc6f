"""The ``faltung`` command: thin over :mod:`faltung.image` and :mod:`faltung.kernels`.

A user's mistake is one line on standard error and exit status 2; an interrupt is 130.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

from faltung import __version__

MODES = ("same", "full", "valid")
BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="faltung")
def cli() -> None:
    """Convolution of pictures, with kernels by name or by their numbers.

    \b
    Examples:
      faltung demo
      faltung kernels sharpen
      faltung filter photo.jpg --kernel edge -o edges.png
      faltung explain --shape 2160x3840 --kernel gaussian:5
    """


@cli.command("filter")
@click.argument("picture", type=click.Path(path_type=Path))
@click.option(
    "-k",
    "--kernel",
    required=True,
    help="A name (see `faltung kernels`), numbers such as '[[1,2,1]]/4', or a .npy file.",
)
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


@cli.command("explain")
@click.option("--shape", required=True, help="Of the input, such as 2160x3840 or 300x451x3.")
@click.option("--dtype", default="float32", show_default=True, help="Of the input.")
@click.option(
    "-k",
    "--kernel",
    required=True,
    help="A name (see `faltung kernels`), numbers such as '[[1,2,1]]/4', or a .npy file.",
)
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
    """Print the plan of a convolution: equation, geometry, every method and its cost.

    Nothing is computed, so that the input may be of any size.

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


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    from faltung.image import replace_whole

    if path.exists() and not path.is_file():
        raise click.UsageError(f"{path}: this is no regular file.")

    def save(file: BinaryIO) -> None:
        file.write(text.encode())

    try:
        replace_whole(path, save)
    except OSError as error:
        raise click.ClickException(
            f"{path}: cannot be written ({error.strerror or error})."
        ) from None


@cli.command("kernels")
@click.argument("name", required=False)
def kernels_command(name: str | None) -> None:
    """List the named kernels, or show the numbers of one.

    \b
    Examples:
      faltung kernels
      faltung kernels gaussian5
      faltung kernels gaussian:2.5
    """
    from faltung import kernels

    if name is not None:
        click.echo(str(kernels.get(name)))
        return
    for known in kernels.names():
        kernel = kernels.get(known)
        size = "x".join(map(str, kernel.shape))
        click.echo(f"{click.style(f'{known:<14}', bold=True)}{size:<5}{kernel.about}")


@cli.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="The folder that the results go to.",
)
def demo_command(output: Path) -> None:
    """Filter a photograph with the named kernels and draw a contact sheet."""
    from faltung import demo

    demo.run(output, lambda line: click.echo(printable(line)))


@cli.command("calibrate")
def calibrate_command() -> None:
    """Measure this machine, so that plans choose by its figures; takes a few seconds.

    The table goes into the user's cache directory; delete the file to go back to the usual one.
    """
    from dataclasses import asdict

    from faltung import machine

    found = machine.calibrate()
    usual = asdict(machine.Machine())
    for name, value in asdict(found).items():
        click.echo(f"{name:<14}{value:10.3g}   usually {usual[name]:.3g}")
    if machine.load() == found:
        click.echo(f"kept in {click.format_filename(machine.path())}")


def printable(text: str) -> str:
    """Return a text that any terminal takes: names of files may be bytes that are no text."""
    return text.encode(errors="replace").decode()


def fail(message: str, status: int = 2) -> int:
    """Print one line of error and return the exit status."""
    line = " ".join(printable(message).split())
    with suppress(OSError, AttributeError):  # nobody may listen any more
        click.echo(f"{click.style('faltung: error:', fg='red')} {line}", err=True)
    return status


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Examples
    --------
    >>> run(["kernels", "identity"])
    identity  (3x3)
      0 0 0
      0 1 0
      0 0 0
    Leaves the picture.
    Source: the usual table of image processing kernels; Gonzalez and Woods (2018), ch. 3.
    0
    """
    if os.environ.get("FALTUNG_TRACEBACK") == "1":  # to find a fault of ours
        cli.main(arguments, prog_name="faltung", standalone_mode=False)
        return 0
    try:
        status = cli.main(arguments, prog_name="faltung", standalone_mode=False)
        if sys.stdout is not None:  # None where it was closed
            sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        with suppress(OSError):
            click.echo(error.format_message())
        return 2
    except click.UsageError as error:
        hint = f" Try '{error.ctx.command_path} --help'." if error.ctx else ""
        return fail(error.format_message() + hint)
    except click.ClickException as error:
        return fail(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        return fail("interrupted.", 130)
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return fail("there is not enough memory for this picture and kernel.")
    except (ValueError, TypeError, OverflowError, OSError) as error:
        return fail(str(error))


def main() -> None:
    """Run the command and end the process."""

    def terminated(*_arguments: object) -> None:
        raise SystemExit(143)  # unwinds, so that no unfinished file stays

    def warned(message: Warning | str, *_details: object, **_more: object) -> None:
        click.echo(f"faltung: warning: {message}", err=True)

    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), terminated)
    warnings.showwarning = warned
    sys.exit(run())
