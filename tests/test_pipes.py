"""Raw samples through pipes: the command stream."""

import os
import subprocess
import sys

import numpy as np
import pytest


def piped(*words, data=b"", **options):
    command = [sys.executable, "-m", "faltung", "stream", *words]
    return subprocess.run(command, input=data, capture_output=True, timeout=60, **options)


def test_pipes_give_what_convolve_gives():
    import faltung

    x = np.random.default_rng(0).integers(-99, 99, (30000, 2)).astype(">i2")
    words = ("--dtype", ">i2", "--channels", "2", "--boundary", "reflect")
    done = piped("-k", "[1,2,-3,4]", *words, data=x.tobytes())
    assert done.stderr == b""
    wanted = faltung.convolve(x, [1, 2, -3, 4], axes=0, boundary="reflect")
    np.testing.assert_array_equal(
        np.frombuffer(done.stdout, wanted.dtype.newbyteorder(">")).reshape(-1, 2), wanted
    )


def test_rows_go_through_pipes():
    import faltung

    x = np.random.default_rng(0).integers(0, 255, (40, 30, 3)).astype(np.uint8)
    k = [[1, 2, 1], [0, 1, 0]]
    words = ("--dtype", "uint8", "--width", "30", "--channels", "3", "--boundary", "edge")
    done = piped("-k", str(k), *words, data=x.tobytes())
    wanted = faltung.convolve(x, k, axes=(0, 1), boundary="edge")
    got = np.frombuffer(done.stdout, wanted.dtype).reshape(wanted.shape)
    np.testing.assert_array_equal(got, wanted)


def test_results_come_as_soon_as_they_are_known():
    command = [sys.executable, "-m", "faltung", "stream", "-k", "[1,1]", "--dtype", "uint8"]
    with subprocess.Popen(
        [*command, "--mode", "full", "--result-dtype", "uint8"], stdin=-1, stdout=-1, bufsize=0
    ) as process:
        for sent, wanted in ((b"\1\2", b"\1\3"), (b"\3", b"\5")):
            process.stdin.write(sent)
            assert process.stdout.read(len(wanted)) == wanted
        process.stdin.close()
        assert process.stdout.read() == b"\3"


@pytest.mark.parametrize(("words", "data", "text"), [
    (("-k", "[1,2]"), b"abcde", "middle of a sample: 1 of 4 bytes"),
    (("-k", "[1,2]", "--dtype", "words"), b"", "is no dtype"),
    (("-k", "[1,2]", "--dtype", "U4"), b"", "not of numbers"),
    (("-k", "sobel.x"), b"", "a kernel of one axis"),
    (("-k", "[1,2]", "--width", "4"), b"", "a kernel of one axis"),
    (("-k", "[1,2]", "--boundary", "wrap"), b"", "does not know yet"),
    (("-k", "[1,2,3]", "--latency", "0"), b"", "an int of at least 1"),
    (("-k", "[1,1]", "--dtype", "uint8", "--result-dtype", "uint8"), b"\xff\xff", "holds 0 to 255"),
])  # fmt: skip
def test_mistakes_in_pipes_are_one_line(words, data, text):
    done = piped(*words, data=data)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert text.encode() in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs an endless file")
def test_closed_pipes_are_quiet():
    command = [sys.executable, "-m", "faltung", "stream", "-k", "[1,1]"]
    with open("/dev/zero", "rb") as endless:
        process = subprocess.Popen(command, stdin=endless, stdout=-1, stderr=-1)
        assert process.stdout.read(8) == bytes(8)
        process.stdout.close()
        assert process.wait(30) == 141  # as what SIGPIPE ends
        assert process.stderr.read() == b""
        process.stderr.close()


def test_a_response_is_a_kernel(tmp_path, monkeypatch):
    pytest.importorskip("soundfile")
    from faltung.signal import audio

    monkeypatch.chdir(tmp_path)
    audio.write("room.wav", np.array([1.0, 0.0, 0.5]), 48000, depth="float")
    x = np.arange(5, dtype=np.float32)
    done = piped("-k", "room.wav", data=x.tobytes())
    assert np.frombuffer(done.stdout, np.float32).tolist() == [0, 1, 2, 3.5, 5]
