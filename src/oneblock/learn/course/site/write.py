"""A site's folder, whole or not at all: made beside its place, then moved there in one step."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from oneblock.learn.errors import LearnError

MARK = ".oneblock-course"
"""A file that says that a folder is a site of ours, which may be made anew."""


def refuse(folder: Path) -> None:
    """LearnError where something else lies in the place; asked before the work, and again before the move."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise LearnError(f"{folder} is not a folder; give the name of a new one, or of a site made earlier")
    try:
        foreign = folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file()
    except OSError as error:
        raise LearnError(f"{folder} cannot be read: {error.strerror}") from None
    if foreign:
        raise LearnError(f"{folder} has files that are no site of ours, and would be lost; give a new folder")


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files, each by its path from the folder; what was there before is there until the last moment."""
    refuse(folder)
    target = folder.absolute()
    work: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        made = work / "site"
        made.mkdir()
        for path, content in {**files, MARK: b"made by `oneblock learn --html`; made anew by the same\n"}.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_bytes(content)
        _swap(made, target, work / "before")
    except OSError as error:
        raise LearnError(_words(folder, error)) from None
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _swap(made: Path, target: Path, before: Path) -> None:
    """The new folder in the place of the old one, which comes back where that fails."""
    refuse(target)
    if not target.exists():
        made.rename(target)
        return
    target.rename(before)
    try:
        made.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            before.rename(target)
        raise


def _words(folder: Path, error: OSError) -> str:
    kept = "nothing was changed"
    if error.errno == errno.ENOSPC:
        return f"the disk of {folder} is full; {kept}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder} cannot be written here ({error.strerror}); {kept}; give another folder"
    if error.errno == errno.ENAMETOOLONG:
        return f"the name {folder.name[:40]}… is too long; {kept}"
    return f"{folder} could not be made: {error.strerror or error}; {kept}"
