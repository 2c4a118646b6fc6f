"""Convolution and full connection: the dense layer that equals a convolution, and the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faltung import layers
from faltung.dtypes import Array
from faltung.nn.convolution import Conv, Dense
from faltung.nn.layer import Shape

MOST = 1 << 28  # weights of a dense layer that are made


@dataclass(frozen=True)
class Counts:
    """Weights of a layer from ``inputs`` to ``outputs`` numbers, without biases.

    Attributes
    ----------
    full : int
        Of the full connection: ``inputs * outputs``.
    cut : int
        Of the connections that are there; those to samples beyond the input are not.
    shared : int
        Of the kernels, which all positions share.
    """

    inputs: int
    outputs: int
    full: int
    cut: int
    shared: int


def dense_from_conv(layer: Conv, input_shape: Sequence[int]) -> tuple[Dense, Counts]:
    """Return the dense layer that equals a convolution layer, and how many weights each has.

    A full connection from ``m`` to ``n`` numbers has ``m * n`` weights. Cutting connections leaves
    ``k`` for each output, the taps of its kernel; sharing them leaves ``k`` for each channel.

    Parameters
    ----------
    layer : Conv
        With parameters, or without: then they are drawn.
    input_shape : tuple of int
        (channels, *space) of one image.

    Returns
    -------
    dense : Dense
        It flattens its input; its outputs are the convolution's, flattened, channels first.
    counts : Counts

    Raises
    ------
    ValueError
        Where the dense layer would have more than 2**28 weights.

    Examples
    --------
    >>> from faltung import nn
    >>> dense, counts = nn.dense_from_conv(nn.Conv(1, 3, bias=False), (1, 8))
    >>> counts
    Counts(inputs=8, outputs=6, full=48, cut=18, shared=3)
    """
    shape = tuple(input_shape)
    problem = layer.problem(shape)
    inputs, outputs = math.prod(shape), math.prod(problem.y_shape[1:])
    if inputs * outputs > MOST:
        raise ValueError(
            f"a full connection from {inputs} to {outputs} numbers has {inputs * outputs:,} "
            f"weights, more than {MOST:,}; give a smaller input."
        )
    if not layer.parameters:
        layer.draw(shape, (0,), np.dtype(np.float32))
    k = layer.parameters["weights"]
    seen = np.ones_like(k) if layer.connections is None else layer.mask(k)
    dense = Dense(outputs, bias=layer.bias)
    dense.parameters["weights"] = _matrix(layer, shape, k)
    if layer.bias:
        each = outputs // layer.outputs
        dense.parameters["bias"] = np.repeat(layer.parameters["bias"], each)
    there = int(np.count_nonzero(_matrix(layer, shape, seen)))
    return dense, Counts(inputs, outputs, inputs * outputs, there, int(seen.sum()))


def _matrix(layer: Conv, shape: Shape, k: Array) -> Array:
    """Return the matrix of a convolution: its columns are its outputs for single samples."""
    inputs = math.prod(shape)
    single = np.eye(inputs, dtype=k.dtype).reshape(inputs, *shape)
    columns = layers.conv(single, k, **layer._options(shape[0]))
    return np.ascontiguousarray(columns.reshape(inputs, -1).T)


def conv_from_dense(
    dense: Dense,
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    *,
    tolerance: float = 1e-6,
) -> tuple[Conv, Counts]:
    """Return the convolution layer that equals a dense layer, where there is one.

    Looked for are layers of stride and dilation 1 with zeros around, whose output is no longer than
    the input: as many samples beyond the ends as the lengths ask for.

    Parameters
    ----------
    dense : Dense
        With its parameters.
    input_shape, output_shape : tuple of int
        (channels, *space) of what it takes and gives, which a dense layer does not know.
    tolerance : float
        How far weights may be off, in parts of the greatest.

    Returns
    -------
    conv : Conv
        Its kernels as small as they can be.
    counts : Counts
        As of :func:`dense_from_conv`.

    Raises
    ------
    ValueError
        Where no convolution equals the layer; the message says by how much the nearest is off.

    Examples
    --------
    >>> from faltung import nn
    >>> conv = nn.Conv(2, 3, padding=1)
    >>> dense, _ = nn.dense_from_conv(conv, (1, 6))
    >>> again, counts = nn.conv_from_dense(dense, (1, 6), (2, 6))
    >>> bool((again.parameters["weights"] == conv.parameters["weights"]).all()), counts.shared
    (True, 6)
    """
    into, out = tuple(input_shape), tuple(output_shape)
    w = dense.parameters.get("weights")
    if w is None or w.shape != (math.prod(out), math.prod(into)) or len(into) != len(out):
        held = "none" if w is None else w.shape
        raise ValueError(f"weights {held} do not go from {into} to {out}.")
    if any(o > n for n, o in zip(into[1:], out[1:], strict=True)):
        raise ValueError(f"an output {out} is longer than the input {into}.")
    # every offset that an output may have to a sample, of which those without weight are left out
    reach = [(n - 1, o - 1) for n, o in zip(into[1:], out[1:], strict=True)]
    size = tuple(a + b + 1 for a, b in reach)
    widest = Conv(out[0], size, padding=tuple((b, b) for _, b in reach), bias=dense.bias)
    blocks = np.moveaxis(w.reshape(*out, *into), len(out), 1)  # outputs, channels, *out, *in
    k = np.zeros((out[0], into[0], *size), w.dtype)
    rank = len(size)
    for offset in np.ndindex(*size):
        pairs = []
        for n, o, t, (_, b) in zip(into[1:], out[1:], offset, reach, strict=True):
            i = np.arange(o)
            i = i[(i + t - b >= 0) & (i + t - b < n)]
            pairs.append((i, i + t - b))
        index = (*(np.ix_(*(i for i, _ in pairs))), *(np.ix_(*(j for _, j in pairs))))
        found = blocks[(slice(None), slice(None), *index)]
        k[(slice(None), slice(None), *offset)] = found.mean(
            axis=tuple(range(2, 2 + rank)), dtype=np.float64
        )
    off = float(np.abs(_matrix(widest, into, k) - w).max(initial=0))
    greatest = float(np.abs(w).max(initial=0))
    if off > tolerance * greatest:
        raise ValueError(
            f"no convolution equals the layer: from {into} to {out} the nearest is off by "
            f"{off:.3g} where the greatest weight is {greatest:.3g}."
        )
    bias = None
    if dense.bias:
        rows = dense.parameters["bias"].reshape(out[0], -1)
        bias = rows[:, 0].copy()
        if float(np.ptp(rows, axis=1).max()) > tolerance * max(greatest, float(np.abs(rows).max())):
            raise ValueError("no convolution equals the layer: biases differ within a channel.")
    conv = _trimmed(widest, [b for _, b in reach], k, tolerance * greatest)
    if bias is not None:
        conv.parameters["bias"] = bias
    _, counts = dense_from_conv(conv, into)
    return conv, counts


def _trimmed(conv: Conv, around: Sequence[int], k: Array, least: float) -> Conv:
    """Return the layer, which pads by ``around``, without taps at the ends that weigh nothing."""
    sizes, padding, keep = [], [], []
    for axis in range(2, k.ndim):
        others = tuple(i for i in range(k.ndim) if i != axis)
        heavy = np.flatnonzero(np.abs(k).max(axis=others) > least)
        before = after = around[axis - 2]
        first, stop = (int(heavy[0]), int(heavy[-1]) + 1) if heavy.size else (before, before + 1)
        behind = k.shape[axis] - stop
        first, behind = min(first, before), min(behind, after)  # padding is not negative
        keep.append(slice(first, k.shape[axis] - behind))
        sizes.append(k.shape[axis] - behind - first)
        padding.append((before - first, after - behind))
    found = Conv(conv.outputs, tuple(sizes), padding=tuple(padding), bias=conv.bias)
    found.parameters["weights"] = np.ascontiguousarray(k[(slice(None), slice(None), *keep)])
    return found
