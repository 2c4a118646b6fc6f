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
    for name in kernels.names():
        kernel = kernels.get(name)
        y = image.filter(array, kernel)
        assert y.dtype == dtype
        assert y.shape == shape
        exact = faltung.reference.correlate(
            array.astype(float), kernel.array.astype(float), axes=(0, 1), boundary="symmetric"
        )
        wanted = np.clip(np.rint(exact), 0, np.iinfo(dtype).max)
        # sums in float32 may round the other way where they are close to a half
        slack = 0 if kernel.divisor == 1 else 1
        assert np.abs(y - wanted).max() <= slack


def test_alpha_is_kept(tmp_path):
    array = picture((20, 30, 4), "uint8")
    y = image.filter(array, kernels.box(5))
    np.testing.assert_array_equal(y[:, :, 3], array[:, :, 3])
    np.testing.assert_array_equal(y[:, :, :3], image.filter(array[:, :, :3], kernels.box(5)))
    with pytest.raises(image.ImageError, match="alpha"):
        image.filter(array, kernels.edge, mode="full")


def test_pictures_have_no_dark_borders():
    flat = np.full((30, 40, 3), 200, "uint8")
    assert (image.filter(flat, kernels.gaussian5) == 200).all()


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
    ):
        with pytest.raises(image.ImageError, match=words):
            image.read(tmp_path / name)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(image.ImageError, match="no regular file"):
            image.read(tmp_path / "pipe")
    Image.fromarray(np.zeros((3, 3), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(image.ImageError, match="32 bits"):
        image.read(tmp_path / "float.tiff")


@pytest.mark.parametrize(("name", "array", "words"), [
    ("a.xyz", np.zeros((2, 2), "uint8"), "ending"),
    ("a", np.zeros((2, 2), "uint8"), "ending"),
    ("a.jpg", np.zeros((2, 2), "uint16"), "8 bits per colour"),
    ("a.jpg", np.zeros((2, 2, 4), "uint8"), "no alpha"),
    ("a.png", np.zeros((2, 2)), "no picture of 8 or 16 bits"),
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

    monkeypatch.setattr(image, "import_module", missing)
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
