"""WAV and FLAC files, read and written block by block, through the extra ``faltung[audio]``.

Samples are floats, of which 1 is full scale: integers of ``b`` bits are divided by ``2**(b - 1)``
when they are read, and multiplied by it, rounded half to even and clipped when they are written.
So what is read and written again is the same to the last bit. Samples are finite numbers, read and
written: NaN, infinity and what is beyond float32 in such a file are errors.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile, gettempdir
from typing import Any, BinaryIO

import numpy as np

from faltung.dtypes import Array
from faltung.files import naming, replace_whole
from faltung.signal import waves

READ = ("WAV", "WAVEX", "RF64", "FLAC")  # of which it is known whether they are whole
FORMATS = {".wav": "WAV", ".wave": "WAV", ".flac": "FLAC"}
DEPTHS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT", "double": "DOUBLE"}
BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
BLOCK = 1 << 16  # frames
RATES = {"WAV": 2**31 - 1, "FLAC": 655_350}  # the greatest, of libsndfile
CHANNELS = {"WAV": 1024, "FLAC": 8}
UNCOUNTED = 2**63 - 1  # frames of a FLAC file that does not say how many
LAST = 1 << 17  # bytes that a FLAC file may still get when it is closed
LONGEST = (1 << 32) - (1 << 16)  # bytes of a WAV; what is longer becomes RF64


class AudioError(ValueError):
    """A file that cannot be read or written; the message is one line."""


@dataclass(frozen=True)
class Info:
    """What a file says of its audio.

    Attributes
    ----------
    rate : int
        Frames per second.
    channels, frames : int
    subtype : str
        How its samples are stored, under libsndfile's name: "PCM_16", "FLOAT".
    """

    rate: int
    channels: int
    frames: int
    subtype: str

    @property
    def depth(self) -> str:
        """The depth that keeps the samples, as :func:`write` takes it."""
        if self.subtype in BITS:
            return str(max(16, BITS[self.subtype]))
        return "double" if self.subtype == "DOUBLE" else "float"


@dataclass
class Clipped:
    """What was written: how many samples were clipped, and the greatest magnitude."""

    samples: int = 0
    peak: float = 0.0


def soundfile(path: object) -> Any:
    """Return the module soundfile, or say that it is needed."""
    try:
        return import_module("soundfile")
    except (ImportError, OSError):  # the latter without its libsndfile
        raise AudioError(
            f"{path}: audio files need the extra: pip install 'faltung[audio]'."
        ) from None


def sound_file(path: object, raw: BinaryIO, *how: Any, **more: Any) -> Any:
    """Open a file of audio by its number, from where it is.

    What a file is called says nothing of what it holds; and an error or an interrupt in what
    libsndfile calls back would be lost. Without seeking, frames that are not counted can be read.
    """
    kind: Any = type("InOrder", (soundfile(path).SoundFile,), {"seekable": lambda _: False})
    return kind(raw.fileno(), *how, closefd=False, **more)


class Reader:
    """A file that is open for reading; made by :func:`reading`."""

    def __init__(self, path: object, file: Any, frames: int) -> None:
        self.path, self._file = path, file
        self.info = Info(file.samplerate, file.channels, frames, file.subtype)

    def blocks(self, frames: int = BLOCK) -> Iterator[Array]:
        """Yield the samples, (n, channels) of float64, to the end.

        Raises
        ------
        AudioError
            Where the file breaks off, is damaged, or holds a sample that is no number.
        """
        module, done = soundfile(self.path), 0
        while done < self.info.frames:
            try:
                block: Array = self._file.read(frames, dtype="float64", always_2d=True)
            except module.LibsndfileError as error:
                raise damaged(self.path, error) from None
            if not len(block):
                raise AudioError(
                    f"{self.path}: the file is damaged or cut short: {done} of "
                    f"{self.info.frames} frames can be read."
                )
            check_finite(self.path, block, done)
            done += len(block)
            yield block


def check_finite(path: object, block: Array, before: int) -> None:
    """Raise where a sample is no number, ``before`` frames having gone before."""
    bad = ~np.isfinite(block)
    if bad.any():
        frame, channel = np.argwhere(bad)[0]
        raise AudioError(
            f"{path}: frame {before + frame} of channel {channel + 1} is {block[frame, channel]}; "
            "the samples of a file must be finite."
        )


def damaged(path: object, error: Any) -> AudioError:
    """Return the error of a file that libsndfile refuses."""
    text = (
        " ".join(str(getattr(error, "error_string", error)).split())
        .rstrip(".")
        .removeprefix("Error : ")
    )
    return AudioError(f"{path}: this is no WAV or FLAC file that can be read ({text}).")


@contextmanager
def reading(path: str | os.PathLike[str], raw: BinaryIO | None = None) -> Iterator[Reader]:
    """Open a file for reading, in a ``with``.

    Parameters
    ----------
    path : path
        A pipe is read to its end first, into a file without a name.
    raw : binary file, optional
        What is read instead, such as ``sys.stdin.buffer``; the path is only how errors name it.

    Raises
    ------
    AudioError
        Where it is no WAV or FLAC file, holds no samples or is cut short.
    OSError
        Where it cannot be opened.
    """
    soundfile(path)
    with ExitStack() as stack:
        if raw is None:
            raw = stack.enter_context(Path(path).open("rb"))
        if not raw.seekable():
            raw = stack.enter_context(waves.spooled(raw))
        raw = believed(path, raw, stack)
        file = stack.enter_context(opened(path, raw))
        frames = file.frames
        if frames == UNCOUNTED:
            frames = counted(path, file)
            file = stack.enter_context(opened(path, raw))
        if frames == 0:
            raise AudioError(f"{path}: the file holds no samples.")
        yield Reader(path, file, frames)


def opened(path: object, raw: BinaryIO) -> Any:
    """Open a file from its beginning, or raise AudioError."""
    os.lseek(raw.fileno(), 0, os.SEEK_SET)
    try:
        file = sound_file(path, raw)
    except soundfile(path).LibsndfileError as error:
        raise damaged(path, error) from None
    if file.format not in READ:
        with file:
            raise AudioError(
                f"{path}: this is {file.format_info}, of which nothing tells whether it is whole; "
                "convert it to WAV or FLAC."
            )
    return file


def counted(path: object, file: Any) -> int:
    """Return how many frames there are, by reading them."""
    with file:
        frames = 0
        try:
            while block := len(file.read(BLOCK)):
                frames += block
        except soundfile(path).LibsndfileError as error:
            raise damaged(path, error) from None
        return frames


def believed(path: object, raw: BinaryIO, stack: ExitStack) -> BinaryIO:
    """Return a file of which the header is right, or raise where it is cut short.

    libsndfile takes what is there without a word, but nothing where the header says 0.
    """
    header = waves.header_of(raw)
    if header is None:
        return raw
    there = raw.seek(0, os.SEEK_END) - header.place
    if header.stated > there and not header.unknown:
        raise AudioError(
            f"{path}: the file is cut short: {there:,} of {header.stated:,} bytes of samples "
            "are there."
        )
    length = there if header.unknown else header.stated
    if length % header.frame:
        warnings.warn(
            f"{path}: its samples end within a frame, of which {length % header.frame} of "
            f"{header.frame} bytes are there; they are left out.",
            stacklevel=5,
        )
    if not header.unknown:
        return raw
    if there and (header.stated == 0 or there > header.stated) and header.kind != b"RIFX":
        return stack.enter_context(waves.restated(raw, header, there))
    return raw


def read(path: str | os.PathLike[str], raw: BinaryIO | None = None) -> tuple[Array, int]:
    """Read a WAV or FLAC file whole.

    Parameters
    ----------
    path, raw
        As of :func:`reading`.

    Returns
    -------
    samples : ndarray
        (frames,) where it is mono, else (frames, channels), of float64; full scale is 1.
    rate : int
        Frames per second.

    Raises
    ------
    AudioError
        Where it is no such file, or a damaged one; a ValueError.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from faltung.signal import audio
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = audio.write(f"{folder}/click.wav", np.array([1.0, -0.5]), 48000, depth="float")
    ...     audio.read(f"{folder}/click.wav")
    (array([ 1. , -0.5]), 48000)
    """
    with reading(path, raw) as reader:
        samples = np.concatenate(list(reader.blocks()))
        return samples[:, 0] if reader.info.channels == 1 else samples, reader.info.rate


def write(path: str | os.PathLike[str], samples: Any, rate: int, *, depth: str = "24") -> Clipped:
    """Write a WAV or FLAC file, whole or not at all.

    Parameters
    ----------
    path : path
        Ending in .wav or .flac.
    samples : array_like
        (frames,) or (frames, channels) of finite floats, up to 1024 channels in WAV and 8 in FLAC;
        what is beyond -1 to 1 is clipped in integers.
    rate : int
        Frames per second, from 1 to 2**31 - 1 in WAV and to 655,350 in FLAC.
    depth : {"16", "24", "32", "float", "double"}
        Bits of integers, or floats of 32 or 64 bits; FLAC takes 16 and 24.

    Returns
    -------
    Clipped
        How many ``samples`` were clipped, and the ``peak``.

    Raises
    ------
    AudioError
        Where the file cannot hold the samples; a ValueError.
    OSError
        Where it cannot be written, as the disk is full.
    """
    check_target(path, depth)
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or array.dtype.kind != "f" or array.size == 0:
        raise AudioError(f"{path}: {array.dtype} {array.shape} is no audio; give floats.")
    array = array.reshape(len(array), -1)
    blocks = (array[n : n + BLOCK] for n in range(0, len(array), BLOCK))
    return write_blocks(path, blocks, Info(rate, array.shape[1], len(array), DEPTHS[depth]))


def check_target(path: str | os.PathLike[str], depth: str) -> str:
    """Return the format that a path's ending names, or raise AudioError."""
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise AudioError(f"{path}: the ending {Path(path).suffix!r} is unknown; use .wav or .flac.")
    if not isinstance(depth, str) or depth not in DEPTHS:
        raise AudioError(f"{path}: depth={depth!r} is unknown; use {', '.join(map(repr, DEPTHS))}.")
    if kind == "FLAC" and depth not in ("16", "24"):
        raise AudioError(f"{path}: FLAC holds 16 or 24 bits, not {depth}; write a .wav.")
    return kind


def check_info(path: object, kind: str, info: Info) -> None:
    """Raise where a format cannot hold such audio."""
    whole = isinstance(info.rate, (int, np.integer)) and not isinstance(info.rate, bool)
    if not whole or not 1 <= info.rate <= RATES[kind]:
        raise AudioError(
            f"{path}: the rate {info.rate!r} must be a whole number from 1 to {RATES[kind]:,}, in "
            f"{kind}."
        )
    if not 1 <= info.channels <= CHANNELS[kind]:
        raise AudioError(
            f"{path}: {kind} holds 1 to {CHANNELS[kind]} channels, not {info.channels}."
        )


def write_blocks(path: str | os.PathLike[str], blocks: Iterable[Array], info: Info) -> Clipped:
    """Write what blocks, (n, channels), give; ``info`` says how, and about how many frames.

    See :func:`write`.
    """
    path = Path(path)
    depth = next((name for name, subtype in DEPTHS.items() if subtype == info.subtype), "")
    kind, found = check_target(path, depth), Clipped()
    check_info(path, kind, info)
    if path.is_dir():
        raise AudioError(f"{path}: this is a directory; name a file.")
    if path.exists() and not path.is_file():
        raise AudioError(f"{path}: this is no regular file.")
    if not path.parent.is_dir():
        raise AudioError(f"{path}: there is no directory {path.parent}; create it first.")
    replace_whole(path, lambda raw: save(path, raw, kind, blocks, info, found))
    return found


def write_pipe(out: BinaryIO, blocks: Iterable[Array], info: Info) -> Clipped:
    """Write a WAV into a pipe, at once when it is whole: its header says how long it is."""
    found = Clipped()
    check_info("standard output", "WAV", info)
    with TemporaryFile() as raw:
        with naming(f"a file in {gettempdir()}"):
            save("standard output", raw, "WAV", blocks, info, found)
        raw.seek(0)
        with naming("standard output"):
            copyfileobj(raw, out, waves.COPIED)
            out.flush()
    return found


def save(
    path: object, raw: BinaryIO, kind: str, blocks: Iterable[Array], info: Info, found: Clipped
) -> None:
    """Write an open file, and note in ``found`` what is clipped."""
    module, done = soundfile(path), 0
    size = info.frames * info.channels * (BITS.get(info.subtype, 64) // 8)
    if kind == "WAV" and size > LONGEST:
        kind = "RF64"
    try:
        how = "w", int(info.rate), info.channels, info.subtype
        with sound_file(path, raw, *how, format=kind) as file:
            for block in blocks:
                file.write(stored(path, block, info.subtype, found, done))
                done += len(block)
                if file.frames != done:
                    raise AssertionError  # as soundfile itself, but for python -O
    except (module.LibsndfileError, AssertionError) as error:
        check_room(raw)  # which has the system's own words for it
        raise AudioError(f"{path}: cannot be written ({str(error) or kind}).") from None
    if kind == "FLAC":  # which says nothing where its last frame found no room
        check_room(raw)


def check_room(raw: BinaryIO) -> None:
    """Raise what the system says of a file that cannot grow."""
    end = os.lseek(raw.fileno(), 0, os.SEEK_END)
    left = LAST
    while left:
        left -= os.write(raw.fileno(), bytes(left))
    os.ftruncate(raw.fileno(), end)


def greatest(subtype: str) -> float:
    """Return the greatest sample that is not clipped: one step less than 1 in integers."""
    return 1 - 2.0 ** (1 - BITS[subtype]) if subtype in BITS else float("inf")


def stored(path: object, block: Array, subtype: str, found: Clipped, before: int) -> Array:
    """Return samples as they are stored, and note what is clipped."""
    block = block.astype(np.float64, copy=False)
    check_finite(path, block, before)
    peak = float(np.abs(block).max(initial=0))
    found.peak = max(found.peak, peak)
    if subtype == "FLOAT" and peak > float(np.finfo(np.float32).max):
        raise AudioError(f"{path}: a sample of {peak:g} is beyond float32; write depth double.")
    if subtype not in BITS:
        return block.astype(np.float32 if subtype == "FLOAT" else np.float64)
    bits = BITS[subtype]
    whole = np.rint(np.clip(block, -2, 2) * 2.0 ** (bits - 1))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    found.samples += int(((whole < low) | (whole > high)).sum())
    # libsndfile takes the upper bits of an int32
    return np.clip(whole, low, high).astype(np.int32) << (32 - bits)
