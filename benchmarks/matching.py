"""Time template matching beside scikit-image's, and say how far the scores are apart.

Both find the normalised cross-correlation of the same arrays, of the same dtype; faltung's scores
are float64 and within 1e-6 of the exact ones for every dtype, scikit-image's of its precision. Both
run on one thread.

Run it as ``python benchmarks/matching.py``; ``--tiny`` is quick, ``--json FILE`` keeps it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from skimage.feature import match_template

import faltung
from faltung.signal import match

CASES = (
    ((512, 512), (16, 16)),
    ((1000, 1000), (50, 50)),
    ((1000, 1000), (15, 200)),
    ((600, 600), (300, 300)),
    ((2000, 2000), (100, 100)),
    ((64, 64, 64), (8, 8, 8)),
)
TINY = (((60, 70), (8, 9)),)
DTYPES = ("uint8", "float32", "float64")


def timed(calls: tuple[Callable[[], Any], ...], rounds: int) -> tuple[list[float], list[Any]]:
    """Return the least time of each call in seconds, taken in turns, and their results."""
    results = [call() for call in calls]
    least = [float("inf")] * len(calls)
    for _ in range(rounds):
        for n, call in enumerate(calls):
            start = time.perf_counter()
            call()
            least[n] = min(least[n], time.perf_counter() - start)
    return least, results


def case(shape: tuple[int, ...], taps: tuple[int, ...], dtype: str, rounds: int) -> dict[str, Any]:
    """Return the times of both for a template out of noise."""
    x = (255 * np.random.default_rng(0).random(shape)).astype(dtype)
    template = x[tuple(slice(3, 3 + n) for n in taps)].copy()
    calls = (lambda: match(x, template), lambda: match_template(x, template))
    (ours, peer), (scores, theirs) = timed(calls, rounds)
    name = f"{'x'.join(map(str, taps))} in {'x'.join(map(str, shape))}, {dtype}"
    apart = float(np.abs(scores - theirs).max())
    return {"case": name, "seconds": ours, "peer_seconds": peer, "apart": apart}


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="one small case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file")
    arguments = parser.parse_args()
    faltung.workers(1)
    found = []
    for shape, taps in TINY if arguments.tiny else CASES:
        for dtype in DTYPES:
            one = case(shape, taps, dtype, 2 if arguments.tiny else 5)
            found.append(one)
            ratio = one["seconds"] / one["peer_seconds"]
            print(
                f"{one['case']:38} {1e3 * one['seconds']:8.2f} ms, scikit-image "
                f"{1e3 * one['peer_seconds']:8.2f} ms, ratio {ratio:.2f}; apart {one['apart']:.1e}",
                flush=True,
            )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
