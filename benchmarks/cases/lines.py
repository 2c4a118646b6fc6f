"""Signals: one long one, and many short ones."""

from __future__ import annotations

import numpy as np

from cases.common import Case, Contenders, Work, peer, samples, taps_of


def line(taps: int, target: float) -> Case:
    """A long signal, zeros beyond its ends."""

    def make(tiny: bool) -> Work:
        length = max(10**4, 2 * taps) if tiny else 10**7
        x, k = samples((length,), "float64"), taps_of((taps,), "float64")
        peers: Contenders = {}
        if taps <= 1001:
            peers["numpy.convolve"] = lambda: np.convolve(x, k, "same")
        if taps <= 101 and (ndimage := peer("scipy.ndimage")):
            peers["scipy.ndimage"] = lambda: ndimage.convolve1d(x, k, mode="constant")
        if signal := peer("scipy.signal"):
            peers["scipy oaconvolve"] = lambda: signal.oaconvolve(x, k, "same")
            peers["scipy fftconvolve"] = lambda: signal.fftconvolve(x, k, "same")
        return Work("convolve", x, k, {}, peers)

    return Case(f"float64 10^7 x {taps}", taps, "float64", target, make, 1e-14)


def batch(dtype: str) -> Case:
    """64 signals of 2048 samples."""

    def make(tiny: bool) -> Work:
        x, k = samples((64, 2048), dtype), taps_of((63,), dtype)
        peers: Contenders = {}
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.convolve1d(x, k, mode="constant")
        if signal := peer("scipy.signal"):
            peers["scipy oaconvolve"] = lambda: signal.oaconvolve(x, k[None], "same", axes=-1)
        if cv2 := peer("cv2"):
            row = np.flip(k)[None].copy()
            peers["cv2.filter2D"] = lambda: cv2.filter2D(x, -1, row, borderType=cv2.BORDER_CONSTANT)
        if torch := peer("torch"):
            xt = torch.from_numpy(x)[:, None]
            kt = torch.from_numpy(np.flip(k).copy())[None, None]
            conv1d = torch.nn.functional.conv1d
            peers["torch conv1d"] = lambda: conv1d(xt, kt, padding=31)[:, 0].numpy()
        return Work("convolve", x, k, {}, peers)

    return Case(f"{dtype} 64 x 2048, 63 taps", 63, dtype, 3, make, repeats=100)


CASES = (
    *(
        line(taps, target)
        for taps, target in ((11, 5), (101, 8), (1001, 2), (10001, 1.8), (100001, 1.5))
    ),
    *(batch(dtype) for dtype in ("float32", "float64")),
)
