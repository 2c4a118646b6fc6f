"""The collection holds the numbers of its sources, which each test names."""

import itertools
import math

import numpy as np
import pytest

import faltung
from faltung import kernels

S2 = math.sqrt(2)
TABLES = {
    # Gonzalez and Woods, Digital Image Processing (4th ed., 2018), ch. 3
    "sharpen8": ([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], 1),
    "laplacian4": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], 1),
    "laplacian8": ([[1, 1, 1], [1, -8, 1], [1, 1, 1]], 1),
    # Oono and Puri, Phys. Rev. Lett. 58 (1987) 836: neighbours 1/6 and 1/12 of <<.>> - ., times 3
    "laplacian.oono-puri": ([[1, 2, 1], [2, -12, 2], [1, 2, 1]], 4),
    # Patra and Karttunen, Numer. Methods Partial Differ. Equ. 22 (2006) 936
    "laplacian.patra-karttunen": ([[1, 4, 1], [4, -20, 4], [1, 4, 1]], 6),
    # Jaehne, Scharr and Koerkel (1999), as OpenCV's Scharr has it; Scharr (2000), p. 155
    "scharr.x": ([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]], 1),
    "scharr.y": ([[-3, -10, -3], [0, 0, 0], [3, 10, 3]], 1),
    "scharr-optimal.x": ([[-47, 0, 47], [-162, 0, 162], [-47, 0, 47]], 512),
    "scharr-optimal.y": ([[-47, -162, -47], [0, 0, 0], [47, 162, 47]], 512),
    # Prewitt (1970) and Roberts (1963), as printed in Gonzalez and Woods (2018), ch. 10
    "prewitt.x": ([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], 1),
    "prewitt.y": ([[-1, -1, -1], [0, 0, 0], [1, 1, 1]], 1),
    "roberts.pos": ([[1, 0], [0, -1]], 1),
    "roberts.neg": ([[0, 1], [-1, 0]], 1),
    # Kirsch (1971), as printed in Gonzalez and Woods (2018), ch. 10
    "kirsch.n": ([[5, 5, 5], [-3, 0, -3], [-3, -3, -3]], 1),
    "kirsch.nw": ([[5, 5, -3], [5, 0, -3], [-3, -3, -3]], 1),
    "kirsch.w": ([[5, -3, -3], [5, 0, -3], [5, -3, -3]], 1),
    "kirsch.sw": ([[-3, -3, -3], [5, 0, -3], [5, 5, -3]], 1),
    "kirsch.s": ([[-3, -3, -3], [-3, 0, -3], [5, 5, 5]], 1),
    "kirsch.se": ([[-3, -3, -3], [-3, 0, 5], [-3, 5, 5]], 1),
    "kirsch.e": ([[-3, -3, 5], [-3, 0, 5], [-3, -3, 5]], 1),
    "kirsch.ne": ([[-3, 5, 5], [-3, 0, 5], [-3, -3, -3]], 1),
    # Robinson (1977), the masks of five levels
    "robinson.n": ([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], 1),
    "robinson.nw": ([[2, 1, 0], [1, 0, -1], [0, -1, -2]], 1),
    "robinson.w": ([[1, 0, -1], [2, 0, -2], [1, 0, -1]], 1),
    "robinson.sw": ([[0, -1, -2], [1, 0, -1], [2, 1, 0]], 1),
    "robinson.s": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1),
    "robinson.se": ([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], 1),
    "robinson.e": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1),
    "robinson.ne": ([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]], 1),
    # Frei and Chen (1977), the nine of the basis
    "frei-chen.1": ([[1, S2, 1], [0, 0, 0], [-1, -S2, -1]], 2 * S2),
    "frei-chen.2": ([[1, 0, -1], [S2, 0, -S2], [1, 0, -1]], 2 * S2),
    "frei-chen.3": ([[0, -1, S2], [1, 0, -1], [-S2, 1, 0]], 2 * S2),
    "frei-chen.4": ([[S2, -1, 0], [-1, 0, 1], [0, 1, -S2]], 2 * S2),
    "frei-chen.5": ([[0, 1, 0], [-1, 0, -1], [0, 1, 0]], 2),
    "frei-chen.6": ([[-1, 0, 1], [0, 0, 0], [1, 0, -1]], 2),
    "frei-chen.7": ([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], 6),
    "frei-chen.8": ([[-2, 1, -2], [1, 4, 1], [-2, 1, -2]], 6),
    "frei-chen.9": ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 3),
    # Haar (1910): averages and differences of two over sqrt(2), along both axes
    "haar.ll": ([[1, 1], [1, 1]], 2),
    "haar.lh": ([[1, 1], [-1, -1]], 2),
    "haar.hl": ([[1, -1], [1, -1]], 2),
    "haar.hh": ([[1, -1], [-1, 1]], 2),
    # OpenCV's documentation of getDerivKernels and Sobel: (z + 1)**3 (z - 1) and (z + 1)**4
    "sobel.x:5": (np.outer([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1]), 1),
    "sobel.y:7": (np.outer([-1, -4, -5, 0, 5, 4, 1], [1, 6, 15, 20, 15, 6, 1]), 1),
    # Gonzalez and Woods (2nd ed., 2002), ch. 3
    "high-boost:2": ([[-1, -1, -1], [-1, 10, -1], [-1, -1, -1]], 1),
    # Bartlett (1950) and Pascal's triangle
    "tent:5": (np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]), 81),
    "tent:4": (np.outer([1, 2, 2, 1], [1, 2, 2, 1]), 36),
    "binomial:7": (np.outer([1, 6, 15, 20, 15, 6, 1], [1, 6, 15, 20, 15, 6, 1]), 4096),
    # linear interpolation; Keys (1981) at halves
    "bilinear:3": (np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]), 9),
    "bicubic:2": (np.outer([-1, 0, 9, 16, 9, 0, -1], [-1, 0, 9, 16, 9, 0, -1]), 256),
    # Savitzky and Golay (1964), their tables, newest sample first
    "savgol:5,2": ([-3, 12, 17, 12, -3], 35),
    "savgol:7,2": ([-2, 3, 6, 7, 6, 3, -2], 21),
    "savgol:7,3": ([-2, 3, 6, 7, 6, 3, -2], 21),
    "savgol:9,2": ([-21, 14, 39, 54, 59, 54, 39, 14, -21], 231),
    "savgol:7,4": ([5, -30, 75, 131, 75, -30, 5], 231),
    "savgol:5,2,deriv=1": ([2, 1, 0, -1, -2], 10),
    "savgol:5,2,deriv=2": ([2, -1, -2, -1, 2], 7),
    "age.linear:4": ([4, 3, 2, 1], 10),
    # Graves, Wayne and Danihelka (2014)
    "soft-shift:0.8,0.1,0.1": ([0.8, 0.1, 0.1], 1),
    "shift:2": ([0, 0, 0, 0, 1], 1),
    "shift:-1,1": ([[0, 0, 0], [0, 0, 0], [1, 0, 0]], 1),
    "shift:0.25": ([0, 0.75, 0.25], 1),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name):
    rows, divisor = TABLES[name]
    kernel = kernels.get(name)
    wanted = np.array(rows) / divisor
    np.testing.assert_allclose(kernel.array, wanted, rtol=3e-16, atol=0)
    if isinstance(divisor, int) and np.array(rows).dtype.kind == "i" and "boost" not in name:
        assert kernel.exact
        assert np.array_equal(np.array(kernel.numerators).reshape(kernel.shape) * divisor,
                              np.array(rows) * kernel.divisor)  # fmt: skip


def test_laws_kernels_are_products_of_his_five():  # Laws (1980), Textured image segmentation
    lines = {
        "L5": [1, 4, 6, 4, 1],
        "E5": [-1, -2, 0, 2, 1],
        "S5": [-1, 0, 2, 0, -1],
        "W5": [-1, 2, 0, -2, 1],
        "R5": [1, -4, 6, -4, 1],
    }
    for down, across in itertools.product(lines, repeat=2):
        kernel = kernels.get(f"laws.{down}{across}")
        np.testing.assert_array_equal(kernel.array, np.outer(lines[down], lines[across]))
    assert len(kernels.laws) == 25


def test_the_frei_chen_kernels_are_an_orthonormal_basis():
    basis = np.array([k.array.ravel() for k in kernels.frei_chen])
    np.testing.assert_allclose(basis @ basis.T, np.eye(9), atol=1e-15)


def test_the_haar_kernels_are_an_orthonormal_basis():
    basis = np.array([k.array.ravel() for k in kernels.haar])
    np.testing.assert_array_equal(basis @ basis.T, np.eye(4))


def test_every_kernel_says_what_it_does_and_where_it_is_from():
    for name in kernels.names():
        kernel = kernels.get(name)
        assert kernel.name == name
        assert 10 < len(kernel.about) <= 100
        assert kernel.source.startswith("Source: ")
        assert len(kernel.source) > 20
        assert max(map(len, str(kernel).splitlines())) <= 110
    listed = [name for group in kernels.groups().values() for name in group]
    assert sorted(listed) == sorted(kernels.names())
    assert len(set(listed)) == len(listed)


FLAT = ("edge", "laplacian", "sobel", "scharr", "prewitt", "roberts", "kirsch", "robinson", "log",
        "dog", "steerable", "daubechies.high")  # fmt: skip
MEANS = ("box", "gaussian", "tent", "binomial", "disk", "motion", "unsharp", "sharpen", "age",
         "soft-shift", "shift", "savgol", "identity", "emboss")  # fmt: skip


@pytest.mark.parametrize("name", kernels.names())
def test_sums(name):
    total = kernels.get(name).total
    exact = kernels.get(name).exact
    if name.startswith(FLAT):
        assert total == 0 if exact else abs(total) < 1e-12
    elif name.startswith(MEANS):
        assert total == 1 if exact else abs(total - 1) < 1e-12


RAMP = np.arange(20.0) * np.ones((20, 1))  # brighter to the right


@pytest.mark.parametrize(("name", "right", "down"), [
    ("sobel.x", 8, 0), ("sobel.y", 0, 8), ("scharr.x", 32, 0), ("scharr.y", 0, 32),
    ("scharr-optimal.x", 1, 0), ("scharr-optimal.y", 0, 1), ("prewitt.x", 6, 0),
    ("prewitt.y", 0, 6), ("roberts.pos", -1, -1), ("roberts.neg", 1, -1),
    ("kirsch.e", 30 * 0.8, 0), ("kirsch.n", 0, -24), ("kirsch.s", 0, 24),
    ("robinson.e", 8, 0), ("robinson.n", 0, -8), ("robinson.ne", 6, -6),
    ("haar.lh", 0, -1), ("haar.hl", -1, 0), ("steerable:2,0deg", 1, 0),
    ("steerable:2,90deg", 0, -1), ("gaussian:2,order=1", 1, 0), ("gaussian:2,order=1/0", 0, 1),
    ("gaussian:2,order=1,kind=discrete", 1, 0), ("gaussian:2,order=1,kind=integrated", 1, 0),
])  # fmt: skip
def test_which_way_a_gradient_is_positive(name, right, down):
    kernel = kernels.get(name)
    slack = 0.01 * (abs(right) + abs(down)) if not kernel.exact else 0  # Gaussians are cut
    for picture, wanted in ((RAMP, right), (RAMP.T, down)):
        inside = faltung.correlate(picture, kernel)[9:11, 9:11]
        np.testing.assert_allclose(inside, wanted, atol=slack + 1e-12)


def test_laplacians_of_a_paraboloid():
    row, column = np.mgrid[-9:10, -9:10].astype(float)
    for name, wanted in (("laplacian4", 4), ("laplacian8", 12), ("laplacian.oono-puri", 4),
                         ("laplacian.patra-karttunen", 4), ("edge", -12), ("edge-cross", -4),
                         ("log:1", 4)):  # fmt: skip
        got = faltung.correlate(row**2 + column**2, kernels.get(name))[9, 9]
        assert got == pytest.approx(wanted, rel=0.02 if name == "log:1" else 1e-14)


# ---- Gaussians -------------------------------------------------------------------------------


def test_lindeberg_s_kernels_compose_to_one_another():
    # Lindeberg (1990): T(t1) * T(t2) = T(t1 + t2), which sampled Gaussians do not do
    def line(variance):
        return kernels.gaussian(math.sqrt(variance), cut=12, axes=1, kind="discrete")

    composed = line(0.5).compose(line(0.7))
    whole = line(1.2)
    gap = (composed.shape[0] - whole.shape[0]) // 2
    np.testing.assert_allclose(composed.array[gap:-gap], whole.array, atol=1e-12)
    sampled = [kernels.gaussian(math.sqrt(v), cut=12, axes=1) for v in (0.5, 0.7, 1.2)]
    both = sampled[0].compose(sampled[1])
    gap = (both.shape[0] - sampled[2].shape[0]) // 2
    assert np.abs(both.array[gap:-gap] - sampled[2].array).max() > 1e-3


def test_discrete_gaussians_are_bessel_functions_with_the_right_variance():
    from scipy.special import iv

    kernel = kernels.gaussian(1.5, cut=8, axes=1, kind="discrete")
    i = np.arange(len(kernel.array)) - kernel.anchor[0]
    np.testing.assert_allclose(kernel.array, math.exp(-2.25) * iv(i, 2.25), rtol=1e-9)
    assert (i**2 * kernel.array).sum() == pytest.approx(2.25, rel=1e-7)  # but for the cut


@pytest.mark.parametrize("order", range(5))
def test_integrated_gaussians_are_integrals_over_pixels(order):
    from scipy.integrate import quad

    sigma = 1.3

    def derivative(x):  # by the physicists' Hermite polynomials
        h = np.polynomial.hermite.hermval(x / (sigma * S2), [0] * order + [1])
        density = math.exp(-0.5 * (x / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
        return h * density / (sigma * S2) ** order  # the sign (-1)**order: correlation

    kernel = kernels.gaussian(sigma, cut=9, axes=1, order=order, kind="integrated")
    for i in range(-4, 5):
        wanted = quad(derivative, i - 0.5, i + 0.5, epsabs=1e-14)[0]
        assert kernel.array[i + kernel.anchor[0]] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("kind", ["sampled", "integrated", "discrete"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_gaussians_derive_polynomials(order, kind):
    kernel = kernels.gaussian(2.5, cut=9, axes=1, order=order, kind=kind)
    x = np.arange(101.0) - 50
    got = faltung.correlate(x**order / math.factorial(order), kernel)[50]
    assert got == pytest.approx(1, rel=1e-6)


def test_freeman_and_adelson_s_second_derivative():
    # Freeman and Adelson (1991): G2a = 0.9213 (2 x**2 - 1) exp(-(x**2 + y**2)) and
    # G2c with y, G2b = 1.843 x y exp(...), at spacing 0.67, steered by cos**2, 2 cos sin, sin**2
    # (the paper has -2 cos sin, for angles that turn the other way)
    x = 0.67 * np.arange(-4, 5)[None, :]
    y = -x.T  # upwards
    under = np.exp(-(x**2 + y**2))
    a, b, c = (
        0.9213 * (2 * x**2 - 1) * under,
        1.843 * x * y * under,
        0.9213 * (2 * y**2 - 1) * under,
    )
    for degrees in (0, 30, 90, 135):
        t = math.radians(degrees)
        paper = math.cos(t) ** 2 * a + math.sin(t) ** 2 * c + 2 * math.cos(t) * math.sin(t) * b
        ours = kernels.steerable(1 / (0.67 * S2), degrees, order=2, cut=4 * 0.67 * S2 - 1e-9)
        assert ours.shape == (9, 9)
        scale = ours.array[4, 4] / paper[4, 4]
        np.testing.assert_allclose(ours.array / scale, paper, atol=2e-4)  # 0.9213 has four digits


@pytest.mark.parametrize("order", [1, 2])
def test_steering_is_a_sum_of_the_basis(order):
    across, up = kernels.steerable(2, 0, order=order), kernels.steerable(2, 90, order=order)
    at = kernels.steerable(2, 25, order=order).array
    c, s = math.cos(math.radians(25)), math.sin(math.radians(25))
    if order == 1:
        np.testing.assert_allclose(at, c * across.array + s * up.array, atol=1e-15)
    else:  # (G(45) - G(-45)) / 2 is the mixed derivative
        mixed = (kernels.steerable(2, 45, order=2) - kernels.steerable(2, -45, order=2)).array / 2
        wanted = c * c * across.array + s * s * up.array + 2 * c * s * mixed
        np.testing.assert_allclose(at, wanted, atol=1e-15)


# ---- areas -----------------------------------------------------------------------------------


def covered(inside, half, fine=400):
    """Return the part of each pixel that lies inside, by counting points."""
    place = (np.arange((2 * half + 1) * fine) + 0.5) / fine - half - 0.5
    hits = inside(place[None, :], place[:, None])
    return hits.reshape(2 * half + 1, fine, 2 * half + 1, fine).mean((1, 3))


@pytest.mark.parametrize("radius", [0.3, 0.5, 1, 1.7, 3, 4.5])
def test_disks_are_covered_areas(radius):
    kernel = kernels.disk(radius)
    half = kernel.anchor[0]
    areas = covered(lambda x, y: x * x + y * y <= radius**2, half)
    np.testing.assert_allclose(kernel.array * math.pi * radius**2, areas, atol=2e-3)
    assert kernel.array.sum() == pytest.approx(1, abs=1e-14)
    assert kernel.array.min() >= 0
    np.testing.assert_array_equal(kernel.array, kernel.array.T)
    assert (kernel.array[0] > 0).any()  # no empty frame


@pytest.mark.parametrize(("length", "angle"), [(1, 0), (5, 20), (6.5, 45), (4, 100), (3, 179)])
def test_motion_is_a_rectangle_s_areas(length, angle):
    kernel = kernels.motion(length, angle)
    half = max(kernel.shape) // 2
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def inside(x, down):
        along, beside = x * c - down * s, x * s + down * c
        return (abs(along) <= length / 2) & (abs(beside) <= 0.5)

    areas = covered(inside, half)
    rows, columns = (half - n // 2 for n in kernel.shape)
    framed = np.pad(kernel.array, ((rows, rows), (columns, columns)))
    np.testing.assert_allclose(framed * length, areas, atol=3e-3)
    np.testing.assert_array_equal(kernel.array, kernel.array[::-1, ::-1])


def test_motion_along_the_axes_is_a_box_and_turns_to_the_left():
    np.testing.assert_allclose(kernels.motion(7, 0).array, np.full((1, 7), 1 / 7), rtol=1e-14)
    np.testing.assert_allclose(kernels.motion(7, 90).array, np.full((7, 1), 1 / 7), rtol=1e-14)
    rising = kernels.motion(9, 30).array
    assert rising[0, -1] + rising[0, -2] + rising[0, -3] > 0  # the upper right
    assert rising[0, :3].sum() == 0


# ---- signals ---------------------------------------------------------------------------------


def test_age_weights_are_causal():
    x = np.zeros(12)
    x[4] = 1
    for kernel in (kernels.linear_age(4), kernels.exponential_age(0.5)):
        y = faltung.convolve(x, kernel)
        assert not y[:4].any()  # nothing before the event
        np.testing.assert_allclose(y[4:8], kernel.array[:4], rtol=1e-15)
        np.testing.assert_array_equal(y, faltung.convolve(x, kernel.array, anchor=0))


def test_exponential_weights_are_exponential_smoothing():
    from scipy.signal import lfilter

    x = np.random.default_rng(3).random(300)
    recursion = lfilter([0.2], [1, -0.8], x)  # Brown (1959): y[i] = a x[i] + (1 - a) y[i - 1]
    got = faltung.convolve(x, kernels.exponential_age(0.2))
    assert np.abs(got - recursion)[60:].max() < 1e-4
    got = faltung.convolve(x, kernels.exponential_age(0.2, 200))
    np.testing.assert_allclose(got[200:], recursion[200:], rtol=1e-14)


def test_the_soft_shift_is_equation_8_of_neural_turing_machines():
    weights = np.random.default_rng(1).random(9)
    shift = {-1: 0.7, 0: 0.2, 1: 0.1}
    wanted = [
        sum(weights[j] * shift.get((i - j + 4) % 9 - 4, 0) for j in range(9)) for i in range(9)
    ]
    kernel = kernels.soft_shift(0.7, 0.2, 0.1)
    got = faltung.convolve(weights, kernel, boundary="wrap")
    np.testing.assert_allclose(got, wanted, rtol=1e-15)
    np.testing.assert_allclose(
        faltung.correlate(weights, kernel.flipped(), boundary="wrap"), wanted, rtol=1e-15
    )


def test_shifting_right_with_1_0_0_is_a_correlation():
    x = [0, 0, 3, 4, 5, 0]
    left = kernels.soft_shift(1, 0, 0)
    assert faltung.convolve(x, left).tolist() == [0, 3, 4, 5, 0, 0]
    assert faltung.correlate(x, left).tolist() == [0, 0, 0, 3, 4, 5]
    assert faltung.convolve(x, kernels.shift(1)).tolist() == [0, 0, 0, 3, 4, 5]


@pytest.mark.parametrize(("method", "degree"), [("linear", 1), ("cubic", 2)])
@pytest.mark.parametrize("distance", [-1.75, -0.5, 0.1, 0.5, 2.25])
def test_fractional_shifts_move_polynomials_exactly(method, degree, distance):
    x = np.arange(30.0)
    got = faltung.convolve((x - 12) ** degree, kernels.shift(distance, method=method))[8:-8]
    np.testing.assert_allclose(got, (x - distance - 12)[8:-8] ** degree, atol=1e-12)


def test_the_lanczos_shift_is_nearly_a_delay():
    f = np.linspace(-0.25, 0.25, 11)
    _, h = kernels.shift(0.3, method="lanczos").frequency_response(frequencies=f)
    np.testing.assert_allclose(h, np.exp(-2j * np.pi * f * 0.3), atol=0.03)
    _, rough = kernels.shift(0.3).frequency_response(frequencies=f)
    assert np.abs(rough - np.exp(-2j * np.pi * f * 0.3)).max() > 0.15


def test_daubechies_published_filters():
    # Daubechies, Ten Lectures on Wavelets (1992), table 6.1
    published = {
        2: [0.482962913144534, 0.836516303737808, 0.224143868042013, -0.129409522551260],
        3: [0.332670552950083, 0.806891509311093, 0.459877502118491, -0.135011020010255,
            -0.085441273882027, 0.035226291885710],
        4: [0.230377813308897, 0.714846570552916, 0.630880767929859, -0.027983769416860,
            -0.187034811719093, 0.030841381835561, 0.032883011666885, -0.010597401785069],
    }  # fmt: skip
    for order, taps in published.items():
        np.testing.assert_allclose(kernels.wavelet(order).array, taps, atol=1e-14)
    root = math.sqrt(3)
    exact = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * S2)  # Daubechies (1988)
    np.testing.assert_allclose(kernels.wavelet(2).array, exact, rtol=1e-14)
    np.testing.assert_allclose(kernels.wavelet(1).array, [1 / S2, 1 / S2], rtol=1e-15)


@pytest.mark.parametrize("order", range(1, 9))
def test_wavelet_pairs_split_and_restore_a_signal(order):
    low, high = kernels.wavelet(order), kernels.wavelet(order, "high")
    x = np.random.default_rng(0).random(64)
    # analysis, then synthesis: the transposed operator
    parts = [faltung.correlate(x, k, stride=2, boundary="wrap") for k in (low, high)]
    restored = np.zeros(64)
    for part, k in zip(parts, (low, high), strict=True):
        apart = np.zeros(64)
        apart[::2] = part
        restored += faltung.convolve(apart, k, boundary="wrap")
    np.testing.assert_allclose(restored, x, atol=1e-11)
    moments = [np.abs((np.arange(2.0 * order) ** p * high.array).sum()) for p in range(order)]
    assert max(moments) < 1e-5 * 10 ** max(0, order - 5)


def test_interpolation_keeps_the_samples_and_polynomials():
    x = np.arange(12.0)
    for make, degree in ((kernels.bilinear, 1), (kernels.bicubic, 2)):
        for factor in (2, 3, 4):
            apart = np.zeros(12 * factor)
            apart[::factor] = (x - 5) ** degree
            got = faltung.convolve(apart, make(factor, axes=1))
            np.testing.assert_allclose(got[::factor], (x - 5) ** degree, atol=1e-12)
            fine = np.arange(12.0 * factor) / factor
            inside = slice(3 * factor, -4 * factor)
            np.testing.assert_allclose(got[inside], ((fine - 5) ** degree)[inside], atol=1e-12)


BAD = [
    (kernels.tent, (0,)), (kernels.tent, (1002,)), (kernels.binomial, (62,)),
    (kernels.binomial, (3.0,)), (kernels.disk, (0,)), (kernels.disk, (float("nan"),)),
    (kernels.motion, (0.5,)), (kernels.motion, (9, float("inf"))), (kernels.motion, (True,)),
    (kernels.exponential_age, (0,)), (kernels.exponential_age, (1.1,)), (kernels.linear_age, (0,)),
    (kernels.savitzky_golay, (4, 2)), (kernels.savitzky_golay, (5, 5)), (kernels.shift, ()),
    (kernels.shift, ("1",)), (kernels.shift, (1000, 1000)), (kernels.soft_shift, (1, 1, 1)),
    (kernels.soft_shift, (-0.5, 1, 0.5)), (kernels.bilinear, (0,)), (kernels.bicubic, (65,)),
    (kernels.wavelet, (9,)), (kernels.wavelet, (2, "mid")), (kernels.log, (0.1,)),
    (kernels.dog, (2, 1)), (kernels.unsharp, (1, -1)), (kernels.high_boost, (0,)),
    (kernels.steerable, (1, "x")), (kernels.gabor, (1,)), (kernels.sobel, (4,)),
    (kernels.sobel, (5, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "arguments"), BAD)
def test_what_is_no_kernel_of_a_family_is_refused_in_one_line(make, arguments):
    with pytest.raises(ValueError, match=r"^[a-z.-]+: ") as raised:
        make(*arguments)
    assert "\n" not in str(raised.value)
