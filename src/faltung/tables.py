"""Tables of numbers: columns of .csv text and of .npy arrays, with what is missing as NaN."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 256 << 20  # bytes of a file
SHOWN = 40  # letters of a cell that an error repeats
ABSENT = ("", "nan", "na", "n/a", "null", "none")
DELIMITERS = ("\t", ";", ",")


class TableError(ValueError):
    """A file is no table of numbers, or has no such column; the message says where and what."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was read: rows of text, or an array.

    Attributes
    ----------
    path : str
        Where it came from, for errors.
    names : tuple of str
        The columns' names; empty where the table has no header.
    width : int
        Number of columns.
    rows : list of lists of str, or ndarray
    lines : list of int
        The line of the file on which each row ends; empty for an array.
    """

    path: str
    names: tuple[str, ...]
    width: int
    rows: Any
    lines: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, column: str | int) -> int:
        """Return the place of a column given by its name, or by its number from 1 on.

        Raises
        ------
        TableError
            Where there is no such column, or there are several.
        """
        found = [n for n, name in enumerate(self.names) if name == str(column).strip()]
        if len(found) > 1:
            numbers = " or ".join(str(n + 1) for n in found)
            raise TableError(
                f"{self.path}: {len(found)} columns have the name {cut(str(column))!r}; give one "
                f"by its number: {numbers}."
            )
        if found:
            return found[0]
        text = str(column).strip()
        if text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= self.width:
            return int(text) - 1
        known = ", ".join(map(cut, self.names[:8])) + (", ..." if len(self.names) > 8 else "")
        raise TableError(
            f"{self.path}: there is no column {cut(text)!r}; "
            + (f"it has {known}, or give a number" if self.names else "give a number")
            + f" from 1 to {self.width}."
        )

    def name(self, place: int) -> str:
        """Return a column's name: its number, counted from 1, where it has none."""
        return (self.names[place] if self.names else "") or f"column{place + 1}"

    def numbers(self, column: str | int) -> NDArray[np.float64]:
        """Return a column as floats; empty cells, ``nan``, ``NA`` and ``null`` are NaN.

        Raises
        ------
        TableError
            Where a cell is no finite number; it says on which line.
        """
        place = self.place(column)
        if isinstance(self.rows, np.ndarray):
            return np.ascontiguousarray(self.rows[:, place], float)
        found = np.empty(len(self.rows))
        for n, row in enumerate(self.rows):
            value = number(row[place])
            if value is None:
                raise TableError(
                    f"{self.path}: line {self.lines[n]}, column {cut(self.name(place))}: "
                    f"{cut(row[place])!r} is {why(row[place])}."
                )
            found[n] = value
        return found

    def cells(self, column: str | int) -> NDArray[Any]:
        """Return a column as it was read: texts, or an array's numbers."""
        place = self.place(column)
        if isinstance(self.rows, np.ndarray):
            return self.numbers(column)
        return np.array([row[place] for row in self.rows], object)

    def times(self, column: str | int) -> NDArray[np.float64]:
        """Return a column of numbers, or of dates and times (ISO 8601) as seconds from the first.

        Raises
        ------
        TableError
            Where a cell is neither, or missing.
        """
        place = self.place(column)
        first = "" if isinstance(self.rows, np.ndarray) or not len(self) else self.rows[0][place]
        if not first.strip() or number(first) is not None:
            return self.numbers(column)
        stamps = []
        for line, row in zip(self.lines, self.rows, strict=True):
            try:
                stamps.append(stamp(row[place]))
            except ValueError:
                raise TableError(
                    f"{self.path}: line {line}, column {cut(self.name(place))}: "
                    f"{cut(row[place])!r} is neither a number nor a time such as "
                    "2024-05-01T12:00:00."
                ) from None
        return np.array([value - stamps[0] for value in stamps])


def read(path: str, content: bytes | None = None) -> Table:
    r"""Return the table in a file.

    Text has a row of numbers on each line, separated by tabs, semicolons, commas or white space:
    whichever of these, in this order, stands on the first line. The first line is a header where
    it holds anything but numbers and times. Cells may be quoted. Lines that begin with
    ``#`` are passed over, and so are empty lines, except those between the numbers of a single
    column, of which one is missing there.

    Parameters
    ----------
    path : str
        A file of text, or of an array as :func:`numpy.save` writes it.
    content : bytes, optional
        Its bytes, where they were read already; then the path only names it.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        Where it is no table; the message names the line.

    Examples
    --------
    >>> table = read("track.csv", b"t,x\n0,1.5\n1,\n2,nan\n")
    >>> table.names, table.numbers("x").tolist()
    (('t', 'x'), [1.5, nan, nan])
    """
    data = bytes_of(path) if content is None else content
    if len(data) > LARGEST:
        raise TableError(f"{path}: it is longer than {LARGEST >> 20} MB; cut it into pieces.")
    if data[:6] == b"\x93NUMPY":
        return array_table(path, data)
    if b"\0" in data:
        raise TableError(
            f"{path}: it holds zero bytes and is no text; save the table as .csv in UTF-8, or as "
            ".npy."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"{path}: line {line} is no text in UTF-8; save the table in UTF-8."
        ) from None
    return text_table(path, text)


def bytes_of(path: str) -> bytes:
    """Return the bytes of a file, or raise TableError."""
    try:
        place = Path(path)
        if place.is_dir():
            raise TableError(f"{path}: this is a directory; name a file.")
        with place.open("rb") as file:
            return file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise TableError(f"{path}: cannot be read ({reason}).") from None


def array_table(path: str, data: bytes) -> Table:
    """Return the table of a saved array of one axis or two."""
    try:
        array = np.asarray(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
    except Exception:  # NumPy parses the header as Python, with errors of every kind
        raise TableError(f"{path}: no array that numpy.save(path, array) wrote.") from None
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
        raise TableError(
            f"{path}: an array of {array.dtype} {array.shape} is no table; save real numbers along "
            "one axis or two."
        )
    if not array.size:
        raise TableError(f"{path}: it is empty (shape {array.shape}).")
    array = array.astype(float).reshape(len(array), -1)
    if np.isinf(array).any():
        raise TableError(f"{path}: it holds infinities; what is missing must be NaN.")
    return Table(path, (), array.shape[1], array)


def text_table(path: str, text: str) -> Table:
    """Return the table of a text."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, row in cells(path, list(io.StringIO(text, newline=None))):
        if rows and len(row) != len(rows[0]):
            raise TableError(
                f"{path}: line {line} has {len(row)} cells and the first has {len(rows[0])}; write "
                "as many on each line."
            )
        rows.append(row)
        lines.append(line)
    if not rows:
        raise TableError(f"{path}: it is empty; write a row of numbers on each line.")
    first = rows[0]
    names: tuple[str, ...] = ()
    if any(number(cell) is None for cell in first) and not all_times(first):
        names, rows, lines = tuple(first), rows[1:], lines[1:]
        if not rows:
            raise TableError(f"{path}: there is nothing below its header.")
    return Table(path, names, len(first), rows, lines)


def cells(path: str, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row with the number of its last line."""
    start = next((n for n, line in enumerate(lines) if not passed_over(line)), len(lines))
    first = lines[start] if lines[start:] else ""
    delimiter = next((mark for mark in DELIMITERS if mark in first), " ")
    blank = delimiter == " "
    rows = (line.strip() if blank else line for line in lines[start:])
    reader = csv.reader(rows, delimiter=delimiter, skipinitialspace=blank, strict=True)
    single, empty = False, 0
    try:
        for row in reader:
            here = start + reader.line_num
            if not row or (len(row) == 1 and not row[0].strip() and not blank):
                empty += 1
            elif not row[0].startswith("#"):
                if single:  # what is missing between others is an empty line
                    yield from ((here - empty + n, [""]) for n in range(empty))
                yield here, [cell.strip() for cell in row]
                single, empty = len(row) == 1, 0
    except csv.Error as error:
        raise TableError(
            f"{path}: line {start + reader.line_num}: {error}; is a quote missing?"
        ) from None


def passed_over(line: str) -> bool:
    """Whether a line is empty or a comment."""
    bare = line.strip()
    return not bare or bare.startswith("#")


def all_times(row: list[str]) -> bool:
    """Whether cells that are no numbers are times, so that the row is no header."""
    for cell in row:
        if number(cell) is None:
            try:
                stamp(cell)
            except ValueError:
                return False
    return True


def stamp(text: str) -> float:
    """Return a date and time (ISO 8601) as seconds, or raise ValueError; without a zone, as UTC."""
    from datetime import datetime, timezone

    bare = text.strip()
    found = datetime.fromisoformat(bare[:-1] + "+00:00" if bare[-1:] in ("Z", "z") else bare)
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def number(text: str) -> float | None:
    """Return a finite number, NaN where it is missing, or None where it is no such number."""
    bare = text.strip()
    if bare.lower() in ABSENT:
        return math.nan
    if not bare.isascii() or "_" in bare:  # which Python takes for numbers
        return None
    try:
        value = float(bare)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def why(text: str) -> str:
    """Say why a text is no number."""
    bare = text.strip()
    try:
        float(bare.replace("_", ""))
    except ValueError:
        comma = bare.count(",") == 1 and number(bare.replace(",", ".")) is not None
        return "no number; write decimals with a point" if comma else "no number"
    if bare.lower().lstrip("+-") in ("inf", "infinity", "nan"):
        return "not finite"
    return "no plain number" if "_" in bare or not bare.isascii() else "beyond every float"


def cut(text: str) -> str:
    """Return the beginning of a text that is too long for an error's line."""
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def written(columns: dict[str, NDArray[Any]]) -> str:
    r"""Return columns as the text of a .csv file: each number so that it is read back the same.

    Parameters
    ----------
    columns : dict of str to array
        Of the same length; texts are written as they are, NaN as an empty cell.

    Returns
    -------
    str

    Examples
    --------
    >>> written({"t": np.array([0.0, 1.0]), "x": np.array([0.1, np.nan])})
    't,x\n0,0.1\n1,\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*(column.tolist() for column in columns.values()), strict=True):
        writer.writerow([cell if isinstance(cell, str) else shown(cell) for cell in row])
    return text.getvalue()


def shown(value: float) -> str:
    """Return the shortest text that is read back as the same number."""
    if math.isnan(value):
        return ""
    return repr(float(value)).removesuffix(".0")
