"""Weights of an average: by age in steps, around a sample, or by real ages at irregular times."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from faltung.dtypes import Array, plain_array
from faltung.kernels import Kernel
from faltung.kernels import get as kernel_named
from faltung.kernels import parse as kernel_parsed

SHORT = {"exponential": "age.exponential", "linear": "age.linear"}
PICTURES = ("box", "gaussian", "tent", "binomial")  # families of two axes unless asked for one
HELP = (
    "exponential:ALPHA, linear:N, gaussian:SIGMA, box:N, savgol:N,DEGREE, [newest, ..., oldest], "
    "or by real ages time.exponential:TAU, time.gaussian:SIGMA"
)
LEAST = 2.0**-53  # of the greatest weight: less is lost in a sum of doubles


class Taps(NamedTuple):
    """Weights that sum to 1, in the order of :func:`faltung.convolve`, and their anchor."""

    array: Array
    anchor: int


@dataclass(frozen=True)
class TimeWeights:
    """Weights that are a function of the time since a sample was read.

    Attributes
    ----------
    name : str
    function : callable
        Takes an array of ages, in the units of the times, and returns as many weights, at least 0.
        An age is the time of the output less that of the sample.
    reach : float
        Samples older than this have no weight.
    causal : bool
        Whether samples younger than the output have none, either.

    Examples
    --------
    >>> TimeWeights("the last two seconds", np.ones_like, reach=2.0)([0.0, 1.5, 3.0]).tolist()
    [1.0, 1.0, 0.0]
    """

    name: str
    function: Callable[[Any], Any]
    reach: float = math.inf
    causal: bool = True

    def __call__(self, ages: Any) -> Array:
        """Return the weights of ages.

        Raises
        ------
        ValueError
            Where the function returns no such weights.
        """
        given = np.asarray(ages, float)
        found = np.asarray(self.function(given), float)
        if found.shape != given.shape or not (np.isfinite(found) & (found >= 0)).all():
            raise ValueError(
                f"{self.name}: the weights of {given.size} ages must be as many finite numbers of "
                "at least 0; write the function for arrays, as in lambda age: numpy.exp(-age)."
            )
        counts = np.abs(given) <= self.reach
        return np.where(counts & (given >= 0) if self.causal else counts, found, 0.0)


def falling(tau: float, age: Array) -> Array:
    """Return ``exp(-age / tau)``."""
    return np.exp(-np.maximum(age, 0.0) / tau)


def bell(sigma: float, age: Array) -> Array:
    """Return ``exp(-age**2 / (2 sigma**2))``."""
    return np.exp(-0.5 * (age / sigma) ** 2)


def time_exponential(tau: float) -> TimeWeights:
    """Return causal weights that fall with a sample's age: ``exp(-age / tau)``.

    Parameters
    ----------
    tau : float
        The age at which a weight has fallen to 1/e, more than 0, in the units of the times.

    Raises
    ------
    ValueError
        Where it is no such number.

    Examples
    --------
    >>> time_exponential(2.0)([0.0, 2.0, -1.0]).round(3).tolist()
    [1.0, 0.368, 0.0]
    """
    scale = positive("tau", tau)
    return TimeWeights(f"time.exponential:{scale:g}", partial(falling, scale))


def time_gaussian(sigma: float) -> TimeWeights:
    """Return symmetric weights that fall with the distance in time: ``exp(-age**2/(2 sigma**2))``.

    What is below 2**-53 of the greatest counts as 0.

    Parameters
    ----------
    sigma : float
        More than 0, in the units of the times.

    Raises
    ------
    ValueError
        Where it is no such number.

    Examples
    --------
    >>> time_gaussian(1.0)([-1.0, 0.0, 1.0, 9.0]).round(3).tolist()
    [0.607, 1.0, 0.607, 0.0]
    """
    width = positive("sigma", sigma)
    reach = width * math.sqrt(-2 * math.log(LEAST))
    return TimeWeights(f"time.gaussian:{sigma:g}", partial(bell, width), reach, causal=False)


def positive(name: str, value: Any) -> float:
    """Return a number more than 0, or raise ValueError."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{name}={value!r} must be a finite number more than 0.")
    return float(value)


def weights(text: str) -> Any:
    """Return the weights that a text names.

    Parameters
    ----------
    text : str
        ``exponential:ALPHA`` and ``linear:N`` are the kernels ``age.exponential`` and
        ``age.linear``, newest heaviest; ``gaussian:SIGMA``, ``box:N``, ``tent:N``, ``binomial:N``
        (along one axis) and ``savgol:N,DEGREE`` lie around the sample, as does any other kernel of
        one axis. Numbers in brackets are weights by age, newest first. ``time.exponential:TAU`` and
        ``time.gaussian:SIGMA`` are functions of the real ages.

    Returns
    -------
    Kernel, ndarray or TimeWeights

    Raises
    ------
    ValueError
        Where the text is none of these.

    Examples
    --------
    >>> weights("linear:3")
    <Kernel age.linear:3: [3, 2, 1] / 6>
    >>> weights("time.exponential:2.5").name
    'time.exponential:2.5'
    """
    if not isinstance(text, str):
        raise ValueError(f"weights {text!r} must be a text, such as {HELP}.")
    name, _, rest = text.strip().partition(":")
    if name in ("time.exponential", "time.gaussian"):
        try:
            scale = float(rest)
        except ValueError:
            raise ValueError(f"{text}: write {name}:NUMBER, in the units of the times.") from None
        return time_exponential(scale) if name == "time.exponential" else time_gaussian(scale)
    if name.startswith("["):
        try:
            return np.asarray(kernel_parsed(text))
        except ValueError:
            raise ValueError(
                f"weights {text!r} must be numbers in brackets, newest first, as in [0.5,0.3,0.2]."
            ) from None
    if name in PICTURES and "axes" not in rest:
        rest = f"{rest},axes=1"
    try:
        found = kernel_named(f"{SHORT.get(name, name)}{':' if rest else ''}{rest}")
    except ValueError as error:
        reason = str(error).partition(" Named kernels")[0]  # of which most are for pictures
        raise ValueError(f"weights {text!r}: {reason} Give {HELP}.") from None
    if found.ndim != 1:
        raise ValueError(f"weights {text!r} has {found.ndim} axes; give one along time: {HELP}.")
    return found


def taps_of(given: Any) -> Taps:
    """Return weights divided by their sum.

    A list or an array is weights by age, newest first; a Kernel lies by its own anchor.

    Raises
    ------
    ValueError
        Where they are no finite real numbers along one axis, or sum to 0.
    """
    anchor = 0
    if isinstance(given, Kernel):
        if given.ndim == 1:
            given = given.written_for("convolve")
            anchor = given.anchor[0]
        given = given.array
    array = plain_array(given, "weights")
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"weights must be real numbers along one axis, newest first; got {array.dtype} "
            f"{array.shape}. Give a list, a kernel such as faltung.kernels.exponential_age(0.3), "
            "or a text."
        )
    array = array.astype(float)
    magnitude = float(np.abs(array).max())
    if not math.isfinite(magnitude):
        raise ValueError("weights must be finite numbers.")
    array = array / (magnitude or 1.0)  # so that no sum overflows
    total = math.fsum(array)
    if abs(total) <= 1e-9 * math.fsum(np.abs(array)):
        raise ValueError(
            "the weights sum to 0, and no average has such weights; use faltung.convolve for a "
            "derivative."
        )
    return Taps(array / total, anchor)
