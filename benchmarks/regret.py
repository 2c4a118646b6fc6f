"""How much time the planner's choice costs over the best method, on a grid of problems.

    python benchmarks/regret.py [--tiny] [--seconds N] [--threads N] [--json FILE]

For each problem every method that takes it is timed in shuffled turns, except those that are
predicted to take more than 20 times the least prediction. Regret is the time of the chosen method
over that of the best. The order of the problems is shuffled once and for all: fewer seconds give a
fair sample of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cases.common import Array, Contenders, outer, samples
from machine import Load, processor
from timing import in_turns, threads, timed, versions

import faltung
from faltung import planner
from faltung.explain import times as sizes

SLOWER = 20  # predicted so many times slower than the best: not timed
LONGEST = 2.0  # seconds that a run may be predicted to take
TURN = 0.15  # seconds for each method of a problem, about
CLOSE = 1.5
SHAPES: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((100,), (10**4,), (300_000,), (4_000_000,)),
    2: ((10, 10), (64, 64), (480, 640), (2000, 2000)),
    3: ((5, 5, 5), (20, 24, 28), (64, 64, 64), (150, 160, 160)),
}
TAPS = {
    1: (2, 3, 5, 9, 17, 33, 65, 129, 257, 513, 1001, 2001),
    2: (2, 3, 5, 7, 11, 15, 23, 31, 63, 127, 255, 501),
    3: (2, 3, 5, 7, 9, 13, 21, 33),
}
KINDS = ("dense", "separable", "box", "sparse", "Gaussian", "Gaussian to 1e-3")
DTYPES = ("float32", "float64", "uint8", "int32")
NUMBER = {1: 80, 2: 110, 3: 50}


class Setting(NamedTuple):
    """A problem of the grid, in words and numbers."""

    shape: tuple[int, ...]
    taps: tuple[int, ...]
    kind: str
    dtype: str
    mode: str
    boundary: str

    def __str__(self) -> str:
        shape, taps = sizes(self.shape), sizes(self.taps)
        return f"{self.dtype} {shape} {self.kind} {taps} {self.mode} {self.boundary}"

    def kernel(self) -> Array:
        """Return the taps: integers on integers, floats of the input's precision on floats."""
        rng = np.random.default_rng(0)
        if self.kind.startswith("Gaussian"):
            reaches = [(n - 1) / 2 for n in self.taps]
            return outer(
                *(
                    np.exp(-8 * (np.arange(n) - r) ** 2 / max(r, 0.5) ** 2)
                    for n, r in zip(self.taps, reaches, strict=True)
                )
            ).astype("float64" if self.dtype == "float64" else "float32")
        if self.kind == "separable":
            k = outer(*(rng.integers(-9, 10, n) + 0.0 for n in self.taps))
        elif self.kind == "box":
            k = np.ones(self.taps)
        else:
            k = rng.integers(-99, 100, self.taps) + 0.0
            if self.kind == "sparse":
                k *= rng.random(self.taps) < 0.05
        return k.astype("int32" if self.dtype in ("uint8", "int32") else self.dtype)

    def plan(self) -> faltung.Plan:
        tolerance = 1e-3 if self.kind.endswith("1e-3") else None
        return faltung.plan(
            self.shape, self.dtype, self.kernel(), mode=self.mode, boundary=self.boundary,
            tolerance=tolerance,
        )  # fmt: skip


def grid() -> list[Setting]:
    """Return the problems: of each rank a fair sample of all combinations, always the same."""
    rng = random.Random(0)
    found = []
    for rank, number in NUMBER.items():
        cells = [
            (shape, taps, kind)
            for shape, taps, kind in itertools.product(SHAPES[rank], TAPS[rank], KINDS)
            if taps <= min(shape) and not (kind == "separable" and rank == 1)
        ]
        rng.shuffle(cells)
        for shape, taps, kind in cells[:number]:
            sides = [taps] * rank
            if rank > 1 and rng.random() < 0.15:  # along one axis only
                sides = [1] * rank
                longest = rng.randrange(rank)
                sides[longest] = min(4 * taps, shape[longest], 2001)
            mode = rng.choice(("same", "same", "full", "valid"))
            boundary = rng.choice(("constant", "reflect", "wrap")) if mode == "same" else "constant"
            dtype = rng.choice(DTYPES)
            found.append(Setting(shape, tuple(sides), kind, dtype, mode, boundary))
    rng.shuffle(found)
    return found


def small(setting: Setting) -> bool:
    """Say whether the problem is done in a moment, whatever the method."""
    return math.prod(setting.shape) <= 20_000 and math.prod(setting.taps) <= 300


def measure(setting: Setting, tiny: bool) -> dict[str, Any] | None:
    """Time every promising method on one problem; None where the best takes too long."""
    plan = setting.plan()
    costs = {c.method: c.cost.seconds for c in plan.candidates() if c.taken and c.cost}
    least = min(costs.values())
    if least > LONGEST:
        return None
    x = samples(setting.shape, setting.dtype)
    if setting.dtype == "int32":
        x >>= 8  # sums within int64, whatever the method
    out = np.empty(plan.shape, plan.dtype)
    calls: Contenders = {}
    for method in costs:
        if method == plan.method or costs[method] <= min(SLOWER * least, LONGEST):
            other = planner.choose(replace(plan.problem, method=method))
            calls[method] = partial(other, x, out=out)
    warm = {name: timed(call)[0] for name, call in calls.items()}
    turns = in_turns(calls, warm, 0.01 if tiny else TURN, 3 if tiny else 50)
    times = {name: min(t) for name, t in turns.items()}
    best = min(times, key=lambda name: times[name])
    return {
        "problem": str(setting),
        "chosen": plan.method,
        "best": best,
        "regret": times[plan.method] / times[best],
        "milliseconds": {name: t * 1e3 for name, t in times.items()},
        "predicted_milliseconds": {name: s * 1e3 for name, s in costs.items()},
    }


def line(row: dict[str, Any]) -> str:
    """Write a result as one line."""
    times = ", ".join(
        f"{name} {t:.3f} ({row['predicted_milliseconds'][name]:.3f})"
        for name, t in sorted(row["milliseconds"].items(), key=lambda pair: pair[1])
    )
    return f"{row['problem']:<66}{row['chosen']:<10}{row['best']:<10}{row['regret']:7.2f}   {times}"


def percentiles(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the percentiles of regret."""
    regrets = [row["regret"] for row in rows]
    return {str(q): float(np.percentile(regrets, q)) for q in (50, 95, 100)} if regrets else {}


def is_close(row: dict[str, Any]) -> bool:
    """Say whether the time of the chosen method was predicted well."""
    chosen = row["chosen"]
    off = row["milliseconds"][chosen] / row["predicted_milliseconds"][chosen]
    return bool(1 / CLOSE <= off <= CLOSE)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Print and return the percentiles, the worst ten, and how good the predictions were."""
    choices = [row for row in rows if len(row["milliseconds"]) > 1]
    summary: dict[str, Any] = {}
    for name, part in (("all", rows), ("with a choice", choices)):
        found = summary[name] = percentiles(part)
        numbers = ", ".join(f"{q} % {regret:.2f}" for q, regret in found.items())
        print(f"regret, {len(part)} problems {name}: {numbers}")
    right = summary["best_chosen"] = sum(r["chosen"] == r["best"] for r in rows) / len(rows)
    close = summary["predicted"] = sum(map(is_close, rows)) / len(rows)
    print(f"the best method chosen: {100 * right:.0f} %", end="; ")
    print(f"predicted within a factor of {CLOSE}: {100 * close:.0f} %")
    print("the worst ten:")
    for row in sorted(rows, key=lambda row: -row["regret"])[:10]:
        print(line(row))
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true", help="small problems only, few repeats")
    parser.add_argument("--seconds", type=float, help="begin no further problem after so many")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args()
    problems = [setting for setting in grid() if not options.tiny or small(setting)]
    end = time.perf_counter() + (options.seconds or float("inf"))
    rows: list[dict[str, Any]] = []
    slow, load = 0, Load()
    print(f"{'problem':<66}{'chosen':<10}{'best':<10}{'regret':>7}   ms (predicted)")
    with threads(options.threads):
        for setting in problems:
            if rows and time.perf_counter() > end:
                break
            row = measure(setting, options.tiny)
            if row is None:
                slow += 1
                continue
            rows.append(row)
            print(line(row), flush=True)
    if slow:
        print(f"{slow} problems left out: predicted to take more than {LONGEST:g} s")
    summary = summarise(rows)
    others = load.of_others()
    if others is not None:
        print(f"other processes took {100 * others:.0f} % of the processors' time")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "tiny": options.tiny,
            "processor": processor(),
            "threads": options.threads,
            "versions": versions(),
            "load_of_others": others,
            "problems": len(problems),
            "regret": summary,
            "results": rows,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
