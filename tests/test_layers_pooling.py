"""Pooling: definitions, ties, padding, the rule of the last window, PyTorch."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import layers

few = settings(max_examples=60)


@st.composite
def pools(draw):
    """Draw an input with many ties, and the options of a pool."""
    rank = draw(st.integers(1, 3))
    size = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    options = {
        "stride": draw(st.sampled_from([None, 1, 2, 3])),
        "padding": tuple(draw(st.integers(0, t // 2)) for t in size),
        "ceil": draw(st.booleans()),
    }
    shape = (draw(st.sampled_from([1, 3, 8, 16])), 2, *(t + draw(st.integers(0, 5)) for t in size))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return rng.integers(0, 3, shape).astype(draw(st.sampled_from(["f4", "f8"]))), size, options


def windows(space, size, options):
    """Yield every output's index, and the positions of its taps that are samples."""
    stride = options["stride"] or size
    stride = (stride,) * len(size) if isinstance(stride, int) else stride
    counts = []
    for n, t, s, p in zip(space, size, stride, options["padding"], strict=True):
        room = n + 2 * p - t
        count = (-(-room // s) if options["ceil"] else room // s) + 1
        if options["ceil"] and (count - 1) * s >= n + p:
            count -= 1
        counts.append(count)
    for index in itertools.product(*map(range, counts)):
        first = [i * s - p for i, s, p in zip(index, stride, options["padding"], strict=True)]
        taps = itertools.product(*map(range, size))
        seen = [(t, tuple(a + b for a, b in zip(first, t, strict=True))) for t in taps]
        yield (
            index,
            [(t, at) for t, at in seen if all(0 <= a < n for a, n in zip(at, space, strict=True))],
        )


@few
@given(pools())
def test_the_first_of_the_greatest_wins_and_gets_the_gradient(case):
    x, size, options = case
    y, where = layers.max_pool(x, size, **options)
    rng = np.random.default_rng(0)
    dy = rng.standard_normal(y.shape).astype(x.dtype)
    wanted = np.zeros(x.shape)
    for index, seen in windows(x.shape[2:], size, options):
        for n, c in np.ndindex(x.shape[:2]):
            values = [x[(n, c, *at)] for _, at in seen]
            first = int(np.argmax(values))
            assert y[(n, c, *index)] == values[first]
            assert where[(n, c, *index)] == np.ravel_multi_index(seen[first][0], size)
            wanted[(n, c, *seen[first][1])] += dy[(n, c, *index)]
    dx = layers.max_pool_gradient(dy, where, x.shape[2:], size, **options)
    assert dx.dtype == x.dtype
    np.testing.assert_allclose(dx, wanted, rtol=1e-5, atol=1e-6)


@few
@given(pools(), st.booleans())
def test_averages_are_torchs(case, count_padding):
    torch = pytest.importorskip("torch")
    x, size, options = case
    rank = x.ndim - 2
    pool = getattr(torch.nn.functional, f"avg_pool{rank}d")
    x_ = torch.tensor(x, requires_grad=True)
    there = pool(
        x_,
        size,
        options["stride"],
        options["padding"],
        ceil_mode=options["ceil"],
        count_include_pad=count_padding,
    )
    y = layers.average_pool(x, size, count_padding=count_padding, **options)
    np.testing.assert_allclose(y, there.detach().numpy(), rtol=1e-5, atol=1e-6)
    dy = np.random.default_rng(0).standard_normal(y.shape).astype(x.dtype)
    there.backward(torch.tensor(dy))
    dx = layers.average_pool_gradient(dy, x.shape[2:], size, count_padding=count_padding, **options)
    np.testing.assert_allclose(dx, x_.grad.numpy(), rtol=1e-4, atol=1e-5)


@few
@given(pools())
def test_the_greatest_are_torchs(case):
    torch = pytest.importorskip("torch")
    x, size, options = case
    pool = getattr(torch.nn.functional, f"max_pool{x.ndim - 2}d")
    x_ = torch.tensor(x, requires_grad=True)
    there = pool(x_, size, options["stride"], options["padding"], ceil_mode=options["ceil"])
    y, where = layers.max_pool(x, size, **options)
    assert np.array_equal(y, there.detach().numpy())
    dy = np.random.default_rng(0).standard_normal(y.shape).astype(x.dtype)
    there.backward(torch.tensor(dy))
    dx = layers.max_pool_gradient(dy, where, x.shape[2:], size, **options)
    np.testing.assert_allclose(dx, x_.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("counts", [1, 3, (2, 5)])
def test_cells_are_torchs(counts):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 7, 10))
    names = (("adaptive_avg_pool2d", False), ("adaptive_max_pool2d", True))
    for name, greatest in names:
        x_ = torch.tensor(x, requires_grad=True)
        there = getattr(torch.nn.functional, name)(x_, counts)
        if greatest:
            y, where = layers.adaptive_max_pool(x, counts)
        else:
            y = layers.adaptive_average_pool(x, counts)
        np.testing.assert_allclose(y, there.detach().numpy(), rtol=1e-12)
        dy = rng.standard_normal(y.shape)
        there.backward(torch.tensor(dy))
        if greatest:
            dx = layers.adaptive_max_pool_gradient(dy, where, (7, 10))
        else:
            dx = layers.adaptive_average_pool_gradient(dy, (7, 10))
        np.testing.assert_allclose(dx, x_.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("images", [3, 16])
@pytest.mark.parametrize("options", [{}, {"stride": 1, "padding": 1}])
def test_a_relu_before_the_pool_goes_the_same_way_back(images, options):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, 3, 6, 6))
    clipped = layers.relu(x)
    y, where = layers.max_pool(clipped, 2, **options)
    dy = rng.standard_normal(y.shape)
    apart = layers.relu_gradient(layers.max_pool_gradient(dy, where, (6, 6), 2, **options), clipped)
    together = layers.max_pool_gradient(dy, where, (6, 6), 2, pooled=y, **options)
    assert np.array_equal(together, apart)


def test_all_space_is_one_cell():
    x = np.random.default_rng(0).standard_normal((4, 3, 7, 10))
    y = layers.global_average_pool(x)
    np.testing.assert_allclose(y, x.mean(axis=(2, 3)), rtol=1e-12)
    dx = layers.global_average_pool_gradient(y, (7, 10))
    assert np.vdot(dx, x) == pytest.approx(np.vdot(y, y))


@pytest.mark.parametrize("images", [1, 8, 16])
def test_nan_wins(images):
    x = np.ones((images, 2, 4, 4), np.float32)
    x[0, 1, 0, 1] = np.nan
    y, where = layers.max_pool(x, 2)
    assert np.isnan(y[0, 1, 0, 0])
    assert np.isnan(y).sum() == 1
    assert where[0, 1, 0, 0] == 1


def test_samples_behind_the_last_whole_window_get_no_gradient():
    y, where = layers.max_pool(np.ones((16, 1, 5, 5)), 2)
    dx = layers.max_pool_gradient(y, where, (5, 5), 2)
    assert y.shape == (16, 1, 2, 2)
    assert dx[:, :, 4].sum() == dx[..., 4].sum() == 0
    assert dx.sum() == 16 * 4


def test_errors_say_what_would_do():
    x = np.zeros((1, 1, 4, 4))
    with pytest.raises(ValueError, match=r"does not fit on an input of \(4, 4\)"):
        layers.max_pool(x, 5)
    with pytest.raises(ValueError, match=r"wider than a window of \(2, 2\) reaches"):
        layers.max_pool(x, 2, padding=2)
    with pytest.raises(ValueError, match=r"size=0 must be"):
        layers.average_pool(x, 0)
    with pytest.raises(ValueError, match=r"where has shape"):
        layers.max_pool_gradient(np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2)), (4, 4), 2)
