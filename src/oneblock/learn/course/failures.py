"""The failure–fix table: what goes wrong, what one sees, what mends it, why; and where to see, find and build it."""

from __future__ import annotations

import functools
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneblock.learn.course import links
from oneblock.learn.course.fields import near
from oneblock.learn.course.lesson import ALL
from oneblock.learn.course.tables import entries, tables, unique
from oneblock.learn.errors import LearnError

FILE = Path(__file__).with_name("failures.toml")
HEAD = ("failure", "what you see", "fix", "why", "where to look")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One row. core: of the recap's own eleven; lesson: NAME or NAME#anchor; later: experiments that may yet come."""

    id: str
    failure: str
    see: str
    fix: str
    why: str
    lesson: str
    experiments: tuple[str, ...] = ()
    checks: tuple[str, ...]
    exercises: tuple[str, ...]
    later: tuple[str, ...] = ()
    core: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        made = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        del made["later"]
        return made


@functools.cache
def rows(path: Path = FILE) -> tuple[Failure, ...]:
    """All rows, the recap's first. LearnError where one names an experiment, check, exercise or lesson that is not."""
    given = tables(path)
    if other := set(given) - {"failure"}:
        raise LearnError(f"{path.name}: {', '.join(sorted(other))}: there is only failure")
    found = entries(Failure, path, given.get("failure", []), "failure")
    unique(path.name, [row.id for row in found])
    made = []
    for row in found:
        there = (*row.experiments, *(name for name in row.later if name in links.experiments()))
        for kind, names in (("experiment", there), ("check", row.checks), ("exercise", row.exercises)):
            for name in names:
                if fault := links.fault(f"{kind}:{name}", ()):
                    raise LearnError(f"{path.name}, failure {row.id}: {kind} {name} {fault}")
        if (name := row.lesson.partition("#")[0]) not in ALL:
            raise LearnError(f"{path.name}, failure {row.id}: {name} is no lesson; try {', '.join(near(name, ALL))}")
        made.append(Failure(**{**vars(row), "experiments": there}))
    return tuple(sorted(made, key=lambda row: not row.core))


def markdown() -> str:
    """The table as Markdown: the recap's rows, then the others."""
    core, others = (tuple(row for row in rows() if row.core is core) for core in (True, False))
    return f"{_table(core)}\n\nAnd what one meets beside these:\n\n{_table(others)}"


def told() -> dict[str, Any]:
    """What `oneblock learn failures --json` prints."""
    return {"failures": [row.to_dict() for row in rows()]}


def lines(width: int = 100) -> list[str]:
    """The same for a terminal."""
    out: list[str] = []
    for row in rows():
        out += ["", row.failure]
        for word, text in (("see", row.see), ("fix", row.fix), ("why", row.why)):
            wrapper = textwrap.TextWrapper(
                width, initial_indent="  ", subsequent_indent="       ", break_on_hyphens=False
            )
            out += wrapper.wrap(f"{word}: {text}")
        commands = [f"oneblock learn read {row.lesson.partition('#')[0]}"]
        commands += [f"oneblock compare {name}" for name in row.experiments[:1]]
        asked = [check for check in row.checks if check != "F1"]
        commands += ["oneblock doctor --log FILE"] if "F1" in row.checks else []
        commands += [f"oneblock doctor TARGET --only {','.join(asked)}", f"oneblock check {row.exercises[0]}"]
        out += [f"  {command}" for command in commands]
    return out[1:]


def _table(made: tuple[Failure, ...]) -> str:
    cells = [(row.failure, row.see, row.fix, row.why, _where(row)) for row in made]
    rule = "|".join("---" for _ in HEAD)
    return "\n".join([f"| {' | '.join(HEAD)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in cells)])


def _where(row: Failure) -> str:
    # Where links are only their words, as in a terminal, the words must say which.
    told = [f"[lesson {row.lesson.partition('#')[0]}](lesson:{row.lesson})"]
    for kind, names in (("experiment", row.experiments), ("check", row.checks), ("exercise", row.exercises)):
        told += [f"[{name}]({kind}:{name})" for name in names]
    return ", ".join(told)
