"""The cases: the same work for faltung and for every peer that is installed.

Each case makes its arrays when it is run, and gives one callable for each contender. All include
the borders and return a new array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

import faltung

Contenders = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Case:
    """One piece of work.

    ``make(tiny, threads)`` returns the contenders, ours first; ``multiply_adds`` and ``traffic``
    (bytes read and written once) are counted from its result's size by :attr:`taps`.
    """

    name: str
    taps: int
    dtype: str
    make: Callable[[bool, int], Contenders]
    tolerance: float = 1e-4
    repeats: int = 9


def peer(name: str) -> Any:
    """Return a module, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def image(tiny: bool) -> tuple[int, int]:
    return (54, 96) if tiny else (2160, 3840)


def dense(taps: int, dtype: str) -> Case:
    """A dense random kernel on one plane, ends mirrored."""

    def make(tiny: bool, threads: int) -> Contenders:
        rng = np.random.default_rng(0)
        x = rng.random(image(tiny)).astype(dtype)
        k = rng.random((taps, taps)).astype(dtype)
        found: Contenders = {
            "faltung": lambda: faltung.correlate(x, k, boundary="reflect", workers=threads)
        }
        if cv2 := peer("cv2"):
            found["cv2.filter2D"] = lambda: cv2.filter2D(x, -1, k)
        if taps <= 7 and (ndimage := peer("scipy.ndimage")):
            found["scipy.ndimage"] = lambda: ndimage.correlate(x, k, mode="mirror")
        if torch := peer("torch"):
            functional = torch.nn.functional
            xt, kt = torch.from_numpy(x)[None, None], torch.from_numpy(k)[None, None]
            pad = (taps // 2,) * 4
            found["torch conv2d"] = lambda: functional.conv2d(
                functional.pad(xt, pad, mode="reflect"), kt
            )[0, 0].numpy()
        return found

    return Case(
        f"{dtype} {taps}x{taps}", taps**2, dtype, make, 1e-3 if dtype == "float32" else 1e-9
    )


def integers(dtype: str, channels: int | None) -> Case:
    """The sharpening kernel in and out of a picture's dtype, saturating."""

    def make(tiny: bool, threads: int) -> Contenders:
        rng = np.random.default_rng(0)
        shape = image(tiny) if channels is None else (*image(tiny), channels)
        x = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
        k = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
        found: Contenders = {
            "faltung": lambda: faltung.correlate(
                x, k, axes=(0, 1), boundary="reflect", dtype=dtype, overflow="saturate",
                workers=threads,
            )
        }  # fmt: skip
        floats = k.astype(np.float32)
        if cv2 := peer("cv2"):
            found["cv2.filter2D"] = lambda: cv2.filter2D(x, -1, floats)
        return found

    colours = "grey" if channels is None else "RGB"
    return Case(f"{dtype} {colours} 3x3", 9, dtype, make, 0)


def small(planned: bool, dtype: str) -> Case:
    """A 32x32 image: what a call costs."""

    def make(tiny: bool, threads: int) -> Contenders:
        rng = np.random.default_rng(0)
        x, k = rng.random((32, 32)).astype(dtype), rng.random((3, 3)).astype(dtype)
        plan = faltung.plan(x.shape, x.dtype, k)
        found: Contenders = {
            "faltung": (lambda: plan(x)) if planned else (lambda: faltung.convolve(x, k))
        }
        if ndimage := peer("scipy.ndimage"):
            found["scipy.ndimage"] = lambda: ndimage.convolve(x, k, mode="constant")
        return found

    what = "plan(x)" if planned else "convolve"
    return Case(f"{dtype} 32x32 3x3 {what}", 9, dtype, make, 1e-5, repeats=300)


def line(taps: int) -> Case:
    """A long signal."""

    def make(tiny: bool, threads: int) -> Contenders:
        rng = np.random.default_rng(0)
        x, k = rng.standard_normal(10**4 if tiny else 10**6), rng.standard_normal(taps)
        found: Contenders = {
            "faltung": lambda: faltung.convolve(x, k, mode="same", workers=threads),
            "numpy.convolve": lambda: np.convolve(x, k, "same"),
        }
        if signal := peer("scipy.signal"):
            found["scipy oaconvolve"] = lambda: signal.oaconvolve(x, k, "same")
        return found

    return Case(f"float64 10^6 x {taps}", taps, "float64", make, 1e-9)


def volume() -> Case:
    """A 3x3x3 kernel on a volume."""

    def make(tiny: bool, threads: int) -> Contenders:
        rng = np.random.default_rng(0)
        x = rng.random((12, 16, 16) if tiny else (96, 128, 128)).astype(np.float32)
        k = rng.random((3, 3, 3)).astype(np.float32)
        found: Contenders = {"faltung": lambda: faltung.convolve(x, k, workers=threads)}
        if ndimage := peer("scipy.ndimage"):
            found["scipy.ndimage"] = lambda: ndimage.convolve(x, k, mode="constant")
        if torch := peer("torch"):
            conv3d = torch.nn.functional.conv3d
            xt = torch.from_numpy(x)[None, None]
            kt = torch.from_numpy(np.flip(k).copy())[None, None]
            found["torch conv3d"] = lambda: conv3d(xt, kt, padding=1)[0, 0].numpy()
        return found

    return Case("float32 96x128x128 3x3x3", 27, "float32", make)


CASES = (
    *(dense(taps, "float32") for taps in (3, 5, 7, 15)),
    *(dense(taps, "float64") for taps in (3, 7)),
    integers("uint8", 3),
    integers("uint8", None),
    integers("uint16", None),
    *(small(planned, dtype) for planned in (True, False) for dtype in ("float32", "float64")),
    line(11),
    volume(),
)
