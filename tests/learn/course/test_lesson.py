"""A lesson's folder: what is read, and that every error names file, field and what is allowed."""

import re

import pytest
from course_writing import BODY, HEAD, QUESTIONS, write

from oneblock.learn.course.lesson import ALL, LESSONS, NAMES, TIERS, lesson, read
from oneblock.learn.errors import LearnError


def test_what_a_folder_holds(tmp_path):
    found = read(write(tmp_path / "small"))
    assert (found.name, found.title, found.tier, found.minutes) == ("small", "A lesson", "foundation", 20)
    assert found.needs == ("norm",) and found.exercises == ("block",) and found.checks == ("C1",)
    assert found.next == (("vaswani", "for the figure"),)
    # The body begins on the line after the second +++, which is that of its error messages.
    assert found.body == BODY and found.starts == len(HEAD) + 3
    assert "{{ n.total" in found.body and found.reference.startswith("## Adding")
    guess, choose = found.questions
    assert (guess.lesson, guess.id, guess.kind, guess.number, guess.graded_by) == (
        "small", "guess", "predict", "n.total - 0.25", "number",
    )  # fmt: skip
    assert guess.tolerance == 0.005 and guess.right is None
    assert (choose.part, choose.right, choose.graded_by) == ("theory", 1, "choices")


def test_tiers():
    assert len(ALL) == len(set(ALL)) == 26
    assert [len(names) for names in TIERS.values()] == [5, 7, 6, 8]
    assert set(NAMES) <= set(ALL) and set(NAMES) == {path.parent.name for path in LESSONS.glob("*/lesson.md")}


def test_a_lesson_that_is_not_there():
    with pytest.raises(LearnError, match=r"nrom is not a lesson; try norm.*oneblock learn lessons"):
        lesson("nrom")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("title", None, "small/lesson.md: title is missing"),
        ("title", '" "', "small/lesson.md: title is empty"),
        ("tier", '"fundament"', "tier = 'fundament' is none of foundation, architecture, training, modern"),
        ("minutes", '"20"', "minutes = '20' should be a int"),
        ("minutes", "true", "minutes = True should be a int"),
        ("minutes", "0", "minutes = 0 must be at least 1"),
        ("needs", "[1]", "needs: 1 is not a name"),
        ("checks", '["C1", "C1"]', "checks names one twice"),
        ("next", '["vaswani"]', "next: 'vaswani' is not"),
        ("experiment", '["x"]', "experiment is not a field; try experiments"),
        ("goal", "x", "between the two +++: Invalid value"),
    ],
)
def test_wrong_front_matter(tmp_path, field, value, message):
    with pytest.raises(LearnError, match=re.escape(message)):
        read(write(tmp_path / "small", head={field: value}))


@pytest.mark.parametrize(
    ("text", "message"), [("x", "must begin with a line +++"), ("+++\ntitle = 1", "the second line +++ is missing")]
)
def test_no_front_matter(tmp_path, text, message):
    folder = write(tmp_path / "small")
    (folder / "lesson.md").write_text(text)
    with pytest.raises(LearnError, match=re.escape(message)):
        read(folder)


@pytest.mark.parametrize("name", ["lesson.md", "reference.md", "questions.toml"])
def test_a_file_that_is_missing(tmp_path, name):
    folder = write(tmp_path / "small")
    (folder / name).unlink()
    with pytest.raises(LearnError, match=f"small/{name} is not there"):
        read(folder)
    (folder / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LearnError, match=f"small/{name} is not UTF-8"):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "predict"', 'kind = "predicted"', "question guess: kind = 'predicted' is none; try predict"),
        ('kind = "predict"', 'kind = "exercise"', "question guess: level (easy, medium, hard, drawing) belongs to"),
        ('part = "theory"', "", "question choose: part (theory, practice, design) belongs to kind = 'completion'"),
        ('part = "theory"', 'part = "theorie"', "question choose: part = 'theorie' is none; try theory"),
        ('part = "theory"', 'part = "theory"\nlevel = "easy"', "question choose: level (easy"),
        ('id = "choose"', 'id = "guess"', "question guess: there is another of this id"),
        ('id = "guess"', "", "question 1: id is missing"),
        ('answer = "It is $5$."', "", "question guess: answer is missing"),
        ('answer = "It is $5$."', 'answer = ""', "question guess: answer is empty"),
        ("right = 1", "right = 2", "question choose: right = 2 should be 0 to 1"),
        ("right = 1", "right = -1", "question choose: right = -1 should be 0 to 1"),
        ("right = 1", "", "question choose: choices and right (from 0) belong together"),
        ("right = 1", 'right = 1\nnumber = "1"', "has number and choices; at most one of"),
        ('"two"]', '"{{ n.total | num(1) }}"]', "question choose: two choices are the same"),
        ('"two"]', '""]', "question choose: choices must be at least two texts"),
        ('number = "n.total - 0.25"', "number = 5.0", "number = 5.0 should be a str"),
        ('number = "n.total - 0.25"', "tolerance = 0.1", "tolerance = 0.1 must be above 0, and belongs to a number"),
        ('number = "n.total - 0.25"', 'number = "n.total"\ntolerance = 0', "tolerance = 0 must be above 0"),
        ("[[question]]\nid", "[[questions]]\nid", "questions is not a field; try question"),
        ("prompt", "promt", "promt is not a field; try prompt"),
        ('kind = "predict"', "kind = predict", "small/questions.toml: Invalid value"),
    ],
)
def test_wrong_questions(tmp_path, old, new, message):
    assert old in QUESTIONS
    with pytest.raises(LearnError, match=re.escape(message)):
        read(write(tmp_path / "small", questions=QUESTIONS.replace(old, new, 1)))
