"""From a name or a path to a text: the two texts known by name, a file, or a folder of files."""

from __future__ import annotations

import codecs
import difflib
import os
from pathlib import Path

from oneblock.data import shakespeare
from oneblock.data.errors import DataError
from oneblock.data.files import Source, Text, file_size, read_chunks

__all__ = ["NAMES", "Source", "Text", "find_text", "locate"]

NAMES = ("shakespeare", "pattern")
_NAMED = ", ".join(NAMES)
TEXT_SUFFIXES = (".txt", ".md")

# A prime length, so that no window or batch size lines up with it.
CYCLE = "a block, a norm, a sum, again;\n"
REPEATS = 1000


def find_text(source: str) -> Text:
    """The text named "shakespeare" or "pattern", or of a UTF-8 file, or of all text files below a folder.

    A name wins over a file that is called the same: write `./pattern` for the file.
    A byte-order mark is dropped and CRLF or CR becomes a newline. Raises `DataError`.
    """
    return locate(source).read()


def locate(source: str) -> Source:
    """Where the text of `find_text` lies, found and not yet read."""
    if source == "shakespeare":
        return shakespeare.locate()
    if source == "pattern":
        origin = f"made in code: {len(CYCLE)} characters repeated {REPEATS} times"
        return Source(name="pattern", origin=origin, parts=((CYCLE * REPEATS).encode(),))
    path = Path(source).expanduser()
    if not source:
        raise _missing(source, path)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return Source(name=path.name, origin=f"the file {path}", parts=(path,))
    if path.exists():
        raise DataError(f"{source} is neither a file nor a folder. Give a text file, or one of {_NAMED}")
    raise _missing(source, path)


def _missing(source: str, path: Path) -> DataError:
    try:
        beside = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        beside = []
    near = difflib.get_close_matches(source, NAMES) + [
        str(path.parent / name) for name in difflib.get_close_matches(path.name, beside)
    ]
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return DataError(
        f"no text {source!r}: no such file or folder.{meant} "
        f"Allowed: {_NAMED}, the path of a UTF-8 text file, or of a folder of them"
    )


def _folder(folder: Path) -> Source:
    taken: list[Path] = []
    skipped: list[str] = []
    for path in _visible_files(folder):
        # What calls itself text is taken, so that a bad byte in it is an error and not a silent loss.
        if path.suffix.lower() in TEXT_SUFFIXES or _looks_like_text(path):
            taken.append(path)
        else:
            skipped.append(path.relative_to(folder).as_posix())
    if not any(file_size(path) for path in taken):
        seen = f"{len(skipped)} other files: {_few(skipped)}" if skipped else "no files"
        raise DataError(
            f"the folder {folder} holds no text ({seen}; hidden ones are left out). "
            f"Put UTF-8 text files in it ({', '.join(TEXT_SUFFIXES)}), or give one of {_NAMED}"
        )
    origin = f"{len(taken)} text files of the folder {folder}"
    if skipped:
        origin += f"; skipped as not UTF-8 text: {_few(skipped)}"
    return Source(name=folder.resolve().name, origin=origin, parts=tuple(taken))


def _visible_files(folder: Path) -> list[Path]:
    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}. Check its permissions")

    found: list[Path] = []
    for here, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(here, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def _looks_like_text(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in read_chunks(path):
            if b"\0" in chunk:
                return False
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _few(names: list[str], shown: int = 5) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
