"""Filtering pictures: alpha, linear light, signed results, several kernels, edges, sheets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import faltung
from faltung import image, kernels
from faltung.demo import PHOTOGRAPH
from faltung.image import colour

RNG = np.random.default_rng(5)


def numbers(shape, dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.random(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def exact(x, kernel, **options):
    """The definition in float64."""
    options = {"boundary": "symmetric"} | options
    return faltung.reference.correlate(
        np.asarray(x, float), np.asarray(kernel, float), axes=(0, 1), **options
    )


# ---- pixel types and several kernels ---------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32", "float32",
                                   "float64"])  # fmt: skip
@pytest.mark.parametrize("kernel", [kernels.edge, kernels.gaussian3, kernels.gaussian(1.3)])
def test_every_pixel_type_is_filtered_in_its_own_numbers(dtype, kernel):
    x = numbers((14, 15, 3), dtype)
    y = image.filter(x, kernel)
    assert y.dtype == dtype
    wanted = exact(x, kernel)
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5 if dtype == "float32" else 1e-12)
        return
    limits = np.iinfo(dtype)
    wanted = np.clip(np.rint(wanted), limits.min, limits.max)
    assert np.abs(y - wanted).max() <= 1  # a tie may fall to the other side


def test_several_kernels_are_rounded_and_clipped_only_at_the_end():
    x = numbers((20, 21), "uint8")
    y = image.filter(x, kernels.sobel_x, then=[kernels.gaussian(1.5), kernels.sharpen])
    wanted = exact(exact(exact(x, kernels.sobel_x), kernels.gaussian(1.5)), kernels.sharpen)
    assert np.abs(y - np.clip(np.rint(wanted), 0, 255)).max() <= 1
    clipped = image.filter(x, kernels.sobel_x)
    clipped = image.filter(image.filter(clipped, kernels.gaussian(1.5)), kernels.sharpen)
    assert np.abs(y.astype(int) - clipped).max() > 20  # it matters


# ---- signed results --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_four_rules_for_signed_results(dtype):
    x = numbers((20, 21, 3), dtype)
    values = exact(x, kernels.sobel_x)
    top, middle = np.iinfo(dtype).max, (np.iinfo(dtype).max + 1) // 2
    low, high = values.min(), values.max()
    wanted = {
        "clip": np.clip(values, 0, top),
        "absolute": np.clip(np.abs(values), 0, top),
        "centre": np.clip(values + middle, 0, top),
        "stretch": np.rint((values - low) * (top / (high - low))),
    }
    assert set(wanted) == set(image.SIGNED)
    for rule, expected in wanted.items():
        y = image.filter(x, kernels.sobel_x, signed=rule)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, expected, err_msg=rule)
    with pytest.raises(image.ImageError, match="signed='wrap' must be one of clip, absolute"):
        image.filter(x, kernels.sobel_x, signed="wrap")


def test_floats_are_never_clipped_and_a_flat_stretch_is_black():
    x = numbers((9, 9), "float32")
    np.testing.assert_allclose(image.filter(x, kernels.edge), exact(x, kernels.edge), atol=1e-5)
    np.testing.assert_allclose(
        image.filter(x, kernels.edge, signed="centre"), exact(x, kernels.edge) + 0.5, atol=1e-5
    )
    flat = np.full((5, 6), 77, np.uint8)
    assert not image.filter(flat, kernels.edge, signed="stretch").any()


def test_nan_stays_where_the_kernel_meets_it():
    x = numbers((9, 9), "float32")
    x[4, 4] = np.nan
    x[0, 0] = np.inf
    y = image.filter(x, kernels.gaussian3)
    assert np.isnan(y[3:6, 3:6]).all()
    assert np.isnan(y).sum() == 9
    assert np.isinf(y[:2, :2]).all()
    assert np.isnan(image.edges(x).magnitude[3:6, 3:6]).all()


# ---- alpha -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("kernel", [kernels.gaussian(1.3), kernels.edge, kernels.sharpen])
def test_alpha_is_kept_and_weighs_the_neighbours(dtype, channels, kernel):
    x = numbers((12, 13, channels), dtype)
    top = colour.full_scale(dtype)
    y = image.filter(x, kernel)
    np.testing.assert_array_equal(y[:, :, -1], x[:, :, -1])
    c, a = x[:, :, :-1].astype(float), x[:, :, -1:] / top
    taps = np.asarray(kernel, float)
    level = exact(a, np.abs(taps)) / np.abs(taps).sum()
    wanted = exact(a * c, taps) / level + c * (taps.sum() - exact(a, taps) / level)
    if dtype == "float32":
        np.testing.assert_allclose(y[:, :, :-1], wanted, atol=1e-5)
    else:
        assert np.abs(y[:, :, :-1] - np.clip(np.rint(wanted), 0, top)).max() <= 1


def test_hidden_colours_do_not_bleed():
    x = np.zeros((9, 12, 4), np.uint8)
    x[:, :6] = [200, 100, 50, 255]
    x[:, 6:] = [0, 255, 0, 0]  # invisible green
    for alpha in ("keep", "filter"):
        y = image.filter(x, kernels.gaussian(1.5), alpha=alpha)
        seen = y[y[:, :, 3] > 8][:, :3].astype(int)
        assert np.abs(seen - [200, 100, 50]).max() <= 1, alpha


OFF_CENTRE = kernels.Kernel.of([[3.0, -1.0, 0.5]], anchor=(0, 0))
TURNED = kernels.Kernel.of([[3.0, -1.0, 0.5]], anchor=(0, 0), operation="convolve")
SHAPES = [kernels.box(5), kernels.sharpen, kernels.sobel_x, OFF_CENTRE, TURNED, [[1, -2, 0.5]]]


@pytest.mark.parametrize("kernel", SHAPES)
@pytest.mark.parametrize("alpha", [1, 64, 128, 254])
@pytest.mark.parametrize("linear", [False, True])
def test_even_opacity_changes_no_colour(kernel, alpha, linear):
    colours = numbers((12, 13, 3), "uint8")
    x = np.dstack([colours, np.full((12, 13), alpha, np.uint8)])
    y, wanted = (image.filter(each, kernel, linear=linear) for each in (x, colours))
    assert np.abs(y[:, :, :3].astype(int) - wanted).max() <= 1  # where rounding meets a half
    assert (y[:, :, :3] != wanted).mean() < 0.1
    steep, opaque = (image.edges(each, linear=linear).magnitude for each in (x, colours))
    np.testing.assert_allclose(steep, opaque, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("kernel", SHAPES)
def test_how_faint_a_whole_picture_is_changes_no_colour(kernel):
    x = numbers((12, 13, 4), "float32")
    x[:, :6, 3] = 0
    faint = x * np.array([1, 1, 1, 2.0**-40], np.float32)
    y = image.filter(x, kernel)
    np.testing.assert_array_equal(image.filter(faint, kernel)[:, :, :3], y[:, :, :3])


@pytest.mark.parametrize("kernel", [*SHAPES, kernels.edge, [[0, 0], [0, 0]]])
def test_one_colour_stays_one_under_any_alpha(kernel):
    x = numbers((12, 13, 4), "float32")
    x[:, :, :3] = [0.2, 0.5, 0.1]
    x[3:8, 2:, 3] = 0
    total = np.asarray(kernel, float).sum()
    y = image.filter(x, kernel)[:, :, :3]
    np.testing.assert_allclose(y, np.broadcast_to(total * x[0, 0, :3], y.shape), atol=1e-5)


@given(st.data(), st.sampled_from([kernels.box(3), kernels.sharpen, kernels.sobel_x, OFF_CENTRE]))
@settings(max_examples=25)
def test_kept_alpha_is_its_definition_wherever_something_is_seen(data, kernel):
    shades = st.sampled_from([0, 0, 0, 1, 128, 255])
    a = data.draw(arrays(np.uint8, (5, 6), elements=shades))
    x = np.dstack([data.draw(arrays(np.uint8, (5, 6, 3))), a]).astype(np.float32)
    x[:, :, 3] /= 255
    y = image.filter(x, kernel)
    taps, anchor = np.asarray(kernel, float), getattr(kernel, "anchor", None)
    inner = np.pad(x.astype(float), ((3, 3), (3, 3), (0, 0)), mode="symmetric")
    for row, column in np.ndindex(5, 6):
        top, left = row + 3 - anchor[0], column + 3 - anchor[1]
        part = inner[top : top + taps.shape[0], left : left + taps.shape[1]]
        weights, own = part[:, :, 3], x[row, column, :3].astype(float)
        level = (np.abs(taps) * weights).sum() / np.abs(taps).sum()
        wanted = own * taps.sum()
        if level:
            seen = taps * weights / level
            wanted = (seen[:, :, None] * part[:, :, :3]).sum((0, 1)) + own * (
                taps.sum() - seen.sum()
            )
        np.testing.assert_allclose(y[row, column, :3], wanted, atol=0.02)


def test_a_kernel_that_is_turned_weighs_alpha_turned_as_well():
    x = numbers((8, 9, 4), "float32")
    wanted = image.filter(x, TURNED.written_for("correlate"))
    np.testing.assert_allclose(image.filter(x, TURNED), wanted, atol=1e-5)


def test_an_unknown_colour_under_alpha_0_is_filled_in_by_an_average():
    x = numbers((9, 9, 4), "float32")
    x[:, :, 3] = 1
    x[4, 4] = [np.nan, np.inf, np.nan, 0]
    around = np.delete(x[3:6, 3:6, :3].reshape(9, 3), 4, axis=0)
    y = image.filter(x, kernels.box(3))
    np.testing.assert_allclose(y[4, 4, :3], around.mean(0), rtol=1e-5)
    assert np.isfinite(y).all()
    x[2, 2, 3] = np.nan  # an unknown opacity is not taken for none
    assert np.isnan(image.filter(x, kernels.box(3))[1:4, 1:4, :3]).all()


def test_filtered_alpha_is_premultiplied_filtering():
    x, kernel = numbers((12, 13, 4), "uint8"), kernels.gaussian(1.3, cut=2)
    y = image.filter(x, kernel, alpha="filter", mode="valid")
    a = x[:, :, 3:] / 255
    covered = exact(a, kernel, mode="valid")
    wanted = exact(a * x[:, :, :3], kernel, mode="valid") / covered
    assert np.abs(y[:, :, :3] - np.rint(wanted)).max() <= 1
    assert np.abs(y[:, :, 3:] - np.rint(255 * covered)).max() <= 1
    with pytest.raises(image.ImageError, match='or alpha="filter"'):
        image.filter(x, kernels.gaussian3, mode="valid")
    with pytest.raises(image.ImageError, match="alpha='drop' must be one of"):
        image.filter(x, kernels.gaussian3, alpha="drop")


# ---- linear light ----------------------------------------------------------------------------


def srgb_decoded(v):
    """IEC 61966-2-1:1999, one value."""
    return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4


def srgb_encoded(v):
    return 12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_linear_light_is_that_of_srgb(dtype):
    top = np.iinfo(dtype).max
    x = numbers((12, 13, 3), dtype)
    light = np.vectorize(srgb_decoded)(x / top)
    wanted = np.rint(top * np.vectorize(srgb_encoded)(exact(light, kernels.gaussian(1.3))))
    y = image.filter(x, kernels.gaussian(1.3), linear=True)
    assert np.abs(y - wanted).max() <= (1 if dtype == "uint8" else 2)
    # all the levels come back from linear light as they were
    levels = np.arange(top + 1, dtype=dtype).reshape(1, -1)
    np.testing.assert_array_equal(image.filter(levels, kernels.identity, linear=True), levels)


def test_black_and_white_average_to_more_than_half_in_linear_light():
    board = np.indices((20, 20)).sum(axis=0) % 2 * np.uint8(255)
    board = board.astype(np.uint8)
    assert abs(int(image.filter(board, kernels.box(9))[10, 10]) - 128) <= 2
    middle = 255 * srgb_encoded(0.5)
    assert abs(image.filter(board, kernels.box(9), linear=True)[10, 10] - middle) <= 2


def test_linear_light_keeps_signs_and_what_lies_beyond_the_edges():
    x = np.array([[0, 0, 255, 255]], np.uint8)
    y = image.filter(x, [[-0.25, 0, 0.25]], linear=True, signed="centre")
    assert y.tolist() == [[128, 255, 255, 128]]
    y = image.filter(x[:, ::-1], [[-0.05, 0, 0.05]], linear=True, signed="centre")
    step = 255 * srgb_encoded(0.05)  # in the encoding, below mid-grey
    assert y.tolist() == [[128, *[round(128 - step)] * 2, 128]]
    filled = image.filter(np.full((4, 4), 80, np.uint8), kernels.box(3), boundary="constant",
                          fill_value=80, linear=True)  # fmt: skip
    assert (filled == 80).all()
    floats = numbers((5, 6), "float32")
    np.testing.assert_array_equal(image.filter(floats, kernels.gaussian3, linear=True),
                                  image.filter(floats, kernels.gaussian3))  # fmt: skip


def test_a_fill_value_beyond_the_numbers_of_the_picture():
    for linear in (False, True):
        with pytest.raises(ValueError, match="300"):
            image.filter(np.zeros((4, 4), np.uint8), kernels.box(3), boundary="constant",
                         fill_value=300, linear=linear)  # fmt: skip


# ---- edges -----------------------------------------------------------------------------------


def test_edges_of_a_slope_have_its_steepness_and_direction():
    rows, columns = np.indices((20, 20))
    for angle in np.radians([0, 30, 90, 135, -60, 180]):
        slope = 100 + 2 * (math.cos(angle) * columns + math.sin(angle) * rows)
        found = image.edges(slope.astype(np.float32))
        inner = slice(2, -2), slice(2, -2)
        np.testing.assert_allclose(found.magnitude[inner], 16, rtol=1e-4)  # Sobel sums to 8
        turn = (found.direction[inner] - angle + np.pi) % (2 * np.pi) - np.pi
        assert np.abs(turn).max() < 1e-4


def test_edges_of_colours_take_the_steepest_channel():
    x = numbers((15, 16, 3), "uint8")
    across, down = exact(x, kernels.sobel_x), exact(x, kernels.sobel_y)
    magnitude = np.hypot(across, down)
    strongest = magnitude.argmax(axis=2)[:, :, None]
    found = image.edges(x)
    np.testing.assert_allclose(found.magnitude, magnitude.max(axis=2), rtol=1e-6)
    wanted = np.take_along_axis(np.arctan2(down, across), strongest, 2)[:, :, 0]
    np.testing.assert_allclose(found.direction, wanted, atol=1e-6)
    np.testing.assert_array_equal(
        found.picture(), np.clip(np.rint(found.magnitude), 0, 255).astype(np.uint8)
    )
    assert found.picture("stretch").max() == 255
    assert found.coloured().shape == (15, 16, 3)
    with pytest.raises(image.ImageError, match="pair of kernels"):
        image.edges(x, [kernels.edge])


def test_hues_tell_where_it_gets_brighter():
    x = np.zeros((30, 30), np.uint8)
    x[10:20, 10:20] = 255  # brighter to the right on its left side, and so on
    hues = image.edges(x).coloured()
    assert hues[15, 9].tolist() == [255, 0, 0]
    assert hues[15, 20].tolist() == [0, 255, 255]
    assert hues[9, 15].tolist() == [128, 255, 0]
    assert hues[20, 15].tolist() == [128, 0, 255]
    assert hues[0, 0].tolist() == [0, 0, 0]


# ---- sheets ----------------------------------------------------------------------------------


def test_a_comparison_shows_the_picture_and_each_kernel():
    photograph = image.read(PHOTOGRAPH)
    sheet = image.compare(photograph, "edge,[[0,0,0],[0,1,0],[0,0,0]]", width=451, columns=2)
    assert sheet.dtype == np.uint8
    tile = slice(24, 324), slice(24, 475)
    np.testing.assert_array_equal(sheet[tile], photograph)  # at its own width nothing is scaled
    below = slice(24 + 300 + 58 + 24, 24 + 300 + 58 + 24 + 300), slice(24, 475)
    np.testing.assert_array_equal(sheet[below], photograph)
    beside = slice(24, 324), slice(24 + 475, 24 + 475 + 451)
    np.testing.assert_array_equal(sheet[beside], image.filter(photograph, kernels.edge))


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int16"])
def test_pictures_of_any_type_can_be_compared(dtype):
    x = numbers((20, 30, 3), dtype)
    if dtype == "float32":
        x[0, 0] = np.nan
    assert image.compare(x, [kernels.edge, kernels.box(3)]).dtype == np.uint8


def test_a_long_title_does_not_run_into_the_next_picture():
    plain = [("", "", np.zeros((20, 40), np.uint8))] * 2
    named = [("a name that is much too long for its place" * 3, "", plain[0][2]), plain[1]]
    sheets = [image.contact_sheet(each, width=100) for each in (plain, named)]
    right = 24 + 100 + 1
    np.testing.assert_array_equal(sheets[0][:, right:], sheets[1][:, right:])
    assert (sheets[0] != sheets[1]).any()


@pytest.mark.parametrize(
    ("value", "tap", "dtype", "signed", "wanted"),
    [
        (255, 8421504, "uint8", "centre", 255),  # 2**31 - 128, to which 128 is added
        (65535, 32768, "uint16", "centre", 65535),
        (-32768, 65536, "int16", "absolute", 32767),  # -2**31 has no magnitude in 32 bits
        (-(2**31), 1, "int32", "absolute", 2**31 - 1),
        (-(2**31), 2**32, "int32", "absolute", 2**31 - 1),  # nor has -2**63 in 64
        (2**32 - 1, 2**31 - 1, "uint32", "centre", 2**32 - 1),
        (255, -8421504, "uint8", "centre", 0),
    ],
)
def test_signs_and_middles_do_not_wrap(value, tap, dtype, signed, wanted):
    picture = np.full((3, 3), value, dtype)
    assert (image.filter(picture, [[tap]], signed=signed) == wanted).all()


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
def test_linear_light_keeps_negatives_and_the_bits_of_large_numbers(dtype):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(3).integers(limits.min, limits.max, (7, 9), dtype)
    values[0, 0], values[0, 1] = limits.min, limits.max
    np.testing.assert_array_equal(image.filter(values, [[1]], linear=True), values)
    (plan,) = image.filter_plans(values, [[[1.0]]], linear=True)
    assert plan.dtype == ("float32" if dtype == "int16" else "float64")


@pytest.mark.parametrize("hidden", [np.nan, np.inf])
@pytest.mark.parametrize("alpha", ["keep", "filter"])
def test_no_colour_under_alpha_0_spreads(hidden, alpha):
    picture = np.ones((5, 5, 4), np.float32)
    picture[2, 2] = [hidden, hidden, hidden, 0]
    result = image.filter(picture, kernels.box(3), alpha=alpha)
    around = np.ones((5, 5), bool)
    around[2, 2] = False
    np.testing.assert_allclose(result[around][:, :3], 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 0.9])
def test_the_largest_and_the_smallest_floats_are_stretched(dtype, size):
    most = np.finfo(dtype).max * size
    stretched = colour.shown(np.array([[-most, 0, most]], dtype), dtype, "stretch")
    np.testing.assert_allclose(stretched, [[0, 0.5, 1]])
    least = np.finfo(dtype).smallest_subnormal
    stretched = colour.shown(np.array([[0, least]], dtype), dtype, "stretch")
    np.testing.assert_array_equal(stretched, [[0, 1]])


def test_a_thin_picture_makes_no_giant_sheet():
    sheet = image.compare(np.zeros((2000, 1), np.uint8), "edge", width=32)
    assert sheet.shape[0] < 300


def test_channels_that_no_sheet_can_show():
    with pytest.raises(image.ImageError, match="5 channels"):
        image.compare(np.zeros((5, 5, 5), np.uint8), "edge")
    grey = np.random.default_rng(0).integers(0, 256, (5, 5, 1), np.uint8)
    np.testing.assert_array_equal(image.compare(grey, "edge"), image.compare(grey[..., 0], "edge"))
