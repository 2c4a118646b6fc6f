"""A discrete distribution on a lattice, its sums, and its tails."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.exact import Exact
from faltung.distributions.lattice import MOST_POINTS, about, floated, number, positive, shown
from faltung.distributions.scaled import EPS, Scaled
from faltung.distributions.sums import RTOL, Lost
from faltung.distributions.tails import Tails, is_number, objects

if TYPE_CHECKING:
    from faltung.distributions.ways import Ways

Array = NDArray[Any]
Masses = Scaled | Exact
HIGHEST = 100  # order of cumulants


@dataclass(frozen=True, init=False, eq=False, repr=False)
class PMF(Tails):
    """A discrete distribution: probabilities of ``origin + step * index``.

    ``X + Y`` is the distribution of the sum of independent X and Y, which is the convolution of
    theirs; ``X + 3`` is shifted. ``2 * X`` is a doubled value, not two copies:
    ``X.repeat(2)`` is that. Probabilities keep their relative accuracy however small they are,
    and are exact where all of them are fractions or integers.

    Parameters
    ----------
    probabilities : array_like, or mapping of values to probabilities
        At least 0, and 1 together. Python integers and fractions stay exact.
    origin, step : number
        Value of the first probability, and from one to the next; a float is the decimal that it
        prints as. A mapping has its own.
    normalise : bool
        Divide by the sum: for counts and weights.

    Attributes
    ----------
    origin, step : Fraction
    masses : Scaled or Exact
        The probabilities, as numbers of any size.
    lost : Lost
        Bounds on mass that was cut off.
    error : float
        Bound on the relative error of every probability, as a result of the distributions that
        it was computed from.
    method : str
        How it was computed.

    Raises
    ------
    ValueError
        Where probabilities are missing, negative, not finite, or do not sum to 1.

    Examples
    --------
    >>> from fractions import Fraction
    >>> die = PMF([Fraction(1, 6)] * 6, origin=1)
    >>> two = die + die
    >>> two.probability(7), two.sf(10), two.mean(), two.variance()
    (Fraction(1, 6), Fraction(1, 12), Fraction(7, 1), Fraction(35, 6))
    >>> PMF({0: 0.5, 2.5: 0.5}).repeat(1000)
    <PMF 0 to 2500 step 2.5, 1,001 points: mean 1250, sd 39.53>
    """

    __array_ufunc__ = None  # numbers of NumPy leave sums to the distribution

    origin: Fraction
    step: Fraction
    masses: Masses
    lost: Lost
    error: float
    method: str

    def __init__(
        self, probabilities: Any, *, origin: Any = 0, step: Any = 1, normalise: bool = False
    ) -> None:
        from faltung.distributions import making

        if isinstance(probabilities, Mapping):
            if (origin, step) != (0, 1):
                raise ValueError("a mapping has its own values; give no origin and no step.")
            made = making.from_mapping(probabilities, normalise)
        elif hasattr(probabilities, "pmf") and hasattr(probabilities, "sf"):
            raise TypeError("this is a distribution of scipy.stats; use PMF.from_scipy(it).")
        else:
            start, apart = number(origin, "origin"), positive(step, "step")
            made = making.from_array(probabilities, start, apart, normalise)
        for name in ("origin", "step", "masses", "lost", "error", "method"):
            object.__setattr__(self, name, getattr(made, name))
        freeze(self.masses)

    @classmethod
    def made(
        cls, origin: Fraction, step: Fraction, masses: Masses, lost: Lost, error: float, method: str
    ) -> PMF:
        """Return what was computed, without its zeros at the ends."""
        if isinstance(masses, Exact):
            there = [i for i, n in enumerate(masses.numerators) if n]
        else:
            there = np.flatnonzero(masses.mantissa)[[0, -1]].tolist()
        self = object.__new__(cls)
        first, last = there[0], there[-1]
        values = {
            "origin": origin + step * first, "step": step, "masses": masses[first : last + 1],
            "lost": lost, "error": error, "method": method,
        }  # fmt: skip
        for name, value in values.items():
            object.__setattr__(self, name, value)
        freeze(self.masses)
        return self

    @classmethod
    def from_scipy(cls, frozen: Any, *, mass: float = 1e-300, max_points: int = 1 << 22) -> PMF:
        """Return a frozen discrete distribution of scipy.stats.

        Its probabilities are SciPy's, whose own errors (often 1e-13, relatively) are not counted.

        Parameters
        ----------
        frozen : scipy.stats.rv_frozen
        mass : float
            What may be cut off at each end. The bound is stated in ``lost``: the sum of SciPy's
            probabilities there, in blocks where they are many, which holds where they fall
            outwards.
        max_points : int

        Examples
        --------
        >>> from scipy import stats
        >>> PMF.from_scipy(stats.binom(3, 0.5)).probabilities.round(3).tolist()
        [0.125, 0.375, 0.375, 0.125]
        """
        from faltung.distributions.making import from_scipy

        return from_scipy(frozen, mass, max_points)

    @classmethod
    def from_samples(cls, samples: Any, *, step: Any = None) -> PMF:
        """Return the shares of the values in samples, exactly.

        Parameters
        ----------
        samples : array_like
        step : number, optional
            Round samples to multiples of it; by default they have to lie on a lattice.

        Examples
        --------
        >>> PMF.from_samples([1, 2, 2, 4]).probability(2)
        Fraction(1, 2)
        """
        from faltung.distributions.making import from_samples

        return from_samples(samples, step)

    # what it holds

    @property
    def last(self) -> Fraction:
        """The greatest value."""
        return self.origin + self.step * (len(self) - 1)

    @property
    def values(self) -> Array:
        """The values, as int64 where they are integers, else float64."""
        whole = self.origin.denominator == self.step.denominator == 1
        if whole and max(abs(self.origin), abs(self.last)) < 1 << 63:
            return int(self.origin) + int(self.step) * np.arange(len(self))
        below = math.lcm(self.origin.denominator, self.step.denominator)
        first, apart = int(self.origin * below), int(self.step * below)
        if max(abs(first), abs(first + apart * len(self)), below) >= 1 << 1000:
            return np.array([floated(self.origin + self.step * n) for n in range(len(self))])
        return (first + apart * np.arange(len(self), dtype=float)) / below

    @cached_property
    def scaled(self) -> Scaled:
        """The probabilities as numbers of any size."""
        return self.masses.scaled() if isinstance(self.masses, Exact) else self.masses

    @property
    def probabilities(self) -> Array:
        """The probabilities as float64, 0 below 5e-324, or an array of fractions."""
        if isinstance(self.masses, Exact):
            return objects(self.masses.fractions())
        return self.masses.floats()

    @property
    def log_probabilities(self) -> Array:
        """Natural logarithms of the probabilities, however small."""
        return self.scaled.log()

    def probability(self, value: Any) -> Any:
        """Return the probability of one value, 0 off the lattice."""
        at = (number(value, "the value") - self.origin) / self.step
        there = at.denominator == 1 and 0 <= at < len(self)
        if isinstance(self.masses, Exact):
            n = self.masses.numerators[int(at)] if there else 0
            return Fraction(n, self.masses.denominator)
        return float(self.masses[[int(at)]].floats()[0]) if there else 0.0

    def rounded(self) -> PMF:
        """Return it with floats in the place of fractions."""
        return self._with(self.scaled, EPS if self.exact else self.error, "rounded")

    def _with(self, masses: Masses, error: float, method: str) -> PMF:
        return PMF.made(self.origin, self.step, masses, self.lost, error, method)

    def _like(self, **changes: Any) -> PMF:
        copied = object.__new__(PMF)
        for name in ("origin", "step", "masses", "lost", "error", "method"):
            object.__setattr__(copied, name, changes.get(name, getattr(self, name)))
        return copied

    # sums

    def add(
        self, other: PMF, *, rtol: float = RTOL, method: str = "auto",
        lost: float | None = None, max_points: int = MOST_POINTS,
    ) -> PMF:  # fmt: skip
        """Return the distribution of ``X + Y`` for independent X and Y.

        Parameters
        ----------
        other : PMF
        rtol : float
            Relative error that the sum may add to that of its parts, for every probability.
        method : {"auto", "exact", "direct", "tilted"}
            See :mod:`faltung.distributions.sums`.
        lost : float, optional
            What tilted transforms may cut off.
        max_points : int
            The most points in the result.
        """
        from faltung.distributions.combined import sum_of

        return sum_of([(self, 1), (other, 1)], rtol=rtol, method=method, lost=lost,
                      max_points=max_points)  # fmt: skip

    def repeat(self, n: int, *, rtol: float = RTOL, method: str = "auto",
               lost: float | None = None, max_points: int = MOST_POINTS) -> PMF:  # fmt: skip
        """Return the distribution of the sum of ``n`` independent copies.

        Parameters
        ----------
        n : int
            At least 0.
        rtol, method, lost, max_points
            As in :meth:`add`.

        Examples
        --------
        >>> coins = PMF([0.5, 0.5]).repeat(10**6)
        >>> coins.isf(1e-12), coins.isf_bounds(1e-12)
        (503517, (503517, 503517))
        """
        from faltung.distributions.combined import sum_of

        return sum_of([(self, n)], rtol=rtol, method=method, lost=lost, max_points=max_points)

    def __add__(self, other: Any) -> PMF:
        if isinstance(other, PMF):
            return self.add(other)
        if not is_number(other):
            return NotImplemented
        return self._like(origin=self.origin + number(other, "what is added"))

    __radd__ = __add__

    def __neg__(self) -> PMF:
        return self._like(origin=-self.last, masses=self.masses[::-1], lost=self.lost.mirrored())

    def __sub__(self, other: Any) -> PMF:
        if isinstance(other, PMF):
            return self + (-other)
        return self + (-number(other, "what is taken off")) if is_number(other) else NotImplemented

    def __rsub__(self, other: Any) -> PMF:
        return (-self) + other if is_number(other) else NotImplemented

    def __mul__(self, factor: Any) -> PMF:
        if not is_number(factor):
            return NotImplemented
        by = number(factor, "the factor")
        if by < 0:
            return -(self * -by)
        if by == 0:
            raise ValueError("0 * X is 0 for certain; write PMF({0: 1}).")
        return self._like(origin=self.origin * by, step=self.step * by)

    __rmul__ = __mul__

    def __truediv__(self, factor: Any) -> PMF:
        if not is_number(factor):
            return NotImplemented
        by = number(factor, "the divisor")
        if by == 0:
            raise ZeroDivisionError("a distribution cannot be divided by 0.")
        return self * (1 / by)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PMF):
            return NotImplemented
        if (self.origin, self.step, len(self)) != (other.origin, other.step, len(other)):
            return False
        if isinstance(self.masses, Exact) and isinstance(other.masses, Exact):
            return self.masses.fractions() == other.masses.fractions()
        a, b = self.scaled, other.scaled
        return bool((a.mantissa == b.mantissa).all() and (a.exponent == b.exponent).all())

    def __hash__(self) -> int:
        return hash((self.origin, self.step, len(self), self.scaled.mantissa.tobytes()))

    def ways(self, other: PMF, total: Any) -> Ways:
        """Return the table behind one number of the sum: every a and b with a + b = total.

        Examples
        --------
        >>> ball = PMF([Fraction(1, 4)] * 4)
        >>> [(a, b) for a, b, *_ in ball.ways(ball, 3).rows]
        [(0, 3), (1, 2), (2, 1), (3, 0)]
        """
        from faltung.distributions.ways import ways

        return ways(self, other, total)

    def truncate(self, mass: float) -> PMF:
        """Return it without its ends, which hold at most ``mass`` together; ``lost`` says what.

        Examples
        --------
        >>> short = PMF([0.5, 0.5]).repeat(100).truncate(1e-6)
        >>> short, short.lost.below < 5e-7
        (<PMF 26 to 74 step 1, 49 points: mean 50, sd 5, lost at most 5.64e-07>, True)
        """
        if not is_number(mass) or not 0 <= mass < 1:
            raise ValueError(
                f"mass is {mass!r}; it must be a number of at least 0 and less than 1."
            )
        up, down = self.scaled.running().floats(), self.scaled[::-1].running().floats()
        grown = 1 + self._relative + 4 * EPS
        first = int(np.searchsorted(up * grown, mass / 2, side="right"))
        last = len(self) - int(np.searchsorted(down * grown, mass / 2, side="right"))
        first = min(first, len(self) - 1)
        last = max(last, first + 1)

        def cut(sums_: Array, count: int) -> float:
            return max(float(sums_[count - 1]) * grown, 5e-324) if count else 0.0

        lost = Lost(
            self.lost.below + cut(up, first), self.lost.anywhere,
            self.lost.above + cut(down, len(self) - last),
        )  # fmt: skip
        return PMF.made(
            self.origin + self.step * first, self.step, self.masses[first:last], lost, self.error,
            f"{self.method}; truncated",
        )  # fmt: skip

    # moments

    def cumulants(self, order: int = 4) -> tuple[Any, ...]:
        """Return the first cumulants: mean, variance, and so on, of the mass that is kept.

        Cumulants of independent sums add. From central moments by the recursion of P. J. Smith
        (The American Statistician 49, 1995).
        """
        if not isinstance(order, (int, np.integer)) or not 1 <= order <= HIGHEST:
            raise ValueError(f"order is {order!r}; it must be an integer from 1 to {HIGHEST}.")
        if isinstance(self.masses, Exact):
            weights: Any = objects(self.masses.numerators)
            points: Any = objects(range(len(self)))
            total: Any = Fraction(sum(self.masses.numerators))
        else:
            weights = self.masses.floats().astype(np.longdouble)
            points = np.arange(len(self), dtype=np.longdouble)
            total = weights.sum()
        middle = (weights * points).sum() / total
        central = [1, 0]
        centred = points - middle
        for power in range(2, order + 1):
            central.append((weights * centred**power).sum() / total)
        found: list[Any] = [0, 0]
        for n in range(2, order + 1):
            below = (math.comb(n - 1, k - 1) * found[k] * central[n - k] for k in range(2, n))
            found.append(central[n] - sum(below))
        if self.exact:
            mean = self.origin + self.step * middle
            return (mean, *(found[n] * self.step**n for n in range(2, order + 1)))
        mean = floated(self.origin + self.step * Fraction(float(middle)))
        steps = [floated(self.step**n) for n in range(order + 1)]
        return (mean, *(float(found[n]) * steps[n] for n in range(2, order + 1)))

    def mean(self) -> Any:
        """Return the mean of the mass that is kept."""
        return self.cumulants(1)[0]

    def variance(self) -> Any:
        """Return the variance of the mass that is kept."""
        return self.cumulants(2)[1]

    def std(self) -> float:
        """Return the square root of the variance."""
        return floated(self._spread())

    def _spread(self) -> Fraction:
        """Return the standard deviation, which may be greater than any float."""
        one = self._like(origin=Fraction(0), step=Fraction(1))
        return self.step * Fraction(math.sqrt(one.variance()))

    def _middle(self) -> Fraction:
        """Return the mean, which may be greater than any float."""
        one = self._like(origin=Fraction(0), step=Fraction(1))
        return self.origin + self.step * Fraction(one.mean())

    # what it looks like

    def __repr__(self) -> str:
        lost = f", lost at most {self.lost.total:.3g}" if self.lost.total else ""
        exact = "exact, " if self.exact else ""
        points = "1 point" if len(self) == 1 else f"{len(self):,} points"
        where = shown(self.origin)
        if len(self) > 1:
            where = f"{where} to {shown(self.last)} step {shown(self.step)}"
        return (
            f"<PMF {where}, {points}: {exact}mean {about(self._middle(), 6)}, "
            f"sd {about(self._spread(), 4)}{lost}>"
        )

    def explain(self) -> str:
        """Return how it was computed, and what is certain of it."""
        from faltung.distributions.shown import explain

        return explain(self)

    def text(self, rows: int = 16, width: int = 40) -> str:
        """Return a histogram in letters."""
        from faltung.distributions.shown import text

        return text(self, rows, width)

    def _repr_html_(self) -> str:
        from faltung.distributions.shown import html

        return html(self)

    def plot(self, path: Any = None, *, log: bool = False, title: str = "") -> Any:
        """Draw it with matplotlib (``pip install 'faltung[plot]'``).

        Parameters
        ----------
        path : path, optional
            A file to write; else the figure is returned.
        log : bool
            Logarithms of probabilities: the tails.
        title : str
        """
        from faltung.distributions.shown import plot

        return plot(self, path, log, title)


def freeze(masses: Masses) -> None:
    """Let nobody write into the arrays of a value."""
    if isinstance(masses, Scaled):
        masses.mantissa.flags.writeable = masses.exponent.flags.writeable = False
