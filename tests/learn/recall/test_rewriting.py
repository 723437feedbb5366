"""An exercise written again, from nothing: offered last, graded as ever, the solved file untouched."""

import json
from datetime import datetime, timedelta

import pytest

from oneblock.learn.exercises import text_of
from oneblock.learn.grading import check as graded
from oneblock.learn.lab import Lab, stub
from oneblock.learn.recall import writing
from oneblock.learn.recall.store import FILE, Journal


@pytest.fixture
def due(lab, right, wrong, clock):
    """softmax was named wrong, is right since, and four days have passed."""
    lab.path("softmax").write_text("mine = 1\n")
    lab.graded(wrong("softmax", "two"), "a")
    lab.graded(right("softmax"), "mine = 1\n")
    clock.now = datetime.fromisoformat(lab.progress["softmax"]["right"]) + timedelta(days=4)
    journal = Journal(lab.folder, clock)
    for card in (
        "prompt/norm/axis",
        "prompt/norm/mean",
        "prompt/norm/side",
        "formula/rms",
        "formula/gate",
        "wrong/softmax/two",
    ):
        journal.add("answer", card, rating=4, seconds=0)
    return lab


def kinds(lab):
    rows = [json.loads(row) for row in (lab.folder / FILE).read_text().splitlines()[1:]]
    return [(row["do"], row["of"], row.get("rating")) for row in rows if row["of"].startswith("write/")]


def test_it_is_offered_last_and_may_wait(sit, due):
    session, terminal = sit("\n")
    page = " ".join(terminal.at[0].split())
    assert (
        session.stopped == "done"
        and "write softmax again, from nothing" in page
        and "softmax.py stays as it is" in page
    )
    assert not writing.path(due, "softmax").exists() and kinds(due) == []


def test_from_stub_to_right_after_a_failure(sit, due, right, wrong):
    given, file = [wrong("softmax", "two"), right("softmax")], writing.path(due, "softmax")

    def check(name, path):
        assert path.parent.name == "mine" and path.read_text() == file.read_text() and path.parent != due.folder
        assert {each.name for each in path.parent.glob("*.py")} == {each.name for each in due.folder.glob("*.py")}
        return given.pop(0)

    def write(terminal):
        assert file.read_text() == stub("softmax")
        file.write_text("one = 1")

    session, terminal = sit("w", "\n", write, "\n", "\n", "\n", check=check)
    shown = [" ".join(page.split()) for page in terminal.pages]
    assert any("nothing is written there yet" in page for page in shown)
    assert any("the numbers: off by 0.3 Your answer equals something else." in page for page in shown)
    assert "after a try or two" in shown[-1] and session.stopped == "done"
    assert kinds(due) == [("tried", "write/softmax", None), ("answer", "write/softmax", 2)]
    assert not file.exists() and file.with_name("softmax.py.bak1").read_text() == "one = 1"
    assert due.text("softmax") == "mine = 1\n" and Lab(due.folder).state("softmax") == "right"
    assert Lab(due.folder).named("softmax")["two"]["times"] == 2


def test_right_at_once_is_good_and_comes_back(sit, desk, due, right, clock):
    sit(
        "w", lambda _: writing.path(due, "softmax").write_text("x") and None, "\n", check=lambda name, path: right(name)
    )
    assert kinds(due) == [("answer", "write/softmax", 3)]
    assert sit("\n")[1].at == []
    clock.pass_(days=20)
    assert not desk().due().writes
    clock.pass_(days=1)
    assert [card.id for card in desk().due().writes] == ["write/softmax"]


def test_given_up_is_again_on_another_day(sit, due, clock):
    sit("w", "g")
    assert (
        kinds(due) == [("answer", "write/softmax", 1)]
        and writing.path(due, "softmax").with_name("softmax.py.bak1").exists()
    )
    assert "write softmax" not in " ".join(sit("\n")[1].pages[-1:])


def test_what_was_begun_waits(sit, due, wrong):
    file = writing.path(due, "softmax")
    sit("w", lambda _: file.write_text("half") and None, "\n", "q", check=lambda name, path: wrong(name, "two"))
    assert file.read_text() == "half"
    terminal = sit("w", "q")[1]
    assert "which you have begun" in " ".join(terminal.at[0].split()) and file.read_text() == "half"


def test_something_else_of_its_name_is_left_alone(sit, due):
    from oneblock.learn.errors import LearnError

    writing.path(due, "softmax").mkdir(parents=True)
    with pytest.raises(LearnError, match="move it elsewhere"):
        sit("w")


def test_the_real_grader(due):
    """In a process of its own; it may import what the exercise allows from the learner's other files."""
    due.path("softmax").write_text(text_of("softmax", "reference"))
    writing.begin(due, "attention").write_text(
        "from .softmax import softmax\n" + text_of("attention", "reference").replace("torch.softmax", "softmax")
    )
    grade = writing.grade(due, "attention", lambda name, path: graded(name, path, seed=1))
    assert grade.passed, str(grade)
    assert grade.file == "reviews/attention.py" and due.text("attention") == stub("attention")
