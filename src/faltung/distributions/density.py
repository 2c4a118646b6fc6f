"""A continuous distribution on a grid of cells, with the error that the grid makes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.distributions.lattice import check_points, number, positive, shown
from faltung.distributions.pmf import PMF
from faltung.distributions.scaled import EPS, scaled
from faltung.distributions.sums import Lost
from faltung.distributions.tails import is_number

Array = NDArray[Any]


@dataclass(frozen=True, repr=False)
class Density:
    """A continuous distribution as the masses of cells, each thought to lie in its middle.

    A value and the middle of its cell are at most half a step apart; for a sum of ``n`` they are
    at most ``n`` half steps apart. So the true cdf lies between those of the cells' middles moved
    by that ``displacement``, which :meth:`cdf_bounds` gives: no smoothness is needed. Where
    densities are smooth the error is far less, of the order of the step squared.

    Attributes
    ----------
    cells : PMF
        The masses of the cells, at their middles.
    displacement : Fraction
        How far true values are from the middles, at most.

    Examples
    --------
    >>> from scipy import stats
    >>> x = Density.from_scipy(stats.norm(), step=0.01)
    >>> y = x + x
    >>> y
    <Density -16.44 to 16.44 step 0.01: mean 0, sd 1.414, displaced at most 0.01>
    >>> low, high = y.sf_bounds(3.0)
    >>> bool(low < stats.norm(0, 2**0.5).sf(3) < high), round(high - low, 4)
    (True, 0.0006)
    """

    __array_ufunc__ = None  # numbers of NumPy leave sums to the distribution

    cells: PMF
    displacement: Fraction

    def __post_init__(self) -> None:
        """Raise TypeError where the cells are no distribution."""
        if not isinstance(self.cells, PMF):
            raise TypeError(
                f"the cells are {type(self.cells).__name__}; they must be a PMF of the cells' "
                "middles. Density.from_scipy makes one of a continuous distribution."
            )
        object.__setattr__(self, "displacement", number(self.displacement, "displacement"))

    @classmethod
    def from_scipy(
        cls, frozen: Any, *, step: Any, mass: float = 1e-16, max_points: int = 1 << 22
    ) -> Density:
        """Return a frozen continuous distribution of scipy.stats, in cells of one width.

        Parameters
        ----------
        frozen : scipy.stats.rv_frozen
        step : number
            Width of the cells; their middles are multiples of it.
        mass : float
            What may be cut off at each end, by SciPy's cdf and sf.
        max_points : int
        """
        width = positive(step, "step")
        if not 0 < mass < 0.5:
            raise ValueError(f"mass is {mass!r}; it must be more than 0 and less than 0.5.")
        if hasattr(frozen, "pmf") or not hasattr(frozen, "isf"):
            raise TypeError(
                f"{type(frozen).__name__} is no frozen continuous distribution of scipy.stats, "
                "such as stats.norm(); for a discrete one use PMF.from_scipy."
            )
        ends = [float(frozen.ppf(mass)), float(frozen.isf(mass))]
        if not np.isfinite(ends).all():
            raise ValueError(f"its quantiles at mass={mass:g} are {ends}; give a larger mass.")
        low, high = (round(Fraction(end) / width) for end in ends)
        check_points(high - low + 1, max_points, f"{shown(Fraction(high - low) * width)} in cells")
        edges = (np.arange(low, high + 2) - 0.5) * float(width)
        if high > low and np.abs(np.diff(edges) / float(width) - 1).max() > 1e-3:
            raise ValueError(
                f"cells of {shown(width)} from {edges[0]:g} to {edges[-1]:g} are narrower than "
                "floats tell; give a coarser step, or a distribution nearer to 0, and add the rest."
            )
        below, above = np.asarray(frozen.cdf(edges)), np.asarray(frozen.sf(edges))
        lower = below[1:] <= 0.5  # differences of what is small keep their digits
        masses = np.where(lower, np.diff(below), -np.diff(above))
        if not np.isfinite(masses).all() or (masses < 0).any() or not masses.any():
            raise ValueError("its cdf is not finite and rising everywhere; it cannot be used.")
        # differences of the cdf, or of the sf, each taken to be right to a few units of rounding
        larger = np.where(lower, below[1:], above[:-1])[masses > 0]
        rounding = 4 * EPS * float((larger / masses[masses > 0]).max())
        total = 1 - float(below[0]) - float(above[-1])
        cells = PMF.made(
            low * width, width, scaled(masses),
            Lost(upwards(below[0]), 0.0, upwards(above[-1])),
            rounding + abs(float(masses.sum()) - total), "scipy.stats, cell by cell",
        )  # fmt: skip
        return cls(cells, width / 2)

    def __add__(self, other: Any) -> Density:
        if isinstance(other, Density):
            return Density(self.cells + other.cells, self.displacement + other.displacement)
        if isinstance(other, PMF) or is_number(other):
            return Density(self.cells + other, self.displacement)
        return NotImplemented

    __radd__ = __add__

    def __neg__(self) -> Density:
        return Density(-self.cells, self.displacement)

    def __sub__(self, other: Any) -> Density:
        return (
            self + (-other)
            if isinstance(other, (Density, PMF)) or is_number(other)
            else (NotImplemented)
        )

    def __rsub__(self, other: Any) -> Density:
        return (-self).__add__(other)

    def __truediv__(self, factor: Any) -> Density:
        if not is_number(factor) or factor == 0:
            raise TypeError(f"a Density is divided by numbers other than 0; got {factor!r}.")
        return self * (1 / number(factor, "the divisor"))

    def __mul__(self, factor: Any) -> Density:
        if not is_number(factor):
            return NotImplemented
        return Density(self.cells * factor, self.displacement * abs(number(factor, "the factor")))

    __rmul__ = __mul__

    def repeat(self, n: int, **options: Any) -> Density:
        """Return the sum of ``n`` independent copies; options as in :meth:`PMF.repeat`."""
        return Density(self.cells.repeat(n, **options), self.displacement * n)

    @property
    def step(self) -> Fraction:
        """Width of the cells."""
        return self.cells.step

    @property
    def values(self) -> Array:
        """The cells' middles."""
        return self.cells.values

    @property
    def density(self) -> Array:
        """Mass by width, cell by cell."""
        return np.asarray(self.cells.rounded().probabilities) / float(self.step)

    def cdf(self, x: Any) -> Any:
        """Return about P(X <= x) of the mass that is kept, each cell's spread evenly over it."""
        points = np.asarray(x, float)
        half = float(self.step) / 2
        edges = np.append(self.values - half, float(self.cells.last) + half)
        sums_ = np.append(0.0, self.cells.scaled.running().floats())
        found = np.interp(points, edges, sums_)
        return found if points.ndim else float(found)

    def sf(self, x: Any) -> Any:
        """Return about P(X > x) of the mass that is kept; see :meth:`sf_bounds`."""
        mirrored = (-self).cdf(-np.asarray(x, float))
        return mirrored

    def cdf_bounds(self, x: Any) -> tuple[Any, Any]:
        """Return certified bounds on P(X <= x): rounding, what was cut off, and the grid.

        As far as scipy.stats tells the masses of the cells.
        """
        low, high = self.moved(x)
        return self.cells.cdf_bounds(low)[0], self.cells.cdf_bounds(high)[1]

    def sf_bounds(self, x: Any) -> tuple[Any, Any]:
        """Return certified bounds on P(X > x); see :meth:`cdf_bounds`."""
        low, high = self.moved(x)
        return self.cells.sf_bounds(high)[0], self.cells.sf_bounds(low)[1]

    def moved(self, x: Any) -> tuple[Any, Any]:
        """Return values moved down and up by the displacement."""
        points = np.asarray(x)
        if not points.ndim:
            at = number(x, "x")
            return at - self.displacement, at + self.displacement
        flat = np.array([number(value, "x") for value in points.ravel()], object)
        flat = flat.reshape(points.shape)
        return flat - self.displacement, flat + self.displacement

    def quantile(self, q: Any) -> Any:
        """Return the middle of the cell in which P(X <= x) reaches q; see ``displacement``."""
        found = np.asarray(self.cells.quantile(q), float)
        return found if found.ndim else float(found)

    def isf(self, q: Any) -> Any:
        """Return the middle of the cell beyond which at most q lies; see ``displacement``."""
        found = np.asarray(self.cells.isf(q), float)
        return found if found.ndim else float(found)

    def mean(self) -> float:
        """Return the mean of the middles, within ``displacement`` of the true one."""
        return float(self.cells.mean())

    def variance(self) -> float:
        """Return the variance of the middles."""
        return float(self.cells.variance())

    def std(self) -> float:
        """Return the standard deviation of the middles."""
        return self.cells.std()

    def cumulants(self, order: int = 4) -> tuple[Any, ...]:
        """Return the first cumulants of the middles; see :meth:`PMF.cumulants`."""
        return self.cells.cumulants(order)

    def truncate(self, mass: float) -> Density:
        """Return it without the cells at its ends; see :meth:`PMF.truncate`."""
        return Density(self.cells.truncate(mass), self.displacement)

    def explain(self) -> str:
        """Return how it was computed, and what is certain of it."""
        lines = self.cells.explain().splitlines()
        return "\n".join(
            [repr(self), *lines[1:], f"  displaced      at most {shown(self.displacement)}"]
        )

    def sample(self, size: int | tuple[int, ...] | None = None, seed: Any = None) -> Any:
        """Return random values, evenly within their cells."""
        rng = np.random.default_rng(seed)
        middles = np.asarray(self.cells.sample(size, rng), float)
        found = middles + float(self.step) * (rng.random(size) - 0.5)
        return found if size is not None else float(found)

    def __repr__(self) -> str:
        ends = f"{shown(self.cells.origin)} to {shown(self.cells.last)} step {shown(self.step)}"
        mean = self.mean()
        mean = 0.0 if abs(mean) < 1e-12 * self.variance() ** 0.5 else mean
        return (
            f"<Density {ends}: mean {mean:.6g}, sd {self.variance() ** 0.5:.4g}, "
            f"displaced at most {shown(self.displacement)}>"
        )

    def plot(self, path: Any = None, *, log: bool = False, title: str = "") -> Any:
        """Draw it with matplotlib; see :meth:`PMF.plot`."""
        return self.cells.plot(path, log=log, title=title or repr(self)[1:-1])


def upwards(mass: Any) -> float:
    """Return a mass as a bound that rounding has not made less."""
    return float(mass) * (1 + 1e-9)
