"""Moving a signal: by whole steps, by fractions of them, or by a distribution of steps."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from faltung import fourier, native
from faltung.boundary import FILL
from faltung.dtypes import Array, kernel_dtype, plain_array
from faltung.geometry import Source
from faltung.kernels import Kernel
from faltung.kernels.signals import METHODS, shifted
from faltung.ops import convolve
from faltung.problem import boundaries, convolved_axes, fill_for
from faltung.signal.scaling import magnitude, scaled

EVERY = (*METHODS, "fourier")
FURTHEST = float(1 << 40)
RAISED = 64  # powers of two that tiny samples are raised by, so that parts of them keep digits


def shift(
    x: Any,
    by: Any,
    *,
    boundary: str | Sequence[str] = "constant",
    fill_value: Any = 0,
    method: str = "linear",
    axes: int | Sequence[int] | None = None,
) -> Array:
    """Move the samples of ``x``: ``y[i] = x[i - by]``, so that a positive shift moves them right.

    Parameters
    ----------
    x : array_like
    by : int, float, sequence of them, mapping, or Kernel
        Steps along the last axis, or one number for each of the axes. Whole steps move the samples
        as they are, of any dtype; a fraction is interpolated. A mapping such as ``{-1: 0.1, 0: 0.8,
        1: 0.1}`` is a soft shift: the mean over shifts with these weights, which sum to 1 (the
        words ``"left"``, ``"stay"`` and ``"right"`` are -1, 0 and 1; tuples move along several
        axes). A kernel of one axis, such as :func:`faltung.kernels.soft_shift`, is convolved with.
    boundary : {"constant", "edge", "symmetric", "reflect", "wrap"}, or one per axis
        What moves in beyond the ends; ``"wrap"`` is the circular shift.
    fill_value : number
        With ``boundary="constant"``.
    method : {"linear", "cubic", "lanczos", "fourier"}
        How fractions are interpolated: by lines, Keys' cubic, a windowed sinc of three lobes, or
        the trigonometric polynomial through all samples, for which ``boundary="wrap"`` is needed
        and which returns a band-limited periodic signal exactly.
    axes : int or ints, optional
        The axes that are moved along; by default the last, or as many of the last as ``by`` has
        numbers.

    Returns
    -------
    ndarray
        Of the input's shape; of its dtype for whole steps and floats, else as
        :func:`faltung.convolve` has it for fractional taps.

    Raises
    ------
    ValueError, TypeError
        Where an argument is not allowed.

    Examples
    --------
    >>> from faltung.signal import shift
    >>> shift([1, 2, 3, 4], 1).tolist(), shift([1, 2, 3, 4], -1, boundary="wrap").tolist()
    ([0, 1, 2, 3], [2, 3, 4, 1])
    >>> shift([0.0, 0.0, 1.0, 0.0], 0.25).tolist()
    [0.0, 0.0, 0.75, 0.25]
    >>> shift([0.0, 0.0, 0.0, 1.0], {"left": 0.1, "stay": 0.1, "right": 0.8},
    ...       boundary="wrap").tolist()
    [0.8, 0.0, 0.1, 0.1]

    The table ``[1, 0, 0]`` moves to the right laid on the signal as it is written, and to the left
    as a convolution, which flips it:

    >>> import faltung
    >>> signal = [0, 3, 4, 5, 0]
    >>> faltung.correlate(signal, [1, 0, 0]).tolist() == shift(signal, 1).tolist()
    True
    >>> faltung.convolve(signal, [1, 0, 0]).tolist() == shift(signal, -1).tolist()
    True
    """
    x = plain_array(x, "x")
    if not isinstance(method, str) or method not in EVERY:
        raise ValueError(f"method={method!r} is unknown; use one of {', '.join(EVERY)}.")
    if x.dtype.kind not in "biufcO" or x.ndim == 0:
        raise TypeError(f"x must be numbers along at least one axis; got {x.dtype} {x.shape}.")
    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    if isinstance(by, Kernel):
        return convolve(x, by, boundary=boundary, fill_value=fill_value, axes=axes)
    steps = soft_steps(by) if isinstance(by, Mapping) else []
    whole: Sequence[float] = steps[0][0] if steps else distances(by, axes)
    along = moved_axes(axes, x.shape, whole)
    names = boundaries(boundary, len(along))
    fill = fill_for(fill_value, x.dtype)
    up = RAISED if faint(x, fill) else 0
    raised = scaled(x, up) if up else x
    if steps:
        done = softly(raised, steps, along, names, fill)
    else:
        done = moved(raised, whole, along, names, fill, method)
    return np.asarray(scaled(done, -up), done.dtype) if up else done


def faint(x: Array, fill: Any) -> bool:
    """Whether fractions of samples would lose digits for being tiny."""
    if x.dtype.name not in ("float32", "float64", "complex64", "complex128") or abs(fill) > 0:
        return False
    return 0 < magnitude(x) < float(np.finfo(x.dtype).tiny) * 2.0**RAISED


def moved_axes(axes: Any, shape: tuple[int, ...], by: Sequence[float]) -> tuple[int, ...]:
    """Return the axes that are moved along as numbers of at least 0, or raise ValueError."""
    named = len(by) if axes is None else 1 if np.ndim(axes) == 0 else len(axes)
    if len(by) > len(shape) or named != len(by):
        where = f"x has the shape {shape}" if named == len(by) else f"axes={axes!r} names {named}"
        raise ValueError(
            f"by gives {len(by)} distances and {where}; give one for each axis that is moved along."
        )
    return convolved_axes(axes, shape, (1,) * len(by))


def distances(by: Any, axes: Any) -> tuple[float, ...]:
    """Return one number for each axis, or raise ValueError."""
    if isinstance(by, np.ndarray) and by.ndim == 0:
        by = by[()]
    several = isinstance(by, (tuple, list)) or np.ndim(by) == 1
    count = 1 if axes is None or np.ndim(axes) == 0 else len(axes)
    values = tuple(by) if several else (by,) * count
    real: tuple[type[Any], ...] = (int, float, np.integer, np.floating)
    if not values or any(
        not isinstance(v, real) or isinstance(v, bool) or not abs(v) <= FURTHEST for v in values
    ):
        raise ValueError(
            f"by={by!r} must be a number from -2**40 to 2**40, one for each axis, or a mapping of "
            "whole steps to weights, as in {-1: 0.1, 0: 0.8, 1: 0.1}."
        )
    return values


def soft_steps(by: Mapping[Any, Any]) -> list[tuple[tuple[int, ...], float]]:
    """Return the shifts of a mapping with their weights, or raise ValueError."""
    words = {"left": -1, "stay": 0, "right": 1}
    if not by:
        raise ValueError("by={} names no shifts; give weights, as in {-1: 0.1, 0: 0.8, 1: 0.1}.")
    weights = list(by.values())
    real = (int, float, np.integer, np.floating)
    if any(not isinstance(w, real) or not 0 <= w < math.inf for w in weights):
        raise ValueError(f"by={dict(by)!r}: the weights of shifts must be numbers of at least 0.")
    if abs(math.fsum(weights) - 1) > 1e-6:
        raise ValueError(
            f"by={dict(by)!r}: the weights sum to {math.fsum(weights):g} and must sum to 1; divide "
            "each by their sum."
        )
    found: dict[tuple[int, ...], float] = {}
    for key, weight in by.items():
        parts = key if isinstance(key, tuple) else (words.get(key, key),)
        try:
            step = tuple(map(operator.index, parts))
        except TypeError:
            step = ()
        rank = len(next(iter(found), step))
        if not step or rank != len(step) or any(abs(s) > FURTHEST for s in step):
            raise ValueError(
                f"by={dict(by)!r}: {key!r} is no shift by whole steps, one for each axis; give "
                "ints, left, stay, right, or tuples of ints."
            )
        if step in found:
            raise ValueError(
                f"by={dict(by)!r}: {key!r} names a shift that is named before; give each once."
            )
        found[step] = float(weight)
    return list(found.items())


def softly(
    x: Array,
    steps: list[tuple[tuple[int, ...], float]],
    axes: tuple[int, ...],
    names: tuple[str, ...],
    fill: Any,
) -> Array:
    """Return the mean over whole shifts."""
    wide = np.result_type(x, kernel_dtype(x.dtype, np.dtype(float), True))
    total = np.zeros(x.shape, wide)
    for step, weight in steps:
        if weight:
            total += wide.type(weight) * moved(x, step, axes, names, fill, "linear").astype(wide)
    return total.astype(x.dtype) if x.dtype.kind in "fc" else total


def moved(
    x: Array,
    by: Sequence[float],
    axes: tuple[int, ...],
    names: tuple[str, ...],
    fill: Any,
    method: str,
) -> Array:
    """Move the samples along one axis after another."""
    y = x.copy()
    for distance, axis, boundary in zip(by, axes, names, strict=True):
        if distance == round(distance):
            y = gathered(y, axis, boundary, fill, -round(distance), y.shape[axis])
        elif method == "fourier":
            if boundary != "wrap":
                raise ValueError(
                    f'method="fourier" continues a signal periodically, and boundary={boundary!r} '
                    'does not; give boundary="wrap", or another method.'
                )
            y = turned(y, float(distance), axis)
        else:
            y = interpolated(y, float(distance), axis, boundary, fill, method)
    return y


def gathered(x: Array, axis: int, boundary: str, fill: Any, low: int, length: int) -> Array:
    """Return ``length`` samples from position ``low`` on of a continued axis."""
    if x.size == 0:
        return x
    places = Source(x.shape[axis], low, low + length, boundary).indices()
    taken = np.take(x, np.maximum(places, 0), axis)
    beyond = places == FILL
    if beyond.any():
        where: list[Any] = [slice(None)] * x.ndim
        where[axis] = beyond
        taken[tuple(where)] = fill
    return taken


def interpolated(
    x: Array, distance: float, axis: int, boundary: str, fill: Any, method: str
) -> Array:
    """Return the samples moved by a fraction, between two, four or six of them.

    Only the samples that the taps reach are laid out around the ends, however far they move.
    """
    whole = math.floor(distance)
    kernel = shifted(distance - whole, method)
    taps = kernel.array
    used = np.flatnonzero(taps)
    first, last = int(used[0]), int(used[-1])
    # the tap at the anchor is that of the shift by ``whole``
    nearest, furthest = whole + first - kernel.anchor[0], whole + last - kernel.anchor[0]
    count = x.shape[axis]
    laid = gathered(x, axis, boundary, fill, -furthest, count + furthest - nearest)
    if x.size == 0:
        return convolve(laid, taps[first : last + 1].tolist(), axes=axis)
    return convolve(laid, taps[first : last + 1].tolist(), mode="valid", axes=axis)


def turned(x: Array, distance: float, axis: int) -> Array:
    """Return a periodic signal moved by turning the phases of its spectrum.

    The frequency of half a cycle per sample, where there is one, has no phase of its own in real
    signals: its cosine is what is left of it, as if half of it turned each way.
    """
    from scipy import fft

    count = x.shape[axis]
    real = x.dtype.kind != "c"
    wide = x.astype(np.result_type(x, kernel_dtype(x.dtype, np.dtype(float), True)), copy=False)
    if x.size == 0:
        return wide
    frequencies = fft.rfftfreq(count) if real else fft.fftfreq(count)
    phases = np.exp(-2j * np.pi * frequencies * math.fmod(distance, count))
    if count % 2 == 0:
        phases[count // 2] = math.cos(math.pi * math.fmod(distance, 2 * count))
    spectrum = fourier.transform(wide, (count,), (axis,), native.get_workers())
    spectrum *= phases.reshape([-1 if n == axis else 1 for n in range(x.ndim)])
    result = fourier.inverse(spectrum, (count,), (axis,), native.get_workers(), real)
    return result.astype(wide.dtype, copy=False)
