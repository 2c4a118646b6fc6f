"""Finding a template: normalised cross-correlation, and the matched filter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from faltung.dtypes import Array, plain_array
from faltung.geometry import MODES, Axis, default_anchor
from faltung.ops import correlate, plan
from faltung.problem import boundaries, convolved_axes, fill_for
from faltung.signal.ages import positive
from faltung.signal.shifting import gathered

CERTAIN = 1e-6  # scores whose rounding might exceed this are computed once more, each by itself
FLAT = 8 * float(np.finfo(float).eps)  # of the greatest magnitude: contrast that is rounding
AT_ONCE = 1 << 22  # samples of windows that are looked at one by one


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
    by itself. A window without contrast, one whose deviations from its mean are rounding (at most 8
    units in the last place of its greatest magnitude, in the root mean square), scores 0.

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
    values, middle = about_middle(laid, centred)
    scores = at_once(values, kernel, weights, total, centred, middle)
    if np.isinf(scores).any():
        scores[np.isinf(scores) & even(laid, kernel.shape, centred)] = 0
    doubtful = np.argwhere(np.isinf(scores))
    if doubtful.size:
        one_by_one(laid, kernel, weights, total, centred, scores, doubtful)
    last = range(x.ndim - len(along), x.ndim)
    return np.ascontiguousarray(np.moveaxis(np.clip(scores, -1, 1, out=scores), last, along))


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
        float64 or complex128.

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
    return array.astype(float)


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
    largest = float(np.abs(template[weights > 0]).max())
    scaled = template / (largest or 1.0)
    if centred:
        scaled = scaled - math.fsum((weights * scaled).ravel()) / total
        # what is left of the mean after rounding goes, too
        scaled = scaled - math.fsum((weights * scaled).ravel()) / total
    norm = math.sqrt(math.fsum((weights * scaled**2).ravel()))
    if norm <= FLAT * math.sqrt(total):
        what = "without contrast" if centred else "of zeros"
        raise ValueError(f"the template is one {what}, which nothing can be like; give another.")
    return weights * scaled / norm, total


# ---- scores ----------------------------------------------------------------------------------


def bounded(values: Array, taps: Array, norm: float) -> tuple[Array, float, float]:
    """Return a correlation inside of the input, and what bounds its error.

    That is a part of the same correlation of magnitudes, and a number for all outputs.
    """
    chosen = plan(values.shape, values.dtype, taps, operation="correlate", mode="valid")
    if chosen.error_unit == "(|k| * |x|)":
        return chosen(values), chosen.error_bound, 0.0
    return chosen(values), 0.0, chosen.error_bound * float(np.linalg.norm(taps)) * norm


def about_middle(laid: Array, centred: bool) -> tuple[Array, float]:
    """Return samples about their mean, the greatest of about 1, and the mean on the same scale.

    So sums of squares neither overflow nor lose much. Each is rounded once, relatively: a scale
    that is a power of two changes nothing else.
    """
    there = np.isfinite(laid)
    values = np.ldexp(laid, -power_of(laid, there))
    middle = float(np.mean(values, where=there)) if centred and there.any() else 0.0
    values = np.where(there, values - middle, np.nan)
    power = power_of(values, there)
    return np.ldexp(values, -power), math.ldexp(abs(middle), -power)


def power_of(values: Array, there: Array) -> int:
    """Return the power of two of the greatest magnitude."""
    return math.frexp(float(np.max(np.abs(values), where=there, initial=0)))[1]


def at_once(
    values: Array, kernel: Array, weights: Array, total: float, centred: bool, middle: float
) -> Array:
    """Return the scores, infinite where rounding might tell and NaN where a sample is missing."""
    eps = float(np.finfo(float).eps)
    missing = np.isnan(values)
    gaps = bool(missing.any())
    known = np.where(missing, 0, values) if gaps else values
    squares = values * values
    norm = math.sqrt(float(np.vdot(known, known)))
    energy, part, rest = bounded(squares, weights, float(np.max(np.abs(known), initial=0)) * norm)
    top, top_part, top_rest = bounded(known, kernel, norm)
    spread, sums = energy, np.zeros(())
    sums_part = sums_rest = 0.0
    if centred:
        sums, sums_part, sums_rest = bounded(known, weights, norm)
        spread = sums * sums
        spread /= -total
        spread += energy

    def errors(energy: Any, sums: Any) -> tuple[Any, Any]:  # of a score's top, and of the spread
        size = np.sqrt(np.maximum(energy, 0) * (1 + part) + rest)
        off = sums_part * math.sqrt(total) * size + sums_rest
        top_error = (top_part + 4 * eps) * size + top_rest
        return top_error, part * energy + rest + 8 * eps * energy + 4 * np.abs(sums) * off / total

    flat = FLAT**2 * total * (1 + middle) ** 2  # of a spread that may be none
    with np.errstate(all="ignore"):
        least = float(np.nanmin(spread, initial=np.inf))
        tops, spreads = errors(np.nanmax(energy, initial=0), np.nanmax(np.abs(sums), initial=0))
        if least > flat and tops / math.sqrt(least) + spreads / least <= CERTAIN:
            return np.asarray(top / np.sqrt(spread))  # every window is certain
        tops, spreads = errors(energy, sums)
        root = np.sqrt(np.maximum(spread, 0))
        certain = (spread > flat) & (tops / root + spreads / spread <= CERTAIN)
        scores = np.where(certain, top / root, np.inf)
    return np.where(np.isnan(energy), np.nan, scores) if gaps else scores


def even(values: Array, taps: tuple[int, ...], centred: bool) -> Array:
    """Return which windows are all one number, or all 0: counts of steps in them tell exactly."""
    if not centred:
        return np.asarray(correlate(values != 0, np.ones(taps, np.int64), mode="valid") == 0)
    found: Array | bool = True
    for axis, along in enumerate(taps):
        if along > 1:
            with np.errstate(all="ignore"):  # of infinities
                changes = np.diff(values, axis=axis - len(taps)) != 0
            pairs = [n - (number == axis) for number, n in enumerate(taps)]
            found = found & (correlate(changes, np.ones(pairs, np.int64), mode="valid") == 0)
    return np.asarray(found)


def one_by_one(
    samples: Array,
    kernel: Array,
    weights: Array,
    total: float,
    centred: bool,
    scores: Array,
    places: Array,
) -> None:
    """Compute scores from the windows themselves, in two passes."""
    rank = kernel.ndim
    windows = sliding_window_view(samples, kernel.shape, tuple(range(-rank, 0)))
    inner = tuple(range(1, rank + 1))
    for first in range(0, len(places), max(1, AT_ONCE // kernel.size)):
        some = tuple(places[first : first + max(1, AT_ONCE // kernel.size)].T)
        counted = np.where(weights > 0, windows[some], 0)
        counted = np.ldexp(counted, -np.frexp(np.abs(counted).max(inner, keepdims=True))[1])
        greatest = np.abs(counted).max(inner)
        if centred:
            means = (weights * counted).sum(axis=inner, keepdims=True) / total
            counted = counted - means
            counted = counted - (weights * counted).sum(axis=inner, keepdims=True) / total
        root = np.sqrt((weights * counted**2).sum(axis=inner))
        flat = root <= FLAT * math.sqrt(total) * greatest
        top = (kernel * counted).sum(axis=inner)
        scores[some] = np.where(flat, 0.0, top / np.where(flat, 1.0, root))
