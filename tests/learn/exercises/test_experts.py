"""Experts: the reference against what others compute."""

import pytest
import torch
import torch.nn.functional as F

from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.prove import here


def test_the_reference_is_every_expert_on_every_token():
    names: dict = {}
    exec(text_of("experts", "reference"), names)
    mixture, x = names["MixtureOfExperts"](5, 7, 3, 2).double(), torch.randn(2, 11, 5).double()
    p = mixture.router(x).softmax(-1)
    keep = p >= p.sort(-1).values[..., 1:2]
    weights = p * keep / (p * keep).sum(-1, keepdim=True)
    every = torch.stack([F.gelu(x @ e.up.weight.T) @ e.down.weight.T for e in mixture.experts], -2)
    torch.testing.assert_close(mixture(x), (weights[..., None] * every).sum(-2))


@pytest.mark.parametrize("name", ["zero_is_none", "capacity_inside"])
def test_a_capacity_of_zero_and_one_that_is_hidden_in_the_mixture_are_seen(name):
    exercise = exercise_named("experts")
    wrong = next(each for each in exercise.wrong if each.name == name)
    outcome, diagnosis = here(exercise, wrong.switches, seed=0)
    assert outcome.root.id in wrong.dies and diagnosis.named == (name,)
