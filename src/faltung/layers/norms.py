"""Batch and layer normalisation, with their gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from faltung import native
from faltung.checking import flag, number
from faltung.dtypes import Array
from faltung.layers.memory import fresh, innermost, outermost, pipelined, run
from faltung.layers.problem import check_shape, floats, images
from faltung.layers.recording import do, unrecorded

BLOCK = 4096  # samples of a channel that one partial sum takes, or about so


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance, in float64, and of how many samples each is.

    ``variance`` is the sum of squares over ``count``.
    """

    mean: Array
    variance: Array
    count: int

    def running(self, mean: Any, variance: Any, momentum: float = 0.1) -> tuple[Array, Array]:
        """Return running moments after this batch, ``(1 - momentum) * before + momentum * now``.

        The batch's variance enters as the sum of squares over ``count - 1``, where that is not 0.
        """
        unbiased = self.variance * (self.count / max(1, self.count - 1))
        keep = 1 - momentum
        return keep * np.asarray(mean) + momentum * self.mean, keep * np.asarray(
            variance
        ) + momentum * unbiased


def batch_norm(
    x: Any, gain: Any, shift: Any, *, epsilon: float = 1e-5, relu: bool = False
) -> tuple[Array, Moments]:
    """Return a batch with mean 0 and variance 1 in each channel, times gain, plus shift.

    ``y = gain * (x - mean) / sqrt(variance + epsilon) + shift`` (Ioffe and Szegedy, 2015), with the
    moments over images and space.

    Parameters
    ----------
    x : array (images, channels, *space)
    gain, shift : array (channels,)
    epsilon : float
    relu : bool
        Whether outputs below 0 become 0, in the same pass.

    Returns
    -------
    y : array, as ``x``
    moments : Moments
        Of the batch: for the gradient, and for the running ones (:meth:`Moments.running`).

    Raises
    ------
    ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> from faltung import layers
    >>> y, moments = layers.batch_norm([[1.0], [3.0]], [1.0], [0.0], epsilon=0.0)
    >>> y.tolist(), moments.mean.tolist(), moments.variance.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """
    x, gain, shift = checked(x, gain, shift, epsilon, relu)
    found = moments(x)
    return _apply(x, gain, shift, found, epsilon, relu), found


def batch_norm_inference(
    x: Any,
    gain: Any,
    shift: Any,
    mean: Any,
    variance: Any,
    *,
    epsilon: float = 1e-5,
    relu: bool = False,
) -> Array:
    """Return :func:`batch_norm` with given moments: the running ones of training.

    Parameters
    ----------
    x : array (images, channels, *space)
    gain, shift, mean, variance : array (channels,)
    epsilon : float
    relu : bool

    Returns
    -------
    array, as ``x``

    Examples
    --------
    >>> from faltung import layers
    >>> layers.batch_norm_inference([[6.0]], [1.0], [1.0], [2.0], [4.0], epsilon=0.0).tolist()
    [[3.0]]
    """
    x, gain, shift = checked(x, gain, shift, epsilon, relu)
    wide = np.dtype(np.float64)
    known = Moments(floats("mean", mean, wide), floats("variance", variance, wide), 0)
    for name, array in (("mean", known.mean), ("variance", known.variance)):
        check_shape(name, array, gain.shape)
    return _apply(x, gain, shift, known, epsilon, relu)


def batch_norm_gradient(
    dy: Any,
    x: Any,
    gain: Any,
    shift: Any,
    moments: Moments,
    *,
    epsilon: float = 1e-5,
    relu: bool = False,
) -> tuple[Array, Array, Array]:
    """Return the gradients of :func:`batch_norm` with respect to input, gain and shift.

    Parameters
    ----------
    dy : array, as ``x``
    x, gain, shift, epsilon, relu
        As they were given to :func:`batch_norm`.
    moments : Moments
        What :func:`batch_norm` gave.

    Returns
    -------
    dx : array, as ``x``
    dgain, dshift : array (channels,)

    Raises
    ------
    ValueError
        Where the shapes do not fit.
    """
    x, gain, shift = checked(x, gain, shift, epsilon, relu)
    dy = floats("dy", dy, x.dtype)
    check_shape("dy", dy, x.shape)
    kind = x.dtype
    source, gradient = rows(x), rows(dy)
    fixed = constants(gain, shift, moments, epsilon, kind)
    sums = gradient_sums(source, gradient, fixed, relu)
    more, dgain, dshift = slopes(sums, gain, moments, epsilon, kind)
    if _has_pipeline(source):
        shape = _blocks(source)
        out = fresh(shape, kind)
        inputs = [source.reshape(shape), gradient.reshape(shape), *fixed, *more]
        _run("back", inputs, (int(relu),), out)
    else:
        unrecorded()
        scales, _, centre, by, offset = (a[:, None] for a in (*fixed, *more))
        passed = _passed(source, gradient, fixed, relu)
        out = scales * passed + by * (source - centre) + offset
    return outermost(out.reshape(*x.shape[1:], x.shape[0])), dgain, dshift


def constants(
    gain: Array, shift: Array, moments: Moments, epsilon: float, kind: np.dtype[Any]
) -> list[Array]:
    """Return what the pipelines take of each channel: scale, shift and centre."""
    found = [np.empty(gain.shape, kind) for _ in range(3)]
    do(_constants, gain, shift, moments, epsilon, found)
    return found


def _constants(
    gain: Array, shift: Array, moments: Moments, epsilon: float, out: list[Array]
) -> None:
    scale, rest, centre = out
    scale[:] = gain / np.sqrt(moments.variance + epsilon)
    centre[:] = moments.mean
    # the part of the mean that its dtype cannot hold
    rest[:] = shift + scale * (centre - moments.mean)


def slopes(
    sums: Array, gain: Array, moments: Moments, epsilon: float, kind: np.dtype[Any]
) -> tuple[list[Array], Array, Array]:
    """Return what the way back adds by channel, and the gradients of gain and shift.

    The sums are those of :func:`gradient_sums`.
    """
    by, offset, dgain, dshift = (np.empty(gain.shape, kind) for _ in range(4))
    do(_slopes, sums, gain, moments, epsilon, (by, offset, dgain, dshift))
    return [by, offset], dgain, dshift


def _slopes(
    sums: Array, gain: Array, moments: Moments, epsilon: float, out: tuple[Array, ...]
) -> None:
    rate = 1 / np.sqrt(moments.variance + epsilon)
    scale, dshift, dgain = gain * rate, sums[:, 0], sums[:, 1] * rate
    out[0][:] = -scale * rate * dgain / moments.count
    out[1][:] = -scale * dshift / moments.count
    out[2][:] = dgain
    out[3][:] = dshift


def moments(x: Any) -> Moments:
    """Return mean and variance of each channel over images and space.

    Blocks are summed in the input's dtype, their means and squares about them in float64 (Chan,
    Golub and LeVeque, 1983).

    Parameters
    ----------
    x : array (images, channels, *space)

    Returns
    -------
    Moments
    """
    laid = rows(images("x", x))
    shape = _blocks(laid)
    blocks = laid.reshape(shape)
    parts = np.empty((*shape[:2], 2), laid.dtype)
    if _has_pipeline(laid):
        _run("moments", [blocks], (), parts)
    else:
        unrecorded()
        parts[..., 0] = blocks.sum(axis=2)
        about = blocks - (parts[..., 0].astype(np.float64) / shape[2]).astype(laid.dtype)[..., None]
        parts[..., 1] = (about * about).sum(axis=2)
    found = Moments(np.empty(len(laid)), np.empty(len(laid)), laid.shape[1])
    do(_joined, parts, shape[2], found)
    return found


def _joined(parts: Array, samples: int, out: Moments) -> None:
    """Put together the sums of blocks of so many samples, and of their squares."""
    wide = parts.astype(np.float64)
    sums, squares = wide[..., 0], wide[..., 1]
    # about the block's mean as it was subtracted, which is rounded
    each = (sums / samples).astype(parts.dtype).astype(np.float64)
    out.mean[:] = sums.sum(axis=1) / out.count
    drift = each - out.mean[:, None]
    lost = sums - samples * each
    total = (squares + 2 * drift * lost + samples * drift * drift).sum(axis=1)
    out.variance[:] = np.maximum(total / out.count, 0)


def checked(
    x: Any, gain: Any, shift: Any, epsilon: Any = 0.0, relu: Any = False
) -> tuple[Array, Array, Array]:
    """Return batch, gain and shift as checked arrays."""
    x = images("x", x)
    number("epsilon", epsilon, "a number, 0 or above")
    flag("relu", relu)
    gain, shift = floats("gain", gain, x.dtype), floats("shift", shift, x.dtype)
    for name, array in (("gain", gain), ("shift", shift)):
        check_shape(name, array, x.shape[1:2])
    return x, gain, shift


def rows(x: Array) -> Array:
    """Return an array (channels, samples), contiguous."""
    return innermost(x).reshape(x.shape[1], -1)


@lru_cache(maxsize=1024)
def _cut(samples: int, vector: int) -> int:
    """Return the length of a block: it divides the samples, into whole vectors if they are."""
    unit = vector if samples % vector == 0 else 1
    units = samples // unit
    return unit * max(d for d in range(1, min(units, BLOCK // unit) + 1) if units % d == 0)


def _vector(rows: Array) -> int:
    loaded = native.library()
    return loaded.vector // rows.itemsize if loaded else 16


def _blocks(rows: Array) -> tuple[int, int, int]:
    """Return the shape (channels, blocks, samples) that sums are taken in."""
    each = _cut(rows.shape[1], _vector(rows))
    return rows.shape[0], rows.shape[1] // each, each


def _has_pipeline(rows: Array) -> bool:
    whole = rows.shape[1] % _vector(rows) == 0
    return pipelined(rows.dtype) and whole and 0 < rows.nbytes < 2**31


def _run(part: str, inputs: list[Array], numbers: tuple[int, ...], out: Array) -> None:
    """Call a pipeline on blocks."""
    run("norms", inputs, numbers, [out], inputs[0].size, part)


def _apply(
    x: Array, gain: Array, shift: Array, found: Moments, epsilon: float, relu: bool
) -> Array:
    fixed = constants(gain, shift, found, epsilon, x.dtype)
    source = rows(x)
    if _has_pipeline(source):
        out = fresh(_blocks(source), x.dtype)
        _run("apply", [source.reshape(out.shape), *fixed], (int(relu),), out)
    else:
        unrecorded()
        scale, rest, centre = (a[:, None] for a in fixed)
        out = scale * (source - centre) + rest
        if relu:
            out[out < 0] = 0
    return outermost(out.reshape(*x.shape[1:], x.shape[0]))


def _passed(source: Array, gradient: Array, fixed: list[Array], relu: bool) -> Array:
    """Return the gradient where the layer's output was above 0, or everywhere without relu."""
    if not relu:
        return gradient
    scale, shift, centre = (a[:, None] for a in fixed)
    stopped = scale * (source - centre) + shift <= 0
    return np.where(stopped, gradient.dtype.type(0), gradient)


def gradient_sums(source: Array, gradient: Array, fixed: list[Array], relu: bool) -> Array:
    """Return the sums of the gradient and of its product with the centred input, by channel."""
    shape = _blocks(source)
    if _has_pipeline(source):
        parts = np.empty((*shape[:2], 2), source.dtype)
        inputs = [source.reshape(shape), gradient.reshape(shape), *fixed]
        _run("sums", inputs, (int(relu),), parts)
        found = np.empty((len(parts), 2))
        do(np.sum, parts, axis=1, dtype=np.float64, out=found)
        return found
    unrecorded()
    passed = _passed(source, gradient, fixed, relu)
    products = passed * (source - fixed[2][:, None])
    return np.stack([passed.sum(axis=1), products.sum(axis=1)], axis=1).astype(np.float64)


# ---- layer normalisation -----------------------------------------------------------------------


def layer_norm(x: Any, gain: Any, shift: Any, *, epsilon: float = 1e-5) -> tuple[Array, Moments]:
    """Return each image with mean 0 and variance 1 over its last axes, times gain, plus shift.

    Ba, Kiros and Hinton (2016). The axes are as many as ``gain`` has.

    Parameters
    ----------
    x : array (images, ...)
    gain, shift : array, of the shape of the last axes of ``x``
    epsilon : float

    Returns
    -------
    y : array, as ``x``
    moments : Moments
        With those axes of length 1.

    Raises
    ------
    ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> from faltung import layers
    >>> layers.layer_norm([[1.0, 3.0]], [1.0, 1.0], [0.0, 0.5], epsilon=0.0)[0].tolist()
    [[-1.0, 1.5]]
    """
    x, gain, shift, axes = _layer_checked(x, gain, shift, epsilon)
    mean = x.mean(axis=axes, keepdims=True, dtype=np.float64)
    about = x - mean.astype(x.dtype)
    variance = (about * about).mean(axis=axes, keepdims=True, dtype=np.float64)
    rate = (1 / np.sqrt(variance + epsilon)).astype(x.dtype)
    return gain * (about * rate) + shift, Moments(mean, variance, gain.size)


def layer_norm_gradient(
    dy: Any, x: Any, gain: Any, moments: Moments, *, epsilon: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Return the gradients of :func:`layer_norm` with respect to input, gain and shift.

    Parameters
    ----------
    dy : array, as ``x``
    x, gain, epsilon
        As they were given to :func:`layer_norm`.
    moments : Moments
        What :func:`layer_norm` gave.

    Returns
    -------
    dx : array, as ``x``
    dgain, dshift : array, as ``gain``
    """
    x, gain, _, axes = _layer_checked(x, gain, gain, epsilon)
    dy = floats("dy", dy, x.dtype)
    check_shape("dy", dy, x.shape)
    dy = outermost(innermost(dy))
    rate = (1 / np.sqrt(moments.variance + epsilon)).astype(x.dtype)
    normal = (x - moments.mean.astype(x.dtype)) * rate
    outer = tuple(range(x.ndim - gain.ndim))
    dgain = (dy * normal).sum(axis=outer, dtype=np.float64).astype(x.dtype)
    dshift = dy.sum(axis=outer, dtype=np.float64).astype(x.dtype)
    wanted = dy * gain
    level = wanted.mean(axis=axes, keepdims=True, dtype=np.float64).astype(x.dtype)
    slope = (wanted * normal).mean(axis=axes, keepdims=True, dtype=np.float64).astype(x.dtype)
    return (wanted - level - normal * slope) * rate, dgain, dshift


def _layer_checked(
    x: Any, gain: Any, shift: Any, epsilon: Any
) -> tuple[Array, Array, Array, tuple[int, ...]]:
    x = outermost(innermost(images("x", x)))  # the same sums whatever the layout
    number("epsilon", epsilon, "a number, 0 or above")
    gain, shift = floats("gain", gain, x.dtype), floats("shift", shift, x.dtype)
    if not 1 <= gain.ndim < x.ndim or math.prod(gain.shape) == 0:
        raise ValueError(f"gain {gain.shape} must have the shape of the last axes of {x.shape}.")
    for name, array in (("gain", gain), ("shift", shift)):
        check_shape(name, array, x.shape[x.ndim - gain.ndim :])
    return x, gain, shift, tuple(range(x.ndim - gain.ndim, x.ndim))
