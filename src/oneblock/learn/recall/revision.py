"""Whether one is ready for the next tier: a rule that is told before it begins, and what is still to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from oneblock.learn.course.drawings.desk import right_in
from oneblock.learn.course.question import Question
from oneblock.learn.errors import LearnError
from oneblock.learn.recall.course import Course
from oneblock.learn.recall.desk import Desk
from oneblock.learn.recall.store import Event

ENOUGH = 0.8
"""The share of the judged questions that must be right."""
FRESH = timedelta(days=30)
"""So long an answer of a revision counts."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """How a tier stands. asked: judged questions; right, wrong, open: of them; self_right, self_total: open ones.

    todo: what is missing, a sentence each; following: the tier after it, "" after the last. ready: nothing is missing.
    """

    tier: str
    following: str
    asked: int
    right: int
    wrong: int
    self_total: int
    self_right: int
    self_asked: int
    practice: int
    practice_right: int
    drawings: int
    drawings_right: int
    overdue: int
    todo: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether the rule is kept."""
        return not self.todo

    @property
    def verdict(self) -> str:
        """In a sentence."""
        goal = self.following or "what comes after the course"
        return f"ready for {goal}" if self.ready else f"not yet ready for {goal}"

    def lines(self) -> list[str]:
        """The verdict, and what is still to do, a line each."""
        return [f"{self.tier}: {self.verdict}{':' * (not self.ready)}", *(f"- {entry}" for entry in self.todo)]

    def to_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "tier": self.tier,
            "next": self.following or None,
            "ready": self.ready,
            "verdict": self.verdict,
            "judged": {"total": self.asked, "right": self.right, "wrong": self.wrong, "needed": needed(self.asked)},
            "self_rated": {"total": self.self_total, "asked": self.self_asked, "right": self.self_right},
            "practice": {"total": self.practice, "right": self.practice_right},
            "drawings": {"total": self.drawings, "right": self.drawings_right},
            "overdue": self.overdue,
            "todo": list(self.todo),
        }


def following(course: Course, tier: str) -> str:
    """The tier after this one; "" after the last."""
    names = list(course.tiers)
    if tier not in names:
        raise LearnError(f"{tier} is no tier; there are {', '.join(names)}")
    return (*names, "")[names.index(tier) + 1]


def needed(total: int) -> int:
    """How many of the judged questions must be right."""
    return -int(-ENOUGH * total // 1)


def rule(course: Course, tier: str) -> list[str]:
    """The rule in sentences, with this tier's numbers; shown before it begins."""
    judged, own = parted(course, tier)
    exercises, drawings = course.practice.get(tier, ()), drawings_of(course, tier)
    goal = following(course, tier) or "what comes after the course"
    drawn_too = f"; and its drawings: {', '.join(drawings)}" if drawings else ""
    lines = [
        f"You are ready for {goal} when all of this is so:",
        f"- of the tier's {len(judged)} questions that the machine judges, {needed(len(judged))} are right (80 %)",
        f"- its exercises are right: {', '.join(exercises) or 'there is none'}{drawn_too}",
        "- no card of this tier that you have begun is overdue by a day",
    ]
    if own:
        lines.append(
            f"{len(own)} more questions are open: you hold your answer against the model answer yourself. They are "
            "counted apart and decide nothing."
        )
    lines.append(
        f"What you answer is kept at once and counts for {FRESH.days} days. What was wrong is asked again from the "
        "next day on. You may leave at any time and go on later."
    )
    return lines


def parted(course: Course, tier: str) -> tuple[list[Question], list[Question]]:
    """The completion questions that the machine judges by a typed answer, and the open ones; not yet filled."""
    found = [q for lesson in course.of_tier(tier) for q in lesson.questions if q.kind == "completion"]
    judged = [question for question in found if question.graded_by in ("number", "choices")]
    return judged, [question for question in found if question.graded_by == ""]


def drawings_of(course: Course, tier: str) -> list[str]:
    """The drawings that a tier's questions ask for."""
    return list(dict.fromkeys(q.drawing for lesson in course.of_tier(tier) for q in lesson.questions if q.drawing))


def kept(events: Iterable[Event], now: datetime) -> dict[str, Event]:
    """Question -> its last answer in a revision that still counts."""
    return {event.of: event for event in events if event.do == "asked" and now - event.when <= FRESH}


def to_ask(desk: Desk, tier: str) -> list[Question]:
    """What is asked now: judged ones first. Not what was right, nor what was asked today."""
    answers = kept(desk.journal.events, desk.now())
    today = desk.clock().date()
    judged, own = parted(desk.course, tier)
    return [
        question
        for question in (*judged, *own)
        if (last := answers.get(name(question))) is None or not (last.more["right"] or last.day == today)
    ]


def name(question: Question) -> str:
    """As recall.jsonl has it: `norm/axis`."""
    return f"{question.lesson}/{question.id}"


def standing(desk: Desk, tier: str) -> Ready:
    """How a tier stands by what is kept; asks nothing."""
    course, now = desk.course, desk.now()
    judged, own = parted(course, tier)
    answers = kept(desk.journal.events, now)
    right = sum(_right(answers, question) for question in judged)
    asked = sum(name(question) in answers for question in judged)
    exercises, drawings = course.practice.get(tier, ()), drawings_of(course, tier)
    states = {each: desk.lab.state(each) for each in exercises if each in desk.lab.names}
    solved = [each for each in exercises if states.get(each) == "right"]
    done = [each for each in drawings if right_in(desk.lab.folder, each)]
    memory, tiers = desk.memory(), {card.id: card.tier for card in desk.deck()}
    overdue = [card for card, each in memory.items() if tiers.get(card) == tier and late(each.due, now)]
    return Ready(
        tier=tier,
        following=following(course, tier),
        asked=len(judged),
        right=right,
        wrong=asked - right,
        self_total=len(own),
        self_asked=sum(name(question) in answers for question in own),
        self_right=sum(_right(answers, question) for question in own),
        practice=len(exercises),
        practice_right=len(solved),
        drawings=len(drawings),
        drawings_right=len(done),
        overdue=len(overdue),
        todo=tuple(
            _todo(desk, tier, len(judged), right, asked, [each for each in exercises if each not in solved],
                  [each for each in drawings if each not in done], len(overdue))
        ),
    )  # fmt: skip


def late(due: datetime, now: datetime) -> bool:
    """Whether a card should have come on an earlier day."""
    return due.astimezone(now.tzinfo).date() < now.date()


def _todo(
    desk: Desk, tier: str, total: int, right: int, asked: int, unsolved: list[str], undrawn: list[str], overdue: int
) -> list[str]:
    found = []
    again = f"`oneblock recall --revision {tier}`"
    if not desk.course.of_tier(tier):
        found.append("its lessons are not in this copy of the course")
    if right < needed(total):
        left = (
            f"{total - asked} not asked yet: {again}" if asked < total else f"wrong ones come again tomorrow: {again}"
        )
        found.append(f"{right} of {total} judged questions are right, {needed(total)} are needed ({left})")
    if unsolved:
        changed = [each for each in unsolved if each in desk.lab.names and desk.lab.state(each) == "changed"]
        since = f" ({', '.join(changed)} changed since it was right)" if changed else ""
        found.append(f"exercises not right: {', '.join(unsolved)}{since}; `oneblock check {unsolved[0]}`")
    if undrawn:
        found.append(f"drawings not right: {', '.join(undrawn)}; `oneblock check draw_{undrawn[0]}`")
    if overdue:
        found.append(f"{overdue} card{'s are' if overdue != 1 else ' is'} overdue: `oneblock recall --tier {tier}`")
    return found


def _right(answers: dict[str, Event], question: Question) -> bool:
    return name(question) in answers and bool(answers[name(question)].more["right"])
