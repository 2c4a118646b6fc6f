"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def replace_whole(path: Path, save: Callable[[BinaryIO], None]) -> None:
    """Write a file under another name beside it, then rename; leave nothing where that fails.

    What the system refuses is an OSError that names the file itself.
    """
    given = str(path)
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    mode = path.stat().st_mode if path.exists() else None
    unfinished = path.with_name(f".faltung.{os.urandom(4).hex()}.part")
    try:
        with unfinished.open("xb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), stat.S_IMODE(mode))  # a private file stays private
            save(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if (
            isinstance(error, OSError)
            and error.errno is not None  # else it has words of its own
            and error.filename in (None, str(unfinished))
        ):
            raise OSError(error.errno, error.strerror, given) from None
        raise


@contextmanager
def naming(name: object) -> Iterator[None]:
    """Let an error of the system say what it is about, where it does not.

    >>> with naming("standard output"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    OSError: [Errno 28] No space left on device: 'standard output'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(name)) from None
