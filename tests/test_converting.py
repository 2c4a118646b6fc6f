"""Pictures of another depth, without alpha, and with losses: only where it was asked for."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faltung import image, kernels
from faltung.image import colour, tiff
from faltung.image.formats import DTYPES, full_scale

RNG = np.random.default_rng(26)


def numbers(shape, dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.random(shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


# ---- depth -----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", DTYPES)
@pytest.mark.parametrize("after", ["uint8", "uint16", "float"])
def test_full_brightness_becomes_full_brightness(before, after):
    x = numbers((7, 9, 3), before)
    x[0, 0], x[0, 1] = 0, full_scale(before)
    y = image.converted(x, after)
    top = full_scale(y.dtype)
    wanted = x.astype(np.float64) / full_scale(before) * top
    if after == "float":
        assert y.dtype == ("float64" if x.dtype.itemsize > 4 or before in ("int32", "uint32")
                           else "float32")  # fmt: skip
        np.testing.assert_allclose(y, wanted, rtol=1e-6)
    else:
        assert y.dtype == after
        np.testing.assert_array_equal(y, np.rint(wanted))
    assert (y[0, 0] == 0).all()
    assert (y[0, 1] == top).all()


def test_floats_are_rounded_half_to_even_and_saturate():
    x = np.array([[0.5 / 255, 1.5 / 255, -1, 2, np.inf, np.nan]])
    assert image.converted(x, "uint8").tolist() == [[0, 2, 0, 255, 255, 0]]
    assert image.converted(np.array([[-5, 32767]], np.int16), "uint8").tolist() == [[0, 255]]


@given(st.integers(0, 65535))
@settings(max_examples=50)
def test_8_bits_of_16_and_back(value):
    x = np.array([[value]], np.uint16)
    eight = image.converted(x, "uint8")
    assert eight.item() == round(value / 257)
    assert image.converted(image.converted(eight, "uint16"), "uint8") == eight


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("signed", colour.SIGNED)
def test_what_kernels_give_is_rounded_once(linear, signed):
    x = numbers((9, 11, 3), "uint16")
    y = image.filter(x, kernels.sobel_x, linear=linear, signed=signed, dtype="uint8")
    real = image.filter(x, kernels.sobel_x, linear=linear, signed="clip", dtype="float64")
    assert real.min() < 0 < 1 < real.max()  # floats are not clipped
    np.testing.assert_array_equal(y, colour.shown(real * 255, "uint8", signed))


def test_alpha_and_edges_get_the_same_depth():
    x = numbers((9, 11, 4), "uint8")
    y = image.filter(x, kernels.gaussian3, dtype="uint16")
    np.testing.assert_array_equal(y[:, :, 3], x[:, :, 3] * np.uint16(257))
    found = image.edges(x)
    wanted = np.rint(np.minimum(found.magnitude.astype(np.float64) * 257, 65535))
    np.testing.assert_array_equal(found.picture(dtype="uint16"), wanted)
    np.testing.assert_allclose(found.picture(dtype="float"), found.magnitude / 255, rtol=1e-6)


def test_steepness_has_no_sign():
    for signed in ("centre", "absolute"):
        with pytest.raises(image.ImageError, match="must be one of clip, stretch"):
            image.edges(np.zeros((3, 3), np.uint8)).picture(signed)


@pytest.mark.parametrize("dtype", ["int64", "many", 3, "complex64"])
def test_no_dtype_of_a_picture(dtype):
    with pytest.raises(image.ImageError, match="must be float or one of uint8"):
        image.converted(np.zeros((2, 2), np.uint8), dtype)


# ---- transparency ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("linear", [False, True])
def test_flattened_is_the_mixture_with_the_background(dtype, linear):
    x = numbers((7, 9, 4), dtype)
    top = full_scale(dtype)
    y = image.flattened(x, "#ff8000", linear=linear)
    a, c, b = x[:, :, 3:] / top, x[:, :, :3] / top, np.array([255, 128, 0]) / 255
    if linear:
        c, b = c if dtype == "float32" else colour.decoded(c), colour.decoded(b)
    wanted = a * c + (1 - a) * b
    if linear and dtype != "float32":
        wanted = colour.from_linear(wanted)
    assert y.dtype == dtype
    assert np.abs(y - wanted * top).max() <= (1e-6 if dtype == "float32" else 0.51)


def test_flattened_agrees_with_pillow():
    x = numbers((20, 20, 4), "uint8")
    with Image.new("RGBA", (20, 20), "teal") as behind:
        behind.alpha_composite(Image.fromarray(x))
        wanted = np.asarray(behind.convert("RGB"), int)
    assert np.abs(image.flattened(x, "teal") - wanted).max() <= 1


def test_flattened_kinds():
    grey = numbers((4, 5, 2), "uint8")
    assert image.flattened(grey, "white").shape == (4, 5)
    assert image.flattened(grey, "red").shape == (4, 5, 3)
    opaque = numbers((4, 5, 3), "uint8")
    assert image.flattened(opaque, (1, 2, 3)) is opaque
    hidden = np.array([[[np.nan, np.inf, 1, 0]]], np.float32)
    np.testing.assert_array_equal(image.flattened(hidden, "white"), np.ones((1, 1, 3)))
    for wrong in ("whit", 3, (1, 2), (0, 0, 300), "#12345678", None):
        with pytest.raises(image.ImageError, match="is no colour"):
            image.flattened(grey, wrong)


def test_a_sheet_lays_transparent_pictures_on_white():
    x = np.zeros((32, 32, 4), np.uint8)
    sheet = image.compare(x, "identity", width=32)
    assert (sheet[30:50, 30:50] == 255).all()
    x[:, :, 3] = 255
    assert (image.compare(x, "identity", width=32)[30:50, 30:50] == 0).all()


# ---- losses ----------------------------------------------------------------------------------


def test_webp_has_losses_only_where_a_quality_is_given(tmp_path):
    x = np.asarray(Image.fromarray(numbers((8, 8, 3), "uint8")).resize((64, 64)))
    sizes = []
    for quality in (None, 90, 20):
        image.write(tmp_path / "a.webp", x, quality=quality)
        sizes.append((tmp_path / "a.webp").stat().st_size)
        assert (image.read(tmp_path / "a.webp") == x).all() == (quality is None)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("ending", [".png", ".tiff", ".bmp", ".ppm"])
def test_a_quality_where_there_is_none(tmp_path, ending):
    with pytest.raises(image.ImageError, match="has no quality"):
        image.write(tmp_path / f"a{ending}", numbers((4, 5, 3), "uint8"), quality=90)
    with pytest.raises(image.ImageError, match="quality=0 must be from 1 to 100"):
        image.write(tmp_path / "a.jpg", numbers((4, 5, 3), "uint8"), quality=0)


# ---- mistakes --------------------------------------------------------------------------------


def test_refusals_name_the_way_out(tmp_path):
    with pytest.raises(image.ImageError, match=r"image\.flattened.*--background"):
        image.write(tmp_path / "a.jpg", numbers((4, 5, 4), "uint8"))
    for dtype in ("uint16", "float32"):
        with pytest.raises(image.ImageError, match=r"image\.converted.*--depth 8"):
            image.write(tmp_path / "a.jpg", numbers((4, 5), dtype))
    with pytest.raises(image.ImageError, match=r"GIF is only read; write a \.png"):
        image.write(tmp_path / "a.gif", numbers((4, 5), "uint8"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: image.edges(x, kernels.sobel_x), "the kernel sobel.x.*Give two"),
        (lambda x: image.edges(x, 3), "pair of kernels, for x and y; got 3"),
        (lambda x: image.write(x, "w.png"), "got ndarray. The path comes first"),
        (lambda x: image.write(3, x), "got int"),
        (lambda x: image.save("w.png", x), "save takes an image.Picture; got ndarray"),
        (lambda x: image.read(3), "read from a path; got int.*image.loads"),
        (lambda x: image.load(b"P5"), "got bytes. Bytes of a file are read with image.loads"),
        (lambda x: image.size(io.BytesIO()), "got BytesIO.*image.loads"),
        (lambda x: image.loads("a.png"), "got str. Paths are for image.load"),
    ],
)
def test_what_is_easily_mixed_up(call, message):
    with pytest.raises(image.ImageError, match=message):
        call(numbers((4, 5), "uint8"))


def test_pages_that_are_no_animation_say_so(tmp_path):
    pages = image.Picture((numbers((4, 5), "uint8"), numbers((6, 5), "uint8")))
    (note,) = image.save(tmp_path / "a.png", pages)
    assert note.startswith("pages without durations are no animation")
    assert note.endswith("of 2 frames the first was written")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_equal_frames_become_one_that_is_shown_as_long(kind):
    shades = [0, 0, 1, 1, 1, 2, 0]
    frames = tuple(np.full((8, 8, 3), 40 * shade, np.uint8) for shade in shades)
    times = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0)
    content, notes = image.encode(image.Picture(frames, durations=times, loop=3), kind)
    again = image.loads(bytes(content))
    assert (again.durations, again.loop, notes) == ((30, 120, 60, 70), 3, ())
    still = image.Picture(frames[:2], durations=times[:2])
    content, notes = image.encode(still, kind)
    assert len(image.loads(bytes(content)).frames) == 1
    assert notes == (
        "frames that are all equal are a still picture: of 2 frames the first was written",
    )


def test_each_page_of_a_tiff_is_looked_at_once(monkeypatch):
    pages = tuple(np.full((2, 3), number % 256, np.uint8) for number in range(240))
    content, _ = image.encode(image.Picture(pages), "TIFF")
    again = image.loads(bytes(content)).frames
    assert len(again) == 240
    assert all(np.array_equal(a, b) for a, b in zip(again, pages, strict=True))
    walked = []
    writer = tiff.Pages
    monkeypatch.setattr(writer, "_read", lambda self, n, real=writer._read: (
        walked.append(n), real(self, n))[1])  # fmt: skip
    image.encode(image.Picture(pages[:60]), "TIFF")
    few = len(walked)
    image.encode(image.Picture(pages), "TIFF")
    assert len(walked) - few < 5 * few  # four times the pages: four times the reads, not 16
