"""Reading what people write in TOML: errors that name the file, the field, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from oneblock.learn.errors import LearnError


def near(name: str, known: Iterable[str]) -> list[str]:
    """The nearest of the known names; all of them where none is near."""
    names = list(known)
    return difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names


def place(path: Path) -> str:
    """How an error names a file of a lesson: `norm/lesson.md`."""
    return f"{path.parent.name}/{path.name}"


def text_of(path: Path) -> str:
    """A file's text, or an error that says which is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LearnError(f"{place(path)} is not there; a lesson has lesson.md, reference.md, numbers.py and "
                         "questions.toml") from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise LearnError(f"{place(path)} is not UTF-8: {error}") from None


def checked(where: str, given: Mapping[str, Any], allowed: Mapping[str, Any], required: Iterable[str]) -> None:
    """LearnError unless the fields are those allowed, with their types, and none required is missing."""
    for field, value in given.items():
        if field not in allowed:
            raise LearnError(f"{where}: {field} is not a field; try {', '.join(near(field, allowed))}")
        wanted = allowed[field]
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        # A bool is an int in Python, and a mistake here.
        if not isinstance(value, kinds) or isinstance(value, bool):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise LearnError(f"{where}: {field} = {value!r} should be a {names}")
        if isinstance(value, str) and not value.strip():
            raise LearnError(f"{where}: {field} is empty")
    missing = [field for field in required if field not in given]
    if missing:
        raise LearnError(f"{where}: {', '.join(missing)} is missing")
