"""Arguments become a ``Problem``: one frozen value that says completely what is asked for."""

from __future__ import annotations

import math
import operator as op
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from faltung import geometry
from faltung.boundary import BOUNDARIES
from faltung.dtypes import (
    Arithmetic,
    Array,
    DType,
    check_number,
    kernel_dtype,
    plain_array,
    resolve,
)
from faltung.kernels.kernel import Kernel
from faltung.remember import digest, remembered

MISSING = ("propagate", "ignore")
SCRATCH = 64 << 20  # bytes of scratch memory, unless the call says otherwise
SHARE = 4  # and as many times the bytes of input and output, where that is more
CACHED_KERNEL = 1 << 22  # bytes: plans of larger kernels are not kept
CACHED_TAPS = 1 << 20  # the same for kernels with a name, which are cheap to compare
GREATEST = 1 << 40  # of a stride, a dilation or an anchor: positions stay within 64 bits


class Default(str):
    """A default that a dialect may replace: it differs from the same word given by hand."""

    __slots__ = ()


def stored(value: Any) -> dict[str, Any]:
    """Return what is pickled of a dataclass: its fields, not what was worked out from them."""
    return {field.name: value.__dict__[field.name] for field in fields(value)}


class Options(NamedTuple):
    """The options of a call as they were given; :func:`build` gives them their meaning."""

    mode: str = "same"
    boundary: str | Sequence[str] = "constant"
    fill_value: Any = 0
    anchor: int | Sequence[int] | None = None
    axes: int | Sequence[int] | None = None
    stride: int | Sequence[int] = 1
    dilation: int | Sequence[int] = 1
    dtype: Any = None
    overflow: str = "raise"
    missing: str = "propagate"
    weighted: bool = False
    tolerance: float | None = None
    nonnegative: bool = False
    method: str = "auto"
    conjugate: bool = False
    max_memory: int | None = None


@dataclass(frozen=True)
class Taps:
    """A kernel's numbers as a hashable value; ``array`` is the read-only array of them."""

    shape: tuple[int, ...]
    dtype: str
    data: bytes | tuple[Any, ...]

    @classmethod
    def of(cls, array: Array) -> Taps:
        """Take the numbers of an array."""
        if array.dtype == object:
            return cls(array.shape, "object", tuple(array.ravel().tolist()))
        return cls(array.shape, array.dtype.name, array.tobytes())

    @cached_property
    def array(self) -> Array:
        """The taps as a read-only array."""
        if isinstance(self.data, bytes):
            return np.frombuffer(self.data, self.dtype).reshape(self.shape)
        array = np.empty(len(self.data), object)
        array[:] = self.data
        array = array.reshape(self.shape)
        array.flags.writeable = False
        return array

    @property
    def size(self) -> int:
        """Number of taps."""
        return math.prod(self.shape)

    @property
    def name(self) -> Hashable:
        """What tells the taps from others, short however many there are."""
        return self.shape, self.dtype, digest(self.data) if isinstance(self.data, bytes) else self

    @cached_property
    def absolute_sum(self) -> float:
        """The sum of the taps' magnitudes, which scales every error bound."""
        wide = self.array.dtype if self.dtype == "object" else np.result_type(self.array, float)
        with np.errstate(all="ignore"):  # of infinite taps, and of great ones
            return float(np.abs(self.array.astype(wide)).sum())

    @cached_property
    def norm(self) -> float:
        """The square root of the sum of the taps' squared magnitudes, none of which underflows."""
        sizes = np.abs(self.array.astype(np.complex128).ravel())
        top = float(sizes.max(initial=0))
        # a power of two, so that the division is exact
        unit = math.ldexp(1, max(-1022, math.frexp(top)[1] - 1)) if 0 < top < math.inf else 1.0
        return float(np.linalg.norm(sizes / unit)) * unit

    def __getstate__(self) -> dict[str, Any]:
        return stored(self)

    def __repr__(self) -> str:
        return f"Taps(shape={self.shape}, dtype={self.dtype})"


@dataclass(frozen=True)
class Problem:
    """What is to be computed, independent of how.

    ``operation``, ``shape`` and ``dtype`` (of the input), ``taps``, ``axes``, ``mode``,
    ``boundary``, ``anchor``, ``stride`` and ``dilation`` (one per axis each), ``fill_value``,
    ``arithmetic``, ``missing``, ``weighted``, ``tolerance``, ``nonnegative``, ``method``,
    ``conjugate``, ``max_memory`` (bytes of scratch).
    """

    operation: str
    shape: tuple[int, ...]
    dtype: str
    taps: Taps
    axes: tuple[int, ...]
    mode: str
    boundary: tuple[str, ...]
    fill_value: Any
    anchor: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    arithmetic: Arithmetic
    missing: str = "propagate"
    weighted: bool = False
    tolerance: float | None = None
    nonnegative: bool = False
    method: str = "auto"
    conjugate: bool = False
    max_memory: int = SCRATCH

    @cached_property
    def geometry(self) -> tuple[geometry.Axis, ...]:
        """The geometry of each convolved axis, in the order of ``axes``."""
        return tuple(
            geometry.Axis(self.shape[axis], taps, self.mode, self.operation, a, s, d)
            for axis, taps, a, s, d in zip(
                self.axes, self.taps.shape, self.anchor, self.stride, self.dilation, strict=True
            )
        )

    @cached_property
    def result_shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        shape = list(self.shape)
        for axis, along in zip(self.axes, self.geometry, strict=True):
            shape[axis] = along.count
        return tuple(shape)

    @cached_property
    def result_dtype(self) -> DType:
        """The dtype of the result."""
        return np.dtype(self.arithmetic.result)

    @cached_property
    def multiply_adds(self) -> int:
        """Number of multiplications and additions of the definition."""
        return math.prod(self.result_shape) * self.taps.size

    @cached_property
    def correlation_taps(self) -> Array:
        """The taps in the order that they lie on the input: flipped for a convolution."""
        array = self.taps.array
        return np.flip(array) if self.operation == "convolve" else array

    def __getstate__(self) -> dict[str, Any]:
        return stored(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, fill_value=one_nan(state["fill_value"]))

    @cached_property
    def traffic(self) -> tuple[int, int]:
        """Bytes of the input and of the result."""
        return (
            math.prod(self.shape) * np.dtype(self.dtype).itemsize,
            math.prod(self.result_shape) * self.result_dtype.itemsize,
        )

    @property
    def usual_memory(self) -> int:
        """Bytes of scratch where the call does not say: 64 MB, or 4 times input and output.

        The input counts with what the boundary lays around it for the taps: one transform of a
        whole large input under a large kernel takes about as much.
        """
        x, y = self.traffic
        around = 1.0
        for axis in self.geometry:
            low, high = axis.span(0, max(1, axis.count))
            more = max(high, axis.n) - min(low, 0) - axis.n
            around *= 1 + min(2.0, more / max(1, axis.n))  # the far taps of wide dilations are few
        return max(SCRATCH, int(SHARE * (x * around + y)))

    @property
    def normalised(self) -> bool:
        """Whether missing or weighted samples make this a normalised convolution."""
        may_miss = self.missing == "ignore" and np.dtype(self.dtype).kind in "fc"
        return self.weighted or may_miss


def kernel_array(k: Any) -> tuple[Array, bool]:
    """Return the taps as an array and whether they take the input's precision."""
    if k is None:
        raise TypeError("k is None; give a kernel: a list, an array, or one of faltung.kernels.")
    if isinstance(k, str):
        raise TypeError(f"the kernel is the text {k!r}; {named(k)}")
    soft = isinstance(k, Kernel) or not isinstance(k, (np.ndarray, np.generic))
    array = plain_array(k, "the kernel")
    return array.astype(array.dtype.newbyteorder("="), copy=False), soft


def kernel_key(k: Any) -> Any:
    """Return a hashable stand-in for a kernel, or None where it should not be kept."""
    if isinstance(k, np.ndarray):
        if isinstance(k, np.ma.MaskedArray) or k.dtype == object or k.nbytes > CACHED_KERNEL:
            return None
        return k.shape, k.dtype, k.tobytes()
    if isinstance(k, (list, tuple)):  # its numbers take the input's precision, an array's do not
        try:
            array = np.asarray(k)
        except ValueError:  # rows of unequal length; the problem says so
            return None
        plain = array.dtype.kind in "biufc" and array.nbytes <= CACHED_KERNEL
        return ("list", array.shape, array.dtype, array.tobytes()) if plain else None
    return k if isinstance(k, Kernel) and k.size <= CACHED_TAPS else None


def named(text: str) -> str:
    """Say which named kernels a text may mean."""
    from faltung import kernels  # the whole collection, which nothing else here needs

    family = [name for name in kernels.names() if name.startswith((f"{text}.", f"{text}-"))]
    try:
        kernels.get(text)
        family.insert(0, text)
    except ValueError:
        pass
    if not family:
        return "give its numbers, or a kernel of faltung.kernels; `faltung kernels` lists them."
    return f"give {' or '.join(f'faltung.kernels.get({name!r})' for name in family)}."


def default_anchors(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the anchor of a kernel that has none."""
    return tuple(geometry.default_anchor(taps) for taps in shape)


def per_axis(value: Any, count: int, name: str, least: int) -> tuple[int, ...]:
    """Return one int per axis, from one int for all or a sequence of them."""
    values = value if isinstance(value, (tuple, list, np.ndarray)) else [value] * count
    try:
        ints = tuple(op.index(v) for v in values)
    except TypeError:
        ints = ()
    if len(ints) != count or any(not least <= v <= GREATEST for v in ints):
        text = repr(value) if np.size(value) < 10 else f"an array of {np.size(value)}"
        raise ValueError(
            f"{name}={text} is not allowed; give an int of at least {least} and at most 2**40, "
            f"or one for each of the {count} convolved axes."
        )
    return ints


def lengths(shape: Any) -> tuple[int, ...]:
    """Return the shape of an input."""
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    try:
        ints = tuple(op.index(n) for n in sizes)
    except TypeError:
        ints = (-1,)
    if any(n < 0 for n in ints):
        if isinstance(shape, np.ndarray):
            raise TypeError(
                "plan takes the shape and dtype of the inputs, not an input: "
                "plan(x.shape, x.dtype, k)."
            )
        text = repr(shape) if np.size(shape) < 10 else type(shape).__name__
        raise ValueError(
            f"shape={text} must be an int or a tuple of ints of at least 0, as in "
            "plan(shape, dtype, k)."
        )
    return ints


def convolved_axes(axes: Any, shape: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Return the convolved axes as non-negative numbers."""
    if not kernel:
        raise ValueError("the kernel is a single number; give it an axis: k=[number].")
    if 0 in kernel:
        raise ValueError(f"the kernel is empty: its shape is {kernel}. Give at least one tap.")
    if axes is None:
        if len(kernel) > len(shape):
            raise ValueError(
                f"the kernel has more axes than the input: kernel {kernel} on input {shape}. "
                "Give a kernel with as many axes as are convolved over."
            )
        return tuple(range(len(shape) - len(kernel), len(shape)))
    several = len(axes) if isinstance(axes, (tuple, list)) or np.ndim(axes) == 1 else 1
    given = per_axis(axes, several, "axes", -len(shape))
    if any(a >= len(shape) for a in given) or len({a % len(shape) for a in given}) != len(given):
        raise ValueError(f"axes={axes!r} must be different axes of an input of shape {shape}.")
    if len(given) != len(kernel):
        raise ValueError(
            f"axes={axes!r} names {len(given)} axes and the kernel {kernel} has {len(kernel)}; "
            "give one axis for each axis of the kernel."
        )
    return tuple(a % len(shape) for a in given)


def boundaries(boundary: Any, count: int) -> tuple[str, ...]:
    """Return one boundary name per axis."""
    names: tuple[Any, ...] = (boundary,) * count
    if isinstance(boundary, (tuple, list)):
        names = tuple(boundary)
    if len(names) != count or any(not isinstance(b, str) or b not in BOUNDARIES for b in names):
        raise ValueError(
            f"boundary={boundary!r} is not allowed; use one of {', '.join(BOUNDARIES)}, or one "
            f"for each of the {count} convolved axes.{scipy_hint(names)}"
        )
    return names


def scipy_hint(names: Sequence[Any]) -> str:
    """Return what SciPy's names of boundaries are here: one of its names is ours for another."""
    ours = {"nearest": "edge", "mirror": "reflect", "grid-mirror": "symmetric",
            "grid-wrap": "wrap", "grid-constant": "constant", "symm": "symmetric",
            "circular": "wrap", "fill": "constant", "replicate": "edge"}  # fmt: skip
    said = [
        f" What others call {name!r} is {ours[name]!r} here."
        for name in dict.fromkeys(filter(lambda name: isinstance(name, str), names))
        if name in ours
    ]
    if said and any(name in ("nearest", "mirror") for name in names):
        said.append(" SciPy's 'reflect' is 'symmetric'.")
    return "".join(said)


def fill_for(value: Any, dtype: DType) -> Any:
    """Return the fill value as a Python number that the input's dtype holds, or raise."""
    if dtype.kind == "O":
        if not isinstance(value, Number):
            raise ValueError(
                f"fill_value={value!r} must be a Python number, as the input holds Python objects."
            )
        return value
    try:
        number = np.asarray(value)
        narrowing = number.dtype.kind == "c" and dtype.kind != "c"
        if number.ndim != 0 or number.dtype.kind not in "biufc" or narrowing:
            raise TypeError
        with np.errstate(all="ignore"):
            converted = number.astype(dtype)
        if dtype.kind not in "fc" and not converted == number:
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"fill_value={value!r} must be a number that the input's dtype {dtype} holds; convert "
            "the input first if it must be another."
        ) from None
    return one_nan(converted.item())


def one_nan(value: Any) -> Any:
    """Return a number; of NaN, which equals nothing but itself, always the same object."""
    inexact = isinstance(value, (float, complex, np.inexact))
    return kept_nan(value) if inexact and np.isnan(value) else value


@remembered(64, name=lambda value: (type(value), repr(value)))
def kept_nan(value: Any) -> Any:
    """Return the first of the numbers that are written the same."""
    return value


def build(operation: str, shape: Any, dtype: Any, k: Any, options: Options) -> Problem:
    """Check the arguments of a call and say what they mean.

    Raises
    ------
    ValueError, TypeError
        With one line that says what was given, what is allowed and what to do.
    """
    if operation not in geometry.OPERATIONS:
        raise ValueError(f"operation={operation!r} is unknown; use convolve or correlate.")
    o = options
    shape = lengths(shape)
    x_dtype = number_type(dtype, "the input's dtype").newbyteorder("=")
    array, soft = kernel_array(k)
    check_number(x_dtype, "x")
    check_number(array.dtype, "k")
    axes = convolved_axes(o.axes, shape, array.shape)
    rank = len(axes)
    if not isinstance(o.mode, str) or o.mode not in geometry.MODES:
        raise ValueError(f"mode={o.mode!r} is unknown; use one of {', '.join(geometry.MODES)}.")
    if not isinstance(o.missing, str) or o.missing not in MISSING:
        raise ValueError(f"missing={o.missing!r} is unknown; use one of {', '.join(MISSING)}.")
    if o.anchor is None:  # a named kernel brings its own; a dialect gave one before
        anchor = k.anchor if isinstance(k, Kernel) else default_anchors(array.shape)
    else:
        anchor = per_axis(o.anchor, rank, "anchor", 0)
        if any(a >= taps for a, taps in zip(anchor, array.shape, strict=True)):
            raise ValueError(
                f"anchor={o.anchor!r} lies outside the kernel {array.shape}; taps count from 0."
            )
    tolerance = None if o.tolerance is None else tolerance_of(o.tolerance)
    borders = boundaries(o.boundary, rank)
    fill_value = fill_for(o.fill_value, x_dtype)
    if o.nonnegative:
        check_nonnegative(x_dtype, array, fill_value if "constant" in borders else 0)
    if o.conjugate:
        if operation == "convolve":
            raise ValueError(
                "conjugate=True goes with operation='correlate'; for a convolution give "
                "numpy.conj(k)."
            )
        array = np.conjugate(array)
    want = None if o.dtype is None else number_type(o.dtype, "dtype").newbyteorder("=")
    if o.weighted and array.dtype.kind in "biu":  # a quotient of sums is no integer
        array = array.astype(kernel_dtype(x_dtype, np.dtype(float), soft))
    arithmetic = resolve(
        x_dtype,
        array,
        soft=soft,
        dtype=want,
        overflow=o.overflow,
        fill_value=fill_value,
    )
    taps = array
    if not arithmetic.exact:
        taps = in_precision(array, kernel_dtype(x_dtype, array.dtype, soft, want))
    problem = Problem(
        operation,
        shape,
        x_dtype.name,
        Taps.of(taps),
        axes,
        o.mode,
        borders,
        fill_value,
        anchor,
        per_axis(o.stride, rank, "stride", 1),
        per_axis(o.dilation, rank, "dilation", 1),
        arithmetic,
        o.missing,
        o.weighted,
        tolerance,
        bool(o.nonnegative),
        o.method,
        o.conjugate,
        memory_limit(o.max_memory),
    )
    check_fit(problem)
    check_average(problem)
    if o.max_memory is None and problem.usual_memory != problem.max_memory:
        return replace(problem, max_memory=problem.usual_memory)
    return problem


def memory_limit(value: Any) -> int:
    """Return the bytes of scratch memory that are allowed; at first the least of the usual ones."""
    if value is None:
        return SCRATCH
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 1:
        whole = isinstance(value, float) and value.is_integer() and value >= 1
        hint = f" Write max_memory={int(value)}." if whole else ""
        raise ValueError(
            f"max_memory={value!r} must be a number of bytes, an int of at least 1.{hint}"
        )
    return int(value.__index__())


def tolerance_of(value: Any) -> float:
    """Return a tolerance as a number more than 0."""
    real = isinstance(value, (int, float, np.integer, np.floating))
    if isinstance(value, bool) or not real or not 0 < value < math.inf:
        raise ValueError(
            f"tolerance={value!r} must be None or a number more than 0: the error allowed, times "
            "sum |k| * max |x|. Leave it out for the most exact methods."
        )
    return float(value)


def check_nonnegative(x: DType, k: Array, fill_value: Any) -> None:
    """Raise where a result that is never negative is asked for and cannot be given."""
    if x.kind == "c":
        raise ValueError(
            "nonnegative=True needs a real input: complex numbers are neither negative nor not."
        )
    if k.dtype.kind in "cO" or (k < 0).any():
        raise ValueError(
            "nonnegative=True needs a real kernel without negative taps; leave it out or use "
            "another kernel."
        )
    if fill_value < 0:
        raise ValueError(
            f"nonnegative=True needs a fill value of at least 0; got fill_value={fill_value!r}. "
            "Give another, or another boundary."
        )


def number_type(dtype: Any, what: str) -> DType:
    """Return a dtype, or raise TypeError."""
    try:
        if dtype is None:  # which NumPy takes for float64
            raise TypeError
        found: DType = np.dtype(dtype)
        return found
    except (TypeError, ValueError, SyntaxError):  # NumPy parses some texts as Python
        raise TypeError(f"{what} is {dtype!r}, which is no dtype; give one as 'float32'.") from None


def in_precision(taps: Array, dtype: DType) -> Array:
    """Return the taps in the precision that they are used in, or raise where it is too small."""
    with np.errstate(over="ignore"):
        converted = taps.astype(dtype)
    if dtype.kind in "fc" and not (np.isfinite(converted) | ~np.isfinite(taps)).all():
        raise ValueError(
            f"a tap of {np.abs(taps).max():g} is beyond {dtype}, the precision of the input; give "
            "the kernel as an array of float64, or convert the input."
        )
    return converted


def check_average(problem: Problem) -> None:
    """Raise where missing or weighted samples meet numbers that give no average."""
    k = problem.taps.array
    averages = problem.missing == "ignore" or problem.weighted
    if averages and problem.arithmetic.accumulator == "object":
        raise ValueError(
            'missing="ignore" and weights= take floats, integers and complex numbers, not Python '
            "objects; convert the input and the kernel, as with x.astype(float)."
        )
    if averages and (k.dtype.kind == "c" or (k < 0).any()):
        raise ValueError(
            'missing="ignore" and weights= average over what is there, for which no tap may be '
            "negative or complex; fill the gaps first, or subtract two averages."
        )


def check_fit(problem: Problem) -> None:
    """Raise where mode="valid" finds no place at which every tap lies inside."""
    if problem.mode == "valid" and not all(axis.fits for axis in problem.geometry):
        dilated = f" (dilation {problem.dilation})" if set(problem.dilation) != {1} else ""
        lengths = tuple(problem.shape[a] for a in problem.axes)
        raise ValueError(
            'mode="valid" needs a kernel no longer than the input; got kernel '
            f'{problem.taps.shape}{dilated} on input {lengths}. Use mode="same" or crop the kernel.'
        )
