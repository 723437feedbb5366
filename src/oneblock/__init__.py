"""One readable transformer block from which every transformer is made.

Importing the package loads no torch; what needs it is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from oneblock.config import OneblockError, config_from_dict, diff, override, presets, to_dict

if TYPE_CHECKING:
    from oneblock import doctor, inspect, learn
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
    "build": "oneblock.models.build",
    "generate": "oneblock.decoding.generate",
    "load": "oneblock.runs.load",
}
_ROOMS = (
    *("inspect", "nn", "models", "weights", "data", "machine", "runs", "decoding", "train"),
    *("doctor", "learn", "bench"),
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"oneblock.{name}")
    raise AttributeError(f"module 'oneblock' has no attribute {name!r}")
