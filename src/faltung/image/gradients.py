"""Edges: the gradient of a picture, from a pair of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung import kernels
from faltung.image.colour import shown
from faltung.image.filtering import Laying, check_kernel, checked, responses
from faltung.image.formats import Array, ImageError, full_scale


@dataclass(frozen=True, eq=False)
class Edges:
    """The gradient of a picture at every pixel.

    Attributes
    ----------
    magnitude : ndarray
        (H, W) float32, in the picture's own numbers times what the kernels sum up: nothing is
        rescaled, so that a step of 255 under Sobel's kernels comes to 1020.
    direction : ndarray
        (H, W) float32, radians from -pi to pi: 0 where it gets brighter to the right, pi / 2 where
        it gets brighter downwards. 0 where there is no gradient.
    dtype : dtype
        Of the picture.
    """

    magnitude: Array
    direction: Array
    dtype: Any

    def picture(self, signed: str = "clip") -> Array:
        """Return the magnitude as a grey picture, by a rule of :func:`faltung.image.filter`."""
        return shown(self.magnitude, self.dtype, signed)

    def coloured(self) -> Array:
        """Return uint8 RGB: the hue is the direction, the brightness the clipped magnitude.

        Red gets brighter to the right, yellow-green downwards, cyan to the left, violet upwards.

        Examples
        --------
        >>> edges(np.array([[0, 0, 255, 255]], np.uint8)).coloured().tolist()
        [[[0, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 0]]]
        """
        strength = np.clip(self.magnitude / full_scale(self.dtype), 0, 1)
        turn = self.direction / (2 * np.pi)  # of a circle
        # a hue's red, green and blue are one trapezium, a third of the circle apart
        thirds = np.array([0, 1 / 3, 2 / 3], np.float32)
        away = np.abs((turn[:, :, None] - thirds + 0.5) % 1 - 0.5)
        level = np.clip(2 - 6 * away, 0, 1)
        bright = np.nan_to_num(strength[:, :, None] * level)
        return np.asarray(np.rint(255 * bright).astype(np.uint8))


def edges(
    picture: Array,
    pair: str | Sequence[Any] = "sobel",
    *,
    operation: str = "correlate",
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
        The kernels for the gradient to the right and downwards; ``"sobel"`` stands for
        ``("sobel.x", "sobel.y")``, and each may be a name.
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
    both = [f"{pair}.x", f"{pair}.y"] if isinstance(pair, str) else list(pair)
    if len(both) != 2:
        raise ImageError(f"edges take a pair of kernels, for x and y; got {len(both)}.")
    both = [kernels.parse(each) if isinstance(each, str) else each for each in both]
    for each in both:
        check_kernel(each)
    laying = Laying(operation, "same", boundary, fill_value, workers)
    across, down = (
        np.asarray(responses(picture, [each], laying, linear=linear)[0], np.float32)
        for each in both
    )
    magnitude = np.hypot(across, down)
    if magnitude.ndim == 3:
        # NaN is the largest: what is unknown stays unknown
        strongest = np.argmax(magnitude, axis=2)[:, :, None]
        magnitude, across, down = (
            np.take_along_axis(each, strongest, axis=2)[:, :, 0]
            for each in (magnitude, across, down)
        )
    return Edges(magnitude, np.arctan2(down, across), picture.dtype)
