"""Learn scikit-learn's 1,797 digits of 8x8 pixels: the least demonstration of a training."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from faltung import nn
from faltung.cli.predict import printed
from faltung.nn.evaluation import confusion

CLASSES, HELD = 10, 360  # digits, and images that are not trained on


def main() -> None:
    """Train, save the network, and print its confusion matrix on images that it has not seen."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = digits.images[order, None] / 16, digits.target[order]  # pixels from 0 to 1
    began = time.perf_counter()
    first = nn.Standardise(float(x.mean()), float(x.std()))
    blocks = nn.small_cnn((1, 8, 8), widths=(16, 32, 64))
    network = nn.Sequential([first, *(node.layer for node in blocks.nodes)], (1, 8, 8))
    print(network.summary())
    trainer = nn.Trainer(
        network,
        optimiser=nn.Adam(0.01),
        schedule=nn.OneCycle(),
        epochs=12,
        augment=nn.Augment(shift=1),
        told=print,
    )
    trainer.fit(x[HELD:], y[HELD:], validation=(x[:HELD], y[:HELD]))
    found = network.predict(x[:HELD]).argmax(axis=1)
    seconds = time.perf_counter() - began
    table = confusion(found, y[:HELD], CLASSES)
    print(printed(table, [str(n) for n in range(CLASSES)], f" held out, in {seconds:.1f} s"))
    target = Path("build") / "digits.safetensors"
    target.parent.mkdir(exist_ok=True)
    nn.save(network, target, classes=map(str, range(CLASSES)))
    print(target)


if __name__ == "__main__":
    main()
