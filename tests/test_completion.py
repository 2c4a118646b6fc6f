"""What the shell is offered when Tab is pressed, and options that are given twice."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.shell_completion import ShellComplete

from faltung import cli, image, kernels
from faltung.cli import cli as command
from faltung.demo import PHOTOGRAPH


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def offered(*words):
    """Return what completes the last word: the texts, and "file" where the shell is to look."""
    shell = ShellComplete(command, {}, "faltung", "_FALTUNG_COMPLETE")
    found = shell.get_completions(list(words[:-1]), words[-1])
    return [item.value if item.type == "plain" else item.type for item in found]


@pytest.mark.parametrize("words", [
    ("filter", "ph"), ("filter", "a.png", "b"), ("edges", "ph"), ("compare", "ph"),
    ("filter", "a.png", "-o", "b"), ("edges", "a.png", "--output", "b"),
    ("compare", "a.png", "-o", "b"), ("kernels", "edge", "--response", "b"),
    ("analyse", "edge", "--response", "b"), ("filter", "-k", "no/kernel"),
    ("explain", "--html", "b"), ("demo", "-o", "b"), ("smooth", "tr"),
    ("smooth", "a.csv", "-o", "b"), ("kernels", "--gallery", "b"),
])  # fmt: skip
def test_the_shell_completes_files(words):
    assert offered(*words) == ["file"]


@pytest.mark.parametrize("words", [
    ("filter", "a.png", "-k"), ("filter", "--then"), ("kernels",), ("analyse",), ("explain", "-k"),
])  # fmt: skip
def test_kernels_and_the_files_of_kernels_are_offered(tmp_path, words):
    for name in ("edges.npy", "edge.CSV", "edge.txt", ".edge.json", "else.json"):
        (tmp_path / name).touch()
    (tmp_path / "edgy").mkdir()
    assert offered(*words, "edg") == [
        "edge-diagonal", "edge-cross", "edge", "edge.CSV", "edges.npy", "edgy/"
    ]  # fmt: skip
    assert set(kernels.names()) | {"else.json"} <= set(offered(*words, ""))


def test_a_list_of_kernels_goes_on_after_a_comma():
    assert offered("compare", "a.png", "-k", "edge,sharp") == ["edge,sharpen", "edge,sharpen8"]
    assert "edge,[[1,2]]/3,sharpen" in offered("compare", "a.png", "-k", "edge,[[1,2]]/3,s")
    assert "sharpen" in offered("compare", "a.png", "--kernels", "sh")


def test_pairs_are_offered_for_edges():
    assert offered("edges", "a.png", "-k", "s") == ["sobel", "scharr", "scharr-optimal"]
    assert set(kernels.pairs()) <= set(offered("edges", "a.png", "-k", ""))
    assert "sobel.x" in offered("edges", "a.png", "-k", "sobel.")
    assert "sharpen" in offered("edges", "a.png", "-k", "sobel.x", "-k", "s")


def test_words_of_explain_are_offered():
    assert offered("explain", "--method", "fu") == ["fused_fft"]
    assert offered("explain", "--method", "a") == ["auto"]
    assert offered("explain", "--boundary", "edge,w") == ["edge,wrap"]
    assert offered("explain", "--boundary", "sy") == ["symmetric"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_gets_what_is_offered():
    line = {"COMP_WORDS": "faltung filter -k gauss", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "faltung"], capture_output=True, text=True, timeout=60,
        env=os.environ | line | {"_FALTUNG_COMPLETE": "bash_complete"},
    )  # fmt: skip
    assert "plain,gaussian5" in done.stdout.splitlines()


@pytest.mark.parametrize(("words", "advice"), [
    (["filter", "a.png", "-k", "box:3", "-k", "sharpen", "-o", "b.png"], "--then"),
    (["explain", "--shape", "9", "-k", "[1]", "-k", "[2]"], "one by one"),
])  # fmt: skip
def test_a_second_kernel_is_not_dropped_without_a_word(capsys, words, advice):
    assert cli.run(words) == 2
    printed = capsys.readouterr().err
    assert "--kernel is given 2 times" in printed
    assert advice in printed


def test_kernels_of_a_comparison_add_up(capsys):
    words = ["compare", str(PHOTOGRAPH), "-o", "a.png", "--width", "32"]
    several = ["-k", "edge,gaussian:2,order=1", "-k", "sharpen"]
    assert cli.run([*words, *several]) == 0
    wanted = image.compare(
        image.read(PHOTOGRAPH), ["edge", "gaussian:2,order=1", "sharpen"], width=32,
        title=PHOTOGRAPH.name,
    )  # fmt: skip
    np.testing.assert_array_equal(image.read("a.png"), wanted)


def test_a_comparison_reads_all_kernels_before_the_picture(capsys):
    assert cli.run(["compare", "none.png", "-k", "edge,sharpen,nosuch", "-o", "a.png"]) == 2
    assert "no kernel named 'nosuch'" in capsys.readouterr().err


def test_a_reader_that_has_enough_ends_the_command_as_sigpipe_does():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "faltung", "kernels"], stdout=writer, stderr=subprocess.PIPE,
        timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_help_of_edges_lists_the_pairs(capsys):
    assert cli.run(["edges", "--help"]) == 0
    words = set(capsys.readouterr().out.replace(",", " ").replace(";", " ").split())
    assert set(kernels.pairs()) <= words
