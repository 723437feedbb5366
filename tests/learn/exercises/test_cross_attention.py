"""Cross-attention: each wrong variant dies by the check meant for it, each right one passes, the stub has the names."""

import ast
import dataclasses

import pytest
import torch

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.judge import judge
from oneblock.learn.prove import here

EXERCISE = exercise_named("cross_attention")
IDS = [check.id for check in EXERCISE.checks]


def up_to_its_death(wrong):
    """The exercise with the checks that come before, and the one that the variant is to fail."""
    last = max((IDS.index(name) for name in wrong.dies if name in IDS), default=0)
    return dataclasses.replace(EXERCISE, checks=EXERCISE.checks[: last + 1])


@pytest.mark.parametrize("wrong", EXERCISE.wrong[::3], ids=lambda wrong: wrong.name)
def test_a_wrong_one_dies_by_the_check_meant_for_it(wrong):
    outcome = judge(up_to_its_death(wrong), Desk(EXERCISE.make(**wrong.switches)).answer, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies


@pytest.mark.slow
@pytest.mark.parametrize("wrong", EXERCISE.wrong, ids=lambda wrong: wrong.name)
def test_a_wrong_one_is_named(wrong):
    outcome, diagnosis = here(EXERCISE, wrong.switches, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies
    assert diagnosis.named == (wrong.name,)


@pytest.mark.parametrize("right", [None, *EXERCISE.right[::4]], ids=lambda right: right.name if right else "twin")
def test_a_right_one_passes(right):
    outcome, _ = here(EXERCISE, right.switches if right else {}, seed=0)
    assert outcome.passed, outcome.root


@pytest.mark.slow
@pytest.mark.parametrize("right", EXERCISE.right, ids=lambda right: right.name)
def test_every_right_one_passes(right):
    outcome, _ = here(EXERCISE, right.switches, seed=1)
    assert outcome.passed, outcome.root


def test_the_stub_has_the_names_and_their_arguments():
    arguments = {
        f"{kind.name}.{method.name}": [argument.arg for argument in method.args.args[1:]]
        for kind in ast.parse(text_of("cross_attention", "stub")).body
        if isinstance(kind, ast.ClassDef)
        for method in kind.body
        if isinstance(method, ast.FunctionDef)
    }
    sizes = ["source_vocab", "target_vocab", "width", "num_heads", "num_layers", "context"]
    assert arguments == {
        "CrossAttention.__init__": ["width", "num_heads"],
        "CrossAttention.forward": ["x", "memory", "memory_mask"],
        "EncoderDecoder.__init__": sizes,
        "EncoderDecoder.encode": ["source", "source_mask"],
        "EncoderDecoder.decode": ["target", "memory", "memory_mask"],
        "EncoderDecoder.forward": ["source", "target", "source_mask"],
    }


def test_the_reference_is_torchs_own():
    names: dict = {}
    exec(text_of("cross_attention", "reference"), names)
    ours, theirs = (
        names["CrossAttention"](15, 3).double(),
        torch.nn.MultiheadAttention(15, 3, bias=False, batch_first=True),
    )
    theirs = theirs.double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat((ours.query.weight, ours.key_value.weight)))
        theirs.out_proj.weight.copy_(ours.output.weight)
    x, memory, real = torch.randn(2, 5, 15).double(), torch.randn(2, 7, 15).double(), torch.rand(2, 7) < 0.6
    real[:, 0] = True
    right, _ = theirs(x, memory, memory, key_padding_mask=~real)
    torch.testing.assert_close(ours(x, memory, real), right)
