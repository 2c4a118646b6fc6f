"""``faltung stream``: raw samples from standard input to standard output, as they come."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from faltung.cli.common import BOUNDARIES, MODES, kernel_option, speaking
from faltung.files import naming

READ = 1 << 16  # bytes that are asked for; what is there already comes at once


@click.command("stream")
@kernel_option("a pipe into another `faltung stream` applies another one.")
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    help="Of the samples: int16, float32, >i2 (big-endian), ...",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 1 << 20),
    default=1,
    show_default=True,
    help="Samples of one moment that lie together.",
)
@click.option(
    "--width",
    type=click.IntRange(1, 1 << 24),
    help="Pixels of a row, for a kernel of two axes: rows stream.",
)
@click.option("--mode", type=click.Choice(MODES), default="same", show_default=True)
@click.option(
    "--boundary",
    type=click.Choice(BOUNDARIES),
    default="constant",
    show_default=True,
    help="How the samples go on before the first and after the last; wrap cannot stream.",
)
@click.option("--fill-value", help="With --boundary constant; usually 0.")
@click.option("--anchor", help="The tap on the output's position: 0, or 0,1; usually the middle.")
@click.option("--stride", default="1", show_default=True, help="Steps between outputs.")
@click.option("--dilation", default="1", show_default=True, help="Steps between taps.")
@click.option(
    "--operation",
    type=click.Choice(("convolve", "correlate")),
    default="convolve",
    show_default=True,
    help="Flip the kernel, or lay it as it is written.",
)
@click.option(
    "--result-dtype",
    help="Of the results; by default as the samples and taps say. >i2 or <i2 give the byte order.",
)
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
@click.option("--latency", type=click.IntRange(0), help="The most samples a result may be late.")
@click.option("--explain", is_flag=True, help="Say on stderr what computes, and how late.")
def stream_command(
    kernel: str,
    dtype: str,
    channels: int,
    width: int | None,
    fill_value: str | None,
    anchor: str | None,
    stride: str,
    dilation: str,
    result_dtype: str | None,
    boundary: str,
    explain: bool,
    **options: Any,
) -> None:
    """Convolve raw samples from stdin to stdout, as they come.

    Results are written as soon as they are known, in the samples' byte order unless --result-dtype
    has one; memory stays the same however long the input is. Samples without a header: with
    --channels 2 left and right take turns. A kernel that is an audio file (.wav, .flac) is read as
    an impulse response.

    \b
    Examples:
      cat raw | faltung stream --kernel "[1,2,1]/4" > smooth
      cat int16.raw | faltung stream -k box:9,axes=1 --dtype int16 --channels 2 > float32.raw
      arecord -f S16_LE -c 2 -r 48000 | faltung stream -k room.wav --mode full --dtype int16 \\
          --channels 2 --result-dtype int16 --overflow saturate | aplay -f S16_LE -c 2 -r 48000
      cat rows | faltung stream -k gaussian:2 --width 640 --dtype uint8 --channels 3 > soft
    """
    import numpy as np

    from faltung import streaming
    from faltung.cli.explain import integers, number, one_or_all

    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError(
            "give raw samples on standard input, as in cat raw | faltung stream."
        )
    if sys.stdout is None or sys.stdout.isatty():
        raise click.UsageError("the results are raw numbers; send them to a file or a pipe.")
    given = dtype_of(dtype, "--dtype")
    if fill_value is not None and boundary != "constant":
        raise click.UsageError("--fill-value goes with --boundary constant.")
    shape: tuple[int | None, ...] = (None,) if width is None else (None, width)
    axes = tuple(range(len(shape)))
    if channels > 1:
        shape = (*shape, channels)
    taps = taps_of(kernel)
    if np.ndim(taps) != len(axes):
        raise click.UsageError(
            f"the kernel has the shape {np.shape(taps)}; a signal takes a kernel of one axis, rows "
            "of --width pixels one of two."
        )
    fill: Any = 0 if fill_value is None else number(fill_value, "--fill-value")
    if given.kind in "biu" and isinstance(fill, float) and fill.is_integer():
        fill = int(fill)
    several = {"stride": stride, "dilation": dilation, "anchor": anchor}
    more: dict[str, Any] = {
        name: None if text is None else one_or_all(integers(text, f"--{name}"))
        for name, text in several.items()
    }
    if result_dtype is not None:
        options["result_dtype"] = dtype_of(result_dtype, "--result-dtype").newbyteorder("=")
    left = bytearray()
    with speaking({}):
        stream = streaming.stream(
            shape, given, taps, axes=axes, boundary=boundary, fill_value=fill, **more, **options
        )
        if explain:
            with suppress(OSError, AttributeError):  # nobody may listen any more
                click.echo(stream.explain(), err=True)
        result = ordered(stream.dtype, dtype, result_dtype)
        for block in blocks(given, shape, left):
            put(stream.feed(block).astype(result, copy=False))
        put(stream.flush().astype(result, copy=False))
    if left:
        size = given.itemsize * int(np.prod([n for n in shape if n is not None], dtype=np.int64))
        raise click.ClickException(
            f"the input ended in the middle of a sample: {len(left)} of {size} bytes are there; "
            "check --dtype, --channels and --width. The results are of what came before."
        )


def dtype_of(text: str, option: str) -> Any:
    """Return the dtype of numbers that a text names."""
    import numpy as np

    try:
        found = np.dtype(text)
    except (TypeError, ValueError, SyntaxError):
        raise click.UsageError(f"{option} {text!r} is no dtype; give one as float32.") from None
    if found.kind not in "biufc":
        raise click.UsageError(f"{option} {text} is not of numbers; give one as float32.")
    return found


def ordered(found: Any, dtype: str, result_dtype: str | None) -> Any:
    """Return the results' dtype in the byte order that is asked for, or that of the samples."""
    text = result_dtype if result_dtype and result_dtype[0] in "<>=" else dtype
    return found.newbyteorder(text[0] if text[0] in "<>" else "=")


def taps_of(text: str) -> Any:
    """Return the kernel that a text names, also as an audio file of one channel."""
    if not text.lower().endswith((".wav", ".flac")):
        from faltung.cli import explain

        return explain.taps_of(text)
    from faltung.signal import audio

    samples, _ = audio.read(text)
    if samples.ndim != 1:
        raise click.UsageError(
            f"{text} has {samples.shape[1]} channels; a kernel has one (faltung reverb takes more)."
        )
    from faltung.kernels import Kernel

    return Kernel.of(samples, os.path.basename(text), anchor=(0,))


def blocks(dtype: Any, shape: tuple[int | None, ...], left: bytearray) -> Iterator[Any]:
    """Yield what standard input holds already, in whole samples; more only when it has come.

    ``left`` is what came of the next sample.
    """
    import numpy as np

    beside = [n for n in shape if n is not None]
    size = dtype.itemsize * int(np.prod(beside, dtype=np.int64))
    while part := take(max(READ, size)):
        left += part
        whole = len(left) // size * size
        if whole:
            yield np.frombuffer(bytes(left[:whole]), dtype).reshape(-1, *beside)
            del left[:whole]


def take(most: int) -> bytes:
    """Return what comes next; nothing at the end."""
    number = sys.stdin.fileno()
    while True:
        try:
            return os.read(number, most)
        except BlockingIOError:  # whoever opened the pipe may have asked for that
            select.select([number], [], [])


def put(values: Any) -> None:
    """Write numbers at once."""
    number, view = sys.stdout.fileno(), memoryview(values.tobytes())
    while len(view):
        try:
            with naming("standard output"):
                view = view[os.write(number, view) :]
        except BlockingIOError:
            select.select([], [number], [])
