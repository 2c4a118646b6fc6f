"""What this machine can do at the most: copy bandwidth and multiply-adds per second."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np


def best(function: Callable[[], Any], repeats: int = 7) -> float:
    """Return the least seconds of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def bandwidth(threads: int, size: int = 1 << 27) -> float:
    """Measure bytes per second, read and written, of a copy that leaves the cache."""
    source, target = np.ones(size // 8), np.empty(size // 8)
    target.fill(0)
    parts = np.array_split(np.arange(size // 8), threads)
    ranges = [slice(int(p[0]), int(p[-1]) + 1) for p in parts]
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda r: np.copyto(target[r], source[r]), ranges))

        return 2 * size / best(copy)


def multiply_adds(dtype: str, n: int = 1024) -> float:
    """Measure multiply-adds per second of a matrix product, in NumPy's own BLAS."""
    a, b = np.ones((n, n), dtype), np.ones((n, n), dtype)
    return n**3 / best(lambda: a @ b)


class Load:
    """The processors' time since this was made, and how much of it other processes took."""

    def __init__(self) -> None:
        self.before = self._seconds()

    @staticmethod
    def _seconds() -> tuple[float, float, float] | None:
        """Return wall-clock seconds, all processes' and our own seconds on the processors."""
        try:
            fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        except OSError:
            return None
        ticks = [int(f) for f in fields]
        busy = sum(ticks[:8]) - ticks[3] - ticks[4]  # neither idle nor waiting for a disk
        own = os.times()
        used = own.user + own.system + own.children_user + own.children_system
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), used

    def of_others(self) -> float | None:
        """Return the part of the processors' time that others took; None where unknown."""
        before, now = self.before, self._seconds()
        if before is None or now is None:
            return None
        wall, busy, used = (b - a for a, b in zip(before, now, strict=True))
        return max(0.0, busy - used) / (wall * (os.cpu_count() or 1))


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe(threads: int, tiny: bool) -> dict[str, Any]:
    """Measure and describe the machine."""
    size = 1 << 22 if tiny else 1 << 27
    n = 256 if tiny else 2048
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "bandwidth": bandwidth(threads, size),
        "multiply_adds": {d: multiply_adds(d, n) for d in ("float32", "float64")},
    }
