"""A sitting of some minutes: what is due, card by card. Each answer is on the disk before the next question comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from oneblock.learn.grade import Grade
from oneblock.learn.recall.asking import Asking, Left, Reply, TakenBack
from oneblock.learn.recall.deck import Card, Due
from oneblock.learn.recall.desk import Desk
from oneblock.learn.recall.face import Face, face, shuffled
from oneblock.learn.recall.rewriting import Rewriting
from oneblock.learn.recall.schedule import Answer, Rating, intervals
from oneblock.learn.terminal import Keys


class Session:
    """One sitting on a terminal. minutes: for today, what was spent before counts; check: grades a file."""

    def __init__(
        self, desk: Desk, terminal: Keys, check: Callable[[str, Path], Grade], *, minutes: float = 5.0
    ) -> None:
        self.desk, self.check, self.minutes = desk, check, minutes
        self.asking = Asking(terminal, self._head)
        self.given: list[Answer] = []
        self.again: Card | None = None
        self.missing: set[str] = set()
        self.left: Due = desk.due()
        self.stopped = ""

    def run(self) -> None:
        """Until nothing is due, the time is over, or the learner leaves. `stopped` says which: done, time, left."""
        try:
            while self.stopped == "":
                self._one()
            if self.left.writes:
                Rewriting(self.desk, self.asking, self.check, self._rated).offer(self.left.writes[0])
        except (Left, KeyboardInterrupt, EOFError):
            self.stopped = self.stopped or "left"
        self.left = self.desk.due()

    def _one(self) -> None:
        self.left = self.desk.due()
        if self.desk.spent() >= 60 * self.minutes and self.again is None:
            self.stopped = "time"
            return
        card = self._next()
        if card is None:
            self.stopped = "done"
            return
        front = self._face(card)
        if front is None:
            self.missing.add(card.id)
            return
        memory = self.desk.memory().get(card.id)
        self.again = None
        try:
            self.asking.ask(
                front,
                after=dict(intervals(memory, self.desk.now())),
                keep=lambda reply: self._keep(card, reply),
                undo=bool(self.given),
            )
        except TakenBack:
            self._take_back()

    def _next(self) -> Card | None:
        """What comes now: a card taken back, reviews, new ones, then those of this sitting that were forgotten."""
        if self.again is not None:
            return self.again
        waiting = [card for card in (*self.left.reviews, *self.left.new) if card.id not in self.missing]
        if waiting:
            return waiting[0]
        memory, soon = self.desk.memory(), self.desk.now() + timedelta(minutes=10)
        mine = {answer.card for answer in self.given}
        again = [card for card in self.desk.deck() if card.id in mine and memory[card.id].due <= soon]
        return min(again, key=lambda card: memory[card.id].due, default=None)

    def _face(self, card: Card) -> Face | None:
        self.asking.show("one moment …")
        front = face(card, self.desk.course)
        turn = sum(answer.card == card.id for answer in self.desk.journal.answers())
        return None if front is None else shuffled(front, f"{self.desk.seed}/{card.id}/{turn}")

    def _keep(self, card: Card, reply: Reply) -> None:
        more = {} if reply.said is None else {"right": reply.said.right, "given": reply.said.given}
        seconds = round(min(reply.seconds, 1e6), 1)
        self._rated(card, reply.rating, seconds, **more)

    def _rated(self, card: Card, rating: Rating, seconds: float = 0.0, **more: Any) -> None:
        self.desk.journal.add("answer", card.id, rating=int(rating), seconds=seconds, **more)
        self.given.append(self.desk.journal.answers()[-1])

    def _take_back(self) -> None:
        last = self.given.pop()
        self.desk.journal.add("undo", last.card)
        self.again = next((card for card in self.desk.deck() if card.id == last.card), None)
        self.asking.word = "taken back; here it is again"

    def _head(self) -> str:
        seconds = max(0.0, 60 * self.minutes - self.desk.spent())
        left = len(self.left.reviews) + len(self.left.new)
        minutes = f"{max(1, round(seconds / 60))} min" if seconds else "time is up"
        return f"recall   {left} to go   {minutes}   {tally(self.given)}".rstrip()


def tally(given: list[Answer]) -> str:
    """How the answers of a sitting were rated: `3 good, 1 again`."""
    counts = Counter(answer.rating for answer in given)
    return ", ".join(f"{counts[rating]} {rating.name.lower()}" for rating in reversed(Rating) if counts[rating])
