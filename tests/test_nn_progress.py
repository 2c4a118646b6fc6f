"""What a training shows on a terminal, and Ctrl-C."""

import io
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_nn_training import OPTIONS, data, network, same

from faltung import nn
from faltung.nn import progress


@pytest.mark.parametrize("stop", [0, 1, 2, 6, 11])
def test_interrupted_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, stop):
    x, y = data()
    whole = network()
    expected = nn.Trainer(whole, **OPTIONS).fit(x, y, validation=0.2)
    trainer = nn.Trainer(network(), **OPTIONS, checkpoint=tmp_path / "state")
    step = trainer._step

    def pressed(*arguments):
        if trainer._run.steps == stop:
            signal.raise_signal(signal.SIGINT)  # in the middle of a step
        return step(*arguments)

    monkeypatch.setattr(trainer, "_step", pressed)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(x, y, validation=0.2)
    assert trainer._run.steps == stop + 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = network()
    options = {**OPTIONS, "checkpoint": tmp_path / "state"}
    assert nn.Trainer(again, **options).fit(x, y, validation=0.2, resume=True) == expected
    assert same(again, whole)


def test_a_second_interrupt_does_not_wait():
    with progress.patient(True) as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_is_nobody_elses_business():
    def mine(*_):
        pass

    before = signal.signal(signal.SIGINT, mine)
    try:
        with progress.patient(True) as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


@settings(max_examples=50)
@given(st.integers(0, 150), st.floats(0, 1), st.floats(0, 1e6))
def test_a_bar_fits_its_terminal(columns, part, left):
    line = progress.bar("epoch 10/20", part, left, "loss 1.771e+06 accuracy 100.0%", columns)
    assert len(line) <= max(0, columns - 1)
    if columns >= 80:
        assert line.endswith("100.0%")


def test_a_bar_is_erased():
    file = io.StringIO()
    with progress.Bar("epoch 1/2", 4, 0, file) as show:
        show(1, "loss 2")
        show(2, "loss 1")  # too soon after the other
    sights = file.getvalue().split("\r")
    assert sights[1].startswith("epoch 1/2 [")
    assert "25%" in sights[1]
    assert sights[2:] == [" " * len(sights[1]), ""]


def test_epochs_are_told(capsys):
    x, y = data()
    nn.Trainer(network(), epochs=2, progress=True).fit(x, y, validation=0.2)
    lines = capsys.readouterr().out.split("\r")
    told = [line for line in lines if line.startswith("epoch 1: loss ")]
    assert len(told) == 1
    assert "held out loss " in told[0]
    assert told[0].endswith("%\n")
