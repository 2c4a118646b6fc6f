"""The ``faltung`` command: thin over the library, one file for each command.

A user's mistake is one line on standard error and exit status 2; an interrupt is 130.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from faltung import __version__
from faltung.cli.analyse import analyse_command
from faltung.cli.calibrate import calibrate_command
from faltung.cli.common import Interrupted, colour, fail, say
from faltung.cli.compare import compare_command
from faltung.cli.demo import demo_command
from faltung.cli.edges import edges_command
from faltung.cli.explain import explain_command
from faltung.cli.filter import filter_command
from faltung.cli.kernels import kernels_command
from faltung.cli.learn import learn_command
from faltung.cli.predict import evaluate_command, predict_command
from faltung.cli.reverb import reverb_command
from faltung.cli.smooth import smooth_command
from faltung.cli.stream import stream_command
from faltung.cli.sums import sum_command, ways_command
from faltung.cli.train import train_command

AGAIN = 1.0  # seconds until a process that was told to end is told once more


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="faltung")
def cli() -> None:
    """Convolution of pictures and signals, with kernels by name or numbers; sums of distributions.

    \b
    Examples:
      faltung demo
      faltung kernels sharpen
      faltung filter photo.jpg --kernel edge -o edges.png
      faltung filter holiday/ --kernel gaussian:2 -o soft/
      faltung edges photo.jpg -o edges.png
      faltung compare photo.jpg --kernels edge,sharpen,gaussian:3 -o sheet.png
      faltung smooth track.csv --column x --weights exponential:0.3 -o out.csv
      faltung analyse kernel.npy
      faltung learn photo.png edges.png --size 3x3
      faltung explain --shape 2160x3840 --kernel gaussian:5
      faltung sum d6 d6
      faltung sum poisson:50 poisson:50 --sf 300
      faltung ways d6 d6 7 --exact
      faltung reverb voice.wav room.wav -o out.wav
      faltung train photos/ --model small -o model
      faltung evaluate model photos/
      cat raw | faltung stream --kernel "[1,2,1]/4" > smooth

    Exit status: 0 if all went well, 1 if some of several pictures failed, 2 for a mistake, 130
    after Ctrl-C, 141 where nobody reads what is printed. NO_COLOR=1 in the environment turns
    colours off.

    \b
    Completion, in bash (zsh and fish alike), in ~/.bashrc:
      eval "$(_FALTUNG_COMPLETE=bash_source faltung)"
    """


for command in (
    filter_command,
    edges_command,
    compare_command,
    smooth_command,
    kernels_command,
    analyse_command,
    learn_command,
    demo_command,
    explain_command,
    sum_command,
    ways_command,
    calibrate_command,
    reverb_command,
    stream_command,
    train_command,
    predict_command,
    evaluate_command,
):
    cli.add_command(command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Examples
    --------
    >>> run(["kernels", "identity"])  # doctest: +ELLIPSIS
    identity  (3x3)
      0 0 0
      0 1 0
      0 0 0
    Leaves the picture.
    Source: the usual table of image processing kernels; Gonzalez and Woods (2018), ch. 3.
    ...
    0
    """
    if os.environ.get("FALTUNG_TRACEBACK") == "1":  # to find a fault of ours
        cli.main(arguments, prog_name="faltung", standalone_mode=False)
        return 0
    try:
        status = cli.main(arguments, prog_name="faltung", standalone_mode=False, color=colour())
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
    except Interrupted as error:
        return fail(str(error), 130)
    except (KeyboardInterrupt, click.Abort):
        return fail("interrupted.", 130)
    except SystemExit as error:
        if error.code != 1:  # click's answer to a closed pipe
            raise
        return unread()
    except BrokenPipeError:
        return unread()
    except MemoryError:
        return fail("there is not enough memory for this input and kernel.")
    except OSError as error:
        named = isinstance(error.filename, (str, bytes))  # a number where it was opened by one
        where = f"{os.fsdecode(error.filename)}: " if named else ""
        return fail(f"{where}{error.strerror}." if error.strerror else str(error))
    except (ValueError, TypeError, OverflowError) as error:
        return fail(str(error))


def unread() -> int:
    """Stop writing, since nobody reads on, and return the status of what SIGPIPE ends."""
    # Python would complain once more when it flushes at exit
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def occupy() -> None:
    """Lay the null device on closed standard streams: no file may get their numbers.

    Libraries write their complaints to number 2, and these would end up in a picture.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


def main() -> None:
    """Run the command and end the process."""

    def terminated(*_arguments: object) -> None:
        if hasattr(signal, "setitimer"):  # code in C may drop what is raised: then it is once more
            signal.signal(signal.SIGALRM, terminated)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise SystemExit(143)  # unwinds, so that no unfinished file stays

    def dropped(found: Any) -> None:
        if not isinstance(found.exc_value, (SystemExit, KeyboardInterrupt)):
            sys.__unraisablehook__(found)

    def warned(message: Warning | str, *_details: object, **_more: object) -> None:
        say(str(message), "warning", "yellow")

    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), terminated)
    warnings.showwarning = warned
    sys.unraisablehook = dropped
    occupy()
    sys.exit(run())
