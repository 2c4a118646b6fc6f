"""Trainings that go wrong: what is given, what appears on the way, files, disks, processes."""

import contextlib
import copy
import hashlib
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from strategies import LAYOUTS, laid_out
from test_nn_training import OPTIONS, Stopped, data, network, same

import faltung
from faltung import nn
from faltung.nn import saving

X, Y = data()
TRAINED = {"epochs": 2, "batch": 16}


def fit(x=X, y=Y, validation=None, net=None, **options):
    """Train a small network, and return it."""
    net = net or network()
    nn.Trainer(net, **{**TRAINED, **options}).fit(x, y, validation=validation)
    return net


def digest(net):
    """Return a digest of all numbers of a network."""
    found = hashlib.sha256()
    for name, array in sorted(net.arrays().items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


# ---- what is given -----------------------------------------------------------------------------

NUMBERS = ["epochs", "batch", "seed"]
RECIPES = [
    *itertools.product(NUMBERS, [-1, 1.5, "3", None, True, np.array([1, 2])]),
    *itertools.product(["patience"], [0, 1.5, "a"]),
    *itertools.product(["smoothing"], [-0.1, 2, float("nan"), "a", None]),
    *itertools.product(["every"], [-1, float("nan"), "a", None]),
    *itertools.product(["optimiser", "schedule"], ["adam", nn.Adam, nn.OneCycle, None, 3]),
    *itertools.product(["augment", "network", "told"], ["shift", 3]),
    ("loss", "l1"), ("checkpoint", 3), ("class_weights", "even"), ("class_weights", {"a": 1}),
    *itertools.product(["class_weights"], [[1, 2], [0, 0, 0], [1, -1, 1], [1, 1, np.inf]]),
    *itertools.product(["class_weights"], [[1, np.nan, 1], ["a", "b", "c"], [1j, 1, 1]]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), RECIPES)
def test_a_recipe_that_cannot_be_is_told(name, value):
    options = {"network": network(), **TRAINED, name: value}
    with pytest.raises(ValueError, match=rf"{name}.*(must be|is unknown|use )"):
        nn.Trainer(**options).fit(X, Y)


@pytest.mark.parametrize("make", [
    lambda v: nn.SGD(v), lambda v: nn.SGD(decay=v), lambda v: nn.SGD(momentum=v),
    lambda v: nn.Adam(v), lambda v: nn.Adam(epsilon=v), lambda v: nn.Adam(first=v),
    lambda v: nn.Adam(second=v), lambda v: nn.Adam(decay=v), lambda v: nn.Cosine(v),
    lambda v: nn.Cosine(warm=v), lambda v: nn.OneCycle(v), lambda v: nn.OneCycle(start=v),
    lambda v: nn.OneCycle(end=v), lambda v: nn.Augment(v), lambda v: nn.Augment(rotate=v),
    lambda v: nn.Augment(scale=v), lambda v: nn.Augment(cutout=v), lambda v: nn.Augment(flip=v),
])  # fmt: skip
def test_numbers_of_a_recipe_are_numbers(make):
    for value in (-1, float("nan"), "a", None, [1]):
        with pytest.raises(ValueError, match=r"=.* must be "):
            make(value)


def test_augmentation_beyond_the_image():
    for augment in (nn.Augment(shift=10), nn.Augment(cutout=10**9)):
        with pytest.raises(ValueError, match=r"no more than the longer side of images of 9 x 9"):
            augment(X, (0,))
    with pytest.raises(ValueError, match=r"fill=nan must be a number"):
        nn.Augment(fill=float("nan"))


LABELS = [
    (Y - 1, r"label -1 of image \d+ is out of range: the network has 3 classes, 0 to 2"),
    (Y + 1, "label 3 of image"), (np.where(Y == 0, 2**62, Y), "label 4611686018427387904"),
    (Y * 1.0, "labels are integers"), (Y.astype(str), "labels are integers"), (Y > 0, "integers"),
    (Y.astype(object), "integers"), (np.eye(3)[Y], "integers"), (Y[:, None], "integers"),
    (None, "60 images, and labels"), (1, "60 images, and labels"), (Y[:-1], r"\(59,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "match"), LABELS)
def test_labels_that_are_none(labels, match):
    with pytest.raises(ValueError, match=match):
        fit(y=labels)


IMAGES = [
    (X[:0], ValueError, "empty batch"), (X[:, :0], ValueError, r"input \(1, 9, 9\), conv1 \(4, 7"),
    (np.repeat(X, 2, axis=1), ValueError, "conv1"), (X[:, 0], ValueError, "conv1"),
    (X[..., :5], ValueError, "conv1"), (3.0, ValueError, "conv1"), (None, TypeError, "object"),
    (X * 1j, TypeError, "complex"), (X.astype(str), TypeError, "real"),
    (X.astype(object), TypeError, "object"), (X * np.nan, ValueError, "image 0 holds NaN"),
    (X.astype("f8") * 1e300, ValueError, "image 0 holds NaN or infinity in float32"),
]  # fmt: skip


@pytest.mark.parametrize(("images", "error", "match"), IMAGES)
def test_images_that_are_none(images, error, match):
    labels = Y if images is None or np.ndim(images) == 0 else Y[: len(images)]
    with pytest.raises(error, match=match):
        fit(images, labels)
    with pytest.raises(error, match=match):
        fit(validation=(images, labels))


@pytest.mark.parametrize("part", [0, 1, -0.5, 0.001, True, "0.1", float("nan"), X, (X,), (X, Y, Y)])
def test_validation_parts_that_are_none(part):
    with pytest.raises(ValueError, match=r"validation"):
        fit(validation=part)


def test_any_layout_and_dtype_of_images_gives_the_same_bits():
    wanted = digest(fit(validation=0.2, augment=nn.Augment(shift=1, rotate=5, cutout=2)))
    for layout in LAYOUTS:
        x, y = laid_out(X, layout), laid_out(Y, layout)
        net = fit(x, y, validation=0.2, augment=nn.Augment(shift=1, rotate=5, cutout=2))
        assert digest(net) == wanted
    few = np.round(X * 9)  # of which float16 holds all
    wanted = digest(fit(few))
    for dtype in ("f2", "f8", "i1", "i8", "g"):
        assert digest(fit(few.astype(dtype))) == wanted
    for dtype in ("u1", "i2", "u8"):
        assert digest(fit(y=Y.astype(dtype))) == digest(fit())


def test_one_image_and_batches_longer_than_the_data():
    fit(X[:1], Y[:1])
    assert digest(fit(batch=10**6)) == digest(fit(batch=60))
    with pytest.raises(ValueError, match="leaves one side empty"):
        fit(X[:1], Y[:1], validation=0.5)


def test_targets_that_are_none():
    net = nn.Sequential([nn.Dense(3)], (1, 9, 9))
    target = np.eye(3)[Y]
    for other, error, match in (
        (target.astype(str), TypeError, "real numbers"), (target * 1j, TypeError, "real numbers"),
        (target * np.nan, ValueError, "target of image 0"), (target[:, :2], ValueError, "shape"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            fit(y=other, net=net, loss="mean_squared_error")
    for name in ({"smoothing": 0.1}, {"class_weights": "balanced"}):
        with pytest.raises(ValueError, match="go with the cross entropy"):
            fit(y=target, net=net, loss="mean_squared_error", **name)


# ---- what appears on the way -------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(network().arrays()))
def test_nan_in_the_network_names_the_layer(name):
    net = network()
    net.prepare()
    net.arrays()[name].flat[0] = np.nan
    with pytest.raises(ValueError, match=rf"^{name} holds NaN or infinity before the training"):
        fit(net=net)


@pytest.mark.parametrize("layer", ["conv1", "batchnorm1", "dense1"])
def test_nan_on_the_way_back_names_the_layer_it_came_from(layer, monkeypatch):
    """The gradient of one layer is spoilt in one step: the layers before it get NaN, too."""
    net = network()
    spoilt = next(node.layer for node in net.nodes if node.name == layer)
    kind = type(spoilt)
    backward = kind.backward

    def spoiling(self, dy, wanted=True):
        dx = backward(self, dy, wanted)
        if self is spoilt:
            self.gradients = {name: g * np.nan for name, g in self.gradients.items()}
            dx = None if dx is None else dx * np.nan
        return dx

    monkeypatch.setattr(kind, "backward", spoiling)
    with pytest.raises(FloatingPointError, match=rf"epoch 1, step 2: .*first appeared in {layer}"):
        fit(net=net)


@pytest.mark.parametrize("number", [1, 5, 6])
def test_nan_on_the_way_forth_names_the_layer_it_came_from(number, monkeypatch):
    net = network()
    node = net.nodes[number - 1]
    kind, forward, steps = type(node.layer), type(node.layer).forward, []

    def spoiling(self, x, mode=nn.INFERENCE):
        y = forward(self, x, mode)
        if self is node.layer and mode.training:
            steps.append(1)
            if len(steps) >= 3:
                y = y * np.float32(np.inf)
        return y

    monkeypatch.setattr(kind, "forward", spoiling)
    match = rf"in epoch 1, step 3: .*first appeared in the output of {node.name}\."
    with pytest.raises(FloatingPointError, match=match):
        fit(net=net)


def plain():
    """Return a network whose steps are recorded and played."""
    stack = [nn.Conv(4, 3), nn.ReLU(), nn.MaxPool(2), nn.Dense(9), nn.ReLU(), nn.Dense(3)]
    return nn.Sequential(stack, (1, 9, 9), seed=1)


@pytest.mark.parametrize("make", [network, plain])
@pytest.mark.parametrize("rate", [1e6, 1e20, 1e38])
@pytest.mark.parametrize("kind", [nn.SGD, nn.Adam])
def test_a_rate_that_is_too_high_never_gives_a_network_of_nan(kind, rate, make, tmp_path):
    net, path = make(), tmp_path / "state"
    options = {"epochs": 20, "checkpoint": path, "every": 0.0, "optimiser": kind(rate)}
    told = ""
    try:
        fit(net=net, validation=0.2, **options)
    except FloatingPointError as error:
        told = str(error)
    layers = [node.name for node in net.nodes]
    finite = all(np.isfinite(a).all() for a in net.arrays().values())
    assert any(f" in {name}" in told for name in ("the", *layers)) if told else finite
    if path.exists():  # what was kept is good
        arrays, _ = saving.read(path)
        assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("name", ["conv1.weights", "dense1.bias", "dense2.weights"])
def test_nan_between_played_steps_names_the_layer(name):
    """What comes into the parameters from outside is seen in the next step."""
    net = plain()

    def spoil(epoch):
        net.parameters()[name].flat[0] = np.nan

    with pytest.raises(FloatingPointError, match=rf"end of epoch 1: it first appeared in {name}"):
        fit(net=net, told=spoil)


COPIES = {
    "deep": copy.deepcopy,
    "pickled": lambda net: pickle.loads(pickle.dumps(net)),
    "by hand": lambda net: replaced(plain(), net),
}


def replaced(net, other):
    """Give a network that was trained the parameters of another, layer by layer."""
    fit(net=net)
    for node, source in zip(net.nodes, other.nodes, strict=True):
        node.layer.parameters = {k: a.copy() for k, a in source.layer.parameters.items()}
    return net


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_network_learns_and_the_first_one_does_not(name):
    net = fit(net=plain())
    copied, kept_, wanted = COPIES[name](net), digest(net), plain()
    wanted.load({key: array.copy() for key, array in net.arrays().items()})
    assert digest(fit(net=copied)) == digest(fit(net=wanted)) != kept_
    assert digest(net) == kept_


def test_what_is_done_with_a_network_between_epochs_changes_no_bit():
    wanted = digest(fit(net=plain(), epochs=3))
    for act in (
        lambda net: net.predict(X), lambda net: net.forward(X[:7], nn.Mode(True)),
        lambda net: fit(net=plain()), lambda net: net.load(dict(net.arrays())),
        lambda net: net.backward(net.forward(X[:16], nn.Mode(True))),
    ):  # fmt: skip
        net = plain()
        fit(net=net, epochs=3, told=lambda epoch, act=act, net=net: act(net))
        assert digest(net) == wanted


# ---- checkpoints -------------------------------------------------------------------------------


def kept(tmp_path, step=5):
    """Return the path and the options of a training that was stopped in the middle."""
    options = {**OPTIONS, "checkpoint": tmp_path / "state", "every": 0.0}
    trainer = nn.Trainer(network(), **options)
    descend = trainer._step

    def stopping(*arguments):
        if trainer._run.steps == step:
            raise Stopped
        return descend(*arguments)

    trainer._step = stopping
    with pytest.raises(Stopped):
        trainer.fit(X, Y, validation=0.2)
    return tmp_path / "state", options


def resumed(options):
    net = network()
    nn.Trainer(net, **options).fit(X, Y, validation=0.2, resume=True)
    return net


def test_a_checkpoint_with_any_byte_changed_is_refused(tmp_path):
    path, options = kept(tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in (*range(8), *rng.integers(8, len(whole), 60)):
        bad = bytearray(whole)
        bad[place] ^= 1 << rng.integers(0, 7)
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"state (is|holds) .*\."):
            resumed(options)
    for cut in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="no whole safetensors file"):
            resumed(options)
    path.write_bytes(whole + b"1")
    with pytest.raises(ValueError, match="no whole safetensors file"):
        resumed(options)
    path.write_bytes(whole)
    assert same(resumed(options), resumed({**options, "checkpoint": None}))


CHANGES = {
    "history": [1], "epoch": "1", "batch": -3, "steps": 1.5, "hits": None, "later": 1, "best": [],
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_of_another_version_is_refused(name, tmp_path):
    """One whose checksum is right."""
    from faltung.nn import training

    path, options = kept(tmp_path)
    arrays, texts = saving.read(path)
    run = json.dumps({**json.loads(texts["faltung.training"]), name: CHANGES[name]})
    texts |= {"faltung.training": run, training.SUM: training._checksum(arrays, run)}
    saving.write(path, arrays, texts)
    with pytest.raises(ValueError, match="damaged, or of another version"):
        resumed(options)


@pytest.mark.parametrize("part", ["network", "optimiser", "best"])
def test_arrays_of_a_checkpoint_that_do_not_fit_are_refused(part, tmp_path):
    from faltung.nn import training

    path, options = kept(tmp_path)
    arrays, texts = saving.read(path)
    name = next(name for name in arrays if name.startswith(part))
    run = texts["faltung.training"]
    for change in (
        {name: np.zeros(3, "f4")}, {name: np.zeros((3, 2), "i4")},
        {"else/where": np.zeros(3)}, {"nowhere": np.zeros(3)},
    ):  # fmt: skip
        found = {**arrays, **change}
        other = {**texts, training.SUM: training._checksum(found, run)}
        saving.write(path, found, other)
        with pytest.raises(ValueError, match="damaged, or of another version"):
            resumed(options)


def test_where_no_checkpoint_can_be_is_told_before_the_training(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, error in (
        (tmp_path, IsADirectoryError), ("", IsADirectoryError), (tmp_path / "pipe", ValueError),
        (tmp_path / "none" / "state", FileNotFoundError), ("x" * 300, OSError),
    ):  # fmt: skip
        with pytest.raises(error):
            fit(checkpoint=path)
    fit(checkpoint=tmp_path / "state")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pipe", "state"]


def test_a_disk_that_fills_up_keeps_the_last_checkpoint_and_the_training(tmp_path, monkeypatch):
    """The write fails after some of the bytes, as on a disk that is full."""
    path, options = kept(tmp_path)
    good, write = path.read_bytes(), saving.replace_whole

    def filling(target, save):
        def save_some(file):
            save(file)
            file.truncate(100)
            raise OSError(28, "No space left on device")

        write(target, save_some)

    monkeypatch.setattr(saving, "replace_whole", filling)
    with pytest.warns(UserWarning, match="No space left on device.*the last one stays"):
        ended = resumed(options)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["state"]
    monkeypatch.undo()
    assert same(ended, resumed(options))


def test_what_a_killed_process_left_is_removed(tmp_path, monkeypatch):
    path, options = kept(tmp_path)

    def killed(descriptor):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        patch.setattr(type(path), "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(SystemExit):
            resumed(options)
    assert len(list(tmp_path.glob(".faltung.*.part"))) == 2  # tried, and unfinished
    (tmp_path / ".faltung.other.part").touch()
    resumed(options)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".faltung.other.part", "state"]


def test_two_trainings_with_one_checkpoint_leave_a_whole_one(tmp_path):
    path, ends = tmp_path / "state", {}

    def work(seed, number):
        ends[seed, number] = digest(fit(seed=seed, checkpoint=path, every=0.0))

    threads = [threading.Thread(target=work, args=a) for a in itertools.product((1, 2), (1, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == {(s, n): digest(fit(seed=s)) for s in (1, 2) for n in (1, 2)}
    saving.read(path)
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


# ---- threads, forks and signals ----------------------------------------------------------------


def test_networks_trained_in_several_threads_are_those_trained_alone():
    wanted = {seed: digest(fit(seed=seed, augment=nn.Augment(shift=1))) for seed in (1, 2)}
    found = {}

    def work(seed, number):
        found[seed, number] = digest(fit(seed=seed, augment=nn.Augment(shift=1)))

    threads = [threading.Thread(target=work, args=a) for a in itertools.product((1, 2), range(3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(end == wanted[seed] for (seed, _), end in found.items())


def test_one_network_predicts_in_several_threads():
    net = fit()
    wanted, wrong = net.predict(X), []

    def work():
        wrong.extend([1] * int(any((net.predict(X) != wanted).any() for _ in range(10))))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_in_the_middle_goes_on_in_both_processes():
    wanted = digest(fit())
    net = network()
    trainer = nn.Trainer(net, **TRAINED)
    step, children = trainer._step, []

    def forking(*arguments):
        if trainer._run.steps == 3 and not children:
            children.append(os.fork())
            if children == [0]:
                signal.alarm(60)
        return step(*arguments)

    trainer._step = forking
    try:
        trainer.fit(X, Y)
        good = digest(net) == wanted
    except BaseException:
        good = False
    if children == [0]:
        os._exit(0 if good else 1)
    assert good
    assert os.waitpid(children[0], 0)[1] == 0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_number_of_threads_trains_to_the_same_bits(number):
    wide = {"input_shape": (1, 9, 9), "widths": (8, 12), "classes": 3}
    options = {**OPTIONS, "epochs": 2, "batch": 32, "validation": 0.2}
    with faltung.workers(1):
        wanted = digest(fit(net=nn.small_cnn(**wide), **options))
    with faltung.workers(number):
        assert digest(fit(net=nn.small_cnn(**wide), **options)) == wanted


COMMAND = [sys.executable, "-m", "faltung", "train"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_command_and_a_resume_goes_on(name, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    np.savez(tmp_path / "data.npz", x=rng.random((60, 8, 8)) + y[:, None, None], y=y)
    command = [*COMMAND, str(tmp_path / "data.npz"), "--every", "0", "--epochs", "12", "-q"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(model, *more):
        return subprocess.Popen(
            [*command, "-o", str(tmp_path / model), *more], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    assert run("whole").wait(60) == 0
    for _ in range(2):
        child = run("model", "--resume")
        with contextlib.closing(child.stdout):
            child.stdout.readline()  # what it trains on
            child.stdout.readline()
            time.sleep(0.05 * rng.random())
            child.send_signal(getattr(signal, name))
            told = child.stderr.read()
            status = child.wait(60)
        child.stderr.close()
        if status == 0:  # it was done before
            break
        assert status == (130 if name == "SIGINT" else 143)
        assert told.count(" error: interrupted; --resume goes on") == (name == "SIGINT")
        assert "Traceback" not in told
        assert {p.name for p in tmp_path.iterdir()} <= {"data.npz", "whole", "model.checkpoint"}
    assert run("model", "--resume").wait(60) == 0
    assert (tmp_path / "model").read_bytes() == (tmp_path / "whole").read_bytes()
