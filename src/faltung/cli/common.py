"""What the commands share: their options, their files, and how they speak of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from re import Match, sub
from shutil import get_terminal_size
from tempfile import TemporaryFile
from textwrap import wrap
from typing import Any, BinaryIO, TypeVar
from unicodedata import bidirectional, category

import click

from faltung.cli.complete import complete_file, complete_kernel

MODES = ("same", "full", "valid")
BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")
FORMATS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "webp": ".webp", "bmp": ".bmp"}
FORMATS |= {"pnm": ".pnm"}
STREAM = "-"  # standard input or output
DEPTHS = {"8": "uint8", "16": "uint16", "float": "float"}
SHOWN = "in the terminal (kitty, iTerm2, WezTerm; not inside of tmux or screen), else in a viewer"
HEARD = 1 << 12  # bytes of what libraries print
UNWRAPPED = 1000  # letters of a line that goes to no terminal
LINES = ("Cc", "Zl", "Zp")  # Unicode's categories of control characters and ends of lines
TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # turn what follows round
KERNEL = (
    "A name (see `faltung kernels`), numbers such as '[[1,2,1]]/4', or a .npy, .csv, .json or .png "
    "file."
)


class Interrupted(Exception):  # noqa: N818  (no error)
    """Ctrl-C, with a line on what was done; click takes a KeyboardInterrupt for itself."""


Command = TypeVar("Command", bound=Callable[..., Any])


def kernel_option(advice: str) -> Callable[[Command], Command]:
    """Return the option of one kernel; given again it is a mistake, with advice."""

    def single(_context: Any, _parameter: Any, given: tuple[str, ...]) -> str:
        if len(given) > 1:
            raise click.UsageError(f"--kernel is given {len(given)} times; {advice}")
        return given[0]

    return click.option(
        "-k",
        "--kernel",
        required=True,
        multiple=True,  # else the last one would count, without a word
        callback=single,
        shell_complete=complete_kernel,
        help=KERNEL,
    )


def drawable(_context: Any, _parameter: Any, path: str | None) -> str | None:
    """Refuse a file whose ending names no format of pictures, before any work."""
    if path is not None:
        from faltung.image.writing import format_of

        format_of(Path(path))
    return path


files_argument = click.argument(
    "files", nargs=-1, required=True, metavar="FILES...", shell_complete=complete_file
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
        shell_complete=complete_file,
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


@contextmanager
def speaking(words: dict[str, str]) -> Iterator[None]:
    """Let errors name a command's options where they name Python's arguments.

    ``words`` are sentences to replace first; then ``name=value`` becomes ``--name value``.

    Examples
    --------
    >>> with speaking({"times": "time"}):
    ...     raise ValueError('give the step= of times=, or edges="edge" and normalise=True')
    Traceback (most recent call last):
    click.exceptions.ClickException: give the --step of --time, or --edges edge and --normalise
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        message = str(error)
        for theirs, ours in words.items():
            if theirs.isidentifier():
                message = sub(rf"\b{theirs}=(?!=)", f"{ours}=", message)
            else:
                message = message.replace(theirs, ours)

        def option(found: Match[str]) -> str:
            value = "" if found[2] in (None, "True") else f" {found[2]}"
            return f"--{found[1].replace('_', '-')}{value}"

        message = sub(r'\b([a-z_]+)=(?!=)(?:"?([\w.+-]*\w)"?)?', option, message)
        raise click.ClickException(message) from None


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
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    from faltung.files import replace_whole

    if path.exists() and not path.is_file():
        raise click.UsageError(f"{path}: this is no regular file.")

    def save(file: BinaryIO) -> None:
        file.write(content)

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


def terminal_width() -> int:
    """Return how many letters a line may have: those of the terminal, where there is one.

    ``COLUMNS`` in the environment counts before that; without either nothing is wrapped.
    """
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return get_terminal_size((0, 0)).columns if terminal or os.environ.get("COLUMNS") else UNWRAPPED


def fitting(text: str) -> str:
    """Return a text whose sentences are wrapped to the terminal; tables are indented, and stay.

    >>> fitting("1 2\\n  3 4") == "1 2\\n  3 4"
    True
    """
    width = max(40, terminal_width())
    return "\n".join(
        part
        for line in text.split("\n")
        for part in (
            [line]
            if line.startswith(" ") or len(line) <= width
            else wrap(line, width, subsequent_indent="  ", break_on_hyphens=False)
        )
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
