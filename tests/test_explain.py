"""A plan's report: what it says, as text, as HTML and from the command."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import faltung
from faltung import cli, explain, kernels, native
from faltung.methods import Verdict
from faltung.planner import METHODS


class Words(int):
    """A number of a class of its own, which may be written as anything."""

    def __str__(self):
        return "<b>\n\N{GREEK SMALL LETTER BETA}" * 99


PLANS = {
    "gaussian": faltung.plan((2160, 3840), "float32", kernels.gaussian(5)),
    "tolerant": faltung.plan((500, 600), "float32", kernels.gaussian(5), tolerance=1e-3),
    "exact": faltung.plan((64, 3, 50), "int64", [[[1, 2, 7]]], stride=(1, 1, 2)),
    "box": faltung.plan((64, 50), "uint8", kernels.box(5), boundary=("edge", "wrap")),
    "weighted": faltung.plan((30, 40), "float64", np.ones((3, 5)), weighted=True),
    "missing": faltung.plan((30, 40), "float32", kernels.gaussian5, missing="ignore"),
    "complex": faltung.plan((30, 40), "complex64", [[1j, 2]], operation="correlate",
                            conjugate=True),
    "objects": faltung.plan(9, "object", [1, 2]),
    "bools": faltung.plan(9, "bool", np.array([True, False, True])),
    "wide floats": faltung.plan((9, 9), "longdouble", np.ones((2, 2), "longdouble")),
    "half": faltung.plan((9, 9), "float16", [[1e-7, 6e4], [1, 1]]),
    "infinite": faltung.plan(9, "float64", [1, np.inf, np.nan]),
    "zero": faltung.plan(9, "float64", [0.0, 0.0]),
    "empty": faltung.plan((0, 5), "float64", [1.0, 2.0]),
    "asked": faltung.plan((40, 50), "float32", [[1.0, 2.0]], method="reference", nonnegative=True),
    "many axes": faltung.plan((7,) * 8, "float64", np.arange(2.0**8).reshape((2,) * 8), mode="full",
                              stride=2, dilation=3, boundary=("edge", "wrap") * 4),
    "long": faltung.plan(999_999_999_999_999_999, "float32", [1, 2, 3], fill_value=7.25),
    "words": faltung.plan(9, "object", [1, 2], fill_value=Words(7)),
}  # fmt: skip
compiled = pytest.mark.skipif(not native.library(), reason="no compiled library")
every = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


@every
def test_the_text_is_plain_and_of_limited_width(plan):
    text = plan.explain()
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 110
    assert all(line == line.rstrip() for line in text.splitlines())


@every
def test_every_method_appears_once_and_in_order(plan):
    rows = plan.report().rows
    assert sorted(r.method for r in rows) == sorted(m.NAME for m in METHODS)
    assert rows[0].status == "chosen"
    assert rows[0].method == plan.method
    kinds = [r.status for r in rows[1:]]
    assert kinds == sorted(kinds)
    possible = [r.milliseconds for r in rows if r.status == "possible"]
    assert possible == sorted(possible)
    assert all(r.note for r in rows)
    for r in rows:
        pattern = rf"^    {r.method} .*{r.status}: {re.escape(r.note.split()[0])}"
        assert len(re.findall(pattern, plan.explain(), re.MULTILINE)) == 1


@every
def test_the_repr_is_one_short_line_without_the_refused(plan):
    text = repr(plan)
    assert "\n" not in text
    assert text.startswith("<Plan ")
    assert f"; {plan.method}: {plan.reason}>" in text
    for r in plan.report().rows:
        assert r.status != "refused" or r.note not in plan.reason


@compiled
def test_the_text_of_a_gaussian():
    head, _, table = PLANS["gaussian"].explain().partition("  methods ")
    assert (
        head
        == """\
Plan convolve float32 2160x3840 with 41x41, same, constant -> float32 2160x3840; separable
  y[i0, i1] = sum_j0,j1 k[j0, j1] x[i0 + 20 - j0, i1 + 20 - j1]
  input        float32 (2160, 3840), convolved over axes (0, 1)
  kernel       float32 (41, 41), anchor (20, 20)
               separable; symmetry even, even; sum 1, absolute sum 1, dynamic range 8.89e+06
  axis 0       same: 2160 outputs, 40 of them reach beyond an end (constant 0)
  axis 1       same: 3840 outputs, 40 of them reach beyond an end (constant 0)
  result       float32 (2160, 3840), computed in float32
  work         13,942,886,400 multiply-adds, 33,177,600 bytes in, 33,177,600 bytes out
  error        at most 1e-05 * (|k| * |x|)
"""
    )
    assert re.search("predicted +scratch +error at most\n    separable ", table)
    assert "    recursive  refused: the call gives no tolerance\n" in table


def test_columns_are_aligned():
    lines = PLANS["tolerant"].explain().partition("  methods")[2].splitlines()
    head = "  methods" + lines[0]
    for line in lines[1:]:
        found = re.match(r"    [a-z_]+ +([0-9.,]+ \w+) +([0-9.,]+ \w+) +(\S+)", line)
        if found:
            ends = [found.end(n) for n in (1, 2, 3)]
            wanted = [head.index(name) + len(name) for name in explain.HEADINGS[:3]]
            assert ends == wanted


@compiled
def test_bounds_have_their_units():
    text = PLANS["tolerant"].explain()
    assert re.search(r"recursive .* \* sum \|k\| \* max \|x\| ", text)
    assert re.search(r"fft .* \* norm\(k\) \* norm\(x\) ", text)
    assert re.search(r"direct .* \* \(\|k\| \* \|x\|\) ", text)
    assert "asked for    tolerance 0.001\n" in text
    assert "error        none, the sums are exact\n" in PLANS["exact"].explain()
    assert re.search(r"wide .* exact .* chosen", PLANS["exact"].explain())


def test_shapes_have_their_formulas():
    assert "same: ceil(50 / 2) = 25 outputs, 1 of them" in PLANS["exact"].explain()
    assert "full: ceil((7 + 3*(2 - 1) + 1 - 1) / 2) = 5 outputs" in PLANS["many axes"].explain()
    plan = faltung.plan(10, "float64", [1.0, 2.0, 3.0], mode="valid")
    assert "valid: 10 - 3 + 1 = 8 outputs, none reaches beyond an end\n" in plan.explain()
    assert "(constant 7.25)" in PLANS["long"].explain()
    assert "(edge)" in PLANS["box"].explain()
    assert "(wrap)" in PLANS["box"].explain()


def test_numbers_are_written_for_readers():
    assert ", overflow" not in PLANS["gaussian"].explain()
    assert "computed in exact integers from 0 to 6,375, overflow raise" in (
        faltung.plan(9, "uint8", np.ones(25, int)).explain()
    )
    text = faltung.plan(9, "complex64", [1.0, 2], stride=2).explain()
    assert "constant 0)" in text
    assert ", stride 2 ->" in text
    assert "over axis 0\n" in text
    text = faltung.plan(10**15, "float32", [1.0, 2], method="reference").explain()
    assert re.search(r"reference +[0-9,]+ h ", text)


def test_normalised_plans_tell_their_formula_and_methods():
    text = PLANS["weighted"].explain()
    assert "y = sum(k) * (k * (w x)) / (k * w), w = the weights\n" in text
    assert re.search("both sums by [a-z]+\n|by [a-z]+, k . w by", text)
    assert "(k * w), w = 1, 0 for NaN\n" in PLANS["missing"].explain()
    assert "normalised" not in PLANS["gaussian"].explain()


@compiled
def test_a_plan_that_cannot_run_here_says_so(monkeypatch):
    plan = faltung.plan((9, 9), "float32", np.ones((2, 2)), method="direct")
    monkeypatch.setattr("faltung.methods.direct.supports", lambda _: Verdict(False, "no library"))
    assert "chosen: but another runs in its place here" in plan.explain()
    assert "no library" in plan._repr_html_()


# ---- HTML ------------------------------------------------------------------------------------


class Checker(HTMLParser):
    """Keeps the text of every cell, and fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], set(), []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attributes)
        if tag not in ("br", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@every
def test_html_is_well_formed_and_says_the_same(plan):
    report = plan.report()
    checked = Checker(plan._repr_html_())
    assert checked.tags <= {
        "div", "style", "p", "strong", "br", "code", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    texts = set(checked.texts)
    assert {report.title, report.equation} <= texts
    assert all(text in texts for _, text in report.facts)
    for row in report.rows:
        assert {row.method, f"{row.status}: {row.note}", *filter(None, row.numbers)} <= texts


@every
def test_html_is_styled_in_one_place_and_every_heading_says_something(plan):
    page = plan._repr_html_()
    assert page.count("<style>") == 1
    assert "style=" not in page
    assert "opacity" not in page
    assert not re.search("<th[^>]*></th>", page)


def test_html_escapes_everything():
    evil = "<script>alert('\"&')</script>"
    row = explain.Row(evil, "chosen", evil, 1.0, 2.0, 3.0, evil)
    report = explain.Report(evil, evil, ((evil, evil),), (row,))
    for page in (explain.as_html(report), explain.as_page(report)):
        assert "<script" not in page
        assert page.count("&lt;script&gt;") >= 7
        Checker(page)


def test_html_has_no_colours_of_its_own():
    page = PLANS["gaussian"]._repr_html_()
    assert not re.search(r"#[0-9a-f]{3}|rgb|color:(?!inherit)|background:(?!transparent)", page)
    assert 'name="color-scheme" content="light dark"' in explain.as_page(PLANS["box"].report())


# ---- the command -----------------------------------------------------------------------------


def test_the_command_prints_what_the_plan_explains(capsys, tmp_path):
    arguments = ["--shape", "2160x3840", "--dtype", "float32", "--kernel", "gaussian:5"]
    assert cli.run(["explain", *arguments, "--html", str(tmp_path / "plan.html")]) == 0
    assert capsys.readouterr().out == PLANS["gaussian"].explain() + "\n"
    page = (tmp_path / "plan.html").read_text()
    assert page == explain.as_page(PLANS["gaussian"].report())
    assert page.startswith("<!DOCTYPE html>")


def test_the_command_takes_every_option(capsys):
    arguments = "--shape 300x451x3 --dtype uint8 -k [[1,2,1],[2,4,2]]/16 --axes 0,1 --mode full"
    more = "--boundary edge,wrap --stride 2,3 --dilation 2 --tolerance 1e-3 --operation correlate"
    assert cli.run(["explain", *arguments.split(), *more.split()]) == 0
    plan = faltung.plan(
        (300, 451, 3), "uint8", kernels.parse("[[1,2,1],[2,4,2]]/16"), axes=(0, 1), mode="full",
        boundary=("edge", "wrap"), stride=(2, 3), dilation=2, tolerance=1e-3,
        operation="correlate",
    )  # fmt: skip
    assert capsys.readouterr().out == plan.explain() + "\n"


OPTIONS = [
    (["--anchor", "0,1"], {"anchor": (0, 1)}),
    (["--fill-value", "2.5"], {"fill_value": 2.5}),
    (["--dtype", "uint8", "--result-dtype", "uint8", "--overflow", "saturate"],
     {"dtype": "uint8", "result_dtype": "uint8", "overflow": "saturate"}),
    (["--missing", "ignore"], {"missing": "ignore"}),
    (["--weighted"], {"weighted": True}),
    (["--nonnegative"], {"nonnegative": True}),
    (["--method", "reference"], {"method": "reference"}),
    (["--max-memory", "99000000"], {"max_memory": 99_000_000}),
    (["--dtype", "c8", "--operation", "correlate", "--conjugate"],
     {"dtype": "c8", "operation": "correlate", "conjugate": True}),
    (["--workers", "1"], {}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "options"), OPTIONS)
def test_the_command_has_the_options_of_a_plan(arguments, options, capsys):
    options = {"dtype": "float32", **options}
    dtype = options.pop("dtype")
    assert cli.run(["explain", "--shape", "30x40", "--kernel", "gaussian:1", *arguments]) == 0
    with faltung.workers(1) if "--workers" in arguments else faltung.workers(native.get_workers()):
        wanted = faltung.plan((30, 40), dtype, kernels.gaussian(1), **options).explain()
    assert capsys.readouterr().out == wanted + "\n"


@pytest.mark.parametrize(
    "shape", ["30,40", "30X40", "(30, 40)", "30 x 40", "30\N{MULTIPLICATION SIGN}40"]
)
def test_shapes_are_written_as_one_likes(shape, capsys):
    assert cli.run(["explain", "--shape", shape, "--kernel", "box"]) == 0
    assert "float32 30x40 with" in capsys.readouterr().out


def test_kernels_of_the_command_may_be_complex(capsys, tmp_path):
    np.save(tmp_path / "k.npy", np.array([1j, 2, -1j]))
    for kernel in ("[1j, 2, -1j]", "[2j, 4, -2j]/2", str(tmp_path / "k.npy")):
        assert cli.run(["explain", "--shape", "9", "--dtype", "complex128", "-k", kernel]) == 0
        assert "symmetry hermitian; sum 2+0j" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [
    "",
    "--shape 5x5",
    "--kernel box",
    "--shape 5xx5 --kernel box",
    "--shape 5x-5 --kernel box",
    "--shape 1e3x5 --kernel box",
    "--shape 5x5 --kernel nothing",
    "--shape 5x5 --kernel gaussian:0",
    "--shape 5 --kernel gaussian:5",
    "--shape 5x5 --kernel box --dtype float33",
    "--shape 5x5 --kernel box --dtype (1,2",
    "--shape 5x5 --kernel box --dtype U5",
    "--shape 5x5 --kernel box --mode big",
    "--shape 5x5 --kernel box --boundary mirror",
    "--shape 5x5 --kernel box --boundary edge,wrap,edge",
    "--shape 5x5 --kernel box --stride 0",
    "--shape 5x5 --kernel box --dilation 1,x",
    "--shape 5x5 --kernel box --axes 0",
    "--shape 5x5 --kernel box --axes 0,7",
    "--shape 5x5 --kernel box --tolerance -1",
    "--shape 5x5 --kernel box --operation mix",
    "--shape 5x5 --kernel box --anchor 5",
    "--shape 5x5 --kernel box --anchor a",
    "--shape 5x5 --kernel box --fill-value none",
    "--shape 5x5 --kernel box --max-memory 1",
    "--shape 5x5 --kernel box --tolerance 1e-12",
    "--shape 5x5 --kernel box --method fast",
    "--shape 5x5 --kernel box --workers 0",
    "--shape 5x5 --kernel box --conjugate",
    "--shape 5x5 --kernel [[1j],[1,2]]",
    "--shape 5x5 --kernel none.npy",
    "--shape 2x2 --kernel box --mode valid",
    "--shape 5x5 --kernel box --html OUT",
    "--shape 5x5 --kernel box --html OUT/no/plan.html",
])  # fmt: skip
def test_mistakes_are_one_line_and_status_2(arguments, tmp_path, capsys):
    assert cli.run(["explain", *arguments.replace("OUT", str(tmp_path)).split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("faltung: error: ")
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
