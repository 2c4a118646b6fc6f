"""Sums over all samples of a channel: the gradients of biases."""

from __future__ import annotations

from faltung.dtypes import Array
from faltung.layers.compiled import ROW, max_divisor, vector
from faltung.layers.memory import pipelined, run


def summed(x: Array) -> bool:
    """Whether the pipelines sum channels: rows of whole vectors."""
    return pipelined(x.dtype) and x.size > 0 and x.shape[1] % vector(x.dtype) == 0


def channel_sums(x: Array, out: Array) -> None:
    """Put the sum of each row of an array (channels, samples) into another."""
    each = vector(x.dtype)
    block = each * max_divisor(x.shape[1] // each, ROW // each)
    run("training", [x.reshape(len(x), -1, block)], (), [out], x.size, "sums")
