"""Whatever an exercise's names give, the grader says what is wrong, and stumbles over nothing."""

import pytest
import torch
from torch import nn

from oneblock.learn.child.desk import Desk
from oneblock.learn.diagnose import diagnose
from oneblock.learn.exercises import NAMES, exercise_named
from oneblock.learn.grade import Grade
from oneblock.learn.judge import judge
from oneblock.learn.lab import stub


class Empty(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, *args, **kwargs):
        return None


class Plain:
    def __init__(self, *args, **kwargs):
        pass


def gives(value):
    return lambda *args, **kwargs: value


def fails(*args, **kwargs):
    raise RuntimeError("no")


ODD = {
    "None": gives(None),
    "a number": gives(7),
    "a word": gives("right"),
    "nothing in a list": gives([]),
    "two Nones": gives((None, None)),
    "a dict": gives({"a": 1}),
    "a scalar": gives(torch.tensor(0.5)),
    "an empty tensor": gives(torch.empty(0)),
    "NaN": gives(torch.full((2, 3), torch.nan)),
    "two of NaN": gives((torch.full((2, 3), torch.nan), torch.full((2, 3), torch.nan))),
    "what came": lambda *args, **kwargs: args[0] if args else None,
    "all that came": lambda *args, **kwargs: args,
    "a function": gives(fails),
    "a module": lambda *args, **kwargs: Empty(),
    "an error": fails,
    "a class of modules": Empty,
    "a class of its own": Plain,
    "not callable": 3,
}


def desk(names):
    return Desk(names, folder=__file__)


@pytest.mark.parametrize("name", NAMES)
def test_odd_answers(name):
    exercise = exercise_named(name)
    for said, odd in ODD.items():
        learner = desk(dict.fromkeys(exercise.names, odd))
        outcome = judge(exercise, learner.answer, seed=1)
        assert not outcome.passed, said
        assert outcome.root.message and len(outcome.root.message) < 1000, said
        # It takes longer, and sees little of what has come.
        if said in ("None", "NaN", "what came"):
            assert diagnose(exercise, outcome, learner.answer, dtype=torch.float64).sentence, said


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_says_what_is_to_be_written(name):
    exercise = exercise_named(name)
    names = {"__name__": f"my_transformer.{name}", "__package__": "my_transformer"}
    exec(compile(stub(name), f"{name}.py", "exec"), names)
    outcome = judge(exercise, desk(names).answer, seed=1)
    assert outcome.verdicts[0].status == "PASS", outcome.verdicts[0].message
    assert "to write" in outcome.root.message, outcome.root.message


def test_a_grade_of_such_can_be_printed():
    for root in ("values", ""):
        assert "not yet" in str(Grade(exercise="a", passed=False, checks=(), root=root))
