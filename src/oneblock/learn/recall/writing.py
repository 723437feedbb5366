"""An exercise written again, from nothing: its stub in reviews/, graded as ever; the solved file is never touched."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from oneblock.learn.errors import LearnError
from oneblock.learn.grade import Grade
from oneblock.learn.lab import Lab, stub
from oneblock.learn.recall.deck import REVIEWS


def path(lab: Lab, name: str) -> Path:
    """Where it is written."""
    return lab.folder / REVIEWS / f"{name}.py"


def begin(lab: Lab, name: str) -> Path:
    """The stub in reviews/; what is there already stays."""
    file = path(lab, name)
    try:
        file.parent.mkdir(exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(stub(name))
    except FileExistsError:
        if not file.is_file():
            raise LearnError(
                f"{file} cannot be made: something else of this name is there; move it elsewhere"
            ) from None
    except OSError as error:
        raise LearnError(f"{file} cannot be made ({error.strerror or error})") from None
    return file


def untouched(lab: Lab, name: str) -> bool:
    """Whether nothing has been written there yet."""
    try:
        return path(lab, name).read_text(encoding="utf-8", errors="replace") == stub(name)
    except OSError:
        return True


def grade(lab: Lab, name: str, check: Callable[[str, Path], Grade]) -> Grade:
    """Grade it as a part of the learner's package, so that it may import what the exercise allows."""
    with tempfile.TemporaryDirectory() as place:
        package = Path(place) / lab.folder.absolute().name
        package.mkdir()
        for file in lab.folder.glob("*.py"):
            if file.is_file():
                shutil.copy(file, package / file.name)
        shutil.copy(path(lab, name), package / f"{name}.py")
        found = check(name, package / f"{name}.py")
    return replace(found, file=f"{REVIEWS}/{name}.py", folder=str(lab.folder))


def put_aside(lab: Lab, name: str) -> Path:
    """Keep what was written under another name, so that the next time begins from nothing; gives where."""
    file, number = path(lab, name), 1
    while file.with_name(f"{file.name}.bak{number}").exists():
        number += 1
    kept = file.with_name(f"{file.name}.bak{number}")
    file.rename(kept)
    return kept
