"""Train on Fashion-MNIST in turns with PyTorch, an epoch each: seconds, losses, test accuracies.

    python benchmarks/race.py DATA [--network lenet] [--epochs 5] [--seeds 0 1 2 3 4] [--json FILE]

DATA is a folder with the four IDX files, packed or not: Debian's package dataset-fashion-mnist has
them. Both have the same network and first weights, the same batches in the same order (64 images
for LeNet, 128 for the three blocks), SGD with momentum, float32 and the same number of threads.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from steps import torch_network

from faltung import nn
from faltung.data import Dataset, load
from faltung.native import get_workers
from faltung.nn.training import SHUFFLE

DESCENT = nn.SGD(0.05)
NETWORKS: dict[str, tuple[Callable[..., nn.Sequential], str, int]] = {
    "lenet": (nn.lenet5, "LeNet", 64),
    "blocks": (nn.small_cnn, "ThreeBlocks", 128),
}


def race(asked: argparse.Namespace, seed: int, train: Dataset, test: Dataset) -> dict[str, Any]:
    """Train both networks, an epoch in turns; return seconds and accuracies."""
    import torch

    make, name, batch = NETWORKS[asked.network]
    torch.set_num_threads(get_workers())
    ours, theirs = make(seed=seed), torch_network(name, torch)
    with torch.no_grad():
        for mine, other in zip(ours.parameters().values(), theirs.parameters(), strict=True):
            other.copy_(torch.from_numpy(mine))
    descent = torch.optim.SGD(theirs.parameters(), DESCENT.rate, momentum=DESCENT.momentum)
    x_, y_ = torch.from_numpy(train.x), torch.from_numpy(train.y.astype(np.int64))
    spent: list[tuple[float, float]] = []

    def theirs_too(epoch: nn.Epoch) -> None:
        """Train theirs for the epoch that ours just did."""
        began, total = time.perf_counter(), 0.0
        order = np.random.default_rng((seed, SHUFFLE, epoch.number - 1)).permutation(len(x_))
        for part in torch.from_numpy(order).split(batch):
            descent.zero_grad()
            loss = torch.nn.functional.cross_entropy(theirs(x_[part]), y_[part])
            loss.backward()
            descent.step()
            total += float(loss.detach()) * len(part)
        spent.append((epoch.seconds, time.perf_counter() - began))
        print(
            f"  {epoch.number}: {spent[-1][0]:.2f} s, PyTorch {spent[-1][1]:.2f} s, "
            f"{spent[-1][1] / spent[-1][0]:.2f} times; losses {epoch.loss:.4f}, "
            f"{total / len(x_):.4f}",
            flush=True,
        )

    trainer = nn.Trainer(
        ours, optimiser=DESCENT, epochs=asked.epochs, batch=batch, seed=seed, told=theirs_too
    )
    trainer.fit(train.x, train.y)
    theirs.eval()
    with torch.no_grad():
        hits = np.concatenate(
            [theirs(part).argmax(1).numpy() for part in torch.from_numpy(test.x).split(500)]
        )
    seconds = np.array(spent).sum(axis=0)
    return {
        "seed": seed, "seconds": round(seconds[0], 2), "torch_seconds": round(seconds[1], 2),
        "accuracy": trainer.measure(test.x, test.y)[1],
        "torch_accuracy": float((hits == test.y).mean()),
    }  # fmt: skip


def main() -> None:
    """Print the figures of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", choices=tuple(NETWORKS), default="lenet")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--images", type=int, help="train on the first so many")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    train, test = load(asked.data), load(asked.data, "test")
    train = replace(train, x=train.x[: asked.images], y=train.y[: asked.images])
    rows = []
    for seed in asked.seeds:
        rows.append(race(asked, seed, train, test))
        print(json.dumps(rows[-1]), flush=True)
    for name in ("accuracy", "torch_accuracy"):
        found = np.array([row[name] for row in rows])
        print(f"{name}: {found.mean():.2%}, from {found.min():.2%} to {found.max():.2%}")
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
