"""Signals: tracks smoothed, moved, searched for a template, and what blurred them undone.

Smoothing
    smooth                      a weighted average over a noisy track with gaps
    weights                     weights by age, or symmetric ones, by text
    time_exponential, time_gaussian     weights of the real ages at irregular times
    Smoothed, TimeWeights       the values of these

Moving
    shift                       by whole steps, fractions, or a distribution of steps

Finding
    match                       normalised cross-correlation with a template
    matched_filter              the filter of the greatest signal-to-noise ratio
    peaks, best, Peak           where the greatest values lie, between the samples

Undoing
    deconvolve, Deconvolved     Wiener, Richardson-Lucy, least squares

Names are loaded when they are first used, so that importing this costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faltung.signal.ages import TimeWeights as TimeWeights
    from faltung.signal.ages import time_exponential as time_exponential
    from faltung.signal.ages import time_gaussian as time_gaussian
    from faltung.signal.ages import weights as weights
    from faltung.signal.deconvolution import Deconvolved as Deconvolved
    from faltung.signal.deconvolution import deconvolve as deconvolve
    from faltung.signal.matching import match as match
    from faltung.signal.matching import matched_filter as matched_filter
    from faltung.signal.maxima import Peak as Peak
    from faltung.signal.maxima import best as best
    from faltung.signal.maxima import peaks as peaks
    from faltung.signal.shifting import shift as shift
    from faltung.signal.smoothing import Smoothed as Smoothed
    from faltung.signal.smoothing import smooth as smooth

_PLACES = {
    "deconvolution": "Deconvolved deconvolve",
    "matching": "match matched_filter",
    "maxima": "Peak best peaks",
    "shifting": "shift",
    "smoothing": "Smoothed smooth",
    "ages": "TimeWeights time_exponential time_gaussian weights",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'faltung.signal' has no attribute {name!r}")
    value = getattr(import_module(f"faltung.signal.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
