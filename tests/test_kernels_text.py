"""Texts and files name kernels, and any kernel is compared with those that have a name."""

import inspect
import json

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import faltung
from faltung import kernels
from faltung.kernels import Kernel


@pytest.mark.parametrize(("text", "wanted"), [
    ("gaussian:2.5", kernels.gaussian(2.5)),
    ("gaussian:2.5,order=1", kernels.gaussian(2.5, order=1)),
    ("gaussian:2.5,order=2/1", kernels.gaussian(2.5, order=(2, 1))),
    ("gaussian:2, kind=discrete, cut=5", kernels.gaussian(2, kind="discrete", cut=5)),
    ("gaussian:2,axes=1", kernels.gaussian(2, axes=1)),
    ("gaussian:sigma=3", kernels.gaussian(3)),
    ("motion:15,30deg", kernels.motion(15, 30)),
    ("motion:15,30\N{DEGREE SIGN}", kernels.motion(15, 30)),
    ("box:3x5", kernels.box((3, 5))),
    ("box:3x3", kernels.box(3)),
    ("gaussian:2x3", kernels.gaussian((2, 3))),
    ("gaussian:sigma=2x3x1.5", kernels.gaussian([2, 3, 1.5])),
    ("gaussian:2 x 3,order=1/0,cut=3", kernels.gaussian((2, 3), order=(1, 0), cut=3)),
    ("motion:15,30", kernels.motion(15, 30)),
    ("motion:15,angle=-30deg", kernels.motion(15, -30)),
    ("motion", kernels.motion(15, 30)),
    ("disk:2.5", kernels.disk(2.5)),
    ("tent:7,axes=1", kernels.tent(7, axes=1)),
    ("binomial:5", kernels.binomial(5)),
    ("sobel.x", kernels.sobel_x),
    ("sobel_x", kernels.sobel_x),
    ("Sobel-X", kernels.sobel_x),
    ("sobel.x:7", kernels.sobel(7)),
    ("sobel.y:7", kernels.sobel(7, 0, 1)),
    ("laws.l5e5", kernels.laws[1]),
    ("KIRSCH.NE", kernels.kirsch[7]),
    ("unsharp:2,0.5", kernels.unsharp(2, 0.5)),
    ("high-boost:1.2", kernels.high_boost(1.2)),
    ("log:1.4", kernels.log(1.4)),
    ("dog:1", kernels.dog(1)),
    ("dog:1,2", kernels.dog(1, 2)),
    ("gabor:8,45deg,phase=90deg", kernels.gabor(8, 45, phase=90)),
    ("gabor:8,45,sigma=4,aspect=0.7", kernels.gabor(8, 45, sigma=4, aspect=0.7)),
    ("steerable:2,30deg,order=2", kernels.steerable(2, 30, order=2)),
    ("shift:1", kernels.shift(1)),
    ("shift:0.5,-2", kernels.shift(0.5, -2)),
    ("shift:0.5,method=lanczos", kernels.shift(0.5, method="lanczos")),
    ("soft-shift:0.8,0.1,0.1", kernels.soft_shift(0.8, 0.1, 0.1)),
    ("age.exponential:0.3,taps=4", kernels.exponential_age(0.3, 4)),
    ("age.linear:3", kernels.linear_age(3)),
    ("savgol:7,2,deriv=1", kernels.savitzky_golay(7, 2, derivative=1)),
    ("daubechies.high:3", kernels.wavelet(3, "high")),
    ("bilinear:4", kernels.bilinear(4)),
    ("bicubic:3,axes=1", kernels.bicubic(3, axes=1)),
])  # fmt: skip
def test_parameters_come_by_place_or_by_name(text, wanted):
    assert kernels.parse(text) == wanted
    assert kernels.get(text) == wanted
    assert kernels.get(wanted.name) == wanted  # the name says everything


def test_names_say_what_is_not_as_usual():
    for kernel in (
        kernels.box(3, axes=1), kernels.gaussian(2, cut=3, axes=1, order=2, kind="discrete"),
        kernels.log(2, cut=5), kernels.dog(1, 2, cut=3), kernels.unsharp(1, cut=3),
        kernels.steerable(2, 10, order=2, cut=3), kernels.gabor(5, sigma=2, aspect=1, cut=2),
        kernels.savitzky_golay(5, 2, derivative=1, spacing=0.5), kernels.bicubic(3, axes=1),
        kernels.sobel(5, 0, 1), kernels.exponential_age(0.5, 7), kernels.shift(0.5, -1.25),
        kernels.shift(0.25, method="lanczos"), kernels.shift(-3), kernels.binomial(3, axes=3),
    ):  # fmt: skip
        assert kernels.get(kernel.name) == kernel
    assert kernels.log(2, balanced=False).name != kernels.log(2).name


@pytest.mark.parametrize("name", kernels.names())
def test_every_name_is_found_and_finds_itself(name):
    kernel = kernels.get(name)
    assert kernels.parse(f" {name} ") == kernel
    if ":" not in name:
        assert kernels.NAMED[name] is kernel
        assert kernels.get(name.upper().replace(".", "_")) is kernel


REFUSED = [
    "gaussian:2.5,order=5", "gaussian:2.5,order=1/1/1", "gaussian:2.5,width=3",
    "gaussian:1,2,3,4,5,6",
    "gaussian:2,2", "gabor:8,45,4", "savgol:5,2,1", "steerable:1,0,2", "tent:3,1", "box:3x",
    "box:3x5x7", "gaussian:1x2,axes=1", "gaussian:1x2x3x4", "box:0x3", "motion:15x3",
    "gaussian:order=1", "gaussian:1,sigma=2", "gaussian:order=1,2", "gaussian:1,kind=soft",
    "gaussian:2,order=1,order=2", "motion:15,30rad", "motion:0.5", "motion:501", "motion:15,inf",
    "motion:1e2", "disk:0", "disk:301", "tent:0", "tent:1002", "binomial:99", "sobel.x:4",
    "sobel.x:33", "sobel.z", "shift:", "shift:1001", "shift:1,2,3,4,5", "shift:0.5,method=spline",
    "soft-shift:1,1,1", "soft-shift:0.5", "age.exponential:0", "age.linear:0", "savgol:6,2",
    "savgol:5,7", "savgol:5,2,deriv=3", "daubechies.low:9", "daubechies.low:2,band=high",
    "bilinear:65", "gabor:1", "gabor:200,0,100,0.2,cut=10", "box:3,3", "box:3,axes=3", "laws.L5X5",
    "kirsch", "robinson:n", "dog:2,1", "log:²", "unsharp:1,-1", "edge:3", "gaussian:,", "nosuch:1",
    "x" * 5000, "gaussian:1" + ",cut=2" * 900,
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_mistakes_are_one_short_line(text):
    if text == "shift:":  # means the usual one, as every family without parameters does
        assert kernels.get(text) == kernels.get("shift:1,2.5")
        return
    with pytest.raises(ValueError, match="kernel") as raised:
        kernels.parse(text)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 900


def test_both_spellings_are_found_in_both_places():
    assert kernels.kirsch_ne is kernels.get("kirsch.ne")
    assert kernels.laws_L5E5 is kernels.laws[1]
    for name, kernel in kernels.NAMED.items():
        assert getattr(kernels, name.replace(".", "_").replace("-", "_")) == kernel
    for text, function in (
        ("savgol", "savitzky_golay"), ("age.linear", "linear_age"), ("soft-shift", "soft_shift"),
        ("age.exponential", "exponential_age"), ("high-boost", "high_boost"), ("box", "box"),
    ):  # fmt: skip
        assert getattr(kernels, text.replace(".", "_").replace("-", "_")) is getattr(
            kernels, function
        )
        assert kernels.get(function) == kernels.get(text)


@pytest.mark.parametrize(("name", "advice"), [
    ("laplacian", "it has laplacian4, laplacian8, laplacian.oono-puri"),
    ("daubechies_low", r"it has get\('daubechies\.low:2'\), and wavelet\(\)"),
    ("gausian", r"Did you mean gaussian"), ("gausian:2", r"Did you mean gaussian:2"),
    ("exponential:0.3", r"Did you mean age\.exponential:0\.3"), ("nothing", r"names\(\) lists all"),
    ("no.thing", r"names\(\) lists all"),
    ("_private", "no attribute"),
])  # fmt: skip
def test_an_attribute_that_is_none_gets_a_hint(name, advice):
    with pytest.raises(AttributeError, match=advice):
        getattr(kernels, name)


def test_what_kernels_are_for_tells_them_apart():
    abouts = [kernel.about for kernel in kernels.NAMED.values() if kernel.ndim == 2]
    several = {about for about in abouts if abouts.count(about) > 1}
    assert several <= {kernels.gaussian3.about, *(k.about for k in kernels.kirsch)}
    assert "with 1 zero between" in kernels.bilinear(2).about
    assert "with 2 zeros between" in kernels.bilinear(3).about


def test_only_the_shape_comes_by_its_place():
    with pytest.raises(ValueError, match=r"only sigma may.* write order=, kind=, cut=, axes=.*2x3"):
        kernels.get("gaussian:2,2")
    with pytest.raises(ValueError, match=r"only window and degree may.* write deriv=, spacing=\."):
        kernels.get("savgol:5,2,1")
    for family in kernels.FAMILIES.values():
        if family.many:
            continue
        arguments = inspect.signature(family.make).parameters.values()
        by_place = [a.name for a in arguments if a.kind is a.POSITIONAL_OR_KEYWORD]
        taken = [a for a in by_place if a not in dict(family.fixed)]
        assert [p.argument or p.name for p in family.placed] == taken


def test_sides_are_rows_then_columns():
    np.testing.assert_array_equal(kernels.box((3, 5)).array, np.full((3, 5), 1 / 15))
    wide = kernels.gaussian((2, 3))
    down, across = kernels.gaussian(2, axes=1), kernels.gaussian(3, axes=1)
    np.testing.assert_array_equal(wide.array, np.multiply.outer(down.array, across.array))
    x = np.random.default_rng(0).random((20, 30))
    wanted = scipy.ndimage.gaussian_filter(x, (2, 3), truncate=4)
    found = faltung.convolve(x, wide, boundary="symmetric")
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    slope = scipy.ndimage.gaussian_filter(x, (2, 3), order=(1, 0))
    kernel = kernels.gaussian((2, 3), order=(1, 0))
    found = faltung.correlate(x, kernel, boundary="symmetric")
    np.testing.assert_allclose(found, slope, atol=1e-12)
    assert kernels.gaussian((2, 2)) == kernels.gaussian(2)
    assert kernels.box([4]) == kernels.box(4, axes=1)
    for wrong in ({"size": (3, 5), "axes": 3}, {"size": ()}, {"size": (3, 0)}, {"size": (3, 2.5)}):
        with pytest.raises(ValueError, match=r"^box: "):
            kernels.box(**wrong)
    with pytest.raises(ValueError, match="one for each of the 3 axes"):
        kernels.gaussian((1, 2), axes=3)


def test_a_misspelt_family_is_suggested():
    with pytest.raises(ValueError, match=r"Did you mean gaussian:2 or"):
        kernels.get("gausian:2")
    with pytest.raises(ValueError, match=r"Did you mean kirsch\."):
        kernels.get("kirsch.nn")
    with pytest.raises(ValueError, match=r"stands for several: sobel\.x, sobel\.y\."):
        kernels.get("sobel")
    with pytest.raises(ValueError, match=r"in brackets, as in \[\[1,2,1\]\]"):
        kernels.get("1,2,1")


@pytest.mark.parametrize("name", kernels.pairs())
def test_pairs_are_the_gradient_to_the_right_and_downwards(name):
    across, down = kernels.pair(name)
    rows, columns = np.mgrid[:5, :7].astype(float)
    slope = np.abs(across.array).sum() * (across.shape[1] - 1) / 2
    for kernel, ramp in ((across, columns), (down, rows)):
        for x, wanted in ((ramp, slope), (rows + columns - ramp, 0)):
            found = faltung.correlate(x, kernel, mode="valid")
            np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_pairs_are_the_named_kernels():
    assert kernels.pair("Sobel") == (kernels.sobel_x, kernels.sobel_y)
    assert kernels.pair("sobel:7") == (kernels.sobel(7), kernels.sobel(7, 0, 1))
    across, down = kernels.pair("roberts")
    x = np.random.default_rng(0).random((9, 8))
    both, diagonals = (
        np.hypot(*(faltung.correlate(x, k, mode="valid") for k in pair))
        for pair in ((across, down), (kernels.roberts_pos, kernels.roberts_neg))
    )
    np.testing.assert_allclose(both, diagonals, rtol=1e-12)


@pytest.mark.parametrize("text", ["gaussian", "scharr:5", "roberts:3", "steerable:2", "", "kirsch"])
def test_what_is_no_pair_gets_the_list(text):
    with pytest.raises(ValueError, match="sobel, scharr, scharr-optimal, prewitt, roberts are"):
        kernels.pair(text)


def test_a_name_is_told_from_numbers_and_files(tmp_path, monkeypatch):
    for text in ("[[1,2,1]]/4", "k.npy"):
        with pytest.raises(ValueError, match=r"kernels\.parse takes numbers and files"):
            kernels.get(text)
    monkeypatch.chdir(tmp_path)
    for name in ("k.txt", "edge"):
        (tmp_path / name).write_text("1 2 1")
    with pytest.raises(ValueError, match=r"'k\.txt' is a file.* in \.npy, \.csv, \.json, \.png"):
        kernels.parse("k.txt")
    assert kernels.parse("edge") is kernels.edge
    with pytest.raises(ValueError, match=r"no kernel named 'j\.txt'"):
        kernels.parse("j.txt")


@given(st.text(max_size=12))
@settings(max_examples=300)
def test_no_text_breaks_the_parser(text):
    for start in ("", "gaussian:", "shift:", "savgol:7,", "["):
        try:
            found = kernels.parse(start + text)
        except ValueError:
            continue
        assert isinstance(found, (Kernel, np.ndarray))


# ---- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "wanted"), [
    ("1,2,1\n2,4,2\n1,2,1\n", [[1, 2, 1], [2, 4, 2], [1, 2, 1]]),
    ("1;2\r\n3;4\r\n", [[1, 2], [3, 4]]),
    ("\ufeff 0.5 -1e-1\n\n 2 3 ", [[0.5, -0.1], [2, 3]]),
    ("7", [[7]]),
])  # fmt: skip
def test_csv(tmp_path, content, wanted):
    path = tmp_path / "k.csv"
    path.write_bytes(content.encode())
    found = kernels.parse(str(path))
    np.testing.assert_array_equal(np.asarray(found), wanted)
    assert isinstance(found, Kernel) == (np.array(wanted).dtype.kind == "i")


def test_json(tmp_path):
    def parsed(value):
        path = tmp_path / "k.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return kernels.parse(str(path))

    assert parsed([[1, 2, 1]]) == Kernel.of([[1, 2, 1]])
    np.testing.assert_array_equal(parsed([0.5, 0.5]), [0.5, 0.5])
    whole = parsed({"taps": [3, 2, 1], "divisor": 6, "anchor": [0], "operation": "convolve",
                    "name": "mine"})  # fmt: skip
    assert whole == Kernel("mine", (3,), (3, 2, 1), 6, anchor=(0,), operation="convolve")
    np.testing.assert_array_equal(parsed({"taps": [1.5], "divisor": 3}).array, [0.5])
    for bad in ("{", "[[1,2],[3]]", "3 4", '{"taps": [1], "anchr": [0]}', '{"rows": [1]}',
                '{"taps": [1], "divisor": 0}', '{"taps": [1], "divisor": true}', '["a"]', "[NaN]",
                '{"taps": [1], "anchor": [1]}', '{"taps": [1], "anchor": "0"}', "[]",
                '{"taps": [1], "name": ""}', '{"taps": [1], "operation": 3}', "null",
                "[" * 100_000, '{"taps": [1], "name": ["a"]}', "[1e999]"):  # fmt: skip
        with pytest.raises(ValueError, match=r"^kernel ") as raised:
            parsed(bad)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_is_grey_over_sum(tmp_path, dtype):
    grey = np.array([[0, 1, 2], [3, 250, 4]], dtype)
    if dtype == "uint16":
        grey = grey * 200
    Image.fromarray(grey).save(tmp_path / "blob.png")
    kernel = kernels.parse(str(tmp_path / "blob.png"))
    np.testing.assert_allclose(kernel.array, grey / grey.sum(), rtol=1e-15)
    assert kernel.total == 1
    assert kernel.exact
    assert kernel.name == "blob"


def test_png_colours_and_holes(tmp_path):
    colours = np.zeros((4, 5, 3), np.uint8)
    colours[1, 2] = 100
    colours[2, 3] = (255, 0, 0)
    Image.fromarray(colours).save(tmp_path / "a.png")
    got = kernels.parse(str(tmp_path / "a.png")).array
    assert got[1, 2] / got[2, 3] == pytest.approx(100 / 76)  # 0.299 * 255, rounded
    opaque = np.dstack([colours, np.full((4, 5), 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "b.png")
    np.testing.assert_array_equal(kernels.parse(str(tmp_path / "b.png")).array, got)
    opaque[0, 0, 3] = 254
    Image.fromarray(opaque).save(tmp_path / "c.png")
    with pytest.raises(ValueError, match="transparent"):
        kernels.parse(str(tmp_path / "c.png"))
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "d.png")
    with pytest.raises(ValueError, match="black"):
        kernels.parse(str(tmp_path / "d.png"))
    Image.fromarray(np.ones((1, 1002), np.uint8)).save(tmp_path / "e.png")
    with pytest.raises(ValueError, match="1002 x 1 pixels"):
        kernels.parse(str(tmp_path / "e.png"))


def test_broken_files_are_refused(tmp_path):
    for name in ("a.csv", "a.json", "a.png", "a.npy"):
        with pytest.raises(ValueError, match="no such file"):
            kernels.parse(str(tmp_path / name))
        (tmp_path / name).mkdir()
        with pytest.raises(ValueError, match="no regular file"):
            kernels.parse(str(tmp_path / name))
    for name, content in (("b.csv", b"a,b"), ("b.csv", b"1,2\n3"), ("b.csv", b""),
                          ("b.csv", b"\xff"),
                          ("b.csv", b"1,nan"), ("b.json", b"\xff\xfe"), ("b.json", b""),
                          ("b.png", b"not"), ("b.png", b"\x89PNG\r\n\x1a\n")):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"^kernel "):
            kernels.parse(str(tmp_path / name))
    picture = tmp_path / "c.jpg.png"
    Image.fromarray(np.ones((8, 8), np.uint8)).save(picture, format="JPEG")
    with pytest.raises(ValueError, match="no readable PNG"):
        kernels.parse(str(picture))


# ---- likeness --------------------------------------------------------------------------------

TWO_AXES = [n for n in kernels.names() if n != "shift:1,2.5"]


@pytest.mark.parametrize("name", TWO_AXES)
def test_every_named_kernel_is_nearest_to_itself(name):
    k = kernels.get(name)
    found = kernels.nearest(k, 20)
    alike = {near.kernel.name: near for near in found if near.score > 1 - 1e-12}
    assert name in alike
    assert alike[name].score == pytest.approx(1, abs=1e-12)
    assert alike[name].turns == 0
    assert alike[name].factor == pytest.approx(1)
    scores = [near.score for near in found]
    assert scores == sorted(scores, reverse=True) or np.allclose(scores, sorted(scores)[::-1])


def scores_of(k):
    return {near.kernel.name: near.score for near in kernels.nearest(k, 1000)}


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6),
       st.sampled_from([1.0, -1.0, 3.5, -1e-9, 1e200]), st.integers(0, 3))  # fmt: skip
@settings(max_examples=40)
def test_scale_sign_and_quarter_turns_make_no_difference(rows, columns, seed, scale, turns):
    k = np.random.default_rng(seed).standard_normal((rows, columns))
    before, after = scores_of(k), scores_of(scale * np.rot90(k, turns))
    assert before.keys() == after.keys()
    for name, score in before.items():
        assert 0 <= score <= 1
        assert after[name] == pytest.approx(score, abs=1e-9)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6))
@settings(max_examples=20)
def test_padding_around_makes_no_difference(rows, columns, seed):
    k = np.random.default_rng(seed).standard_normal((rows, columns))
    before, after = scores_of(k), scores_of(np.pad(k, ((2, 2), (1, 1))))
    for name, score in before.items():
        assert after[name] == pytest.approx(score, abs=1e-12)


def test_the_factor_and_the_turns_rebuild_the_kernel():
    k = -3 * np.rot90(kernels.emboss.array, 3)
    near = kernels.nearest(k, 1)[0]
    assert near.kernel.name == "emboss"
    rebuilt = near.factor * np.rot90(near.kernel.array, near.turns)
    np.testing.assert_allclose(rebuilt, k, atol=1e-12)


def test_of_equals_the_one_without_a_factor_is_nearest():
    first, second = kernels.nearest(np.ones((3, 3)) / 9, 2)
    assert (first.kernel.name, first.factor) == ("box:3", 1)
    assert second.factor == pytest.approx(1 / 3, rel=1e-15)
    assert kernels.nearest(np.array([[1, 2, 1]]) / 7, 1)[0].factor == 4 / 7
    assert kernels.nearest(np.pi * kernels.emboss.array, 1)[0].factor == pytest.approx(np.pi)


@pytest.mark.parametrize(("kernel", "total"), [
    ("savgol:7,2,deriv=1", 0), ("savgol:9,2", 1), ("box:7", 1), ("scharr-optimal.x", 0),
    ("unsharp5", 1),
])  # fmt: skip
def test_sums_have_no_noise(kernel, total):
    k = kernels.get(kernel)
    assert faltung.analyse(k).sum == total
    assert f"sum {total}, " in faltung.analyse(k.array).summary
    assert "sum 0, " in faltung.analyse(kernels.log(2)).summary
    assert faltung.analyse(k.array).sum == pytest.approx(total, abs=0, rel=1e-15)


def test_what_is_nearest():
    rng = np.random.default_rng(0)
    noisy = kernels.sobel_x.array + 0.1 * rng.standard_normal((3, 3))
    names = [near.kernel.name for near in kernels.nearest(noisy, 4)]
    assert {"sobel.x", "sobel.y"} & set(names)
    assert kernels.nearest(noisy)[0].score < 1
    near = kernels.nearest([0.25, 0.5, 0.25], 1)[0]  # one axis
    assert (near.kernel.name, near.turns) == ("binomial:3,axes=1", 0)
    column = kernels.nearest([[1], [2], [1]], 1)[0]
    assert (column.kernel.name, column.score) == ("binomial:3,axes=1", near.score)
    assert kernels.nearest([-1, 0, 1], 1)[0].kernel.name == "savgol:3,1,deriv=1"
    assert kernels.nearest(kernels.gaussian(2.1), 1)[0].kernel.name == "gaussian:2"
    rising = kernels.motion(15, 30)
    assert kernels.nearest(rising.rotated90(), 1)[0].score == pytest.approx(1)
    mirrored = kernels.nearest(rising.array[:, ::-1], 100)  # 150 degrees is another kernel
    assert {n.kernel.name: n.score for n in mirrored}["motion:15,30deg"] < 0.9
    assert len(kernels.nearest(np.ones((2, 2)), 5)) == 5
    assert kernels.nearest(np.ones((2, 2)), 1)[0].kernel.name == "haar.ll"


@pytest.mark.parametrize("k", [[], [[0, 0]], 3, [[1j]], np.ones((2, 2, 2)), [np.nan], [np.inf]])
def test_what_cannot_be_compared(k):
    with pytest.raises(ValueError, match="nearest: "):
        kernels.nearest(k)
    with pytest.raises(ValueError, match="nearest: n=0"):
        kernels.nearest([1], 0)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.csv", b"1_0,2", "no table of numbers"),
    ("a.csv", "\u0663,2".encode(), "no table of numbers"),
    ("a.csv", b"0,5;0,5", "the same mark"),
    ("a.csv", b"0,5 0,5", "the same mark"),
    ("a.csv", b"1,2\n1;2", "the same mark"),
    ("a.json", b'{"taps": [[1, 2]], "divisor": Infinity}', "finite number more than 0"),
    ("a.json", b'{"taps": [[0.5, 2]], "divisor": 1' + b"0" * 400 + b"}", "beyond every float"),
    ("a.json", b"[[1, true]]", "no table of numbers"),
    ("a.json", b'{"taps": [[1]], "anchor": "ab"}', "whole numbers, one for each axis"),
    ("a.json", b'{"taps": [[1]], "anchor": null}', "whole numbers, one for each axis"),
    ("a.json", b'{"taps": [[1]], "\\u001b]0;x\\n": 1}', r"'\\x1b\]0;x\\n' is unknown"),
])  # fmt: skip
def test_what_could_be_misread_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        kernels.parse(str(tmp_path / name))
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_commas_with_blanks_are_one_mark(tmp_path):
    (tmp_path / "a.csv").write_text("1, 2 ,\t3,\n4,5,6\n")
    assert kernels.parse(str(tmp_path / "a.csv")).array.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_giant_array_file_is_not_read(tmp_path):
    path = tmp_path / "giant.npy"
    np.save(path, np.zeros((2, 2)))
    with path.open("r+b") as file:
        file.truncate(6 << 30)  # sparse
    with pytest.raises(ValueError, match="longer than 64 MB"):
        kernels.parse(str(path))


@pytest.mark.parametrize("text", ["[[1,2,1]]/1.5x" + "0" * 50_000, "[[0.5]]/1" + "0" * 400])
def test_long_texts_are_not_repeated_in_full(text):
    with pytest.raises(ValueError, match="not a table of numbers") as caught:
        kernels.parse(text)
    assert len(str(caught.value)) < 300


def test_whole_numbers_of_64_bits_without_a_sign():
    assert kernels.parse("[[9223372036854775808]]").numerators == (2**63,)


@pytest.mark.parametrize("text", ["shift:0.00000001", "shift:0.00001234567890123", "shift:-0.3"])
def test_small_distances_are_named_as_they_are_read(text):
    kernel = kernels.get(text)
    assert kernels.get(kernel.name) == kernel
    assert kernel.name == text


def test_likeness_of_the_largest_numbers_is_told_without_an_error():
    near = kernels.nearest(np.full((3, 3), -1.7e308), 1)[0]
    assert near.score == pytest.approx(1)
    assert near.factor == -np.inf
