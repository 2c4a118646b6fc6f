"""From files to files: what ``faltung filter`` and ``faltung edges`` do with their pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import click

from faltung import image, native
from faltung.cli.common import (
    FORMATS,
    STREAM,
    Interrupted,
    doubts,
    fail,
    overheard,
    printable,
    say,
)
from faltung.cli.jobs import Job, Jobs, plan_jobs
from faltung.cli.pool import Failure, each
from faltung.cli.show import passing, show
from faltung.image.formats import HOLDS, Array
from faltung.image.writing import (
    check_picture,
    check_place,
    check_quality,
    format_of,
    frames_held,
)

KINDS = {"png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "webp": "WEBP", "bmp": "BMP", "pnm": "PPM"}
MOST_BYTES = 8  # for each pixel of the limit: how much of standard input is read


class Change(Protocol):
    """What a command makes of a frame."""

    def __call__(self, frame: Array, threads: int) -> Array:
        """Return the result."""
        ...

    def sample(self, frame: Array) -> Array:
        """Return a pixel as the result has it: to find out early whether it can be written."""
        ...


@dataclass(frozen=True)
class Files:
    """Where pictures come from and go to: the options that the commands share."""

    files: Sequence[str]
    output: str | None
    kind: str | None
    quality: int | None
    skip_existing: bool
    max_pixels: int
    workers: int | None
    show: bool


@dataclass(frozen=True)
class Done:
    """A picture that was written."""

    size: tuple[int, int]
    frames: int
    seconds: float
    notes: tuple[str, ...]
    content: bytes = b""


@dataclass(frozen=True)
class Task:
    """What is done with every picture; a value that can be sent to another process.

    Attributes
    ----------
    change : callable
        Takes a frame and the number of threads, gives a frame.
    quality, max_pixels, kind
        As in :class:`Files`.
    threads : int
    """

    change: Change
    quality: int | None
    max_pixels: int
    kind: str | None = None
    threads: int = 1

    def __call__(self, job: Job) -> Done:
        """Read, change and write one picture."""
        picture = loaded(job.source, self.max_pixels)
        target = Path(job.target)
        if job.target != STREAM:
            check_picture(target, format_of(target), self.change.sample(picture.frames[0]))
            make_folder(target.parent)
            check_place(target)
        start = time.perf_counter()
        frames = tuple(self.change(frame, self.threads) for frame in picture.frames)
        seconds = time.perf_counter() - start
        result = replace(picture, frames=frames)
        content, notes = b"", picture.notes
        kind = KINDS[self.kind] if self.kind else picture.kind
        if picture.kind not in image.FORMATS.values() and not self.kind:
            kind = "PNG"
            if job.target == STREAM or job.folder:
                notes += (f"{picture.kind} is only read: the result is a PNG",)
        if job.target == STREAM:
            encoded, more = image.encode(result, kind, quality=self.quality)
            content = bytes(encoded)
        else:
            kind = format_of(target)
            # of the pictures in a folder only some may have a quality
            quality = self.quality if HOLDS[kind].quality or not job.folder else None
            more = image.save(target, result, quality=quality)
        height, width = frames[0].shape[:2]
        held = frames_held(result, kind)
        return Done((width, height), held, seconds, (*notes, *more), content)


def loaded(source: str, max_pixels: int) -> image.Picture:
    """Return a picture from a file or from standard input."""
    content = standard_input(max_pixels) if source == STREAM else b""
    with overheard() as lines:
        picture = (
            image.loads(content, name="standard input", max_pixels=max_pixels)
            if source == STREAM
            else image.load(source, max_pixels=max_pixels)
        )
    return replace(picture, notes=picture.notes + doubts(lines))


def standard_input(max_pixels: int) -> bytes:
    """Return all of standard input, or raise where it has more bytes than any such picture."""
    if sys.stdin is None:
        raise image.ImageError("standard input is closed.")
    content = sys.stdin.buffer.read(MOST_BYTES * max_pixels + 1)
    if len(content) > MOST_BYTES * max_pixels:
        raise image.ImageError(
            f"standard input has more than {MOST_BYTES * max_pixels:,} bytes; raise --max-pixels."
        )
    if not content:
        raise image.ImageError("standard input is empty.")
    return content


def check_stream() -> None:
    """Raise where standard output takes no picture."""
    if sys.stdout is None:
        raise click.UsageError("standard output is closed; name a file with -o.")
    if sys.stdout.isatty():
        raise click.UsageError("the picture would go to the terminal; write > FILE or -o FILE.")


def make_folder(folder: Path) -> None:
    """Make a folder and those it is in."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise image.ImageError(f"{folder}: cannot be created ({error.strerror}).") from None


def run(options: Files, change: Change, before: Callable[[Job], None] | None = None) -> int:
    """Change all the pictures that were named, and return the exit status.

    One picture that cannot be done is an error and status 2. Of several, those that cannot be done
    are reported, the others are done, and the status is 1.
    """
    if options.output is not None:
        return run_into(options.output, options, change, before)
    if not options.show:
        raise click.UsageError("Missing option '-o' / '--output'.")
    if len(options.files) > 1:
        raise click.UsageError("--show without -o takes a single picture.")
    with passing("result" + FORMATS[options.kind or "png"]) as output:
        return run_into(output, options, change, before)


def run_into(
    output: str, options: Files, change: Change, before: Callable[[Job], None] | None
) -> int:
    """Do what :func:`run` does, once it is known where to."""
    if options.show and output == STREAM:
        raise click.UsageError("--show needs a file; leave out -o - or --show.")
    jobs = plan_jobs(options.files, output, options.kind)
    if output == STREAM:
        check_stream()
    check_qualities(options, jobs)
    workers = options.workers or native.get_workers()
    task = Task(change, options.quality, options.max_pixels, options.kind, workers)
    if jobs.several:
        if before is not None:
            raise click.UsageError("--explain takes one picture.")
        return run_several(jobs, task, options, workers)
    (job,) = jobs.jobs
    if options.skip_existing and Path(job.target).is_file():
        say(f"{job.target} is there already.")
        return 0
    if before is not None:
        before(job)
    done = task(job)
    tell(f"{job.source if job.source != STREAM else 'standard input'}: {n}" for n in done.notes)
    width, height = done.size
    frames = f", {done.frames} frames" if done.frames > 1 else ""
    line = f"{width} x {height} pixels{frames}, filtered in {done.seconds * 1e3:.1f} ms"
    if job.target == STREAM:
        sys.stdout.buffer.write(done.content)
        sys.stdout.buffer.flush()
    else:
        click.echo(f"{printable(job.target)}: {line}")
    if options.show:
        show(Path(job.target))
    return 0


def check_qualities(options: Files, jobs: Jobs) -> None:
    """Raise where a quality was given and no result has one."""
    if options.quality is None or jobs.jobs[0].target == STREAM:
        return
    kinds = {job.target: format_of(Path(job.target)) for job in jobs.jobs}
    if not any(HOLDS[kind].quality for kind in kinds.values()):
        target, kind = next(iter(kinds.items()))
        check_quality(target, kind, options.quality)


def run_several(jobs: Jobs, task: Task, options: Files, workers: int) -> int:
    """Change pictures in parallel with a progress bar, and tell in the end what was done."""
    if options.show:
        raise click.UsageError("--show takes a single picture.")
    left = [job for job in jobs.jobs if not (options.skip_existing and Path(job.target).is_file())]
    crew = min(workers, max(1, len(left)))
    task = replace(task, threads=max(1, workers // crew))
    start, began, done, failed = time.perf_counter(), time.time(), 0, len(jobs.unread)
    for message in jobs.unread:
        fail(message)
    notes: dict[str, None] = {}
    bar: Any = None
    terminal = sys.stderr is not None and sys.stderr.isatty()  # None where it was closed
    if terminal and left:
        bar = click.progressbar(
            length=len(left),
            label="pictures",
            file=sys.stderr,
            show_pos=True,
            item_show_func=lambda job: printable(Path(job.source).name) if job else None,
        )

    def started(job: Job) -> None:
        if bar is not None:  # a large picture takes long: say that it is at work
            bar.current_item = job
            bar.render_progress()

    outcomes = each(left, task, crew, options.max_pixels, Weigh(options.max_pixels), started)
    try:
        with nullcontext() if bar is None else bar:
            for job, outcome in outcomes:
                if isinstance(outcome, Failure):
                    failed += 1
                    clear(terminal)
                    fail(outcome.message)
                else:
                    done += 1
                    new = [note for note in outcome.notes if note not in notes]
                    if new:
                        clear(terminal)
                        tell(f"{job.source}: {note} (said once)" for note in new)
                    notes.update(dict.fromkeys(new))
                if bar is not None:
                    bar.update(1, bar.current_item)
    except KeyboardInterrupt:
        outcomes.close()
        written = sum(is_newer(Path(job.target), began) for job in left)
        raise Interrupted(
            f"interrupted; {written} of {len(left)} pictures are written. Run it again with "
            "--skip-existing for the others."
        ) from None
    click.echo(summary(jobs, done, failed, len(jobs.jobs) - len(left), time.perf_counter() - start))
    return 1 if failed else 0


def is_newer(path: Path, moment: float) -> bool:
    """Whether a file was written after a moment."""
    try:
        return path.stat().st_mtime >= moment
    except OSError:
        return False


def summary(jobs: Jobs, done: int, failed: int, skipped: int, seconds: float) -> str:
    """Return a line on what was done."""
    parts = [f"{done} {'picture' if done == 1 else 'pictures'} written in {seconds:.1f} s"]
    if skipped:
        parts.append(f"{skipped} there already")
    if failed:
        parts.append(f"{failed} failed")
    if jobs.others:
        parts.append(f"{jobs.others} other {'file' if jobs.others == 1 else 'files'} left out")
    return ", ".join(parts)


@dataclass(frozen=True)
class Weigh:
    """The pixels of a picture, told by the beginning of its file."""

    max_pixels: int

    def __call__(self, job: Job) -> int:
        """Return how many pixels its frames have together."""
        width, height, frames = image.size(job.source, max_pixels=self.max_pixels)
        return width * height * frames


def clear(terminal: bool) -> None:
    """Take the progress bar off its line, for another line to stand there."""
    if terminal:
        click.echo("\r\x1b[K", nl=False, err=True)


def tell(notes: Iterable[str]) -> None:
    """Say what reading and writing changed in a picture."""
    for note in notes:
        say(printable(note), "note", "yellow")
