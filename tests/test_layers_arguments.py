"""What layers are given: every argument wrong in every way, memory layouts, dtypes."""

import numpy as np
import pytest
from strategies import LAYOUTS, laid_out

from faltung import layers

RNG = np.random.default_rng(0)
X, K = RNG.standard_normal((2, 4, 6, 5)), RNG.standard_normal((6, 2, 3, 2))
FOUR, FIVE = RNG.standard_normal((2, 4)), RNG.standard_normal((3, 5))
WINDOWED = {"stride": 1, "dilation": 1, "padding": 0}
CONV = {**WINDOWED, "boundary": "constant", "groups": 2}
POOL = {"stride": 2, "padding": 0, "ceil": False}
DY = layers.conv(X, K, groups=2)
POOLED, WHERE = layers.max_pool(X, 2)
CELLS, AT = layers.adaptive_max_pool(X, 3)
HALVES, GREATEST = layers.batch_norm_max_pool(X, *FOUR)
MOMENTS, EACH = layers.moments(X), layers.layer_norm(X, FIVE[0], FIVE[1])[1]
AVERAGED = {**POOL, "count_padding": True}
NORM = {"epsilon": 1e-5, "relu": False}
#: Of each operation, arguments that fit, and options.
CALLS = {
    "conv": ((X, K, RNG.standard_normal(6)), {**CONV, "relu": False}),
    "conv_input_gradient": ((DY, K, (6, 5)), CONV),
    "conv_weight_gradient": ((X, DY, (3, 2)), CONV),
    "conv_transposed": ((DY, K, FOUR[0]), {**WINDOWED, "extra": 0, "groups": 2}),
    "bias_gradient": ((DY,), {}),
    "dense": ((FOUR, RNG.standard_normal((5, 4)), FIVE[0]), {"relu": False}),
    "dense_input_gradient": ((FIVE, RNG.standard_normal((5, 4))), {}),
    "dense_weight_gradient": ((RNG.standard_normal((3, 4)), FIVE), {}),
    "flatten": ((X,), {}),
    "max_pool": ((X, 2), {**POOL, "dilation": 1}),
    "max_pool_gradient": (
        (POOLED, WHERE, (6, 5), 2), {**POOL, "dilation": 1, "pooled": POOLED},
    ),
    "average_pool": ((X, 2), AVERAGED),
    "average_pool_gradient": ((POOLED, (6, 5), 2), AVERAGED),
    "global_average_pool": ((X,), {}),
    "global_average_pool_gradient": ((FOUR, (6, 5)), {}),
    "adaptive_average_pool": ((X, 3), {}),
    "adaptive_average_pool_gradient": ((CELLS, (6, 5)), {}),
    "adaptive_max_pool": ((X, 3), {}),
    "adaptive_max_pool_gradient": ((CELLS, AT, (6, 5)), {}),
    "batch_norm": ((X, *FOUR), NORM),
    "batch_norm_inference": ((X, *FOUR, FOUR[0], np.ones(4)), NORM),
    "batch_norm_gradient": ((X, X, *FOUR, MOMENTS), NORM),
    "batch_norm_max_pool": ((X, *FOUR), NORM),
    "batch_norm_max_pool_gradient": ((HALVES, X, *FOUR, GREATEST), NORM),
    "moments": ((X,), {}),
    "layer_norm": ((X, FIVE[0], FIVE[1]), {"epsilon": 1e-5}),
    "layer_norm_gradient": ((X, X, FIVE[0], EACH), {"epsilon": 1e-5}),
    "cross_entropy": ((FIVE, np.array([0, 4, 2])), {"weights": np.ones(5), "smoothing": 0.1}),
    "mean_squared_error": ((FIVE, FIVE + 1), {}),
    "dropout": ((X, 0.5, (3, 1)), {}),
    "leaky_relu": ((X, 0.1), {}),
    "leaky_relu_gradient": ((X, X, 0.1), {}),
    "elu": ((X, 1.5), {}),
    "elu_gradient": ((X, X, 1.5), {}),
}  # fmt: skip
for _name in ("relu", "sigmoid", "tanh", "softmax", "log_softmax"):
    CALLS |= {_name: ((X,), {}), f"{_name}_gradient": ((X, X), {})}
EVERY = sorted(CALLS)
#: Their gradients take the gradient first, then what they were given or gave.
SAMPLES = ("relu", "leaky", "elu", "sigmoid", "tanh", "softmax", "log_softmax", "batch", "layer")


def test_every_operation_is_here():
    assert set(layers.__all__) == {*CALLS, "Moments", "Greatest", "plain_sums"}


def changed(name):
    """Yield calls with one argument changed: its place, and a function from it to others."""
    given, options = CALLS[name]
    for place, value in [*enumerate(given), *options.items()]:

        def call(other, place=place):
            at = [other if i == place else v for i, v in enumerate(given)]
            found = {**options, **({} if isinstance(place, int) else {place: other})}
            return getattr(layers, name)(*at, **found)

        yield place, value, call


def wrong(value):
    """Return what may not stand for an argument."""
    if isinstance(value, np.ndarray):
        parts = [value[None], value[..., :-1], [[1], [1, 2]], 3.0, value[..., None]]
        return [value.astype(str), value.astype(object), value * 1j, None, *parts, value[:0]]
    if isinstance(value, bool):
        return ["yes", None, 1.5]
    if isinstance(value, str):
        return ["", "mirror", 3, None, ("edge",), b"edge", {}, [["edge"], "edge"]]
    if isinstance(value, float):
        return ["a", None, float("nan"), -1.0, [0.5], {}]
    if isinstance(value, (int, tuple)):
        return ["a", None, {}, 1.5, -1, 2**40, 10**30, float("nan"), (1, 1, 1, 1), ((1, 1, 1),)]
    return []


def error_of(call, other):
    """Return what a call says against an argument; it may also take it."""
    try:
        call(other)
    except (ValueError, TypeError) as error:
        return str(error)
    return "."


@pytest.mark.parametrize("name", EVERY)
def test_what_does_not_fit_is_an_error_with_words_of_ours(name):
    anything = name in ("flatten", "relu", "leaky_relu", "elu", "sigmoid", "tanh")
    for place, value, call in changed(name):
        for other in wrong(value):
            if isinstance(value, np.ndarray) and (anything or isinstance(other, list)):
                continue  # of any shape
            told = error_of(call, other)
            assert told.endswith(".") or "inhomogeneous" in told, (place, other)


@pytest.mark.parametrize("name", EVERY)
def test_numbers_that_are_none_are_refused(name):
    if name == "flatten":
        return  # it looks at no number
    for _, value, call in changed(name):
        if isinstance(value, np.ndarray):
            for other in (value.astype(str), value.astype(object), value * 1j):
                with pytest.raises(TypeError, match=r"ha(s|ve) dtype"):
                    call(other)


def plain(found):
    """Return a result's arrays and numbers."""
    found = found if isinstance(found, tuple) else (found,)
    return [np.asarray(f) for f in found if not isinstance(f, (layers.Moments, layers.Greatest))]


@pytest.mark.parametrize("name", EVERY)
def test_the_bits_do_not_depend_on_the_layout(name):
    given, options = CALLS[name]
    wanted = plain(getattr(layers, name)(*given, **options))
    for _, value, call in changed(name):
        if isinstance(value, np.ndarray):
            for layout in LAYOUTS:
                for a, b in zip(plain(call(laid_out(value, layout))), wanted, strict=True):
                    assert np.array_equal(a, b)


@pytest.mark.parametrize("name", EVERY)
def test_one_array_says_in_which_dtype(name):
    """The others are taken to that of the input; where there is none, of the first."""
    given, options = CALLS[name]
    wanted = plain(getattr(layers, name)(*given, **options))
    says = int(name.endswith("_gradient") and name.startswith(SAMPLES))
    for place, value, call in changed(name):
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and place != says:
            for a, b in zip(plain(call(value.astype(np.float32))), wanted, strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_one_dtype_is_told_from_none():
    """NumPy takes None for float64, so that kernels of float32 were left as they were."""
    x, k = np.ones((1, 1, 3)), np.ones((1, 1, 2), np.float32)
    assert layers.conv(x, k).dtype == np.float64
    assert layers.conv(x.astype("f4"), k.astype("f8")).dtype == np.float32
