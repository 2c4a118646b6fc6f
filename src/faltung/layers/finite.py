"""Whether layers look for what is not finite, which their faster ways would spread.

Winograd's tiles, and kernels that go on with zeros, carry a NaN to outputs that do not see it. A
layer therefore looks at its numbers, and takes the plain sums where one is not finite. A training
looks at every loss and stops where that is no number: inside, it leaves those looks away.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from faltung.layers.recording import unrecorded


class _Spreading(threading.local):
    depth = 0


_spreading = _Spreading()


@contextmanager
def spreading() -> Iterator[None]:
    """Let what is not finite spread over other outputs of its image, inside and in this thread.

    Outputs that are finite have the same bits as without.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung import layers
    >>> x, k = np.zeros((64, 16, 8, 8), np.float32), np.ones((16, 16, 3, 3), np.float32)
    >>> x[0, 0, 0, 0] = np.nan
    >>> int(np.isnan(layers.conv(x, k, padding=1)[0, 0]).sum())
    4
    >>> with spreading():
    ...     y = layers.conv(x, k, padding=1)
    >>> int(np.isnan(y[0, 0]).sum()) >= 4, int(np.isnan(y[1:]).sum())
    (True, 0)
    """
    _spreading.depth += 1
    try:
        yield
    finally:
        _spreading.depth -= 1


def looks() -> bool:
    """Whether to look at the numbers; what looks at them cannot be recorded."""
    if _spreading.depth:
        return False
    unrecorded()
    return True
