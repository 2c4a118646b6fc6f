"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

fcntl: Any
try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


def replace_whole(path: Path, save: Callable[[BinaryIO], None]) -> None:
    """Write a file under another name beside it, then rename; leave nothing where that fails.

    What the system refuses is an OSError that names the file itself.
    """
    given = str(path)
    path = _regular(path)
    mode = path.stat().st_mode if path.exists() else None
    unfinished = path.with_name(_unfinished(path, os.urandom(4).hex()))
    try:
        with _opened(unfinished) as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), stat.S_IMODE(mode))  # a private file stays private
            save(file)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:
                unfinished.replace(path)  # while it is locked: nobody takes it for left behind
        if fcntl is None:
            unfinished.replace(path)  # an open file cannot be renamed on Windows
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if (
            isinstance(error, OSError)
            and error.errno is not None  # else it has words of its own
            and error.filename in (None, str(unfinished))
        ):
            raise OSError(error.errno, error.strerror, given) from None
        raise


def check_writable(path: Path) -> None:
    """Raise before long work where :func:`replace_whole` would do so after it.

    What a process that was killed left unfinished of the same file is removed.

    Raises
    ------
    ValueError
        Where there is something else than a file: a device, say.
    OSError
        Where the folder is missing, or takes no files.

    Examples
    --------
    >>> check_writable(Path("/dev/null"))
    Traceback (most recent call last):
    ValueError: /dev/null is no regular file; give the name of a file.
    """
    real = _regular(path)
    tried = real.with_name(_unfinished(real, "tried"))
    try:
        tried.open("wb").close()
        for left in real.parent.glob(_unfinished(real, "*")):
            with suppress(FileNotFoundError), left.open("rb") as file:
                if _lock(file):  # nobody writes it any more
                    left.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _unfinished(path: Path, which: str) -> str:
    """Return the name that a file has until it is whole."""
    return f".faltung.{zlib.crc32(os.fsencode(path.name)):08x}.{which}.part"


def _opened(unfinished: Path) -> BinaryIO:
    """Return a new file that is locked; who looked between the two has taken the first ones."""
    while True:
        file = unfinished.open("xb")
        _lock(file, wait=True)
        if unfinished.exists():
            return file
        file.close()


def _lock(file: BinaryIO, wait: bool = False) -> bool:
    """Lock a file for as long as it is open, unless another process or thread has; say if so."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # not every file system has locks
        return False
    return True


def _regular(path: Path) -> Path:
    """Return what is replaced: what a link points to, not the link, and never a device."""
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if real.exists() and not real.is_file():
        raise ValueError(f"{path} is no regular file; give the name of a file.")
    return real


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
