"""Convolution: one operator, from a kernel made by hand to a kernel learnt from data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faltung._version import __version__

if TYPE_CHECKING:
    from faltung import dialects as dialects
    from faltung import geometry as geometry
    from faltung import image as image
    from faltung import kernels as kernels
    from faltung import reference as reference
    from faltung.analysis import analyse as analyse
    from faltung.machine import calibrate as calibrate
    from faltung.native import get_workers as get_workers
    from faltung.ops import convolve as convolve
    from faltung.ops import correlate as correlate
    from faltung.ops import plan as plan
    from faltung.planner import Plan as Plan
    from faltung.planner import plan_cache as plan_cache
    from faltung.problem import Problem as Problem
    from faltung.settings import workers as workers

# Names are loaded when they are first used, so that importing the package costs little.
_PLACES = {
    "convolve": "ops",
    "correlate": "ops",
    "plan": "ops",
    "Plan": "planner",
    "plan_cache": "planner",
    "Problem": "problem",
    "analyse": "analysis",
    "calibrate": "machine",
    "get_workers": "native",
    "workers": "settings",
}
_MODULES = ("dialects", "geometry", "image", "kernels", "reference")

__all__ = [*_PLACES, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _PLACES:
        value = getattr(import_module(f"faltung.{_PLACES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"faltung.{name}")
    else:
        raise AttributeError(f"module 'faltung' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
