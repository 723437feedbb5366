"""What recall needs of the course: lessons, their questions filled with numbers, formula cards."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from oneblock.learn.course import cards as formula_cards
from oneblock.learn.course.lesson import NAMES, TIERS, Lesson, lesson
from oneblock.learn.course.question import Question
from oneblock.learn.exercises import NAMES as EXERCISES

CARD = re.compile(r"\(card:([\w-]+)\)")
TOPIC = re.compile(r"""\{\{-?\s*cards\(\s*["']([\w-]+)["']\s*\)""")

PRACTICE = {
    "foundation": ("lists", "softmax", "attention", "multi_head", "norms"),
    "architecture": ("causal_mask", "block", "tiny_gpt", "fit", "cache", "cross_attention"),
    "training": ("loss", "fit", "sample", "hunt"),
    "modern": ("llama", "experts", "dit"),
}
"""What one must have built before the next tier. Lessons also name exercises that look ahead: those do not count."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """tiers: tier -> its lessons, in order; lessons: those that are here; fill: a lesson's questions with numbers in.

    practice: tier -> exercises that must be right; formulas: id -> formula card; topics: topic -> the ids of its cards.
    """

    tiers: Mapping[str, tuple[str, ...]]
    lessons: Mapping[str, Lesson]
    fill: Callable[[Lesson], tuple[Question, ...]]
    practice: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    formulas: Mapping[str, formula_cards.Card] = field(default_factory=dict)
    topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def tier_of(self, name: str) -> str:
        """A lesson's tier; "" where there is no such lesson."""
        return self.lessons[name].tier if name in self.lessons else ""

    def of_tier(self, tier: str) -> list[Lesson]:
        """The lessons of a tier that are here, in order."""
        return [self.lessons[name] for name in self.tiers[tier] if name in self.lessons]

    def lesson_of(self, exercise: str) -> str:
        """The lesson that explains an exercise: the one of its name, else the first that has it; "" where none has."""
        having = [
            each.name for names in self.tiers.values() for each in self._here(names) if exercise in each.exercises
        ]
        return exercise if exercise in having else next(iter(having), "")

    def formulas_of(self, name: str) -> list[str]:
        """The formula cards that a lesson shows, or links to in its text."""
        body = self.lessons[name].body
        shown = [card for topic in TOPIC.findall(body) for card in self.topics.get(topic, ())]
        return [card for card in dict.fromkeys((*shown, *CARD.findall(body))) if card in self.formulas]

    def ids(self) -> set[str]:
        """The ids of all prompts and formulas, begun or not."""
        prompts = {
            f"prompt/{each.name}/{question.id}"
            for each in self.lessons.values()
            for question in each.questions
            if question.kind == "retrieval"
        }
        return prompts | {f"formula/{card}" for card in self.formulas}

    def question(self, name: str, id: str) -> Question:
        """A question with its numbers in."""
        return next(question for question in self.fill(self.lessons[name]) if question.id == id)

    def _here(self, names: tuple[str, ...]) -> Iterator[Lesson]:
        return (self.lessons[name] for name in names if name in self.lessons)


@functools.cache
def course() -> Course:
    """The course as it is."""
    known = formula_cards.cards()
    topics = {card.topic for card in known.values()}
    return Course(
        tiers=TIERS,
        lessons={name: lesson(name) for name in NAMES},
        fill=_filled,
        practice={tier: tuple(name for name in names if name in EXERCISES) for tier, names in PRACTICE.items()},
        formulas=known,
        topics={topic: tuple(id for id, card in known.items() if card.topic == topic) for topic in topics},
    )


def _filled(lesson: Lesson) -> tuple[Question, ...]:
    from oneblock.learn.course.page import filled

    return filled(lesson).questions
