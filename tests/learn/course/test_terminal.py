"""Lessons as a terminal shows them, wide and narrow."""

import io
import re

import pytest
from course_writing import BODY, QUESTIONS, write
from rich.cells import cell_len
from rich.console import Console

from oneblock.learn.course import terminal
from oneblock.learn.course.lesson import NAMES, lesson, read
from oneblock.learn.course.page import filled

MORE = """
A [C1](check:C1), `code`, *this* and $\\frac{1}{\\sqrt{d}}$.

$$
y = x + f(x)
$$

> **Trap.** Mind it.

{{ figure("sums") }}

{{ code("add", 1) }}

{{ n.rows | grid(1, heads=["one", "two"]) }}
"""


def console(width=80):
    return Console(theme=terminal.THEME, highlight=False, width=width, file=io.StringIO())


def small(tmp_path, monkeypatch, **changes):
    given = read(write(tmp_path / "small", **{"body": BODY + MORE, **changes}))
    monkeypatch.setattr(terminal, "lesson", lambda name: given)


def shown(width=80, **options):
    screen = console(width)
    found = terminal.read("small", console=screen, **options)
    return screen.file.getvalue(), found


def test_a_lesson(tmp_path, monkeypatch):
    small(tmp_path, monkeypatch)
    text, found = shown()
    for words in (
        "A lesson", "foundation, 20 minutes; needs norm", "After it you can add.", "The first part", "are 5.25.",
        "A C1, code, this and 1/√d.", "y = x + f(x)", "▌ Trap. Mind it.", "Predict", "What is 1.0 and four?",
        "Figure: Sums", "Sums, the last is 5.25.", "from 1 to 5.25 over 3 points", "def add(", "→ [5.2, 2.0]", "one",
        "oneblock check block", "oneblock compare residuals", "oneblock doctor FILE:NAME", "Attention Is All You Need", "for the figure",
    ):  # fmt: skip
        assert words in re.sub(r"\s+", " ", text), words
    assert "check:C1" not in text and "piece" not in text and "$" not in text
    assert found["lesson"] == "small" and found["checks"] == ["C1"] and "5.25" in found["body"]
    assert found["questions"][0]["graded_by"] == "number" and found["figures"][0]["name"] == "sums"


def test_answers_are_hidden_until_asked_for(tmp_path, monkeypatch):
    small(tmp_path, monkeypatch)
    for options in ({}, {"questions": True}, {"reference": True}):
        text, _ = shown(**options)
        assert "It is 5" not in text and "The second" not in text
    text, _ = shown(questions=True, answers=True)
    assert "It is 5." in text and "b) The second, 5.25." in text and "The first part" not in text
    assert "It is 5." in shown(answers=True)[0]


def test_the_reference_and_the_questions_alone(tmp_path, monkeypatch):
    small(tmp_path, monkeypatch)
    text, _ = shown(reference=True)
    assert "Adding" in text and "The first part" not in text and "Completion check" not in text
    text, _ = shown(questions=True)
    assert "Completion check" in text and "Predict, then look" in text and "b) two" in text and "Adding" not in text


def test_a_prediction_without_its_place_is_asked_below(tmp_path, monkeypatch):
    small(tmp_path, monkeypatch, body=BODY.replace('{{ predict("guess") }}', ""))
    text, _ = shown()
    assert "Predict, then look" in text and "What is 1.0 and four?" in text


def test_what_has_to_be_passed_is_told(tmp_path, monkeypatch):
    small(tmp_path, monkeypatch, questions=QUESTIONS.replace('number = "n.total - 0.25"', 'exercise = "block"'))
    assert "done when `oneblock check block` passes" in re.sub(r"\s+", " ", shown(questions=True)[0])
    small(tmp_path, monkeypatch, questions=QUESTIONS.replace('number = "n.total - 0.25"', 'drawing = "block"'))
    assert "done when `oneblock check draw_block` passes" in re.sub(r"\s+", " ", shown(questions=True)[0])


@pytest.mark.parametrize("width", [40, 200])
def test_no_line_is_wider_than_the_terminal_or_than_can_be_read(tmp_path, monkeypatch, width):
    small(tmp_path, monkeypatch)
    text, _ = shown(width)
    assert max(map(cell_len, text.splitlines())) <= min(width, terminal.MOST)
    assert "Mind it." in text


@pytest.mark.parametrize("name", NAMES)
def test_every_lesson_can_be_read(name):
    for width in (46, 100):
        screen = console(width)
        for part in terminal._parts(filled(lesson(name)), reference=False, questions=False, answers=True):
            screen.print(part, width=min(width, terminal.MOST))
        text = screen.file.getvalue()
        assert (
            max(map(cell_len, text.splitlines())) <= width and "```" not in text and not re.search(r"lesson:\w", text)
        )


def test_the_list_of_lessons():
    screen = console()
    found = terminal.lessons(screen)
    assert [tier["tier"] for tier in found["tiers"]] == ["foundation", "architecture", "training", "modern"]
    assert [each["lesson"] for tier in found["tiers"] for each in tier["lessons"]] == list(NAMES)
    assert lesson("norm").title in screen.file.getvalue() and "oneblock learn read NAME" in screen.file.getvalue()


@pytest.mark.parametrize("width", [30, 40, 59, 60, 100])
def test_the_list_of_lessons_cuts_nothing(width):
    screen = console(width)
    terminal.lessons(screen)
    text = screen.file.getvalue()
    assert "…" not in text and all(cell_len(line) <= width for line in text.splitlines())
    said = re.sub(r"\s+", " ", text)
    for name in NAMES:
        assert f"{lesson(name).minutes} min" in said and name in said
    if width < 60:
        assert f"residual {lesson('residual').minutes} min The residual connection After it" in said
