"""From files to files: what ``faltung filter`` and ``faltung edges`` do with their pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from faltung import image, native
from faltung.cli.common import FORMATS, Interrupted, fail, printable, say
from faltung.cli.jobs import STREAM, Job, Jobs, plan_jobs
from faltung.cli.pool import Failure, each

KINDS = {"png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "webp": "WEBP", "bmp": "BMP", "pnm": "PPM"}
MOST_BYTES = 8  # for each pixel of the limit: how much of standard input is read

Change = Callable[[np.ndarray[Any, Any], int], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Files:
    """Where pictures come from and go to: the options that the commands share."""

    files: Sequence[str]
    output: str | None
    kind: str | None
    quality: int
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
    quality: int
    max_pixels: int
    kind: str | None = None
    threads: int = 1

    def __call__(self, job: Job) -> Done:
        """Read, change and write one picture."""
        if job.source == STREAM:
            picture = image.loads(standard_input(self.max_pixels), name="standard input")
        else:
            picture = image.load(job.source, max_pixels=self.max_pixels)
        target = Path(job.target)
        if job.target != STREAM:
            if job.folder:
                make_folder(target.parent)
            image.check_target(target, self.sample(picture.frames[0]))
        start = time.perf_counter()
        frames = tuple(self.change(frame, self.threads) for frame in picture.frames)
        seconds = time.perf_counter() - start
        result = replace(picture, frames=frames)
        content = b""
        if job.target == STREAM:
            kind = KINDS[self.kind] if self.kind else picture.kind
            notes: tuple[str, ...] = ()
            if kind not in image.FORMATS.values():
                kind, notes = "PNG", (f"{kind} is only read: the result is a PNG",)
            encoded, more = image.encode(result, kind, quality=self.quality)
            content, notes = bytes(encoded), notes + more
        else:
            notes = image.save(target, result, quality=self.quality)
        height, width = frames[0].shape[:2]
        return Done((width, height), len(frames), seconds, (*picture.notes, *notes), content)

    def sample(self, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return a pixel as the result has it: to find out early whether it can be written."""
        return self.change(frame[:1, :1], 1) if getattr(self.change, "reshapes", False) else frame


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
    output = shown_output(options)
    jobs = plan_jobs(options.files, output, options.kind)
    if output == STREAM and sys.stdout is None:
        raise click.UsageError("standard output is closed; name a file with -o.")
    if output == STREAM and sys.stdout.isatty():
        raise click.UsageError("the picture would go to the terminal; write > FILE or -o FILE.")
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
    tell(done.notes)
    width, height = done.size
    frames = f", {done.frames} frames" if done.frames > 1 else ""
    line = f"{width} x {height} pixels{frames}, {done.seconds * 1e3:.1f} ms"
    if job.target == STREAM:
        sys.stdout.buffer.write(done.content)
        sys.stdout.buffer.flush()
    else:
        click.echo(f"{printable(job.target)}: {line}")
    if options.show:
        from faltung.cli.show import show

        show(Path(job.target))
    return 0


def shown_output(options: Files) -> str:
    """Return where results go: with --show alone into a folder for temporary files."""
    if options.output is not None:
        if options.show and options.output == STREAM:
            raise click.UsageError("--show needs a file; leave out -o - or --show.")
        return options.output
    if not options.show:
        raise click.UsageError("Missing option '-o' / '--output'.")
    if len(options.files) > 1:
        raise click.UsageError("--show without -o takes a single picture.")
    from tempfile import mkdtemp

    # the viewer may open it after this command has ended: it is left to the system to remove
    return mkdtemp(prefix="faltung-") + "/result" + FORMATS[options.kind or "png"]


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
    outcomes = each(left, task, crew, options.max_pixels, Weigh(options.max_pixels))
    bar: Any = nullcontext()
    terminal = sys.stderr is not None and sys.stderr.isatty()  # None where it was closed
    if terminal and left:
        bar = click.progressbar(length=len(left), label="pictures", file=sys.stderr, show_pos=True)
    try:
        with bar as progress:
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
                if progress is not None:
                    progress.update(1)
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
