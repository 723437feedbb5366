"""A learner's file graded as it is: in a process of its own, told in words, and as JSON."""

import json
import warnings
from pathlib import Path

import pytest

from oneblock.cli.main import main
from oneblock.learn import lab
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


def test_what_gives_nothing_is_told_nothing_false(folder):
    """Three questions are answered with the same None: which of them a step belongs to cannot be known."""
    forgotten = (
        "def softmax(x, dim):\n    e = (x - x.amax(dim, keepdim=True)).exp()\n    e / e.sum(dim, keepdim=True)\n"
    )
    (folder / "softmax.py").write_text(forgotten)
    grade = check("softmax", seed=1)
    assert grade.root == "values" and "is None; a tensor is asked (does it end with `return`?)" in grade.diagnosis
    assert "nowhere" not in grade.diagnosis


def test_a_warning_of_torch_is_shown_without_our_own_lines(folder):
    (folder / "softmax.py").write_text(
        "import warnings\n\ndef softmax(x, dim):\n    warnings.warn('old')\n    return x\n"
    )
    said = check("softmax", seed=1).printed
    assert said.splitlines()[0] == "UserWarning: old" and ".py:" not in said


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
        ("sofmax", None, "there is no exercise 'sofmax'; try softmax"),
        ("Softmax", None, "try softmax"),
        ("softmax.py", None, "try oneblock check softmax, or --file softmax.py"),
        ("sky", None, "there are lists, softmax, attention"),
        (None, None, "which exercise"),
        ("softmax", "gone.py", "gone.py is not there"),
        ("softmax", None, "neither softmax.py nor my_transformer/softmax.py is here: `oneblock learn` makes"),
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


@pytest.fixture
def locked(folder, monkeypatch):
    """A folder of exercises whose list cannot be written, whoever asks."""
    assert main(["learn", "--dir", "mine"]) == 0

    def refused(path, data):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(lab, "replace", refused)
    return folder / "mine"


def test_a_grade_is_shown_where_the_list_cannot_be_written(locked, capsys):
    (locked / "softmax.py").write_text(text_of("softmax", "reference"))
    assert main(["check", "softmax", "--file", "mine/softmax.py"]) == 0
    said = capsys.readouterr()
    assert "softmax: right" in said.out and "progress.json cannot be written (Permission denied)" in said.err
    assert main(["check", "draw_block", "--file", "mine/drawings/block.txt"]) == 1
    said = capsys.readouterr()
    assert "draw_block: not yet" in said.out and "cannot be written" in said.err


def test_a_grade_is_shown_where_the_list_cannot_be_read(folder, capsys):
    assert main(["learn", "--dir", "mine"]) == 0
    (folder / "mine" / "progress.json").write_text("{")
    (folder / "mine" / "softmax.py").write_text(text_of("softmax", "reference"))
    assert main(["check", "softmax", "--file", "mine/softmax.py"]) == 0
    said = capsys.readouterr()
    assert "softmax: right" in said.out and "progress.json cannot be read" in said.err


def test_a_stub_is_told_as_what_it_is(folder):
    (folder / "softmax.py").write_text(text_of("softmax", "stub"))
    grade = check("softmax", seed=1)
    assert grade.failure == ("softmax is yours to write", "") and grade.line
    assert f"the numbers: softmax is yours to write (softmax.py, line {grade.line})" in str(grade)


def test_what_our_own_wrong_variants_are_warned_of_is_not_told(folder):
    (folder / "fit.py").write_text(text_of("fit", "stub"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert not check("fit", seed=1).passed
    assert not told


def test_a_note_is_told_once_for_all(folder, capsys, monkeypatch):
    for name in ("softmax", "norms"):
        (folder / f"{name}.py").write_text(text_of(name, "stub"))
    monkeypatch.setattr("oneblock.learn.grading.NO_SANDBOX", "mind this")
    monkeypatch.setattr("oneblock.learn.sandbox.bubblewrap", lambda: None)
    assert main(["check", "--all"]) == 1
    assert capsys.readouterr().err.count("mind this") == 1


def test_a_folder_that_cannot_be_made_is_2_with_a_word(folder, capsys, monkeypatch):
    def refused(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refused)
    assert main(["learn", "--dir", "mine"]) == 2
    assert "mine cannot be made or written (Permission denied); give another with --dir" in capsys.readouterr().err


def test_learn_without_a_terminal_says_how_it_stands(folder, capsys):
    assert main(["learn", "--dir", "mine"]) == 0
    said = capsys.readouterr().out
    assert f"mine: {len(NAMES)} exercises made" in said and f"0 of {len(NAMES)} are right" in said
    assert "next: mine/lists.py" in said
    (folder / "mine" / "softmax.py").write_text("x")
    assert main(["learn", "--dir", "mine", "--progress", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["folder"], found["done"], found["total"], found["next"]) == ("mine", 0, len(NAMES), "lists")
    assert found["exercises"][1]["state"] == "begun" and found["exercises"][0]["state"] == "new"


def test_what_is_printed_cannot_move_a_cursor():
    grade = Grade(
        exercise="a", passed=True, checks=(Line(id="x", status="PASS"),), printed="\x1b[2Jone\n\ttwo\r\n" + "y" * 999
    )
    assert grade.said() == [" [2Jone", "    two", "y" * 150]
