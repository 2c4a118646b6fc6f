"""A convolution as a linear operator: forth, back by its adjoint, as a spectrum, as a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from faltung.boundary import FILL
from faltung.dtypes import Array
from faltung.geometry import MODES, OPERATIONS, Axis, Source, input_length
from faltung.ops import convolve, correlate
from faltung.problem import boundaries, convolved_axes, default_anchors, per_axis

DENSE = 512  # samples and outputs up to which a blur is taken apart as a matrix


@dataclass(frozen=True, eq=False)
class Blur:
    """The operator ``A`` that convolves arrays of one shape with a kernel, all in float64.

    Attributes
    ----------
    kernel : ndarray
    operation, mode : str
    boundary : tuple of str
    fill_value : float
        It makes the operator affine: ``A x + c``, of which ``forth`` is ``A`` and ``rest`` is c.
    axes, anchor : tuple of int
    shape : tuple of int
        Of what is blurred.
    clean : bool
        Whether to keep to methods without negative noise, for a kernel without negative taps.
    """

    kernel: Array
    operation: str
    mode: str
    boundary: tuple[str, ...]
    fill_value: float
    axes: tuple[int, ...]
    anchor: tuple[int, ...]
    shape: tuple[int, ...]
    clean: bool = False

    @classmethod
    def of(
        cls,
        kernel: Array,
        blurred: tuple[int, ...],
        *,
        operation: str,
        mode: str,
        boundary: Any,
        fill_value: float,
        axes: int | Sequence[int] | None,
        anchor: int | Sequence[int] | None,
        clean: bool,
    ) -> Blur:
        """Return the operator whose results have the shape ``blurred``, or raise ValueError."""
        if operation not in OPERATIONS or mode not in MODES:
            raise ValueError(
                f"operation={operation!r}, mode={mode!r}: use one of {', '.join(OPERATIONS)}, and "
                f"one of {', '.join(MODES)}."
            )
        along = convolved_axes(axes, blurred, kernel.shape)
        names = boundaries(boundary, len(along))
        default = default_anchors(kernel.shape)
        places = default if anchor is None else per_axis(anchor, len(along), "anchor", 0)
        if any(a >= n for a, n in zip(places, kernel.shape, strict=True)):
            raise ValueError(f"anchor={anchor!r} lies outside the kernel {kernel.shape}.")
        shape = list(blurred)
        for axis, taps in zip(along, kernel.shape, strict=True):
            shape[axis] = input_length(blurred[axis], taps, mode)
        if min(shape, default=0) < 1:
            raise ValueError(
                f"nothing that is convolved with a kernel {kernel.shape} in mode={mode!r} has the "
                f"shape {blurred}; give another mode, or a y that is not empty."
            )
        return cls(
            kernel, operation, mode, names, float(fill_value), along, places, tuple(shape), clean
        )

    @cached_property
    def geometry(self) -> tuple[Axis, ...]:
        """The geometry of each convolved axis."""
        sizes = zip(self.axes, self.kernel.shape, self.anchor, strict=True)
        return tuple(
            Axis(self.shape[axis], taps, self.mode, self.operation, anchor)
            for axis, taps, anchor in sizes
        )

    def forth(self, x: Array, *, fill_value: float = 0.0, axes: Any = None) -> Array:
        """Return ``A x``."""
        call = convolve if self.operation == "convolve" else correlate
        return call(
            x, self.kernel, mode=self.mode, boundary=self.boundary, fill_value=fill_value,
            anchor=self.anchor, axes=self.axes if axes is None else axes, nonnegative=self.clean,
        )  # fmt: skip

    @cached_property
    def rest(self) -> Array | float:
        """What the fill value adds to every result."""
        if self.fill_value == 0 or "constant" not in self.boundary:
            return 0.0
        return self.forth(np.zeros(self.shape), fill_value=self.fill_value)

    def back(self, y: Array) -> Array:
        """Return the adjoint's result, ``A^T y``: each output is laid back where it was taken."""
        call = correlate if self.operation == "convolve" else convolve
        laid = call(y, self.kernel, mode="full", axes=self.axes, nonnegative=self.clean)
        for axis, along, boundary in zip(self.axes, self.geometry, self.boundary, strict=True):
            laid = folded(laid, axis, Source(along.n, *along.span(0, along.count), boundary))
        return laid

    @property
    def circular(self) -> bool:
        """Whether the discrete Fourier transform makes it a product."""
        return self.mode == "same" and set(self.boundary) == {"wrap"}

    @property
    def mirrored(self) -> bool:
        """Whether it is the circular one of mirrored arrays: symmetric, as is what continues them.

        An array beside its mirror image along an axis is continued by "symmetric" as by "wrap".
        """
        middles = all(2 * a + 1 == n for a, n in zip(self.anchor, self.kernel.shape, strict=True))
        return (
            self.mode == "same"
            and set(self.boundary) == {"symmetric"}
            and middles
            and all(
                np.array_equal(self.kernel, np.flip(self.kernel, axis))
                for axis in range(self.kernel.ndim)
            )
        )

    def of_mirrored(self) -> Blur:
        """Return the circular operator on arrays beside their mirror images."""
        shape = tuple(n * (1 + (a in self.axes)) for a, n in enumerate(self.shape))
        return replace(self, boundary=("wrap",) * len(self.axes), shape=shape)

    @cached_property
    def spectrum(self) -> Array:
        """The factors of the circular convolution of this size: of this one, where it is circular.

        They stand along the convolved axes, with one entry along every other, as ``rfftn`` has
        them: the last convolved axis is halved.
        """
        return transfer(self, self.shape)

    @cached_property
    def repeats(self) -> Array:
        """How many frequencies of the whole spectrum each of those stands for: 1 or 2."""
        counts = np.full(self.spectrum.shape, 2.0)
        last = self.axes[-1]
        for place in (0,) if self.shape[last] % 2 else (0, -1):
            counts[tuple(place if a == last else slice(None) for a in range(counts.ndim))] = 1.0
        return counts

    @cached_property
    def small(self) -> bool:
        """Whether it is taken apart as a matrix: not circular, and of few samples."""
        outputs = math.prod(along.count for along in self.geometry)
        return not self.circular and max(self.unknowns, outputs) <= DENSE

    @property
    def unknowns(self) -> int:
        """Number of samples along the convolved axes."""
        return math.prod(self.shape[axis] for axis in self.axes)

    def matrix(self) -> Array:
        """Return the operator along the convolved axes as a matrix (outputs, samples)."""
        sizes = tuple(self.shape[axis] for axis in self.axes)
        every = np.eye(self.unknowns).reshape(self.unknowns, *sizes)
        columns = self.forth(every, axes=tuple(range(1, len(sizes) + 1)))
        return np.ascontiguousarray(columns.reshape(self.unknowns, -1).T)

    def rows(self, array: Array) -> Array:
        """Return an array as (batches, samples along the convolved axes)."""
        moved = np.moveaxis(array, self.axes, range(-len(self.axes), 0))
        length = math.prod(moved.shape[moved.ndim - len(self.axes) :])
        return moved.reshape(-1, length)

    def unrowed(self, rows: Array) -> Array:
        """Return what :meth:`rows` took apart, of the shape of what is blurred."""
        last = range(-len(self.axes), 0)
        moved = np.moveaxis(np.empty(self.shape), self.axes, last).shape
        return np.moveaxis(rows.reshape(moved), last, self.axes)


def folded(laid: Array, axis: int, source: Source) -> Array:
    """Return the adjoint of a continuation: what stands beyond the ends is added to its source."""
    laid = np.moveaxis(laid, axis, 0)
    samples = np.zeros((source.n, *laid.shape[1:]))
    samples[source.first : source.stop] = laid[source.before : source.length - source.after]
    places = source.indices()
    for n in (*range(source.before), *range(source.length - source.after, source.length)):
        if places[n] != FILL:
            samples[places[n]] += laid[n]
    return np.moveaxis(samples, 0, axis)


def transfer(blur: Blur, shape: tuple[int, ...]) -> Array:
    """Return the factors of the circular convolution of such arrays, as ``rfftn`` has them."""
    from scipy import fft

    sizes = tuple(shape[axis] for axis in blur.axes)
    impulse = np.zeros(sizes)
    impulse[(0,) * len(sizes)] = 1
    call = convolve if blur.operation == "convolve" else correlate
    response = call(impulse, blur.kernel, boundary="wrap", anchor=blur.anchor)
    return along(fft.rfftn(response), blur.axes, len(shape))


def roughness(shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """Return the squared magnitudes of circular differences along the axes, summed."""
    from scipy import fft

    total: Any = 0.0
    for axis in axes:
        calls = fft.rfftfreq if axis == axes[-1] else fft.fftfreq
        square = 4 * np.sin(np.pi * calls(shape[axis])) ** 2
        total = total + along(square, (axis,), len(shape))
    return np.asarray(total)


def along(values: Array, axes: tuple[int, ...], ndim: int) -> Array:
    """Return an array whose axes become those named, with one entry along every other."""
    ordered = np.transpose(values, np.argsort(axes))
    return np.expand_dims(ordered, [a for a in range(ndim) if a not in axes])


def differences_length(blur: Blur) -> int:
    """Return the number of pairs of neighbours along the convolved axes."""
    size = math.prod(blur.shape)
    return sum(size - size // blur.shape[axis] for axis in blur.axes)


def differences_back(blur: Blur, lines: Array) -> Array:
    """Return the adjoint of the differences of neighbours, along one axis after another."""
    total = np.zeros(blur.shape)
    first = 0
    for axis in blur.axes:
        shape = np.diff(np.broadcast_to(0, blur.shape), axis=axis).shape
        part = lines[first : first + math.prod(shape)].reshape(shape)
        first += part.size
        moved, edge = np.moveaxis(total, axis, 0), np.moveaxis(part, axis, 0)
        moved[1:] += edge
        moved[:-1] -= edge
    return total


def difference_matrix(blur: Blur) -> Array:
    """Return the differences of neighbours along the convolved axes as a matrix."""
    sizes = tuple(blur.shape[axis] for axis in blur.axes)
    every = np.eye(blur.unknowns).reshape(*sizes, blur.unknowns)
    lines = [np.diff(every, axis=n).reshape(-1, blur.unknowns) for n in range(len(sizes))]
    return np.concatenate(lines)
