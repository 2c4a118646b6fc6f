"""The instruction set levels that every pipeline is compiled for, best first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """A Halide target and the width of its vectors.

    ``features`` names what the running machine must offer; the loader asks Halide's runtime.
    """

    name: str
    features: tuple[str, ...]
    vector_bits: int

    @property
    def target(self) -> str:
        """Halide's name for the target."""
        return "-".join(("x86-64-linux", *self.features, "no_runtime"))


LEVELS = (
    Level(
        "avx512",
        ("sse41", "avx", "f16c", "fma", "avx2", "avx512", "avx512_skylake"),
        512,
    ),
    Level("avx2", ("sse41", "avx", "f16c", "fma", "avx2"), 256),
    Level("baseline", (), 128),
)

# A kernel's rows go in chunks of so many, unrolled, so that each input row that is loaded serves
# every output row of the register tile that needs it: unaligned loads, not multiply-adds, are what
# limits the plain form.
CHUNK = 4

RUNTIME_TARGET = "x86-64-linux"
