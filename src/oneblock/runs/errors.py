"""What went wrong with a run's folder, in words for the person who started the command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oneblock.config.errors import OneblockError


class RunError(OneblockError):
    """A run's folder that cannot be made, read or written: which one, why, and what to do."""


def in_words(num_bytes: int) -> str:
    """A number of bytes in decimal units, as file managers and `df -H` show it."""
    value = float(num_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@contextmanager
def storing(what: str, path: Path, num_bytes: int, consequence: str) -> Iterator[None]:
    """Turn the system's refusal to store `num_bytes` at `path` into a RunError that says what is safe."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"cannot save {what} at {path}: {reason}. It needs {in_words(num_bytes)}; {_free(path)}. {consequence}"
        ) from error


def _free(path: Path) -> str:
    existing = next((folder for folder in path.absolute().parents if folder.is_dir()), None)
    if existing is None:
        return "no such disk is there"
    try:
        return f"{in_words(shutil.disk_usage(existing).free)} are free there"
    except OSError:
        return "how much is free cannot be told"
