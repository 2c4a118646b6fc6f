"""Pictures: what is read is what was written, and hostile files are one-line errors."""

import io
import os
import subprocess

import numpy as np
import pytest
from PIL import Image

import faltung
from faltung import image, kernels
from faltung.demo import PHOTOGRAPH


def picture(shape, dtype):
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)


LOSSLESS = [
    ((12, 17), "uint8", (".png", ".tiff", ".bmp", ".pgm")),
    ((12, 17, 3), "uint8", (".png", ".tiff", ".bmp", ".ppm", ".webp")),
    ((12, 17, 4), "uint8", (".png", ".tiff", ".webp")),
    ((12, 17, 2), "uint8", (".png", ".tiff")),
    ((12, 17), "uint16", (".png", ".tiff")),
    ((12, 17, 3), "uint16", (".png", ".tiff")),
    ((12, 17, 4), "uint16", (".png", ".tiff")),
]


@pytest.mark.parametrize(("shape", "dtype", "ending"), [
    (shape, dtype, ending) for shape, dtype, endings in LOSSLESS for ending in endings
])  # fmt: skip
def test_what_is_written_is_read_again(tmp_path, shape, dtype, ending):
    if dtype == "uint16" and len(shape) == 3:
        pytest.importorskip("imagecodecs", reason="the extra faltung[deep] is not installed")
        pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    array = picture(shape, dtype)
    image.write(tmp_path / f"a{ending}", array)
    again = image.read(tmp_path / f"a{ending}")
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, array)


def test_jpeg_comes_back_nearly_the_same(tmp_path):
    photograph = image.read(PHOTOGRAPH)
    image.write(tmp_path / "a.jpg", photograph)
    again = image.read(tmp_path / "a.jpg")
    assert np.abs(again.astype(int) - photograph).mean() < 2


def test_orientation_palette_and_other_colour_models(tmp_path):
    photograph = Image.open(PHOTOGRAPH)
    exif = photograph.getexif()
    exif[0x0112] = 6  # turn a quarter to the right
    photograph.save(tmp_path / "turned.jpg", exif=exif)
    assert image.read(tmp_path / "turned.jpg").shape == (451, 300, 3)
    photograph.convert("CMYK").save(tmp_path / "cmyk.jpg")
    photograph.convert("P").save(tmp_path / "palette.png")
    photograph.convert("1").save(tmp_path / "bits.png")
    assert image.read(tmp_path / "cmyk.jpg").shape == (300, 451, 3)
    assert image.read(tmp_path / "palette.png").shape == (300, 451, 3)
    assert set(np.unique(image.read(tmp_path / "bits.png"))) == {0, 255}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_filtering_keeps_size_and_dtype_and_saturates(dtype, shape):
    array = picture(shape, dtype)
    for kernel in filter(lambda k: k.ndim == 2, map(kernels.get, kernels.names())):
        y = image.filter(array, kernel)
        assert y.dtype == dtype
        assert y.shape == shape
        exact = faltung.reference.correlate(
            array.astype(float), kernel.array.astype(float), axes=(0, 1), boundary="symmetric"
        )
        wanted = np.clip(np.rint(exact), 0, np.iinfo(dtype).max)
        # sums in float32 may round the other way where they are close to a half
        slack = 0 if kernel.array.dtype.kind == "i" else 1
        assert np.abs(y - wanted).max() <= slack


def test_alpha_is_kept(tmp_path):
    array = picture((20, 30, 4), "uint8")
    y = image.filter(array, kernels.box(5))
    np.testing.assert_array_equal(y[:, :, 3], array[:, :, 3])
    array[:, :, 3] = 255  # of an opaque picture the colours are filtered as if it had no alpha
    y = image.filter(array, kernels.box(5))
    np.testing.assert_array_equal(y[:, :, :3], image.filter(array[:, :, :3], kernels.box(5)))
    with pytest.raises(image.ImageError, match="alpha"):
        image.filter(array, kernels.edge, mode="full")


def test_pictures_have_no_dark_borders():
    flat = np.full((30, 40, 3), 200, "uint8")
    assert (image.filter(flat, kernels.gaussian5) == 200).all()


def tiff(path, array, **options):
    """Write a TIFF as other programs do, with tifffile; nothing here is faltung's."""
    pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed").imwrite(
        path, array, **options
    )


DEEP = picture((12, 17, 3), "uint16")


@pytest.mark.parametrize("options", [
    {}, {"byteorder": ">"}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 5},
    {"planarconfig": "separate"},
])  # fmt: skip
def test_deep_colours_are_never_cut_to_8_bits(tmp_path, options):
    separate = options.get("planarconfig") == "separate"
    planes = np.moveaxis(DEEP, 2, 0) if separate else DEEP
    tiff(tmp_path / "a.tif", planes, photometric="rgb", **options)
    np.testing.assert_array_equal(image.read(tmp_path / "a.tif"), DEEP)


def test_deep_colours_that_are_not_supported_are_refused(tmp_path):
    rows = " ".join(map(str, DEEP.ravel()))
    (tmp_path / "a.ppm").write_text(f"P3 17 12 65535\n{rows}\n")
    tiff(tmp_path / "cmyk.tif", np.dstack([DEEP, DEEP[:, :, 0]]), photometric="separated")
    for name in ("a.ppm", "cmyk.tif"):
        with pytest.raises(image.ImageError, match="16 bits per colour is not supported"):
            image.read(tmp_path / name)


def test_deep_colours_of_a_ppm(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6 17 12 65535\n" + DEEP.astype(">u2").tobytes())
    np.testing.assert_array_equal(image.read(tmp_path / "a.ppm"), DEEP)
    tenth = DEEP >> 6  # of 10 bits, as cameras write them
    (tmp_path / "b.ppm").write_bytes(b"P6 17 12 1023\n" + tenth.astype(">u2").tobytes())
    np.testing.assert_array_equal(
        image.read(tmp_path / "b.ppm"), np.rint(tenth * (65535 / 1023)).astype("uint16")
    )
    (tmp_path / "c.ppm").write_bytes(b"P6 17 12 65535\n" + DEEP.astype(">u2").tobytes()[:-1])
    with pytest.raises(image.ImageError, match="end too early"):
        image.read(tmp_path / "c.ppm")


def test_formats_that_pillow_would_cut_or_hand_to_other_programs_stay_closed(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(image.ImageError, match="use PNG, JPEG"):
        image.read(tmp_path / "a.png")


def test_grey_of_16_bits_from_other_programs(tmp_path):
    grey = DEEP[:, :, 0]
    (tmp_path / "a.pgm").write_bytes(b"P5 17 12 65535\n" + grey.astype(">u2").tobytes())
    tiff(tmp_path / "big-endian.tif", grey, byteorder=">")
    tiff(tmp_path / "white-is-zero.tif", 65535 - grey, photometric="miniswhite")
    for name in ("a.pgm", "big-endian.tif", "white-is-zero.tif"):
        again = image.read(tmp_path / name)
        assert again.dtype == np.uint16
        np.testing.assert_array_equal(again, grey)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_the_same_for_8_and_16_bits(tmp_path, orientation):
    tag = (274, "H", 1, orientation, True)
    tiff(tmp_path / "8.tif", (DEEP >> 8).astype("uint8"), photometric="rgb", extratags=[tag])
    tiff(tmp_path / "16.tif", DEEP, photometric="rgb", extratags=[tag])
    shallow, deep = image.read(tmp_path / "8.tif"), image.read(tmp_path / "16.tif")
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep >> 8, shallow)


def test_of_several_pictures_the_first_is_read_with_a_warning(tmp_path):
    first, second = Image.new("L", (4, 3), 10), Image.new("L", (4, 3), 20)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    for name in ("a.gif", "a.tif"):
        with pytest.warns(UserWarning, match="only the first"):
            assert (image.read(tmp_path / name) == 10).all()


def test_byte_swapped_pictures(tmp_path):
    grey = DEEP[:, :, 0]
    image.write(tmp_path / "a.png", grey.astype(">u2"))
    np.testing.assert_array_equal(image.read(tmp_path / "a.png"), grey)
    np.testing.assert_array_equal(
        image.filter(grey.astype(">u2"), kernels.edge), image.filter(grey, kernels.edge)
    )


def test_what_a_link_points_to_is_replaced_not_the_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "folder" / "real.png")
    image.write(tmp_path / "link.png", np.full((2, 3), 7, "uint8"))
    assert (tmp_path / "link.png").is_symlink()
    assert (image.read(tmp_path / "folder" / "real.png") == 7).all()


def encoded(kind, mode="RGB"):
    buffer = io.BytesIO()
    Image.open(PHOTOGRAPH).convert(mode).resize((60, 40)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM"])
def test_broken_files_are_errors_or_pictures_and_never_anything_else(tmp_path, kind):
    content = encoded(kind)
    rng = np.random.default_rng(0)
    path = tmp_path / "a.img"
    variants = [content[: int(len(content) * part)] for part in (0, 0.01, 0.1, 0.5, 0.9)]
    for _ in range(60):
        broken = bytearray(content)
        for place in rng.integers(0, len(broken), 5):
            broken[place] ^= 1 << int(rng.integers(8))
        variants.append(bytes(broken))
    errors = []
    for variant in variants:
        path.write_bytes(variant)
        try:
            array = image.read(path)
        except image.ImageError as error:
            errors.append(str(error))
        else:
            assert array.dtype in (np.uint8, np.uint16)
    assert len(errors) >= 3
    assert not any("\n" in error for error in errors)


def test_a_header_that_promises_too_much(tmp_path):
    path = tmp_path / "bomb.pgm"
    path.write_bytes(b"P5 100000 100000 255\n" + b"\0" * 100)
    with pytest.raises(image.ImageError, match="pixels"):
        image.read(path)


def test_what_is_no_picture(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, words in (
        ("text.png", "no picture"),
        ("empty.png", "no picture"),
        ("none.png", "no such file"),
        ("", "no regular file"),
        ("a" * 300 + ".png", "too long"),
    ):
        with pytest.raises(image.ImageError, match=words):
            image.read(tmp_path / name)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(image.ImageError, match="no regular file"):
            image.read(tmp_path / "pipe")
    tiff(tmp_path / "long.tiff", np.zeros((3, 3), np.int64))
    with pytest.raises(image.ImageError, match="int64"):
        image.read(tmp_path / "long.tiff")


@pytest.mark.parametrize(("name", "array", "words"), [
    ("a.xyz", np.zeros((2, 2), "uint8"), "ending"),
    ("a", np.zeros((2, 2), "uint8"), "ending"),
    ("a.jpg", np.zeros((2, 2), "uint16"), "8 bits per colour"),
    ("a.jpg", np.zeros((2, 2, 4), "uint8"), "no alpha"),
    ("a.png", np.zeros((2, 2)), "no picture of 8 or 16 bits"),
    ("a.png", np.zeros(4, "uint8"), "no picture of 8 or 16 bits"),
    ("a.png", np.zeros((2, 2, 5), "uint8"), "no picture of 8 or 16 bits"),
    ("a.png", np.zeros((0, 2), "uint8"), "no pixels"),
    ("a.jpg", np.zeros((2, 2), "float32"), "write a .tiff"),
    ("a.tif", np.zeros((2, 2), "int64"), "no picture of 8 or 16 bits"),
    ("a.webp", np.zeros((1, 20000, 3), "uint8"), "cannot be written"),
    ("a" * 300 + ".png", np.zeros((2, 2), "uint8"), "too long"),
    ("a\0.png", np.zeros((2, 2), "uint8"), "null byte"),
    ("none/a.png", np.zeros((2, 2), "uint8"), "no directory"),
    ("folder.png", np.zeros((2, 2), "uint8"), "directory"),
])  # fmt: skip
def test_targets_that_cannot_be_written(tmp_path, name, array, words):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(image.ImageError, match=words) as raised:
        image.write(tmp_path / name, array)
    assert "\n" not in str(raised.value)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(self, file, kind, **options):
        file.write(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(image.ImageError, match="No space left"):
        image.write(path, np.zeros((2, 2), "uint8"))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_full_disk(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        with pytest.raises(image.ImageError, match="No space left"):
            image.write(tmp_path / "a.bmp", picture((500, 500, 3), "uint8"))
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_deep_colours_without_the_extra_name_it(tmp_path, monkeypatch):
    pytest.importorskip("imagecodecs", reason="the extra faltung[deep] is not installed")
    array = picture((5, 6, 3), "uint16")
    image.write(tmp_path / "a.png", array)

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(image.formats, "import_module", missing)
    with pytest.raises(image.ImageError, match=r"faltung\[deep\]"):
        image.read(tmp_path / "a.png")
    with pytest.raises(image.ImageError, match=r"faltung\[deep\]"):
        image.write(tmp_path / "b.png", array)


def test_a_contact_sheet_shows_every_picture():
    colours = [np.full((20, 30), shade, "uint8") for shade in (10, 120, 240)]
    sheet = image.contact_sheet([(str(n), "", c) for n, c in enumerate(colours)], columns=2)
    assert sheet.dtype == np.uint8
    for shade in (10, 120, 240):
        assert (sheet == shade).all(axis=2).sum() > 50_000
    with pytest.raises(image.ImageError, match="at least one"):
        image.contact_sheet([])
    with pytest.raises(image.ImageError, match="uint8"):
        image.contact_sheet([("deep", "", DEEP)])
