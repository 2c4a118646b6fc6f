"""What the shell is told when Tab is pressed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from click.shell_completion import CompletionItem

Complete = Callable[[Any, Any, str], list[CompletionItem]]


def complete_file(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    """Leave it to the shell, which knows files best."""
    return [CompletionItem(begun, type="file")]


def complete_kernel(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    """Return the names of kernels, and the files of kernels, that go on from what was typed."""
    return items(kernels_from(begun)) or complete_file(None, None, begun)


def complete_kernels(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    """Return the same for the last of several kernels with commas between them."""
    before, comma, last = begun.rpartition(",")
    if not comma:
        return complete_kernel(None, None, begun)
    return items(f"{before},{name}" for name in kernels_from(last))


def complete_pair(context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
    """Return the pairs of kernels; where there is none, or for the second of two, kernels."""
    from faltung.kernels.catalogue import pairs

    second = context is not None and len(context.params.get("names") or ()) == 1
    found = [] if second else [name for name in pairs() if name.startswith(begun)]
    return items([*found, *files_from(begun)] if found else kernels_from(begun)) or complete_file(
        None, None, begun
    )


def one_of(words: Callable[[], Iterable[str]]) -> Complete:
    """Return the completion of some words, which may also stand with commas between them."""

    def complete(_context: Any, _parameter: Any, begun: str) -> list[CompletionItem]:
        before, comma, last = begun.rpartition(",")
        return items(f"{before}{comma}{word}" for word in words() if word.startswith(last))

    return complete


def items(texts: Iterable[str]) -> list[CompletionItem]:
    """Return texts as the shell is given them."""
    return list(map(CompletionItem, texts))


def kernels_from(begun: str) -> list[str]:
    """Return the names that go on from what was typed, with the files.

    Where there are no names, it is left to the shell, which completes files better.
    """
    from faltung.kernels import names

    found = [name for name in names() if name.startswith(begun)]
    return [*found, *files_from(begun)] if found else []


def files_from(begun: str) -> Iterator[str]:
    """Yield the folders, and the files that may hold kernels, that go on from what was typed."""
    from faltung.kernels.text import ENDINGS

    folder, start = os.path.split(begun)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not start
        if hidden or not entry.name.startswith(start):
            continue
        path = os.path.join(folder, entry.name)
        if entry.is_dir():
            yield path + os.sep
        elif entry.name.lower().endswith(ENDINGS):
            yield path
