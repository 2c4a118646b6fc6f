"""The geometry of layers: which samples of an axis the windows of a layer lie on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from faltung.geometry import Source


def transposed_length(
    count: int, taps: int, stride: int, dilation: int, before: int, after: int
) -> int:
    """Return the least length of an input whose layer has ``count`` outputs.

    >>> transposed_length(2, 3, 2, 1, 0, 0)
    5
    """
    return stride * (count - 1) + dilation * (taps - 1) + 1 - before - after


def cells(n: int, count: int) -> list[tuple[int, int]]:
    """Cut ``n`` samples into ``count`` cells of about one length, which may overlap by one.

    >>> cells(5, 3)
    [(0, 2), (1, 4), (3, 5)]
    """
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


@dataclass(frozen=True)
class Window:
    """The geometry along one axis of a layer, whose padding is given: convolution and pooling.

    Output ``i`` sums the taps ``t`` at the positions ``stride * i + dilation * t - before``.

    Attributes
    ----------
    n, taps : int
        Length of the input and of the kernel.
    stride, dilation : int
    before, after : int
        How far the input is continued at its two ends.
    ceil : bool
        Whether a last window that leaves the continued input counts, where it begins inside the
        input or before it.
    """

    n: int
    taps: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False

    @property
    def reach(self) -> int:
        """Distance between the first and the last tap, laid on the input."""
        return self.dilation * (self.taps - 1)

    @cached_property
    def count(self) -> int:
        """Number of outputs.

        >>> Window(5, 2, stride=2).count, Window(5, 2, stride=2, ceil=True).count
        (2, 3)
        """
        room = self.n + self.before + self.after - self.reach - 1
        if room < 0:
            return 0
        if not self.ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - ((count - 1) * self.stride >= self.n + self.before)

    @property
    def length(self) -> int:
        """How many samples of the continued input the outputs span."""
        return self.stride * (self.count - 1) + self.reach + 1

    def source(self, boundary: str) -> Source:
        """Return where those samples come from."""
        return Source(self.n, -self.before, self.length - self.before, boundary)

    @property
    def bare(self) -> Window:
        """The same on an input that was continued."""
        return Window(self.length, self.taps, self.stride, self.dilation)

    def place(self, tap: int) -> tuple[int, int]:
        """Return a tap's phase, and its place among the samples of that phase.

        Every ``stride``-th sample belongs to one phase; output ``i`` then wants the sample ``i``
        places further.

        >>> [Window(9, 3, stride=2).place(tap) for tap in range(3)]
        [(0, 0), (1, 0), (0, 1)]
        """
        return self.dilation * tap % self.stride, self.dilation * tap // self.stride

    @property
    def phase_length(self) -> int:
        """Number of samples of a phase, of which the last may stand for nothing."""
        return -(-self.length // self.stride)

    def within(self, phase: int) -> tuple[slice, slice]:
        """Return which samples of a phase are not continued, and where the input has them."""
        first = max(0, -((phase - self.before) // self.stride))
        last = (self.n - 1 + self.before - phase) // self.stride
        stop = max(first, min(self.phase_length, last + 1))
        start = self.stride * first + phase - self.before
        length = self.stride * (stop - first)
        return slice(first, stop), slice(start, start + length, self.stride)

    def covered(self, padding: bool) -> NDArray[np.intp]:
        """Return how many taps of each output lie on samples, or on padding that was asked for."""
        first = self.stride * np.arange(self.count)[:, None]
        at = first + self.dilation * np.arange(self.taps) - self.before
        low, high = (-self.before, self.n + self.after) if padding else (0, self.n)
        return np.asarray(((at >= low) & (at < high)).sum(axis=1))

    def windows_of(self) -> tuple[int, int, int]:
        """Return in how many windows a sample lies at most, and the outputs around to look at.

        Sample ``p`` lies in the windows ``(p + before) // stride`` and those before: so many
        outputs are missing in front, and behind.
        """
        parts = -(-self.taps // self.stride)
        return parts, parts - 1, max(0, (self.n - 1 + self.before) // self.stride + 1 - self.count)

    def phases(self, low: int, high: int) -> list[Phase]:
        """Say which outputs the samples ``low`` to ``high`` of the continued input went into.

        Those that are a stride apart went through the same taps.
        """
        found = []
        for first in range(low, min(high, low + self.stride)):
            taps = [t for t in range(self.taps) if (first - self.dilation * t) % self.stride == 0]
            outputs = [(first - self.dilation * t) // self.stride for t in taps]
            count = -(-(high - first) // self.stride)
            found.append(Phase(first - low, count, tuple(taps), tuple(outputs)))
        return found


@dataclass(frozen=True)
class Field:
    """How much of a network's input an output sees along an axis, and how far apart neighbours see.

    >>> Field().behind(Window(28, 5)).behind(Window(24, 2, stride=2))
    Field(length=6, step=2)
    """

    length: int = 1
    step: int = 1

    def behind(self, window: Window) -> Field:
        """Return the field of a layer behind this one."""
        return Field(self.length + window.reach * self.step, self.step * window.stride)

    @staticmethod
    def merged(fields: tuple[Field, ...]) -> Field:
        """Return the greatest of several branches' fields."""
        return Field(max(f.length for f in fields), max(f.step for f in fields))


@dataclass(frozen=True)
class Phase:
    """Every stride-th sample of an input: its first one, and where that one went.

    Attributes
    ----------
    first, count : int
    taps : tuple of int
        The taps that such samples are multiplied by.
    outputs : tuple of int
        Into which output the first sample goes by each tap: the ``u``-th goes ``u`` further. It may
        be one that does not exist.
    """

    first: int
    count: int
    taps: tuple[int, ...]
    outputs: tuple[int, ...]
