"""The folder of one run: made without a race, found with a helpful word, its files replaced whole.

RUN/config.json   what makes a folder a run        RUN/metrics.jsonl   see `metrics.py`
RUN/run.lock      held while a training writes     RUN/checkpoints/, RUN/weights/
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from oneblock.runs.durable import replace
from oneblock.runs.errors import RunError, storing
from oneblock.runs.jsonform import to_words
from oneblock.runs.lock import RunLock

CONFIG, LOCK, RUNS = "config.json", "run.lock", Path("runs")


class Run:
    """A run's folder, made by `Run.create` or found by `Run.open`; `path` is where it lies."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @classmethod
    def create(cls, out: Path | None, name: str) -> Run:
        """A new, empty folder: `out`, or `runs/NAME-N` with the first free N, also when many start at once.

        RunError where `out` has something in it or cannot be made. Take `lock()` before writing.
        """
        if not name or Path(name).name != name:
            raise ValueError(f"name={name!r} must be a plain file name")
        try:
            if out is None:
                return cls(_first_free(name))
            out.mkdir(parents=True, exist_ok=True)
            # A lock alone is no content: it is there when an earlier start failed before its first file.
            taken = sorted(entry.name for entry in out.iterdir() if entry.name != LOCK)
        except FileExistsError:
            raise RunError(f"--out {out} is a file, and a run needs a folder; choose another --out") from None
        except OSError as error:
            where = out or RUNS
            raise RunError(
                f"cannot make a run's folder at {where}: {error.strerror or error}; choose another --out"
            ) from error
        if taken:
            is_run = CONFIG in taken
            what = "holds a run already" if is_run else f"is not empty (it has {taken[0]})"
            remedy = "go on with it by --resume, or choose" if is_run else "choose"
            raise RunError(f"--out {out} {what}; {remedy} another --out")
        return cls(out)

    @classmethod
    def open(cls, path: Path) -> Run:
        """The run at `path`; RunError that names what is missing and the runs that are there instead."""
        if (path / CONFIG).is_file():
            return cls(path)
        if not path.exists():
            problem = f"{path} does not exist"
        elif not path.is_dir():
            problem = f"{path} is a file, and a run is a folder"
        else:
            problem = f"{path} is not a run: {CONFIG} is missing in it"
        runs = _runs_near(path)
        remedy = f"there are {', '.join(map(str, runs))}" if runs else "make one with `oneblock train`"
        raise RunError(f"{problem}; {remedy}")

    def lock(self) -> RunLock:
        """`with run.lock():` while writing; RunError with the process id where another training holds it."""
        return RunLock(self.path / LOCK)

    def write_text(self, name: str, text: str) -> Path:
        """Put a text file into the run as a whole: a crash leaves the old one or the new; UTF-8, as it is."""
        path = self._inside(name)
        data = text.encode()
        with storing(name, path, len(data), "The file is as it was before."):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, data)
        return path

    def read_text(self, name: str) -> str:
        """A text file of the run; RunError where it is missing or no text."""
        path = self._inside(name)
        try:
            return path.read_bytes().decode()
        except FileNotFoundError:
            raise RunError(f"{name} is missing in {self.path}; is this the folder of a whole run?") from None
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path} cannot be read: {error}") from error

    def write_json(self, name: str, value: Any) -> Path:
        """`write_text` of valid JSON: NaN and infinities become the words "NaN", "Infinity", "-Infinity"."""
        return self.write_text(name, json.dumps(to_words(value), indent=2, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """A JSON file of the run; RunError where it is missing or damaged."""
        text = self.read_text(name)
        try:
            return json.loads(text)
        except ValueError as error:
            raise RunError(f"{self.path / name} is not valid JSON: {error}") from error

    def _inside(self, name: str) -> Path:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"name={name!r} must be a path inside the run")
        return self.path / name


def _first_free(name: str) -> Path:
    RUNS.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = RUNS / f"{name}-{number}"
        try:
            # Making the folder is the test whether it is free: two that start at once cannot both succeed.
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError("counting does not end")


def _runs_near(path: Path, most: int = 8) -> list[Path]:
    """The newest runs beside `path`, or in it, or where `Run.create` puts them."""
    for folder in (path, path.parent, RUNS):
        try:
            runs = [config.parent for config in folder.glob(f"*/{CONFIG}")]
            runs.sort(key=lambda run: (run / CONFIG).stat().st_mtime, reverse=True)
        except OSError:
            continue
        if runs:
            return runs[:most]
    return []
