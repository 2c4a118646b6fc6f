"""Files: every pixel type, frames and pages, and what stands beside the pixels, come back."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from faltung import image
from faltung.demo import PHOTOGRAPH

RNG = np.random.default_rng(4)


def numbers(shape, dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(0, 1e3, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


DEEP = ("uint16", "uint32", "int16", "int32", "float32", "float64")


@pytest.mark.parametrize("dtype", ["uint8", *DEEP])
@pytest.mark.parametrize("shape", [(12, 17), (12, 17, 2), (12, 17, 3), (12, 17, 4), (1, 1), (1, 9)])
def test_a_tiff_holds_every_pixel_type(tmp_path, dtype, shape):
    pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    array = numbers(shape, dtype)
    image.write(tmp_path / "a.tif", array)
    again = image.read(tmp_path / "a.tif")
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("shape", "ending"), [
    ((12, 17), ".pgm"), ((12, 17), ".pnm"), ((12, 17, 3), ".ppm"), ((12, 17, 3), ".pnm"),
])  # fmt: skip
def test_pnm_of_both_depths(tmp_path, dtype, shape, ending):
    array = numbers(shape, dtype)
    image.write(tmp_path / f"a{ending}", array)
    np.testing.assert_array_equal(image.read(tmp_path / f"a{ending}"), array)


@pytest.mark.parametrize("options", [
    {"tile": (16, 16)}, {"compression": "zlib"}, {"compression": "lzw"}, {"byteorder": ">"},
    {"bigtiff": True}, {"rowsperstrip": 3}, {"planarconfig": "separate"}, {"predictor": True,
    "compression": "zlib"},
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int16", "uint32"])
def test_tiffs_of_other_programs(tmp_path, dtype, options):
    tifffile = pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    for shape, photometric in (((40, 37), "minisblack"), ((40, 37, 3), "rgb")):
        array = numbers(shape, dtype)
        if "planarconfig" in options and len(shape) == 2:
            continue
        if "predictor" in options and dtype == "float32":
            continue
        laid = np.moveaxis(array, 2, 0) if "planarconfig" in options else array
        tifffile.imwrite(tmp_path / "a.tif", laid, photometric=photometric, **options)
        again = image.read(tmp_path / "a.tif")
        assert again.dtype == dtype
        np.testing.assert_array_equal(again, array)


def test_narrow_numbers_become_wider_ones_of_the_same_value(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    for narrow, wide in (("int8", "int16"), ("float16", "float32")):
        array = numbers((5, 6), narrow)
        tifffile.imwrite(tmp_path / "a.tif", array)
        again = image.read(tmp_path / "a.tif")
        assert again.dtype == wide
        np.testing.assert_array_equal(again, array.astype(wide))


def test_deep_colours_multiplied_with_their_alpha_are_taken_apart(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    array = np.array([[[10000, 20000, 0, 40000], [0, 0, 0, 0]]], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["assocalpha"])
    wanted = [[[round(10000 * 65535 / 40000), round(20000 * 65535 / 40000), 0, 40000], [0] * 4]]
    assert image.read(tmp_path / "a.tif").tolist() == wanted


def test_a_palette_of_8_bit_numbers_in_a_tiff_is_not_black(tmp_path):
    picture = Image.new("P", (4, 3), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50] + [0] * 762)
    picture.save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as opened:
        place = opened.tag_v2._tagdata[320]
    content = (tmp_path / "a.tif").read_bytes()
    assert content.count(place) == 1
    narrow = b"".join(struct.pack("<H", n >> 8) for (n,) in struct.iter_unpack("<H", place))
    (tmp_path / "b.tif").write_bytes(content.replace(place, narrow))
    for name in ("a.tif", "b.tif"):
        loaded = image.load(tmp_path / name)
        assert loaded.frames[0][0, 0].tolist() == [200, 100, 50]
        assert loaded.notes == ("a palette became RGB",)


# ---- what stands beside the pixels -----------------------------------------------------------

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photograph(mode="RGB", size=(64, 40)):
    with Image.open(PHOTOGRAPH) as opened:
        return opened.convert(mode).resize(size)


def exif(orientation=1):
    data = Image.Exif()
    data[274] = orientation
    data[271] = "a maker"
    data[306] = "2024:05:06 07:08:09"
    data[34665] = {37386: 35.0}  # focal length
    return data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_profile_resolution_and_exif_are_kept(tmp_path, kind):
    source, target = tmp_path / f"a.{kind.lower()}", tmp_path / f"b.{kind.lower()}"
    photograph().save(source, icc_profile=ICC, dpi=(300, 150), exif=exif(6).tobytes())
    picture = image.load(source)
    assert picture.frames[0].shape == (64, 40, 3)  # turned
    assert image.save(target, picture) == ()
    assert image.load(target).metadata.dpi != (1, 1)  # Pillow's word for none
    with Image.open(target) as again:
        assert again.info["icc_profile"] == ICC
        found = again.getexif()
        assert found.get(274, 1) == 1  # upright, once
        assert found[271] == "a maker"
        assert found[306] == "2024:05:06 07:08:09"
        assert found.get_ifd(34665)[37386] == 35
        if kind != "WEBP":
            assert [round(float(n)) for n in again.info["dpi"]] == [150, 300]  # turned with it
    np.testing.assert_array_equal(image.load(target).frames[0].shape, picture.frames[0].shape)


def test_deep_pictures_keep_profile_and_resolution(tmp_path):
    pytest.importorskip("imagecodecs", reason="the extra faltung[deep] is not installed")
    data = exif(3).tobytes()
    metadata = image.Metadata(icc=ICC, dpi=(300.0, 150.0), exif=data)
    array = numbers((5, 6, 3), "uint16")
    for name in ("a.png", "a.tif"):
        image.save(tmp_path / name, image.Picture((array,), metadata=metadata))
        again = image.load(tmp_path / name)
        np.testing.assert_array_equal(again.frames[0][::-1, ::-1] if name == "a.png" else
                                      again.frames[0], array)  # fmt: skip
        assert again.metadata.icc == ICC
        assert again.metadata.dpi == pytest.approx((300, 150), rel=1e-3)
        if name == "a.png":
            assert b"a maker" in again.metadata.exif


def test_bmp_keeps_the_resolution_and_says_what_it_has_no_place_for(tmp_path):
    photograph().save(tmp_path / "a.png", icc_profile=ICC, dpi=(300, 300))
    notes = image.save(tmp_path / "a.bmp", image.load(tmp_path / "a.png"))
    assert notes == ("BMP has no place for colour profile and EXIF",)
    assert image.load(tmp_path / "a.bmp").metadata.dpi == pytest.approx((300, 300), rel=1e-3)


def test_exif_keeps_every_byte_but_the_orientation():
    from faltung.image.exif import upright

    data = exif(8).tobytes() + b"the maker's own bytes"
    again = upright(data)
    assert len(again) == len(data)
    assert sum(a != b for a, b in zip(again, data, strict=True)) == 1
    parsed = Image.Exif()
    parsed.load(again)
    assert parsed[274] == 1


def exif_with_thumbnail(order, last):
    """EXIF of 640 x 427 pixels, turned, with a thumbnail that is or is not the last in it."""

    def entries(link, *given):
        rows = b"".join(struct.pack(f"{order}HHII" if t[1] == 4 else f"{order}HHIHxx", *t)
                        for t in given)  # fmt: skip
        return struct.pack(f"{order}H", len(given)) + rows + struct.pack(f"{order}I", link)

    # each directory's length is 6 and 12 for each entry
    start = b"II*\0" if order == "<" else b"MM\0*"
    main = entries(8 + 54 + 30, (256, 4, 1, 640), (257, 3, 1, 427), (274, 3, 1, 6),
                   (34665, 4, 1, 8 + 54))  # fmt: skip
    details = entries(0, (0xA002, 4, 1, 640), (0xA003, 4, 1, 427))
    preview = entries(0, (513, 4, 1, 8 + 54 + 30 + 30), (514, 4, 1, 9))
    after = b"" if last else b"a note"
    return (
        b"Exif\0\0"
        + start
        + struct.pack(f"{order}I", 8)
        + main
        + details
        + preview
        + (b"THUMBNAIL" + after)
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_exif_describes_the_result(tmp_path, order, last, kind):
    source, target = tmp_path / "a.jpg", tmp_path / f"b.{kind}"
    data = exif_with_thumbnail(order, last)
    photograph(size=(48, 32)).save(source, exif=data)
    picture = image.load(source)
    assert b"THUMBNAIL" not in picture.metadata.exif
    assert picture.metadata.exif.endswith(b"a note") != last
    image.save(target, picture)
    assert b"THUMBNAIL" not in target.read_bytes()
    with Image.open(target) as again:
        found = again.getexif()
        assert again.size == (32, 48)
        assert found.get_ifd(0x8769)[0xA002] == 32
        assert found.get_ifd(0x8769)[0xA003] == 48
        assert (found[256], found[257]) == (32, 48)
        assert found.get(274, 1) == 1
        assert not found.get_ifd(1)


def test_sizes_beyond_16_bits_and_thumbnails_that_lie():
    from faltung.image.exif import sized, upright

    data = exif_with_thumbnail("<", True)
    parsed = Image.Exif()
    parsed.load(sized(data, 100_000, 3))
    assert (parsed[256], parsed[257]) == (100_000, 3)
    for place in (0, 10, 1 << 31):  # over the header, over the entries, beyond the end
        lies = data.replace(struct.pack("<I", 8 + 54 + 30 + 30), struct.pack("<I", place))
        cleaned = upright(lies)
        assert cleaned is None if place < 1 << 31 else cleaned.endswith(b"THUMBNAIL")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations(tmp_path, kind, orientation):
    upright = np.zeros((48, 32, 3), np.uint8)  # blocks of 16: a JPEG keeps each as it is
    upright[:16, :16] = [255, 0, 0]
    upright[:16, 16:] = [0, 255, 0]
    upright[32:, :16] = [0, 0, 255]
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: upright.swapaxes(0, 1)[::-1],
        7: upright.swapaxes(0, 1)[::-1, ::-1], 8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]  # fmt: skip
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    path = tmp_path / "a.img"
    Image.fromarray(np.ascontiguousarray(stored)).save(
        path, kind, exif=exif(orientation).tobytes(), **options
    )
    again = image.read(path)
    assert again.shape == upright.shape
    assert np.abs(again.astype(int) - upright).max() <= 3


@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "PA", "LAB"])
def test_other_colour_models_are_said_and_become_grey_or_rgb(tmp_path, mode):
    kind = {"CMYK": "TIFF", "LAB": "TIFF", "PA": "PNG"}.get(mode, "PNG")
    path = tmp_path / "a.img"
    if mode == "LAB":
        Image.new("LAB", (8, 6)).save(path, kind)
    elif mode == "PA":
        picture = photograph("P")
        picture.save(path, kind, transparency=0)
    else:
        photograph(mode).save(path, kind)
    loaded = image.load(path)
    assert loaded.frames[0].ndim == (2 if mode == "1" else 3)
    assert len(loaded.notes) == 1
    assert "became" in loaded.notes[0]


def test_a_profile_for_other_colours_is_left_out(tmp_path):
    metadata = image.Metadata(icc=ICC)
    grey = image.Picture((np.zeros((3, 4), np.uint8),), metadata=metadata)
    assert image.save(tmp_path / "a.png", grey) == (
        "its colour profile is for RGB, the result is grey: it was left out",
    )


def test_a_jpeg_keeps_its_subsampling(tmp_path):
    for subsampling in (0, 1, 2):
        photograph().save(tmp_path / "a.jpg", subsampling=subsampling, quality=90)
        image.save(tmp_path / "b.jpg", image.load(tmp_path / "a.jpg"))
        assert image.load(tmp_path / "b.jpg").metadata.subsampling == subsampling
    small = image.encode(image.load(tmp_path / "a.jpg"), "JPEG", quality=20)[0]
    assert len(small) < 0.5 * len(image.encode(image.load(tmp_path / "a.jpg"), "JPEG")[0])


# ---- frames and pages ------------------------------------------------------------------------


def shades(mode="RGB", size=(16, 12)):
    return [Image.new(mode, size, shade) for shade in
            [(250, 0, 0), (0, 200, 0), (0, 0, 150)]]  # fmt: skip


@pytest.mark.parametrize(("kind", "target"), [
    ("GIF", ".webp"), ("GIF", ".png"), ("WEBP", ".webp"), ("WEBP", ".png"), ("PNG", ".png"),
    ("PNG", ".webp"),
])  # fmt: skip
def test_animations_keep_frames_and_durations(tmp_path, kind, target):
    first, *rest = shades()
    options = {"lossless": True} if kind == "WEBP" else {}
    first.save(tmp_path / "a.img", kind, save_all=True, append_images=rest,
               duration=[100, 250, 400], loop=3, **options)  # fmt: skip
    picture = image.load(tmp_path / "a.img")
    assert picture.animated
    assert picture.durations == (100, 250, 400)
    assert image.save(tmp_path / f"b{target}", picture) == ()
    again = image.load(tmp_path / f"b{target}")
    assert again.durations == picture.durations
    assert again.loop == picture.loop
    for frame, shade in zip(again.frames, ([250, 0, 0], [0, 200, 0], [0, 0, 150]), strict=True):
        assert (frame[:, :, :3] == shade).all()


def test_pages_of_different_sizes_and_types(tmp_path):
    pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    for types in (["uint8"] * 3, ["uint8", "uint16", "float32"], DEEP):
        pages = tuple(
            numbers((5 + n, 9, 3) if n % 2 else (5 + n, 9), dtype) for n, dtype in enumerate(types)
        )
        assert image.save(tmp_path / "a.tif", image.Picture(pages)) == ()
        again = image.load(tmp_path / "a.tif")
        assert not again.animated
        assert len(again.frames) == len(pages)
        for page, found in zip(pages, again.frames, strict=True):
            assert found.dtype == page.dtype
            np.testing.assert_array_equal(found, page)


def test_formats_for_one_picture_take_the_first_and_say_so(tmp_path):
    frames = tuple(np.full((4, 5, 3), shade, np.uint8) for shade in (10, 20))
    picture = image.Picture(frames, durations=(10.0, 20.0))
    for name in ("a.jpg", "a.bmp", "a.ppm"):
        (note,) = image.save(tmp_path / name, picture)
        assert "of 2 frames the first was written" in note
        assert np.abs(image.read(tmp_path / name).astype(int) - 10).max() <= 1
    assert image.save(tmp_path / "a.tif", picture) == (
        "TIFF holds no durations: the frames became pages",
    )


def test_a_still_picture_beside_an_animation_is_no_frame(tmp_path):
    still, *rest = shades()
    still.save(tmp_path / "a.png", save_all=True, append_images=rest, default_image=True,
               duration=[100, 200])  # fmt: skip
    picture = image.load(tmp_path / "a.png")
    assert [frame[0, 0].tolist() for frame in picture.frames] == [[0, 200, 0], [0, 0, 150]]
    assert "still picture" in picture.notes[0]


def test_bytes_and_sizes(tmp_path):
    content, notes = image.encode(image.Picture((numbers((7, 9, 3), "uint8"),)), "PNG")
    assert notes == ()
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(image.loads(bytes(content)).frames[0],
                                  image.read(tmp_path / "a.png"))  # fmt: skip
    assert image.size(tmp_path / "a.png") == (9, 7, 1)
    with pytest.raises(image.ImageError, match="the data: this is no picture"):
        image.loads(b"no picture")


def test_the_limit_on_pixels_holds_for_all_frames_together_and_can_be_raised(tmp_path):
    first, *rest = shades()
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    pixels = 3 * 16 * 12
    assert len(image.load(tmp_path / "a.gif", max_pixels=pixels).frames) == 3
    with pytest.raises(image.ImageError, match="576 pixels in its frames are more than the limit"):
        image.load(tmp_path / "a.gif", max_pixels=pixels - 1)
    header = b"P5 20000 10000 255\n"  # more than Pillow would take
    (tmp_path / "a.pgm").write_bytes(header + bytes(200_000_000))
    with pytest.raises(image.ImageError, match="pixels are more than the limit"):
        image.load(tmp_path / "a.pgm")
    before = Image.MAX_IMAGE_PIXELS
    assert image.load(tmp_path / "a.pgm", max_pixels=200_000_000).frames[0].shape == (10000, 20000)
    assert before == Image.MAX_IMAGE_PIXELS


def test_reading_from_several_threads_leaves_the_filters_of_warnings_alone(tmp_path):
    import threading
    import warnings

    before = list(warnings.filters)
    content = io.BytesIO()
    photograph("P").save(content, "PNG")
    threads = [threading.Thread(target=lambda: [image.loads(content.getvalue()) for _ in range(9)])
               for _ in range(4)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_both_ways_to_a_jpeg_give_the_same_bits(tmp_path, monkeypatch, subsampling, mode):
    pytest.importorskip("imagecodecs", reason="the extra faltung[deep] is not installed")
    icc = ICC * 30 if mode == "RGB" else None  # more than a segment holds
    options = {"subsampling": subsampling} if mode == "RGB" else {}
    if icc:
        options["icc_profile"] = icc
    photograph(mode, (301, 203)).save(
        tmp_path / "a.jpg", quality=90, dpi=(300, 150), exif=exif(6), **options
    )
    found = {}
    for way in ("imagecodecs", "Pillow"):
        if way == "Pillow":
            monkeypatch.setattr(image.reading.jpeg, "codecs", lambda: None)
        picture = image.load(tmp_path / "a.jpg")
        image.save(tmp_path / f"{way}.jpg", picture, quality=85)
        found[way] = picture, image.load(tmp_path / f"{way}.jpg")
    for one, other in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(one.frames[0], other.frames[0])
        assert one.metadata == other.metadata
    written = found["Pillow"][1].metadata
    assert written.icc == icc
    assert written.dpi == (150, 300)
    assert b"a maker" in written.exif


def test_a_jpeg_that_ends_too_early_is_left_to_pillow(tmp_path):
    photograph(size=(301, 203)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    for cut in (len(content) // 2, len(content) - 2):
        (tmp_path / "b.jpg").write_bytes(content[:cut])
        with pytest.raises(image.ImageError, match="truncated"):
            image.read(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").write_bytes(content + b"what a camera puts behind")
    np.testing.assert_array_equal(image.read(tmp_path / "b.jpg"), image.read(tmp_path / "a.jpg"))
