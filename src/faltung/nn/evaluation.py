"""How well a network does."""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.dtypes import Array


def confusion(found: Any, true: Any, classes: int) -> Array:
    """Return how often each true class (row) was taken for each class (column).

    Parameters
    ----------
    found, true : array of int (images,)
    classes : int

    Returns
    -------
    array of int (classes, classes)

    Examples
    --------
    >>> confusion([0, 1, 1], [0, 0, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    found, true = np.asarray(found), np.asarray(true)
    pairs = np.bincount(true * classes + found, minlength=classes * classes)
    return pairs.reshape(classes, classes)
