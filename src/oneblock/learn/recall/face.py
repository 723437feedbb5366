"""A card's two sides, and what the machine says of a typed answer."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass, replace

from oneblock.learn.check_words import words_of
from oneblock.learn.course import cards as formula_cards
from oneblock.learn.course.question import Question
from oneblock.learn.course.sources import source
from oneblock.learn.exercises import NAMES, exercise_named, title_of
from oneblock.learn.recall.course import Course
from oneblock.learn.recall.deck import Card

MINUS = str.maketrans({"−": "-", "–": "-"})
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
FRACTION = re.compile(r"([^/]+)/([^/]+)")


@dataclass(frozen=True, kw_only=True)
class Face:
    """A card as it is asked. prompt, answer, choices: Markdown with maths.

    number, tolerance: what a typed number is held against; right: the right choice, from 0. None: judged by oneself.
    """

    title: str
    prompt: str
    answer: str
    number: float | tuple[float, ...] | None = None
    tolerance: float = 0.005
    choices: tuple[str, ...] = ()
    right: int | None = None

    @property
    def gradable(self) -> bool:
        """Whether the machine judges."""
        return self.number is not None or self.right is not None


@dataclass(frozen=True, kw_only=True)
class Said:
    """What came of a typed answer. given, wanted: the learner's and the right one, as they are shown."""

    right: bool
    given: str
    wanted: str


class NotUnderstood(ValueError):
    """What was typed is no answer at all: it is asked for again and not judged."""


def face(card: Card, course: Course) -> Face | None:
    """The two sides of a card; None where there is no such card any more. Wrong variants load torch."""
    if card.kind == "prompt":
        lesson, _, id = card.of.partition("/")
        return of_question(course.question(lesson, id), course.lessons[lesson].title)
    if card.kind == "formula":
        return of_formula(course.formulas[card.of])
    return _mistake(*card.of.partition("/")[::2]) if card.kind == "wrong" else None


def of_question(question: Question, title: str) -> Face:
    """A question of a lesson."""
    number = question.number
    assert not isinstance(number, str), f"{question.lesson}: {question.id} has not been filled"
    return Face(
        title=title,
        prompt=question.prompt,
        answer=question.answer,
        number=tuple(number) if isinstance(number, list | tuple) else number,
        tolerance=question.tolerance,
        choices=question.choices,
        right=question.right,
    )


def of_formula(card: formula_cards.Card) -> Face:
    """A formula card: its name in front, the formula, its letters, its trap and its source behind."""
    letters = "\n".join(f"- ${letter}$: {meaning}" for letter, meaning in card.symbols.items())
    found = source(card.source)
    parts = [f"$$\n{card.formula}\n$$", letters, card.says, f"Trap: {card.trap}",
             f"Source: {found.title} ({found.year}), {card.where}."]  # fmt: skip
    return Face(
        title="Formula",
        prompt=f"{card.title}: write the formula down, and say what its letters mean.",
        answer="\n\n".join(part for part in parts if part),
    )


def shuffled(face: Face, seed: str) -> Face:
    """The same with its choices in another order: the place of the right one is not what is to be learned."""
    if face.right is None:
        return face
    order = list(range(len(face.choices)))
    random.Random(seed).shuffle(order)
    return replace(face, choices=tuple(face.choices[at] for at in order), right=order.index(face.right))


def judged(face: Face, typed: str) -> Said:
    """A typed answer held against the right one; NotUnderstood where it is none."""
    if face.right is not None:
        if not (typed.strip().isdecimal() and 1 <= int(typed) <= len(face.choices)):
            raise NotUnderstood(f"one of 1 to {len(face.choices)}")
        return Said(
            right=int(typed) - 1 == face.right,
            given=face.choices[int(typed) - 1],
            wanted=face.choices[face.right],
        )
    assert face.number is not None
    several = isinstance(face.number, tuple)
    wanted = face.number if isinstance(face.number, tuple) else (face.number,)
    found = readings(typed, one=not several)
    close = [given for given in found if _all_close(given, wanted, face.tolerance)]
    # What is shown to the learner is the reading that fits, else the one that has as many numbers.
    given = next(iter([*close, *(each for each in found if len(each) == len(wanted)), found[0]]))
    return Said(right=bool(close), given=shown(given, several), wanted=shown(wanted, several))


def readings(typed: str, one: bool) -> list[tuple[float, ...]]:
    """Typed numbers: `0.25`, `1/4`, `-3`, `[1, 2, 3]`, `1 2 3`, `1e-5`, `inf`; NotUnderstood where they are none.

    A comma may part numbers, thousands (`1,024`) or, in one number, decimals (`0,25`): every reading that there is.
    """
    text = typed.translate(MINUS).strip().strip("[]() ")
    apart = [part for part in re.split(r"[;\s]+|,\s+", text) if part.strip(",")]
    if not apart:
        raise NotUnderstood("type a number" if one else "type the numbers, such as 1, 0.5, -2")
    found: list[tuple[float, ...]] = []
    if one and re.fullmatch(r"[-+]?\d+,\d+", text):
        found.append((_number(text.replace(",", ".")),))
    if any(THOUSANDS.fullmatch(part) for part in apart):
        found.append(tuple(_number(re.sub(",", "", part) if THOUSANDS.fullmatch(part) else part) for part in apart))
    if not one or not found:
        found.append(tuple(_number(part) for part in re.split(r"[,;\s]+", text) if part))
    return found


def shown(values: tuple[float, ...], several: bool) -> str:
    """Numbers as a person writes them: whole ones whole, others with six digits, large ones with three decimals."""
    parts = [_shown(value).replace("-", "−") for value in values]
    return f"[{', '.join(parts)}]" if several or len(parts) != 1 else parts[0]


def _shown(value: float) -> str:
    if value == value // 1 and abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.3f}" if 1000 <= abs(value) < 1e15 else f"{value:.6g}"


def _number(text: str) -> float:
    parts = FRACTION.fullmatch(text)
    try:
        value = float(parts[1]) / float(parts[2]) if parts else float(text)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if math.isnan(value):
        raise NotUnderstood(f"{text!r} is not a number; 0.25, 1/4 and 1e-5 are")
    return value


def _all_close(given: tuple[float, ...], wanted: tuple[float, ...], tolerance: float) -> bool:
    return len(given) == len(wanted) and all(_close(*pair, tolerance) for pair in zip(given, wanted, strict=True))


def _close(one: float, two: float, tolerance: float) -> bool:
    # The last digit that is shown may be typed: rounding has a little room beyond it.
    return one == two or abs(one - two) <= tolerance * (1 + 1e-9)


def _mistake(exercise: str, variant: str) -> Face | None:
    """A wrong variant that was the learner's own."""
    if exercise not in NAMES:
        return None
    wrong = next((wrong for wrong in exercise_named(exercise).wrong if wrong.name == variant), None)
    if wrong is None:
        return None
    seen = {check.id: check.hints[0] for check in exercise_named(exercise).checks if check.id in wrong.dies}
    held = [f"What must hold, and does not: {seen[check]}" for check in wrong.dies if check in seen]
    fails = " or ".join(f"“{words_of(exercise, check)}”" for check in wrong.dies)
    answer = [wrong.repair, *held, f"`oneblock check {exercise}` shows it as a failure of {fails}."]
    return Face(
        title=f"{title_of(exercise)}: once you had this",
        prompt=f"What is wrong with {wrong.says}, and how would you see it?",
        answer="\n\n".join(part for part in answer if part),
    )
