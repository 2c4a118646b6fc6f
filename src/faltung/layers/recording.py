"""What a training step does, noted down once and played again.

A step at known shapes does the same to the same arrays every time: only their numbers change. While
a tape records, every function of this package that can be recorded notes down what it calls; what
cannot refuses the tape. To play a tape is to make the calls again, without the checks and the
look-ups that led to them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from faltung import native


class Tape:
    """Calls in order, with the arrays that they read and write.

    Attributes
    ----------
    calls : list of functions
    refused : bool
        Whether something was done that is not among them: then the tape must not be played.
    """

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []
        self.refused = False

    def join(self) -> None:
        """Make one of compiled calls that follow one another."""
        joined: list[Callable[[], Any]] = []
        for compiled, calls in groupby(map(known, self.calls), key=compilable):
            found: list[Any] = list(calls)
            joined += [native.Calls(found)] if compiled else found
        self.calls = joined

    def play(self) -> None:
        """Make the calls."""
        for call in self.calls:
            call()


def known(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call, as a plain copy where it is one."""
    if isinstance(call, partial) and call.func is np.copyto and native.Copy.takes(*call.args):
        return native.Copy(*call.args)
    return call


def compilable(call: Callable[[], Any]) -> bool:
    """Whether a call can be made without Python."""
    return isinstance(call, (native.Bound, native.Copy)) and native.library() is not None


class _Active(threading.local):
    tape: Tape | None = None


_active = _Active()


@contextmanager
def recording() -> Iterator[Tape]:
    """Note down what this thread does inside.

    >>> import numpy as np
    >>> x, y = np.array([1.0, 2.0]), np.empty(2)
    >>> with recording() as tape:
    ...     do(np.multiply, x, 2, out=y)
    >>> x[0] = 5
    >>> tape.play()
    >>> y.tolist()
    [10.0, 4.0]
    """
    outer, tape = _active.tape, Tape()
    _active.tape = tape
    try:
        yield tape
    finally:
        _active.tape = outer
    tape.join()


def do(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Call a function that writes into arrays it is given, and note it down."""
    function(*arguments, **options)
    note(partial(function, *arguments, **options))


def note(call: Callable[[], Any]) -> None:
    """Note down a call that was made already."""
    if _active.tape is not None:
        _active.tape.calls.append(call)


def unrecorded() -> None:
    """Refuse the tape that records, if any does: what follows is not noted down."""
    if _active.tape is not None:
        _active.tape.refused = True


def recorded() -> bool:
    """Whether a tape records."""
    return _active.tape is not None
