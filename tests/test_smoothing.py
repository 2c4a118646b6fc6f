"""Smoothing: weighted averages over what is there, against their definition."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung
from faltung import kernels, signal
from faltung.boundary import FILL, index_map

EDGES = ("renormalise", "constant", "edge", "symmetric", "reflect", "wrap")


def definition(x, w, anchor, edges, fill, missing):
    """Average each neighbourhood by a loop over its weights."""
    values, coverage = [], []
    for i in range(len(x)):
        top = mass = whole = 0.0
        meets = False
        for j, weight in enumerate(w):
            at = i + anchor - j
            if edges == "renormalise" and not 0 <= at < len(x):
                continue
            where = int(
                index_map(np.array(at), len(x), "edge" if edges == "renormalise" else edges)
            )
            sample = fill if where == FILL else x[where]
            whole += weight
            if math.isnan(sample):
                meets = True
                continue
            top += weight * sample
            mass += weight
        lost = missing == "propagate" and meets
        values.append(math.nan if lost or mass <= 0 else top / mass)
        coverage.append(mass)
    return np.array(values), np.array(coverage)


@settings(max_examples=80)
@given(st.data())
def test_smoothing_is_its_definition(data):
    n = data.draw(st.integers(1, 25))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    x = rng.standard_normal(n)
    x[rng.random(n) < data.draw(st.sampled_from([0, 0.3, 1]))] = np.nan
    w = rng.random(data.draw(st.integers(1, 40))) + 0.01
    anchor = data.draw(st.integers(0, w.size - 1))
    edges = data.draw(st.sampled_from(EDGES))
    missing = data.draw(st.sampled_from(["ignore", "propagate"]))
    fill = data.draw(st.sampled_from([0.0, 2.5])) if edges == "constant" else 0.0
    kernel = kernels.Kernel.of(w, anchor=(anchor,), operation="convolve")
    done = signal.smooth(x, kernel, edges=edges, fill_value=fill, missing=missing)
    values, coverage = definition(x, w / w.sum(), anchor, edges, fill, missing)
    np.testing.assert_allclose(done.values, values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(done.coverage, coverage, rtol=1e-9, atol=1e-12)
    assert math.isclose(math.fsum(done.weights), 1, rel_tol=1e-12)


def test_age_weights_sum_to_one_newest_heaviest_and_the_first_outputs_follow_the_rule():
    x = np.array([2.0, 4.0, 9.0, 1.0])
    for text in ("exponential:0.3", "linear:5", [0.5, 0.3, 0.2]):
        done = signal.smooth(x, text)
        w = done.weights
        assert math.isclose(w.sum(), 1, rel_tol=1e-14)
        assert done.anchor == 0
        assert (np.diff(w) < 0).all()
        assert math.isclose(done.values[0], x[0], rel_tol=1e-14)
        assert math.isclose(done.values[1], (w[0] * x[1] + w[1] * x[0]) / (w[0] + w[1]))
        assert done.coverage[0] == pytest.approx(w[0], rel=1e-14)
    assert "divided by their sum" in done.rule


def test_an_average_of_a_constant_is_that_constant_whatever_is_missing():
    x = np.full((50, 3), 7.0)
    x[np.random.default_rng(1).random(x.shape) < 0.4] = np.nan
    done = signal.smooth(x, "gaussian:3")
    np.testing.assert_allclose(done.values, 7, rtol=1e-14)
    assert (done.coverage < 1).any()


def test_the_lag_of_a_steady_motion():
    x = 3.0 * np.arange(40)
    for weights in ("linear:6", "exponential:0.5", "gaussian:2"):
        done = signal.smooth(x, weights)
        inner = done.coverage == 1
        assert inner.any()
        np.testing.assert_allclose((x - done.values)[inner], 3 * done.lag, rtol=1e-9, atol=1e-9)


def test_against_scipy():
    from scipy import ndimage
    from scipy.signal import savgol_filter

    x = np.random.default_rng(2).standard_normal(60)
    ours = signal.smooth(x, kernels.savitzky_golay(7, 3), edges="reflect").values
    np.testing.assert_allclose(ours, savgol_filter(x, 7, 3, mode="mirror"), atol=1e-12)
    ours = signal.smooth(x, "box:5", edges="symmetric").values
    np.testing.assert_allclose(ours, ndimage.uniform_filter1d(x, 5, mode="reflect"), atol=1e-12)
    ours = signal.smooth(x, kernels.gaussian(2.0, cut=4, axes=1), edges="edge").values
    np.testing.assert_allclose(ours, ndimage.gaussian_filter1d(x, 2, mode="nearest"), atol=1e-12)


def test_tracks_of_positions_go_along_the_first_axis_or_another():
    x = np.random.default_rng(3).standard_normal((30, 2)).astype("float32")
    x[4, 1] = np.nan
    done = signal.smooth(x, "linear:4")
    assert done.values.dtype == np.float32
    for n in range(2):
        np.testing.assert_array_equal(done.values[:, n], signal.smooth(x[:, n], "linear:4").values)
    np.testing.assert_array_equal(signal.smooth(x.T, "linear:4", axis=1).values.T, done.values)
    np.testing.assert_array_equal(np.asarray(done), done.values)


def test_times_on_a_lattice_make_gaps_missing():
    x = np.arange(10.0) ** 2
    keep = [0, 1, 2, 5, 6, 9]
    gappy = np.where(np.isin(np.arange(10), keep), x, np.nan)
    whole = signal.smooth(gappy, "linear:4")
    done = signal.smooth(x[keep], "linear:4", times=100 + 0.1 * np.array(keep))
    np.testing.assert_allclose(done.values, whole.values[keep])
    np.testing.assert_allclose(done.coverage, whole.coverage[keep])
    start = np.datetime64("2024-02-28T23:59:50")
    stamps = start + np.array(keep) * np.timedelta64(100, "ms")
    np.testing.assert_allclose(signal.smooth(x[keep], "linear:4", times=stamps).values, done.values)
    texts = [str(stamp) for stamp in stamps]
    np.testing.assert_allclose(signal.smooth(x[keep], "linear:4", times=texts).values, done.values)


def test_seconds_since_1970_and_jitter_are_a_lattice():
    n = 300_000
    keep = np.sort(np.random.default_rng(5).permutation(n)[: n // 2])
    keep[0], keep[-1] = 0, n - 1
    x = np.sin(keep / 50)
    wanted = signal.smooth(x, "linear:4", times=keep.astype(float)).coverage
    for step in (0.1, 1 / 3):
        stamps = 1.7e9 + step * keep  # whose last bit is a millionth of a step
        np.testing.assert_array_equal(signal.smooth(x, "linear:4", times=stamps).coverage, wanted)
    rough = keep + np.random.default_rng(6).uniform(-0.1, 0.1, keep.size)
    with pytest.raises(ValueError, match="no multiples"):
        signal.smooth(x, "linear:4", times=rough)
    done = signal.smooth(x, "linear:4", times=rough, step=1)
    np.testing.assert_array_equal(done.coverage, wanted)


@settings(max_examples=60)
@given(st.data())
def test_real_ages_are_their_definition(data):
    n = data.draw(st.integers(1, 20))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    times = np.sort(rng.integers(0, 30, n) * rng.choice([0.1, 0.37], n))
    x = rng.standard_normal((n, 2))
    x[rng.random(x.shape) < 0.3] = np.nan
    scale = data.draw(st.sampled_from([0.05, 1.0, 20.0]))
    kind = data.draw(st.sampled_from(["exponential", "gaussian", "function"]))
    age = times[:, None] - times[None, :]
    if kind == "gaussian":
        w, given_ = np.exp(-0.5 * (age / scale) ** 2), signal.time_gaussian(scale)
        w[w < 2.0**-53] = 0
    else:
        w = np.where(age >= 0, np.exp(-np.maximum(age, 0) / scale), 0)
        given_ = signal.time_exponential(scale)
    if kind == "function":
        given_ = lambda a: np.exp(-a / scale)  # noqa: E731
    there = ~np.isnan(x)
    with np.errstate(all="ignore"):
        wanted = (w @ np.where(there, x, 0)) / (w @ there)
    done = signal.smooth(x, given_, times=times)
    np.testing.assert_allclose(done.values, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(done.coverage > 0, ~np.isnan(wanted))


def test_real_ages_at_a_regular_step_are_the_lattice():
    x = np.random.default_rng(4).standard_normal(200)
    alpha = 0.25
    tau = -1 / math.log(1 - alpha)
    ages = signal.smooth(x, signal.time_exponential(tau), times=np.arange(200.0))
    lattice = signal.smooth(x, kernels.exponential_age(alpha, 200))
    np.testing.assert_allclose(ages.values, lattice.values, rtol=1e-10)
    assert ages.coverage[-1] == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize(("value", "weights"), [
    (7.0, 0.7 ** np.arange(3000)), (7.0, [1, 1e-310, 1e-320, 1e-323, 1e-150] * 200),
    (1e-30, 0.9 ** np.arange(900)), (-1e30, 0.7 ** np.arange(800)),
])  # fmt: skip
def test_the_last_sample_is_the_average_however_long_ago_it_was(dtype, value, weights):
    x = np.full(800, np.nan, dtype)
    x[1] = value
    x[0] = 3 * value
    done = signal.smooth(x, weights)
    k = np.asarray(weights, float)[: x.size]
    there = done.coverage > 0
    assert there.sum() > 700
    if k.min() > 1e-300:
        wanted = value * (k[:-1] + 3 * k[1:]) / (k[:-1] + k[1:])
        np.testing.assert_allclose(done.values[1:], wanted, rtol=1e-6)
    assert (np.abs(done.values[there]) <= 3.0001 * abs(x[1])).all()
    assert (np.abs(done.values[there]) >= 0.9999 * abs(x[1])).all()


def test_lone_samples_and_subnormal_tracks_are_their_averages_to_the_last_bit():
    rng = np.random.default_rng(17)
    x = rng.standard_normal((60, 3)) * 10.0 ** rng.integers(-9, 9, (60, 3))
    x[np.arange(60) % 5 > 0] = np.nan
    for dtype in ("float32", "float64"):
        for weights in ("linear:3", "exponential:0.9", [0.3, 0.1]):
            done = signal.smooth(x.astype(dtype), weights)
            assert (done.coverage[::5] > 0).all()
            np.testing.assert_array_equal(done.values[::5], x.astype(dtype)[::5])
    assert signal.smooth([5e-324] * 5, [1, 1, 1]).values.tolist() == [5e-324] * 5
    np.testing.assert_allclose(signal.smooth([1e308] * 5, [1, 1, 1]).values, 1e308)


@pytest.mark.parametrize("edges", EDGES)
def test_gaps_that_no_weight_reaches_across_take_no_memory(edges):
    x = np.random.default_rng(18).standard_normal(12)
    places = np.array([0, 1, 3, 40, 41, 42, 47, 90, 130, 131, 132, 135])
    gappy = np.full(places[-1] + 1, np.nan)
    gappy[places] = x
    for weights in ("linear:4", "gaussian:2", "box:9"):
        whole = signal.smooth(gappy, weights, edges=edges)
        done = signal.smooth(x, weights, times=places, edges=edges)
        np.testing.assert_allclose(done.values, whole.values[places], rtol=1e-12)
        np.testing.assert_allclose(done.coverage, whole.coverage[places], rtol=1e-12)
    far = signal.smooth([1.0, 3.0, 8.0], "linear:3", times=[0, 1, 6e10])
    np.testing.assert_allclose(far.values, [1, 2.2, 8])


def test_samples_without_enough_weight_are_missing_where_that_is_asked():
    x = np.array([1.0, 2.0, np.nan, np.nan, 5.0])
    done = signal.smooth(x, [0.6, 0.3, 0.1], least=0.5)
    assert np.isnan(done.values).tolist() == [False, False, True, True, False]
    assert not np.isnan(signal.smooth(x, [0.6, 0.3, 0.1]).values).any()


@pytest.mark.parametrize("x", [np.zeros(0), np.zeros((0, 2)), np.array([3.0]), np.full(5, np.nan)])
def test_empty_short_and_missing_tracks(x):
    for weights in ("linear:9", "gaussian:4", [1.0]):
        for edges in EDGES:
            done = signal.smooth(x, weights, edges=edges)
            assert done.values.shape == x.shape == done.coverage.shape
            if edges != "constant":
                np.testing.assert_allclose(done.values, x)
    times = np.arange(float(len(x)))
    np.testing.assert_array_equal(
        signal.smooth(x, signal.time_gaussian(0.1), times=times).values, x
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": [1, -1]}, "sum to 0"),
        ({"weights": []}, "one axis"),
        ({"weights": [[1, 2]]}, "one axis"),
        ({"weights": [1, np.nan]}, "finite"),
        ({"weights": "boxx:3"}, "boxx"),
        ({"weights": "sobel.x"}, "2 axes"),
        ({"weights": "savgol:5,2"}, "negative"),
        ({"weights": "linear:3", "edges": "nearest"}, "'edge' here"),
        ({"weights": "linear:3", "missing": "drop"}, "missing="),
        ({"weights": "linear:3", "axis": 1}, "axis=1"),
        ({"weights": "linear:3", "least": 2}, "least="),
        ({"weights": "linear:3", "step": 2}, "times="),
        ({"weights": "linear:3", "times": [0, 1]}, "each of the 4"),
        ({"weights": "linear:3", "times": [0, 2, 1, 3]}, "sort"),
        ({"weights": "linear:3", "times": [0, 1, np.nan, 3]}, "leave out"),
        ({"weights": "linear:3", "times": [0, 1, 1, 2]}, "the same time"),
        ({"weights": "linear:3", "times": [0, 1, 2.3, 3]}, "no multiples"),
        ({"weights": "linear:3", "times": [0, 1, 2, 1e12]}, "span"),
        ({"weights": "linear:3", "times": [-1e308, 0, 1, 1e308]}, "beyond every float"),
        ({"weights": "linear:3", "times": [0, 1, 2, 1e300], "step": 1e-300}, "span"),
        ({"weights": np.ones(10**7), "times": [0, 1, 10**9, 10**10]}, "fewer weights"),
        ({"weights": "linear:3", "times": [0, 1.4, 2, 3], "step": 1}, "give another step="),
        ({"weights": "linear:3", "times": [0, 1.1, 0.9 + 0.3, 3], "step": 1}, "smaller step="),
        ({"weights": "linear:3", "times": ["a", "b", "c", "d"]}, "ISO 8601"),
        ({"weights": "linear:3", "edges": "constant", "fill_value": "a"}, "fill_value='a'"),
        ({"weights": "linear:3", "fill_value": 3}, 'goes with edges="constant"'),
        ({"weights": "linear:3", "times": [0, 1, 2, 3], "step": 0}, "step=0"),
        ({"weights": "time.exponential:2"}, "go with times="),
        ({"weights": "time.exponential:x"}, "time.exponential:NUMBER"),
        ({"weights": "time.gaussian:0"}, "more than 0"),
        ({"weights": lambda a: -a, "times": [0, 1, 2, 3]}, "at least 0"),
        ({"weights": "time.gaussian:2", "times": [0, 1, 2, 3], "edges": "edge"}, "renormalise"),
    ],
)
def test_what_is_not_allowed_is_said_in_one_line(arguments, words):
    with pytest.raises(ValueError, match=words) as error:
        signal.smooth([1.0, 2.0, 3.0, 4.0], **arguments)
    assert "\n" not in str(error.value)


def test_texts_and_masked_arrays_are_no_tracks():
    with pytest.raises(ValueError, match="tau='1' must be"):
        signal.time_exponential("1")
    with pytest.raises(TypeError, match="numbers"):
        signal.smooth(["a"], [1.0])
    with pytest.raises(TypeError, match="mask"):
        signal.smooth(np.ma.masked_array([1.0, 2.0], [True, False]), [1.0])


def test_too_many_pairs_are_refused_before_they_are_gone_through():
    n = 1 << 16
    with pytest.raises(ValueError, match="reach="):
        signal.smooth(np.zeros(n), np.ones_like, times=np.arange(float(n)))


def the_track_of_the_docs():
    path = Path(__file__).parents[1] / "docs" / "track.py"
    spec = importlib.util.spec_from_file_location("track", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_the_picture_in_the_docs_claims():
    track = the_track_of_the_docs()
    t, read = track.readings()
    done = track.smoothed()
    w = done.weights
    assert math.fsum(w) == pytest.approx(1, abs=1e-15)
    assert w.argmax() == 0
    assert (np.diff(w) < 0).all()
    # the first outputs are averages of what was read so far, their weights divided by their sum
    for i in range(3):
        wanted = (w[: i + 1] * read[i::-1]).sum() / w[: i + 1].sum()
        assert done.values[i] == pytest.approx(wanted, rel=1e-12)
    there = ~np.isnan(done.values)
    assert (done.coverage[there] >= track.LEAST).all()
    assert not there[slice(*track.TUNNEL)][5:].any()
    # in steady motion the average errs less than the readings, but for its lag
    slow = 3 * np.arange(400.0)
    noisy = slow + np.random.default_rng(15).normal(0, track.ERROR, slow.size)
    smooth = signal.smooth(noisy, kernels.exponential_age(track.ALPHA))
    error = (smooth.values - slow)[50:] + 3 * smooth.lag
    assert error.std() < 0.5 * track.ERROR
    assert abs(error.mean()) < 2
    assert t.size == read.size == done.values.size


def test_the_picture_in_the_docs_is_drawn():
    pytest.importorskip("matplotlib")
    track = the_track_of_the_docs()
    lines = track.figure().axes[0].get_lines()
    drawn = next(line for line in lines if line.get_label().startswith("smoothed"))
    np.testing.assert_array_equal(drawn.get_ydata(), track.smoothed().values)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_average_of_one_far_sample_is_that_sample(dtype):
    y = np.full(2300, np.nan, dtype)
    y[0] = 7
    done = signal.smooth(y, 0.7 ** np.arange(3000))
    held = done.coverage > 1e-300
    assert held.sum() > 1900
    assert done.values.dtype == dtype
    np.testing.assert_allclose(done.values[held], 7, rtol=1e-6)
    found = faltung.convolve([7.0] + [np.nan] * 2, [1, 1e-310, 1e-320], anchor=0, missing="ignore")
    np.testing.assert_allclose(found, 7)


def test_a_memory_of_a_thousand_samples():
    done = signal.smooth(np.ones(3), "exponential:0.001")
    assert done.lag == pytest.approx(999, rel=2e-3)  # (1 - alpha) / alpha, cut after 1e-4
    assert done.weights[1] / done.weights[0] == pytest.approx(0.999)


def test_by_real_ages_the_last_sample_is_the_average_while_its_weight_tells():
    x = np.full(1000, np.nan)
    x[0] = 0.3
    for weights in (signal.time_exponential(1.0), lambda age: np.exp(-age)):
        done = signal.smooth(x, weights, times=np.arange(1000.0))
        there = ~np.isnan(done.values)
        assert 600 < there.sum() < 700  # exp(-644) is 1e-280
        np.testing.assert_allclose(done.values[there], 0.3, rtol=1e-12)
        np.testing.assert_array_equal(done.coverage > 0, there)
