"""Batch normalisation with relu and max pooling behind it, in one pass each way.

The sums of the way back are over the greatest samples alone, since no other has a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung import native
from faltung.dtypes import Array
from faltung.layers import norms, pooling
from faltung.layers.memory import fresh, innermost, outermost, run
from faltung.layers.problem import check_shape, floats

SIZE = 2  # of a window along each axis, and its stride


@dataclass(frozen=True, eq=False)
class Greatest:
    """What the gradient of :func:`batch_norm_max_pool` needs.

    ``best`` are the samples that the pooled ones are of; None where the passes are apart.
    """

    moments: norms.Moments
    where: Array
    best: Array | None


def batch_norm_max_pool(
    x: Any, gain: Any, shift: Any, *, epsilon: float = 1e-5, relu: bool = False
) -> tuple[Array, Greatest]:
    """Return :func:`batch_norm`, and of it the greatest sample of each window of 2, 2 apart.

    It is :func:`max_pool` of size 2 along every axis of space; float32 images of two axes, a
    register's lanes of them or more, take one pass instead of two.

    Parameters
    ----------
    x : array (images, channels, *space)
    gain, shift : array (channels,)
    epsilon : float
    relu : bool
        Whether what is below 0 becomes 0.

    Returns
    -------
    y : array (images, channels, *positions)
    greatest : Greatest
        For the gradient; ``greatest.moments`` are those of the batch.

    Raises
    ------
    ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> from faltung import layers
    >>> x = [[[[1.0, 3.0], [1.0, 3.0]]]]
    >>> y, greatest = layers.batch_norm_max_pool(x, [2.0], [0.5], epsilon=0.0)
    >>> y.tolist(), greatest.where.tolist()
    ([[[[2.5]]]], [[[[1]]]])
    """
    x, gain, shift = norms.checked(x, gain, shift, epsilon, relu)
    if not _has_pipeline(x):
        y, moments = norms.batch_norm(x, gain, shift, epsilon=epsilon, relu=relu)
        y, where = pooling.max_pool(y, SIZE)
        return y, Greatest(moments, where, None)
    moments = norms.moments(x)
    laid = innermost(x)
    shape = (laid.shape[0], laid.shape[1] // SIZE, laid.shape[2] // SIZE, laid.shape[3])
    results = [fresh(shape, kind) for kind in (x.dtype, x.dtype, np.uint8)]
    fixed = norms.constants(gain, shift, moments, epsilon, x.dtype)
    run("normpool", [laid, *fixed], (int(relu),), results, laid.size, "forward")
    y, best, where = (outermost(array) for array in results)
    return y, Greatest(moments, where, best)


def batch_norm_max_pool_gradient(
    dy: Any,
    x: Any,
    gain: Any,
    shift: Any,
    greatest: Greatest,
    *,
    epsilon: float = 1e-5,
    relu: bool = False,
) -> tuple[Array, Array, Array]:
    """Return the gradients of :func:`batch_norm_max_pool` as to input, gain and shift.

    Parameters
    ----------
    dy : array (images, channels, *positions)
    x, gain, shift, epsilon, relu
        As they were given to :func:`batch_norm_max_pool`.
    greatest : Greatest
        What :func:`batch_norm_max_pool` gave.

    Returns
    -------
    dx : array, as ``x``
    dgain, dshift : array (channels,)

    Raises
    ------
    ValueError
        Where the shapes do not fit.

    Examples
    --------
    >>> from faltung import layers
    >>> x = [[[[1.0, 3.0], [1.0, 3.0]]]]
    >>> y, greatest = layers.batch_norm_max_pool(x, [2.0], [0.5], epsilon=0.0)
    >>> dx, dgain, dshift = layers.batch_norm_max_pool_gradient(
    ...     [[[[1.0]]]], x, [2.0], [0.5], greatest, epsilon=0.0
    ... )
    >>> dx.tolist(), dgain.tolist(), dshift.tolist()
    ([[[[0.0, 1.0], [0.0, -1.0]]]], [1.0], [1.0])
    """
    x, gain, shift = norms.checked(x, gain, shift, epsilon, relu)
    dy = floats("dy", dy, x.dtype)
    check_shape("dy", dy, greatest.where.shape)
    moments, best = greatest.moments, greatest.best
    if best is None:
        dy = pooling.max_pool_gradient(dy, greatest.where, x.shape[2:], SIZE)
        return norms.batch_norm_gradient(dy, x, gain, shift, moments, epsilon=epsilon, relu=relu)
    fixed = norms.constants(gain, shift, moments, epsilon, x.dtype)
    sums = norms.gradient_sums(norms.rows(best), norms.rows(dy), fixed, relu)
    more, dgain, dshift = norms.slopes(sums, gain, moments, epsilon, x.dtype)
    laid = innermost(x)
    out = fresh(laid.shape, x.dtype)
    inputs = [laid, *map(innermost, (dy, best, greatest.where)), *fixed, *more]
    run("normpool", inputs, (int(relu),), [out], 2 * laid.size, "back")
    return outermost(out), dgain, dshift


def _has_pipeline(x: Array) -> bool:
    """Whether one pass does all, on images of two axes."""
    loaded, name = native.library(), x.dtype.name
    if loaded is None or (name, "forward", name) not in native.variants("normpool"):
        return False
    whole = x.ndim == 4 and min(x.shape[2:]) >= SIZE and 0 < x.nbytes < 2**31
    return whole and x.shape[0] * x.itemsize >= loaded.vector
