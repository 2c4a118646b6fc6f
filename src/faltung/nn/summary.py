"""What a network is made of, as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from faltung.nn.layer import Shape
from faltung.nn.network import Graph
from faltung.windows import Field


@dataclass(frozen=True)
class Row:
    """A layer: its output's shape, and what one image costs.

    ``field`` is the receptive field: how many samples of the input an output sees along each axis
    of space, at most. ``inputs`` names the layers whose outputs it takes, where it is another than
    the one above.
    """

    name: str
    shape: Shape
    parameters: int
    multiply_adds: int
    field: tuple[int, ...]
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Summary:
    """A network's layers; shown or printed, it is a table."""

    input_shape: Shape
    rows: tuple[Row, ...]

    def __repr__(self) -> str:
        head = ("layer", "output", "parameters", "multiply-adds", "receptive field")
        table: list[tuple[str, ...]] = [head, ("input", str(self.input_shape), "", "", "")]
        for row in self.rows:
            counts = (f"{row.parameters:,}", f"{row.multiply_adds:,}")
            name = f"{row.name} of {', '.join(row.inputs)}" if row.inputs else row.name
            table.append((name, str(row.shape), *counts, "x".join(map(str, row.field))))
        total = [
            f"{sum(getattr(r, n) for r in self.rows):,}" for n in ("parameters", "multiply_adds")
        ]
        table.append(("total", "", *total, ""))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join(
            "  ".join(
                text.rjust(width) if 1 < i < 4 else text.ljust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in table
        )


def summarised(network: Graph) -> Summary:
    """Return the table of a network.

    Examples
    --------
    >>> from faltung import nn
    >>> print(nn.Sequential([nn.Conv(6, 5), nn.MaxPool(2), nn.Dense(10)], (1, 28, 28)).summary())
    layer     output       parameters  multiply-adds  receptive field
    input     (1, 28, 28)
    conv1     (6, 24, 24)         156         86,400  5x5
    maxpool1  (6, 12, 12)           0              0  6x6
    dense1    (10,)             8,650          8,640  28x28
    total                       8,806         95,040
    """
    space = network.input_shape[1:]
    fields: list[tuple[Field, ...]] = [tuple(Field() for _ in space)]
    rows: list[Row] = []
    for node in network.nodes:
        shape = network.shape(node.inputs[0])
        seen = [fields[i] for i in node.inputs]
        merged = tuple(map(Field.merged, zip(*seen, strict=True)))
        windows = node.layer.windows(shape)
        if windows:
            merged = tuple(f.behind(w) for f, w in zip(merged, windows, strict=True))
        elif len(node.shape) < len(shape) or (len(shape) > 1 and node.layer.multiply_adds(shape)):
            merged = tuple(Field(n, 1) for n in space)  # a dense layer sees all
        fields.append(merged)
        weights = node.layer.weights(shape)
        connections = getattr(node.layer, "connections", None)
        count = sum(math.prod(weight.shape) for weight in weights.values())
        if connections is not None:
            taps = math.prod(weights["weights"].shape[2:])
            count = sum(map(len, connections)) * taps + node.shape[0] * ("bias" in weights)
        sees = tuple(min(f.length, n) for f, n in zip(merged, space, strict=True))
        multiplied = node.layer.multiply_adds(shape)
        names = tuple(network.nodes[i - 1].name if i else "input" for i in node.inputs)
        above = node.inputs == (len(rows),)
        rows.append(Row(node.name, node.shape, count, multiplied, sees, () if above else names))
    return Summary(network.input_shape, tuple(rows))
