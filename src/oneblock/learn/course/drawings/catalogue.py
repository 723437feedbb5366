"""What people draw in place of what is asked, and what is said of it: wrong.toml."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from oneblock.learn.course.drawings.drawing import Wrong
from oneblock.learn.course.tables import tables


@functools.cache
def given() -> dict[str, Any]:
    """The file."""
    return tables(Path(__file__).with_name("wrong.toml"))


def says(group: str) -> dict[str, str]:
    """Name -> words, of a group whose drawings depend on numbers."""
    found: dict[str, str] = given()[group]
    return found


def drawn(group: str) -> tuple[Wrong, ...]:
    """The drawings of a group that are written out."""
    return tuple(Wrong(name=each["name"], says=each["says"], text=each["text"].strip()) for each in given()[group])
