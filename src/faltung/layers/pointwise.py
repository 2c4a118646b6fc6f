"""Layers of one tap (``pipelines/pointwise.py``), in float32."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers.memory import fresh, innermost, outermost, run, straight
from faltung.layers.problem import Conv

CHANNELS = 6  # outputs of a register tile
VECTORS = {64: 4, 32: 2}  # of a register tile, by the bytes of a register
LEAST = 32  # channels from which on bringing samples together pays


def supported(problem: Conv, x: Array, back: bool) -> bool:
    """Whether a layer, or its way back, is one of those that this pays for."""
    loaded = native.library()
    if loaded is None or ("float32",) * 3 not in native.variants("pointwise"):
        return False
    windows = problem.windows
    samples = problem.images * math.prod(w.n for w in windows)
    return (
        x.dtype == np.float32
        and bool(windows)
        and all((w.taps, w.stride, w.before, w.after) == (1, 1, 0, 0) for w in windows)
        and problem.groups == 1
        and (problem.outputs if back else problem.channels) >= LEAST
        and samples >= VECTORS[loaded.vector] * loaded.vector // 4
    )


@lru_cache(maxsize=64)
def zeros(count: int) -> Array:
    """Return the bias of layers without one."""
    return np.zeros(count, np.float32)


def correlated(x: Array, k: Array, bias: Array | None, relu: bool, back: bool) -> Array:
    """Return a layer's output, or its way ``back`` from the gradient of that."""
    laid, (outputs, channels) = innermost(x), k.shape[:2]
    steps = 1, channels
    if back:
        outputs, channels, steps = channels, outputs, (channels, 1)
    bias = zeros(outputs) if bias is None else bias
    out = fresh((-(-outputs // CHANNELS), CHANNELS, *laid.shape[1:]), x.dtype)
    flat = out.reshape(*out.shape[:2], -1)
    inputs = [laid.reshape(channels, -1), straight(k).reshape(-1), straight(bias)]
    run("pointwise", inputs, (*steps, int(relu)), [flat], out.size * channels)
    return outermost(out.reshape(-1, *laid.shape[1:])[:outputs])
