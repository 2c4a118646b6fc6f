"""The dtype and overflow rules: what a sum is computed in, and what it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

OVERFLOWS = ("raise", "saturate", "wrap")
Array = NDArray[Any]
DType = np.dtype[Any]

INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class Arithmetic:
    """How the numbers of one problem are treated.

    Attributes
    ----------
    accumulator : str
        dtype that the products are summed in: "int64" stands for exact integers.
    result : str
        dtype of the output.
    overflow : str
        What becomes of a sum that the result's dtype cannot hold.
    bound : tuple of int, optional
        For exact integers: the least and the greatest sum that the input's dtype allows.
    """

    accumulator: str
    result: str
    overflow: str = "raise"
    bound: tuple[int, int] | None = None

    @property
    def exact(self) -> bool:
        """Whether the sums are exact integers."""
        return self.bound is not None

    @cached_property
    def fits(self) -> bool:
        """Whether the bound proves that no sum leaves the result's dtype."""
        dtype = np.dtype(self.result)
        if self.bound is None:
            return dtype.kind in "fcO"
        if dtype.kind not in "iu":
            return True
        return holds(dtype, self.bound)


def plain_array(value: Any, name: str) -> Array:
    """Return an array of numbers, or raise TypeError or ValueError.

    Masked arrays are refused: their masks would be lost.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost; give {name}.filled(numpy.nan) "
            f'with missing="ignore", or {name}.data with weights=~{name}.mask.'
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        ragged = "inhomogeneous" in str(error)  # NumPy's word for it
        why = "its rows are of unequal length" if ragged else str(error)
        raise ValueError(f"{name} is no array of numbers: {why}.") from None
    if array.dtype.kind == "O":
        wrong = next((v for v in array.flat if not isinstance(v, Number)), 0)
        if not isinstance(wrong, Number):
            what = "is" if array.ndim == 0 else "holds"
            kind = "None" if wrong is None else f"a {type(wrong).__name__}"
            raise TypeError(f"{name} is no array of numbers; it {what} {kind}.")
    return array


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays share memory; where that is hard to tell, whether they may."""
    if not np.may_share_memory(a, b):
        return False
    work: Any = 10_000  # the exact answer can take forever
    try:
        return np.shares_memory(a, b, max_work=work)
    except np.exceptions.TooHardError:
        return True


def listed(values: Any, dtype: str, name: str = "x") -> Array:
    """Return Python numbers in a plan's dtype where that is of a kind that holds them."""
    array = plain_array(values, name)
    wanted = np.dtype(dtype)
    if array.dtype == wanted or "biufcO".find(array.dtype.kind) > "biufcO".find(wanted.kind):
        return array
    if array.dtype.kind not in "biufc" or hasattr(values, "dtype"):
        return array  # its own dtype was chosen
    with np.errstate(over="ignore"):
        taken = array.astype(wanted)
    return array if wanted.kind in "biu" and (taken != array).any() else taken


def check_out(out: Any, shape: tuple[int, ...], dtype: DType, x: Array) -> None:
    """Raise unless ``out`` can take a result of this shape and dtype."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array; got {type(out).__name__}.")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"out must be {dtype} {shape}; got {out.dtype} {out.shape}. "
            f"Use np.empty({shape}, np.{dtype}), or ask for another result with dtype=."
        )
    if not out.flags.writeable:
        raise ValueError("out is read-only; give a writeable array.")
    if overlap(x, out):
        raise ValueError("out overlaps the input; give an array of its own, or out=None.")


def holds(dtype: DType, bound: tuple[int, int]) -> bool:
    """Whether an integer dtype holds every value from ``bound[0]`` to ``bound[1]``."""
    info = np.iinfo(dtype)
    return int(info.min) <= bound[0] and bound[1] <= int(info.max)


def check_number(dtype: DType, what: str) -> None:
    """Raise TypeError unless the dtype is one that can be convolved."""
    if dtype.kind not in "biufcO":
        raise TypeError(
            f"{what} has dtype {dtype}; bool, integers, floats, complex numbers or Python objects "
            "are allowed."
        )


def kernel_dtype(x: DType, k: DType, soft: bool, result: DType | None = None) -> DType:
    """Return the dtype that the taps take.

    A named kernel or a Python list (``soft``) takes the input's precision; an array keeps its own.
    Integer taps stay integers on an integer input. With fractional taps an integer input of 8 or
    16 bits is computed in float32, any other in float64; so is one of 16 bits whose result is an
    integer again, as sums in float32 would lose its last bit.
    """
    if "O" in (x.kind, k.kind):
        return np.dtype(object)
    if x.kind in "biu":
        if k.kind in "biu":
            return k
        narrow = x.itemsize == 1 or (
            x.itemsize == 2 and (result is None or result.kind not in "iu")
        )
        precision = np.dtype(np.float32 if narrow else np.float64)
        if k.kind == "f" and k.itemsize > 8:
            precision = k
        return np.result_type(precision, np.complex64) if k.kind == "c" else precision
    if not soft:
        return k
    real = np.dtype(x.type(0).real.dtype)
    real = max(real, np.dtype(np.float32), key=lambda d: d.itemsize)  # taps of float16 are float32
    return np.result_type(real, np.complex64) if k.kind == "c" else real


def natural_dtype(x: DType, k: DType, soft: bool, bound: tuple[int, int] | None) -> DType:
    """Return the result's dtype where none is asked for."""
    if "O" in (x.kind, k.kind):
        return np.dtype(object)
    if bound is not None:
        return np.dtype(np.int32 if holds(np.dtype(np.int32), bound) else np.int64)
    if x.kind in "biu":
        return kernel_dtype(x, k, soft)
    if soft:
        return np.result_type(x, np.complex64) if k.kind == "c" and x.kind != "c" else x
    return np.result_type(x, k)


def integer_bound(x: DType, k: Array, fill_value: int) -> tuple[int, int]:
    """Return the least and greatest sum of an integer kernel over any input of dtype ``x``."""
    low, high = (0, 1) if x.kind == "b" else (int(np.iinfo(x).min), int(np.iinfo(x).max))
    return data_bound(k, min(low, fill_value), max(high, fill_value))


def data_bound(k: Array, low: int, high: int) -> tuple[int, int]:
    """Return the least and greatest sum of an integer kernel over values from low to high."""
    positive, negative = tap_sums(k)
    ends = (positive * low - negative * high, positive * high - negative * low)
    return min(0, ends[0]), max(0, ends[1])


def tap_sums(k: Array) -> tuple[int, int]:
    """Return the sum of the positive taps and of the negated negative ones, as Python integers.

    >>> tap_sums(np.array([[-1, -1], [5, 2]]))
    (7, 2)
    """
    if k.dtype.kind == "b":
        return int(k.sum()), 0
    k = k.ravel()
    if k.size * float(np.abs(k.astype(float)).max(initial=0)) < 2.0**62:
        k = k.astype(np.int64)
        return int(k[k > 0].sum()), -int(k[k < 0].sum())
    taps = k.tolist()
    return sum(t for t in taps if t > 0), -sum(t for t in taps if t < 0)


def resolve(
    x: DType, k: Array, *, soft: bool, dtype: DType | None, overflow: str, fill_value: Any
) -> Arithmetic:
    """Apply the dtype rule to an input's dtype and a kernel.

    Raises
    ------
    TypeError
        Where the dtypes cannot be convolved, or complex numbers would become real ones.
    ValueError
        Where ``overflow`` is unknown.
    """
    if not isinstance(overflow, str) or overflow not in OVERFLOWS:
        raise ValueError(f"overflow={overflow!r} is unknown; use one of {', '.join(OVERFLOWS)}.")
    exact = x.kind in "biu" and k.dtype.kind in "biu"
    bound = integer_bound(x, k, int(fill_value)) if exact else None
    natural = natural_dtype(x, k.dtype, soft, bound)
    result = natural if dtype is None else dtype
    check_number(result, "dtype")
    if natural.kind == "c" and result.kind not in "cO":
        raise TypeError(
            f"the result is complex ({natural}) and cannot become {result}; ask for a complex "
            "dtype or convolve the real and the imaginary part apart."
        )
    if exact:
        return Arithmetic("int64", result.name, overflow, bound)
    accumulator = np.result_type(x, kernel_dtype(x, k.dtype, soft, dtype))
    if accumulator.kind != "O" and result.kind in "fc":
        accumulator = np.result_type(accumulator, result)
    if accumulator == np.float16:
        accumulator = np.dtype(np.float32)
    return Arithmetic(accumulator.name, result.name, overflow)


def convert(sums: Array, result: DType, overflow: str) -> Array:
    """Give sums the result's dtype, under the overflow rule; rounding is half to even.

    Raises
    ------
    OverflowError
        Where ``overflow`` is "raise" and a sum is out of the dtype's range or not finite.
    """
    if sums.dtype == result:
        return sums
    if result.kind == "b":
        result_info: tuple[int, int] = (0, 1)
    elif result.kind in "iu":
        info = np.iinfo(result)
        result_info = (int(info.min), int(info.max))
    else:
        with np.errstate(over="ignore"):
            return sums.astype(result)
    if sums.size == 0:
        return sums.astype(result)
    low, high = result_info
    if sums.dtype.kind == "f":
        sums = np.rint(sums)
        if not np.isfinite(sums).all():
            if overflow == "raise":
                raise OverflowError(
                    f"a result is NaN or infinite and {result} has no such value; ask for a "
                    'floating dtype or for overflow="saturate".'
                )
            sums = np.nan_to_num(sums, posinf=np.inf, neginf=-np.inf)
            if overflow == "wrap":
                sums = np.where(np.isfinite(sums), sums, 0)
    if overflow == "raise":
        ends = int(sums.min()), int(sums.max())
        if ends[0] < low or ends[1] > high:
            unsigned = result == np.int64 and ends[0] >= 0 and ends[1] < 2**64
            wider = "dtype='uint64'" if unsigned else "a wider dtype"
            raise OverflowError(
                f"results reach from {ends[0]} to {ends[1]} and {result} holds {low} to {high}; "
                f'ask for {wider}, or for overflow="saturate" or "wrap".'
            )
        return sums.astype(result)
    if overflow == "saturate":
        if sums.dtype.kind == "f":
            # float(high) may round up past the range, so the ends are set after the conversion
            inner = (sums > low) & (sums < high)
            values = np.where(inner, sums, 0).astype(result)
            values[sums >= high] = high
            values[sums <= low] = low
            return values
        if sums.dtype.kind in "iu":  # NumPy refuses ends that the sums' own dtype cannot hold
            own = np.iinfo(sums.dtype)
            low, high = max(low, int(own.min)), min(high, int(own.max))
        return np.clip(sums, low, high).astype(result)
    if sums.dtype.kind in "fO":
        return wrapped(sums, result)
    return (sums & 1).astype(result) if result.kind == "b" else sums.astype(result)


def wrapped(sums: Array, result: DType) -> Array:
    """Reduce integer-valued floats or Python integers modulo the result's range."""
    if sums.dtype.kind == "f" and np.abs(sums).max() < 2.0**63:
        return convert(sums.astype(np.int64), result, "wrap")
    bits = 1 if result.kind == "b" else 8 * result.itemsize
    flat = [int(v) & ((1 << bits) - 1) for v in sums.ravel().tolist()]
    unsigned = np.array(flat, dtype=np.uint64).reshape(sums.shape)
    if result.kind in "bu":
        return unsigned.astype(result)
    return unsigned.astype(f"u{result.itemsize}").view(result)
