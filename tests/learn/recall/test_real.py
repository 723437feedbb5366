"""The course as it is: every card can be asked, and is readable in a terminal."""

import re

import pytest
from rich.cells import cell_len

from oneblock.learn.recall import pages
from oneblock.learn.recall.course import course
from oneblock.learn.recall.deck import Card
from oneblock.learn.recall.face import face, judged, of_question, shown

WHOLE = course()
RAW = re.compile(r"\\[a-zA-Z]{2,}|\$|\{\{|\]\(\w+:")
"""LaTeX, Jinja and links that were not made readable."""


def readable(front, width):
    lines = [text for text, _ in (*pages.question(front, width), *pages.answer(front, width, None))]
    assert not [line for line in lines if RAW.search(line)]
    return sum(cell_len(line) > width for line in lines)


@pytest.mark.parametrize("name", list(WHOLE.lessons))
def test_every_prompt_and_completion_question(name):
    lesson = WHOLE.lessons[name]
    for question in WHOLE.fill(lesson):
        if question.kind in ("retrieval", "completion"):
            front = of_question(question, lesson.title)
            assert [readable(front, width) for width in (80, 50)] == [0, 0], question.id
        if question.number is not None:
            several = isinstance(question.number, tuple)
            text = shown(question.number if several else (question.number,), several)
            assert judged(of_question(question, lesson.title), text).right, question.id


def test_every_formula_card():
    assert len(WHOLE.formulas) > 30
    for name in WHOLE.formulas:
        front = face(Card(kind="formula", of=name), WHOLE)
        assert [readable(front, width) for width in (80, 50)] == [0, 0], name


def test_most_formula_cards_come_with_some_lesson():
    shown_somewhere = {card for name in WHOLE.lessons for card in WHOLE.formulas_of(name)}
    assert len(shown_somewhere) > len(WHOLE.formulas) / 2, sorted(set(WHOLE.formulas) - shown_somewhere)


def test_every_tier_can_be_revised():
    from oneblock.learn.recall.revision import needed, parted, rule

    for tier in WHOLE.tiers:
        asked, _ = parted(WHOLE, tier)
        assert len(asked) >= 5 and needed(len(asked)) < len(asked), tier
        assert rule(WHOLE, tier)[0].startswith("You are ready for")
