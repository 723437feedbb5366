"""The end of a sitting: an exercise that once went wrong, to be written again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oneblock.learn.grade import Grade
from oneblock.learn.lab import Lab
from oneblock.learn.recall import pages, writing
from oneblock.learn.recall.asking import Asking
from oneblock.learn.recall.deck import Card
from oneblock.learn.recall.desk import Desk
from oneblock.learn.recall.schedule import Rating
from oneblock.learn.recall.store import Event


class Rewriting:
    """Offers it, makes its file, grades it. rated: keeps what came of it; its time is not one of the five minutes."""

    def __init__(
        self, desk: Desk, asking: Asking, check: Callable[[str, Path], Grade], rated: Callable[[Card, Rating], None]
    ) -> None:
        self.desk, self.asking, self.check, self.rated = desk, asking, check, rated

    def offer(self, card: Card) -> None:
        """Offer an exercise to be written again; it takes longer than a card, so it comes last and is asked for."""
        lab, name = self.desk.lab, card.of
        begun = writing.path(lab, name).is_file()
        offer = (
            f"One thing more, for another hour perhaps: write {name} again, from nothing. You have had it wrong once. "
            f"Your solved {name}.py stays as it is; this goes into {writing.path(lab, name)}"
            f"{', which you have begun.' if begun else '.'}"
        )
        word = "w goes on with it" if begun else "w begins it"
        key = self.asking.choose(lambda width: pages.said(offer, width), [word, "Enter not now"], "w\n\r")
        if key != "w":
            return
        file = writing.begin(lab, name)
        said = f"{file} has the exercise as it was at the beginning. Write it there, save it, and have it graded here."
        while (said := self._round(card, said)) != "":
            continue

    def _round(self, card: Card, said: str) -> str:
        """One look at the file; gives what to show next, "" at the end."""
        lab, name = self.desk.lab, card.of
        keys = ["Enter grades it", "g gives it up", "q leaves it for later"]
        if self.asking.choose(lambda width: _lines(said, width), keys, "g\n\r") == "g":
            self._written(card, Rating.Again)
            return ""
        if writing.untouched(lab, name):
            self.asking.word = "nothing is written there yet; save the file first"
            return said
        self.asking.show("grading …")
        grade = writing.grade(lab, name, self.check)
        if not grade.passed:
            self.desk.journal.add("tried", card.id, root=grade.root, named=list(grade.named))
            Lab(lab.folder, lab.names).noted(grade)
            return str(grade)
        failed = bool(self._tries(card))
        self._written(card, Rating.Hard if failed else Rating.Good)
        last = f"{grade}\nFrom nothing, {'after a try or two' if failed else 'at once'}. It comes back later."
        self.asking.read(lambda width: _lines(last, width))
        return ""

    def _tries(self, card: Card) -> list[Event]:
        """What was tried since it was last rated."""
        events = self.desk.journal.of("tried", "answer")
        last = max((at for at, event in enumerate(events) if (event.do, event.of) == ("answer", card.id)), default=-1)
        return [event for event in events[last + 1 :] if event.of == card.id]

    def _written(self, card: Card, rating: Rating) -> None:
        self.rated(card, rating)
        writing.put_aside(self.desk.lab, card.of)


def _lines(text: str, width: int) -> list[pages.Line]:
    return [line for row in text.splitlines() for line in pages.said(row.strip(), width) or [("", "")]]
