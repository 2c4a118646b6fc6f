"""Layers of 3x3 taps with fewer multiplications (``pipelines/winograd.py``), in float32.

Cook and Toom's algorithm at the points 0, 1, -1, 2, -2 and infinity (Winograd, 1980; Lavin and
Gray, 2016) takes 36 multiplications for 16 outputs, not 144. Its sums cancel: see :data:`ERROR`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from faltung import native
from faltung.dtypes import Array
from faltung.layers.memory import fresh, innermost, outermost, run
from faltung.layers.problem import Conv

#: Errors stay below ``ERROR * eps`` times the greatest sum of ``|k| |x|`` over the channels and
#: taps of an output, as measured on noise: about eight times those of the plain sum.
ERROR = 32.0
CHANNELS = 6  # of a register tile
VECTORS = {64: 4, 32: 2}  # of a register tile, by the bytes of a register
SIDE = 4  # outputs of a tile along an axis
LEAST = 12  # channels and outputs from which on the transforms pay

# What a row of three weights becomes: its polynomial at the points, over what the others need
WEIGHTS = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
BOTH = np.einsum("by,ax->bayx", WEIGHTS, WEIGHTS).reshape(36, 9).astype(np.float32)


def supported(problem: Conv, x: Array) -> bool:
    """Whether a layer is one of those that this pays for."""
    if ("float32",) * 3 not in native.variants("winograd") or x.dtype != np.float32:
        return False
    return (
        len(problem.windows) == 2
        and all((w.taps, w.stride, w.dilation) == (3, 1, 1) for w in problem.windows)
        and all(name == "constant" for name in problem.boundary)
        and problem.groups == 1
        and all(w.before <= w.reach for w in problem.windows)
        and problem.images * blocks(min(w.n, w.count) for w in problem.windows) >= lanes()
        and min(problem.channels, problem.outputs) >= LEAST
    )


def lanes() -> int:
    """Return how many images go through a tile at once."""
    loaded = native.library()
    assert loaded is not None
    return VECTORS[loaded.vector] * loaded.vector // 4


def blocks(space: Iterable[int]) -> int:
    """Return into how many tiles an image may be cut."""
    return math.prod(-(-n // SIDE) for n in space)


@lru_cache(maxsize=1024)
def fold(images: int, space: tuple[int, int], many: int) -> tuple[int, int]:
    """Return the sides of the blocks, in outputs, that an image is cut into to make more of them.

    Where there are images enough, it is one block; else the blocks that waste least.
    """
    if images >= many:
        return space
    down, across = (-(-n // SIDE) for n in space)

    def cost(block: tuple[int, int]) -> float:
        rows, columns = block
        cut = images * -(-down // rows) * -(-across // columns)
        lots = -(-cut // many)
        if cut < many:
            return math.inf
        halo = (1 + 2 / (SIDE * rows)) * (1 + 2 / (SIDE * columns))
        return lots * many * rows * columns * (1 + 0.2 * halo)

    best = min(itertools.product(range(1, down + 1), range(1, across + 1)), key=cost)
    return SIDE * best[0], SIDE * best[1]


def correlated(
    x: Array,
    k: Array,
    before: tuple[int, int],
    space: tuple[int, int],
    bias: Array | None = None,
    relu: bool = False,
) -> Array | None:
    """Return a layer's output on ``space`` positions; None where it is not finite.

    Few images are cut into blocks, which are images of their own, each with the samples around it.
    """
    images = x.shape[0]
    sides = fold(images, space, lanes())
    if sides == space:
        return tiled(innermost(x), k, before, space, bias, relu)
    laid = innermost(x)
    counts = [-(-n // side) for n, side in zip(space, sides, strict=True)]
    shape = (laid.shape[0], *(c * s + 2 for c, s in zip(counts, sides, strict=True)), images)
    padded = np.zeros(shape, x.dtype)
    ends = [min(n, whole - b) for n, whole, b in zip(x.shape[2:], shape[1:3], before, strict=True)]
    inside = [slice(b, b + end) for b, end in zip(before, ends, strict=True)]
    padded[:, inside[0], inside[1]] = laid[:, : ends[0], : ends[1]]
    windows = sliding_window_view(padded, (sides[0] + 2, sides[1] + 2), (1, 2))
    apart = windows[:, :: sides[0], :: sides[1]]  # channels, blocks, images, samples of a block
    cut = np.ascontiguousarray(apart.transpose(0, 4, 5, 1, 2, 3))
    many = math.prod(counts) * images
    y = tiled(cut.reshape(*cut.shape[:3], many), k, (0, 0), sides, bias, relu)
    if y is None:
        return None
    parts = np.moveaxis(y, 0, -1).reshape(k.shape[0], *sides, *counts, images)
    whole = (k.shape[0], counts[0] * sides[0], counts[1] * sides[1], images)
    joined = np.ascontiguousarray(parts.transpose(0, 3, 1, 4, 2, 5)).reshape(whole)
    return outermost(np.ascontiguousarray(joined[:, : space[0], : space[1]]))


def transformed(k: Array) -> Array:
    """Return kernels (outputs, channels, 3, 3) as (36, tiles, channels, channels of a tile)."""
    outputs, channels = k.shape[:2]
    tiles = -(-outputs // CHANNELS)
    apart = np.zeros((9, tiles, channels, CHANNELS), np.float32)
    whole = outputs // CHANNELS
    taps = k.reshape(outputs, channels, 9)
    first = taps[: whole * CHANNELS].reshape(whole, CHANNELS, channels, 9)
    apart[:, :whole] = first.transpose(3, 0, 2, 1)
    rest = taps[whole * CHANNELS :].transpose(2, 1, 0)[:, None]
    apart[:, whole:, :, : rest.shape[3]] = rest
    return np.asarray((BOTH @ apart.reshape(9, -1)).reshape(36, tiles, channels, CHANNELS))


def tiled(
    x: Array,
    k: Array,
    before: tuple[int, int],
    space: tuple[int, int],
    bias: Array | None,
    relu: bool,
) -> Array | None:
    """Return the output of an input (channels, *space, images); None where it is not finite.

    What is not finite spreads over a whole tile: the plain sums have to tell where it belongs.
    """
    weights = transformed(k)
    tiles = weights.shape[1]
    offset = np.zeros(tiles * CHANNELS, np.float32)
    if bias is not None:
        offset[: bias.size] = bias
    out = fresh((tiles, CHANNELS, *space, x.shape[-1]), np.float32)
    numbers = (before[1], before[0], int(relu))
    inputs = [x, weights, offset.reshape(tiles, CHANNELS)]
    run("winograd", inputs, numbers, [out], 2 * out.size * k.shape[1])
    sums = out.reshape(-1, *space, x.shape[-1])[: k.shape[0]]
    return outermost(sums) if np.isfinite(np.vdot(sums, sums)) else None
