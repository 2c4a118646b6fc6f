"""Images cut into blocks, and put together (``pipelines/blocks.py``), in float32."""

from __future__ import annotations

from faltung import native
from faltung.dtypes import Array
from faltung.layers.memory import fresh, run


def known() -> bool:
    """Whether there are pipelines for that."""
    return bool(native.variants("blocks"))


def cut(
    x: Array, before: tuple[int, int], sides: tuple[int, int], across: int, count: int, halo: int
) -> Array:
    """Return blocks of images (channels, *space, images), which are images of their own.

    Each has the samples around it, ``halo`` more along each axis.
    """
    shape = (x.shape[0], sides[0] + halo, sides[1] + halo, count, x.shape[3])
    out = fresh(shape, x.dtype)
    numbers = (across, sides[1], sides[0], before[1], before[0])
    run("blocks", [x], numbers, [out], out.size, "cut")
    return out.reshape(*shape[:3], -1)


def joined(x: Array, sides: tuple[int, int], across: int, space: tuple[int, int]) -> Array:
    """Return the images (channels, *space, images) that blocks (..., blocks, images) are of."""
    out = fresh((x.shape[0], *space, x.shape[4]), x.dtype)
    run("blocks", [x], (across, sides[1], sides[0]), [out], out.size, "joined")
    return out
