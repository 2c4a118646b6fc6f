"""Draw docs/track.png: a noisy position track with gaps, smoothed by weights of age.

A car's position is read once a second. Each reading has an error, some readings are lost, and in a
tunnel there are none. The position told at each instant is the weighted average of the readings so
far, the newest heaviest; the weights of those that were lost are shared out among the others. Where
less than a tenth of the weight is left, deep in the tunnel, nothing is told.

Run it as ``python docs/track.py``, or ``make track``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung import kernels, signal
from faltung.cli.common import write_bytes
from faltung.signal.plots import FAINT, LINE, check_ending, track_figure, written_figure

TARGET = Path(__file__).parent / "track.png"
SECONDS, ERROR, LOST = 90, 12.0, 0.2  # metres of error, the part of the readings that is lost
TUNNEL = (52, 63)
ALPHA, LEAST = 0.3, 0.1
Track = NDArray[np.float64]


def position(t: Track) -> Track:
    """Return where the car is, in metres: it drives, stands at a light, and drives on faster."""
    speed = np.where(t < 25, 3.0, np.where(t < 38, 0.0, 5.0))
    return np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(t))])


def readings() -> tuple[Track, Track]:
    """Return the instants and what was read at each, NaN where nothing was."""
    rng = np.random.default_rng(2024)
    t = np.arange(float(SECONDS))
    read = position(t) + rng.normal(0, ERROR, SECONDS)
    lost = rng.random(SECONDS) < LOST
    lost[:3] = False  # the first outputs are looked at below
    lost[slice(*TUNNEL)] = True
    return t, np.where(lost, np.nan, read)


def smoothed() -> signal.Smoothed:
    """Return the track smoothed by weights that fall with age."""
    return signal.smooth(readings()[1], kernels.exponential_age(ALPHA), least=LEAST)


def figure() -> Any:
    """Return the figure."""
    t, read = readings()
    done = smoothed()
    fine = np.linspace(0, SECONDS - 1, 2000)
    name = "position in metres"
    drawn = track_figure(
        {name: read}, {name: done}, t, weights=f"by age, alpha = {ALPHA}",
        truth={name: (fine, position(fine))}, unit="seconds",
    )  # fmt: skip
    panel, below = drawn.axes
    for axes in (panel, below):
        axes.axvspan(TUNNEL[0] - 0.5, TUNNEL[1] - 0.5, color=FAINT, alpha=0.15, lw=0)
    panel.text(sum(TUNNEL) / 2 - 0.5, 300, "tunnel", color=FAINT, ha="center")
    small = panel.inset_axes((0.72, 0.10, 0.27, 0.30))
    ages = np.arange(12)
    small.bar(ages, done.weights[:12], color=LINE, width=0.7)
    small.set_title(f"weights by age in seconds; their sum is {done.weights.sum():.6g}", fontsize=8)
    small.tick_params(labelsize=7)
    small.spines[["top", "right"]].set_visible(False)
    drawn.suptitle(
        "A position read each second, and its average by age: "
        f"in steady motion {done.lag:.1f} seconds behind",
        fontsize=11,
    )
    return drawn


def main() -> None:
    """Write the picture."""
    check_ending(str(TARGET))
    write_bytes(TARGET, written_figure(figure(), ".png"))
    print(TARGET)


if __name__ == "__main__":
    main()
