"""``faltung kernels`` and ``faltung analyse``: what they print, draw and refuse."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from faltung import cli, image, kernels
from faltung.cli import gallery
from faltung.cli.response import as_picture, as_text
from faltung.demo import PHOTOGRAPH


def printed(capsys, *arguments, status=0):
    assert cli.run(list(map(str, arguments))) == status
    return capsys.readouterr()


def test_the_list_shows_every_name_under_its_group(capsys):
    lines = printed(capsys, "kernels").out.splitlines()
    for group, names in kernels.groups().items():
        start = lines.index(group[0].upper() + group[1:])
        below = [line.split()[0] for line in lines[start + 1 : start + 1 + len(names)]]
        assert below == names


def test_one_kernel_is_shown_with_numbers_properties_and_gain(capsys):
    out = printed(capsys, "kernels", "sobel.x").out
    assert out.startswith("sobel.x  (3x3)\n  -1  0  1\n  -2  0  2\n  -1  0  1\n")
    assert "Source: Sobel and Feldman (1968)" in out
    assert "separable; symmetry even, odd; sum 0, absolute sum 8" in out
    gains = {line.split()[0]: [float(g) for g in line.split()[1:]]
             for line in out.splitlines() if line.startswith(("across", "down"))}  # fmt: skip
    f = np.arange(9) / 16
    np.testing.assert_allclose(gains["across"], 8 * np.abs(np.sin(2 * np.pi * f)), atol=0.005)
    assert gains["down"] == [0] * 9
    assert "for convolve" in printed(capsys, "kernels", "age.linear:4").out


def test_a_family_tells_its_parameters(capsys):
    out = printed(capsys, "kernels", "gabor:5,20deg").out
    assert "Any: gabor:WAVELENGTH,ANGLE, with its parameters" in out
    assert "\n  sigma=      0.3 to 100; usually 0.56 times the wavelength\n" in out
    assert "\n  phase=      degrees; usually 0\n" in out
    assert "Any:" not in printed(capsys, "kernels", "edge").out
    listed = {line.split()[0]: line for line in printed(capsys, "kernels").out.splitlines() if line}
    for family in kernels.FAMILIES.values():
        usage = "\n".join(family.usage)
        assert all(parameter.name in usage for parameter in family.parameters)
        assert f"{family.name}:" in listed[f"{family.name}:{family.usual}"][29:]


@pytest.mark.parametrize("text", ["[[1,2,1]]/4", "k.csv", "K.NPY"])
def test_numbers_and_files_are_shown_as_names_are(tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k.csv").write_text("0.25,0.5,0.25")
    with (tmp_path / "K.NPY").open("wb") as file:
        np.save(file, [[1, 2, 1]])
    out = printed(capsys, "kernels", text).out
    assert "symmetry even, even" in out
    assert "gain at cycles per sample" in out


@pytest.mark.parametrize("ending", ["npy", "csv", "json"])
@pytest.mark.parametrize("name", ["motion:15,30deg", "sobel.x", "gaussian:2", "savgol:7,2"])
def test_numbers_are_saved_and_read_again(tmp_path, capsys, name, ending):
    target = tmp_path / f"k.{ending}"
    assert str(target) in printed(capsys, "kernels", name, "-o", target).out
    kernel, found = kernels.get(name), kernels.parse(str(target))
    if ending == "json":
        assert (found.exact, found.divisor) == (kernel.exact, kernel.divisor)
        assert (found.name, found.anchor, found.operation) == (
            kernel.name, kernel.anchor, kernel.operation,
        )  # fmt: skip
    rows = np.atleast_2d(kernel.array) if ending == "csv" else kernel.array
    np.testing.assert_array_equal(np.asarray(found), rows)


def test_all_numbers_are_printed(capsys):
    kernel = kernels.motion(15, 30)
    out = printed(capsys, "kernels", "motion:15,30deg", "--numbers").out
    rows = [[float(number) for number in line.split()] for line in out.splitlines()]
    np.testing.assert_array_equal(rows, kernel.array)
    assert printed(capsys, "kernels", "sobel.y", "--numbers").out == "-1 -2 -1\n0 0 0\n1 2 1\n"


def test_the_list_fits_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    narrow = printed(capsys, "kernels").out
    assert max(map(len, narrow.splitlines())) <= 80
    monkeypatch.delenv("COLUMNS")
    wide = printed(capsys, "kernels").out
    assert narrow.split() == wide.split()


@pytest.mark.parametrize("arguments", [
    ["kernels", "savgol:7,2"], ["analyse", "motion:15,30deg"],
    ["explain", "--shape", "2160x3840", "-k", "gaussian:5"],
    ["filter", str(PHOTOGRAPH), "-k", "edge", "--then", "gaussian:2", "--explain", "-o", "OUT.png"],
])  # fmt: skip
def test_sentences_and_reports_fit_the_terminal(tmp_path, capsys, monkeypatch, arguments):
    places = [a.replace("OUT", str(tmp_path / "a")) for a in arguments]
    monkeypatch.setenv("COLUMNS", "72")
    lines = printed(capsys, *places).out.splitlines()
    if arguments[0] in ("kernels", "analyse"):  # their tables are indented, or gains
        lines = [line for line in lines if not re.match(" |across|down|falling|rising", line)]
    assert lines
    assert max(len(line) for line in lines if not line.startswith(str(tmp_path))) <= 72


def test_gain_along_the_diagonals():
    lines = {line.split()[0]: line.split()[1:] for line in as_text(kernels.motion(15, 45))}
    falling, rising = (np.array(lines[name], float) for name in ("falling", "rising"))
    assert falling[2] > 0.3  # a blur along the rising diagonal keeps waves along the other
    assert rising[2] < 0.3
    assert falling[0] == rising[0] == 1
    names = [line.split()[0] for line in as_text(kernels.gaussian(1, axes=3))]
    assert names == ["gain", "0", "axis", "axis", "axis"]


@pytest.mark.parametrize("name", ["sobel.x", "savgol:7,2", "motion:15,30deg", "roberts.pos"])
def test_responses_are_drawn(tmp_path, capsys, name):
    target = tmp_path / "gain.png"
    assert str(target) in printed(capsys, "kernels", name, "--response", target).out
    drawn = image.read(target)
    assert drawn.shape == (512, 512, 3)
    np.testing.assert_array_equal(drawn, as_picture(kernels.get(name)))


def test_the_map_of_a_response_has_up_upwards():
    # a line along 30 degrees takes away waves along it and keeps those along 120 degrees
    plot = as_picture(kernels.motion(15, 30))[64:449, 64:449, 0].astype(float)
    keeps = plot[192 - 69, 192 - 40]  # up and to the left
    takes = plot[192 - 69, 192 + 40]
    assert keeps > 150
    assert takes < 60
    assert plot[192, 192] == 255


def test_the_gallery_holds_every_kernel_and_needs_no_other_file(tmp_path, capsys):
    target = tmp_path / "all.html"
    assert printed(capsys, "kernels", "--gallery", target).out == f"{target}\n"
    page = target.read_text()
    assert page.count("<article>") == len(kernels.names())
    flat = [name for name in kernels.names() if kernels.get(name).ndim == 2]
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == len(flat)
    for name in kernels.names():
        assert f"<b>{name}  (" in page
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as first:
        assert first.size == (212, 148)
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_how_filtered_pictures_are_shown():
    grey = gallery.photograph()
    same, note = gallery.shown(kernels.identity, grey)
    np.testing.assert_array_equal(same, np.rint(grey))
    assert note == "3x3"
    mean, note = gallery.shown(kernels.haar[0], grey)
    assert note == "2x2, over 2"
    assert abs(mean.mean() - grey.mean()) < 1
    for k in (kernels.sobel_x, kernels.laws[24], kernels.gabor(8)):
        signed, note = gallery.shown(k, grey)
        gain = float(re.fullmatch(r"\d+x\d+, signed, x([\d.]+)", note).group(1))
        assert np.log2(gain) == round(np.log2(gain))
        assert ((signed == 0) | (signed == 255)).mean() <= 0.011
        raw = 127.5 + gain * _applied(k, grey) / np.abs(k.array).sum()
        clipped = np.abs(2 * (raw - 127.5)) > 127.5  # twice the gain would clip more
        assert clipped.mean() >= 0.0099
        off = np.abs(signed - np.clip(raw, 0, 255))
        assert off.max() <= 0.5 + 1e-9  # rounded, never wrapped
    flat, _ = gallery.shown(kernels.edge, np.full((9, 9), 77.0))
    assert set(np.unique(flat)) <= {127, 128}


def _applied(kernel, grey):
    import faltung

    return faltung.reference.correlate(grey, kernel, boundary="symmetric")


@pytest.mark.parametrize(("kernel", "wanted"), [
    ("[[2,1,0],[1,0,-1],[0,-1,-2]]", ["1.0000  robinson.nw", "sum 0"]),
    ("[[1,2,1],[2,4,2],[1,2,1]]/16",
     ["gaussian3", "1 times it", "factor along axis 1: 1 2 1 / 16"]),
    ("[0.5,0.3,0.2]", ["age.linear:3", "dense"]),
    ("gaussian:2.5", ["1.0000  gaussian:2.5", "separable"]),
    ("gaussian:2,axes=3", ["axis 2"]),
    ("[[0,0]]", ["all zero"]),
])  # fmt: skip
def test_analyse(capsys, kernel, wanted):
    out = printed(capsys, "analyse", kernel).out
    for text in wanted:
        assert text in out
    assert "gain at cycles per sample" in out


def test_analyse_takes_files_and_draws(tmp_path, capsys):
    np.save(tmp_path / "k.npy", -3 * kernels.emboss.array[::-1].astype(float))
    out = printed(capsys, "analyse", tmp_path / "k.npy", "-n", "1", "--response",
                  tmp_path / "r.png").out  # fmt: skip
    assert re.search(r"1\.0000  emboss +-3 times it, turned by (90|270) degrees", out)
    assert out.count("times it") == 1
    assert image.read(tmp_path / "r.png").shape == (512, 512, 3)
    (tmp_path / "k.csv").write_text("1,2,1\n")
    out = printed(capsys, "analyse", tmp_path / "k.csv", "-n", "1").out
    assert "1.0000  binomial:3,axes=1          4 times it" in out


@pytest.mark.parametrize("arguments", [
    ["analyse"], ["analyse", "nosuch"], ["analyse", "[[1,2],[3]]"], ["analyse", "OUT/none.npy"],
    ["analyse", "edge", "-n", "-1"], ["analyse", "edge", "--response", "OUT/a.xyz"],
    ["analyse", "gaussian:1,axes=3", "--response", "OUT/a.png"],
    ["kernels", "--response", "OUT/a.png"], ["kernels", "edge", "--response", "OUT/no/a.png"],
    ["kernels", "--gallery", "OUT/no/a.html"], ["kernels", "--gallery", "OUT"],
    ["kernels", "motion:0"], ["kernels", "--numbers"], ["kernels", "-o", "OUT/k.npy"],
    ["kernels", "edge", "-o", "OUT/k.txt"], ["kernels", "sobel", "--numbers"],
    ["kernels", "gaussian:1,axes=3", "-o", "OUT/k.csv"],
])  # fmt: skip
def test_mistakes_are_one_line_and_status_2(tmp_path, capsys, arguments):
    places = [a.replace("OUT", str(tmp_path)) for a in arguments]
    err = printed(capsys, *places, status=2).err
    assert err.startswith("faltung: error: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["kernels", "analyse"])
def test_a_response_that_cannot_be_drawn_is_told_before_anything_is_printed(capsys, command):
    assert cli.run([command, "edge", "--response", "-"]) == 2
    done = capsys.readouterr()
    assert done.out == ""
    assert "ending" in done.err
