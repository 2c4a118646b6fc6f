"""Signals: tracks smoothed, moved, searched for a template, blurs undone, rooms heard.

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

Rooms
    reverb, Reverb              audio as a room's impulse response makes it sound
    audio                       WAV and FLAC files, block by block

Names are loaded when they are first used, so that importing this costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faltung.signal import audio as audio
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
    from faltung.signal.rooms import Reverb as Reverb
    from faltung.signal.rooms import reverb as reverb
    from faltung.signal.shifting import shift as shift
    from faltung.signal.smoothing import Smoothed as Smoothed
    from faltung.signal.smoothing import smooth as smooth

_PLACES = {
    "deconvolution": "Deconvolved deconvolve",
    "matching": "match matched_filter",
    "maxima": "Peak best peaks",
    "shifting": "shift",
    "smoothing": "Smoothed smooth",
    "rooms": "Reverb reverb",
    "ages": "TimeWeights time_exponential time_gaussian weights",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = [*_MODULES, "audio"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'faltung.signal' has no attribute {name!r}")
    module = import_module(f"faltung.signal.{_MODULES.get(name, name)}")
    value = getattr(module, name) if name in _MODULES else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
