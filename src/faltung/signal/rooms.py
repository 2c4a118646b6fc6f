"""Room responses: audio convolved with the impulse response of a room."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from faltung import native, ops, streaming
from faltung.dtypes import Array, DType, plain_array

NORMALISE = (None, "energy", "peak")
TAILS = ("keep", "cut")
PIECE = 1 << 18  # frames that are convolved at a time
LATENCY = (1 << 15) - 1  # samples that may be waited for where nobody listens


def reverb(
    x: Any,
    room: Any,
    *,
    rate: float | None = None,
    room_rate: float | None = None,
    gain: float = 0.0,
    wet: float = 1.0,
    dry: float = 0.0,
    normalise: str | None = None,
    tail: str = "keep",
    workers: int | None = None,
) -> Array:
    """Convolve audio with a room's impulse response: it sounds as if it were played there.

    The result is ``10**(gain / 20) * (wet * (x * room) + dry * x)``, where ``*`` is the causal
    convolution: output ``n`` is the sum of ``room[j] x[n - j]``. Nothing else is rescaled, and
    nothing is clipped.

    Parameters
    ----------
    x : array_like
        Audio, (frames,) or (frames, channels), of floats. Arrays of integers are an error, as
        nothing tells what full scale is in them: divide int16 by 32768.
    room : array_like
        Impulse response, (frames,) or (frames, channels): one channel for every channel of ``x``;
        several for a mono ``x``, which becomes as many; as many as ``x``, channel by channel; or
        four for a stereo ``x`` ("true stereo"): left to left, left to right, right to left, right
        to right.
    rate, room_rate : float, optional
        Sampling rates in Hz. Where both are given they must be equal.
    gain : float
        In decibels, of the whole result.
    wet, dry : float
        Factors of the convolved and of the plain audio. Mono becomes as many channels as the room
        has, and so does its plain part.
    normalise : {None, "energy", "peak"}
        Scale the response: by nothing; to ``sum room**2 = 1`` in the channel where that is
        greatest, so that noise keeps its power; or to ``sum |room| = 1`` there, so that no sample
        can become greater than the greatest of ``x`` (twice that in true stereo).
    tail : {"keep", "cut"}
        All the ``n + k - 1`` frames until the room is silent, or as many as ``x`` has.
    workers : int, optional
        Number of threads. The result has the same bits for any.

    Returns
    -------
    ndarray
        (frames,) where ``x`` and ``room`` have one channel and no axis for it, else
        (frames, channels); float32 where ``x`` is float16 or float32, else float64.

    Raises
    ------
    ValueError, TypeError
        Where rates or channels do not go together, a sample is no number, or an argument is not
        allowed; the message says what is.

    References
    ----------
    Partitioned convolution: Gardner (1995); Wefers (2015). The response of a room as a filter:
    Kuttruff (2009), "Room Acoustics", chapter 1.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.signal import reverb
    >>> clap, echo = np.array([1.0, 0.5, 0.0]), np.array([1.0, 0.0, 0.25])
    >>> reverb(clap, echo).tolist()
    [1.0, 0.5, 0.25, 0.125, 0.0]
    >>> reverb(clap, np.stack([echo, echo[::-1]], 1), tail="cut").T.tolist()
    [[1.0, 0.5, 0.25], [0.25, 0.125, 1.0]]
    """
    x = audio_array(x, "x")
    flat = x.ndim == 1 and np.ndim(room) == 1
    x = x.reshape(len(x), -1)
    check_rates(rate, room_rate)
    if tail not in TAILS:
        raise ValueError(f"tail={tail!r} is unknown; use keep or cut.")
    response, plain = response_of(room, gain, wet, dry, normalise, x.dtype)
    result = np.empty(
        (
            len(x) + (len(response) - 1 if tail == "keep" else 0),
            heard(x.shape[1], response.shape[1]),
        ),
        x.dtype,
    )
    options: dict[str, Any] = {"mode": "full" if tail == "keep" else "same", "workers": workers}
    if response.shape[1] == 1:
        ops.convolve(x, response[:, 0], axes=0, anchor=0, out=result, **options)
    else:
        done: set[int] = set()
        for channel, output, column in ways(x.shape[1], response.shape[1]):
            way = x[:, channel], response[:, column]
            if output in done:  # of true stereo
                result[:, output] += ops.convolve(*way, anchor=0, **options)
            else:
                ops.convolve(*way, anchor=0, out=result[:, output], **options)
            done.add(output)
    for n in range(0, len(x) if plain else 0, PIECE):
        result[n : n + PIECE][: len(x) - n] += x.dtype.type(plain) * x[n : n + PIECE]
    return result[:, 0] if flat else result


class Reverb:
    """A room in which audio is heard block by block: ``feed`` blocks, and ``flush`` the tail.

    Parameters
    ----------
    room : array_like
        As in :func:`reverb`.
    channels : int
        Of the audio.
    dtype : dtype
        Of the blocks; float32 or float64.
    latency : int, optional
        The most frames that an output may be late; by default 511 under a long response, none
        under a short one.
    gain, wet, dry, normalise, workers
        As in :func:`reverb`.

    Attributes
    ----------
    outputs : int
        Number of channels of the result.
    length : int
        Frames of the response.
    latency : int
        How many frames an output is late at the most.
    broken : bool
        Whether an interrupt or an error cut off a feed, whose frames are lost; all but ``reset``
        is refused then.

    Raises
    ------
    ValueError, TypeError
        As of :func:`reverb`.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.signal import Reverb
    >>> hall = Reverb([1.0, 0.0, 0.25], channels=1, dtype="float64")
    >>> hall.feed(np.array([[1.0], [0.5]])).ravel().tolist(), hall.flush().ravel().tolist()
    ([1.0, 0.5], [0.25, 0.125])
    """

    def __init__(
        self,
        room: Any,
        channels: int,
        dtype: Any = "float64",
        *,
        latency: int | None = None,
        gain: float = 0.0,
        wet: float = 1.0,
        dry: float = 0.0,
        normalise: str | None = None,
        workers: int | None = None,
    ) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise TypeError(f"dtype={dtype!r} must be float32 or float64; convert the blocks.")
        if isinstance(channels, bool) or not isinstance(channels, (int, np.integer)):
            raise TypeError(f"channels={channels!r} must be a whole number of channels.")
        if channels < 1:
            raise ValueError(f"channels={channels} must be at least 1.")
        response, self._dry = response_of(room, gain, wet, dry, normalise, self.dtype)
        self.length = len(response)
        self.channels, self.outputs = int(channels), heard(channels, response.shape[1])
        self._ways = ways(channels, response.shape[1])
        self._workers = native.get_workers() if workers is None else native.check_workers(workers)
        self._streams = [
            streaming.stream(None, self.dtype, response[:, column], mode="full", latency=latency)
            for _, _, column in self._ways
        ]
        self.latency = max(stream.latency for stream in self._streams)
        self.reset()

    def reset(self) -> None:
        """Fall silent, and start again."""
        self.broken = True
        for stream in self._streams:
            stream.reset()
        # each way through the room may be late as it likes, and waits for the others here
        self._early = [np.empty(0, self.dtype) for _ in self._streams]
        self._plain = np.empty((0, self.channels), self.dtype)
        self.broken = False

    def feed(self, block: Any) -> Array:
        """Take the next frames, (n, channels), and return those that are ready.

        Raises
        ------
        ValueError
            Where the block is not of :attr:`channels` and ``dtype``, or the room is broken or was
            flushed; nothing is taken then.
        """
        block = np.asarray(block)
        if block.ndim != 2 or block.shape[1] != self.channels or block.dtype != self.dtype:
            raise ValueError(
                f"this room takes {self.dtype} (frames, {self.channels}); got {block.dtype} "
                f"{block.shape}."
            )
        self._check_open()
        self.broken = True  # whatever cuts this off, until the last line
        if self._dry:
            self._plain = np.concatenate([self._plain, block])
        with np.errstate(invalid="ignore"):
            result = self._mixed(
                self._all(lambda n: self._streams[n].feed(block[:, self._ways[n][0]]))
            )
        self.broken = False
        return result

    def flush(self) -> Array:
        """Return the frames that are left, until the room is silent."""
        self._check_open()
        self.broken = True
        if self._dry and self.length > 1:
            silence = np.zeros((self.length - 1, self.channels), self.dtype)
            self._plain = np.concatenate([self._plain, silence])
        result = self._mixed(self._all(lambda n: self._streams[n].flush()))
        self.broken = False
        return result

    def _check_open(self) -> None:
        """Raise where nothing can be fed any more."""
        if self.broken:
            raise ValueError(
                "this room is broken: an error or an interrupt cut off a feed, whose frames are "
                "lost; reset() starts again."
            )
        if self._streams[0].finished:
            raise ValueError("this room was flushed; reset() starts again.")

    def all_of(self, blocks: Any) -> Iterator[Array]:
        """Feed blocks and yield what comes out, to the end."""
        for block in blocks:
            yield self.feed(block)
        yield self.flush()

    def _all(self, call: Any) -> list[Array]:
        """Let all ways through the room work."""
        every = range(len(self._streams))
        if self._workers == 1 or len(self._streams) == 1:
            return [call(n) for n in every]
        with ThreadPoolExecutor(min(self._workers, len(self._streams))) as pool:
            return list(pool.map(call, every))

    def _mixed(self, parts: list[Array]) -> Array:
        """Sum what arrives at each output, with its plain part."""
        parts = [
            np.concatenate([early, part]) if len(early) else part
            for early, part in zip(self._early, parts, strict=True)
        ]
        frames = min(map(len, parts))
        self._early = [part[frames:].copy() for part in parts]
        result = np.zeros((frames, self.outputs), self.dtype)
        for (_, output, _), part in zip(self._ways, parts, strict=True):
            result[:, output] += part[:frames]
        if self._dry:
            result += self._dry * self._plain[:frames]
            self._plain = self._plain[frames:].copy()
        return result


def upto(blocks: Iterable[Array], frames: int) -> Iterator[Array]:
    """Yield blocks until there were so many frames."""
    for block in blocks:
        yield block[:frames]
        frames -= min(frames, len(block))


def audio_array(values: Any, name: str) -> Array:
    """Return audio as float32 or float64."""
    array = plain_array(values, name)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} has the shape {array.shape}; give (frames,) or (frames, channels)."
        )
    if array.size == 0:
        raise ValueError(f"{name} holds no samples; its shape is {array.shape}. Give some audio.")
    if isinstance(values, np.ndarray) and array.dtype.kind != "f":
        raise TypeError(
            f"{name} has dtype {array.dtype}; audio is of floats here: divide int16 by 32768, "
            "or read files with faltung.signal.audio.read."
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype}; audio is of floats.")
    wanted: DType = np.dtype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    array = array.astype(wanted if array.dtype.kind == "f" else np.float64, copy=False)
    bad = ~np.isfinite(array)
    if bad.any():
        where = int(np.argwhere(bad)[0][0])
        raise ValueError(
            f"{name} holds {array[bad].flat[0]} at frame {where}; give finite samples (numpy."
            "nan_to_num makes silence of what is missing)."
        )
    return array


def response_of(
    room: Any, gain: float, wet: float, dry: float, normalise: str | None, dtype: DType
) -> tuple[Array, float]:
    """Return the response with all that scales it, (frames, channels), and the plain factor."""
    response = audio_array(room, "room").astype(float)
    response = response.reshape(len(response), -1)
    for name, value in (("gain", gain), ("wet", wet), ("dry", dry)):
        if not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
            raise ValueError(f"{name}={value!r} must be a finite number.")
    with np.errstate(all="ignore"):
        whole = np.float64(10) ** (gain / 20)
        found = (scaled(response, normalise) * (wet * whole)).astype(dtype)
        plain = dtype.type(dry * whole)
    if not (np.isfinite(found).all() and np.isfinite(plain)):
        raise ValueError(
            f"a gain of {gain:g} dB with wet {wet:g} and dry {dry:g} makes the room louder than "
            f"{dtype} can hold; give less."
        )
    return found, float(plain)


def check_rates(rate: float | None, room_rate: float | None) -> None:
    """Raise where two sampling rates differ."""
    if rate is None or room_rate is None or rate == room_rate:
        return
    advice = "resample one of them first"
    if float(rate).is_integer() and float(room_rate).is_integer() and rate > 0 and room_rate > 0:
        shared = math.gcd(int(rate), int(room_rate))
        up, down = int(rate) // shared, int(room_rate) // shared
        advice += f", such as the room with scipy.signal.resample_poly(room, {up}, {down})"
    raise ValueError(
        f"the audio has {rate:g} samples a second and the room {room_rate:g}; {advice}."
    )


def heard(channels: int, columns: int) -> int:
    """Return the number of channels that come out of a room, or raise."""
    if columns == 1:
        return channels
    if channels == 1 or channels == columns:
        return columns
    if (channels, columns) == (2, 4):
        return 2
    raise ValueError(
        f"audio of {channels} channels and a room of {columns} do not go together; give a room of "
        f"1 or {channels} channels{', or of 4 for true stereo' if channels == 2 else ''}, or mono "
        "audio."
    )


def ways(channels: int, columns: int) -> list[tuple[int, int, int]]:
    """Return the ways through a room, as (channel, output, column of the response).

    >>> ways(2, 4)
    [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)]
    """
    if (channels, columns) == (2, 4):
        return [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)]
    count = heard(channels, columns)
    return [(n if channels > 1 else 0, n, n if columns > 1 else 0) for n in range(count)]


def scaled(response: Array, normalise: str | None) -> Array:
    """Return a response of the size that is asked for."""
    if normalise not in NORMALISE:
        raise ValueError(f"normalise={normalise!r} is unknown; use None, energy or peak.")
    if normalise is None:
        return response
    top = np.abs(response).max()
    if not top > 0:
        raise ValueError("the room's response is all zeros, which nothing normalises.")
    response = response / top  # whose squares are within range, however small or large it was
    size = np.abs(response)
    total = np.sqrt((size**2).sum(0)) if normalise == "energy" else size.sum(0)
    found: Array = response / total.max()
    return found
