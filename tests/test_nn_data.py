"""Data from files, and the commands that learn from it."""

import gzip
import re

import numpy as np
import pytest
from PIL import Image

from faltung import data, nn
from faltung.cli import run
from faltung.cli.train import changes


def idx(array):
    """Return an array as the bytes of an IDX file."""
    kind = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    big = array.astype(array.dtype.newbyteorder(">"))
    return bytes([0, 0, kind, array.ndim]) + lengths + big.tobytes()


def bars(count, side=12, seed=0):
    """Return images of bars that stand or lie, and which."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count).astype(np.uint8)
    x = rng.integers(0, 60, (count, side, side)).astype(np.uint8)
    for image, lies in zip(x, y, strict=True):
        at = rng.integers(2, side - 2)
        image[(slice(None), at) if not lies else (at, slice(None))] = 250
    return x, y


def mnist(folder, count=120):
    """Write files as those of MNIST, and return what they hold."""
    parts = {}
    for part, name, packed in (("train", "train", True), ("test", "t10k", False)):
        x, y = bars(count, seed=len(parts))
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            text = gzip.compress(idx(array)) if packed else idx(array)
            (folder / f"{name}-{kind}-ubyte{'.gz' * packed}").write_bytes(text)
        parts[part] = (x, y)
    return parts


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx(tmp_path, dtype):
    array = (np.arange(24).reshape(2, 3, 4) - (0 if dtype == "u1" else 9)).astype(dtype)
    for name, text in (("plain", idx(array)), ("packed.gz", gzip.compress(idx(array)))):
        (tmp_path / name).write_bytes(text)
        found = data.read_idx(tmp_path / name)
        assert found.dtype == array.dtype
        assert (found == array).all()


def test_broken_idx_files_are_refused(tmp_path):
    whole = idx(np.zeros((3, 4), np.uint8))
    path = tmp_path / "file"
    packed = gzip.compress(whole)
    huge = whole[:4] + b"\xff" * 8
    for text, match in (
        (b"", "is no IDX file"),
        (b"\x89PNG....", "is no IDX file"),
        (whole[:9], "holds"),
        (whole[:-1], "has 11"),
        (whole + b"1", "has more"),
        (huge, "too many"),
        (packed[:-12], "not packed properly"),
        (packed[:12] + b"\xff\xff" + packed[14:], "not packed properly|holds|no IDX"),
    ):
        path.write_bytes(text)
        with pytest.raises(ValueError, match=match):
            data.read_idx(path)


def test_folders_of_mnist(tmp_path):
    parts = mnist(tmp_path)
    assert data.has_test(tmp_path)
    for part, (x, y) in parts.items():
        found = data.load(tmp_path, part)
        assert found.x.shape == (120, 1, 12, 12)
        np.testing.assert_allclose(found.x[:, 0], x / 255, atol=1e-7)
        assert (found.y == y).all()
    one = data.load(tmp_path / "t10k-images-idx3-ubyte")
    assert (one.y == parts["test"][1]).all()
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="no labels beside it"):
        data.load(tmp_path, "test")


def test_folders_of_images_by_class(tmp_path):
    x, y = bars(6)
    for number, (picture, label) in enumerate(zip(x, y, strict=True)):
        folder = tmp_path / ("stands", "lies")[label]
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"{number}.png")
    found = data.load(tmp_path)
    assert found.classes == ("lies", "stands")
    assert sorted(found.y) == sorted(1 - y)
    assert found.x.shape == (6, 1, 12, 12)
    Image.fromarray(x[0, :5]).save(tmp_path / "lies" / "x.png")
    with pytest.raises(ValueError, match=r"2 sizes, such as 5x12 \(.*x\.png\) .* size=64"):
        data.load(tmp_path)
    assert data.load(tmp_path, size=(10, 9)).x.shape == (7, 1, 10, 9)


def test_npz(tmp_path):
    x, y = bars(5)
    colours = np.stack([x] * 3, axis=-1)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=colours, y_test=y + 1)
    assert data.load(tmp_path / "a.npz").x.shape == (5, 1, 12, 12)
    test = data.load(tmp_path / "a.npz", "test")
    assert test.classes == ("1", "2")  # what is there, by its own name
    assert (test.y == y).all()
    assert test.x.shape == (5, 3, 12, 12)
    assert data.has_test(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", data=x / 16, target=np.array(["b", "a", "b", "a", "c"]))
    found = data.load(tmp_path / "b.npz")
    assert found.classes == ("a", "b", "c")
    assert found.y.tolist() == [1, 0, 1, 0, 2]
    np.savez(tmp_path / "c.npz", x=np.array([{}], object), y=np.zeros(1, int))
    with pytest.raises(ValueError, match=r"c\.npz: x is no array.*Python's objects"):
        data.load(tmp_path / "c.npz")
    whole = (tmp_path / "b.npz").read_bytes()
    for cut in (0, 100, len(whole) - 30):
        (tmp_path / "e.npz").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"is no \.npz file"):
            data.load(tmp_path / "e.npz")
    (tmp_path / "e.npz").write_bytes(whole[:200] + b"12345" + whole[205:])
    with pytest.raises(ValueError, match="is damaged"):
        data.load(tmp_path / "e.npz")
    np.savez(tmp_path / "d.npz", a=x)
    with pytest.raises(ValueError, match="it must hold x and y"):
        data.load(tmp_path / "d.npz")


def test_series(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text(
        "# about\n@problemName x\n@univariate false\n@classLabel true up down\n@data\n"
        "1,2,3:4,5,6:up\n3,2,1:0,0,0:down\n"
    )
    found = data.load(path)
    assert found.x.tolist() == [[[1, 2, 3], [4, 5, 6]], [[3, 2, 1], [0, 0, 0]]]
    assert found.y.tolist() == [1, 0]
    tsv = tmp_path / "a.tsv"
    tsv.write_text("10\t1\t2\n9\t3\t4\n")
    assert data.load(tsv).classes == ("9", "10")
    for text, match in (
        ("a,1,2\nb,1\n", r"1 x 1 samples \(line 2\) and 1 x 2 samples \(line 1\)"),
        ("a,1,2\nb,1,x\n", "line 2: could not convert"),
        ("a,1,nan\n", "holds NaN"),
        ("", "there are no images or series"),
        ("a\n", "there are no images or series"),
    ):
        (tmp_path / "b.csv").write_text(text)
        with pytest.raises(ValueError, match=match):
            data.load(tmp_path / "b.csv")
    with pytest.raises(ValueError, match="is no data that is known"):
        data.load(tmp_path / "b.docx")


def test_train_evaluate_predict(tmp_path, capsys):
    mnist(tmp_path)
    model = tmp_path / "model"
    options = ["--epochs", "9", "--batch", "20", "--augment", "shift=1,flip", "-q"]
    assert run(["train", str(tmp_path), "-o", str(model), *options]) == 0
    told = capsys.readouterr().out
    assert "120 of (1, 12, 12), 2 classes; 93,154 parameters" in told
    assert len(re.findall(r"^epoch \d: loss", told, re.M)) == 9
    assert not (tmp_path / "model.checkpoint").exists()
    assert run(["evaluate", str(model), str(tmp_path)]) == 0
    told = capsys.readouterr().out
    accuracy = float(re.search(r"accuracy ([\d.]+)% of 120", told)[1])
    assert accuracy > 90
    x, _ = bars(2, seed=1)
    Image.fromarray(x[0]).save(tmp_path / "one.png")
    assert run(["predict", str(model), str(tmp_path / "one.png")]) == 0
    name, label, share = capsys.readouterr().out.split("\t")
    assert name.endswith("one.png")
    logits = nn.load(model).predict(x[:1, None] / np.float32(255))
    assert label == str(logits.argmax())
    assert 0.5 <= float(share) <= 1
    assert run(["train", str(tmp_path), "-o", str(model), "--model", "alexnet"]) == 2
    assert "does not fit" in capsys.readouterr().err
    assert run(["evaluate", str(tmp_path / "one.png"), str(tmp_path)]) == 2
    assert "no whole safetensors file" in capsys.readouterr().err


def test_changes():
    assert changes("shift=2, flip") == nn.Augment(shift=2, flip=True)
    for text in ("shift", "flip=1", "turn=3", "shift=a", "", "shift=1,shift=2"):
        with pytest.raises(Exception, match="is unknown or there twice; say"):
            changes(text)


def test_importing_is_light():
    import subprocess
    import sys

    text = (
        "import sys, faltung.nn; print([m for m in ('scipy', 'PIL', 'click') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
