"""What a drawing task is, and how one is judged: right or not, what was drawn instead, and where in the text."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from oneblock.learn.course.drawings.sheet import COMMENT, Sheet, read
from oneblock.learn.grade import Grade, Line

Given = dict[str, float]
"""What a file was given when it was made: sizes and numbers, by the names of its settings."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong. line: where in the text, 0 where nowhere; named: the misconception that draws exactly this."""

    message: str
    line: int = 0
    named: str = ""


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A misconception, drawn. says: completes "you have drawn …"; text: the lines that draw it."""

    name: str
    says: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One property. run: None where it holds; a check is asked only where those before it hold."""

    id: str
    run: Callable[[Sheet, Given], Finding | None]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One drawing task. task: what the file says, as comments; given: names of settings, and what they may be.

    begun: the lines that the file has at first; right: the plainest right drawing, shown on passing; wrong: all that
    is told by name; words: settings whose value is a word.
    """

    name: str
    title: str
    task: str
    given: dict[str, tuple[float, ...]]
    begun: Callable[[Given], str]
    checks: tuple[Check, ...]
    right: Callable[[Given], str]
    wrong: Callable[[Given], tuple[Wrong, ...]]
    words: tuple[str, ...] = ()

    def drawn(self, seed: int | None = None) -> Given:
        """What a new file is given; drawn anew each time."""
        chance = random.Random(seed)
        return {name: chance.choice(values) for name, values in self.given.items()}

    def every(self) -> tuple[Given, ...]:
        """All that a new file may be given."""
        return tuple(dict(zip(self.given, values, strict=True)) for values in itertools.product(*self.given.values()))

    def stub(self, given: Given) -> str:
        """A new file."""
        task = "\n".join(f"{COMMENT} {line}".rstrip() for line in self.task.strip().splitlines())
        return f"{task}\n\n{settings(given)}{self.begun(given)}"

    def file(self, text: str, given: Given) -> str:
        """A file with that drawing in it, without comments."""
        return f"{settings(given)}{text}\n"

    def judged(self, text: str) -> tuple[tuple[Line, ...], Finding | None]:
        """Every check, and the first finding."""
        sheet = read(text, self.words)
        given, fault = self._given(sheet)
        lines: list[Line] = []
        for check in self.checks:
            if fault:
                lines.append(Line(id=check.id, status="SKIP"))
                continue
            fault = check.run(sheet, given)
            lines.append(Line(id=check.id, status="FAIL" if fault else "PASS", message=fault.message if fault else ""))
        if fault and all(line.status == "SKIP" for line in lines):
            lines[0] = Line(id=self.checks[0].id, status="FAIL", message=fault.message)
        return tuple(lines), fault

    def grade(self, text: str, *, file: str = "", folder: str = "") -> Drawn:
        """The drawing in a text, graded."""
        lines, fault = self.judged(text)
        given, _ = self._given(read(text, self.words))
        return Drawn(
            exercise=f"draw_{self.name}",
            passed=fault is None,
            checks=lines,
            diagnosis=_told(fault) if fault else None,
            root=next((line.id for line in lines if line.status == "FAIL"), ""),
            named=(fault.named,) if fault and fault.named else (),
            line=fault.line if fault else 0,
            reference="" if fault else self.right(given),
            file=file or f"{self.name}.txt",
            folder=folder,
        )

    def _given(self, sheet: Sheet) -> tuple[Given, Finding | None]:
        found: Given = {}
        for name, values in self.given.items():
            setting = sheet.setting(name)
            allowed = ", ".join(f"{value:g}" for value in values)
            if setting is None or setting.number is None:
                return found, Finding(message=f"the line {name} = … is gone: put it back, with one of {allowed}")
            if setting.number not in values:
                return found, Finding(message=f"{name} = {setting.value}: it may be {allowed}", line=setting.line)
            found[name] = setting.number
        return found, None


@dataclass(frozen=True, kw_only=True)
class Drawn(Grade):
    """The grade of a drawing: nothing in it is random, so no seed is told."""

    @property
    def failure(self) -> tuple[str, str]:
        """The message alone: the diagnosis says the same, with the line."""
        return super().failure[0], ""

    def __str__(self) -> str:
        return "\n".join(
            line for line in super().__str__().splitlines() if not line.lstrip().startswith("the same questions")
        )


def settings(given: Given) -> str:
    """The lines `name = value`, and an empty one."""
    return "".join(f"{name} = {value:g}\n" for name, value in given.items()) + ("\n" if given else "")


def _told(fault: Finding) -> str:
    return f"line {fault.line}: {fault.message}" if fault.line else fault.message
