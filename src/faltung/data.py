"""Data to learn from: images and time series with their classes, from files.

IDX files of MNIST and its kin, folders of images by class, ``.npz``, and time series as ``.csv`` or
``.ts``. Nothing is downloaded.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from faltung.dtypes import Array

PARTS = {"train": "train", "test": "t10k"}  # as the files of MNIST are called
IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
KEYS = (("x", "y"), ("images", "labels"), ("data", "target"))
MOST = 1 << 34  # bytes of memory, where the system does not say how many there are
PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm"}
EMPTY = "there are no images or series in it"


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


def load(path: str | PathLike[str], part: str = "train") -> Dataset:
    r"""Return what a file or a folder holds.

    Parameters
    ----------
    path : path
        A folder with the IDX files of MNIST, packed or not (``train-images-idx3-ubyte.gz`` and so
        on); one of the images files itself, its labels beside it; a folder of folders, one for each
        class, of images of one size; ``.npz`` with ``x`` and ``y`` (or ``images`` and ``labels``,
        ``data`` and ``target``; or ``x_train``, ``y_train``, ``x_test``, ``y_test``); ``.csv`` or
        ``.tsv`` with a series a line, the class first; ``.ts``.
    part : "train" or "test"
        Which, where there are both: in folders of IDX files, folders with the folders ``train`` and
        ``test``, and ``.npz``. Else it is all that is there.

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
        if (path / part).is_dir():
            path = path / part
        return _folder(path)
    kind = path.suffix.lower()
    if kind == ".npz":
        return _npz(path, part)
    if kind in (".csv", ".tsv", ".txt"):
        return _csv(path)
    if kind == ".ts":
        return _ts(path)
    if "idx" in path.name:
        return _mnist(path)
    raise ValueError(
        f"{path} is no data that is known: give a folder of IDX files or of images by class, .npz, "
        ".csv or .ts."
    )


def has_test(path: str | PathLike[str]) -> bool:
    """Return whether there is a part for testing apart from that for training."""
    path = Path(path)
    if path.is_dir():
        return bool(_beside(path, "t10k-images*")) or (path / "test").is_dir()
    if path.suffix.lower() != ".npz":
        return False
    with _archive(path) as held:
        return any(f"{x}_test" in held for x, _ in KEYS)


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


@cache
def memory() -> int:
    """Return how many bytes of memory this machine has, as far as it says."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return MOST


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


def dataset(x: Any, y: Any, name: str = "data", classes: Iterable[str] = ()) -> Dataset:
    """Return arrays as a dataset: pixels from 0 to 1, an axis of channels, integers as classes.

    ``x`` of two axes are series, of three images of one channel; of four (images, channels, rows,
    columns), or with three or four channels last.

    >>> dataset([[1.0, 2.0]], [1]).x.shape
    (1, 1, 2)
    """
    x = np.asarray(x)
    if x.ndim in (2, 3):
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        x = np.moveaxis(x, 3, 1)
    return _checked(x, np.asarray(y), name, tuple(classes))


def _checked(x: Array, y: Array, name: str, names: tuple[str, ...]) -> Dataset:
    """Return images (images, channels, *space) and labels as a dataset."""
    if x.size == 0 or x.ndim < 2:
        raise ValueError(f"{name} has images of shape {x.shape}: {EMPTY}.")
    if y.shape != x.shape[:1]:
        raise ValueError(f"{name} has images of shape {x.shape} and labels of {y.shape}.")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{name} has images of {x.dtype}; they must be numbers.")
    if x.dtype.kind == "u" and x.dtype.itemsize <= 2:
        x = x * np.float32(1 / np.iinfo(x.dtype).max)
    with np.errstate(over="ignore"):  # infinity is told
        x = np.ascontiguousarray(x, np.float32)
    if not np.isfinite(x).all():
        at = int(np.argwhere(~np.isfinite(x))[0][0])
        raise ValueError(f"{name}: image or series {at} holds NaN or infinity. Fill it or drop it.")
    if not names:
        found, y = np.unique(_classes(y, name), return_inverse=True)
        names = tuple(map(str, found))
    return Dataset(x, y.astype(np.int64), names)


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


def _folder(path: Path) -> Dataset:
    from faltung import image

    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    files = [
        (p, number)
        for number, folder in enumerate(folders)
        for p in sorted(folder.iterdir())
        if p.suffix.lower() in PICTURES
    ]
    if not files:
        raise ValueError(f"{path} has no folders of images, one for each class.")
    pictures = []
    for file, _ in files:
        picture = image.read(file)
        planes = picture[..., None] if picture.ndim == 2 else picture
        pictures.append(np.moveaxis(planes, 2, 0))
        if pictures[-1].shape != pictures[0].shape or pictures[-1].dtype != pictures[0].dtype:
            raise ValueError(
                f"{file} is (channels, rows, columns) {pictures[-1].shape} and {files[0][0]} "
                f"{pictures[0].shape}: images must be of one size and depth. Resize them."
            )
    there = sorted({number for _, number in files})  # a class without images cannot be learnt
    y = np.searchsorted(there, [number for _, number in files])
    return _checked(np.stack(pictures), y, str(path), tuple(folders[n].name for n in there))


# ---- series ------------------------------------------------------------------------------------


def _csv(path: Path) -> Dataset:
    """Read series, one a line, the class first: as the UCR archive has them."""
    series, labels = [], []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        mark = next((m for m in ("\t", ";", ",") if m in line), None)
        label, *rest = (cell.strip() for cell in line.split(mark))
        labels.append(label)
        series.append([_numbers(rest, path, number)])
    return _series(path, series, labels)


def _ts(path: Path) -> Dataset:
    """Read series after ``@data``, their dimensions and class parted by colons (sktime, aeon)."""
    series, labels, begun = [], [], False
    for number, line in enumerate(io.StringIO(_text(path)), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("@"):
            word, *values = line.lower().split()
            begun = begun or word == "@data"
            if word == "@timestamps" and values[:1] == ["true"]:
                raise ValueError(f"{path}: series with time stamps are not read.")
            continue
        if not begun:
            raise ValueError(f"{path}, line {number}: there are series before @data.")
        *dimensions, label = line.split(":")
        labels.append(label.strip())
        series.append([_numbers(d.split(","), path, number) for d in dimensions])
    return _series(path, series, labels)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}.") from None


def _numbers(cells: list[str], path: Path, number: int) -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: {error}.") from None


def _series(path: Path, series: list[list[list[float]]], labels: list[str]) -> Dataset:
    lengths = {tuple(map(len, dimensions)) for dimensions in series}
    if not series or lengths == {()} or {0} == set(max(lengths)):
        raise ValueError(f"{path}: {EMPTY}.")
    if len(lengths) != 1 or len(set(next(iter(lengths)))) != 1:
        raise ValueError(f"{path}: series must be of one length and have as many dimensions.")
    with np.errstate(over="ignore"):
        x = np.asarray(series, np.float32)
    try:  # classes that are numbers are in the order of numbers
        names = sorted(set(labels), key=float)
    except ValueError:
        names = sorted(set(labels))
    numbers = {name: number for number, name in enumerate(names)}
    return _checked(x, np.array([numbers[n] for n in labels]), str(path), tuple(names))
