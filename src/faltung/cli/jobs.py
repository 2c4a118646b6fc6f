"""Which pictures a command reads, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EACCES
from pathlib import Path

import click

from faltung.cli.common import FORMATS, STREAM


@dataclass(frozen=True)
class Job:
    """One picture's way from a file to a file; ``-`` is standard input or output.

    Attributes
    ----------
    source, target : str
    folder : bool
        Whether the target is named after the source.
    """

    source: str
    target: str
    folder: bool = False


@dataclass(frozen=True)
class Jobs:
    """All the pictures of one call.

    Attributes
    ----------
    jobs : tuple of Job
    several : bool
        Whether they were named as several files or as a folder, even if only one is found.
    others : int
        Files in folders that are named like no picture and left out.
    unread : tuple of str
        What is wrong with folders that cannot be looked into.
    """

    jobs: tuple[Job, ...]
    several: bool
    others: int = 0
    unread: tuple[str, ...] = ()


def plan_jobs(files: Sequence[str], output: str, kind: str | None) -> Jobs:
    """Return what is to be done, or raise click.UsageError.

    A single file goes to the output, or into it where it is a folder or ends in a slash. Several
    files go into a folder under their own names, what is inside of folders with its structure.
    """
    if list(files).count(STREAM) > 1:
        raise click.UsageError("standard input can be read only once.")
    folders = [file for file in files if file != STREAM and os.path.isdir(file)]
    several = len(files) > 1 or bool(folders)
    if output == STREAM:
        if several:
            raise click.UsageError("standard output takes a single picture; name a folder with -o.")
        return Jobs((Job(files[0], STREAM),), several=False)
    into = os.path.isdir(output) or output.endswith(("/", os.sep))
    if not several and not into:
        if kind is not None:
            raise click.UsageError("--format goes with a folder or stdout; OUT's ending names it.")
        jobs = [Job(files[0], output)]
        check_apart(jobs)
        return Jobs(tuple(jobs), several=False)
    if not into:
        check_folder(output)
    if STREAM in files:
        raise click.UsageError("standard input has no name to keep in a folder; name a file OUT.")
    jobs, others = [], 0
    unread: list[str] = []
    for file in files:
        if file not in folders:
            # made absolute, "a.png/" has a name, too
            name = os.path.basename(os.path.abspath(file))
            jobs.append(Job(file, target_in(output, name, kind), folder=True))
            continue
        # a folder alone empties into the output; of several each keeps its name
        name = os.path.basename(os.path.abspath(file)) if len(files) > 1 else ""
        for inside in walk(file, output, unread):
            if not named_like_a_picture(inside):
                others += 1
                continue
            target = target_in(os.path.join(output, name), inside, kind)
            jobs.append(Job(os.path.join(file, inside), target, folder=True))
    if not jobs and unread:
        raise click.UsageError(unread[0])
    if not jobs:
        raise click.UsageError(f"{', '.join(folders)}: there are no pictures in this folder.")
    check_apart(jobs)
    return Jobs(tuple(jobs), several, others, tuple(unread))


def check_folder(output: str) -> None:
    """Raise where several results would go to what is no folder."""
    from faltung.image import FORMATS as ENDINGS

    if os.path.exists(output):
        raise click.UsageError(f"{output}: several results go into a folder; this is a file.")
    if Path(output).suffix.lower() in ENDINGS:
        raise click.UsageError(
            f"{output}: several results go into a folder; this is named like a file (for a folder "
            "of this name write a slash behind it)."
        )


def walk(folder: str, output: str, unread: list[str]) -> Iterator[str]:
    """Yield the files under a folder, in order, without hidden ones and without the results.

    Of folders that cannot be looked into a line is added to ``unread``.
    """
    results = os.path.realpath(output)

    def closed(error: OSError) -> None:
        unread.append(f"{error.filename}: the folder cannot be read ({error.strerror}).")

    for place, inner, names in os.walk(folder, onerror=closed):
        if not os.access(place, os.X_OK):  # its names are seen, but no file behind them
            closed(PermissionError(EACCES, os.strerror(EACCES), place))
            inner.clear()
            continue
        inner[:] = sorted(
            name
            for name in inner
            if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) != results
        )
        for name in sorted(names):
            path = os.path.join(place, name)
            if not name.startswith(".") and os.path.isfile(path):  # no FIFO, no broken link
                yield os.path.relpath(path, folder)


def named_like_a_picture(name: str) -> bool:
    """Whether a file in a folder is taken: a picture by its ending."""
    from faltung.image.formats import ENDINGS

    return Path(name).suffix.lower() in ENDINGS


def target_in(folder: str, name: str, kind: str | None) -> str:
    """Return where in a folder a picture's result goes; what is only read (GIF) becomes PNG."""
    from faltung.image import FORMATS as ENDINGS

    path = Path(folder, name)
    if kind is not None:
        return str(path.with_suffix(FORMATS[kind]))
    return str(path if path.suffix.lower() in ENDINGS else path.with_suffix(".png"))


def check_apart(jobs: Sequence[Job]) -> None:
    """Raise where two results have one name, or a result would replace a picture."""
    sources = {os.path.realpath(job.source) for job in jobs if job.source != STREAM}
    targets: dict[str, str] = {}
    for job in jobs:
        target = os.path.realpath(job.target)
        if target in targets:
            raise click.UsageError(
                f"{targets[target]} and {job.source} would both become {job.target}; filter them "
                "apart."
            )
        if target in sources:
            other = "folder" if len(jobs) > 1 else "name or folder"
            raise click.UsageError(
                f"the result {job.target} would replace a picture that is read; give another "
                f"{other} with -o."
            )
        targets[target] = job.source
