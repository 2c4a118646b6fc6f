"""What every layer of a network is: its options, its parameters, and its two ways."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from faltung.checking import flag, number, whole
from faltung.dtypes import Array
from faltung.windows import Window

Shape = tuple[int, ...]
KINDS: dict[str, type[Layer]] = {}  # by name, for files


@dataclass(frozen=True)
class Mode:
    """Whether a network learns, and the seed of what is drawn on the way (dropout)."""

    training: bool = False
    seed: tuple[int, ...] = (0,)


INFERENCE = Mode()


@dataclass(frozen=True)
class Weight:
    """A parameter before it is drawn: its shape, and how its numbers are drawn.

    Attributes
    ----------
    shape : tuple of int
    initial : str
        ``"he"`` or ``"glorot"`` normal draws, ``"zeros"`` or ``"ones"``.
    fans : (int, int)
        How many inputs an output sums, and how many outputs an input goes to.
    """

    shape: Shape
    initial: str = "zeros"
    fans: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.initial not in INITIAL:
            raise ValueError(f"initial={self.initial!r} is unknown; use {', '.join(INITIAL)}.")

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
        """Return the numbers: He et al. (2015) and Glorot and Bengio (2010), normal.

        >>> import numpy as np
        >>> w = Weight((400, 100), "he", (100, 400)).draw(np.random.default_rng(0), np.dtype("f8"))
        >>> round(float(w.std() / np.sqrt(2 / 100)), 2)
        1.0
        """
        if self.initial in ("zeros", "ones"):
            return np.full(self.shape, self.initial == "ones", dtype)
        into, out = self.fans
        variance = 2 / into if self.initial == "he" else 2 / (into + out)
        # drawn in float32 whatever the dtype: the same network in both
        drawn = rng.standard_normal(self.shape, np.float32)
        return np.asarray(drawn * math.sqrt(variance), dtype)


INITIAL = ("he", "glorot", "zeros", "ones")


class Layer:
    """One layer: its fields are its options, its parameters are drawn when a network has it.

    Subclasses are dataclasses and state :meth:`output_shape`, :meth:`weights` where they have any,
    :meth:`forward` and :meth:`backward`. Shapes are those of one image, without the batch.

    Attributes
    ----------
    parameters, gradients : dict of arrays
        What is learnt, by name, and after :meth:`backward` the loss's gradient of each.
    state : dict of arrays
        What is kept and not learnt: running moments.
    relu, gate : bool
        Set by a network where the relu behind is done in the same pass, and where the way back of
        the relu before is.
    rules : dict of str
        Of options that are numbers, what these must be, as in :mod:`faltung.checking`.
    fused : bool
        Set by a network where a batch norm pools, too, while training: of it and of the pooling.
    """

    rules: ClassVar[dict[str, str]] = {}
    takes_relu: ClassVar[bool] = False  # whether a relu behind it costs nothing
    takes_gate: ClassVar[bool] = False  # whether the way back of one before it does
    recordable: ClassVar[bool] = False  # whether it does all by :mod:`faltung.layers.recording`
    joins: ClassVar[bool] = False  # whether it takes several inputs

    def __init_subclass__(cls) -> None:
        KINDS[cls.__name__] = cls
        cls.recordable = cls.__dict__.get("recordable", False)  # not of what it derives from

    def __post_init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.state: dict[str, Array] = {}
        self.relu = self.gate = self.fused = False
        self._kept: Any = None

    def check(self) -> None:
        """Raise ValueError where an option is not of its kind.

        >>> from faltung import nn
        >>> nn.Dense("10").check()
        Traceback (most recent call last):
        ValueError: outputs='10' must be an int.
        """
        for each in fields(self):  # type: ignore[arg-type]
            name, value = each.name, getattr(self, each.name)
            kind = getattr(each.type, "__name__", each.type)
            if kind == "bool":
                flag(name, value)
            elif kind == "int":
                whole(name, value)
            elif kind == "float":
                number(name, value, self.rules.get(name, "a number"))

    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the output's shape for one image, or raise ValueError where it does not fit."""
        return shapes[0]

    def weights(self, shape: Shape) -> dict[str, Weight]:
        """Return the parameters that an input of this shape asks for."""
        return {}

    def states(self, shape: Shape) -> dict[str, Weight]:
        """Return what is kept and not learnt."""
        return {}

    def forward(self, x: Array, mode: Mode = INFERENCE) -> Array:
        """Return the output; while training keep what the way back needs."""
        raise NotImplementedError

    def backward(self, dy: Array, wanted: bool = True) -> Array | None:
        """Set the parameters' gradients and return the input's, where it is wanted."""
        raise NotImplementedError

    def wants_all(self, shape: Shape, images: int, dtype: np.dtype[Any]) -> bool:
        """Whether a batch must not be cut into parts, or is slower in parts."""
        return False

    def multiply_adds(self, shape: Shape) -> int:
        """Return how many multiplications one image costs, of those that are summed."""
        return 0

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """Return the windows that outputs see, along each axis of space; none where it is 1."""
        return ()

    def draw(self, shape: Shape, seed: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Draw the parameters for an input of this shape."""
        rng = np.random.default_rng(seed)
        wanted = self.weights(shape)
        self.parameters = {name: weight.draw(rng, dtype) for name, weight in wanted.items()}
        self.state = {k: w.draw(rng, np.dtype("f8")) for k, w in self.states(shape).items()}

    def options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults: what a file keeps.

        >>> from faltung import nn
        >>> nn.Conv(6, 5, padding=2).options()
        {'outputs': 6, 'size': 5, 'padding': 2}
        """
        found = {f.name: (getattr(self, f.name), f.default) for f in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, (value, default) in found.items() if value != default}

    def keep(self, mode: Mode, kept: Any) -> None:
        """Keep something for the way back, while training."""
        self._kept = kept if mode.training else None

    def kept(self) -> Any:
        """Return what was kept, once."""
        kept, self._kept = self._kept, None
        if kept is None:
            kind = type(self).__name__
            raise ValueError(f"{kind}.backward needs a forward pass with training=True before it.")
        return kept
