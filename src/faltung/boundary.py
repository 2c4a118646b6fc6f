"""How an input is continued beyond its ends, and the way back: five boundaries as index maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")

#: What an index map says where the fill value stands instead of a sample.
FILL = -1


def index_map(positions: NDArray[np.intp], n: int, boundary: str) -> NDArray[np.intp]:
    """Say which sample stands at each position of the continued axis.

    Parameters
    ----------
    positions : array of int
        Positions along the axis, of any shape, before 0 and beyond ``n`` too.
    n : int
        Length of the axis, at least 1.
    boundary : {"constant", "edge", "symmetric", "reflect", "wrap"}
        The continuation, under :func:`numpy.pad`'s names; repeated as often as needed.

    Returns
    -------
    array of int
        Indices from 0 to ``n - 1``, or ``FILL`` where the fill value stands.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.boundary import index_map
    >>> index_map(np.arange(-3, 6), 3, "reflect").tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    match boundary:
        case "constant":
            return np.where((positions >= 0) & (positions < n), positions, FILL)
        case "edge":
            return np.clip(positions, 0, n - 1)
        case "wrap":
            return positions % n
        case "symmetric":
            folded = positions % (2 * n)
            return np.minimum(folded, 2 * n - 1 - folded)
        case "reflect":
            period = max(2 * (n - 1), 1)
            folded = positions % period
            return np.minimum(folded, period - folded) if n > 1 else folded
    raise ValueError(f"boundary={boundary!r} is unknown; use one of {', '.join(BOUNDARIES)}.")


def fold(values: NDArray[Any], axis: int, low: int, n: int, boundary: str) -> NDArray[Any]:
    """Add what stands at each position of a continued axis to the sample that stood there.

    The adjoint of the continuation: where that reads a sample several times, its values are
    added up here, in the same order every time; what stands where the fill value stood is left
    out.

    Parameters
    ----------
    values : ndarray
        Numbers at the positions from ``low`` on.
    axis : int
        The axis that they lie along.
    low : int
        The first position.
    n : int
        Length of the axis that was continued.
    boundary : {"constant", "edge", "symmetric", "reflect", "wrap"}

    Returns
    -------
    ndarray
        ``n`` numbers along the axis.

    Raises
    ------
    ValueError
        Where the boundary is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.boundary import fold
    >>> fold(np.array([1, 2, 3, 4, 5]), 0, -1, 3, "symmetric").tolist()
    [3, 3, 9]
    """
    lead = (slice(None),) * axis
    high = low + values.shape[axis]
    first, stop = min(max(low, 0), n), max(min(high, n), 0)
    stop = max(first, stop)
    folded = np.zeros((*values.shape[:axis], n, *values.shape[axis + 1 :]), values.dtype)
    folded[(*lead, slice(first, stop))] = values[(*lead, slice(first - low, stop - low))]
    positions = np.arange(low, high)
    beyond = np.flatnonzero((positions < 0) | (positions >= n))
    samples = index_map(positions[beyond], n, boundary)
    beyond, samples = beyond[samples != FILL], samples[samples != FILL]
    if beyond.size:
        order = np.argsort(samples, kind="stable")
        ordered = samples[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        sums = np.add.reduceat(values.take(beyond[order], axis), starts, axis)
        folded[(*lead, ordered[starts])] += sums
    return folded
