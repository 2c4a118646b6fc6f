"""``faltung smooth``: what it writes, and what it refuses in one line."""

import io
import sys

import numpy as np
import pytest

from faltung import cli, signal, tables

TRACK = b"t,x,y\n0,0.1,5\n1,1.2,4.5\n2,,4.1\n3,2.8,nan\n7,7.2,1.0\n8,8.1,\n9,8.7,0.4\n"


@pytest.fixture
def track(tmp_path):
    path = tmp_path / "track.csv"
    path.write_bytes(TRACK)
    return path


def test_it_writes_what_the_library_computes(track, tmp_path, capsys):
    out = tmp_path / "out.csv"
    arguments = ["-c", "x", "-c", "y", "-t", "t", "-w", "exponential:0.4", "-o", str(out)]
    assert cli.run(["smooth", str(track), *arguments]) == 0
    said = capsys.readouterr().out
    assert "newest first; their sum is 1" in said
    assert "beyond the ends nothing counts" in said
    read, done = tables.read(str(track)), tables.read(str(out))
    assert done.names == ("t", "x", "x_smooth", "x_coverage", "y", "y_smooth", "y_coverage")
    for name in "xy":
        wanted = signal.smooth(read.numbers(name), "exponential:0.4", times=[0, 1, 2, 3, 7, 8, 9])
        np.testing.assert_array_equal(done.numbers(name), read.numbers(name))
        np.testing.assert_array_equal(done.numbers(f"{name}_smooth"), wanted.values)
        np.testing.assert_array_equal(done.numbers(f"{name}_coverage"), wanted.coverage)
    out = tmp_path / "out.npy"
    assert cli.run(["smooth", str(track), *arguments[:-1], str(out)]) == 0
    assert np.load(out).shape == (7, 2)


def test_columns_of_like_names_are_all_written(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_bytes(b"x,x,x_smooth\n1,5,7\n2,6,8\n")
    arguments = ["-t", "1", "-c", "2", "-c", "x_smooth", "-w", "[1]"]
    assert cli.run(["smooth", str(path), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "x,x_,x__smooth,x__coverage,x_smooth,x_smooth_smooth,x_smooth_coverage"
    assert lines[1] == "1,5,5,1,7,7,1"


def test_arrays_are_read(tmp_path, capsys):
    np.save(tmp_path / "t.npy", np.array([[1.0, 2.0], [3.0, np.nan]]))
    assert cli.run(["smooth", str(tmp_path / "t.npy"), "-c", "2", "-w", "[1]"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["2,2,1", ",,0"]


def test_streams(monkeypatch, capsys):
    class Stdin:
        buffer = io.BytesIO(b"1\n\n3\n")
        isatty = staticmethod(lambda: False)

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert cli.run(["smooth", "-", "-w", "[1,1]"]) == 0
    assert capsys.readouterr().out == (
        "column1,column1_smooth,column1_coverage\n1,1,0.5\n,1,0.5\n3,3,0.5\n"
    )


def test_a_terminal_is_not_waited_for(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert cli.run(["smooth", "-", "-w", "[1,1]"]) == 2
    assert "nothing on standard input" in capsys.readouterr().err


def test_dates_are_kept_as_they_were_written(tmp_path, capsys):
    path = tmp_path / "log.csv"
    path.write_text("when,v\n2024-01-01T00:00:00,1\n2024-01-01T00:00:03,2\n")
    assert cli.run(["smooth", str(path), "-t", "when", "-w", "time.exponential:3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("2024-01-01T00:00:00,1,1,")
    assert float(lines[2].split(",")[2]) == pytest.approx((2 + np.exp(-1)) / (1 + np.exp(-1)))


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plots(track, tmp_path, ending):
    pytest.importorskip("matplotlib")
    plot = tmp_path / f"out.{ending}"
    arguments = ["smooth", str(track), "-c", "x", "-w", "linear:3"]
    assert cli.run([*arguments, "-o", str(tmp_path / "o.csv"), "--plot", str(plot)]) == 0
    assert plot.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")


def test_a_plot_without_matplotlib_is_refused_before_anything_is_written(
    track, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "out.csv"
    arguments = ["smooth", str(track), "-c", "x", "-w", "linear:3", "-o", str(out)]
    assert cli.run([*arguments, "--plot", str(tmp_path / "out.png")]) == 2
    assert "pip install 'faltung[plot]'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (["-w", "linear:3"], "--column: t, x, y"), (["-c", "z", "-w", "linear:3"], "no column 'z'"),
    (["-c", "x", "-w", "linar:3"], "linar:3"), (["-c", "x", "-w", "edge"], "2 axes"),
    (["-c", "x", "-c", "2", "-w", "linear:3"], "twice"),
    (["-c", "t", "-t", "t", "-w", "linear:3"], "column of the times"),
    (["-c", "x", "-w", "linear:3", "-o", "out.xlsx"], ".csv or .npy"),
    (["-c", "x", "-w", "linear:3", "--plot", "out.gif"], ".svg"),
    (["-c", "x", "-w", "linear:3", "-o", "none/out.csv"], "no directory"),
    (["-c", "x", "-w", "linear:3", "-o", "track.csv"], "this is what is read"),
    (["-c", "x", "-w", "linear:3", "--fill-value", "1"], "--edges constant"),
    (["-c", "x"], "--weights exponential:0.3"), (["-c", "x", "-w", "[1,"], "newest first, as in"),
    (["-c", "x", "-w", "time.gaussian:3"], "--time, without --step"),
    (["-c", "x", "-t", "t", "-w", "linear:3", "--step", "2"], "give another --step"),
    (["-c", "x", "-w", "savgol:5,2"], "--edges edge or another"),
    (["-c", "y", "-t", "x", "-w", "linear:3"], "leave out samples without a time"),
])  # fmt: skip
def test_mistakes_are_one_line(track, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(track.parent)
    assert cli.run(["smooth", "track.csv", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert track.read_bytes() == TRACK
    assert [path.name for path in track.parent.iterdir()] == ["track.csv"]


def test_malformed_tables_are_one_line_with_the_line(tmp_path, capsys):
    path = tmp_path / "bad.csv"
    path.write_bytes(b"x\n1\noops\n")
    assert cli.run(["smooth", str(path), "-w", "linear:3"]) == 2
    assert "line 3, column x: 'oops'" in capsys.readouterr().err
