"""Shapes, offsets and pads: the only place that computes any of them.

One :class:`Axis` holds the whole geometry of a convolution along one axis. Both operations are
brought to one form here: the tap that reaches furthest back stands at ``start`` for output 0, and
tap ``t``, counted from there, at ``start + stride * i + dilation * t`` for output ``i``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from faltung.boundary import index_map

Operation = Literal["convolve", "correlate"]
MODES = ("full", "same", "valid")
OPERATIONS = ("convolve", "correlate")


def default_anchor(taps: int) -> int:
    """Return the anchor where none is given: the middle tap, the left one of two.

    >>> default_anchor(3), default_anchor(4)
    (1, 1)
    """
    return (taps - 1) // 2


@dataclass(frozen=True)
class Axis:
    """The geometry along one axis.

    Attributes
    ----------
    n, taps : int
        Length of the input and of the kernel.
    mode, operation : str
    anchor : int
        The tap that lies on the output's position.
    stride, dilation : int
    """

    n: int
    taps: int
    mode: str = "same"
    operation: str = "convolve"
    anchor: int = 0
    stride: int = 1
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Distance between the kernel's first and last tap, laid on the input."""
        return self.dilation * (self.taps - 1)

    @cached_property
    def behind(self) -> int:
        """How far the furthest tap lies behind the output's position."""
        flipped = self.operation == "convolve"
        return self.dilation * (self.taps - 1 - self.anchor if flipped else self.anchor)

    @cached_property
    def offset(self) -> int:
        """The ``o`` of the index equation: the input position that output 0 stands on."""
        if self.mode == "same":
            return 0
        if self.mode == "valid":
            return self.behind
        return self.behind - self.reach

    @cached_property
    def count(self) -> int:
        """Number of outputs."""
        if self.n == 0 and self.mode != "valid":
            return 0
        extent = {"same": self.n, "valid": self.n - self.reach, "full": self.n + self.reach}
        return max(0, math.ceil(extent[self.mode] / self.stride))

    @property
    def start(self) -> int:
        """Position of the furthest tap behind, for output 0."""
        return self.offset - self.behind

    @property
    def fits(self) -> bool:
        """Whether the kernel, laid out, is no longer than the input."""
        return self.reach < self.n

    @cached_property
    def inside(self) -> tuple[int, int]:
        """The range of outputs whose taps all lie inside the input, as (first, stop)."""
        first = max(0, math.ceil(-self.start / self.stride))
        stop = (self.n - 1 - self.reach - self.start) // self.stride + 1
        stop = min(self.count, stop)
        return (first, stop) if first < stop else (0, 0)

    def span(self, first: int, stop: int) -> tuple[int, int]:
        """Input positions, as (first, stop), that the outputs ``first`` to ``stop`` need."""
        low = self.start + self.stride * first
        return low, self.start + self.stride * (stop - 1) + self.reach + 1

    def formula(self, index: str = "i", tap: str = "j", axis: str = "") -> str:
        """Return the argument of x in the index equation with the numbers put in.

        >>> Axis(10, 3, anchor=1).formula()
        'i + 1 - j'
        """
        text = index if self.stride == 1 else f"{self.stride}*{index}"
        d = "" if self.dilation == 1 else f"{self.dilation}*"
        shift = self.offset + self.dilation * (
            self.anchor if self.operation == "convolve" else -self.anchor
        )
        if shift:
            text += f" {'+' if shift > 0 else '-'} {abs(shift)}"
        return f"{text} {'-' if self.operation == 'convolve' else '+'} {d}{tap}"

    def count_formula(self) -> str:
        """Return how the number of outputs comes about, with the numbers put in.

        >>> Axis(10, 3, mode="valid").count_formula()
        '10 - 3 + 1 = 8'
        """
        d = "" if self.dilation == 1 else f"{self.dilation}*"
        length = f"{self.taps}" if not d else f"{d}({self.taps} - 1) + 1"
        text = {
            "same": f"{self.n}",
            "valid": f"{self.n} - {length if not d else f'({length})'} + 1",
            "full": f"{self.n} + {length} - 1",
        }[self.mode]
        if self.stride != 1:
            return f"ceil(({text}) / {self.stride}) = {self.count}"
        return text if text == f"{self.count}" else f"{text} = {self.count}"


@dataclass(frozen=True)
class Source:
    """Where one axis of a block comes from: a slice with fill before and after, or an index map."""

    first: int
    stop: int
    before: int = 0
    after: int = 0
    indices: tuple[int, ...] | None = None

    @property
    def plain(self) -> bool:
        """Whether a view of the input is all that is needed."""
        return self.indices is None and not self.before and not self.after

    @property
    def length(self) -> int:
        """Number of samples."""
        if self.indices is not None:
            return len(self.indices)
        return self.before + self.stop - self.first + self.after

    @cached_property
    def index_array(self) -> NDArray[np.intp]:
        """The index map as an array."""
        return np.array(self.indices, dtype=np.intp)


def source(axis: Axis, boundary: str, first: int, stop: int) -> Source:
    """Return the source of the input that the outputs ``first`` to ``stop`` need."""
    low, high = axis.span(first, stop)
    if low >= 0 and high <= axis.n:
        return Source(low, high)
    if boundary == "constant":
        begin, end = min(max(low, 0), axis.n), max(min(high, axis.n), 0)
        begin = min(begin, end)
        before = max(0, min(-low, high - low))
        return Source(begin, end, before, high - low - before - (end - begin))
    return Source(0, 0, indices=tuple(index_map(np.arange(low, high), axis.n, boundary).tolist()))


@dataclass(frozen=True)
class Block:
    """A box of outputs and where its inputs come from, one entry per convolved axis."""

    outputs: tuple[tuple[int, int], ...]
    sources: tuple[Source, ...]

    @property
    def plain(self) -> bool:
        """Whether the block needs no boundary."""
        return all(s.plain for s in self.sources)


def blocks(
    axes: Sequence[Axis],
    boundaries: Sequence[str],
    *,
    whole: bool = False,
    margins: Sequence[int] | None = None,
    limit: Sequence[int] | None = None,
) -> Iterator[Block]:
    """Cut the outputs into an interior that needs no boundary and the strips around it.

    Parameters
    ----------
    axes, boundaries : one per convolved axis
    whole : bool
        Do not cut: one block with the boundary laid around the whole input.
    margins : ints, optional
        The least thickness of a strip along each axis: strips too thin are slow.
    limit : ints, optional
        The greatest number of outputs of a block along each axis.

    Yields
    ------
    Block
        Every output stands in exactly one block.
    """
    margins = margins or [1] * len(axes)
    limit = limit or [axis.count for axis in axes]

    def boxes(level: int) -> Iterator[tuple[tuple[int, int], ...]]:
        if level == len(axes):
            yield ()
            return
        axis = axes[level]
        for first, stop, interior in segments(axis, margins[level], whole):
            inner = boxes(level + 1) if interior else outer(level + 1)
            rests = list(inner)
            for cut in range(first, stop, limit[level]):
                for rest in rests:
                    yield ((cut, min(stop, cut + limit[level])), *rest)

    def outer(level: int) -> Iterator[tuple[tuple[int, int], ...]]:
        if level == len(axes):
            yield ()
            return
        for cut in range(0, axes[level].count, limit[level]):
            for rest in outer(level + 1):
                yield ((cut, min(axes[level].count, cut + limit[level])), *rest)

    for box in boxes(0):
        sources = (source(a, b, *ends) for a, b, ends in zip(axes, boundaries, box, strict=True))
        yield Block(box, tuple(sources))


def segments(axis: Axis, margin: int, whole: bool) -> list[tuple[int, int, bool]]:
    """Cut one axis into a strip, the interior and a strip, as (first, stop, interior)."""
    low, high = axis.inside
    if whole or low == high:
        return [(0, axis.count, False)] if axis.count else []
    if low > 0:
        low = max(low, margin)
    if high < axis.count:
        high = min(high, axis.count - margin)
    if low >= high:
        return [(0, axis.count, False)]
    cuts = [(0, low, False), (low, high, True), (high, axis.count, False)]
    return [cut for cut in cuts if cut[0] < cut[1]]
