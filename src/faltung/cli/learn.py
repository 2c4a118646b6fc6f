"""``faltung learn``: the kernel between a picture before and after a filter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from faltung.cli.analyse import likeness
from faltung.cli.common import BOUNDARIES, printable

if TYPE_CHECKING:
    from faltung.learning import Learnt

SHOWN = 225  # taps that are printed


@click.command("learn")
@click.argument("before")
@click.argument("after")
@click.option("--size", required=True, help="Of the kernel, rows by columns: 3x3; or 7 for 7x7.")
@click.option(
    "--boundary",
    type=click.Choice(BOUNDARIES),
    help="How the picture went on beyond its edges; if not given, the rim is left out.",
)
@click.option("--flip", is_flag=True, help="The kernel was flipped: convolution proper.")
@click.option(
    "--ridge", type=float, default=0.0, help="Draws taps that are not told apart towards 0: 1e-6."
)
@click.option(
    "--method",
    type=click.Choice(("closed", "gradient")),
    default="closed",
    show_default=True,
    help="Least squares by a triangular factor, or, of large kernels, by conjugate gradients.",
)
@click.option(
    "-o", "--output", metavar="OUT.npy", type=click.Path(path_type=Path), help="Write the taps."
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processors used; default all.")
def learn_command(
    before: str,
    after: str,
    size: str,
    boundary: str | None,
    flip: bool,
    ridge: float,
    method: str,
    output: Path | None,
    workers: int | None,
) -> None:
    """Find the kernel that makes the picture AFTER of the picture BEFORE.

    Both are pictures of one size, or .npy files of numbers: signals, images or volumes. Pixels of
    AFTER that are black or white do not count where it holds integers, as they may have been cut
    off; colours are channels that were all filtered alike. The numbers are those of pictures
    between 0 and 1. What is printed are the taps, their standard errors, and the named kernel that
    is most like them.

    \b
    Examples:
      faltung filter photo.png --kernel edge -o edges.png
      faltung learn photo.png edges.png --size 3x3
      faltung learn sharp.tif soft.tif --size 9x9 -o blur.npy
      faltung filter other.png --kernel blur.npy -o soft.png
    """
    import numpy as np

    from faltung.learning import learn_kernel

    if output is not None and output.suffix.lower() != ".npy":
        raise click.UsageError(f"-o {output}: the taps are written as .npy; name such a file.")
    x, y = numbers(before), numbers(after)
    if x.shape != y.shape:
        raise click.ClickException(
            f"{before} is {' x '.join(map(str, x.shape))} numbers and {after} "
            f"{' x '.join(map(str, y.shape))}: give two of one size, in the same channels."
        )
    shape = sides(size, x.ndim if before.lower().endswith(".npy") else 2)
    limits = None
    if y.dtype.kind in "iu":
        limits = (0.0 if y.dtype.kind == "u" else -1.0, 1.0)
    learnt = learn_kernel(
        unit(x), unit(y), shape, operation="convolve" if flip else "correlate", boundary=boundary,
        axes=tuple(range(len(shape))), ridge=ridge, method=method, limits=limits, workers=workers,
    )  # fmt: skip
    reasons = [*(["black or white"] if limits else []), *([] if boundary else ["at the rim"])]
    click.echo(told(learnt, " or ".join(reasons), output is not None))
    if output is not None:
        from faltung.image import replace_whole

        def save(file: BinaryIO) -> None:
            np.save(file, learnt.kernel)

        replace_whole(output, save)
        click.echo(f"\n{printable(str(output))}")


def numbers(name: str) -> Any:
    """Return the numbers of a picture without its alpha, or of a ``.npy`` file."""
    if name.lower().endswith(".npy"):
        import numpy as np

        try:
            return np.asarray(np.lib.format.open_memmap(name, mode="r"))
        except OSError as error:
            raise click.ClickException(f"{name}: {error.strerror or error}.") from None
        except Exception:  # NumPy parses the header as Python, with errors of every kind
            raise click.ClickException(f"{name}: no array of numbers.") from None
    from faltung import image

    picture = image.read(name)
    return picture[..., :-1] if picture.ndim == 3 and picture.shape[-1] in (2, 4) else picture


def unit(picture: Any) -> Any:
    """Return a picture of integers between 0 and 1, where 1 is white; floats as they are."""
    import numpy as np

    if picture.dtype.kind not in "iu":
        return picture
    return np.minimum(picture / np.iinfo(picture.dtype).max, 1.0)


def sides(text: str, most: int) -> tuple[int, ...]:
    """Return the sides of a kernel over so many axes at most; one number stands for two of them."""
    try:
        found = tuple(int(part) for part in text.lower().replace(",", "x").split("x"))
    except ValueError:
        found = ()
    found = found * min(2, most) if len(found) == 1 else found
    if not 1 <= len(found) <= most or min(found) < 1:
        raise click.UsageError(f"--size {text}: give rows by columns, such as 3x3.")
    return found


def told(learnt: Learnt, reasons: str, kept: bool) -> str:
    """Return the report, with the reasons for which samples may be left out."""
    kernel, error = learnt.kernel, learnt.standard_error
    rows = kernel.reshape(-1, kernel.shape[-1])
    lines = []
    if kernel.size <= SHOWN and kernel.dtype.kind == "f":
        lines += ["  ".join(f"{tap:11.6g}" for tap in row) for row in rows] + [""]
    elif not kept:
        lines.append(f"{'x'.join(map(str, kernel.shape))} taps: -o taps.npy writes them")
    out = f", {learnt.left_out:,} left out ({reasons})" if learnt.left_out else ""
    lines.append(f"from {learnt.samples:,} samples{out}")
    if not learnt.converged:
        lines.append(f"not converged after {learnt.iterations} iterations")
    lines.append(f"residual {learnt.residual:.3g} of the result; standard deviation "
                 f"{learnt.noise:.3g}")  # fmt: skip
    if error is not None:
        lines.append(f"standard errors of the taps from {error.min():.2g} to {error.max():.2g}")
    if learnt.condition is not None:
        lines.append(f"condition {learnt.condition:.3g}")
    if learnt.nearest is not None:
        lines += ["", "most like", likeness(learnt.nearest)]
    return "\n".join(lines)
