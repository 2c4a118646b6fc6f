"""WAV and FLAC files, read and written block by block, through the extra ``faltung[audio]``.

Samples are floats, of which 1 is full scale: integers of ``b`` bits are divided by ``2**(b - 1)``
when they are read, and multiplied by it, rounded half to even and clipped when they are written.
So what is read and written again is the same to the last bit.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from faltung.dtypes import Array
from faltung.files import replace_whole

FORMATS = {".wav": "WAV", ".wave": "WAV", ".flac": "FLAC"}
DEPTHS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT", "double": "DOUBLE"}
BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
BLOCK = 1 << 16  # frames
UNKNOWN = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # sizes that a WAV from a pipe may give
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


class Reader:
    """A file that is open for reading; made by :func:`reading`."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file = path, file
        self.info = Info(file.samplerate, file.channels, file.frames, file.subtype)

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
            bad = ~np.isfinite(block)
            if bad.any():
                frame, channel = np.argwhere(bad)[0]
                raise AudioError(
                    f"{self.path}: frame {done + frame} of channel {channel + 1} is "
                    f"{block[frame, channel]}; give a file of finite samples."
                )
            done += len(block)
            yield block


def damaged(path: Path, error: Any) -> AudioError:
    """Return the error of a file that libsndfile refuses."""
    text = (
        " ".join(str(getattr(error, "error_string", error)).split())
        .rstrip(".")
        .removeprefix("Error : ")
    )
    return AudioError(f"{path}: this is no WAV or FLAC file that can be read ({text}).")


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[Reader]:
    """Open a file for reading, in a ``with``.

    Raises
    ------
    AudioError
        Where it is no audio, holds no samples or is cut short.
    OSError
        Where it cannot be opened.
    """
    path = Path(path)
    module = soundfile(path)
    with path.open("rb") as raw:
        check_length(path, raw)
        try:
            # by its number: what the file is called says nothing of what it holds
            file = module.SoundFile(raw.fileno(), closefd=False)
        except module.LibsndfileError as error:
            raise damaged(path, error) from None
        with file:
            if file.frames == 0:
                raise AudioError(f"{path}: the file holds no samples.")
            yield Reader(path, file)


def check_length(path: Path, raw: BinaryIO) -> None:
    """Raise where a WAV file holds less than its header says, which libsndfile lets pass."""
    head = raw.read(12)
    size = os.fstat(raw.fileno()).st_size
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        place = 12
        while place + 8 <= size:
            raw.seek(place)
            name, length = struct.unpack("<4sI", raw.read(8))
            if name == b"data":
                if length not in UNKNOWN and place + 8 + length > size:
                    raise AudioError(
                        f"{path}: the file is cut short: {size - place - 8:,} of {length:,} bytes "
                        "of samples are there."
                    )
                break
            place += 8 + length + length % 2
    os.lseek(raw.fileno(), 0, os.SEEK_SET)


def read(path: str | os.PathLike[str]) -> tuple[Array, int]:
    """Read a WAV or FLAC file whole.

    Parameters
    ----------
    path : path

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
    with reading(path) as reader:
        samples = np.concatenate(list(reader.blocks()))
        return samples[:, 0] if reader.info.channels == 1 else samples, reader.info.rate


def write(path: str | os.PathLike[str], samples: Any, rate: int, *, depth: str = "24") -> Clipped:
    """Write a WAV or FLAC file, whole or not at all.

    Parameters
    ----------
    path : path
        Ending in .wav or .flac.
    samples : array_like
        (frames,) or (frames, channels) of floats; what is beyond -1 to 1 is clipped in integers.
    rate : int
        Frames per second.
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
    """
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or array.dtype.kind != "f" or array.size == 0:
        raise AudioError(f"{path}: {array.dtype} {array.shape} is no audio; give floats.")
    array = array.reshape(len(array), -1)
    blocks = (array[n : n + BLOCK] for n in range(0, len(array), BLOCK))
    return write_blocks(path, blocks, Info(rate, array.shape[1], len(array), DEPTHS.get(depth, "")))


def check_target(path: str | os.PathLike[str], depth: str) -> str:
    """Return the format that a path's ending names, or raise AudioError."""
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise AudioError(f"{path}: the ending {Path(path).suffix!r} is unknown; use .wav or .flac.")
    if depth not in DEPTHS:
        raise AudioError(f"{path}: depth={depth!r} is unknown; use {', '.join(DEPTHS)}.")
    if kind == "FLAC" and depth not in ("16", "24"):
        raise AudioError(f"{path}: FLAC holds 16 or 24 bits, not {depth}; write a .wav.")
    return kind


def write_blocks(path: str | os.PathLike[str], blocks: Iterable[Array], info: Info) -> Clipped:
    """Write what blocks, (n, channels), give; ``info`` says how, and about how many frames.

    See :func:`write`.
    """
    path = Path(path)
    depth = next((name for name, subtype in DEPTHS.items() if subtype == info.subtype), "")
    kind, module, found = check_target(path, depth), soundfile(path), Clipped()
    if path.is_dir():
        raise AudioError(f"{path}: this is a directory; name a file.")
    if path.exists() and not path.is_file():
        raise AudioError(f"{path}: this is no regular file.")
    if not path.parent.is_dir():
        raise AudioError(f"{path}: there is no directory {path.parent}; create it first.")
    size = info.frames * info.channels * (BITS.get(info.subtype, 64) // 8)
    if kind == "WAV" and size > LONGEST:
        kind = "RF64"

    def save(raw: BinaryIO) -> None:
        try:
            with module.SoundFile(
                raw, "w", info.rate, info.channels, info.subtype, format=kind
            ) as file:
                for block in blocks:
                    file.write(stored(block, info.subtype, found))
        except module.LibsndfileError as error:
            text = str(error.error_string).rstrip(".")
            raise AudioError(
                f"{path}: {kind} cannot hold {info.channels} channels at {info.rate} Hz ({text})."
            ) from None

    replace_whole(path, save)
    return found


def stored(block: Array, subtype: str, found: Clipped) -> Array:
    """Return samples as they are stored, and note what is clipped."""
    found.peak = max(found.peak, float(np.abs(block).max(initial=0)))
    if subtype not in BITS:
        return block.astype(np.float32 if subtype == "FLOAT" else np.float64)
    bits = BITS[subtype]
    whole = np.rint(block * 2.0 ** (bits - 1))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    found.samples += int(((whole < low) | (whole > high)).sum())
    # libsndfile takes the upper bits of an int32
    return np.clip(whole, low, high).astype(np.int32) << (32 - bits)
