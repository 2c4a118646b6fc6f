"""Functions of single samples, the softmax, and dropout, with their gradients.

A gradient takes the function's output, which a network keeps anyway, not its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from faltung.checking import number, whole
from faltung.dtypes import Array
from faltung.layers.memory import innermost, outermost
from faltung.layers.problem import check_shape, floats
from faltung.layers.recording import do


def _both(dy: Any, y: Any) -> tuple[Array, Array]:
    y = floats("y", y)
    dy = floats("dy", dy, y.dtype)
    check_shape("dy", dy, y.shape)
    return dy, y


def relu(x: Any) -> Array:
    """Return the samples, and 0 for those below it; NaN stays.

    >>> relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    x = floats("x", x)
    y: Array = np.empty_like(x)
    do(np.maximum, x, x.dtype.type(0), out=y)
    return y


def relu_gradient(dy: Any, y: Any) -> Array:
    """Return the gradient of :func:`relu` from its output: 0 where that is 0, so at 0 too."""
    dy, y = _both(dy, y)
    dx: Array = np.empty_like(y)
    do(np.greater, y, 0, out=dx)  # products with bool are slower
    do(np.multiply, dy, dx, out=dx)
    return dx


def leaky_relu(x: Any, slope: float = 0.01) -> Array:
    """Return the samples, and ``slope`` times those below 0; the slope is positive.

    >>> leaky_relu([-1.0, 2.0], 0.5).tolist()
    [-0.5, 2.0]
    """
    x = floats("x", x)
    return np.asarray(np.where(x < 0, x * x.dtype.type(_positive("slope", slope)), x))


def leaky_relu_gradient(dy: Any, y: Any, slope: float = 0.01) -> Array:
    """Return the gradient of :func:`leaky_relu` from its output; at 0 it is the slope."""
    dy, y = _both(dy, y)
    return np.asarray(np.where(y > 0, dy, dy * y.dtype.type(_positive("slope", slope))))


def elu(x: Any, alpha: float = 1.0) -> Array:
    """Return the samples, and ``alpha * (exp(x) - 1)`` for those below 0 (Clevert et al., 2016).

    >>> elu([-1e9, 2.0]).tolist()
    [-1.0, 2.0]
    """
    x = floats("x", x)
    scale = x.dtype.type(_positive("alpha", alpha))
    return np.asarray(np.where(x > 0, x, scale * np.expm1(np.minimum(x, 0))))


def elu_gradient(dy: Any, y: Any, alpha: float = 1.0) -> Array:
    """Return the gradient of :func:`elu` from its output: ``y + alpha`` where not above 0."""
    dy, y = _both(dy, y)
    return np.asarray(np.where(y > 0, dy, dy * (y + y.dtype.type(_positive("alpha", alpha)))))


def _positive(name: str, value: float) -> float:
    """Return a number above 0: else the gradient could not be read off the output."""
    return number(name, value, "a number above 0")


def sigmoid(x: Any) -> Array:
    """Return ``1 / (1 + exp(-x))``, without overflow.

    >>> sigmoid([-1e9, 0.0, 1e9]).tolist()
    [0.0, 0.5, 1.0]
    """
    x = floats("x", x)
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, small, x.dtype.type(1)) / (1 + small))


def sigmoid_gradient(dy: Any, y: Any) -> Array:
    """Return the gradient of :func:`sigmoid` from its output, ``dy * y * (1 - y)``."""
    dy, y = _both(dy, y)
    return np.asarray(dy * y * (1 - y))


def tanh(x: Any) -> Array:
    """Return the hyperbolic tangent.

    >>> tanh([0.0]).tolist()
    [0.0]
    """
    return np.asarray(np.tanh(floats("x", x)))


def tanh_gradient(dy: Any, y: Any) -> Array:
    """Return the gradient of :func:`tanh` from its output, ``dy * (1 - y**2)``."""
    dy, y = _both(dy, y)
    return np.asarray(dy * (1 - y * y))


def _along(x: Any, axis: int) -> Array:
    """Return an array that has samples along an axis, laid so that sums have the same bits."""
    found: Array = floats("x", x)
    if not -found.ndim <= axis < found.ndim or found.size == 0:
        raise ValueError(f"x has shape {found.shape}; it must have samples along axis {axis}.")
    return outermost(innermost(found))


def softmax(x: Any, axis: int = 1) -> Array:
    """Return ``exp(x) / sum(exp(x))`` along an axis, without overflow.

    >>> softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    x = _along(x, axis)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def softmax_gradient(dy: Any, y: Any, axis: int = 1) -> Array:
    """Return the gradient of :func:`softmax` from its output, ``y * (dy - sum(dy * y))``."""
    dy, y = (_along(a, axis) for a in _both(dy, y))
    return np.asarray(y * (dy - (dy * y).sum(axis=axis, keepdims=True)))


def log_softmax(x: Any, axis: int = 1) -> Array:
    """Return the logarithm of :func:`softmax`, without overflow.

    >>> log_softmax([[1e9, 0.0]]).tolist()
    [[0.0, -1000000000.0]]
    """
    x = _along(x, axis)
    x = x - x.max(axis=axis, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=axis, keepdims=True)))


def log_softmax_gradient(dy: Any, y: Any, axis: int = 1) -> Array:
    """Return the gradient of :func:`log_softmax` from its output."""
    dy, y = (_along(a, axis) for a in _both(dy, y))
    return np.asarray(dy - np.exp(y) * dy.sum(axis=axis, keepdims=True))


def dropout(x: Any, rate: float, seed: int | Sequence[int]) -> tuple[Array, Array]:
    """Return samples of which a part is 0, and the factors that they were multiplied by.

    Each is kept with probability ``1 - rate`` and then divided by that (Srivastava et al., 2014, in
    the form that leaves inference alone). The gradient is ``dy * factors``.

    Parameters
    ----------
    x : array (images, ...)
    rate : float
        From 0 to less than 1.
    seed : int or sequence of int
        As of :func:`numpy.random.default_rng`; the same seed drops the same samples, whatever the
        memory layout: say the seed of the run, the layer and the step.

    Returns
    -------
    y, factors : array, as ``x``

    Raises
    ------
    ValueError
        Where ``rate`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> y, factors = layers.dropout(np.ones((2, 3)), 0.5, seed=(7, 0))
    >>> set(y.ravel().tolist()) <= {0.0, 2.0}, bool((y == factors).all())
    (True, True)
    """
    x = floats("x", x)
    rate = number("rate", rate, "from 0 to less than 1")
    for each in seed if isinstance(seed, Sequence) and not isinstance(seed, str) else (seed,):
        whole("seed", each, 0)
    if x.ndim < 1:
        raise ValueError(f"x has shape {x.shape}; it must be (images, ...).")
    drawn = np.random.default_rng(seed).random((*x.shape[1:], *x.shape[:1]), np.float32)
    factors = outermost((drawn >= np.float32(rate)) * x.dtype.type(1 / (1 - rate)))
    return x * factors, factors
