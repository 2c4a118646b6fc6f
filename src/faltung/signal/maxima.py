"""Where the greatest values of an array lie, to a part of a sample."""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.dtypes import Array, plain_array


@dataclass(frozen=True)
class Peak:
    """A local maximum.

    Attributes
    ----------
    index : tuple of int
        The sample that no neighbour exceeds.
    score : float
        Its value.
    position : tuple of float
        The maximum of the quadratic through the sample and its neighbours: at most half a sample
        away, on a ridge that lies across the axes at most one along each of them; and the sample
        itself along an axis on whose end it lies.
    value : float
        The quadratic there.

    Scores of :func:`faltung.signal.match` are found to a hundredth of a sample where the signal is
    smooth. Where it is as fine as its samples, the scores fall off faster than any quadratic, and
    the position may be off by an eighth.
    """

    index: tuple[int, ...]
    score: float
    position: tuple[float, ...]
    value: float


def best(scores: Any) -> Peak:
    """Return the greatest value and where it lies; of several the first.

    Parameters
    ----------
    scores : array_like
        Real, of one axis or more; NaN and infinities count as nothing.

    Raises
    ------
    ValueError
        Where there are no values.

    Examples
    --------
    >>> from faltung.signal import best
    >>> best([0.0, 3.0, 4.0, 3.0]).position, best([0.0, 2.0, 4.0, 3.0]).position
    ((2.0,), (2.1666666666666665,))
    """
    values = checked_scores(scores)
    if not values.size or values.max() == -np.inf:
        raise ValueError(
            f"scores of shape {values.shape} hold no finite number; there is no peak to find."
        )
    return refined(values, tuple(map(int, np.unravel_index(int(values.argmax()), values.shape))))


def peaks(
    scores: Any, *, count: int | None = None, least: float = -math.inf, distance: float = 1.0
) -> list[Peak]:
    """Return local maxima, the greatest first.

    A peak is no less than any of its neighbours, corners included, and of a plateau the first of
    its samples. From the greatest on, each peak removes the lesser ones nearer than ``distance``.

    Parameters
    ----------
    scores : array_like
        Real, of one axis or more; NaN and infinities count as nothing.
    count : int, optional
        At most so many.
    least : float
        The least score.
    distance : float
        In samples, as the crow flies.

    Returns
    -------
    list of Peak

    Raises
    ------
    ValueError, TypeError
        Where an argument is not allowed.

    Examples
    --------
    >>> from faltung.signal import peaks
    >>> [peak.index for peak in peaks([0, 3, 1, 2, 0, 5, 5, 1])]
    [(5,), (1,), (3,)]
    >>> [peak.index for peak in peaks([0, 3, 1, 2, 0, 5, 5, 1], distance=3)]
    [(5,), (1,)]
    """
    values = checked_scores(scores)
    if count is not None and (isinstance(count, bool) or not hasattr(count, "__index__")):
        raise ValueError(f"count={count!r} must be an int of at least 0.")
    most = values.size if count is None else operator.index(count)
    if most < 0:
        raise ValueError(f"count={count!r} must be an int of at least 0.")
    for name, number in (("least", least), ("distance", distance)):
        if not isinstance(number, (int, float, np.number)) or math.isnan(float(number)):
            raise ValueError(f"{name}={number!r} must be a number.")
    if distance < 0:
        raise ValueError(f"distance={distance!r} must be at least 0, in samples.")
    found = np.argwhere(local_maxima(values) & (values >= least))
    scored = values[tuple(found.T)]
    found = found[np.argsort(-scored, kind="stable")]
    return [refined(values, tuple(place)) for place in apart(found, distance, most).tolist()]


def checked_scores(scores: Any) -> Array:
    """Return scores as float64, with NaN as less than all else."""
    values = plain_array(scores, "scores")
    if values.dtype.kind not in "biuf" or values.ndim == 0:
        raise TypeError(
            f"scores must be real numbers along at least one axis; got {values.dtype} of shape "
            f"{values.shape}. Of complex ones take numpy.abs."
        )
    values = values.astype(float)
    values[~np.isfinite(values)] = -np.inf
    return values


def local_maxima(values: Array) -> Array:
    """Return where no neighbour is greater: the first of equal ones, of which none has a greater.

    Of a plateau, which neighbours hold together, corners included, either all are maxima or none.
    """
    from scipy import ndimage

    around = np.pad(values, 1, constant_values=-np.inf)
    everywhere = [
        tuple(slice(1 + s, 1 + s + n) for s, n in zip(step, values.shape, strict=True))
        for step in itertools.product((-1, 0, 1), repeat=values.ndim)
        if any(step)
    ]
    high = np.isfinite(values)
    for there in everywhere:
        high &= values >= around[there]
    slope = np.zeros(values.shape, bool)  # at the foot of a rise that begins with an equal one
    padded = np.pad(high, 1, constant_values=True)
    for there in everywhere:
        slope |= high & (values == around[there]) & ~padded[there]
    plateaus, count = ndimage.label(high, np.ones((3,) * values.ndim))
    if not count:
        return high
    kept = np.ones(count + 1, bool)
    kept[plateaus[slope]] = kept[0] = False
    firsts = np.zeros(values.size, bool)
    firsts[np.unique(plateaus, return_index=True)[1]] = True
    found: Array = kept[plateaus] & firsts.reshape(values.shape)
    return found


def apart(places: Array, distance: float, most: int) -> Array:
    """Return places in their order, without those too near to an earlier one that stays."""
    if distance <= 1 or len(places) < 2:
        return places[:most]
    from scipy.spatial import cKDTree

    tree = cKDTree(places)
    stays = np.ones(len(places), bool)
    chosen = 0
    for n, place in enumerate(places):
        if not stays[n]:
            continue
        chosen += 1
        if chosen > most:
            return places[:n][stays[:n]]
        near = np.array(tree.query_ball_point(place, distance * (1 - 1e-12)))
        stays[near[near > n]] = False
    return places[stays]


def refined(values: Array, index: tuple[int, ...]) -> Peak:
    """Return a peak with the maximum of the quadratic through it and its neighbours.

    The quadratic has the central differences of first and second order; where it has no maximum
    nearby, the axes are taken by themselves.
    """
    score = float(values[index])
    inner = [
        axis for axis, (at, n) in enumerate(zip(index, values.shape, strict=True)) if 0 < at < n - 1
    ]
    around = values[tuple(
        slice(at - 1, at + 2) if axis in inner else slice(at, at + 1)
        for axis, at in enumerate(index)
    )].reshape((3,) * len(inner))  # fmt: skip
    move, gain = [0.0] * len(index), 0.0
    if inner and np.isfinite(around).all():
        offsets, gain = summit(around)
        for axis, offset in zip(inner, offsets, strict=True):
            move[axis] = offset
    position = tuple(at + offset for at, offset in zip(index, move, strict=True))
    return Peak(tuple(map(int, index)), score, position, score + gain)


def summit(around: Array) -> tuple[list[float], float]:
    """Return how far from the middle of 3 samples a side the maximum lies, and how much higher."""
    rank = around.ndim
    scale = float(np.ptp(around)) or 1.0
    samples = (around - around[(1,) * rank]) / scale

    def at(*steps: tuple[int, int]) -> float:
        place = [1] * rank
        for axis, step in steps:
            place[axis] += step
        return float(samples[tuple(place)])

    slope = np.array([(at((a, 1)) - at((a, -1))) / 2 for a in range(rank)])
    bend = np.diag([at((a, 1)) + at((a, -1)) for a in range(rank)])
    for a, b in itertools.combinations(range(rank), 2):
        cross = at((a, 1), (b, 1)) - at((a, 1), (b, -1)) - at((a, -1), (b, 1))
        bend[a, b] = bend[b, a] = (cross + at((a, -1), (b, -1))) / 4
    moves = None
    if np.linalg.eigvalsh(bend).max() < -1e-12:
        moves = np.linalg.solve(bend, -slope)
    if moves is None or np.abs(moves).max() > 1:
        curve = np.diagonal(bend)
        moves = np.where(curve < 0, -slope / np.where(curve < 0, curve, 1), 0.0)
        moves = np.clip(moves, -0.5, 0.5)
        bend = np.diag(curve)
    gain = float(slope @ moves + moves @ bend @ moves / 2)
    return [float(move) for move in moves], gain * scale
