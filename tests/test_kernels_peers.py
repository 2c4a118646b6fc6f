"""Applied to a photograph, the collection gives what SciPy, scikit-image and OpenCV give."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import faltung
from faltung import kernels


@pytest.fixture(scope="module")
def photograph():
    from faltung import image
    from faltung.demo import PHOTOGRAPH

    return image.read(PHOTOGRAPH).mean(2)  # grey, float64


@pytest.fixture(scope="module")
def cv2():
    return pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.fixture(scope="module")
def filters():
    return pytest.importorskip("skimage.filters", reason="scikit-image is not installed")


def same(got, wanted, atol=1e-10):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=atol)


# ---- SciPy: its "reflect" is our "symmetric" --------------------------------------------------

SCIPY = "scipy.ndimage.correlate"


@pytest.mark.parametrize(("name", "function", "arguments"), [
    ("sobel.x", "sobel", {"axis": 1}), ("sobel.y", "sobel", {"axis": 0}),
    ("prewitt.x", "prewitt", {"axis": 1}), ("prewitt.y", "prewitt", {"axis": 0}),
    ("laplacian4", "laplace", {}), ("box:7", "uniform_filter", {"size": 7}),
    ("gaussian:2", "gaussian_filter", {"sigma": 2}),
    ("gaussian:2,order=1", "gaussian_filter", {"sigma": 2, "order": (0, 1)}),
    ("gaussian:2,order=2/1", "gaussian_filter", {"sigma": 2, "order": (2, 1)}),
    ("gaussian:3,order=3/0", "gaussian_filter", {"sigma": 3, "order": (3, 0)}),
    ("gaussian:2,order=4", "gaussian_filter", {"sigma": 2, "order": (0, 4)}),
    ("gaussian:1,cut=6", "gaussian_filter", {"sigma": 1, "truncate": 6}),
])  # fmt: skip
def test_scipy_ndimage(photograph, name, function, arguments):
    kernel = kernels.get(name)
    wanted = getattr(scipy.ndimage, function)(photograph, **arguments)
    same(faltung.correlate(photograph, kernel, boundary="symmetric"), wanted)
    same(faltung.correlate(photograph, kernel, dialect=SCIPY), wanted)


@pytest.mark.parametrize("sigma", [1, 2, 3])
def test_scipy_s_laplacian_of_a_gaussian(photograph, sigma):
    wanted = scipy.ndimage.gaussian_laplace(photograph, sigma)
    kernel = kernels.log(sigma, balanced=False)
    same(faltung.correlate(photograph, kernel, dialect=SCIPY), wanted)
    # ours is balanced: without the part of the brightness that SciPy's lets through
    through = float(kernel.total) * scipy.ndimage.gaussian_filter(photograph, sigma)
    same(faltung.correlate(photograph, kernels.log(sigma), dialect=SCIPY), wanted - through)
    flat = np.full((40, 40), 200.0)
    assert np.abs(faltung.correlate(flat, kernels.log(sigma), boundary="edge")).max() < 1e-11
    assert np.abs(scipy.ndimage.gaussian_laplace(flat, sigma)).max() > 1e-3


@pytest.mark.parametrize("window", [5, 11, 31])
@pytest.mark.parametrize(("degree", "derivative"), [
    (0, 0), (2, 0), (3, 0), (4, 0), (2, 1), (3, 1), (4, 1), (2, 2), (3, 2), (4, 2), (4, 4),
])  # fmt: skip
def test_savitzky_golay(photograph, window, degree, derivative):
    kernel = kernels.savitzky_golay(window, degree, derivative=derivative, spacing=2)
    wanted = scipy.signal.savgol_coeffs(window, degree, deriv=derivative, delta=2.0)
    np.testing.assert_allclose(kernel.array, wanted, atol=1e-13)
    assert kernel.exact
    line = photograph[150]
    filtered = scipy.signal.savgol_filter(
        line, window, degree, deriv=derivative, delta=2.0, mode="nearest"
    )
    same(faltung.convolve(line, kernel, boundary="edge"), filtered, 1e-9)


@pytest.mark.parametrize("distance", [0.25, -1.5, 2.0])
def test_shifts_are_scipy_s(photograph, distance):
    wanted = scipy.ndimage.shift(photograph, (0, distance), order=1, mode="mirror")
    got = faltung.correlate(photograph, kernels.shift(0, distance), boundary="reflect")
    same(got, wanted)
    along = faltung.convolve(photograph, kernels.shift(distance), axes=1, boundary="reflect")
    same(along, wanted)


@pytest.mark.parametrize("factor", [3, 5])
def test_upsampling_is_pillow_s(photograph, factor):
    from PIL import Image

    small = photograph[:60, :70].astype(np.float32)
    apart = np.zeros((60 * factor, 70 * factor), np.float32)
    apart[factor // 2 :: factor, factor // 2 :: factor] = small  # Pillow's pixels have middles
    inside = np.s_[3 * factor : -3 * factor, 3 * factor : -3 * factor]
    for make, method in ((kernels.bilinear, Image.Resampling.BILINEAR),
                         (kernels.bicubic, Image.Resampling.BICUBIC)):  # fmt: skip
        size = (70 * factor, 60 * factor)
        wanted = np.asarray(Image.fromarray(small).resize(size, method))
        got = faltung.convolve(apart, make(factor))
        same(got[inside], wanted[inside], 1e-3)


# ---- OpenCV: its default border is our "reflect" ---------------------------------------------


@pytest.mark.parametrize("size", [3, 5, 7, 15, 31])
@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (1, 1), (2, 0), (0, 2)])
def test_sobel_of_any_size(cv2, size, dx, dy):
    kernel = kernels.sobel(size, dx, dy)
    across, down = cv2.getDerivKernels(dx, dy, size, ktype=cv2.CV_64F)
    np.testing.assert_array_equal(kernel.array, np.outer(down, across).astype(np.int64))
    factors = kernel.factors
    assert [f.array.tolist() for f in factors] == [down.ravel().tolist(), across.ravel().tolist()]


@pytest.mark.parametrize(("dx", "dy", "letter"), [(1, 0, "x"), (0, 1, "y")])
def test_opencv_s_gradients(photograph, cv2, dx, dy, letter):
    for size, name in ((3, f"sobel.{letter}"), (7, f"sobel.{letter}:7")):
        wanted = cv2.Sobel(photograph, cv2.CV_64F, dx, dy, ksize=size)
        same(faltung.correlate(photograph, kernels.get(name), boundary="reflect"), wanted, 1e-7)
        same(faltung.correlate(photograph, kernels.get(name), dialect="cv2.filter2D"), wanted, 1e-7)
    wanted = cv2.Scharr(photograph, cv2.CV_64F, dx, dy)
    same(faltung.correlate(photograph, kernels.get(f"scharr.{letter}"), boundary="reflect"), wanted)


def test_opencv_s_laplacian_box_and_gaussian(photograph, cv2):
    def ours(kernel):
        return faltung.correlate(photograph, kernel, boundary="reflect")

    same(ours(kernels.laplacian4), cv2.Laplacian(photograph, cv2.CV_64F, ksize=1))
    same(ours(kernels.box(9)), cv2.blur(photograph, (9, 9)))
    same(ours(kernels.gaussian(2)), cv2.GaussianBlur(photograph, (17, 17), 2), 1e-6)
    same(ours(kernels.binomial(5)), cv2.GaussianBlur(photograph, (5, 5), 0), 1e-6)  # its table
    same(ours(kernels.gaussian5), cv2.GaussianBlur(photograph, (5, 5), 0), 1e-6)


@pytest.mark.parametrize(("angle", "phase"), [(0, 0), (30, 0), (90, 0), (60, 90), (120, 37)])
def test_gabor_kernels_are_opencv_s(photograph, cv2, angle, phase):
    kernel = kernels.gabor(9, angle, sigma=4, aspect=0.6, phase=phase)
    height, width = kernel.shape
    # OpenCV's angle turns to the right, and it writes the kernel turned by 180 degrees
    theirs = cv2.getGaborKernel(
        (width, height), 4, math.radians(-angle), 9, 0.6, math.radians(phase), cv2.CV_64F
    )[::-1, ::-1]
    envelope = cv2.getGaborKernel((width, height), 4, math.radians(-angle), 1e30, 0.6, 0,
                                  cv2.CV_64F)  # fmt: skip
    np.testing.assert_allclose(kernel.array, theirs / envelope.sum(), atol=1e-14)
    wanted = cv2.filter2D(photograph, cv2.CV_64F, theirs / envelope.sum())
    same(faltung.correlate(photograph, kernel, dialect="cv2.filter2D"), wanted, 1e-9)


# ---- scikit-image: it scales its gradients to a unit -------------------------------------------


@pytest.mark.parametrize(("name", "function", "scale"), [
    ("sobel.x", "sobel_v", 4), ("sobel.y", "sobel_h", 4), ("prewitt.x", "prewitt_v", 3),
    ("prewitt.y", "prewitt_h", 3), ("scharr.x", "scharr_v", 16), ("scharr.y", "scharr_h", 16),
])  # fmt: skip
def test_skimage_s_gradients(photograph, filters, name, function, scale):
    wanted = getattr(filters, function)(photograph)
    got = faltung.correlate(photograph, kernels.get(name) / scale, boundary="symmetric")
    inside = np.s_[1:-1, 1:-1]  # it sets the border to 0 in some versions
    # scikit-image is positive where it gets darker to the right or downwards
    sign = np.sign((got[inside] * wanted[inside]).sum())
    same(sign * got[inside], wanted[inside])


def test_skimage_s_roberts_cross(photograph, filters):
    inside = np.s_[2:-2, 2:-2]
    for kernel, function in (
        (kernels.roberts_pos, filters.roberts_pos_diag),
        (kernels.roberts_neg, filters.roberts_neg_diag),
    ):
        wanted = function(photograph)  # it convolves with the same table
        got = faltung.convolve(photograph, kernel, dialect="scipy.ndimage.convolve")
        same(got[inside], wanted[inside])


def test_skimage_s_laplacian_dog_and_unsharp_mask(photograph, filters):
    def ours(kernel):
        return faltung.correlate(photograph, kernel, boundary="symmetric")

    inside = np.s_[1:-1, 1:-1]
    same(ours(kernels.edge_cross)[inside], filters.laplace(photograph)[inside])
    grey = photograph / 255
    wanted = filters.difference_of_gaussians(grey, 2, mode="reflect")
    same(faltung.correlate(grey, kernels.dog(2), boundary="symmetric"), wanted, 1e-3)
    wanted = filters.unsharp_mask(grey, radius=2, amount=1.5, preserve_range=True)
    same(faltung.correlate(grey, kernels.unsharp(2, 1.5), boundary="symmetric"), wanted, 1e-10)


def test_skimage_s_gabor(filters):
    theirs = filters.gabor_kernel(1 / 9, theta=math.radians(-30), sigma_x=4, sigma_y=4 / 0.6,
                                  n_stds=3)  # fmt: skip
    ours = kernels.gabor(9, 30, sigma=4, aspect=0.6)
    rows, columns = (min(a, b) // 2 for a, b in zip(theirs.shape, ours.shape, strict=True))

    def middle(array):
        r, c = (n // 2 for n in array.shape)
        return array[r - rows : r + rows + 1, c - columns : c + columns + 1]

    # it divides by the integral of the Gaussian, ours by the sum of its taps, cut at 3 sigma
    np.testing.assert_allclose(middle(ours.array), middle(theirs.real), rtol=0.02, atol=1e-7)


# ---- borders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", kernels.names())
def test_no_kernel_darkens_the_borders_of_a_flat_picture(name):
    kernel = kernels.get(name)
    flat = np.full((9, 11)[: kernel.ndim], 200.0)
    for boundary in ("symmetric", "reflect", "edge", "wrap"):
        y = getattr(faltung, kernel.operation)(flat, kernel, boundary=boundary)
        same(y, np.full_like(flat, 200 * float(kernel.total)))
