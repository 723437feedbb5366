"""The block: each wrong variant dies by the check meant for it, each right one passes, the stub has the names."""

import ast

import pytest
import torch

from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.exercises.block.asking import block_steps
from oneblock.learn.prove import here

EXERCISE = exercise_named("block")


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
    classes = {node.name: node for node in ast.parse(text_of("block", "stub")).body if isinstance(node, ast.ClassDef)}
    arguments = {
        f"{name}.{method.name}": [argument.arg for argument in method.args.args][1:]
        for name, node in classes.items()
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }
    assert arguments == {
        "FeedForward.__init__": ["width", "hidden"],
        "FeedForward.forward": ["x"],
        "Block.__init__": ["width", "num_heads", "hidden"],
        "Block.forward": ["x"],
    }


def test_the_reference_and_the_checks_are_torchs_own():
    names: dict = {}
    exec(text_of("block", "reference"), names)
    block = names["Block"](6, 3, 11).double()
    layer = torch.nn.TransformerEncoderLayer(
        6, 3, 11, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    theirs = dict(
        zip(
            ("norm1", "norm2", "linear1", "linear2", "self_attn.out_proj"),
            (block.norm1, block.norm2, block.feed_forward.up, block.feed_forward.down, block.attention.output),
            strict=True,
        )
    )
    with torch.no_grad():
        for name, module in theirs.items():
            module.weight.copy_(torch.randn(module.weight.shape))
            layer.get_submodule(name).weight.copy_(module.weight)
            if name.startswith("norm"):
                module.bias.copy_(torch.randn(module.bias.shape))
                layer.get_submodule(name).bias.copy_(module.bias)
            else:
                layer.get_submodule(name).bias.zero_()
        layer.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
        layer.self_attn.in_proj_bias.zero_()
    x = torch.randn(2, 5, 6).double()
    right = layer(x, src_mask=torch.ones(5, 5, dtype=torch.bool).triu(1))
    torch.testing.assert_close(block(x), right)
    torch.testing.assert_close(block_steps(block.state_dict(), 3, x, "none")["the answer"], right)
