"""Fair turns, equal threads, and what was compared."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cases.common import Contenders, peer

import faltung

PEERS = ("numpy", "scipy", "opencv-python-headless", "scikit-image", "torch")


def versions() -> dict[str, str]:
    """Return the versions of what is compared."""
    found = {"faltung": faltung.__version__}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Give faltung and every peer the same number of threads."""
    with ExitStack() as stack:
        stack.enter_context(faltung.workers(number))
        if fft := peer("scipy.fft"):
            stack.enter_context(fft.set_workers(number))
        if cv2 := peer("cv2"):
            cv2.setNumThreads(number)
        if torch := peer("torch"):
            torch.set_num_threads(number)
        yield


def timed(call: Any) -> tuple[float, Any]:
    """Return the seconds of a call and its answer."""
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


def in_turns(
    calls: Contenders, warm: Mapping[str, float], seconds: float, repeats: int, least: int = 3
) -> dict[str, list[float]]:
    """Time calls in shuffled turns: ``repeats`` of them, fewer when the seconds are over.

    None always follows the same one and finds its leavings in the cache. A call whose first run,
    given in ``warm``, took more than all the seconds is not run again.
    """
    times = {name: [warm[name]] if warm[name] > seconds else [] for name in calls}
    order, turns = [name for name in calls if not times[name]], random.Random(0)
    end = time.perf_counter() + seconds * len(order)
    for turn in range(repeats):
        if turn >= least and time.perf_counter() > end:
            break
        turns.shuffle(order)
        for name in order:
            times[name].append(timed(calls[name])[0])
    return times
