"""What a training shows while it runs, and how Ctrl-C stops it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

OFTEN = 0.1  # seconds between two sights of the bar: writing costs time, too
WIDEST = 30  # letters of the bar


def bar(label: str, part: float, left: float, told: str, columns: int) -> str:
    """Return a bar as one line of fewer letters than the terminal has columns.

    A longer line would be wrapped, and then no carriage return takes it back.

    Examples
    --------
    >>> bar("epoch 2/10", 0.5, 65, "loss 0.3142", 60)
    'epoch 2/10 [############------------]  50% 1:05 loss 0.3142'
    """
    clock = f"{int(left) // 60}:{int(left) % 60:02d}"
    head, tail = f"{label} [", f"] {part:4.0%} {clock} {told}"
    wide = max(0, min(WIDEST, columns - 1 - len(head) - len(tail)))
    full = int(part * wide)
    return f"{head}{'#' * full}{'-' * (wide - full)}{tail}"[: max(0, columns - 1)]


class Bar:
    """A line on a terminal that is written over as work goes on, and erased at the end.

    ``with Bar(...) as show`` gives a function of how much is done, and of what to say of it.
    """

    def __init__(self, label: str, total: int, done: int = 0, file: TextIO | None = None) -> None:
        self.label, self.total, self.first = label, total, done
        self.file = sys.stdout if file is None else file
        self.began, self.shown, self.wide = time.monotonic(), -OFTEN, 0

    def __enter__(self) -> Callable[[int, str], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        if self.wide:
            self._write("")
            self.file.write("\r")
            self.file.flush()

    def _show(self, done: int, told: str) -> None:
        from shutil import get_terminal_size  # which imports much, and not every training has a bar

        now = time.monotonic()
        if now - self.shown < OFTEN:
            return
        self.shown = now
        left = (now - self.began) * (self.total - done) / max(1, done - self.first)
        line = bar(self.label, done / self.total, left, told, get_terminal_size().columns)
        self._write(line)

    def _write(self, line: str) -> None:
        self.file.write("\r" + line.ljust(self.wide))
        self.file.flush()
        self.wide = len(line)


@contextmanager
def patient(wanted: bool) -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C wait for the end of a step, so that what is kept then is whole.

    What is given tells whether Ctrl-C was pressed. A second one does not wait. Only the main thread
    hears of signals, and a handler of another's is left alone.
    """
    heard = False

    def hear(number: int, frame: Any) -> None:
        nonlocal heard
        if heard:
            raise KeyboardInterrupt
        heard = True

    main = threading.current_thread() is threading.main_thread()
    if not wanted or not main or signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: heard
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
