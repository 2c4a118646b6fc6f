"""Distributions by text: ``d6``, ``10d6``, ``poisson:50``, or a file of numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from faltung import tables
from faltung.distributions import families
from faltung.distributions.lattice import number
from faltung.distributions.making import of_scaled
from faltung.distributions.pmf import PMF
from faltung.distributions.scaled import by_text

NAMES = {
    "dN": "a die of N sides",
    "NdM": "N dice of M sides",
    "N*TERM": "N copies of any of these",
    "3.5": "a number",
    "coin:P": "1 with probability P (1/2 by default), else 0",
    "binomial:N,P": "successes of N trials",
    "poisson:MU": "events, MU on average",
    "geometric:P": "trials to the first success, from 1",
    "hypergeometric:POPULATION,SUCCESSES,DRAWS": "successes among draws without replacement",
    "uniform:A,B": "integers from A to B",
    "FILE.csv, FILE.npy": "rows of value and probability, or probabilities from 0 on",
}
MOST_BYTES = 1 << 28
LEAST = 1_000_000  # decimal digits after the point


def named(text: str, *, exact: bool = False, normalise: bool = False) -> PMF:
    """Return the distribution that a text names.

    Parameters
    ----------
    text : str
        ``d6``, ``10d6``, ``coin``, ``coin:1/3``, ``binomial:10,0.3``, ``poisson:50``,
        ``geometric:0.1``, ``hypergeometric:52,13,5``, ``uniform:1,6``, a number, or a .csv or
        .npy file; ``100*poisson:50`` is as many copies.
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
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text; give one such as '2d6' or 'poisson:50'.")
    text = text.strip()
    many = re.fullmatch(r"([0-9]+)\s*\*\s*([^*]+)", text)
    if many:
        part, copies = parsed(many[2], exact, normalise)
        return part, copies * bounded(many[1], text)
    if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", text):
        return plainly(PMF({number(text, "a term"): 1}), exact), 1
    dice = re.fullmatch(r"([0-9]*)[dD]([0-9]+)", text)
    if dice:
        count, sides = dice.groups()
        return plainly(families.die(bounded(sides, text)), exact), bounded(count or "1", text)
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
    takes, make = makers[name]
    if name == "coin" and not given:
        given = "1/2"
    values = [value for value in given.split(",") if value.strip()]
    usage = next(known for known in NAMES if known.startswith(name))
    if len(values) != takes:
        raise ValueError(
            f"{text!r} has {len(values)} parameters, and {name} takes {takes}: {usage}."
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
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    return from_csv(str(path), path.read_bytes(), exact, normalise)


def from_npy(path: Path, normalise: bool) -> PMF:
    """Return an array of probabilities, or of rows of value and probability."""
    try:
        array = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (ValueError, EOFError, SyntaxError):
        raise ValueError("this is no .npy file of numbers.") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        raise ValueError("this is no .npy file of numbers.")
    if array.ndim == 2 and array.shape[1] == 2:
        values = [number(value, "a value") for value in array[:, 0].tolist()]
        return PMF(dict(distinct(values, array[:, 1].tolist())), normalise=normalise)
    return PMF(array, normalise=normalise)


def from_csv(path: str, data: bytes, exact: bool, normalise: bool) -> PMF:
    """Return rows of value and probability, or of probabilities from 0 on."""
    try:
        lines = list(io.StringIO(data.decode("utf-8-sig"), newline=None))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: this is no text.") from None
    rows: list[list[str]] = []
    for n, row in tables.cells(path, lines):
        if not rows and n == first_line(lines) and not any(map(is_like_a_number, row)):
            continue  # the names of the columns
        if len(row) > 2 or (rows and len(row) != len(rows[0])):
            raise ValueError(
                f"{path}: line {n} has {len(row)} numbers; every line must be a value and its "
                "probability, or every line a probability."
            )
        for cell in row:
            check_cell(cell, f"{path}: line {n}", share_=cell is row[-1], exact=exact)
        rows.append(row)
    if not rows:
        raise ValueError(f"{path}: there are no numbers in it.")
    try:
        values = [number(row[0], "a value") if len(row) == 2 else Fraction(n)
                  for n, row in enumerate(rows)]  # fmt: skip
        shares = [row[-1] for row in rows]
        if exact:
            numbers = [number(text, "a probability") for text in shares]
            return PMF(dict(distinct(values, numbers)), normalise=normalise)
        floats = [text if "/" not in text else repr(float(Fraction(text))) for text in shares]
        made = of_scaled(values, by_text(floats), normalise)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return PMF.made(made.origin, made.step, made.masses, made.lost, made.error, made.method)


def first_line(lines: list[str]) -> int:
    """Return the number of the first line that is neither empty nor a comment."""
    return next((n for n, line in enumerate(lines, 1) if not tables.passed_over(line)), 0)


def is_like_a_number(cell: str) -> bool:
    """Return whether a cell is no name of a column."""
    return not cell or re.match(r"[-+.\d]|(nan|inf)", cell, re.IGNORECASE) is not None


def check_cell(cell: str, where: str, *, share_: bool, exact: bool) -> None:
    """Raise ValueError where a cell is no number, or a probability is negative."""
    what = "probability" if share_ else "value"
    if not cell:
        raise ValueError(f"{where} has no {what}; write 0 for what is impossible.")
    try:
        found = Fraction(cell) if "/" in cell else Decimal(cell)
        if isinstance(found, Decimal) and not found.is_finite():
            raise ValueError
    except (ValueError, ArithmeticError):
        raise ValueError(f"{where}: {tables.cut(cell)!r} is {tables.why(cell)}.") from None
    if share_ and found < 0:
        raise ValueError(f"{where}: the probability {tables.cut(cell)} is negative.")
    if isinstance(found, Decimal) and found and (exact or not share_):
        number(cell, f"{where}: the {what}")  # of not too many digits
    elif isinstance(found, Decimal) and abs(found.adjusted()) > LEAST:
        raise ValueError(
            f"{where}: {tables.cut(cell)} has more than {LEAST:,} digits before or after the point."
        )


def distinct(values: list[Fraction], shares: list[Any]) -> list[tuple[Fraction, Any]]:
    """Return values with their shares, or raise ValueError where one stands there twice."""
    if len(set(values)) < len(values):
        raise ValueError("a value stands there twice; give each once.")
    return list(zip(values, shares, strict=True))
