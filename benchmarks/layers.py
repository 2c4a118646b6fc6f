"""Time the operations of layers against PyTorch: processor time of one thread, in turns.

    python benchmarks/layers.py [--only PATTERN] [--seconds N] [--json FILE]

Prints, of each layer, the least time of its forward pass, of the gradient of its input and of that
of its weights, and the ratio of PyTorch's to ours; then of whole training steps of two networks.
Processor time tells little of a machine that does other things: its caches and clock are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads that wait count as processor time

import numpy as np
from steps import LeNet, ThreeBlocks, network_step, torch_step

import faltung
from faltung import layers
from faltung.layers.memory import innermost, outermost, reusing

LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "LeNet 5x5 1->6, 28x28, 64": ((64, 1, 28, 28), (6, 1, 5, 5), {"padding": 2}),
    "LeNet 5x5 6->16, 14x14, 64": ((64, 6, 14, 14), (16, 6, 5, 5), {}),
    "3x3 1->32, 28x28, 128": ((128, 1, 28, 28), (32, 1, 3, 3), {"padding": 1}),
    "3x3 32->64, 14x14, 128": ((128, 32, 14, 14), (64, 32, 3, 3), {"padding": 1}),
    "3x3 64->128, 7x7, 128": ((128, 64, 7, 7), (128, 64, 3, 3), {"padding": 1}),
    "3x3 64->64, 56x56, 8": ((8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    "3x3 128->128, 28x28, 8": ((8, 128, 28, 28), (128, 128, 3, 3), {"padding": 1}),
    "3x3 256->256, 14x14, 8": ((8, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
    "1x1 64->128, 28x28, 8": ((8, 64, 28, 28), (128, 64, 1, 1), {}),
    "5x5 1->32, 28x28, 32": ((32, 1, 28, 28), (32, 1, 5, 5), {}),
    "depthwise 3x3 64, 56x56, 8": ((8, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
    "depthwise 31x31 64, 56x56, 8": (
        (8, 64, 56, 56),
        (64, 1, 31, 31),
        {"padding": 15, "groups": 64},
    ),
}
Pair = tuple[Callable[[], Any], Callable[[], Any]]


def least(calls: Pair, seconds: float) -> tuple[float, float]:
    """Return the least processor time of each of two calls, in milliseconds, in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while len(times[0]) < 3 or (time.perf_counter() < end and len(times[0]) < 50):
        for call, found in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            found.append(1e3 * (time.process_time() - start))
    return min(times[0]), min(times[1])


def layer(name: str, torch: Any) -> dict[str, Pair]:
    """Return our call and PyTorch's for each of the three passes of a layer."""
    x_shape, k_shape, options = LAYERS[name]
    rng = np.random.default_rng(0)
    x, k = (rng.standard_normal(s).astype(np.float32) for s in (x_shape, k_shape))
    dy = rng.standard_normal(layers.conv(x, k, **options).shape).astype(np.float32)
    x_, k_, dy_ = (torch.from_numpy(a) for a in (x, k, dy))
    x, dy = outermost(innermost(x)), outermost(innermost(dy))
    padding, groups = [options.get("padding", 0)] * 2, options.get("groups", 1)

    def backward(*mask: bool) -> Any:
        return torch.ops.aten.convolution_backward(
            dy_, x_, k_, None, [1, 1], padding, [1, 1], False, [0, 0], groups, [*mask, False]
        )

    return {
        "forward": (
            lambda: layers.conv(x, k, **options),
            lambda: torch.nn.functional.conv2d(x_, k_, padding=padding, groups=groups),
        ),
        "input gradient": (
            lambda: layers.conv_input_gradient(dy, k, x_shape[2:], **options),
            lambda: backward(True, False),
        ),
        "weight gradient": (
            lambda: layers.conv_weight_gradient(x, dy, k_shape[2:], **options),
            lambda: backward(False, True),
        ),
    }


def main() -> int:
    """Print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names that match this pattern")
    parser.add_argument("--seconds", type=float, default=1.0, help="of turns for each pass")
    parser.add_argument("--json", type=Path, help="write the times to this file")
    asked = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: there is nothing to compare with.", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    calls: dict[str, dict[str, Pair]] = {}
    wanted = re.compile(asked.only)
    rows = []
    print(f"one thread of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}; milliseconds")
    with faltung.workers(1):
        for name in filter(wanted.search, LAYERS):
            calls[name] = layer(name, torch)
        for name, network in (("LeNet", LeNet), ("three blocks", ThreeBlocks)):
            if wanted.search(f"{name} step"):
                ours = network(0)
                calls[f"{name} step, {ours.x.shape[0]}"] = {
                    "plain": (ours.step, torch_step(name, torch)),
                    "faltung.nn": (network_step(name), torch_step(name, torch)),
                }
        for name, passes in calls.items():
            for which, pair in passes.items():
                with reusing() if which == "faltung.nn" else nullcontext():  # as its trainer does
                    ours_, theirs = least(pair, asked.seconds)
                rows.append({"layer": name, "pass": which, "faltung": ours_, "torch": theirs})
                print(
                    f"{name:32} {which:16} {ours_:9.3f} {theirs:9.3f} {theirs / ours_:7.2f}",
                    flush=True,
                )
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
