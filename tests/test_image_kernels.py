"""Which kernels pictures take, and how they are laid on them."""

import json

import numpy as np
import pytest

import faltung
from faltung import cli, image, kernels

PICTURE = np.random.default_rng(4).integers(0, 256, (9, 11), np.uint8)


def test_texts_name_kernels_for_pictures():
    for text in ("sharpen", "gaussian:1x2", "[[1,2,1]]/4"):
        wanted = image.filter(PICTURE, kernels.parse(text))
        np.testing.assert_array_equal(image.filter(PICTURE, text), wanted)
    wanted = image.filter(PICTURE, kernels.box(3), then=[kernels.edge])
    np.testing.assert_array_equal(image.filter(PICTURE, "box:3", then=["edge"]), wanted)
    np.testing.assert_array_equal(image.filter(PICTURE, "box:3", then="edge"), wanted)


def test_a_kernel_written_for_convolution_is_flipped(tmp_path, capsys):
    taps = [[1, 2, 4], [0, 0, 0], [0, 0, 0]]
    path = tmp_path / "k.json"
    path.write_text(json.dumps({"taps": taps, "divisor": 7, "operation": "convolve"}))
    kernel = kernels.parse(str(path))
    wanted = faltung.convolve(PICTURE, np.array(taps) / 7, boundary="symmetric")
    wanted = np.rint(wanted).astype(np.uint8)
    np.testing.assert_array_equal(image.filter(PICTURE, kernel), wanted)
    np.testing.assert_array_equal(image.filter(PICTURE, kernel, signed="absolute"), wanted)
    flipped = image.filter(PICTURE, kernel, operation="correlate")
    np.testing.assert_array_equal(flipped, image.filter(PICTURE, np.array(taps) / 7))
    assert (flipped != wanted).any()
    image.write(tmp_path / "in.png", PICTURE)
    words = ["filter", str(tmp_path / "in.png"), "-k", str(path), "-o", str(tmp_path / "out.png")]
    assert cli.run([*words, "--explain"]) == 0
    assert "Plan convolve" in capsys.readouterr().out
    np.testing.assert_array_equal(image.read(tmp_path / "out.png"), wanted)
    across = kernels.sobel_x.flipped(), kernels.sobel_y.flipped()
    np.testing.assert_array_equal(
        image.edges(PICTURE, across).magnitude, image.edges(PICTURE).magnitude
    )
    np.testing.assert_array_equal(image.edges(PICTURE, across).across, image.edges(PICTURE).across)


def test_roberts_edges_are_as_steep_as_his_diagonals():
    found = image.edges(PICTURE, "roberts").magnitude
    diagonals = image.edges(PICTURE, (kernels.roberts_pos, kernels.roberts_neg)).magnitude
    np.testing.assert_allclose(found, diagonals, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("kernel", "advice"), [
    ("savgol:5,2", r"savgol:5,2 of shape \(5,\).*rows it is \[\[-3,12,17,12,-3\]\]/35\."),
    ("savgol:5,2,deriv=1", r"Along the rows it is \[\[-2,-1,0,1,2\]\]/10\."),
    ("box:3,axes=1", r"Write box:3 for both axes"),
    ("gaussian:2,axes=1", r"Write gaussian:2 for both axes"),
    ("daubechies.low:2", r"k\.array\[None, :\] is a row"),
    ("age.linear:3", r"k\.array\[None, :\] is a row"),
    ("[1,2,1]", r"Write a single row as \[\[1, 2, 1\]\]"),
    ([1.0, 2], r"Write a single row as"),
    (np.ones((3, 3, 3)), r"shape \(3, 3, 3\)\. Take a plane of it"),
])  # fmt: skip
def test_what_has_not_two_axes_is_refused_with_the_way_out(kernel, advice):
    with pytest.raises(image.ImageError, match=advice):
        image.filter(PICTURE, kernel)
