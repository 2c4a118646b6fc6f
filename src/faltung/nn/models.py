"""Ready networks."""

from __future__ import annotations

from collections.abc import Sequence

from faltung.nn.activations import Dropout, Flatten, ReLU, Scale, Tanh
from faltung.nn.convolution import Conv, Dense
from faltung.nn.layer import Layer
from faltung.nn.network import Sequential
from faltung.nn.norms import BatchNorm
from faltung.nn.pooling import AveragePool, GlobalAveragePool, MaxPool

# Of each of the 16 outputs of C3, the channels of S2 that it sees: LeCun et al. (1998), table I
TABLE = [
    [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5],
    [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5],
    [0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5],
]  # fmt: skip


def lenet5(
    input_shape: Sequence[int] | None = None,
    classes: int = 10,
    *,
    form: str = "modern",
    seed: int = 0,
) -> Sequential:
    """Return LeNet-5.

    Parameters
    ----------
    input_shape : tuple of int, optional
        (1, 28, 28) of the modern form, (1, 32, 32) of that of 1998.
    classes : int
    form : "modern" or "1998"
        The modern one has relu, max pooling and full connections. That of 1998 (LeCun, Bottou,
        Bengio and Haffner) has ``1.7159 tanh(2 x / 3)``, averages with a gain and a shift for each
        channel, and the paper's table of connections; its last layer is dense here and was a
        distance to drawn digits there.
    seed : int

    Examples
    --------
    >>> from faltung import nn
    >>> nn.lenet5().count(), nn.lenet5(form="1998").count()
    (61706, 60850)
    """
    if form == "modern":
        shape = (1, 28, 28) if input_shape is None else input_shape
        modern: list[Layer] = [
            Conv(6, 5, padding=2), ReLU(), MaxPool(2), Conv(16, 5), ReLU(), MaxPool(2), Flatten(),
            Dense(120), ReLU(), Dense(84), ReLU(), Dense(classes),
        ]  # fmt: skip
        return Sequential(modern, shape, seed)
    if form != "1998":
        raise ValueError(f'form={form!r} must be "modern" or "1998".')
    shape = (1, 32, 32) if input_shape is None else input_shape
    found: list[Layer] = [Conv(6, 5, initial="glorot"), _squash(), *_subsample()]
    found += [Conv(16, 5, initial="glorot", connections=TABLE), _squash(), *_subsample()]
    found += [Conv(120, 5, initial="glorot"), _squash(), Flatten()]
    found += [Dense(84, initial="glorot"), _squash(), Dense(classes, initial="glorot")]
    return Sequential(found, shape, seed)


def _squash() -> Tanh:
    return Tanh(1.7159, 2 / 3)


def _subsample() -> list[Layer]:
    return [AveragePool(2), Scale(), _squash()]


def alexnet(
    input_shape: Sequence[int] = (3, 227, 227), classes: int = 1000, *, seed: int = 0
) -> Sequential:
    """Return AlexNet (Krizhevsky, Sutskever and Hinton, 2012), its two halves as groups.

    The response normalisation of the paper is left out, as later networks found it to matter
    little. Its parameters, 61 million, are drawn when they are first needed.

    Examples
    --------
    >>> from faltung import nn
    >>> nn.alexnet().count()
    60965224
    """
    found: list[Layer] = [
        Conv(96, 11, stride=4), ReLU(), MaxPool(3, stride=2),
        Conv(256, 5, padding=2, groups=2), ReLU(), MaxPool(3, stride=2),
        Conv(384, 3, padding=1), ReLU(), Conv(384, 3, padding=1, groups=2), ReLU(),
        Conv(256, 3, padding=1, groups=2), ReLU(), MaxPool(3, stride=2), Flatten(),
        Dense(4096), ReLU(), Dropout(0.5), Dense(4096), ReLU(), Dropout(0.5), Dense(classes),
    ]  # fmt: skip
    return Sequential(found, input_shape, seed)


def small_cnn(
    input_shape: Sequence[int] = (1, 28, 28),
    classes: int = 10,
    *,
    widths: Sequence[int] = (32, 64, 128),
    seed: int = 0,
) -> Sequential:
    """Return blocks of 3x3 convolution, batch norm and relu, pooled between, and a dense layer.

    Before the dense layer each channel is averaged over all space.

    Examples
    --------
    >>> from faltung import nn
    >>> nn.small_cnn().count()
    94186
    """
    return Sequential(_blocks(widths, 3, len(input_shape) - 1, classes), input_shape, seed)


def series_cnn(
    input_shape: Sequence[int],
    classes: int,
    *,
    widths: Sequence[int] = (32, 64, 64),
    size: int = 7,
    seed: int = 0,
) -> Sequential:
    """Return a network for time series (channels, samples): the same blocks along one axis.

    Examples
    --------
    >>> from faltung import nn
    >>> nn.series_cnn((1, 150), 2).output_shape
    (2,)
    """
    if len(input_shape) != 2:
        raise ValueError(f"input_shape={input_shape!r} must be (channels, samples).")
    return Sequential(_blocks(widths, size, 1, classes), input_shape, seed)


def _blocks(widths: Sequence[int], size: int, rank: int, classes: int) -> list[Layer]:
    found: list[Layer] = []
    for number, width in enumerate(widths, 1):
        found += [Conv(width, size, padding="same", bias=False), BatchNorm(), ReLU()]
        if number < len(widths):
            found.append(MaxPool(2))
    return [*found, GlobalAveragePool(), Dense(classes)]
