"""A learner's file graded as it is: in a process of its own, told in words, and as JSON."""

import json

import pytest

from oneblock.cli.main import main
from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import NAMES, text_of
from oneblock.learn.grade import Grade, Line
from oneblock.learn.grading import check, check_all, named
from oneblock.learn.lab import Lab

HALF = """
import torch


def softmax(x, dim):
    print("at work")
    powers = torch.pow(2.0, x - x.amax(dim=dim, keepdim=True))
    return powers / powers.sum(dim=dim, keepdim=True)
"""
BY_TORCH = "import torch.nn.functional as G\nname = 'soft' + 'max'\n\ndef softmax(x, dim):\n    return getattr(G, name)(x, dim)\n"
ODD = {
    "": "your file has no softmax; it has nothing",
    "def Softmax(x, dim): return x\n": "your file has no softmax; it has Softmax",
    "def softmax(x, dim):\n    return x +\n": "your file raised SyntaxError: invalid syntax (line 2: return x +)",
    "raise BaseException('no')\n": "your file raised BaseException: no (line 1: raise BaseException('no'))",
    "import os\nos._exit(0)\n": "your code ended its process (exit status 0) instead of returning",
    "text = '\xff\xfe'\n": "your file raised SyntaxError: (unicode error)",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_right_file_passes_and_shows_the_reference(folder):
    (folder / "softmax.py").write_text(text_of("softmax", "reference"))
    grade = check("softmax", seed=3)
    assert grade.passed and grade.diagnosis is None and grade.reference == text_of("softmax", "reference")
    assert grade.also and str(grade).startswith("softmax: right (10 of 10 checks pass)")


def test_a_wrong_file_is_told_what_it_is(folder, capsys):
    (folder / "softmax.py").write_text(HALF)
    assert main(["check", "softmax", "--seed", "3", "--json"]) == 1
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["exercise"], found["passed"], found["named"], found["seed"]) == ("softmax", False, ["base_two"], 3)
    assert found["diagnosis"].startswith("your answer equals softmax with powers of 2")
    assert {"id", "status", "message"} == set(found["checks"][0]) and "reference" not in found
    assert [entry["status"] for entry in found["checks"] if entry["id"] == found["root"]] == ["FAIL"]


def test_the_same_from_here_in_words(folder, capsys):
    (folder / "softmax.py").write_text(HALF)
    text = str(check(None, "softmax.py", seed=3))
    assert "softmax: not yet" in text and "Small enough for paper: softmax of [0, ln 2, ln 3]" in text
    assert "your code printed:\n    at work" in text and "--seed 3" in text and text.count("powers of 2") == 1


def test_a_shortcut_that_only_runs_is_seen_with_its_line(folder):
    (folder / "softmax.py").write_text(BY_TORCH)
    grade = check("softmax")
    assert grade.root == "own_work" and grade.line == 5 and "torch.nn.functional.softmax" in str(grade)


@pytest.mark.parametrize(("text", "message"), ODD.items())
def test_a_file_that_cannot_be_run_is_told(folder, text, message):
    (folder / "softmax.py").write_bytes(text.encode("latin-1"))
    grade = check("softmax")
    assert grade.root == "loads" and grade.checks[0].message.startswith(message)
    assert [line.status for line in grade.checks[4:]] == ["SKIP"] * (len(grade.checks) - 4)


def test_all_is_one_object_and_goes_on_past_a_failure(folder, capsys):
    (folder / "my_transformer").mkdir()
    (folder / "softmax.py").write_text("")
    (folder / "my_transformer" / "causal_mask.py").write_text(text_of("causal_mask", "reference"))
    assert main(["check", "--all", "--json"]) == 1
    out = capsys.readouterr().out.splitlines()
    found = json.loads(out[-1])
    assert len(out) == 1 and found["exercise"] == "all" and not found["passed"]
    assert [(entry["id"], entry["status"]) for entry in found["checks"]] == [
        ("softmax", "FAIL"),
        ("causal_mask", "PASS"),
    ]
    assert found["diagnosis"].startswith("softmax: your file has no softmax")
    # Without --all it ends at the first that is not right.
    assert [grade.exercise for grade in check_all(folder)] == ["softmax"]


def test_progress_is_kept_where_the_file_lies_in_a_folder_of_exercises(folder):
    assert main(["learn", "--dir", "mine"]) == 0
    (folder / "mine" / "softmax.py").write_text(text_of("softmax", "reference"))
    assert main(["check", "softmax", "--file", "mine/softmax.py"]) == 0
    assert Lab(folder / "mine").state("softmax") == "right"


def test_which_exercise_and_which_file(folder):
    (folder / "02_attention.py").write_text("")
    assert named(None, "02_attention.py") == ("attention", folder / "02_attention.py")
    assert named("softmax", "02_attention.py")[0] == "softmax"
    for exercise, file, message in (
        ("sofmax", None, "there is no exercise 'sofmax'; there are softmax, attention"),
        (None, None, "which exercise"),
        ("softmax", "gone.py", "gone.py is not there"),
        ("softmax", None, "neither softmax.py nor my_transformer/softmax.py"),
        (None, "unlike.py", "there is no exercise 'unlike'"),
    ):
        with pytest.raises(LearnError, match=message):
            named(exercise, file)
    (folder / "my_transformer").mkdir()
    (folder / "my_transformer" / "softmax.py").write_text("")
    assert named("softmax", None)[1] == folder / "my_transformer" / "softmax.py"
    with pytest.raises(LearnError, match="no exercise's file is in"):
        list(check_all(folder / "empty"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nothing"], "there is no exercise 'nothing'"),
        (["check", "softmax", "--all"], "leave EXERCISE and --file out"),
        (["check", "softmax", "--set", "a=1"], "leave it out"),
        (["learn", "--set", "a=1"], "leave it out"),
        (["learn", "--progress"], "is not there yet"),
        (["learn", "--dir", "a-b"], "cannot be the folder's name"),
    ],
)
def test_bad_input_is_2_with_a_word(folder, capsys, words, message):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_learn_without_a_terminal_says_how_it_stands(folder, capsys):
    assert main(["learn", "--dir", "mine"]) == 0
    said = capsys.readouterr().out
    assert f"mine: {len(NAMES)} exercises made" in said and f"0 of {len(NAMES)} are right" in said
    assert "next: mine/softmax.py" in said
    (folder / "mine" / "softmax.py").write_text("x")
    assert main(["learn", "--dir", "mine", "--progress", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["folder"], found["done"], found["total"], found["next"]) == ("mine", 0, len(NAMES), "softmax")
    assert found["exercises"][0]["state"] == "begun" and found["exercises"][1]["state"] == "new"


def test_what_is_printed_cannot_move_a_cursor():
    grade = Grade(
        exercise="a", passed=True, checks=(Line(id="x", status="PASS"),), printed="\x1b[2Jone\n\ttwo\r\n" + "y" * 999
    )
    assert grade.said() == [" [2Jone", "    two", "y" * 150]
