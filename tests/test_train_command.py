"""``faltung train``, ``predict`` and ``evaluate`` with all that can be wrong: a line, no file."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from faltung import nn
from faltung.cli import run

RNG = np.random.default_rng(0)


def picture(path, size=(12, 12), channels=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 255, (*size, *channels)).astype(np.uint8)).save(path)


def photographs(folder, classes=("a", "b"), count=6):
    """Write a folder of images for each class."""
    for name in classes:
        for number in range(count):
            picture(folder / name / f"{number}.png")
    return folder


def archive(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def photos(tmp_path):
    return photographs(tmp_path / "photos")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a network of classes a and b, saved."""
    network = nn.Sequential([nn.Conv(2, 3), nn.Dense(2)], (1, 12, 12))
    network.notes["classes"] = json.dumps(["a", "b"])
    path = tmp_path_factory.mktemp("model") / "model"
    nn.save(network, path)
    return path


@pytest.fixture
def refused(capsys):
    """Return a function that runs a command, which must fail in one line that says this."""

    def check(arguments, match, status=2):
        assert run([str(argument) for argument in arguments]) == status
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "Traceback" not in told
        for part in match if isinstance(match, tuple) else (match,):
            assert part in told, told

    return check


def train(data, output, *more):
    return ["train", data, "-o", output, "--epochs", "1", "-q", *more]


OPTIONS = [
    (("--epochs", "0"), "--epochs"), (("--batch", "x"), "--batch"), (("--rate", "0"), "--rate 0.0"),
    (("--rate", "-1"), "--rate -1.0 must be a number above 0"), (("--rate", "nan"), "--rate nan"),
    (("--decay", "-1"), "--decay -1.0"), (("--decay", "inf"), "--decay inf"),
    (("--validation", "1"), "give a part between 0 and 1, or 0 for none"),
    (("--validation", "-1"), "--validation -1.0"), (("--validation", "nan"), "--validation nan"),
    (("--patience", "2", "--validation", "0"), "give --validation 0.1"),
    (("--smoothing", "2"), "--smoothing 2.0 must be from 0 to 1"), (("--every", "nan"), "--every"),
    (("--every", "-1"), "--every -1.0"), (("--seed", "-1"), "--seed -1"),
    (("--augment", ""), "say shift=2"), (("--augment", "turn=3"), "'turn=3' is unknown"),
    (("--augment", "shift=1,shift=2"), "there twice"), (("--augment", "shift=-1"), "0 or above"),
    (("--augment", "rotate=nan"), "rotate=nan must be"), (("--augment", "shift=99"), "12 x 12"),
    (("--workers", "0"), "--workers"), (("--model", "none"), "--model"),
    (("--size", "0"), "give 64, or rows and columns"), (("--size", "8x"), "--size 8x: give 64"),
    (("--size", "1000000"), "more than the"), (("--size", "2"), "does not fit"),
    (("--model", "alexnet"), "does not fit"), (("--model", "series"), "(channels, samples)"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "match"), OPTIONS)
def test_options_that_cannot_be(more, match, photos, tmp_path, refused):
    refused(train(photos, tmp_path / "model", *more), match)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


def test_outputs_that_cannot_be(photos, tmp_path, refused):
    """Nothing that is there is written over, but a model; and nobody waits for a training first."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "none" / "model")
    (tmp_path / "text").write_text("precious")
    data = archive(tmp_path / "data.npz", x=RNG.random((8, 12, 12)), y=np.arange(8) % 2)
    before = {p.name for p in tmp_path.iterdir()}
    for output, match in (
        (tmp_path, "this is a folder"), ("", "this is a folder"), (tmp_path / "pipe", "no regular"),
        (tmp_path / "text" / "model", "Not a directory"), (tmp_path / "link", "No such file"),
        ("/proc/model", "/proc/model"), (tmp_path / ("x" * 300), "too long"),
        (tmp_path / "text", "is there and is no model"), ("-", "not a stream"),
        (photos / "a" / "0.png", "is there and is no model"), (data, "is there and is no model"),
    ):  # fmt: skip
        refused(train(data, output), match)
    assert (tmp_path / "text").read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == before


def test_a_model_is_written_over_and_a_checkpoint_is_not(photos, tmp_path, model, refused):
    (tmp_path / "model").write_bytes(model.read_bytes())
    (tmp_path / "model.checkpoint").write_text("rubbish")
    command = train(photos, tmp_path / "model")
    refused([*command, "--resume"], "model.checkpoint is no whole safetensors file")
    refused(command, "model.checkpoint is of a training that did not end; give --resume")
    assert (tmp_path / "model").read_bytes() == model.read_bytes()
    (tmp_path / "model.checkpoint").unlink()
    assert run(list(map(str, command))) == 0
    assert len(nn.load(tmp_path / "model").nodes) > 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "photos"]


def test_folders_are_made_for_a_model_but_not_for_a_mistake(photos, tmp_path, refused):
    deep = tmp_path / "a" / "b" / "model"
    refused(train(tmp_path / "none", deep), "does not exist")
    refused(train(photos, deep, "--rate", "-1"), "--rate")
    refused(train(photos, deep, "--model", "alexnet"), "does not fit")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]
    assert run(list(map(str, train(photos, deep)))) == 0
    assert [p.name for p in deep.parent.iterdir()] == ["model"]


def test_folders_that_are_no_data(tmp_path, refused):
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    picture(tmp_path / "flat" / "x.png")
    for name, match in (
        ("none", "does not exist"), ("empty", "no folders of images"), ("flat", "no folders"),
        ("hollow", "no folders of images"), ("flat/x.png", "is no data that is known"),
    ):  # fmt: skip
        refused(train(tmp_path / name, tmp_path / "model"), match)
    refused(
        train(photographs(tmp_path / "one", ("only",)), tmp_path / "model"), "one class, 'only'"
    )


SPOILT = {
    "rubbish": (lambda p: p.write_bytes(b"rubbish"), "no picture that can be read"),
    "empty": (lambda p: p.write_bytes(b""), "no picture that can be read"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:90]), "broken"),
    "link": (lambda p: (p.unlink(), p.symlink_to("none")), "no such file"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_one_image_among_good_ones_is_named(name, photos, tmp_path, model, refused, capsys):
    spoil, match = SPOILT[name]
    spoil(photos / "b" / "3.png")
    refused(train(photos, tmp_path / "model"), (match, "3.png"))
    refused(["evaluate", model, photos], (match, "3.png"))
    if name == "link":
        return  # the command's arguments have to be there
    good, bad = photos / "a" / "0.png", photos / "b" / "3.png"
    assert run(["predict", str(model), str(good), str(bad), str(good)]) == 1
    told = capsys.readouterr()
    assert told.out.count("0.png\t") == 2
    assert told.err.count("\n") == 1
    assert str(bad) in told.err
    assert run(["predict", str(model), str(bad)]) == 2


X = np.zeros((4, 8, 8), np.uint8)
ARRAYS = {
    "complex": ({"x": X * 1j, "y": range(4)}, "must be numbers"),
    "texts": ({"x": X.astype(str), "y": range(4)}, "must be numbers"),
    "objects": ({"x": X.astype(object), "y": range(4)}, "Python's objects"),
    "labels of objects": ({"x": X, "y": np.array([1, "a", 2, 3], object)}, "Python's objects"),
    "measurements": ({"x": X, "y": [0.5, 1, 2, 3]}, "such as 0.5; they must be integers or texts"),
    "NaN labels": ({"x": X, "y": [0, 1, np.nan, 1]}, "they must be integers or texts"),
    "infinite labels": ({"x": X, "y": [0, 1, np.inf, 1]}, "they must be integers or texts"),
    "fewer": ({"x": X, "y": range(3)}, "labels of (3,)"),
    "two rows": ({"x": X, "y": np.zeros((2, 4), int)}, "labels of (2, 4)"),
    "NaN": ({"x": X * np.nan, "y": range(4)}, "holds NaN or infinity"),
    "great": ({"x": X + 1e300, "y": range(4)}, "holds NaN or infinity"),
    "none": ({"x": X[:0], "y": []}, "there are no images"),
    "no channels": ({"x": np.zeros((4, 0, 8, 8)), "y": range(4)}, "there are no images"),
    "scalars": ({"x": 3, "y": 4}, "there are no images"),
    "no labels": ({"x": X}, "it must hold x and y"),
    "one class": ({"x": X, "y": [1] * 4}, "one class, '1'"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_no_data(name, tmp_path, refused):
    arrays, match = ARRAYS[name]
    refused(train(archive(tmp_path / "data.npz", **arrays), tmp_path / "model"), match)


def header(shape, dtype="<f8"):
    """Return what an array in a file begins with."""
    file = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


EVIL = (
    b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '<f8', 'shape': (__import__('os').abort(),)}".ljust(118)
)
MEMBERS = {
    "a shape that lies": (header((10**6, 10**6)) + b"123", "too many for the"),
    "a little more": (header((2,)) + bytes(15), "another size"),
    "less": (header((2,)) + bytes(17), "another size"),
    "code": (EVIL, "x is no array"),
    "a pickle": (b"\x80\x04.", "x is no array"),
    "nothing": (b"", "x is no array"),
    "an odd version": (b"\x93NUMPY\x09\x00" + bytes(100), "x is no array"),
    "a structure": (header((2, 1), [("a", "<f8")]) + bytes(16), "must be numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMBERS)
def test_archives_that_lie(name, tmp_path, refused):
    content, match = MEMBERS[name]
    labels = io.BytesIO()
    np.save(labels, np.arange(2))
    with zipfile.ZipFile(tmp_path / "data.npz", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x.npy", content)
        made.writestr("y.npy", labels.getvalue())
    refused(train(tmp_path / "data.npz", tmp_path / "model"), (match, "data.npz"))


def test_a_bomb_is_told_by_its_size(tmp_path, refused):
    """Sixty gigabytes of zeros, of which a megabyte is there."""
    with zipfile.ZipFile(tmp_path / "data.npz", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x.npy", header((60_000, 10**6)) + bytes(1 << 20))
        made.writestr("y.npy", header((60_000,)))
    refused(train(tmp_path / "data.npz", tmp_path / "model"), "too many for the")


def test_series_that_are_no_text(tmp_path, refused):
    for content in (bytes(range(256)), "a,1,2\nb,2,3\n".encode("utf16")):
        (tmp_path / "data.csv").write_bytes(content)
        refused(train(tmp_path / "data.csv", tmp_path / "model"), ("no text in UTF-8", "data.csv"))
    (tmp_path / "data.csv").write_bytes(b"\xef\xbb\xbfa,1,2,3\nb,3,2,1\n")
    from faltung import data

    assert data.load(tmp_path / "data.csv").classes == ("a", "b")  # without the mark before it


def test_a_class_without_images_is_none(photos, tmp_path):
    from faltung import data

    (photos / "aa").mkdir()
    found = data.load(photos)
    assert found.classes == ("a", "b")
    assert found.y.tolist() == [0] * 6 + [1] * 6


def test_a_rate_that_is_too_high_leaves_no_model(photos, tmp_path, refused, capsys):
    refused(train(photos, tmp_path / "model", "--rate", "1e38"), "first appeared in the output of")
    assert not (tmp_path / "model").exists()


def test_models_that_do_not_fit_the_data(photos, tmp_path, model, refused):
    picture(tmp_path / "x.png", (5, 5))
    odd = photographs(tmp_path / "odd", ("a", "other"))
    picture(photographs(tmp_path / "sizes") / "b" / "0.png", (5, 7))
    refused(["evaluate", model, odd], "class 'other' is none of the model's, which are a, b")
    refused(["evaluate", model, tmp_path / "sizes"], ("5x7", "12x12", "train with --size"))
    refused(train(tmp_path / "sizes", tmp_path / "new"), ("5x7", "12x12", "--size 64"))
    archive(tmp_path / "x.npz", x=RNG.random((3, 5, 5)), y=[0, 1, 0])
    refused(["predict", model, tmp_path / "x.npz"], ("x.npz", "(1, 5, 5)", "(1, 12, 12)"))
    archive(tmp_path / "y.npz", x=RNG.random((3, 5, 5)), y=np.array(["a", "b", "a"]))
    refused(["evaluate", model, tmp_path / "y.npz"], ("y.npz: x has shape (3, 1, 5, 5)", "conv1"))
    refused(["predict", tmp_path / "x.png", tmp_path / "x.png"], "no whole safetensors file")
    refused(["evaluate", tmp_path, photos], "is a directory")
    refused(["predict", model, tmp_path / "none.png"], "does not exist")
    refused(["evaluate", model, tmp_path / "none"], "does not exist")


def test_tables_of_names(photos, tmp_path, model, refused, capsys):
    command = ["predict", model, photos / "a"]
    for output, match in (
        (tmp_path / "none" / "x.csv", "No such file"), (tmp_path, "is a directory"),
        (model.parent / ("x" * 300), "too long"),
    ):  # fmt: skip
        refused([*command, "-o", output], match)
    assert run([str(a) for a in [*command, "-o", "-"]]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[0] == "file,class,probability,a,b"
    assert told.count("\n") == 7
    assert run([str(a) for a in [*command, "-o", tmp_path / "x.csv"]]) == 0
    assert (tmp_path / "x.csv").read_text() == told


@pytest.mark.parametrize("notes", [
    "{", "3", "null", '{"a": 1, "b": 2}', '"ab"', "[null, [1]]", "[" * 50_000, '["a"]',
])  # fmt: skip
def test_names_of_classes_that_are_none_are_numbers(notes, photos, tmp_path, capsys):
    network = nn.Sequential([nn.Dense(2)], (1, 12, 12))
    network.notes["classes"] = notes
    nn.save(network, tmp_path / "model")
    assert run(["predict", str(tmp_path / "model"), str(photos / "a" / "0.png")]) == 0
    assert capsys.readouterr().out.split("\t")[1] in ("0", "1")


@pytest.mark.parametrize("trained", [
    "{", "[]", "[" * 50_000, "{}", '{"digest": %s}', '{"digest": %s, "validation": "a", "seed": 0}',
    '{"digest": %s, "validation": 2, "seed": 0}', '{"digest": %s, "validation": 0.5, "seed": -1}',
])  # fmt: skip
def test_words_on_the_training_may_be_anything(trained, photos, tmp_path, capsys):
    from faltung import data
    from faltung.nn.training import digest

    network = nn.Sequential([nn.Dense(2)], (1, 12, 12))
    network.notes["classes"] = '["a", "b"]'
    network.notes["trained"] = trained.replace("%s", str(digest(data.load(photos).x)))
    nn.save(network, tmp_path / "model")
    assert run(["evaluate", str(tmp_path / "model"), str(photos)]) == 0
    assert "% of 12\n" in capsys.readouterr().out


def test_networks_that_name_no_class(photos, tmp_path, refused):
    path, image = tmp_path / "model", photos / "a" / "0.png"
    for layers, match in (
        ([nn.Conv(2, 3)], "output is (2, 10, 10) for an image; it must be (classes,)"),
        ([], "(1, 12, 12)"),
    ):
        nn.save(nn.Sequential(layers, (1, 12, 12)), path)
        refused(["predict", path, image], match)
    network = nn.Sequential([nn.Dense(2)], (1, 12, 12))
    network.parameters()["dense1.weights"][:] = np.nan
    nn.save(network, path)
    refused(["predict", path, image], "gives NaN or infinity")
