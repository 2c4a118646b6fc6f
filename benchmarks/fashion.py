"""Train on Fashion-MNIST: test accuracy, time and parameters of a recipe, seed by seed.

    python benchmarks/fashion.py DATA [--model small] [--epochs 12] [--seeds 0 1 2] [--json FILE]
    python benchmarks/fashion.py DATA --race

DATA is a folder with the four IDX files, packed or not: Debian's package dataset-fashion-mnist has
them. ``--race`` times epochs of LeNet in turns with PyTorch: batches of 64, SGD, the same threads.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from faltung import nn
from faltung.data import Dataset, load
from faltung.native import get_workers

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


def race(train: Dataset, epochs: int) -> None:
    """Print the times of LeNet's epochs, ours and PyTorch's, in turns, and the test's accuracy."""
    import torch

    torch.set_num_threads(get_workers())
    layers: list[Any] = [torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU()]
    layers += [torch.nn.MaxPool2d(2), torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU()]
    layers += [torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(400, 120)]
    layers += [torch.nn.ReLU(), torch.nn.Linear(120, 84), torch.nn.ReLU(), torch.nn.Linear(84, 10)]
    theirs = torch.nn.Sequential(*layers)
    ours = nn.lenet5()
    with torch.no_grad():
        for mine, other in zip(ours.parameters().values(), theirs.parameters(), strict=True):
            other.copy_(torch.from_numpy(mine))
    descent = torch.optim.SGD(theirs.parameters(), 0.05, momentum=0.9)
    x_, y_ = torch.from_numpy(train.x), torch.from_numpy(train.y)
    for epoch in range(epochs):
        began = time.perf_counter()
        history = nn.Trainer(ours, optimiser=nn.SGD(0.05), epochs=1, seed=epoch).fit(
            train.x, train.y
        )
        middle = time.perf_counter()
        total = 0.0
        for part in torch.randperm(len(x_)).split(64):
            descent.zero_grad()
            loss = torch.nn.functional.cross_entropy(theirs(x_[part]), y_[part])
            loss.backward()
            descent.step()
            total += float(loss.detach()) * len(part)
        spent = middle - began, time.perf_counter() - middle
        print(
            f"epoch {epoch + 1}: {spent[0]:.2f} s, PyTorch {spent[1]:.2f} s, "
            f"{spent[1] / spent[0]:.2f} times; losses {history[-1].loss:.4f}, {total / len(x_):.4f}"
        )


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
    parser.add_argument("--race", action="store_true", help="LeNet's epochs against PyTorch's")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    train = load(asked.data)
    if asked.race:
        race(train, min(3, asked.epochs))
        return
    test = load(asked.data, "test")
    rows = []
    for seed in asked.seeds:
        rows.append(trained(asked, seed, train, test))
        print(json.dumps(rows[-1]), flush=True)
    if len(rows) > 1:
        found = np.array([row["accuracy"] for row in rows])
        print(f"{found.mean():.2%}, from {found.min():.2%} to {found.max():.2%}")
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
