"""Every layer with every option: its gradients are finite differences, sample by sample."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import BOUNDARIES

from faltung import layers, nn

MOST = 30  # samples of an array that are moved
STEP = 1e-5


def ints(rank, *values):
    """Draw one int, or one for each axis."""
    each = st.sampled_from(values)
    return each | st.tuples(*[each] * rank)


def pads(rank, most):
    """Draw paddings: numbers, pairs, and names."""
    pairs = st.tuples(*[st.tuples(st.integers(0, most), st.integers(0, most))] * rank)
    return st.sampled_from(["same", "valid"]) | ints(rank, *range(most + 1)) | pairs


def windowed(rank):
    return {
        "size": ints(rank, 2, 3), "stride": st.none() | ints(rank, 1, 2, 3),
        "padding": pads(rank, 1), "ceil": st.booleans(),
    }  # fmt: skip


def summed(rank):
    return {
        "outputs": st.sampled_from([4, 8]), "size": ints(rank, 1, 2, 3),
        "stride": ints(rank, 1, 2, 3), "dilation": ints(rank, 1, 2), "padding": pads(rank, 2),
        "bias": st.booleans(), "initial": st.sampled_from(["he", "glorot"]),
    }  # fmt: skip


BOUNDARY = st.sampled_from(BOUNDARIES)
SEEN = st.lists(st.lists(st.integers(0, 3), min_size=1, unique=True), min_size=8, max_size=8)
#: Of each layer, what each of its options may be, on so many axes of space.
OPTIONS = {
    nn.Conv: lambda rank: {
        **summed(rank), "boundary": BOUNDARY | st.tuples(*[BOUNDARY] * rank),
        "groups": st.sampled_from([1, 2, -1]), "connections": st.none() | SEEN,
    },
    nn.ConvTransposed: lambda rank: {
        **summed(rank), "extra": ints(rank, 0, 1), "groups": st.sampled_from([1, 2]),
    },
    nn.Dense: lambda _: {
        "outputs": st.integers(1, 4), "bias": st.booleans(),
        "initial": st.sampled_from(["he", "glorot", "ones"]),
    },
    nn.MaxPool: windowed,
    nn.AveragePool: lambda rank: {**windowed(rank), "count_padding": st.booleans()},
    nn.AdaptiveAveragePool: lambda rank: {"counts": ints(rank, 1, 2, 4, 7)},
    nn.AdaptiveMaxPool: lambda rank: {"counts": ints(rank, 1, 2, 4, 7)},
    nn.BatchNorm: lambda _: {
        "momentum": st.sampled_from([0.0, 0.1, 1.0]), "epsilon": st.sampled_from([1e-5, 0.5]),
    },
    nn.LayerNorm: lambda _: {"epsilon": st.sampled_from([1e-5, 0.5])},
    nn.LeakyReLU: lambda _: {"slope": st.sampled_from([0.01, 0.5, 2.0])},
    nn.ELU: lambda _: {"alpha": st.sampled_from([0.3, 1.0, 2.0])},
    nn.Tanh: lambda _: {
        "height": st.sampled_from([1.0, 1.7159]), "slope": st.sampled_from([1.0, 2 / 3]),
    },
    nn.Dropout: lambda _: {"rate": st.sampled_from([0.0, 0.3, 0.9])},
    nn.Standardise: lambda _: {
        "mean": st.sampled_from([0.0, 0.3]), "deviation": st.sampled_from([1.0, 2.5]),
    },
    **dict.fromkeys(
        (
            nn.Flatten, nn.GlobalAveragePool, nn.ReLU, nn.Sigmoid, nn.Softmax, nn.Scale, nn.Add,
            nn.Concatenate,
        ),
        lambda _: {},
    ),
}  # fmt: skip


def test_every_layer_and_every_option_is_here():
    found = [getattr(nn, name) for name in nn.__all__]
    every = {c for c in found if isinstance(c, type) and issubclass(c, nn.Layer)} - {nn.Layer}
    assert set(OPTIONS) == every
    for kind, options in OPTIONS.items():
        assert set(options(2)) == {f.name for f in dataclasses.fields(kind)}


def spread(rng, shape):
    """Return samples far from one another and from 0, where some layers have corners."""
    count = int(np.prod(shape))
    values = (rng.permutation(count) - count // 2 + 0.5) * 4 / count
    return values.reshape(shape) + rng.uniform(-0.1, 0.1) / count


def close(slopes, gradient, places, name):
    """Compare differences at some places with a gradient, to 1e-6 of its greatest."""
    found = gradient.ravel()[places]
    bound = 1e-6 * np.abs(gradient).max() + 1e-9
    assert np.abs(np.asarray(slopes) - found).max() <= bound, name


def differ(loss, array, gradient, rng, name, allowed=None):
    """Move samples of an array, one after the other, and compare."""
    assert gradient.shape == array.shape, name
    places = np.flatnonzero(np.ones(array.size) if allowed is None else allowed.ravel())
    places = rng.permutation(places)[:MOST]
    slopes = []
    for place in places:
        before, values = array.flat[place], []
        for step in (STEP, -STEP):
            array.flat[place] = before + step
            values.append(loss())
        array.flat[place] = before
        slopes.append((values[0] - values[1]) / (2 * STEP))
    close(slopes, gradient, places, name)


SPACES = {1: (9,), 2: (7, 6), 3: (6, 5, 5)}


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data(), rank=st.integers(1, 3), images=st.sampled_from([1, 2, 17]))
def test_gradients_are_finite_differences(kind, data, rank, images):
    options = data.draw(st.fixed_dictionaries(OPTIONS[kind](rank)))
    if kind is nn.ConvTransposed:
        stride, extra = (np.broadcast_to(options[n], rank) for n in ("stride", "extra"))
        options["extra"] = tuple(int(n) for n in np.minimum(extra, stride - 1))
    if options.get("connections"):
        options |= {"connections": options["connections"][: options["outputs"]], "groups": 1}
    layer, shape = kind(**options), (4, *SPACES[rank])
    rng = np.random.default_rng(rank)
    layer.check()
    layer.output_shape(*[shape] * (1 + layer.joins))
    layer.draw(shape, (1,), np.dtype("f8"))
    for array in layer.parameters.values():
        array += 0.3 * rng.standard_normal(array.shape)
    inputs = [spread(rng, (images, *shape)) for _ in range(1 + layer.joins)]
    mode = nn.Mode(True, (5,))

    def forward():
        return layer.join(inputs, mode) if layer.joins else layer.forward(inputs[0], mode)

    y = forward()
    assert y.shape[1:] == layer.output_shape(*[shape] * len(inputs))
    dy = rng.standard_normal(y.shape)
    dxs = layer.part(dy) if layer.joins else [layer.backward(dy)]

    def loss():
        return float((forward() * dy).sum())

    gradients = dict(layer.gradients)
    assert gradients.keys() == layer.parameters.keys()
    for number, dx in enumerate(dxs):
        differ(loss, inputs[number], dx, rng, f"input {number}")
    for name, array in layer.parameters.items():
        seen = None
        if options.get("connections") and name == "weights":
            seen = layer.mask(array)
            assert not gradients[name][seen == 0].any()
        differ(loss, array, gradients[name], rng, name, seen)


LOSSES = [
    ("cross_entropy", {"smoothing": s, "weights": w}, space)
    for s in (0.0, 0.1, 1.0) for w in (None, [1, 0.5, 0, 2]) for space in ((), (2, 3))
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "space"), [*LOSSES, ("mean_squared_error", {}, (3,))])
def test_gradients_of_losses_are_finite_differences(name, options, space):
    rng = np.random.default_rng(0)
    given = rng.standard_normal((5, 4, *space))
    other = rng.standard_normal(given.shape) if "mean" in name else rng.integers(0, 4, (5, *space))
    function = getattr(layers, name)
    gradient = function(given, other, **options)[1]
    differ(lambda: function(given, other, **options)[0], given, gradient, rng, name)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("images", [1, 16])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_one_pass_of_norm_relu_and_pool_is_the_three(relu, images, dtype):
    """In float64 they are three passes, in float32 one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, 3, 6, 7)).astype(dtype)
    gain, shift = rng.standard_normal((2, 3)).astype(dtype)
    y, greatest = layers.batch_norm_max_pool(x, gain, shift, relu=relu)
    normal, moments = layers.batch_norm(x, gain, shift, relu=relu)
    pooled, where = layers.max_pool(normal, 2)
    bound = {"rtol": 1e-4, "atol": 1e-5} if dtype == "f4" else {"rtol": 1e-12}
    np.testing.assert_allclose(y, pooled, **bound)
    dy = rng.standard_normal(y.shape).astype(dtype)
    found = layers.batch_norm_max_pool_gradient(dy, x, gain, shift, greatest, relu=relu)
    above = layers.max_pool_gradient(dy, where, x.shape[2:], 2)
    wanted = layers.batch_norm_gradient(above, x, gain, shift, moments, relu=relu)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, **{**bound, "atol": 1e-4 if dtype == "f4" else 1e-12})


@settings(max_examples=20)
@given(
    middle=st.lists(
        st.sampled_from(["relu", "pool", "norm", "conv", "dropout", "average"]), max_size=6
    ),
    seed=st.integers(0, 5),
)
def test_any_order_of_layers_goes_back_as_it_came(middle, seed):
    """What networks do in one pass, they may do only where nothing else sees it."""
    makers = {
        "relu": nn.ReLU, "pool": lambda: nn.MaxPool(2), "norm": nn.BatchNorm,
        "conv": lambda: nn.Conv(3, 3, padding=1), "dropout": lambda: nn.Dropout(0.2),
        "average": lambda: nn.AveragePool(2, stride=1),
    }  # fmt: skip
    assume(middle.count("pool") <= 2)
    first = nn.Conv(3, 3, padding="same")
    stack = [first, *(makers[name]() for name in middle), nn.Dense(2)]
    network = nn.Sequential(stack, (2, 9, 9), seed, "f8")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((16, 2, 9, 9))
    for array in network.parameters().values():
        array += 0.1 * rng.standard_normal(array.shape)
    mode = nn.Mode(True, (2,))
    dy = rng.standard_normal((16, 2))
    network.forward(x, mode)
    network.backward(dy)
    gradients = {name: array.copy() for name, array in network.gradients().items()}
    for name, array in network.parameters().items():
        way = rng.standard_normal(array.shape)
        kept, values = array.copy(), []
        for step in (1e-6, -1e-6):
            array[...] = kept + step * way
            values.append(float((network.forward(x, mode) * dy).sum()))
        array[...] = kept
        found = float((gradients[name] * way).sum())
        size = np.linalg.norm(gradients[name]) * np.linalg.norm(way) / np.sqrt(array.size)
        assert abs((values[0] - values[1]) / 2e-6 - found) <= 1e-5 * size + 1e-6, name
