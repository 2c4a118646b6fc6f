"""Raw samples through pipes: the command stream."""

import os
import subprocess
import sys
import threading
import time

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


def test_what_is_whole_comes_before_the_error_about_the_rest():
    import faltung

    x = np.arange(1000, dtype=np.float32)
    done = piped("-k", "[1,2,1]", data=x.tobytes() + b"abc")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"middle of a sample: 3 of 4 bytes" in done.stderr
    wanted = faltung.convolve(x, [1, 2, 1])
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.float32), wanted)


@pytest.mark.parametrize(("dtype", "asked", "wanted"), [
    ("<i2", ">i2", ">i2"), (">i2", "<i4", "<i4"), (">i2", "int32", ">i4"), (">i2", "=i4", "=i4"),
    (">i2", None, ">i4"), ("int16", ">f4", ">f4"),
])  # fmt: skip
def test_byte_orders(dtype, asked, wanted):
    x = np.array([1, 2, 300], dtype)
    more = [] if asked is None else ["--result-dtype", asked]
    done = piped("-k", "[1]", "--dtype", dtype, *more, data=x.tobytes())
    assert np.frombuffer(done.stdout, wanted).tolist() == [1, 2, 300]


def test_a_pipe_explains_itself_beside_the_results():
    done = piped("-k", "[1]", "--explain", data=bytes(4))
    assert done.stdout == bytes(4)
    assert done.stderr.startswith(b"Stream convolve float32 any with 1, same -> float32\n")


def test_large_ints_lie_beyond_the_ends():
    big = 2**53 + 1
    done = piped("-k", "[1,2,1]", "--dtype", "int64", "--fill-value", str(big), data=bytes(16))
    assert np.frombuffer(done.stdout, np.int64).tolist() == [big, big]


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="needs pipes that do not wait")
def test_pipes_that_do_not_wait():
    x = np.arange(200_000, dtype=np.float32)
    command = [sys.executable, "-m", "faltung", "stream", "-k", "[1]"]
    (source, feeding), (reading, target) = os.pipe(), os.pipe()
    for end in (source, target):
        os.set_blocking(end, False)
    with subprocess.Popen(command, stdin=source, stdout=target, stderr=-1) as process:
        os.close(source)
        os.close(target)
        with open(feeding, "wb") as file:
            thread = threading.Thread(target=lambda: (file.write(x.tobytes()), file.close()))
            thread.start()
            time.sleep(0.5)  # so that what nobody reads yet fills its pipe
            with open(reading, "rb") as got:
                assert got.read() == x.tobytes()
            thread.join()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


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
    (("-k", "[1]", "--result-dtype", "words"), b"", "--result-dtype 'words' is no dtype"),
    (("-k", "[1]", "--fill-value", "x"), b"", "--fill-value 'x' must be a number"),
    (("-k", "[1]", "--fill-value", "1", "--boundary", "edge"), b"", "goes with --boundary const"),
    (("-k", "sobel.x"), b"", "a kernel of one axis"),
    (("-k", "[1,2]", "--width", "4"), b"", "a kernel of one axis"),
    (("-k", "[1,2]", "--boundary", "wrap"), b"", "--boundary wrap continues"),
    (("-k", "[1,2,3]", "--latency", "0"), b"", "--latency 0 must be an int of at least 1"),
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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_a_full_device_is_named():
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "faltung", "stream", "-k", "[1]"]
        done = subprocess.run(command, input=bytes(8), stdout=full, stderr=-1, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(b"faltung: error: standard output: No space")
