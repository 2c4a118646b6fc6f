"""Signals: audio in a room.

Rooms
    reverb, Reverb              audio as a room's impulse response makes it sound
    audio                       WAV and FLAC files, block by block

Names are loaded when they are first used, so that importing this costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faltung.signal import audio as audio
    from faltung.signal.rooms import Reverb as Reverb
    from faltung.signal.rooms import reverb as reverb

_PLACES = {"rooms": "Reverb reverb"}
_MODULES = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = [*_MODULES, "audio"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'faltung.signal' has no attribute {name!r}")
    module = import_module(f"faltung.signal.{_MODULES.get(name, name)}")
    value = getattr(module, name) if name in _MODULES else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
