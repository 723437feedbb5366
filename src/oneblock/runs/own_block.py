"""A run whose blocks a person has written: their files beside its weights, and run only where that is asked for.

RUN/block.json            the package's name, and each file's SHA-256
RUN/block/NAME/*.py       the files as they were when the training began
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run

RECORD, COPY, FILE = "block.json", "block", "block.py"


def file_of(given: Path) -> Path:
    """The block's file: in a folder of exercises `block.py`, or the file itself. RunError where there is none."""
    path = given / FILE if given.is_dir() else given
    if path.is_file():
        return path.absolute()
    what = f"has no {FILE}" if given.is_dir() else "is not there"
    raise RunError(f"--block {given} {what}; give the folder of exercises, or the file with your Block")


def keep(run: Run, file: Path, more: Iterable[Path] = ()) -> None:
    """Copy a block's file and those beside it that it imports into the run, with their SHA-256."""
    paths = [file, *more]
    package = file.parent / "__init__.py"
    paths += [package] if package.is_file() and package not in paths else []
    texts = {path.name: path.read_text(encoding="utf-8") for path in paths}
    for name, text in texts.items():
        run.write_text(f"{COPY}/{file.parent.name}/{name}", text)
    sums = {name: _sha256(text.encode()) for name, text in sorted(texts.items())}
    run.write_json(RECORD, {"folder": file.parent.name, "file": file.name, "files": sums})


def has_own(folder: Path) -> bool:
    """Whether the run in `folder` has blocks that a person has written."""
    return (folder / RECORD).is_file()


def refuse_unasked(folder: Path) -> None:
    """RunError where loading would run a person's code and nobody has asked for that."""
    if not has_own(folder):
        return
    record = _record(Run(folder))
    copy = folder / COPY / record["folder"]
    raise RunError(
        f"the blocks of {folder} are a person's own ({copy / record['file']}, sha256 {_own(record)[:12]}…), and to "
        f"load it that code must run. Nothing of it was run. If you trust it, say so: --block {copy} "
        f"(in Python load({str(folder)!r}, block={str(copy)!r}))"
    )


def check_same(folder: Path, given: Path) -> Path:
    """The given block's file, where it and all that it imports are what the run was trained with; else RunError."""
    if not has_own(folder):
        raise RunError(f"{folder} was trained with blocks of oneblock's, not of yours; leave --block out")
    file = file_of(given)
    record = _record(Run(folder))
    for name, expected in record["files"].items():
        path = file if name == record["file"] else file.parent / name
        found = _sha256(path.read_bytes()) if path.is_file() else "missing"
        if found != expected:
            raise RunError(
                f"{path} is not what {folder} was trained with (sha256 {found[:12]}, then {expected[:12]}); the files "
                f"as they were are in {folder / COPY / record['folder']}: give --block that, or train a new run"
            )
    return file


def block_class(file: Path) -> Any:
    """`Block` of a file, run as part of its package where its folder is one. RunError where that fails."""
    folder = file.parent
    package = (folder / "__init__.py").is_file() and folder.name.isidentifier()
    root = str(folder.parent if package else folder)
    name = f"{folder.name}.{file.stem}" if package else f"own_{file.stem}"
    for known in [one for one in sys.modules if one == name or (package and one.partition(".")[0] == folder.name)]:
        del sys.modules[known]
    importlib.invalidate_caches()
    sys.path.insert(0, root)
    try:
        module = importlib.import_module(name) if package else _loose(name, file)
    except Exception as error:
        raise RunError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(root)
    made = getattr(module, "Block", None)
    if not isinstance(made, type):
        raise RunError(f"{file} has no class Block")
    return made


def _loose(name: str, file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _record(run: Run) -> dict[str, Any]:
    found = run.read_json(RECORD)
    if not (
        isinstance(found, dict) and {"folder", "file", "files"} <= found.keys() and found["file"] in found["files"]
    ):
        raise RunError(f"{run.path / RECORD} is not what was written; put it back")
    return found


def _own(record: dict[str, Any]) -> str:
    return str(record["files"][record["file"]])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
