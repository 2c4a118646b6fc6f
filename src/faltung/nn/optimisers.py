"""Gradient descent and its schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.checking import flag, number
from faltung.dtypes import Array

Arrays = dict[str, Array]


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum (Polyak, 1964; Nesterov's form where asked for).

    ``v = momentum * v + g + decay * w`` and ``w = w - rate * v``; ``decay`` leaves biases, gains
    and shifts alone.

    Examples
    --------
    >>> import numpy as np
    >>> w, state = {"a": np.array([[1.0]])}, {}
    >>> SGD(0.1, momentum=0).step(w, {"a": np.array([[2.0]])}, state, 1)
    >>> w["a"].tolist()
    [[0.8]]
    """

    rate: float = 0.05
    momentum: float = 0.9
    decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        number("rate", self.rate, "a number above 0")
        number("momentum", self.momentum, "from 0 to less than 1")
        number("decay", self.decay, "a number, 0 or above")
        flag("nesterov", self.nesterov)

    def step(
        self, parameters: Arrays, gradients: Arrays, state: Arrays, number: int, factor: float = 1.0
    ) -> None:
        """Change the parameters in place, by ``factor`` times the rate; ``state`` is kept in."""
        for name, w in parameters.items():
            g, kind = gradients[name], w.dtype.type
            if self.decay and w.ndim > 1:
                g = g + kind(self.decay) * w
            if self.momentum:
                if name not in state:
                    state[name] = np.zeros_like(w)
                v = state[name]
                v *= kind(self.momentum)
                v += g
                g = g + kind(self.momentum) * v if self.nesterov else v
            w -= kind(self.rate * factor) * g

    def settings(self, number: int, factor: float, decays: bool) -> tuple[float, ...]:
        """Return what the compiled step takes: see ``pipelines/training.py``."""
        decay = self.decay if decays else 0.0
        return (self.rate * factor, self.momentum, decay, float(self.nesterov))


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015); with ``decay`` it is AdamW (Loshchilov and Hutter, 2019).

    The decay is apart from the moments, ``w = w - rate * decay * w``, and leaves biases, gains and
    shifts alone.

    Examples
    --------
    >>> import numpy as np
    >>> w, state = {"a": np.array([1.0])}, {}
    >>> Adam(0.1).step(w, {"a": np.array([2.0])}, state, 1)  # the first step is the rate
    >>> w["a"].round(6).tolist()
    [0.9]
    """

    rate: float = 1e-3
    first: float = 0.9
    second: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "epsilon"):
            number(name, getattr(self, name), "a number above 0")
        for name in ("first", "second"):
            number(name, getattr(self, name), "from 0 to less than 1")
        number("decay", self.decay, "a number, 0 or above")

    def step(
        self, parameters: Arrays, gradients: Arrays, state: Arrays, number: int, factor: float = 1.0
    ) -> None:
        """Change the parameters in place, by ``factor`` times the rate; ``state`` is kept in.

        ``number`` counts the steps from 1.
        """
        rate = self.rate * factor
        grown, seen = 1 - self.second**number, 1 - self.first**number
        for name, w in parameters.items():
            g, kind = gradients[name], w.dtype.type
            if f"{name}.1" not in state:
                state[f"{name}.1"], state[f"{name}.2"] = np.zeros_like(w), np.zeros_like(w)
            m, v = state[f"{name}.1"], state[f"{name}.2"]
            m *= kind(self.first)
            m += kind(1 - self.first) * g
            v *= kind(self.second)
            v += kind(1 - self.second) * (g * g)
            if self.decay and w.ndim > 1:
                w *= kind(1 - rate * self.decay)
            size = np.sqrt(v / kind(grown))
            size += kind(self.epsilon)
            w -= kind(rate / seen) * m / size

    def settings(self, number: int, factor: float, decays: bool) -> tuple[float, ...]:
        """Return what the compiled step takes: see ``pipelines/training.py``."""
        rate = self.rate * factor
        grown, seen = 1 - self.second**number, 1 - self.first**number
        left = 1 - rate * self.decay if decays else 1.0
        return (
            rate / seen, self.first, 1 - self.first, self.second, 1 - self.second, 1 / grown,
            self.epsilon, left,
        )  # fmt: skip


def adamw(rate: float = 1e-3, decay: float = 0.01) -> Adam:
    """Return :class:`Adam` with a decay of the weights.

    >>> adamw(2e-3)
    Adam(rate=0.002, first=0.9, second=0.999, epsilon=1e-08, decay=0.01)
    """
    return Adam(rate, decay=decay)


Optimiser = SGD | Adam


# ---- schedules ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """The same rate throughout.

    >>> Constant().factor(0.5)
    1.0
    """

    def factor(self, done: float) -> float:
        """Return what the rate is multiplied by, after this part of the training."""
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to ``end`` (Loshchilov and Hutter, 2017), after a linear warm-up.

    >>> [round(Cosine().factor(t), 3) for t in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    """

    end: float = 0.0
    warm: float = 0.0

    def __post_init__(self) -> None:
        number("warm", self.warm, "from 0 to less than 1")
        number("end", self.end, "a number, 0 or above")

    def factor(self, done: float) -> float:
        """Return what the rate is multiplied by, after this part of the training."""
        if done < self.warm:
            return done / self.warm
        done = (done - self.warm) / (1 - self.warm)
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class OneCycle:
    """Up from ``start`` to 1 in the part ``up``, and down to ``end``, by cosines (Smith, 2018).

    >>> [round(OneCycle().factor(t), 3) for t in (0, 0.3, 1)]
    [0.04, 1.0, 0.0]
    """

    up: float = 0.3
    start: float = 0.04
    end: float = 1e-5

    def __post_init__(self) -> None:
        number("up", self.up, "from 0 to less than 1")
        for name in ("start", "end"):
            number(name, getattr(self, name), "a number, 0 or above")

    def factor(self, done: float) -> float:
        """Return what the rate is multiplied by, after this part of the training."""
        if done < self.up:
            low, part = self.start, 1 - done / self.up
        else:
            low, part = self.end, (done - self.up) / (1 - self.up)
        return low + (1 - low) * (1 + math.cos(math.pi * part)) / 2


Schedule = Constant | Cosine | OneCycle
SCHEDULES: dict[str, Any] = {"constant": Constant, "cosine": Cosine, "one-cycle": OneCycle}
