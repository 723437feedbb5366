import math

import pytest
import torch

from oneblock import build
from oneblock.config import (
    Attention,
    Block,
    Decoder,
    Dense,
    FanIn,
    Gated,
    GShard,
    LayerNorm,
    Learned,
    Normal,
    RMSNorm,
    Switch,
    T5Bias,
    TopK,
    Xavier,
)

L, D, F, V = 3, 128, 256, 211


def model(init, **changes):
    block = Block(
        attention=Attention(num_heads=4, bias=True, output_bias=True), feed_forward=Gated(hidden=F, bias=True)
    )
    settings = {
        "vocab_size": V,
        "context": 97,
        "width": D,
        "num_layers": L,
        "blocks": (block,),
        "tied": False,
    }
    return build(Decoder(**settings | {"position": Learned()} | changes, init=init), seed=3)


def std(weight, expected):
    count = weight.numel()
    assert weight.mean().item() == pytest.approx(0, abs=5 * expected / count**0.5)
    assert weight.std().item() == pytest.approx(expected, rel=5 / count**0.5)


def roles(module):
    block = module.blocks[1]
    return {
        "embedding": module.embedding.weight,
        "position": module.position.weight,
        "qkv": block.attention.qkv.weight,
        "gate": block.feed_forward.gate.weight,
        "up": block.feed_forward.up.weight,
        "output": block.attention.output.weight,
        "down": block.feed_forward.down.weight,
        "head": module.head.weight,
    }


DEEP = 1 / math.sqrt(2 * L)
INNER = ("qkv", "gate", "up", "head")


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        (
            Normal(),
            {
                **dict.fromkeys(("embedding", "position", *INNER), 0.02),
                "output": 0.02 * DEEP,
                "down": 0.02 * DEEP,
            },
        ),
        (
            Normal(std=0.05, embedding_std=0.3, scale_residual=False),
            {**dict.fromkeys((*INNER, "output", "down"), 0.05), "embedding": 0.3, "position": 0.3},
        ),
        (
            FanIn(),
            {
                **dict.fromkeys(INNER, D**-0.5),
                "embedding": 1.0,
                "position": 1.0,
                "output": DEEP * D**-0.5,
                "down": DEEP * F**-0.5,
            },
        ),
        (FanIn(embedding_std=0.1, output="full"), {"embedding": 0.1, "output": D**-0.5, "down": F**-0.5}),
        (
            Xavier(),
            {
                "embedding": D**-0.5,
                "position": D**-0.5,
                "qkv": math.sqrt(2 / (4 * D)),
                "up": math.sqrt(2 / (D + F)),
                "down": math.sqrt(2 / (D + F)),
                "output": math.sqrt(2 / (2 * D)),
                "head": math.sqrt(2 / (D + V)),
            },
        ),
    ],
    ids=["normal", "normal unscaled", "fan in", "fan in full", "xavier"],
)
def test_spread_by_role(init, expected):
    found = roles(model(init))
    for role, value in expected.items():
        std(found[role], value)


def test_gpt2_scale():
    """0.02/√(2L): .0040825 for 12 layers, .0070711 for 4."""
    for layers, value in ((12, 0.0040825), (4, 0.0070711)):
        assert 0.02 / math.sqrt(2 * layers) == pytest.approx(value, abs=6e-8)
        std(model(Normal(), num_layers=layers).blocks[0].feed_forward.down.weight, value)


def test_the_depth_is_the_number_of_additions():
    block = Block(steps=("attention", "feed_forward", "attention"), attention=Attention(num_heads=4))
    std(model(Normal(), blocks=(block,)).blocks[0].attention_2.output.weight, 0.02 / math.sqrt(3 * L))


def test_zero_outputs():
    found = roles(model(FanIn(output="zero")))
    assert not found["output"].any() and not found["down"].any() and found["up"].any()


def test_xavier_is_uniform_up_to_its_bound():
    weight = model(Xavier()).blocks[0].feed_forward.up.weight
    assert weight.abs().max().item() == pytest.approx(math.sqrt(6 / (D + F)), rel=1e-3)


@pytest.mark.parametrize("init", [Normal(), FanIn(), FanIn(output="zero"), Xavier()])
def test_biases_are_zero_and_gains_as_their_norms_made_them(init):
    block = Block(attention=Attention(num_heads=4, bias=True, qk_norm=RMSNorm(one_plus=True)), norm=LayerNorm())
    for name, parameter in model(init, blocks=(block,)).named_parameters():
        if parameter.dim() == 1:
            one = name.endswith("weight") and "q_norm" not in name and "k_norm" not in name
            assert (parameter == (1.0 if one else 0.0)).all(), name


@pytest.mark.parametrize(
    "init", [Normal(), Normal(std=0.006), FanIn(embedding_std=0.02), FanIn(output="zero"), Xavier()]
)
def test_a_fresh_model_guesses_evenly(init):
    tied = not isinstance(init, FanIn | Xavier)
    module = model(init, tied=tied).eval()
    tokens = torch.randint(0, V, (4, 97), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = module(tokens)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).item()
    assert abs(loss - math.log(V)) < 0.6


def with_experts(init, experts, **changes):
    block = Block(attention=Attention(num_heads=4), feed_forward=experts)
    return model(init, blocks=(block,), **changes).blocks[1].feed_forward


@pytest.mark.parametrize(
    ("init", "inner", "down", "router"),
    [
        (Normal(), 0.02, 0.02 * DEEP, 0.02),
        (FanIn(), D**-0.5, DEEP * F**-0.5, D**-0.5),
        (Xavier(), math.sqrt(2 / (D + F)), math.sqrt(2 / (D + F)), math.sqrt(2 / (D + 5))),
    ],
)
def test_experts_start_as_a_feed_forward_of_their_own_size(init, inner, down, router):
    """The fan-in of a stack E × out × in is `in`; shared experts are no addition of their own."""
    found = with_experts(init, TopK(num_experts=5, expert=Gated(hidden=F, bias=True), shared_experts=1))
    for matrix in (found.experts.up, found.experts.gate, found.shared.up):
        std(matrix.weight, inner)
    for e in range(5):
        std(found.experts.down.weight[e], down)
    std(found.shared.down.weight, down)
    std(found.router.weight, router)
    assert not found.experts.up.bias.any() and not found.experts.down.bias.any()


def test_switch_starts_small():
    """σ² = 0.1 / fan-in, cut at 2σ, which leaves 0.774 of the variance; √10 below, not 10."""
    kept = 0.7737413
    found = with_experts(Normal(std=1.0), Switch(num_experts=5, expert=Dense(hidden=F)))
    for weight, fan_in in (
        (found.router.weight, D),
        (found.experts.up.weight, D),
        (found.experts.down.weight, F),
    ):
        sigma = math.sqrt(0.1 / fan_in)
        std(weight, sigma * math.sqrt(kept))
        assert weight.abs().max() <= 2 * sigma
    plain = with_experts(Normal(std=1.0), Switch(num_experts=5, expert=Dense(hidden=F), init_scale=None))
    std(plain.experts.up.weight, 1.0)
    std(with_experts(Normal(std=1.0), GShard(num_experts=5, expert=Dense(hidden=F))).experts.up.weight, 1.0)


def test_every_table_and_matrix_is_drawn_and_the_seed_decides():
    module = model(Normal(), position=T5Bias())
    std(module.position.weight, 0.02)
    twin = model(Normal(), position=T5Bias())
    assert all(map(torch.equal, module.parameters(), twin.parameters()))
    state = torch.get_rng_state()
    build(module.config, seed=5)
    assert torch.equal(state, torch.get_rng_state()), "a seed leaves torch's generator as it was"
    other = build(module.config, seed=5)
    assert not torch.equal(other.embedding.weight, module.embedding.weight)
    torch.manual_seed(5)
    assert torch.equal(build(module.config).embedding.weight, other.embedding.weight)


def test_fan_in_with_a_tied_head_guesses_evenly():
    module = model(FanIn(), tied=True).eval()
    with torch.no_grad():
        logits = module(torch.arange(97)[None])
    assert logits.std() < 3
