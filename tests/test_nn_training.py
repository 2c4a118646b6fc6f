"""Training: optimisers, resumes to the last bit, early stopping, augmentation, files, errors."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from faltung import nn
from faltung.layers import memory
from faltung.nn import saving
from faltung.nn.training import held_out


def data(count=60, seed=0):
    """Return small images whose class is where they are bright."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.standard_normal((count, 1, 9, 9)).astype(np.float32)
    x[np.arange(count), 0, :, 3 * y] += 3
    return x, y


def network(dtype=np.float32):
    layers = [nn.Conv(4, 3), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2), nn.Dropout(0.2), nn.Dense(3)]
    return nn.Sequential(layers, (1, 9, 9), seed=1, dtype=dtype)


OPTIONS = {
    "optimiser": nn.Adam(3e-3, decay=0.01),
    "schedule": nn.OneCycle(),
    "epochs": 4,
    "batch": 16,
    "augment": nn.Augment(shift=1, flip=True, rotate=5, scale=0.1, cutout=2),
    "patience": 5,
}


def same(a, b):
    return all((a.arrays()[name] == array).all() for name, array in b.arrays().items())


def test_memory_that_is_used_again_changes_no_bit(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.random((70, 1, 20, 20)), rng.integers(0, 10, 70)
    nets = [nn.small_cnn((1, 20, 20)), nn.small_cnn((1, 20, 20))]
    for net, held in zip(nets, (memory.HELD, 0), strict=True):
        monkeypatch.setattr(memory, "HELD", held)
        nn.Trainer(net, epochs=2, batch=32).fit(x, y, validation=0.1)
    assert same(*nets)
    assert not memory._kept.buffers


class Stopped(Exception):
    pass


@pytest.mark.parametrize("optimiser", [nn.SGD(0.05), nn.SGD(0.05, nesterov=True), nn.Adam(0.01)])
def test_it_learns_and_the_same_seed_gives_the_same_bits(optimiser):
    x, y = data()
    found = []
    for _ in range(2):
        net = network()
        history = nn.Trainer(net, optimiser=optimiser, epochs=6, batch=16).fit(x, y, validation=0.2)
        assert history[-1].loss < 0.5 * history[0].loss
        assert history[-1].validation_accuracy > 0.8
        found.append((net, history))
    assert same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("stop", [1, 3, 4, 7, 11])
def test_a_resume_gives_the_bits_of_a_training_without_a_stop(tmp_path, monkeypatch, stop):
    x, y = data()
    whole = network()
    expected = nn.Trainer(whole, **OPTIONS).fit(x, y, validation=0.2)
    options = {**OPTIONS, "checkpoint": tmp_path / "state", "every": 0.0}
    trainer = nn.Trainer(network(), **options)
    step = trainer._step

    def stopping(*arguments):
        if trainer._run.steps == stop:
            raise Stopped
        return step(*arguments)

    monkeypatch.setattr(trainer, "_step", stopping)
    with pytest.raises(Stopped):
        trainer.fit(x, y, validation=0.2)
    again = network()
    history = nn.Trainer(again, **options).fit(x, y, validation=0.2, resume=True)
    assert same(again, whole)
    assert history == expected


SCRIPT = """
import sys
import test_nn_training as t
from faltung import nn
x, y = t.data()
net = t.network()
options = {**t.OPTIONS, "epochs": 40, "checkpoint": sys.argv[1], "every": 0.0}
nn.Trainer(net, **options).fit(x, y, validation=0.2, resume=True)
nn.save(net, sys.argv[2])
"""


def written(path):
    """Return when a file was last written."""
    return os.stat(path).st_mtime_ns if os.path.exists(path) else 0


def test_killed_at_a_random_moment_it_goes_on_to_the_same_bits(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["tests", *sys.path])}
    ends = []
    for name, kills in (("whole", 0), ("killed", 3)):
        paths = [str(tmp_path / f"{name}.state"), str(tmp_path / name)]
        rng = np.random.default_rng(0)
        for _ in range(kills):
            before = written(paths[0])
            child = subprocess.Popen([sys.executable, "-c", SCRIPT, *paths], env=environment)
            while written(paths[0]) == before and child.poll() is None:
                time.sleep(0.002)
            time.sleep(0.02 * rng.random())  # of a second or so
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL  # it trained, and was not done
        subprocess.run([sys.executable, "-c", SCRIPT, *paths], env=environment, check=True)
        ends.append(nn.load(paths[1]))
    assert same(*ends)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    x, y = data()
    path = tmp_path / "state"
    options = {**OPTIONS, "checkpoint": path, "every": 0.0, "epochs": 1}
    nn.Trainer(network(), **options).fit(x, y, validation=0.2)
    good = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="No space left on device.*the last one stays"):
        nn.Trainer(network(), **options).fit(x, y, validation=0.2)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_checkpoint_of_another_recipe_or_data_is_refused(tmp_path):
    x, y = data()
    options = {"epochs": 1, "checkpoint": tmp_path / "state"}
    nn.Trainer(network(), **options).fit(x, y)
    for other in ({"seed": 1}, {"batch": 7}, {"optimiser": nn.Adam()}):
        with pytest.raises(ValueError, match="of another network, recipe or data"):
            nn.Trainer(network(), **options, **other).fit(x, y, resume=True)
    with pytest.raises(ValueError, match="another"):
        nn.Trainer(network(), **options).fit(x + 1, y, resume=True)


def test_early_stopping_takes_the_best_parameters():
    x, y = data(40)
    noise = np.random.default_rng(3).integers(0, 3, 40)  # labels that cannot be learnt
    net = network()
    trainer = nn.Trainer(net, epochs=60, batch=8, patience=2, optimiser=nn.Adam(0.02))
    history = trainer.fit(x, noise, validation=(x[::-1].copy(), y))
    assert len(history) < 60
    best = min(history, key=lambda epoch: epoch.validation_loss)
    assert history[-1].number == best.number + 2
    assert trainer.measure(x[::-1].copy(), y)[0] == best.validation_loss


@pytest.mark.parametrize("where", ["output", "parameters"])
def test_a_loss_that_is_no_number_names_where_it_began(where):
    x, y = data()
    net = network()
    rate = 0.01
    if where == "output":
        net.parameters()["conv1.weights"][:] = 1e38
        match = "first appeared in the output of conv1"
    else:
        rate = 1e38
        match = "first appeared in (dense1|batchnorm1|conv1|the output|the loss)"
    with pytest.raises(FloatingPointError, match=match), np.errstate(all="ignore"):
        nn.Trainer(net, optimiser=nn.SGD(rate)).fit(x, y)


def test_what_does_not_fit_is_told():
    x, y = data()
    trainer = nn.Trainer(network())
    for labels, match in (
        (y + 1, r"label 3 of image \d+ is out of range: the network has 3 classes, 0 to 2"),
        (y[:-1], r"60 images, and labels or targets of \(59,\)"),
        (y * 1.0, "labels are integers"),
    ):
        with pytest.raises(ValueError, match=match):
            trainer.fit(x, labels)
    with pytest.raises(ValueError, match="empty batch"):
        trainer.fit(x[:0], y[:0])
    with pytest.raises(ValueError, match="conv1"):
        trainer.fit(x[:, :, :5], y)
    with pytest.raises(ValueError, match="leaves one side empty"):
        trainer.fit(x, y, validation=1.0)
    with pytest.raises(ValueError, match="class_weights"):
        nn.Trainer(network(), class_weights=[1, 2]).fit(x, y)


def test_every_class_has_its_part_held_out():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 3], [100, 33, 7]))
    for part in (0.1, 0.25, 0.5):
        for seed in range(5):
            kept, left = held_out(140, part, seed, labels)
            assert sorted([*kept, *left]) == list(range(140))
            assert len(left) == round(140 * part)
            counts = np.bincount(labels[left], minlength=4)
            assert (abs(counts - part * np.bincount(labels)) <= 1).all()
    assert (held_out(140, 0.1, 0, labels)[1] != held_out(140, 0.1, 1, labels)[1]).any()


def test_class_weights_are_copies_of_images():
    x, y = data(12)
    ends = []
    for weights, times in (([2, 1, 1], 1), (None, 2)):
        count = np.where(y == 0, times, 1)
        net = nn.Sequential([nn.Conv(4, 3), nn.ReLU(), nn.Dense(3)], (1, 9, 9), dtype="f8")
        trainer = nn.Trainer(net, epochs=2, batch=99, class_weights=weights)
        trainer.fit(np.repeat(x, count, axis=0), np.repeat(y, count))
        ends.append(net.arrays())
    for name, array in ends[0].items():
        np.testing.assert_allclose(array, ends[1][name], atol=1e-10)


def test_regression():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 1, 12))
    y = x[:, :, :-2] - 2 * x[:, :, 1:-1] + 0.5 * x[:, :, 2:]
    net = nn.Sequential([nn.Conv(1, 3)], (1, 12), dtype="f8")
    nn.Trainer(net, epochs=100, batch=20, loss="mean_squared_error").fit(x, y)
    np.testing.assert_allclose(net.parameters()["conv1.weights"].ravel(), [1, -2, 0.5], atol=1e-6)


def test_augmentation():
    x = np.random.default_rng(0).random((30, 2, 7, 8))
    for augment in (nn.Augment(shift=2), nn.Augment(flip=True), nn.Augment(rotate=9, scale=0.1)):
        y = augment(x, (1, 2))
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert (y == augment(x, (1, 2))).all()
        assert not (y == augment(x, (1, 3))).all()
    moved = nn.Augment(shift=2)(x, (0,))
    for image, other in zip(moved, x, strict=True):
        wide = np.pad(other, ((0, 0), (2, 2), (2, 2)))
        windows = [wide[:, r : r + 7, c : c + 8] for r in range(5) for c in range(5)]
        assert any((image == window).all() for window in windows)
    flipped = nn.Augment(flip=True)(x, (0,))
    kinds = [bool((a == b).all()) for a, b in zip(flipped, x, strict=True)]
    assert 0 < sum(kinds) < 30
    assert all((a == b[..., ::-1]).all() or k for a, b, k in zip(flipped, x, kinds, strict=True))
    holes = nn.Augment(cutout=3)(x + 1, (0,)) == 0
    assert (holes.sum(axis=(2, 3)) <= 9).all()
    assert holes.any(axis=(1, 2, 3)).all()
    np.testing.assert_allclose(
        nn.Augment(rotate=1e-9)(x, (0,)), x, atol=1e-6
    )  # hardly turned, hardly changed


def test_a_turn_is_that_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = np.random.default_rng(0).random((1, 1, 9, 9))
    angle = np.array([np.radians(20)])
    found = nn.Augment()._mapped(x, angle, np.array([1.0]))
    inside = np.s_[2:-2, 2:-2]
    options = [ndimage.rotate(x[0, 0], s * 20, reshape=False, order=1) for s in (1, -1)]
    assert any(np.allclose(found[0, 0][inside], o[inside], atol=1e-12) for o in options)


def test_files_are_those_of_safetensors(tmp_path):
    net = network()
    net.notes["classes"] = "left, middle, right"
    nn.save(net, tmp_path / "model")
    again = nn.load(tmp_path / "model")
    assert same(net, again)
    assert again.notes == net.notes
    safetensors = pytest.importorskip("safetensors.numpy")
    for name, array in safetensors.load_file(tmp_path / "model").items():
        assert (array == net.arrays()[name]).all()


def test_the_names_of_classes_are_kept(tmp_path):
    net = network()
    nn.save(net, tmp_path / "model", classes=["a", "b", "ç"])
    assert nn.classes(nn.load(tmp_path / "model")) == ["a", "b", "ç"]
    with pytest.raises(ValueError, match=r"2 classes do not fit an output \(3,\)"):
        nn.save(net, tmp_path / "model", classes=["a", "b"])
    for text in ("[", "{}", '["a"]', "[1, 2, 3]"):  # of another's making
        net.notes["classes"] = text
        assert nn.classes(net) == ["0", "1", "2"]
    with pytest.raises(ValueError, match=r"it must be \(classes,\)"):
        nn.classes(nn.Sequential([nn.Conv(2, 3)], (1, 9, 9)))
    net.parameters()["conv1.weights"][:] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        nn.probabilities(net, data()[0])


def test_broken_files_are_refused(tmp_path):
    path = tmp_path / "model"
    nn.save(network(), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in (0, 5, 8, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="is no whole safetensors file"):
            nn.load(path)
    for _ in range(60):
        bad = bytearray(whole)
        bad[rng.integers(0, 600)] = rng.integers(0, 256)
        path.write_bytes(bad)
        with contextlib.suppress(ValueError):
            nn.load(path)
    saving.write(path, {"a": np.zeros(2)}, {})
    with pytest.raises(ValueError, match="arrays and no network"):
        nn.load(path)


def test_schedules():
    assert nn.Cosine(warm=0.1).factor(0.05) == 0.5
    assert nn.Cosine(end=0.1).factor(1.0) == pytest.approx(0.1)
    cycle = [nn.OneCycle().factor(t) for t in np.linspace(0, 1, 101)]
    assert max(cycle) == pytest.approx(1.0)
    assert np.argmax(cycle) == 30
    assert all(math.isfinite(factor) and factor > 0 for factor in cycle)
