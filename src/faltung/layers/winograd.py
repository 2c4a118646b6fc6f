"""Layers of 3x3 taps with fewer multiplications (``pipelines/winograd.py``), in float32.

Cook and Toom's algorithm at the points 0, 1, -1, 2, -2 and infinity (Winograd, 1980; Lavin and
Gray, 2016) takes 36 multiplications for 16 outputs, not 144, and so do the gradients of input and
weights. Its sums cancel: see :data:`ERROR`, and :func:`plain_sums`.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.blocks import cut, joined
from faltung.layers.finite import looks
from faltung.layers.memory import fresh, innermost, outermost, run, straight
from faltung.layers.problem import Conv
from faltung.layers.recording import do

#: Errors stay below ``ERROR * eps`` times the greatest sum of ``|k| |x|`` over the channels and
#: taps of an output, as measured on noise: about eight times those of the plain sum. Of the
#: gradient of the weights, the sum is that of ``|dy| |x|`` over the images and positions of a tap.
ERROR = 32.0
CHANNELS = 6  # of a register tile
VECTORS = {64: 4, 32: 2}  # of a register tile, by the bytes of a register
PANELS = {64: (4, 6), 32: (2, 6)}  # channels and outputs of a gradient's tile, likewise
SIDE = 4  # outputs of a tile along an axis
SAMPLES = 1 << 14  # of all channels, of a point, that one partial sum takes, or about so
MOST = 2**31 - 1  # bytes of a buffer that the pipelines count
TAME = 1e60  # norm of an input, times that of its weights, below which all sums are finite
LEAST = 12  # channels and outputs from which on the transforms pay
MANY = 24  # and those of a gradient, or where images are cut into blocks
IMAGES = 4  # from which on cutting them pays

Sides = tuple[int, int]


class _Plain(threading.local):
    depth = 0


_plain = _Plain()


@contextmanager
def plain_sums() -> Iterator[None]:
    """Compute layers by plain sums, inside and in this thread: slower, with less error.

    Outputs are then within ``(t + 2) eps`` of the absolute sum of their ``t`` terms; without, 3x3
    layers in float32 are within ``faltung.layers.winograd.ERROR * eps`` of the greatest such sum.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> x, k = np.ones((64, 16, 8, 8), np.float32), np.ones((16, 16, 3, 3), np.float32) / 3
    >>> with layers.plain_sums():
    ...     y = layers.conv(x, k)
    >>> bool(abs(y / 48 - 1).max() < 146 * 2.0**-24)
    True
    """
    _plain.depth += 1
    try:
        yield
    finally:
        _plain.depth -= 1


def supported(problem: Conv, dtype: np.dtype[Any], gradient: bool = False) -> bool:
    """Whether a layer, or the gradient of its weights, is one of those that this pays for."""
    if _plain.depth or dtype != np.float32 or not native.variants("winograd"):
        return False
    few = problem.images < lanes()
    return (
        len(problem.windows) == 2
        and all((w.taps, w.stride, w.dilation) == (3, 1, 1) for w in problem.windows)
        and all(name == "constant" for name in problem.boundary)
        and problem.groups == 1
        and all(w.before <= w.reach for w in problem.windows)
        and problem.images * math.prod(tiles(min(w.n, w.count)) for w in problem.windows) >= lanes()
        and min(problem.channels, problem.outputs) >= (MANY if few or gradient else LEAST)
        and problem.images >= IMAGES
    )


def vector() -> int:
    """Return how many samples a register holds."""
    loaded = native.library()
    assert loaded is not None
    return loaded.vector // 4


def lanes() -> int:
    """Return how many images go through a tile at once."""
    return VECTORS[4 * vector()] * vector()


def tiles(n: int) -> int:
    """Return how many tiles take ``n`` outputs along an axis."""
    return -(-n // SIDE)


# ---- images in blocks --------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def fold(images: int, space: Sides, many: int, whole: bool) -> tuple[Sides, int]:
    """Return the sides of the blocks, in outputs, that an image is cut into, and how many.

    ``many`` images are computed at once: where there are as many, or with ``whole`` a multiple of
    it, the image is one block; else the blocks are those that waste least. With ``whole`` there may
    be blocks outside of the image, which make the number of all a multiple.
    """
    if images % many == 0 or (images >= many and not whole):
        return space, 1
    unit = many // math.gcd(many, images) if whole else 1
    down, across = map(tiles, space)

    def count(block: tuple[int, int]) -> int:
        cut = -(-down // block[0]) * -(-across // block[1])
        return -(-cut // unit) * unit

    def cost(block: tuple[int, int]) -> float:
        rows, columns = block
        cut = images * count(block)
        if cut < many:
            return math.inf
        halo = (1 + 2 / (SIDE * rows)) * (1 + 2 / (SIDE * columns))
        return -(-cut // many) * many * rows * columns * (1 + 0.2 * halo)

    # of blocks that make as many, the smallest
    heights, widths = ({-(-n // parts) for parts in range(1, n + 1)} for n in (down, across))
    best = min(itertools.product(sorted(heights), sorted(widths)), key=cost)
    return (SIDE * best[0], SIDE * best[1]), count(best)


# ---- the layer ---------------------------------------------------------------------------------


def correlated(
    x: Array,
    k: Array,
    before: tuple[int, int],
    space: tuple[int, int],
    bias: Array | None = None,
    relu: bool = False,
    turned: bool = False,
) -> Array | None:
    """Return a layer's output on ``space`` positions; None where it is not finite.

    With ``turned`` kernels it is the way back, from outputs to inputs.
    Few images are cut into blocks, which are images of their own, each with the samples around it.
    """
    images, outputs = x.shape[0], k.shape[1 if turned else 0]
    sides, count = fold(images, space, lanes(), False)
    if sides != space and 4 * x.shape[1] * math.prod(s + 2 for s in sides) * count * images > MOST:
        return None
    laid, weights = innermost(x), transformed(k, turned)
    if sides == space:
        y = tiled(laid, weights, outputs, before, space, bias, relu)
        return None if y is None else outermost(y)
    across = -(-space[1] // sides[1])
    blocks = cut(laid, before, sides, across, count, 2)
    y = tiled(blocks, weights, outputs, (0, 0), sides, bias, relu)
    if y is None:
        return None
    return outermost(joined(y.reshape(*y.shape[:3], count, images), sides, across, space))


def transformed(k: Array, turned: bool) -> Array:
    """Return kernels (outputs, channels, 3, 3) as (36, tiles, channels, channels of a tile).

    Those of the way back are ``turned``: outputs are channels, and the last tap is the first.
    """
    taps = straight(k).reshape(*k.shape[:2], 9)
    if turned:
        taps = taps[:, :, ::-1].transpose(1, 0, 2)
    outputs, channels = taps.shape[:2]
    tiles = -(-outputs // CHANNELS)
    apart = np.zeros((9, tiles, channels, CHANNELS), np.float32)
    whole = outputs // CHANNELS
    first = taps[: whole * CHANNELS].reshape(whole, CHANNELS, channels, 9)
    do(np.copyto, apart[:, :whole], first.transpose(3, 0, 2, 1))
    if whole < tiles:
        rest = taps[whole * CHANNELS :].transpose(2, 1, 0)[:, None]
        do(np.copyto, apart[:, whole:, :, : rest.shape[3]], rest)
    return plane(apart.reshape(3, 3, -1), "weights").reshape(36, tiles, channels, CHANNELS)


def plane(x: Array, part: str) -> Array:
    """Return weights (3, 3, ...) at the points (6, 6, ...), with ``"weights"``, or back, "taps"."""
    side = 6 if part == "weights" else 3
    out = np.empty((side, side, x.shape[2]), np.float32)
    run("winograd", [x], (), [out], 2 * x.size + 2 * out.size, part)
    return out


def tiled(
    x: Array,
    weights: Array,
    outputs: int,
    before: tuple[int, int],
    space: tuple[int, int],
    bias: Array | None,
    relu: bool,
) -> Array | None:
    """Return the output of images (channels, *space, images); None where it is not finite.

    What is not finite spreads over a whole tile: the plain sums have to tell where it belongs.
    """
    tiles = weights.shape[1]
    inputs_first = x.size + weights.size < math.prod(space) * x.shape[-1] * outputs
    if inputs_first and looks() and not norm(x) * norm(weights) < TAME:
        return None
    offset = np.zeros(tiles * CHANNELS, np.float32)
    if bias is not None:
        do(np.copyto, offset[: bias.size], bias)
    out = fresh((tiles, CHANNELS, *space, x.shape[-1]), np.float32)
    numbers = (before[1], before[0], int(relu))
    inputs = [x, weights, offset.reshape(tiles, CHANNELS)]
    run("winograd", inputs, numbers, [out], 2 * out.size * len(x), "layer")
    sums = out.reshape(-1, *space, x.shape[-1])[:outputs]
    return None if not inputs_first and looks() and not math.isfinite(norm(sums)) else sums


def norm(x: Array) -> float:
    """Return the sum of an array's squares; what is not finite, or nearly, makes it so."""
    return float(np.vdot(x, x))


# ---- the gradient of the weights ---------------------------------------------------------------


def weight_gradient(problem: Conv, x: Array, dy: Array) -> Array | None:
    """Return the gradient of a layer's kernels; None where it is not finite."""
    wide, space = vector(), problem.y_shape[2:]
    before = problem.windows[0].before, problem.windows[1].before
    sides, count = fold(problem.images, (space[0], space[1]), wide, True)
    block = 4 * problem.channels * math.prod(s + 2 for s in sides)
    if sides != space and block * count * problem.images > MOST:
        return None
    source, slopes = innermost(x), innermost(dy)
    if sides != space:
        across = -(-space[1] // sides[1])
        source = cut(source, before, sides, across, count, 2)
        slopes = cut(slopes, (0, 0), sides, across, count, 0)
        before = 0, 0
    images, down, across = slopes.shape[3], *map(tiles, sides)
    most = max(128, SAMPLES // problem.channels)
    vectors = max(d for d in range(1, most // wide + 1) if images // wide % d == 0)
    rows = min(down, max(1, most // (vectors * wide * across)))
    lots = images // (vectors * wide)
    tall, broad = PANELS[4 * wide]
    outputs, channels = problem.k_shape[:2]
    cuts = (-(-outputs // broad), broad, -(-channels // tall), tall)
    out = fresh((lots * -(-down // rows), 6, 6, *cuts), np.float32)
    numbers = (before[1], before[0], vectors, across, rows, lots)
    work = 36 * outputs * channels * images * down * across
    run("winograd", [source, slopes], numbers, [out], work, "gradient")
    taps = plane(total(out).reshape(6, 6, -1), "taps")
    dk = taps.reshape(3, 3, cuts[0] * broad, -1)[:, :, :outputs, :channels].transpose(2, 3, 0, 1)
    return None if looks() and not math.isfinite(norm(taps)) else dk


def total(parts: Array) -> Array:
    """Return the sum of parts in float32, summed in float64 and rounded once."""
    if len(parts) == 1:
        return parts.reshape(parts.shape[1:])
    out = np.empty(parts.shape[1:], np.float32)
    if len(parts) == 2:  # the same numbers: float64 holds more than twice the digits
        do(np.add, parts[0], parts[1], out=out)
        return out
    wide = np.empty(out.shape, np.float64)
    do(np.sum, parts, axis=0, dtype=np.float64, out=wide)
    do(np.copyto, out, wide, casting="same_kind")
    return out
