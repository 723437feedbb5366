"""Writing so that a crash at any moment leaves the old content or the new, never half of one."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Chunk = bytes | memoryview


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What a file must be: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {"size": self.size, "sha256": self.sha256}

    def fault(self, path: Path) -> str | None:
        """Why the file at `path` is not the one sealed, or None when it is."""
        try:
            size = path.stat().st_size
            if size != self.size:
                return f"{path.name} has {size} bytes, not {self.size}"
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return f"{path.name} is missing"
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror or error}"
        return None if found == self.sha256 else f"{path.name} is not what was saved (its SHA-256 differs)"


def write_new(path: Path, chunks: Iterable[Chunk]) -> Seal:
    """Write a file that does not exist yet, on the disk itself when this returns, and seal it."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
    try:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            write_all(descriptor, chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Seal(size=size, sha256=digest.hexdigest())


def replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step: a reader sees the old file or the new one, also after a crash."""
    # The process id keeps two writers (a training and a drawing of it) from sharing one unfinished file.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.unlink(missing_ok=True)
        write_new(unfinished, [data])
        os.replace(unfinished, path)  # noqa: PTH105 - all renames here go through `os`, where tests cut them off
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that becomes the one at `path` (free, or an empty folder) when all went well.

    Otherwise it goes away again, with the folders that had to be made around it. One that a killed process left
    goes away too.
    """
    final = path.resolve()
    unfinished = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    missing = [parent for parent in final.parents if not parent.exists()]
    try:
        for stale in final.parent.glob(f".{glob.escape(final.name)}.*.tmp"):
            shutil.rmtree(stale, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        sync_folder(unfinished)
        if final.is_dir():
            final.rmdir()  # Windows renames no folder over another, be it empty.
        os.replace(unfinished, final)  # noqa: PTH105
        sync_folder(final.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise


def sync_folder(path: Path) -> None:
    """Make the names in a folder (new, renamed, removed) outlast a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: Chunk) -> None:
    """Write all of `data`: one system call may take less (2 GiB at most; on a full disk what fits)."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
