"""Drawings in the learner's folder: files made, found, graded, and how far one has come."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from oneblock.learn.course.drawings.drawing import Drawing, Drawn
from oneblock.learn.course.drawings.tasks import DRAWINGS
from oneblock.learn.course.fields import near
from oneblock.learn.errors import LearnError
from oneblock.learn.grading import FOLDER

PREFIX = "draw_"
INSIDE = "drawings"
"""The folder of drawings in the learner's folder."""


def make(folder: Path) -> list[str]:
    """A file for each drawing that has none yet, its numbers drawn anew; the names of those made."""
    made = []
    (folder / INSIDE).mkdir(exist_ok=True)
    for name, drawing in DRAWINGS.items():
        path = path_in(folder, name)
        if not path.exists():
            path.write_text(drawing.stub(drawing.drawn(secrets.randbelow(2**31))), encoding="utf-8")
            made.append(name)
    return made


def path_in(folder: Path, name: str) -> Path:
    """A drawing's file in the learner's folder."""
    return folder / INSIDE / f"{name}.txt"


def named(exercise: str | None, file: str | Path | None) -> tuple[Drawing, Path]:
    """The drawing and its file. LearnError with all names where one is not there."""
    name = (exercise or Path(file or "").stem).removeprefix(PREFIX)
    if name not in DRAWINGS:
        offered = ", ".join(f"{PREFIX}{each}" for each in near(name, DRAWINGS))
        raise LearnError(f"there is no drawing {exercise or file!r}; try {offered}")
    places = [Path(file)] if file else [Path(f"{name}.txt"), path_in(Path(), name), path_in(FOLDER, name)]
    for path in places:
        if path.is_file():
            return DRAWINGS[name], path.absolute()
    if file:
        raise LearnError(f"{file} is not there, or is no file")
    raise LearnError(f"{path_in(FOLDER, name)} is not here; `oneblock learn` makes it, or give --file F")


def is_drawing(exercise: str | None, file: str | Path | None) -> bool:
    """Whether a drawing is meant, and no exercise."""
    return exercise.startswith(PREFIX) if exercise else Path(file or "").suffix == ".txt"


def grade(drawing: Drawing, path: Path) -> Drawn:
    """A file graded."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return drawing.grade(text, file=path.name, folder=str(path.parent))


def begun() -> list[Path]:
    """The drawings here or in the learner's folder whose lines are no longer as they were made."""
    found = []
    for name in DRAWINGS:
        where = next((each for each in (Path(), FOLDER) if path_in(each, name).is_file()), None)
        if where is not None and _worked_on(where, name):
            found.append(path_in(where, name))
    return found


def keep(found: Drawn) -> None:
    """Keep what came of a grading, where the file lies in the learner's folder."""
    from oneblock.learn.lab import PROGRESS, Lab

    inside = Path(found.folder)
    if inside.name == INSIDE and (inside.parent / PROGRESS).is_file():
        text = (inside / found.file).read_text(encoding="utf-8", errors="replace")
        Lab(inside.parent).graded(found, text)


def right_in(folder: Path, name: str) -> bool:
    """Whether a drawing is right in the learner's folder, graded anew from its file."""
    path = path_in(folder, name)
    return name in DRAWINGS and path.is_file() and grade(DRAWINGS[name], path).passed


def told(folder: Path) -> list[dict[str, Any]]:
    """How each drawing stands: right, begun, new, or gone; for a person's list and a script."""
    return [
        {"drawing": name, "exercise": f"{PREFIX}{name}", "title": drawing.title, "state": _state(folder, name)}
        for name, drawing in DRAWINGS.items()
    ]


def summary(folder: Path) -> str:
    """How many are right, and how the next is graded."""
    todo = [each["exercise"] for each in told(folder) if each["state"] != "right"]
    following = f"; `oneblock check {todo[0]}` grades the next" if todo else ""
    return f"{INSIDE}: {len(DRAWINGS) - len(todo)} of {len(DRAWINGS)} are right{following}"


def _state(folder: Path, name: str) -> str:
    if not path_in(folder, name).is_file():
        return "gone"
    return "right" if right_in(folder, name) else "begun" if _worked_on(folder, name) else "new"


def _worked_on(folder: Path, name: str) -> bool:
    path, drawing = path_in(folder, name), DRAWINGS[name]
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return text not in {drawing.stub(given) for given in drawing.every()}
