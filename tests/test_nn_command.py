"""``faltung train``, ``evaluate`` and ``predict``, as a person meets them."""

import csv
import re

import numpy as np
import pytest
from PIL import Image
from test_nn_data import bars

from faltung import data, nn
from faltung.cli import run
from faltung.cli.train import sides


@pytest.fixture
def folder(tmp_path):
    """Return a folder of pictures by class, of two sizes."""
    x, y = bars(40)
    for number, (picture, lies) in enumerate(zip(x, y, strict=True)):
        path = tmp_path / "bars" / ("stands", "lies")[lies] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[:, : 12 - number % 2]).save(path)
    return tmp_path / "bars"


def test_from_folders_of_pictures_to_a_table(folder, tmp_path, capsys):
    model = tmp_path / "new" / "below" / "model"
    assert run(["train", str(folder), "-o", str(model), "-q"]) == 2
    assert "2 sizes, such as 12x11" in (told := capsys.readouterr().err)
    assert "such as --size 64." in told
    train = ["train", str(folder), "-o", str(model), "--size", "12", "--patience", "3", "-q"]
    assert run([*train, "--epochs", "12", "--validation", "0.3"]) == 0
    told = capsys.readouterr().out
    assert "40 of (1, 12, 12), 2 classes" in told
    assert "12 epochs in batches of 8" in told
    best = int(re.search(r"least loss held out was in (\d+), and that is kept", told)[1])
    losses = [float(n) for n in re.findall(r"held out loss ([\d.e-]+)", told)]
    assert losses[best - 1] == min(losses)

    assert run(["evaluate", str(model), str(folder)]) == 0
    told = capsys.readouterr().out
    figure = re.search(r"accuracy ([\d.]+)% of 12, held out of the 40", told)[1]
    shares = re.findall(r"held out loss [\d.e-]+, accuracy ([\d.]+)%", run_again(train, capsys))
    assert figure in shares

    output = tmp_path / "named.csv"
    assert run(["predict", str(model), str(folder / "lies"), "-o", str(output)]) == 0
    found = capsys.readouterr()
    assert "warning" not in found.err  # it was told the size before
    rows = list(csv.DictReader(output.open()))
    assert list(rows[0]) == ["file", "class", "probability", "lies", "stands"]
    assert len(rows) == len(list((folder / "lies").iterdir()))
    network = nn.load(model)
    names, x = data.inputs(folder / "lies", network.input_shape)
    expected = nn.probabilities(network, x)
    np.testing.assert_allclose([float(r["lies"]) for r in rows], expected[:, 0], atol=6e-5)
    assert [row["file"] for row in rows] == names
    assert nn.classes(network) == ["lies", "stands"]


def run_again(arguments, capsys):
    assert run([*arguments, "--epochs", "12", "--validation", "0.3"]) == 0
    return capsys.readouterr().out


def test_pictures_of_another_size_are_told(tmp_path, capsys):
    network = nn.Sequential([nn.Dense(2)], (1, 12, 12))
    nn.save(network, tmp_path / "model")
    for number, side in enumerate((12, 12, 24)):
        Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / f"{number}.png")
    files = [str(tmp_path / f"{number}.png") for number in range(3)]
    assert run(["predict", str(tmp_path / "model"), *files[:2]]) == 0
    assert capsys.readouterr().err == ""
    for given in ([str(tmp_path)], files):
        assert run(["predict", str(tmp_path / "model"), *given]) == 0
        found = capsys.readouterr()
        told = "1 of 3 pictures are brought to the model's 12x12 pixels, the first from 24x24."
        assert found.err.count(told) == 1
        assert [line.split("\t")[1] for line in found.out.splitlines()] == ["0"] * 3
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert run(["predict", str(tmp_path / "model"), *files, str(tmp_path / "broken.png")]) == 1
    found = capsys.readouterr()
    assert "broken.png" in found.err
    assert len(found.out.splitlines()) == 3


def test_mistakes_are_told_before_the_work(folder, tmp_path, capsys):
    def told(*options):
        assert run(["train", str(folder), "--size", "12", "-q", *options]) == 2
        return capsys.readouterr().err

    model = tmp_path / "model"
    assert "this is a folder; name a file" in told("-o", str(folder))
    (tmp_path / "model.checkpoint").write_bytes(b"")
    assert "give --resume to go on, or remove it" in told("-o", str(model))
    (tmp_path / "model.checkpoint").unlink()
    assert "give a part between 0 and 1, or 0 for none" in told(
        "-o", str(model), "--validation", "5"
    )
    assert "--size 3y4" in told("-o", str(model), "--size", "3y4")
    for file in (folder / "lies").iterdir():
        file.unlink()
    assert "has one class, 'stands'" in told("-o", str(model))
    assert [sides(text) for text in (None, "8", "8x9")] == [None, (8, 8), (8, 9)]


def test_what_was_learnt_by_heart_is_told(folder, tmp_path, capsys):
    model = str(tmp_path / "model")
    options = ["-o", model, "--size", "12", "--validation", "0", "--epochs", "1", "-q", "--resume"]
    assert run(["train", str(folder), *options]) == 0
    assert "is not there: training begins anew" in capsys.readouterr().err
    assert run(["evaluate", model, str(folder)]) == 0
    found = capsys.readouterr()
    assert "knows them by heart" in found.err
    assert "of 40\n" in found.out
    other = next((folder / "lies").iterdir())
    other.unlink()  # other data, which it was not trained on as it is
    assert run(["evaluate", model, str(folder)]) == 0
    assert capsys.readouterr().err == ""


def test_a_confusion_matrix_says_what_is_what(folder, tmp_path, capsys):
    model = str(tmp_path / "model")
    assert run(["train", str(folder), "-o", model, "--size", "12", "--epochs", "1", "-q"]) == 0
    capsys.readouterr()
    assert run(["evaluate", model, str(folder)]) == 0
    head, blank, over, columns, *rows = capsys.readouterr().out.splitlines()
    assert blank == ""
    assert over.strip() == "taken for"
    assert columns.split() == ["true", "0", "1", "recall", "precision"]
    assert [row.split()[:2] for row in rows] == [["0", "lies"], ["1", "stands"]]
    counts = np.array([row.split()[2:4] for row in rows], int)
    assert f"{counts.trace() / counts.sum():.2%} of {counts.sum()}" in head
