"""How an input is continued beyond its ends: the five boundaries as index maps."""

from __future__ import annotations

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
