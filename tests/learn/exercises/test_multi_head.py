"""Attention in several heads: each wrong variant dies by the check meant for it, each right one passes, the stub has the names."""

import ast

import pytest
import torch

from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.prove import here

EXERCISE = exercise_named("multi_head")


@pytest.mark.parametrize("wrong", EXERCISE.wrong, ids=lambda wrong: wrong.name)
def test_a_wrong_one_dies_by_the_check_meant_for_it_and_is_named(wrong):
    outcome, diagnosis = here(EXERCISE, wrong.switches, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies
    assert diagnosis.named == (wrong.name,)


@pytest.mark.parametrize("right", [None, *EXERCISE.right], ids=lambda right: right.name if right else "twin")
def test_a_right_one_passes(right):
    outcome, _ = here(EXERCISE, right.switches if right else {}, seed=0)
    assert outcome.passed, outcome.root


def test_the_stub_has_the_names_and_their_arguments():
    written = {node.name: node for node in ast.parse(text_of("multi_head", "stub")).body if hasattr(node, "args")}
    arguments = {name: [argument.arg for argument in node.args.args] for name, node in written.items()}
    assert arguments == {"layer_norm": ["x", "weight", "bias", "eps"], "rms_norm": ["x", "weight", "eps"]}


def test_the_reference_is_torchs_own():
    x, weight, bias = torch.randn(3, 5, 7).double(), torch.randn(7).double(), torch.randn(7).double()
    names: dict = {}
    exec(text_of("multi_head", "reference"), names)
    right = torch.nn.functional.layer_norm(x, (7,), weight, bias, 0.1)
    torch.testing.assert_close(names["layer_norm"](x, weight, bias, 0.1), right)
    torch.testing.assert_close(names["rms_norm"](x, weight, 0.1), torch.nn.functional.rms_norm(x, (7,), weight, 0.1))
