"""What files and pictures hold is not lost in silence: it comes back, or an error says so."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from faltung import image
from faltung.image.colour import from_linear, to_linear

RNG = np.random.default_rng(7)


def tiff(array, **options):
    tifffile = pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    content = io.BytesIO()
    tifffile.imwrite(content, array, metadata=None, **options)
    return content.getvalue()


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_deep_png_with_resolution_stays_deep(channels):
    pytest.importorskip("imagecodecs", reason="the extra faltung[deep] is not installed")
    array = RNG.integers(0, 65536, (3, 4, channels), np.uint16)
    picture = image.Picture((array,), metadata=image.Metadata(dpi=(300.0, 300.0)))
    again = image.loads(bytes(image.encode(picture, "PNG")[0])).frames[0]
    assert again.dtype == np.uint16
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("compression", ["zlib", "lzw"])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32", "float32"])
def test_compressed_big_endian_tiffs(dtype, compression):
    array = RNG.integers(0, 30000, (5, 6)).astype(dtype)
    content = tiff(array, byteorder=">", compression=compression, photometric="minisblack")
    np.testing.assert_array_equal(image.loads(content).frames[0], array)


def test_a_planar_tiff_keeps_its_alpha():
    array = RNG.integers(1, 256, (2, 5, 6), np.uint8)
    content = tiff(array, planarconfig="separate", extrasamples=["unassalpha"],
                   compression="zlib", photometric="minisblack")  # fmt: skip
    np.testing.assert_array_equal(image.loads(content).frames[0], np.moveaxis(array, 0, -1))


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize("options", [{"rowsperstrip": 16}, {"tile": (16, 16)}])
def test_missing_strips_and_tiles_are_an_error(dtype, options):
    content = tiff(np.ones((32, 32), dtype), photometric="minisblack", compression="zlib",
                   **options)  # fmt: skip
    (place,) = struct.unpack("<I", content[4:8])
    (entries,) = struct.unpack("<H", content[place : place + 2])
    changed = bytearray(content)
    for entry in range(place + 2, place + 2 + 12 * entries, 12):
        number, _, count = struct.unpack("<HHI", content[entry : entry + 8])
        if number in (273, 279, 324, 325):
            changed[entry + 4 : entry + 8] = struct.pack("<I", count - 1)
    with pytest.raises(image.ImageError, match=r"missing|broken"):
        image.loads(bytes(changed))


def test_a_cut_directory_is_an_error():
    content = io.BytesIO()
    Image.new("RGB", (24, 16), "red").save(content, "TIFF", compression="tiff_lzw")
    place = struct.unpack("<I", content.getvalue()[4:8])[0]
    entries = struct.unpack("<H", content.getvalue()[place : place + 2])[0]
    cut = content.getvalue()[: place + 2 + 12 * entries - 3]
    with pytest.raises(image.ImageError, match="cut off"):
        image.loads(cut)


def test_tiles_far_larger_than_the_picture_are_refused():
    content = bytearray(tiff(np.ones((10, 10)), tile=(16, 16), photometric="minisblack"))
    (place,) = struct.unpack("<I", content[4:8])
    (entries,) = struct.unpack("<H", content[place : place + 2])
    for entry in range(place + 2, place + 2 + 12 * entries, 12):
        if struct.unpack("<H", content[entry : entry + 2])[0] in (322, 323):
            content[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, 32768)
    with pytest.raises(image.ImageError, match="far larger"):
        image.loads(bytes(content))


@pytest.mark.parametrize(("dtype", "value", "factor", "rule", "expected"), [
    ("uint8", 255, 8421504, "centre", 255), ("uint16", 65535, 32768, "centre", 65535),
    ("int16", -32768, 65536, "absolute", 32767), ("int32", -(2**31), 1, "absolute", 2**31 - 1),
])  # fmt: skip
def test_signed_rules_saturate(dtype, value, factor, rule, expected):
    out = image.filter(np.full((3, 3), value, dtype), [[factor]], signed=rule)
    assert (out == expected).all()


def test_large_floats_are_stretched():
    array = np.array([[-3e38, 0, 3e38]], np.float32)
    out = image.filter(array, [[1.0]], signed="stretch")
    np.testing.assert_allclose(out, [[0, 0.5, 1]])


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
def test_linear_light_of_signed_and_wide_numbers_goes_back(dtype):
    limits = np.iinfo(dtype)
    array = np.array([[limits.min // 2, -1, 1, limits.max - 5]]).clip(limits.min).astype(dtype)
    light = to_linear(array)
    back = np.rint(from_linear(light).astype(np.float64) * float(limits.max))
    np.testing.assert_array_equal(back, array)


def test_a_colour_that_is_not_seen_counts_for_nothing():
    array = np.ones((5, 5, 2), np.float32)
    array[2, 2] = np.nan, 0
    out = image.filter(array, np.full((3, 3), 1 / 9))
    seen = out[:, :, 1] > 0
    seen[2, 2] = False
    assert np.isfinite(out[seen]).all()


def test_a_profile_too_long_for_a_jpeg_is_left_out():
    icc = bytearray(255 * 65519 + 1)
    metadata = image.Metadata(icc=bytes(icc[:16]) + b"RGB " + bytes(icc[20:]))
    picture = image.Picture((np.zeros((2, 2, 3), np.uint8),), metadata=metadata)
    content, notes = image.encode(picture, "JPEG")
    assert len(content) < 1 << 16
    assert any("profile" in note for note in notes)


def test_the_list_of_pages_is_made_once(monkeypatch):
    tifffile = pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    content, made = tiff(RNG.integers(0, 9, (6, 4, 5, 3), np.uint16), photometric="rgb"), []
    whole = tifffile.TiffFile
    monkeypatch.setattr(tifffile, "TiffFile", lambda file: made.append(1) or whole(file))
    assert len(image.loads(content).frames) == 6
    assert len(made) == 1


def test_a_grey_that_means_nothing_in_a_deep_png_becomes_alpha():
    array = np.array([[1, 300, 65535]], np.uint16)
    content = io.BytesIO()
    Image.fromarray(array).save(content, "PNG", transparency=300)
    found = image.loads(content.getvalue()).frames[0]
    assert found.tolist() == [[[1, 65535], [300, 0], [65535, 65535]]]


def test_white_is_zero_leaves_alpha_alone():
    array = RNG.integers(0, 256, (4, 5, 2), np.uint8)
    content = tiff(array, photometric="miniswhite", extrasamples=["unassalpha"],
                   planarconfig="contig")  # fmt: skip
    found = image.loads(content).frames[0]
    np.testing.assert_array_equal(found[:, :, 0], 255 - array[:, :, 0])
    np.testing.assert_array_equal(found[:, :, 1], array[:, :, 1])


def test_channels_too_many_and_white_floats_are_refused():
    five = tiff(np.zeros((4, 5, 5), np.uint8), photometric="rgb", planarconfig="contig",
                extrasamples=["unspecified", "unspecified"])  # fmt: skip
    for content in (five, tiff(np.zeros((4, 5), np.float32), photometric="miniswhite")):
        with pytest.raises(image.ImageError, match="not supported"):
            image.loads(content)


def test_a_fourth_channel_without_a_meaning_is_noted():
    content = tiff(np.zeros((4, 5, 4), np.uint8), photometric="rgb", planarconfig="contig",
                   extrasamples=["unspecified"])  # fmt: skip
    assert image.loads(content).notes == ("a fourth channel without a meaning was left out",)


def test_a_palette_that_is_missing_is_an_error():
    content = io.BytesIO()
    Image.new("P", (3, 2)).save(content, "PNG")
    place = content.getvalue().index(b"PLTE") - 4
    (length,) = struct.unpack(">I", content.getvalue()[place : place + 4])
    with pytest.raises(image.ImageError, match="palette"):
        image.loads(content.getvalue()[:place] + content.getvalue()[place + 12 + length :])
