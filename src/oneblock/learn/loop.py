"""The loop of `oneblock learn`: watches the files, grades on save, shows one failure, obeys keys."""

from __future__ import annotations

import ast
import functools
import time
from collections.abc import Callable
from pathlib import Path

from oneblock.learn import screen
from oneblock.learn.course.drawings import desk
from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import text_of
from oneblock.learn.grade import Grade
from oneblock.learn.grading import PRELOAD, check
from oneblock.learn.lab import Lab
from oneblock.learn.process import Child
from oneblock.learn.screen import Line, Shown
from oneblock.learn.terminal import Keys

TICK = 0.25
"""Seconds between two looks at the files."""
SETTLE = 0.05
"""Seconds that a file is given after the first sign of a change."""


class Grader:
    """Grades with a process that has been started ahead, so that a save need not wait for Python and torch."""

    def __init__(self, first: str = "") -> None:
        self.spare: Child | None = Child(preload=PRELOAD.get(first, ""))

    def __call__(self, name: str, path: Path) -> Grade:
        child, self.spare = self.spare, None
        try:
            return check(name, path, child=child)
        finally:
            # Who saved this exercise will most likely save it again.
            self.spare = Child(preload=PRELOAD.get(name, ""))

    def close(self) -> None:
        """End the process that waits."""
        if self.spare is not None:
            self.spare.close()


class Loop:
    """One sitting. grade: (exercise, file) -> Grade; note: said on the first page."""

    def __init__(self, lab: Lab, terminal: Keys, grade: Callable[[str, Path], Grade], note: str = "") -> None:
        self.lab, self.terminal, self.grade = lab, terminal, grade
        self.name = lab.first()
        self.grades: dict[str, tuple[str, Grade]] = {}
        self.hints: dict[tuple[str, str], int] = {}
        self.seen = self._stamps()
        self.word, self.drawn, self.note = "", "", note

    def run(self) -> None:
        """Until q, Ctrl-C or the end of the keys."""
        try:
            self._open(self.name)
            self.word = self.word or self.note
            while True:
                self._draw(self._page())
                key = self.terminal.key(TICK)
                if key == "q":
                    return
                if key:
                    self._obey(key)
                self._look()
        except (KeyboardInterrupt, EOFError):
            return

    def _obey(self, key: str) -> None:
        self.word = ""
        if key == "n":
            self._open(self.lab.first(after=self.name))
        elif key == "h":
            self._hint()
        elif key == "d":
            self._diff()
        elif key == "l":
            self._list()
        elif key == "r":
            self._reset()
        elif key == " ":
            self._read(self.name, screen.whole(self._shown(), self.terminal.size[0]))
        elif key.isprintable():
            self.word = f"{key!r} is no key here"

    def _look(self) -> None:
        """Grade what has been saved since the last look; a file that is an exercise becomes the one that is shown."""
        now = self._stamps()
        changed = [path for path in now if now[path] != self.seen.get(path)]
        gone = [path for path in self.seen if path not in now]
        if not changed and not gone:
            return
        # Some editors write in several steps, or put a new file in the place of the old one.
        time.sleep(SETTLE)
        self.seen = self._stamps()
        names = [path.stem for path in changed if path.stem in self.lab.names]
        self._open(names[0] if names and self.name not in names else self.name, saved=bool(changed))

    def _open(self, name: str, saved: bool = False) -> None:
        """Show an exercise, graded unless nothing has been written there yet."""
        self.name, self.word = name, ""
        text = self.lab.text(name)
        known = self.grades.get(name)
        if text is None or (self.lab.state(name) == "new" and not saved):
            self.grades.pop(name, None)
        elif saved or known is None or known[0] != text:
            self._grade(text)

    def _grade(self, text: str) -> None:
        self.word = "grading …   Ctrl-C stops it"
        self._draw(self._page())
        try:
            grade = self.grade(self.name, self.lab.path(self.name))
        except KeyboardInterrupt:
            self.word = "stopped; it is graded when you save it again, Ctrl-C once more leaves"
            return
        except LearnError as error:
            self.word = str(error)
            return
        self.word = ""
        before = self.grades.get(self.name)
        if before is not None and before[1].root != grade.root:
            self.hints = {key: count for key, count in self.hints.items() if key[0] != self.name}
        self.grades[self.name] = text, grade
        kept = self._kept(lambda: self.lab.graded(grade, text))
        if grade.passed and kept:
            left = sum(step.state != "right" for step in self.lab.steps())
            self.word = f"n goes on: {left} to go" if left else "That was all of them."

    def _kept(self, keep: Callable[[], object]) -> bool:
        """Keep something; a folder that cannot be written is told and ends nothing."""
        try:
            keep()
        except LearnError as error:
            self.word = str(error)
            return False
        return True

    def _hint(self) -> None:
        _, grade = self.grades.get(self.name, ("", None))
        if grade is None:
            self.word = "hints belong to a failure: write something and save it"
        elif grade.passed:
            self.word = "it is right; d shows another way"
        elif not grade.hints:
            self.word = "there is no hint for this one: the message says it"
        else:
            key = self.name, grade.root
            shown = self.hints.get(key, 0)
            if shown < len(grade.hints):
                self.hints[key] = shown + 1
                self._kept(lambda: self.lab.hinted(self.name))
            else:
                self.word = "that was the last hint"

    def _diff(self) -> None:
        _, grade = self.grades.get(self.name, ("", None))
        if self.lab.state(self.name) != "right" or grade is None or not grade.passed:
            self.word = "the reference is shown when yours is right"
            return
        self._read(f"{self.name}: yours and a plain way", screen.diff_text(self.lab.diff(self.name), grade.also))

    def _read(self, title: str, text: str) -> None:
        first = 0

        def part() -> tuple[list[Line], bool]:
            return screen.reading(title, text, *self.terminal.size, first)

        while True:
            key = self._wait(lambda: part()[0])
            if key != " " or not part()[1]:
                return
            first += max(1, self.terminal.size[1] - 4)

    def _list(self) -> None:
        steps, typed = self.lab.steps(), ""
        drawings = desk.summary(self.lab.folder)

        def listing() -> list[Line]:
            return screen.listing(steps, *self.terminal.size, typed, drawings)

        while True:
            key = self._wait(listing)
            if key.isdigit():
                typed = (typed + key)[:2]
            elif key == "\x7f":
                typed = typed[:-1]
            elif key in "\r\n":
                for step in steps:
                    if typed and step.number == int(typed):
                        self._open(step.name)
                return
            else:
                return

    def _reset(self) -> None:
        self.word = f"r once more: {self.name}.py begins anew (yours is kept beside it); any other key: no"
        if self._wait(self._page) != "r":
            self.word = "nothing was changed"
            return
        try:
            kept = self.lab.reset(self.name)
        except LearnError as error:
            self.word = str(error)
            return
        self.grades.pop(self.name, None)
        self.seen = self._stamps()
        self.word = f"begun anew; what you had is in {kept.name}" if kept else "begun anew"

    def _wait(self, page: Callable[[], list[Line]]) -> str:
        """The next key; until then the page is there, also where the terminal gets another size."""
        while True:
            self._draw(page())
            if key := self.terminal.key(TICK):
                return key

    def _page(self) -> list[Line]:
        return screen.page(self._shown(), *self.terminal.size)

    def _shown(self) -> Shown:
        steps = self.lab.steps()
        step = next(step for step in steps if step.name == self.name)
        _, grade = self.grades.get(self.name, ("", None))
        return Shown(
            step=step,
            total=len(steps),
            done=sum(each.state == "right" for each in steps),
            file=str(self.lab.path(self.name)),
            grade=grade,
            lesson=opening(self.name),
            hints=self.hints.get((self.name, grade.root), 0) if grade else 0,
            word=self.word,
        )

    def _draw(self, lines: list[Line]) -> None:
        """Only where something is new: a screen that is painted again and again flickers."""
        text = screen.paint(lines, self.terminal.colour)
        if text != self.drawn or self.terminal.woken:
            self.terminal.write(text)
            self.drawn, self.terminal.woken = text, False

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in self.lab.folder.glob("*.py"):
            try:
                state = path.stat()
            except OSError:
                continue
            found[path] = state.st_mtime_ns, state.st_size
        return found


@functools.cache
def opening(name: str) -> str:
    """The first words of an exercise's lesson: up to the first thing that is not a sentence."""
    said = ast.get_docstring(ast.parse(text_of(name, "stub"))) or ""
    return " ".join(said.split("\n\n")[1].split()) if "\n\n" in said else said
