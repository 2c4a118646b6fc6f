"""The conventions of other libraries, as data.

``faltung.convolve(x, k, dialect="cv2.filter2D")`` gives that function's answer. A dialect names a
function, so that it decides between convolution and correlation too, whichever of ours is called.
What is given in the call goes before what the function would take by default. A boundary may be
given in the function's own words or in ours, as far as the function has it; where a word is both
with two meanings (``"reflect"`` of scipy.ndimage is our ``"symmetric"``), the function's meaning
holds. Anchors count along the kernel's axes in their order here, also for OpenCV.

What a dialect cannot give is refused, never answered otherwise:

- scipy.ndimage cuts the fractions of integer inputs' results off, and what it does beyond its
  doubles or beyond 32- and 64-bit integers is the compiler's affair;
- padding that lies between two taps (PyTorch's and ONNX's "same" with dilation and an even kernel)
  or that depends on the stride (ONNX's "same");
- astropy's interpolation of NaN under negative taps;
- an anchor, a dilation, a fill value or weights where the function swaps input and kernel.

Numbers agree exactly for integers and within rounding for floats. OpenCV sums 8- and 16-bit
pictures in float32, so that a sum near a half, or one of terms beyond 2**24, may end one grey level
away.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from faltung.dtypes import Array, DType, check_number, tap_sums
from faltung.geometry import default_anchor
from faltung.problem import Default, Options, fill_for, kernel_array, per_axis

__all__ = ["Dialect", "get", "names", "translate"]

NDIMAGE = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "constant",
    "grid-constant": "constant",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}
OPENCV = {
    "constant": "constant",
    "replicate": "edge",
    "reflect": "symmetric",
    "reflect_101": "reflect",
    "reflect101": "reflect",
    "default": "reflect",
    **dict(zip("01234", ("constant", "edge", "symmetric", "wrap", "reflect"), strict=True)),
}
SCIPY_2D = {"fill": "constant", "symm": "symmetric", "wrap": "wrap"}
ASTROPY = {"fill": "constant", "extend": "edge", "wrap": "wrap"}
ZEROS = {"constant": "constant"}

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
PICTURES = ("uint8", "uint16", "int16", *FLOATS)


@dataclass(frozen=True)
class Dialect:
    """How a function of another library convolves.

    Every one of them fills with 0 where its boundary is "constant" and no ``fill_value`` is given.

    Attributes
    ----------
    name : str
        The function, with its module.
    operation : str
        "convolve" where it flips the kernel.
    mode, boundary : str
        What it takes where nothing is given; the boundary in our words.
    modes : tuple of str
        The modes it has.
    words : mapping
        Its names of boundaries, to ours.
    anchor : str
        Of an even kernel's two middle taps, the "left" or the "right".
    axes : str
        "all", "last" (as many as the kernel has), or "first".
    ranks : tuple of int
        The numbers of axes that its kernel may have; empty for any.
    swap : str
        When the roles are swapped: "never", "longer" (the kernel is longer), or "valid" (only in
        that mode).
    result : str
        The rule of the result's dtype, one of ``RESULTS``.
    takes : tuple of str
        The dtypes that its result may have; empty for any.
    conjugate : bool
        Whether it conjugates the kernel.
    conjugates_shorter : bool
        Whether it then conjugates what is the kernel after the roles were swapped.
    normalise, interpolate : bool
        Whether it scales the kernel to sum 1, and leaves out NaN.
    odd : tuple of str
        The modes in which it takes only kernels of odd lengths.
    even_pads : bool
        Whether its "same" shares its padding out evenly, which may lie between two taps.
    """

    name: str
    operation: str
    mode: str = "same"
    boundary: str = "constant"
    modes: tuple[str, ...] = ("same",)
    words: Mapping[str, str] = field(default_factory=lambda: ZEROS)
    anchor: str = "left"
    axes: str = "all"
    ranks: tuple[int, ...] = ()
    swap: str = "never"
    result: str = "promote"
    takes: tuple[str, ...] = ()
    conjugate: bool = False
    conjugates_shorter: bool = False
    normalise: bool = False
    interpolate: bool = False
    odd: tuple[str, ...] = ()
    even_pads: bool = False


ALL_MODES = ("full", "same", "valid")
LAYERS = ("valid", "same")
LEAST_SUM = 0.01  # of a kernel that astropy scales to sum 1

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("numpy.convolve", "convolve", "full", modes=ALL_MODES, swap="longer", ranks=(1,)),
        Dialect(
            "numpy.correlate",
            "correlate",
            "valid",
            modes=ALL_MODES,
            swap="longer",
            ranks=(1,),
            anchor="right",
            conjugate=True,
        ),
        *(
            Dialect(
                f"scipy.signal.{name}",
                "convolve",
                "full",
                modes=ALL_MODES,
                swap="valid",
                result=result,
            )
            for name, result in (
                ("convolve", "promote"),
                ("fftconvolve", "fourier"),
                ("oaconvolve", "fourier"),
            )
        ),
        Dialect(
            "scipy.signal.correlate",
            "correlate",
            "full",
            modes=ALL_MODES,
            swap="valid",
            anchor="right",
            conjugate=True,
        ),
        Dialect(
            "scipy.signal.convolve2d",
            "convolve",
            "full",
            modes=ALL_MODES,
            words=SCIPY_2D,
            swap="valid",
            ranks=(2,),
            takes=(*INTEGERS, *FLOATS, *COMPLEX),
        ),
        Dialect(
            "scipy.signal.correlate2d",
            "correlate",
            "full",
            modes=ALL_MODES,
            words=SCIPY_2D,
            swap="valid",
            ranks=(2,),
            takes=(*INTEGERS, *FLOATS, *COMPLEX),
            conjugate=True,
            conjugates_shorter=True,
        ),
        *(
            Dialect(
                f"scipy.ndimage.{operation}{suffix}",
                operation,
                boundary="symmetric",
                words=NDIMAGE,
                anchor="right",
                axes=axes,
                ranks=ranks,
                result="double",
                takes=("bool", *INTEGERS, *FLOATS, *COMPLEX),
                conjugate=operation == "correlate",
            )
            for operation in ("convolve", "correlate")
            for suffix, axes, ranks in (("", "all", ()), ("1d", "last", (1,)))
        ),
        Dialect(
            "cv2.filter2D",
            "correlate",
            boundary="reflect",
            words=OPENCV,
            anchor="right",
            axes="first",
            ranks=(2,),
            result="saturate",
            takes=PICTURES,
        ),
        *(
            Dialect(
                name,
                "correlate",
                "valid",
                modes=LAYERS,
                axes="last",
                ranks=ranks,
                result="input",
                takes=(*INTEGERS, "float16", *FLOATS, *COMPLEX),
                even_pads=True,
            )
            for name, ranks in (
                ("torch.nn.functional.conv1d", (1,)),
                ("torch.nn.functional.conv2d", (2,)),
                ("torch.nn.functional.conv3d", (3,)),
                ("onnx.Conv", ()),
            )
        ),
        Dialect(
            "astropy.convolution.convolve",
            "convolve",
            words=ASTROPY,
            ranks=(1, 2, 3),
            result="float",
            takes=("float16", *FLOATS),
            normalise=True,
            interpolate=True,
            odd=("same",),
        ),
        Dialect(
            "skimage.filters.correlate_sparse",
            "correlate",
            boundary="symmetric",
            words=NDIMAGE,
            modes=("same", "valid"),
            result="single",
            takes=FLOATS,
            odd=("same",),
        ),
    )
}


def names() -> list[str]:
    """Return the names of all dialects.

    Examples
    --------
    >>> import faltung
    >>> faltung.dialects.names()[:2]
    ['numpy.convolve', 'numpy.correlate']
    """
    return list(DIALECTS)


def get(name: str) -> Dialect:
    """Return the dialect of a name.

    Raises
    ------
    ValueError
        Where there is none; the message lists those there are.

    Examples
    --------
    >>> import faltung
    >>> faltung.dialects.get("cv2.filter2D").boundary
    'reflect'
    """
    try:
        return DIALECTS[name]
    except (KeyError, TypeError):
        close = difflib.get_close_matches(str(name), DIALECTS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ValueError(
            f"dialect={name!r} is unknown.{hint} There are: {', '.join(DIALECTS)}."
        ) from None


def translate(
    name: str, operation: str, x: Array, k: Any, options: Options
) -> tuple[str, Array, Array, Options]:
    """Return the call in our terms that gives the function's answer.

    Parameters
    ----------
    name : str
        The dialect.
    operation : str
        Whichever of ours was called; the dialect decides.
    x : ndarray
    k : array_like
    options : Options
        As given; what was left at its default is filled in.

    Returns
    -------
    operation, x, k, options

    Raises
    ------
    ValueError
        Where the function has no such mode or boundary, or its answer cannot be given.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.dialects import translate
    >>> from faltung.problem import Default, Options
    >>> operation, x, k, options = translate(
    ...     "numpy.convolve", "convolve", np.ones(2), [1, 2, 3], Options(mode=Default("same")))
    >>> operation, len(x), len(k), options.mode
    ('convolve', 3, 2, 'full')
    """
    d = get(name)
    k, _ = kernel_array(k)
    check_number(x.dtype, "x")
    check_number(k.dtype, "k")
    mode = d.mode if isinstance(options.mode, Default) else options.mode
    check(d, mode, k)
    options = options._replace(
        mode=mode,
        boundary=boundary_for(d, options.boundary),
        axes=options.axes if options.axes is not None else axes_for(d, x, k),
        missing=missing_for(d, x, k, options.missing),
        conjugate=False,
    )
    k = taps_for(d, x, k)
    dtype = options.dtype
    if dtype is None:
        dtype = RESULTS[d.result](d, x, k, options)
        if d.takes and dtype.name not in d.takes:
            raise ValueError(
                f"{name} gives no {dtype}; convert the input to one of {', '.join(d.takes)}, or "
                "ask for a result with dtype=."
            )
    conjugate = d.conjugate or options.conjugate
    operation = d.operation
    if swaps(d, mode, x.shape, k.shape):
        check_swap(d, k, options)
        if operation == "correlate":  # a correlation is a convolution with the flipped kernel
            k, operation = np.flip(k), "convolve"
        x, k = (
            (k, conjugated(x)) if d.conjugates_shorter else (conjugated(k) if conjugate else k, x)
        )
    elif conjugate:
        k = conjugated(k)
    if np.dtype(dtype).kind in "fc" and x.dtype.kind in "biu" and k.dtype.kind not in "biu":
        x = x.astype(dtype)  # in the precision of the result, not in that which we would choose
    anchor = options.anchor if options.anchor is not None else anchor_for(d, options, k)
    overflow = overflow_for(d, np.dtype(dtype), options.overflow)
    return operation, x, k, options._replace(anchor=anchor, dtype=dtype, overflow=overflow)


def check(d: Dialect, mode: str, k: Array) -> None:
    """Raise where the function has no such mode, or takes no such kernel."""
    if mode not in d.modes:
        hint = f" What goes on beyond the ends is boundary={mode!r}." if mode in d.words else ""
        raise ValueError(f"{d.name} has no mode {mode!r}; use one of {', '.join(d.modes)}.{hint}")
    if d.ranks and k.ndim not in d.ranks:
        raise ValueError(
            f"{d.name} takes a kernel with {' or '.join(map(str, d.ranks))} axes; got {k.shape}."
        )
    if mode in d.odd and not all(n % 2 for n in k.shape):
        raise ValueError(f"{d.name} takes kernels of odd lengths; got {k.shape}.")


def taps_for(d: Dialect, x: Array, k: Array) -> Array:
    """Return the taps that the function would multiply with."""
    if d.normalise and k.dtype.kind != "c":
        k = k.astype(float)
        total = float(k.sum())
        if not total >= LEAST_SUM:
            raise ValueError(
                f"{d.name} scales the kernel to sum 1 and takes no sum below {LEAST_SUM}; this one "
                f"sums to {total}."
            )
        return k / total
    if d.result == "saturate" and x.dtype.kind == "f" and k.dtype.kind != "c":
        return k.astype(x.dtype)  # OpenCV's taps take the picture's precision
    if d.result in ("input", "double") and x.dtype.kind in "biu" and k.dtype.kind == "f":
        whole = np.isfinite(k).all() and (k == np.rint(k)).all() and (np.abs(k) < 2**53).all()
        return k.astype(np.int64) if whole else k
    return k


def conjugated(k: Array) -> Array:
    """Return the conjugate, and what is real as it is (NumPy makes integers of bool)."""
    return np.conjugate(k) if k.dtype.kind == "c" else k


def missing_for(d: Dialect, x: Array, k: Array, missing: str) -> str:
    """Return what becomes of NaN."""
    if isinstance(missing, Default) and d.interpolate and x.dtype.kind == "f" and np.isnan(x).any():
        if k.dtype.kind != "c" and (k < 0).any():
            raise ValueError(
                f"{d.name} with NaN and negative taps is not given here; fill the gaps first."
            )
        return "ignore"
    return missing


def overflow_for(d: Dialect, dtype: DType, overflow: str) -> str:
    """Return what becomes of sums that the result's dtype cannot hold."""
    if not isinstance(overflow, Default):
        return overflow
    if d.result == "double" and dtype.name == "int32":
        return "raise"  # C leaves open what these become; `double` refuses the other such sums
    return "saturate" if d.result == "saturate" or dtype.kind == "b" else "wrap"


def swaps(d: Dialect, mode: str, x: tuple[int, ...], k: tuple[int, ...]) -> bool:
    """Whether the function would swap the roles of input and kernel."""
    if len(x) != len(k):
        return False
    if d.swap == "longer":
        return k > x
    if d.swap == "valid" and mode == "valid":
        return all(b >= a for a, b in zip(x, k, strict=True)) and x != k
    return False


def check_swap(d: Dialect, k: Array, options: Options) -> None:
    """Raise where an argument belongs to one of the two roles that are swapped."""
    given = {
        "anchor": options.anchor is not None,
        "dilation": set(per_axis(options.dilation, k.ndim, "dilation", 1)) != {1},
        "fill_value": bool(np.any(options.fill_value != 0)),
        "weights": options.weighted,
        "missing": options.missing != "propagate",
    }
    for argument, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{d.name} swaps a short input and a longer kernel, and {argument} belongs to one "
                "of them; give the longer one first."
            )


def boundary_for(d: Dialect, boundary: Any) -> Any:
    """Return our word, or words, for a boundary in the function's words or in ours."""
    if isinstance(boundary, Default):
        return d.boundary
    if isinstance(boundary, (list, tuple)):
        return tuple(boundary_for(d, b) for b in boundary)
    word = str(boundary).lower().removeprefix("border_")
    if word in d.words:
        return d.words[word]
    if word in d.words.values():
        return word
    known = ", ".join(dict.fromkeys([*d.words, *d.words.values()]))
    raise ValueError(f"{d.name} has no boundary {boundary!r}; use one of {known}.")


def anchor_for(d: Dialect, options: Options, k: Array) -> tuple[int, ...]:
    """Return the function's anchor, or raise where it lies between two taps."""
    if d.even_pads and options.mode == "same":
        stride = per_axis(options.stride, k.ndim, "stride", 1)
        dilation = per_axis(options.dilation, k.ndim, "dilation", 1)
        between = any(n % 2 == 0 and step > 1 for n, step in zip(k.shape, dilation, strict=True))
        if set(stride) != {1} or between:
            raise ValueError(
                f'{d.name} with mode="same" is given here for stride 1, and with dilation for odd '
                'kernels; pad the input and use mode="valid".'
            )
    return tuple(middle(n, d.anchor) for n in k.shape)


def middle(taps: int, side: str) -> int:
    """Return the middle tap, the left or the right one of two."""
    left = default_anchor(taps)
    return left if side == "left" else taps - 1 - left


def axes_for(d: Dialect, x: Array, k: Array) -> Any:
    """Return the axes the function convolves over, or raise where it takes no such input."""
    if d.axes == "all" and x.ndim != k.ndim:
        raise ValueError(
            f"{d.name} needs a kernel with as many axes as the input; got {k.shape} on {x.shape}."
        )
    if d.axes == "first":
        if k.ndim != 2 or x.ndim not in (2, 3):
            raise ValueError(f"{d.name} lays a 2-D kernel on (H, W) or (H, W, C); got {x.shape}.")
        return (0, 1)
    return None


def promoted(d: Dialect, x: Array, k: Array, options: Options) -> DType:
    """Promote as NumPy does; integers wrap."""
    return np.result_type(x.dtype, k.dtype)


def fourier(d: Dialect, x: Array, k: Array, options: Options) -> DType:
    """Promote what the transforms of both would be; an axis of length 1 needs no transform."""
    if not any(1 not in lengths for lengths in zip(x.shape, k.shape, strict=False)):
        return promoted(d, x, k, options)
    kinds = [a.dtype if a.dtype.kind in "fc" else np.dtype(float) for a in (x, k)]
    return np.result_type(np.float32, *kinds)


def as_input(d: Dialect, x: Array, k: Array, options: Options) -> DType:
    """Keep the input's dtype, made complex by a complex kernel; integers wrap."""
    if x.dtype.kind in "biu" and k.dtype.kind == "f":
        raise ValueError(
            f"{d.name} gives {x.dtype} for {x.dtype}, which holds no fractions of these taps; "
            "convert the input to a float first."
        )
    return np.promote_types(x.dtype, np.complex64) if k.dtype.kind == "c" else x.dtype


def double(d: Dialect, x: Array, k: Array, options: Options) -> DType:
    """Keep the input's dtype, cast from doubles as C does, as far as that is defined."""
    dtype = as_input(d, x, k, options)
    if dtype.kind == "b" and ((k < 0).any() or k.sum() > 255):
        raise ValueError(
            f"{d.name} makes bool of the lowest 8 bits of a sum, which is not given here for "
            "these taps; convert the input to an integer first."
        )
    if dtype.kind in "iu":
        limit = 2**31 if dtype.itemsize <= 2 else 2**53
        mass = sum(tap_sums(k))
        info = np.iinfo(dtype)
        ends = int(info.min), int(info.max)
        if max(map(abs, ends)) * mass >= limit and x.size:  # the dtype may: look at the numbers
            ends = int(x.min()), int(x.max())
        if max(*map(abs, ends), abs(fill_for(options.fill_value, dtype))) * mass >= limit:
            raise ValueError(
                f"{d.name} sums in doubles and casts as C does, which is not defined or not exact "
                f"for sums of {dtype} beyond 2**{limit.bit_length() - 1}; ask for a result with "
                "dtype=."
            )
    return dtype


def saturating(d: Dialect, x: Array, k: Array, options: Options) -> DType:
    """Keep the input's dtype; integers saturate, rounded half to even."""
    return np.promote_types(x.dtype, np.complex64) if k.dtype.kind == "c" else x.dtype


def floating(d: Dialect, x: Array, k: Array, options: Options) -> DType:
    """Keep a float input's dtype, and make any other float64."""
    if "c" in (x.dtype.kind, k.dtype.kind):
        return np.dtype(np.complex128)
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def single(d: Dialect, x: Array, k: Array, options: Options) -> DType:
    """Make float16 float32, keep float32, and make any other float64."""
    if "c" in (x.dtype.kind, k.dtype.kind):
        return np.dtype(np.complex128)
    return np.dtype(np.float32 if x.dtype.char in "ef" else np.float64)


RESULTS: dict[str, Callable[[Dialect, Array, Array, Options], DType]] = {
    "promote": promoted,
    "fourier": fourier,
    "input": as_input,
    "double": double,
    "saturate": saturating,
    "float": floating,
    "single": single,
}
