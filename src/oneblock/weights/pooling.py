"""How a folder of a model of sentences says that one vector is made of a text: modules.json and what it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oneblock.config.encoder import FirstPool, MeanPool, Pool
from oneblock.weights.errors import WeightsError

MODULES = "modules.json"
BEFORE = "pooling_mode_"
POOLS: dict[str, type[MeanPool] | type[FirstPool]] = {"mean_tokens": MeanPool, "cls_token": FirstPool}
"""Their word -> our pool."""


def read_pool(folder: Path) -> Pool | None:
    """The pool that a folder asks for; None where it says nothing.

    WeightsError for what is not known here, or it would be left out in silence and every vector be another one.
    """
    if not (folder / MODULES).is_file():
        return None
    try:
        modules = [(str(entry["type"]).rpartition(".")[2], str(entry["path"])) for entry in _json(folder / MODULES)]
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{folder / MODULES} is no list of modules with a type and a path: {error!r}") from error
    kinds = [kind for kind, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise WeightsError(
            f"{folder / MODULES} makes a vector of a text by {', '.join(kinds)}, and only Transformer, Pooling and "
            "Normalize are supported; without that file the model itself is loaded"
        )
    path = folder / modules[1][1] / "config.json"
    fields = _json(path)
    if not isinstance(fields, dict):
        raise WeightsError(f"{path} must hold an object, and holds a {type(fields).__name__}")
    modes = [name.removeprefix(BEFORE) for name, on in fields.items() if name.startswith(BEFORE) and on is True]
    if len(modes) != 1 or modes[0] not in POOLS:
        raise WeightsError(
            f"{path} asks for {' and '.join(modes) or 'no pooling'}; supported: {', '.join(POOLS)}, one of them. "
            f"Without {MODULES} the model itself is loaded"
        )
    return POOLS[modes[0]](normalise="Normalize" in kinds)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
