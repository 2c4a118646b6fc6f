"""A picture with what its file says beside the pixels, as a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from faltung.image.formats import Array

LONGEST_SEGMENT = 65533  # bytes of a JPEG's marker segment
RESOLUTIONS = (0.1, 65535.0)  # dots per inch that every format can write down


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels, as far as it is kept.

    Attributes
    ----------
    icc : bytes or None
        The ICC colour profile.
    dpi : pair of float, or None
        Dots per inch along the width and the height.
    exif : bytes or None
        EXIF, byte for byte as it was but for its orientation, which is 1 (the pixels are upright),
        and its thumbnail, which is left out. The sizes in it are those of what is written.
    subsampling : int or None
        Of a JPEG's colours, as Pillow counts them: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0.
    """

    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    subsampling: int | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """All frames or pages of a picture file.

    Attributes
    ----------
    frames : tuple of ndarray
        At least one; each as :func:`faltung.image.read` gives it.
    kind : str
        The format it was read from, such as "JPEG", or "" where it was made.
    durations : tuple of float
        Milliseconds that each frame of an animation is shown; empty for pages.
    loop : int
        How often an animation is repeated; 0 is without end.
    metadata : Metadata
    notes : tuple of str
        What reading changed, such as a palette that became RGB.

    Examples
    --------
    >>> import numpy as np
    >>> Picture((np.zeros((2, 3), np.uint8),)).animated
    False
    """

    frames: tuple[Array, ...]
    kind: str = ""
    durations: tuple[float, ...] = ()
    loop: int = 0
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()

    @property
    def animated(self) -> bool:
        """Whether the frames follow each other in time."""
        return len(self.frames) > 1 and len(self.durations) == len(self.frames)


def resolution(dpi: Any) -> tuple[float, float] | None:
    """Return dots per inch where a file states them sensibly.

    Examples
    --------
    >>> resolution((300, 300)), resolution((0, float("nan"))), resolution("much")
    ((300.0, 300.0), None, None)
    """
    try:
        across, down = (float(n) for n in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return None
    low, high = RESOLUTIONS
    fits = all(math.isfinite(n) and low <= n <= high for n in (across, down))
    return (across, down) if fits else None


def profile(info: Mapping[Any, Any]) -> bytes | None:
    """Return the ICC profile that Pillow found, if it is one."""
    icc = info.get("icc_profile")
    return icc if isinstance(icc, bytes) and len(icc) >= 128 and icc[36:40] == b"acsp" else None


def fits(icc: bytes, grey: bool) -> bool:
    """Whether a profile is one for such colours (ICC.1:2022, section 7.2.6)."""
    return icc[16:20] == (b"GRAY" if grey else b"RGB ")
