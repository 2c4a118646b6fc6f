"""Builds the compiled library along with the package; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / "build" / "halide-cache"


def build_library(destination: Path) -> bool:
    """Build the library into a folder; False, after one warning, where that is impossible."""
    sys.path.insert(0, str(ROOT))
    try:
        from pipelines.build import build

        build(destination, CACHE)
    except Exception as error:
        if os.environ.get("FALTUNG_REQUIRE_NATIVE") == "1":
            raise
        print(
            f"warning: faltung is built without its compiled library and will run on its slow "
            f"reference path ({type(error).__name__}: {error})",
            file=sys.stderr,
        )
        return False
    finally:
        sys.path.remove(str(ROOT))
    return True


class BuildWithLibrary(build_py):
    """build_py that puts the compiled library beside the modules."""

    def run(self) -> None:
        """Build the modules, then the library: in place for an editable installation."""
        super().run()
        package = (
            ROOT / "src" / "faltung" if self.editable_mode else Path(self.build_lib) / "faltung"
        )
        library = package / "_lib"
        if not build_library(library):
            for stale in library.glob("libfaltung.*"):
                stale.unlink()


class WithLibrary(Distribution):
    """A distribution that is tied to a platform."""

    def has_ext_modules(self) -> bool:
        """Say that there is compiled code, though it is no extension module."""
        return True


class AnyPython3(bdist_wheel):
    """A wheel that is tied to the platform by the library, and to no version of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return py3-none-PLATFORM, or py3-none-any where there is no library."""
        built = any(Path(self.bdist_dir).glob("faltung/_lib/libfaltung.so"))
        return "py3", "none", super().get_tag()[2] if built else "any"


setup(distclass=WithLibrary, cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": AnyPython3})
