"""How far one is, in words and for a script: exercises, lessons, cards, days, tiers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from oneblock.learn.lab import Lab
from oneblock.learn.recall import revision
from oneblock.learn.recall.course import Course
from oneblock.learn.recall.course import course as whole
from oneblock.learn.recall.deck import Due
from oneblock.learn.recall.desk import Desk
from oneblock.learn.recall.store import Journal, clock


def told(
    lab: Lab, *, course: Course | None = None, now: Callable[[], datetime] = clock
) -> tuple[list[str], dict[str, Any]]:
    """The lines for a person, and the object for a script. LearnError where recall.jsonl cannot be read."""
    journal = Journal(lab.folder, now)
    desk = Desk(lab, journal, course or whole(), now=now)
    read, begun = len({event.of for event in journal.of("read")} & {*desk.course.lessons}), len(desk.begun())
    memory, due = desk.memory(), desk.due()
    deck = {card.id for card in desk.deck()}
    cards = [each for card, each in memory.items() if card in deck]
    known, expected = sum(each.known for each in cards), sum(each.chance for each in cards)
    days = days_in_a_row(_days(lab, journal), now().date())
    tiers = [revision.standing(desk, tier) for tier in desk.course.tiers if desk.course.of_tier(tier)]
    total = len(desk.course.lessons)
    lines = [
        *journal.notes,
        f"lessons: {read} of {total} read, {begun} begun",
        f"cards: {known} of {len(deck)} known" + (f", {due_in_words(due)}" if deck else ""),
        f"days in a row: {days}",
        *(line if not at else f"  {line}" for each in tiers for at, line in enumerate(each.lines())),
    ]
    return lines, {
        "lessons": {"read": read, "begun": begun, "total": total},
        "cards": {
            "known": known, "asked": len(cards), "begun": len(deck), "expected_right": round(expected, 2),
            "due": len(due.reviews), "new_today": len(due.new), "to_write": len(due.writes),
        },
        "days_in_a_row": days,
        "tiers": [each.to_dict() for each in tiers],
        "notes": journal.notes,
    }  # fmt: skip


def due_in_words(due: Due) -> str:
    """What is to be asked now, in a few words."""
    parts = [f"{len(due.reviews)} due"] if due.reviews else []
    parts += [f"{len(due.new)} new today"] if due.new else []
    parts += [f"{', '.join(card.of for card in due.writes)} to be written again"] if due.writes else []
    return ", ".join(parts) or "nothing due"


def days_in_a_row(days: set[date], today: date) -> int:
    """How many days up to today, or up to yesterday, something was done."""
    at = today if today in days else today - timedelta(days=1)
    count = 0
    while at in days:
        count, at = count + 1, at - timedelta(days=1)
    return count


def _days(lab: Lab, journal: Journal) -> set[date]:
    """The days on which a card or a question was answered, a lesson read, or an exercise became right."""
    days = {event.day for event in journal.of("answer", "asked", "read")}
    for name in lab.names:
        said = str(lab.progress.get(name, {}).get("right", ""))
        try:
            days.add(datetime.fromisoformat(said).date())
        except ValueError:
            continue
    return days
