"""Volumes, zeros beyond their ends."""

from __future__ import annotations

import numpy as np

from cases.common import Array, Case, Contenders, Work, bell, outer, peer, samples, taps_of


def shape(tiny: bool) -> tuple[int, int, int]:
    return (24, 32, 32) if tiny else (192, 256, 256)


def torch_peer(x: Array, *kernels: Array) -> Contenders:
    """Return PyTorch's convolution with one kernel after the other."""
    torch = peer("torch")
    if torch is None:
        return {}
    xt = torch.from_numpy(x)[None, None]
    flipped = [torch.from_numpy(np.flip(k).copy())[None, None] for k in kernels]

    def run() -> Array:
        y = xt
        for k in flipped:
            y = torch.nn.functional.conv3d(y, k, padding=tuple(n // 2 for n in k.shape[2:]))
        result: Array = y[0, 0].numpy()
        return result

    return {"torch conv3d": run}


def dense(taps: int, target: float) -> Case:
    """A dense random kernel."""

    def make(tiny: bool) -> Work:
        x, k = samples(shape(tiny), "float32"), taps_of((taps,) * 3, "float32")
        peers: Contenders = torch_peer(x, k)
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.convolve(x, k, mode="constant")
        if signal := peer("scipy.signal"):
            peers["scipy fftconvolve"] = lambda: signal.fftconvolve(x, k, "same")
        return Work("convolve", x, k, {}, peers)

    return Case(f"float32 192x256x256 {taps}^3", taps**3, "float32", target, make)


def gaussian(sigma: int, target: float) -> Case:
    """A Gaussian cut off at 4 sigma."""
    reach = 4 * sigma

    def make(tiny: bool) -> Work:
        x, taps = samples(shape(tiny), "float32"), bell(sigma, reach).astype(np.float32)
        k = outer(taps, taps, taps).astype(np.float32)
        along = [taps.reshape([-1 if a == b else 1 for b in range(3)]) for a in range(3)]
        peers: Contenders = torch_peer(x, *along)
        if ndimage := peer("scipy.ndimage"):
            peers["scipy.ndimage"] = lambda: ndimage.gaussian_filter(
                x, sigma, mode="constant", truncate=4
            )
        if signal := peer("scipy.signal"):
            peers["scipy fftconvolve"] = lambda: signal.fftconvolve(x, k, "same")
        return Work("convolve", x, k, {}, peers)

    name = f"float32 192x256x256 Gaussian {sigma}"
    return Case(name, 3 * (2 * reach + 1), "float32", target, make)


CASES = (dense(3, 10), dense(9, 5), gaussian(2, 10))
