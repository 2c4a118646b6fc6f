"""Results kept by the numbers that they were made from, without keeping these alive."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from hashlib import blake2b
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


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
