"""Kernels without structure, on pictures."""

from __future__ import annotations

import numpy as np

from cases.common import Case, Contenders, Work, image, peer, samples, taps_of

TARGETS = {3: 3.0, 5: 3.0, 7: 3.0, 11: 3.0, 15: 3.0, 31: 1.5, 63: 2.0, 127: 2.0}


def dense(taps: int, dtype: str) -> Case:
    """A dense random kernel on one plane, ends mirrored."""

    def make(tiny: bool) -> Work:
        x, k = samples(image(tiny), dtype), taps_of((taps, taps), dtype)
        reach = taps // 2
        peers: Contenders = {}
        if cv2 := peer("cv2"):
            peers["cv2.filter2D"] = lambda: cv2.filter2D(x, -1, k)
        if taps <= 7 and (ndimage := peer("scipy.ndimage")):
            peers["scipy.ndimage"] = lambda: ndimage.correlate(x, k, mode="mirror")
        if taps >= 31 and (signal := peer("scipy.signal")):
            peers["scipy oaconvolve"] = lambda: signal.oaconvolve(
                np.pad(x, reach, mode="reflect"), k[::-1, ::-1], "valid"
            )
        if taps <= 31 and (torch := peer("torch")):
            functional = torch.nn.functional
            xt, kt = torch.from_numpy(x)[None, None], torch.from_numpy(k)[None, None]
            peers["torch conv2d"] = lambda: functional.conv2d(
                functional.pad(xt, (reach,) * 4, mode="reflect"), kt
            )[0, 0].numpy()
        return Work("correlate", x, k, {"boundary": "reflect"}, peers)

    tolerance = 2e-6 if dtype == "float32" else 1e-14
    return Case(f"{dtype} {taps}x{taps}", taps**2, dtype, TARGETS[taps], make, tolerance)


def complex_numbers(taps: int) -> Case:
    """A complex kernel on complex samples."""

    def make(tiny: bool) -> Work:
        side = 64 if tiny else 1024
        x, k = samples((side, side), "complex64"), samples((taps, taps), "complex64")
        peers: Contenders = {}
        if signal := peer("scipy.signal"):
            peers["scipy convolve2d"] = lambda: signal.convolve2d(x, k, "same")
            peers["scipy convolve"] = lambda: signal.convolve(x, k, "same")
            peers["scipy oaconvolve"] = lambda: signal.oaconvolve(x, k, "same")
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.convolve(x, k, mode="constant")
        return Work("convolve", x, k, {}, peers)

    return Case(f"complex64 1024x1024 {taps}x{taps}", 4 * taps**2, "complex64", 5, make)


def exact_integers(taps: int) -> Case:
    """An integer kernel on any int32, exact: in the peers, by way of int64."""

    def make(tiny: bool) -> Work:
        side = 64 if tiny else 1024
        x = samples((side, side), "int32")
        k = np.random.default_rng(1).integers(-99, 100, (taps, taps), "int32")
        peers: Contenders = {}
        if signal := peer("scipy.signal"):
            peers["scipy convolve2d"] = lambda: signal.convolve2d(
                x.astype(np.int64), k.astype(np.int64), "same"
            )
            peers["scipy convolve"] = lambda: signal.convolve(
                x.astype(np.int64), k.astype(np.int64), "same"
            )
        if ndimage := peer("scipy.ndimage"):  # its sums of float64 are exact up to 2**53
            peers["scipy.ndimage"] = lambda: ndimage.convolve(x, k, np.int64, mode="constant")
        return Work("convolve", x, k, {}, peers)

    return Case(f"int32 1024x1024 {taps}x{taps} exact", taps**2, "int64", 5, make, 0)


CASES = (
    *(dense(taps, dtype) for dtype in ("float32", "float64") for taps in TARGETS),
    complex_numbers(7),
    exact_integers(7),
)
