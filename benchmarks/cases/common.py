"""What a case is, and what cases are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

import faltung

Array = NDArray[Any]
Contenders = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Work:
    """One call of faltung, and what does the same elsewhere."""

    operation: str
    x: Array
    k: Array
    options: dict[str, Any] = field(default_factory=dict)
    peers: Contenders = field(default_factory=dict)

    def call(self) -> Array:
        """Do it, with all the work of a call."""
        function: Callable[..., Array] = getattr(faltung, self.operation)
        return function(self.x, self.k, **self.options)

    def plan(self) -> faltung.Plan:
        """Return the plan of that call."""
        options = dict(self.options, operation=self.operation)
        if "dtype" in options:
            options["result_dtype"] = options.pop("dtype")
        return faltung.plan(self.x.shape, self.x.dtype, self.k, **options)


@dataclass(frozen=True)
class Case:
    """One piece of work, and how much faster than the best peer it shall be done.

    ``taps`` are the multiply-adds for each output, once the kernel is factored; answers may differ
    by ``tolerance * sum |k| * max |x|`` (integers: by ``tolerance``).
    """

    name: str
    taps: int
    dtype: str
    target: float
    make: Callable[[bool], Work]
    tolerance: float = 2e-6
    repeats: int = 9
    planned: bool = False  # our side is the plan, made beforehand


def peer(name: str) -> Any:
    """Return a module, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def image(tiny: bool) -> tuple[int, int]:
    """Return the shape of a picture; no kernel's reach is longer than a side of the tiny one."""
    return (135, 240) if tiny else (2160, 3840)


def samples(shape: tuple[int, ...], dtype: str) -> Array:
    """Return noise: all values of an integer dtype, or floats from -1 to 1."""
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    noise = rng.uniform(-1, 1, shape)
    if kind.kind == "c":
        return (noise + 1j * rng.uniform(-1, 1, shape)).astype(kind)
    return noise.astype(kind)


def taps_of(shape: tuple[int, ...], dtype: str) -> Array:
    """Return a random kernel."""
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(dtype)


def bell(sigma: float, reach: int) -> Array:
    """Return the taps of a sampled Gaussian that sums to 1."""
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    normal: Array = taps / taps.sum()
    return normal


def outer(*factors: Array) -> Array:
    """Return the kernel that is the product of one along each axis."""
    product: Array = np.ones(())
    for factor in factors:
        product = np.multiply.outer(product, factor)
    return product
