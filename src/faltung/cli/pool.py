"""Pictures in several processes: each reads, filters and writes one at a time.

Processes, not threads: a codec that crashes takes one picture with it and not the rest, and one
that does not come back can be stopped. Threads would be as fast, since the codecs release Python's
lock.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from faltung.cli.jobs import Job

Result = TypeVar("Result")
PATIENCE = 5.0  # seconds that a process gets to stop
POOLED = 8  # blocks of 16 MB that Pillow keeps: memory that is new costs more than decoding


@dataclass(frozen=True)
class Failure:
    """A picture that could not be done: one line."""

    message: str


@dataclass(eq=False)
class Member(Generic[Result]):
    """A process, the way to it, and what it works on."""

    process: Any
    pipe: Connection
    job: Job | None = None
    weight: int = 0


def attempt(task: Callable[[Job], Result], job: Job) -> Result | Failure:
    """Return a task's result, or what went wrong."""
    try:
        return task(job)
    except MemoryError:
        return Failure(f"{job.source}: there is not enough memory for this picture and kernel.")
    except (ValueError, TypeError, OverflowError, OSError) as error:
        text = " ".join(str(error).split())
        return Failure(text if job.source in text else f"{job.source}: {text}")


def each(
    jobs: Sequence[Job],
    task: Callable[[Job], Result],
    workers: int,
    room: int,
    weigh: Callable[[Job], int],
    started: Callable[[Job], None] = lambda _job: None,
) -> Generator[tuple[Job, Result | Failure], None, None]:
    """Do a task for every job, and yield the results as they come.

    Parameters
    ----------
    jobs : sequence of Job
    task : callable
        Does one job. Where processes are not forked it has to be picklable.
    workers : int
        Number of processes; with 1 the work is done here.
    room : int
        The most that the jobs at work may weigh together; one alone may weigh more.
    weigh : callable
        Returns a job's weight, in pixels.
    started : callable
        Hears of each job that is begun.
    """
    if workers == 1 or len(jobs) == 1:
        pool_memory()
        for each_job in jobs:
            started(each_job)
            yield each_job, attempt(task, each_job)
        return
    waiting = deque(jobs)
    idle = [enlist(task) for _ in range(min(workers, len(jobs)))]
    busy: list[Member[Result]] = []
    try:
        while waiting or busy:
            while waiting and idle:
                weight = attempt(weigh, waiting[0])
                if isinstance(weight, Failure):
                    yield waiting.popleft(), weight
                    continue
                if busy and sum(member.weight for member in busy) + weight > room:
                    break
                member = idle.pop()
                member.job, member.weight = waiting.popleft(), weight
                busy.append(member)  # before it is sent, so that it is stopped in any case
                member.pipe.send(member.job)
                started(member.job)
            for pipe in wait([member.pipe for member in busy]):
                member = next(member for member in busy if member.pipe is pipe)
                job = member.job
                assert job is not None
                try:
                    result = member.pipe.recv()
                except EOFError:
                    member.process.join()
                    code = member.process.exitcode
                    result = Failure(f"{job.source}: the process at work on it ended ({code}).")
                    busy.remove(member)
                    member.pipe.close()
                    idle.append(enlist(task))
                else:
                    busy.remove(member)
                    idle.append(member)
                yield job, result
    finally:
        dismiss([*idle, *busy])


def enlist(task: Callable[[Job], Result]) -> Member[Result]:
    """Start a process."""
    # forking is quick, and this process has no threads that a copy would miss
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, here, task), daemon=True)
    with unstoppable():
        process.start()
    there.close()  # so that its end is the end of the pipe
    return Member(process, here)


@contextmanager
def unstoppable() -> Iterator[None]:
    """Put off Ctrl-C, here and for good in a process that is started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def dismiss(crew: Sequence[Member[Any]]) -> None:
    """End processes: those without work by closing their pipes, the others by a signal."""
    for member in crew:
        member.pipe.close()
        if member.job is not None:
            member.process.terminate()
    for member in crew:
        member.process.join(PATIENCE)
        if member.process.exitcode is None:
            member.process.kill()
            member.process.join()


def serve(pipe: Connection, other: Connection, task: Callable[[Job], Any]) -> None:
    """Do jobs until there are no more; what is being written is finished or taken away."""
    other.close()  # a copy of this end would keep the pipe open after the death of its owner

    def terminated(*_arguments: object) -> None:
        raise SystemExit(143)  # unwinds, so that no unfinished file stays

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    signal.signal(signal.SIGTERM, terminated)
    pool_memory()
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        result = attempt(task, job)
        try:
            pipe.send(result)
        except OSError:  # nobody is left to hear of it
            return


def pool_memory() -> None:
    """Let Pillow keep the memory of one picture for the next."""
    from PIL import Image

    core: Any = getattr(Image, "core", None)  # what PILLOW_BLOCKS_MAX sets when Pillow is loaded
    if "PILLOW_BLOCKS_MAX" not in os.environ and hasattr(core, "set_blocks_max"):
        core.set_blocks_max(POOLED)
