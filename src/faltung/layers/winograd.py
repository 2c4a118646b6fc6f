"""Layers of 3x3 taps with fewer multiplications (``pipelines/winograd.py``), in float32.

Cook and Toom's algorithm at the points 0, 1, -1, 2, -2 and infinity (Winograd, 1980; Lavin and
Gray, 2016) takes 36 multiplications for 16 outputs, not 144. Its sums cancel: see :data:`ERROR`.
"""

from __future__ import annotations

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.memory import innermost, outermost, run
from faltung.layers.problem import Conv

#: Errors stay below ``ERROR * eps`` times the greatest sum of ``|k| |x|`` over the channels and
#: taps of an output, as measured on noise: about eight times those of the plain sum.
ERROR = 32.0
CHANNELS = 6  # of a register tile
VECTORS = {64: 4, 32: 2}  # of a register tile, by the bytes of a register
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
    loaded = native.library()
    assert loaded is not None
    many = VECTORS[loaded.vector] * loaded.vector // 4
    return (
        len(problem.windows) == 2
        and all((w.taps, w.stride, w.dilation) == (3, 1, 1) for w in problem.windows)
        and all(name == "constant" for name in problem.boundary)
        and problem.groups == 1
        and problem.images >= many
        and min(problem.channels, problem.outputs) >= LEAST
    )


def transformed(k: Array) -> Array:
    """Return kernels (outputs, channels, 3, 3) as (36, tiles, channels, channels of a tile)."""
    outputs, channels = k.shape[:2]
    spectra = BOTH @ k.reshape(-1, 9).T
    tiles = -(-outputs // CHANNELS)
    out = np.zeros((36, tiles * CHANNELS, channels), np.float32)
    out[:, :outputs] = spectra.reshape(36, outputs, channels)
    return np.ascontiguousarray(out.reshape(36, tiles, CHANNELS, channels).transpose(0, 1, 3, 2))


def correlated(
    x: Array,
    k: Array,
    before: tuple[int, int],
    space: tuple[int, int],
    bias: Array | None = None,
    relu: bool = False,
) -> Array | None:
    """Return a layer's output on ``space`` positions; None where it is not finite.

    What is not finite spreads over a whole tile: the plain sums have to tell where it belongs.
    """
    weights = transformed(k)
    tiles = weights.shape[1]
    offset = np.zeros(tiles * CHANNELS, np.float32)
    if bias is not None:
        offset[: bias.size] = bias
    out = np.empty((tiles, CHANNELS, *space, x.shape[0]), np.float32)
    numbers = (before[1], before[0], int(relu))
    inputs = [innermost(x), weights, offset.reshape(tiles, CHANNELS)]
    run("winograd", inputs, numbers, [out], 2 * out.size * k.shape[1])
    sums = out.reshape(-1, *space, x.shape[0])[: k.shape[0]]
    return outermost(sums) if np.isfinite(np.vdot(sums, sums)) else None
