"""Hostile files: each is one clear line and status 2, or a right result; never anything else.

In a test run a share of the flipped bits is tried; FALTUNG_HOSTILE=all tries 1,000 places for every
kind of file.
"""

import io
import os
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from faltung import cli, image, kernels
from faltung.demo import PHOTOGRAPH

PLACES = 1000 if os.environ.get("FALTUNG_HOSTILE") == "all" else 80
SLOWEST = 10  # seconds for a file of a few hundred bytes
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photograph(mode="RGB", size=(24, 16)):
    with Image.open(PHOTOGRAPH) as opened:
        return opened.convert(mode).resize(size)


def exif(orientation=6):
    data = Image.Exif()
    data[274] = orientation
    data[271] = "a maker"
    data[34665] = {37386: 35.0}
    return data.tobytes()


def encoded(kind, mode="RGB", **options):
    content = io.BytesIO()
    photograph(mode).save(content, kind, **options)
    return content.getvalue()


def several(kind, **options):
    content = io.BytesIO()
    first, *rest = (Image.new("RGB", (24, 16), shade) for shade in ("red", "green", "blue"))
    first.save(content, kind, save_all=True, append_images=rest, **options)
    return content.getvalue()


def tiff(dtype, shape=(16, 24, 3), **options):
    tifffile = pytest.importorskip("tifffile", reason="the extra faltung[deep] is not installed")
    content = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    photometric = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(content, values, photometric=photometric, **options)
    return content.getvalue()


def deep_png():
    if not image_extra():
        pytest.skip("the extra faltung[deep] is not installed")
    values = np.random.default_rng(0).integers(0, 65536, (16, 24, 3), np.uint16)
    return bytes(image.encode(image.Picture((values,)), "PNG")[0])


def image_extra():
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True


FILES = {
    "png": (".png", lambda: encoded("PNG", icc_profile=ICC, exif=exif(), dpi=(72, 72))),
    "png-palette": (".png", lambda: encoded("PNG", "P", transparency=3)),
    "png-grey-16": (".png", lambda: encoded("PNG", "I;16")),
    "png-deep": (".png", deep_png),
    "png-animated": (".png", lambda: several("PNG", duration=[50, 60, 70])),
    "jpeg": (".jpg", lambda: encoded("JPEG", icc_profile=ICC, exif=exif(), dpi=(72, 72))),
    "jpeg-progressive": (".jpg", lambda: encoded("JPEG", progressive=True)),
    "jpeg-cmyk": (".jpg", lambda: encoded("JPEG", "CMYK")),
    "tiff": (".tif", lambda: encoded("TIFF", icc_profile=ICC, exif=exif(), dpi=(72, 72))),
    "tiff-lzw": (".tif", lambda: encoded("TIFF", compression="tiff_lzw")),
    "tiff-palette": (".tif", lambda: encoded("TIFF", "P")),
    "tiff-pages": (".tif", lambda: several("TIFF")),
    "tiff-float": (".tif", lambda: encoded("TIFF", "F")),
    "tiff-deep": (".tif", lambda: tiff("uint16")),
    "tiff-tiled": (".tif", lambda: tiff("uint8", tile=(16, 16))),
    "tiff-double": (".tif", lambda: tiff("float64", (16, 24), compression="zlib")),
    "bmp": (".bmp", lambda: encoded("BMP")),
    "bmp-palette": (".bmp", lambda: encoded("BMP", "P")),
    "webp": (".webp", lambda: encoded("WEBP", icc_profile=ICC, exif=exif())),
    "webp-lossless": (".webp", lambda: encoded("WEBP", "RGBA", lossless=True)),
    "webp-animated": (".webp", lambda: several("WEBP", duration=[50, 60, 70])),
    "ppm": (".ppm", lambda: encoded("PPM")),
    "pgm-16": (".pgm", lambda: b"P5 24 16 65535\n" + bytes(range(256)) * 3),
    "pgm-plain": (".pgm", lambda: b"P2\n6 4\n255\n" + b" ".join(b"%d" % n for n in range(24))),
    "gif": (".gif", lambda: several("GIF", duration=[50, 60, 70])),
}


def attempt(path, capsys, *options):
    """Filter a file with the command: it is an error of one line, or a picture of one kernel."""
    target = path.with_name(f"out{'.png' if path.suffix == '.gif' else path.suffix}")
    before = sorted(p.name for p in path.parent.iterdir())
    start = time.perf_counter()
    status = cli.run(["filter", str(path), "-k", "identity", "-o", str(target), *options])
    assert time.perf_counter() - start < SLOWEST
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    errors = [line for line in lines if line.startswith("faltung: error: ")]
    assert all(line.startswith(("faltung: error: ", "faltung: note: ")) for line in lines), lines
    assert (status, len(errors)) in ((0, 0), (2, 1)), (status, printed.err)
    if status == 0:
        first, result = image.load(path), image.load(target)
        # what is right for broken bytes is what reading them gives; a JPEG changes it, and the
        # kernel's zeros spread NaN and infinity
        first, result = first.frames[0], result.frames[0]
        if path.suffix not in (".jpg", ".gif") and first.dtype.kind != "f":
            if path.suffix == ".webp" and first.shape != result.shape:  # it drops such an alpha
                assert (first[:, :, 3] == 255).all()
                first = first[:, :, :3]
            np.testing.assert_array_equal(first, result)
        target.unlink()
    assert sorted(p.name for p in path.parent.iterdir()) == before
    return errors[0].removeprefix("faltung: error: ") if errors else ""


@pytest.mark.parametrize("name", FILES)
def test_bits_flipped_at_random_places(tmp_path, capsys, name):
    ending, make = FILES[name]
    content = make()
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    assert attempt(path, capsys) == ""
    rng = np.random.default_rng(1)
    # half of them in the beginning, where a bit means most
    places = [*rng.integers(0, len(content), PLACES - PLACES // 2),
              *rng.integers(0, min(256, len(content)), PLACES // 2)]  # fmt: skip
    for place in places:
        broken = bytearray(content)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        attempt(path, capsys, "--max-pixels", "2000000")


@pytest.mark.parametrize("name", FILES)
def test_truncated_files(tmp_path, capsys, name):
    ending, make = FILES[name]
    content = make()
    path = tmp_path / f"a{ending}"
    errors = 0
    for part in (0, 0.01, 0.1, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * part)])
        errors += attempt(path, capsys) != ""
    assert errors >= 3
    if name in ("png", "jpeg", "tiff", "bmp", "webp", "ppm", "gif"):
        path.write_bytes(content[: int(len(content) * 0.7)])
        assert attempt(path, capsys) != "", "half of a picture is no picture"


def declared(kind, width, height):
    """A file that states its size, and holds next to nothing."""
    if kind == "png":
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        rows = b"IDAT" + zlib.compress(bytes(1000))
        chunks = (header, rows, b"IEND")
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
            for chunk in chunks
        )
    if kind == "ppm":
        return b"P6 %d %d 255\n" % (width, height) + bytes(100)
    content = bytearray(encoded({"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper())))
    if kind == "jpg":
        place = content.index(b"\xff\xc0") + 5
        struct.pack_into(">HH", content, place, min(height, 65535), min(width, 65535))
    if kind == "bmp":
        struct.pack_into("<ii", content, 18, width, height)
    if kind == "gif":
        struct.pack_into("<HH", content, 6, min(width, 65535), min(height, 65535))
    if kind == "tif":
        for tag, value in ((256, width), (257, height), (278, height)):
            entry = content.index(struct.pack("<HHI", tag, 4, 1))
            struct.pack_into("<I", content, entry + 8, value)
    return bytes(content)


LARGE = ["png", "jpg", "tif", "bmp", "ppm", "gif"]


@pytest.mark.parametrize("kind", LARGE)
def test_a_declared_size_of_100000_by_100000(tmp_path, capsys, kind):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(declared(kind, 100_000, 100_000))
    assert "more than the limit of 178,956,970" in attempt(path, capsys)
    small = attempt(path, capsys, "--max-pixels", "1000")
    assert "more than the limit of 1,000" in small


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as on Linux")
@pytest.mark.parametrize("kind", LARGE)
def test_memory_for_a_declared_size_is_bounded(tmp_path, kind):
    """Within a limit of memory that 10 billion pixels would break a dozen times."""
    import resource

    path = tmp_path / f"a.{kind}"
    path.write_bytes(declared(kind, 100_000, 100_000))
    limit = 3 << 30
    done = subprocess.run(
        [sys.executable, "-m", "faltung", "filter", str(path), "-k", "edge", "-o",
         str(tmp_path / "out.png")],
        capture_output=True, text=True, timeout=60, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2
    assert "more than the limit" in done.stderr


@pytest.mark.parametrize("kind", LARGE)
def test_sizes_of_nothing(tmp_path, capsys, kind):
    path = tmp_path / f"a.{kind}"
    for width, height in ((0, 0), (0, 16), (24, 0)):
        path.write_bytes(declared(kind, width, height))
        assert attempt(path, capsys) or kind == "gif"  # its frames may be larger than its screen


def test_one_pixel(tmp_path, capsys):
    for ending in (".png", ".jpg", ".tif", ".bmp", ".webp", ".ppm"):
        for kernel in ("edge", "gaussian:5", "box:99", "[[1,2,3,4]]/10"):
            path = tmp_path / f"a{ending}"
            image.write(path, np.full((1, 1, 3), 77, np.uint8))
            out = tmp_path / f"b{ending}"
            assert cli.run(["filter", str(path), "-k", kernel, "-o", str(out)]) == 0
            wanted = 0 if kernel == "edge" else 77  # it goes on symmetrically for ever
            assert np.abs(image.read(out).astype(int) - wanted).max() <= (2 * (ending == ".jpg"))
            assert cli.run(["edges", str(path), "-o", str(out), "--format", "png"]) == 2
    capsys.readouterr()


def test_a_wrong_ending_is_read_by_content_and_written_by_name(tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(encoded("JPEG"))
    (tmp_path / "b.jpg").write_bytes(encoded("PNG"))
    for name in ("a.png", "b.jpg"):
        assert attempt(tmp_path / name, capsys) == ""
    (tmp_path / "c.png").write_bytes(b"%PDF-1.7")
    assert "no picture that can be read" in attempt(tmp_path / "c.png", capsys)


def test_nan_and_infinity_in_a_float_tiff(tmp_path, capsys):
    values = np.ones((9, 9), np.float32)
    values[2, 2], values[6, 6], values[6, 2] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    arguments = ["filter", str(tmp_path / "a.tif"), "-k", "gaussian3", "-o"]
    assert cli.run([*arguments, str(tmp_path / "b.tif")]) == 0
    found = image.read(tmp_path / "b.tif")
    np.testing.assert_array_equal(found, image.filter(values, kernels.gaussian3))
    assert np.isnan(found[1:4, 1:4]).all()
    assert (found[5:8, 5:8] == np.inf).all()
    assert (found[5:8, 1:4] == -np.inf).all()
    capsys.readouterr()
    assert cli.run([*arguments, str(tmp_path / "b.png")]) == 2
    assert "write a .tiff" in capsys.readouterr().err
    for signed in image.SIGNED:
        assert cli.run([*arguments, str(tmp_path / "b.tif"), "--signed", signed]) == 0
    sheet = ["compare", str(tmp_path / "a.tif"), "-k", "edge", "-o", str(tmp_path / "s.png")]
    assert cli.run(sheet) == 0


def chunked(header, *chunks):
    parts = (b"IHDR" + header, *chunks, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in parts
    )


def test_oddities_of_palettes(tmp_path, capsys):
    size = struct.pack(">II", 4, 2)
    rows = b"IDAT" + zlib.compress((b"\0" + bytes([0, 1, 2, 3])) * 2)
    palette = b"PLTE" + bytes([10, 20, 30, 40, 50, 60])
    odd = {
        "16 bits": (size + bytes([16, 3, 0, 0, 0]), palette, rows),
        "no palette": (size + bytes([8, 3, 0, 0, 0]), rows),
        "too short": (size + bytes([8, 3, 0, 0, 0]), palette, rows),
        "not of threes": (size + bytes([8, 3, 0, 0, 0]), palette[:-1], rows),
        "too long": (size + bytes([8, 3, 0, 0, 0]), b"PLTE" + bytes(3 * 300), rows),
        "too transparent": (size + bytes([8, 3, 0, 0, 0]), palette, b"tRNS" + bytes(300), rows),
    }
    path = tmp_path / "a.png"
    for name, parts in odd.items():
        path.write_bytes(chunked(*parts))
        error = attempt(path, capsys)
        if name == "too short":  # what has no colour is black
            assert image.read(path)[0].tolist() == [[10, 20, 30], [40, 50, 60], [0] * 3, [0] * 3]
        if name == "16 bits":
            assert error


def test_exif_that_lies(tmp_path, capsys):
    def entries(*given):
        body = struct.pack("<H", len(given)) + b"".join(struct.pack("<HHII", *e) for e in given)
        return b"Exif\0\0II*\0" + struct.pack("<I", 8) + body + bytes(4)

    lies = {
        "orientation 0": entries((274, 3, 1, 0)),
        "orientation 9": entries((274, 3, 1, 9)),
        "orientation 65535": entries((274, 3, 1, 65535)),
        "orientation of many": entries((274, 3, 1 << 30, 6)),
        "orientation of text": entries((274, 2, 1, 6)),
        "an endless circle": entries((34665, 4, 1, 8)),
        "far away": entries((271, 2, 100, 1 << 31)),
        "more entries than there are": b"Exif\0\0II*\0" + struct.pack("<IH", 8, 60000),
        "a start far away": b"Exif\0\0II*\0" + struct.pack("<I", 1 << 31),
        "nothing": b"Exif\0\0",
        "no EXIF": b"Exif\0\0no EXIF at all",
    }
    plain = image.loads(encoded("JPEG")).frames[0]
    for name, data in lies.items():
        for kind, ending in (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")):
            path = tmp_path / f"a{ending}"
            path.write_bytes(encoded(kind, exif=data))
            assert attempt(path, capsys) == "", name
            if kind == "JPEG":
                shape = image.read(path).shape
                assert shape in (plain.shape, (24, 16, 3)), name
                if "orientation of" not in name:
                    np.testing.assert_array_equal(image.read(path), plain)


def test_what_is_no_file(tmp_path, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    places = {"none.png": "no such file"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
        places["pipe.png"] = "no regular file"
    if os.path.exists("/dev/zero"):
        places["/dev/zero"] = "no regular file"
    (folder / "loop.png").symlink_to(folder / "loop.png")
    places["loop.png"] = "loop.png"
    for name, words in places.items():
        path = os.path.join(folder, name)
        assert cli.run(["filter", path, "-k", "edge", "-o", str(folder / "out.png")]) == 2
        printed = capsys.readouterr().err
        assert words in printed
        assert printed.count("\n") == 1
    assert cli.run(["filter", str(folder), "-k", "edge", "-o", str(tmp_path / "out")]) == 2
    assert "there are no pictures" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_what_may_not_be_read_or_written(tmp_path):
    """As another user: permissions do not bind root."""
    folder = tmp_path / "folder"
    folder.mkdir()
    image.write(folder / "a.png", np.zeros((4, 5), np.uint8))
    (folder / "secret.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "secret.png").chmod(0)
    (folder / "closed").mkdir()
    (folder / "closed").chmod(0o555)
    script = (
        "import os, sys, numpy\n"
        "from faltung import cli, image, kernels\n"
        "from faltung.cli import batch\n"
        "os.chdir(sys.argv[1])\n"
        # what is loaded when it is first used may be out of the other user's reach
        "image.filter(image.read('a.png'), kernels.edge)\n"
        "image.load('a.png')\n"
        "import difflib, PIL.TiffImagePlugin, PIL.WebPImagePlugin\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "a = cli.run(['filter', 'secret.png', '-k', 'edge', '-o', 'b.png'])\n"
        "b = cli.run(['filter', 'a.png', '-k', 'edge', '-o', 'closed/b.png'])\n"
        "print(a, b)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True,
                          text=True, timeout=60)  # fmt: skip
    assert done.stdout == "2 2\n", done.stderr
    first, second = done.stderr.splitlines()
    assert "secret.png: Permission denied" in first
    assert "closed/b.png: cannot be written (Permission denied)" in second
    assert list((folder / "closed").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of files as on Linux")
def test_a_file_that_cannot_grow(tmp_path):
    """As on a full disk, wherever no small file system can be mounted."""
    import resource

    rng = np.random.default_rng(0)
    image.write(tmp_path / "a.png", rng.integers(0, 256, (200, 200, 3), np.uint8))
    for ending in (".png", ".tif", ".bmp", ".jpg", ".webp"):
        done = subprocess.run(
            [sys.executable, "-m", "faltung", "filter", str(tmp_path / "a.png"), "-k", "sharpen",
             "-o", str(tmp_path / f"out{ending}")],
            capture_output=True, text=True, timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "cannot be written (File too large)" in done.stderr
        assert done.stderr.count("\n") == 1
        assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_full_disk_in_the_middle_of_a_folder(tmp_path, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        rng = np.random.default_rng(0)
        (tmp_path / "in").mkdir()
        for number in range(5):
            array = rng.integers(0, 256, (200, 200, 3), np.uint8)
            image.write(tmp_path / "in" / f"{number}.bmp", array)
        arguments = ["filter", str(tmp_path / "in"), "-k", "sharpen", "-o", f"{disk}/out"]
        assert cli.run(arguments) == 1
        printed = capsys.readouterr()
        assert "3 pictures written" in printed.out
        assert printed.err.count("No space left on device") == 2
        assert len(list((disk / "out").iterdir())) == 3
        for path in (disk / "out").iterdir():
            wanted = image.filter(image.read(tmp_path / "in" / path.name), kernels.sharpen)
            np.testing.assert_array_equal(image.read(path), wanted)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
