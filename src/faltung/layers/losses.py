"""Losses: a number that tells how far predictions are off, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.checking import number
from faltung.dtypes import Array
from faltung.layers.activations import log_softmax
from faltung.layers.memory import innermost, outermost
from faltung.layers.problem import check_shape, floats


def cross_entropy(
    logits: Any, labels: Any, *, weights: Any = None, smoothing: float = 0.0
) -> tuple[float, Array]:
    """Return the mean cross entropy of labels under the softmax of logits, and its gradient.

    With ``p = softmax(logits)``, target ``t = (1 - smoothing) * onehot + smoothing / classes`` and
    class weights ``w``: ``sum_n,c -w[c] t[n, c] log p[n, c] / sum_n w[labels[n]]``.

    Parameters
    ----------
    logits : array (images, classes, *space)
    labels : array of int (images, *space)
    weights : array (classes,), optional
        All 1 by default; not negative, and not 0 for all the labels.
    smoothing : float
        From 0 to 1: the part of each target that is spread over all classes.

    Returns
    -------
    loss : float
        Summed in float64.
    gradient : array, as ``logits``

    Raises
    ------
    ValueError
        Where shapes do not fit, or a label is out of range: the message has the label.

    Examples
    --------
    >>> from faltung import layers
    >>> loss, gradient = layers.cross_entropy([[0.0, 0.0]], [1])
    >>> round(loss, 6), gradient.tolist()
    (0.693147, [[0.5, -0.5]])
    """
    logits = floats("logits", logits)
    labels = _labels(logits, labels)
    smoothing = number("smoothing", smoothing, "from 0 to 1")
    if weights is None and smoothing == 0 and logits.ndim == 2:
        return _of_one_class(logits, labels)
    classes, kind = logits.shape[1], logits.dtype
    each = np.ones(classes) if weights is None else floats("weights", weights, np.dtype("f8"))
    check_shape("weights", each, (classes,))
    total = float(each[labels].sum())
    if not ((each >= 0).all() and total > 0):
        raise ValueError("weights must not be negative, nor 0 for all the labels.")
    logs = log_softmax(logits)
    column = (1, -1, *(1,) * (logits.ndim - 2))
    hit = np.expand_dims(labels, 1) == np.arange(classes).reshape(column)
    target = hit * (1 - smoothing) + smoothing / classes
    share = (target * (each / total).reshape(column)).astype(kind)
    counted = share != 0  # 0 times the logarithm of 0 is 0 here
    loss = -float((share[counted].astype(np.float64) * logs[counted]).sum())
    gradient = np.exp(logs) * share.sum(axis=1, keepdims=True) - share
    return loss, np.asarray(gradient)


def _of_one_class(logits: Array, labels: Array) -> tuple[float, Array]:
    """Return the cross entropy where each target is one class and all count the same."""
    laid, images = innermost(logits), len(labels)
    each = np.arange(images)
    off = laid - laid.max(axis=0)
    powers = np.exp(off)
    totals = powers.sum(axis=0)
    logs = off[labels, each].astype(np.float64) - np.log(totals)
    powers *= 1 / (images * totals)
    powers[labels, each] -= powers.dtype.type(1 / images)
    return -float(logs.sum()) / images, outermost(powers)


def _labels(logits: Array, labels: Any) -> Array:
    """Return labels that were checked."""
    labels = np.asarray(labels)
    if logits.ndim < 2 or logits.size == 0:
        raise ValueError(f"logits of shape {logits.shape} are empty or have no axis of classes.")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels have dtype {labels.dtype}; they must be integers.")
    check_shape("labels", labels, (logits.shape[0], *logits.shape[2:]))
    if labels.size and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
        wrong = (labels < 0) | (labels >= logits.shape[1])
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"label {labels[at]} of image {at[0]} is out of range: there are {logits.shape[1]} "
            f"classes, 0 to {logits.shape[1] - 1}."
        )
    return np.asarray(labels)


def mean_squared_error(prediction: Any, target: Any) -> tuple[float, Array]:
    """Return the mean of squared differences over all samples, and its gradient.

    Parameters
    ----------
    prediction, target : array, of one shape

    Returns
    -------
    loss : float
        Summed in float64.
    gradient : array, as ``prediction``

    Raises
    ------
    ValueError
        Where the shapes differ, or there are no samples.

    Examples
    --------
    >>> from faltung import layers
    >>> loss, gradient = layers.mean_squared_error([1.0, 2.0], [1.0, 0.0])
    >>> loss, gradient.tolist()
    (2.0, [0.0, 2.0])
    """
    prediction = floats("prediction", prediction)
    target = floats("target", target, prediction.dtype)
    check_shape("target", target, prediction.shape)
    if prediction.size == 0:
        raise ValueError(f"a prediction of shape {prediction.shape} is empty.")
    off = prediction - target
    loss = float(np.square(off, dtype=np.float64).mean())
    return loss, off * prediction.dtype.type(2 / off.size)
