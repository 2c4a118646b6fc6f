"""Bring a block of any rank to the three axes of the pipelines, by strides alone.

Axes that are not convolved over are merged into their neighbours; a short innermost one, such as
the colours of an image, is merged into the convolved axis before it, which then is dilated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from faltung.native import Form

MOST = 2**31 - 1  # the pipelines count in 32 bits; bytes, to be on the safe side of elements
INTERLEAVED = 64  # innermost batch axes shorter than this are merged into the convolved axis


@dataclass(frozen=True)
class Along:
    """One axis of a block: lengths, byte strides, and what the kernel does along it."""

    n_in: int
    n_out: int
    in_step: int
    out_step: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1

    @property
    def batch(self) -> bool:
        """Whether nothing is summed or skipped along the axis."""
        return self.taps == 1 and self.stride == 1


@dataclass(frozen=True)
class Layout:
    """A form, and the loops around it as (count, input step, output step) in bytes."""

    form: Form
    loops: tuple[tuple[int, int, int], ...]


def merge_batches(axes: list[Along]) -> list[Along]:
    """Join neighbouring batch axes that lie one behind the other in memory."""
    merged: list[Along] = []
    for axis in axes:
        if axis.n_in == axis.n_out == 1 and axis.batch:
            continue
        last = merged[-1] if merged else None
        joins = (
            last is not None
            and last.batch
            and axis.batch
            and last.in_step == axis.n_in * axis.in_step
            and last.out_step == axis.n_out * axis.out_step
        )
        if joins and last is not None:
            merged[-1] = replace(axis, n_in=last.n_in * axis.n_in, n_out=last.n_out * axis.n_out)
        else:
            merged.append(axis)
    return merged


def merge_interleaved(axes: list[Along]) -> list[Along]:
    """Join a short innermost batch axis into the convolved axis before it, as a dilation."""
    if len(axes) < 2:
        return axes
    outer, inner = axes[-2:]
    count = inner.n_in
    if not (
        inner.batch
        and count < INTERLEAVED
        and outer.stride == 1
        and outer.in_step == count * inner.in_step
        and outer.out_step == count * inner.out_step
    ):
        return axes
    joined = Along(
        outer.n_in * count,
        outer.n_out * count,
        inner.in_step,
        inner.out_step,
        outer.taps,
        1,
        outer.dilation * count,
    )
    return [*axes[:-2], joined]


def span(axes: list[Along]) -> int:
    """Return the greatest distance between two elements of the input or output, in bytes."""
    reach_in = sum((axis.n_in - 1) * abs(axis.in_step) for axis in axes)
    reach_out = sum((axis.n_out - 1) * abs(axis.out_step) for axis in axes)
    return max(reach_in, reach_out)


@lru_cache(maxsize=1024)
def layout(axes: tuple[Along, ...], in_size: int, out_size: int) -> Layout | None:
    """Return the pipeline's view of a block; None where its memory must be copied first.

    ``in_size`` and ``out_size`` are the item sizes. The block's innermost axis must be dense.
    """
    rest = merge_interleaved(merge_batches(list(axes)))
    if not rest:
        rest = [Along(1, 1, in_size, out_size)]
    if rest[-1].in_step != in_size or rest[-1].out_step != out_size:
        dense = rest[-1].n_in == rest[-1].n_out == 1
        if not dense:
            return None
        rest[-1] = replace(rest[-1], in_step=in_size, out_step=out_size)
    if span(rest) > MOST:
        return None
    short = rest[-1].batch and rest[-1].n_out < INTERLEAVED
    if short and not all(axis.batch for axis in rest):
        return None  # colours that could not be merged would leave the vectors empty
    loops = []
    while len(rest) > 3:
        outermost = next((i for i, axis in enumerate(rest[:-1]) if axis.taps == 1), None)
        if outermost is None:
            return None  # batch axes last; they go first in a copy
        axis = rest.pop(outermost)
        loops.append((axis.n_out, axis.in_step * axis.stride, axis.out_step))
    if len(rest) == 2:
        # rows without a kernel along them are rows of the register tile; planes come as planes
        rest.insert(0, Along(1, 1, 0, 0))
    elif len(rest) == 1:
        rest = [Along(1, 1, 0, 0), Along(1, 1, 0, 0), *rest]
    if any(axis.in_step % in_size or axis.out_step % out_size for axis in rest):
        return None
    inner_first = rest[::-1]

    def triple(values: list[int]) -> tuple[int, int, int]:
        return values[0], values[1], values[2]

    form = Form(
        triple([a.n_in for a in inner_first]),
        triple([a.in_step // in_size for a in inner_first]),
        triple([a.taps for a in inner_first]),
        triple([a.n_out for a in inner_first]),
        triple([a.out_step // out_size for a in inner_first]),
        triple([a.stride for a in inner_first]),
        triple([a.dilation for a in inner_first]),
    )
    return Layout(form, tuple(loops))
