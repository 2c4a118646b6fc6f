"""Shapes, offsets and pads: the only place that computes any of them.

One :class:`Axis` holds the whole geometry of a convolution along one axis. Both operations are
brought to one form here: the tap that reaches furthest back stands at ``start`` for output 0, and
tap ``t``, counted from there, at ``start + stride * i + dilation * t`` for output ``i``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

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


def input_length(count: int, taps: int, mode: str) -> int:
    """Return the length of the input that gives ``count`` outputs, at stride and dilation 1.

    It is less than 1 where there is none.

    >>> input_length(10, 3, "full"), input_length(10, 3, "same"), input_length(10, 3, "valid")
    (8, 10, 12)
    """
    return count + {"full": 1 - taps, "same": 0, "valid": taps - 1}[mode]


class Phase(NamedTuple):
    """Taps that stand at the same places between the strides; see :meth:`Axis.phases`.

    Attributes
    ----------
    taps : slice
        Of the taps, the one that reaches furthest back first.
    places : slice
        Where their sums lie, counted from ``start``.
    dilation : int
        Steps between them, counted in strides.
    """

    taps: slice
    places: slice
    dilation: int


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
        return max(0, -(-extent[self.mode] // self.stride))

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
        first = max(0, -(self.start // self.stride))
        stop = (self.n - 1 - self.reach - self.start) // self.stride + 1
        stop = min(self.count, stop)
        return (first, stop) if first < stop else (0, 0)

    def outputs_of(self, length: int) -> int:
        """Return the number of outputs whose taps all lie within ``length`` samples in a row."""
        return max(0, (length - self.reach - 1) // self.stride + 1)

    def span(self, first: int, stop: int) -> tuple[int, int]:
        """Input positions, as (first, stop), that the outputs ``first`` to ``stop`` need."""
        low = self.start + self.stride * first
        return low, self.start + self.stride * (stop - 1) + self.reach + 1

    @property
    def tap_anchor(self) -> int:
        """The anchor, counted from the tap that reaches furthest back."""
        return self.behind // self.dilation

    def phases(self) -> Iterator[Phase]:
        """Yield the taps by the places that they share between the strides.

        The tap ``t`` of output ``i`` stands at ``start + stride * i + dilation * t``. Taps whose
        ``dilation * t`` differ by multiples of the stride stand at the same places, so that what
        every output gives back to its samples is one convolution without a stride for each phase.
        """
        common = math.gcd(self.stride, self.dilation)
        step, dilation = self.stride // common, self.dilation // common
        for first in range(min(step, self.taps)):
            length = self.count + dilation * ((self.taps - 1 - first) // step)
            low = self.dilation * first
            high = low + self.stride * (length - 1) + 1
            yield Phase(slice(first, None, step), slice(low, high, self.stride), dilation)

    def laid(self, tap: int) -> slice:
        """Return where a tap stands for every output, counted from ``start``."""
        low = self.dilation * tap
        return slice(low, low + self.stride * (self.count - 1) + 1, self.stride)

    def indices(self, boundary: str) -> NDArray[np.intp]:
        """Return the sample under each tap, (outputs, taps), the furthest back first."""
        outputs, taps = np.arange(self.count)[:, None], np.arange(self.taps)
        positions = self.start + self.stride * outputs + self.dilation * taps
        return index_map(positions, self.n, boundary)

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
            whole = f"({text})" if " " in text else text
            return f"ceil({whole} / {self.stride}) = {self.count}"
        return text if text == f"{self.count}" else f"{text} = {self.count}"


@dataclass(frozen=True)
class Running:
    """The geometry along an axis whose samples arrive one after another, its length unknown.

    Attributes
    ----------
    axis : Axis
        Its ``n`` says nothing here: nothing that is asked of it depends on it.
    boundary : str
        Any but "wrap", which goes on with samples that have not come yet.
    """

    axis: Axis
    boundary: str

    @property
    def before(self) -> int:
        """Number of positions before the first sample that taps reach."""
        return -self.axis.start

    @cached_property
    def needed(self) -> int:
        """Number of samples that the continuation before the first one is made of."""
        if not self.before or self.boundary == "constant":
            return 0
        return {"edge": 1, "symmetric": self.before, "reflect": self.before + 1}[self.boundary]

    @cached_property
    def after(self) -> int:
        """Number of positions beyond the last sample that taps reach, at the most."""
        axis = self.axis
        return {"full": axis.reach, "same": axis.start + axis.reach, "valid": 0}[axis.mode]

    @cached_property
    def kept(self) -> int:
        """Number of samples that the continuation beyond the last one may be made of."""
        if not self.after or self.boundary == "constant":
            return 0
        return {"edge": 1, "symmetric": self.after, "reflect": self.after + 1}[self.boundary]

    @property
    def latency(self) -> int:
        """How many samples after ``stride * i`` must have come for output ``i``, at the most."""
        return max(self.axis.start + self.axis.reach, self.needed - 1)

    def around(self, n: int, low: int, high: int) -> NDArray[np.intp]:
        """Return the index map of the positions ``low`` to ``high`` once ``n`` samples came."""
        return index_map(np.arange(low, high), n, self.boundary)

    def ended(self, n: int) -> tuple[int, int]:
        """Return the number of outputs of ``n`` samples, and the position where their taps end."""
        whole = replace(self.axis, n=n)
        return whole.count, whole.span(0, whole.count)[1] if whole.count else 0


def stretched(axis: Axis, boundary: str, low: int, count: int) -> NDArray[np.intp]:
    """Return the index map of ``count`` positions from ``low`` on.

    Positions that no output's taps reach repeat the nearest one that some do: who asks for more
    than the kernel covers sees no sample that the result does not depend on.
    """
    first, stop = axis.span(0, axis.count)
    return index_map(np.clip(np.arange(low, low + count), first, stop - 1), axis.n, boundary)


def untouched(axis: Axis, low: int, count: int) -> bool:
    """Whether :func:`stretched` is the positions themselves."""
    first, stop = axis.span(0, axis.count)
    return max(first, 0) <= low and low + count <= min(stop, axis.n)


@dataclass(frozen=True)
class Source:
    """Where one axis of a block comes from: the positions ``low`` to ``high`` of an input.

    With the constant boundary they are a slice, ``first`` to ``stop``, with fill before and after;
    with any other that leaves the input they are an index map.
    """

    n: int
    low: int
    high: int
    boundary: str

    @property
    def plain(self) -> bool:
        """Whether a view of the input is all that is needed."""
        return self.low >= 0 and self.high <= self.n

    @property
    def mapped(self) -> bool:
        """Whether an index map is needed."""
        return not self.plain and self.boundary != "constant"

    @property
    def length(self) -> int:
        """Number of samples."""
        return self.high - self.low

    @property
    def first(self) -> int:
        """Where the slice begins."""
        return min(max(self.low, 0), self.n)

    @property
    def stop(self) -> int:
        """Where the slice ends."""
        return max(min(self.high, self.n), self.first)

    @property
    def before(self) -> int:
        """Number of fill values before the slice."""
        return min(max(-self.low, 0), self.length)

    @property
    def after(self) -> int:
        """Number of fill values after the slice."""
        return self.length - self.before - (self.stop - self.first)

    def reaches(self) -> tuple[int, int]:
        """Return the range of samples that the index map names."""
        if self.length >= self.n:
            return 0, self.n
        indices = self.indices()
        return int(indices.min()), int(indices.max()) + 1

    def indices(self) -> NDArray[np.intp]:
        """Return the index map."""
        return index_map(np.arange(self.low, self.high), self.n, self.boundary)


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
    strip_limit: Sequence[int] | None = None,
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
    strip_limit : ints, optional
        The same for the strips, which are copied.

    Yields
    ------
    Block
        Every output stands in exactly one block.
    """
    margins = margins or [1] * len(axes)
    limit = limit or [axis.count for axis in axes]
    strip_limit = strip_limit or limit
    inside: list[list[tuple[int, int]]] = []
    # From the outermost axis on: the strips before and after its interior span the whole of the
    # axes that follow, and only the interior of those that went before.
    for level, axis in enumerate(axes):
        rest = [cuts(0, a.count, most) for a, most in zip(axes, strip_limit, strict=True)]
        between = None
        for first, stop, interior in segments(axis, margins[level], whole):
            if interior:
                between = first, stop
            else:
                strips = cuts(first, stop, strip_limit[level])
                yield from boxes([*inside, strips, *rest[level + 1 :]], axes, boundaries)
        if between is None:
            return
        inside.append(cuts(*between, limit[level]))
    yield from boxes(inside, axes, boundaries)


def tiles(axes: Sequence[Axis], boundaries: Sequence[str], limit: Sequence[int]) -> Iterator[Block]:
    """Cut the outputs evenly into blocks of at most ``limit``, with or without a boundary."""
    ranges = []
    for axis, most in zip(axes, limit, strict=True):
        pieces = -(-axis.count // most)
        ranges.append(cuts(0, axis.count, -(-axis.count // max(1, pieces))))
    yield from boxes(ranges, axes, boundaries)


def bands(axis: Axis, step: int) -> list[tuple[int, int]]:
    """Cut the outputs of an axis for windows of ``step`` outputs: two ends, and whole ones between.

    Those between need no boundary and are an even number, as they go in pairs; no end is shorter
    than a window where there are so many.
    """
    low, high = axis.inside
    first = -(-low // step) * step
    last = axis.count
    if high < axis.count:
        windows = max(0, high - first) // step
        last = first + (windows - windows % 2 if windows > 1 else windows) * step
        if axis.count - last < step:
            last -= step
    if high <= low or last <= first:
        return [(0, axis.count)]
    return [cut for cut in ((0, first), (first, last), (last, axis.count)) if cut[0] < cut[1]]


def cuts(first: int, stop: int, most: int) -> list[tuple[int, int]]:
    """Cut a range into pieces of at most ``most``."""
    return [(cut, min(stop, cut + most)) for cut in range(first, stop, most)]


def boxes(
    ranges: Sequence[list[tuple[int, int]]], axes: Sequence[Axis], boundaries: Sequence[str]
) -> Iterator[Block]:
    """Yield a block for every combination of ranges of outputs."""
    for box in itertools.product(*ranges):
        sources = tuple(
            Source(axis.n, *axis.span(*ends), boundary)
            for axis, boundary, ends in zip(axes, boundaries, box, strict=True)
        )
        yield Block(box, sources)


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
