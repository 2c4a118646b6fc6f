"""Time sums of distributions, and say how right their tails are, beside one plain transform.

The peer is SciPy: ``fftconvolve`` for a pair, and a power of ``scipy.fft.rfft`` for copies. Errors
are the greatest relative ones of sf where it is more than 1e-250, against exact integers.

Run it as ``python benchmarks/distributions.py``; ``--tiny`` is quick, ``--json FILE`` keeps it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal, stats

from faltung.distributions import PMF, poisson
from faltung.distributions.exact import scaled_integers

Array = NDArray[Any]


def best(call: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Return the least of some times in seconds, and the result."""
    times, result = [], None
    for _ in range(rounds):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def one_transform(p: Array, copies: int) -> Array:
    """Return the sum of copies as it is usually computed."""
    size = (len(p) - 1) * copies + 1
    length = fft.next_fast_len(size, real=True)
    found: Array = fft.irfft(fft.rfft(p, length) ** copies, length)[:size]
    return found


def upper(p: Array) -> Array:
    """Return the sums from each to the last."""
    return np.cumsum(p[::-1])[::-1]


def worst(found: Array, true: Array) -> float:
    """Return the greatest relative error where the truth is above 1e-250."""
    there = true > 1e-250
    return float(np.abs(found[there] / true[there] - 1).max())


def dice(copies: int) -> dict[str, Any]:
    """Return the case of loaded dice."""
    die = PMF([1, 2, 3, 4, 5, 6], origin=1, normalise=True)
    whole: Any = die.repeat(copies).masses
    down = list(itertools.accumulate(reversed(whole.numerators)))[::-1]
    true = scaled_integers(down, whole.denominator).floats()
    floats = die.rounded()
    ours, x = best(lambda: floats.repeat(copies), 3)
    peer, y = best(lambda: one_transform(floats.probabilities, copies), 3)
    return {
        "case": f"{copies:,} loaded dice", "seconds": ours, "peer_seconds": peer,
        "error": worst(x.scaled[::-1].running()[::-1].floats(), true),
        "peer_error": worst(upper(y), true), "method": x.method,
    }  # fmt: skip


def pair() -> dict[str, Any]:
    """Return the case of two Poisson variables."""
    x = poisson(50)
    ours, found = best(lambda: (x + x).sf(300), 3)
    p = stats.poisson(50).pmf(np.arange(400))
    peer, noisy = best(lambda: float(signal.fftconvolve(p, p)[301:].sum()), 3)
    true = float(poisson(100).sf(300))
    return {
        "case": "poisson:50 twice, P(X > 300)", "seconds": ours, "peer_seconds": peer,
        "error": abs(found / true - 1), "peer_error": abs(noisy / true - 1),
        "method": (x + x).method,
    }  # fmt: skip


def copies(n: int, points: int) -> dict[str, Any]:
    """Return the case of many copies, which no plain transform of the whole would fit."""
    x = PMF(np.random.default_rng(0).random(points), normalise=True)

    def quantile() -> tuple[Any, PMF]:
        total = x.repeat(n)
        return total.isf_bounds(1e-12), total

    ours, (found, total) = best(quantile, 1)
    return {
        "case": f"{n:,} copies of {points:,} points, isf(1e-12)", "seconds": ours,
        "peer_seconds": None, "error": float(found[1] - found[0]) / found[0], "peer_error": None,
        "method": total.method,
    }  # fmt: skip


def main() -> None:
    """Print the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cases = [pair(), dice(100 if given.tiny else 1000)]
    cases.append(copies(10**4, 100) if given.tiny else copies(10**6, 1000))
    for case in cases:
        peer = "-" if case["peer_seconds"] is None else f"{1e3 * case['peer_seconds']:.2f} ms"
        wrong = "-" if case["peer_error"] is None else f"{case['peer_error']:.1e}"
        print(f"{case['case']}\n  faltung {1e3 * case['seconds']:.2f} ms, off {case['error']:.1e}")
        print(f"  SciPy   {peer}, off {wrong}\n  {case['method']}")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(cases, indent=2))


if __name__ == "__main__":
    main()
