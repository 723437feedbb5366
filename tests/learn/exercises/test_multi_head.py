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
    classes = {
        node.name: node for node in ast.parse(text_of("multi_head", "stub")).body if isinstance(node, ast.ClassDef)
    }
    arguments = {
        f"{name}.{method.name}": [argument.arg for argument in method.args.args][1:]
        for name, node in classes.items()
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }
    assert arguments == {
        "MultiHeadAttention.__init__": ["width", "num_heads", "num_kv_heads"],
        "MultiHeadAttention.forward": ["x", "mask"],
    }


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (2, 1, 5, 5), (2, 6, 5, 5)])
def test_the_reference_is_torchs_own(shape):
    names: dict = {}
    exec(text_of("multi_head", "reference"), names)
    module = names["MultiHeadAttention"](18, 6, 3).double()
    x, mask = torch.randn(2, 5, 18).double(), torch.rand(shape) < 0.5
    mask |= torch.eye(5, dtype=torch.bool)
    q, k, v = module.qkv(x).split([18, 9, 9], -1)
    q, k, v = (part.unflatten(-1, (-1, 3)).transpose(1, 2) for part in (q, k, v))
    lined = mask[:, None] if mask.dim() == 3 else mask
    right = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=lined, enable_gqa=True)
    torch.testing.assert_close(module(x, mask), module.output(right.transpose(1, 2).flatten(2)))
