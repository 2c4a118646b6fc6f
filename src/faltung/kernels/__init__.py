"""The collection of kernels: each with its exact numbers, its source, and an algebra.

A :class:`Kernel` is a value that :func:`numpy.asarray` turns into its taps. Printed tables are
there under their names (``edge``, ``sobel_x``; :data:`NAMED` holds them all), families with
parameters as functions (``gaussian(2.5)``), and both by text: ``get("motion:15,30deg")``.

Kernels for pictures are written as the tables of image processing print them, to be laid on the
picture as they stand by :func:`faltung.correlate`; filters of signals for
:func:`faltung.convolve`. ``Kernel.operation`` tells which; for even kernels it is the same.
"""

from faltung.kernels.catalogue import FAMILIES, Family, get, groups, names
from faltung.kernels.gaussians import (
    dog,
    gabor,
    gabor_bank,
    gaussian,
    high_boost,
    log,
    steerable,
    unsharp,
)
from faltung.kernels.gradients import sobel
from faltung.kernels.kernel import Kernel
from faltung.kernels.response import Response
from faltung.kernels.signals import (
    bicubic,
    bilinear,
    exponential_age,
    linear_age,
    savitzky_golay,
    shift,
    soft_shift,
    wavelet,
)
from faltung.kernels.similar import Near, nearest
from faltung.kernels.smoothing import binomial, box, disk, motion, tent
from faltung.kernels.tables import (
    GROUPS,
    NAMED,
    edge,
    edge_cross,
    edge_diagonal,
    emboss,
    frei_chen,
    gaussian3,
    gaussian5,
    haar,
    identity,
    kirsch,
    laplacian4,
    laplacian8,
    laplacian_oono_puri,
    laplacian_patra_karttunen,
    laws,
    prewitt_x,
    prewitt_y,
    roberts_neg,
    roberts_pos,
    robinson,
    scharr_optimal_x,
    scharr_optimal_y,
    scharr_x,
    scharr_y,
    sharpen,
    sharpen8,
    sobel_x,
    sobel_y,
    unsharp5,
)
from faltung.kernels.text import parse

__all__ = [
    "FAMILIES",
    "GROUPS",
    "NAMED",
    "Family",
    "Kernel",
    "Near",
    "Response",
    "bicubic",
    "bilinear",
    "binomial",
    "box",
    "disk",
    "dog",
    "edge",
    "edge_cross",
    "edge_diagonal",
    "emboss",
    "exponential_age",
    "frei_chen",
    "gabor",
    "gabor_bank",
    "gaussian",
    "gaussian3",
    "gaussian5",
    "get",
    "groups",
    "haar",
    "high_boost",
    "identity",
    "kirsch",
    "laplacian4",
    "laplacian8",
    "laplacian_oono_puri",
    "laplacian_patra_karttunen",
    "laws",
    "linear_age",
    "log",
    "motion",
    "names",
    "nearest",
    "parse",
    "prewitt_x",
    "prewitt_y",
    "roberts_neg",
    "roberts_pos",
    "robinson",
    "savitzky_golay",
    "scharr_optimal_x",
    "scharr_optimal_y",
    "scharr_x",
    "scharr_y",
    "sharpen",
    "sharpen8",
    "shift",
    "sobel",
    "sobel_x",
    "sobel_y",
    "soft_shift",
    "steerable",
    "tent",
    "unsharp",
    "unsharp5",
    "wavelet",
]
