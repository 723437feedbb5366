"""A small course of our own, a clock that is set by hand, and a terminal whose keys are given."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oneblock.learn.course.cards import Card
from oneblock.learn.course.lesson import Lesson
from oneblock.learn.course.question import Question
from oneblock.learn.grade import Grade, Line
from oneblock.learn.lab import Lab
from oneblock.learn.recall.course import Course
from oneblock.learn.recall.desk import Desk
from oneblock.learn.recall.session import Session
from oneblock.learn.recall.store import Journal

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def question(lesson, id, kind="retrieval", **more):
    return Question(lesson=lesson, id=id, kind=kind, prompt=f"What of {id}?", answer=f"The answer to {id}.", **more)


def lesson(name, tier, exercises=(), body="", questions=()):
    return Lesson(
        name=name, folder=Path(name), title=f"On {name}", tier=tier, minutes=5, goal="g", needs=(),
        exercises=exercises, experiments=(), checks=(), next=(), body=body, reference="", questions=questions,
    )  # fmt: skip


LESSONS = (
    lesson(
        "norm", "low", ("softmax",), "{{ cards('norms') }} and [it](card:gate)",
        (
            question("norm", "axis"),
            question("norm", "mean", number=0.25),
            question("norm", "side", choices=("left", "right", "middle"), right=1),
            question("norm", "guess", "predict"),
            question("norm", "end-number", "completion", part="theory", number=(1.0, -2.0)),
            question("norm", "end-choice", "completion", part="design", choices=("a", "b"), right=0),
            question("norm", "end-open", "completion", part="theory"),
            question("norm", "end-build", "completion", part="practice", exercise="causal_mask"),
        ),
    ),
    lesson("block", "low", ("attention",), "", (question("block", "twice"), question("block", "order"))),
    lesson("cache", "high", (), "[it](card:gate)", (question("cache", "why"),)),
)  # fmt: skip


class Clock:
    """Tells what it was set to; `pass_` lets time go by."""

    def __init__(self, now=BEGAN):
        self.now = now

    def __call__(self):
        return self.now

    def pass_(self, **time):
        self.now += timedelta(**time)


class Played:
    """A terminal whose keys are given: a key, or a function of the terminal that may give one."""

    colour, woken = False, False

    def __init__(self, *keys, size=(80, 24)):
        self.keys, self.size, self.pages, self.at = list(keys), size, [], []

    def key(self, seconds):
        if not self.keys:
            raise EOFError
        key = self.keys.pop(0)
        self.at.append(self.pages[-1])
        if isinstance(key, str):
            return key
        return key(self) or ""

    def write(self, text):
        rows = text.removeprefix("\x1b[H\x1b[2J").split("\r\n")
        assert len(rows) <= self.size[1] and all(len(row) <= self.size[0] for row in rows), text
        assert not any(ord(c) < 32 for row in rows for c in row)
        self.pages.append("\n".join(rows))


@pytest.fixture
def course():
    return Course(
        tiers={"low": ("norm", "block", "unwritten"), "high": ("cache",)},
        lessons={each.name: each for each in LESSONS},
        fill=lambda lesson: lesson.questions,
        formulas={
            name: Card(
                id=name, topic="t", title=f"The {name}", formula=rf"\frac{{{name}}}{{2}}", says=f"It is the {name}.",
                trap="None.", source="vaswani", where="equation 2", symbols={"x": "a number"},
            )
            for name in ("gate", "rms")
        },
        practice={"low": ("softmax", "attention", "causal_mask")},
        topics={"norms": ("rms",)},
    )  # fmt: skip


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path / "mine")
    lab.make()
    return lab


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(lab, course, clock):
    """`desk(lessons=…, tier=…)`: what is due, read anew from the files."""
    return lambda **more: Desk(Lab(lab.folder), Journal(lab.folder, clock), course, now=clock, **{"seed": 0, **more})


@pytest.fixture
def sit(desk):
    """`sit(*keys, minutes=…, …)`: a sitting with such keys; gives the session and its terminal."""

    def played(*keys, minutes=5.0, check=None, size=(80, 24), **more):
        terminal = Played(*keys, size=size)
        session = Session(desk(**more), terminal, check or (lambda name, path: None), minutes=minutes)
        session.run()
        return session, terminal

    return played


@pytest.fixture
def right():
    return lambda name: Grade(exercise=name, passed=True, checks=(Line(id="a", status="PASS"),))


@pytest.fixture
def wrong():
    return lambda name, *named: Grade(
        exercise=name, passed=False, named=named, root="values", diagnosis="your answer equals something else",
        checks=(Line(id="values", status="FAIL", message="off by 0.3"),),
    )  # fmt: skip
