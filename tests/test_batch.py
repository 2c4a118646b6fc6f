"""Many pictures at once: files, folders, pipes, what is there already, failures and Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from faltung import cli, image, kernels
from faltung.cli import batch, jobs, pool
from faltung.cli.show import drawn, protocol
from faltung.demo import PHOTOGRAPH

COMMAND = [sys.executable, "-m", "faltung"]


def run(*arguments, content=None, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], input=content, capture_output=True, timeout=120, **options
    )


def picture(seed, size=(30, 20)):
    return np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)


@pytest.fixture
def album(tmp_path):
    """A folder with pictures, folders in it, and other files."""
    folder = tmp_path / "album"
    for number, name in enumerate(["a.png", "b.jpg", "in/c.tif", "in/deep/d.webp", "e.gif"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes((folder / "a.png").read_bytes())
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    return folder


def found(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


RESULTS = ["a.png", "b.jpg", "e.png", "in/c.tif", "in/deep/d.webp"]


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_folder_keeps_its_structure(album, tmp_path, capsys, workers):
    out = tmp_path / "new" / "out"
    arguments = ["filter", str(album), "-k", "edge", "-o", str(out), "--workers", workers]
    assert cli.run(arguments) == 0
    assert found(out) == RESULTS
    for name in ("a.png", "in/c.tif", "in/deep/d.webp"):
        wanted = image.filter(image.read(album / name), kernels.edge)
        np.testing.assert_array_equal(image.read(out / name), wanted)
    printed = capsys.readouterr()
    assert re.fullmatch(r"5 pictures written in .* s, 1 other file left out\n", printed.out)
    assert printed.err.count("\n") == 2
    assert "e.gif: a palette became RGB (said once)" in printed.err
    assert "e.gif: GIF is only read: the result is a PNG (said once)" in printed.err


def test_results_in_the_folder_itself_are_not_filtered_again(album, capsys):
    for _ in range(2):
        assert cli.run(["filter", f"{album}/", "-k", "edge", "-o", str(album / "out")]) == 0
    assert found(album / "out") == RESULTS


def test_several_folders_keep_their_names_and_formats_can_be_chosen(album, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["filter", str(album / "in"), str(album / "in" / "deep"), str(album / "a.png")]
    assert cli.run([*arguments, "-k", "edge", "-o", str(out), "--format", "png"]) == 0
    assert found(out) == ["a.png", "deep/d.png", "in/c.png", "in/deep/d.png"]


def test_one_picture_goes_into_a_folder_that_is_there_or_has_a_slash(tmp_path, capsys):
    (tmp_path / "there").mkdir()
    for folder in ("there", "new/"):
        assert cli.run(["filter", str(PHOTOGRAPH), "-k", "edge", "-o", f"{tmp_path}/{folder}"]) == 0
        assert found(tmp_path / folder) == ["chelsea.png"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_bad_file_is_reported_and_the_rest_done(album, tmp_path, capsys, workers):
    (album / "bad.png").write_bytes((album / "a.png").read_bytes()[:200])
    (album / "worse.jpg").write_bytes(b"no picture")
    out = tmp_path / "out"
    arguments = ["filter", str(album), str(tmp_path / "none.png"), "-k", "edge", "-o", str(out)]
    assert cli.run([*arguments, "--workers", workers]) == 1
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("faltung: error: ")]
    assert len(errors) == 3
    for name in ("bad.png", "worse.jpg", "none.png"):
        assert sum(name in line for line in errors) == 1
    assert "5 pictures written" in printed.out
    assert "3 failed" in printed.out
    assert found(out / "album") == RESULTS


def test_a_process_that_dies_takes_one_picture_with_it(tmp_path):
    names = [f"{n}.png" for n in range(6)]

    def task(job):
        if job.source == "2.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return job.source

    outcomes = dict(pool.each([jobs.Job(name, "") for name in names], task, 2, 10, lambda job: 1))
    results = {job.source: outcome for job, outcome in outcomes.items()}
    assert results.pop("2.png") == pool.Failure("2.png: the process at work on it ended (-9).")
    assert results == {name: name for name in names if name != "2.png"}


def test_the_pixels_at_work_at_one_time_are_bounded(tmp_path):
    """Every job of weight 4 or 1 notes down that it runs; together they stay within 5."""

    def task(job):
        (tmp_path / job.source).touch()
        time.sleep(0.05)
        running = [int(path.name.split("-")[1]) for path in tmp_path.iterdir()]
        (tmp_path / job.source).unlink()
        return sum(running)

    todo = [jobs.Job(f"{n}-{4 if n % 2 else 1}", "") for n in range(10)]
    outcomes = list(pool.each(todo, task, 4, 5, lambda job: int(job.source.split("-")[1])))
    assert len(outcomes) == 10
    assert max(total for _, total in outcomes) <= 5
    assert max(total for _, total in outcomes) > 4  # and yet some ran together


def test_what_is_there_already_is_left_alone(album, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"mine")
    arguments = ["filter", str(album), "-k", "edge", "-o", str(out), "--skip-existing"]
    assert cli.run(arguments) == 0
    assert "4 pictures written" in (printed := capsys.readouterr().out)
    assert "1 there already" in printed
    assert (out / "a.png").read_bytes() == b"mine"
    assert cli.run(arguments) == 0
    assert "0 pictures written" in capsys.readouterr().out
    one = ["filter", str(PHOTOGRAPH), "-k", "edge", "-o", str(out / "a.png"), "--skip-existing"]
    assert cli.run(one) == 0
    assert (out / "a.png").read_bytes() == b"mine"


@pytest.mark.parametrize(("arguments", "words"), [
    (["ALBUM", "-k", "edge", "-o", "OUT.png"], "named like a file"),
    (["ALBUM", "-k", "edge", "-o", "ALBUM/a.png"], "this is a file"),
    (["ALBUM", "-k", "edge", "-o", "ALBUM"], "would replace"),
    (["ALBUM/a.png", "ALBUM/b.jpg", "-k", "edge", "-o", "ALBUM/"], "would replace"),
    (["ALBUM/a.png", "ALBUM/a.png", "-k", "edge", "-o", "OUT"], "would both become"),
    (["ALBUM", "-k", "edge", "-o", "-"], "single picture"),
    (["ALBUM", "-k", "edge", "-o", "OUT", "--show"], "single picture"),
    (["ALBUM", "-k", "edge", "-o", "OUT", "--explain"], "one picture"),
    (["EMPTY", "-k", "edge", "-o", "OUT"], "no pictures"),
    (["-", "-", "-k", "edge", "-o", "OUT"], "only once"),
    (["-", "-k", "edge", "-o", "OUT/"], "no name"),
    (["ALBUM/a.png", "-k", "edge", "-o", "OUT.png", "--format", "png"], "OUT's ending"),
    (["ALBUM/a.png", "-k", "edge", "-o", "-", "--show"], "--show needs a file"),
])  # fmt: skip
def test_mistakes_are_found_before_anything_is_done(album, tmp_path, capsys, arguments, words):
    (tmp_path / "empty").mkdir()
    places = {"ALBUM": str(album), "OUT": str(tmp_path / "out"), "EMPTY": str(tmp_path / "empty")}
    before = found(tmp_path)
    words_given = [re.sub("ALBUM|OUT|EMPTY", lambda m: places[m[0]], a) for a in arguments]
    assert cli.run(["filter", *words_given]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert found(tmp_path) == before


# ---- pipes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".webp", ".bmp", ".ppm"])
def test_standard_input_and_output_keep_the_format(tmp_path, ending):
    image.write(tmp_path / f"a{ending}", picture(1))
    content = (tmp_path / f"a{ending}").read_bytes()
    done = run("filter", "-", "-k", "identity", "-o", "-", content=content)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    again = image.loads(done.stdout)
    assert again.kind == image.FORMATS[ending]
    off = np.abs(again.frames[0].astype(int) - image.read(tmp_path / f"a{ending}"))
    assert off.mean() < (1.5 if ending == ".jpg" else 1e-9)
    done = run("filter", "-", "-k", "identity", "-o", "-", "--format", "png", content=content)
    np.testing.assert_array_equal(image.loads(done.stdout).frames[0],
                                  image.loads(content).frames[0])  # fmt: skip


def test_pipes_into_files_and_out_of_them(tmp_path):
    image.write(tmp_path / "a.png", picture(2))
    done = run("edges", tmp_path / "a.png", "-o", "-")
    edges = image.edges(picture(2)).picture()
    np.testing.assert_array_equal(image.loads(done.stdout).frames[0], edges)
    content = (tmp_path / "a.png").read_bytes()
    assert run("edges", "-", "-o", tmp_path / "b.png", content=content).returncode == 0
    np.testing.assert_array_equal(image.read(tmp_path / "b.png"), edges)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_bad_input_from_a_pipe_is_one_line_and_status_2(content):
    done = run("filter", "-", "-k", "edge", "-o", "-", content=content)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"faltung: error: standard input")
    assert done.stderr.count(b"\n") == 1


def test_standard_input_without_end_is_not_read_for_ever():
    done = subprocess.run(
        [*COMMAND, "filter", "-", "-k", "edge", "-o", "-", "--max-pixels", "100000"],
        stdin=open("/dev/zero", "rb") if os.path.exists("/dev/zero") else subprocess.DEVNULL,  # noqa: SIM115
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


# ---- interruption ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "status"), [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9),
])  # fmt: skip
def test_an_interrupted_folder_holds_whole_files_and_can_be_finished(tmp_path, sent, status):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(30):
        image.write(folder / f"{number:02}.png", picture(number, (300, 400)))
    arguments = [*COMMAND, "filter", str(folder), "-k", "gaussian:2", "-o", str(out)]
    arguments += ["--workers", "2"]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(out.glob("*.png"))) < 5:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    if sent == signal.SIGINT:  # as a terminal does: to the whole group
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in printed
    if sent == signal.SIGINT:
        assert re.fullmatch(r"faltung: error: interrupted; \d+ of 30 pictures are written.*"
                            r"--skip-existing.*\n", printed)  # fmt: skip
        assert f"interrupted; {len(list(out.iterdir()))} of 30" in printed
    time.sleep(0.5 if sent == signal.SIGKILL else 0)  # what was at work finishes its picture
    written = sorted(out.iterdir())
    assert 5 <= len(written) < 30
    for path in written:
        wanted = image.filter(image.read(folder / path.name), kernels.gaussian(2))
        np.testing.assert_array_equal(image.read(path), wanted)
    again = subprocess.run([*arguments, "--skip-existing"], capture_output=True, timeout=120)
    assert again.returncode == 0
    assert f"{30 - len(written)} pictures written" in again.stdout.decode()
    assert len(found(out)) == 30


# ---- the terminal ----------------------------------------------------------------------------


def test_colours_are_off_in_a_pipe_and_with_no_color(tmp_path):
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    for colour, environment in ((True, {}), (False, {"NO_COLOR": "1"})):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, "filter", str(tmp_path / "none.png"), "-k", "edge", "-o", "a.png"],
            stdout=slave, stderr=slave,
            env={key: value for key, value in os.environ.items() if key != "NO_COLOR"}
            | environment,
        )  # fmt: skip
        assert process.wait(timeout=60) == 2
        os.close(slave)
        assert (b"\x1b[31m" in os.read(master, 10000)) is colour
        os.close(master)
    assert b"\x1b" not in run("filter", "none.png", "-k", "edge", "-o", "a.png").stderr


def test_a_terminal_shows_the_progress_and_the_errors_beside_it(album, tmp_path):
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    (album / "bad.png").write_bytes(b"no picture")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "filter", str(album), "-k", "edge", "-o", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=slave,
    )  # fmt: skip
    printed, _ = process.communicate(timeout=60)
    os.close(slave)
    screen = os.read(master, 100_000).decode()
    os.close(master)
    assert process.returncode == 1
    assert b"5 pictures written" in printed
    assert "6/6" in screen
    assert re.search(r"\r\x1b\[K\S*faltung: error:\S* .*bad\.png", screen)


def test_pictures_are_drawn_where_the_terminal_can():
    assert protocol({"KITTY_WINDOW_ID": "1", "TMUX": "x"}) == ""
    assert protocol({"KITTY_WINDOW_ID": "1"}) == "kitty"
    assert protocol({"TERM_PROGRAM": "WezTerm"}) == "iterm"
    messages = drawn(bytes(5000), "kitty").strip().split("\x1b\\")
    assert messages[0].startswith("\x1b_Ga=T,f=100,m=1;")
    assert messages[1].startswith("\x1b_Gm=0;")
    assert messages[2] == ""


def test_show_without_a_screen_says_where_the_result_is(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = run("compare", PHOTOGRAPH, "-k", "edge", "--show", env=environment | {"TERM": "dumb"})
    assert done.returncode == 0
    if sys.platform == "linux":
        assert b"there is no screen" in done.stderr
        name = re.search(rb"^(\S+): \d+ x \d+ pixels", done.stdout)[1]
        assert os.path.exists(name)


def test_the_shell_completes_commands_and_kernels():
    for words, wanted in (("faltung fi", b"filter"), ("faltung filter -k gauss", b"gaussian5")):
        done = run(env=os.environ | {"_FALTUNG_COMPLETE": "bash_complete", "COMP_WORDS": words,
                                     "COMP_CWORD": str(len(words.split()) - 1)})  # fmt: skip
        assert wanted in done.stdout


def test_explain_prints_a_plan_for_every_kernel(tmp_path, capsys):
    arguments = ["filter", str(PHOTOGRAPH), "-k", "sobel.x", "--then", "gaussian:2", "--explain"]
    assert cli.run([*arguments, "-o", str(tmp_path / "a.png")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("Plan correlate") == 2
    assert "uint8 300x451x3 with 3x3" in printed
    assert "int32 300x451x3 with 17x17" in printed


def test_what_reading_changed_is_a_note(tmp_path, capsys):
    with Image.open(PHOTOGRAPH) as opened:
        opened.convert("CMYK").save(tmp_path / "a.jpg")
    assert cli.run(["filter", str(tmp_path / "a.jpg"), "-k", "edge",
                    "-o", str(tmp_path / "b.png")]) == 0  # fmt: skip
    assert capsys.readouterr().err == f"faltung: note: {tmp_path / 'a.jpg'}: CMYK became RGB\n"


def test_a_task_can_be_sent_to_another_process():
    import pickle

    from faltung.cli.filter import Filter

    task = batch.Task(Filter(kernels.gaussian(2), {"signed": "centre"}), 95, 1000)
    assert pickle.loads(pickle.dumps(task)) == task


HOSTILE = "a\x1b]0;owned\x07\n\x9b2J\u202e.png"


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_do_not_speak_to_the_terminal(tmp_path):
    image.write(tmp_path / "ok.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / HOSTILE).write_bytes(b"no picture")
    image.write(tmp_path / "in" / "ok.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "k.json").write_text('{"taps": [[1]], "\\u001b]0;owned\\u0007\\n": 1}')
    calls = (
        ["filter", "ok.png", "-k", "edge", "-o", HOSTILE],
        ["filter", "in", "-k", "edge", "-o", "out/"],
        ["filter", "none\x1b[2J.png", "-k", "edge", "-o", "b.png"],
        ["filter", "ok.png", "-k", "k.json", "-o", "b.png"],
        ["compare", "ok.png", "-k", "edge", "-o", HOSTILE],
        ["kernels", "edge", "--response", HOSTILE],
        ["analyse", "edge", "--response", HOSTILE],
    )
    for call in calls:
        done = run(*call, cwd=tmp_path)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode in (0, 1, 2)
        assert "?]0;owned?" in said or "none?[2J.png" in said or "unknown" in said, said
        assert not set(said) & set("\x1b\x07\x9b\u202e"), said
        assert "\n?" not in said


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        ("filter ok.png -k identity -o - >&-", 2, b"standard output is closed"),
        ("filter - -k identity -o b.png <&-", 2, b"standard input is closed"),
        ("filter in/ -k identity -o out/ 2>&-", 0, b"1 picture written"),
        ("filter ok.png -k identity -o c.png --show >&-", 0, b"no screen"),
        ("filter ok.png -k identity -o d.png <&- >&- 2>&-", 0, b""),
    ],
)
def test_closed_standard_streams(tmp_path, call, status, words):
    for name in ("ok.png", "in/ok.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image.write(tmp_path / name, np.zeros((4, 4), np.uint8))
    hidden = {"DISPLAY", "WAYLAND_DISPLAY"}
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m faltung {call}', sys.executable], cwd=tmp_path, timeout=60,
        capture_output=True, env={k: v for k, v in os.environ.items() if k not in hidden},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert words in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


def test_folders_that_cannot_be_read_are_failures(album, tmp_path, capsys, monkeypatch):
    scan = os.scandir

    def closed(path):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    out = tmp_path / "out"
    assert cli.run(["filter", str(album), "-k", "edge", "-o", f"{out}/"]) == 1
    said = capsys.readouterr()
    assert "deep: the folder cannot be read (Permission denied)" in said.err
    assert "4 pictures written" in said.out
    assert "1 failed" in said.out
    assert found(out) == [name for name in RESULTS if "deep" not in name]
    assert cli.run(["filter", str(album / "in/deep"), "-k", "edge", "-o", f"{out}/"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_slash_behind_a_file_puts_nothing_beside_the_folder(album, tmp_path, capsys):
    out = tmp_path / "out"
    files = [f"{album}/a.png/", f"{album}/b.jpg"]
    assert cli.run(["filter", *files, "-k", "edge", "-o", f"{out}/", "--format", "png"]) == 0
    assert not (tmp_path / "out.png").exists()
    assert found(out) == ["a.png", "b.png"]


def test_what_the_system_refuses_is_told_without_its_number(album, tmp_path, capsys, monkeypatch):
    def refused(*_arguments):
        raise PermissionError(13, "Permission denied", "a.png")

    monkeypatch.setattr(batch, "plan_jobs", refused)
    assert cli.run(["filter", str(album), "-k", "edge", "-o", f"{tmp_path}/out/"]) == 2
    assert capsys.readouterr().err == "faltung: error: a.png: Permission denied.\n"
