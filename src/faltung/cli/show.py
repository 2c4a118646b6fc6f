"""Showing a picture: in a terminal that draws pictures, else in the system's viewer."""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import click

from faltung.cli.common import say

CHUNK = 4096  # bytes of a message in kitty's graphics protocol
WIDEST = 800  # pixels drawn


def protocol(environment: Mapping[str, str]) -> str:
    """Return the way a terminal draws pictures: "kitty", "iterm", or "" for none.

    Examples
    --------
    >>> protocol({"TERM": "xterm-kitty"}), protocol({"TERM": "xterm-256color"})
    ('kitty', '')
    """
    if "TMUX" in environment or environment.get("TERM", "").startswith("screen"):
        return ""  # it would swallow the picture
    if "kitty" in environment.get("TERM", "") or "KITTY_WINDOW_ID" in environment:
        return "kitty"
    if environment.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return "iterm"
    return ""


def drawn(content: bytes, way: str) -> str:
    """Return what makes a terminal draw a PNG, as the protocols' authors describe it.

    Examples
    --------
    >>> drawn(b"png", "iterm")
    '\\x1b]1337;File=inline=1;size=3:cG5n\\x07\\n'
    """
    text = base64.standard_b64encode(content).decode()
    if way == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(content)}:{text}\x07\n"
    parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    messages = []
    for number, part in enumerate(parts):
        keys = ["a=T,f=100"] if number == 0 else []
        keys.append(f"m={int(number < len(parts) - 1)}")
        messages.append(f"\x1b_G{','.join(keys)};{part}\x1b\\")
    return "".join(messages) + "\n"


@contextmanager
def passing(name: str) -> Iterator[str]:
    """Give a place for a file that is made to be shown.

    It goes again where the terminal drew it and where it was never made. A viewer may open it after
    this command has ended: then it is left to the system to remove.
    """
    folder = Path(mkdtemp(prefix="faltung-"))
    try:
        yield str(folder / name)
    finally:
        if way_to_draw():
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # not empty: a viewer has it
            folder.rmdir()


def way_to_draw() -> str:
    """Return the way that standard output draws pictures, "" for none."""
    return protocol(os.environ) if sys.stdout is not None and sys.stdout.isatty() else ""


def show(path: Path) -> None:
    """Show a picture file; where nothing can, say where it is."""
    way = way_to_draw()
    if way:
        from PIL import Image

        from faltung.image import converted, load

        first = converted(load(path).frames[0], "uint8")
        picture = Image.fromarray(first)
        picture.thumbnail((WIDEST, WIDEST))
        content = io.BytesIO()
        picture.save(content, "PNG")
        click.echo(drawn(content.getvalue(), way), nl=False, color=True)
        return
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        say(f"there is no screen to show {path} on.", "note", "yellow")
    elif click.launch(str(path)) != 0:
        say(f"no viewer was found; look at {path}.", "note", "yellow")
