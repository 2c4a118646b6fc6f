"""The cases: the same work for faltung and for every peer that is installed.

Each case makes its arrays when it is run. All contenders include the borders and return a new
array. A case's target is the ratio of the best peer's time to ours.
"""

from cases import dense, lines, pictures, small, smooth, volumes
from cases.common import Case, Work, peer

CASES: tuple[Case, ...] = (
    *dense.CASES,
    *smooth.CASES,
    *pictures.CASES,
    *lines.CASES,
    *volumes.CASES,
    *small.CASES,
)

__all__ = ["CASES", "Case", "Work", "peer"]
