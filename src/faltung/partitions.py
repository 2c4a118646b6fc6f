"""Long kernels on signals that arrive block by block: partitioned convolution.

The kernel is cut into partitions, and the spectra of the newest blocks of the signal are kept: a
block's outputs are the sum of its partitions' products, transformed back once (uniformly
partitioned overlap-save). The partitions grow along the kernel, as what lies far back may be
summed in larger blocks without any delay (Gardner, 1995; Wefers, 2015, chapters 5 and 6).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from faltung import fourier
from faltung.dtypes import Array, DType
from faltung.machine import Machine

LEAST = 32  # samples of a partition
LARGEST = 1 << 15  # the same at the most: larger transforms leave the caches
GROWTH = (4, 8, 16, 32)  # ratios of the sizes of partitions that follow one another
CALLS = 12  # calls of NumPy for each block of partitions of one size
TOGETHER = 1 << 18  # samples of spectra of several blocks that are multiplied together
PASSES = 2.6  # transforms forth and back, and what goes with them, in transforms
PRODUCT = 0.5e-9  # seconds for the product of two complex64, and its sum


@dataclass(frozen=True)
class Stretch:
    """The taps ``first`` to ``stop``, in partitions of one size."""

    size: int
    first: int
    stop: int

    @property
    def partitions(self) -> int:
        """Number of partitions."""
        return -(-(self.stop - self.first) // self.size)


def stretches(taps: int, sizes: tuple[int, ...]) -> tuple[Stretch, ...]:
    """Cut a kernel: the partitions of each size begin where one of them has come in whole.

    >>> [(s.size, s.first, s.stop) for s in stretches(1000, (32, 256))]
    [(32, 0, 256), (256, 256, 1000)]
    """
    ends = [*sizes[1:], taps]
    firsts = [0, *sizes[1:]]
    return tuple(
        Stretch(size, first, min(stop, taps))
        for size, first, stop in zip(sizes, firsts, ends, strict=True)
        if first < taps
    )


def seconds(cut: tuple[Stretch, ...], item: int, machine: Machine) -> float:
    """Predict the seconds for a sample of one channel, where a number takes ``item`` bytes."""
    return sum(
        2 * (math.log2(2 * s.size) + 4) * PASSES * machine.transform * item / 4
        + s.partitions * PRODUCT * item / 4
        + CALLS * machine.numpy_call / 10 / s.size
        for s in cut
    )


@lru_cache(maxsize=256)
def best_cut(taps: int, block: int, item: int, machine: Machine) -> tuple[Stretch, ...]:
    """Return the cheapest cut whose first partitions are no longer than ``block``."""
    most = min(block, LARGEST, max(LEAST, 1 << (taps - 1).bit_length()))
    longest = most.bit_length() - 1
    firsts = [1 << n for n in range(min(longest, LEAST.bit_length() - 1), longest + 1)]
    cuts: dict[tuple[Stretch, ...], None] = {}
    for first in firsts:
        for levels in range(3):
            for ratios in itertools.product(GROWTH, repeat=levels):
                sizes = tuple(itertools.accumulate((first, *ratios), lambda a, b: a * b))
                if sizes[-1] <= LARGEST:
                    cuts[stretches(taps, sizes)] = None
    return min(cuts, key=lambda cut: seconds(cut, item, machine))


def held(cut: tuple[Stretch, ...], item: int) -> tuple[int, int]:
    """Return the bytes that the kernel's spectra take, and those of a channel's state."""
    spectra = sum(s.partitions * (s.size + 1) * 2 * item for s in cut)
    waiting = sum(4 * s.size * item for s in cut)
    return spectra, 2 * spectra + waiting + sum(TOGETHER * 2 * item for _ in cut)


def error_bound(cut: tuple[Stretch, ...], eps: float) -> float:
    """Return ``c`` in ``|error| <= c * norm(k) * norm(x)``, over the samples in the frames.

    These are the samples that taps reach, and up to two of the longest partitions before them.
    Each partition has the error of a product of transforms of its length; every sample lies in
    two frames, and the partitions are summed one after another.
    """
    longest = max(s.size for s in cut)
    sums = sum(s.partitions for s in cut) * eps
    return math.sqrt(2) * (fourier.error(2 * longest, eps) + sums)


class Recent:
    """The newest entries of a sequence, in one piece, without a copy of all at every turn."""

    def __init__(self, length: int, shape: tuple[int, ...], dtype: DType) -> None:
        self.length = length
        self._buffer = np.zeros((2 * length, *shape), dtype)
        self._stop = length

    def append(self, items: Array) -> Array:
        """Add entries and return them with the ``length`` before them."""
        n = len(items)
        if self._stop + n > len(self._buffer):
            before = self._buffer[self._stop - self.length : self._stop]
            if self.length + n > len(self._buffer):
                shape = (2 * self.length + n, *self._buffer.shape[1:])
                self._buffer = np.empty(shape, self._buffer.dtype)
            self._buffer[: self.length] = before.copy()
            self._stop = self.length
        self._buffer[self._stop : self._stop + n] = items
        self._stop += n
        return self._buffer[self._stop - n - self.length : self._stop]


class Spectra:
    """A stretch of a kernel as the spectra of its partitions."""

    def __init__(self, taps: Array, stretch: Stretch, dtype: DType) -> None:
        self.size, self.first, self.dtype = stretch.size, stretch.first, dtype
        self.complex = dtype.kind == "c"
        wide = np.complex128 if self.complex else np.float64
        laid = np.zeros(stretch.partitions * stretch.size, wide)
        laid[: stretch.stop - stretch.first] = taps[stretch.first : stretch.stop]
        frames = laid.reshape(stretch.partitions, stretch.size)
        spectra = fourier.transform(frames, (2 * self.size,), (1,), 1)
        narrow = np.finfo(dtype).dtype == np.float32
        kind = np.dtype(np.complex64 if narrow else np.complex128)
        # the newest block's partition last, as blocks come
        self.values = np.ascontiguousarray(spectra[::-1].astype(kind))


class Rolling:
    """One channel's way through a stretch: as many sums as samples, delayed by the stretch."""

    def __init__(self, spectra: Spectra) -> None:
        count, points = spectra.values.shape
        self.spectra = spectra
        self._frame = np.zeros(spectra.size, spectra.dtype)
        self._recent = Recent(count - 1, (points,), spectra.values.dtype)
        self._waiting = np.empty(0, spectra.dtype)
        self._sums = np.zeros(min(spectra.first, spectra.size), spectra.dtype)
        self._together = max(1, TOGETHER // points)

    def __call__(self, x: Array) -> Array:
        """Take samples and return as many sums."""
        size = self.spectra.size
        waiting = np.concatenate([self._waiting, x]) if len(self._waiting) else x
        whole = len(waiting) // size * size
        step = self._together * size
        sums = [self._blocks(waiting[i : min(whole, i + step)]) for i in range(0, whole, step)]
        ready = np.concatenate([self._sums, *sums])
        self._waiting = waiting[whole:].copy()
        self._sums = ready[len(x) :].copy()
        return ready[: len(x)]

    def _blocks(self, x: Array) -> Array:
        """Return the sums of whole blocks."""
        size, kernel = self.spectra.size, self.spectra.values
        samples = np.concatenate([self._frame, x])
        self._frame = x[-size:].copy()
        frames = np.lib.stride_tricks.sliding_window_view(samples, 2 * size)[::size]
        count = len(frames)
        blocks = self._recent.append(fourier.transform(frames, (2 * size,), (1,), 1))
        if count == 1:
            products = (blocks * kernel).sum(0, keepdims=True)
        else:
            products = blocks[:count] * kernel[0]
            more = np.empty_like(products)
            for n in range(1, len(kernel)):
                products += np.multiply(blocks[n : n + count], kernel[n], out=more)
        sums = fourier.inverse(products, (2 * size,), (1,), 1, not self.spectra.complex)
        return sums[:, size:].reshape(-1)


Plain = Callable[[Array], Array]
"""Sums that the definition gives of the samples that taps reach."""


@dataclass(frozen=True)
class Doubt:
    """When the noise of transforms would hide what the usual samples give.

    ``noise`` is what the greatest magnitude is times, ``share`` what the median one; ``least`` is
    the magnitude below which sums lose digits.
    """

    noise: float
    share: float
    least: float

    def __call__(self, top: Array, usual: Array) -> Array:
        """Say it of windows, by their greatest and their median magnitude."""
        drowned = (usual * self.share > 0) & (usual * self.share < self.noise * top)
        return drowned | ((top > 0) & (top < self.least))


class Line:
    """One channel through all the stretches of a kernel.

    What a sample that is not finite reaches, and what noise would hide, is summed plainly.
    """

    def __init__(self, spectra: tuple[Spectra, ...], reach: int, doubt: Doubt | None) -> None:
        self._rolling = [Rolling(each) for each in spectra]
        self.block = spectra[0].size
        self._dtype, self._doubt = spectra[0].dtype, doubt
        self._samples = Recent(reach, (), self._dtype)
        self._lost = Recent(-(-reach // self.block), (), np.dtype(bool))
        # the noise of a frame is that of all its samples, of which some lie beyond the taps
        longest = max(each.size for each in spectra)
        heard = -(-(reach + 2 * longest) // self.block)
        self._top = Recent(heard, (), np.dtype(float))
        self._usual = Recent(heard, (), np.dtype(float))

    @np.errstate(all="ignore")
    def __call__(self, x: Array, plain: Plain) -> Array:
        """Take whole blocks of samples and return as many sums."""
        block = self.block
        samples = self._samples.append(x)
        clean, sizes = x, np.abs(x).reshape(-1, block)
        lost = ~np.isfinite(sizes.max(1))
        if lost.any():
            clean = np.where(np.isfinite(x), x, 0)
            sizes = np.abs(clean).reshape(-1, block)
        recently = self._lost.append(lost)
        top = self._top.append(sizes.max(1))
        usual = self._usual.append(np.median(sizes[:, :: max(1, block // 64)], axis=1))
        sums = self._rolling[0](clean)
        for rolling in self._rolling[1:]:
            sums += rolling(clean)
        plainly = ~np.isfinite(sums.reshape(-1, block).sum(1))
        plainly |= windows(recently, len(sizes), self._lost.length).any(1)
        if self._doubt is not None:
            tops = windows(top, len(sizes), self._top.length).max(1)
            usual = np.median(windows(usual, len(sizes), self._usual.length), axis=1)
            plainly |= self._doubt(tops, usual)
        for n in np.flatnonzero(plainly):
            place = slice(n * block, (n + 1) * block)
            sums[place] = plain(samples[n * block : (n + 1) * block + self._samples.length])
        return sums


def windows(entries: Array, count: int, before: int) -> Array:
    """Return each of the newest entries, with so many before it, as a row."""
    newest = entries[len(entries) - count - before :]
    return np.lib.stride_tricks.sliding_window_view(newest, before + 1)
