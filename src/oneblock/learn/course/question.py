"""`Question`, and the reading of a lesson's questions.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneblock.learn.course.fields import checked, near, place, text_of
from oneblock.learn.errors import LearnError

KINDS = ("retrieval", "predict", "exercise", "completion", "interview")
LEVELS = ("easy", "medium", "hard", "drawing")
PARTS = ("theory", "practice", "design")
GRADABLE = ("number", "choices", "exercise", "drawing")
"""What makes a question gradable by the machine; at most one of them."""
FIELDS: dict[str, Any] = {
    "id": str, "kind": str, "level": str, "part": str, "prompt": str, "answer": str, "number": str,
    "tolerance": (int, float), "choices": list, "right": int, "exercise": str, "drawing": str,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question with its model answer. prompt, answer, choices: Markdown with Jinja; once filled, Markdown.

    level: of an exercise (easy, medium, hard, drawing); part: of a completion check (theory, practice, design).
    number: an expression over numbers.py; once filled its value, a float or floats; tolerance: absolute.
    right: the right choice, from 0. exercise, drawing: what has to be passed.
    """

    lesson: str
    id: str
    kind: str
    level: str = ""
    part: str = ""
    prompt: str
    answer: str
    number: str | float | tuple[float, ...] | None = None
    tolerance: float = 0.005
    choices: tuple[str, ...] = ()
    right: int | None = None
    exercise: str = ""
    drawing: str = ""

    @property
    def graded_by(self) -> str:
        """number, choices, exercise or drawing; "" where a person judges the answer."""
        given = {"number": self.number is not None, "choices": bool(self.choices), "exercise": bool(self.exercise),
                 "drawing": bool(self.drawing)}  # fmt: skip
        return next((field for field, there in given.items() if there), "")


def questions(path: Path, lesson: str) -> tuple[Question, ...]:
    """The questions of a lesson, in their order."""
    try:
        given = tomllib.loads(text_of(path))
    except tomllib.TOMLDecodeError as error:
        raise LearnError(f"{place(path)}: {error}") from None
    checked(place(path), given, {"question": list}, required=())
    found: list[Question] = []
    for index, entry in enumerate(given.get("question", [])):
        if not isinstance(entry, dict):
            raise LearnError(f"{place(path)}: a question begins with [[question]]")
        where = f"{place(path)}: question {entry.get('id', index + 1)}"
        found.append(_question(where, entry, lesson))
        if found[-1].id in [other.id for other in found[:-1]]:
            raise LearnError(f"{where}: there is another of this id")
    return tuple(found)


def _question(where: str, given: dict[str, Any], lesson: str) -> Question:
    checked(where, given, FIELDS, required=("id", "kind", "prompt", "answer"))
    _one_of(where, "kind", given, KINDS)
    for field, kind, allowed in (("level", "exercise", LEVELS), ("part", "completion", PARTS)):
        if (given["kind"] == kind) != (field in given):
            raise LearnError(f"{where}: {field} ({', '.join(allowed)}) belongs to kind = {kind!r}, and to it only")
        if field in given:
            _one_of(where, field, given, allowed)
    ways = [field for field in GRADABLE if field in given]
    if len(ways) > 1:
        raise LearnError(f"{where}: has {' and '.join(ways)}; at most one of {', '.join(GRADABLE)} grades a question")
    if "tolerance" in given and ("number" not in given or not given["tolerance"] > 0):
        raise LearnError(f"{where}: tolerance = {given['tolerance']} must be above 0, and belongs to a number")
    if ("choices" in given) != ("right" in given):
        raise LearnError(f"{where}: choices and right (from 0) belong together")
    choices = given.get("choices", [])
    if "choices" in given:
        if len(choices) < 2 or not all(isinstance(choice, str) and choice.strip() for choice in choices):
            raise LearnError(f"{where}: choices must be at least two texts")
        if len(set(choices)) < len(choices):
            raise LearnError(f"{where}: two choices are the same")
        if not 0 <= given["right"] < len(choices):
            raise LearnError(f"{where}: right = {given['right']} should be 0 to {len(choices) - 1}")
    return Question(lesson=lesson, **{**given, "choices": tuple(choices)})


def _one_of(where: str, field: str, given: dict[str, Any], allowed: tuple[str, ...]) -> None:
    if given[field] not in allowed:
        raise LearnError(f"{where}: {field} = {given[field]!r} is none; try {', '.join(near(given[field], allowed))}")
