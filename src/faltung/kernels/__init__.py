"""The collection of kernels: each with its exact numbers, its source, and an algebra.

A :class:`Kernel` is a value that :func:`numpy.asarray` turns into its taps. Printed tables are
there under their names (``edge``, ``sobel_x``; :data:`NAMED` holds them all), families with
parameters as functions (``gaussian(2.5)``), and both by text: ``get("motion:15,30deg")``.

Kernels for pictures are written as the tables of image processing print them, to be laid on the
picture as they stand by :func:`faltung.correlate`; filters of signals for
:func:`faltung.convolve`. ``Kernel.operation`` tells which; for even kernels it is the same.

The collection is built when a name of it is first used, so that importing it costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faltung.kernels.catalogue import FAMILIES as FAMILIES
    from faltung.kernels.catalogue import Family as Family
    from faltung.kernels.catalogue import get as get
    from faltung.kernels.catalogue import groups as groups
    from faltung.kernels.catalogue import names as names
    from faltung.kernels.catalogue import pair as pair
    from faltung.kernels.catalogue import pairs as pairs
    from faltung.kernels.gaussians import dog as dog
    from faltung.kernels.gaussians import gabor as gabor
    from faltung.kernels.gaussians import gabor_bank as gabor_bank
    from faltung.kernels.gaussians import gaussian as gaussian
    from faltung.kernels.gaussians import high_boost as high_boost
    from faltung.kernels.gaussians import log as log
    from faltung.kernels.gaussians import steerable as steerable
    from faltung.kernels.gaussians import unsharp as unsharp
    from faltung.kernels.gradients import sobel as sobel
    from faltung.kernels.kernel import Kernel as Kernel
    from faltung.kernels.response import Response as Response
    from faltung.kernels.signals import bicubic as bicubic
    from faltung.kernels.signals import bilinear as bilinear
    from faltung.kernels.signals import exponential_age as exponential_age
    from faltung.kernels.signals import linear_age as linear_age
    from faltung.kernels.signals import savitzky_golay as savitzky_golay
    from faltung.kernels.signals import shift as shift
    from faltung.kernels.signals import soft_shift as soft_shift
    from faltung.kernels.signals import wavelet as wavelet
    from faltung.kernels.similar import Near as Near
    from faltung.kernels.similar import nearest as nearest
    from faltung.kernels.smoothing import binomial as binomial
    from faltung.kernels.smoothing import box as box
    from faltung.kernels.smoothing import disk as disk
    from faltung.kernels.smoothing import motion as motion
    from faltung.kernels.smoothing import tent as tent
    from faltung.kernels.tables import GROUPS as GROUPS
    from faltung.kernels.tables import NAMED as NAMED
    from faltung.kernels.tables import edge as edge
    from faltung.kernels.tables import edge_cross as edge_cross
    from faltung.kernels.tables import edge_diagonal as edge_diagonal
    from faltung.kernels.tables import emboss as emboss
    from faltung.kernels.tables import frei_chen as frei_chen
    from faltung.kernels.tables import gaussian3 as gaussian3
    from faltung.kernels.tables import gaussian5 as gaussian5
    from faltung.kernels.tables import haar as haar
    from faltung.kernels.tables import identity as identity
    from faltung.kernels.tables import kirsch as kirsch
    from faltung.kernels.tables import laplacian4 as laplacian4
    from faltung.kernels.tables import laplacian8 as laplacian8
    from faltung.kernels.tables import laplacian_oono_puri as laplacian_oono_puri
    from faltung.kernels.tables import laplacian_patra_karttunen as laplacian_patra_karttunen
    from faltung.kernels.tables import laws as laws
    from faltung.kernels.tables import prewitt_x as prewitt_x
    from faltung.kernels.tables import prewitt_y as prewitt_y
    from faltung.kernels.tables import roberts_neg as roberts_neg
    from faltung.kernels.tables import roberts_pos as roberts_pos
    from faltung.kernels.tables import robinson as robinson
    from faltung.kernels.tables import scharr_optimal_x as scharr_optimal_x
    from faltung.kernels.tables import scharr_optimal_y as scharr_optimal_y
    from faltung.kernels.tables import scharr_x as scharr_x
    from faltung.kernels.tables import scharr_y as scharr_y
    from faltung.kernels.tables import sharpen as sharpen
    from faltung.kernels.tables import sharpen8 as sharpen8
    from faltung.kernels.tables import sobel_x as sobel_x
    from faltung.kernels.tables import sobel_y as sobel_y
    from faltung.kernels.tables import unsharp5 as unsharp5
    from faltung.kernels.text import parse as parse

_PLACES = {
    "catalogue": ("FAMILIES Family get groups names pair pairs"),
    "gaussians": ("dog gabor gabor_bank gaussian high_boost log steerable unsharp"),
    "gradients": ("sobel"),
    "kernel": ("Kernel"),
    "response": ("Response"),
    "signals": (
        "bicubic bilinear exponential_age linear_age savitzky_golay shift soft_shift wavelet"
    ),
    "similar": ("Near nearest"),
    "smoothing": ("binomial box disk motion tent"),
    "tables": (
        "GROUPS NAMED edge edge_cross edge_diagonal emboss frei_chen gaussian3 gaussian5 "
        "haar identity kirsch laplacian4 laplacian8 laplacian_oono_puri "
        "laplacian_patra_karttunen laws prewitt_x prewitt_y roberts_neg roberts_pos "
        "robinson scharr_optimal_x scharr_optimal_y scharr_x scharr_y sharpen sharpen8 "
        "sobel_x sobel_y unsharp5"
    ),
    "text": ("parse"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    from importlib import import_module
    from importlib.util import find_spec

    if name in _MODULES:
        value = getattr(import_module(f"faltung.kernels.{_MODULES[name]}"), name)
    elif name.startswith("_") or (name.isidentifier() and find_spec(f"faltung.kernels.{name}")):
        # a module that is not loaded yet
        raise AttributeError(f"module 'faltung.kernels' has no attribute {name!r}")
    else:
        from faltung.kernels.catalogue import attribute

        value = attribute(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
