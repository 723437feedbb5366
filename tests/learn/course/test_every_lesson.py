"""Every lesson is filled, whole and consistent."""

import collections
import math
import re

import pytest

from oneblock.learn.course.lesson import ALL, NAMES, TIERS, lesson
from oneblock.learn.course.markup import headings, texts
from oneblock.learn.course.page import INTERACTIVES, filled
from oneblock.learn.course.rules import blanked

LEAST = {"retrieval": 4, "predict": 2, "exercise": 3, "completion": 3, "interview": 2}
LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def test_every_lesson_of_the_tiers_is_there():
    assert NAMES == ALL


@pytest.mark.parametrize("name", NAMES)
def test_it_is_filled(name):
    page = filled(lesson(name))
    assert "{{" not in page.body + page.reference and not re.search(r"\bnan\b|Undefined|<function", page.body)
    assert [heading.words for heading in headings(page.body) if heading.level == 2][-1] == "Limits"
    for block in page.pieces.values():
        assert f"```piece\n{block.key}\n```" in page.body + page.reference + "".join(
            question.prompt + question.answer for question in page.questions
        )
    assert len(page.reference.split()) < 900, "a reference is one printed page"
    assert (f"interactive:{INTERACTIVES.get(name)}" in page.pieces) == (name in INTERACTIVES)


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_enough(name):
    asked = lesson(name).questions
    kinds = collections.Counter(question.kind for question in asked)
    assert all(kinds[kind] >= least for kind, least in LEAST.items()), kinds
    assert {"easy", "medium", "hard"} <= {question.level for question in asked}
    completion = [question for question in asked if question.kind == "completion"]
    assert {question.part for question in completion} == {"theory", "practice", "design"}
    assert sum(bool(question.graded_by) for question in completion) >= 2
    assert all(question.drawing for question in asked if question.level == "drawing")


@pytest.mark.parametrize("name", NAMES)
def test_predictions_stand_in_the_text(name):
    page = filled(lesson(name))
    placed = {piece.name for piece in page.pieces.values() if piece.kind == "predict"}
    assert {question.id for question in page.questions if question.kind == "predict"} == placed


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_answers_agree(name):
    for question in filled(lesson(name)).questions:
        if question.number is None:
            continue
        values = question.number if isinstance(question.number, tuple) else (question.number,)
        assert values and all(math.isfinite(value) for value in values), question.id
        # An exponent counts as a number of its own.
        said = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda raised: f" {raised[0].translate(LOWERED)} ", question.answer)
        said = said.replace("−", "-").replace(r"\,", "")
        found = [float(number.replace(",", "")) for number in NUMBER.findall(said)]
        for value in values:
            assert any(abs(value - other) <= max(question.tolerance, 0.01 * abs(value)) for other in found), (
                f"{question.id}: {value} is not in the model answer"
            )


def test_answers_do_not_count_choices():
    """Recall puts choices in another order."""
    counted = re.compile(
        r"\b(first|second|third|fourth|last|other two) (choices?|options?|answers?|lines?|mix)\b", re.IGNORECASE
    )
    for name in NAMES:
        for question in lesson(name).questions:
            found = counted.search(question.answer) if question.choices else None
            assert found is None, f"{name}: {question.id}: {found}"


def test_lessons_need_what_comes_before():
    for name in NAMES:
        tier = list(TIERS).index(lesson(name).tier)
        for need in lesson(name).needs:
            there = next(index for index, names in enumerate(TIERS.values()) if need in names)
            assert there <= tier and ALL.index(need) < ALL.index(name), f"{name} needs {need}, which comes later"


def test_no_sentence_stands_in_two_lessons():
    where = collections.defaultdict(set)
    for name in NAMES:
        given = lesson(name)
        questions = [text for q in given.questions for text in (q.prompt, q.answer)]
        for text in (given.body, given.reference, *questions):
            for prose, _ in texts(blanked(text)):
                for sentence in re.split(r"(?<=[.?!:])\s+", prose):
                    # What is left of a computed line is no sentence.
                    if len(re.findall(r"[^\W\d_]{2,}", sentence)) >= 7:
                        where[sentence.strip().lower()].add(name)
    assert not {sentence: names for sentence, names in where.items() if len(names) > 1}


EXEMPT = (
    r"(?ms)^ *```.*?^ *```", r"`[^`\n]+`", r"(?s)\$\$.*?\$\$", r"(?s)\$[^$]+?\$", r"(?s)\{\{.*?\}\}", r"(?s)\{%.*?%\}",
    r"\[[^\]]*\]\(source:[^)]*\)",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_decimal_is_typed(name):
    """The same rule as the engine's, read off the text in another way."""
    given = lesson(name)
    questions = [text for q in given.questions for text in (q.prompt, q.answer, *q.choices)]
    for text in (given.body, given.reference, *questions):
        for pattern in EXEMPT:
            text = re.sub(pattern, " x ", text)
        assert not re.findall(r".{0,40}(?<![\w.])\d*\.\d+.{0,20}", text)
