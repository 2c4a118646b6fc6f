"""Compute the numbers of docs/tails.md and draw docs/tails.png: privacy lost in many steps.

Run it as ``python docs/tails.py``, or ``make tails``. It needs matplotlib.
"""

from __future__ import annotations

import math
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special, stats

from faltung.distributions import PMF, Density

TARGET = Path(__file__).parent / "tails.png"
STEPS, RATIO = 1000, 0.1  # releases; sensitivity over the noise's standard deviation
GRID = 1e-4
EPSILONS = (8, 12, 20, 30, 40, 50)
Array = NDArray[Any]


def loss() -> Any:
    """Return the privacy loss of one release of the Gaussian mechanism."""
    return stats.norm(RATIO**2 / 2, RATIO)


def closed(epsilon: float) -> float:
    """Return delta by Balle and Wang (2018, theorem 8), in logarithms since both terms vanish."""
    mean = math.sqrt(STEPS) * RATIO
    first = float(special.log_ndtr(mean / 2 - epsilon / mean))
    second = epsilon + float(special.log_ndtr(-mean / 2 - epsilon / mean))
    return math.exp(first) * -math.expm1(second - first)


def delta(values: Array, probabilities: Array, epsilon: float) -> float:
    """Return ``sum p(l) (1 - exp(epsilon - l))`` over losses l above epsilon."""
    there = values > epsilon
    return float((probabilities[there] * -np.expm1(epsilon - values[there])).sum())


def plain_transform(cells: PMF) -> tuple[Array, Array]:
    """Return the same sum by one transform of float64, as it is usually done."""
    masses = cells.probabilities
    length = fft.next_fast_len(1 << 21)
    circle = fft.irfft(fft.rfft(masses, length) ** STEPS, length)
    first = int(cells.origin / cells.step) * STEPS
    mean = round(float(cells.mean() / cells.step) * STEPS)
    start = mean - length // 2
    return (np.arange(length) + start) * float(cells.step), np.roll(circle, first - start)


def main() -> None:
    """Print the table and write the figure."""
    start = time.perf_counter()
    one = Density.from_scipy(loss(), step=GRID, mass=1e-200)
    composed = one.repeat(STEPS)
    took = time.perf_counter() - start
    print(f"{composed}, in {took:.1f} s")
    print(composed.cells.explain())
    values, probabilities = composed.cells.values, composed.cells.probabilities
    moved = float(composed.displacement)
    missing = composed.cells.lost.total
    error = composed.cells.error
    plain = plain_transform(one.cells)
    print("| epsilon | closed form | faltung | certified | off | one transform |")
    print("| --- | --- | --- | --- | --- | --- |")
    for epsilon in EPSILONS:
        true = closed(epsilon)
        found = delta(values, probabilities, epsilon)
        low = delta(values, probabilities, epsilon + moved) * (1 - error)
        high = delta(values, probabilities, epsilon - moved) * (1 + error) + missing
        assert low <= true <= high
        noisy = delta(*plain, epsilon)
        print(
            f"| {epsilon} | {true:.6e} | {found:.6e} | {low:.3e} to {high:.3e} | "
            f"{found / true - 1:.1e} | {noisy:.3e} |"
        )
    draw(values, probabilities, plain)


def draw(values: Array, probabilities: Array, plain: tuple[Array, Array]) -> None:
    """Write the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    grid = np.linspace(0.5, 55, 110)
    noisy = np.abs([delta(*plain, at) for at in grid])
    left.plot(grid, noisy, color="0.6", label="one transform (size)")
    left.plot(grid, [closed(at) for at in grid], label="closed form")
    left.plot(
        grid[::5], [delta(values, probabilities, at) for at in grid[::5]], "o", label="faltung"
    )
    left.set_title(f"privacy lost in {STEPS:,} releases with Gaussian noise")
    left.set_xlabel("epsilon")
    left.set_ylabel("delta")
    die = PMF([Fraction(n, 21) for n in range(1, 7)], origin=1).rounded()
    dice = die.repeat(STEPS)
    at = np.arange(STEPS, 6 * STEPS)
    transform = fft.irfft(fft.rfft(die.probabilities, 5120) ** STEPS, 5120)[: 5 * STEPS + 1]
    right.plot(at, np.abs(np.cumsum(transform[::-1])[::-1][1:]), color="0.6", label="one transform")
    right.plot(at, dice.sf(at), label="faltung")
    right.set_title("1,000 loaded dice: probability of more than x")
    right.set_xlabel("x")
    for axes in (left, right):
        axes.set_yscale("log")
        axes.legend(loc="lower left")
    left.set_ylim(1e-60, 2)
    right.set_ylim(1e-300, 1e10)
    figure.savefig(TARGET, dpi=110)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
