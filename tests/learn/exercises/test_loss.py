"""The loss: each wrong variant dies by the check meant for it, each right one passes, the stub has the names."""

import ast

import pytest
import torch

from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.prove import here

EXERCISE = exercise_named("loss")


@pytest.mark.parametrize("wrong", EXERCISE.wrong, ids=lambda wrong: wrong.name)
def test_a_wrong_one_dies_by_the_check_meant_for_it_and_is_named(wrong):
    outcome, diagnosis = here(EXERCISE, wrong.switches, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies
    assert diagnosis.named == (wrong.name,)


@pytest.mark.parametrize("right", [None, *EXERCISE.right], ids=lambda right: right.name if right else "twin")
def test_a_right_one_passes(right):
    outcome, _ = here(EXERCISE, right.switches if right else {}, seed=0)
    assert outcome.passed, outcome.root


def test_the_stub_has_the_name_and_its_arguments():
    (written,) = (node for node in ast.parse(text_of("loss", "stub")).body if isinstance(node, ast.FunctionDef))
    assert written.name == "next_token_loss"
    assert [argument.arg for argument in written.args.args] == ["logits", "tokens", "pad"]


@pytest.mark.parametrize("pad", [None, 0, 3])
def test_the_reference_is_torchs_own(pad):
    names: dict = {}
    exec(text_of("loss", "reference"), names)
    logits, tokens = torch.randn(3, 7, 5).double(), torch.randint(0, 5, (3, 7))
    ignored = {} if pad is None else {"ignore_index": pad}
    right = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), **ignored)
    torch.testing.assert_close(names["next_token_loss"](logits, tokens, pad), right)
