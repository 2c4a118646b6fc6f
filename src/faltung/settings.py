"""Settings of the process: the number of threads, and of plans that are kept.

Each is set when it is made, for good; as the context of a ``with`` block it is set for its length.
"""

from __future__ import annotations

from typing import Any, TypeVar

from faltung import native

Own = TypeVar("Own", bound="Setting")


class Setting:
    """A value of the whole process, set at once, and taken back at the end of a ``with`` block.

    It may be entered again: then it is set again, until the end of that block.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._before = [self._read()]
        self._entered = False
        self._write(value)

    def _read(self) -> Any:
        raise NotImplementedError

    def _write(self, value: Any) -> None:
        raise NotImplementedError

    def __enter__(self: Own) -> Own:
        if self._entered:  # what was there before it was made is taken back by the first block
            self._before.append(self._read())
        self._entered = True
        self._write(self._value)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._write(self._before.pop())

    def __repr__(self) -> str:
        return f"faltung.{type(self).__name__}({self._value!r})"


class workers(Setting):  # noqa: N801  (used like a function)
    """Set the number of threads of the process, for good or for the length of a ``with`` block.

    It holds from the moment that it is made, for every thread of the process; at the end of a
    ``with`` block the number from before comes back. The argument ``workers=`` of a call is for
    that call alone.

    Parameters
    ----------
    n : int
        Number of threads, from 1 to 1024. Results have the same bits for any number.

    Raises
    ------
    ValueError
        Where ``n`` is no such int.

    Examples
    --------
    >>> import faltung
    >>> with faltung.workers(1):
    ...     faltung.get_workers()
    1
    """

    def __init__(self, n: int) -> None:
        super().__init__(native.check_workers(n))

    def _read(self) -> int | None:
        return native._shared.workers

    def _write(self, value: int | None) -> None:
        native._shared.workers = value
