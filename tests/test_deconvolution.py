"""Deconvolution: the operator and its adjoint, closed forms, other libraries, a photograph."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung
from faltung import image, kernels
from faltung.demo import PHOTOGRAPH
from faltung.signal import deconvolve
from faltung.signal.blur import Blur, differences_back, roughness

BOUNDARIES = ("constant", "edge", "symmetric", "reflect", "wrap")


def blur_of(kernel, blurred, **options):
    usual = {"operation": "convolve", "mode": "same", "boundary": "constant", "fill_value": 0.0,
             "axes": None, "anchor": None, "clean": False}  # fmt: skip
    return Blur.of(kernel, blurred, **(usual | options))


@settings(max_examples=80)
@given(st.data())
def test_the_adjoint_passes_the_dot_test_and_the_matrix_is_the_operator(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    rank = data.draw(st.integers(1, 2))
    taps = tuple(data.draw(st.integers(1, 7)) for _ in range(rank))
    mode = data.draw(st.sampled_from(["same", "full", "valid"]))
    least = taps if mode == "full" else (1,) * rank
    blurred = tuple(data.draw(st.integers(n, 9)) for n in least)
    batch = data.draw(st.booleans())
    axes = tuple(range(rank))
    kernel = rng.standard_normal(taps)
    blur = blur_of(
        kernel, (*blurred, 2) if batch else blurred, axes=axes, mode=mode,
        boundary=tuple(data.draw(st.sampled_from(BOUNDARIES)) for _ in range(rank)),
        operation=data.draw(st.sampled_from(["convolve", "correlate"])),
        anchor=tuple(data.draw(st.integers(0, n - 1)) for n in taps),
    )  # fmt: skip
    x = rng.standard_normal(blur.shape)
    y = blur.forth(x)
    assert y.shape == ((*blurred, 2) if batch else blurred)
    other = rng.standard_normal(y.shape)
    assert np.vdot(y, other) == pytest.approx(np.vdot(x, blur.back(other)), abs=1e-9)
    np.testing.assert_allclose(blur.rows(x) @ blur.matrix().T, blur.rows(y), atol=1e-9)
    np.testing.assert_array_equal(blur.unrowed(blur.rows(x)), x)


@settings(max_examples=30)
@given(st.integers(2, 12), st.integers(2, 9), st.integers(0, 1000))
def test_the_spectrum_is_the_circular_operator(rows, columns, seed):
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((3, 14))
    x = rng.standard_normal((rows, 2, columns))
    for axes in ((0, 2), (2, 0)):
        blur = blur_of(kernel, x.shape, boundary="wrap", axes=axes)
        spectral = np.fft.irfftn(
            np.fft.rfftn(x, axes=axes) * blur.spectrum, [x.shape[a] for a in axes], axes=axes
        )
        np.testing.assert_allclose(blur.forth(x), spectral, atol=1e-9)
        values = np.linalg.svd(blur.matrix(), compute_uv=False)
        repeated = np.repeat(
            np.abs(blur.spectrum).ravel(),
            np.broadcast_to(blur.repeats, blur.spectrum.shape).ravel().astype(int),
        )
        np.testing.assert_allclose(np.sort(values), np.sort(repeated), atol=1e-9)


def test_differences_and_their_adjoint():
    rng = np.random.default_rng(1)
    blur = blur_of(np.ones((2, 2)), (5, 6))
    x = rng.standard_normal((5, 6))
    lines = np.concatenate([np.diff(x, axis=a).ravel() for a in (0, 1)])
    other = rng.standard_normal(lines.shape)
    assert lines @ other == pytest.approx((x * differences_back(blur, other)).sum())
    circular = sum(((x - np.roll(x, 1, a)) ** 2).sum() for a in (0, 1))
    power = np.abs(np.fft.rfft2(x)) ** 2 * roughness((5, 6), (0, 1))
    counts = blur_of(np.ones((2, 2)), (5, 6), boundary="wrap").repeats
    assert (power * counts).sum() / 30 == pytest.approx(circular)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [40, 2000])
def test_without_noise_least_squares_undo_a_mild_blur_with_any_boundary(boundary, n):
    x = np.random.default_rng(2).standard_normal(n)
    y = faltung.convolve(x, [0.1, 0.7, 0.2], boundary=boundary, fill_value=3)
    done = deconvolve(
        y, [0.1, 0.7, 0.2], method="least_squares", boundary=boundary, fill_value=3,
        tolerance=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(done.values, x, atol=1e-8)
    assert done.residual < 1e-9
    assert done.condition < 4
    assert done.rank == n
    assert done.boundary == (boundary,)
    wanted = "spectrum" if boundary == "wrap" else "matrix" if n == 40 else "lsqr"
    assert done.solver == wanted
    assert done.exact is (wanted != "lsqr")


def test_full_convolutions_against_scipy():
    from scipy.signal import deconvolve as divide

    x = np.random.default_rng(3).standard_normal(30)
    k = np.array([2.0, 1.0, 0.5])
    y = np.convolve(x, k)
    done = deconvolve(y, k, method="least_squares", mode="full")
    np.testing.assert_allclose(done.values, divide(y, k)[0], atol=1e-10)


def test_valid_gives_the_least_norm_and_says_that_something_is_lost():
    x = np.random.default_rng(4).standard_normal(30)
    y = faltung.convolve(x, [1.0, 2.0, 1.0], mode="valid")
    done = deconvolve(y, [1.0, 2.0, 1.0], method="least_squares", mode="valid")
    assert done.values.shape == (30,)
    matrix = blur_of(np.array([1.0, 2.0, 1.0]), y.shape, mode="valid").matrix()
    np.testing.assert_allclose(done.values, np.linalg.pinv(matrix) @ y, atol=1e-8)
    assert done.rank == 28
    assert done.condition == math.inf


@pytest.mark.parametrize("boundary", ["wrap", "symmetric"])
def test_damped_solutions_satisfy_the_normal_equations(boundary):
    rng = np.random.default_rng(5)
    y = rng.standard_normal((12, 13))
    k = kernels.gaussian(1.0).array
    blur = blur_of(k, y.shape, boundary=boundary)
    matrix = blur.matrix()
    eye = np.eye(y.size)
    done = deconvolve(y, k, method="least_squares", damping=0.1, boundary=boundary)
    wanted = np.linalg.solve(matrix.T @ matrix + 0.1 * eye, matrix.T @ y.ravel())
    np.testing.assert_allclose(done.values.ravel(), wanted, atol=1e-9)
    s = np.linalg.svd(matrix, compute_uv=False)
    assert done.condition == pytest.approx(s[0] / s[-1], rel=1e-6)
    whole = np.linalg.inv(matrix.T @ matrix + 0.1 * eye) @ matrix.T
    told = deconvolve(y, k, method="least_squares", damping=0.1, boundary=boundary, noise=2.0)
    assert told.standard_error == pytest.approx(2 * np.sqrt((whole**2).sum() / y.size))
    if boundary == "symmetric":
        lines = np.concatenate(
            [np.diff(eye.reshape(12, 13, -1), axis=a).reshape(-1, y.size) for a in (0, 1)]
        )
        wanted = np.linalg.solve(matrix.T @ matrix + 0.25 * lines.T @ lines, matrix.T @ y.ravel())
        done = deconvolve(y, k, noise=1.0, signal=2.0, boundary=boundary)
        np.testing.assert_allclose(done.values.ravel(), wanted, atol=1e-9)


def test_iterations_find_what_the_matrix_gives():
    rng = np.random.default_rng(6)
    x = np.cumsum(rng.standard_normal(700))
    k = kernels.gaussian(1.5, axes=1).array
    y = faltung.convolve(x, k, boundary="reflect") + rng.normal(0, 0.1, 700)
    done = deconvolve(y, k, noise=0.1, signal=1.0, boundary="reflect", tolerance=1e-12,
                      iterations=3000)  # fmt: skip
    assert done.solver == "lsqr"
    matrix = blur_of(k, y.shape, boundary="reflect").matrix()
    lines = np.diff(np.eye(700), axis=0)
    wanted = np.linalg.solve(matrix.T @ matrix + 0.01 * lines.T @ lines, matrix.T @ y)
    np.testing.assert_allclose(done.values, wanted, atol=1e-6)
    short = deconvolve(y, k, noise=0.1, boundary="reflect", tolerance=1e-12, iterations=3)
    assert short.iterations == 3
    assert "short of" in short.stopped


def test_the_standard_error_is_what_the_noise_does():
    rng = np.random.default_rng(7)
    x, k = np.zeros(64), [0.25, 0.5, 0.3]
    for boundary in ("wrap", "edge"):
        noise = rng.normal(0, 0.5, (400, 64))
        done = deconvolve(
            noise, k, method="least_squares", damping=0.01, noise=0.5, boundary=boundary
        )
        spread = np.sqrt(np.mean((done.values - x) ** 2))
        assert done.standard_error == pytest.approx(spread, rel=0.03)


def test_the_residual_tells_the_noise_where_there_is_more_than_what_was_fitted():
    rng = np.random.default_rng(8)
    x = rng.standard_normal(120)
    y = np.convolve(x, np.ones(40)) + rng.normal(0, 0.3, 159)
    told = deconvolve(y, np.ones(40), method="least_squares", mode="full", noise=0.3)
    found = deconvolve(y, np.ones(40), method="least_squares", mode="full")
    assert found.standard_error == pytest.approx(told.standard_error, rel=0.25)
    square = deconvolve(y[:40], [1.0, 0.5], method="least_squares")
    assert math.isnan(square.standard_error)


def test_wiener_is_that_of_scikit_image_on_a_circle():
    restoration = pytest.importorskip("skimage.restoration")
    rng = np.random.default_rng(9)
    x = rng.random((32, 32))
    k = kernels.gaussian(1.0).array
    y = faltung.convolve(x, k, boundary="wrap") + rng.normal(0, 0.02, x.shape)
    same = np.ones((32, 17), complex)  # its penalty as a transfer function: of 1
    theirs = restoration.wiener(y - y.mean(), k, 0.01, reg=same, clip=False)
    ours = deconvolve(y, k, noise=0.1, signal=1.0, prior="white", boundary="wrap")
    np.testing.assert_allclose(ours.values - y.mean(), theirs, atol=1e-9)
    assert ours.damping == pytest.approx(0.01)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_richardson_lucy_keeps_counts_and_gets_likelier_with_each_step(boundary):
    rng = np.random.default_rng(10)
    x = rng.random((14, 15)) * (rng.random((14, 15)) < 0.2)
    k = kernels.gaussian(0.7).array
    y = np.maximum(faltung.convolve(x, k, boundary=boundary), 0)
    seen = blur_of(k, y.shape, boundary=boundary).back(np.ones(y.shape))
    before = math.inf
    for steps in (1, 2, 3, 10, 200):
        done = deconvolve(y, k, method="richardson_lucy", boundary=boundary, iterations=steps)
        again = faltung.convolve(done.values, k, boundary=boundary)
        apart = np.sum(again - y * np.log(again))  # of Poisson counts, Vardi et al. (1985)
        assert apart < before
        assert (seen * done.values).sum() == pytest.approx(y.sum(), rel=1e-9)
        assert (done.values >= 0).all()
        before = apart
    assert np.mean((done.values - x) ** 2) < 0.1 * np.mean((y - x) ** 2)


def test_richardson_lucy_is_that_of_scikit_image_away_from_the_ends():
    restoration = pytest.importorskip("skimage.restoration")
    x = np.zeros((40, 40))
    x[15:25, 18:22] = 0.7
    k = kernels.gaussian(1.0).array
    y = np.maximum(faltung.convolve(x, k), 0) + 1e-3
    start = y.mean()
    theirs = restoration.richardson_lucy(y / start / 2, k, 10, clip=False) * start * 2
    ours = deconvolve(y, k, method="richardson_lucy", iterations=10, tolerance=0)
    assert ours.iterations == 10
    np.testing.assert_allclose(ours.values[12:28, 12:28], theirs[12:28, 12:28], rtol=2e-2)


def test_richardson_lucy_stops_at_the_noise():
    rng = np.random.default_rng(11)
    x = 100 * rng.random(500)
    y = np.maximum(faltung.convolve(x, [0.2, 0.6, 0.2]) + rng.normal(0, 2, 500), 0)
    done = deconvolve(y, [0.2, 0.6, 0.2], method="richardson_lucy", noise=2.0)
    assert "noise" in done.stopped
    assert done.residual <= 2
    assert done.iterations < 50


def test_a_photograph_blurred_by_motion_is_restored_and_better_than_by_scikit_image():
    restoration = pytest.importorskip("skimage.restoration")
    grey = image.read(PHOTOGRAPH).astype(float).mean(axis=2)[60:180, 150:350]
    k = kernels.motion(9, 30).array
    y = faltung.convolve(grey, k, mode="valid")  # what lies beyond is not known
    y = y + np.random.default_rng(12).normal(0, 2.0, y.shape)
    inner = blur_of(k, y.shape, mode="valid").geometry
    places = tuple(slice(a.offset, a.offset + a.count) for a in inner)
    truth = grey[places]

    def psnr(picture):
        return 10 * math.log10(255**2 / np.mean((picture - truth) ** 2))

    wiener = deconvolve(y, k, noise=2.0, boundary="symmetric")
    lucy = deconvolve(np.maximum(y, 0), k, method="richardson_lucy", noise=2.0,
                      boundary="symmetric")  # fmt: skip
    free = deconvolve(y, k, noise=2.0, mode="valid").values[places]
    theirs = max(
        psnr(255 * restoration.wiener(y / 255, k, balance, clip=False))
        for balance in (0.003, 0.03, 0.3)
    )
    assert psnr(wiener.values) > psnr(y) + 1.5
    assert psnr(lucy.values) > psnr(y) + 1
    assert psnr(free) > psnr(y) + 1.5
    assert psnr(wiener.values) > theirs + 1
    circular = deconvolve(y, k, noise=2.0, boundary="wrap")
    assert psnr(circular.values) < psnr(y)  # why the boundary matters


@pytest.mark.parametrize("boundary", ["wrap", "symmetric"])
@pytest.mark.parametrize("n", [60, 600])
def test_what_a_kernel_loses_altogether_does_not_come_back_as_noise(boundary, n):
    x = np.cos(0.3 * np.arange(n))
    y = faltung.convolve(x, [0.1, -0.2, 0.1], boundary=boundary)  # the mean is lost
    for options in ({"noise": 1e-6, "signal": 1.0}, {"method": "least_squares"}):
        done = deconvolve(y, [0.1, -0.2, 0.1], boundary=boundary, tolerance=1e-10, iterations=300,
                          **options)  # fmt: skip
        assert np.abs(done.values).max() < 5
    if done.exact:
        assert done.rank == n - 1
        assert done.condition == math.inf


def test_colours_and_dtypes():
    rng = np.random.default_rng(13)
    x = rng.random((30, 31, 3)).astype("float32")
    k = kernels.gaussian(0.8).array
    y = faltung.convolve(x, k, axes=(0, 1), boundary="symmetric")
    for method, options in (("wiener", {"noise": 1e-3, "signal": 1.0}), ("least_squares", {})):
        done = deconvolve(y, k, method=method, axes=(0, 1), boundary="symmetric", **options)
        assert done.values.dtype == y.dtype
        one = deconvolve(y[..., 1], k, method=method, boundary="symmetric", **options)
        np.testing.assert_allclose(done.values[..., 1], one.values, atol=1e-2)
    assert np.asarray(done).shape == x.shape
    assert "values" not in repr(done)


def test_a_named_kernel_lies_by_its_anchor():
    x = np.random.default_rng(14).standard_normal(50)
    k = kernels.linear_age(3)
    y = faltung.convolve(x, k)
    done = deconvolve(y, k, method="least_squares")
    np.testing.assert_allclose(done.values, x, atol=1e-9)


@pytest.mark.parametrize(("y", "k", "options", "words"), [
    ([1, 2], [1], {}, "noise="), ([1, 2], [1], {"method": "inverse"}, "method="),
    ([1, np.nan], [1], {"noise": 1}, "NaN"), ([], [1], {"noise": 1}, "empty"),
    ([1, 2], [], {"noise": 1}, "empty"), ([1, 2], [np.inf], {"noise": 1}, "infinity"),
    ([1, -2], [1], {"method": "richardson_lucy"}, "negative"),
    ([1, 2], [0], {"method": "richardson_lucy"}, "all 0"),
    ([1, 2], [1], {"noise": -1}, "noise=-1"), ([1, 2], [1], {"noise": 1, "signal": 0}, "signal=0"),
    ([1, 2], [1], {"noise": 1, "damping": 1}, "damping= is not"),
    ([1, 2], [1], {"method": "least_squares", "signal": 1}, "signal= is not"),
    ([1, 2], [1], {"noise": 1, "prior": "rough"}, "prior="),
    ([1, 2], [1], {"noise": 1, "iterations": 0}, "iterations="),
    ([1, 2], [1], {"noise": 1, "tolerance": 2}, "tolerance="),
    ([1, 2], [1, 2, 3], {"noise": 1, "mode": "full"}, "nothing that is convolved"),
    ([1, 2], [1], {"noise": 1, "mode": "all"}, "mode="),
    ([1, 2], [1], {"noise": 1, "boundary": "nearest"}, "'edge' here"),
    ([1, 2], [[1]], {"noise": 1}, "more axes"), ([1, 2], [1], {"noise": 1, "anchor": 3}, "anchor"),
    ([1, 2], [1], {"noise": 1, "fill_value": np.nan}, "fill_value"),
])  # fmt: skip
def test_what_is_not_allowed_is_said_in_one_line(y, k, options, words):
    with pytest.raises(ValueError, match=words) as error:
        deconvolve(y, k, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_one_sample_and_constant_signals(boundary):
    for y in ([3.0], [4.0] * 9, [0.0] * 5):
        done = deconvolve(y, [0.2, 0.6, 0.2], noise=0.1, boundary=boundary)
        assert np.isfinite(done.values).all()
    with pytest.raises(TypeError, match="real"):
        deconvolve([1j], [1.0], noise=1.0)


@pytest.mark.parametrize("power", [-1000, -600, 600, 1000])
@pytest.mark.parametrize("options", [
    {"noise": 0.01}, {"noise": 0.01, "signal": 2.0, "prior": "white", "boundary": "wrap"},
    {"method": "least_squares", "damping": 0.1}, {"method": "richardson_lucy", "iterations": 9},
])  # fmt: skip
def test_the_scale_of_samples_and_kernel_tells_nothing(options, power):
    y, k = np.array([1.0, 2.0, 3.0, 2.5]), np.array([0.5, 0.5])
    usual = deconvolve(y, k, **options)
    for of_y, of_k in ((power, 0), (power // 2, -power // 2)):
        grown = options | {
            name: float(np.ldexp(options[name], by))
            for name, by in (("noise", of_y), ("signal", of_y - of_k), ("damping", 2 * of_k))
            if name in options
        }
        found = deconvolve(np.ldexp(y, of_y), np.ldexp(k, of_k), **grown)
        np.testing.assert_allclose(np.ldexp(found.values, of_k - of_y), usual.values, rtol=1e-6)
        np.testing.assert_allclose(np.ldexp(found.residual, -of_y), usual.residual, rtol=1e-5)
    with pytest.raises(ValueError, match="k is all 0"):
        deconvolve(y, [0, 0], **options)


@pytest.mark.parametrize("noise", [1e-300, 1e300])
def test_noise_of_any_size_is_no_warning(noise):
    assert np.isfinite(deconvolve([1, 2, 3, 4], [0.5, 0.5], noise=noise).values).all()
