"""Convolution: one operator, from a kernel made by hand to a kernel learnt from data.

The operator
    convolve, correlate     an input and a kernel to a result
    plan                    the same for every input of one shape and dtype; it explains itself
    stream                  the same for what arrives block by block
    vjp                     a result, and what takes its gradient back to input and kernel
    from_matrix             whether a matrix is a convolution; plan.matrix() is the way there
    learn_kernel            the kernel between what is before and after
    analyse                 what a kernel is like

What surrounds it
    kernels                 kernels by name, boxes and Gaussians
    image                   pictures: read, filter, write
    signal                  tracks and signals: smooth, shift, match, deconvolve, rooms
    distributions           random variables: sums, tails
    layers                  the operations of convolutional networks, with their gradients
    nn                      networks: layers, training, LeNet and AlexNet
    data                    images and series with their classes, from files
    dialects                the conventions of NumPy, SciPy, OpenCV, PyTorch and others
    reference               the definition as loops, slow and obviously right

Settings
    workers, get_workers    the number of threads
    plan_cache              how many plans are kept
    calibrate, machine      the figures of this machine that methods are chosen by

Values
    Plan, Stream, Problem, Cost, Candidate, Report, Row, Analysis, Machine, Pullback, Match, Learnt

>>> import faltung
>>> faltung.convolve([0, 0, 3, 4, 5, 0], [1, 2, 1]).tolist()
[0, 3, 10, 16, 14, 5]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faltung._version import __version__

if TYPE_CHECKING:
    from faltung import data as data
    from faltung import dialects as dialects
    from faltung import distributions as distributions
    from faltung import geometry as geometry
    from faltung import image as image
    from faltung import kernels as kernels
    from faltung import layers as layers
    from faltung import machine as machine
    from faltung import nn as nn
    from faltung import reference as reference
    from faltung import signal as signal
    from faltung.analysis import Analysis as Analysis
    from faltung.analysis import analyse as analyse
    from faltung.explain import Report as Report
    from faltung.explain import Row as Row
    from faltung.gradients import Pullback as Pullback
    from faltung.gradients import vjp as vjp
    from faltung.learning import Learnt as Learnt
    from faltung.learning import learn_kernel as learn_kernel
    from faltung.machine import Machine as Machine
    from faltung.machine import calibrate as calibrate
    from faltung.matrices import Match as Match
    from faltung.matrices import from_matrix as from_matrix
    from faltung.methods import Cost as Cost
    from faltung.native import get_workers as get_workers
    from faltung.ops import convolve as convolve
    from faltung.ops import correlate as correlate
    from faltung.ops import plan as plan
    from faltung.planner import Candidate as Candidate
    from faltung.planner import Plan as Plan
    from faltung.planner import plan_cache as plan_cache
    from faltung.problem import Problem as Problem
    from faltung.settings import workers as workers
    from faltung.streaming import Stream as Stream
    from faltung.streaming import stream as stream

# Names are loaded when they are first used, so that importing the package costs little.
_PLACES = {
    "convolve": "ops",
    "correlate": "ops",
    "plan": "ops",
    "vjp": "gradients",
    "Pullback": "gradients",
    "Match": "matrices",
    "from_matrix": "matrices",
    "Learnt": "learning",
    "learn_kernel": "learning",
    "Plan": "planner",
    "Candidate": "planner",
    "plan_cache": "planner",
    "Problem": "problem",
    "Cost": "methods",
    "Report": "explain",
    "Row": "explain",
    "Analysis": "analysis",
    "analyse": "analysis",
    "Machine": "machine",
    "calibrate": "machine",
    "get_workers": "native",
    "workers": "settings",
    "Stream": "streaming",
    "stream": "streaming",
}
_MODULES = (
    "data", "dialects", "distributions", "geometry", "image", "kernels", "layers", "machine",
    "nn", "reference", "signal",
)  # fmt: skip

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
