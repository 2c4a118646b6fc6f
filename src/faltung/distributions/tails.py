"""The tails of a distribution: masses below and above, certified bounds, quantiles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.exact import Exact
from faltung.distributions.lattice import number
from faltung.distributions.scaled import EPS, LONG, Scaled, zeros
from faltung.distributions.sums import Lost

Array = NDArray[Any]


class Tails:
    """What a distribution tells of the mass below and above a value."""

    origin: Fraction
    step: Fraction
    masses: Scaled | Exact
    lost: Lost
    error: float

    if TYPE_CHECKING:

        @property
        def scaled(self) -> Scaled: ...  # noqa: D102
        @property
        def values(self) -> Array: ...  # noqa: D102

    def __len__(self) -> int:
        return len(self.masses)

    @property
    def exact(self) -> bool:
        """Whether the probabilities are fractions."""
        return isinstance(self.masses, Exact)

    @cached_property
    def _up(self) -> Scaled | list[int]:
        """Masses from the first to each."""
        if isinstance(self.masses, Exact):
            return list(itertools.accumulate(self.masses.numerators))
        return self.masses.running()

    @cached_property
    def _down(self) -> Scaled | list[int]:
        """Masses from each to the last."""
        if isinstance(self.masses, Exact):
            return list(itertools.accumulate(self.masses.numerators[::-1]))[::-1]
        return self.masses[::-1].running()[::-1]

    @property
    def _relative(self) -> float:
        """Bound on the relative error of a tail's mass."""
        return 0.0 if self.exact else (1 + self.error) * (1 + len(self) * LONG + 2 * EPS) - 1

    def _index(self, x: Any) -> NDArray[np.int64]:
        """Return the last index whose value is at most x, -1 below the first."""
        points = np.asarray(x)
        if self._integral and points.ndim and points.dtype.kind in "iuf":
            if np.isnan(points).any():
                raise ValueError("x holds NaN; every value must be a number.")
            ends = float(self.origin) - 1, float(self.origin + self.step * len(self))
            whole = np.floor(np.clip(points, *ends)).astype(np.int64)
            at = (whole - int(self.origin)) // int(self.step)
            found_at: NDArray[np.int64] = np.clip(at, -1, len(self) - 1)
            return found_at
        flat = points.astype(object).ravel() if points.dtype.kind in "fO" else points.ravel()
        found = [
            (-1 if value < 0 else len(self)) if isinstance(value, float) and math.isinf(value)
            else (number(value, "x") - self.origin) // self.step
            for value in flat.tolist()
        ]  # fmt: skip
        clipped = [max(-1, min(int(at), len(self) - 1)) for at in found]
        return np.array(clipped, np.int64).reshape(points.shape)

    @property
    def _integral(self) -> bool:
        """Whether all values are integers that float64 holds."""
        whole = self.origin.denominator == self.step.denominator == 1
        return whole and abs(self.origin) + self.step * len(self) < 1 << 52

    def _tail(self, at: NDArray[np.int64], upper: bool) -> Any:
        """Return masses up to, or beyond, indices: Scaled, or an array of integers."""
        none = at == (len(self) - 1 if upper else -1)
        where = np.clip(at + 1 if upper else at, 0, len(self) - 1)
        sums_ = self._down if upper else self._up
        if isinstance(sums_, list):
            return [0 if n else sums_[i] for i, n in zip(where.flat, none.flat, strict=True)]
        picked = sums_[where.ravel()]
        empty = zeros(where.size)
        off = none.ravel()
        return Scaled(
            np.where(off, empty.mantissa, picked.mantissa),
            np.where(off, empty.exponent, picked.exponent),
        )

    def _mass(self, x: Any, upper: bool) -> Any:
        at = self._index(x)
        found = self._tail(at, upper)
        if isinstance(self.masses, Exact):
            below = self.masses.denominator
            fractions = [Fraction(n, below) for n in found]
            return objects(fractions).reshape(at.shape) if at.ndim else fractions[0]
        values = found.floats().reshape(at.shape)
        return values if at.ndim else float(values)

    def cdf(self, x: Any) -> Any:
        """Return P(X <= x), of the mass that is kept; a number, or an array for an array."""
        return self._mass(x, upper=False)

    def sf(self, x: Any) -> Any:
        """Return P(X > x), of the mass that is kept, with its relative accuracy however small.

        Examples
        --------
        >>> from fractions import Fraction
        >>> from faltung.distributions import PMF
        >>> dice = PMF([1] * 6, origin=1, normalise=True).rounded().repeat(400)
        >>> dice.sf(2399) == dice.probability(2400)  # 6**-400
        True
        >>> f"{dice.sf(2398):.6e} {float(Fraction(401, 6**400)):.6e}"
        '2.201123e-309 2.201123e-309'
        """
        return self._mass(x, upper=True)

    def log_sf(self, x: Any) -> Any:
        """Return the natural logarithm of P(X > x), also where it is below 1e-308."""
        return self._log(x, upper=True)

    def log_cdf(self, x: Any) -> Any:
        """Return the natural logarithm of P(X <= x), also where it is below 1e-308."""
        return self._log(x, upper=False)

    def _log(self, x: Any, upper: bool) -> Any:
        at = self._index(x)
        floats = cast(Any, self).rounded() if self.exact else self
        logs = floats._tail(at, upper).log().reshape(at.shape)
        return logs if at.ndim else float(logs)

    def sf_bounds(self, x: Any) -> tuple[Any, Any]:
        """Return certified bounds on P(X > x).

        They count the relative error and all mass that was cut off, as privacy accountants do
        (Koskela, Jalko and Honkela, 2020; Gopi, Lee and Wutschitz, 2021).
        """
        if self.exact and not self.lost.total:
            return self.sf(x), self.sf(x)
        kept, other = np.asarray(self.sf(x), float), np.asarray(self.cdf(x), float)
        wrong, lost = self._relative, self.lost
        missing = lost.below + lost.anywhere
        low = np.maximum(kept * (1 - wrong), (1 - wrong) - other * (1 + wrong) - missing)
        high = np.minimum(
            kept * (1 + wrong) + lost.above + lost.anywhere, (1 + wrong) - other * (1 - wrong)
        )
        # below the first point, what was cut off there may lie above x
        high = high + np.where(self._index(x) < 0, lost.below, 0.0)
        tiny = np.where(kept < 2.3e-308, 5e-324, 0.0)  # what underflow may have taken
        low, high = np.clip(low - 2 * EPS * low - tiny, 0, 1), high + 2 * EPS * high + tiny
        high = np.clip(np.maximum(high, low), 0, 1)
        return (low, high) if low.ndim else (float(low), float(high))

    def cdf_bounds(self, x: Any) -> tuple[Any, Any]:
        """Return certified bounds on P(X <= x); see :meth:`sf_bounds`."""
        mirrored = -cast(Any, self)
        at = self._index(x)
        beyond = objects([self.step * int(-i - 1) - self.origin for i in at.flat])
        found = mirrored.sf_bounds(beyond if at.ndim else beyond[0])
        return found if not at.ndim else (found[0].reshape(at.shape), found[1].reshape(at.shape))

    def _first_below(self, q: Any, relative: float, more: float) -> int:
        """Return the first index beyond which at most q lies; len(self) where more is missing."""
        if isinstance(self.masses, Exact):
            sums_ = [*cast(list[int], self._down)[1:], 0]
            most = number(q, "q") * self.masses.denominator
            return next(i for i, n in enumerate(sums_) if n <= most)
        left = float(q) - more
        if left < 0:
            return len(self)
        beyond = self._down[1:]
        assert isinstance(beyond, Scaled)
        with np.errstate(divide="ignore"):
            logs = beyond.log2() + np.log2(1 + relative)
            return int(np.searchsorted(-logs, -np.log2(left)))

    def isf(self, q: Any) -> Any:
        """Return the least value x with P(X > x) <= q: the quantile from above.

        A probability within its error of q counts as q. A number, or an array for an array.
        """
        return each(q, self._isf)

    def _isf(self, q: Any) -> Any:
        at = self._first_below(q, -max(self._relative, 4 * EPS), 0.0)
        return plain(self.origin + self.step * min(at, len(self) - 1))

    def isf_bounds(self, q: Any) -> tuple[Any, Any]:
        """Return certified bounds on :meth:`isf`: the least and the greatest that it may be.

        Infinite where the mass that was cut off leaves them open. ``q`` is one number.
        """
        check_share(q)
        if self.exact and not self.lost.total:
            return self.isf(q), self.isf(q)
        low = self._first_below(q, -max(self._relative, 4 * EPS), 0.0)
        high = self._first_below(q, self._relative, self.lost.above + self.lost.anywhere)
        greatest = math.inf if high >= len(self) else plain(self.origin + self.step * high)
        least: Any = plain(self.origin + self.step * min(low, len(self) - 1))
        if self.lost.below + self.lost.anywhere:
            whole = float(self._down[:1].floats()[0]) if isinstance(self._down, Scaled) else 1.0
            least = -math.inf if whole * (1 - self._relative) <= float(q) else least
        return least, greatest

    def quantile(self, q: Any) -> Any:
        """Return the least value x with P(X <= x) >= q, of the mass that is kept, or the last.

        For q near 1 :meth:`isf` has the digits that ``1 - q`` loses. A number, or an array for an
        array.

        Examples
        --------
        >>> from faltung.distributions import PMF
        >>> PMF([0.25, 0.5, 0.25]).quantile(0.5)
        1
        >>> PMF([0.25, 0.5, 0.25]).quantile([0.2, 0.5, 0.9]).tolist()
        [0, 1, 2]
        """
        return each(q, self._quantile)

    def _quantile(self, q: Any) -> Any:
        if isinstance(self.masses, Exact):
            least = number(q, "q") * self.masses.denominator
            sums_ = cast(list[int], self._up)
            at = next((i for i, n in enumerate(sums_) if n >= least), len(self) - 1)
        elif float(q) > 0.5:
            at = self._first_below(1 - float(q), -max(self._relative, 4 * EPS), 0.0)
        else:
            assert isinstance(self._up, Scaled)
            slack = 1 + max(self._relative, 4 * EPS)
            with np.errstate(divide="ignore"):
                least = np.log2(float(q) / slack)
            at = int(np.searchsorted(self._up.log2(), least))
        return plain(self.origin + self.step * min(at, len(self) - 1))

    def sample(self, size: int | tuple[int, ...] | None = None, seed: Any = None) -> Any:
        """Return random values.

        Parameters
        ----------
        size : int or ints, optional
            One value by default.
        seed : int or numpy.random.Generator, optional
        """
        uniform = np.asarray(np.random.default_rng(seed).random(size))
        sums_ = self.scaled.running().floats()
        at = np.searchsorted(sums_, uniform * sums_[-1], side="right")
        found = self.values[np.minimum(at, len(self) - 1)]
        return found if size is not None else found.item()


def objects(values: Any) -> Array:
    """Return Python numbers in an array."""
    items = list(values)
    array = np.empty(len(items), object)
    array[:] = items
    return array


def is_number(value: Any) -> bool:
    """Return whether a value may be added to a distribution as a number."""
    return isinstance(value, (int, float, Fraction, np.number)) and not isinstance(value, bool)


def plain(value: Fraction) -> Any:
    """Return an int where the value is one, else a float."""
    return int(value) if value.denominator == 1 else float(value)


def each(q: Any, function: Callable[[Any], Any]) -> Any:
    """Return a function of one probability, or of each in an array."""
    if np.ndim(q) == 0:
        check_share(q)
        return function(q)
    shares = np.asarray(q)
    for share in shares.ravel().tolist():
        check_share(share)
    found = np.array([function(share) for share in shares.ravel().tolist()])
    return found.reshape(shares.shape)


def check_share(q: Any) -> None:
    """Raise ValueError unless q is in [0, 1]."""
    if not is_number(q) or not 0 <= q <= 1:
        raise ValueError(f"q is {q!r}; it must be a number of at least 0 and at most 1.")
