"""Files of networks that lie: headers, overlapping arrays, networks that cannot be, devices."""

import json
import os
import struct

import pytest
from test_nn_training import network

from faltung import nn
from faltung.nn import saving


def written(path, header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def entry(shape, first=0, stop=4, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, stop]}


HEADERS = [
    b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a": 1}', {"__metadata__": []},
    {"__metadata__": None}, {"__metadata__": {"a": 3}}, {"a": entry([-1])}, {"a": entry([2**62])},
    {"a": entry([2**62, 0], 0, 0)}, {"a": entry([1] * 70)}, {"a": entry([1.0])}, {"a": entry("1")},
    {"a": entry([1], 4, 8)}, {"a": entry([1], -4, 0)}, {"a": entry([1], 0, 2**70)},
    {"a": entry([1]), "b": entry([1])}, {"a": entry([1], dtype="BF16")}, {"a": entry([1], "0")},
    {"a": entry([1], dtype=["F32"])}, {},
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_headers_that_lie(header, tmp_path):
    written(tmp_path / "model", header, b"1234")
    with pytest.raises(ValueError, match="no whole safetensors file"):
        nn.load(tmp_path / "model")


def test_a_header_of_many_views_of_few_bytes_takes_no_memory(tmp_path):
    """100,000 arrays of the same 100 kB would be 10 GB."""
    header = {str(n): entry([25_000], 0, 100_000) for n in range(1000)}
    written(tmp_path / "model", header, bytes(100_000))
    with pytest.raises(ValueError, match="do not follow one another"):
        nn.load(tmp_path / "model")


def test_devices_and_pipes_are_no_models(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="is no regular file"):
            nn.load(path)
    with pytest.raises(ValueError, match="is no regular file"):
        nn.save(network(), tmp_path / "pipe")


def layer(kind, inputs=(0,), **options):
    return {"kind": kind, "options": options, "inputs": inputs}


NETWORKS = [
    {"input_shape": "abc"}, {"input_shape": [1, -9, 9]}, {"input_shape": [1, 9.5, 9]},
    {"input_shape": [1, 10**9, 10**9]}, {"input_shape": []}, {"input_shape": 3}, {"seed": "a"},
    {"seed": -1}, {"dtype": "O"}, {"dtype": [["a"]]}, {"dtype": "c16"}, {"layers": None},
    *({"layers": [found]} for found in (
        3, layer("System"), layer("Layer"), layer("Join", (0, 0)), layer("_Windowed"),
        layer(["ReLU"]), layer("ReLU", a=1), layer("ReLU", (1,)), layer("ReLU", (-1,)),
        layer("ReLU", ("0",)), layer("ReLU", (0.0,)), layer("ReLU", 0), layer("ReLU", (0, 0)),
        layer("Conv"), layer("Conv", outputs=4, size=3, forward=1), layer("Dense", outputs=4.5),
        *(layer("Conv", outputs=n, size=3) for n in (10**12, -4, 0, "4", 4.5, None, True)),
        *(layer("Conv", outputs=4, size=3, **option) for option in (
            {"padding": {}}, {"padding": 2**40}, {"boundary": [["a"], "b"]}, {"boundary": None},
            {"groups": "1"}, {"groups": 0}, {"groups": 3}, {"bias": "x"}, {"initial": "x"},
            {"connections": "abcd"}, {"connections": [[0], [9], [0], [0]]}, {"stride": 0},
            {"connections": [[0]]}, {"connections": [["0"]] * 4}, {"dilation": 1.5},
        )),
        layer("ConvTransposed", outputs=0, size=2), layer("Dropout", rate=2),
        layer("Dropout", rate="0.5"), layer("BatchNorm", epsilon=-3),
        layer("BatchNorm", epsilon="a"), layer("BatchNorm", momentum=2),
        layer("LeakyReLU", slope=0), layer("ELU", alpha=-1),
        layer("Tanh", height="a"), layer("Standardise", mean=None), layer("MaxPool", size=0),
        layer("Standardise", deviation=0), layer("MaxPool", size=2, ceil="x"),
        layer("AdaptiveMaxPool", counts=2**40), layer("LayerNorm", epsilon=[1]),
    )),
]  # fmt: skip


@pytest.mark.parametrize("change", NETWORKS, ids=range(len(NETWORKS)))
def test_networks_that_cannot_be(change, tmp_path):
    net = network()
    found = {**json.loads(saving.described(net)), **change}
    saving.write(tmp_path / "model", net.arrays(), {"faltung.network": json.dumps(found)})
    with pytest.raises(ValueError, match=r"model (describes no network|holds no network that)"):
        nn.load(tmp_path / "model")


@pytest.mark.parametrize("text", ["{", "[]", "null", "3", "[" * 100_000, "{}"])
def test_texts_that_describe_no_network(text, tmp_path):
    saving.write(tmp_path / "model", {}, {"faltung.network": text})
    with pytest.raises(ValueError, match=r"model (describes no network|holds no network that)"):
        nn.load(tmp_path / "model")
