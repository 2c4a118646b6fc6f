"""What the commands share: their options, their files, and how they speak of errors."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import click

MODES = ("same", "full", "valid")
BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")

kernel_option = click.option(
    "-k",
    "--kernel",
    required=True,
    help="A name (see `faltung kernels`), numbers such as '[[1,2,1]]/4', or a .npy file.",
)


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


def printable(text: str) -> str:
    """Return a text that any terminal takes: names of files may be bytes that are no text."""
    return text.encode(errors="replace").decode()


def fail(message: str, status: int = 2) -> int:
    """Print one line of error and return the exit status."""
    line = " ".join(printable(message).split())
    with suppress(OSError, AttributeError):  # nobody may listen any more
        click.echo(f"{click.style('faltung: error:', fg='red')} {line}", err=True)
    return status
