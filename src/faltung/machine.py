"""The few constants of a machine that the cost of a method is predicted from, and their measuring.

The table ships with sensible values. :func:`calibrate` measures this machine's once and keeps them
in the user's cache directory, from where later processes take them. ``use(Machine())`` goes back to
the table that ships, in this process.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Machine", "calibrate", "keep", "load", "machine", "memory", "path", "use"]

KEPT = 32 << 20  # bytes of an array whose memory the process keeps for the next one (glibc)
CACHE = 8 << 20  # bytes that a last-level cache holds for sure
LONG = 1 << 16  # bytes that no table has
ODD = 1e6  # how many times off the defaults a value is no machine's
VERSION = 2  # of the table: another one is measured anew
BUSY = 1.5  # the ratio of two measurements of one thing from which the machine was not at rest
UNITS = {
    "multiply_adds": "per second and core",
    "bandwidth": "bytes per second",
    "cached": "bytes per second and core",
    "transform": "seconds per sample and stage",
    "fused": "seconds per sample and stage",
    "tile": "seconds per tile",
    "pages": "bytes per second",
    "copy": "bytes per second",
    "call": "seconds",
    "numpy_element": "seconds per tap and element",
    "numpy_call": "seconds per tap",
}
MEASURED = frozenset(UNITS) - {"tile", "pages", "copy"}  # those keep the values that ship


@dataclass(frozen=True)
class Machine:
    """What a machine does in a second, or how long it takes; the defaults are a current server's.

    Attributes
    ----------
    multiply_adds : float
        float32 multiply-adds per second of one core in a compiled loop.
    bandwidth : float
        Bytes per second that a call reads and writes, all cores together.
    cached : float
        Bytes of sums per second that one core adds up in its caches.
    transform : float
        Seconds for one float32 sample in one stage of a Fourier transform, on one core.
    fused : float
        Seconds for one float32 sample in one stage of the transforms of a window, on one core.
    tile : float
        Seconds that Python takes for a tile of a transform, one thread at a time.
    pages : float
        Bytes per second that the system hands out in new pages.
    copy : float
        Bytes per second that NumPy copies into strips along the ends, on one core.
    call : float
        Seconds that one compiled call costs at the least.
    numpy_element : float
        Seconds for one tap on one element in plain NumPy.
    numpy_call : float
        Seconds for one tap in plain NumPy at the least.
    """

    multiply_adds: float = 5e10
    bandwidth: float = 3e10
    cached: float = 1e11
    transform: float = 0.16e-9
    fused: float = 0.23e-9
    tile: float = 1.2e-4
    pages: float = 1.5e10
    copy: float = 3e9
    call: float = 1e-5
    numpy_element: float = 3e-9
    numpy_call: float = 3e-5

    def fresh(self, size: int) -> float:
        """Return the seconds for a new array: beyond some size its pages come from the system."""
        return size / self.pages if size > KEPT else 0.0

    def moving(self, size: int) -> float:
        """Return the seconds in which so many bytes pass: few of them do so within a cache."""
        return size / (self.bandwidth * (3 if size <= CACHE else 1))


def path() -> Path:
    """Return where this machine's table is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "faltung" / f"machine-{VERSION}.json"


def load() -> Machine | None:
    """Return the kept table; None where there is none, or, with a warning, where it is damaged."""
    try:
        kept = path()
        if not kept.is_file():  # a pipe would be waited for
            return None
        text = kept.read_text() if kept.stat().st_size <= LONG else ""
    except (OSError, RuntimeError):  # Path.home() may not be known
        return None
    except ValueError:  # no text
        text = ""
    usual = asdict(Machine())
    try:
        values = json.loads(text)
        found = Machine(**{f.name: float(values[f.name]) for f in fields(Machine)})
        if all(usual[n] / ODD < value < usual[n] * ODD for n, value in asdict(found).items()):
            return found
    except (ArithmeticError, ValueError, KeyError, TypeError, RecursionError):
        pass
    warnings.warn(
        f"the table of this machine in {kept} is damaged, and the one that ships is used; run "
        "`faltung calibrate` again, or delete the file.",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def keep(table: Machine) -> Path | None:
    """Write a table whole or not at all; None where that is impossible."""
    unfinished = None
    try:
        target = path()
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        unfinished.write_text(json.dumps(asdict(table), indent=1) + "\n")
        unfinished.replace(target)
    except (OSError, RuntimeError):
        if unfinished is not None:
            with contextlib.suppress(OSError):
                unfinished.unlink()
        return None
    return target


_in_use: Machine | None = None


def machine() -> Machine:
    """Return the table in use: the one that was measured here, or the one that ships.

    Returns
    -------
    Machine

    Examples
    --------
    >>> from faltung import machine
    >>> machine.machine().bandwidth > 0
    True
    """
    global _in_use
    if _in_use is None:
        _in_use = load() or Machine()
    return _in_use


def use(table: Machine) -> None:
    """Use a table in this process from now on; plans are made anew.

    Parameters
    ----------
    table : Machine
        ``Machine()`` is the one that ships.

    Examples
    --------
    >>> from faltung import machine
    >>> before = machine.machine()
    >>> machine.use(machine.Machine(bandwidth=1e10))
    >>> machine.use(before)
    """
    global _in_use
    from faltung import planner

    _in_use = table
    planner.forget()


def calibrate(*, save: bool = True) -> Machine:
    """Measure this machine and use what was found, in this process and, if kept, in later ones.

    Takes a few seconds, in which nothing else should run; where the machine was seen to be busy, a
    table that is kept comes with a warning. Plans that were made before keep their methods.
    Predicted times come from this table; results never depend on it beyond the choice of the
    method. The figures ``tile``, ``pages`` and ``copy`` are not measured.
    ``machine.use(Machine())`` goes back to the table that ships.

    Parameters
    ----------
    save : bool
        Keep the table in the user's cache directory (``XDG_CACHE_HOME`` or ``~/.cache``). A
        directory that cannot be written to is a warning, no error.

    Returns
    -------
    Machine
        The figures, in seconds, bytes per second or multiply-adds per second.

    Examples
    --------
    >>> import faltung
    >>> faltung.calibrate(save=False).bandwidth > 0
    True
    """
    before = probe()
    found = measure()
    after = probe()
    if save and not 1 / BUSY < before / after < BUSY:
        warnings.warn(
            f"two measurements of one thing differ by a factor of "
            f"{max(before, after) / min(before, after):.1f}: other work ran at the same time. "
            "Calibrate again when the machine is at rest.",
            RuntimeWarning,
            stacklevel=2,
        )
    if save and keep(found) is None:
        warnings.warn(
            "the measured table cannot be kept in the cache directory; it is used in this process "
            "only. Set XDG_CACHE_HOME to a directory that can be written to.",
            RuntimeWarning,
            stacklevel=2,
        )
    use(found)
    return found


def best(function: Callable[[], Any], seconds: float = 0.15) -> float:
    """Return the least seconds of several runs."""
    least, end = math.inf, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        function()
        stop = time.perf_counter()
        least = min(least, stop - start)
        if stop > end:
            return least


def probe() -> float:
    """Return the seconds of a fixed piece of work in NumPy, by which a busy machine shows."""
    import numpy as np

    x = np.arange(1 << 18, dtype=np.float32)
    return best(lambda: float((x * 1.5).sum()), 0.05)


def measure() -> Machine:
    """Time the methods on problems that show one constant each."""
    import numpy as np

    from faltung import native
    from faltung.ops import plan

    usual, threads = Machine(), native.processors()  # which costs count, too
    rng = np.random.default_rng(0)

    def timed(shape: Any, taps: Any, method: str, **options: Any) -> float:
        x = rng.random(shape, np.float32)
        p = plan(shape, "float32", taps, mode="valid", method=method, **options)
        out = np.empty(p.shape, p.dtype)
        p(x, out=out, workers=threads)
        return best(lambda: p(x, out=out, workers=threads))

    def slower(shape: Any, taps: Any, method: str) -> float:
        """How many times longer a method takes than the usual table has it."""
        predicted = plan(shape, "float32", taps, mode="valid", method=method).cost(usual).seconds
        return timed(shape, taps, method) / predicted

    k = rng.random((15, 15), np.float32)
    large = rng.random((101, 101), np.float32)
    found = {"transform": usual.transform * slower((1400, 1400), large, "fft")}
    tap = timed((1 << 16,), rng.random(64, np.float32), "reference") / 64
    found["numpy_element"] = tap / (1 << 16)
    found["numpy_call"] = timed((64,), rng.random(64, np.float32), "reference") / 64
    if native.library() is not None:
        outputs = 1010 * 1010
        seconds = timed((1024, 1024), k, "direct")
        found["multiply_adds"] = outputs * k.size / seconds / threads
        found["bandwidth"] = 8 * 4e6 / timed((4_000_000,), np.ones(2, np.float32), "direct")
        found["call"] = timed((8,), np.ones(2, np.float32), "direct")
        box = np.ones((31, 31), np.float32)
        found["cached"] = usual.cached / slower((1024, 1024), box, "sums")
        found["fused"] = usual.fused * slower((1400, 1400), k, "fused_fft")
    return Machine(**{**asdict(usual), **found})


@cache
def memory() -> int:
    """Return how many bytes of memory this machine has, as far as it says."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return 1 << 34
