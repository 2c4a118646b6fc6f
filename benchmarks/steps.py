"""Whole training steps out of plain layer functions, and the same networks in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faltung import layers, nn
from faltung.dtypes import Array
from faltung.layers.memory import innermost, outermost

RATE = 0.01


def drawn(rng: np.random.Generator, *shape: int) -> Array:
    """Return weights of about the size that keeps the samples' variance."""
    return np.asarray((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))


def batch(images: int) -> tuple[Array, Array]:
    """Return images of noise, and labels."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((images, 1, 28, 28)).astype(np.float32)
    return outermost(innermost(x)), rng.integers(0, 10, images)


class LeNet:
    """Two convolutions of 5x5, 6 and 16 outputs, pooled, and three dense layers."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.labels = batch(64)
        shapes = ((6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84))
        self.weights = [drawn(rng, *shape) for shape in shapes]
        self.biases = [np.zeros(shape[0], np.float32) for shape in shapes]

    def step(self) -> float:
        """Descend once and return the loss."""
        k, b = self.weights, self.biases
        c1 = layers.conv(self.x, k[0], b[0], padding=2, relu=True)
        p1, w1 = layers.max_pool(c1, 2)
        c2 = layers.conv(p1, k[1], b[1], relu=True)
        p2, w2 = layers.max_pool(c2, 2)
        flat = layers.flatten(p2)
        d1 = layers.dense(flat, k[2], b[2], relu=True)
        d2 = layers.dense(d1, k[3], b[3], relu=True)
        loss, dy = layers.cross_entropy(layers.dense(d2, k[4], b[4]), self.labels)
        found = [(layers.dense_weight_gradient(d2, dy), layers.bias_gradient(dy))]
        dy = layers.relu_gradient(layers.dense_input_gradient(dy, k[4]), d2)
        found.append((layers.dense_weight_gradient(d1, dy), layers.bias_gradient(dy)))
        dy = layers.relu_gradient(layers.dense_input_gradient(dy, k[3]), d1)
        found.append((layers.dense_weight_gradient(flat, dy), layers.bias_gradient(dy)))
        dy = layers.dense_input_gradient(dy, k[2]).reshape(p2.shape)
        dy = layers.max_pool_gradient(dy, w2, (10, 10), 2, pooled=p2)
        found.append((layers.conv_weight_gradient(p1, dy, (5, 5)), layers.bias_gradient(dy)))
        dy = layers.conv_input_gradient(dy, k[1], (14, 14))
        dy = layers.max_pool_gradient(dy, w1, (28, 28), 2, pooled=p1)
        dk = layers.conv_weight_gradient(self.x, dy, (5, 5), padding=2)
        found.append((dk, layers.bias_gradient(dy)))
        for number, (dk, db) in enumerate(reversed(found)):
            k[number] -= np.float32(RATE) * dk
            b[number] -= np.float32(RATE) * db
        return loss


class ThreeBlocks:
    """Three times convolution, batch norm, relu and pool, 32, 64 and 128 outputs, and a dense."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.labels = batch(128)
        self.weights = [drawn(rng, o, c, 3, 3) for o, c in ((32, 1), (64, 32), (128, 64))]
        self.gains = [np.ones(o, np.float32) for o in (32, 64, 128)]
        self.shifts = [np.zeros(o, np.float32) for o in (32, 64, 128)]
        self.dense, self.bias = drawn(rng, 10, 128), np.zeros(10, np.float32)

    def step(self) -> float:
        """Descend once and return the loss."""
        x, kept = self.x, []
        greatest: Any  # the moments, and where pooling found its values
        blocks = list(zip(self.weights, self.gains, self.shifts, strict=True))
        for number, (k, gain, shift) in enumerate(blocks):
            c = layers.conv(x, k, padding=1)
            norm: Any = layers.batch_norm_max_pool if number < 2 else layers.batch_norm
            x_next, greatest = norm(c, gain, shift, relu=True)
            kept.append((x, c, greatest))
            x = x_next
        flat = layers.global_average_pool(x)
        logits = layers.dense(flat, self.dense, self.bias)
        loss, dy = layers.cross_entropy(logits, self.labels)
        found = [(self.dense, layers.dense_weight_gradient(flat, dy))]
        found.append((self.bias, layers.bias_gradient(dy)))
        dy = layers.dense_input_gradient(dy, self.dense)
        dy = layers.global_average_pool_gradient(dy, x.shape[2:])
        for number in (2, 1, 0):
            k, gain, shift = blocks[number]
            x, c, greatest = kept[number]
            pooled = layers.batch_norm_max_pool_gradient
            back: Any = pooled if number < 2 else layers.batch_norm_gradient
            dy, *more = back(dy, c, gain, shift, greatest, relu=True)
            found += zip((gain, shift), more, strict=True)
            found.append((k, layers.conv_weight_gradient(x, dy, (3, 3), padding=1)))
            if number:
                dy = layers.conv_input_gradient(dy, k, x.shape[2:], padding=1)
        for array, gradient in found:
            array -= np.float32(RATE) * gradient
        return loss


def network_step(name: str) -> Callable[[], Any]:
    """Return the same step of the same network out of faltung.nn."""
    x, labels = batch(64 if name == "LeNet" else 128)
    network = nn.lenet5() if name == "LeNet" else nn.small_cnn()
    descent = nn.SGD(RATE, momentum=0.0)
    state: dict[str, Array] = {}
    mode = nn.Mode(training=True)

    def step() -> float:
        loss, dy = layers.cross_entropy(network.forward(x, mode), labels)
        network.backward(dy)
        descent.step(network.parameters(), network.gradients(), state, 1)
        return loss

    return step


def torch_network(name: str, torch: Any) -> Any:
    """Return LeNet or the three blocks in PyTorch, with its own first weights."""
    nn = torch.nn
    if name == "LeNet":
        first = (nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        second = (nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        dense = (nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
        return nn.Sequential(*first, *second, *dense)
    blocks = []
    for channels, outputs in ((1, 32), (32, 64), (64, 128)):
        conv = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
        blocks += [conv, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def torch_step(name: str, torch: Any) -> Callable[[], Any]:
    """Return the same step of the same network in PyTorch."""
    x, labels = batch(64 if name == "LeNet" else 128)
    network = torch_network(name, torch)
    x_, labels_ = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(labels)
    descent = torch.optim.SGD(network.parameters(), lr=RATE)

    def step() -> float:
        descent.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x_), labels_)
        loss.backward()
        descent.step()
        return float(loss.detach())

    return step
