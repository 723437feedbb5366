"""From GPT to Llama: each wrong variant dies by the check meant for it, each right one passes, the stub has the names."""

import ast
import dataclasses

import pytest
import torch
import torch.nn.functional as F

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.judge import judge
from oneblock.learn.prove import here

EXERCISE = exercise_named("llama")
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
    for entry in ast.parse(text_of("llama", "stub")).body:
        if isinstance(entry, ast.FunctionDef):
            arguments[entry.name] = [argument.arg for argument in entry.args.args]
        elif isinstance(entry, ast.ClassDef):
            for method in entry.body[1:]:
                arguments[f"{entry.name}.{method.name}"] = [argument.arg for argument in method.args.args[1:]]
    assert arguments == {
        "rope": ["x", "positions", "base", "style"],
        "SwiGLU.__init__": ["width", "hidden"],
        "SwiGLU.forward": ["x"],
        "alibi": ["num_heads", "num_queries", "num_keys"],
        "MultiHeadAttention.__init__": ["width", "num_heads", "num_kv_heads"],
        "MultiHeadAttention.forward": ["x", "mask"],
    }


def test_the_reference_turns_as_complex_numbers_do():
    names: dict = {}
    exec(text_of("llama", "reference"), names)
    x, places = torch.randn(2, 3, 5, 8).double(), torch.arange(3, 8)
    turn = torch.polar(torch.ones(5, 4).double(), places[:, None] * 50.0 ** (-torch.arange(4).double() / 4))
    right = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (4, 2))) * turn).flatten(-2)
    torch.testing.assert_close(names["rope"](x, places, 50.0, "interleaved"), right)
    order = torch.arange(8).reshape(4, 2).T.flatten()
    torch.testing.assert_close(names["rope"](x[..., order], places, 50.0, "half"), right[..., order])


def test_the_slopes_are_the_papers():
    names: dict = {}
    exec(text_of("llama", "reference"), names)
    assert names["slopes"](8) == [2.0**-n for n in range(1, 9)]
    assert names["slopes"](6) == [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3]
    bias = names["alibi"](8, 2, 3)
    assert bias[0].tolist() == [[-0.5, 0.0, -0.5], [-1.0, -0.5, 0.0]]


def test_the_reference_is_torchs_own_attention_in_groups():
    names: dict = {}
    exec(text_of("llama", "reference"), names)
    ours, x = names["MultiHeadAttention"](18, 6, 2).double(), torch.randn(2, 5, 18).double()
    q, k, v = (part.unflatten(-1, (-1, 3)).transpose(1, 2) for part in ours.qkv(x).split([18, 6, 6], -1))
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    torch.testing.assert_close(ours(x, causal), right @ ours.output.weight.T)
