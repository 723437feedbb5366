"""The learner's folder: made, continued, never overwritten; how far one is stands in a plain file."""

import ast
import json
from hashlib import sha256

import pytest

from oneblock.learn import lab as labs
from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import GRADUATION, NAMES, text_of, title_of
from oneblock.learn.grade import Grade, Line
from oneblock.learn.lab import PROGRESS, Lab, stub

ONE, TWO = NAMES[:2]


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path / "my_transformer")
    assert lab.make() == list(NAMES)
    return lab


def right(name):
    return Grade(exercise=name, passed=True, checks=(Line(id="a", status="PASS"),))


def states(lab):
    return {step.name: step.state for step in Lab(lab.folder).steps()}


def test_a_folder_has_a_file_for_each_exercise_and_a_list(lab):
    assert {path.stem for path in lab.folder.glob("*.py")} == {*NAMES, GRADUATION, "__init__"}
    assert set(states(lab).values()) == {"new"} and lab.first() == ONE
    cover = (lab.folder / "__init__.py").read_text()
    assert all(title_of(name) in cover for name in NAMES) and ast.parse(cover)
    numbers = {step.name: step.number for step in lab.steps()}
    assert (numbers["lists"], numbers["softmax"], numbers["hunt"]) == (0, 1, 16) and "   0  lists.py" in cover


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_a_lesson_and_holds_nothing_of_the_solution(name):
    text = stub(name)
    tree = ast.parse(text)
    assert len(ast.get_docstring(tree)) > 200 and "to write" in text
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert len(node.body) <= 3, f"{node.name} is more than its docstring and what it raises"


@pytest.mark.parametrize("name", NAMES)
def test_what_may_be_taken_from_earlier_files_is_there(name):
    for entry in labs.EARLIER.get(name, ()):
        file, _, what = entry.partition(".")
        if file in NAMES:
            assert NAMES.index(file) < NAMES.index(name)
            assert f"from .{file} import {what}\n" in stub(name)
            assert f"{what}(" in text_of(file, "stub")


def test_nothing_is_overwritten_and_what_is_missing_is_made(lab):
    lab.path(ONE).write_text("mine")
    (lab.folder / "__init__.py").write_text("# mine")
    lab.path(TWO).unlink()
    assert states(lab)[TWO] == "gone"
    assert Lab(lab.folder).make() == [TWO]
    assert lab.text(ONE) == "mine" and (lab.folder / "__init__.py").read_text() == "# mine"
    assert states(lab)[ONE] == "begun"


def test_progress_outlives_the_sitting_and_belongs_to_the_text(lab):
    lab.path(ONE).write_text("good")
    lab.hinted(ONE)
    lab.graded(right(ONE), "good")
    assert states(lab)[ONE] == "right" and Lab(lab.folder).first() == TWO
    step = Lab(lab.folder).steps()[0]
    assert step.hints == 1 and step.since.startswith("20")
    lab.path(ONE).write_text("other")
    assert states(lab)[ONE] == "changed" and Lab(lab.folder).first() == ONE
    lab.path(ONE).write_text("good")
    lab.graded(Grade(exercise=ONE, passed=False, checks=()), "good")
    assert states(lab)[ONE] == "changed"


def test_an_untouched_file_of_an_older_version_is_not_begun(lab):
    lab.path(ONE).unlink()
    assert lab.make() == [ONE]
    older = stub(ONE) + "# of an older version\n"
    lab.path(ONE).write_text(older)
    assert lab.state(ONE) == "begun"
    lab.progress[ONE]["made"] = sha256(older.encode()).hexdigest()
    assert lab.state(ONE) == "new"
    lab.path(ONE).write_text(older + "x = 1\n")
    assert lab.state(ONE) == "begun"
    assert "made" in Lab(lab.folder).progress[ONE]


def test_next_goes_round(lab):
    for name in NAMES:
        lab.graded(right(name), lab.text(name))
    assert lab.first() == NAMES[-1] and lab.first(after=ONE) == TWO and lab.first(after=NAMES[-1]) == ONE
    lab.path(TWO).write_text("changed")
    assert lab.first(after=NAMES[-1]) == TWO


def test_reset_keeps_every_text(lab):
    for number, text in enumerate(("a", "b"), 1):
        lab.path(ONE).write_text(text)
        lab.graded(right(ONE), text)
        assert lab.reset(ONE).name == f"{ONE}.py.bak{number}"
    assert [(lab.folder / f"{ONE}.py.bak{number}").read_text() for number in (1, 2)] == ["a", "b"]
    assert states(lab)[ONE] == "new" and lab.text(ONE) == stub(ONE)
    lab.path(ONE).unlink()
    assert lab.reset(ONE) is None and lab.text(ONE) == stub(ONE)


def test_the_difference_leaves_the_lesson_out(lab):
    lab.path(ONE).write_text('"""A lesson."""\n\nx = 1\n')
    diff = lab.diff(ONE)
    assert "-x = 1" in diff and "lesson" not in diff and "+def softmax" in diff
    lab.path(ONE).write_text(text_of(ONE, "reference"))
    assert lab.diff(ONE) == ""


@pytest.mark.parametrize("name", ["my-transformer", "torch", "json", "oneblock", "2fast", ONE])
def test_a_folder_that_can_be_no_package_is_refused(tmp_path, name):
    with pytest.raises(LearnError, match="--dir"):
        Lab(tmp_path / name).make()
    assert not (tmp_path / name).exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_text("")
    with pytest.raises(LearnError, match=r"other things in it \(cat\.jpg"):
        Lab(folder).make()
    assert [path.name for path in folder.iterdir()] == ["cat.jpg"]
    with pytest.raises(LearnError, match="is a file"):
        Lab(folder / "cat.jpg").make()


def test_a_broken_list_is_told_not_lost(lab):
    path = lab.folder / PROGRESS
    for text in ("{", "[1]", json.dumps({ONE: 3})):
        path.write_text(text)
        with pytest.raises(LearnError, match=r"progress\.json"):
            Lab(lab.folder)
        assert path.read_text() == text


def test_the_folder_that_is_meant(lab, tmp_path, monkeypatch):
    from pathlib import Path

    default = Path("my_transformer")
    monkeypatch.chdir(tmp_path)
    assert labs.here(None, default) == default and labs.here(Path("x"), default) == Path("x")
    monkeypatch.chdir(lab.folder)
    assert labs.here(None, default) == Path()
