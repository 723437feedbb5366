"""`Grade`: what a person and a script are told of one exercise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oneblock.learn.check_words import words_of


@dataclass(frozen=True, kw_only=True)
class Line:
    """One check as it is shown. status: PASS, FAIL or SKIP."""

    id: str
    status: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Grade:
    """The grade of one exercise. root: the check whose failure is shown; hints: its property, place, pseudocode.

    named: the wrong variants that answer as the learner does; line: the learner's, 0 where none is known;
    worked: the example for paper; reference, also: what is shown on passing; printed: what the learner's code said.
    """

    exercise: str
    passed: bool
    checks: tuple[Line, ...]
    diagnosis: str | None = None
    root: str = ""
    named: tuple[str, ...] = ()
    line: int = 0
    worked: str = ""
    hints: tuple[str, ...] = ()
    reference: str = ""
    also: tuple[str, ...] = ()
    printed: str = ""
    file: str = ""
    folder: str = ""
    seed: int = 0
    seconds: float = 0.0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "exercise": self.exercise,
            "passed": self.passed,
            "checks": [{"id": each.id, "status": each.status, "message": each.message} for each in self.checks],
            "diagnosis": self.diagnosis,
            "root": self.root,
            "named": list(self.named),
            "line": self.line,
            "worked": self.worked,
            "file": self.file,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "note": self.note,
        }

    @property
    def asked(self) -> str:
        """What the shown check asks about, in words."""
        return words_of(self.exercise, self.root)

    @property
    def failure(self) -> tuple[str, str]:
        """The shown failure's message, and what the diagnosis says beyond it."""
        message = next((each.message for each in self.checks if each.id == self.root), "")
        more = (self.diagnosis or "").removeprefix(message).strip(" .")
        return message, more[:1].upper() + more[1:] + "." * bool(more)

    def said(self, most: int = 8) -> list[str]:
        """The last lines that the learner's code printed, cut, and without anything that moves a cursor."""
        lines = self.printed.strip().splitlines()[-most:]
        return ["".join(c if c.isprintable() else " " for c in line.expandtabs(4))[:150] for line in lines]

    def __str__(self) -> str:
        good = sum(each.status == "PASS" for each in self.checks)
        head = f"{self.exercise}: {'right' if self.passed else 'not yet'} ({good} of {len(self.checks)} checks pass)"
        lines = [head]
        if not self.passed:
            message, more = self.failure
            where = f" ({self.file}, line {self.line})" if self.line and f"line {self.line}" not in message else ""
            lines += [f"  {self.asked}: {message}{where}"]
            lines += [f"  {more}"] if more else []
            lines += [f"  Small enough for paper: {self.worked}"] if self.worked else []
            waiting = sum(each.status == "SKIP" for each in self.checks)
            lines += [f"  {waiting} more wait{'s' * (waiting == 1)} for this one"] if waiting else []
        if self.printed.strip():
            lines += ["  your code printed:", *(f"    {entry}" for entry in self.said())]
        lines += [f"  the same questions again: --seed {self.seed}"] if not self.passed else []
        return "\n".join(lines)
