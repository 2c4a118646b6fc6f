"""The table of a machine: measured, kept whole, and never in the way."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import faltung
from faltung import machine

USUAL = machine.Machine()


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = machine.machine()
    yield
    machine.use(before)


def test_a_kept_table_comes_back():
    table = machine.Machine(bandwidth=1.5e10)
    assert machine.keep(table) == machine.path()
    assert machine.load() == table
    assert [p.name for p in machine.path().parent.iterdir()] == [machine.path().name]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"bandwidth": 1}', "\0", None])
def test_a_broken_table_is_not_used(text):
    values = machine.asdict(USUAL)
    values["call"] = -1.0
    machine.path().parent.mkdir(parents=True)
    machine.path().write_text(json.dumps(values) if text is None else text)
    with pytest.warns(RuntimeWarning, match="is damaged, and the one that ships is used"):
        assert machine.load() is None


def test_no_table_is_no_damage(recwarn):
    assert machine.load() is None
    assert not recwarn.list


@pytest.mark.parametrize(("after", "save", "warns"), [
    (1.0, True, False), (10.0, True, True), (0.1, True, True), (10.0, False, False),
])  # fmt: skip
def test_a_busy_machine_is_a_warning(monkeypatch, recwarn, after, save, warns):
    times = iter((1.0, after))
    monkeypatch.setattr(machine, "probe", lambda: next(times))
    monkeypatch.setattr(machine, "measure", lambda: USUAL)
    machine.calibrate(save=save)
    assert ["factor of 10.0: other work" in str(w.message) for w in recwarn] == [True] * warns


def test_every_figure_has_a_unit_and_what_is_measured_is_known(monkeypatch):
    assert set(machine.UNITS) == set(machine.asdict(USUAL))
    monkeypatch.setattr(machine, "best", lambda f, seconds=0: 1.2345e-3)
    found = machine.asdict(machine.measure())
    kept = {name for name, value in found.items() if value == getattr(USUAL, name)}
    if faltung.native.library() is not None:
        assert kept == set(machine.UNITS) - machine.MEASURED


def test_the_table_that_ships_comes_back():
    machine.use(machine.Machine(call=1.0))
    machine.use(faltung.Machine())
    assert machine.machine() == USUAL


@pytest.mark.parametrize("value", ["1" + 400 * "0", "5e-324", "1e300", "false", "[[[]]]"])
@pytest.mark.parametrize("name", [None, "multiply_adds", "call"])
def test_a_table_of_odd_numbers_is_not_used(name, value):
    values = machine.asdict(USUAL)
    names = list(values) if name is None else [name]
    values.update({name: f"<{name}>" for name in names})
    text = json.dumps(values)
    for name in names:
        text = text.replace(f'"<{name}>"', value)
    machine.path().parent.mkdir(parents=True)
    for damaged in (text, "[" * 40_000 if value == "false" else " " * (1 << 20)):
        machine.path().write_text(damaged)
        with pytest.warns(RuntimeWarning, match="is damaged"):
            assert machine.load() is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_in_the_place_of_the_table_is_not_waited_for():
    machine.path().parent.mkdir(parents=True)
    os.mkfifo(machine.path())
    code = "from faltung import machine; print(machine.load())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "None", done.stderr


def test_measured_tables_are_near_what_they_measure(monkeypatch):
    monkeypatch.setattr(machine, "best", lambda f, seconds=0: quick(f))
    monkeypatch.setattr(machine, "BUSY", np.inf)
    found = faltung.calibrate()
    assert machine.machine() == found == machine.load()
    for name, value in machine.asdict(found).items():
        assert 0 < value < np.inf
        assert 1e-3 < value / getattr(USUAL, name) < 1e3, name


def quick(function):
    """Time one run: for tests, not for figures."""
    import time

    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_cache_that_cannot_be_written_to_is_a_warning(monkeypatch, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        machine.calibrate()


def test_a_cache_directory_that_is_a_file_is_a_warning(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(machine, "measure", lambda: USUAL)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        assert faltung.calibrate() == USUAL


def test_plans_are_made_anew_after_a_calibration():
    k = np.random.default_rng(0).random((5, 5), np.float32)
    machine.use(USUAL)
    assert faltung.plan((500, 500), "float32", k).method == "direct"
    machine.use(machine.Machine(multiply_adds=1e6))
    assert faltung.plan((500, 500), "float32", k).method in ("fft", "fused_fft")


def test_without_a_home_directory():
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    code = "import faltung; print(faltung.convolve([1.0], [2.0]).tolist())"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "[2.0]", done.stderr
