"""Smoothing: a weighted average along a noisy track, over the samples that are there."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.boundary import BOUNDARIES
from faltung.dtypes import Array, plain_array
from faltung.ops import convolve
from faltung.problem import MISSING, scipy_hint
from faltung.signal.ages import Taps, TimeWeights, falling, positive, taps_of
from faltung.signal.ages import weights as named_weights

REAL = (int, float, np.integer, np.floating)
EDGES = ("renormalise", *BOUNDARIES)
LONGEST_LATTICE = 1 << 24  # steps that times on a lattice may span: some 600 MB at work
CLOSE = 1e-3  # of a step: how near to a multiple of it times are, where it was found from them
NEAREST = 0.25  # where it was given, so that times with a jitter may be taken to the nearest
PAIRS = 1 << 30  # pairs of samples that a function of ages is asked about


@dataclass(frozen=True, eq=False)
class Smoothed:
    """A smoothed track.

    Attributes
    ----------
    values : ndarray
        The averages, one for each sample, NaN where nothing was there or less than asked for.
    coverage : ndarray
        How much of the weight was there, for each of them. On a lattice it is the sum of the
        weights, which sum to 1, over the samples that were read: 1 where all were, less near gaps
        and, where edges are renormalised, near the ends. By real ages it is the sum of the weights
        over what it would be at the median step without a gap, and may exceed 1 where samples stand
        closer.
    weights : ndarray or TimeWeights
        The weights, divided by their sum, in the order of :func:`faltung.convolve`: newest first.
    anchor : int
        Which of them is the sample's own: 0 for weights by age.
    rule : str
        In words: what counts at the ends and where samples are missing.
    """

    values: Array
    coverage: Array
    weights: Any
    anchor: int
    rule: str

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype=dtype, copy=True if copy is None else copy)

    @property
    def lag(self) -> float:
        """The mean age of what counts, in steps: how far the average stays behind a steady motion.

        NaN for weights by real ages.
        """
        if isinstance(self.weights, TimeWeights):
            return math.nan
        return math.fsum(self.weights * (np.arange(self.weights.size) - self.anchor))


def smooth(
    x: Any,
    weights: Any,
    *,
    times: Any = None,
    step: float | None = None,
    edges: str = "renormalise",
    fill_value: float = 0.0,
    missing: str = "ignore",
    least: float = 0.0,
    axis: int = 0,
) -> Smoothed:
    """Smooth a noisy track: ``y[i] = sum_j w[j] x[i + a - j]`` with weights that sum to 1.

    Only what was read counts, by default: at the ends and around missing samples the weights of
    the others are divided by their sum (normalised convolution; Knutsson and Westin, 1993). So the
    first output of a causal average is the first sample, the second is
    ``(w[0] x[1] + w[1] x[0]) / (w[0] + w[1])``, and so on.

    Times that are multiples of a step make a lattice, on which what was not read is missing. At
    irregular times give weights of the real ages (:func:`time_exponential`, :func:`time_gaussian`,
    or any function of an array of ages): ``y(t_i) = sum_j w(t_i - t_j) x_j / sum_j w(t_i - t_j)``.

    Parameters
    ----------
    x : array_like
        Samples along ``axis``: a track of n numbers, or of positions (n, 2) or (n, 3). NaN is
        missing, in each coordinate by itself.
    weights : array_like, Kernel, str, TimeWeights or callable
        A list or an array is weights by age, newest first. A kernel of one axis lies by its anchor:
        :func:`faltung.kernels.exponential_age`, :func:`~faltung.kernels.linear_age`, or around the
        sample a Gaussian, a box or Savitzky-Golay. They are divided by their sum. A text is read by
        :func:`faltung.signal.weights`; a function takes ages and is causal.
    times : array_like, optional
        n finite numbers or ``datetime64`` (counted in seconds) that do not fall.
    step : float, optional
        Of the lattice; by default the smallest difference of the times, of which all must then be
        multiples, to a thousandth of it. A step that is given allows for a jitter: each time is
        taken to the nearest multiple, at most a quarter of a step away.
    edges : {"renormalise", "constant", "edge", "symmetric", "reflect", "wrap"}
        What counts beyond the ends: nothing, or the track continued by a boundary.
    fill_value : float
        The value beyond the ends with ``edges="constant"``.
    missing : {"ignore", "propagate"}
        Leave missing samples out of the average, or let every average that meets one be NaN.
    least : float
        0 to 1: averages of less coverage become NaN.
    axis : int
        Time's axis; the first, if not given.

    Returns
    -------
    Smoothed
        The averages stand where the samples stand; float32 stays float32, integers become float64.

    Raises
    ------
    ValueError, TypeError
        Where an argument is not allowed. Negative weights, as of Savitzky-Golay, do not average
        what is left where others are missing: they need a boundary, and a track without gaps or
        ``missing="propagate"``.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.signal import smooth, time_exponential
    >>> track = [0.0, 1.0, np.nan, 3.0]
    >>> done = smooth(track, [0.5, 0.3, 0.2])
    >>> done.values.round(3).tolist(), done.coverage.tolist()
    ([0.0, 0.625, 0.6, 2.429], [0.5, 0.8, 0.5, 0.7])
    >>> smooth(track, time_exponential(1.0), times=[0.0, 0.9, 2.0, 3.4]).values.round(3).tolist()
    [0.0, 0.711, 0.711, 2.763]
    """
    x, along = checked_track(x, axis)
    if not isinstance(edges, str) or edges not in EDGES:
        raise ValueError(
            f"edges={edges!r} is unknown; use one of {', '.join(EDGES)}.{scipy_hint([edges])}"
        )
    if not isinstance(missing, str) or missing not in MISSING:
        raise ValueError(f"missing={missing!r} is unknown; use one of {', '.join(MISSING)}.")
    if isinstance(least, bool) or not isinstance(least, REAL) or not 0 <= least <= 1:
        raise ValueError(f"least={least!r} must be a number from 0 to 1: a coverage.")
    if isinstance(weights, str):
        weights = named_weights(weights)
    moments = None if times is None else checked_times(times, x.shape[along])
    track = np.moveaxis(x, along, 0)
    if callable(weights):
        if not isinstance(weights, TimeWeights):
            weights = TimeWeights("the function", weights)
        if moments is None or step is not None or edges != "renormalise":
            raise ValueError(
                f"{weights.name}: weights of real ages go with times=, without step=, and with "
                'edges="renormalise": beyond the ends there are no times.'
            )
        values, coverage = by_ages(track, weights, moments, missing == "ignore")
        kept: Any = weights
        anchor = 0
    else:
        taps = taps_of(weights)
        if moments is None and step is not None:
            raise ValueError("step= is of the lattice of times=; give these, too.")
        values, coverage = on_lattice(track, taps, moments, step, edges, fill_value, missing)
        kept, anchor = taps
    if least > 0:
        values[~(coverage >= least)] = np.nan
    values, coverage = np.moveaxis(values, 0, along), np.moveaxis(coverage, 0, along)
    return Smoothed(values, coverage, kept, anchor, rule_of(edges, missing, least))


def rule_of(edges: str, missing: str, least: float) -> str:
    """Say what counts."""
    ends = {
        "renormalise": "beyond the ends nothing counts: the weights there are divided by their sum",
        "constant": "beyond the ends the fill value counts",
    }.get(edges, f"beyond the ends the track goes on ({edges})")
    gaps = {
        "ignore": "missing samples are left out and the others' weights divided by their sum",
        "propagate": "an average that meets a missing sample is missing",
    }[missing]
    return f"{ends}; {gaps}" + (f"; less than {least:g} of the weight is missing" if least else "")


# ---- arguments -------------------------------------------------------------------------------


def checked_track(x: Any, axis: int) -> tuple[Array, int]:
    """Return the samples as floats, and their axis."""
    x = plain_array(x, "x")
    if x.dtype.kind not in "biufc" or x.ndim == 0:
        raise TypeError(
            f"x must be numbers along at least one axis; got {x.dtype} of shape {x.shape}."
        )
    try:
        along = range(x.ndim)[operator.index(axis)]
    except (IndexError, TypeError):
        raise ValueError(f"axis={axis!r} is no axis of x, whose shape is {x.shape}.") from None
    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    return x.astype(float) if x.dtype.kind in "biu" else x, along


def checked_times(times: Any, count: int) -> Array:
    """Return times as floats counted from the first, or raise ValueError."""
    array = np.asarray(times)
    if array.dtype.kind in "mM" and array.ndim == 1 and not np.isnat(array).any():
        array = (array - array[:1].repeat(array.size)) / np.timedelta64(1, "s")
    if array.shape != (count,) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"times must be one number or datetime64 for each of the {count} samples; got "
            f"{array.dtype} of shape {array.shape}."
        )
    array = array.astype(float)
    if not np.isfinite(array).all():
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"times[{where}] is {array[where]}; leave out samples without a time.")
    falls = np.flatnonzero(np.diff(array) < 0)
    if falls.size:
        raise ValueError(
            f"times fall from times[{falls[0]}] to the next; sort the samples by their times."
        )
    return array - array[0] if count else array


# ---- on a lattice ----------------------------------------------------------------------------


def on_lattice(
    track: Array,
    taps: Taps,
    moments: Array | None,
    step: float | None,
    edges: str,
    fill_value: float,
    missing: str,
) -> tuple[Array, Array]:
    """Return the averages of samples a step apart, and how much of the weight was there."""
    places = None if moments is None else lattice_places(moments, step)
    samples = track
    if places is not None and places.size:
        samples = np.full((int(places[-1]) + 1, *track.shape[1:]), np.nan, track.dtype)
        samples[places] = track
    there = ~np.isnan(samples)
    ends: dict[str, Any] = {"boundary": "constant", "fill_value": 0.0}
    if edges != "renormalise":
        ends = {"boundary": edges, "fill_value": fill_value if edges == "constant" else 0.0}
    signed = bool((taps.array < 0).any())
    if signed and (edges == "renormalise" or (missing == "ignore" and not there.all())):
        raise ValueError(
            "some weights are negative, and what is left of them where others are missing is no "
            'average; give edges="edge" or another boundary and, for a track with gaps, '
            'missing="propagate".'
        )
    shared: dict[str, Any] = {"axes": 0, "anchor": taps.anchor}
    fill_there = edges == "constant" and not math.isnan(fill_value)
    counted = ends | ({"fill_value": float(fill_there)} if edges == "constant" else {})
    coverage = covered(there.astype(float), taps, **counted, **shared)
    if missing == "ignore" and not signed:
        if edges == "renormalise":
            ends = {"boundary": "constant", "fill_value": np.nan}  # as missing as a gap
        if taps.array[taps.array > 0].min() < np.finfo(samples.dtype).tiny:
            samples = samples.astype(np.result_type(samples, float))  # which holds the weights
        values = convolve(samples, soft(taps), missing="ignore", **ends, **shared)
        values = values.astype(track.dtype, copy=False)
    else:
        values = convolve(samples, soft(taps), **ends, **shared)
        if edges == "renormalise":
            everything = covered(np.ones(there.shape), taps, **counted, **shared)
            values = values / everything.astype(values.real.dtype)
    if places is not None:
        values, coverage = values[places], coverage[places]
    return np.array(values), np.array(coverage)


def soft(taps: Taps) -> list[float]:
    """Return the taps as a list, which takes the input's precision."""
    listed: list[float] = taps.array.tolist()
    return listed


def covered(there: Array, taps: Taps, **options: Any) -> Array:
    """Return the sum of the weights over what is there: 1 where all of it is."""
    part = convolve(there, taps.array, nonnegative=not (taps.array < 0).any(), **options)
    nearly = abs(part - 1) <= 4 * taps.array.size * np.finfo(float).eps
    return np.where(nearly, 1.0, part)


def lattice_places(moments: Array, step: float | None) -> Array:
    """Return how many steps after the first sample each was read, or raise ValueError."""
    if moments.size < 2:
        return np.zeros(moments.size, np.int64)
    between = np.diff(moments)
    near = CLOSE if step is None else NEAREST
    if between.min() == 0:
        where = int(np.flatnonzero(between == 0)[0])
        raise ValueError(
            f"two samples have the same time, {where} and {where + 1}, counted from 0; average "
            "them first, or give weights of the real ages, such as time.exponential:TAU."
        )
    step = common_step(moments, float(between.min())) if step is None else positive("step", step)
    if moments[-1] / step >= LONGEST_LATTICE:
        raise ValueError(
            f"times span {moments[-1] / step:.3g} steps of {step:g}, and {LONGEST_LATTICE} are "
            "allowed; give a greater step=, or weights of the real ages, such as "
            "time_exponential(tau)."
        )
    places = np.rint(moments / step)
    off = np.abs(moments / step - places)
    if off.max() > near or np.diff(places).min() < 1:
        where = int(off.argmax())
        raise ValueError(
            f"times are no multiples of the step {step:g}: times[{where}] lies {off[where]:.3g} "
            "steps beside one; give the step=, or weights of the real ages, such as "
            "time.exponential:TAU."
        )
    return places.astype(np.int64)


def common_step(moments: Array, least: float) -> float:
    """Return the step of a lattice, from the smallest difference of its times.

    That is rounded, and would miss the far multiples: it is corrected by ever later times, each
    within reach of the last correction.
    """
    step, reach = least, 1 << 8
    while True:
        last = int(np.searchsorted(moments, step * reach, side="right")) - 1
        steps = round(float(moments[last]) / step)
        if steps:
            step = float(moments[last]) / steps
        if last == moments.size - 1 or reach > LONGEST_LATTICE:
            return step
        reach <<= 4


# ---- by real ages ----------------------------------------------------------------------------


def by_ages(
    track: Array, weights: TimeWeights, moments: Array, ignore: bool
) -> tuple[Array, Array]:
    """Return averages by the real ages, and how much of the usual weight was there."""
    there = ~np.isnan(track)
    held = np.where(there, track, 0)
    function = weights.function
    if getattr(function, "func", None) is falling and math.isinf(weights.reach):
        sums, mass, lost = recursion(held, there, moments, function.args[0])  # type: ignore[attr-defined]
    else:
        sums, mass, lost = all_pairs(held, there, moments, weights)
    if not ignore:
        mass = np.where(lost > 0, np.nan, mass)
    with np.errstate(all="ignore"):
        values = np.where(mass > 0, sums / mass, np.nan).astype(track.dtype)
        usual = usual_mass(weights, moments)
        return values, np.where(mass > 0, mass, 0) / usual


def usual_mass(weights: TimeWeights, moments: Array) -> float:
    """Return the sum of the weights of samples that stand at the median step, without a gap."""
    steps = np.diff(moments)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    reach = min(weights.reach, step * (1 << 16))
    ages = step * np.arange(0 if weights.causal else -int(reach / step), int(reach / step) + 1)
    return float(weights(ages).sum()) or 1.0


def recursion(held: Array, there: Array, moments: Array, tau: float) -> tuple[Array, Array, Array]:
    """Return the sums of exponential weights: each is the last one, aged, and a new sample."""
    fades = np.exp(-np.diff(moments, prepend=moments[:1]) / tau)
    shape = held.shape
    one = np.ones(there.shape)
    columns = [a.reshape(shape[0], math.prod(shape[1:])) for a in (held, there * one, ~there * one)]
    found = []
    for table in columns:
        sums = np.empty(table.shape, np.result_type(table, float))
        for n, column in enumerate(table.T.tolist()):
            total: Any = 0.0
            running = []
            for fade, value in zip(fades.tolist(), column, strict=True):
                total = total * fade + value
                running.append(total)
            sums[:, n] = running
        found.append(sums.reshape(shape))
    together(found, moments)
    return found[0], found[1], found[2]


def together(sums: list[Array], moments: Array) -> None:
    """Let samples of the same time count for each other: all get the sum after the last of them."""
    last = np.searchsorted(moments, moments, side="right") - 1
    if (last != np.arange(last.size)).any():
        for each in sums:
            each[...] = each[last]


def all_pairs(
    held: Array, there: Array, moments: Array, weights: TimeWeights
) -> tuple[Array, Array, Array]:
    """Return the sums over every pair of samples within reach of each other."""
    first = np.searchsorted(moments, moments - weights.reach, side="left")
    newest = moments if weights.causal else moments + weights.reach
    stop = np.searchsorted(moments, newest, side="right")
    if int((stop - first).sum()) > PAIRS:
        raise ValueError(
            f"{weights.name}: {int((stop - first).sum()):,} pairs of samples lie within reach, and "
            f"{PAIRS:,} are allowed; give a TimeWeights with a shorter reach=."
        )
    wide = np.result_type(held, float)
    sums, mass, lost = np.zeros(held.shape, wide), np.zeros(held.shape), np.zeros(held.shape)
    column = (slice(None), *([None] * (held.ndim - 1)))
    for n in range(int((stop - first).max(initial=0))):
        rows = np.flatnonzero(first + n < stop)
        others = first[rows] + n
        w = weights(moments[rows] - moments[others])[column]
        sums[rows] += w * held[others]
        mass[rows] += w * there[others]
        lost[rows] += w * ~there[others]
    return sums, mass, lost
