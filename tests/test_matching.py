"""Template matching against its definition and other libraries; peaks between the samples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung
from faltung import image, kernels
from faltung.demo import PHOTOGRAPH
from faltung.signal import best, match, matched_filter, peaks, shift


def definition(window, template, weights, centred):
    total = math.fsum(weights.ravel())
    w, t = window, template
    if centred:
        w = w - math.fsum((weights * w).ravel()) / total
        t = t - math.fsum((weights * t).ravel()) / total
    top = math.fsum((weights * w * t).ravel())
    below = math.fsum((weights * w * w).ravel()) * math.fsum((weights * t * t).ravel())
    return top / math.sqrt(below) if below else 0.0


@settings(max_examples=60)
@given(st.data())
def test_scores_are_their_definition(data):
    rank = data.draw(st.integers(1, 2))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    shape = tuple(data.draw(st.integers(4, 12)) for _ in range(rank))
    taps = tuple(data.draw(st.integers(2, 4)) for _ in range(rank))
    x, template = rng.standard_normal(shape), rng.standard_normal(taps)
    x = x * data.draw(st.sampled_from([1, 1e-300, 1e-150, 1e150, 1e307])) + data.draw(
        st.sampled_from([0, 0, 3])
    )
    centred = data.draw(st.booleans())
    weights = rng.random(taps) * (rng.random(taps) < 0.8) if data.draw(st.booleans()) else None
    if weights is not None:
        weights.flat[0], weights.flat[-1] = 1, 0.5
    mask = np.ones(taps) if weights is None else weights
    scores = match(x, template, centred=centred, mask=weights)
    windows = np.lib.stride_tricks.sliding_window_view(x, taps)
    assert scores.shape == windows.shape[:rank]
    for place in np.ndindex(*scores.shape):
        size = np.abs(windows[place]).max()
        wanted = definition(windows[place] / size, template, mask, centred)
        assert scores[place] == pytest.approx(wanted, abs=1e-6)
        assert -1 <= scores[place] <= 1


def test_against_scikit_image_and_opencv_on_the_photograph():
    cv2 = pytest.importorskip("cv2")
    feature = pytest.importorskip("skimage.feature")
    grey = image.read(PHOTOGRAPH).mean(axis=2)
    template = grey[100:121, 200:231]
    ours = match(grey, template)
    np.testing.assert_allclose(ours, feature.match_template(grey, template), atol=1e-9)
    four = grey.astype("float32"), template.astype("float32")
    np.testing.assert_allclose(ours, cv2.matchTemplate(*four, cv2.TM_CCOEFF_NORMED), atol=1e-3)
    np.testing.assert_allclose(
        match(grey, template, centred=False), cv2.matchTemplate(*four, cv2.TM_CCORR_NORMED),
        atol=1e-3,
    )  # fmt: skip
    padded = feature.match_template(grey, template, pad_input=True, mode="symmetric")
    np.testing.assert_allclose(
        match(grey, template, mode="same", boundary="symmetric"), padded, atol=1e-9
    )
    assert best(ours).index == (100, 200)
    assert best(ours).score == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("level", [0.0, 1 / 3, 7.3, 1e6, -1e-8, 1e300])
def test_flat_regions_score_0_whatever_surrounds_them(level):
    rng = np.random.default_rng(8)
    x = np.full((40, 40), level)
    x[:12] += abs(level) * rng.standard_normal((12, 40)) + rng.standard_normal((12, 40))
    scores = match(x, rng.standard_normal((5, 5)))
    assert not scores[12:].any()
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() <= 1
    ripple = x.copy()
    ripple[20:] = np.nextafter(ripple[20:], np.where(rng.random((20, 40)) < 0.5, -np.inf, np.inf))
    if level and abs(level) < 1e300:
        assert not match(ripple, rng.standard_normal((5, 5)))[20:].any()


def test_low_contrast_far_from_the_mean_is_still_found():
    rng = np.random.default_rng(9)
    template = rng.standard_normal(40)
    x = np.concatenate([np.zeros(300), np.full(300, 1e6)])
    x[:300] += rng.standard_normal(300)
    x[400:440] += 1e-4 * template
    scores = match(x, template)
    assert best(scores).index == (400,)
    wanted = definition(x[400:440] - 1e6, template, np.ones(40), True)
    assert scores[400] == pytest.approx(wanted, abs=1e-6)


def test_brightness_and_contrast_do_not_matter_and_the_negative_scores_minus_1():
    rng = np.random.default_rng(10)
    x = rng.standard_normal(50)
    np.testing.assert_allclose(match(100 + 3 * x, x[7:19]), match(x, x[7:19] * 5 - 2), atol=1e-9)
    assert match(-x, x[7:19])[7] == pytest.approx(-1)


def test_masked_samples_do_not_count():
    rng = np.random.default_rng(11)
    x = rng.standard_normal((20, 20))
    template = x[4:9, 6:11].copy()
    template[0] = 99
    mask = np.ones((5, 5))
    mask[0] = 0
    assert best(match(x, template, mask=mask)).index == (4, 6)
    assert match(x, template, mask=mask)[4, 6] == pytest.approx(1)


def test_missing_samples_give_missing_scores_and_only_there():
    x = np.random.default_rng(12).standard_normal(30)
    x[10] = np.nan
    scores = match(x, [1.0, 3.0, 2.0])
    assert np.flatnonzero(np.isnan(scores)).tolist() == [8, 9, 10]
    x[10] = np.inf
    np.testing.assert_array_equal(match(x, [1.0, 3.0, 2.0]), scores)


def test_batches_and_modes():
    rng = np.random.default_rng(13)
    x = rng.standard_normal((9, 8, 3))
    template = rng.standard_normal((3, 3))
    scores = match(x, template, axes=(0, 1))
    assert scores.shape == (7, 6, 3)
    for n in range(3):
        np.testing.assert_allclose(scores[..., n], match(x[..., n], template), atol=1e-9)
    assert match(x, template, axes=(0, 1), mode="full").shape == (11, 10, 3)
    same = match(x, template, axes=(0, 1), mode="same", boundary="wrap")
    np.testing.assert_allclose(same[1:-1, 1:-1], scores, atol=1e-9)


def test_the_matched_filter_is_in_units_of_the_noise():
    rng = np.random.default_rng(14)
    template = np.hanning(64)
    noise = rng.normal(0, 2.5, 200_000)
    quiet = matched_filter(noise, template, noise=2.5)
    assert quiet.std() == pytest.approx(1, rel=0.02)
    x = noise[:2000].copy()
    x[900:964] += 8 * template
    y = matched_filter(x, template, noise=2.5)
    height = 8 * np.linalg.norm(template) / 2.5
    assert abs(best(y).index[0] - 900) <= 5
    assert y[900] == pytest.approx(height + quiet[900])
    turn = np.exp(0.7j)
    chirp = np.exp(1j * 0.01 * np.arange(50) ** 2)
    z = np.zeros(200, complex)
    z[30:80] = turn * chirp
    found = matched_filter(z, chirp)
    assert np.abs(found).argmax() == 30
    assert found[30] == pytest.approx(turn * math.sqrt(50))
    wanted = np.correlate(z, chirp, "valid") / math.sqrt(50)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("by", [-0.4, -0.1, 0.0, 0.25, 0.5])
def test_a_shift_by_a_part_of_a_sample_is_found_in_1_dimension(by):
    t = np.arange(128.0)
    x = np.exp(-0.5 * ((t - 60) / 5) ** 2)
    template = x[40:81]
    moved = shift(x, 3 + by, boundary="wrap", method="fourier")
    peak = best(match(moved, template))
    assert peak.position[0] == pytest.approx(43 + by, abs=0.01)
    assert peak.value >= peak.score


@pytest.mark.parametrize("by", [(0.3, -0.2), (-0.45, 0.1), (0.0, 0.4)])
def test_a_shift_by_a_part_of_a_sample_is_found_in_2_dimensions(by):
    rows, columns = np.mgrid[:64, :64]
    tilted = (rows - 30) ** 2 + (columns - 33) ** 2 + (rows - 30) * (columns - 33)
    x = np.exp(-tilted / 60)
    template = x[15:46, 18:49]
    moved = shift(x, by, boundary="wrap", method="fourier")
    peak = best(match(moved, template))
    assert peak.position == pytest.approx((15 + by[0], 18 + by[1]), abs=0.02)


@pytest.mark.parametrize("by", [0.0, 0.1, 0.25, 0.4, 0.5])
def test_a_shifted_photograph_is_found_to_a_tenth_of_a_pixel(by):
    grey = image.read(PHOTOGRAPH).mean(axis=2)
    moved = shift(grey, (3 + by, -7 - by), boundary="wrap", method="fourier")
    for sigma in (0, 1, 2):  # smooth, the scores have a ridge that lies across the axes
        pair = grey, moved
        if sigma:
            pair = tuple(faltung.convolve(p, kernels.gaussian(sigma)) for p in pair)
        found = best(match(pair[1], pair[0][100:131, 200:241]))
        assert found.position == pytest.approx((103 + by, 193 - by), abs=0.12)


def test_quadratics_are_found_exactly():
    a, b = np.mgrid[:7, :9].astype(float)
    bowl = 5 - 2 * (a - 3.2) ** 2 - (b - 4.3) ** 2 - 0.5 * (a - 3.2) * (b - 4.3)
    peak = best(bowl)
    assert peak.position == pytest.approx((3.2, 4.3), abs=1e-12)
    assert peak.value == pytest.approx(5, abs=1e-12)
    assert best([1.0, 2.0]).position == (1.0,)
    assert best([[1.0, 3.0, 2.0]]).position == pytest.approx((0, 1 + 1 / 6))


def test_peaks_are_ordered_apart_and_counted():
    x = np.zeros((30, 30))
    for place, height in {(5, 5): 3, (6, 7): 2, (20, 20): 5, (29, 0): 1}.items():
        x[place] = height
    order = [(20, 20), (5, 5), (6, 7), (29, 0)]
    assert [p.index for p in peaks(x, least=0.5)] == order
    assert [p.index for p in peaks(x, least=0.5, distance=3)] == [order[0], order[1], order[3]]
    assert [p.index for p in peaks(x, count=2, distance=3)] == order[:2]
    assert [p.score for p in peaks(x, least=2)] == [5, 3, 2]
    assert peaks(x, count=0) == []
    assert [p.index for p in peaks([1, 2, 2, 1, 2])] == [(1,), (4,)]
    assert len(peaks(np.ones((50, 50)))) == 1
    assert peaks([np.nan, np.nan]) == []
    assert peaks([]) == []
    assert [p.index for p in peaks([0, np.nan, 4, np.nan])] == [(2,), (0,)]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 9))
def test_peaks_keep_their_distance_and_every_sample_is_near_or_below_one(values, distance):
    found = peaks(values, distance=distance)
    places = [p.index[0] for p in found]
    assert all(abs(a - b) >= distance for a in places for b in places if a != b)
    assert max(values) == found[0].score
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    for p in found:
        assert abs(p.position[0] - p.index[0]) <= 0.5


@pytest.mark.parametrize(("x", "template", "options", "words"), [
    ([1, 2, 3], [2, 2], {}, "without contrast"), ([1, 2, 3], [5], {}, "without contrast"),
    ([1, 2, 3], [0, 0], {"centred": False}, "of zeros"), ([1, 2], [1, 2, 3], {}, "no longer"),
    ([1, 2], [], {}, "at least one"), ([1, 2], [1, np.nan], {}, "finite"),
    ([1, 2], [[1, 2]], {}, "more axes"), ([1, 2], [1, 2], {"mode": "all"}, "mode="),
    ([1, 2], [1, 2], {"mask": [1]}, "mask"), ([1, 2], [1, 2], {"mask": [0, 0]}, "mask"),
    ([1, 2], [1, 2], {"mask": [1, -1]}, "mask"), ([], [1, 2], {"mode": "same"}, "no samples"),
    ([1, 2], [1, 2], {"boundary": "mirror", "mode": "same"}, "'reflect' here"),
])  # fmt: skip
def test_what_is_not_allowed_is_said_in_one_line(x, template, options, words):
    with pytest.raises(ValueError, match=words) as error:
        match(x, template, **options)
    assert "\n" not in str(error.value)


def test_more_that_is_not_allowed():
    with pytest.raises(TypeError, match="real"):
        match([1j], [1.0])
    with pytest.raises(ValueError, match="not all 0"):
        matched_filter([1.0, 2.0], [0.0])
    with pytest.raises(ValueError, match="noise="):
        matched_filter([1.0, 2.0], [1.0], noise=0)
    with pytest.raises(ValueError, match="no finite"):
        best([np.nan])
    with pytest.raises(TypeError, match=r"numpy\.abs"):
        peaks([1j])
    with pytest.raises(ValueError, match="count="):
        peaks([1.0], count=-1)
    with pytest.raises(ValueError, match="distance="):
        peaks([1.0], distance=np.nan)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("offset", "loud", "quiet"), [
    (1e12, 1.0, 1.0), (0.0, 1e6, 1e-6), (0.0, 1e10, 1e-3), (0.0, 1e10, 1e-6), (0.0, 1e200, 1e-200),
])  # fmt: skip
def test_scores_of_loud_and_quiet_parts_are_those_of_the_samples_as_given(
    offset, loud, quiet, centred
):
    rng = np.random.default_rng(0)
    template = rng.normal(size=8)
    x = offset + np.r_[loud * (1 + rng.normal(size=50)), quiet * rng.normal(size=60)]

    def score(window):  # in long double, each window on its own scale
        w, t = (np.array(a, np.longdouble) / np.abs(a).max() for a in (window, template))
        if centred:
            w, t = w - w.mean(), t - t.mean()
        return float((w * t).sum() / np.sqrt((w * w).sum() * (t * t).sum()))

    wanted = [score(x[at : at + 8]) for at in range(len(x) - 7)]
    np.testing.assert_allclose(match(x, template, centred=centred), wanted, atol=1e-6)


def test_a_plateau_is_one_peak_or_none():
    assert [p.index for p in peaks([1, 2, 2, 3, 0])] == [(3,)]
    assert [p.index for p in peaks([[0, 0, 5], [5, 5, 5], [0, 0, 0]])] == [(0, 2)]
    assert [p.index for p in peaks([3, 3, 1, 2, 2, 2, 1, 4])] == [(7,), (0,), (3,)]
    assert peaks([2, 2, 3, 3, 3, 4], count=9)[0].index == (5,)
    assert [p.index for p in peaks(np.full((3, 4), 7.0))] == [(0, 0)]
    assert peaks(np.full(5, np.nan)) == []
    with pytest.raises(ValueError, match="distance=-1"):
        peaks([1, 2, 1], distance=-1)
