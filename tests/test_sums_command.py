"""``faltung sum`` and ``faltung ways``: what they print, write, draw and refuse."""

import io
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from faltung import cli
from faltung.distributions import named


def printed(capsys, *arguments, status=0):
    assert cli.run(list(map(str, arguments))) == status
    return capsys.readouterr()


def test_two_dice_are_a_triangle_in_the_terminal(capsys):
    lines = printed(capsys, "sum", "d6", "d6").out.splitlines()
    assert lines[0] == "d6 + d6: 2 to 12 step 1, 11 points: mean 7, sd 2.415"
    bars = [line.count("█") for line in lines[2:]]
    assert len(bars) == 11
    assert bars == bars[::-1]
    assert max(bars) == bars[5] == 40


@pytest.mark.parametrize(("arguments", "wanted"), [
    (["10d6", "--quantile", "0.99", "--isf", "1e-3"], "quantile(0.99) = 47\nisf(1e-3) = 51\n"),
    (["poisson:50", "poisson:50", "--sf", "300"], "P(sum > 300) = 6.032391615e-59\n"),
    (["2d6", "coin", "--exact", "--sf", "11"], "P(sum > 11) = 1/18 = 0.0555555555556\n"),
    (["1000d6", "--cdf", "1000"], "P(sum <= 1000) = 7.0591046e-779\n"),
    (["binomial:4,1/2", "--cdf", "1"], "P(sum <= 1) = 0.3125\n"),
    (["hypergeometric:10,4,3", "--exact", "--cdf", "0"], "P(sum <= 0) = 1/6 = 0.166666666667\n"),
    (["uniform:1,4", "geometric:1", "--quantile", "1"], "quantile(1) = 5\n"),
])  # fmt: skip
def test_tails_and_quantiles(capsys, arguments, wanted):
    assert printed(capsys, "sum", *arguments).out == wanted


def test_a_million_dice_say_what_is_certain(capsys):
    out = printed(capsys, "sum", "1000000d6", "--isf", "1e-12", "--explain").out
    assert out.startswith("isf(1e-12) = 3512014\n")
    assert "tilted" in out
    assert "at most" in out


def test_what_is_written_is_read_again(tmp_path, capsys):
    target = tmp_path / "t.csv"
    assert printed(capsys, "sum", "2d6", "--exact", "-o", target).out == f"{target}\n"
    assert target.read_text().splitlines()[:2] == ["value,probability", "2,1/36"]
    assert named(str(target), exact=True) == named("2d6", exact=True)
    assert printed(capsys, "sum", target, "d6", "--exact", "--sf", 17).out.startswith(
        "P(sum > 17) = 1/216"
    )
    printed(capsys, "sum", "400d6", "-o", target)
    assert target.read_text().splitlines()[1].startswith("400,")
    array = tmp_path / "t.npy"
    printed(capsys, "sum", "2d6", "-o", array)
    np.testing.assert_allclose(np.load(array)[5], [7, 1 / 6])
    assert printed(capsys, "sum", array, "--cdf", 2).out == "P(sum <= 2) = 0.0277777777778\n"
    both = printed(capsys, "sum", "d4", "--csv", "--cdf", "1")
    assert both.out == "value,probability\n" + "".join(f"{n},0.25\n" for n in (1, 2, 3, 4))
    assert both.err == "P(sum <= 1) = 0.25\n"


@pytest.mark.parametrize("term", ["1000d6", "poisson:50", "2d6"])
def test_tails_of_any_size_are_read_again(tmp_path, capsys, term):
    target = tmp_path / "t.csv"
    printed(capsys, "sum", term, "-o", target)
    wanted, found = named(term), named(str(target))
    assert (found.origin, len(found)) == (wanted.origin, len(wanted))
    np.testing.assert_allclose(found.log_probabilities, wanted.log_probabilities, atol=1e-12)
    asked = ("--cdf", wanted.origin)
    assert printed(capsys, "sum", target, *asked).out == printed(capsys, "sum", term, *asked).out


@pytest.mark.parametrize(("text", "wanted"), [
    ('"1","0.25"\n2,0.25\n3,0.5\n', {1: 0.25, 2: 0.25, 3: 0.5}),
    ('"value" "p"\n1 1/2\n3 1/2\n', {1: 0.5, 3: 0.5}),
    ("# dice\n0.5\n0.5\n\n", {0: 0.5, 1: 0.5}), ("0;1e-999\n1;1\n", {0: "1e-999", 1: 1.0}),
])  # fmt: skip
def test_the_dialects_of_tables(tmp_path, text, wanted):
    target = tmp_path / "t.csv"
    target.write_text(text)
    found = named(str(target))
    assert found.values.tolist() == list(wanted)
    for log, share in zip(found.log_probabilities, wanted.values(), strict=True):
        assert math.isclose(log, float(Decimal(share).ln()), rel_tol=1e-12)


def test_ways_that_no_float_holds_are_listed(capsys):
    lines = printed(capsys, "ways", "1000d6", "1000d6", 7000).out.splitlines()
    assert lines[1].split() == ["1000", "6000", *["7.05910e-779"] * 2, "4.98310e-1557"]
    assert len(lines) == 5003
    whole = float(lines[-1].split()[-1])
    assert math.isclose(whole, named("2000d6").probability(7000), rel_tol=1e-5)


def test_a_negative_total_is_no_option(tmp_path, capsys):
    (tmp_path / "s.csv").write_text("-1,0.5\n1,0.5\n")
    out = printed(capsys, "ways", tmp_path / "s.csv", tmp_path / "s.csv", -2, "--exact").out
    assert out.splitlines()[-1].split() == ["P(a", "+", "b", "=", "-2)", "1/4"]


def test_ways_are_drawn_and_named(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    table, drawn = tmp_path / "w.csv", tmp_path / "w.png"
    out = printed(capsys, "ways", "d6", "d6", 7, "--exact", "-o", table, "--plot", drawn).out
    assert out.split() == ["P(a", "+", "b", "=", "7)", "1/6", str(table), str(drawn)]
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_what_is_read_is_not_written_over(tmp_path, capsys):
    source = tmp_path / "s.csv"
    source.write_text("0,0.5\n1,0.5\n")
    for arguments in (["sum", source, "-o", source], ["ways", source, source, 1, "-o", source]):
        assert "this is what is read" in printed(capsys, *arguments, status=2).err
    assert source.read_text() == "0,0.5\n1,0.5\n"


@pytest.mark.parametrize(("arguments", "told"), [
    (["sum", "OUT/off.csv"], "or --normalise to divide"), (["sum", "-", "-"], "only one"),
    (["sum", "1000000d6", "--exact"], "leave out --exact"),
    (["sum", "geometric:1e-6"], "bytes; use a coarser unit."),
    (["ways", "d6", "d6", 7, "-o", "OUT/w.npy"], "must be .csv or .txt"),
    (["sum", "d6", "-o", "OUT/z.csv", "--plot", "OUT/x.xyz"], "plots are written as"),
    (["sum", "d6", "--plot", "OUT/none/x.png"], "there is no directory"),
    (["sum", "OUT/nan.csv"], "line 1: 'nan' is not finite"),
    (["sum", "OUT/gap.csv"], "line 2 has no probability"),
    (["sum", "OUT/comma.csv"], "write decimals with a point"),
    (["sum", "OUT/far.csv"], "common step, which makes about 1e+300 points"),
])  # fmt: skip
def test_mistakes_speak_of_options(tmp_path, capsys, arguments, told):
    pytest.importorskip("matplotlib")
    for name, text in (
        ("off", "0,0.5\n1,0.4\n"), ("nan", "nan\n0.5\n0.5\n"), ("gap", "0.5\n\n0.5\n"),
        ("comma", "0;0,5\n1;0,5\n"), ("far", "0,0.5\n1,0.25\n1e300,0.25\n"),
    ):  # fmt: skip
        (tmp_path / f"{name}.csv").write_text(text)
    here = [str(a).replace("OUT", str(tmp_path)) for a in arguments]
    err = printed(capsys, *here, status=2).err
    assert told in err
    assert err.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 5


def test_the_ways_of_files(tmp_path, capsys):
    (tmp_path / "f.csv").write_text("distance,share\n0,0.1\n1,0.2\n2,0.3\n3,0.4\n")
    (tmp_path / "g.csv").write_text("0.25\n0.25\n0.25\n0.25\n")
    f, g = tmp_path / "f.csv", tmp_path / "g.csv"
    lines = printed(capsys, "ways", f, g, 3, "--exact").out.splitlines()
    assert [tuple(line.split()[:2]) for line in lines[1:5]] == [
        ("0", "3"), ("1", "2"), ("2", "1"), ("3", "0"),
    ]  # fmt: skip
    assert lines[5].split() == ["P(a", "+", "b", "=", "3)", "1/4"]
    out = printed(capsys, "ways", f, g, "3", "-o", "-").out.splitlines()
    assert out[0] == "a,b,f(a),g(b),product"
    assert len(out) == 5
    total = sum(Fraction(line.split(",")[4]) for line in out[1:])
    assert math.isclose(total, 0.25)


def test_pipes(capsys, monkeypatch):
    text = printed(capsys, "sum", "d6", "d6", "--exact", "--csv").out
    stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    out = printed(capsys, "sum", "-", "d6", "--exact", "--sf", "17").out
    assert out == "P(sum > 17) = 1/216 = 0.00462962962963\n"
    assert "only one" in printed(capsys, "ways", "-", "-", "3", status=2).err


def test_plots(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    target = tmp_path / "p.png"
    printed(capsys, "sum", "1000d6", "--plot", target, "--log")
    assert target.read_bytes().startswith(b"\x89PNG")


def test_plots_without_matplotlib_say_what_to_install(tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    err = printed(capsys, "sum", "d6", "--plot", tmp_path / "p.png", status=2).err
    assert "pip install 'faltung[plot]'" in err


@pytest.mark.parametrize(("text", "told"), [
    ("", "no numbers"), ("1,2,3\n", "3 numbers"), ("1,0.5\n2\n", "every line"),
    ("1,0.5\n1,0.5\n", "twice"), ("1,0.5\n2,x\n", "line 2"), ("1,0.5\n2,0.6\n", "normalise"),
    ("1,nan\n", "line 1"), ("1,-0.5\n2,1.5\n", "negative"), ("\x00\xff", "line 1"),
])  # fmt: skip
def test_malformed_files_are_one_line(tmp_path, capsys, text, told):
    target = tmp_path / "bad.csv"
    target.write_text(text, encoding="latin-1" if "\xff" in text else "utf-8")
    err = printed(capsys, "sum", target, status=2).err
    assert err.startswith("faltung: error: ")
    assert err.count("\n") == 1
    assert told in err or "no text" in err


@pytest.mark.parametrize("arguments", [
    ["sum"], ["sum", "nosuch"], ["sum", "OUT/none.csv"], ["sum", "d6", "--sf", "x"],
    ["sum", "d6", "--quantile", "2"], ["sum", "d6", "--log"], ["sum", "d6", "-o", "OUT/a.xyz"],
    ["sum", "d6", "--plot", "OUT/a.xyz"], ["sum", "poisson:5", "--exact"], ["sum", "0d6"],
    ["sum", "9999999999d6"], ["sum", "999999999d999999999"], ["sum", "poisson:inf"],
    ["sum", "poisson:1e18"], ["sum", "d6", "--sf", "1e999999999"],
    ["sum", "binomial:1,1e-999999999"], ["sum", "d6", "--rtol", "0"],
    ["sum", "1000000d6", "--exact"],
    ["ways", "d6", "d6"], ["ways", "d6", "d6", "x"], ["ways", "d6", "d6", "7", "-o", "OUT/a.b"],
])  # fmt: skip
def test_mistakes_are_one_line_and_status_2(tmp_path, capsys, arguments):
    err = printed(capsys, *[a.replace("OUT", str(tmp_path)) for a in arguments], status=2).err
    assert err.startswith("faltung: error: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
