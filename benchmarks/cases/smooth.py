"""Gaussians and boxes, on pictures.

The peer of scikit-image, ``filters.gaussian``, is ``scipy.ndimage`` under another name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.common import Case, Contenders, Work, bell, image, outer, peer, samples


def gaussian(sigma: int, target: float, tolerance: float | None = None) -> Case:
    """A Gaussian cut off at 4 sigma, ends mirrored: all its taps, or as good as a tolerance."""

    def make(tiny: bool) -> Work:
        width = min(sigma, 10) if tiny else sigma
        reach = 4 * width
        taps = bell(width, reach)
        x, k = samples(image(tiny), "float32"), outer(taps, taps).astype(np.float32)
        peers: Contenders = {}
        if cv2 := peer("cv2"):
            size = (2 * reach + 1,) * 2
            peers["cv2.GaussianBlur"] = lambda: cv2.GaussianBlur(x, size, width)
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.gaussian_filter(
                x, width, mode="mirror", truncate=4
            )
        options: dict[str, Any] = {"boundary": "reflect"}
        if tolerance is not None:
            options["tolerance"] = tolerance
        return Work("correlate", x, k, options, peers)

    name = f"float32 Gaussian {sigma}" + (f" to {tolerance:g}" if tolerance else "")
    allowed = 2e-6 + (tolerance or 0)
    return Case(name, 2 * (8 * sigma + 1), "float32", target, make, allowed)


def box(taps: int, dtype: str) -> Case:
    """An average over a square, in and out of a dtype, ends mirrored."""

    def make(tiny: bool) -> Work:
        x = samples(image(tiny), dtype)
        k = np.full((taps, taps), 1 / taps**2)
        options: dict[str, Any] = {"boundary": "reflect"}
        if dtype == "uint8":
            options |= {"dtype": dtype, "overflow": "saturate"}
        else:
            k = k.astype(dtype)
        peers: Contenders = {}
        if cv2 := peer("cv2"):
            peers["cv2.blur"] = lambda: cv2.blur(x, (taps, taps))
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.uniform_filter(x, taps, mode="mirror")
        return Work("correlate", x, k, options, peers)

    # ndimage cuts fractions off after each axis, and its running sums of float32 drift
    return Case(f"{dtype} box {taps}x{taps}", 2, dtype, 1.5, make, 2 if dtype == "uint8" else 1e-3)


CASES = (
    *(gaussian(sigma, target) for sigma, target in ((1, 1.5), (3, 2), (10, 3), (30, 5))),
    *(gaussian(sigma, target, 1e-3) for sigma, target in ((10, 3), (30, 5), (100, 5))),
    *(box(taps, dtype) for dtype in ("float32", "uint8") for taps in (15, 101)),
)
