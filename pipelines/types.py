"""The types that pipelines are compiled for, and how a sum becomes a result."""

from __future__ import annotations

from dataclasses import dataclass

import halide as hl

from pipelines.levels import Level


@dataclass(frozen=True)
class Variant:
    """One compiled instance: the types of the input, of the sums and of the output."""

    input: str
    accumulator: str
    output: str

    @property
    def name(self) -> str:
        """The symbol, but for family and level."""
        return f"{self.input}_{self.accumulator}_{self.output}"


HALIDE_TYPES = {
    "uint8": hl.UInt(8),
    "uint16": hl.UInt(16),
    "uint32": hl.UInt(32),
    "int16": hl.Int(16),
    "int32": hl.Int(32),
    "int64": hl.Int(64),
    "float32": hl.Float(32),
    "float64": hl.Float(64),
}


def converted(value: hl.Expr, t_acc: hl.Type, t_out: hl.Type) -> hl.Expr:
    """Give a sum the output's type: rounded half to even and saturated where it is narrower."""
    if t_acc.is_float() and t_out.is_uint():
        # From 2**23 or 2**52 on floats are 1 apart: the addition rounds, and the low bits are the
        # integer.
        top, unit = float(2 ** t_out.bits() - 1), 2.0 ** (23 if t_acc.bits() == 32 else 52)
        shifted = hl.clamp(value, hl.cast(t_acc, 0), hl.cast(t_acc, top)) + hl.cast(t_acc, unit)
        return hl.cast(t_out, hl.reinterpret(hl.Int(t_acc.bits()), shifted))
    return hl.saturating_cast(t_out, value)


def in_order(total: hl.Expr, level: Level) -> hl.Expr:
    """Return a sum that is not to be reordered.

    Where multiplication and addition are apart, LLVM else puts the terms of unrolled sums in an
    order that depends on the row of the register tile, and the bits on how the tiles lie.
    """
    return total if "fma" in level.features else hl.strict_float(total)
