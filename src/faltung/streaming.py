"""Convolution of what arrives block by block: a signal's samples, a picture's rows.

The samples are continued before the first and beyond the last one, so that what comes after sees a
sequence without ends; it is convolved by plans of its pieces, or, under a long kernel, by
partitions. Joined, the outputs are those of one call on the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from faltung import normalised, partitions
from faltung.boundary import index_map
from faltung.dtypes import Array, DType, listed, plain_array
from faltung.explain import equation
from faltung.geometry import Running
from faltung.methods import fft
from faltung.pieces import MOST, Blocks, Continued, Partitioned, partitioned, taken
from faltung.problem import SCRATCH, Options, Problem, build, check_fit

Ints = int | Sequence[int]

UNKNOWN = 1 << 40  # a length that any kernel fits


def stream(
    shape: Any,
    dtype: Any = None,
    k: Any = None,
    *,
    latency: int | None = None,
    operation: str = "convolve",
    mode: str = "same",
    boundary: str | Sequence[str] = "constant",
    fill_value: Any = 0,
    anchor: Ints | None = None,
    axes: Ints | None = None,
    stride: Ints = 1,
    dilation: Ints = 1,
    result_dtype: Any = None,
    overflow: str = "raise",
    missing: str = "propagate",
    weighted: bool = False,
    tolerance: float | None = None,
    nonnegative: bool = False,
    method: str = "auto",
    max_memory: int | None = None,
    conjugate: bool = False,
) -> Stream:
    """Convolve a signal or a picture that arrives block by block, its length unknown.

    It takes what :func:`faltung.plan` takes, with None in the shape for the axis along which the
    blocks follow one another. A plan gives a stream, too: ``plan.stream()``.

    Parameters
    ----------
    shape : None or a tuple of ints and one None
        Shape of the whole: None for a signal, ``(None, 2)`` for stereo with ``axes=0``,
        ``(None, 640, 3)`` for the rows of a colour picture with ``axes=(0, 1)``.
    dtype : dtype
        dtype of the blocks.
    k : array_like or faltung.kernels.Kernel
        The kernel.
    latency : int, optional
        The most samples that an output may be late: output ``i`` is returned at the latest when
        sample ``stride * i + latency`` was fed. Less than the equation itself asks for is an
        error. Without it nothing is waited for beyond that, or, where that is slow under a long
        kernel, up to 511 samples. More of it is faster.
    operation, mode, boundary, fill_value, anchor, axes, stride, dilation, result_dtype, overflow, \
missing, weighted, tolerance, nonnegative, method, max_memory, conjugate
        As in :func:`faltung.plan`. Pieces that a ``method`` refuses, as they are short, are
        computed by another. ``boundary="wrap"`` along the axis of the stream is an error:
        what stands before the first sample is known at the end only.

    Returns
    -------
    Stream
        ``feed`` it blocks and ``flush`` it at the end.

    Raises
    ------
    ValueError, TypeError
        As in :func:`faltung.plan`, and where the outputs cannot be computed block by block.

    References
    ----------
    Long kernels are partitioned (Gardner, 1995; Wefers, 2015).

    Examples
    --------
    >>> import faltung
    >>> s = faltung.stream(None, "int64", [1, 2, 1])
    >>> [s.feed([0, 0, 3]).tolist(), s.feed([4]).tolist(), s.feed([5, 0]).tolist()]
    [[0, 3], [10], [16, 14]]
    >>> s.flush().tolist(), s.latency
    ([5], 1)
    """
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    places = [n for n, size in enumerate(sizes) if size is None]
    if len(places) != 1:
        raise ValueError(
            f"shape={shape!r} must have one None, for the axis along which blocks follow one "
            "another: None for a signal, (None, 2) for stereo with axes=0."
        )
    axis = places[0]
    options = Options(
        mode, boundary, fill_value, anchor, axes, stride, dilation, result_dtype, overflow,
        missing, weighted, tolerance, nonnegative, method, conjugate, max_memory,
    )  # fmt: skip
    known = tuple(UNKNOWN if n == axis else size for n, size in enumerate(sizes))
    problem = build(operation, known, dtype, k, options)
    return Stream(problem, axis, latency, max_memory)


def of_plan(problem: Problem, axis: int | None, latency: int | None) -> Stream:
    """Return the stream of a plan's problem, whose length along the axis counts no more."""
    rank = len(problem.shape)
    if axis is None:
        axis = min(problem.axes)
    elif isinstance(axis, bool) or not hasattr(axis, "__index__") or not -rank <= axis < rank:
        raise ValueError(
            f"axis={axis!r} must be an axis of an input of {problem.shape}: an int from {-rank} to "
            f"{rank - 1}."
        )
    else:
        axis = axis.__index__() % rank
    usual = problem.max_memory == problem.usual_memory
    return Stream(problem, axis, latency, None if usual else problem.max_memory)


class Stream:
    """A convolution in progress: blocks go in, and outputs come out as soon as they are known.

    It is made by :func:`faltung.stream` or ``plan.stream()``. What it has returned, joined along
    the axis, is what one call on all the blocks joined would have given: to the last bit for
    integers, for floats within the bounds of the plans of its pieces, or of
    :attr:`error_bound` under a long kernel.

    Attributes
    ----------
    shape : tuple
        Shape of a block, with None for its length along the axis.
    axis : int
        The axis along which blocks follow one another.
    dtype : dtype
        Of the outputs.
    latency : int
        Output ``i`` is returned at the latest when sample ``stride * i + latency`` was fed,
        counted from 0 both.
    fed, returned : int
        How many samples went in and how many outputs came out so far.
    finished : bool
        Whether it was flushed; :meth:`reset` starts again.
    broken : bool
        Whether a feed or a flush was cut off after it had taken its samples: by an interrupt, by
        want of memory or by a result that does not fit. Its outputs are lost, so that nothing
        which came later would stand at its place: all but :meth:`reset` is refused then.
    """

    def __init__(
        self, problem: Problem, axis: int, latency: int | None, max_memory: int | None
    ) -> None:
        if axis not in problem.axes:
            raise ValueError(
                f"axis {axis} is not convolved over; blocks must follow one another along one of "
                f"the axes {problem.axes}. Along any other, call the plan for every block."
            )
        place = problem.axes.index(axis)
        if problem.boundary[place] == "wrap":
            raise ValueError(
                'boundary="wrap" continues the first sample with the last one, which a stream '
                "does not know yet; use another boundary along this axis, or convolve the whole."
            )
        self._problem, self.axis = problem, axis
        self._running = Running(problem.geometry[place], problem.boundary[place])
        self._check_latency(latency)
        inner = self._inner(problem, max_memory)
        room = None if latency is None else latency - self._running.latency
        cut = partitioned(inner, axis, room)
        self._cut = cut
        if cut is not None:
            self._wait = cut[0].size - 1
            self._engine: Blocks | Partitioned = Partitioned(inner, axis, cut)
        else:
            self._wait = min(room or 0, MOST)
            self._engine = Blocks(inner, axis, self._wait)
        self.reset()

    def _check_latency(self, latency: int | None) -> None:
        if latency is None:
            return
        least = self._running.latency
        whole = not isinstance(latency, bool) and hasattr(latency, "__index__")
        if not whole or latency.__index__() < least:
            raise ValueError(
                f"latency={latency!r} must be an int of at least {least}: so many samples after "
                "an output's place does it still depend on. Give more, or another anchor or mode."
            )

    def _inner(self, problem: Problem, max_memory: int | None) -> Problem:
        """Return the problem of a piece that covers all taps: no boundary is left in it."""
        self._maps: list[tuple[int, Array]] = []
        shape = list(problem.shape)
        for axis, along, name in zip(problem.axes, problem.geometry, problem.boundary, strict=True):
            if axis == self.axis:
                continue
            low, high = along.span(0, along.count) if along.count else (0, along.reach + 1)
            shape[axis] = high - low
            if (low, high) != (0, along.n) and along.n:
                self._maps.append((axis, index_map(np.arange(low, high), along.n, name)))
        shape[self.axis] = self._running.axis.reach + 1
        return replace(
            problem,
            shape=tuple(shape),
            mode="valid",
            boundary=("constant",) * len(problem.axes),
            fill_value=np.dtype(problem.dtype).type(0).item() if problem.dtype != "object" else 0,
            max_memory=max_memory or SCRATCH,
        )

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of a block, with None for its length."""
        return tuple(None if n == self.axis else s for n, s in enumerate(self._problem.shape))

    @property
    def dtype(self) -> DType:
        """The dtype of the outputs."""
        return self._problem.result_dtype

    @property
    def latency(self) -> int:
        """How many samples after its place an output is returned at the latest."""
        return self._running.latency + self._wait

    @property
    def method(self) -> str:
        """What computes: "partitions", or "plans" of the pieces."""
        return self._engine.name

    @property
    def memory(self) -> int:
        """About how many bytes are held between two blocks, whatever was fed.

        Plans of pieces hold up to 32 MB besides, under long kernels.
        """
        item = np.dtype(self._problem.dtype).itemsize
        beside = math.prod(n for axis, n in enumerate(self._problem.shape) if axis != self.axis)
        ends = (self._running.kept + self._running.needed) * beside * item
        return ends * (2 if self._problem.weighted else 1) + self._engine.memory

    @property
    def error_bound(self) -> float | None:
        """The factor of ``norm(k) * norm(x)`` that bounds each error, of partitions; else None.

        ``norm(x)`` is that of all the samples in the frames of the transforms: those that the taps
        reach, and up to two of the longest partitions (at most 65,536 samples) before them. So a
        loud sample may be heard as noise for that long after the taps have left it. Pieces computed
        by plans have each the bound of its plan.
        """
        if self._cut is None:
            return None
        eps, result = fft.eps_of(self._problem), self.dtype
        last = float(np.finfo(result).eps) if result.kind in "fc" else 0.0
        parts = 2 if np.dtype(self._problem.arithmetic.accumulator).kind == "c" else 1
        return parts * partitions.error_bound(self._cut, eps) + last

    def reset(self) -> None:
        """Forget what was fed, and start again."""
        self.broken = True
        problem = self._problem
        self.fed = self.returned = 0
        self.finished = False
        fill = np.asarray(problem.fill_value, problem.dtype)
        self._samples = Continued(self._running, self.axis, fill)
        self._weights: Continued | None = None
        if problem.weighted:
            weight = 0.0 if normalised.missing_fill(problem) else 1.0
            self._weights = Continued(self._running, self.axis, np.asarray(weight))
        self._engine.reset()
        if not self._void:
            begun = [
                None if each is None else each.begin(self._laid_shape)
                for each in (self._samples, self._weights)
            ]
            if begun[0] is not None:
                self._engine.feed(begun[0], begun[1])
        self.broken = False

    @property
    def _void(self) -> bool:
        """Whether there is nothing beside the axis."""
        return 0 in (*self._block_shape(1), *self._result_shape(1))

    def feed(self, block: Any, *, weights: Any = None) -> Array:
        """Take the next block, of any length, and return the outputs that are ready.

        Parameters
        ----------
        block : array_like
            Of :attr:`shape`, as long as wished along the axis, also empty.
        weights : array_like, optional
            Weight of each sample, 0 or from 1e-18 to 1e18, where the stream was made with
            ``weighted=True``.

        Returns
        -------
        ndarray
            The outputs that came to be known; possibly none.

        Raises
        ------
        ValueError, TypeError
            Where the block or its weights are not what was planned, or the stream is finished or
            broken; then nothing is taken.
        OverflowError
            Where a result does not fit; the stream is broken then.
        """
        self._check_open()
        block = self._checked(block)
        w = self._checked_weights(weights, block)
        if self._problem.nonnegative and block.size and not block.min() >= 0:
            raise ValueError("nonnegative=True needs an input without negative samples or NaN.")
        self.broken = True  # whatever cuts this off, until the last line
        found = None if self._void else self._fed(block, w)
        outputs = np.empty(self._result_shape(0), self.dtype) if found is None else found
        self.fed += block.shape[self.axis]
        self.returned += outputs.shape[self.axis]
        self.broken = False
        return outputs

    def _fed(self, block: Array, w: Array | None) -> Array | None:
        """Take samples and their weights."""
        source = self._samples.feed(self._laid(block, self._problem.fill_value))
        weighing = None
        if w is not None and self._weights is not None:
            weighing = self._weights.feed(self._laid(w, self._weights.fill))
        return self._engine.feed(source, weighing)

    def flush(self) -> Array:
        """Return the outputs that are left, after the last block; the stream is finished then.

        Returns
        -------
        ndarray

        Raises
        ------
        ValueError
            Where ``mode="valid"`` met fewer samples than the kernel needs (more may be fed then),
            or the stream is finished or broken.
        OverflowError
            As of :meth:`feed`.
        """
        self._check_open()
        shape = list(self._problem.shape)
        shape[self.axis] = self.fed
        check_fit(replace(self._problem, shape=tuple(shape)))
        self.broken = True
        count, stop = self._running.ended(self.fed)
        void = self._void or not count
        found = None if void else self._ended(stop)
        outputs = np.empty(self._result_shape(count * void), self.dtype) if found is None else found
        self.returned += outputs.shape[self.axis]
        self.finished = True
        self.broken = False
        return outputs

    def _ended(self, stop: int) -> Array | None:
        """Give what lies beyond the last sample."""
        source = self._samples.end(stop, self._laid_shape)
        weighing = self._weights.end(stop, self._laid_shape) if self._weights else None
        return self._engine.finish(source, weighing)

    def _check_open(self) -> None:
        """Raise where nothing can be fed any more."""
        if self.broken:
            raise ValueError(
                "this stream is broken: an error or an interrupt cut off a feed, whose outputs are "
                f"lost; {self.fed} samples gave {self.returned} outputs before. reset() starts a "
                "new one."
            )
        if self.finished:
            raise ValueError("this stream is finished: it was flushed; reset() starts a new one.")

    @cached_property
    def _laid_shape(self) -> tuple[int, ...]:
        """Shape of a block without samples, with the boundary laid around its other axes."""
        return self._laid(np.empty(self._block_shape(0), self._problem.dtype), 0).shape

    def _block_shape(self, length: int) -> tuple[int, ...]:
        return tuple(length if n is None else n for n in self.shape)

    def _result_shape(self, length: int) -> tuple[int, ...]:
        sizes = enumerate(self._problem.result_shape)
        return tuple(length if axis == self.axis else n for axis, n in sizes)

    def _checked(self, block: Any) -> Array:
        """Return a block as an array, or raise."""
        problem = self._problem
        array = isinstance(block, np.ndarray)
        block = (
            plain_array(block, "the block") if array else listed(block, problem.dtype, "the block")
        )
        if block.shape == (0,) and not array:  # an empty list has no other axes
            block = np.empty(self._block_shape(0), problem.dtype)
        length = block.shape[self.axis] if block.ndim == len(problem.shape) else -1
        if block.shape != self._block_shape(length) or (
            block.dtype.newbyteorder("=") != problem.dtype
        ):
            text = ", ".join("any" if n is None else str(n) for n in self.shape)
            raise ValueError(
                f"this stream takes blocks of {problem.dtype} ({text}); got {block.dtype} "
                f"{block.shape}. Convert the block, or make a stream for it."
            )
        checked: Array = block
        return checked

    def _checked_weights(self, weights: Any, block: Array) -> Array | None:
        if (weights is not None) != self._problem.weighted:
            raise ValueError(
                "weights go with every block of a stream made with weighted=True, and with no "
                f"other; this one was made with weighted={self._problem.weighted}."
            )
        if weights is None:
            return None
        w = plain_array(weights, "weights")
        try:
            if w.dtype.kind not in "biuf":
                raise TypeError
            laid = np.broadcast_to(w.astype(np.float64), block.shape)
        except (ValueError, TypeError):
            raise ValueError(
                f"weights of shape {w.shape} and dtype {w.dtype} do not go with a block of shape "
                f"{block.shape}; give one real weight per sample."
            ) from None
        # each of them: any samples that follow one another may be a piece of their own
        low, high = 1 / normalised.MOST, normalised.MOST
        if not ((laid == 0) | ((laid >= low) & (laid <= high))).all():
            raise ValueError(
                f"weights of a stream must be 0, for a missing sample, or lie between {low:g} and "
                f"{high:g}; nothing of this block was taken."
            )
        return laid

    def _laid(self, block: Array, fill: Any) -> Array:
        """Lay the boundary around the axes other than the running one."""
        for axis, indices in self._maps:
            block = taken(block, axis, indices, fill)
        return block

    def explain(self) -> str:
        """Return the equation, what computes it, how late outputs are and what is held, as text.

        Examples
        --------
        >>> import faltung
        >>> s = faltung.stream(None, "int64", [1, 2, 1], mode="full")
        >>> print(s.explain())  # doctest: +ELLIPSIS
        Stream convolve int64 any with 3, full -> int64
          y[i] = sum_j k[j] x[i - j]
          method    plans of the pieces: ... for 1 output
          latency   0: output i is given when sample i was fed at the latest
          memory    about 24 bytes, whatever is fed
          error     none: integers are exact
        """
        step = self._running.axis.stride
        late = f"{step}*i" if step > 1 else "i"
        due = f"{late} + {self.latency}" if self.latency else late
        waits = f", {self._wait} of them waited for as that is faster" if self._wait else ""
        bound = self.error_bound
        error = "that of each piece's plan" if bound is None else (
            f"|error| <= {bound:.2g} norm(k) norm(x), over the samples in the frames"
        )  # fmt: skip
        if self._problem.arithmetic.exact:
            error = "none: integers are exact"
        facts = {
            "method": self._engine.described(),
            "latency": f"{self.latency}: output i is given when sample {due} was fed at the latest"
            + waits,
            "memory": f"about {self.memory:,} bytes, whatever is fed",
            "error": error,
        }
        lines = [f"Stream {self._named()} -> {self.dtype}", f"  {equation(self._problem)}"]
        return "\n".join(lines + [f"  {name:<9} {text}" for name, text in facts.items()])

    def _named(self) -> str:
        sizes = "x".join("any" if n is None else str(n) for n in self.shape)
        problem = self._problem
        taps = "x".join(map(str, problem.taps.shape))
        return f"{problem.operation} {problem.dtype} {sizes} with {taps}, {problem.mode}"

    def __repr__(self) -> str:
        return (
            f"<Stream {self._named()}; {self.method}, latency {self.latency}, "
            f"{self.memory:,} bytes>"
        )
