"""Experts: each wrong variant dies by the check meant for it, each right one passes, the stub has the names."""

import ast
import dataclasses

import pytest
import torch
import torch.nn.functional as F

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.judge import judge
from oneblock.learn.prove import here

EXERCISE = exercise_named("experts")
IDS = [check.id for check in EXERCISE.checks]


def up_to_its_death(wrong):
    """The exercise with the checks that come before, and the one that the variant is to fail."""
    last = max((IDS.index(name) for name in wrong.dies if name in IDS), default=0)
    return dataclasses.replace(EXERCISE, checks=EXERCISE.checks[: last + 1])


@pytest.mark.parametrize("wrong", EXERCISE.wrong[::2], ids=lambda wrong: wrong.name)
def test_a_wrong_one_dies_by_the_check_meant_for_it(wrong):
    outcome = judge(up_to_its_death(wrong), Desk(EXERCISE.make(**wrong.switches)).answer, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies


@pytest.mark.slow
@pytest.mark.parametrize("wrong", EXERCISE.wrong, ids=lambda wrong: wrong.name)
def test_a_wrong_one_is_named(wrong):
    outcome, diagnosis = here(EXERCISE, wrong.switches, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies
    assert diagnosis.named == (wrong.name,)


@pytest.mark.parametrize("right", [None, *EXERCISE.right], ids=lambda right: right.name if right else "twin")
def test_a_right_one_passes(right):
    outcome, _ = here(EXERCISE, right.switches if right else {}, seed=0)
    assert outcome.passed, outcome.root


def test_the_stub_has_the_names_and_their_arguments():
    arguments = {}
    for entry in ast.parse(text_of("experts", "stub")).body:
        if isinstance(entry, ast.FunctionDef):
            arguments[entry.name] = [argument.arg for argument in entry.args.args]
        elif isinstance(entry, ast.ClassDef):
            first = entry.body[1]
            arguments[entry.name] = [argument.arg for argument in first.args.args[1:]]
    assert arguments == {
        "route": ["logits", "k", "capacity"],
        "MixtureOfExperts": ["width", "hidden", "num_experts", "k"],
        "load_balancing_loss": ["probabilities", "chosen"],
    }


def test_the_reference_is_every_expert_on_every_token():
    names: dict = {}
    exec(text_of("experts", "reference"), names)
    mixture, x = names["MixtureOfExperts"](5, 7, 3, 2).double(), torch.randn(2, 11, 5).double()
    p = mixture.router(x).softmax(-1)
    keep = p >= p.sort(-1).values[..., 1:2]
    weights = p * keep / (p * keep).sum(-1, keepdim=True)
    every = torch.stack([F.gelu(x @ e.up.weight.T) @ e.down.weight.T for e in mixture.experts], -2)
    torch.testing.assert_close(mixture(x), (weights[..., None] * every).sum(-2))
