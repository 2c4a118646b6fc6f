"""``faltung explain``: the plan of a convolution, without computing it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import click

from faltung.cli.common import BOUNDARIES, MODES, kernel_option, terminal_width, write_text
from faltung.cli.complete import one_of

DTYPES = (
    "bool, int8 to int64, uint8 to uint64, float16, float32, float64, longdouble, complex64, "
    "complex128, object; or NumPy's short names, such as f4"
)


def methods() -> tuple[str, ...]:
    """Return the names of the methods, for the shell."""
    from faltung.planner import BY_NAME

    return ("auto", *BY_NAME)


@click.command("explain")
@click.option("--shape", required=True, help="Of the input: 2160x3840 or 2160,3840.")
@click.option("--dtype", default="float32", show_default=True, help=f"Of the input: {DTYPES}.")
@kernel_option("explain them one by one.")
@click.option(
    "--operation",
    type=click.Choice(("convolve", "correlate")),
    default="convolve",
    show_default=True,
    help="Flip the kernel, or lay it as it is written.",
)
@click.option("--conjugate", is_flag=True, help="Conjugate the taps of a correlation.")
@click.option("--mode", type=click.Choice(MODES), default="same", show_default=True)
@click.option(
    "--boundary",
    default="constant",
    show_default=True,
    shell_complete=one_of(lambda: BOUNDARIES),
    help=f"{', '.join(BOUNDARIES)}; one, or one for each axis: edge,wrap.",
)
@click.option("--fill-value", default="0", show_default=True, help="With --boundary constant.")
@click.option("--anchor", help="The tap on the output's position: 0, or 0,1; usually the middle.")
@click.option("--stride", default="1", show_default=True, help="One, or one for each axis: 2,3.")
@click.option("--dilation", default="1", show_default=True, help="As --stride.")
@click.option("--axes", help="The axes convolved over, such as 0,1; by default the last ones.")
@click.option("--result-dtype", help="Of the result; by default as the input and the taps say.")
@click.option(
    "--overflow",
    type=click.Choice(("raise", "saturate", "wrap")),
    default="raise",
    show_default=True,
    help="What becomes of sums that an integer result cannot hold.",
)
@click.option(
    "--missing",
    type=click.Choice(("propagate", "ignore")),
    default="propagate",
    show_default=True,
    help="NaN wherever a tap meets NaN, or the average of what is there.",
)
@click.option("--weighted", is_flag=True, help="The call will give weights.")
@click.option("--tolerance", type=float, help="The error allowed, times sum |k| * max |x|.")
@click.option("--nonnegative", is_flag=True, help="No result may be negative.")
@click.option(
    "--method",
    default="auto",
    show_default=True,
    shell_complete=one_of(methods),
    help="A method of the table.",
)
@click.option("--max-memory", type=int, help="Bytes of scratch; by default 64 MB or more.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Number of threads.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page to this file, too.")
def explain_command(
    shape: str,
    kernel: str,
    dtype: str,
    fill_value: str,
    boundary: str,
    stride: str,
    dilation: str,
    anchor: str | None,
    axes: str | None,
    workers: int | None,
    html: Path | None,
    **options: Any,
) -> None:
    """Print the plan of a convolution.

    It tells the equation, the geometry, every method and its cost. Nothing is computed, so that
    the input may be of any size. The options are those of faltung.plan, and so are their defaults.
    What `faltung filter` does with a colour picture is --dtype uint8 --operation correlate
    --boundary symmetric --axes 0,1 --result-dtype uint8 --overflow saturate; `faltung filter
    --explain` prints that plan for a file. Kernels may be complex here, by their numbers or from a
    .npy file.

    \b
    Examples:
      faltung explain --shape 2160x3840 --dtype float32 --kernel gaussian:5
      faltung explain --shape 300x451x3 --dtype uint8 -k edge --axes 0,1 --boundary edge
      faltung explain --shape 1000 -k "[1,2,1]/4" --stride 2 --html plan.html
    """
    from faltung import explain, native, ops, settings

    several = {"stride": stride, "dilation": dilation, "anchor": anchor}
    given: dict[str, Any] = {
        name: None if text is None else one_or_all(integers(text, f"--{name}"))
        for name, text in several.items()
    }
    with settings.workers(workers or native.get_workers()):
        plan = ops.plan(
            integers(shape, "--shape"),
            dtype,
            taps_of(kernel),
            boundary=tuple(boundary.split(",")) if "," in boundary else boundary,
            fill_value=number(fill_value, "--fill-value"),
            axes=None if axes is None else integers(axes, "--axes"),
            **given,
            **options,
        )
        report = plan.report()
    if html is not None:
        write_text(html, explain.as_page(report))
    click.echo(explain.as_text(report, max(60, terminal_width())))


def integers(text: str, option: str) -> tuple[int, ...]:
    """Return the ints of a text such as 2160x3840, 0,1 or (0, 1).

    >>> integers("2160x3840", "--shape"), integers("(0, 1)", "--axes"), integers("5", "--shape")
    ((2160, 3840), (0, 1), (5,))
    """
    bare = re.sub(r"^\((.*?),?\)$", r"\1", text.strip())
    parts = [part.strip() for part in re.split("[,xX\N{MULTIPLICATION SIGN}]", bare)]
    if not all(re.fullmatch("-?[0-9]{1,18}", part) for part in parts):
        usual = "30x40 or 30,40" if option == "--shape" else "0,1"
        raise click.UsageError(f"{option} {text!r} must be whole numbers such as {usual}.")
    return tuple(map(int, parts))


def one_or_all(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return a single value for all axes, or one for each."""
    return values[0] if len(values) == 1 else values


def number(text: str, option: str) -> complex:
    """Return a number that a text says: whole, fractional or complex.

    >>> number("3", ""), number("nan", ""), number("1+2j", "")
    (3, nan, (1+2j))
    """
    for kind in (int, float, complex):
        try:
            return kind(text)
        except ValueError:
            pass
    raise click.UsageError(f"{option} {text!r} must be a number.")


def taps_of(text: str) -> Any:
    """Return the kernel that a text names, complex ones by their numbers or in a file among them.

    >>> taps_of("[1+1j, 2, 1-1j] / 2").tolist()
    [(0.5+0.5j), (1+0j), (0.5-0.5j)]
    """
    from faltung import kernels

    try:
        return kernels.parse(text)
    except ValueError:
        found = complex_taps(text.strip())
        if found is None:
            raise
        return found


def complex_taps(text: str) -> Any:
    """Return a kernel of complex numbers, None where a text names none."""
    import numpy as np

    try:
        if text.endswith(".npy"):
            taps = np.load(text, allow_pickle=False)
        else:
            written, _, below = text.rpartition("]")
            taps = np.array(ast.literal_eval(f"{written}]"))
            taps = taps / complex(below.strip().removeprefix("/").strip() or 1)
    except Exception:  # the parser of real kernels has said what is wrong
        return None
    return taps if taps.dtype.kind == "c" and taps.size and np.isfinite(taps).all() else None
