"""Distributions by text: ``d6``, ``10d6``, ``poisson:50``, or a file of numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from faltung.distributions import families
from faltung.distributions.lattice import number
from faltung.distributions.pmf import PMF

NAMES = {
    "dN": "a die of N sides",
    "NdM": "N dice of M sides",
    "coin:P": "1 with probability P (1/2 by default), else 0",
    "binomial:N,P": "successes of N trials",
    "poisson:MU": "events, MU on average",
    "geometric:P": "trials to the first success, from 1",
    "hypergeometric:POPULATION,SUCCESSES,DRAWS": "successes among draws without replacement",
    "uniform:A,B": "integers from A to B",
    "FILE.csv, FILE.npy": "rows of value and probability, or probabilities from 0 on",
}
MOST_BYTES = 1 << 28


def named(text: str, *, exact: bool = False, normalise: bool = False) -> PMF:
    """Return the distribution that a text names.

    Parameters
    ----------
    text : str
        ``d6``, ``10d6``, ``coin``, ``coin:1/3``, ``binomial:10,0.3``, ``poisson:50``,
        ``geometric:0.1``, ``hypergeometric:52,13,5``, ``uniform:1,6``, or a .csv or .npy file.
    exact : bool
        Fractions instead of floats; decimals in texts and files are read as written.
    normalise : bool
        Divide a file's numbers by their sum.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> named("2d6", exact=True).probability(7)
    Fraction(1, 6)
    >>> named("binomial:4,1/2")
    <PMF 0 to 4 step 1, 5 points: mean 2, sd 1>
    """
    part, copies = parsed(text, exact, normalise)
    return part if copies == 1 else part.repeat(copies)


def parsed(text: str, exact: bool, normalise: bool) -> tuple[PMF, int]:
    """Return a distribution and how many copies of it a text names."""
    text = text.strip()
    dice = re.fullmatch(r"(\d*)d(\d+)", text)
    if dice:
        copies, sides = dice.groups()
        return plainly(families.die(bounded(sides, text)), exact), bounded(copies or "1", text)
    if Path(text).suffix.lower() in (".csv", ".txt", ".npy"):
        return plainly(from_file(Path(text), exact, normalise), exact), 1
    name, _, given = text.partition(":")
    makers: dict[str, tuple[int, Callable[..., PMF]]] = {
        "coin": (1, families.coin),
        "binomial": (2, lambda n, p: families.binomial(n, p)),
        "poisson": (1, lambda mu: families.poisson(float(mu))),
        "geometric": (1, lambda p: families.geometric(float(p))),
        "hypergeometric": (3, families.hypergeometric),
        "uniform": (2, families.uniform),
    }
    if name not in makers:
        raise ValueError(f"{text!r} is no distribution; there are {'; '.join(NAMES)}.")
    count, make = makers[name]
    if name == "coin" and not given:
        given = "1/2"
    values = [value for value in given.split(",") if value.strip()]
    usage = next(known for known in NAMES if known.startswith(name))
    if len(values) != count:
        raise ValueError(
            f"{text!r} has {len(values)} parameters, and {name} takes {count}: {usage}."
        )
    numbers = [number(value.strip(), f"{text!r}: a parameter") for value in values]
    if exact and name in ("poisson", "geometric"):
        raise ValueError(
            f"{name} has no end, so that it is not exact; leave out the exact arithmetic: its "
            "tails keep their relative accuracy."
        )
    if name in ("binomial", "coin") and not exact:
        return make(*numbers[:-1], float(numbers[-1])), 1
    return plainly(make(*numbers), exact), 1


def bounded(digits: str, text: str) -> int:
    """Return an integer of not too many digits."""
    if len(digits) > 9 or int(digits) < 1:
        raise ValueError(f"{text!r}: dice and sides must be from 1 to 999,999,999.")
    return int(digits)


def plainly(x: PMF, exact: bool) -> PMF:
    """Return fractions or floats, as asked."""
    return x if exact or not x.exact else x.rounded()


def from_file(path: Path, exact: bool, normalise: bool) -> PMF:
    """Return the distribution in a file."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read.")
    try:
        if path.suffix.lower() == ".npy":
            return from_npy(path, normalise)
        return from_csv(path.read_bytes(), exact, normalise)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def from_npy(path: Path, normalise: bool) -> PMF:
    """Return an array of probabilities, or of rows of value and probability."""
    try:
        array = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (ValueError, EOFError, SyntaxError):
        raise ValueError("this is no .npy file of numbers.") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        raise ValueError("this is no .npy file of numbers.")
    if array.ndim == 2 and array.shape[1] == 2:
        return of_rows([tuple(row) for row in array.tolist()], normalise)
    return PMF(array, normalise=normalise)


def from_csv(data: bytes, exact: bool, normalise: bool) -> PMF:
    """Return rows of value and probability, or of probabilities from 0 on."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError("this is no text.") from None
    rows: list[tuple[Any, ...]] = []
    for n, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in re.split(r"[,;\t]", line)]
        if not any(cells) or line.lstrip().startswith("#"):
            continue
        try:
            found = tuple(number(cell, "a cell") for cell in cells)
        except ValueError:
            if not rows and n == 1 and not any(re.match(r"[-+.\d]", cell) for cell in cells):
                continue  # the names of the columns
            raise ValueError(
                f"line {n} is {line[:60]!r}; a line must be a value and its probability, or a "
                "probability."
            ) from None
        if len(found) > 2 or (rows and len(found) != len(rows[0])):
            raise ValueError(
                f"line {n} has {len(found)} numbers; every line must be a value and its "
                "probability, or every line a probability."
            )
        rows.append(found)
    if not rows:
        raise ValueError("there are no numbers in it.")
    if len(rows[0]) == 1:
        return PMF([share(row[0], exact) for row in rows], normalise=normalise)
    return of_rows([(row[0], share(row[1], exact)) for row in rows], normalise)


def share(value: Fraction, exact: bool) -> Any:
    """Return a probability as a fraction or a float."""
    return value if exact else float(value)


def of_rows(rows: list[tuple[Any, ...]], normalise: bool) -> PMF:
    """Return a distribution of rows of value and probability."""
    table = dict(rows)
    if len(table) < len(rows):
        raise ValueError("a value stands there twice; give each once.")
    return PMF(table, normalise=normalise)
