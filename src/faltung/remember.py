"""Results kept for the next call: by numbers that are not kept alive, or by any key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, wraps
from hashlib import blake2b
from typing import Any, Generic, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")


class Key:
    """What tells an argument from others; the argument itself is there for the first call only."""

    __slots__ = ("name", "value")

    def __init__(self, name: Hashable, value: Any) -> None:
        self.name, self.value = name, value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def digest(data: bytes) -> bytes:
    """Return 16 bytes that other data does not have: a kernel may have many megabytes."""
    return blake2b(data, digest_size=16).digest()


def remembered(size: int, name: Callable[[Any], Hashable]) -> Callable[[F], F]:
    """Keep a function's last results by the ``name`` of its first argument, and by the others.

    As :func:`functools.lru_cache`, which would keep the argument as well.

    Parameters
    ----------
    size : int
        Number of results.
    name : callable
        Returns what stands for the first argument, such as its :func:`digest`.

    Returns
    -------
    callable
        The decorator.

    Examples
    --------
    >>> @remembered(8, name=len)
    ... def first(text):
    ...     return text[0]
    >>> first("one"), first("two")
    ('o', 'o')
    """

    def decorate(function: F) -> F:
        @lru_cache(maxsize=size)
        def cached(key: Key, *args: Hashable) -> Any:
            return function(key.value, *args)

        @wraps(function)
        def call(value: Any, *args: Hashable) -> Any:
            key = Key(name(value), value)
            try:
                return cached(key, *args)
            finally:
                key.value = None  # it may be kept now

        return cast(F, call)

    return decorate


class Kept(Generic[V]):
    """The values last used, looked up by a key; so many, and so many bytes by ``held``."""

    def __init__(self, size: int, memory: int, held: Callable[[V], int]) -> None:
        self.size, self.memory, self._bytes = size, memory, held
        self._values: OrderedDict[Any, V] = OrderedDict()
        self._held = 0
        self.renew()

    def renew(self) -> None:
        """Take a new lock; reentrant, as a signal's handler may convolve, too."""
        self._lock = threading.RLock()

    def get(self, key: Any) -> V | None:
        """Return the value kept for a key, if it is still here."""
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
            return found

    def put(self, key: Any, value: V) -> None:
        """Keep a value; the one unused for longest goes when there are too many."""
        with self._lock:
            replaced = self._values.pop(key, None)
            self._held += self._bytes(value) - (self._bytes(replaced) if replaced else 0)
            self._values[key] = value
            while self._values and (len(self._values) > self.size or self._held > self.memory):
                self._held -= self._bytes(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget every value."""
        with self._lock:
            self._values.clear()
            self._held = 0


def types_of(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the types of the values, and of what tuples among them hold."""
    return tuple(types_of(v) if type(v) is tuple else type(v) for v in values)
