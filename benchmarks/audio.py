"""A room's response on ten minutes of stereo: whole, live, and from file to file, against SciPy.

    python benchmarks/audio.py [--minutes M] [--threads N] [--repeats N] [--json FILE]

The audio is noise at 48 kHz, the response noise that decays by 60 dB. "whole" convolves arrays in
memory, in turns in one process on the same threads; scratch is the peak beyond input and result, in
a process of its own. "live" feeds a stream in real-time blocks on one thread. "files" runs the
command on a WAV.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from cases.common import Array, Contenders, peer
from machine import Load, processor
from photographs import watched
from timing import in_turns, threads, timed, versions

import faltung
from faltung.signal import reverb

RATE = 48000
DTYPES = ("float64", "float32")
BLOCKS = (64, 128, 256, 512)  # frames of a live block


def make(minutes: float, seconds: float, dtype: str) -> tuple[Array, Array]:
    """Return stereo audio, and a response for each channel alike."""
    rng = np.random.default_rng(0)
    frames, taps = int(60 * minutes * RATE), int(seconds * RATE)
    x = 0.1 * rng.standard_normal((frames, 2), np.float32)
    decay = 10 ** (-3 * np.arange(taps) / taps)
    room = (0.02 * rng.standard_normal(taps) * decay).astype(dtype)
    return x.astype(dtype), room


# ---- whole arrays ----------------------------------------------------------------------------


def contenders(x: Array, room: Array) -> Contenders:
    """Return what convolves all of it, mode "full"."""
    calls: Contenders = {
        "faltung.signal.reverb": lambda: reverb(x, room),
        "faltung.convolve": lambda: faltung.convolve(x, room, axes=0, mode="full"),
    }
    if signal := peer("scipy.signal"):
        calls["scipy.signal.oaconvolve"] = lambda: signal.oaconvolve(x, room[:, None], axes=0)
    return calls


def peak_memory() -> int:
    """Return the most bytes that this process held since the last call, and count anew."""
    lines = Path("/proc/self/status").read_text().splitlines()
    Path("/proc/self/clear_refs").write_text("5")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def scratch_of(name: str, dtype: str, minutes: float, seconds: float, number: int) -> float:
    """Return the megabytes that a call takes besides input and result, in a process of its own.

    Linux counts them; elsewhere this is an error.
    """
    x, room = make(minutes, seconds, dtype)
    with threads(number):
        call = contenders(x, room)[name]
        peak_memory()
        before = peak_memory()
        size = int(call().nbytes)
        return (peak_memory() - before - size) / 1e6


def whole(dtype: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Time the contenders in turns; measure what each holds besides input and result."""
    x, room = make(arguments.minutes, arguments.response, dtype)
    calls = contenders(x, room)
    size = (dtype, arguments.minutes, arguments.response, arguments.threads)
    scratch = {}
    for name in calls:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            scratch[name] = pool.submit(scratch_of, name, *size).result()
    answers = {name: call()[::97].copy() for name, call in calls.items()}
    first = next(iter(answers.values()))
    top = np.abs(first).max()
    times = in_turns(calls, dict.fromkeys(calls, 0.0), 600, arguments.repeats, arguments.repeats)
    return {
        name: {
            "best": min(each), "seconds": statistics.median(each), "scratch": scratch[name],
            "off": float(np.abs(answers[name] - first).max() / top),
        }
        for name, each in times.items()
    }  # fmt: skip


# ---- live ------------------------------------------------------------------------------------


def live(x: Array, room: Array, block: int, seconds: float) -> dict[str, float]:
    """Feed blocks as a sound card gives them, and return the part of a core that it takes."""
    stream = faltung.stream((None, 2), x.dtype, room, axes=0, mode="full", latency=block - 1)
    blocks = x[: int(seconds * RATE) // block * block].reshape(-1, block, 2)
    for each in blocks[: RATE // block]:  # a second of warming up
        stream.feed(each)
    stream.reset()
    longest = []
    used = time.process_time()
    for each in blocks:
        longest.append(timed(lambda each=each: stream.feed(each))[0])
    used = time.process_time() - used
    return {
        "core": used / (blocks.size / 2 / RATE),
        "worst": max(longest) * RATE / block,
        "99 %": float(np.quantile(longest, 0.99)) * RATE / block,
        "latency": stream.latency,
        "megabytes": stream.memory / 1e6,
    }


# ---- from file to file -----------------------------------------------------------------------


def files(minutes: float, seconds: float, number: int, repeats: int) -> dict[str, float]:
    """Run the command, and return its seconds and memory."""
    from faltung.signal import audio

    with tempfile.TemporaryDirectory() as place:
        voice, hall, out = (str(Path(place) / f"{name}.wav") for name in ("voice", "room", "out"))
        x, room = make(minutes, seconds, "float32")
        audio.write(voice, x, RATE, depth="16")
        audio.write(hall, room, RATE, depth="float")
        del x
        command = [sys.executable, "-m", "faltung", "reverb", voice, hall, "-o", out]
        command += ["--workers", str(number), "--gain", "-6"]
        runs = [watched(command) for _ in range(repeats)]
    return {
        "best": min(s for s, _ in runs),
        "seconds": statistics.median(s for s, _ in runs),
        "megabytes": max(size for _, size in runs) / 1e6,
    }


def main() -> None:
    """Time all three and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--response", type=float, default=3, help="seconds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # as many processors as threads, for all
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    load = Load()
    report: dict[str, Any] = {
        "versions": versions(), "processor": processor(), "threads": arguments.threads,
        "minutes": arguments.minutes, "response": arguments.response,
    }  # fmt: skip
    for dtype in DTYPES:
        with threads(arguments.threads):
            report[f"whole {dtype}"] = found = whole(dtype, arguments)
        mine = found["faltung.signal.reverb"]["best"]
        for name, each in found.items():
            print(
                f"whole {dtype:<9}{name:<26}{each['best']:7.2f} s  {each['best'] / mine:5.2f}x"
                f"  {each['scratch']:6.0f} MB of scratch, off by {each['off']:.0e}", flush=True
            )  # fmt: skip
        x, room = make(min(1, arguments.minutes), arguments.response, dtype)
        for block in BLOCKS:
            with threads(1):
                report[f"live {dtype} {block}"] = one = live(x, room, block, min(20, len(x) / RATE))
            print(
                f"live  {dtype:<9}{block:4} frames  {one['core']:6.1%} of a core; of a block's "
                f"time 99 % take {one['99 %']:.0%}, the longest {one['worst']:.0%}; latency "
                f"{one['latency']}, {one['megabytes']:.0f} MB", flush=True
            )  # fmt: skip
        del x
    if peer("soundfile"):
        report["files"] = one = files(
            arguments.minutes, arguments.response, arguments.threads, min(3, arguments.repeats)
        )
        print(f"files 16 bits, faltung reverb: {one['best']:.2f} s, {one['megabytes']:.0f} MB")
    report["others"] = others = load.of_others()
    if others is not None and others > 0.05:
        print(f"other processes took {others:.0%} of the processors: not a quiet machine")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
