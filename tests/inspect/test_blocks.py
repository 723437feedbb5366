"""Blocks as boxes: what stands in a branch, in which order, and what is left out."""

from oneblock.config import (
    AdaLN,
    AdaLNZero,
    Attention,
    Block,
    Decoder,
    DiT,
    NoNorm,
    NoResidual,
    Only,
    RMSNorm,
    Scaled,
    Switch,
    dit_block,
)
from oneblock.inspect.blocks import block_flows, dropout_box, norm_box, row
from oneblock.inspect.columns import columns


def flows(*blocks, num_layers=6):
    model = Decoder(vocab_size=11, context=8, width=12, num_layers=num_layers, blocks=blocks)
    return list(block_flows(columns(model)[0]))


def names(branch):
    return [box.name for box in branch]


HEADS = Attention(num_heads=3)


def test_a_branch_from_norm_to_dropout():
    (flow,) = flows(Block(attention=HEADS, placement="peri", norm=RMSNorm(), dropout=0.25))
    attention, feed_forward = flow.steps
    assert names(attention.branches[0]) == ["RMSNorm", "attention", "RMSNorm", "dropout 0.25"]
    assert [box.kind for box in feed_forward.branches[0]] == ["norm", "feed_forward", "norm", "dropout"]
    assert attention.stream == () and attention.keeps and flow.title == "block × 6"


def test_what_a_condition_adds():
    for modulation, gate in ((AdaLNZero(), ["⊙ α"]), (AdaLN(), [])):
        block = Block(attention=HEADS, modulation=modulation)
        model = DiT(channels=1, image_height=4, patch=2, width=12, num_layers=2, blocks=(block,))
        (flow,) = block_flows(model)
        assert names(flow.steps[0].branches[0]) == ["LayerNorm", "⊙ (1 + γ) + β", "attention", *gate]
    assert flow.steps[0].branches[0][1].details == ("from c: 2 × 12",)
    (flow,) = block_flows(DiT(channels=1, image_height=4, patch=2, width=16, num_layers=2, blocks=(dit_block(2),)))
    assert flow.steps[1].branches[0][-1].details == ("from c: 16",)


def test_a_shared_norm_stands_in_front_of_both():
    (flow,) = flows(Block(steps=("attention+feed_forward",), attention=HEADS, shared_norm=True))
    (step,) = flow.steps
    assert names(step.shared) == ["LayerNorm"] and [names(branch) for branch in step.branches] == [
        ["attention"],
        ["feed-forward"],
    ]


def test_how_steps_join_the_stream():
    scaled = Scaled(skip=0.5, branch=2.0)
    (flow,) = flows(
        Block(
            attention=HEADS,
            placement="post",
            residual=scaled,
            feed_forward=Switch(num_experts=4, group_size=4),
            feed_forward_only=Only(residual=NoResidual(), norm=NoNorm()),
        )
    )
    first, second = flow.steps
    assert (names(first.scale), names(first.skip), names(first.stream)) == (["× 2"], ["× 0.5"], ["LayerNorm"])
    assert names(second.branches[0]) == ["Switch"] and not second.keeps and second.stream == ()
    learned = flows(Block(attention=HEADS, residual=Scaled(learned="vector", branch=0.125)))[0].steps[0]
    assert names(learned.scale) == ["⊙ λ, learned"] and learned.scale[0].details == ("12 numbers, from 0.125",)


def test_equal_neighbours_are_drawn_once():
    plain, other = Block(attention=HEADS), Block(attention=HEADS, placement="post")
    assert [flow.title for flow in flows(plain, plain, other)] == [
        "block × 4 · layers 1–2, 4–5",
        "block × 2 · layers 3, 6",
    ]


def test_nothing_is_no_box():
    assert norm_box(NoNorm()) is norm_box(None) is dropout_box(0.0) is dropout_box(None) is None
    assert row(None, dropout_box(0.5), None) == (dropout_box(0.5),)
