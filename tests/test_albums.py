"""Pictures and series as arrays: sizes, channels, folders, and what has no classes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faltung import albums, data


def written(folder, name, shape, dtype=np.uint8, seed=0):
    """Write a picture of random numbers, and return it."""
    top = np.iinfo(dtype).max
    picture = np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return picture


def test_what_is_read_is_from_0_to_1(tmp_path):
    grey = written(tmp_path, "a.png", (4, 5))
    deep = written(tmp_path, "b.png", (4, 5), np.uint16)
    found = albums.gathered([tmp_path / "a.png", tmp_path / "b.png"])
    np.testing.assert_allclose(found[:, 0], [grey / 255, deep / 65535], atol=1e-7)


def test_grey_colours_and_transparency(tmp_path):
    grey, colours = written(tmp_path, "a.png", (4, 5)), written(tmp_path, "b.png", (4, 5, 3))
    clear = written(tmp_path, "c.png", (4, 5, 4))
    files = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    assert albums.gathered(files[:1]).shape == (1, 1, 4, 5)
    assert albums.gathered(files[2:]).shape == (1, 4, 4, 5)
    three = np.moveaxis(albums.gathered(files), 1, 3)  # they differ: colours
    np.testing.assert_allclose(three[0], np.stack([grey / 255] * 3, axis=2), atol=1e-6)
    np.testing.assert_allclose(three[1], colours / 255, atol=1e-6)
    share = clear[..., 3:] / 255
    on_white = share * clear[..., :3] / 255 + 1 - share
    np.testing.assert_allclose(three[2], on_white, atol=1e-6)
    one = albums.gathered(files, channels=1)[1, 0]
    np.testing.assert_allclose(one, colours / 255 @ [0.299, 0.587, 0.114], atol=1e-6)
    pillow = np.asarray(Image.open(files[1]).convert("L"))
    np.testing.assert_allclose(255 * one, pillow, atol=0.51)
    two, four = (albums.gathered(files, channels=n) for n in (2, 4))
    assert (two[:2, 1] == 1).all()
    assert (four[:2, 3] == 1).all()
    np.testing.assert_allclose(four[2, 3], share[..., 0], atol=1e-6)
    np.testing.assert_allclose(two[2, 1], share[..., 0], atol=1e-6)
    for wrong in ({"channels": 5}, {"size": 0}, {"size": (3, 4, 5)}, {"size": 2.5}):
        with pytest.raises((ValueError, TypeError)):
            albums.gathered(files, **wrong)


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_another_size_keeps_what_is_even(rows, columns, high, wide):
    level = albums.resized(np.full((rows, columns), 0.25, np.float32), (high, wide))
    assert level.shape == (high, wide)
    np.testing.assert_allclose(level, 0.25, atol=1e-6)


def test_transparency_is_laid_on_white_before_or_after_another_size(tmp_path):
    clear = written(tmp_path, "a.png", (9, 12, 4))
    clear[:3, :, 3] = 0  # all of it under some of the new pixels
    Image.fromarray(clear).save(tmp_path / "a.png")
    found = albums.gathered([tmp_path / "a.png"], (3, 5), 3)[0]
    share = np.float32(clear[..., 3:] / 255)
    white = np.moveaxis(share * np.float32(clear[..., :3] / 255) + 1 - share, 2, 0)
    expected = [albums.resized(plane, (3, 5)) for plane in white]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    kept = albums.gathered([tmp_path / "a.png"], (3, 5))[0]
    assert np.isfinite(kept).all()
    np.testing.assert_allclose(kept[3], albums.resized(share[..., 0], (3, 5)), atol=1e-6)


def test_a_bar_tells_what_is_read(tmp_path, capsys):
    written(tmp_path, "a.png", (4, 5))
    albums.gathered([tmp_path / "a.png"], progress=True)
    assert "reading [" in capsys.readouterr().out


def test_folders_by_class_may_nest_and_differ(tmp_path):
    written(tmp_path, "train/cat/first/1.png", (8, 9))
    written(tmp_path, "train/cat/2.JPG", (8, 9))
    written(tmp_path, "train/dog/3.png", (6, 7, 3))
    written(tmp_path, "train/dog/.4.png", (6, 7, 3))
    written(tmp_path, "train/.trash/5.png", (6, 7, 3))
    (tmp_path / "train" / "empty").mkdir()
    written(tmp_path, "val/dog/6.png", (8, 9))
    found = data.load(tmp_path, size=4)
    assert found.x.shape == (3, 3, 4, 4)
    assert found.classes == ("cat", "dog")
    assert found.y.tolist() == [0, 0, 1]
    assert repr(found) == "<Dataset: 3 of (3, 4, 4), 2 classes: cat, dog>"
    assert data.has_test(tmp_path)
    assert data.load(tmp_path, "test", size=4, channels=3).classes == ("dog",)
    with pytest.raises(ValueError, match=r"train: the pictures have 2 sizes, such as 6x7"):
        data.load(tmp_path)


def test_what_has_no_classes(tmp_path):
    written(tmp_path, "new/a.png", (8, 9))
    written(tmp_path, "new/below/b.png", (6, 7, 3))
    names, x = data.inputs(tmp_path / "new", (1, 5, 5))
    assert [Path(name).name for name in names] == ["a.png", "b.png"]
    assert x.shape == (2, 1, 5, 5)
    assert (data.inputs(names[1], (1, 5, 5))[1] == x[1:]).all()
    with pytest.raises(ValueError, match="takes \\(1, 5\\), and no pictures"):
        data.inputs(names[0], (1, 5))
    table = tmp_path / "a.csv"
    table.write_text("1,2,3\nup,4,5,6\n")
    names, x = data.inputs(table, (1, 3))
    assert names == [f"{table}:0", f"{table}:1"]
    assert x.tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
    with pytest.raises(ValueError, match=r"takes \(1, 4\)|1 x 2 samples"):
        data.inputs(table, (1, 4))
    np.savez(tmp_path / "a.npz", data=np.zeros((3, 2, 2)))
    assert data.inputs(tmp_path / "a.npz", (1, 2, 2))[1].shape == (3, 1, 2, 2)
    series = tmp_path / "a.ts"
    series.write_text("@classLabel false\n@data\n1,2:3,4\n")
    assert data.inputs(series, (2, 2))[1].tolist() == [[[1, 2], [3, 4]]]
    with pytest.raises(ValueError, match="have no classes"):
        data.load(series)


def test_series_as_the_archives_have_them(tmp_path):
    text = "%# about\n@univariate true\n@classLabel true a b\n@data\n1,2:{}\n3,4:b\n"
    (tmp_path / "X_TRAIN.ts").write_text(text.format("a"))
    assert not data.has_test(tmp_path)
    (tmp_path / "X_TEST.ts").write_text(text.format("b"))
    assert data.has_test(tmp_path)
    assert data.load(tmp_path).y.tolist() == [0, 1]
    assert data.load(tmp_path, "test").classes == ("b",)
    (tmp_path / "Y_TRAIN.ts").write_text(text.format("a"))
    (tmp_path / "Y_TEST.ts").write_text(text.format("a"))
    with pytest.raises(ValueError, match=r"several pairs of series \(X_TRAIN.ts, Y_TRAIN.ts\)"):
        data.load(tmp_path)
    numbers = tmp_path / "n.ts"
    numbers.write_text("@targetlabel true\n@data\n1,2:0.5\n3,4:0.7\n")
    with pytest.raises(ValueError, match=r"has a number .* and no class"):
        data.load(numbers)
    assert data.inputs(numbers, (1, 2))[1].tolist() == [[[1, 2]], [[3, 4]]]


def test_tables_may_name_their_columns(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("class,t0,t1\nup,1,2\ndown,2,1\n")
    found = data.load(table)
    assert found.classes == ("down", "up")
    assert found.x.tolist() == [[[1, 2]], [[2, 1]]]
    table.write_text("1,2,up\n2,1,down\n")
    with pytest.raises(ValueError, match=r"line 1: .* A line is a class and then numbers"):
        data.load(table)


def test_labels_that_are_no_classes():
    for y in ([0.0, np.nan], [0.0, 0.5], [0.0, np.inf]):
        with pytest.raises(ValueError, match="they must be integers or texts, one for each class"):
            data.dataset(np.zeros((2, 3)), y)
    assert data.dataset(np.zeros((2, 3)), [2.0, 1.0]).classes == ("1", "2")
