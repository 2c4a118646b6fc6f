"""What the command line says of pictures, refuses, and converts where it is asked to."""

import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from faltung import cli, image, kernels
from faltung.cli import show
from faltung.demo import PHOTOGRAPH

RNG = np.random.default_rng(44)


def numbers(shape, dtype="uint8"):
    if np.dtype(dtype).kind == "f":
        return RNG.random(shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.fixture
def place(tmp_path):
    """Return a folder with one picture of each kind."""
    image.write(tmp_path / "rgb.png", numbers((12, 15, 3)))
    image.write(tmp_path / "clear.png", numbers((12, 15, 4)))
    image.write(tmp_path / "deep.png", numbers((12, 15), "uint16"))
    image.write(tmp_path / "float.tif", numbers((12, 15), "float32"))
    moving = [Image.fromarray(numbers((12, 15))) for _ in range(3)]
    moving[0].save(tmp_path / "a.gif", save_all=True, append_images=moving[1:], duration=50)
    return tmp_path


def run(*arguments):
    return cli.run([str(argument) for argument in arguments])


# ---- conversions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "options"),
    [
        ("deep.png", "a.jpg", ["--depth", "8"]),
        ("deep.png", "b.png", ["--depth", "8"]),
        ("rgb.png", "a.tif", ["--depth", "float"]),
        ("float.tif", "c.png", ["--depth", "16"]),
        ("clear.png", "d.jpg", ["--background", "white"]),
        ("clear.png", "e.bmp", ["--background", "#ff8000", "--linear"]),
        ("clear.png", "f.webp", ["--quality", "30"]),
    ],
)
@pytest.mark.parametrize("command", ["filter", "edges"])
def test_depth_background_and_quality(place, command, source, target, options):
    kernel = ["-k", "sobel.x"] if command == "filter" else []
    assert run(command, place / source, *kernel, "-o", place / target, *options) == 0
    x = image.read(place / source)
    given = dict(zip(options[::2], options[1::2], strict=False))
    linear = "--linear" in options
    if "--background" in given:
        x = image.flattened(x, given["--background"], linear=linear)
    depth = {"8": "uint8", "16": "uint16", "float": "float", None: None}[given.get("--depth")]
    if command == "filter":
        wanted = image.filter(x, kernels.sobel_x, linear=linear, dtype=depth)
    else:
        wanted = image.edges(x, linear=linear).picture(dtype=depth)
    result = image.read(place / target)
    assert result.dtype == wanted.dtype
    if not target.endswith((".jpg", ".webp")):
        np.testing.assert_array_equal(result, wanted)
    else:
        assert result.shape[:2] == wanted.shape[:2]


def test_a_pair_of_explained_and_converted(place, capsys):
    assert run("filter", place / "clear.png", "-k", "box:3", "--background", "white",
               "--depth", "16", "--explain", "-o", place / "z.png") == 0  # fmt: skip
    assert "uint8 12x15x3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filter", "deep.png", "-k", "edge", "-o", "a.jpg"], "--depth 8"),
        (["filter", "clear.png", "-k", "edge", "-o", "a.jpg"], "--background white"),
        (["filter", "clear.png", "-k", "edge", "-o", "no/a.jpg"], "--background white"),
        (["filter", "rgb.png", "-k", "edge", "-o", "a.png", "--quality", "9"], "has no quality"),
        (["filter", "rgb.png", "-k", "edge", "-o", "new/", "--quality", "9"], "has no quality"),
        (["filter", "rgb.png", "-k", "edge", "-o", "a.gif"], "GIF is only read; write a .png"),
        (["filter", "rgb.png", "-k", "edge", "--background", "wight", "-o", "b.png"], "no colour"),
        (["filter", "rgb.png", "-k", "edge", "-o", "rgb.png"], "another name or folder with -o"),
        (["filter", "rgb.png", "-k", "edge", "-o", "./"], "another name or folder with -o"),
        (["edges", "rgb.png", "-o", "rgb.png"], "would replace a picture that is read"),
        (["compare", "rgb.png", "-k", "edge", "-o", "rgb.png"], "would replace a picture"),
        (["edges", "rgb.png", "-o", "b.png", "--signed", "centre"], "'clip', 'stretch'"),
        (["edges", "rgb.png", "-o", "b.png", "--direction", "--signed", "stretch"], "leave"),
        (["edges", "rgb.png", "-o", "b.tif", "--direction", "--depth", "16"], "leave"),
        (["compare", "rgb.png", "-k", "edge", "-o", "no/a.xyz"], "ending '.xyz' is unknown"),
    ],
)
def test_refusals_say_what_to_do(place, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    before = {path: path.read_bytes() for path in place.iterdir()}
    assert cli.run(arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_of_a_folder_those_have_a_quality_that_can(place):
    image.write(place / "photo.jpg", numbers((64, 64, 3)))
    sizes = []
    for quality in ("90", "10"):
        assert run("filter", place / "photo.jpg", place / "rgb.png", "-k", "identity",
                   "-o", place / quality, "--quality", quality) == 0  # fmt: skip
        sizes.append((place / quality / "photo.jpg").stat().st_size)
    assert sizes[1] < sizes[0] / 2
    np.testing.assert_array_equal(image.read(place / "10/rgb.png"), image.read(place / "rgb.png"))


# ---- what is said ----------------------------------------------------------------------------


def test_frames_that_were_written_are_counted(place, capsys):
    assert run("filter", place / "a.gif", "-k", "box:3", "-o", place / "a.jpg") == 0
    printed = capsys.readouterr()
    assert re.search(r"a\.jpg: 15 x 12 pixels, filtered in [0-9.]+ ms\n$", printed.out)
    assert f"{place / 'a.gif'}: JPEG holds one picture: of 3 frames the first" in printed.err
    assert run("filter", place / "a.gif", "-k", "box:3", "-o", place / "a.png") == 0
    assert "pixels, 3 frames, filtered in" in capsys.readouterr().out
    assert run("filter", place / "a.gif", "-k", "box:3", "-o", f"{place}/") == 0
    assert "GIF is only read: the result is a PNG" in capsys.readouterr().err


@pytest.mark.parametrize(("profiled", "count"), [(False, 0), (True, 1)])
def test_a_profile_of_cmyk_is_named_where_there_is_one(tmp_path, capsys, profiled, count):
    profile = bytearray(128)
    profile[16:20], profile[36:40] = b"CMYK", b"acsp"
    options = {"icc_profile": bytes(profile)} if profiled else {}
    with Image.open(PHOTOGRAPH) as opened:
        opened.convert("CMYK").save(tmp_path / "a.jpg", **options)
    assert run("filter", tmp_path / "a.jpg", "-k", "edge", "-o", tmp_path / "b.png") == 0
    printed = capsys.readouterr().err
    assert printed.count("without regard to its colour profile") == count
    assert printed.count("its colour profile is for CMYK, the result is RGB") == count


def test_folders_that_are_not_there_are_made(place):
    for number, command in enumerate(("filter", "edges", "compare")):
        target = place / "some" / str(number) / "a.png"
        kernel = [] if command == "edges" else ["-k", "edge"]
        assert run(command, place / "rgb.png", *kernel, "-o", target) == 0
        assert target.is_file()


def test_the_bar_names_the_picture_at_work(place, monkeypatch):
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", shown)
    assert run("filter", place / "rgb.png", place / "deep.png", "-k", "edge", "-o", place / "new",
               "--workers", "1") == 0  # fmt: skip
    monkeypatch.undo()
    first = re.search(r"0/2[^\r\n]*rgb\.png", shown.getvalue())
    assert first, shown.getvalue()


# ---- compare and --show ----------------------------------------------------------------------


def test_compare_reads_and_writes_the_streams(place, monkeypatch, capsysbinary):
    stdin = io.TextIOWrapper(io.BytesIO((place / "rgb.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run("compare", "-", "-k", "edge", "-o", "-", "--width", "32") == 0
    sheet = image.loads(capsysbinary.readouterr().out)
    assert sheet.kind == "PNG"
    wanted = image.compare(image.read(place / "rgb.png"), "edge", title="standard input", width=32)
    np.testing.assert_array_equal(sheet.frames[0], wanted)


def test_compare_takes_alpha(place):
    for alpha in ("keep", "filter"):
        assert run("compare", place / "clear.png", "-k", "box:5", "--alpha", alpha,
                   "-o", place / f"{alpha}.png") == 0  # fmt: skip
        wanted = image.compare(
            image.read(place / "clear.png"), "box:5", title="clear.png", alpha=alpha
        )
        np.testing.assert_array_equal(image.read(place / f"{alpha}.png"), wanted)


@pytest.mark.parametrize("command", ["filter", "compare"])
@pytest.mark.parametrize("drawn", [True, False])
def test_a_file_that_the_terminal_drew_is_gone(place, monkeypatch, capsys, command, drawn):
    folder = place / "temporary"
    folder.mkdir()
    monkeypatch.setattr(show, "mkdtemp", lambda prefix: str(folder))
    monkeypatch.setattr(show, "way_to_draw", lambda: "kitty" if drawn else "")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    picture = "a.gif" if command == "filter" else "rgb.png"
    assert run(command, place / picture, "-k", "edge", "--show") == 0
    printed = capsys.readouterr()
    assert ("\x1b_G" in printed.out) == drawn
    assert folder.exists() != drawn
    assert "holds several pictures" not in printed.err


def test_nothing_stays_where_nothing_was_shown(place, monkeypatch):
    folder = place / "temporary"
    folder.mkdir()
    monkeypatch.setattr(show, "mkdtemp", lambda prefix: str(folder))
    assert run("filter", place / "none.png", "-k", "edge", "--show") == 2
    assert not folder.exists()


def test_help_names_the_terminals_and_what_gif_becomes(capsys):
    for command in ("filter", "edges", "compare"):
        assert run(command, "--help") == 0
        assert "kitty, iTerm2, WezTerm" in " ".join(capsys.readouterr().out.split())
    assert run("filter", "--help") == 0
    assert "GIF is only read" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("compression", "status", "message"),
    [
        ("tiff_lzw", 2, "error: PATH: the picture is broken (decoder error -2)."),
        ("group4", 0, "note: PATH: some of its pixels may be broken (Fax4Decode"),
    ],
)
def test_what_libtiff_prints_is_told_by_us(tmp_path, capfd, compression, status, message):
    path = tmp_path / "a.tif"
    with Image.fromarray(numbers((64, 64))) as made:
        made.convert("1" if compression == "group4" else "L").save(path, compression=compression)
    content = bytearray(path.read_bytes())
    content[200:260] = b"\xff" * 60
    path.write_bytes(content)
    for command in (["filter", "-k", "edge"], ["compare", "-k", "edge"]):
        assert run(*command, path, "-o", tmp_path / "b.png") == status
        printed = capfd.readouterr().err
        assert message.replace("PATH", str(path)) in printed
        assert all(line.startswith("faltung: ") for line in printed.splitlines())
