"""Draw docs/learnt.png: kernels that networks learnt, each with the named kernel it is most like.

Three first layers are shown, all of their kernels:

* of a network of two layers that learns the edges of photographs: the length of the gradient that
  ``image.edges`` computes by Sobel's two kernels. It is not told that there are two, or which.
* of LeNet, and of three blocks of 3x3 layers, that learn the ten classes of Fashion-MNIST.

A score says little without what chance reaches, since there are many named kernels and few taps:
the scores of normally distributed random kernels stand beside.

Run it as ``python docs/learnt.py DATA``, or ``make learnt DATA=...``; DATA is a folder with the
files of Fashion-MNIST. It needs matplotlib and scikit-image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung import data, image, kernels, nn
from faltung.cli.common import write_bytes
from faltung.signal.plots import check_ending, written_figure

TARGET = Path(__file__).parent / "learnt.png"
PHOTOGRAPHS = ("camera", "coins", "moon", "brick", "grass", "gravel", "page", "text")
PATCH, COLUMNS = 34, 8  # pixels of a patch's side; kernels beside each other
Array = NDArray[Any]


class Layer(NamedTuple):
    """A first layer: what it was learnt for, and its kernels (count, rows, columns)."""

    title: str
    kernels: Array


def patches() -> tuple[Array, Array]:
    """Return patches of photographs (count, 1, side, side), and their edges, a pixel less around.

    Both are divided by the standard deviation of the patches.
    """
    from skimage import data as samples

    side, pairs = PATCH, []
    for name in PHOTOGRAPHS:
        grey = np.asarray(getattr(samples, name)(), np.float32)
        length = image.edges(grey, "sobel").magnitude
        for i in range(0, grey.shape[0] - side + 1, side):
            for j in range(0, grey.shape[1] - side + 1, side):
                square = (slice(i, i + side), slice(j, j + side))
                pairs.append((grey[square], length[square][1:-1, 1:-1]))
    x, y = (np.stack(each)[:, None] for each in zip(*pairs, strict=True))
    x = x - x.mean(axis=(2, 3), keepdims=True)
    return x / x.std(), y / x.std()


def edges() -> Layer:
    """Learn the length of the gradient as a sum of rectified convolutions."""
    x, y = patches()
    network = nn.Sequential(
        [nn.Conv(COLUMNS, 3, bias=False), nn.ReLU(), nn.Conv(1, 1)], x.shape[1:]
    )
    trainer = nn.Trainer(
        network, optimiser=nn.adamw(0.02, 0.3), schedule=nn.OneCycle(), loss="mean_squared_error",
        epochs=60, batch=32,
    )  # fmt: skip
    loss = trainer.fit(x, y)[-1].loss
    explained = 1 - loss / float(y.var())
    title = f"edges of {len(x)} patches of photographs, {explained:.1%} of the variance explained"
    return Layer(title, first(network))


def clothes(folder: Path) -> Iterator[Layer]:
    """Learn the classes of Fashion-MNIST with LeNet and with three blocks of 3x3 layers."""
    train, test = data.load(folder), data.load(folder, "test")
    standard = nn.Standardise(float(train.x.mean(dtype="f8")), float(train.x.std(dtype="f8")))
    for name, made in (("LeNet", nn.lenet5()), ("three blocks", nn.small_cnn())):
        layers = [standard, *(node.layer for node in made.nodes)]
        network = nn.Sequential(layers, train.x.shape[1:])
        trainer = nn.Trainer(
            network, optimiser=nn.adamw(0.004), schedule=nn.OneCycle(), epochs=5, batch=128,
            augment=nn.Augment(shift=1, flip=True),
        )  # fmt: skip
        trainer.fit(train.x, train.y)
        _, accuracy = trainer.measure(test.x, test.y)
        yield Layer(f"Fashion-MNIST, {name}, {accuracy:.1%} on the test images", first(network))


def first(network: nn.Sequential) -> Array:
    """Return the kernels of the first convolution, of its one channel."""
    layer = next(node.layer for node in network.nodes if isinstance(node.layer, nn.Conv))
    return np.asarray(layer.parameters["weights"][:, 0])


def chance(side: int, count: int = 500) -> float:
    """Return the median score of random kernels of normally distributed taps."""
    drawn = np.random.default_rng(0).standard_normal((count, side, side))
    return float(np.median([kernels.nearest(k, 1)[0].score for k in drawn]))


def figure(layers: list[Layer]) -> Any:
    """Return the figure: each kernel as a picture, blue below 0 and red above."""
    from matplotlib.figure import Figure

    rows = [-(-len(layer.kernels) // COLUMNS) for layer in layers]
    drawn = Figure(figsize=(1.35 * COLUMNS, 1.75 * sum(rows) + 0.45 * len(layers)), dpi=100)
    heights = [1.75 * n + 0.45 for n in rows]
    parts = drawn.subfigures(len(layers), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, layer, count in zip(parts, layers, rows, strict=True):
        near = [kernels.nearest(k, 1)[0] for k in layer.kernels]
        middle = float(np.median([each.score for each in near]))
        side = layer.kernels.shape[-1]
        part.suptitle(
            f"{layer.title}; median score {middle:.2f}, of random kernels {chance(side):.2f}",
            fontsize=10,
        )
        panels = iter(part.subplots(count, COLUMNS, squeeze=False).flat)
        part.subplots_adjust(0.01, 0.04, 0.99, 1 - 0.62 / (1.75 * count + 0.45), 0.1, 0.45)
        for kernel, each, axes in zip(layer.kernels, near, panels, strict=False):
            most = np.abs(kernel).max()
            axes.imshow(kernel, cmap="RdBu_r", vmin=-most, vmax=most)
            sign = "\N{MINUS SIGN}" if each.factor < 0 else ""
            turns = f" turned {90 * each.turns}\N{DEGREE SIGN}" if each.turns else ""
            axes.set_title(f"{sign}{each.kernel.name}{turns}\n{each.score:.3f}", fontsize=6.5)
        for axes in part.axes:
            axes.set_axis_off()
    return drawn


def main() -> None:
    """Train, write the picture, and print each layer's kernels with their names and scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder with the files of Fashion-MNIST")
    asked = parser.parse_args()
    check_ending(str(TARGET))
    layers = [edges(), *clothes(asked.data)]
    for layer in layers:
        print(layer.title)
        for near in (kernels.nearest(k, 1)[0] for k in layer.kernels):
            print(f"  {near.kernel.name}, {near.turns} turns, {near.score:.3f}")
    write_bytes(TARGET, written_figure(figure(layers), ".png"))
    print(TARGET)


if __name__ == "__main__":
    main()
