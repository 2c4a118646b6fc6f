"""What the commands share: their options, their files, and how they speak of errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, TypeVar
from unicodedata import bidirectional, category

import click
from click.shell_completion import CompletionItem

MODES = ("same", "full", "valid")
BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")
FORMATS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "webp": ".webp", "bmp": ".bmp"}
FORMATS |= {"pnm": ".pnm"}
STREAM = "-"  # standard input or output
DEPTHS = {"8": "uint8", "16": "uint16", "float": "float"}
SHOWN = "in the terminal (kitty, iTerm2, WezTerm; not inside of tmux or screen), else in a viewer"
HEARD = 1 << 12  # bytes of what libraries print
LINES = ("Cc", "Zl", "Zp")  # Unicode's categories of control characters and ends of lines
TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # turn what follows round
KERNEL = "A name (see `faltung kernels`), numbers such as '[[1,2,1]]/4', or a .npy file."


class Interrupted(Exception):  # noqa: N818  (no error)
    """Ctrl-C, with a line on what was done; click takes a KeyboardInterrupt for itself."""


Command = TypeVar("Command", bound=Callable[..., Any])


def complete_kernel(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    """Return the names of kernels, and the files, that go on from what was typed."""
    from faltung import kernels

    found = [CompletionItem(name) for name in kernels.names() if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


kernel_option = click.option(
    "-k", "--kernel", required=True, shell_complete=complete_kernel, help=KERNEL
)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return options as one decorator, listed in their order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


boundary_options = together(
    click.option(
        "--boundary",
        type=click.Choice(BOUNDARIES),
        default="symmetric",
        show_default=True,
        help="How the picture goes on beyond its edges.",
    ),
    click.option(
        "--fill-value",
        type=float,
        default=None,
        help="The value beyond the edges with --boundary constant; 0 by default.",
    ),
    click.option("--flip", is_flag=True, help="Flip the kernel: convolution proper."),
    click.option(
        "--linear", is_flag=True, help="Filter in linear light (sRGB, IEC 61966-2-1); slower."
    ),
)
signed_option = click.option(
    "--signed",
    type=click.Choice(("clip", "absolute", "centre", "stretch")),
    default="clip",
    show_default=True,
    help="How negative results are shown: as 0, as their size, around mid-grey, or with the "
    "smallest as black and the largest as white. Floats are not clipped: there they stay negative.",
)
steepness_option = click.option(
    "--signed",
    type=click.Choice(("clip", "stretch")),
    default="clip",
    show_default=True,
    help="How steep places are shown: beyond white as white, or the steepest as white.",
)
alpha_option = click.option(
    "--alpha",
    type=click.Choice(("keep", "filter")),
    default="keep",
    show_default=True,
    help="Leave transparency as it is, or filter it, too. Either way what is transparent counts "
    "for nothing; kept, the pixel itself stands for it, and even opacity changes no colour.",
)
conversion_options = together(
    click.option(
        "--depth",
        type=click.Choice(tuple(DEPTHS)),
        help="Bits of each number in the result; full brightness stays full brightness (float: 1). "
        "Rounded once, half to even. By default that of the input.",
    ),
    click.option(
        "--background",
        metavar="COLOUR",
        help="Lay what is transparent on a colour, such as white or '#ff8000', and filter that; "
        "with --linear it is mixed in linear light, too.",
    ),
)
files_options = together(
    click.option(
        "-o",
        "--output",
        metavar="OUT|DIR|-",
        help="A file, whose ending names the format; a folder; or - for stdout.",
    ),
    click.option(
        "--format",
        "kind",
        type=click.Choice(tuple(FORMATS)),
        help="Of the results in a folder and on stdout; by default that of each input.",
    ),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        help="Of a JPEG, by default 95, or of a WebP, by default without loss.",
    ),
    click.option("--skip-existing", is_flag=True, help="Do only what is not there yet."),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=178_956_970,
        show_default=True,
        help="The most pixels in a file, and in all the files at work at one time.",
    ),
    click.option("--workers", type=click.IntRange(1, 1024), help="Processors used; default all."),
    click.option("--show", is_flag=True, help=f"Show the result {SHOWN}."),
)


def fill_for(fill_value: float | None, boundary: str) -> float:
    """Return what lies beyond the edges."""
    if fill_value is not None and boundary != "constant":
        raise click.UsageError("--fill-value goes with --boundary constant.")
    return fill_value or 0


def checked_colour(text: str | None) -> str | None:
    """Return the name of a colour, or raise before any picture is read."""
    if text is not None:
        from faltung.image.converting import shades_of

        shades_of(text)
    return text


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


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Catch what libraries in C print on standard error, as lines to be read afterwards.

    libtiff prints there, past Python, what is wrong with a file, and reads on where it can. Only
    for a process of our own, in which nobody else writes meanwhile: the command and its helpers.
    """
    lines: list[str] = []
    with ExitStack() as stack:
        try:
            heard = stack.enter_context(TemporaryFile())
            usual = os.dup(2)
        except OSError:  # no room for a file, or no standard error: then it is as it was
            yield lines
            return
        os.dup2(heard.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(usual, 2)
            os.close(usual)
            heard.seek(0)
            lines += heard.read(HEARD).decode(errors="replace").splitlines()


def doubts(lines: Sequence[str]) -> tuple[str, ...]:
    """Return a note on what a library printed while it read a picture all the same."""
    if not lines:
        return ()
    return (f"some of its pixels may be broken ({printable(lines[0].strip().rstrip('.'))})",)


def printable(text: str) -> str:
    """Return a text that any terminal takes and that stays on its line.

    Names of files may be bytes that are no text, or hold commands to the terminal: what is no text
    and all that steers (control characters, marks of direction, line ends) becomes a question mark.

    Examples
    --------
    >>> printable("holiday \x1b]0;title\x07.png")
    'holiday ?]0;title?.png'
    """
    text = text.encode(errors="replace").decode()
    return "".join(
        "?" if category(letter) in LINES or bidirectional(letter) in TURNS else letter
        for letter in text
    )


def colour() -> bool | None:
    """Return whether to write in colours; None leaves it to whether there is a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def say(message: str, kind: str = "", shade: str = "") -> None:
    """Print one line on standard error, with what kind of line it is."""
    line = printable(" ".join(message.split()))
    head = f"{click.style(f'faltung: {kind}:' if kind else 'faltung:', fg=shade or None)} "
    with suppress(OSError, AttributeError):  # nobody may listen any more
        click.echo(head + line, err=True, color=colour())


def fail(message: str, status: int = 2) -> int:
    """Print one line of error and return the exit status."""
    say(message, "error", "red")
    return status
