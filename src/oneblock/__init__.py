"""One readable transformer block from which every transformer is made.

Importing the package loads nothing; what is asked for is loaded then.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from oneblock import doctor, inspect, learn
    from oneblock.config import OneblockError, config_from_dict, diff, override, presets, to_dict
    from oneblock.decoding.generate import generate
    from oneblock.models.build import build
    from oneblock.runs.load import load

__version__ = "0.1.0"
__all__ = [
    "OneblockError",
    "build",
    "config_from_dict",
    "diff",
    "doctor",
    "generate",
    "inspect",
    "learn",
    "load",
    "override",
    "presets",
    "to_dict",
]

_LATER = {
    **dict.fromkeys(("OneblockError", "config_from_dict", "diff", "override", "presets", "to_dict"), "oneblock.config"),
    "build": "oneblock.models.build",
    "generate": "oneblock.decoding.generate",
    "load": "oneblock.runs.load",
}
_ROOMS = (
    *("config", "inspect", "nn", "models", "weights", "data", "machine", "runs", "decoding", "train"),
    *("doctor", "learn", "bench"),
)


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"oneblock.{name}")
    raise AttributeError(f"module 'oneblock' has no attribute {name!r}")
