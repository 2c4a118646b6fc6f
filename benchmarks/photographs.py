"""Photographs of 12 megapixels, JPEG in and out: the filter and the whole command, against OpenCV.

    python benchmarks/photographs.py [--count N] [--threads N] [--repeats N] [--json FILE]

The photographs are made once from the samples of scikit-image: cut, turned, resized and brightened
by a seed, with noise as a camera has it. Both sides get the same files, threads, quality (95) and
subsampling, and continue the pictures symmetrically. Times are wall clock; memory is the largest
sum over a command and its processes, shared pages counted once, sampled ten times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from cases.common import Array, Contenders, peer
from machine import Load, processor
from PIL import Image
from timing import in_turns, threads, timed, versions

from faltung import image, kernels

SIZE = (4000, 3000)
KERNELS = ("gaussian:2", "sharpen")
SAMPLES = ("astronaut", "cat", "coffee", "rocket")
INTERVAL = 0.1  # seconds between two looks at the memory
WAYS = ("pictures", "filters")


# ---- the photographs -------------------------------------------------------------------------


def make_photographs(folder: Path, count: int) -> int:
    """Write photographs and return their bytes."""
    from skimage import data

    samples = [Image.fromarray(getattr(data, name)()) for name in SAMPLES]
    for number in range(count):
        rng = np.random.default_rng(number)
        sample = samples[number % len(samples)]
        width = int(rng.uniform(0.6, 1.0) * sample.width)
        height = min(sample.height, width * SIZE[1] // SIZE[0])
        width = height * SIZE[0] // SIZE[1]
        left = int(rng.integers(sample.width - width + 1))
        top = int(rng.integers(sample.height - height + 1))
        cut = sample.crop((left, top, left + width, top + height))
        if rng.random() < 0.5:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        array = np.asarray(cut.resize(SIZE, Image.Resampling.BICUBIC)).astype(np.float32)
        array *= np.float32(rng.uniform(0.8, 1.2))
        array += rng.normal(0, 3, (SIZE[1], SIZE[0], 1)).astype(np.float32)
        written = Image.fromarray(np.clip(array, 0, 255).astype(np.uint8))
        written.save(folder / f"{number:03}.jpg", quality=95, subsampling=2)
    return sum(path.stat().st_size for path in folder.iterdir())


# ---- the filter itself -----------------------------------------------------------------------


def contenders(x: Array, name: str) -> Contenders:
    """Return what filters a picture with a kernel."""
    kernel = kernels.parse(name)
    taps = np.asarray(kernel, np.float32)
    calls: Contenders = {"faltung": lambda: image.filter(x, kernel)}
    if cv2 := peer("cv2"):
        border = {"borderType": cv2.BORDER_REFLECT}
        if name.startswith("gaussian"):
            sigma = float(name.partition(":")[2])
            calls["OpenCV"] = lambda: cv2.GaussianBlur(x, taps.shape, sigma, **border)
        else:
            calls["OpenCV"] = lambda: cv2.filter2D(x, -1, taps, **border)
    return calls


def filters(pictures: list[Array], count: int, number: int, repeats: int) -> dict[str, Any]:
    """Time the filters on the same pictures, in turns; ``count`` pictures make a run."""
    results: dict[str, Any] = {}
    with threads(number):
        for name in KERNELS:
            calls: Contenders = {}
            for contender in contenders(pictures[0], name):
                bound = [contenders(x, name)[contender] for x in pictures]

                def run(bound: list[Any] = bound) -> None:
                    for n in range(count):
                        bound[n % len(bound)]()

                calls[contender] = run
            answers = [call() for call in contenders(pictures[0], name).values()]
            off = max(int(np.abs(a.astype(int) - answers[0]).max()) for a in answers)
            warm = {contender: timed(call)[0] for contender, call in calls.items()}
            times = in_turns(calls, warm, 600, repeats, least=repeats)
            results[name] = {
                "milliseconds": {
                    contender: 1e3 * statistics.median(each) / count
                    for contender, each in times.items()
                },
                "largest difference": off,
            }
    return results


# ---- the whole command -----------------------------------------------------------------------


def as_argument(name: str) -> str:
    """Return a kernel as the script of OpenCV takes it."""
    taps = np.asarray(kernels.parse(name), np.float64)
    return f"{name}:{len(taps)}" if name.startswith("gaussian:") else json.dumps(taps.tolist())


class Memory(threading.Thread):
    """The largest sum of memory of a process and its children, in bytes."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.largest, self.over = root, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(INTERVAL):
            self.largest = max(self.largest, sum(map(held, family(self.root))))


def family(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    try:
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    except OSError:
        return []
    return [root, *(each for child in children for each in family(int(child)))]


def held(process: int) -> int:
    """Return a process's share of memory: a page that n processes share counts as 1/n."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def watched(command: list[str]) -> tuple[float, int]:
    """Return the seconds and the bytes that a command takes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    memory = Memory(process.pid)
    memory.start()
    status = process.wait()
    seconds = time.perf_counter() - start
    memory.over.set()
    memory.join()
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return seconds, memory.largest


def commands(source: Path, folder: Path, number: int, repeats: int) -> dict[str, Any]:
    """Time whole commands in turns."""
    results: dict[str, Any] = {}
    for name in KERNELS:
        found: dict[str, list[tuple[float, int]]] = {}
        for turn in range(repeats):
            calls = {
                "faltung filter": [
                    sys.executable, "-m", "faltung", "filter", str(source), "-k", name,
                    "--workers", str(number), "-o", "TARGET",
                ],
            }  # fmt: skip
            if peer("cv2"):
                script = str(Path(__file__).with_name("opencv_script.py"))
                for way in WAYS:
                    command = [sys.executable, script, str(source), "TARGET", as_argument(name)]
                    calls[f"OpenCV, {way} in threads"] = [*command, str(number), way]
            for place, (contender, command) in enumerate(calls.items()):
                target = folder / f"{turn}-{place}"
                target.mkdir()
                words = [str(target) if word == "TARGET" else word for word in command]
                found.setdefault(contender, []).append(watched(words))
                done = len(list(target.iterdir()))
                assert done == len(list(source.iterdir())), f"{contender}: {done} pictures"
                for path in target.iterdir():
                    path.unlink()
                target.rmdir()
        results[name] = {
            contender: {
                "seconds": statistics.median(seconds for seconds, _ in runs),
                "best": min(seconds for seconds, _ in runs),
                "megabytes": max(size for _, size in runs) / 1e6,
            }
            for contender, runs in found.items()
        }
    return results


def main() -> None:
    """Make the photographs, time both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=100, help="photographs; 8 for a quick look")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = {
        "versions": versions(), "processor": processor(), "count": arguments.count,
        "threads": arguments.threads,
    }  # fmt: skip
    if hasattr(os, "sched_setaffinity"):  # as many processors as threads, for both sides
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    load = Load()
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "photographs"
        source.mkdir()
        size = make_photographs(source, arguments.count)
        print(f"{arguments.count} photographs of {SIZE[0]} x {SIZE[1]}, {size / 1e6:.0f} MB")
        pictures = [image.read(path) for path in sorted(source.iterdir())[:4]]
        report["filter"] = filters(pictures, arguments.count, arguments.threads, arguments.repeats)
        del pictures
        for name, found in report["filter"].items():
            for contender, each in found["milliseconds"].items():
                ratio = each / found["milliseconds"]["faltung"]
                print(f"{name:<12}{contender:<32}{each:8.1f} ms a picture  {ratio:5.2f}x")
        report["command"] = commands(source, Path(place), arguments.threads, arguments.repeats)
        for name, found in report["command"].items():
            for contender, each in found.items():
                ratio = each["seconds"] / found["faltung filter"]["seconds"]
                print(
                    f"{name:<12}{contender:<32}{each['seconds']:8.2f} s  {ratio:5.2f}x"
                    f"  {each['megabytes']:6.0f} MB"
                )
    others = load.of_others()
    report["others"] = others
    if others is not None and others > 0.05:
        print(f"other processes took {others:.0%} of the processors: not a quiet machine")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
