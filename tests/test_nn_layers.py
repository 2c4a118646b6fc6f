"""Layers of networks: finite differences through whole networks, fusion, shapes, PyTorch."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung
from faltung import layers, nn
from faltung.nn import INFERENCE, Mode

TRAIN = Mode(True, (3,))


def loss_of(network, x, dy):
    """Return a number whose gradient at the output is dy."""
    return float((network.forward(x, TRAIN) * dy).sum())


def check(network, x, tolerance=1e-6):
    """Compare all gradients of parameters with central differences, along drawn directions."""
    rng = np.random.default_rng(1)
    network.prepare()
    for array in network.parameters().values():  # away from zeros, where relu has a corner
        array += 0.1 * rng.standard_normal(array.shape)
    dy = rng.standard_normal((len(x), *network.output_shape))
    loss_of(network, x, dy)
    network.backward(dy)
    gradients = {name: g.copy() for name, g in network.gradients().items()}
    assert gradients.keys() == network.parameters().keys()
    for name, array in network.parameters().items():
        way = rng.standard_normal(array.shape)
        step, kept = 1e-6, array.copy()
        array += step * way
        above = loss_of(network, x, dy)
        array[...] = kept - step * way
        below = loss_of(network, x, dy)
        array[...] = kept
        found = float((gradients[name] * way).sum())
        size = np.linalg.norm(gradients[name]) * np.linalg.norm(way) + abs(found) + 1e-2
        assert abs((above - below) / (2 * step) - found) <= tolerance * size, name


MIDDLES = [
    lambda: [nn.ReLU(), nn.MaxPool(2)],
    lambda: [nn.BatchNorm(), nn.ReLU(), nn.MaxPool(3, stride=2, padding=1, ceil=True)],
    lambda: [nn.ReLU(), nn.AveragePool(3, stride=2, padding=1, count_padding=False)],
    lambda: [nn.LayerNorm(), nn.LeakyReLU(0.1)],
    lambda: [nn.Tanh(1.7159, 2 / 3), nn.AdaptiveAveragePool(2), nn.Scale()],
    lambda: [nn.ELU(), nn.AdaptiveMaxPool((2, 3))],
    lambda: [nn.Sigmoid(), nn.ConvTransposed(2, 3, stride=2, padding=1, extra=1)],
    lambda: [nn.Softmax(), nn.Dropout(0.3)],
    lambda: [nn.Standardise(0.3, 2.0), nn.ReLU(), nn.ReLU()],
]


@pytest.mark.parametrize("middle", MIDDLES)
@pytest.mark.parametrize("end", ["dense", "global"])
def test_gradients_are_those_of_finite_differences(middle, end):
    last = [nn.Flatten(), nn.Dense(3)] if end == "dense" else [nn.GlobalAveragePool()]
    first = nn.Conv(4, 3, padding=1, boundary="reflect")
    network = nn.Sequential([first, *middle(), nn.Conv(3, 2), *last], (2, 6, 7), dtype="f8")
    check(network, np.random.default_rng(0).standard_normal((5, 2, 6, 7)))


@settings(max_examples=25)
@given(
    rank=st.integers(1, 3),
    groups=st.sampled_from([1, 2, -1]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
)
def test_convolutions_of_any_options(rank, groups, stride, dilation, bias):
    conv = nn.Conv(4, 2, stride=stride, dilation=dilation, padding="same", groups=groups, bias=bias)
    network = nn.Sequential([conv, nn.ReLU(), nn.Dense(2)], (2, *(5, 4, 3)[:rank]), dtype="f8")
    check(network, np.random.default_rng(0).standard_normal((3, *network.input_shape)))


def residual(dtype="f8"):
    graph = nn.Graph((2, 6, 6), dtype=dtype)
    start = graph.add(nn.Conv(3, 3, padding=1))
    shared = graph.add(nn.ReLU())
    graph.add(nn.Conv(3, 3, padding=1))
    graph.add(nn.BatchNorm())
    added = graph.add(nn.Add(), shared, 4, start)
    left = graph.add(nn.MaxPool(2), added)
    right = graph.add(nn.AveragePool(2), added)
    graph.add(nn.Concatenate(), left, right)
    graph.add(nn.Dense(3))
    return graph


def test_branches_residual_adds_and_concatenation():
    check(residual(), np.random.default_rng(0).standard_normal((4, 2, 6, 6)))


def test_graphs_are_kept_in_files(tmp_path):
    graph = residual("f8")
    x = np.random.default_rng(0).standard_normal((4, 2, 6, 6))
    graph.forward(x, TRAIN)  # moves the running moments
    nn.save(graph, tmp_path / "model")
    again = nn.load(tmp_path / "model")
    assert (again.predict(x) == graph.predict(x)).all()
    assert str(again.summary()) == str(graph.summary())


def test_what_is_done_in_one_pass_changes_nothing(monkeypatch):
    x = np.random.default_rng(0).standard_normal((33, 1, 14, 15))
    found = []
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(nn.Graph, "_fuse", lambda self: None)
            monkeypatch.setattr(nn.Graph, "_pool", lambda self: None)
        block = [nn.Conv(4, 3), nn.ReLU(), nn.MaxPool(2), nn.Conv(5, 2), nn.BatchNorm(), nn.ReLU()]
        block += [nn.MaxPool(2), nn.Conv(3, 1), nn.BatchNorm(), nn.MaxPool(2)]
        network = nn.Sequential([*block, nn.Dense(6), nn.ReLU(), nn.Dense(2)], (1, 14, 15))
        y = network.forward(x, TRAIN)
        network.backward(np.ones_like(y))
        assert any(node.layer.relu for node in network.nodes) == fused
        assert sum(node.layer.fused for node in network.nodes) == 4 * fused
        found.append([y, *network.gradients().values()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_dense_layers_are_those_of_layers():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 2, 3, 3))
    network = nn.Sequential([nn.Dense(4)], (2, 3, 3), dtype="f8")
    w, bias = network.parameters().values()
    bias += rng.standard_normal(4)
    np.testing.assert_allclose(network.predict(x), layers.dense(x.reshape(5, -1), w, bias))


def test_bits_do_not_depend_on_threads():
    x = np.random.default_rng(0).standard_normal((40, 1, 28, 28)).astype(np.float32)
    found = []
    for count in (1, 2, 3):
        with faltung.workers(count):
            network = nn.lenet5()
            y = network.forward(x, TRAIN)
            network.backward(y)
            found.append([y, *network.gradients().values()])
    for arrays in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], arrays, strict=True))


def test_inference_keeps_nothing_and_uses_running_moments():
    network = nn.Sequential([nn.BatchNorm(momentum=1.0), nn.Dropout()], (3,), dtype="f8")
    x = np.random.default_rng(0).standard_normal((50, 3)) * 4 + 1
    network.forward(x, TRAIN)
    y = network.predict(x)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=0), 49 / 50, rtol=1e-4)  # the unbiased one is kept
    network.forward(x, INFERENCE)
    with pytest.raises(ValueError, match="needs a forward pass with training=True"):
        network.backward(y)


def test_a_layer_that_does_not_fit_tells_the_shapes_so_far():
    with pytest.raises(
        ValueError, match=r"conv2 does not fit.*input \(1, 6, 6\), conv1 \(4, 2, 2\)"
    ):
        nn.Sequential([nn.Conv(4, 5), nn.Conv(4, 5)], (1, 6, 6))
    network = nn.lenet5()
    with pytest.raises(ValueError, match=r"x has shape \(2, 28, 28\).*conv1 \(6, 28, 28\)"):
        network.predict(np.zeros((2, 28, 28)))
    with pytest.raises(ValueError, match="empty batch"):
        network.forward(np.zeros((0, 1, 28, 28)))
    graph = nn.Graph((2, 6, 6))
    first = graph.add(nn.Conv(3, 3))
    with pytest.raises(ValueError, match=r"one shape; got \(2, 6, 6\), \(3, 4, 4\)"):
        graph.add(nn.Add(), 0, first)
    with pytest.raises(ValueError, match="groups=3 must divide"):
        nn.Sequential([nn.Conv(3, 3, groups=3)], (4, 6, 6))
    layer = nn.ReLU()
    graph.add(layer)
    with pytest.raises(ValueError, match="already"):
        graph.add(layer)
    with pytest.raises(ValueError, match=r"One image is x\[None\]"):
        network.predict(np.zeros((1, 28, 28)))
    with pytest.raises(TypeError, match=r"is no layer; write ReLU\(\)"):
        graph.add(nn.ReLU)
    for shape in (28, (), (0, 3), (1, 2.5)):
        with pytest.raises(ValueError, match="must be that of one image"):
            nn.Graph(shape)


def test_a_network_shows_what_it_is():
    assert repr(nn.lenet5()) == (
        "<Sequential of 12 layers: (1, 28, 28) -> (10,), 61,706 parameters>"
    )
    assert repr(nn.Graph((1, 4))) == "<Graph of 0 layers: (1, 4) -> (1, 4), 0 parameters>"
    graph = nn.Graph((1, 8))
    graph.add(nn.Conv(2, 3, padding=1))
    graph.add(nn.ReLU(), graph.add(nn.Conv(2, 3, padding=1), 0))
    graph.add(nn.Add(), 1, 3)
    rows = graph.summary().rows
    assert [row.inputs for row in rows] == [(), ("input",), (), ("conv1", "relu1")]
    lines = str(graph.summary()).splitlines()
    assert lines[0].endswith("  multiply-adds  receptive field")
    assert lines[-2].startswith("add1 of conv1, relu1  (2, 8)")
    assert repr(graph.summary()) == str(graph.summary())


def test_the_published_counts():
    """Of LeCun et al. (1998), section II.B, without its last layer, and of AlexNet."""
    rows = {row.name: row for row in nn.lenet5(form="1998").summary().rows}
    counts = [rows[n].parameters for n in ("conv1", "scale1", "conv2", "scale2", "conv3", "dense1")]
    assert counts == [156, 12, 1516, 32, 48120, 10164]
    # the paper counts a connection for each multiplication and each bias
    assert rows["conv1"].multiply_adds + 6 * 28 * 28 == 122_304
    assert rows["conv2"].multiply_adds + 16 * 10 * 10 == 151_600
    shapes = [node.shape for node in nn.alexnet().nodes]
    assert shapes[0] == (96, 55, 55)
    assert (256, 6, 6) in shapes


def test_receptive_fields_are_those_of_gradients():
    network = nn.Sequential(
        [nn.Conv(2, 3, stride=2), nn.AveragePool(2), nn.Conv(1, 3, dilation=2)],
        (1, 40, 41),
        dtype="f8",
    )
    x = np.random.default_rng(0).standard_normal((1, 1, 40, 41))
    base = network.predict(x)
    length = network.summary().rows[-1].field[0]
    seen = []
    for row in range(40):
        other = x.copy()
        other[0, 0, row] += 1
        seen.append(bool((network.predict(other)[0, 0, 1] != base[0, 0, 1]).any()))
    touched = np.flatnonzero(seen)
    assert touched[-1] - touched[0] + 1 == length


def test_the_way_from_convolution_to_full_connection_and_back():
    rng = np.random.default_rng(0)
    for padding, boundary in ((0, "constant"), (1, "constant"), (1, "edge")):
        conv = nn.Conv(3, (3, 2), padding=((padding, padding), (padding, 0)), boundary=boundary)
        conv.draw((2, 5, 6), (0,), np.dtype("f8"))
        conv.parameters["bias"] += rng.standard_normal(3)
        dense, counts = nn.dense_from_conv(conv, (2, 5, 6))
        x = rng.standard_normal((4, 2, 5, 6))
        y = conv.forward(x)
        np.testing.assert_allclose(dense.forward(x), y.reshape(4, -1), atol=1e-12)
        assert counts.full == 60 * y[0].size
        assert counts.shared == 3 * 2 * 6
        if boundary == "constant":
            again, back = nn.conv_from_dense(dense, (2, 5, 6), y.shape[1:])
            np.testing.assert_allclose(again.forward(x), y, atol=1e-12)
            assert again.size == (3, 2)
            assert back == counts
        else:
            with pytest.raises(ValueError, match="the nearest is off by"):
                nn.conv_from_dense(dense, (2, 5, 6), y.shape[1:])


def test_folding_is_the_same_function():
    graph = residual("f8")
    x = np.random.default_rng(0).standard_normal((6, 2, 6, 6))
    for _ in range(3):
        graph.forward(x, TRAIN)
    light = nn.folded(graph)
    assert len(light.nodes) == len(graph.nodes) - 1
    np.testing.assert_allclose(light.predict(x), graph.predict(x), atol=1e-12)


def test_a_network_equals_that_of_torch():
    torch = pytest.importorskip("torch")
    network = nn.small_cnn(widths=(4, 6, 8), input_shape=(1, 12, 12))
    theirs = torch.nn.Sequential(
        *(
            part
            for c, o, pooled in ((1, 4, 1), (4, 6, 1), (6, 8, 0))
            for part in (
                torch.nn.Conv2d(c, o, 3, padding=1, bias=False),
                torch.nn.BatchNorm2d(o),
                torch.nn.ReLU(),
                *[torch.nn.MaxPool2d(2)] * pooled,
            )
        ),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 10),
    )
    with torch.no_grad():
        for mine, other in zip(network.parameters().values(), theirs.parameters(), strict=True):
            other.copy_(torch.from_numpy(mine))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((16, 1, 12, 12)).astype("f4"), rng.integers(0, 10, 16)
    descents = {
        nn.SGD(0.05, momentum=0.9, nesterov=True): torch.optim.SGD(
            theirs.parameters(), 0.05, momentum=0.9, nesterov=True
        ),
        nn.Adam(1e-3): torch.optim.Adam(theirs.parameters(), 1e-3),
    }
    for ours, other in descents.items():
        state = {}
        for step in range(1, 4):
            loss, dy = layers.cross_entropy(network.forward(x, TRAIN), y)
            network.backward(dy)
            ours.step(network.parameters(), network.gradients(), state, step)
            other.zero_grad()
            found = torch.nn.functional.cross_entropy(
                theirs(torch.from_numpy(x)), torch.from_numpy(y)
            )
            found.backward()
            other.step()
            assert loss == pytest.approx(float(found.detach()), rel=1e-4)
    theirs.eval()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.predict(x), expected, atol=2e-3)


SCRIPT = """
import hashlib, numpy as np
from faltung import nn
digest = hashlib.sha1()
x = np.random.default_rng(0).standard_normal((16, 1, 16, 16)).astype("f4")
for network in (nn.small_cnn((1, 16, 16)), nn.lenet5((1, 16, 16)), nn.series_cnn((16, 16), 3)):
    y = network.forward(x.reshape(16, *network.input_shape), nn.Mode(True))
    network.backward(y)
    for array in (y, *network.gradients().values()):
        digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


def test_bits_do_not_depend_on_the_threads_of_a_blas():
    found = set()
    for count in ("1", "3"):
        threads = {
            "OPENBLAS_NUM_THREADS": count,
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
        }
        environment = {**os.environ, **threads, "FALTUNG_WORKERS": count}
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True
        )
        found.add(ended.stdout)
    assert len(found) == 1
