"""``faltung reverb``: a recording as it would sound in a room."""

from __future__ import annotations

import math
import os
import sys
from typing import BinaryIO

import click

from faltung.cli.common import STREAM, say


@click.command("reverb")
@click.argument("voice", metavar="VOICE")
@click.argument("room", metavar="ROOM")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="A file ending in .wav or .flac, or - for a WAV on stdout.",
)
@click.option(
    "--gain", type=float, default=0.0, show_default=True, help="Of the result, in decibels."
)
@click.option("--wet", type=float, default=1.0, show_default=True, help="Share of the room.")
@click.option(
    "--dry", type=float, default=0.0, show_default=True, help="Share of the voice as it is."
)
@click.option(
    "--normalise",
    type=click.Choice(("none", "energy", "peak")),
    default="none",
    show_default=True,
    help="Scale the room's response: noise keeps its power, or no sample becomes greater.",
)
@click.option(
    "--tail",
    type=click.Choice(("keep", "cut")),
    default="keep",
    show_default=True,
    help="Go on until the room is silent, or end with the voice.",
)
@click.option(
    "--depth",
    type=click.Choice(("16", "24", "32", "float", "double")),
    help="Bits, or floats; by default as in VOICE.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processors used; default all.")
def reverb_command(
    voice: str,
    room: str,
    output: str,
    gain: float,
    wet: float,
    dry: float,
    normalise: str,
    tail: str,
    depth: str | None,
    workers: int | None,
) -> None:
    """Convolve a recording with the impulse response of a room.

    VOICE and ROOM are WAV or FLAC files with the same number of samples a second. ROOM has one
    channel, as many as VOICE, or four for a stereo VOICE: left to left, left to right, right to
    left, right to right. A mono VOICE gets the channels of ROOM.

    The result is never rescaled but by --gain, --wet, --dry and --normalise. What is beyond full
    scale is clipped in files of integers, which is said. Files of any length take little memory.
    VOICE or ROOM may be - for standard input; pipes are read to their end first, and OUT is written
    when it is whole (faltung stream is for sound as it comes). It needs pip install
    'faltung[audio]'.

    \b
    Examples:
      faltung reverb voice.wav room.wav -o out.wav
      faltung reverb voice.wav hall.flac -o out.flac --gain -12 --depth 24
      faltung reverb song.wav room.wav -o out.wav --wet 0.3 --dry 1 --normalise energy
      flac -dc song.flac | faltung reverb - room.wav -o - | aplay
    """
    from faltung.signal import audio, rooms

    check_files(voice, room, output)
    for option, value in (("--gain", gain), ("--wet", wet), ("--dry", dry)):
        if not math.isfinite(value):
            raise click.UsageError(f"{option} {value} must be a finite number.")
    with audio.reading(*source(voice)) as reader:
        info = reader.info
        depth = depth or kept_depth(info.depth, output)
        if output != STREAM:
            audio.check_target(output, depth)
        response, room_rate = audio.read(*source(room))
        check_pair(voice, room, info.rate, room_rate)
        run = rooms.Reverb(
            response, info.channels, gain=gain, wet=wet, dry=dry, latency=rooms.LATENCY,
            normalise=None if normalise == "none" else normalise, workers=workers,
        )  # fmt: skip
        frames = info.frames + (run.length - 1 if tail == "keep" else 0)
        result = audio.Info(info.rate, run.outputs, frames, audio.DEPTHS[depth])
        blocks = rooms.upto(run.all_of(reader.blocks(rooms.PIECE)), frames)
        if output == STREAM:
            found = audio.write_pipe(sys.stdout.buffer, blocks, result)
        else:
            found = audio.write_blocks(output, blocks, result)
    done = (
        f"{frames / info.rate:.2f} s, {run.outputs} channel{'s'[: run.outputs > 1]} at "
        f"{info.rate} Hz, peak {decibels(found.peak)} dB"
    )
    if output == STREAM:
        say(done)
    else:
        click.echo(f"{output}: {done}")
    if found.samples:
        other = " in a .wav" if output.lower().endswith(".flac") else ""
        softer = gain - decibels(found.peak / audio.greatest(result.subtype))
        softer = math.floor(round(10 * softer, 6)) / 10
        say(
            f"{output}: {found.samples} sample{'s'[: found.samples > 1]} beyond full scale "
            f"{'were' if found.samples > 1 else 'was'} clipped; --gain {softer:.1f} or "
            f"--depth float{other} would keep {'them' if found.samples > 1 else 'it'}.",
            "warning",
            "yellow",
        )


def check_files(voice: str, room: str, output: str) -> None:
    """Raise where a file that is read would be replaced, or a stream cannot be what it is for."""
    if [voice, room].count(STREAM) > 1:
        raise click.UsageError("standard input can be read only once.")
    if STREAM in (voice, room) and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("give a WAV or FLAC file on standard input.")
    if output == STREAM:
        if sys.stdout is None or sys.stdout.isatty():
            raise click.UsageError("the result is a WAV file; send it to a file or a pipe.")
        return
    for name in (voice, room):
        if name != STREAM and os.path.realpath(name) == os.path.realpath(output):
            raise click.UsageError(
                f"the result {output} would replace a file that is read; give another name with -o."
            )


def source(name: str) -> tuple[str, BinaryIO | None]:
    """Return how a file is named, and what is read where it is standard input."""
    return (name, None) if name != STREAM else ("standard input", sys.stdin.buffer)


def check_pair(voice: str, room: str, rate: int, room_rate: int) -> None:
    """Raise where two files have not one sampling rate."""
    from faltung.signal import rooms

    try:
        rooms.check_rates(rate, room_rate)
    except ValueError as error:
        raise click.ClickException(f"{voice} and {room}: {error}") from None


def kept_depth(depth: str, output: str) -> str:
    """Return the depth of the result: that of the voice, or the most that FLAC holds."""
    flac = output.lower().endswith(".flac")
    return "24" if flac and depth not in ("16", "24") else depth


def decibels(peak: float) -> float:
    """Return a magnitude in decibels, rounded up to a tenth.

    >>> decibels(1.0), decibels(2.0), decibels(0.0)
    (0.0, 6.1, -inf)
    """
    return math.ceil(200 * math.log10(peak)) / 10 if peak else -math.inf
