"""One card on a terminal: question, typed answer or Enter, model answer, rating."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from oneblock.learn import screen
from oneblock.learn.recall import pages
from oneblock.learn.recall.face import Face, NotUnderstood, Said, judged
from oneblock.learn.recall.pages import RATINGS, Line
from oneblock.learn.recall.schedule import Rating
from oneblock.learn.terminal import Keys

TICK = 0.5
"""Seconds between two looks at the terminal's size."""
SELF = {"y": Rating.Good, "n": Rating.Again}
"""Keys of an open question in a revision: I had it, I had it not."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of a card. seconds: until it was rated; said: where the machine has judged."""

    rating: Rating
    seconds: float
    said: Said | None = None


class Left(Exception):
    """The learner has had enough."""


class TakenBack(Exception):
    """The learner takes the last rating back."""


class Asking:
    """Asks cards on a terminal. head: gives the first line of each page, its parts three blanks apart."""

    def __init__(self, terminal: Keys, head: Callable[[], str]) -> None:
        self.terminal, self.head = terminal, head
        self.word = ""
        self.drawn = ""
        self.first = 0

    def ask(
        self, face: Face, *, after: dict[Rating, timedelta] | None, keep: Callable[[Reply], None], undo: bool
    ) -> None:
        """One card. keep is called as soon as the rating is known, and writes it down.

        after: rating -> when it would come back; None: a revision, in which an open question is yes or no.
        Left and TakenBack where the learner says so instead.
        """
        began = time.monotonic()
        said = self._question(face, undo)
        if said is not None:
            reply = Reply(
                rating=Rating.Good if said.right else Rating.Again, seconds=time.monotonic() - began, said=said
            )
            keep(reply)
            # Judged and written: what follows is only to be read.
            return self.read(lambda width: pages.answer(face, width, said), undo=after is not None)
        keys = SELF if after is None else RATINGS
        key = self._page(
            lambda width: pages.answer(face, width, None),
            lambda width: self._rating_foot(after, width, undo),
            {*keys, *("u" if undo else "")},
        )
        if key == "u":
            raise TakenBack
        return keep(Reply(rating=keys[key], seconds=time.monotonic() - began))

    def read(self, body: Callable[[int], list[Line]], undo: bool = False) -> None:
        """A page that is only read; Enter goes on."""
        if self._page(body, self._foot(["Enter goes on"], undo), {"\n", "\r", *("u" if undo else "")}) == "u":
            raise TakenBack

    def choose(self, body: Callable[[int], list[Line]], keys: list[str], allowed: str) -> str:
        """A page with keys of its own; gives the key."""
        return self._page(body, lambda width: pages.rows(keys, width), set(allowed))

    def _question(self, face: Face, undo: bool) -> Said | None:
        """The front; gives the machine's word, or None where the learner is to judge."""
        if face.right is not None:
            return self._chosen(face, undo)
        body = lambda width: pages.question(face, width)  # noqa: E731
        if face.number is not None:
            return self._typed(face, body, undo)
        key = self._page(body, self._foot(["Enter shows the answer"], undo), {"\n", "\r", *("u" if undo else "")})
        if key == "u":
            raise TakenBack
        return None

    def _chosen(self, face: Face, undo: bool) -> Said:
        """A digit marks a choice, another one changes it; Enter judges it."""
        digits = [str(number) for number in range(1, len(face.choices) + 1)]
        chosen, enter = "", ("\n", "\r")
        self.first = 0
        while True:
            keys = [f"Enter judges {chosen}"] if chosen else []
            keys += [f"1–{len(digits)} {'another answer' if chosen else 'your answer'}", "? I do not know"]
            key = self._page(
                lambda width, chosen=chosen: pages.question(face, width, chosen),  # type: ignore[misc]
                self._foot(keys, undo),
                {*digits, "?", *(enter if chosen else ()), *("u" if undo else "")},
                # Who has gone on to the choices stays there.
                self.first,
            )
            if key in digits:
                chosen = key
            elif key == "u":
                raise TakenBack
            else:
                return judged(face, chosen) if key in enter else _nothing(face)

    def _typed(self, face: Face, body: Callable[[int], list[Line]], undo: bool) -> Said:
        text, first, word = "", 0, ""
        several = isinstance(face.number, tuple)
        told = f"your number{'s, such as 1, 0.5, −2' if several else ''} (to {face.tolerance:g})"
        while True:
            foot = self._foot(["Enter judges it", "? I do not know"], undo and not text)

            def with_line(
                width: int, text: str = text, word: str = word, foot: Callable[[int], list[Line]] = foot
            ) -> list[Line]:
                line = f" > {text[-max(4, width - 5) :]}▏"
                return [*pages.said(word, width, "bad"), *pages.said(told, width, "dim"), (line, "bold"), *foot(width)]

            following, key = self._look(body, with_line, first)
            if key == " " and not text:
                first = following
            elif key in "\n\r":
                try:
                    return judged(face, text)
                except NotUnderstood as error:
                    word = str(error)
            elif key in ("\x7f", "\b"):
                text, word = text[:-1], ""
            elif key == "\x15":
                text = ""
            elif key == "?" and not text:
                return _nothing(face)
            elif key == "q" and not text:
                raise Left
            elif key == "u" and undo and not text:
                raise TakenBack
            elif key.isprintable() and len(text) < 200:
                text, word = text + key, ""

    def _page(
        self, body: Callable[[int], list[Line]], foot: Callable[[int], list[Line]], allowed: set[str], first: int = 0
    ) -> str:
        """Show until one of these keys comes. q leaves, the space bar goes on in what is long."""
        while True:
            first, key = self._look(body, foot, first)
            if key in allowed:
                self.word, self.first = "", first
                return key
            if key == "q":
                raise Left
            if key != " " and key.isprintable():
                self.word = f"{key!r} is no key here"

    def _look(
        self, body: Callable[[int], list[Line]], foot: Callable[[int], list[Line]], first: int
    ) -> tuple[int, str]:
        """Draw, and wait for a key; gives where the page stands then, and the key."""
        while True:
            size = self.terminal.size
            under = [*pages.said(self.word, size[0], "bold"), *foot(size[0])]
            lines, following = pages.laid(pages.head(self.head(), size[0]), body(size[0]), under, size, first)
            self._draw(lines)
            key = self.terminal.key(TICK)
            if key == " ":
                # After the last part the first one again.
                return following, key
            if key:
                return first, key

    def show(self, text: str) -> None:
        """A line while something takes its time."""
        size = self.terminal.size
        self._draw([(pages.cut(f" {text}", size[0]), "dim")])

    def _draw(self, lines: list[Line]) -> None:
        text = screen.paint(lines, self.terminal.colour)
        if text != self.drawn or self.terminal.woken:
            self.terminal.write(text)
            self.drawn, self.terminal.woken = text, False

    def _foot(self, keys: list[str], undo: bool) -> Callable[[int], list[Line]]:
        return lambda width: pages.rows([*keys, *self._others(undo)], width)

    def _rating_foot(self, after: dict[Rating, timedelta] | None, width: int, undo: bool) -> list[Line]:
        if after is None:
            return pages.rows(["Did you have it?  y yes", "n no", *self._others(undo)], width)
        return [*pages.rating_keys(after, width), *pages.rows(self._others(undo), width)]

    def _others(self, undo: bool) -> list[str]:
        return [*(["u takes the last rating back"] if undo else []), "q leaves"]


def _nothing(face: Face) -> Said:
    """Not known."""
    right = judged(face, str((face.right or 0) + 1)).wanted if face.right is not None else judged(face, "0").wanted
    return Said(right=False, given="", wanted=right)
