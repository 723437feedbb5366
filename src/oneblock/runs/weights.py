"""The weights a run keeps: one safetensors file under a plain name, replaced without a torn moment.

The manifest and the file are two names, and no system renames two at once. So the manifest first lists
the file that is there *and* the one that comes (size and SHA-256 of each), then the file is renamed into
place, then the manifest lists the new one alone. Wherever this is cut off, the file that is there is listed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from oneblock.runs.durable import Seal, replace, sync_folder
from oneblock.runs.errors import RunError, storing
from oneblock.runs.jsonform import dump_exact, load_exact
from oneblock.runs.tensors import num_bytes, read_tensors, write_tensors


def save_weights(folder: Path, name: str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Path:
    """Save weights as `folder/weights/NAME.safetensors`, with `meta` (plain JSON data) inside the file.

    When this returns the new ones are on the disk; cut off anywhere before, the old ones load, or the new.
    RunError where the disk is full or refuses: the weights saved before stay.
    """
    safe = "The weights saved before stay as they are. Free some space, then go on with --resume."
    with storing(f"the weights {name!r}", _places(folder, name)[0], num_bytes(tensors), safe):
        return write_weights(folder, name, tensors, meta)


def write_weights(folder: Path, name: str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Path:
    """`save_weights` for those who have words of their own for a disk that refuses: it raises the OSError itself."""
    path, manifest = _places(folder, name)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f".{path.name}.*.tmp"):
            stale.unlink(missing_ok=True)
        seal = write_tensors(unfinished, tensors, meta=dump_exact(dict(meta)))
        _list(manifest, [*(_listed(manifest) or []), seal])
        os.replace(unfinished, path)  # noqa: PTH105
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    _list(manifest, [seal])
    sync_folder(folder)
    return path


def load_weights(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and meta of `save_weights`, on the CPU, every byte checked; RunError when not whole."""
    path, manifest = _places(folder, name)
    reason = None
    # A training may replace both files between the two looks; the second round then sees the new pair.
    for _ in range(5):
        seals = _listed(manifest)
        if seals is None:
            there = manifest.exists()
            reason = f"{manifest.name} is {'damaged' if there else 'missing'}"
            continue
        faults = [seal.fault(path) for seal in seals]
        if None in faults:
            tensors, text = read_tensors(path)
            return tensors, load_exact(text)
        reason = faults[-1]
    others = sorted(other.stem for other in path.parent.glob("*.safetensors") if other != path)
    there_are = f" Other weights there: {', '.join(others)}." if others else ""
    raise RunError(
        f"no whole weights {name!r} in {folder}: {reason}.{there_are} "
        "Going on with the training by --resume saves them again"
    )


def _places(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / "weights" / f"{name}.safetensors", folder / "weights" / f"{name}.manifest.json"


def _list(manifest: Path, seals: list[Seal]) -> None:
    content = {"version": 1, "one_of": [seal.to_json() for seal in seals]}
    replace(manifest, json.dumps(content, indent=2).encode())


def _listed(manifest: Path) -> list[Seal] | None:
    try:
        content = json.loads(manifest.read_bytes())
        if content["version"] != 1:
            return None
        return [Seal(size=seal["size"], sha256=seal["sha256"]) for seal in content["one_of"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
