"""Time faltung and its installed peers on the same work, in one process, in shuffled turns.

    python benchmarks/run.py [--tiny] [--only PATTERN] [--threads N] [--seconds N] [--json FILE]

Prints the least time of each contender, the ratio of the best peer's to ours, and whether that
meets the case's target. "plan" is our time once the plan is made, beside it what the planner
predicted, and the percentage of the machine's own limit that this reaches: the larger of bytes over
measured copy bandwidth and multiply-adds over the measured peak of a matrix product (more than 100:
fewer multiply-adds were needed, or narrower ones). The share of the processors' time that other
processes took is printed too: where it is more than a few percent, run it again.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, Case
from machine import Load, describe
from timing import in_turns, threads, timed, versions

CLOSE = 1.5  # a prediction within this factor of the time is a good one


def difference(answer: Any, ours: Any, scale: float) -> float:
    """Return the greatest difference: of floats, over the scale."""
    answer = np.asarray(answer)
    if answer.shape != ours.shape:
        return float("inf")
    if ours.dtype.kind in "iu":
        return float(np.abs(answer.astype(np.int64) - ours.astype(np.int64)).max())
    return float(np.abs(answer - ours).max() / scale)


def measure(case: Case, tiny: bool, seconds: float, machine: dict[str, Any]) -> dict[str, Any]:
    """Run one case: every contender in turn, several times over."""
    work = case.make(tiny)
    plan = work.plan()
    calls = {"faltung": work.call, "plan": lambda: plan(work.x), **work.peers}
    warm, differences = {}, {}
    ours = work.call()
    scale = float(np.abs(work.k).sum()) * float(np.abs(work.x).max())
    for name, call in calls.items():
        warm[name], answer = timed(call)
        differences[name] = difference(answer, ours, scale)
    del answer
    times = in_turns(calls, warm, seconds, 3 if tiny else case.repeats)
    least = {name: min(t) * 1e3 for name, t in times.items()}
    planned = least.pop("plan")
    if case.planned:
        least["faltung"] = planned
    peers = {name: t for name, t in least.items() if name != "faltung"}
    best_peer = min(peers, key=lambda name: peers[name]) if peers else None
    ratio = peers[best_peer] / least["faltung"] if best_peer else None
    peak = machine["multiply_adds"]["float64" if case.dtype == "float64" else "float32"]
    floor = max((work.x.nbytes + ours.nbytes) / machine["bandwidth"], ours.size * case.taps / peak)
    predicted = next(
        c.cost.seconds for c in plan.candidates() if c.method == plan.method and c.cost
    )
    return {
        "case": case.name,
        "milliseconds": least,
        "median": {name: float(np.median(t)) * 1e3 for name, t in times.items()},
        "best_peer": best_peer,
        "ratio": ratio,
        "target": case.target,
        "met": ratio is not None and ratio >= case.target,
        "method": plan.method,
        "plan_milliseconds": planned,
        "predicted_milliseconds": predicted * 1e3,
        "percent_of_limit": 100 * floor * 1e3 / planned,
        "difference": differences,
        "agrees": all(d <= case.tolerance for d in differences.values()),
    }


def line(row: dict[str, Any]) -> str:
    """Write a result as one line."""
    compared = f"{'-':>8}{row['target']:>8g}  -      "
    if row["ratio"] is not None:
        verdict = "met" if row["met"] else "missed"
        compared = f"{row['ratio']:8.2f}{row['target']:>8g}  {verdict:<7}"
    peers = ", ".join(f"{n} {t:.3f}" for n, t in row["milliseconds"].items() if n != "faltung")
    note = "" if row["agrees"] else "   ANSWERS DIFFER " + str(row["difference"])
    return (
        f"{row['case']:<32}{row['milliseconds']['faltung']:10.3f}{compared}{row['method']:<10}"
        f"{row['plan_milliseconds']:10.3f}{row['predicted_milliseconds']:11.3f}"
        f"{row['percent_of_limit']:9.0f}   {peers}{note}"
    )


def is_close(row: dict[str, Any]) -> bool:
    """Say whether the plan's time was predicted well."""
    off = row["plan_milliseconds"] / row["predicted_milliseconds"]
    return bool(1 / CLOSE <= off <= CLOSE)


def summarise(results: list[dict[str, Any]], tiny: bool) -> None:
    """Print how many targets were met, who is faster than we are, and how good predictions were."""
    if tiny:
        print("tiny sizes: targets and predictions are for the true ones")
        return
    compared = [row for row in results if row["ratio"] is not None]
    if compared:
        print(f"targets met: {sum(row['met'] for row in compared)} of {len(compared)}")
    faster = sorted((row for row in compared if row["ratio"] < 1), key=lambda row: row["ratio"])
    for row in faster:
        print(f"  a peer is faster: {row['case']}, {row['best_peer']}, ratio {row['ratio']:.2f}")
    if results:
        close = sum(map(is_close, results))
        print(
            f"predicted within a factor of {CLOSE}: {close} of {len(results)} "
            f"({100 * close / len(results):.0f} %)"
        )


def import_seconds(module: str, repeats: int) -> float:
    """Measure the import of a module in processes of their own, after that of NumPy."""
    code = (
        "import numpy, time; t = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - t)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]
    return min(runs)


def extra_memory(tiny: bool) -> float | None:
    """Measure the peak memory of a call beyond its input, in parts of the output's size."""
    if not Path("/proc/self/status").exists():
        return None
    # VmHWM belongs to the process image; the maximum of getrusage would be inherited from us
    code = f"""
import numpy as np, faltung
def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
x = np.ones({(540, 960) if tiny else (2160, 3840)}, np.float32)
k = np.ones((5, 5), np.float32)
faltung.convolve(x[:64], k, boundary="reflect")
before = peak()
y = faltung.convolve(x, k, boundary="reflect")
print((peak() - before) * 1024 / y.nbytes)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Run the cases that were asked for; the exit status is 1 where answers disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: does it all still work?")
    parser.add_argument("--only", default="", metavar="PATTERN", help="cases whose name matches")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--seconds", type=float, default=2, help="for each contender of a case, about"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args()
    with threads(options.threads):
        return report(options)


def report(options: argparse.Namespace) -> int:
    """Run the cases and write what was found."""
    machine = describe(options.threads, options.tiny)
    found = versions()
    print(f"{machine['processor']}, {options.threads} threads; ", end="")
    print(", ".join(f"{name} {number}" for name, number in found.items()))
    peaks = machine["multiply_adds"]
    print(
        f"limits: copy {machine['bandwidth'] / 1e9:.1f} GB/s, multiply-adds "
        f"{peaks['float32'] / 1e9:.0f} G/s float32, {peaks['float64'] / 1e9:.0f} G/s float64"
    )
    print(
        f"{'case':<32}{'ours ms':>10}{'ratio':>8}{'target':>8}  {'':<7}{'method':<10}"
        f"{'plan ms':>10}{'predicted':>11}{'% limit':>9}   peers, ms"
    )
    results = []
    load = Load()
    for case in CASES:
        if re.search(options.only, case.name):
            row = measure(case, options.tiny, options.seconds, machine)
            results.append(row)
            print(line(row), flush=True)
    summarise(results, options.tiny)
    others = load.of_others()
    summary: dict[str, Any] = {
        "load_of_others": others,
        "import_seconds": import_seconds("faltung", 3),
        "import_and_load_seconds": import_seconds("faltung.ops", 3),
        "extra_memory": extra_memory(options.tiny),
    }
    extra = summary["extra_memory"]
    memory = "unknown" if extra is None else f"{extra:.2f}"
    print(
        f"import faltung after numpy: {summary['import_seconds'] * 1e3:.1f} ms "
        f"({summary['import_and_load_seconds'] * 1e3:.0f} ms with the operator loaded); "
        f"peak memory of a call: {memory} of the output's size"
    )
    if others is not None:
        print(f"other processes took {100 * others:.0f} % of the processors' time")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "tiny": options.tiny,
            "machine": machine,
            "versions": found,
            "results": results,
            **summary,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(row["agrees"] for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
