"""Correlation by products of spectra, transform, product and transform back fused in a tile.

Two tiles of real samples make one of complex numbers, as a real kernel leaves the two apart. A
tile of ``n`` by ``n`` samples is transformed down its columns and then, exchanged in blocks of
registers, along its rows; the way back is the same in reverse. The spectrum stays in the order
of its digits (Gentleman and Sande, 1966, forth; Cooley and Tukey, 1965, back), in which the
kernel's is given, so that nothing is ever put in order.

A ``line`` is a tile of ``n * n`` samples in a row: the columns' spectra are turned by what joins
two short transforms into a long one (Cooley and Tukey, 1965). In a ``solid`` the kernel has a third
axis, along which products of spectra are summed up; the last ``DEEP`` of them are kept. The forms
with a ``c`` take complex numbers where they lie: their parts stand for the two tiles of a pair.

What the tile's columns sum up to in magnitude comes out as well: it tells the caller of tiles whose
greatest samples would drown what the others give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import halide as hl

from pipelines.levels import Level
from pipelines.types import HALIDE_TYPES, Variant

# The factors of a transform, the first one's digit the slowest: each is a pass over the registers.
RADICES = {64: (8, 8), 128: (8, 16), 256: (4, 8, 8)}


DEEP = 16

LEVELS = ("avx512", "avx2")  # without fused multiply-adds other transforms are as fast


@dataclass(frozen=True)
class Fused(Variant):
    """A compiled instance: its types, what tiles are cut from, and their side."""

    form: str
    side: int

    @property
    def name(self) -> str:
        """The symbol, but for family and level."""
        return f"{super().name}_{self.form}{self.side}"


SIDES = {
    "plane": tuple(RADICES),
    "line": tuple(RADICES),
    "solid": (64,),
    "cplane": (64, 128),
    "cline": (64, 128, 256),
}
VARIANTS = tuple(
    Fused(kind, kind, kind, form, side)
    for kind in ("float32", "float64")
    for form, sides in SIDES.items()
    for side in sides
)

Pair = tuple[hl.Expr, hl.Expr]
"""A complex number: real and imaginary part."""

Reader = Callable[[hl.Expr], Pair]
"""Gives a column's element at a position."""


def pair_of(value: hl.FuncRef) -> Pair:
    """Return the two parts of a complex Func's element."""
    return hl.Expr(value[0]), hl.Expr(value[1])


def product(a: Pair, b: Pair) -> Pair:
    """Multiply."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def conjugate(a: Pair) -> Pair:
    """Return the conjugate."""
    return a[0], -a[1]


def dft(values: Sequence[Pair], sign: int) -> list[Pair]:
    """Transform with ``exp(sign * 2 pi i j q / n)``, split into even and odd elements."""
    n = len(values)
    if n == 1:
        return list(values)
    kind = values[0][0].type()
    even, odd = dft(values[::2], sign), dft(values[1::2], sign)
    low, high = [], []
    for q, (e, o) in enumerate(zip(even, odd, strict=True)):
        if 4 * q == n:  # o times the sign and i
            turned = (-sign * 1.0, o[1]), (sign * 1.0, o[0])
        elif q == 0:
            turned = (1.0, o[0]), (1.0, o[1])
        elif 8 * q in (n, 3 * n):
            root = hl.cast(kind, hl.f64(math.sqrt(0.5)))
            less, more = (o[0] - o[1]) * root, (o[0] + o[1]) * root
            if sign > 0:
                turned = ((1.0, less), (1.0, more)) if 8 * q == n else ((-1.0, more), (1.0, less))
            else:
                turned = ((1.0, more), (-1.0, less)) if 8 * q == n else ((-1.0, less), (-1.0, more))
        else:
            angle = 2 * math.pi * q / n
            c = hl.cast(kind, hl.f64(math.cos(angle)))
            s = hl.cast(kind, hl.f64(sign * math.sin(angle)))
            re, im = product(o, (c, s))
            turned = (1.0, re), (1.0, im)
        # signs become additions and subtractions, not products
        plus = tuple(a + t if s > 0 else a - t for a, (s, t) in zip(e, turned, strict=True))
        minus = tuple(a - t if s > 0 else a + t for a, (s, t) in zip(e, turned, strict=True))
        low.append(plus)
        high.append(minus)
    return low + high


@dataclass
class Pass:
    """One factor of a transform: the butterflies, and where their results go."""

    butterfly: hl.Func
    result: hl.Func
    inner: list[hl.Var]  # the loops around the butterfly, innermost first, and their lengths
    lengths: list[int]
    digit: hl.Var
    radix: int


class Transform:
    """A transform of columns, ``v`` numbering a register's; ``outer`` are what else they depend on.

    ``sign`` -1 goes forth, from the order of positions to that of digits, +1 back.
    """

    def __init__(
        self,
        name: str,
        n: int,
        sign: int,
        load: Reader,
        roots: hl.ImageParam,
        v: hl.Var,
        outer: Sequence[hl.Var],
    ) -> None:
        self.name, self.n, self.v, self.outer = name, n, v, tuple(outer)
        self.radices, self.roots = RADICES[n], roots
        self.passes: list[Pass] = []
        (self._forth if sign < 0 else self._back)(load)

    def root(self, index: hl.Expr, step: int) -> Pair:
        """Return exp(-2 pi i index step / n)."""
        return self.roots[index * step, 0], self.roots[index * step, 1]

    def _add(
        self, values: list[Pair], inner: list[hl.Var], lengths: list[int], digit: int, radix: int
    ) -> hl.Func:
        """Append a pass; ``digit`` is where the new digit stands among the result's arguments."""
        number = len(self.passes)
        butterfly = hl.Func(f"{self.name}_butterfly{number}")
        result = hl.Func(f"{self.name}_pass{number}")
        new = hl.Var(f"{self.name}_digit{number}")
        arguments = (self.v, *inner, *self.outer)
        butterfly[arguments] = hl.Tuple([part for value in values for part in value])
        made = butterfly[arguments]
        placed = (self.v, *inner[:digit], new, *inner[digit:], *self.outer)
        result[placed] = hl.Tuple(
            [hl.mux(new, [made[2 * q + part] for q in range(radix)]) for part in (0, 1)]
        )
        self.passes.append(Pass(butterfly, result, inner, lengths, new, radix))
        return result

    def _forth(self, load: Reader) -> None:
        i, length, digits = hl.Var(f"{self.name}_i"), self.n, list[hl.Var]()
        lengths: list[int] = []
        source: hl.Func | None = None
        for radix in self.radices:
            step, length = self.n // length, length // radix
            values = []
            for j in range(radix):
                at = i + j * length
                if source is None:
                    values.append(load(at))
                else:
                    values.append(pair_of(source[(self.v, at, *digits, *self.outer)]))
            values = dft(values, -1)
            if length > 1:
                turned = [product(values[q], self.root(i, q * step)) for q in range(1, radix)]
                values = [values[0], *turned]
            source = self._add(values, [i, *digits], [length, *lengths], 1, radix)
            digits, lengths = [self.passes[-1].digit, *digits], [radix, *lengths]

    def _back(self, load: Reader) -> None:
        rest = [hl.Var(f"{self.name}_d{k}") for k in range(len(self.radices))]
        done: list[tuple[hl.Var, int]] = []
        source: hl.Func | None = None
        length = 1
        for k in reversed(range(len(self.radices))):
            radix, left = self.radices[k], rest[:k]
            values = []
            for j in range(radix):
                if source is None:
                    at, size = hl.Expr(j), self.n
                    for digit, r in zip(left, self.radices, strict=False):
                        size //= r
                        at = at + digit * size
                    values.append(load(at))
                else:
                    arguments = (self.v, *(q for q, _ in done), j, *left[::-1], *self.outer)
                    values.append(pair_of(source[arguments]))
            if length > 1:
                index, size = hl.Expr(0), 1
                for digit, r in done:
                    index, size = index + digit * size, size * r
                step = self.n // (length * radix)
                turned = [
                    product(values[j], conjugate(self.root(index, j * step)))
                    for j in range(1, radix)
                ]
                values = [values[0], *turned]
            inner = [*(q for q, _ in done), *left[::-1]]
            lengths = [*(r for _, r in done), *reversed(self.radices[:k])]
            source = self._add(dft(values, 1), inner, lengths, len(done), radix)
            done.append((self.passes[-1].digit, radix))
            length *= radix

    def __call__(self, v: hl.Expr, position: hl.Expr, outer: Sequence[hl.Expr]) -> Pair:
        """Read the result at a position in memory: digits in order, or samples in order."""
        last = self.passes[-1]
        index, step = list[hl.Expr](), 1
        lengths = [*last.lengths]
        lengths.insert(self._place(), last.radix)
        for length in lengths:
            full = step * length == self.n
            index.append(position // step if full else (position // step) % length)
            step *= length
        return pair_of(last.result[(v, *index, *outer)])

    def _place(self) -> int:
        """Where the last pass's digit stands among its inner arguments."""
        arguments = [argument.name() for argument in self.passes[-1].result.args()]
        return arguments.index(self.passes[-1].digit.name()) - 1

    def schedule(self, consumer: hl.Func, at: hl.Var, lanes: int) -> None:
        """Compute all passes in the first cache, where a strip of the consumer needs them."""
        for made in self.passes:
            result, butterfly = made.result, made.butterfly
            result.compute_at(consumer, at).store_in(hl.MemoryType.Stack)
            result.bound(self.v, 0, lanes).bound(made.digit, 0, made.radix)
            for var, length in zip(made.inner, made.lengths, strict=True):
                result.bound(var, 0, length)
            result.reorder(self.v, made.digit, *made.inner).vectorize(self.v).unroll(made.digit)
            butterfly.compute_at(result, made.inner[0]).store_in(hl.MemoryType.Stack)
            butterfly.vectorize(self.v)


def build(variant: Fused, level: Level) -> tuple[hl.Pipeline, list[hl.Argument]]:
    """Return the outputs and their arguments, scheduled for one instruction set level."""
    kind, n = HALIDE_TYPES[variant.input], variant.side
    form, unit = variant.form.removeprefix("c"), 2 if variant.form.startswith("c") else 1
    lanes = level.vector_bits // kind.bits()
    x, y, half, p, q, z = (hl.Var(name) for name in ("x", "y", "half", "p", "q", "z"))
    v, strip = hl.Var("v"), hl.Var("strip")
    # a window's columns, its rows, which of a pair's windows, two axes of pairs, and planes
    inp = hl.ImageParam(kind, 6, "input")
    spectrum = hl.ImageParam(kind, 5, "spectrum")  # lane, column, strip of rows, part, plane
    roots = hl.ImageParam(kind, 2, "roots")
    turns = hl.ImageParam(kind, 4, "turns")
    tasks = hl.Param(hl.Int(32), "tasks")
    chunk = hl.Param(hl.Int(32), "chunk")  # planes that one task goes through
    place = (p, q, z)

    # ---- the algorithm -------------------------------------------------------------------
    def turned(value: Pair, v: hl.Expr, x: hl.Expr, strip: hl.Expr, sign: int) -> Pair:
        if form != "line":
            return value
        turn = turns[v, x, strip, 0], turns[v, x, strip, 1]
        return product(value, turn if sign < 0 else conjugate(turn))

    def samples(y: hl.Expr) -> Pair:
        at = strip * lanes + v
        return inp[at, y, 0, p, q, z], inp[at, y, 1, p, q, z]

    down = Transform("down", n, -1, samples, roots, v, (strip, *place))
    columns = hl.Func("columns")  # of spectra: v numbers their frequencies now
    columns[(v, x, strip, *place)] = hl.Tuple(
        list(down(x % lanes, strip * lanes + v, (x // lanes, *place)))
    )

    def spectra(x: hl.Expr) -> Pair:
        return turned(pair_of(columns[(v, x, strip, *place)]), v, x, strip, -1)

    along = Transform("along", n, -1, spectra, roots, v, (strip, *place))

    def taps(x: hl.Expr, plane: hl.Expr) -> Pair:
        return spectrum[v, x, strip, 0, plane], spectrum[v, x, strip, 1, plane]

    planes = hl.RDom([(0, spectrum.dim(4).extent())], "planes")
    forth, sums = hl.Func("forth"), hl.Func("sums")
    forth[(v, x, strip, *place)] = hl.Tuple(list(along(v, x, (strip, *place))))
    sums[(v, x, strip, *place)] = hl.Tuple([hl.cast(kind, 0), hl.cast(kind, 0)])
    term = product(pair_of(forth[v, x, strip, p, q, z + planes]), taps(x, hl.Expr(planes)))
    summed = pair_of(sums[(v, x, strip, *place)])
    sums[(v, x, strip, *place)] = hl.Tuple([summed[0] + term[0], summed[1] + term[1]])

    def products(x: hl.Expr) -> Pair:
        if form == "solid":
            return pair_of(sums[(v, x, strip, *place)])
        return product(along(v, x, (strip, *place)), taps(x, hl.Expr(0)))

    back = Transform("back", n, 1, products, roots, v, (strip, *place))
    joined, rows = hl.Func("joined"), hl.Func("rows")
    joined[(v, x, strip, *place)] = hl.Tuple(
        list(turned(back(v, x, (strip, *place)), v, x, strip, 1))
    )
    at = (y % lanes, strip * lanes + v, y // lanes, *place)  # the roles exchanged again
    rows[(v, y, strip, *place)] = hl.Tuple(list(pair_of(joined[at])))

    def lines(y: hl.Expr) -> Pair:
        return pair_of(rows[(v, y, strip, *place)])

    up = Transform("up", n, 1, lines, roots, v, (strip, *place))
    out, magnitude, sizes = hl.Func("fused"), hl.Func("magnitude"), hl.Func("sizes")
    out[(x, y, half, *place)] = hl.mux(half, list(up(x % lanes, y, (x // lanes, *place))))
    every = hl.RDom([(0, n), (0, inp.dim(5).extent())], "every")
    magnitude[x, half, p, q] = hl.cast(kind, 0)
    magnitude[x, half, p, q] += hl.abs(inp[x, every[0], half, p, q, every[1]])
    sizes[x, half, p, q] = magnitude[x, half, p, q]

    # ---- the schedule --------------------------------------------------------------------
    result, told = out.output_buffer(), sizes.output_buffer()
    for buffer in (inp, spectrum, roots, turns, result, told):
        buffer.dim(0).set_stride(1)
        for axis in range(buffer.dimensions()):
            buffer.dim(axis).set_min(0)
    for buffer in (inp, result) if unit == 2 else ():
        buffer.dim(0).set_stride(unit)
        buffer.dim(2).set_stride(1)
    inp.dim(0).set_extent(n)
    inp.dim(1).set_extent(n)
    told.dim(0).set_extent(n)
    for buffer in (spectrum, turns):
        buffer.dim(0).set_extent(lanes)
        buffer.dim(1).set_extent(n).set_stride(lanes)
        buffer.dim(2).set_extent(n // lanes).set_stride(n * lanes)
        buffer.dim(3).set_extent(2).set_stride(n * n)
    spectrum.dim(4).set_stride(2 * n * n)
    roots.dim(0).set_extent(n)
    roots.dim(1).set_extent(2).set_stride(n)
    if form != "solid":
        for buffer, axis in ((inp, 5), (result, 5), (spectrum, 4)):
            buffer.dim(axis).set_extent(1)

    xo, xi, yo, yi = (hl.Var(name) for name in ("xo", "xi", "yo", "yi"))
    pair, task, zo = hl.Var("pair"), hl.Var("task"), hl.Var("zo")
    pairs = inp.dim(3).extent() * inp.dim(4).extent()
    per_task = hl.max((pairs + tasks - 1) // tasks, 1)
    tail = hl.TailStrategy.GuardWithIf
    out.bound(half, 0, 2).split(x, xo, xi, lanes, tail)
    out.reorder(xi, half, y, xo, z, p, q).vectorize(xi).unroll(half)
    sizes.bound(half, 0, 2).split(x, xo, xi, lanes).reorder(xi, half, xo, p, q).vectorize(xi)
    if form == "solid":  # few pairs, many planes: the first of a task's are transformed again
        out.split(z, zo, z, chunk, tail).fuse(p, q, pair).fuse(zo, pair, pair).parallel(pair)
        sizes.fuse(p, q, pair).parallel(pair)
    else:
        for output in (out, sizes):
            output.fuse(p, q, pair).split(pair, task, pair, per_task, tail).parallel(task)
        sizes.compute_with(out, pair)
    magnitude.compute_at(sizes, xo).store_in(hl.MemoryType.Stack)
    magnitude.vectorize(x, lanes).unroll(half).update().reorder(x, half, every[0], every[1])
    magnitude.update().vectorize(x, lanes).unroll(half)

    if form == "solid":
        forth.store_at(out, pair).compute_at(out, z).fold_storage(z, DEEP)
        forth.bound(x, 0, n).bound(v, 0, lanes).bound(strip, 0, n // lanes)
        forth.reorder(v, x, strip, z).vectorize(v)
        along.schedule(forth, strip, lanes)
        sums.compute_at(rows, yo).store_in(hl.MemoryType.Stack).bound(x, 0, n).bound(v, 0, lanes)
        sums.vectorize(v).update().reorder(v, planes, x).vectorize(v)
    else:
        along.schedule(rows, yo, lanes)
    if form == "line":
        joined.compute_at(rows, yo).store_in(hl.MemoryType.Stack)
        joined.bound(x, 0, n).bound(v, 0, lanes).vectorize(v)
    columns.compute_at(*((forth, z) if form == "solid" else (out, z)))
    rows.compute_at(out, z)
    for exchanged, transform, var in ((columns, down, x), (rows, back, y)):
        exchanged.bound(var, 0, n).bound(v, 0, lanes)
        exchanged.split(var, yo, yi, lanes).reorder(v, yi, strip, yo)
        exchanged.vectorize(v).vectorize(yi)
        transform.schedule(exchanged, yo, lanes)
    columns.bound(strip, 0, n // lanes)
    up.schedule(out, xo, lanes)
    constants: list[hl.Argument] = [inp, spectrum, roots, *([turns] if form == "line" else [])]
    return hl.Pipeline([out, sizes]), [*constants, *([chunk] if form == "solid" else []), tasks]
