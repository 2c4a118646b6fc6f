"""Training steps: what is played and compiled is what the layers and formulas give."""

import threading
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung
from faltung import layers, native, nn
from faltung.layers import memory, winograd
from faltung.layers.finite import spreading
from faltung.layers.recording import do, recording, unrecorded
from faltung.nn import steps
from faltung.nn.crew import Crew
from faltung.nn.flat import Flat
from faltung.nn.layer import Layer
from faltung.nn.steps import Descent, Entropy, Part, Steps, bound

LAYERS = {
    "lenet": lambda: [
        nn.Conv(6, 5, padding=2), nn.ReLU(), nn.MaxPool(2), nn.Conv(16, 5), nn.ReLU(),
        nn.MaxPool(2), nn.Flatten(), nn.Dense(20), nn.ReLU(), nn.Dense(3),
    ],
    "strided": lambda: [
        nn.Conv(4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv(5, (2, 3), dilation=2), nn.ReLU(),
        nn.AveragePool(2), nn.ReLU(), nn.Flatten(), nn.ReLU(), nn.Dense(3),
    ],
    "groups": lambda: [
        nn.Conv(6, 3, padding="same"), nn.Conv(12, 3, groups=3, bias=False), nn.ReLU(),
        nn.Conv(8, 1, stride=3), nn.ReLU(), nn.Dense(3),
    ],
    "overlapping": lambda: [nn.Conv(4, 4), nn.ReLU(), nn.MaxPool(3, stride=2), nn.Dense(3)],
    "dense": lambda: [
        nn.Standardise(0.2, 1.7), nn.Dense(40), nn.ReLU(), nn.Dense(33), nn.ReLU(), nn.Dense(3),
    ],
    "blocks": lambda: [
        nn.Conv(16, 3, padding="same", bias=False), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2),
        nn.Conv(27, 3, padding="same"), nn.BatchNorm(0.3), nn.ReLU(), nn.MaxPool(2),
        nn.Conv(24, 3, padding="same", bias=False), nn.BatchNorm(), nn.ReLU(),
        nn.GlobalAveragePool(), nn.Dense(3),
    ],
    "wide": lambda: [
        nn.AveragePool(2), nn.Conv(24, 3, padding=1), nn.ReLU(), nn.Conv(26, 3, padding=1),
        nn.ReLU(), nn.Conv(24, 3), nn.BatchNorm(), nn.Conv(24, 5, padding=2, groups=24), nn.ReLU(),
        nn.Dense(3),
    ],
    "winograd": lambda: [
        nn.AveragePool(2), nn.Conv(24, 3), nn.ReLU(), nn.Conv(24, 3), nn.Dense(3),
    ],
    "refused": lambda: [nn.Conv(13, 3, boundary="wrap", padding=1), nn.ReLU(), nn.Dense(3)],
}  # fmt: skip
MIXED = ("blocks", "wide")  # with batch norms


def data(count, seed=0):
    """Return small images whose class is where they are bright."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.standard_normal((count, 1, 18, 18)).astype(np.float32)
    x[np.arange(count), 0, :, 6 * y] += 3
    return x, y


def trained(name, images, recordable=True, workers=None, dtype="f4", **options):
    """Return a network after two epochs, whose last batches are shorter."""
    x, y = data(3 * images + 5)
    network = nn.Sequential(LAYERS[name](), (1, 18, 18), seed=2, dtype=dtype)
    for node in network.nodes:
        node.layer.recordable = recordable
    with faltung.workers(workers or faltung.get_workers()):
        options = {"optimiser": nn.SGD(0.02), "epochs": 2, "batch": images, **options}
        history = nn.Trainer(network, **options).fit(x, y)
    return network, history


def same(a, b):
    return all((a.arrays()[name] == array).all() for name, array in b.arrays().items())


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("images", [64, 24, 7])
@pytest.mark.parametrize("name", LAYERS)
def test_what_is_played_has_the_bits_of_the_layers(name, images, dtype, monkeypatch):
    monkeypatch.setattr(Entropy, "takes", staticmethod(lambda logits: False))
    monkeypatch.setattr(steps, "PARTS", 1)
    played, history = trained(name, images, dtype=dtype)
    plain, expected = trained(name, images, recordable=False, dtype=dtype)
    assert same(played, plain)
    assert history == expected
    recorded = name != "refused" and memory.pipelined(np.dtype(dtype))
    if name not in MIXED or images == 64:  # else a channel may be no whole vectors
        assert Steps(played, images, nn.SGD(), {}).plays(images) == recorded
    assert not Steps(plain, images, nn.SGD(), {}).plays(images)


@pytest.mark.parametrize("name", LAYERS)
def test_parts_of_a_batch_are_the_batch(name, monkeypatch):
    ends = []
    for parts in (1, 8):
        monkeypatch.setattr(steps, "PARTS", parts)
        ends.append(trained(name, 96, dtype="f8"))
    for array, other in zip(*(end[0].arrays().values() for end in ends), strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-9, atol=1e-9)
    assert [e.loss for e in ends[0][1]] == pytest.approx([e.loss for e in ends[1][1]])


@pytest.mark.parametrize("name", ["lenet", "groups", "dense", "blocks"])
def test_any_number_of_threads_gives_the_same_bits(name):
    ends = [trained(name, 64, workers=workers)[0] for workers in (1, 2, 5)]
    assert same(ends[0], ends[1])
    assert same(ends[0], ends[2])


@pytest.mark.parametrize("images", [64, 128])
def test_batches_are_not_parted_where_a_layer_wants_them_whole(images):
    whole = {"blocks": True, "winograd": bool(native.variants("winograd")), "lenet": False}
    for name, alone in whole.items():
        parts = 1 if alone else steps.parts_of(images)
        network = nn.Sequential(LAYERS[name](), (1, 18, 18), seed=2)
        before = {key: array.copy() for key, array in network.arrays().items()}
        made = Steps(network, images, nn.SGD(), {})
        made.close()
        assert len(made.parts) == (parts if memory.pipelined(network.dtype) else 0)
        assert all((network.arrays()[key] == array).all() for key, array in before.items())


def test_running_moments_follow_every_batch_once():
    x, y = data(64)
    network = nn.Sequential([nn.BatchNorm(0.25), nn.Dense(3)], (1, 18, 18))
    nn.Trainer(network, epochs=3, batch=64).fit(x, y)
    left = 0.75**3
    state = network.nodes[0].layer.state
    wide = x.astype(np.float64)
    assert state["mean"] == pytest.approx((1 - left) * wide.mean(), rel=1e-5)
    assert state["variance"] == pytest.approx(left + (1 - left) * wide.var(ddof=1), rel=1e-5)


def test_moments_that_are_loaded_while_it_trains_are_followed():
    x, y = data(64)
    network = nn.Sequential([nn.BatchNorm(0.5), nn.Dense(3)], (1, 18, 18))

    def loading(epoch):
        network.nodes[0].layer.state = {"mean": np.full(1, 8.0), "variance": np.ones(1)}

    nn.Trainer(network, epochs=2, batch=64, told=loading).fit(x[:64], y[:64])
    assert network.nodes[0].layer.state["mean"] == 8  # told is last
    told = iter([loading, lambda epoch: None])
    nn.Trainer(network, epochs=2, batch=64, told=lambda epoch: next(told)(epoch)).fit(x, y)
    expected = 4 + 0.5 * x.astype(np.float64).mean()
    assert network.nodes[0].layer.state["mean"] == pytest.approx(expected, rel=1e-5)


@dataclass(eq=False)
class Unknown(Layer):
    """A layer that says that it can be recorded, and does something else."""

    recordable = True

    def forward(self, x, mode=nn.INFERENCE):
        unrecorded()
        return x

    def backward(self, dy, wanted=True):
        return dy


def test_a_layer_says_itself_that_it_can_be_recorded():
    class Doubled(nn.Conv):
        def forward(self, x, mode=nn.INFERENCE):
            return 2 * super().forward(x, mode)

    network = nn.Sequential([Doubled(4, 3), nn.Dense(3)], (1, 18, 18))
    assert nn.Conv.recordable
    assert not Steps(network, 8, nn.SGD(), {}).plays(8)


def test_large_outputs_are_not_kept(monkeypatch):
    network = nn.Sequential(LAYERS["dense"](), (1, 18, 18))
    assert Steps(network, 64, nn.SGD(), {}).plays(64) == memory.pipelined(network.dtype)
    monkeypatch.setattr(steps, "KEPT", 1000)
    assert not Steps(network, 64, nn.SGD(), {}).plays(64)


def test_what_refuses_a_tape_is_not_played():
    network = nn.Sequential([Unknown(), nn.Dense(3)], (1, 18, 18))
    assert not Steps(network, 8, nn.SGD(), {}).plays(8)
    with recording() as tape, recording() as inner:
        unrecorded()
    assert inner.refused
    assert not tape.refused


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    "optimiser",
    [
        nn.SGD(0.1), nn.SGD(0.1, momentum=0), nn.SGD(0.1, 0.8, decay=0.03, nesterov=True),
        nn.Adam(0.1), nn.Adam(0.1, 0.7, 0.9, 1e-3, decay=0.2),
    ],
)  # fmt: skip
def test_the_compiled_descent_is_that_of_the_formulas(optimiser, dtype):
    rng = np.random.default_rng(0)
    nets = [nn.Sequential([nn.Conv(3, 3), nn.Dense(5)], (2, 6, 7), dtype=dtype) for _ in range(2)]
    flat, state = nets[0].flat(), {}
    found = flat.gradients()
    descent = Descent(optimiser, flat.parameters, found, {})
    for number in range(1, 5):
        for name, flats in found.items():
            flats[:] = rng.standard_normal(flats.shape)
            assert flats.nbytes % 64 == 0, name
        gradients = {
            f"{node.name}.{key}": slot.copy()
            for (layer, key, _, _), slot in zip(flat.places, flat.parts(found), strict=True)
            for node in nets[0].nodes
            if node.layer is layer
        }
        descent.step(number, 0.5)
        optimiser.step(nets[1].parameters(), gradients, state, number, 0.5)
    tolerance = 64 * np.finfo(dtype).eps
    for name, array in nets[0].parameters().items():
        expected = nets[1].parameters()[name]
        np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance, err_msg=name)


def test_the_parameters_are_views_of_the_flat_ones():
    network = nn.Sequential([nn.Dense(4), nn.BatchNorm(), nn.Dense(2)], (3,))
    held = network.parameters()
    assert network.flat() is network.flat()
    assert all(np.shares_memory(a, network.parameters()[name]) for name, a in held.items())
    network.nodes[0].layer.parameters["weights"] = np.ones((4, 3), np.float32)
    laid = network.flat()
    assert (laid.parameters["weights"].ravel()[:12] == 1).all()
    assert isinstance(laid, Flat)
    network.add(nn.Dense(5))
    assert network.flat().parameters["weights"].size == 32
    network.load({name: a + 1 for name, a in network.arrays().items()})
    assert (network.parameters()["dense1.weights"] == 2).all()
    assert network.flat().holds([node.layer for node in network.nodes])


def test_parameters_taken_before_a_training_are_those_after_it():
    x, y = data(20)
    network = nn.Sequential(LAYERS["dense"](), (1, 18, 18))
    held = network.parameters()
    before = {name: a.copy() for name, a in held.items()}
    nn.Trainer(network, epochs=1, batch=8).fit(x, y)
    assert all(np.shares_memory(a, network.parameters()[name]) for name, a in held.items())
    assert not (held["dense1.weights"] == before["dense1.weights"]).all()


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(1, 70),
    classes=st.integers(1, 12),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_the_compiled_cross_entropy_is_that_of_the_formula(images, classes, scale, seed):
    rng = np.random.default_rng(seed)
    laid = (scale * rng.standard_normal((classes, images))).astype(np.float32)
    laid[rng.random(laid.shape) < 0.1] = 0  # equal ones
    labels = rng.integers(0, classes, images)
    if not Entropy.takes(laid.T):
        pytest.skip("no pipeline here")
    entropy = Entropy(laid.T, images)
    entropy.labels[:] = labels
    entropy.call()
    loss, hits = entropy.told
    loss /= images
    expected, dy = layers.cross_entropy(laid.T.astype(np.float64), labels)
    assert loss == pytest.approx(expected, rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(entropy.dy, dy, atol=2e-6 / images)
    assert hits == (laid.T.argmax(axis=1) == labels).sum()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_loss_of_what_is_no_number_is_none(bad):
    laid = np.zeros((4, 33), np.float32)
    laid[3, 0] = -np.inf  # a class that cannot be
    if not Entropy.takes(laid.T):
        pytest.skip("no pipeline here")
    entropy = Entropy(laid.T, 33)
    for change, end in ((0.0, False), (bad, True), (-np.inf, True)):
        laid[:, 17] = change
        entropy.call()
        assert np.isnan(entropy.told[0]) == end


@pytest.mark.parametrize("name", ["lenet", "blocks"])
@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_resume_of_what_is_played_gives_the_same_bits(name, tmp_path, monkeypatch, stop):
    options = {"optimiser": nn.adamw(0.01), "schedule": nn.Cosine(), "seed": 3}
    whole, expected = trained(name, 32, **options)
    x, y = data(3 * 32 + 5)
    options |= {"epochs": 2, "batch": 32, "checkpoint": tmp_path / "state", "every": 0.0}
    first = nn.Trainer(nn.Sequential(LAYERS[name](), (1, 18, 18), seed=2), **options)
    step = first._step

    def stopping(*arguments):
        if first._run.steps == stop:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(first, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        first.fit(x, y)
    again = nn.Sequential(LAYERS[name](), (1, 18, 18), seed=2)
    assert nn.Trainer(again, **options).fit(x, y, resume=True) == expected
    assert same(again, whole)


def test_parts_of_a_gradient_are_summed_in_float64():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 8):
        parts = rng.standard_normal((count, 5000)) * 2.0 ** rng.integers(-149, 128, (count, 5000))
        parts = np.clip(parts, -3e38, 3e38).astype(np.float32)
        parts[:, :3] = [np.nan, np.inf, -0.0]
        with np.errstate(over="ignore"):
            expected = parts.sum(axis=0, dtype=np.float64).astype(np.float32)
            found = winograd.total(parts)
        np.testing.assert_array_equal(found, expected)


def test_the_layer_is_named_where_numbers_were_let_spread():
    x, y = data(128)
    network = nn.Sequential(LAYERS["blocks"](), (1, 18, 18), seed=2)
    network.parameters()["conv2.weights"][5] = 2e38
    with pytest.raises(FloatingPointError, match=r"the loss is nan .* the output of conv2\."):
        nn.Trainer(network, epochs=1, batch=64).fit(x, y)


def test_what_is_finite_has_the_same_bits_where_the_rest_may_spread():
    rng = np.random.default_rng(0)
    for options, channels in (({"padding": 1}, 1), ({"padding": 3, "groups": 24}, 24)):
        x = rng.standard_normal((64 if channels == 1 else 5, 24, 11, 11)).astype(np.float32)
        side = 3 if channels == 1 else 7
        k = rng.standard_normal((24, 24 // channels, side, side)).astype(np.float32)
        with spreading():
            found = layers.conv(x, k, **options)
        assert (found == layers.conv(x, k, **options)).all()
        x[3, 2, 5, 6] = np.nan
        with spreading():
            worse = layers.conv(x, k, **options)
        apart = np.arange(len(x)) != 3
        assert (worse[apart] == found[apart]).all()
        assert np.isnan(worse[~apart]).any()


def test_a_gate_is_the_way_back_of_a_relu():
    rng = np.random.default_rng(0)
    for shape, options in (
        ((20, 6, 9, 9), {"padding": 1}),
        ((20, 6, 9, 9), {"stride": 2, "padding": 1}),
        ((20, 6, 9, 9), {"boundary": "wrap", "padding": 1}),
        ((3, 16, 9, 9), {"padding": 1}),  # Winograd's
        ((2, 6, 9, 9), {"groups": 2}),
    ):
        x = np.maximum(rng.standard_normal(shape), 0).astype(np.float32)
        k = rng.standard_normal((16, shape[1] // options.get("groups", 1), 3, 3)).astype("f4")
        dy = rng.standard_normal(layers.conv(x, k, **options).shape).astype(np.float32)
        plain = layers.conv_input_gradient(dy, k, (9, 9), **options)
        found = layers.conv_input_gradient(dy, k, (9, 9), gate=x, **options)
        assert (found == np.where(x > 0, plain, 0)).all()
    with pytest.raises(ValueError, match=r"gate has shape .* it must be"):
        layers.conv_input_gradient(dy, k, (9, 9), gate=x[:, :1], groups=2)


def test_batches_are_the_picked_images():
    rng = np.random.default_rng(0)
    for dtype in ("f4", "f8"):
        for shape in ((2, 5, 7), (3,), (1, 20, 20)):
            for images in (1, 8, 40):
                network = nn.Sequential([nn.Dense(2)], shape, dtype=dtype)
                if not memory.pipelined(network.dtype):
                    pytest.skip("no pipeline here")
                part = Part(network, network.flat(), slice(0, images), images)
                x = rng.standard_normal((50, *shape)).astype(dtype)
                part.take(x)
                part.picked[:] = rng.permutation(50)[:images]
                part.gather()
                assert (np.moveaxis(part.laid, -1, 0) == x[part.picked]).all()


def test_an_error_in_a_thread_is_raised_and_the_threads_go():
    def fails():
        raise MemoryError("no more")

    before = threading.active_count()
    crew = Crew(3)
    done = []
    with pytest.raises(MemoryError, match="no more"):
        crew.run([partial(done.append, 0), fails, partial(done.append, 2)])
    crew.run([partial(done.append, n) for n in range(5)])
    crew.close()
    assert len(done) == 7
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


# ---- calls made without Python -----------------------------------------------------------------


def test_calls_follow_one_another_and_copies_are_among_them():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((8, 32), np.float32).T  # images innermost
    k = rng.standard_normal((4, 8), np.float32)
    kept = np.empty((4, 32), np.float32)
    with recording() as tape:
        y = layers.conv(x, k)
        do(np.copyto, kept, y.T)
        do(np.copyto, kept[::2], y.T[::2])  # not in one piece: Python copies it
    kinds = [isinstance(call, native.Calls) for call in tape.calls]
    if native.library() is not None and not tape.refused:
        assert kinds == [True, False]
        kept[:] = y.T[:] = 0
        tape.play()
        np.testing.assert_allclose(kept, k @ x.T, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(native.library() is None, reason="needs the compiled library")
def test_a_call_that_fails_among_others_is_named():
    w = np.zeros(64, np.float32)
    odd = np.zeros(17, np.float32)  # no whole number of vectors
    asked = np.zeros(4, np.float32)
    whole = bound("sgd", [w, w.copy(), w.copy(), asked], [w, w.copy()], 64)
    broken = bound("sgd", [odd, odd.copy(), odd.copy(), asked], [odd, odd.copy()], 17)
    native.Calls([whole, whole])()
    with pytest.raises(RuntimeError, match="sgd"):
        native.Calls([whole, broken, whole])()
