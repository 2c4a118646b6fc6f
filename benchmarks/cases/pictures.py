"""Pictures of integers, in and out of their dtype, saturating."""

from __future__ import annotations

import numpy as np

from cases.common import Case, Contenders, Work, bell, image, outer, peer, samples

SHARPEN = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])


def options_for(dtype: str) -> dict[str, object]:
    return {"axes": (0, 1), "boundary": "reflect", "dtype": dtype, "overflow": "saturate"}


def sharpen(dtype: str, channels: int | None, target: float) -> Case:
    """The sharpening kernel of 3x3 taps."""

    def make(tiny: bool) -> Work:
        x = samples(image(tiny) if channels is None else (*image(tiny), channels), dtype)
        floats = SHARPEN.astype(np.float32)
        peers: Contenders = {}
        if cv2 := peer("cv2"):
            peers["cv2.filter2D"] = lambda: cv2.filter2D(x, -1, floats)
        return Work("correlate", x, SHARPEN, options_for(dtype), peers)

    colours = "grey" if channels is None else "RGB"
    return Case(f"{dtype} {colours} sharpen 3x3", 9 * (channels or 1), dtype, target, make, 0)


def gaussian(sigma: float, target: float) -> Case:
    """A Gaussian cut off at 4 sigma on a colour picture."""
    reach = int(4 * sigma + 0.5)

    def make(tiny: bool) -> Work:
        x = samples((*image(tiny), 3), "uint8")
        taps = bell(sigma, reach)
        peers: Contenders = {}
        if cv2 := peer("cv2"):
            size = (2 * reach + 1,) * 2
            peers["cv2.GaussianBlur"] = lambda: cv2.GaussianBlur(x, size, sigma)
        return Work("correlate", x, outer(taps, taps), options_for("uint8"), peers)

    # OpenCV rounds the taps to fixed point
    taps = 2 * (2 * reach + 1)
    return Case(f"uint8 RGB Gaussian {sigma:g}", taps, "uint8", target, make, 2)


CASES = (
    sharpen("uint8", 3, 2.5),
    gaussian(1.5, 1.5),
    gaussian(5, 2),
    sharpen("uint8", None, 1),
    sharpen("uint16", None, 1),
)
