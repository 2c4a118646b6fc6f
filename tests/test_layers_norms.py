"""Normalisation, activations, dropout and losses: finite differences, PyTorch, edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import layers

few = settings(max_examples=40)
SHAPES = st.sampled_from([(3, 2), (16, 3, 4), (5, 2, 3, 3), (32, 4, 6, 6)])


def differences(function, array, step=1e-5):
    """Return the gradient of a number with respect to an array, by central differences."""
    gradient = np.zeros(array.shape)
    for at in np.ndindex(array.shape):
        before = array[at]
        array[at] = before + step
        above = function()
        array[at] = before - step
        gradient[at] = (above - function()) / (2 * step)
        array[at] = before
    return gradient


def near(got, wanted, relative=1e-6):
    assert np.shape(got) == np.shape(wanted)
    assert np.abs(got - wanted).max() <= relative * max(1.0, np.abs(wanted).max())


@few
@given(SHAPES, st.sampled_from(["float32", "float64"]), st.booleans(), st.integers(0, 9))
def test_batch_norm_is_torchs(shape, dtype, relu, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(shape) + 5).astype(dtype)
    gain, shift = rng.standard_normal((2, shape[1])).astype(dtype)
    x_, gain_, shift_ = (torch.tensor(a, requires_grad=True) for a in (x, gain, shift))
    mean, variance = torch.zeros(shape[1], dtype=x_.dtype), torch.ones(shape[1], dtype=x_.dtype)
    there = torch.nn.functional.batch_norm(x_, mean, variance, gain_, shift_, True, 0.1, 1e-5)
    there = torch.relu(there) if relu else there
    y, moments = layers.batch_norm(x, gain, shift, relu=relu)
    assert y.dtype == dtype
    bound = 1e-4 if dtype == "float32" else 1e-9
    near(y, there.detach().numpy(), bound)
    running = moments.running(np.zeros(shape[1]), np.ones(shape[1]))
    near(running[0], mean.numpy(), bound)
    near(running[1], variance.numpy(), bound)
    dy = rng.standard_normal(y.shape).astype(dtype)
    there.backward(torch.tensor(dy))
    if dtype == "float32" and relu:
        return  # a sample within rounding of 0 may go either way
    found = layers.batch_norm_gradient(dy, x, gain, shift, moments, relu=relu)
    for got, wanted in zip(found, (x_.grad, gain_.grad, shift_.grad), strict=True):
        near(got, wanted.numpy(), 20 * bound)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(3, 2, 3), (16, 2, 1, 2)])
def test_the_gradients_of_batch_norm_are_finite_differences(shape, relu):
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    gain, shift = rng.standard_normal((2, 2))

    def loss():
        return np.vdot(layers.batch_norm(x, gain, shift, relu=relu)[0], dy)

    moments = layers.batch_norm(x, gain, shift)[1]
    found = layers.batch_norm_gradient(dy, x, gain, shift, moments, relu=relu)
    for got, array in zip(found, (x, gain, shift), strict=True):
        near(got, differences(loss, array), 1e-6)


POOLED = st.sampled_from([(3, 2, 4), (16, 3, 6, 4), (20, 2, 7, 9), (37, 3, 2, 3), (5, 2, 4, 4)])


@few
@given(POOLED, st.sampled_from(["float32", "float64"]), st.booleans(), st.integers(0, 9))
def test_batch_norm_with_pooling_is_one_after_the_other(shape, dtype, relu, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, shape).astype(dtype)  # with ties
    gain, shift = rng.standard_normal((2, shape[1])).astype(dtype)
    y, greatest = layers.batch_norm_max_pool(x, gain, shift, relu=relu)
    apart, moments = layers.batch_norm(x, gain, shift, relu=relu)
    wanted, where = layers.max_pool(apart, 2)
    near(y, wanted)
    assert (y.dtype, greatest.moments.count) == (dtype, moments.count)
    stands = wanted > 0 if relu else np.full(wanted.shape, True)  # of zeros another may win
    assert np.array_equal(greatest.where[stands], where[stands])
    dy = rng.standard_normal(y.shape).astype(dtype)
    found = layers.batch_norm_max_pool_gradient(dy, x, gain, shift, greatest, relu=relu)
    apart = layers.max_pool_gradient(dy, where, shape[2:], 2)
    wanted = layers.batch_norm_gradient(apart, x, gain, shift, moments, relu=relu)
    for got, each in zip(found, wanted, strict=True):
        near(got, each, 1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_wins_its_window(dtype):
    x = np.random.default_rng(0).standard_normal((16, 2, 4, 4)).astype(dtype)
    x[3, 1, 1, 2] = np.nan
    y, greatest = layers.batch_norm_max_pool(x, [1.0, 1.0], [0.0, 0.0], relu=True)
    assert np.isnan(y[:, 1]).all()  # as the moments are
    assert np.isfinite(y[:, 0]).all()
    with pytest.raises(ValueError, match="dy"):
        layers.batch_norm_max_pool_gradient(x, x, [1.0, 1.0], [0.0, 0.0], greatest)


def test_moments_keep_their_digits_far_from_zero():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((64, 2, 9, 9)) + 4096).astype(np.float32)
    moments = layers.moments(x)
    assert moments.mean == pytest.approx(x.mean(axis=(0, 2, 3), dtype=np.float64), rel=1e-7)
    assert moments.variance == pytest.approx(x.var(axis=(0, 2, 3), dtype=np.float64), rel=1e-5)
    y, _ = layers.batch_norm(x, np.ones(2), np.zeros(2))
    assert abs(y.mean()) < 1e-4
    assert y.std() == pytest.approx(1, rel=1e-4)


def test_inference_takes_the_moments_given():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((16, 3, 5))
    gain, shift, mean = rng.standard_normal((3, 3))
    variance = rng.random(3)
    y = layers.batch_norm_inference(x, gain, shift, mean, variance, epsilon=0.5)
    column = np.s_[:, None]
    wanted = (x - mean[column]) / np.sqrt(variance[column] + 0.5) * gain[column] + shift[column]
    near(y, wanted, 1e-12)


@pytest.mark.parametrize("features", [(4,), (3, 4)])
def test_layer_norm_is_torchs(features):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 3, 4))
    gain, shift = rng.standard_normal((2, *features))
    x_, gain_, shift_ = (torch.tensor(a, requires_grad=True) for a in (x, gain, shift))
    there = torch.nn.functional.layer_norm(x_, features, gain_, shift_)
    y, moments = layers.layer_norm(x, gain, shift)
    near(y, there.detach().numpy(), 1e-12)
    dy = rng.standard_normal(y.shape)
    there.backward(torch.tensor(dy))
    found = layers.layer_norm_gradient(dy, x, gain, moments)
    for got, wanted in zip(found, (x_.grad, gain_.grad, shift_.grad), strict=True):
        near(got, wanted.numpy(), 1e-11)


FUNCTIONS = ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softmax", "log_softmax"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations_are_torchs_and_their_gradients_finite_differences(name):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 4, 3, 2))
    function, gradient = getattr(layers, name), getattr(layers, f"{name}_gradient")
    y = function(x)
    near(gradient(dy, y), differences(lambda: np.vdot(function(x), dy), x), 1e-8)
    torch = pytest.importorskip("torch")
    options = {"dim": 1} if "softmax" in name else {}
    module = torch if name in ("sigmoid", "tanh") else torch.nn.functional
    near(y, getattr(module, name)(torch.tensor(x), **options).numpy(), 1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("error")
def test_activations_take_great_numbers_and_nan(name):
    y = getattr(layers, name)(np.array([[-1e30, 1e30, 0.0]], np.float32))
    assert not np.isnan(y).any()
    assert y.dtype == np.float32
    assert np.isnan(getattr(layers, name)(np.array([[np.nan, 1.0]]))).any()


def test_dropout_keeps_the_mean_and_its_seed():
    x = np.ones((64, 8, 10, 10), np.float32)
    y, factors = layers.dropout(x, 0.25, seed=(1, 2, 3))
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert y.mean() == pytest.approx(1, abs=0.02)
    again, _ = layers.dropout(np.asfortranarray(x), 0.25, seed=(1, 2, 3))
    assert np.array_equal(again, y)
    assert not np.array_equal(layers.dropout(x, 0.25, seed=(1, 2, 4))[0], y)
    assert np.array_equal(factors, y)
    assert np.array_equal(layers.dropout(x, 0, seed=0)[0], x)
    with pytest.raises(ValueError, match="rate=1"):
        layers.dropout(x, 1, seed=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("space", [(), (3,)])
def test_cross_entropy_is_torchs(space, weighted, smoothing):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((6, 4, *space)), rng.integers(0, 4, (6, *space))
    weights = rng.random(4) if weighted else None
    there_ = torch.tensor(logits, requires_grad=True)
    there = torch.nn.functional.cross_entropy(
        there_,
        torch.tensor(labels),
        None if weights is None else torch.tensor(weights),
        label_smoothing=smoothing,
    )
    loss, gradient = layers.cross_entropy(logits, labels, weights=weights, smoothing=smoothing)
    there.backward()
    assert loss == pytest.approx(there.item(), rel=1e-12)
    near(gradient, there_.grad.numpy(), 1e-13)


def test_losses_at_their_edges():
    loss, gradient = layers.cross_entropy(np.array([[1e4, -1e4]], np.float32), [0])
    assert loss == 0
    assert gradient.tolist() == [[0.0, 0.0]]
    assert layers.cross_entropy([[1e4, -1e4]], [1])[0] == pytest.approx(2e4)
    assert np.isnan(layers.cross_entropy([[np.nan, 0.0]], [1])[0])
    with pytest.raises(ValueError, match=r"label 3 of image 1 is out of range.*3 classes, 0 to 2"):
        layers.cross_entropy(np.zeros((2, 3)), [0, 3])
    with pytest.raises(ValueError, match=r"labels has shape \(3,\); it must be \(2,\)"):
        layers.cross_entropy(np.zeros((2, 3)), [0, 1, 1])
    with pytest.raises(TypeError, match="integers"):
        layers.cross_entropy(np.zeros((2, 3)), [0.0, 1.0])
    with pytest.raises(ValueError, match="empty"):
        layers.cross_entropy(np.zeros((0, 3)), np.zeros(0, int))
    with pytest.raises(ValueError, match="empty"):
        layers.mean_squared_error([], [])
    with pytest.raises(ValueError, match=r"target has shape"):
        layers.mean_squared_error([1.0], [1.0, 2.0])


def test_mean_squared_error_is_a_finite_difference():
    rng = np.random.default_rng(0)
    prediction, target = rng.standard_normal((2, 3, 4))
    _, gradient = layers.mean_squared_error(prediction, target)
    wanted = differences(lambda: layers.mean_squared_error(prediction, target)[0], prediction)
    near(gradient, wanted, 1e-8)
