"""Small arrays: what a call costs, and what a plan's does."""

from __future__ import annotations

import numpy as np

from cases.common import Case, Contenders, Work, peer, samples, taps_of


def picture(dtype: str, planned: bool) -> Case:
    """A 32x32 picture and 3x3 taps."""

    def make(tiny: bool) -> Work:
        x, k = samples((32, 32), dtype), taps_of((3, 3), dtype)
        peers: Contenders = {}
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.convolve(x, k, mode="constant")
        if cv2 := peer("cv2"):
            laid = np.flip(k).copy()
            peers["cv2.filter2D"] = lambda: cv2.filter2D(
                x, -1, laid, borderType=cv2.BORDER_CONSTANT
            )
        return Work("convolve", x, k, {}, peers)

    name = f"{dtype} 32x32 3x3" + (" plan(x)" if planned else "")
    return Case(name, 9, dtype, 1, make, 2e-6, repeats=300, planned=planned)


def line(planned: bool) -> Case:
    """100 samples and 5 taps."""

    def make(tiny: bool) -> Work:
        x, k = samples((100,), "float64"), taps_of((5,), "float64")
        peers: Contenders = {"numpy.convolve": lambda: np.convolve(x, k, "same")}
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.convolve1d(x, k, mode="constant")
        return Work("convolve", x, k, {}, peers)

    name = "float64 100 x 5" + (" plan(x)" if planned else "")
    return Case(name, 5, "float64", 1, make, 1e-14, repeats=300, planned=planned)


CASES = (
    *(picture(dtype, planned) for dtype in ("float32", "float64") for planned in (False, True)),
    *(line(planned) for planned in (False, True)),
)
