"""Convolution layers, transposed ones and dense ones, with their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from faltung.checking import flag, whole
from faltung.dtypes import Array
from faltung.layers import compiled, reference, totals
from faltung.layers.memory import innermost, outermost
from faltung.layers.problem import (
    Boundary,
    Conv,
    Ints,
    Padding,
    check_shape,
    conv_problem,
    floats,
    images,
    per_axis,
    transposed_shape,
)
from faltung.layers.recording import do, unrecorded


def conv(
    x: Any,
    k: Any,
    bias: Any = None,
    *,
    stride: Ints = 1,
    dilation: Ints = 1,
    padding: Padding = 0,
    boundary: Boundary = "constant",
    groups: int = 1,
    relu: bool = False,
) -> Array:
    """Return a convolution layer's output, summed over channels; the kernel is not flipped.

    ``y[n, o, i] = bias[o] + sum_c,t k[o, c, t] x[n, c, stride*i + dilation*t - before]``

    Parameters
    ----------
    x : array (images, channels, *space)
        Along one, two, three axes or none. float32 and float64; other numbers become one of them.
    k : array (outputs, channels / groups, *taps)
        Computed in the input's dtype.
    bias : array (outputs,), optional
    stride, dilation : int, or one per axis of space
    padding : int, one per axis, a pair (before, after) per axis, "same" or "valid"
        How far the input is continued. ``"same"`` lays the kernel's anchor (the left one of two
        middle taps) on each sample: ``ceil(n / stride)`` outputs.
    boundary : str, or one per axis
        How it is continued, under :func:`numpy.pad`'s names: by zeros with ``"constant"``.
    groups : int
        The channels and outputs are cut into so many groups that do not mix.
    relu : bool
        Whether outputs below 0 become 0, in the same pass.

    Returns
    -------
    array (images, outputs, *positions)
        The images lie innermost in memory (see :mod:`faltung.layers.memory`).

    Raises
    ------
    ValueError
        Where the shapes do not fit; the message has them.

    Notes
    -----
    Each sum is one over all taps, one after the other: within ``(t + 2) eps`` of its terms'
    absolute sum for ``t`` taps of all channels. 3x3 layers in float32 of stride and dilation 1,
    with one group, zeros around, and 12 channels and outputs or more, or 24 of few images, are
    computed by Winograd's algorithm instead, and so are the gradients of input and weights: see
    :data:`faltung.layers.winograd.ERROR`, and :func:`faltung.layers.plain_sums`, which turns that
    off. Results have the same bits for any thread count.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> layers.conv(x, np.ones((1, 1, 2, 2)), [0.5])[0, 0].tolist()
    [[8.5, 12.5], [20.5, 24.5]]
    """
    x = floats("x", x)
    k = floats("k", k, x.dtype)
    relu = flag("relu", relu)
    problem = conv_problem(x.shape, k.shape, stride, dilation, padding, boundary, groups)
    if bias is not None:
        bias = floats("bias", bias, x.dtype)
        check_shape("bias", bias, (problem.outputs,))
    if compiled.supported(problem, x.dtype):
        return compiled.conv(problem, x, k, bias, relu)
    unrecorded()
    y = reference.conv(problem, x, k)
    if bias is not None:
        y += bias.reshape(-1, *(1,) * len(problem.windows))
    return outermost(innermost(np.where(y < 0, y.dtype.type(0), y) if relu else y))


def conv_input_gradient(
    dy: Any,
    k: Any,
    space: Sequence[int],
    *,
    stride: Ints = 1,
    dilation: Ints = 1,
    padding: Padding = 0,
    boundary: Boundary = "constant",
    groups: int = 1,
    gate: Any = None,
) -> Array:
    """Return the gradient of :func:`conv` with respect to its input.

    Parameters
    ----------
    dy : array (images, outputs, *positions)
        The gradient with respect to the output.
    k : array (outputs, channels / groups, *taps)
    space : tuple of int
        The input's shape along the axes of space.
    stride, dilation, padding, boundary, groups
        As they were given to :func:`conv`.
    gate : array, as the input, optional
        The input, where it came out of a relu: then the gradient of that is taken in the same
        pass, and only what is above 0 passes.

    Returns
    -------
    array (images, channels, *space)

    Raises
    ------
    ValueError
        Where the shapes do not fit; the message has them.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> layers.conv_input_gradient(np.ones((1, 1, 2)), [[[1.0, 10.0]]], (3,)).tolist()
    [[[1.0, 11.0, 10.0]]]
    """
    dy = floats("dy", dy)
    k = floats("k", k, dy.dtype)
    if k.ndim < 2 or dy.ndim != k.ndim:
        raise ValueError(f"a gradient {dy.shape} and kernels {k.shape} must have as many axes.")
    groups = whole("groups", groups, 1)
    x_shape = (dy.shape[0], k.shape[1] * groups, *per_axis("space", space, k.ndim - 2, 1))
    problem = conv_problem(x_shape, k.shape, stride, dilation, padding, boundary, groups)
    check_shape("dy", dy, problem.y_shape)
    if gate is not None:
        gate = floats("gate", gate, dy.dtype)
        check_shape("gate", gate, problem.x_shape)
    return _input_gradient(problem, dy, k, gate)


def _input_gradient(problem: Conv, dy: Array, k: Array, gate: Array | None = None) -> Array:
    if compiled.supported(problem, dy.dtype):
        return compiled.input_gradient(problem, dy, k, gate)
    unrecorded()
    dx = outermost(innermost(reference.input_gradient(problem, dy, k)))
    return dx if gate is None else compiled.gated(dx, gate)


def conv_weight_gradient(
    x: Any,
    dy: Any,
    taps: Sequence[int],
    *,
    stride: Ints = 1,
    dilation: Ints = 1,
    padding: Padding = 0,
    boundary: Boundary = "constant",
    groups: int = 1,
) -> Array:
    """Return the gradient of :func:`conv` with respect to its kernels.

    That with respect to the bias is :func:`bias_gradient`.

    Parameters
    ----------
    x : array (images, channels, *space)
    dy : array (images, outputs, *positions)
        The gradient with respect to the output.
    taps : tuple of int
        The kernels' shape along the axes of space.
    stride, dilation, padding, boundary, groups
        As they were given to :func:`conv`.

    Returns
    -------
    array (outputs, channels / groups, *taps)

    Raises
    ------
    ValueError
        Where the shapes do not fit; the message has them.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> layers.conv_weight_gradient([[[1.0, 2.0, 4.0]]], np.ones((1, 1, 2)), (2,)).tolist()
    [[[3.0, 6.0]]]
    """
    x = floats("x", x)
    dy = floats("dy", dy, x.dtype)
    groups = whole("groups", groups, 1)
    if x.ndim < 2 or dy.ndim != x.ndim or x.shape[1] % groups:
        raise ValueError(
            f"an input {x.shape} and a gradient {dy.shape} do not fit, in {groups} groups."
        )
    k_shape = (dy.shape[1], x.shape[1] // groups, *per_axis("taps", taps, x.ndim - 2, 1))
    problem = conv_problem(x.shape, k_shape, stride, dilation, padding, boundary, groups)
    check_shape("dy", dy, problem.y_shape)
    if compiled.supported(problem, x.dtype):
        return compiled.weight_gradient(problem, x, dy)
    unrecorded()
    return reference.weight_gradient(problem, x, dy)


def bias_gradient(dy: Any) -> Array:
    """Return the gradient with respect to a bias: the sum of each channel's gradient.

    Parameters
    ----------
    dy : array (images, outputs, *positions)

    Returns
    -------
    array (outputs,)
        Summed by blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> layers.bias_gradient(np.ones((2, 3, 5))).tolist()
    [10.0, 10.0, 10.0]
    """
    dy = images("dy", dy)
    laid, out = innermost(dy).reshape(dy.shape[1], -1), np.empty(dy.shape[1], dy.dtype)
    if totals.summed(laid):
        totals.channel_sums(laid, out)
    else:
        do(np.sum, laid, axis=1, out=out)
    return out


def conv_transposed(
    x: Any,
    k: Any,
    bias: Any = None,
    *,
    stride: Ints = 1,
    dilation: Ints = 1,
    padding: Padding = 0,
    extra: Ints = 0,
    groups: int = 1,
) -> Array:
    """Return a transposed convolution: the way back of :func:`conv`, as a layer of its own.

    Its length is ``stride * (n - 1) + dilation * (taps - 1) + 1 + extra - before - after``.
    Its gradient with respect to the input is ``conv(dy, k, ...)``, that with respect to the
    kernels ``conv_weight_gradient(dy, x, ...)``, with the same options.

    Parameters
    ----------
    x : array (images, channels, *space)
    k : array (channels, outputs / groups, *taps)
        As of the :func:`conv` that goes the other way.
    bias : array (outputs,), optional
    stride, dilation, padding, groups
        Of the :func:`conv` that goes the other way. Samples in the padding are left away.
    extra : int, or one per axis
        Samples more at the end: less than the stride, as several lengths give one output's.

    Returns
    -------
    array (images, outputs, *positions)

    Raises
    ------
    ValueError
        Where the shapes do not fit; the message has them.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> layers.conv_transposed([[[1.0, 10.0]]], [[[1.0, 2.0, 3.0]]], stride=2).tolist()
    [[[1.0, 2.0, 13.0, 20.0, 30.0]]]
    """
    x = floats("x", x)
    k = floats("k", k, x.dtype)
    y_shape = transposed_shape(x.shape, k.shape, stride, dilation, padding, extra, groups)
    problem = conv_problem(y_shape, k.shape, stride, dilation, padding, "constant", groups)
    y = _input_gradient(problem, x, k)
    if bias is None:
        return y
    bias = floats("bias", bias, x.dtype)
    check_shape("bias", bias, (y_shape[1],))
    return np.asarray(y + bias.reshape(-1, *(1,) * (x.ndim - 2)))


def dense(x: Any, w: Any, bias: Any = None, *, relu: bool = False) -> Array:
    """Return a dense layer's output, ``x @ w.T + bias``.

    Parameters
    ----------
    x : array (images, inputs)
    w : array (outputs, inputs)
    bias : array (outputs,), optional
    relu : bool
        Whether outputs below 0 become 0, in the same pass.

    Returns
    -------
    array (images, outputs)

    Raises
    ------
    ValueError
        Where the shapes do not fit; the message has them.

    Examples
    --------
    >>> from faltung import layers
    >>> layers.dense([[1.0, 2.0]], [[1.0, 1.0], [0.0, -1.0]], [0.5, 0.0], relu=True).tolist()
    [[3.5, 0.0]]
    """
    x, w = _dense_checked(x, w, "x")
    relu = flag("relu", relu)
    y = w @ innermost(x)
    if bias is not None:
        bias = floats("bias", bias, x.dtype)
        check_shape("bias", bias, (w.shape[0],))
        y += bias[:, None]
    return outermost(np.maximum(y, 0, out=y) if relu else y)


def dense_input_gradient(dy: Any, w: Any) -> Array:
    """Return the gradient of :func:`dense` with respect to its input, ``dy @ w``."""
    dy, w = _dense_checked(dy, w, "dy")
    return outermost(w.T @ innermost(dy))


def dense_weight_gradient(x: Any, dy: Any) -> Array:
    """Return the gradient of :func:`dense` with respect to its weights, ``dy.T @ x``."""
    x = floats("x", x)
    dy = floats("dy", dy, x.dtype)
    if x.ndim != 2 or dy.ndim != 2 or len(x) != len(dy):
        raise ValueError(
            f"an input {x.shape} and a gradient {dy.shape} do not fit: they are (images, inputs) "
            f"and (images, outputs)."
        )
    return np.asarray(innermost(dy) @ innermost(x).T)


def _dense_checked(x: Any, w: Any, name: str) -> tuple[Array, Array]:
    """Return a dense layer's input, or its output's gradient, and its weights."""
    x = floats(name, x)
    w = floats("w", w, x.dtype)
    if x.ndim != 2:
        raise ValueError(f"{name} has shape {x.shape}; it must be (images, features). Flatten it.")
    axis = 1 if name == "x" else 0
    if w.ndim != 2 or w.shape[axis] != x.shape[1]:
        raise ValueError(
            f"{name} {x.shape} and weights {w.shape} do not fit: they are (images, features) and "
            f"(outputs, inputs)."
        )
    return x, w


def flatten(x: Any) -> Array:
    """Return an array (images, ...) as (images, features), channels first; no copy.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> layers.flatten(np.zeros((2, 3, 5, 5))).shape
    (2, 75)
    """
    x = np.asarray(x)
    if x.ndim < 1 or x.size == 0:
        raise ValueError(f"x has shape {x.shape}; it must be (images, ...) and not empty.")
    turned = x.transpose(*range(1, x.ndim), 0)
    if turned.flags.c_contiguous:
        return outermost(turned.reshape(-1, x.shape[0]))
    unrecorded()
    return np.asarray(x.reshape(x.shape[0], -1))
