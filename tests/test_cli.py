"""The command: results, explanations, and one-line errors with exit status 2."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import faltung
from faltung import cli, image, kernels
from faltung.demo import PHOTOGRAPH


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "faltung", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def test_calibrate_prints_and_keeps_the_table(tmp_path, monkeypatch, capsys):
    from faltung import machine

    before = machine.machine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(machine, "measure", lambda: machine.Machine(call=2e-5))
    monkeypatch.setattr(machine, "probe", lambda: 1.0)
    try:
        assert cli.run(["calibrate"]) == 0
        assert machine.load() == machine.Machine(call=2e-5)
    finally:
        machine.use(before)
    out = capsys.readouterr().out
    assert re.search("call +2e-05 +1e-05  seconds\n", out)
    assert re.search("tile +not measured +0.00012  seconds per tile\n", out)
    assert "shipped" in out
    assert str(tmp_path) in out


def test_version_and_help():
    assert run("--version").stdout == f"faltung, version {faltung.__version__}\n"
    for command in (
        "",
        "filter",
        "edges",
        "compare",
        "explain",
        "kernels",
        "demo",
        "reverb",
        "stream",
    ):
        done = run(*command.split(), "--help")
        assert done.returncode == 0
        assert "Usage: faltung" in done.stdout


@pytest.mark.parametrize("kernel", ["edge", "[[0,-1,0],[-1,5,-1],[0,-1,0]]", "box:7"])
def test_filter_writes_what_the_library_computes(tmp_path, kernel, capsys):
    out = tmp_path / "out.png"
    assert cli.run(["filter", str(PHOTOGRAPH), "--kernel", kernel, "-o", str(out)]) == 0
    assert "451 x 300 pixels" in capsys.readouterr().out
    wanted = image.filter(image.read(PHOTOGRAPH), kernels.parse(kernel))
    np.testing.assert_array_equal(image.read(out), wanted)


def test_filter_takes_files_options_and_explains(tmp_path, capsys):
    np.save(tmp_path / "k.npy", np.array([[1.0, 2.0, 4.0]]) / 7)
    out = tmp_path / "out.png"
    arguments = ["filter", str(PHOTOGRAPH), "-k", str(tmp_path / "k.npy"), "-o", str(out)]
    options = ["--boundary", "constant", "--fill-value", "255", "--mode", "full", "--flip"]
    assert cli.run([*arguments, *options, "--explain", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "y[i0, i1] = sum_j0,j1 k[j0, j1]" in printed
    assert "chosen" in printed
    wanted = image.filter(
        image.read(PHOTOGRAPH), np.load(tmp_path / "k.npy"), operation="convolve",
        boundary="constant", fill_value=255, mode="full",
    )  # fmt: skip
    assert wanted.shape == (300, 453, 3)
    np.testing.assert_array_equal(image.read(out), wanted)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_pictures_keep_their_depth(tmp_path, dtype):
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (30, 40), dtype)
    image.write(tmp_path / "in.png", array)
    assert cli.run(["filter", str(tmp_path / "in.png"), "-k", "gaussian5",
                    "-o", str(tmp_path / "out.tiff")]) == 0  # fmt: skip
    result = image.read(tmp_path / "out.tiff")
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, image.filter(array, kernels.gaussian5))


def test_kernels_lists_and_shows(capsys):
    assert cli.run(["kernels"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in kernels.names())
    assert cli.run(["kernels", "gaussian3"]) == 0
    assert "/ 16" in capsys.readouterr().out


def test_demo_writes_every_picture_and_the_sheet(tmp_path, capsys):
    assert cli.run(["demo", "--output", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    written = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert len(written) == 12
    assert "contact-sheet.png" in written
    assert printed.count("<Plan correlate") == 11
    sheet = image.read(tmp_path / "new" / "contact-sheet.png")
    assert sheet.shape == (909, 1400, 3)


@pytest.mark.parametrize("arguments", [
    ["filter"],
    ["filter", "PHOTO"],
    ["filter", "PHOTO", "-k", "edge"],
    ["filter", "missing.jpg", "-k", "edge", "-o", "OUT/a.png"],
    ["filter", "OUT", "-k", "edge", "-o", "OUT/a.png"],
    ["filter", "OUT/broken.png", "-k", "edge", "-o", "OUT/a.png"],
    ["filter", "OUT/empty.png", "-k", "edge", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "egde", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "[[1,2],[3]]", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "[[]]", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "[1,2,1]", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "[[[1]]]", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "OUT/broken.npy", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "edge", "-o", "OUT/a.xyz"],
    ["filter", "PHOTO", "PHOTO", "-k", "edge", "-o", "OUT"],
    ["filter", "PHOTO", "OUT/empty.png", "-k", "edge", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "edge", "--then", "[1,2]", "-o", "OUT/a.png"],
    ["filter", "PHOTO", "-k", "edge", "-o", "OUT/a.png", "--max-pixels", "1000"],
    ["edges", "PHOTO", "-k", "sobel"],
    ["edges", "PHOTO", "-k", "nothing", "-o", "OUT/a.png"],
    ["edges", "PHOTO", "-k", "edge", "-k", "edge", "-k", "edge", "-o", "OUT/a.png"],
    ["compare", "PHOTO", "-k", "edge,,sharpen", "-o", "OUT/a.png"],
    ["compare", "PHOTO", "-k", "edge", "-o", "OUT/a.xyz"],
    ["filter", "PHOTO", "-k", "edge", "-o", "OUT/broken.png/a.png"],
    ["filter", "PHOTO", "-k", "edge", "-o", "/proc/a.png"],
    ["filter", "PHOTO", "-k", "edge", "-o", "OUT/a.png", "--mode", "big"],
    ["filter", "PHOTO", "-k", "edge", "-o", "OUT/a.png", "--boundary", "mirror"],
    ["filter", "PHOTO", "-k", "edge", "-o", "OUT/a.png", "--boundary", "constant",
     "--fill-value", "300"],
    ["filter", "PHOTO", "-k", "box:999", "-o", "OUT/a.png", "--mode", "valid"],
    ["filter", "PHOTO", "-k", "edge", "-o", "OUT/a.png", "--workers", "0"],
    ["kernels", "nothing"],
    ["demo", "--output", "OUT/broken.png"],
    ["demo", "--output", "/proc/nowhere"],
    ["nonsense"],
    ["--nonsense"],
])  # fmt: skip
def test_mistakes_are_one_line_and_status_2(tmp_path, arguments, capsys):
    (tmp_path / "broken.png").write_bytes(PHOTOGRAPH.read_bytes()[:1000])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    before = sorted(tmp_path.iterdir())
    words = [a.replace("PHOTO", str(PHOTOGRAPH)).replace("OUT", str(tmp_path)) for a in arguments]
    assert cli.run(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("faltung: error: ")
    assert printed.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_no_traceback_in_a_real_process(tmp_path):
    done = run("filter", tmp_path / "none.jpg", "--kernel", "edge", "-o", tmp_path / "a.png")
    assert done.returncode == 2
    assert done.stderr == f"faltung: error: {tmp_path}/none.jpg: there is no such file.\n"


def test_a_closed_pipe_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "faltung", "kernels"], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert done.stderr == b""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_partial_file(tmp_path, sent, status):
    image.write(tmp_path / "big.png", np.zeros((3000, 3000, 3), "uint8"))
    process = subprocess.Popen(
        [sys.executable, "-m", "faltung", "filter", str(tmp_path / "big.png"), "-k", "box:201",
         "-o", str(tmp_path / "out.png"), "--explain"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert "Plan" in process.stdout.readline()
    process.send_signal(sent)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in printed
    assert [p.name for p in tmp_path.iterdir()] == ["big.png"]
