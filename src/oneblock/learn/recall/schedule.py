"""When a card comes back: FSRS, replayed from the answers. Nothing but the answers is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from fsrs import Card as Fsrs
from fsrs import Rating, Scheduler, State

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AGAIN", "KNOWN", "RETENTION", "Answer", "Memory", "Rating", "intervals", "memories"]

RETENTION = 0.9
"""A card comes back when its chance of being recalled has fallen to this."""
KNOWN = 0.8
"""A card counts as known while its chance is at least this, and it was right the last time."""
AGAIN = timedelta(minutes=1)
"""A card that was forgotten comes once more in the same sitting."""
SCHEDULER = Scheduler(
    desired_retention=RETENTION, learning_steps=(AGAIN,), relearning_steps=(AGAIN,), enable_fuzzing=False
)
SELDOM = Scheduler(desired_retention=0.7, learning_steps=(), relearning_steps=(), enable_fuzzing=False)
"""For what takes long, an exercise to be written again: it comes days apart, and when its chance is at 70 %."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer to one card. day: the learner's own date; seconds: from the question to the rating."""

    card: str
    rating: Rating
    when: datetime
    day: date
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What is known of one card. chance: of its being recalled now, by FSRS; known: see KNOWN."""

    card: str
    due: datetime
    last: datetime
    first_day: date
    answers: int
    chance: float
    known: bool
    state: Fsrs


def memories(answers: Iterable[Answer], now: datetime) -> dict[str, Memory]:
    """Card -> its memory, from its answers in their order."""
    by_card: dict[str, list[Answer]] = {}
    for answer in answers:
        by_card.setdefault(answer.card, []).append(answer)
    return {card: _memory(card, given, now) for card, given in by_card.items()}


def intervals(memory: Memory | None, now: datetime) -> Mapping[Rating, timedelta]:
    """Rating -> how long until the card comes back, were it rated so now."""
    at = _utc(now if memory is None else max(now, memory.last))
    state = _new() if memory is None else memory.state
    return {rating: SCHEDULER.review_card(state, rating, at)[0].due - at for rating in Rating}


def _memory(card: str, given: list[Answer], now: datetime) -> Memory:
    state, scheduler = _new(), SELDOM if card.startswith("write/") else SCHEDULER
    for answer in given:
        state, _ = scheduler.review_card(state, answer.rating, _utc(answer.when))
    chance = scheduler.get_card_retrievability(state, _utc(now))
    return Memory(
        card=card,
        due=state.due,
        last=given[-1].when,
        first_day=given[0].day,
        answers=len(given),
        chance=float(chance),
        known=state.state is State.Review and chance >= KNOWN,
        state=state,
    )


def _new() -> Fsrs:
    return Fsrs(card_id=0, due=datetime(1970, 1, 1, tzinfo=UTC))


def _utc(when: datetime) -> datetime:
    return when.astimezone(UTC)
