"""Forks, threads and interrupts."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import faltung
from faltung import blocked, native
from faltung.buffers import address

X = np.random.default_rng(0).random((300, 500), np.float32)
K = np.random.default_rng(1).random((5, 5), np.float32)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_with_threads_after_its_parent_did():
    wanted = faltung.convolve(X, K, workers=2)
    child = os.fork()
    if child == 0:
        ok = (faltung.convolve(X, K, workers=2) == wanted).all()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (faltung.convolve(X, K, workers=2) == wanted).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forks_while_other_threads_compute():
    code = """
import os, threading, numpy as np, faltung
x, k = np.random.rand(600, 800).astype("f4"), np.random.rand(5, 5).astype("f4")
wanted = faltung.convolve(x, k, workers=2)
stop = threading.Event()
wrong = []
def work():
    while not stop.is_set():
        if not (faltung.convolve(x, k, workers=2) == wanted).all():
            wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
for n in range(15):
    child = os.fork()
    if child == 0:
        os._exit(0 if (faltung.convolve(x, k, workers=2) == wanted).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
[t.join() for t in threads]
assert not wrong
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "done", done.stderr


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_process_pools(method):
    wanted = faltung.convolve(X, K, workers=2)
    with multiprocessing.get_context(method).Pool(2) as pool:
        for y in pool.starmap(faltung.convolve, [(X, K)] * 4):
            assert (y == wanted).all()


def test_threads_calling_at_the_same_time_with_other_thread_counts():
    wanted = faltung.convolve(X, K)
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(faltung.convolve, X, K, workers=1 + n % 4) for n in range(64)]
        assert all((job.result() == wanted).all() for job in jobs)


def test_one_plan_called_from_many_threads():
    plan = faltung.plan(X.shape, X.dtype, K, boundary="reflect")
    wanted = plan(X)
    failures = []

    def work():
        for _ in range(20):
            if not (plan(X) == wanted).all():
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_several_threads_fork_and_compute_at_once():
    code = """
import os, signal, numpy as np, faltung
from concurrent.futures import ThreadPoolExecutor
x, k = np.ones((500, 2000), "f4"), np.ones((5, 5), "f4")
def job(i):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        faltung.plan(8, "f4", k[0])(x[0, :8])
        faltung.convolve(x, k, workers=2, method="direct")
        os._exit(0)
    faltung.convolve(x, k, workers=2, method="direct")
    return os.waitpid(child, 0)[1]
faltung.convolve(x, k)  # a fork in the middle of an import is Python's own affair
with ThreadPoolExecutor(4) as pool:
    assert set(pool.map(job, range(80))) == {0}
print("done")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True,
                          text=True, timeout=120)  # fmt: skip
    assert done.stdout.strip() == "done", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_interrupts_at_any_moment_leave_no_lock_behind():
    code = """
import os, random, signal, threading, numpy as np, faltung
class Interrupt(Exception): pass
def handler(*_):
    raise Interrupt
signal.signal(signal.SIGALRM, handler)
x, k = np.ones((40, 40), "f4"), np.ones((3, 3), "f4")
faltung.convolve(x, k)
caught = 0
while caught < 40:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 1e-3))
        while True:
            faltung.convolve(x, k)
    except Interrupt:
        caught += 1
signal.alarm(0)
child = []
def fork():  # from another thread: what the interrupted one left behind would be waited for
    pid = os.fork()
    if pid == 0:
        faltung.convolve(x, k)
        os._exit(0)
    child.append(os.waitpid(pid, 0)[1])
thread = threading.Thread(target=fork, daemon=True)
thread.start()
thread.join(30)
print("done" if child == [0] else "stuck", flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True,
                          text=True, timeout=120)  # fmt: skip
    assert done.stdout.strip() == "done", done.stderr


def test_a_signal_handler_may_convolve():
    code = """
import signal, numpy as np, faltung
k = np.ones(3, "f4")
faltung.convolve(np.ones(9, "f4"), k)
signal.signal(signal.SIGALRM, lambda *_: faltung.convolve(np.ones(9, "f4"), k))
signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
for _ in range(20000):
    faltung.convolve(np.ones(8, "f4"), k)
signal.setitimer(signal.ITIMER_REAL, 0)
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "done", done.stderr


@pytest.mark.parametrize("damage", ["{}", "null", '{"levels": {}}', None])
def test_a_damaged_library_is_left_alone(tmp_path, damage):
    folder = native.FOLDER
    if not (folder / "libfaltung.json").exists():
        pytest.skip("the compiled library is not built")
    for name in ("libfaltung.so", "libfaltung.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    if damage is None:
        with (tmp_path / "libfaltung.so").open("r+b") as library:
            library.truncate(4096)
    else:
        (tmp_path / "libfaltung.json").write_text(damage)
    code = f"""
import pathlib, warnings
from faltung import blocked, native
native.FOLDER = pathlib.Path({str(tmp_path)!r})
import faltung
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(faltung.convolve([1.0, 2.0], [1.0]).tolist(), len(caught))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[1.0, 2.0] 1", done.stderr


@pytest.mark.parametrize("arrays", [
    "np.zeros((6000, 6000), 'f4'), np.random.default_rng(0).random((151, 151), 'f4')",
    "np.zeros(1 << 21, 'f4'), np.ones(1 << 20, 'f4')",
])  # fmt: skip
def test_an_interrupt_ends_a_long_call_soon(arrays):
    code = f"""
import numpy as np, faltung
x, k = {arrays}
print("start", flush=True)
try:
    faltung.convolve(x, k, method="direct")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "start"
    time.sleep(0.7)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output.strip() == "interrupted"
    assert time.monotonic() - sent < 5


def test_a_signal_handler_may_convolve_in_the_middle_of_a_block():
    code = """
import signal, numpy as np, faltung
x, other = np.ones((300, 300), "f4"), np.full((300, 300), 1e6, "f4")
k = np.ones((5, 5), "f4") * np.arange(1, 6, dtype="f4")
p = faltung.plan(x.shape, "float32", k, boundary="reflect", method="direct")
wanted = p(x)
fired = [0]
def handler(*_):
    fired[0] += 1
    p(other, workers=1)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 1e-3, 1.3e-3)
wrong = sum(not (p(x, workers=1) == wanted).all() for _ in range(1500))
signal.setitimer(signal.ITIMER_REAL, 0)
print(wrong, fired[0] > 100)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "0 True", done.stdout + done.stderr


def test_memory_kept_for_blocks_is_given_out_again_when_nothing_lies_in_it():
    kept = blocked.Kept()
    dtype = np.dtype(np.float32)
    first = kept.empty((10, 10), dtype, "use")
    place = address(first)
    part = first[2:].T
    del first
    assert not np.shares_memory(kept.empty((10, 10), dtype, "use"), part)
    del part
    kept.empty((10, 10), dtype, "use").fill(1)
    again = kept.empty((5, 10), dtype, "use")
    assert again.flags.writeable
    second = address(again)
    del again
    assert address(kept.empty((3,), dtype, "use")) == second != place


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer")
def test_a_signal_whose_exception_is_dropped_ends_the_command_all_the_same():
    """Code in C clears what a handler raises while it calls Python, as imports do."""
    code = """
import os, signal, time
from faltung import cli
def run():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit:
        time.sleep(20)
    return 0
cli.run, cli.AGAIN = run, 0.1
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=15)
    assert done.returncode == 143, done.stderr
    assert not done.stderr
