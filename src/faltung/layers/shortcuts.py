"""Layers, and the ways back to their inputs, that have a faster way than sums at tabled places."""

from __future__ import annotations

from faltung.dtypes import Array
from faltung.layers import depthwise, pointwise, winograd
from faltung.layers.problem import Conv


def shortcut(
    problem: Conv, x: Array, k: Array, back: bool, bias: Array | None = None, relu: bool = False
) -> Array | None:
    """Return a layer's output, or its way back, if there is a faster way for it; else None."""
    if pointwise.supported(problem, x, back):
        return pointwise.correlated(x, k, bias, relu, back)
    winograds = winograd.supported(problem, x.dtype)
    if not winograds and not depthwise.supported(problem, x):
        return None
    windows = problem.windows
    down, across = (w.reach - w.before if back else w.before for w in windows)
    rows, columns = (w.n if back else w.count for w in windows)
    before, space = (down, across), (rows, columns)
    if winograds:
        return winograd.correlated(x, k, before, space, bias, relu, back)
    k = k[:, :, ::-1, ::-1] if back else k
    return depthwise.correlated(x, k, before, space, bias, relu)
