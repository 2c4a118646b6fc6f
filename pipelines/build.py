"""Compile every pipeline for every level and link them into one shared library.

Objects are cached by content: by the pipelines' own text, the Halide version and the target.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

LIBRARY = "libfaltung.so"
MANIFEST = "libfaltung.json"
CALLS = Path(__file__).with_name("calls.c")


SHARED = ("levels.py", "types.py")


def source_digest(family: str) -> str:
    """Digest of everything that decides what an object file of a family contains."""
    digest = hashlib.sha256(version("halide").encode())
    for name in sorted({*SHARED, f"{family}.py"}):
        path = Path(__file__).with_name(name)
        digest.update(name.encode() + (path.read_bytes() if path.exists() else b""))
    return digest.hexdigest()[:16]


def pipelines() -> dict[str, tuple[Any, Any]]:
    """Return every pipeline's maker and variant, by name."""
    from pipelines import families

    return {
        f"{family}_{variant.name}": (module.build, variant)
        for family, module in families().items()
        for variant in module.VARIANTS
    }


def levels_of(family: str) -> tuple[str, ...]:
    """Return the names of the levels that a family is compiled for: all, unless it says so."""
    from pipelines import families
    from pipelines.levels import LEVELS

    return getattr(families()[family], "LEVELS", tuple(level.name for level in LEVELS))


def compile_object(task: tuple[str, str, Path]) -> Path:
    """Compile one variant for one level (or the runtime) unless its object is already there."""
    import halide as hl

    from pipelines.levels import LEVELS, RUNTIME_TARGET

    name, level_name, path = task
    if path.exists():
        return path
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.o")
    if name == "runtime":
        hl.compile_standalone_runtime(str(unfinished), hl.Target(RUNTIME_TARGET))
    else:
        make, variant = pipelines()[name]
        (level,) = (v for v in LEVELS if v.name == level_name)
        func, arguments = make(variant, level)
        symbol = f"faltung_{name}_{level_name}"
        func.compile_to_object(str(unfinished), arguments, symbol, hl.Target(level.target))
    unfinished.replace(path)
    return path


def c_compiler() -> str:
    """Return the C compiler's driver, which links, and compiles ``calls.c``."""
    wanted = (os.environ.get("CC"), "cc", "gcc", "clang", sysconfig.get_config_var("CC"))
    for command in wanted:
        if command and shutil.which(command.split()[0]):
            return command.split()[0]
    raise RuntimeError("no C compiler found to link with; install gcc or clang, or set CC")


def build(destination: Path, cache: Path) -> Path:
    """Build the library into ``destination`` and return its path.

    Raises ImportError where Halide is not installed and RuntimeError where nothing can link.
    """
    import halide  # noqa: F401  (fail before any work is done)

    from pipelines.levels import LEVELS

    linker = c_compiler()
    cache.mkdir(parents=True, exist_ok=True)
    destination.mkdir(parents=True, exist_ok=True)
    tasks = [("runtime", "any", cache / f"runtime-{source_digest('runtime')}.o")]
    tasks += [
        (name, level.name, cache / f"{name}-{level.name}-{source_digest(name.split('_')[0])}.o")
        for name in sorted(pipelines(), reverse=True)  # the slowest ones happen to come early so
        for level in LEVELS
        if level.name in levels_of(name.split("_")[0])
    ]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
        objects = list(pool.map(compile_object, tasks))
    for stale in set(cache.glob("*.o")) - set(objects):
        stale.unlink(missing_ok=True)
    library = destination / LIBRARY
    unfinished = destination / f".{LIBRARY}.{os.getpid()}"
    # Halide's runtime is weak symbols; -Bsymbolic keeps ours apart from any other copy of it.
    command = [linker, "-shared", "-Wl,-Bsymbolic", "-Wl,--strip-debug", "-o", str(unfinished)]
    command += ["-O2", "-fPIC", str(CALLS)]
    finished = subprocess.run(
        [*command, *map(str, objects), "-lpthread", "-ldl", "-lm"], capture_output=True, text=True
    )
    if finished.returncode != 0:
        unfinished.unlink(missing_ok=True)
        raise RuntimeError(f"linking the compiled library failed:\n{finished.stderr}")
    facts = {**manifest(), "size": unfinished.stat().st_size}
    unfinished.replace(library)
    (destination / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")
    return library


def manifest() -> dict[str, object]:
    """Return what the loader must know: levels, the CPU features they need, pipelines."""
    import halide as hl

    from pipelines import direct, families, fused
    from pipelines.levels import CHUNK, LEVELS

    numbers = {name.lower(): int(f) for name, f in hl.TargetFeature.__members__.items()}
    return {
        "levels": {level.name: [numbers[f] for f in level.features] for level in LEVELS},
        "feature_words": (numbers["featureend"] + 63) // 64,
        "vector_bits": {level.name: level.vector_bits for level in LEVELS},
        "chunk": CHUNK,
        "rests": list(direct.RESTS),
        "radices": {str(side): list(radices) for side, radices in fused.RADICES.items()},
        "deep": fused.DEEP,
        "levels_of": {family: list(levels_of(family)) for family in families()},
        "families": {
            family: [v.name.split("_") for v in module.VARIANTS]
            for family, module in families().items()
        },
    }


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    print(build(root / "src" / "faltung" / "_lib", root / "build" / "halide-cache"))
