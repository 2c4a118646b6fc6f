"""Time faltung and its installed peers on the same work, in one process, in shuffled turns.

    python benchmarks/run.py [--tiny] [--only PATTERN] [--threads N] [--json FILE]

Prints the least time of each contender, the ratio of the best peer's to ours, and the percentage
of the machine's own limit that ours reaches: the larger of bytes over measured copy bandwidth and
multiply-adds over the measured peak of a matrix product. The share of the processors' time that
other processes took is printed too: where it is more than a few percent, run it again.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, Case, peer
from machine import Load, describe

PEERS = ("numpy", "scipy", "opencv-python-headless", "scikit-image", "torch")


def versions() -> dict[str, str]:
    """Return the versions of what is compared."""
    import faltung

    found = {"faltung": faltung.__version__}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def set_threads(threads: int) -> None:
    """Give every peer the same number of threads."""
    if cv2 := peer("cv2"):
        cv2.setNumThreads(threads)
    if torch := peer("torch"):
        torch.set_num_threads(threads)


def measure(case: Case, tiny: bool, threads: int, machine: dict[str, Any]) -> dict[str, Any]:
    """Run one case: every contender in turn, several times over."""
    contenders = case.make(tiny, threads)
    answers = {name: np.asarray(call()) for name, call in contenders.items()}  # warms up, too
    ours = answers["faltung"]
    differences = {
        name: float(np.abs(answer.astype(float) - ours.astype(float)).max())
        for name, answer in answers.items()
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order, turns = list(contenders.items()), random.Random(0)
    for _ in range(3 if tiny else case.repeats):
        turns.shuffle(order)  # none always follows the same one and finds its leavings in the cache
        for name, call in order:
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    least = {name: min(t) * 1e3 for name, t in times.items()}
    peers = {name: t for name, t in least.items() if name != "faltung"}
    best_peer = min(peers, key=lambda name: peers[name]) if peers else None
    peak = machine["multiply_adds"]["float64" if case.dtype == "float64" else "float32"]
    floor = max(
        2 * ours.size * np.dtype(case.dtype).itemsize / machine["bandwidth"],
        ours.size * case.taps / peak,
    )
    return {
        "case": case.name,
        "milliseconds": least,
        "median": {name: float(np.median(t)) * 1e3 for name, t in times.items()},
        "best_peer": best_peer,
        "ratio": peers[best_peer] / least["faltung"] if best_peer else None,
        "percent_of_limit": 100 * floor * 1e3 / least["faltung"],
        "difference": differences,
        "agrees": all(d <= case.tolerance for d in differences.values()),
    }


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args()
    set_threads(options.threads)
    machine = describe(options.threads, options.tiny)
    found = versions()
    print(f"{machine['processor']}, {options.threads} threads; ", end="")
    print(", ".join(f"{name} {number}" for name, number in found.items()))
    peaks = machine["multiply_adds"]
    print(
        f"limits: copy {machine['bandwidth'] / 1e9:.1f} GB/s, multiply-adds "
        f"{peaks['float32'] / 1e9:.0f} G/s float32, {peaks['float64'] / 1e9:.0f} G/s float64"
    )
    print(f"{'case':<32}{'ours ms':>9}{'ratio':>8}{'% limit':>9}   peers, ms")
    results = []
    load = Load()
    for case in CASES:
        if not re.search(options.only, case.name):
            continue
        row = measure(case, options.tiny, options.threads, machine)
        results.append(row)
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
        peers = ", ".join(
            f"{name} {t:.3f}" for name, t in row["milliseconds"].items() if name != "faltung"
        )
        note = "" if row["agrees"] else "   ANSWERS DIFFER " + str(row["difference"])
        print(
            f"{row['case']:<32}{row['milliseconds']['faltung']:9.3f}{ratio:>8}"
            f"{row['percent_of_limit']:9.0f}   {peers}{note}"
        )
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
