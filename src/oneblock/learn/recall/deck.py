"""The cards: retrieval prompts and formulas of lessons that were begun, and wrong variants that were the learner's."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from oneblock.learn.lab import Lab
from oneblock.learn.recall.course import Course
from oneblock.learn.recall.schedule import Memory
from oneblock.learn.recall.store import Journal

NEW_A_DAY = 8
"""Cards that were never asked before come at most so many a day."""
WRONG_AFTER = timedelta(days=1)
"""A misconception is asked for from the next day on: the day before it has just been explained."""
REVIEWS = "reviews"
"""The folder in the learner's own in which exercises are written again."""
WRITE_AFTER = timedelta(days=3)
"""An exercise that went wrong is to be written again so long after it was last named wrong, and is right now."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One card. kind: prompt, formula, wrong or write; of: what it is about there; lesson: where it is explained."""

    kind: str
    of: str
    lesson: str = ""
    tier: str = ""

    @property
    def id(self) -> str:
        """As recall.jsonl has it: `prompt/norm/axis`, `formula/swiglu`, `wrong/softmax/base`, `write/softmax`."""
        return f"{self.kind}/{self.of}"


@dataclass(frozen=True, kw_only=True)
class Due:
    """What is to be asked: reviews, most overdue days first; new: for today; writes take longer than a card.

    later: new ones that wait for another day; gone: ids that were answered and are no longer in the course.
    """

    reviews: tuple[Card, ...]
    new: tuple[Card, ...]
    writes: tuple[Card, ...]
    later: int
    gone: tuple[str, ...]


def begun(lab: Lab, journal: Journal, course: Course, named: Iterable[str] = ()) -> set[str]:
    """The lessons that were read, named, or of which an exercise was begun or a card answered."""
    known = {event.of for event in journal.of("read", "begin")} | set(named)
    known |= {
        card.split("/")[1] for card in {answer.card for answer in journal.answers()} if card.startswith("prompt/")
    }
    states = {name: lab.state(name) for name in lab.names}
    started = {name for name, state in states.items() if state in ("right", "changed", "begun")}
    return {name for name, lesson in course.lessons.items() if name in known or started.intersection(lesson.exercises)}


def cards(lab: Lab, course: Course, lessons: Iterable[str], now: datetime) -> list[Card]:
    """All cards that may be asked, in the order in which new ones come."""
    chosen = set(lessons)
    found = list(mistakes(lab, course, now))
    for tier, names in course.tiers.items():
        for name in names:
            if name in chosen and name in course.lessons:
                for question in course.lessons[name].questions:
                    if question.kind == "retrieval":
                        found.append(Card(kind="prompt", of=f"{name}/{question.id}", lesson=name, tier=tier))
                found += [
                    Card(kind="formula", of=formula, lesson=name, tier=tier) for formula in course.formulas_of(name)
                ]
    # A formula that two lessons show is one card.
    return list({card.id: card for card in reversed(found)}.values())[::-1]


def mistakes(lab: Lab, course: Course, now: datetime) -> Iterable[Card]:
    """Cards of the wrong variants that the grader has named, of exercises that are right by now."""
    for name in lab.names:
        named = lab.named(name)
        if not named or not lab.progress.get(name, {}).get("right"):
            continue
        lesson = course.lesson_of(name)
        tier = course.tier_of(lesson)
        times = {variant: _when(entry.get("last"), now) for variant, entry in named.items()}
        for variant, when in sorted(times.items()):
            if now - when >= WRONG_AFTER:
                yield Card(kind="wrong", of=f"{name}/{variant}", lesson=lesson, tier=tier)
        begun = (lab.folder / REVIEWS / f"{name}.py").is_file()
        if begun or now - max([*times.values(), _when(lab.progress[name]["right"], now)]) >= WRITE_AFTER:
            yield Card(kind="write", of=name, lesson=lesson, tier=tier)


def due(
    deck: list[Card], memory: Mapping[str, Memory], exists: Iterable[str], now: datetime, *,
    tier: str = "", seed: int | None = None, new_a_day: int = NEW_A_DAY,
) -> Due:  # fmt: skip
    """What is to be asked now. exists: all ids of the course; seed: of the order within a day (default: today's)."""
    wanted = [card for card in deck if not tier or card.tier == tier]
    rng = random.Random(f"{now.date().toordinal() if seed is None else seed}")
    seen = [card for card in wanted if card.id in memory and memory[card.id].due <= now]
    shuffled = {card.id: rng.random() for card in sorted(seen, key=lambda card: card.id)}
    seen.sort(key=lambda card: (memory[card.id].due.date(), shuffled[card.id]))
    fresh = [card for card in wanted if card.id not in memory]
    short = [card for card in fresh if card.kind != "write"]
    room = max(0, new_a_day - begun_on(memory.values(), now.date()))
    known = {*exists, *(card.id for card in deck)}
    return Due(
        reviews=tuple(card for card in seen if card.kind != "write"),
        new=tuple(short[:room]),
        writes=tuple(card for card in (*seen, *fresh) if card.kind == "write"),
        later=len(short) - min(room, len(short)),
        gone=tuple(sorted(card for card in memory if card not in known)),
    )


def begun_on(memory: Iterable[Memory], day: date) -> int:
    """How many cards were asked for the first time on that day; those to be written do not count."""
    return sum(each.first_day == day and not each.card.startswith("write/") for each in memory)


def _when(said: object, now: datetime) -> datetime:
    """A time of progress.json; now where it is none, or still to come."""
    try:
        found = datetime.fromisoformat(str(said))
    except ValueError:
        return now
    return min(found, now) if found.tzinfo is not None else now
