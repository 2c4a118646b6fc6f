"""A kernel as a value: numbers with a name, an anchor and a source, and its algebra."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.geometry import OPERATIONS, default_anchor
from faltung.kernels import exact, response, shown
from faltung.kernels.checks import scalar
from faltung.kernels.response import Response

LONGEST = 60  # characters of a name that algebra makes
MOST = 1 << 22  # taps of a kernel that is neither fractions nor a product of profiles


@dataclass(frozen=True, repr=False)
class Kernel:
    """A kernel with a name: an immutable value that :func:`numpy.asarray` turns into its taps.

    The taps are written in one of three ways, each as exact as it can be: integers over a common
    divisor (``numerators``, ``divisor``), a product of one-dimensional ``profiles``, one for each
    axis (a large Gaussian stays a small value), or floats (``values``). As an argument of
    :func:`faltung.convolve` a kernel takes the input's precision, and where the call gives no
    ``anchor``, the kernel's is used.

    Kernels add, subtract and scale; :meth:`compose` makes one kernel of two. Integers and
    fractions keep exact kernels exact, floats make floats.

    Attributes
    ----------
    name : str
    shape : tuple of int
    numerators : tuple of int
        The taps times the divisor, row by row; empty where there are profiles or values.
    divisor : int
    about : str
        What it does, in one line.
    source : str
        Where the numbers come from.
    profiles : tuple of tuple of float
        One-dimensional taps, one for each axis, whose product the kernel is.
    values : tuple of float
        The taps as floats, row by row.
    anchor : tuple of int
        The tap that lies on the output's position; the middle one, of two the left, if not given.
    operation : {"correlate", "convolve"}
        What the numbers are written for: a table of image processing is laid on the picture as it
        stands, the weights of a filter of signals run from the newest sample to the oldest. It
        tells how the kernel is meant and changes no result.

    Examples
    --------
    >>> from faltung.kernels import gaussian3, sharpen
    >>> np.asarray(sharpen).tolist()
    [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    >>> gaussian3 - gaussian3 / 2
    <Kernel gaussian3 - gaussian3 / 2: [[1, 2, 1], [2, 4, 2], [1, 2, 1]] / 32>
    """

    name: str
    shape: tuple[int, ...]
    numerators: tuple[int, ...] = ()
    divisor: int = 1
    about: str = ""
    source: str = ""
    profiles: tuple[tuple[float, ...], ...] = ()
    values: tuple[float, ...] = ()
    anchor: tuple[int, ...] = ()
    operation: str = "correlate"

    __array_priority__ = 1000.0  # an array on the left leaves the arithmetic to the kernel

    def __post_init__(self) -> None:
        for n in (*self.shape, *self.numerators, self.divisor, *self.anchor):
            operator.index(n)  # raises TypeError
        if self.profiles:
            fits = self.shape == tuple(map(len, self.profiles)) and not self.numerators
            fits = fits and self.divisor == 1 and not self.values
        elif self.values:
            fits = len(self.values) == self.size and not self.numerators and self.divisor == 1
        else:
            fits = len(self.numerators) == self.size and self.divisor >= 1
        if not fits or not self.shape or not self.size:
            raise ValueError(
                f"kernel {self.name!r}: {self.shape} needs as many taps, divisor >= 1."
            )
        if not all(map(math.isfinite, (*self.values, *(v for p in self.profiles for v in p)))):
            raise ValueError(f"kernel {self.name!r}: the taps must be finite numbers.")
        if self.operation not in OPERATIONS:
            raise ValueError(
                f"kernel {self.name!r}: operation={self.operation!r} is unknown; use one of "
                f"{', '.join(OPERATIONS)}."
            )
        anchor = self.anchor or tuple(map(default_anchor, self.shape))
        inside = len(anchor) == len(self.shape)
        if not inside or any(not 0 <= a < n for a, n in zip(anchor, self.shape, strict=True)):
            raise ValueError(
                f"kernel {self.name!r}: anchor={self.anchor!r} lies outside {self.shape}; give "
                "one tap for each axis, counted from 0."
            )
        object.__setattr__(self, "anchor", anchor)

    @classmethod
    def of(cls, taps: Any, name: str = "given", **rest: Any) -> Kernel:
        """Return a kernel of any taps: integers stay exact, all else becomes float64.

        Parameters
        ----------
        taps : array_like or Kernel
            Real and finite, with at least one axis. A Kernel is returned as it is.
        name : str
        **rest
            ``divisor`` (of integers), ``about``, ``source``, ``anchor``, ``operation``.

        Raises
        ------
        ValueError
            Where the taps are none.

        Examples
        --------
        >>> Kernel.of([[1, 2, 1]], divisor=4)
        <Kernel given: [[1, 2, 1]] / 4>
        """
        if isinstance(taps, Kernel):
            return taps
        array = np.asarray(taps)
        if array.dtype.kind not in "biuf" or array.ndim == 0 or array.size == 0:
            raise ValueError(
                f"kernel {name!r}: real numbers with at least one axis are needed; got "
                f"{array.dtype} {array.shape}."
            )
        if array.dtype.kind in "biu":
            return cls(name, array.shape, tuple(map(int, array.ravel())), **rest)
        if array.size > MOST:
            raise ValueError(f"kernel {name!r}: {array.size} taps are more than {MOST}.")
        return cls(name, array.shape, values=tuple(array.ravel().tolist()), **rest)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array: NDArray[Any]
        if self.profiles:
            array = reduce(np.multiply.outer, map(np.array, self.profiles))
        elif self.values:
            array = np.array(self.values).reshape(self.shape)
        else:
            array = exact.quotients(self.numerators, self.divisor, self.shape)
        return array if dtype is None else array.astype(dtype)

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, f.name) for f in fields(self)))

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # hashes of texts change

    @property
    def array(self) -> NDArray[Any]:
        """The taps: int64 where they are integers that fit, else float64."""
        return np.asarray(self)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of taps."""
        return math.prod(self.shape)

    @property
    def exact(self) -> bool:
        """Whether the taps are integers over a divisor."""
        return bool(self.numerators)

    @property
    def total(self) -> Fraction | float:
        """The sum of the taps, exact where they are."""
        if self.exact:
            return Fraction(sum(self.numerators), self.divisor)
        if self.profiles:
            return math.prod(map(math.fsum, self.profiles))
        return math.fsum(self.values)

    @property
    def factors(self) -> tuple[Kernel, ...] | None:
        """One-dimensional kernels, one for each axis, whose product it is; None if not known.

        They are exact where the kernel is; :func:`faltung.analyse` looks for them in floats, too.

        Examples
        --------
        >>> from faltung.kernels import sobel_x
        >>> sobel_x.factors
        (<Kernel sobel.x axis 0: [1, 2, 1]>, <Kernel sobel.x axis 1: [-1, 0, 1]>)
        """
        parts: list[dict[str, Any]] = []
        if self.profiles:
            parts = [{"values": profile} for profile in self.profiles]
        elif self.exact:
            lines = exact.split(exact.integers(self.numerators, self.shape))
            parts = [{"numerators": tuple(line)} for line in lines or []]
            for part in parts[-1:]:  # the divisor stays with the last
                part["divisor"] = self.divisor
        return (
            tuple(
                Kernel(
                    f"{self.name} axis {n}",
                    self.shape[n : n + 1],
                    anchor=self.anchor[n : n + 1],
                    operation=self.operation,
                    **part,
                )
                for n, part in enumerate(parts)
            )
            or None
        )

    # ---- algebra -----------------------------------------------------------------------------

    def renamed(self, name: str, about: str = "", source: str = "") -> Kernel:
        """Return the same taps under another name."""
        return replace(self, name=name, about=about, source=source)

    def _made(self, name: str, **changes: Any) -> Kernel:
        short = name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."
        return replace(self, name=short, about="", source="", **changes)

    def _with(self, name: str, taps: NDArray[Any], divisor: int = 1, **changes: Any) -> Kernel:
        """Return a kernel of other taps: fractions where they are Python integers."""
        if taps.dtype == object or taps.dtype == np.int64:
            numerators, divisor = exact.lowest(list(map(int, taps.ravel())), divisor)
            written: dict[str, Any] = {"numerators": numerators, "divisor": divisor}
            written["values"] = ()
        else:
            if taps.size > MOST:
                raise ValueError(f"kernel {name!r}: {taps.size} taps are more than {MOST}.")
            written = {"numerators": (), "divisor": 1, "values": tuple(taps.ravel().tolist())}
        return self._made(name, shape=taps.shape, profiles=(), **written, **changes)

    def _integers(self) -> NDArray[Any]:
        return exact.integers(self.numerators, self.shape)

    def written_for(self, operation: str) -> Kernel:
        """Return the kernel of the same meaning whose numbers are written for an operation."""
        if operation not in OPERATIONS:
            raise ValueError(
                f"operation={operation!r} is unknown; use one of {', '.join(OPERATIONS)}."
            )
        return self if self.operation == operation else self.flipped()

    def __add__(self, other: Any) -> Kernel:
        added: Kernel = self._sum(other, 1, "+")
        return added

    def __radd__(self, other: Any) -> Kernel:  # for sum(), which begins with 0
        return self if type(other) is int and other == 0 else NotImplemented

    def __sub__(self, other: Any) -> Kernel:
        difference: Kernel = self._sum(other, -1, "-")
        return difference

    def __rsub__(self, other: Any) -> Kernel:  # else NumPy would take the kernel for an array
        return NotImplemented

    def _sum(self, other: Any, sign: int, sign_name: str) -> Any:
        if not isinstance(other, Kernel):
            return NotImplemented
        if other.ndim != self.ndim:
            raise ValueError(
                f"kernels of {self.ndim} and {other.ndim} axes do not add: {self.name} and "
                f"{other.name}; make them alike with outer()."
            )
        name, other = f"{self.name} {sign_name} {other.name}", other.written_for(self.operation)
        if self.exact and other.exact:
            divisor = math.lcm(self.divisor, other.divisor)
            scales = divisor // self.divisor, sign * (divisor // other.divisor)
            parts = [(k._integers() * s, k.anchor) for k, s in zip((self, other), scales,
                                                                   strict=True)]  # fmt: skip
        else:
            divisor = 1
            parts = [(k.array * float(s), k.anchor) for k, s in ((self, 1), (other, sign))]
        (a, b), anchor = exact.aligned(parts)
        return self._with(name, a + b, divisor, anchor=anchor)

    def __neg__(self) -> Kernel:
        return self._scaled(Fraction(-1), f"-{self.name}")

    def __mul__(self, other: Any) -> Kernel:
        scale = scalar(other)
        return NotImplemented if scale is None else self._scaled(scale, f"{other} * {self.name}")

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Kernel:
        scale = scalar(other)
        if scale is None:
            return NotImplemented
        if scale == 0:
            raise ZeroDivisionError(f"kernel {self.name!r} cannot be divided by 0.")
        return self._scaled(1 / scale, f"{self.name} / {other}")

    def _scaled(self, scale: Fraction | float, name: str) -> Kernel:
        if self.exact and isinstance(scale, Fraction):
            taps = self._integers() * scale.numerator
            return self._with(name, taps, self.divisor * scale.denominator)
        if self.profiles:
            first = tuple(v * float(scale) for v in self.profiles[0])
            return self._made(name, profiles=(first, *self.profiles[1:]))
        return self._with(name, self.array * float(scale))

    def compose(self, other: Any) -> Kernel:
        """Return the one kernel that does what this one and then another do.

        Its taps are the full convolution of theirs, its anchor is the sum of their anchors:
        ``mode="full"`` gives the same as both, one after the other, and so does ``mode="same"``
        with ``boundary="wrap"``; with another boundary the outputs within reach of the ends
        differ, since what the first one gives beyond them is not what the boundary makes up.

        Parameters
        ----------
        other : Kernel or array_like
            With as many axes. One that is written for the other operation is flipped first.

        Raises
        ------
        ValueError
            Where the numbers of axes differ, or it would take too long.

        Examples
        --------
        >>> from faltung.kernels import binomial
        >>> binomial(3, axes=1).compose(binomial(3, axes=1))
        <Kernel binomial:3,axes=1 then binomial:3,axes=1: [1, 4, 6, 4, 1] / 16>
        """
        other = Kernel.of(other, operation=self.operation)
        if other.ndim != self.ndim:
            raise ValueError(
                f"kernels of {self.ndim} and {other.ndim} axes do not compose: {self.name} and "
                f"{other.name}."
            )
        name, other = f"{self.name} then {other.name}", other.written_for(self.operation)
        anchor = tuple(a + b for a, b in zip(self.anchor, other.anchor, strict=True))
        if self.exact and other.exact:
            taps = exact.full(self._integers(), other._integers())
            return self._with(name, taps, self.divisor * other.divisor, anchor=anchor)
        mine, others = self.factors, other.factors
        if self.ndim > 1 and mine is not None and others is not None:
            lines = [exact.full(a.array, b.array) for a, b in zip(mine, others, strict=True)]
            return self._made(
                name,
                shape=tuple(map(len, lines)),
                numerators=(),
                divisor=1,
                values=(),
                profiles=tuple(tuple(line.tolist()) for line in lines),
                anchor=anchor,
            )
        taps = exact.full(self.array.astype(float), other.array.astype(float))
        return self._with(name, taps, anchor=anchor)

    def outer(self, other: Any) -> Kernel:
        """Return the product of two kernels on different axes: this one's first.

        Parameters
        ----------
        other : Kernel or array_like
            One that is written for the other operation is flipped first.

        Examples
        --------
        >>> Kernel.of([1, 2, 1], "smooth").outer(Kernel.of([-1, 0, 1], "difference"))
        <Kernel smooth x difference: [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]>
        """
        other = Kernel.of(other, operation=self.operation)
        name, other = f"{self.name} x {other.name}", other.written_for(self.operation)
        anchor = (*self.anchor, *other.anchor)
        if self.exact and other.exact:
            taps = np.multiply.outer(self._integers(), other._integers())
            return self._with(name, taps, self.divisor * other.divisor, anchor=anchor)
        lines = []
        for k in (self, other):
            if not k.profiles and k.ndim > 1:
                return self._with(name, np.multiply.outer(self.array, other.array), anchor=anchor)
            lines += list(k.profiles or (tuple(k.array.astype(float).tolist()),))
        return self._made(
            name,
            shape=tuple(map(len, lines)),
            numerators=(),
            divisor=1,
            values=(),
            profiles=tuple(lines),
            anchor=anchor,
        )

    def flipped(self) -> Kernel:
        """Return the mirror image along every axis, which the other operation takes.

        Convolving with it is correlating with the original, so that ``operation`` changes, too.

        Examples
        --------
        >>> from faltung.kernels import sobel_x
        >>> sobel_x.flipped()
        <Kernel sobel.x flipped: [[1, 0, -1], [2, 0, -2], [1, 0, -1]]>
        """
        mark = " flipped"
        name = self.name.removesuffix(mark)
        return self._made(
            name if name != self.name else name + mark,
            numerators=self.numerators[::-1],
            values=self.values[::-1],
            profiles=tuple(profile[::-1] for profile in self.profiles),
            anchor=tuple(n - 1 - a for n, a in zip(self.shape, self.anchor, strict=True)),
            operation=OPERATIONS[1 - OPERATIONS.index(self.operation)],
        )

    def normalised(self) -> Kernel:
        """Return the kernel over the sum of its taps, so that they sum to 1.

        Raises
        ------
        ValueError
            Where the sum is 0, or so small that it is nothing but rounding.

        Examples
        --------
        >>> Kernel.of([1, 2, 1]).normalised()
        <Kernel given normalised: [1, 2, 1] / 4>
        """
        total: Any = self.total
        if total == 0 or abs(total) < 1e-12 * float(np.abs(self.array).sum()):
            raise ValueError(
                f"kernel {self.name!r} sums to 0 and cannot be normalised; divide it by a number "
                "of your choice, as in k / abs(k.array).sum()."
            )
        return self._scaled(1 / total, f"{self.name} normalised")

    def rotated90(self, n: int = 1) -> Kernel:
        """Return the kernel after ``n`` quarter turns to the left, as :func:`numpy.rot90` does.

        Raises
        ------
        ValueError
            Where the kernel has not two axes.

        Examples
        --------
        >>> from faltung.kernels import sobel_x
        >>> sobel_x.rotated90()
        <Kernel sobel.x turned 90: [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]>
        """
        if self.ndim != 2:
            raise ValueError(f"only kernels of two axes turn; {self.name} has {self.ndim}.")
        turns = operator.index(n) % 4
        if turns == 0:
            return self
        rows, columns = self.shape
        anchor, profiles = self.anchor, self.profiles
        for _ in range(turns):
            profiles = (profiles[1][::-1], profiles[0]) if profiles else ()
            anchor, rows, columns = (columns - 1 - anchor[1], anchor[0]), columns, rows
        name = f"{self.name} turned {90 * turns}"
        if profiles:
            return self._made(name, shape=(rows, columns), profiles=profiles, anchor=anchor)
        taps = self._integers() if self.exact else self.array
        return self._with(name, np.rot90(taps, turns), self.divisor, anchor=anchor)

    # ---- frequencies -------------------------------------------------------------------------

    def frequency_response(
        self,
        points: int = 65,
        *,
        frequencies: Any = None,
        operation: str | None = None,
    ) -> Response:
        """Return what the kernel makes of waves: ``H(f)`` in ``exp(2 pi i f n) -> H(f) exp(...)``.

        A convolution has ``H(f) = sum_j k[j] exp(-2 pi i f (j - a))``, a correlation ``H(-f)``;
        ``a`` is the anchor. The magnitude is the gain, the angle the shift. It is real where the
        kernel is even about its anchor, but for rounding, and imaginary where it is odd.

        Parameters
        ----------
        points : int
            Number of frequencies along each axis, from -1/2 to 1/2 cycles per sample.
        frequencies : array_like, optional
            Other frequencies in cycles per sample, the same for every axis.
        operation : {"convolve", "correlate"}, optional
            How the kernel is applied; as it is written for, if not given.

        Returns
        -------
        Response
            ``frequencies``, one array for each axis, and ``values``, complex128, with one axis for
            each axis of the kernel.

        Raises
        ------
        ValueError
            Where an argument is not allowed.

        Examples
        --------
        >>> from faltung.kernels import binomial
        >>> f, h = binomial(3, axes=1).frequency_response(5)
        >>> f[0].tolist(), (h.real.round(3) + 0).tolist()
        ([-0.5, -0.25, 0.0, 0.25, 0.5], [0.0, 0.5, 1.0, 0.5, 0.0])
        """
        applied = self.operation if operation is None else operation
        if applied not in OPERATIONS:
            raise ValueError(
                f"operation={operation!r} is unknown; use one of {', '.join(OPERATIONS)}."
            )
        f, sign = response.grid(points, frequencies), -1 if applied == "convolve" else 1
        if self.profiles:
            return response.of_product(self.profiles, self.anchor, f, sign)
        return response.of_taps(self.array, self.anchor, f, sign)

    # ---- as text -----------------------------------------------------------------------------

    def rows(self) -> Iterator[str]:
        """Yield the numbers as text: each row, or what fits of a large kernel."""
        if self.profiles:
            same = len(set(self.profiles)) == 1
            for n, profile in enumerate(self.profiles[:1] if same else self.profiles):
                yield "the product, along each axis, of" if same else f"along axis {n}"
                yield from shown.short(np.array(profile), 24)
            return
        if self.values:
            yield from shown.short(self.array, shown.PRINTED if self.shape[-1] <= 9 else 8)
            return
        taps = self._integers().reshape(-1, self.shape[-1])
        if self.size > shown.PRINTED or self.shape[-1] > shown.WIDE:
            yield from shown.short(self.array * self.divisor, 8)
            return
        width = max(len(str(n)) for n in self.numerators)
        for row in taps:
            yield " ".join(f"{n:>{width}}" for n in row)

    @property
    def title(self) -> str:
        """The name, the size, and what is not as usual: the divisor, the anchor, the operation."""
        parts = [f"{self.name}  ({'x'.join(map(str, self.shape))})"]
        parts += [] if self.divisor == 1 else [f"/ {self.divisor}"]
        if self.anchor != tuple(map(default_anchor, self.shape)):
            parts.append(f"anchor {', '.join(map(str, self.anchor))}")
        parts += [] if self.operation == "correlate" else [f"for {self.operation}"]
        return "  ".join(parts)

    def __str__(self) -> str:
        lines = [self.title, *(f"  {row}" for row in self.rows())]
        return "\n".join([*lines, *(text for text in (self.about, self.source) if text)])

    def __repr__(self) -> str:
        divisor = "" if self.divisor == 1 else f" / {self.divisor}"
        if not self.exact or self.size > shown.PRINTED:
            return f"<Kernel {self.name}: {'x'.join(map(str, self.shape))} taps{divisor}>"
        return f"<Kernel {self.name}: {self._integers().tolist()}{divisor}>"

    def _repr_html_(self) -> str:
        numbers = self._integers() if self.exact else self.array
        return shown.html(self.title, numbers, (self.about, self.source))


def table(
    name: str, rows: Sequence[Sequence[int]], divisor: int, about: str, source: str
) -> Kernel:
    """Return a kernel from its printed table."""
    taps = np.array(rows)
    return Kernel(name, taps.shape, tuple(taps.ravel().tolist()), divisor, about, source)
