"""Plots of smoothed tracks, through matplotlib, which the extra ``faltung[plot]`` brings."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from faltung.dtypes import Array
from faltung.signal.smoothing import Smoothed

GAP = 10  # usual steps without a sample, over which no line is drawn
ENDINGS = (".png", ".svg", ".pdf")
PAPER, INK, FAINT, LINE, FILL = "#faf9f6", "#1e1e1e", "#9a978f", "#2563a8", "#c9d8e8"


def check_ending(path: str) -> None:
    """Raise ValueError unless a figure can be written to a file of this name.

    Raises
    ------
    ValueError
        Where the ending is unknown, or matplotlib is not there.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: plots are written to {', '.join(ENDINGS)}.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError(
            f"{path}: plots need matplotlib; install it with pip install 'faltung[plot]'."
        ) from None


def track_figure(
    samples: Mapping[str, Array],
    smoothed: Mapping[str, Smoothed],
    times: Array | None = None,
    *,
    weights: str = "",
    truth: Mapping[str, tuple[Array, Array]] | None = None,
    unit: str = "",
) -> Any:
    """Return a figure of tracks as read and as smoothed, and how much of the weight was there.

    Parameters
    ----------
    samples, smoothed : mappings of names to arrays of n numbers, and to what became of them
    times : array, optional
        n numbers; the samples' places, if not given.
    weights : str
        What they are called, for the legend.
    truth : mapping of names to (times, values), optional
        Drawn beneath.
    unit : str
        Of the times.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    count = len(samples)
    figure = Figure(figsize=(9, 2 + 2.6 * count), facecolor=PAPER, layout="constrained")
    panels = figure.subplots(
        count + 1, 1, sharex=True, squeeze=False, height_ratios=[3] * count + [1]
    )[:, 0]
    for panel, (name, read) in zip(panels, samples.items(), strict=False):
        t = np.arange(read.size) if times is None else times
        if truth is not None:
            panel.plot(*truth[name], color=FAINT, lw=1, ls="--", label="true")
        panel.plot(t, read, ".", color=INK, ms=4, label="read")
        line = broken(t, smoothed[name].values)
        panel.plot(*line, color=LINE, lw=1.8, label=f"smoothed {weights}")
        panel.ticklabel_format(axis="y", useOffset=False)
        panel.set_ylabel(name)
        panel.legend(loc="best", frameon=False, fontsize=9)
    below = panels[-1]
    for name, each in smoothed.items():
        t = np.arange(each.coverage.size) if times is None else times
        line = broken(t, each.coverage)
        below.fill_between(*line, color=FILL, alpha=0.6 / count, lw=0)
        below.plot(*line, ".-", ms=3, lw=0.8, label=name)
    if count > 1:
        below.legend(loc="best", frameon=False, fontsize=8, ncols=count)
    below.set_ylim(0, 1.05 * max([1.0, *(each.coverage.max() for each in smoothed.values())]))
    below.set_ylabel("coverage")
    below.set_xlabel(f"time{f' in {unit}' if unit else ''}" if times is not None else "sample")
    for panel in panels:
        panel.set_facecolor(PAPER)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def broken(t: Array, values: Array) -> tuple[Array, Array]:
    """Return a line that is interrupted where no sample stands for ten usual steps."""
    steps = np.diff(t)
    usual = float(np.median(steps)) if steps.size else 0.0
    after = np.flatnonzero(steps > GAP * usual) + 1 if usual > 0 else np.zeros(0, int)
    return np.insert(t.astype(float), after, t[after]), np.insert(values, after, np.nan)


def written_figure(figure: Any, ending: str) -> bytes:
    """Return the bytes of a figure's file."""
    file = io.BytesIO()
    figure.savefig(file, format=ending.lower().lstrip("."), dpi=110)
    return file.getvalue()
