"""The kernels that are printed as tables, in the numbers of their sources.

They are laid on the picture as they stand, by :func:`faltung.correlate`: a kernel of edges is
positive where the picture gets brighter towards its positive taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from faltung.kernels.kernel import Kernel, table

Rows = Sequence[Sequence[int]]

USUAL = "Source: the usual table of image processing kernels; Gonzalez and Woods (2018), ch. 3."

# ---- what changes the picture's sharpness ----------------------------------------------------

identity = table("identity", [[0, 0, 0], [0, 1, 0], [0, 0, 0]], 1, "Leaves the picture.", USUAL)
gaussian3 = table(
    "gaussian3",
    [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
    16,
    "Binomial approximation of a Gaussian; sums to 1.",
    USUAL,
)
gaussian5 = table(
    "gaussian5",
    [[1, 4, 6, 4, 1], [4, 16, 24, 16, 4], [6, 24, 36, 24, 6], [4, 16, 24, 16, 4], [1, 4, 6, 4, 1]],
    256,
    "Binomial approximation of a Gaussian; sums to 1.",
    USUAL,
)
sharpen = table(
    "sharpen",
    [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    1,
    "The picture plus its negated Laplacian.",
    USUAL,
)
sharpen8 = table(
    "sharpen8",
    [[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]],
    1,
    "The picture plus its negated Laplacian over all 8 neighbours; stronger than sharpen.",
    USUAL,
)
unsharp5 = Kernel(
    "unsharp5",
    (5, 5),
    tuple(2 * 256 * (i == 12) - n for i, n in enumerate(gaussian5.numerators)),
    256,
    "Unsharp masking: twice the picture minus its gaussian5; 476 / 256 in the middle.",
    USUAL,
)
emboss = table(
    "emboss",
    [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    1,
    "Relief lit from the upper left, on the picture itself; sums to 1.",
    "Source: the usual table of convolution matrices in image editors.",
)

# ---- edges -----------------------------------------------------------------------------------

edge_diagonal = table(
    "edge-diagonal",
    [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
    1,
    "Mixed second difference: answers to corners and slanted edges.",
    USUAL,
)
edge_cross = table(
    "edge-cross",
    [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
    1,
    "Negated Laplacian over the 4 nearest neighbours.",
    USUAL,
)
edge = table(
    "edge",
    [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    1,
    "Negated Laplacian over all 8 neighbours; 0 where the picture is flat.",
    USUAL,
)
ACROSS = "Positive where it gets brighter to the right; rows weigh "
DOWN = "Positive where it gets brighter downwards; columns weigh "


def pair(
    name: str, smooth: Sequence[int], divisor: int, about: str, source: str
) -> tuple[Kernel, Kernel]:
    """Return the kernels of a gradient, for x and y: a central difference, smoothed across it."""
    rows = np.outer(smooth, [-1, 0, 1])
    weights = f"{' '.join(map(str, smooth))}{f' / {divisor}' if divisor > 1 else ''}: {about}."
    return (
        table(f"{name}.x", rows.tolist(), divisor, ACROSS + weights, source),
        table(f"{name}.y", rows.T.tolist(), divisor, DOWN + weights, source),
    )


sobel_x, sobel_y = pair(
    "sobel",
    [1, 2, 1],
    1,
    "the usual one",
    "Source: Sobel and Feldman (1968), as printed in Gonzalez and Woods (2018), ch. 10.",
)
scharr_x, scharr_y = pair(
    "scharr",
    [3, 10, 3],
    1,
    "truer directions",
    "Source: Jähne, Scharr and Körkel (1999), Principles of filter design, rounded to 3 and 10.",
)
scharr_optimal_x, scharr_optimal_y = pair(
    "scharr-optimal",
    [47, 162, 47],
    512,
    "Scharr's optimum",
    "Source: Scharr (2000), Optimale Operatoren in der Digitalen Bildverarbeitung, p. 155.",
)
prewitt_x, prewitt_y = pair(
    "prewitt",
    [1, 1, 1],
    1,
    "all alike",
    "Source: Prewitt (1970), Object enhancement and extraction.",
)
ROBERTS = "Source: Roberts (1963), Machine perception of three-dimensional solids."
roberts_pos = table(
    "roberts.pos", [[1, 0], [0, -1]], 1, "Difference along the falling diagonal.", ROBERTS
)
roberts_neg = table(
    "roberts.neg", [[0, 1], [-1, 0]], 1, "Difference along the rising diagonal.", ROBERTS
)
POINTS = ("n", "nw", "w", "sw", "s", "se", "e", "ne")  # of the compass, to the left
RING = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))  # to the right


def compass(name: str, north: Rows, source: str) -> tuple[Kernel, ...]:
    """Return 8 kernels, each with the ring around the middle turned by 45 degrees to the left."""
    ring = [north[r][c] for r, c in RING]
    kernels = []
    for turn, point in enumerate(POINTS):
        rows = [list(row) for row in north]
        for n, (r, c) in enumerate(RING):
            rows[r][c] = ring[(n + turn) % 8]
        about = f"Compass kernel: positive where it gets brighter towards the {point.upper()}."
        kernels.append(table(f"{name}.{point}", rows, 1, about, source))
    return tuple(kernels)


kirsch = compass(
    "kirsch",
    [[5, 5, 5], [-3, 0, -3], [-3, -3, -3]],
    "Source: Kirsch (1971), Computer determination of the constituent structure of images.",
)
robinson = compass(
    "robinson",
    [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "Source: Robinson (1977), Edge detection by compass gradient masks.",
)
FREI_CHEN = "Source: Frei and Chen (1977), Fast boundary detection."
KINDS = (
    "edge, top minus bottom",
    "edge, left minus right",
    "edge, ripple, opposite across the falling diagonal",
    "edge, ripple, opposite across the rising diagonal",
    "line, above and below minus left and right",
    "line, rising minus falling diagonal",
    "line, middle and corners minus sides",
    "line, middle and sides minus corners",
    "average, all taps equal",
)
ROOT = 2**0.5
FREI_CHEN_FLOATS = (  # over 2 sqrt(2)
    (1, ROOT, 1, 0, 0, 0, -1, -ROOT, -1),
    (1, 0, -1, ROOT, 0, -ROOT, 1, 0, -1),
    (0, -1, ROOT, 1, 0, -1, -ROOT, 1, 0),
    (ROOT, -1, 0, -1, 0, 1, 0, 1, -ROOT),
)
FREI_CHEN_WHOLE = (
    ((0, 1, 0, -1, 0, -1, 0, 1, 0), 2),
    ((-1, 0, 1, 0, 0, 0, 1, 0, -1), 2),
    ((1, -2, 1, -2, 4, -2, 1, -2, 1), 6),
    ((-2, 1, -2, 1, 4, 1, -2, 1, -2), 6),
    ((1,) * 9, 3),
)
frei_chen = tuple(
    Kernel(
        f"frei-chen.{n + 1}",
        (3, 3),
        about=f"One of nine orthonormal kernels: {KINDS[n]}.",
        source=FREI_CHEN,
        **(
            {"values": tuple(tap / (2 * ROOT) for tap in FREI_CHEN_FLOATS[n])}
            if n < 4
            else dict(zip(("numerators", "divisor"), FREI_CHEN_WHOLE[n - 4], strict=True))
        ),
    )
    for n in range(9)
)

# ---- second derivatives ----------------------------------------------------------------------

laplacian4 = table(
    "laplacian4",
    [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    1,
    "Laplacian over the 4 nearest neighbours; exact for polynomials of degree 3.",
    USUAL,
)
laplacian8 = table(
    "laplacian8",
    [[1, 1, 1], [1, -8, 1], [1, 1, 1]],
    1,
    "Laplacian over all 8 neighbours, 3 times as large as the continuous one.",
    USUAL,
)
laplacian_oono_puri = table(
    "laplacian.oono-puri",
    [[1, 2, 1], [2, -12, 2], [1, 2, 1]],
    4,
    "Laplacian with nearly the same answer in all directions.",
    "Source: Oono and Puri (1987), Computationally efficient modeling of ordering of quenched "
    "phases.",
)
laplacian_patra_karttunen = table(
    "laplacian.patra-karttunen",
    [[1, 4, 1], [4, -20, 4], [1, 4, 1]],
    6,
    "Laplacian whose error is isotropic to the leading order (Mehrstellen).",
    "Source: Patra and Karttunen (2006), Stencils with isotropic discretization error for "
    "differential operators.",
)

# ---- wavelets and texture --------------------------------------------------------------------

HAAR = "Source: Haar (1910), Zur Theorie der orthogonalen Funktionensysteme."
haar = tuple(
    table(f"haar.{name}", rows, 2, f"{about} of 2 x 2 pixels; one of four orthonormal.", HAAR)
    for name, rows, about in (
        ("ll", [[1, 1], [1, 1]], "Twice the mean"),
        ("lh", [[1, 1], [-1, -1]], "Top minus bottom"),
        ("hl", [[1, -1], [1, -1]], "Left minus right"),
        ("hh", [[1, -1], [-1, 1]], "Difference between the diagonals"),
    )
)
LAWS = {
    "L5": ([1, 4, 6, 4, 1], "level"),
    "E5": ([-1, -2, 0, 2, 1], "edge"),
    "S5": ([-1, 0, 2, 0, -1], "spot"),
    "W5": ([-1, 2, 0, -2, 1], "wave"),
    "R5": ([1, -4, 6, -4, 1], "ripple"),
}
laws = tuple(
    table(
        f"laws.{down}{across}",
        np.outer(LAWS[down][0], LAWS[across][0]).tolist(),
        1,
        f"Texture: {LAWS[down][1]} from top to bottom, {LAWS[across][1]} from left to right.",
        "Source: Laws (1980), Textured image segmentation.",
    )
    for down, across in product(LAWS, repeat=2)
)

# name of each group, and its kernels
GROUPS: dict[str, tuple[Kernel, ...]] = {
    "the picture and edges": (identity, edge_diagonal, edge_cross, edge),
    "smoothing and sharpening": (sharpen, sharpen8, gaussian3, gaussian5, unsharp5, emboss),
    "gradients": (
        *(sobel_x, sobel_y, scharr_x, scharr_y, scharr_optimal_x, scharr_optimal_y),
        *(prewitt_x, prewitt_y, roberts_pos, roberts_neg),
    ),
    "compass sets": (*kirsch, *robinson),
    "the Frei-Chen basis": frei_chen,
    "Laplacians": (laplacian4, laplacian8, laplacian_oono_puri, laplacian_patra_karttunen),
    "wavelets": haar,
    "texture": laws,
}
NAMED: dict[str, Kernel] = {k.name: k for group in GROUPS.values() for k in group}
