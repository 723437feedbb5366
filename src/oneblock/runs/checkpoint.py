"""Checkpoints: written beside, flushed, then renamed into place; checked bit by bit when read.

RUN/checkpoints/step-00001234/    tensors.safetensors   parameters, moments, generators' states
                                  state.json            counters and all else that is no tensor
                                  manifest.json         size and SHA-256 of the two
RUN/checkpoints/step-00001234.tmp   being written: a crash leaves it, `sweep` removes it
RUN/checkpoints/step-00001234.old   the one of the same step that is just being replaced
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from oneblock.runs.durable import Seal, sync_folder, write_new
from oneblock.runs.errors import RunError, storing
from oneblock.runs.jsonform import dump_exact, load_exact
from oneblock.runs.tensors import num_bytes, read_tensors, write_tensors

TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
_NAME = re.compile(r"step-(\d{8,})(\.old)?")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One whole checkpoint, on the CPU; `skipped` are the newer ones that were not, each with the reason."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    path: Path
    skipped: tuple[tuple[Path, str], ...] = ()


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
    """Save step `step` of the run in `folder`; whole on the disk when this returns, or not there at all.

    One of the same step is replaced. `state` is plain JSON data (text keys; NaN and infinities are kept).
    RunError where the disk is full or refuses: nothing half-written stays and no other checkpoint is touched.
    """
    home = folder / "checkpoints"
    final = home / f"step-{step:08d}"
    unfinished, replaced = _beside(final, ".tmp"), _beside(final, ".old")
    text = dump_exact({"step": step, "state": dict(state)}).encode()
    safe = f"{_kept(home)} Free some space, then go on with --resume."
    with storing(f"the checkpoint of step {step}", final, num_bytes(tensors) + len(text), safe):
        try:
            home.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            seals = {TENSORS: write_tensors(unfinished / TENSORS, tensors)}
            seals[STATE] = write_new(unfinished / STATE, [text])
            files = {name: seal.to_json() for name, seal in seals.items()}
            manifest = json.dumps({"version": 1, "files": files}, indent=2)
            write_new(unfinished / MANIFEST, [manifest.encode()])
            sync_folder(unfinished)
            if final.exists():
                # A full folder cannot be renamed over another, so for a moment the old one has another
                # name: loading looks there too, and there is no moment without one of the two.
                shutil.rmtree(replaced, ignore_errors=True)
                os.rename(final, replaced)  # noqa: PTH104
            os.rename(unfinished, final)  # noqa: PTH104
            sync_folder(home)
            sync_folder(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    shutil.rmtree(replaced, ignore_errors=True)
    return final


def load_checkpoint(folder: Path, step: int | None = None) -> Checkpoint:
    """The newest whole checkpoint of the run in `folder`, or the one of `step`.

    Every byte is checked against the manifest first; nothing is unpickled. RunError when none is whole.
    """
    # A training may remove the checkpoint that is being read here; then a newer one is there: look again.
    for _ in range(5):
        skipped: list[tuple[Path, str]] = []
        for path in _found(folder, step):
            reason = fault(path)
            if reason is None:
                try:
                    tensors, _ = read_tensors(path / TENSORS)
                    state = load_exact((path / STATE).read_bytes())["state"]
                except FileNotFoundError as error:
                    reason = f"{Path(str(error.filename)).name} vanished"
                else:
                    return Checkpoint(step=_step(path), tensors=tensors, state=state, path=path, skipped=tuple(skipped))
            skipped.append((path, reason))
        if all(path.exists() for path, _ in skipped):
            break
    raise RunError(_none_whole(folder, step, skipped))


def fault(path: Path) -> str | None:
    """Why the checkpoint at `path` is not whole (torn, flipped, incomplete, renamed), or None when it is."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        version, files = manifest["version"], manifest["files"]
        if version != 1:
            return f"{MANIFEST} has version {version}; this oneblock reads version 1"
        for name in (TENSORS, STATE):
            seal = Seal(size=files[name]["size"], sha256=files[name]["sha256"])
            if reason := seal.fault(path / name):
                return reason
        saved = load_exact((path / STATE).read_bytes())["step"]
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except OSError as error:
        return f"{MANIFEST} cannot be read: {error.strerror or error}"
    except (ValueError, KeyError, TypeError):
        return f"{MANIFEST} is damaged"
    return None if saved == _step(path) else f"it is the checkpoint of step {saved}, under another name"


def prune(folder: Path, keep: int = 2) -> list[Path]:
    """Remove all but the newest `keep` checkpoints, never the newest whole one; returns what was removed."""
    if keep < 1:
        raise ValueError(f"keep={keep} must be at least 1")
    found = _found(folder)
    whole = next((path for path in found if fault(path) is None), None)
    removed = [path for path in found[keep:] if path != whole]
    for path in removed:
        # Renamed first: a crash in the middle of removing must not leave what looks like a torn checkpoint.
        doomed = _beside(path, ".tmp")
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(path, doomed)  # noqa: PTH104
        shutil.rmtree(doomed, ignore_errors=True)
    return removed


def sweep(folder: Path) -> None:
    """Tidy what a crash left; only while holding the run's lock, for it removes what another is writing."""
    home = folder / "checkpoints"
    for path in home.glob("step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)
    for old in home.glob("step-*.old"):
        final = old.with_suffix("")
        if not final.exists():
            os.rename(old, final)  # noqa: PTH104
        elif fault(final) is None:
            shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _found(folder: Path, step: int | None = None) -> list[Path]:
    """Newest first; of one step the finished before the one it replaces."""
    home = folder / "checkpoints"
    paths = home.iterdir() if home.is_dir() else []
    found = [path for path in paths if _NAME.fullmatch(path.name) and step in (None, _step(path))]
    return sorted(found, key=lambda path: (_step(path), path.suffix == ""), reverse=True)


def _kept(home: Path) -> str:
    found = _found(home.parent)
    if not found:
        return "No earlier checkpoint was there."
    return f"The checkpoints before it are untouched, the newest is {found[0].name}."


def _none_whole(folder: Path, step: int | None, skipped: list[tuple[Path, str]]) -> str:
    which = "checkpoint" if step is None else f"checkpoint of step {step}"
    if skipped:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in skipped)
        return f"no whole {which} in {folder}: {reasons}. Train again without --resume into another --out"
    others = sorted({_step(path) for path in _found(folder)})
    there = f"; there are steps {', '.join(map(str, others))}" if others else ""
    return f"no {which} in {folder}{there}. A run without one can only be started again, into another --out"
