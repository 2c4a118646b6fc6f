"""Finding a template: normalised cross-correlation, and the matched filter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from faltung.dtypes import Array, plain_array
from faltung.geometry import MODES, Axis, default_anchor
from faltung.ops import correlate, plan
from faltung.problem import boundaries, convolved_axes, fill_for
from faltung.signal.ages import positive
from faltung.signal.scaling import exponent, largest_of, scaled
from faltung.signal.shifting import gathered

CERTAIN = 1e-6  # scores whose rounding might exceed this are computed once more, each by itself
EPS = float(np.finfo(float).eps)
FLAT = 8 * EPS  # of the greatest magnitude: contrast that is rounding
AT_ONCE = 1 << 22  # samples of windows that are looked at one by one
STRETCH = 1 << 14  # scores that are worked out together, while they are in cache


def match(
    x: Any,
    template: Any,
    *,
    mode: str = "valid",
    boundary: str | Sequence[str] = "constant",
    fill_value: Any = 0,
    axes: int | Sequence[int] | None = None,
    centred: bool = True,
    mask: Any = None,
) -> Array:
    """Return how like a template each neighbourhood is: the normalised cross-correlation.

    For each window ``w`` of the template's shape the score is ::

        sum (w - mean w) (t - mean t) / sqrt(sum (w - mean w)**2 * sum (t - mean t)**2)

    (Lewis, 1995): 1 where the window is the template, however much brighter or stronger, -1 where
    it is its negative. It is OpenCV's ``TM_CCOEFF_NORMED`` and scikit-image's ``match_template``.

    Every score lies within -1 and 1 and within 1e-6 of the exact one, mostly far nearer: windows
    for which the bounds of the sums over all windows at once do not promise that are computed each
    by itself, from the samples as they were given. A window without contrast, one whose deviations
    from its mean are rounding (at most 8 units in the last place of its greatest magnitude, in the
    root mean square), scores 0.

    Parameters
    ----------
    x : array_like
        Real. A window with NaN or an infinity scores NaN.
    template : array_like
        Real and finite, with one axis for each axis that is searched.
    mode : {"valid", "same", "full"}
        Windows inside of ``x``, whose score stands where the window begins; or one around each
        sample, or all that touch ``x``, with ``x`` continued by ``boundary``.
    boundary, fill_value
        As in :func:`faltung.convolve`.
    axes : int or ints, optional
        The axes that are searched, by default the last ones; every other is a batch.
    centred : bool
        Take the means off. Without it the score is the cosine of the angle between window and
        template (OpenCV's ``TM_CCORR_NORMED``), 0 for a window of zeros.
    mask : array_like, optional
        Of the template's shape, at least 0: how much each of its samples counts. 0 leaves it out.

    Returns
    -------
    ndarray
        float64 scores, of the shape that :func:`faltung.correlate` gives.

    Raises
    ------
    ValueError, TypeError
        Where an argument is not allowed, or the template has no contrast.

    Examples
    --------
    >>> from faltung.signal import best, match
    >>> scores = match([5, 5, 5, 6, 8, 6, 5, 2, 4], [1, 3, 1])
    >>> scores.round(3).tolist()
    [0.0, -0.5, -0.189, 1.0, -0.189, 0.277, -0.945]
    >>> best(scores).index
    (3,)
    """
    x = real_array(x, "x")
    template, weights = checked_template(template, mask)
    along = convolved_axes(axes, x.shape, template.shape)
    laid = laid_out(x, template.shape, along, mode, boundary, fill_value)
    kernel, total = unit(template, weights, centred)
    scores = at_once(laid, kernel, weights, total, centred)
    if np.isinf(scores).any():
        scores[np.isinf(scores) & even(laid, kernel.shape, centred)] = 0
        one_by_one(laid, kernel, weights, total, centred, scores, np.argwhere(np.isinf(scores)))
    last = range(x.ndim - len(along), x.ndim)
    return np.ascontiguousarray(np.moveaxis(scores, last, along))


def matched_filter(
    x: Any,
    template: Any,
    *,
    noise: float = 1.0,
    mode: str = "valid",
    boundary: str | Sequence[str] = "constant",
    fill_value: Any = 0,
    axes: int | Sequence[int] | None = None,
) -> Array:
    """Return the matched filter's output: the correlation with a template, in units of the noise.

    ``y[i] = sum_j conj(t[j]) x[i + j] / (noise * sqrt(sum |t|**2))``: of all linear filters the one
    with the greatest signal-to-noise ratio where the template stands in white noise (North, 1943).
    Noise alone gives a standard deviation of 1; ``A`` times the template adds
    ``A * sqrt(sum |t|**2) / noise`` where it begins.

    Parameters
    ----------
    x, template : array_like
        Real or complex.
    noise : float
        The standard deviation of the noise, more than 0.
    mode, boundary, fill_value, axes
        As in :func:`match`.

    Returns
    -------
    ndarray
        float64 or complex128; infinite where it is beyond every float.

    Raises
    ------
    ValueError, TypeError
        Where an argument is not allowed, or the template is 0.

    Examples
    --------
    >>> from faltung.signal import matched_filter
    >>> matched_filter([0, 0, 6, 8, 0], [3, 4]).round(3).tolist()
    [0.0, 4.8, 10.0, 4.8]
    """
    x, template = plain_array(x, "x"), plain_array(template, "template")
    for array, name in ((x, "x"), (template, "template")):
        if array.dtype.kind not in "biufc" or array.ndim == 0:
            raise TypeError(f"{name} must be numbers; got {array.dtype} of shape {array.shape}.")
    noise = positive("noise", noise)
    wide = np.complex128 if template.dtype.kind == "c" else np.float64
    largest = float(np.abs(template.astype(wide)).max(initial=0))
    if not 0 < largest < math.inf:
        raise ValueError("template must be finite numbers that are not all 0.")
    kernel = template.astype(wide) / largest
    kernel = kernel / math.sqrt(float(np.sum(np.abs(kernel) ** 2)))
    y = correlate(
        x.astype(np.result_type(x, np.float64)), kernel, mode=mode, boundary=boundary,
        fill_value=fill_value, axes=axes, conjugate=wide is np.complex128,
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        return y / noise


# ---- arguments -------------------------------------------------------------------------------


def real_array(value: Any, name: str) -> Array:
    """Return real numbers as float64, or raise TypeError."""
    array = plain_array(value, name)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise TypeError(
            f"{name} must be real numbers along at least one axis; got {array.dtype} of shape "
            f"{array.shape}."
        )
    return array.astype(float, copy=False)


def checked_template(template: Any, mask: Any) -> tuple[Array, Array]:
    """Return a template and how much each of its samples counts, at most 1."""
    template = real_array(template, "template")
    if template.size == 0 or not np.isfinite(template).all():
        raise ValueError(
            f"template of shape {template.shape} must be at least one finite number; leave samples "
            "out with mask=."
        )
    if mask is None:
        return template, np.ones(template.shape)
    weights = real_array(mask, "mask")
    fits = weights.shape == template.shape and np.isfinite(weights).all()
    if not fits or weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            f"mask must have the template's shape {template.shape} and finite numbers of at least "
            f"0, not all 0; got the shape {weights.shape}."
        )
    return template, weights / weights.max()


def laid_out(
    x: Array,
    taps: tuple[int, ...],
    axes: tuple[int, ...],
    mode: str,
    boundary: Any,
    fill_value: Any,
) -> Array:
    """Return ``x`` with its boundary around it, the searched axes last: windows lie all inside."""
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"mode={mode!r} is unknown; use one of {', '.join(MODES)}.")
    names = boundaries(boundary, len(axes))
    fill = fill_for(fill_value, x.dtype)
    lengths = tuple(x.shape[axis] for axis in axes)
    if mode == "valid" and any(t > n for t, n in zip(taps, lengths, strict=True)):
        raise ValueError(
            f'mode="valid" needs a template no longer than the input; got template {taps} on input '
            f'{lengths}. Use mode="same", or crop the template.'
        )
    if mode != "valid" and 0 in lengths:
        raise ValueError(
            f"x has no samples along an axis that is searched: its shape is {x.shape}."
        )
    for axis, taps_along, name in zip(axes, taps, names, strict=True):
        along = Axis(x.shape[axis], taps_along, mode, "correlate", default_anchor(taps_along))
        if mode != "valid":
            low, high = along.span(0, along.count)
            x = gathered(x, axis, name, fill, low, high - low)
    return np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))


def unit(template: Array, weights: Array, centred: bool) -> tuple[Array, float]:
    """Return the taps that give the score's numerator over its template's part, and the weight."""
    total = math.fsum(weights.ravel())
    taps = scaled(template, -exponent(largest_of(template[weights > 0])))
    if centred:
        taps = taps - math.fsum((weights * taps).ravel()) / total
        # what is left of the mean after rounding goes, too
        taps = taps - math.fsum((weights * taps).ravel()) / total
    norm = math.sqrt(math.fsum((weights * taps**2).ravel()))
    if norm <= FLAT * math.sqrt(total):
        what = "without contrast" if centred else "of zeros"
        raise ValueError(f"the template is one {what}, which nothing can be like; give another.")
    return weights * taps / norm, total


# ---- scores ----------------------------------------------------------------------------------


def about_the_mean(laid: Array, centred: bool) -> tuple[Array, bool]:
    """Return samples below 1 in magnitude, or 2 with their mean off, and whether all are finite.

    Others become NaN. Each is rounded once, by a part of what it becomes, so that sums over windows
    are as exact as if it had been given so.
    """
    finite = math.isfinite(largest_of(laid))
    if finite:
        values = scaled(laid, -exponent(largest_of(laid)))
        if centred and values.size:
            values -= values.mean()
        return values, True
    there = np.isfinite(laid)
    values = scaled(np.where(there, laid, 0), -exponent(largest_of(laid[there])))
    if centred and there.any():
        values -= values[there].mean()
    values[~there] = np.nan
    return values, False


def at_once(laid: Array, kernel: Array, weights: Array, total: float, centred: bool) -> Array:
    """Return the scores, infinite where rounding might tell and NaN where a sample is missing."""
    values, finite = about_the_mean(laid, centred)
    known = values if finite else np.nan_to_num(values, nan=0.0)
    like = plan(values.shape, values.dtype, kernel, operation="correlate", mode="valid")
    box = plan(values.shape, values.dtype, weights, operation="correlate", mode="valid")
    scores = like(known)
    sums = box(known) if centred else None
    top_error = part_and_rest(like, kernel, known)
    sums_error = part_and_rest(box, weights, known)
    squares = np.multiply(values, values, out=values)  # in which a NaN stays
    energy = box(squares)
    energy_error = part_and_rest(box, weights, squares if finite else np.nan_to_num(squares))
    bounds = Bounds(top_error, sums_error, energy_error, total)
    flat, flat_energy = scores.ravel(), energy.ravel()
    flat_sums = None if sums is None else sums.ravel()
    for first in range(0, flat.size, STRETCH):
        part = slice(first, first + STRETCH)
        some = None if flat_sums is None else flat_sums[part]
        flat[part] = bounds.scores(flat[part], flat_energy[part], some)
    return flat.reshape(scores.shape)


def part_and_rest(chosen: Any, taps: Array, values: Array) -> tuple[float, float]:
    """Return a bound on errors: so much of the sum of magnitudes, and so much everywhere."""
    if chosen.error_unit == "(|k| * |x|)":
        return chosen.error_bound, 0.0
    norm = float(np.linalg.norm(taps)) * float(np.linalg.norm(values.ravel()))
    return 0.0, chosen.error_bound * norm


class Bounds(NamedTuple):
    """Of the errors of sums over windows: a part of their magnitudes, and so much everywhere."""

    top: tuple[float, float]
    sums: tuple[float, float]
    energy: tuple[float, float]
    total: float

    def scores(self, top: Array, energy: Array, sums: Array | None) -> Array:
        """Return scores of windows from their sums, infinite where these do not tell enough."""
        energy_error = self.energy[0] * energy + self.energy[1]
        size = np.sqrt(np.maximum(energy, 0) + energy_error)
        spread, spread_error = energy, energy_error + 4 * EPS * energy
        if sums is not None:
            sums_error = self.sums[0] * math.sqrt(self.total) * size + self.sums[1]
            spread = energy - sums * sums / self.total
            spread_error += 4 * np.abs(sums) * sums_error / self.total + 4 * EPS * energy
        with np.errstate(all="ignore"):
            root = np.sqrt(np.maximum(spread, 0))
            error = ((self.top[0] + 4 * EPS) * size + self.top[1]) / root + spread_error / spread
            # a window of less contrast may be flat
            certain = (error <= CERTAIN) & (root > FLAT * math.sqrt(self.total))
            scores = np.clip(top / root, -1, 1)
        scores[~certain] = np.inf
        scores[np.isnan(energy)] = np.nan
        return scores


def even(laid: Array, taps: tuple[int, ...], centred: bool) -> Array:
    """Return which windows are all one number, or all 0: counts of steps in them tell exactly."""
    if not centred:
        return np.asarray(correlate(laid != 0, np.ones(taps, np.int64), mode="valid") == 0)
    found: Array | bool = True
    for axis, along in enumerate(taps):
        if along > 1:
            changes = np.diff(laid, axis=axis - len(taps)) != 0
            pairs = [n - (number == axis) for number, n in enumerate(taps)]
            found = found & (correlate(changes, np.ones(pairs, np.int64), mode="valid") == 0)
    return np.asarray(found)


def one_by_one(
    laid: Array,
    kernel: Array,
    weights: Array,
    total: float,
    centred: bool,
    scores: Array,
    places: Array,
) -> None:
    """Compute scores from the windows themselves, in two passes, each scaled by itself."""
    rank = kernel.ndim
    windows = sliding_window_view(laid, kernel.shape, tuple(range(-rank, 0)))
    inner = tuple(range(1, rank + 1))
    for first in range(0, len(places), max(1, AT_ONCE // kernel.size)):
        some = tuple(places[first : first + max(1, AT_ONCE // kernel.size)].T)
        window = np.where(weights > 0, windows[some], 0)
        greatest = np.max(np.abs(window), axis=inner, keepdims=True)
        powers = np.frexp(greatest)[1]
        window = np.ldexp(window, -powers)
        greatest = np.ldexp(greatest, -powers).reshape(-1)
        if centred:
            window = window - (weights * window).sum(axis=inner, keepdims=True) / total
            window = window - (weights * window).sum(axis=inner, keepdims=True) / total
        root = np.sqrt((weights * window**2).sum(axis=inner))
        flat = root <= FLAT * math.sqrt(total) * greatest
        top = (kernel * window).sum(axis=inner)
        scores[some] = np.where(flat, 0.0, np.clip(top / np.where(flat, 1.0, root), -1, 1))
