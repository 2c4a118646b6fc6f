"""Edges: the gradient of a picture, from a pair of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from faltung import kernels
from faltung.image.colour import bands, shown
from faltung.image.converting import dtype_of, scaled
from faltung.image.filtering import Laying, check_kernel, responses
from faltung.image.formats import Array, ImageError, checked, full_scale
from faltung.kernels.kernel import Kernel

SHOWN = ("clip", "stretch")


@dataclass(frozen=True, eq=False)
class Edges:
    """The gradient of a picture at every pixel.

    Attributes
    ----------
    across, down : ndarray
        (H, W) float32, the responses of the two kernels: how much brighter it gets to the right
        and downwards, in the picture's own numbers times what the kernels sum up. Nothing is
        rescaled, so that a step of 255 under Sobel's kernels comes to 1020.
    dtype : dtype
        Of the picture.
    magnitude : ndarray
        (H, W) float32, ``hypot(across, down)``: how steep it is.
    direction : ndarray
        (H, W) float32, ``atan2(down, across)``: where it gets brighter.

    ``picture()`` returns the magnitude as a grey picture, ``coloured()`` both as an RGB picture.
    """

    across: Array
    down: Array
    dtype: Any

    @cached_property
    def magnitude(self) -> Array:
        """How steep it is, ``hypot(across, down)``: (H, W) float32."""
        out = np.empty_like(self.across)
        for band in bands(out):
            np.sqrt(squares(self.across[band], self.down[band]), out=out[band])
            lost = ~np.isfinite(out[band])  # squares may be too large where their root is not
            if lost.any():
                np.hypot(self.across[band], self.down[band], out=out[band], where=lost)
        return out

    @cached_property
    def direction(self) -> Array:
        """Where it gets brighter, ``atan2(down, across)``: (H, W) float32, from -pi to pi.

        0 is to the right, pi / 2 downwards; 0, too, where there is no gradient.
        """
        return np.arctan2(self.down, self.across)

    def picture(self, signed: str = "clip", dtype: Any = None) -> Array:
        """Return the magnitude as a grey picture.

        Parameters
        ----------
        signed : {"clip", "stretch"}
            Saturate, or make the steepest place white, as in :func:`faltung.image.filter`.
        dtype : dtype, optional
            Of the result, as in :func:`faltung.image.converted`; by default the picture's.

        Raises
        ------
        ImageError
            Where there is no such rule or dtype.
        """
        if signed not in SHOWN:
            raise ImageError(
                f"signed={signed!r} must be one of {', '.join(SHOWN)}: how steep it is has no sign."
            )
        after = dtype_of(dtype, self.dtype)
        return shown(scaled(self.magnitude, self.dtype, after), after, signed)

    def coloured(self) -> Array:
        """Return uint8 RGB: the hue is the direction, the brightness the clipped magnitude.

        Red gets brighter to the right, yellow-green downwards, cyan to the left, violet upwards.

        Examples
        --------
        >>> edges(np.array([[0, 0, 255, 255]], np.uint8)).coloured().tolist()
        [[[0, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 0]]]
        """
        # a hue's red, green and blue are one trapezium, a third of the circle apart
        thirds = np.array([0, 1 / 3, 2 / 3], np.float32)
        out = np.empty((*self.across.shape, 3), np.uint8)
        for band in bands(out):
            strength = np.clip(self.magnitude[band] / full_scale(self.dtype), 0, 1)
            turn = self.direction[band] / (2 * np.pi)  # of a circle
            away = np.abs((turn[:, :, None] - thirds + 0.5) % 1 - 0.5)
            level = np.clip(2 - 6 * away, 0, 1)
            out[band] = np.rint(255 * np.nan_to_num(strength[:, :, None] * level))
        return out


def edges(
    picture: Array,
    pair: str | Sequence[Any] = "sobel",
    *,
    operation: str | None = None,
    boundary: str | Sequence[str] = "symmetric",
    fill_value: float = 0,
    linear: bool = False,
    workers: int | None = None,
) -> Edges:
    """Return the gradient of a picture: ``hypot(x, y)`` and ``atan2(y, x)`` of two responses.

    Of a colour picture each pixel takes the channel of the largest magnitude (Dalal and Triggs,
    2005). Alpha weighs the colours as in :func:`faltung.image.filter`, and is left out.

    Parameters
    ----------
    picture : ndarray
        As in :func:`faltung.image.filter`.
    pair : str or pair of kernels
        The kernels for the gradient to the right and downwards, each of which may be a name; or
        the name of a pair, as in :func:`faltung.kernels.pairs`.
    operation, boundary, fill_value, linear, workers
        As in :func:`faltung.image.filter`.

    Returns
    -------
    Edges

    Raises
    ------
    ImageError, ValueError
        Where these are no picture and no two kernels.

    Examples
    --------
    >>> found = edges(np.array([[0, 0, 9, 9]], np.uint8))
    >>> found.magnitude.tolist(), found.direction.tolist()
    ([[0.0, 36.0, 36.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]])
    """
    picture = checked(picture)
    if isinstance(pair, Kernel) or not isinstance(pair, (Sequence, np.ndarray)):
        name = f"the kernel {pair.name}" if isinstance(pair, Kernel) else repr(pair)
        raise ImageError(
            f"edges take a pair of kernels, for x and y; got {name}. Give two, as in "
            '("sobel.x", "sobel.y"), or "sobel" for these.'
        )
    both: list[Any] = list(kernels.pair(pair) if isinstance(pair, str) else pair)
    if len(both) != 2:
        raise ImageError(f"edges take a pair of kernels, for x and y; got {len(both)}.")
    both = [kernels.parse(each) if isinstance(each, str) else each for each in both]
    for each in both:
        check_kernel(each)
    laying = Laying(operation, "same", boundary, fill_value, workers)
    across, down = (responses(picture, [each], laying, linear=linear)[0] for each in both)
    if across.ndim == 3:
        return Edges(*steepest(across, down), picture.dtype)
    return Edges(across.astype(np.float32), down.astype(np.float32), picture.dtype)


def squares(across: Array, down: Array) -> Array:
    """Return the squared magnitude, in float32 or float64."""
    kind: Any = np.float64 if across.dtype == np.float64 else np.float32
    x: Any = across.astype(kind, copy=False)
    y: Any = down.astype(kind, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(x * x + y * y)


def steepest(across: Array, down: Array) -> tuple[Array, Array]:
    """Return the responses of each pixel's steepest channel; what is unknown stays unknown."""
    found = np.empty(across.shape[:2], np.float32), np.empty(across.shape[:2], np.float32)
    for band in bands(across):
        x, y = across[band], down[band]
        best_x, best_y = x[:, :, 0], y[:, :, 0]
        best = squares(best_x, best_y)
        for channel in range(1, across.shape[2]):
            size = squares(x[:, :, channel], y[:, :, channel])
            steeper = (size > best) | np.isnan(size)
            best = np.where(steeper, size, best)
            best_x = np.where(steeper, x[:, :, channel], best_x)
            best_y = np.where(steeper, y[:, :, channel], best_y)
        found[0][band], found[1][band] = best_x, best_y
    return found
