"""Files of networks and checkpoints, in the safetensors format: numbers and text, no code.

A file is 8 bytes of a length, that many bytes of JSON (each array's dtype, shape and place, and
texts under ``__metadata__``), and the arrays' bytes, all little-endian. Any reader of safetensors
reads the arrays; the network is described in the texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from faltung.dtypes import Array
from faltung.files import replace_whole
from faltung.nn.layer import KINDS
from faltung.nn.network import Graph

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "|u1"}
NAMES = {np.dtype(kind): name for name, kind in DTYPES.items()}
HEADER = 100_000_000  # bytes of JSON that a reader takes, as other readers do
Texts = dict[str, str]


def write(path: str | PathLike[str], arrays: dict[str, Array], texts: Texts) -> None:
    """Write arrays and texts to a file, which appears whole or not at all."""
    header: dict[str, Any] = {"__metadata__": texts}
    start = 0
    parts = []
    for name, array in arrays.items():
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        place = [start, start + array.nbytes]
        header[name] = {
            "dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": place,
        }  # fmt: skip
        start += array.nbytes
        parts.append(array)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    def put(file: BinaryIO) -> None:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in parts:
            file.write(array.tobytes())

    replace_whole(Path(path), put)


def read(path: str | PathLike[str]) -> tuple[dict[str, Array], Texts]:
    """Return a file's arrays and texts.

    Raises
    ------
    ValueError
        Where it is no such file, or is cut off.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):  # a device may have no end
        raise ValueError(f"{path} is no regular file; give one that faltung saved.")
    data = path.read_bytes()
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > min(len(data) - 8, HEADER):
            raise ValueError("its header is longer than the file")
        header = json.loads(data[8 : 8 + length])
        texts = header.pop("__metadata__", {})
        if not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("its texts are none")
        body = memoryview(data)[8 + length :]
        _check_places([entry["data_offsets"] for entry in header.values()], len(body))
        arrays = {name: _array(body, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} is no whole safetensors file: {error}. Give a file that faltung saved."
        ) from None
    return arrays, texts


def _check_places(places: list[Any], size: int) -> None:
    """Raise ValueError unless arrays lie one behind the other: a small file holds few numbers."""
    end = 0
    for first, stop in sorted(places):
        if first != end or stop < first:
            raise ValueError(f"its arrays do not follow one another at {end}")
        end = stop
    if end != size:
        raise ValueError(f"its arrays end at {end} and the file at {size}")


def _array(body: memoryview, entry: Any) -> Array:
    dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
    first, stop = entry["data_offsets"]
    whole = all(isinstance(n, int) and n >= 0 for n in (*shape, first, stop))
    if not whole or stop > len(body) or stop - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {shape} does not lie at {first} to {stop}")
    return np.frombuffer(body[first:stop], dtype).reshape(shape).astype(dtype.newbyteorder("="))


def described(network: Graph) -> str:
    """Return a network without its numbers, as JSON."""
    nodes = [
        {"kind": type(n.layer).__name__, "options": n.layer.options(), "inputs": n.inputs}
        for n in network.nodes
    ]
    found = {
        "input_shape": network.input_shape, "seed": network.seed, "dtype": network.dtype.name,
        "layers": nodes,
    }  # fmt: skip
    return json.dumps(found)


def rebuilt(text: str) -> Graph:
    """Return a network from its description."""
    found = json.loads(text)
    network = Graph(found["input_shape"], found["seed"], found["dtype"])
    for node in found["layers"]:
        kind = KINDS.get(node["kind"])
        if kind is None or "__dataclass_fields__" not in vars(kind):  # what layers share is none
            raise ValueError(f"the layer {node['kind']!r} is unknown here.")
        network.add(kind(**node["options"]), *node["inputs"])
    return network


def save(
    network: Graph, path: str | PathLike[str], *, classes: Iterable[str] | None = None
) -> None:
    """Write a network, with its parameters and running moments, to a safetensors file.

    Parameters
    ----------
    network : Graph
        Its ``notes``, texts by name, are kept, too.
    path : path
    classes : list of str, optional
        The classes' names, which become a note; ``nn.classes`` and ``faltung predict`` give them.

    Raises
    ------
    ValueError
        Where there are not as many classes as outputs.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from faltung import nn
    >>> network = nn.small_cnn()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.save(network, pathlib.Path(folder) / "model.safetensors")
    ...     again = nn.load(pathlib.Path(folder) / "model.safetensors")
    >>> x = np.ones((2, 1, 28, 28))
    >>> bool((network.predict(x) == again.predict(x)).all())
    True
    """
    if classes is not None:
        names = [str(name) for name in classes]
        if (len(names),) != network.output_shape:
            raise ValueError(f"{len(names)} classes do not fit an output {network.output_shape}.")
        network.notes["classes"] = json.dumps(names)
    texts = {"faltung.network": described(network)}
    texts |= {f"note.{name}": text for name, text in network.notes.items()}
    write(path, network.arrays(), texts)


def load(path: str | PathLike[str]) -> Graph:
    """Return the network of a file that :func:`save` wrote.

    Raises
    ------
    ValueError
        Where the file is cut off, or holds no network; nothing in it is ever run as code.
    """
    arrays, texts = read(path)
    if "faltung.network" not in texts:
        raise ValueError(f"{path} holds arrays and no network; give a file that faltung saved.")
    try:
        network = rebuilt(texts["faltung.network"])
        network.load(arrays)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no network that fits: {error}") from None
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} describes no network: {error!r}.") from None
    network.notes = {n[5:]: text for n, text in texts.items() if n.startswith("note.")}
    return network
