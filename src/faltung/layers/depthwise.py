"""Layers with a kernel of its own for each channel, and many taps (``pipelines/depthwise.py``)."""

from __future__ import annotations

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.blocks import cut, known
from faltung.layers.finite import looks
from faltung.layers.memory import fresh, innermost, outermost, run, straight
from faltung.layers.problem import Conv
from faltung.layers.recording import do

ROWS = 4  # outputs of a register tile along the first axis
CHUNK = 4  # rows of taps that share what was loaded
CLIPPED = 4  # vectors of images from which on taps outside of the image are left away instead
LEAST = 5  # taps along the first axis from which on that pays


def supported(problem: Conv, x: Array) -> bool:
    """Whether a layer is one of those that this pays for, or the gradient of its input."""
    if ("float32",) * 3 not in native.variants("depthwise") or x.dtype != np.float32:
        return False
    loaded = native.library()
    if loaded is None or not known():
        return False
    vectors, rest = divmod(4 * problem.images, loaded.vector)
    if rest == 0 and vectors >= CLIPPED:
        return False
    return (
        problem.groups == problem.channels == problem.outputs
        and len(problem.windows) == 2
        and all((w.stride, w.dilation) == (1, 1) for w in problem.windows)
        and all(name == "constant" for name in problem.boundary)
        and problem.windows[0].taps >= LEAST
        and min(problem.windows[0].n, problem.windows[0].count) >= ROWS
        and problem.images * min(problem.windows[1].n, problem.windows[1].count) * 4
        >= loaded.vector
    )


def correlated(
    x: Array,
    k: Array,
    before: tuple[int, int],
    space: tuple[int, int],
    bias: Array | None = None,
    relu: bool = False,
) -> Array | None:
    """Return a layer's output on ``space`` positions; None where it is not finite.

    Kernels go on with rows of zeros, which would spread what is not finite.
    """
    laid = innermost(x)
    channels, images = laid.shape[0], laid.shape[3]
    down, across = k.shape[2:]
    rows = -(-down // CHUNK) * CHUNK
    weights = np.zeros((channels, rows, across), x.dtype)
    do(np.copyto, weights[:, :down], k[:, 0])
    sides = space[0] + rows - 1, space[1] + across - 1
    padded = cut(laid, before, sides, 1, 1, 0).reshape(channels, sides[0], -1)
    if bias is None:
        bias = np.zeros(channels, x.dtype)
    out = fresh((channels, space[0], space[1] * images), x.dtype)
    work = out.size * down * across
    run("depthwise", [padded, weights, straight(bias)], (images, int(relu)), [out], work)
    y = outermost(out.reshape(channels, *space, images))
    return None if looks() and not np.isfinite(np.vdot(out, out)) else y
