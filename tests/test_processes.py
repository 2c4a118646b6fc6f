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


def test_an_interrupt_ends_a_long_call_soon():
    code = """
import numpy as np, faltung
x, k = np.zeros((6000, 6000), np.float32), np.ones((151, 151), np.float32)
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
