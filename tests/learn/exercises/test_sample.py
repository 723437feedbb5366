"""Sampling: every wrong variant dies by a check meant for it, every right one passes, the stub has the names."""

import ast

import pytest

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.judge import judge

EXERCISE = exercise_named("sample")


def judged(switches):
    return judge(EXERCISE, Desk(EXERCISE.make(**switches)).answer, seed=0)


@pytest.mark.parametrize("wrong", EXERCISE.wrong, ids=lambda wrong: wrong.name)
def test_a_wrong_one_dies_by_a_check_meant_for_it(wrong):
    outcome = judged(wrong.switches)
    assert outcome.root is not None and outcome.root.id in wrong.dies


@pytest.mark.parametrize("right", [None, *EXERCISE.right], ids=lambda right: right.name if right else "twin")
def test_a_right_one_passes(right):
    outcome = judged(right.switches if right else {})
    assert outcome.passed, outcome.root


def test_the_reference_passes():
    names: dict = {}
    exec(text_of("sample", "reference"), names)
    outcome = judge(EXERCISE, Desk(names).answer, seed=1)
    assert outcome.passed, outcome.root


def test_the_stub_has_the_names_and_their_arguments():
    written = {}
    for node in ast.walk(ast.parse(text_of("sample", "stub"))):
        if isinstance(node, ast.FunctionDef):
            written[node.name] = [argument.arg for argument in node.args.args]
    assert written == {"sample": ["logits", "temperature", "top_k", "top_p", "generator"]}
