"""Audio in rooms: channels, gains, files, and the command reverb."""

import os
import re
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import cli
from faltung.signal import Reverb, audio, reverb
from faltung.signal.rooms import ways

RATE = 48000


def by_definition(x, room):
    """Convolve every way through a room as np.convolve does."""
    routes = ways(x.shape[1], room.shape[1])
    y = np.zeros((len(x) + len(room) - 1, 1 + max(output for _, output, _ in routes)))
    for channel, output, column in routes:
        y[:, output] += np.convolve(x[:, channel], room[:, column])
    return y


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 4), (3, 3)]),
    st.integers(1, 200),
    st.integers(1, 90),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from(["keep", "cut"]),
    st.lists(st.integers(0, 40), max_size=8),
    st.sampled_from([None, 0, 63]),
)
def test_rooms_are_sums_of_convolutions(seed, channels, n, taps, dry, tail, lengths, latency):
    rng = np.random.default_rng(seed)
    x, room = rng.standard_normal((n, channels[0])), rng.standard_normal((taps, channels[1]))
    wanted = by_definition(x, room)
    wanted[:n] += dry * x
    wanted *= 10 ** (-6 / 20)
    whole = reverb(x, room, gain=-6, dry=dry, tail=tail)
    kept = len(wanted) if tail == "keep" else n
    np.testing.assert_allclose(whole, wanted[:kept], rtol=0, atol=1e-11)
    live = Reverb(room, channels[0], gain=-6, dry=dry, latency=latency)
    ends = np.clip(np.cumsum([0, *lengths]), 0, n)
    blocks = [x[a:b] for a, b in zip(ends, [*ends[1:], n], strict=True)]
    joined = np.concatenate(list(live.all_of(blocks)))
    np.testing.assert_allclose(joined, wanted, rtol=0, atol=1e-11)


def test_partitioned_rooms_run_in_threads_alike():
    rng = np.random.default_rng(0)
    x, room = rng.standard_normal((40000, 2)).astype("f4"), rng.standard_normal((60000, 2))
    runs = [Reverb(room, 2, "float32", latency=511, workers=n) for n in (1, 2)]
    assert runs[0]._streams[0].method == "partitions"
    assert runs[0].latency == 511
    one, two = (np.concatenate(list(run.all_of(np.split(x, 2)))) for run in runs)
    np.testing.assert_array_equal(one, two)
    wanted = by_definition(x.astype(float), room)
    np.testing.assert_allclose(one, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())
    runs[0].reset()
    np.testing.assert_array_equal(np.concatenate(list(runs[0].all_of(np.split(x, 2)))), one)


@pytest.mark.parametrize("latency", [None, 0, 511])
@pytest.mark.parametrize("channels", [1, 2])
def test_ways_through_a_room_that_are_late_unlike(channels, latency):
    rng = np.random.default_rng(0)
    room = np.zeros((4000, 2))
    room[:, 0], room[0, 1] = rng.standard_normal(4000), 1
    x = rng.standard_normal((3000, channels))
    live = Reverb(room, channels, dry=0.5, latency=latency)
    given, outputs = 0, []
    for block in np.split(x, [700, 701, 1900]):
        outputs.append(live.feed(block))
        given += len(outputs[-1])
        assert given >= sum(map(len, np.split(x, [700, 701, 1900])[: len(outputs)])) - live.latency
    wanted = by_definition(x, room)
    wanted[: len(x)] += 0.5 * x
    np.testing.assert_allclose(np.concatenate([*outputs, live.flush()]), wanted, atol=1e-10)


def test_an_interrupt_breaks_a_room(monkeypatch):
    room, x = np.array([[1.0, 0.5], [0.5, 0.0]]), np.ones((5, 1))
    live = Reverb(room, 1, dry=1, workers=1)
    with monkeypatch.context() as patched:

        def interrupted(*_):
            raise KeyboardInterrupt

        patched.setattr(live._streams[1], "feed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            live.feed(x)
    for call in (lambda: live.feed(x), live.flush):
        with pytest.raises(ValueError, match=r"broken.*reset\(\)"):
            call()
    live.reset()
    wanted = by_definition(x, room)
    wanted[:5] += 1
    np.testing.assert_allclose(np.concatenate(list(live.all_of([x]))), wanted)
    with pytest.raises(ValueError, match=r"was flushed; reset\(\)"):
        live.feed(x)


def test_shapes_and_dtypes():
    assert reverb(np.ones(5, "f4"), np.ones(2)).dtype == np.float32
    assert reverb(np.ones(5, "f2"), np.ones(2)).dtype == np.float32
    assert reverb([1, 2], [1]).dtype == np.float64
    assert reverb(np.ones((5, 1)), np.ones(2)).shape == (6, 1)
    assert reverb(np.ones(5), np.ones((2, 1))).shape == (6, 1)


def test_normalised_rooms():
    rng = np.random.default_rng(0)
    x, room = rng.uniform(-1, 1, 50000), rng.standard_normal((400, 2))
    loud = reverb(x, room, normalise="energy")
    assert np.std(loud, axis=0).max() == pytest.approx(np.std(x), rel=0.02)
    quiet = reverb(x, room, normalise="peak")
    assert np.abs(quiet).max() <= np.abs(x).max()
    for tiny in (1e-310, 1e-200, 1e200, 1e307):  # squares leave the range
        for end in ("energy", "peak"):
            wanted = reverb(x[:99], room / 4, normalise=end)
            scaled = reverb(x[:99], room / 4 * tiny, normalise=end)
            np.testing.assert_allclose(scaled, wanted, rtol=0, atol=1e-9)
    for end in ("energy", "peak"):  # one factor for both: the balance stays
        y = reverb(x, room, normalise=end)
        np.testing.assert_allclose(y * (np.abs(loud).max() / np.abs(y).max()), loud, atol=1e-9)


@pytest.mark.parametrize(("call", "kind", "text"), [
    (lambda: reverb(np.ones(3, np.int16), [1.0]), TypeError, "divide int16 by 32768"),
    (lambda: reverb([1.0, np.nan], [1.0]), ValueError, "x holds nan at frame 1"),
    (lambda: reverb([1.0], [np.inf]), ValueError, "room holds inf at frame 0"),
    (lambda: reverb([], [1.0]), ValueError, "no samples"),
    (lambda: reverb([1.0], []), ValueError, "no samples"),
    (lambda: reverb([1.0], [1.0], rate=48000, room_rate=44100), ValueError, "160, 147"),
    (lambda: reverb(np.ones((3, 2)), np.ones((3, 3))), ValueError, "4 for true stereo"),
    (lambda: reverb(np.ones((3, 2, 1)), [1.0]), ValueError, "frames, channels"),
    (lambda: reverb([1.0], [0.0], normalise="peak"), ValueError, "all zeros"),
    (lambda: reverb([1.0], [1.0], normalise="loud"), ValueError, "use None, energy or peak"),
    (lambda: reverb([1.0], [1.0], tail="wag"), ValueError, "use keep or cut"),
    (lambda: reverb([1.0], [1.0], gain=np.inf), ValueError, "finite"),
    (lambda: reverb([1.0], [1.0], gain=1e5), ValueError, "100000 dB .* louder than float64"),
    (lambda: reverb(np.ones(3, "f4"), [1.0], gain=1000), ValueError, "louder than float32"),
    (lambda: Reverb([1.0], 1, "float32", dry=1e40), ValueError, "dry 1e.40 .* louder than float32"),
    (lambda: Reverb([1.0], 0), ValueError, "channels=0 must be at least 1"),
    (lambda: Reverb([1.0], 1.5), TypeError, "channels=1.5 must be a whole number"),
    (lambda: Reverb([1.0], 1, np.int16), TypeError, "must be float32 or float64"),
    (lambda: Reverb([1.0], 1, object), TypeError, "must be float32 or float64"),
    (lambda: Reverb([1.0], 2).feed(np.ones((3, 1))), ValueError, r"takes float64 \(frames, 2\)"),
])  # fmt: skip
def test_errors_say_what_to_do(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


# ---- files -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("soundfile")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("depth", ["16", "24", "32", "float", "double"])
@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_files_keep_every_bit(folder, depth, ending):
    bits = {"16": 16, "24": 24, "32": 32, "float": 25, "double": 50}[depth]
    full = 2 ** (bits - 1)
    x = np.random.default_rng(0).integers(-full, full, (500, 2)) / full
    x[0] = -1, (full - 1) / full
    if ending == ".flac" and depth not in ("16", "24"):
        with pytest.raises(audio.AudioError, match="FLAC holds 16 or 24 bits"):
            audio.write(f"x{ending}", x, RATE, depth=depth)
        return
    assert audio.write(f"x{ending}", x, RATE, depth=depth) == audio.Clipped(0, 1.0)
    y, rate = audio.read(f"x{ending}")
    assert rate == RATE
    np.testing.assert_array_equal(y, x)
    with audio.reading(f"x{ending}") as reader:
        assert reader.info.depth == depth


def test_what_is_too_loud_is_clipped_and_counted(folder):
    found = audio.write("x.wav", np.array([1.5, -1.5, 0.5, 1.0]), RATE, depth="16")
    assert found == audio.Clipped(3, 1.5)  # 1.0 is one step above the greatest
    assert (audio.read("x.wav")[0] * 32768).tolist() == [32767, -32768, 16384, 32767]


@pytest.mark.parametrize("depth", ["16", "24"])
@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_the_command_convolves_files(folder, depth, ending, capsys):
    rng = np.random.default_rng(0)
    x, room = 0.1 * rng.standard_normal((70000, 1)), 0.1 * rng.standard_normal((300, 2))
    audio.write("voice.wav", x, RATE, depth=depth)
    audio.write("room.wav", room, RATE, depth="double")
    call = ["reverb", "voice.wav", "room.wav", "-o", f"out{ending}", "--gain", "-6"]
    assert cli.run(call) == 0
    assert "2 channels at 48000 Hz" in capsys.readouterr().out
    y, _ = audio.read(f"out{ending}")
    voice, _ = audio.read("voice.wav")
    wanted = 10 ** (-6 / 20) * by_definition(voice[:, None], room)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=0, atol=0.51 / 2 ** (int(depth) - 1))
    assert cli.run([*call, "--tail", "cut", "--dry", "1"]) == 0
    assert len(audio.read(f"out{ending}")[0]) == len(x)
    assert sorted(os.listdir()) == sorted({"voice.wav", "room.wav", f"out{ending}"})


def test_an_identity_leaves_the_file_and_loudness_is_told(folder, capsys):
    audio.write("voice.wav", np.random.default_rng(0).uniform(-1, 1, 999), RATE, depth="24")
    audio.write("one.wav", np.array([1.0]), RATE, depth="float")
    assert cli.run(["reverb", "voice.wav", "one.wav", "-o", "out.wav"]) == 0
    np.testing.assert_array_equal(audio.read("out.wav")[0], audio.read("voice.wav")[0])
    assert capsys.readouterr().err == ""
    assert cli.run(["reverb", "voice.wav", "one.wav", "-o", "out.wav", "--gain", "6"]) == 0
    told = capsys.readouterr().err
    assert "samples beyond full scale were clipped" in told
    gain = told.split("--gain ")[1].split(" or")[0]
    assert cli.run(["reverb", "voice.wav", "one.wav", "-o", "out.wav", "--gain", gain]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("depth", ["16", "24"])
@pytest.mark.parametrize(("loud", "gain"), [(1.0, 0.0), (10 ** (0.3 / 20), -0.3), (2.0, 3.14)])
def test_the_gain_that_is_told_clips_nothing(folder, capsys, depth, loud, gain):
    audio.write("voice.wav", np.array([0.5, -0.1]), RATE, depth="double")
    audio.write("room.wav", np.array([2 * loud]), RATE, depth="double")
    call = ["reverb", "voice.wav", "room.wav", "-o", "out.wav", "--depth", depth, "--gain"]
    assert cli.run([*call, str(gain)]) == 0
    told = capsys.readouterr().err
    assert "1 sample beyond full scale was clipped" in told
    softer = told.split("--gain ")[1].split(" or")[0]
    assert gain > float(softer) > gain - 20 * np.log10(loud * 10 ** (gain / 20)) - 0.2
    assert cli.run([*call, softer]) == 0
    assert capsys.readouterr().err == ""


def damaged():
    """Write files that are broken in one way each, and return what is said of them."""
    import soundfile

    x = np.random.default_rng(0).uniform(-1, 1, (1000, 2))
    audio.write("whole.wav", x, RATE, depth="16")
    audio.write("whole.flac", x, RATE, depth="16")
    nan = np.array([0.0, np.nan])
    soundfile.write("nan.wav", nan, RATE, "FLOAT")
    soundfile.write("other.aiff", x, RATE)
    content, flac = Path("whole.wav").read_bytes(), Path("whole.flac").read_bytes()
    files = {
        "cut.wav": (content[:2000], "cut short"),
        "header.wav": (content[:44], "cut short: 0 of"),
        "head.wav": (content[:20], "no WAV or FLAC"),
        "text.wav": (b"these are words", "no WAV or FLAC"),
        "empty.wav": (b"", "no WAV or FLAC"),
        "noise.flac": (os.urandom(999), "no WAV or FLAC"),
        "cut.flac": (flac[: len(flac) // 2], "damaged|no WAV or FLAC"),
        "none.wav": (content[:40] + b"\0\0\0\0", "no samples"),
        "none2.wav": (content[:4] + bytes([36, 0, 0, 0]) + content[8:40] + bytes(4), "no samples"),
    }
    for name, (data, _) in files.items():
        Path(name).write_bytes(data)
    texts = {name: text for name, (_, text) in files.items()}
    texts["other.aiff"] = "convert it to WAV or FLAC"
    return texts | {"nan.wav": "frame 1 of channel 1 is nan", "missing.wav": "No such file"}


def test_damaged_files_are_errors_of_one_line(folder, capsys):
    texts = damaged()
    audio.write("room.wav", np.array([1.0, 0.5]), RATE)
    for name, text in texts.items():
        for pair in ((name, "room.wav"), ("whole.wav", name)):
            assert cli.run(["reverb", *pair, "-o", "out.wav"]) == 2, name
            told = capsys.readouterr().err
            assert told.count("\n") == 1, told
            assert re.search(text, told), told
            assert name in told
    assert not [name for name in os.listdir() if name.startswith((".faltung", "out"))]


def test_wrong_names_and_wrong_pairs(folder, capsys):
    for name, rate in (("a.wav", 48000), ("b.wav", 44100)):
        audio.write(name, np.ones((9, 2)), rate)
    audio.write("three.wav", np.ones((9, 3)), RATE)
    for words, text in (
        (("a.wav", "b.wav", "-o", "out.wav"), r"resample_poly\(room, 160, 147\)"),
        (("a.wav", "three.wav", "-o", "out.wav"), "do not go together"),
        (("a.wav", "a.wav", "-o", "out.mp3"), "use .wav or .flac"),
        (("a.wav", "a.wav", "-o", "no/out.wav"), "create it first"),
        (("a.wav", "a.wav", "-o", "out.flac", "--depth", "float"), "FLAC holds"),
    ):
        assert cli.run(["reverb", *words]) == 2
        assert re.search(text, capsys.readouterr().err)
    os.rename("a.wav", "a.raw")  # what it holds counts, not its name
    assert cli.run(["reverb", "a.raw", "a.raw", "-o", "out.wav"]) == 0


def test_without_soundfile_an_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    out = str(tmp_path / "out.wav")
    assert cli.run(["reverb", str(tmp_path / "a.wav"), "b.wav", "-o", out]) == 2
    assert "pip install 'faltung[audio]'" in capsys.readouterr().err


def plain_wav(x, data, riff=0, kind=b"RIFF"):
    """Return a WAV of 16 bits with whatever sizes its header is to say."""
    order = ">" if kind == b"RIFX" else "<"
    bytes_of = struct.Struct(f"{order}4sI4s4sIHHIIHH4sI")
    layout = 16, 1, x.shape[1], RATE, 2 * RATE * x.shape[1], 2 * x.shape[1], 16
    head = bytes_of.pack(kind, riff, b"WAVE", b"fmt ", *layout, b"data", data)
    return head + x.astype(f"{order}i2").tobytes()


@pytest.mark.parametrize("stated", [
    0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFEFFC, 0x7FFFFF00, 0xFFFFFFFF - 36,
])  # fmt: skip
@pytest.mark.parametrize("riff", [0, 0xFFFFFFFF])
def test_lengths_that_pipes_do_not_know(folder, stated, riff):
    x = np.random.default_rng(0).integers(-(2**15), 2**15, (1000, 2))
    Path("x.wav").write_bytes(plain_wav(x, stated, riff))
    np.testing.assert_array_equal(audio.read("x.wav")[0] * 2**15, x)
    with open("x.wav", "ab") as file:
        file.write(b"abc")
    with pytest.warns(
        UserWarning, match=r"x.wav.* within a frame, of which 3 of 4 bytes are there"
    ):
        np.testing.assert_array_equal(audio.read("x.wav")[0] * 2**15, x)


def test_a_header_that_is_believed(folder, monkeypatch):
    x = np.random.default_rng(0).integers(-(2**15), 2**15, (1000, 2))
    Path("x.wav").write_bytes(plain_wav(x[:0], 0, 36 + 8) + b"LIST\0\0\0\0")
    with pytest.raises(audio.AudioError, match="no samples"):  # a chunk of words is no sound
        audio.read("x.wav")
    for kind in (b"RIFF", b"RIFX"):
        for stated, text in ((4004, "4,000 of 4,004 bytes"), (0x7FFF0000, "cut short")):
            Path("x.wav").write_bytes(plain_wav(x, stated, kind=kind))
            with pytest.raises(audio.AudioError, match=text):
                audio.read("x.wav")
        Path("x.wav").write_bytes(plain_wav(x, 4000, kind=kind))
        np.testing.assert_array_equal(audio.read("x.wav")[0] * 2**15, x)
    with monkeypatch.context() as patched:  # as a WAV of more than 4 GB is written
        patched.setattr(audio, "LONGEST", 100)
        audio.write("x.wav", x / 2**15, RATE, depth="16")
    assert Path("x.wav").read_bytes()[:4] == b"RF64"
    np.testing.assert_array_equal(audio.read("x.wav")[0] * 2**15, x)
    Path("cut.wav").write_bytes(Path("x.wav").read_bytes()[:-1000])
    with pytest.raises(audio.AudioError, match="cut short: 3,000 of 4,000 bytes"):
        audio.read("cut.wav")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_named_pipes_and_flac_that_counts_nothing(folder):
    x = np.random.default_rng(0).uniform(-1, 1, (90000, 2))
    audio.write("x.flac", x, RATE, depth="16")
    content = bytearray(Path("x.flac").read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that count the frames
    content[22:26] = bytes(4)
    Path("pipe.flac").write_bytes(content)
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(content,))
    writer.start()
    for name in ("pipe", "pipe.flac"):
        np.testing.assert_array_equal(audio.read(name)[0], audio.read("x.flac")[0])
    writer.join()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", ">f4"])
@pytest.mark.parametrize("depth", ["16", "24", "32", "float", "double"])
def test_floats_of_any_width_are_written_alike(folder, dtype, depth):
    x = np.array([1.0, -1.0, 0.5, -0.25], dtype)
    found = audio.write("x.wav", x, RATE, depth=depth)
    integers = depth.isdigit()
    wanted = [1 - 2.0 ** (1 - int(depth)) if integers else 1.0, -1.0, 0.5, -0.25]
    assert audio.read("x.wav")[0].tolist() == wanted
    assert found == audio.Clipped(int(integers), 1.0)


@pytest.mark.parametrize(("x", "rate", "depth", "text"), [
    ([0.0, np.nan], RATE, "16", "frame 1 of channel 1 is nan"),
    ([0.0, np.inf], RATE, "24", "frame 1 of channel 1 is inf"),
    ([0.0, np.nan], RATE, "float", "must be finite"),
    ([0.0], RATE, 16, "depth=16 is unknown; use '16', '24'"),
    ([0.0], RATE, ["16"], "is unknown; use '16', '24'"),
    ([1e39], RATE, "float", "beyond float32; write depth double"),
    ([0.0], 48000.0, "16", "rate 48000.0 must be a whole number from 1 to 2,147,483,647"),
    ([0.0], 0, "16", "rate 0 must be"),
    ([0.0], True, "16", "rate True must be"),
    ([0.0], 2**31, "16", "rate 2147483648 must be"),
    (np.zeros((2, 1025)), RATE, "16", "holds 1 to 1024 channels, not 1025"),
])  # fmt: skip
def test_what_no_file_holds_is_refused(folder, x, rate, depth, text):
    with pytest.raises(audio.AudioError, match=text):
        audio.write("x.wav", np.asarray(x), rate, depth=depth)
    assert os.listdir() == []


@pytest.mark.parametrize(("rate", "channels", "text"), [
    (655_351, 1, "1 to 655,350, in FLAC"), (RATE, 9, "1 to 8 channels, not 9"),
])  # fmt: skip
def test_what_flac_does_not_hold(folder, rate, channels, text):
    with pytest.raises(audio.AudioError, match=text):
        audio.write("x.flac", np.zeros((9, channels)), rate)
    audio.write("x.flac", np.zeros((9, 8)), 655_350)
    assert audio.read("x.flac")[1] == 655_350


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_a_full_disk_is_told_and_leaves_nothing(folder, ending):
    resource = pytest.importorskip("resource")
    x = np.random.default_rng(0).uniform(-1, 1, (20000, 2))
    audio.write(f"x{ending}", x, RATE, depth="16")
    whole = os.path.getsize(f"x{ending}")
    os.remove(f"x{ending}")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (10, whole // 2, whole - 3000, whole - 1):  # the last frame of a FLAC among them
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, usual[1]))
            with pytest.raises(OSError, match="File too large") as told:
                audio.write(f"x{ending}", x, RATE, depth="16")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        assert told.value.filename == f"x{ending}"
        assert os.listdir() == []


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_an_interrupt_of_a_file_is_never_lost(folder, ending):
    def blocks():
        yield np.zeros((1000, 1))
        os.kill(os.getpid(), signal.SIGINT)
        yield np.zeros((1000, 1))

    with pytest.raises(KeyboardInterrupt):
        audio.write_blocks(f"x{ending}", blocks(), audio.Info(RATE, 1, 2000, "PCM_16"))
    assert os.listdir() == []


def test_no_file_that_is_read_is_replaced(folder, capsys):
    audio.write("voice.wav", np.ones(9), RATE)
    audio.write("room.wav", np.ones(2), RATE)
    os.symlink("room.wav", "link.wav")
    before = Path("voice.wav").read_bytes(), Path("room.wav").read_bytes()
    for output in ("voice.wav", "./room.wav", "link.wav"):
        assert cli.run(["reverb", "voice.wav", "room.wav", "-o", output]) == 2
        assert f"the result {output} would replace a file that is read" in capsys.readouterr().err
    assert before == (Path("voice.wav").read_bytes(), Path("room.wav").read_bytes())


def test_the_command_takes_pipes(folder):
    rng = np.random.default_rng(0)
    voice, room = 0.1 * rng.standard_normal((5000, 2)), 0.1 * rng.standard_normal((30, 1))
    audio.write("voice.flac", voice, RATE, depth="16")
    audio.write("room.wav", room, RATE, depth="float")
    command = [sys.executable, "-m", "faltung", "reverb"]
    data = Path("voice.flac").read_bytes()
    words = [*command, "-", "room.wav", "-o", "-"]
    done = subprocess.run(words, input=data, capture_output=True, timeout=60)
    assert b"2 channels at 48000 Hz" in done.stderr
    Path("got.wav").write_bytes(done.stdout)
    assert cli.run(["reverb", "voice.flac", "room.wav", "-o", "wanted.wav"]) == 0
    assert Path("wanted.wav").read_bytes() == done.stdout
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(words, input=data, stdout=full, stderr=-1, timeout=60)
        assert done.stderr.startswith(b"faltung: error: standard output: No space left")
    done = subprocess.run([*command, "-", "-", "-o", "x.wav"], capture_output=True, input=b"")
    assert b"standard input can be read only once" in done.stderr


def test_gains_are_finite_and_loudness_without_end_is_told(folder, capsys):
    audio.write("voice.wav", np.full(9, 1e300), RATE, depth="double")
    audio.write("room.wav", np.full(9, 1e300), RATE, depth="double")
    audio.write("one.wav", np.ones(1), RATE, depth="double")
    audio.write("soft.flac", np.full(9, 0.5), RATE, depth="16")
    for words, text in (
        (("one.wav", "-o", "out.wav", "--gain", "inf"), "--gain inf must be a finite number"),
        (("one.wav", "-o", "out.wav", "--dry", "nan"), "--dry nan must be a finite number"),
        (("one.wav", "-o", "out.wav", "--gain", "1e5"), "louder than float64 can hold"),
        (("room.wav", "-o", "out.wav"), "out.wav: frame 0 of channel 1 is inf"),
        (("one.wav", "-o", "out.wav", "--depth", "float"), "beyond float32; write depth double"),
    ):
        assert cli.run(["reverb", "voice.wav", *words]) == 2
        assert text in capsys.readouterr().err
    assert not os.path.exists("out.wav")
    assert cli.run(["reverb", "soft.flac", "one.wav", "-o", "out.flac", "--gain", "9"]) == 0
    assert "or --depth float in a .wav would keep them" in capsys.readouterr().err
