"""The conventions of other libraries, as data.

``faltung.convolve(x, k, dialect="cv2.filter2D")`` gives that function's answer. A dialect names a
function, so that it decides between convolution and correlation too, whichever of ours is called.
What is given in the call goes before what the function would take by default. Boundaries may be
given in the function's own words, and where such a word is one of ours with another meaning
(``"reflect"`` of scipy.ndimage is our ``"symmetric"``), the function's meaning holds.

What a dialect cannot give is refused, never answered otherwise.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from faltung.dtypes import Array, DType
from faltung.problem import Default, Options

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
}
SCIPY_2D = {"fill": "constant", "symm": "symmetric", "wrap": "wrap"}
ASTROPY = {"fill": "constant", "extend": "edge", "wrap": "wrap"}
ZEROS = {"constant": "constant"}


@dataclass(frozen=True)
class Dialect:
    """How a function of another library convolves.

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
    swap : str
        When the roles are swapped: "never", "longer" (the kernel is longer), or "valid" (only in
        that mode).
    result : str
        "promote" (integers wrap), "input" (the input's dtype, integers wrap), "saturate" (the
        input's dtype), or "float" (the input's where it is a float, else float64).
    conjugate, normalise, interpolate, odd : bool
        Whether it conjugates the kernel, scales it to sum 1, leaves out NaN, or takes odd kernels
        only.
    """

    name: str
    operation: str
    mode: str = "same"
    boundary: str = "constant"
    modes: tuple[str, ...] = ("same",)
    words: Mapping[str, str] = field(default_factory=lambda: ZEROS)
    anchor: str = "left"
    axes: str = "all"
    swap: str = "never"
    result: str = "promote"
    conjugate: bool = False
    normalise: bool = False
    interpolate: bool = False
    odd: bool = False
    same_needs_unit_steps: bool = False


ALL_MODES = ("full", "same", "valid")
LAYERS = ("valid", "same")

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("numpy.convolve", "convolve", "full", modes=ALL_MODES, swap="longer"),
        Dialect(
            "numpy.correlate",
            "correlate",
            "valid",
            modes=ALL_MODES,
            swap="longer",
            anchor="right",
            conjugate=True,
        ),
        *(
            Dialect(f"scipy.signal.{name}", "convolve", "full", modes=ALL_MODES, swap="valid")
            for name in ("convolve", "fftconvolve", "oaconvolve")
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
        ),
        Dialect(
            "scipy.signal.correlate2d",
            "correlate",
            "full",
            modes=ALL_MODES,
            words=SCIPY_2D,
            swap="valid",
            conjugate=True,
        ),
        *(
            Dialect(
                f"scipy.ndimage.{operation}{suffix}",
                operation,
                boundary="symmetric",
                words=NDIMAGE,
                anchor="right",
                axes=axes,
                result="input",
            )
            for operation in ("convolve", "correlate")
            for suffix, axes in (("", "all"), ("1d", "last"))
        ),
        Dialect(
            "cv2.filter2D",
            "correlate",
            boundary="reflect",
            words=OPENCV,
            anchor="right",
            axes="first",
            result="saturate",
        ),
        *(
            Dialect(
                name,
                "correlate",
                "valid",
                modes=LAYERS,
                axes="last",
                result="input",
                same_needs_unit_steps=True,
            )
            for name in (
                "torch.nn.functional.conv1d",
                "torch.nn.functional.conv2d",
                "torch.nn.functional.conv3d",
                "onnx.Conv",
            )
        ),
        Dialect(
            "astropy.convolution.convolve",
            "convolve",
            words=ASTROPY,
            result="float",
            normalise=True,
            interpolate=True,
            odd=True,
        ),
        Dialect(
            "skimage.filters.correlate_sparse",
            "correlate",
            boundary="symmetric",
            words=NDIMAGE,
            modes=("same", "valid"),
            result="float",
            odd=True,
        ),
    )
}


def names() -> list[str]:
    """Return the names of all dialects.

    Examples
    --------
    >>> names()[:2]
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
    >>> get("cv2.filter2D").boundary
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
    >>> operation, x, k, options = translate(
    ...     "numpy.convolve", "convolve", np.ones(2), [1, 2, 3], Options(mode=Default("same")))
    >>> operation, len(x), len(k), options.mode
    ('convolve', 3, 2, 'full')
    """
    d = get(name)
    k = np.asarray(k)
    operation = d.operation
    mode = d.mode if isinstance(options.mode, Default) else options.mode
    if mode not in d.modes:
        raise ValueError(f"{name} has no mode {mode!r}; use one of {', '.join(d.modes)}.")
    if d.odd and not all(n % 2 for n in k.shape):
        raise ValueError(f"{name} takes kernels of odd lengths; got {k.shape}.")
    conjugate = options.conjugate or d.conjugate
    if swaps(d, mode, x.shape, k.shape):
        if operation == "correlate":  # a correlation is a convolution with the flipped kernel
            k, operation, conjugate = np.flip(np.conjugate(k)), "convolve", False
        x, k = k, x
    if d.normalise:
        total = k.sum()
        if total == 0:
            raise ValueError(f"{name} scales the kernel to sum 1; this one sums to 0.")
        k = k / total
    if d.result == "saturate" and x.dtype.kind == "f":
        k = k.astype(x.dtype)  # OpenCV's taps take the picture's precision
    missing: str = options.missing
    if isinstance(missing, Default) and d.interpolate and x.dtype.kind == "f" and np.isnan(x).any():
        if (k < 0).any():
            raise ValueError(
                f"{name} with NaN and negative taps is not given here; fill the gaps first."
            )
        missing = "ignore"
    dtype = options.dtype if options.dtype is not None else RESULTS[d.result](d, x.dtype, k.dtype)
    if np.dtype(dtype).kind in "fc" and x.dtype.kind in "biu" and k.dtype.kind not in "biu":
        x = x.astype(dtype)  # in the precision of the result, not in that which we would choose
    overflow: str = options.overflow
    if isinstance(overflow, Default):
        overflow = "saturate" if d.result == "saturate" or np.dtype(dtype) == bool else "wrap"
    return (
        operation,
        x,
        k,
        options._replace(
            mode=mode,
            boundary=boundary_for(d, options.boundary),
            anchor=options.anchor
            if options.anchor is not None
            else anchor_for(d, options, mode, k),
            axes=options.axes if options.axes is not None else axes_for(d, x, k),
            dtype=dtype,
            overflow=overflow,
            missing=missing,
            conjugate=conjugate,
        ),
    )


def swaps(d: Dialect, mode: str, x: tuple[int, ...], k: tuple[int, ...]) -> bool:
    """Whether the function would swap the roles of input and kernel."""
    if d.swap == "longer":
        return sum(k) > sum(x)
    if d.swap == "valid" and mode == "valid" and len(x) == len(k):
        return all(b >= a for a, b in zip(x, k, strict=True)) and x != k
    return False


def boundary_for(d: Dialect, boundary: Any) -> Any:
    """Return our word, or words, for a boundary in the function's words."""
    if isinstance(boundary, Default):
        return d.boundary
    if not isinstance(boundary, str):
        return tuple(boundary_for(d, b) for b in boundary)
    word = boundary.lower().removeprefix("border_")
    if word not in d.words:
        known = ", ".join(d.words)
        raise ValueError(f"{d.name} has no boundary {boundary!r}; use one of {known}.")
    return d.words[word]


def anchor_for(d: Dialect, options: Options, mode: str, k: Array) -> tuple[int, ...]:
    """Return the function's anchor, or raise where it lies between two taps."""
    if d.same_needs_unit_steps and mode == "same":
        steps = np.broadcast_to(options.stride, k.ndim), np.broadcast_to(options.dilation, k.ndim)
        uneven = any(
            n % 2 == 0 and step % 2 == 0 for n, step in zip(k.shape, steps[1], strict=True)
        )
        between = any(n % 2 == 0 and step > 1 for n, step in zip(k.shape, steps[1], strict=True))
        if (steps[0] != 1).any() or uneven or between:
            raise ValueError(
                f'{d.name} with mode="same" is given here for stride 1, and with dilation for odd '
                "kernels; pad the input and use mode='valid'."
            )
    return tuple(middle(n, d.anchor) for n in k.shape)


def middle(taps: int, side: str) -> int:
    """Return the middle tap, the left or the right one of two."""
    from faltung.geometry import default_anchor

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


def promoted(d: Dialect, x: DType, k: DType) -> DType:
    """Promote as NumPy does."""
    return np.result_type(x, k)


def as_input(d: Dialect, x: DType, k: DType) -> DType:
    """Keep the input's dtype, made complex by a complex kernel."""
    if x.kind in "biu" and k.kind not in "biu":
        raise ValueError(
            f"{d.name} cuts off the fractions of {x} results, which is not given here; convert "
            "the input to a float first."
        )
    return np.result_type(x, np.complex64) if k.kind == "c" and x.kind != "c" else x


def saturating(d: Dialect, x: DType, k: DType) -> DType:
    """Keep the input's dtype, of those that OpenCV filters."""
    if x.name not in ("uint8", "uint16", "int16", "float32", "float64") or k.kind == "c":
        raise ValueError(f"{d.name} takes uint8, uint16, int16, float32 or float64; got {x}.")
    return x


def floating(d: Dialect, x: DType, k: DType) -> DType:
    """Keep a float input's dtype, and make any other float64."""
    return x if x.kind in "fc" else np.dtype(np.float64)


RESULTS: dict[str, Callable[[Dialect, DType, DType], DType]] = {
    "promote": promoted,
    "input": as_input,
    "saturate": saturating,
    "float": floating,
}
