"""Threads that do the same share of every step, so that what they wrote stays in their caches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from faltung import native

Job = Callable[[], object]


class _Member:
    """A thread that waits for jobs, does them, and tells."""

    def __init__(self) -> None:
        self.go, self.done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.done.acquire()
        self.jobs: Sequence[Job] | None = ()
        self.error: BaseException | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        with native.alone(), np.errstate(over="ignore", invalid="ignore"):
            while True:
                self.go.acquire()
                if self.jobs is None:
                    return
                try:
                    for job in self.jobs:
                        job()
                except BaseException as error:  # told to whoever waits
                    self.error = error
                self.done.release()

    def start(self, jobs: Sequence[Job] | None) -> None:
        """Give it jobs; None lets it go."""
        self.jobs = jobs
        self.go.release()

    def wait(self) -> None:
        """Return when they are done."""
        self.done.acquire()


class Crew:
    """So many threads, of which the one that asks is the first.

    >>> found = []
    >>> crew = Crew(2)
    >>> crew.run([lambda: found.append(1), lambda: found.append(2), lambda: found.append(3)])
    >>> crew.close()
    >>> sorted(found)
    [1, 2, 3]
    """

    def __init__(self, count: int) -> None:
        self.members = [_Member() for _ in range(count - 1)]

    def run(self, jobs: Sequence[Job]) -> None:
        """Do jobs, the same thread always the same ones, and each thread alone."""
        count = len(self.members) + 1
        for number, member in enumerate(self.members, 1):
            member.start(jobs[number::count])
        try:
            with native.alone():
                for job in jobs[::count]:
                    job()
        finally:
            for member in self.members:
                member.wait()
        for member in self.members:
            if member.error is not None:
                error, member.error = member.error, None
                raise error

    def close(self) -> None:
        """Let the threads go."""
        for member in self.members:
            member.start(None)
        self.members = []
