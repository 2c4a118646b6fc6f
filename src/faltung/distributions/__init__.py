"""Distributions: sums of independent random variables, with tails that are right.

A :class:`PMF` is a discrete distribution on a lattice, a :class:`Density` a continuous one on a
grid. ``X + Y`` and ``X.repeat(n)`` are convolutions; their probabilities keep their relative
accuracy far below 1e-16, and are exact where they are fractions.

>>> die = named("d6", exact=True)
>>> (die + die).probability(7), die.repeat(10).sf(59)
(Fraction(1, 6), Fraction(1, 60466176))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faltung.distributions.combined import mixture as mixture
    from faltung.distributions.combined import sum_of as sum_of
    from faltung.distributions.density import Density as Density
    from faltung.distributions.families import binomial as binomial
    from faltung.distributions.families import coin as coin
    from faltung.distributions.families import die as die
    from faltung.distributions.families import geometric as geometric
    from faltung.distributions.families import hypergeometric as hypergeometric
    from faltung.distributions.families import poisson as poisson
    from faltung.distributions.families import uniform as uniform
    from faltung.distributions.pmf import PMF as PMF
    from faltung.distributions.sums import Lost as Lost
    from faltung.distributions.text import named as named
    from faltung.distributions.ways import Ways as Ways

_PLACES = {
    "combined": "mixture sum_of",
    "density": "Density",
    "families": "binomial coin die geometric hypergeometric poisson uniform",
    "pmf": "PMF",
    "sums": "Lost",
    "text": "named",
    "ways": "Ways",
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'faltung.distributions' has no attribute {name!r}")
    value = getattr(import_module(f"faltung.distributions.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
