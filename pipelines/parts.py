"""Families of which each pipeline is a part of one job, on one dtype."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One compiled instance: the dtype, and what of the job."""

    dtype: str
    part: str

    @property
    def name(self) -> str:
        """The symbol, but for family and level."""
        return f"{self.dtype}_{self.part}_{self.dtype}"
