"""Layers against PyTorch's on random samples: forwards and backwards, every option it has, too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import layers
from faltung.layers.problem import pads

torch = pytest.importorskip("torch")
functional = torch.nn.functional
few = settings(max_examples=40)
SPACES = {1: (9,), 2: (7, 6), 3: (6, 5, 5)}
#: As PyTorch calls them; it has no symmetric one.
MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
RANKS = st.integers(1, 3)


def near(got, wanted, bound=1e-12):
    wanted = wanted.detach().numpy()
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= bound * max(1.0, np.abs(wanted).max())


def leaf(array):
    return torch.tensor(array, requires_grad=True)


def each(draw, values, rank):
    return tuple(draw(values) for _ in range(rank))


def continued(x, padding, names, value=0.0):
    """Continue an axis of a tensor after the other, each in its own way."""
    for axis, (ends, name) in enumerate(zip(padding, names, strict=True), 2):
        turned = x.movedim(axis, -1)
        rows = turned.reshape(1, -1, turned.shape[-1])
        more = {"value": value} if name == "constant" else {}
        rows = functional.pad(rows, ends, mode=MODES[name], **more)
        x = rows.reshape(*turned.shape[:-1], -1).movedim(-1, axis)
    return x


@st.composite
def convolutions(draw):
    rank = draw(RANKS)
    groups = draw(st.sampled_from([1, 2, 4]))
    small = st.integers(1, 3)
    taps = each(draw, small, rank)
    ends = st.tuples(st.integers(0, 2), st.integers(0, 2))
    options = {"stride": each(draw, small, rank), "groups": groups}
    options["dilation"] = each(draw, st.integers(1, 2), rank)
    padding = draw(st.sampled_from(["same", "valid"]) | st.tuples(*[ends] * rank))
    names = each(draw, st.sampled_from(sorted(MODES)), rank)
    return rank, taps, options, padding, names, draw(st.sampled_from([1, 3, 16]))


@few
@given(convolutions(), st.booleans(), st.integers(0, 9))
def test_convolutions_of_any_boundary_and_padding(case, relu, seed):
    rank, taps, options, padding, names, images = case
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((images, 4, *SPACES[rank]))
    k = rng.standard_normal((8, 4 // options["groups"], *taps))
    bias = rng.standard_normal(8)
    x_, k_, bias_ = map(leaf, (x, k, bias))
    ends = pads(padding, taps, options["dilation"])
    there = getattr(functional, f"conv{rank}d")(continued(x_, ends, names), k_, bias_, **options)
    ours = {**options, "padding": padding, "boundary": names}
    y = layers.conv(x, k, bias, relu=relu, **ours)
    near(y, torch.relu(there) if relu else there)
    dy = rng.standard_normal(y.shape)
    there.backward(torch.tensor(dy))
    near(layers.conv_input_gradient(dy, k, x.shape[2:], **ours), x_.grad)
    near(layers.conv_weight_gradient(x, dy, taps, **ours), k_.grad)
    near(layers.bias_gradient(dy), bias_.grad)


@few
@given(convolutions(), st.integers(0, 1), st.integers(0, 9))
def test_transposed_convolutions(case, extra, seed):
    rank, taps, options, _, _, images = case
    rng = np.random.default_rng(seed)
    extra = tuple(min(extra, s - 1) for s in options["stride"])
    padding = tuple(min(1, d * (t - 1)) for t, d in zip(taps, options["dilation"], strict=True))
    x = rng.standard_normal((images, 8, *SPACES[rank]))
    k = rng.standard_normal((8, 4 // options["groups"], *taps))
    x_, k_ = leaf(x), leaf(k)
    function = getattr(functional, f"conv_transpose{rank}d")
    there = function(x_, k_, padding=padding, output_padding=extra, **options)
    y = layers.conv_transposed(x, k, padding=padding, extra=extra, **options)
    near(y, there)
    dy = rng.standard_normal(y.shape)
    there.backward(torch.tensor(dy))
    near(layers.conv(dy, k, padding=padding, **options), x_.grad)
    near(layers.conv_weight_gradient(dy, x, taps, padding=padding, **options), k_.grad)


@few
@given(st.data(), RANKS, st.booleans(), st.booleans(), st.integers(0, 9))
def test_greatest_samples_with_dilation_ties_and_ends_that_differ(data, rank, ceil, ties, seed):
    """Windows overlap where the stride is less than the size."""
    size = each(data.draw, st.integers(2, 3), rank)
    stride = each(data.draw, st.integers(1, 3), rank)
    dilation = each(data.draw, st.integers(1, 2), rank)
    padding = each(data.draw, st.tuples(st.integers(0, 1), st.integers(0, 1)), rank)
    rng = np.random.default_rng(seed)
    shape = (data.draw(st.sampled_from([1, 3, 16])), 2, *SPACES[rank])
    x = rng.integers(0, 3, shape) * 1.0 if ties else rng.standard_normal(shape)
    x_ = leaf(x)
    even = all(before == after for before, after in padding)
    if ceil and not even:  # PyTorch pads both ends alike, and rounds up what it pads itself
        return
    pool = getattr(functional, f"max_pool{rank}d")
    if even:
        there = pool(x_, size, stride, [p for p, _ in padding], dilation, ceil_mode=ceil)
    else:
        wide = continued(x_, padding, ["constant"] * rank, -np.inf)
        there = pool(wide, size, stride, 0, dilation)
    options = {"stride": stride, "dilation": dilation, "padding": padding, "ceil": ceil}
    y, where = layers.max_pool(x, size, **options)
    near(y, there, 0)
    dy = rng.standard_normal(y.shape)
    there.backward(torch.tensor(dy))
    near(layers.max_pool_gradient(dy, where, x.shape[2:], size, **options), x_.grad)


@few
@given(st.data(), RANKS, st.booleans(), st.integers(0, 9))
def test_cells_along_one_two_and_three_axes(data, rank, ties, seed):
    counts = each(data.draw, st.integers(1, 11), rank)
    rng = np.random.default_rng(seed)
    shape = (3, 2, *SPACES[rank])
    x = rng.integers(0, 3, shape) * 1.0 if ties else rng.standard_normal(shape)
    dy = rng.standard_normal((3, 2, *counts))
    x_ = leaf(x)
    there = getattr(functional, f"adaptive_avg_pool{rank}d")(x_, counts)
    near(layers.adaptive_average_pool(x, counts), there)
    there.backward(torch.tensor(dy))
    near(layers.adaptive_average_pool_gradient(dy, x.shape[2:]), x_.grad)
    x_ = leaf(x)
    there = getattr(functional, f"adaptive_max_pool{rank}d")(x_, counts)
    y, where = layers.adaptive_max_pool(x, counts)
    near(y, there)
    there.backward(torch.tensor(dy))
    near(layers.adaptive_max_pool_gradient(dy, where, x.shape[2:]), x_.grad)
    x_ = leaf(x)
    there = x_.mean(dim=tuple(range(2, 2 + rank)))
    near(layers.global_average_pool(x), there)
    flat = dy.reshape(3, 2, -1)[:, :, 0]
    there.backward(torch.tensor(flat))
    near(layers.global_average_pool_gradient(flat, x.shape[2:]), x_.grad)


@few
@given(
    st.sampled_from([(1, 3), (5, 3), (4, 3, 7), (16, 3, 4, 5), (2, 3, 3, 4, 2)]),
    st.sampled_from([1e-12, 1e-5, 0.1]), st.integers(0, 9),
)  # fmt: skip
def test_norms(shape, epsilon, seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.standard_normal(shape) + 2, rng.standard_normal(shape)
    gain, shift, mean = rng.standard_normal((3, 3))
    variance = rng.random(3) + 0.1
    fixed = [torch.tensor(a) for a in (mean, variance, gain, shift)]
    wanted = functional.batch_norm(torch.tensor(x), *fixed, False, 0.0, epsilon)
    near(layers.batch_norm_inference(x, gain, shift, mean, variance, epsilon=epsilon), wanted)
    if x[:, 0].size > 1:
        x_, gain_, shift_ = map(leaf, (x, gain, shift))
        there = functional.batch_norm(x_, None, None, gain_, shift_, True, 0.0, epsilon)
        y, moments = layers.batch_norm(x, gain, shift, epsilon=epsilon)
        near(y, there, 1e-10)
        there.backward(torch.tensor(dy))
        found = layers.batch_norm_gradient(dy, x, gain, shift, moments, epsilon=epsilon)
        for got, other in zip(found, (x_, gain_, shift_), strict=True):
            near(got, other.grad, 1e-9)
    axes = int(rng.integers(1, x.ndim))
    gain, shift = rng.standard_normal((2, *shape[x.ndim - axes :]))
    x_, gain_, shift_ = map(leaf, (x, gain, shift))
    there = functional.layer_norm(x_, gain.shape, gain_, shift_, epsilon)
    y, moments = layers.layer_norm(x, gain, shift, epsilon=epsilon)
    near(y, there, 1e-10)
    there.backward(torch.tensor(dy))
    found = layers.layer_norm_gradient(dy, x, gain, moments, epsilon=epsilon)
    for got, other in zip(found, (x_, gain_, shift_), strict=True):
        near(got, other.grad, 1e-9)


@few
@given(
    st.sampled_from(["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax", "log_softmax"]),
    st.sampled_from([0.01, 0.7, 1.0, 2.0]), st.integers(-3, 2), st.integers(0, 9),
)  # fmt: skip
def test_functions_of_samples(name, value, axis, seed):
    rng = np.random.default_rng(seed)
    x, dy = 3 * rng.standard_normal((2, 4, 3, 5))
    theirs = {"leaky_relu": {"negative_slope": value}, "elu": {"alpha": value}}
    ours = {"leaky_relu": {"slope": value}, "elu": {"alpha": value}}
    if "softmax" in name:
        theirs[name], ours[name] = {"dim": axis}, {"axis": axis}
    x_ = leaf(x)
    module = torch if name in ("sigmoid", "tanh") else functional
    there = getattr(module, name)(x_, **theirs.get(name, {}))
    options = ours.get(name, {})
    y = getattr(layers, name)(x, **options)
    near(y, there)
    there.backward(torch.tensor(dy))
    near(getattr(layers, f"{name}_gradient")(dy, y, **options), x_.grad)


@few
@given(
    st.sampled_from(["f4", "f8"]), st.sampled_from([(), (3,), (2, 2)]), st.booleans(),
    st.sampled_from([0.0, 0.1, 1.0]), st.integers(0, 9),
)  # fmt: skip
def test_losses(dtype, space, weighted, smoothing, seed):
    rng = np.random.default_rng(seed)
    logits = (4 * rng.standard_normal((6, 4, *space))).astype(dtype)
    labels = rng.integers(0, 4, (6, *space))
    weights = rng.random(4) + 0.01 if weighted else None
    there_ = leaf(logits)
    theirs = None if weights is None else torch.tensor(weights.astype(dtype))
    there = functional.cross_entropy(
        there_, torch.tensor(labels), theirs, label_smoothing=smoothing
    )
    there.backward()
    loss, gradient = layers.cross_entropy(logits, labels, weights=weights, smoothing=smoothing)
    bound = 2e-6 if dtype == "f4" else 1e-12
    assert loss == pytest.approx(there.item(), rel=bound)
    near(gradient, there_.grad, bound)
    target = rng.standard_normal(logits.shape).astype(dtype)
    there_ = leaf(logits)
    there = functional.mse_loss(there_, torch.tensor(target))
    there.backward()
    loss, gradient = layers.mean_squared_error(logits, target)
    assert loss == pytest.approx(there.item(), rel=bound)
    near(gradient, there_.grad, bound)


@few
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_dense_layers(images, inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((images, inputs)), rng.standard_normal((outputs, inputs))
    bias, dy = rng.standard_normal(outputs), rng.standard_normal((images, outputs))
    x_, w_, bias_ = map(leaf, (x, w, bias))
    there = functional.linear(x_, w_, bias_)
    near(layers.dense(x, w, bias), there)
    near(layers.dense(x, w, bias, relu=True), torch.relu(there))
    there.backward(torch.tensor(dy))
    near(layers.dense_input_gradient(dy, w), x_.grad)
    near(layers.dense_weight_gradient(x, dy), w_.grad)
    near(layers.bias_gradient(dy), bias_.grad)


def test_dropout_goes_back_by_its_factors():
    x = np.random.default_rng(0).standard_normal((4, 3, 5))
    y, factors = layers.dropout(x, 0.4, seed=(1, 2))
    x_ = leaf(x)
    (x_ * torch.tensor(factors)).backward(torch.ones(x.shape, dtype=torch.float64))
    assert np.array_equal(y, x * factors)
    assert np.array_equal(x_.grad.numpy(), factors)
