"""Gradients of any size."""

from __future__ import annotations

from math import comb

from faltung.kernels.checks import odd, whole
from faltung.kernels.kernel import Kernel


def sobel(size: int = 3, dx: int = 1, dy: int = 0) -> Kernel:
    """Return a Sobel kernel of any size and order.

    Along each axis the taps are the polynomial ``(z + 1)**(size - 1 - order) (z - 1)**order``, as
    ``cv2.getDerivKernels`` has it: a difference of that order, smoothed by a binomial.

    Parameters
    ----------
    size : int
        3 to 31, odd.
    dx, dy : int
        Orders of the derivative from left to right and from top to bottom, 0 to ``size - 1``.

    Raises
    ------
    ValueError
        Where one of these is no such number.

    Examples
    --------
    >>> sobel(5).factors
    (<Kernel sobel.x:5 axis 0: [1, 4, 6, 4, 1]>, <Kernel sobel.x:5 axis 1: [-1, -2, 0, 2, 1]>)
    """
    n = odd("sobel", "size", size, 3, 31)
    dx, dy = whole("sobel", "dx", dx, 0, n - 1), whole("sobel", "dy", dy, 0, n - 1)
    names = {(1, 0): f"sobel.x:{n}", (0, 1): f"sobel.y:{n}"}
    kernel = line(n, dy).outer(line(n, dx))
    return Kernel(
        names.get((dx, dy), f"sobel:{n},dx={dx},dy={dy}"),
        kernel.shape,
        kernel.numerators,
        about=f"Derivative of order {dx} to the right and {dy} downwards, smoothed. "
        f"Any odd side: sobel.{'y' if dy else 'x'}:N.",
        source="Source: Sobel and Feldman (1968); larger sizes by Danielsson and Seger (1990).",
    )


def line(size: int, order: int) -> Kernel:
    """Return the taps along one axis: a binomial with differences."""
    smooth, steps = size - 1 - order, range(order + 1)
    taps = [
        sum(
            comb(smooth, i - j) * comb(order, j) * (-1) ** (order - j)
            for j in steps
            if 0 <= i - j <= smooth
        )
        for i in range(size)
    ]
    return Kernel("line", (size,), tuple(taps))
