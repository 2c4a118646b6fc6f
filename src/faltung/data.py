"""Data to learn from: images and time series with their classes, from files.

IDX files of MNIST and its kin, folders of images by class, ``.npz``, and time series as ``.csv`` or
``.ts``. Nothing is downloaded.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from faltung import albums
from faltung.dtypes import Array
from faltung.machine import memory

PARTS = {"train": "train", "test": "t10k"}  # as the files of MNIST are called
IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
KEYS = (("x", "y"), ("images", "labels"), ("data", "target"))
TESTS = ("test", "val", "valid", "validation")  # folders of what is not trained on
TABLES = (".csv", ".tsv", ".txt")
EMPTY = "there are no images or series in it"
KNOWN = "give a folder of IDX files or of images by class, .npz, .csv or .ts"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images or series with their classes.

    Attributes
    ----------
    x : array (images, channels, *space) of float32
        Pixels of 8 and 16 bits are divided by their greatest: from 0 to 1.
    y : array (images,) of int64
    classes : tuple of str
        The classes' names, by number.
    """

    x: Array
    y: Array
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        first = ", ".join(self.classes[:3]) + (", ..." if len(self.classes) > 3 else "")
        count = f"{len(self.y):,} of {self.x.shape[1:]}"
        return f"<Dataset: {count}, {len(self.classes)} classes: {first}>"


def load(
    path: str | PathLike[str],
    part: str = "train",
    *,
    size: Any = None,
    channels: int | None = None,
    progress: bool = False,
) -> Dataset:
    r"""Return what a file or a folder holds.

    Parameters
    ----------
    path : path
        A folder with the IDX files of MNIST, packed or not (``train-images-idx3-ubyte.gz`` and so
        on); one of the images files itself, its labels beside it; a folder of folders, one for each
        class, of images; ``.npz`` with ``x`` and ``y`` (or ``images`` and ``labels``, ``data`` and
        ``target``; or ``x_train``, ``y_train``, ``x_test``, ``y_test``); ``.csv`` or ``.tsv`` with
        a series a line, the class first (a line of names above is left out); ``.ts``; a folder with
        ``X_TRAIN.ts`` and ``X_TEST.ts``, or as ``.tsv``, as the archives of series have them.
    part : "train" or "test"
        Which, where there are both: in folders of IDX files, folders with the folders ``train`` and
        ``test`` (or ``val``), pairs of series, and ``.npz``. Else it is all that is there.
    size : (rows, columns) or int, optional
        What pictures in files are brought to; without it they must be of one size.
    channels : int, optional
        1 to read pictures in files as grey, 3 in colours; 2 and 4 have transparency as well.
    progress : bool
        Show a bar while pictures are read.

    Raises
    ------
    ValueError
        Where it is malformed; the message says where.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "series.csv"
    ...     _ = file.write_text("up,1,2,3\ndown,3,2,1\n")
    ...     found = load(file)
    >>> found.x.tolist(), found.y.tolist(), found.classes
    ([[[1.0, 2.0, 3.0]], [[3.0, 2.0, 1.0]]], [1, 0], ('down', 'up'))
    """
    if part not in PARTS:
        raise ValueError(f'part={part!r} must be "train" or "test".')
    path = Path(path)
    if path.is_dir():
        if images := _beside(path, f"{PARTS[part]}-images*"):
            return _mnist(images)
        if pair := _pair(path):
            return load(pair[part != "train"])
        if part == "test" and (test := _test_folder(path)):
            path = test
        elif (path / "train").is_dir():
            path = path / "train"
        return _folder(path, size, channels, progress)
    kind = path.suffix.lower()
    if kind == ".npz":
        return _npz(path, part)
    if kind in TABLES:
        return _csv(path)
    if kind == ".ts":
        return _ts(path)
    if "idx" in path.name:
        return _mnist(path)
    raise ValueError(f"{path} is no data that is known: {KNOWN}.")


def has_test(path: str | PathLike[str]) -> bool:
    """Return whether there is a part for testing apart from that for training."""
    path = Path(path)
    if path.is_dir():
        return bool(_beside(path, "t10k-images*") or _pair(path) or _test_folder(path))
    if path.suffix.lower() != ".npz":
        return False
    with _archive(path) as held:
        return any(f"{x}_test" in held for x, _ in KEYS)


def inputs(
    path: str | PathLike[str], shape: Sequence[int], *, progress: bool = False
) -> tuple[list[str], Array]:
    """Return what a file or a folder holds for a network to name, whether or not classes are given.

    Parameters
    ----------
    path : path
        A picture, a folder of pictures (those of folders in it, too), or data as of :func:`load`,
        where classes may be missing: in ``.csv`` a line has the numbers alone.
    shape : tuple of int
        The network's ``input_shape``. Pictures are brought to its size and its channels.
    progress : bool
        Show a bar while pictures are read.

    Returns
    -------
    names : list of str
        The file of each picture; else the data's name and a number.
    x : array (images, *shape)

    Examples
    --------
    >>> from faltung.demo import PHOTOGRAPH
    >>> names, x = inputs(PHOTOGRAPH, (1, 28, 28))
    >>> len(names), x.shape
    (1, (1, 1, 28, 28))
    """
    path, shape = Path(path), tuple(shape)
    found = _without_classes(path, shape)
    if isinstance(found, list):
        if len(shape) != 3:
            raise ValueError(f"{path}: the network takes {shape}, and no pictures.")
        x = albums.gathered(found, shape[1:], shape[0], progress=progress)
        return [str(p) for p in found], x
    if found.shape[1:] != shape:
        raise ValueError(f"{path} holds samples of {found.shape[1:]}; the network takes {shape}.")
    return [f"{path}:{number}" for number in range(len(found))], found


def _without_classes(path: Path, shape: tuple[int, ...]) -> list[Path] | Array:
    """Return the pictures that there are, or the samples of another kind of file."""
    if albums.is_picture(path):
        return [path]
    kind = path.suffix.lower()
    if path.is_dir() and (files := albums.pictures_below(path)):
        return files
    if kind == ".npz":
        with _archive(path) as held:
            name = next((x for x, _ in KEYS if x in held), None)
            if name is not None:
                return _numbers_of(_shaped(_member(held, name, path)), str(path))
    if kind in TABLES:
        lines = list(_lines(path))
        named = [len(cells) != shape[-1] for _, cells in lines]
        return _stacked(path, [(n, [c[k:]]) for (n, c), k in zip(lines, named, strict=True)])
    if kind == ".ts":
        return _stacked(path, [(n, s) for n, s, _ in _ts_lines(path)[1]])
    if "idx" in path.name and not path.is_dir():
        return _numbers_of(_shaped(read_idx(path)), str(path))
    return load(path).x


# ---- IDX ---------------------------------------------------------------------------------------


def read_idx(path: str | PathLike[str]) -> Array:
    """Return the array of an IDX file, packed by gzip or not.

    Two zeros, a number for the dtype, the number of axes, their lengths, and the samples, all
    big-endian (LeCun, Cortes and Burges, the MNIST database).

    Raises
    ------
    ValueError
        Where the file is no IDX file, or is shorter or longer than it says.
    """
    path = Path(path)
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    opened: Any = gzip.GzipFile if packed else open
    try:
        with opened(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX or head[3] == 0:
                raise ValueError(f"{path} is no IDX file: it begins with {head!r}.")
            dtype = np.dtype(IDX[head[2]])
            lengths = file.read(4 * head[3])
            shape = tuple(int(n) for n in np.frombuffer(lengths[: len(lengths) // 4 * 4], ">u4"))
            size = _affordable(str(path), shape, dtype)
            body = file.read(size + 1)
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path} is not packed properly: {error}.") from None
    if len(shape) != head[3] or len(body) != size:
        raise ValueError(
            f"{path} says that it holds {shape}, {size:,} bytes, and has "
            f"{'more' if len(body) > size else f'{len(body):,}'}."
        )
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _affordable(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the bytes of an array that a file says it holds, unless they are too many.

    They are read, and become float32.
    """
    samples = math.prod(shape)
    size = samples * dtype.itemsize
    if size + 4 * samples > memory():
        raise ValueError(
            f"{what} says that it holds {shape}, {size:,} bytes: too many for the {memory():,} "
            "bytes of memory. Cut it into parts."
        )
    return size


def _beside(folder: Path, pattern: str) -> Path | None:
    """Return the first file of a folder whose name fits, packed or not."""
    return next((p for p in sorted(folder.glob(pattern)) if "idx3" in p.name), None)


def _mnist(images: Path) -> Dataset:
    names = images.name.replace("images", "labels").replace("idx3", "idx1")
    stem = names.removesuffix(".gz")
    labels = next((p for n in (stem, f"{stem}.gz") if (p := images.with_name(n)).exists()), None)
    if labels is None or labels == images:
        raise ValueError(f"{images} has no labels beside it; {names} should be there.")
    x, y = read_idx(images), read_idx(labels)
    if y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"{images} holds {x.shape} and {labels} {y.shape}: they do not fit.")
    return dataset(x, y, str(images))


def _shaped(given: Any) -> Array:
    """Return arrays with an axis of channels, behind that of the images."""
    x: Array = np.asarray(given)
    if x.ndim in (2, 3):
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        return np.moveaxis(x, 3, 1)
    return x


def dataset(x: Any, y: Any, name: str = "data", classes: Iterable[str] = ()) -> Dataset:
    """Return arrays as a dataset: pixels from 0 to 1, an axis of channels, integers as classes.

    ``x`` of two axes are series, of three images of one channel; of four (images, channels, rows,
    columns), or with three or four channels last.

    >>> dataset([[1.0, 2.0]], [1]).x.shape
    (1, 1, 2)
    """
    return _checked(_shaped(x), np.asarray(y), name, tuple(classes))


def _checked(x: Array, y: Array, name: str, names: tuple[str, ...]) -> Dataset:
    """Return images (images, channels, *space) and labels as a dataset."""
    x = _numbers_of(x, name)
    if y.shape != x.shape[:1]:
        raise ValueError(f"{name} has images of shape {x.shape} and labels of {y.shape}.")
    if not names:
        found, y = np.unique(_classes(y, name), return_inverse=True)
        names = tuple(map(str, found))
    return Dataset(x, y.astype(np.int64), names)


def _numbers_of(x: Array, name: str) -> Array:
    """Return images (images, channels, *space) as finite float32."""
    if x.size == 0 or x.ndim < 2:
        raise ValueError(f"{name} has images of shape {x.shape}: {EMPTY}.")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{name} has images of {x.dtype}; they must be numbers.")
    if x.dtype.kind == "u" and x.dtype.itemsize <= 2:
        x = x * np.float32(1 / np.iinfo(x.dtype).max)
    with np.errstate(over="ignore"):  # infinity is told
        x = np.ascontiguousarray(x, np.float32)
    if not np.isfinite(x).all():
        at = int(np.argwhere(~np.isfinite(x))[0][0])
        raise ValueError(f"{name}: image or series {at} holds NaN or infinity. Fill it or drop it.")
    return x


def _classes(y: Array, name: str) -> Array:
    """Return labels as integers or texts: measured values are no classes."""
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.floor(y)).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "biuSU":
        raise ValueError(
            f"{name} has labels of {y.dtype}, such as {y[0]}; they must be integers or texts, one "
            "for each class."
        )
    return y.astype(str) if y.dtype.kind == "S" else y


@contextmanager
def _archive(path: Path) -> Iterator[Any]:
    """Open a ``.npz`` file, whose errors become ours."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no .npz file, or is cut off.")
    try:
        with np.load(path, allow_pickle=False) as held:
            yield held
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def _npz(path: Path, part: str) -> Dataset:
    with _archive(path) as held:
        pairs = [(f"{x}_{part}", f"{y}_{part}") for x, y in KEYS] + list(KEYS)
        for x, y in pairs:
            if x in held and y in held:
                return dataset(_member(held, x, path), _member(held, y, path), str(path))
        raise ValueError(f"{path} holds {', '.join(held.files)}; it must hold x and y.")


def _member(held: Any, name: str, path: Path) -> Array:
    """Return an array of an archive, once its header is found to be true: it may be a bomb."""
    try:
        with held.zip.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format
            header = read.read_array_header_1_0 if version == (1, 0) else read.read_array_header_2_0
            shape, _, dtype = header(file)
            begun = file.tell()
        if dtype.hasobject:
            raise ValueError("it holds Python's objects, which are not read")
        size = _affordable("it", shape, dtype)
        if held.zip.getinfo(f"{name}.npy").file_size != begun + size:
            raise ValueError(f"it says that it holds {shape} of {dtype}, and has another size")
        return np.asarray(held[name])
    except (ValueError, KeyError, RuntimeError) as error:
        told = str(error).rstrip(".")
        raise ValueError(f"{path}: {name} is no array that can be read: {told}.") from None


# ---- pictures by class -------------------------------------------------------------------------


def _test_folder(path: Path) -> Path | None:
    return next((path / name for name in TESTS if (path / name).is_dir()), None)


def _folder(path: Path, size: Any, channels: int | None, progress: bool) -> Dataset:
    folders = sorted(p for p in path.iterdir() if p.is_dir())
    held = {folder.name: albums.pictures_below(folder) for folder in folders}
    held = {name: files for name, files in held.items() if files and not name.startswith(".")}
    if not held:
        raise ValueError(f"{path} has no folders of images, one for each class.")
    try:
        files = [file for files in held.values() for file in files]
        x = albums.gathered(files, size, channels, progress=progress)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    y = np.repeat(np.arange(len(held)), [len(files) for files in held.values()])
    return _checked(x, y, str(path), tuple(held))


# ---- series ------------------------------------------------------------------------------------


def _pair(path: Path) -> tuple[Path, Path] | None:
    """Return the files of series to train on and to test, as the archives of series name them."""
    pairs = []
    for kind in (".ts", *TABLES):
        for train in sorted(path.glob(f"*_TRAIN{kind}")):
            test = train.with_name(f"{train.stem.removesuffix('_TRAIN')}_TEST{kind}")
            if test.exists():
                pairs.append((train, test))
    if len(pairs) > 1:
        told = ", ".join(train.name for train, _ in pairs)
        raise ValueError(f"{path} holds several pairs of series ({told}); name the file.")
    return pairs[0] if pairs else None


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line of a table."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            mark = next((m for m in ("\t", ";", ",") if m in line), None)
            cells = [cell.strip() for cell in line.split(mark)]
            if number > 1 or any(map(_is_number, cells[1:])):  # else it names the columns
                yield number, cells


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _csv(path: Path) -> Dataset:
    """Read series, one a line, the class first: as the UCR archive has them."""
    lines = list(_lines(path))
    return _series(path, [(n, [cells[1:]]) for n, cells in lines], [c[0] for _, c in lines])


def _ts(path: Path) -> Dataset:
    """Read series after ``@data``, their dimensions and class parted by colons (sktime, aeon)."""
    header, lines = _ts_lines(path)
    if header.get("@targetlabel") == "true":
        raise ValueError(f"{path}: each series has a number (@targetlabel) and no class.")
    if header.get("@classlabel") == "false":
        raise ValueError(f"{path}: the series have no classes (@classlabel false).")
    return _series(path, [(n, s) for n, s, _ in lines], [label for _, _, label in lines])


def _ts_lines(path: Path) -> tuple[dict[str, str], list[tuple[int, list[list[str]], str]]]:
    """Return the first word of each line of the header, and of each series line, cells, label."""
    header: dict[str, str] = {}
    lines = []
    for number, line in enumerate(io.StringIO(_text(path)), 1):
        line = line.strip()
        if not line or line[0] in "#%":
            continue
        if line.startswith("@"):
            word, *values = line.lower().split()
            header[word] = values[0] if values else ""
            if word == "@timestamps" and values[:1] == ["true"]:
                raise ValueError(f"{path}: series with time stamps are not read.")
            continue
        if "@data" not in header:
            raise ValueError(f"{path}, line {number}: there are series before @data.")
        *dimensions, label = line.split(":")
        if header.get("@classlabel") == "false" and header.get("@targetlabel") != "true":
            dimensions, label = [*dimensions, label], ""
        lines.append((number, [d.split(",") for d in dimensions], label.strip()))
    return header, lines


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}.") from None


def _stacked(path: Path, series: Sequence[tuple[int, list[list[str]]]]) -> Array:
    """Return series (series, channels, samples) of the numbers of lines and their cells."""
    by_length: dict[tuple[int, int], int] = {}
    for number, dimensions in series:
        for cells in dimensions:
            by_length.setdefault((len(dimensions), len(cells)), number)
    if not by_length or max(by_length)[1] == 0:
        raise ValueError(f"{path}: {EMPTY}.")
    if len(by_length) > 1:
        told = " and ".join(
            f"{channels} x {samples} samples (line {by_length[channels, samples]})"
            for channels, samples in (min(by_length), max(by_length))
        )
        raise ValueError(f"{path} has {told}: series must be of one length. Cut or fill them.")
    x = np.empty((len(series), *next(iter(by_length))), np.float32)
    for at, (number, dimensions) in enumerate(series):
        try:
            with np.errstate(over="ignore"):
                x[at] = [[float(cell) for cell in cells] for cells in dimensions]
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: {error}. A line is a class and then numbers in tables, "
                "numbers and then a class in .ts files."
            ) from None
    return _numbers_of(x, str(path))


def _series(
    path: Path, series: Sequence[tuple[int, list[list[str]]]], labels: Sequence[str]
) -> Dataset:
    x = _stacked(path, series)
    try:  # classes that are numbers are in the order of numbers
        names = sorted(set(labels), key=float)
    except ValueError:
        names = sorted(set(labels))
    numbers = {name: number for number, name in enumerate(names)}
    return _checked(x, np.array([numbers[n] for n in labels]), str(path), tuple(names))
