"""Images changed a little at random, so that a network learns what does not matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faltung.checking import flag, number, whole
from faltung.dtypes import Array


@dataclass(frozen=True)
class Augment:
    """Random shifts, flips, small affine maps and cut-outs of images (N, C, H, W), by a seed.

    Parameters
    ----------
    shift : int
        Rows and columns at most, in whole samples.
    flip : bool
        Whether half of the images are mirrored, left to right.
    rotate : float
        Degrees at most, either way.
    scale : float
        Size at most, either way: 0.1 is from 0.9 to 1.1.
    cutout : int
        Side of a square that becomes 0 (DeVries and Taylor, 2017), its middle anywhere.
    fill : float
        What lies beyond the image and in the square.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(4.0).reshape(1, 1, 1, 4)
    >>> Augment(shift=0, flip=True)(x, seed=(0, 1)).tolist()
    [[[[0.0, 1.0, 2.0, 3.0]]]]
    """

    shift: int = 0
    flip: bool = False
    rotate: float = 0.0
    scale: float = 0.0
    cutout: int = 0
    fill: float = 0.0

    def __post_init__(self) -> None:
        for name in ("shift", "cutout"):
            whole(name, getattr(self, name), 0)
        flag("flip", self.flip)
        number("rotate", self.rotate, "a number, 0 or above")
        number("scale", self.scale, "from 0 to less than 1")
        number("fill", self.fill)

    def __call__(self, x: Array, seed: tuple[int, ...]) -> Array:
        """Return changed images; the same seed changes them in the same way."""
        if x.ndim != 4:
            raise ValueError(f"images are (images, channels, rows, columns); got {x.shape}.")
        rng = np.random.default_rng(seed)
        count, _, rows, columns = x.shape
        if max(self.shift, self.cutout) > max(rows, columns):
            raise ValueError(
                f"a shift of {self.shift} and a cutout of {self.cutout} must be no more than the "
                f"longer side of images of {rows} x {columns}."
            )
        move: Array = rng.integers(-self.shift, self.shift + 1, (2, count))
        mirrored: Array = np.asarray(rng.random(count) < (0.5 if self.flip else 0.0))
        angle: Array = np.asarray(np.radians(rng.uniform(-1, 1, count) * self.rotate))
        size: Array = np.asarray(1 + rng.uniform(-1, 1, count) * self.scale)
        if self.rotate or self.scale:
            x = self._mapped(x, angle, size)
        if self.shift or self.flip:
            x = self._moved(x, move, mirrored)
        if self.cutout:
            middle = rng.integers(0, [[rows], [columns]], (2, count))
            low = middle - self.cutout // 2
            inside = [
                (np.arange(n) >= at[:, None]) & (np.arange(n) < at[:, None] + self.cutout)
                for n, at in zip((rows, columns), low, strict=True)
            ]
            square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
            x = np.where(square, x.dtype.type(self.fill), x)
        return x

    def _moved(self, x: Array, move: Array, mirrored: Array) -> Array:
        rows, columns = x.shape[2:]
        sides = ((0, 0), (0, 0), (self.shift,) * 2, (self.shift,) * 2)
        wide = np.pad(x, sides, constant_values=self.fill)
        down = self.shift - move[0][:, None] + np.arange(rows)
        across = np.arange(columns) * np.where(mirrored, -1, 1)[:, None]
        across = across + np.where(mirrored, columns - 1, 0)[:, None]
        across = across + (self.shift - move[1])[:, None]
        image = np.arange(len(x))[:, None, None]
        picked = wide[image, :, down[:, :, None], across[:, None, :]]  # images, rows, columns, C
        return np.moveaxis(picked, -1, 1)

    def _mapped(self, x: Array, angle: Array, size: Array) -> Array:
        """Turn and stretch about the middle, with linear interpolation."""
        count, _, rows, columns = x.shape
        down, across = np.meshgrid(
            np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, indexing="ij"
        )
        cosine, sine = ((f(angle) / size)[:, None, None] for f in (np.cos, np.sin))
        # where each sample comes from, in the image with one more around it
        at = (
            np.clip(cosine * down - sine * across + (rows + 1) / 2, 0, rows + 1),
            np.clip(sine * down + cosine * across + (columns + 1) / 2, 0, columns + 1),
        )
        wide = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)), constant_values=self.fill)
        first = [np.floor(a).astype(np.intp) for a in at]
        parts = [(a - f).astype(x.dtype)[..., None] for a, f in zip(at, first, strict=True)]
        image = np.arange(count)[:, None, None]
        total = np.zeros((count, rows, columns, x.shape[1]), x.dtype)
        for i in (0, 1):
            for j in (0, 1):
                share = (parts[0] if i else 1 - parts[0]) * (parts[1] if j else 1 - parts[1])
                total += share * wide[image, :, first[0] + i, first[1] + j]
        return np.moveaxis(total, -1, 1)
