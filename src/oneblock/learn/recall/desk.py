"""What is due, seen from the learner's files: the same for a sitting, a list and a script."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from oneblock.learn.lab import Lab
from oneblock.learn.recall.course import Course
from oneblock.learn.recall.deck import Card, Due, begun, cards, due
from oneblock.learn.recall.schedule import Memory, memories
from oneblock.learn.recall.store import Journal, clock

LONGEST = 120.0
"""Seconds of one card that count: who goes for a coffee has not been practising."""


class Desk:
    """What is due, seen from the files; the same for a sitting and for a list."""

    def __init__(
        self, lab: Lab, journal: Journal, course: Course, *,
        tier: str = "", seed: int | None = None, lessons: Iterable[str] = (), now: Callable[[], datetime] = clock,
    ) -> None:  # fmt: skip
        self.lab, self.journal, self.course = lab, journal, course
        self.tier, self.seed, self.lessons, self.clock = tier, seed, tuple(lessons), now

    def now(self) -> datetime:
        """The time; never before what was answered last."""
        return max([self.clock(), *(event.when for event in self.journal.events[-1:])])

    def memory(self) -> dict[str, Memory]:
        """Card -> what is known of it."""
        return memories(self.journal.answers(), self.now())

    def begun(self) -> set[str]:
        """The lessons whose cards come."""
        return begun(self.lab, self.journal, self.course, self.lessons)

    def deck(self) -> list[Card]:
        """All cards that may come."""
        return cards(self.lab, self.course, self.begun(), self.now())

    def due(self) -> Due:
        """What is to be asked now."""
        memory = self.memory()
        mistakes = {card for card in memory if self._is_mistake(card)}
        exists = self.course.ids() | mistakes
        return due(self.deck(), memory, exists, self.now(), tier=self.tier, seed=self.seed)

    def spent(self) -> float:
        """Seconds of today."""
        today = self.clock().date()
        return sum(min(answer.seconds, LONGEST) for answer in self.journal.answers() if answer.day == today)

    def _is_mistake(self, card: str) -> bool:
        kind, _, rest = card.partition("/")
        return kind in ("wrong", "write") and rest.partition("/")[0] in self.lab.names
