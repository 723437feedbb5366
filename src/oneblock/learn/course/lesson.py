"""`lesson(name)`: a lesson's folder, read and checked. Every error names the file, the field, and what is allowed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneblock.learn.course.fields import checked, near, place, text_of
from oneblock.learn.course.question import Question, questions
from oneblock.learn.errors import LearnError

__all__ = ["ALL", "LESSONS", "NAMES", "TIERS", "Lesson", "Question", "lesson", "near", "read"]
TIERS: dict[str, tuple[str, ...]] = {
    "foundation": ("lists", "attention", "norm", "positions", "feed_forward"),
    "architecture": ("failure", "residual", "block", "stacks", "mask", "cache", "recap"),
    "training": ("data", "optimisers", "evaluation", "debugging", "distribution", "first_model"),
    "modern": (
        "rmsnorm", "rope", "swiglu", "grouped_queries", "efficient_attention", "experts", "diffusion", "to_llama",
    ),
}  # fmt: skip
"""Tier -> its lessons, in the order in which they are read."""
LESSONS = Path(__file__).parent / "lessons"
ALL = tuple(name for names in TIERS.values() for name in names)
NAMES = tuple(name for name in ALL if (LESSONS / name / "lesson.md").is_file())
"""Those that are here."""
FIELDS: dict[str, type] = {
    "title": str, "tier": str, "minutes": int, "goal": str, "needs": list, "exercises": list, "experiments": list,
    "checks": list, "next": list,
}  # fmt: skip
"""What stands between the two `+++` of a `lesson.md`: all of it."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One lesson as it was written. body, reference: Markdown with Jinja, not yet filled (`page.filled` does that).

    needs: lessons; exercises: of `oneblock check`; experiments: of `oneblock compare`; checks: the doctor's;
    next: (id in sources.toml, why to read it). starts: the line of lesson.md on which the body begins.
    """

    name: str
    folder: Path
    title: str
    tier: str
    minutes: int
    goal: str
    needs: tuple[str, ...]
    exercises: tuple[str, ...]
    experiments: tuple[str, ...]
    checks: tuple[str, ...]
    next: tuple[tuple[str, str], ...]
    body: str
    reference: str
    questions: tuple[Question, ...]
    starts: int = 1


def lesson(name: str) -> Lesson:
    """The lesson of that name; LearnError with the nearest names where there is none."""
    if name not in ALL or not (LESSONS / name / "lesson.md").is_file():
        raise LearnError(f"{name} is not a lesson; try {', '.join(near(name, NAMES))} (`oneblock learn lessons`)")
    return read(LESSONS / name)


def read(folder: Path) -> Lesson:
    """The lesson in a folder."""
    path = folder / "lesson.md"
    head, body, starts = _parted(path, text_of(path))
    try:
        fields = tomllib.loads(head)
    except tomllib.TOMLDecodeError as error:
        raise LearnError(f"{place(path)}: between the two +++: {error}") from None
    checked(place(path), fields, FIELDS, required=FIELDS)
    if fields["tier"] not in TIERS:
        raise LearnError(f"{place(path)}: tier = {fields['tier']!r} is none of {', '.join(TIERS)}")
    if folder.parent == LESSONS and folder.name not in TIERS[fields["tier"]]:
        raise LearnError(f"{place(path)}: tier = {fields['tier']!r}, and TIERS has this lesson in another")
    if fields["minutes"] < 1:
        raise LearnError(f"{place(path)}: minutes = {fields['minutes']} must be at least 1")
    for field in ("needs", "exercises", "experiments", "checks"):
        _words(path, field, fields[field])
    for entry in fields["next"]:
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(word, str) for word in entry)):
            raise LearnError(f'{place(path)}: next: {entry!r} is not ["id of sources.toml", "why to read it"]')
    return Lesson(
        name=folder.name,
        folder=folder,
        body=body,
        starts=starts,
        reference=text_of(folder / "reference.md"),
        questions=questions(folder / "questions.toml", folder.name),
        next=tuple((entry[0], entry[1]) for entry in fields.pop("next")),
        **_frozen(fields),
    )


def _frozen(fields: dict[str, Any]) -> dict[str, Any]:
    return {field: tuple(value) if isinstance(value, list) else value for field, value in fields.items()}


def _parted(path: Path, text: str) -> tuple[str, str, int]:
    """What stands between the two +++, what comes after, and the line on which that begins."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "+++":
        raise LearnError(f"{place(path)} must begin with a line +++, TOML, and a line +++")
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() == "+++":
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :]) + "\n", number + 2
    raise LearnError(f"{place(path)}: the second line +++ is missing")


def _words(path: Path, field: str, values: list[Any]) -> None:
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise LearnError(f"{place(path)}: {field}: {wrong[0]!r} is not a name")
    if len(set(values)) < len(values):
        raise LearnError(f"{place(path)}: {field} names one twice: {values}")
