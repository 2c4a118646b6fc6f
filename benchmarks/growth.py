"""Time per pixel against the side of the kernel, dense and Gaussian.

    python benchmarks/growth.py [--tiny] [--threads N] [--seconds N] [--output FOLDER]

Writes the numbers to growth.json, and a plot to growth.png where matplotlib is installed. Pictures
are float32, their ends mirrored. A contender whose run takes longer than the seconds is not given
greater kernels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cases.common import Array, Contenders, bell, outer, peer, samples, taps_of
from machine import Load, processor
from timing import in_turns, threads, timed, versions

import faltung

SIDES = (1, 3, 5, 7, 11, 15, 23, 31, 47, 63, 95, 127, 181, 257, 363, 513)
Curves = dict[str, list[tuple[int, float]]]
COLOURS = {
    "faltung": "#b5121b",
    "faltung, tolerance 1e-3": "#e58a2e",
    "OpenCV": "#1f5fa8",
    "SciPy ndimage": "#5b8c5a",
    "SciPy oaconvolve": "#777777",
}


def dense(x: Array, side: int) -> Contenders:
    """Return what filters with a random kernel."""
    k, reach = taps_of((side, side), "float32"), side // 2
    calls: Contenders = {"faltung": partial(faltung.correlate, x, k, boundary="reflect")}
    if cv2 := peer("cv2"):
        calls["OpenCV"] = lambda: cv2.filter2D(x, -1, k)
    if ndimage := peer("scipy.ndimage"):
        calls["SciPy ndimage"] = lambda: ndimage.correlate(x, k, mode="mirror")
    if signal := peer("scipy.signal"):
        calls["SciPy oaconvolve"] = lambda: signal.oaconvolve(
            np.pad(x, reach, mode="reflect"), k[::-1, ::-1], "valid"
        )
    return calls


def gaussian(x: Array, side: int) -> Contenders:
    """Return what filters with a Gaussian cut off at 4 sigma."""
    reach = side // 2
    sigma = max(reach, 0.5) / 4
    taps = bell(sigma, reach)
    k = outer(taps, taps).astype(np.float32)
    ours = partial(faltung.correlate, x, k, boundary="reflect")
    calls: Contenders = {"faltung": ours, "faltung, tolerance 1e-3": partial(ours, tolerance=1e-3)}
    if cv2 := peer("cv2"):
        calls["OpenCV"] = lambda: cv2.GaussianBlur(x, (side, side), sigma)
    if ndimage := peer("scipy.ndimage"):
        calls["SciPy ndimage"] = lambda: ndimage.gaussian_filter(
            x, sigma, mode="mirror", radius=reach
        )
    return calls


def grow(
    make: Callable[[Array, int], Contenders], x: Array, sides: tuple[int, ...], seconds: float
) -> Curves:
    """Return the nanoseconds per pixel of every contender at every side."""
    curves: Curves = {}
    slow: set[str] = set()
    for side in sides:
        calls = {name: call for name, call in make(x, side).items() if name not in slow}
        warm = {name: timed(call)[0] for name, call in calls.items()}
        times = in_turns(calls, warm, seconds, repeats=9)
        for name, runs in times.items():
            curves.setdefault(name, []).append((side, min(runs) / x.size * 1e9))
            if min(runs) > seconds:
                slow.add(name)
        print(
            f"{side:>5}  ",
            ", ".join(f"{n} {c[-1][1]:.3f}" for n, c in curves.items() if n in calls),
        )
    return curves


def apart(heights: list[float], least: float) -> list[float]:
    """Move heights up until neighbours are ``least`` apart, none more than it must."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    moved = list(heights)
    for below, above in itertools.pairwise(order):
        moved[above] = max(moved[above], moved[below] + least)
    return moved


def plot(panels: dict[str, Curves], path: Path, subtitle: str) -> bool:
    """Draw the curves, each labelled at its end; say whether matplotlib was there to do it."""
    if peer("matplotlib") is None:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.8), sharey=True, layout="constrained")
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        axis.set(xscale="log", yscale="log", title=title, xlabel="side of the kernel, taps")
        longest = max(curve[-1][0] for curve in curves.values())
        ends = [math.log10(curve[-1][1]) for curve in curves.values()]
        for (name, curve), height in zip(curves.items(), apart(ends, 0.2), strict=True):
            sides, times = zip(*curve, strict=True)
            colour = COLOURS[name]
            width = 2.2 if name.startswith("faltung") else 1.3
            axis.plot(sides, times, color=colour, linewidth=width)
            # a curve that ends early is labelled on its left, where no other one runs on
            early = sides[-1] < longest
            axis.annotate(
                name, (sides[-1], 10**height), (-6 if early else 6, 0),
                textcoords="offset points", ha="right" if early else "left", va="center",
                color=colour, fontsize=9, annotation_clip=False,
            )  # fmt: skip
        axis.set_xlim(1, 3000)
        ticks = [1, 3, 7, 15, 31, 63, 127, 257, 513]
        axis.set_xticks(ticks, [str(n) for n in ticks], fontsize=8)
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines["bottom"].set_bounds(1, 513)
        axis.grid(axis="y", color="#e6e6e6", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0].set_ylabel("ns per pixel")
    figure.suptitle(subtitle, fontsize=9, color="#555555")
    figure.savefig(path, dpi=130)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true", help="a small picture, small kernels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2, help="for each contender, about")
    parser.add_argument("--output", type=Path, default=Path("docs"), metavar="FOLDER")
    options = parser.parse_args()
    shape = (120, 160) if options.tiny else (1080, 1920)
    x = samples(shape, "float32")
    sides = tuple(n for n in SIDES if not options.tiny or n <= 31)
    panels: dict[str, Curves] = {}
    load = Load()
    with threads(options.threads):
        for title, make in (("Dense kernel", dense), ("Gaussian, cut off at 4 sigma", gaussian)):
            print(f"{title}: ns per pixel")
            panels[title] = grow(make, x, sides, 0.02 if options.tiny else options.seconds)
    others = load.of_others()
    record: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "shape": shape,
        "dtype": "float32",
        "boundary": "reflect",
        "processor": processor(),
        "threads": options.threads,
        "versions": versions(),
        "load_of_others": others,
        "nanoseconds_per_pixel": panels,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "growth.json").write_text(json.dumps(record, indent=1) + "\n")
    about = (
        f"float32 {shape[0]} x {shape[1]}, borders included, {options.threads} threads, "
        f"{record['processor']}"
    )
    if not plot(panels, options.output / "growth.png", about):
        print("no plot: matplotlib is not installed (pip install matplotlib)")
    if others is not None:
        print(f"other processes took {100 * others:.0f} % of the processors' time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
