"""Filtering a picture: which numbers are convolved, and what becomes of the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from faltung.geometry import default_anchor
from faltung.image.colour import (
    SIGNED,
    bands,
    check_rule,
    decoded,
    extremes,
    from_linear,
    shown,
    to_linear,
)
from faltung.image.converting import dtype_of, scaled
from faltung.image.formats import Array, ImageError, checked, full_scale, has_alpha
from faltung.kernels import Kernel, parse
from faltung.ops import plan
from faltung.planner import Plan
from faltung.problem import kernel_array

__all__ = ["SIGNED", "Laying", "filter", "filter_plan", "responses"]
LONGEST_ROW = 11  # taps of a kernel that an error writes out
ALPHA = ("keep", "filter")


@dataclass(frozen=True)
class Laying:
    """How kernels are laid on a picture: what :func:`faltung.convolve` calls the same."""

    operation: str | None = None
    mode: str = "same"
    boundary: str | Sequence[str] = "symmetric"
    fill_value: float = 0
    workers: int | None = None

    def __call__(
        self,
        x: Array,
        kernel: Any,
        dtype: Any = None,
        fill: float | None = None,
        anchor: tuple[int, ...] | None = None,
    ) -> Array:
        """Return the responses of one kernel, exact or as floats, or rounded to a dtype."""
        planned = plan(
            x.shape,
            x.dtype,
            kernel,
            operation=self.operation or meant(kernel),
            axes=(0, 1),
            anchor=anchor,
            mode=self.mode,
            boundary=self.boundary,
            fill_value=self.fill_value if fill is None else fill,
            result_dtype=dtype,
            overflow="raise" if dtype is None else "saturate",
        )
        return planned(x, workers=self.workers)


def filter_plan(
    shape: tuple[int, ...],
    dtype: Any,
    kernel: Any,
    *,
    operation: str | None = None,
    mode: str = "same",
    boundary: str | Sequence[str] = "symmetric",
    fill_value: float = 0,
) -> Plan:
    """Plan the filtering of pictures: of one grey plane, or of their colours.

    Raises
    ------
    ImageError
        Where the kernel has not two axes.
    """
    check_kernel(kernel)
    return plan(
        shape,
        dtype,
        kernel,
        operation=operation or meant(kernel),
        axes=(0, 1),
        mode=mode,
        boundary=boundary,
        fill_value=fill_value,
        result_dtype=dtype,
        overflow="saturate",
    )


def filter_plans(
    picture: Array,
    kernels: Sequence[Any],
    *,
    linear: bool = False,
    dtype: Any = None,
    operation: str | None = None,
    **laying: Any,
) -> list[Plan]:
    """Return the plans of :func:`filter`: one for each kernel, on what the one before gives."""
    clear = has_alpha(picture)
    shape = (*picture.shape[:2], picture.shape[2] - 1) if clear else picture.shape
    same = dtype_of(dtype, picture.dtype) == picture.dtype
    if len(kernels) == 1 and same and not (linear or clear):
        return [filter_plan(shape, picture.dtype, kernels[0], operation=operation, **laying)]
    floats = linear or clear
    dtype = picture.dtype
    if floats and dtype.kind != "f":
        dtype = np.dtype(np.float64 if dtype.itemsize > 2 else np.float32)
    plans = []
    for kernel in kernels:
        check_kernel(kernel)
        laid = operation or meant(kernel)
        plans.append(plan(shape, dtype, kernel, operation=laid, axes=(0, 1), **laying))
        shape, dtype = plans[-1].shape, plans[-1].dtype
    return plans


def meant(kernel: Any) -> str:
    """Return the operation that a kernel's numbers are written for; plain numbers are laid."""
    return kernel.operation if isinstance(kernel, Kernel) else "correlate"


def check_kernel(kernel: Any) -> None:
    """Raise where a kernel has not two axes."""
    taps, _ = kernel_array(kernel)
    if taps.ndim != 2:
        name = getattr(kernel, "name", "one")
        raise ImageError(
            f"a picture needs a kernel with two axes; got {name} of shape {taps.shape}. "
            f"{as_plane(kernel, taps)}"
        )


def as_plane(kernel: Any, taps: Array) -> str:
    """Say how a kernel of one axis, or of many, becomes one for a picture."""
    if taps.ndim != 1:
        return "Take a plane of it, as in k[0]." if taps.ndim else "Write a number as [[2]]."
    name = getattr(kernel, "name", "")
    if name.endswith(",axes=1"):
        return (
            f"Write {name.removesuffix(',axes=1')} for both axes, or its numbers as a row, [[..]]."
        )
    if isinstance(kernel, Kernel) and name != "given":
        row = kernel.written_for("correlate")
        if row.exact and row.size <= LONGEST_ROW and row.anchor == (default_anchor(row.size),):
            below = "" if row.divisor == 1 else f"/{row.divisor}"
            numbers = ",".join(map(str, row.numerators))
            return f"Along the rows it is [[{numbers}]]{below}."
        return "In Python k.array[None, :] is a row, and k.array[:, None] a column."
    return "Write a single row as [[1, 2, 1]], a column as [[1], [2], [1]]."


def filter(
    picture: Array,
    kernel: Any,
    *,
    then: Sequence[Any] = (),
    operation: str | None = None,
    mode: str = "same",
    boundary: str | Sequence[str] = "symmetric",
    fill_value: float = 0,
    signed: str = "clip",
    alpha: str = "keep",
    linear: bool = False,
    dtype: Any = None,
    workers: int | None = None,
) -> Array:
    """Filter a picture with a kernel, or several one after another, laid on it as they are written.

    Parameters
    ----------
    picture : ndarray
        (H, W) or (H, W, C), of uint8, uint16, uint32, int16, int32, float32 or float64. With C of
        2 or 4 the last channel is alpha.
    kernel : array_like or Kernel
        Two axes; or a text, as :func:`faltung.kernels.parse` takes it.
    then : sequence of kernels
        Applied one by one to what the kernel before gave: those are real numbers, which only the
        end rounds and clips.
    operation : {"correlate", "convolve"}, optional
        Lay the kernel as it is written, or flip it; if not given, what the kernel is written for
        (``Kernel.operation``): tables of image processing and plain numbers are laid.
    mode, boundary, fill_value, workers
        As in :func:`faltung.convolve`; pictures are continued symmetrically by default, so that
        they keep their brightness along the edges.
    signed : {"clip", "absolute", "centre", "stretch"}
        What becomes of negative and too large results: see :func:`faltung.image.colour.shown`.
    alpha : {"keep", "filter"}
        Colours are filtered premultiplied (Porter and Duff, 1984): what is transparent counts for
        nothing. ``"keep"`` leaves alpha and weighs the neighbours by how opaque they are among
        each other: ``k * (a c) / A + c (sum(k) - k * a / A)``, where ``A = |k| * a / sum(|k|)`` is
        how opaque it is under the kernel. What a transparent neighbour would give the pixel
        itself gives, even opacity changes no colour, and an average stays one,
        ``sum(k) (k * (a c)) / (k * a)``. Where all is transparent it is ``c sum(k)``.
        ``"filter"`` filters alpha, too, and gives the colours ``k * (a c) / (k * a)``. Beyond the
        edges a constant boundary is opaque.
    linear : bool
        Filter in linear light: see :mod:`faltung.image.colour`. Floats are taken to be linear.
    dtype : dtype, optional
        Of the result, as in :func:`faltung.image.converted`; by default the picture's. What is
        scaled is what the kernels give, which is rounded once.

    Returns
    -------
    ndarray
        Whole numbers are rounded half to even and saturated; floats are never clipped, so that
        negative results stay negative.

    Raises
    ------
    ImageError, ValueError
        Where picture or kernel are none, or an option is not allowed.

    Examples
    --------
    >>> from faltung import kernels
    >>> filter(np.full((3, 4), 7, np.uint8), kernels.edge).max().item()
    0
    >>> step = np.array([[0, 0, 9, 9]], np.uint8)
    >>> filter(step, kernels.sobel_x, signed="centre").tolist()
    [[128, 164, 164, 128]]
    """
    picture = checked(picture)
    check_rule(signed)
    kernels = [
        parse(each) if isinstance(each, str) else each
        for each in (kernel, *([then] if isinstance(then, str) else then))
    ]
    for each in kernels:
        check_kernel(each)
    if alpha not in ALPHA:
        raise ImageError(f"alpha={alpha!r} must be one of {', '.join(ALPHA)}.")
    clear = has_alpha(picture)
    if clear and alpha == "keep" and mode != "same":
        raise ImageError(
            f'a picture with alpha keeps its size: use mode="same", not {mode!r}, or '
            'alpha="filter".'
        )
    dtype, after = picture.dtype, dtype_of(dtype, picture.dtype)
    if not 0 <= fill_value <= full_scale(dtype) and dtype.kind == "u":
        raise ImageError(
            f"fill_value={fill_value!r} must be from 0 to {full_scale(dtype):.0f} for {dtype}."
        )
    laying = Laying(operation, mode, boundary, fill_value, workers)
    if (
        not clear and not linear and signed == "clip" and after == dtype
    ):  # the last plan rounds and saturates itself
        for each in kernels[:-1]:
            picture = laying(picture, each)
        return laying(picture, kernels[-1], dtype)
    values, opacity = responses(picture, kernels, laying, alpha=alpha, linear=linear)
    result = shown(scaled(values, dtype, after), after, signed)
    if opacity is None:
        return result
    clearness = shown(scaled(opacity, dtype, after), after, "clip")
    return np.concatenate([result, clearness[:, :, None]], axis=2)


def responses(
    picture: Array,
    kernels: Sequence[Any],
    laying: Laying,
    *,
    alpha: str = "keep",
    linear: bool = False,
) -> tuple[Array, Array | None]:
    """Return the real results of kernels one after another, and alpha, in the picture's numbers.

    Parameters
    ----------
    picture : ndarray
        As in :func:`filter`, as are ``alpha`` and ``linear``.
    kernels : sequence
        At least one.
    laying : Laying
        How they are laid on it.

    Returns
    -------
    values : ndarray
        Integers where picture and kernels are, else floats: neither rounded nor clipped.
    alpha : ndarray or None
        (H, W), where the picture has it.
    """
    top = full_scale(picture.dtype)
    light = linear and picture.dtype.kind != "f"
    fill = laying.fill_value
    clear = has_alpha(picture)
    colours = picture[:, :, :-1] if clear else picture
    if light:
        fill = float(decoded(fill / top))
        colours = to_linear(colours)
    elif clear:
        wide = colours.dtype.itemsize > 4 or top > 2**16  # more bits than float32 has
        colours = colours.astype(np.float64 if wide else np.float32)
    opacity = (picture[:, :, -1] / np.float64(top)).astype(colours.dtype) if clear else None
    for kernel in kernels:
        if opacity is None:
            colours = laying(colours, kernel, fill=fill)
        else:
            colours, opacity = premultiplied(colours, opacity, kernel, laying, fill, alpha)
    if light:
        colours = from_linear(colours) * colours.dtype.type(top)
    return colours, None if opacity is None else opacity * top


def premultiplied(
    colours: Array, opacity: Array, kernel: Any, laying: Laying, fill: float, alpha: str
) -> tuple[Array, Array]:
    """Return colours and alpha after one kernel."""
    clear = opacity[:, :, None]
    # where alpha is 0 there is no colour at all: 0 times NaN or infinity would spread
    product = np.multiply(colours, clear, out=np.zeros_like(colours), where=clear != 0)
    weighted = laying(product, kernel, fill=fill)
    covered = laying(opacity, kernel, fill=1)
    if alpha == "keep":
        return replenished(colours, weighted, covered, kernel, opacity, laying), opacity
    covered = np.clip(covered, 0, 1)
    seen = covered > np.finfo(covered.dtype).eps * 16
    divided = np.divide(
        weighted, covered[:, :, None], out=np.zeros_like(weighted), where=seen[:, :, None]
    )
    return divided, covered


def replenished(
    colours: Array, weighted: Array, covered: Array, kernel: Any, opacity: Array, laying: Laying
) -> Array:
    """Return ``k * (a c) / A + c (sum(k) - k * a / A)``, of which the products are given.

    ``A = |k| * a / sum(|k|)`` is how opaque it is under the kernel. Where nothing is, the pixel
    stands for all of its neighbours: ``c sum(k)``.
    """
    taps = np.asarray(kernel_array(kernel)[0])
    total = taps.sum(dtype=np.float64)
    sizes = np.abs(taps.astype(np.float64))
    # of taps without signs both are one number, so that nothing at all is left of the pixel
    level = covered
    if (taps < 0).any():
        alike = replace(laying, operation=laying.operation or meant(kernel))
        level = alike(opacity, sizes.astype(opacity.dtype), fill=1, anchor=anchor_of(kernel))
    level = level / (sizes.sum() or 1)
    # what rounding leaves of sums that are 0, however faint the whole picture is
    rounding = np.finfo(opacity.dtype).eps * 16
    nothing = rounding * extremes(opacity)[1]
    out = np.empty(colours.shape, weighted.dtype)
    for band in bands(colours):
        empty = level[band] <= nothing
        depth = np.where(empty, 1, level[band])
        missing = total - np.where(empty, 0, covered[band] / depth)
        # exactly 0 where no tap is negative: an unknown colour under alpha 0 is then filled in
        missing[np.abs(missing) <= rounding * abs(total)] = 0
        part = colours[band]
        own = np.multiply(
            part, missing[:, :, None], out=np.zeros_like(part), where=missing[:, :, None] != 0
        )
        given = np.where(empty[:, :, None], 0, weighted[band] / depth[:, :, None])
        out[band] = given + own
    return out


def anchor_of(kernel: Any) -> tuple[int, ...] | None:
    """Return a kernel's own anchor, where it has one."""
    return kernel.anchor if isinstance(kernel, Kernel) else None
