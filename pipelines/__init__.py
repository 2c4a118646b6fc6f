"""Halide pipelines and their ahead-of-time build. Used while building only, never at run time."""

from __future__ import annotations

from types import ModuleType


def families() -> dict[str, ModuleType]:
    """Return the families of pipelines: one module each, with ``VARIANTS`` and ``build``."""
    from pipelines import (
        blocks,
        decimate,
        depthwise,
        direct,
        fused,
        interpolate,
        normpool,
        norms,
        pointwise,
        pooling,
        products,
        separable,
        sparse,
        sums,
        training,
        transpose,
        weights,
        winograd,
    )

    operator = (direct, separable, sparse, sums, fused, decimate, interpolate, transpose)
    sums_of_layers = (products, weights, winograd, blocks, depthwise, pointwise)
    networks = (*sums_of_layers, pooling, norms, normpool, training)
    modules = (*operator, *networks)
    return {module.__name__.rpartition(".")[2]: module for module in modules}
