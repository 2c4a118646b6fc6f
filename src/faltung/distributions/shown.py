"""Distributions as text, in notebooks, and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.lattice import shown

if TYPE_CHECKING:
    from faltung.distributions.pmf import PMF
    from faltung.distributions.ways import Ways

Array = NDArray[Any]
CENTRAL = 1e-4  # mass that a histogram leaves out at its ends, together
EIGHTHS = " ▏▎▍▌▋▊▉█"


def explain(x: PMF) -> str:
    """Return how a distribution was computed, and what is certain of it."""
    exact = "exact" if x.exact else f"each within {x.error:.2g} of itself"
    lost = "nothing"
    if x.lost.total:
        exact += ", but for what was cut off"
        parts = zip(("below", "anywhere", "above"),
                    (x.lost.below, x.lost.anywhere, x.lost.above), strict=True)  # fmt: skip
        lost = ", ".join(f"at most {mass:.3g} {where}" for where, mass in parts if mass)
    logs = x.scaled.log2()
    least = float(logs[np.isfinite(logs)].min()) * np.log10(2)
    size = f"1e{least:.0f}" if least < -300 else f"{10**least:.3g}"
    return "\n".join((
        repr(x),
        f"  method         {x.method}",
        f"  probabilities  {exact}; the smallest is {size}",
        f"  cut off        {lost}",
        f"  memory         {x.scaled.mantissa.nbytes + x.scaled.exponent.nbytes:,} bytes",
    ))  # fmt: skip


def bars(x: PMF, rows: int) -> list[tuple[str, float]]:
    """Return labels and masses of the middle, several values together where there are many."""
    there = np.flatnonzero(x.scaled.mantissa)
    if len(there) <= rows:
        floats = x.scaled.floats()
        return [(shown(x.origin + x.step * int(n)), float(floats[n])) for n in there]
    floats = x.scaled.floats()
    running = np.cumsum(floats)
    first = int(np.searchsorted(running, CENTRAL / 2 * running[-1]))
    last = int(np.searchsorted(running, (1 - CENTRAL / 2) * running[-1]))
    last = min(last, len(x) - 1)
    together = max(1, -(-(last - first + 1) // rows))
    found = []
    for start in range(first, last + 1, together):
        stop = min(start + together, last + 1)
        label = shown(x.origin + x.step * start)
        if together > 1:
            label += f" to {shown(x.origin + x.step * (stop - 1))}"
        found.append((label, float(floats[start:stop].sum())))
    return found


def text(x: PMF, rows: int = 16, width: int = 40) -> str:
    """Return a histogram in letters: values, masses, bars.

    >>> from faltung.distributions import die
    >>> print(text(die(2) + die(2), width=8))
    2  25      %  ████
    3  50      %  ████████
    4  25      %  ████
    """
    if rows < 1 or width < 1:
        raise ValueError(f"rows={rows} and width={width} must be at least 1.")
    table = bars(x, rows)
    most = max(mass for _, mass in table)
    wide = max(len(label) for label, _ in table)
    lines = []
    for label, mass in table:
        eighths = round(8 * width * mass / most) if most else 0
        bar = EIGHTHS[8] * (eighths // 8) + EIGHTHS[eighths % 8].strip()
        lines.append(f"{label:>{wide}}  {percent(mass)}  {bar}".rstrip())
    return "\n".join(lines)


def percent(mass: float) -> str:
    """Return a share in nine letters.

    >>> percent(0.5), percent(1 / 3), percent(1e-7)
    ('50      %', '33.333  %', '1e-05   %')
    """
    share = 100 * mass
    return f"{share:<8.5g}%" if share >= 0.001 or share == 0 else f"{share:<8.0e}%"


def html(x: PMF) -> str:
    """Return the summary and a histogram for notebooks."""
    from html import escape

    return f"<pre>{escape(repr(x))}\n\n{escape(text(x))}</pre>"


def pyplot() -> Any:
    """Return matplotlib's figure, or raise what to install."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError(
            "drawing needs matplotlib, which is not installed: pip install 'faltung[plot]'."
        ) from None
    return Figure


def plot(x: PMF, path: Any, log: bool, title: str) -> Any:
    """Draw probabilities, or the logarithms of tails."""
    figure = pyplot()(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    if log:
        at = thin(len(x))
        values = np.array([float(x.origin + x.step * int(n)) for n in at])
        to_ten = np.log10(2)
        axes.plot(values, x.scaled[::-1].running()[::-1][at].log2() * to_ten, label="P(X >= x)")
        axes.plot(values, x.scaled.running()[at].log2() * to_ten, label="P(X <= x)")
        axes.plot(values, x.scaled.log2()[at] * to_ten, ":", color="0.3", label="probability")
        axes.set_ylabel("log10 of the probability")
        axes.legend()
    else:
        values, masses = middle(x)
        if len(values) < 100 and values[-1] - values[0] < 200 * float(x.step):
            axes.bar(values, masses, width=0.8 * float(x.step))
        elif len(values) < 1000:
            axes.vlines(values, 0, masses)
        else:
            axes.fill_between(values, masses, step="mid", linewidth=0)
        axes.set_ylabel("probability")
        axes.set_ylim(bottom=0)
    axes.set_xlabel("value")
    axes.set_title(title or repr(x)[5:-1], fontsize=10)
    return written(figure, path)


def plot_ways(table: Ways, path: Any, title: str) -> Any:
    """Draw what each way contributes to one number of a sum."""
    figure = pyplot()(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    at = [float(row[0]) for row in table]
    masses = [float(row[4]) for row in table]
    if len(at) < 100:
        apart = min(np.diff(at), default=1.0)
        axes.bar(at, masses, width=0.8 * apart)
        for a, mass, row in zip(at, masses, table.rows, strict=True):
            if len(at) <= 12:
                axes.annotate(f"{row[0]} + {row[1]}", (a, mass), ha="center", va="bottom")
    else:
        axes.vlines(at, 0, masses)
    axes.set_xlabel("a")
    axes.set_ylabel("f(a) g(b)")
    axes.set_title(title or str(table).splitlines()[-1], fontsize=10)
    return written(figure, path)


def middle(x: PMF) -> tuple[Array, Array]:
    """Return values that are possible, without far ends where there are many, and their masses."""
    floats = x.scaled.floats()
    there = np.flatnonzero(floats)
    if len(there) > 60:
        running = np.cumsum(floats)
        low, high = np.searchsorted(running, running[-1] * np.array([CENTRAL / 2, 1 - CENTRAL / 2]))
        there = there[(there >= low) & (there <= high)]
    return x.values[there], floats[there]


def thin(count: int) -> Array:
    """Return indices, about four thousand at most, the ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, 4000)).round().astype(int))


def written(figure: Any, path: Any) -> Any:
    """Write a figure whole or not at all, or return it."""
    if path is None:
        return figure
    from pathlib import Path

    from faltung.image import replace_whole

    target = Path(path)
    kind = target.suffix.lstrip(".").lower()
    known = sorted(figure.canvas.get_supported_filetypes())
    if kind not in known:
        raise ValueError(f"{target.name}: plots are written as {', '.join(known)}.")
    replace_whole(target, lambda file: figure.savefig(file, format=kind, dpi=120))
    return None
