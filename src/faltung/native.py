"""The compiled library: finding it, calling it, its threads, its errors, and forked processes.

Everything that can go wrong around a pipeline call is handled here, once. The rest of the package
sees which pipelines there are, :class:`Call`, and the thread count.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from faltung.buffers import (
    Buffer,
    address,
    buffer_template,
    constant_buffer,
    contiguous_template,
    pointers,
)
from faltung.dtypes import Array

FOLDER = Path(__file__).parent / "_lib"


Variant = tuple[str, ...]
"""The types that a pipeline was compiled for, of its input, its sums and its output, and what else
tells one of a family from another."""


@dataclass
class Library:
    """The loaded library: a function per pipeline, for the best level this machine offers.

    ``families`` says of each family of pipelines which types it was compiled for, ``radices`` how
    the fused transforms of each side are factored, ``deep`` how many planes of spectra they keep,
    and ``vector`` how many bytes a register holds.
    """

    level: str
    chunk: int
    rests: tuple[int, ...]
    vector: int
    radices: dict[int, tuple[int, ...]]
    deep: int
    families: dict[str, frozenset[Variant]]
    handle: ctypes.CDLL
    functions: dict[tuple[str, Variant], Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def rows(self, height: int) -> tuple[int, int]:
        """Cut a kernel's rows into whole chunks and a rest that is unrolled."""
        fitting = (r for r in self.rests if r <= height and (height - r) % self.chunk == 0)
        rest = max(fitting)
        return (height - rest) // self.chunk, rest

    def function(self, family: str, variant: Variant) -> Any:
        """Return the entry point of a pipeline."""
        try:
            return self.functions[family, variant]
        except KeyError:
            found = self.handle[f"faltung_{family}_{'_'.join(variant)}_{self.level}"]
            found.restype = ctypes.c_int
            return self.functions.setdefault((family, variant), found)


def _best_level(handle: ctypes.CDLL, levels: dict[str, list[int]], words: int) -> str:
    """Return the best level whose features the machine has, or FALTUNG_LEVEL or less."""
    wanted = os.environ.get("FALTUNG_LEVEL")
    names = list(levels)
    if wanted in levels:
        names = names[names.index(wanted) :]
    for name in names:
        mask = (ctypes.c_uint64 * words)()
        for number in levels[name]:
            mask[number // 64] |= 1 << number % 64
        if handle.halide_can_use_target_features(words, mask):
            return name
    raise OSError("this processor offers none of the library's instruction set levels")


def library() -> Library | None:
    """Load the compiled library, once; None, after one warning, where that is impossible."""
    if not _loading.done:
        with _loading.lock:
            if not _loading.done:
                _loading.library = _load()
                _loading.done = True
    return _loading.library


@dataclass
class _Loading:
    lock: Any = field(default_factory=threading.RLock)
    done: bool = False
    library: Library | None = None


_loading = _Loading()


def _load() -> Library | None:
    if os.environ.get("FALTUNG_NATIVE", "1") == "0":
        return None
    path = FOLDER / "libfaltung.so"
    try:
        facts = json.loads((FOLDER / "libfaltung.json").read_text())
        if path.stat().st_size != facts["size"]:  # a cut file would end the process later
            raise OSError(f"{path.name} has not the size that it was built with")
        handle = ctypes.CDLL(str(path))
        level = _best_level(handle, facts["levels"], facts["feature_words"])
        loaded = Library(
            level,
            facts["chunk"],
            tuple(facts["rests"]),
            facts["vector_bits"][level] // 8,
            {int(side): tuple(radices) for side, radices in facts["radices"].items()},
            facts["deep"],
            {
                name: frozenset(map(tuple, types if level in facts["levels_of"][name] else ()))
                for name, types in facts["families"].items()
            },
            handle,
        )
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        warnings.warn(
            f"faltung runs without its compiled library, slowly, on the reference path ({error}). "
            "Reinstall it on x86-64 Linux with a C compiler present to build the library.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    _install_error_handler(loaded)
    _shared.pool = max(_shared.pool, get_workers())
    handle.halide_set_num_threads(_shared.pool)
    return loaded


def _install_error_handler(loaded: Library) -> None:
    """Replace Halide's handler, which ends the process, by one that keeps the message."""
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)

    def keep(_context: Any, message: bytes | None) -> None:
        loaded.errors.append((message or b"").decode(errors="replace").strip())

    handler = prototype(keep)
    loaded.handle.keep_alive = handler  # type: ignore[attr-defined]
    loaded.handle.halide_set_error_handler(handler)


# ---- threads and forks -----------------------------------------------------------------------


class _Threads(threading.local):
    """Each thread's own lock: held by its pipeline call, and by a fork while there must be none.

    A thread that is ``alone`` makes the calls of layers itself, without the others.
    """

    alone = False

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.workers: int | None = None
        with _shared.lock:
            _shared.locks.add(self.lock)


class _Shared:
    """The thread count, and what a fork must hold: see :func:`_before_fork`."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self.pool = 1
        self.lock = threading.RLock()
        self.locks: weakref.WeakSet[Any] = weakref.WeakSet()
        self.held: list[Any] = []


_shared = _Shared()
_threads = _Threads()
MOST_WORKERS = 1024


@cache
def _cpu_count() -> int:
    env = os.environ.get("FALTUNG_WORKERS", "")
    if env.isascii() and env.isdigit() and 0 < int(env) <= MOST_WORKERS:
        return int(env)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processors() -> int:
    """Return the number of processors that this process may use."""
    return _cpu_count()


def get_workers() -> int:
    """Return the number of threads that calls use: all the processors, unless it was set.

    Examples
    --------
    >>> import faltung
    >>> faltung.get_workers() >= 1
    True
    """
    return _threads.workers or _shared.workers or _cpu_count()


@contextmanager
def own_workers(n: int | None) -> Iterator[None]:
    """Use so many threads for the calls of this thread, whatever the process has; None: as it has.

    >>> with own_workers(3):
    ...     get_workers()
    3
    """
    before, _threads.workers = _threads.workers, None if n is None else check_workers(n)
    try:
        yield
    finally:
        _threads.workers = before


def check_workers(n: Any) -> int:
    """Return a thread count, or raise ValueError."""
    known = not isinstance(n, bool) and hasattr(n, "__index__")
    if not known or not 1 <= n.__index__() <= MOST_WORKERS:
        raise ValueError(f"workers={n!r} must be an int from 1 to {MOST_WORKERS}.")
    return int(n.__index__())


# Halide's threads do not exist in a forked child, so its pool is shut down around a fork, when no
# pipeline runs. A call holds its thread's lock, the fork takes those of all threads: `with lock`
# gives them back whatever interrupts it, which counting calls would not.


def _before_fork() -> None:
    _shared.lock.acquire()  # one fork at a time, and no new threads meanwhile
    for lock in list(_shared.locks):
        lock.acquire()
        _shared.held.append(lock)
    if _loading.library is not None:
        _loading.library.handle.halide_shutdown_thread_pool()


def _after_fork_in_parent() -> None:
    while _shared.held:
        _shared.held.pop().release()
    _shared.lock.release()


def _after_fork_in_child() -> None:
    global _shared, _threads
    _shared = _Shared(_shared.workers)
    _threads = _Threads()
    _loading.lock = threading.RLock()  # it may be held by a thread that is gone
    for renew in _renewals:
        renew()


_renewals: list[Callable[[], None]] = []


def renew_after_fork(renew: Callable[[], None]) -> None:
    """Have locks renewed in a forked child, where the threads that hold them are gone."""
    _renewals.append(renew)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def unforked() -> Any:
    """Return what to hold, in a ``with``, while another library's threads must not be forked."""
    return _threads.lock


@contextmanager
def alone() -> Iterator[None]:
    """Have this thread make the calls of layers inside by itself."""
    before, _threads.alone = _threads.alone, True
    try:
        yield
    finally:
        _threads.alone = before


def _guarded(loaded: Library, call: Callable[[], int], threads: int) -> int:
    """Run one pipeline call while no fork happens."""
    with _threads.lock:
        _enough(loaded, threads)
        return call()


def _enough(loaded: Library, threads: int) -> None:
    """Have the pool hold so many threads at least."""
    if threads > _shared.pool:
        with _shared.lock:
            _shared.pool = max(threads, _shared.pool)
            loaded.handle.halide_set_num_threads(_shared.pool)


# ---- the pipeline call -----------------------------------------------------------------------

SERIAL_WORK = 200_000  # multiply-adds below which waking threads costs more than it gains
TASK_WORK = 200_000  # those of a task at least, where there are tasks enough for all threads


@dataclass(frozen=True)
class Form:
    """The three-axis form of a pipeline call, innermost axis first, strides in elements.

    A family of pipelines may cut an axis of the output in two.
    """

    x_shape: tuple[int, ...]
    x_strides: tuple[int, ...]
    k_shape: tuple[int, int, int]
    y_shape: tuple[int, ...]
    y_strides: tuple[int, ...]
    stride: tuple[int, int, int]
    dilation: tuple[int, int, int]


class Call:
    """One prepared pipeline call: everything but the two addresses and the thread count.

    Parameters
    ----------
    family, variant
        Which pipeline.
    form : Form
        Lengths and strides of input and output.
    constants : sequence of ndarray
        What the pipeline reads besides its input: kernels, contiguous, of its sums' dtype or int32.
    numbers : sequence of int
        Its scalar arguments but for the last, the number of parallel tasks.
    work : int
        About how many multiply-adds the call takes.
    """

    def __init__(
        self,
        family: str,
        variant: Variant,
        form: Form,
        constants: Sequence[Array],
        numbers: Sequence[int],
        work: int,
    ) -> None:
        loaded = library()
        assert loaded is not None, "compiled methods refuse problems without the library"
        self.loaded, self.name = loaded, f"{family} {variant}"
        self.function = loaded.function(family, variant)
        self.input, self._in_dims = buffer_template(variant[0], form.x_shape, form.x_strides)
        self.output, self._out_dims = buffer_template(variant[2], form.y_shape, form.y_strides)
        self.constants = [constant_buffer(array) for array in constants]
        self._pointers = [ctypes.byref(buffer) for _, _, buffer in self.constants]
        self.numbers = tuple(numbers)
        self.serial = work < SERIAL_WORK

    def __call__(self, x: int, y: int, threads: int, *more: Array) -> None:
        """Run on the addresses of the input and the output, and on further outputs."""
        source = Buffer.from_buffer_copy(self.input)
        target = Buffer.from_buffer_copy(self.output)
        source.host, target.host = x, y
        tasks = 1 if self.serial or threads == 1 else threads
        if tasks > 1 and threads >= _shared.pool:
            tasks *= 8  # smaller tasks even out cores of unequal speed
        arguments = (ctypes.byref(source), *self._pointers, *self.numbers, tasks)
        others = [constant_buffer(array) for array in more]
        outputs = (ctypes.byref(target), *(ctypes.byref(buffer) for _, _, buffer in others))
        code = _guarded(self.loaded, lambda: self.function(*arguments, *outputs), threads)
        if code:
            _fail(self.loaded, self.name, code)


def _fail(loaded: Library, name: str, code: int) -> NoReturn:
    """Raise what a pipeline's return code stands for."""
    messages, loaded.errors[:] = loaded.errors[:], []
    if code == -11:  # halide_error_code_out_of_memory
        raise MemoryError(f"pipeline {name}: {'; '.join(messages)}")
    raise RuntimeError(f"pipeline {name} failed ({code}): {'; '.join(messages)}")


class Shaped:
    """A pipeline call of which shapes and numbers are known, and all the addresses are not.

    Parameters
    ----------
    family, variant
        Which pipeline.
    inputs, outputs : tuple of (dtype's name, shape)
        Of its contiguous arrays, in its order.
    numbers : tuple of int
        Its scalar arguments but for the last, the number of parallel tasks.
    work : int
        About how many multiply-adds the call takes.
    """

    def __init__(
        self,
        family: str,
        variant: Variant,
        inputs: tuple[tuple[str, tuple[int, ...]], ...],
        outputs: tuple[tuple[str, tuple[int, ...]], ...],
        numbers: tuple[int, ...],
        work: int,
    ) -> None:
        loaded = library()
        assert loaded is not None, "callers look for pipelines before they ask for one"
        self.loaded, self.name = loaded, f"{family} {variant}"
        self.function = loaded.function(family, variant)
        self.inputs = [contiguous_template(*each) for each in inputs]
        self.outputs = [contiguous_template(*each) for each in outputs]
        self.numbers, self.work = numbers, work

    def tasks(self, threads: int, pool: int) -> int:
        """Return into how many tasks to cut the work for so many threads, of a pool."""
        if self.work < SERIAL_WORK or threads == 1:
            return 1
        # smaller tasks even out cores of unequal speed
        return (
            max(threads, min(8 * threads, self.work // TASK_WORK)) if threads >= pool else threads
        )

    def on(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Bound:
        """Return the call on arrays of those dtypes and shapes."""
        return Bound(self, inputs, outputs)


class Prepared:
    """A call of which all is known but into how many tasks it is cut."""

    loaded: Library
    function: Any
    arguments: tuple[Any, ...]
    threads: tuple[int, int] | None = None  # those that it is arranged for, and their pool

    def __call__(self) -> None:
        """Run, on as many threads as calls use."""
        threads = 1 if _threads.alone else get_workers()
        with _threads.lock:  # see _guarded
            _enough(self.loaded, threads)
            if self.threads != (threads, _shared.pool):
                self.threads = threads, _shared.pool
                self.arguments = self.arranged(*self.threads)
            code = self.function(*self.arguments)
        if code:
            _fail(self.loaded, self.failed(), code)

    def arranged(self, threads: int, pool: int) -> tuple[Any, ...]:
        """Return the function's arguments for so many threads, of a pool."""
        raise NotImplementedError

    def failed(self) -> str:
        """Return the name of the pipeline that failed."""
        raise NotImplementedError


class Bound(Prepared):
    """A pipeline call on known arrays, which it keeps: only their numbers may change."""

    def __init__(self, shaped: Shaped, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        self.shaped, self.arrays = shaped, (*inputs, *outputs)
        self.loaded, self.function = shaped.loaded, shaped.function
        self.sources = pointers(inputs, shaped.inputs)
        self.targets = pointers(outputs, shaped.outputs)

    def arranged(self, threads: int, pool: int) -> tuple[Any, ...]:
        """Return the pipeline's arguments."""
        shaped = self.shaped
        return (*self.sources, *shaped.numbers, shaped.tasks(threads, pool), *self.targets)

    def failed(self) -> str:
        """Return the pipeline's name."""
        return self.shaped.name


class Copy:
    """A copy of one array's numbers to another, both contiguous, of one dtype and as many."""

    def __init__(self, target: Array, source: Array) -> None:
        self.arrays = target, source
        self.size = ctypes.c_size_t(source.nbytes)

    def __call__(self) -> None:
        """Copy."""
        target, source = self.arrays
        target.reshape(-1)[:] = source.reshape(-1)

    @staticmethod
    def takes(target: Array, source: Array) -> bool:
        """Whether it is just the bytes that are copied."""
        alike = target.dtype == source.dtype and target.shape == source.shape
        return alike and target.flags.c_contiguous and source.flags.c_contiguous


class Calls(Prepared):
    """Calls on known arrays one after the other, for which Python is left only once."""

    def __init__(self, calls: Sequence[Bound | Copy]) -> None:
        loaded = library()
        assert loaded is not None, "callers have bound calls of it"
        self.loaded, self.calls = loaded, tuple(calls)
        self.function = loaded.handle.faltung_calls
        symbols = ("faltung_copy" if isinstance(c, Copy) else c.function.__name__ for c in calls)
        entries = (ctypes.cast(loaded.handle[f"{s}_argv"], ctypes.c_void_p) for s in symbols)
        self.functions = (ctypes.c_void_p * len(calls))(*(entry.value for entry in entries))
        self.number = ctypes.c_int()  # of the call that failed

    def arranged(self, threads: int, pool: int) -> tuple[Any, ...]:
        """Return the table of the calls' arguments, among what runs them."""
        self.tables = [table(call, threads, pool) for call in self.calls]
        addresses = [ctypes.addressof(each) for each, _ in self.tables]
        arguments = (ctypes.c_void_p * len(addresses))(*addresses)
        return len(self.calls), self.functions, arguments, ctypes.byref(self.number)

    def failed(self) -> str:
        """Return the name of the pipeline that failed."""
        call = self.calls[self.number.value]
        assert isinstance(call, Bound), "copies do not fail"
        return call.failed()


def table(call: Bound | Copy, threads: int, pool: int) -> tuple[Any, list[Any]]:
    """Return the addresses of a call's buffers and numbers, and what has to be kept for them."""
    if isinstance(call, Copy):
        found = [*map(address, call.arrays), ctypes.addressof(call.size)]
        held: list[Any] = [call.size]
    else:
        # what ctypes.byref() refers to stands for itself
        given = call.arranged(threads, pool)
        held = [ctypes.c_int32(each) if isinstance(each, int) else each._obj for each in given]
        found = [ctypes.addressof(each) for each in held]
    return (ctypes.c_void_p * len(found))(*found), held


def variants(family: str) -> frozenset[Variant]:
    """Return what a family of pipelines was compiled for; nothing without the library."""
    loaded = library()
    return loaded.families.get(family, frozenset()) if loaded else frozenset()


def describe() -> str:
    """Say in a few words which library is in use."""
    loaded = library()
    return f"compiled, {loaded.level}" if loaded else "no compiled library"
