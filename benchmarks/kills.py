"""Kill a training at random moments, resume it, and compare with one that nobody stopped.

    python benchmarks/kills.py [--kills 10] [--seed 0] [--model plain] [--data FOLDER] [--json FILE]

Each kill is a SIGKILL to a process of its own: while it imports, trains, validates or writes its
checkpoint. The next one resumes with another number of threads. The data are scikit-learn's digits,
or what ``faltung train`` takes. The recipe has everything that is random (dropout, augmentation,
shuffling, a validation part; AdamW, one-cycle, batch norms, early stopping), or with ``--model
plain`` nothing that keeps steps from being recorded and played.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from faltung import nn, workers
from faltung.data import Dataset, dataset, load
from faltung.nn import saving

SLOWEST = 600  # seconds that one process may take


def known(folder: Path | None, most: int) -> Dataset:
    """Return the data."""
    if folder is not None:
        found = load(folder)
        return Dataset(found.x[:most], found.y[:most], found.classes)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return dataset((16 * digits.images).clip(0, 255).astype(np.uint8), digits.target, "digits")


def train(asked: argparse.Namespace) -> None:
    """Train, or go on, and save the network with its history."""
    found = known(asked.data, asked.images)
    shape, classes = found.x.shape[1:], len(found.classes)
    made: list[nn.Layer] = [nn.Standardise(float(found.x.mean()), float(found.x.std()))]
    recipe: dict[str, Any] = {"optimiser": nn.SGD(0.02, nesterov=True)}
    if asked.model == "plain":  # whose steps are recorded and played
        made = [nn.Conv(8, 3, padding=1), nn.ReLU(), nn.MaxPool(2), nn.Conv(16, 3), nn.ReLU()]
        made += [nn.Dense(30), nn.ReLU(), nn.Dense(classes)]
    else:
        made += [n.layer for n in nn.small_cnn(shape, classes, widths=(16, 32, 64)).nodes]
        made.insert(-1, nn.Dropout(0.2))
        recipe = {
            "optimiser": nn.adamw(0.01, 0.01),
            "smoothing": 0.05,
            "class_weights": "balanced",
            "augment": nn.Augment(shift=1, rotate=10, scale=0.1, cutout=2),
        }
    network = nn.Sequential(made, shape)
    trainer = nn.Trainer(
        network,
        schedule=nn.OneCycle(),
        epochs=asked.epochs,
        batch=50,
        patience=asked.epochs // 2,
        checkpoint=asked.train[0],
        every=asked.every,
        **recipe,
    )
    with workers(asked.workers):
        history = trainer.fit(found.x, found.y, validation=0.2, resume=True)
    network.notes["history"] = json.dumps([vars(epoch) | {"seconds": 0} for epoch in history])
    nn.save(network, asked.train[1])


def begun(asked: argparse.Namespace, state: Path, model: Path, threads: int) -> Any:
    """Start a process that trains."""
    command = [sys.executable, __file__, "--train", str(state), str(model)]
    for name in ("model", "epochs", "images", "every"):
        command += [f"--{name}", str(getattr(asked, name))]
    command += ["--workers", str(threads)]
    if asked.data is not None:
        command += ["--data", str(asked.data)]
    threads_of_blas = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, env={**os.environ, **threads_of_blas})


def steps(state: Path) -> int:
    """Return how many steps a checkpoint has behind it."""
    if not state.exists():
        return 0
    return int(json.loads(saving.read(state)[1]["faltung.training"])["steps"])


def digest(path: Path) -> str:
    """Return a digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def race(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train without a stop, then with the kills, and return the figures."""
    whole, killed, state = folder / "whole", folder / "killed", folder / "state"
    started = time.monotonic()
    child = begun(asked, folder / "state-whole", whole, 1)
    while child.poll() is None and not (folder / "state-whole").exists():
        time.sleep(0.01)
    importing = time.monotonic() - started
    if child.wait(SLOWEST):
        raise SystemExit("the training failed.")
    seconds = time.monotonic() - started
    print(f"no kill: {seconds:.1f} s, of which {importing:.1f} s until the first checkpoint, "
          f"{steps(folder / 'state-whole')} steps, {digest(whole)}")  # fmt: skip
    rng = np.random.default_rng(asked.seed)
    kills: list[dict[str, Any]] = []
    while len(kills) < asked.kills:
        threads = len(kills) % 3 + 1
        child = begun(asked, state, killed, threads)
        # so that about as many are left when the training would end
        wait = float(
            rng.uniform(importing / 2, importing + 2 * (seconds - importing) / asked.kills)
        )
        try:
            child.wait(wait)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
        else:  # it was done before: begin anew
            print(f"  it ended within {wait:.2f} s; begun anew")
            state.unlink()
            continue
        left = sum(p.name.endswith(".part") for p in folder.iterdir())
        kills.append({"threads": threads, "seconds": round(wait, 2), "steps": steps(state)})
        print(f"kill {len(kills)}: after {wait:.2f} s, {threads} threads; the checkpoint has "
              f"{steps(state)} steps; {left} unfinished files beside it")  # fmt: skip
    if begun(asked, state, killed, 2).wait(SLOWEST):
        raise SystemExit("the last training failed.")
    same = whole.read_bytes() == killed.read_bytes()
    print(f"{asked.kills} kills: {steps(state)} steps, {digest(killed)}: "
          f"{'the same bits' if same else 'OTHER BITS'}")  # fmt: skip
    return {"kills": kills, "steps": steps(state), "same": same, "digest": digest(killed)}


def main() -> None:
    """Print what came of it; the status is 1 where bits differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", choices=("random", "plain"), default="random")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--every", type=float, default=0.1, help="seconds between checkpoints")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--train", nargs=2, metavar=("STATE", "MODEL"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.train:
        train(asked)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = race(asked, Path(folder))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    raise SystemExit(0 if found["same"] else 1)


if __name__ == "__main__":
    main()
