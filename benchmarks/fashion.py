"""Train on Fashion-MNIST: test accuracy, time and parameters of a recipe, seed by seed.

    python benchmarks/fashion.py DATA [--model small] [--epochs 12] [--seeds 0 1 2] [--json FILE]
    python benchmarks/fashion.py DATA --race [--epochs 12] [--seeds 0 1 2 3 4] [--images 60000]

DATA is a folder with the four IDX files, packed or not: Debian's package dataset-fashion-mnist has
them. ``--race`` trains LeNet in turns with PyTorch, an epoch each: the same first weights, batches
of 64 in the same order, SGD with momentum and threads; and gives both accuracies of the test.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faltung import nn
from faltung.data import Dataset, load
from faltung.native import get_workers
from faltung.nn.training import SHUFFLE

RACE = nn.SGD(0.05)
RATES = {"lenet5": 0.004, "small": 0.01}


def network(model: str, found: Dataset, seed: int) -> nn.Sequential:
    """Return a network whose first layer standardises."""
    made = nn.lenet5(seed=seed) if model == "lenet5" else nn.small_cnn(seed=seed)
    first = nn.Standardise(float(found.x.mean(dtype="f8")), float(found.x.std(dtype="f8")))
    return nn.Sequential([first, *(node.layer for node in made.nodes)], (1, 28, 28), seed)


def trained(asked: argparse.Namespace, seed: int, train: Dataset, test: Dataset) -> dict[str, Any]:
    """Train once and return the figures."""
    made = network(asked.model, train, seed)
    began = time.perf_counter()
    trainer = nn.Trainer(
        made,
        optimiser=nn.adamw(asked.rate or RATES[asked.model], asked.decay),
        schedule=nn.OneCycle(),
        epochs=asked.epochs,
        batch=asked.batch,
        seed=seed,
        smoothing=asked.smoothing,
        augment=nn.Augment(shift=asked.shift, flip=True),
        told=lambda e: print(f"  {e.number}: {e.loss:.4f} {e.accuracy:.2%} {e.seconds:.1f} s"),
    )
    trainer.fit(train.x, train.y)
    seconds = time.perf_counter() - began
    loss, accuracy = trainer.measure(test.x, test.y)
    return {
        "seed": seed, "parameters": made.count(), "seconds": round(seconds, 1), "loss": loss,
        "accuracy": accuracy,
    }  # fmt: skip


def race(asked: argparse.Namespace, seed: int, train: Dataset, test: Dataset) -> dict[str, Any]:
    """Train ours and PyTorch's LeNet, an epoch in turns; return seconds and accuracies."""
    import torch

    torch.set_num_threads(get_workers())
    layers: list[Any] = [torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU()]
    layers += [torch.nn.MaxPool2d(2), torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU()]
    layers += [torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(400, 120)]
    layers += [torch.nn.ReLU(), torch.nn.Linear(120, 84), torch.nn.ReLU(), torch.nn.Linear(84, 10)]
    theirs = torch.nn.Sequential(*layers)
    ours = nn.lenet5(seed=seed)
    with torch.no_grad():
        for mine, other in zip(ours.parameters().values(), theirs.parameters(), strict=True):
            other.copy_(torch.from_numpy(mine))
    descent = torch.optim.SGD(theirs.parameters(), RACE.rate, momentum=RACE.momentum)
    x_, y_ = torch.from_numpy(train.x), torch.from_numpy(train.y.astype(np.int64))
    spent: list[tuple[float, float]] = []

    def theirs_too(epoch: nn.Epoch) -> None:
        """Train theirs for the epoch that ours just did."""
        began, total = time.perf_counter(), 0.0
        order = np.random.default_rng((seed, SHUFFLE, epoch.number - 1)).permutation(len(x_))
        for part in torch.from_numpy(order).split(64):
            descent.zero_grad()
            loss = torch.nn.functional.cross_entropy(theirs(x_[part]), y_[part])
            loss.backward()
            descent.step()
            total += float(loss.detach()) * len(part)
        spent.append((epoch.seconds, time.perf_counter() - began))
        print(
            f"  {epoch.number}: {spent[-1][0]:.2f} s, PyTorch {spent[-1][1]:.2f} s, "
            f"{spent[-1][1] / spent[-1][0]:.2f} times; losses {epoch.loss:.4f}, "
            f"{total / len(x_):.4f}"
        )

    trainer = nn.Trainer(
        ours, optimiser=RACE, epochs=asked.epochs, batch=64, seed=seed, told=theirs_too
    )
    trainer.fit(train.x, train.y)
    with torch.no_grad():
        hits = theirs(torch.from_numpy(test.x)).argmax(1).numpy() == test.y
    seconds = np.array(spent).sum(axis=0)
    return {
        "seed": seed, "seconds": round(seconds[0], 2), "torch_seconds": round(seconds[1], 2),
        "accuracy": trainer.measure(test.x, test.y)[1], "torch_accuracy": float(hits.mean()),
    }  # fmt: skip


def main() -> None:
    """Print the figures of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", choices=tuple(RATES), default="small")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--smoothing", type=float, default=0.0)
    parser.add_argument("--shift", type=int, default=1, help="samples, of the augmentation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--images", type=int, help="train on the first so many")
    parser.add_argument("--race", action="store_true", help="LeNet's epochs against PyTorch's")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    train, test = load(asked.data), load(asked.data, "test")
    train = replace(train, x=train.x[: asked.images], y=train.y[: asked.images])
    rows = []
    for seed in asked.seeds:
        rows.append((race if asked.race else trained)(asked, seed, train, test))
        print(json.dumps(rows[-1]), flush=True)
    for name in ("accuracy", "torch_accuracy")[: 1 + asked.race]:
        found = np.array([row[name] for row in rows])
        print(f"{name}: {found.mean():.2%}, from {found.min():.2%} to {found.max():.2%}")
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
