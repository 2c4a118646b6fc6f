"""The named kernels are their published numbers, and texts name kernels."""

import pickle

import numpy as np
import pytest
import scipy.ndimage

import faltung
from faltung import kernels

# Gonzalez and Woods, Digital Image Processing (4th ed., 2018), ch. 3 and 10, and the usual tables
PUBLISHED = {
    "identity": ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 1),
    "edge-diagonal": ([[1, 0, -1], [0, 0, 0], [-1, 0, 1]], 1),
    "edge-cross": ([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], 1),
    "edge": ([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 1),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1),
    "box:3": ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 9),
    "gaussian3": ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16),
    "gaussian5": (np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist(), 256),
    "unsharp5": (
        [
            [-1, -4, -6, -4, -1],
            [-4, -16, -24, -16, -4],
            [-6, -24, 476, -24, -6],
            [-4, -16, -24, -16, -4],
            [-1, -4, -6, -4, -1],
        ],
        256,
    ),
    "emboss": ([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], 1),
    "sobel.x": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1),
    "sobel.y": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(name):
    rows, divisor = PUBLISHED[name]
    kernel = kernels.get(name)
    assert np.array(kernel.numerators).reshape(kernel.shape).tolist() == rows
    assert kernel.divisor == divisor
    np.testing.assert_array_equal(np.asarray(kernel), np.array(rows) / divisor)


def test_every_published_kernel_is_there():
    assert {*PUBLISHED, "gaussian:1"} <= set(kernels.names())


@pytest.mark.parametrize("name", ["identity", "sharpen", "box:3", "gaussian3", "gaussian5",
                                  "unsharp5", "emboss", "box:7"])  # fmt: skip
def test_kernels_that_keep_the_brightness_sum_to_1(name):
    kernel = kernels.get(name)
    assert sum(kernel.numerators) == kernel.divisor


@pytest.mark.parametrize("name", ["edge", "edge-cross", "edge-diagonal", "sobel.x", "sobel.y"])
def test_kernels_that_answer_to_changes_sum_to_0(name):
    assert sum(kernels.get(name).numerators) == 0


def test_sobel_is_scipy_s():
    x = np.random.default_rng(0).random((20, 30))
    for axis, name in ((1, "sobel.x"), (0, "sobel.y")):
        np.testing.assert_allclose(
            faltung.correlate(x, kernels.get(name), boundary="symmetric"),
            scipy.ndimage.sobel(x, axis),
            atol=1e-14,
        )


def test_a_kernel_takes_the_input_s_precision():
    for dtype in ("float16", "float32", "float64", "complex64"):
        assert faltung.convolve(np.ones((3, 3), dtype), kernels.gaussian3).dtype == dtype
        assert faltung.convolve(np.ones((9, 9), dtype), kernels.gaussian(1)).dtype == dtype
    assert faltung.convolve(np.ones((3, 3), "uint8"), kernels.gaussian3).dtype == np.float32
    assert faltung.convolve(np.ones((3, 3), "uint8"), kernels.edge).dtype == np.int32


@pytest.mark.parametrize(("text", "side"), [
    ("gaussian:0.1", 3), ("gaussian:0.25", 3), ("gaussian:1.3", 13), ("gaussian:5", 41),
    ("gaussian", 9), ("gaussian:5.", 41), ("gaussian:300", 2401),
])  # fmt: skip
def test_gaussians_are_sampled_cut_and_sum_to_1(text, side):
    kernel = kernels.get(text)
    k = np.asarray(kernel)
    assert k.shape == kernel.shape == (side, side)
    assert abs(k.sum() - 1) < 1e-13
    sigma = float(kernel.name.partition(":")[2])
    i = np.arange(side) - side // 2
    line = np.exp(-(i**2) / (2 * sigma**2))
    np.testing.assert_allclose(k[side // 2], line / line.sum() * k.sum(0)[side // 2], rtol=1e-12)
    np.testing.assert_array_equal(k, k.T)
    np.testing.assert_array_equal(k, k[::-1])


def test_gaussians_take_a_cut_and_axes():
    k = kernels.gaussian(2, cut=3, axes=1)
    assert k.shape == (13,)
    delta = np.zeros(13)
    delta[6] = 1
    wanted = scipy.ndimage.gaussian_filter(delta, 2, truncate=3)
    np.testing.assert_allclose(faltung.convolve(delta, k), wanted, rtol=1e-12)
    assert kernels.gaussian(np.float32(2.5), axes=3).shape == (21, 21, 21)


def test_a_gaussian_is_a_small_hashable_value():
    k = kernels.gaussian(300)
    assert k == kernels.get("gaussian:300.0")
    assert hash(k) == hash(kernels.gaussian(300.0))
    assert k != kernels.gaussian(300, cut=3)
    assert len(pickle.dumps(k)) < 60_000
    assert repr(k) == "<Kernel gaussian:300: 2401x2401 taps>"


@pytest.mark.parametrize("arguments", [
    {"sigma": 0}, {"sigma": -1}, {"sigma": np.nan}, {"sigma": np.inf}, {"sigma": "2"},
    {"sigma": True}, {"sigma": 1e-9}, {"sigma": 1e9}, {"sigma": 1, "cut": 0},
    {"sigma": 1, "axes": 0}, {"sigma": 1, "axes": 1.0}, {"sigma": [1, "2"]}, {"sigma": []},
])  # fmt: skip
def test_what_is_no_gaussian_is_refused(arguments):
    with pytest.raises(ValueError, match=r"^gaussian: "):
        kernels.gaussian(**arguments)


@pytest.mark.parametrize("name", ["gaussian:5", "gaussian:300", "box:201", "box:1001"])
def test_large_kernels_print_short(name):
    kernel = kernels.get(name)
    assert len(repr(kernel)) < 80
    lines = str(kernel).splitlines()
    assert len(lines) < 12
    assert max(map(len, lines)) <= 100


def test_a_kernel_has_either_numbers_or_profiles():
    for shape, numerators, divisor in [((2,), (1, 1), 1), ((3,), (), 1), ((2,), (), 2)]:
        with pytest.raises(ValueError, match="needs as many taps"):
            kernels.Kernel("mine", shape, numerators, divisor, profiles=((0.5, 0.5),))


@pytest.mark.parametrize(("text", "wanted"), [
    ("edge", kernels.edge.array),
    (" box:5 ", np.full((5, 5), 1 / 25)),
    ("box", np.full((3, 3), 1 / 9)),
    ("[[1, 2, 1]]/4", np.array([[0.25, 0.5, 0.25]])),
    ("[[0.5], [-1e-1]]", np.array([[0.5], [-0.1]])),
    ("[[1,2]]/0.5", np.array([[2.0, 4.0]])),
])  # fmt: skip
def test_texts_name_kernels(text, wanted):
    np.testing.assert_allclose(np.asarray(kernels.parse(text)), wanted)


def test_files_hold_kernels(tmp_path):
    path = tmp_path / "k.npy"
    np.save(path, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(kernels.parse(str(path)), np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("text", [
    "", "sharpn", "box:0", "box:x", "box:99999999", "box:²", "[[1,2],[3]]", "[[1,2]]/0", "[]",
    "[[1]]/1e400", "[[1]]/true", "[[1]] /", "[[1/9]]",
    "[[NaN]]", "[[1]]x", "[" * 3000, '[["a"]]', "[[1e999]]", "[[true]]",
    "missing.npy", "gaussian:0", "gaussian:0.09", "gaussian:300.1", "gaussian:nan",
    "gaussian:1e1", "gaussian:-1", "gaussian:²", "gaussian:" + "9" * 5000, "box:0000001001999",
    "[[1]]/[2]", "[[99999999999999999999999]]", "__import__('os')",
])  # fmt: skip
def test_texts_that_name_none_are_refused_in_one_line(text):
    with pytest.raises(ValueError, match="kernel") as raised:
        kernels.parse(text)
    assert "\n" not in str(raised.value)


def test_files_that_hold_none_are_refused(tmp_path):
    for name, content in (("text", b"not an array"), ("empty", b""), ("cut", b"\x93NUMPY\x01\x00")):
        path = tmp_path / f"{name}.npy"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no array"):
            kernels.parse(str(path))
    for name, array in (
        ("pickled", np.array([{}], object)),
        ("nan", np.array([[np.nan]])),
        ("none", np.zeros((0, 3))),
        ("text", np.array([["a"]])),
    ):
        path = tmp_path / f"{name}.npy"
        np.save(path, array, allow_pickle=True)
        with pytest.raises(ValueError, match="kernel"):
            kernels.parse(str(path))
