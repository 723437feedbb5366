"""What mixtures of experts cost, by hand and as torch counts it; how they are drawn and captured."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oneblock import build, override, presets
from oneblock.config import Attention, Block, Decoder, Dense, Gated, GShard, NoPosition, Switch, TopK
from oneblock.inspect import capture
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.facts import facts
from oneblock.inspect.formula import formula
from oneblock.inspect.statistics import (
    active_parameters,
    flops_per_token,
    forward_flops_per_token,
    parameters,
    parts,
)

D, F, E, T, V = 6, 10, 5, 12, 7
ATTENTION = 6 * (6 + 6 + 6) + 6 * 6


def model(mixture, **changes):
    block = Block(attention=Attention(num_heads=2), feed_forward=mixture)
    settings = {"vocab_size": V, "context": T, "width": D, "num_layers": 3, "blocks": (block,)}
    return Decoder(**settings | {"position": NoPosition()} | changes)


@pytest.mark.parametrize(
    ("mixture", "total", "active", "in_products"),
    [
        (Switch(num_experts=E, expert=Dense(hidden=F)), E * 2 * D * F + E * D, 2 * D * F + E * D, 2 * D * F + E * D),
        (
            GShard(num_experts=E, expert=Dense(hidden=F, bias=True), capacity_factor=None),
            E * (2 * D * F + F + D) + E * D,
            2 * (2 * D * F + F + D) + E * D,
            2 * 2 * D * F + E * D,
        ),
        (
            TopK(num_experts=E, k=3, expert=Gated(hidden=F, bias=True), shared_experts=2),
            E * (3 * D * F + 2 * F + D) + E * D + 3 * D * 2 * F + 4 * F + D,
            3 * (3 * D * F + 2 * F + D) + E * D + 3 * D * 2 * F + 4 * F + D,
            3 * 3 * D * F + E * D + 3 * D * 2 * F,
        ),
    ],
    ids=["switch", "gshard", "top k"],
)
def test_by_hand(mixture, total, active, in_products):
    config = model(mixture)
    assert parameters(config)["feed_forward"] == 3 * total
    assert parameters(config) == parts(build(config))
    rest = sum(parameters(config).values()) - 3 * total
    assert active_parameters(config) == rest + 3 * active
    scores = 3 * 4 * D * T
    assert forward_flops_per_token(config) == 2 * (V * D + 3 * (ATTENTION + in_products)) + scores
    assert flops_per_token(config) == 6 * (rest + 3 * active) + 3 * scores


def test_nanos_with_experts_cost_what_nano_costs():
    dense = flops_per_token(presets.nano())
    for config in (presets.switch_nano(), presets.gshard_nano()):
        router = 2 * 8 * 256
        assert flops_per_token(config) == dense + 6 * router
        assert active_parameters(config) == sum(parameters(presets.nano()).values()) + router
    assert sum(parameters(presets.switch_nano()).values()) == 10_508_800


def test_a_capacity_below_the_tokens_saves_and_masks_cost():
    """Of 12 tokens 5 experts take ⌊0.5 · 12 / 5⌋ = 1 each when sorted; by einsum every place is computed."""
    one, plain = 2 * 2 * D * F, flops_per_token(model(Switch(num_experts=E, expert=Dense(hidden=F))))

    def changed(**settings):
        return flops_per_token(model(Switch(num_experts=E, expert=Dense(hidden=F), **settings))) - plain

    assert changed(capacity_factor=100.0) == changed(capacity_factor=None) == 0
    assert changed(capacity_factor=0.5) == 3 * 3 * round(one * (5 / 12 - 1))
    # Two places each, 10 for 12 tokens, in evaluation too.
    fixed = {"capacity": 2, "capacity_factor": None}
    assert changed(**fixed) == 3 * 3 * round(one * (10 / 12 - 1))
    assert changed(capacity=99, capacity_factor=None) == 0
    told = [
        forward_flops_per_token(model(Switch(num_experts=E, expert=Dense(hidden=F), **more))) for more in ({}, fixed)
    ]
    assert told[1] - told[0] == 3 * round(one * (10 / 12 - 1))
    # 1.25: 3 places each, 15 for 12 tokens.
    masks = 4 * 15 * D
    assert changed(dispatch="einsum") == 3 * 3 * (round(one * (15 / 12 - 1)) + masks)
    # Groups of 4: ⌊1.25 · 4 / 5⌋ = 1 place each, 5 for 4 tokens.
    assert changed(dispatch="einsum", group_size=4) == 3 * 3 * (round(one * (5 / 4 - 1)) + 4 * 5 * D)
    assert forward_flops_per_token(model(Switch(num_experts=E, expert=Dense(hidden=F), capacity_factor=0.5))) == (
        forward_flops_per_token(model(Switch(num_experts=E, expert=Dense(hidden=F))))
    ), "evaluation has no capacity"


@pytest.mark.parametrize("kind", [Switch, GShard])
def test_einsums_flops_are_those_torch_counts(kind):
    """In evaluation with a capacity, all places filled: then torch's count of the masks' products is ours."""
    mixture = kind(num_experts=2, expert=Gated(hidden=F), eval_capacity_factor=1.0, dispatch="einsum")
    config = model(mixture)
    module = build(config, seed=0, fused=False).eval()
    for block in module.blocks:
        block.feed_forward.router.register_forward_hook(lambda m, i, logits: evenly(logits))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, T, dtype=torch.long))
    assert counter.get_total_flops() == T * forward_flops_per_token(config)


def evenly(logits):
    """Token after token to expert 0, then 1."""
    return torch.where(torch.arange(2) == (torch.arange(T) % 2)[:, None], 5.0, 0.0).expand_as(logits)


def test_drawn_and_written():
    config = override(
        presets.switch_nano(), "blocks.1.feed_forward.eval_capacity_factor=2", "blocks.1.feed_forward.group_size=64"
    )
    assert formula(config.model.blocks[1])[1] == "x = x + Switch(RMSNorm(x))"
    assert formula(config.model.blocks[0])[1] == "x = x + FFN(RMSNorm(x))"

    def words(config):
        box = [box for box in dataflow(config).boxes() if box.kind == "feed_forward"][-1]
        return box.name, box.details

    option = 'blocks.1.feed_forward={"type": "switch", "capacity": 9, "capacity_factor": null}'
    assert words(override(presets.switch_nano(), option))[1][:2] == ("top 1 of 8 experts", "capacity 9")
    assert words(config) == (
        "Switch",
        ("top 1 of 8 experts", "capacity × 1.25", "evaluated at × 2", "groups of 64", "ReLU²", "256 → 1,024 → 256"),
    )
    top = override(
        presets.nano(),
        'block.feed_forward={"type": "top_k", "k": 3, "shared_experts": 1, "renormalise": false, "bias_rate": 0.001}',
    )
    assert words(top) == (
        "MoE",
        (
            *("top 3 of 8 experts", "and 1 shared", "weights not normalised", "balanced by bias, 0.001"),
            *("SwiGLU", "256 → 688 → 256"),
        ),
    )
    assert formula(top.model.blocks[0])[1] == "x = x + MoE(RMSNorm(x))"


def test_facts_tell_what_a_token_passes():
    rows = dict(facts(presets.switch_nano()).tables)["Parameters"]
    assert rows[-2][:2] == ("total", "10,508,800") and rows[-1][:2] == ("a token passes", "3,168,768")
    assert dict(facts(presets.nano()).tables)["Parameters"][-1][0] == "total"


def test_captured():
    module = build(model(TopK(num_experts=E, k=2, expert=Dense(hidden=F), shared_experts=1)), seed=0)
    found = capture(module, torch.zeros(2, T, dtype=torch.long))
    assert found["blocks.1.feed_forward.router"].shape == (2, T, E)
    assert found["blocks.1.feed_forward.shared.hidden"].shape == (2, T, F)
    routed = found["blocks.1.feed_forward"] - found["blocks.1.feed_forward.shared"]
    assert routed.abs().max() > 0
