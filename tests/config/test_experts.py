"""Options of mixtures of experts, and the rules across their fields."""

import json

import pytest

from oneblock.config import (
    Attention,
    Block,
    ConfigError,
    Decoder,
    Dense,
    EncoderDecoder,
    Gated,
    GShard,
    Stack,
    Switch,
    TopK,
    from_dict,
    override,
    preset,
    presets,
    to_dict,
)
from oneblock.config.expert_rules import check_over_processes
from oneblock.config.experts import experts_of_each

CROSS = ("attention", "cross_attention", "feed_forward")


def model(experts, *, context=24, steps=("attention", "feed_forward")):
    block = Block(attention=Attention(num_heads=2), feed_forward=experts, steps=steps)
    return Decoder(vocab_size=11, context=context, width=16, num_layers=2, blocks=(block,))


@pytest.mark.parametrize(
    ("make", "path", "words"),
    [
        (lambda: TopK(num_experts=3, k=4), "k", ["is more than there are experts (num_experts=3)", "try 1, 2, 3"]),
        (lambda: GShard(num_experts=1), "num_experts", ["two different ones"]),
        (lambda: Switch(group_size=7), "group_size", ["must divide the 24 tokens", "try 1, 2, 3, 4, 6, 8, 12, 24"]),
        (lambda: Switch(group_size=23), "group_size", ["must divide"]),
        (
            lambda: Switch(group_size=8, capacity_factor=None),
            "group_size",
            ["without a capacity there is no limit"],
        ),
        (
            lambda: Switch(num_experts=8, capacity_factor=0.3),
            "capacity_factor",
            ["capacity_factor · 1 · 24 tokens / num_experts=8 is below 1", "0.3333 or more"],
        ),
        (lambda: Switch(num_experts=32), "capacity_factor", ["every token would be dropped"]),
        (
            lambda: Switch(num_experts=16, group_size=8),
            "capacity_factor",
            ["· 1 · 8 tokens / num_experts=16 is below 1"],
        ),
        (lambda: GShard(num_experts=49), "capacity_factor", ["2 · 24 tokens"]),
        (lambda: GShard(eval_capacity_factor=0.01), "eval_capacity_factor", ["below 1"]),
        (lambda: Switch(capacity=3), "capacity", ["a capacity factor says another", "capacity_factor=none"]),
        (
            lambda: GShard(capacity=3, capacity_factor=None, eval_capacity_factor=2.0),
            "capacity",
            ["a capacity factor says another"],
        ),
    ],
)
def test_refused(make, path, words):
    with pytest.raises(ConfigError) as caught:
        model(make())
    assert caught.value.path == f"block.feed_forward.{path}"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "experts",
    [
        Switch(),
        Switch(num_experts=1),
        Switch(num_experts=24, capacity_factor=1.0),
        Switch(num_experts=999, capacity_factor=None),
        Switch(group_size=8, capacity_factor=None, eval_capacity_factor=2.0),
        Switch(capacity=1, capacity_factor=None),
        Switch(capacity=3, capacity_factor=None, group_size=12),
        GShard(num_experts=48),
        GShard(num_experts=2, group_size=24),
        GShard(num_experts=2, group_size=48),
        TopK(num_experts=3, k=3),
        TopK(k=1),
    ],
)
def test_allowed(experts):
    data = to_dict(model(experts))
    assert from_dict(Decoder, json.loads(json.dumps(data))) == model(experts)


def test_rules_are_asked_of_what_is_used():
    model(TopK(num_experts=3, k=4), steps=("attention",))


def test_own_fields_check_themselves():
    for make in (lambda: Switch(jitter=1.0), lambda: Switch(capacity_factor=0.0), lambda: TopK(shared_experts=-1)):
        with pytest.raises(ConfigError):
            make()
    with pytest.raises(ConfigError, match="sorted, einsum"):
        Switch(dispatch="loop")
    with pytest.raises(ConfigError, match="is not one of the options"):
        Switch(expert=Switch())


def test_by_name_and_by_path():
    for name, option in (("switch", Switch()), ("gshard", GShard()), ("top_k", TopK())):
        assert override(presets.nano(), f"block.feed_forward={name}").model.blocks[0].feed_forward == option
    config = override(
        presets.nano(),
        "blocks=2", "blocks.1.feed_forward=top_k", "blocks.1.feed_forward.expert=geglu",
        "blocks.1.feed_forward.expert.hidden=96", "blocks.1.feed_forward.k=3",
    )  # fmt: skip
    dense, experts = (block.feed_forward for block in config.model.blocks)
    assert dense == Dense(activation="relu2")
    assert experts == TopK(k=3, expert=Gated(activation="gelu", hidden=96)) and experts.hidden_width(256) == 96


def test_a_router_is_in_float32_unless_it_is_said_otherwise():
    data = to_dict(model(Switch()))
    assert data["blocks"][0]["feed_forward"].pop("router_precision") == "float32"
    assert from_dict(Decoder, data) == model(Switch()), "as configurations were written before there was a choice"
    config = override(preset("switch-nano"), "blocks.1.feed_forward.router_precision=bfloat16")
    assert config.model.blocks[1].feed_forward.router_precision == "bfloat16"
    with pytest.raises(ConfigError, match="router_precision=float16 is not one of the choices"):
        TopK(router_precision="float16")


def test_places_are_those_of_the_papers():
    """Switch C = ⌊factor · S / E⌋, GShard C = 2·S / E."""
    assert Switch(num_experts=8).places(1.25, 256) == 40 and Switch(num_experts=8).places(1.0, 15) == 1
    assert GShard(num_experts=8).places(1.0, 256) == 64


def test_experts_shared_out_over_processes():
    assert experts_of_each(8, 4) == 2
    with pytest.raises(ConfigError, match="must be shared out evenly over 3 processes; try 3, 6"):
        experts_of_each(8, 3)


@pytest.mark.parametrize(
    ("experts", "words"),
    [
        (Switch(), ["block.feed_forward.group_size=none", "(capacity_factor=1.25)", "of 2 processes", "group_size=24"]),
        (
            GShard(num_experts=2),
            ["block.feed_forward.group_size=none", "--set block.feed_forward.capacity_factor=none"],
        ),
        (TopK(num_experts=5), ["block.feed_forward.num_experts=5", "evenly over 2 processes; try 2, 4, 6"]),
    ],
)
def test_what_several_processes_cannot_train_as_one_does(experts, words):
    """Refused before anything is built; by one process it may be trained."""
    check_over_processes(model(experts), 1, sharded=True)
    with pytest.raises(ConfigError) as told:
        check_over_processes(model(experts), 2, sharded=True)
    assert all(word in str(told.value) for word in words), told.value


@pytest.mark.parametrize("experts", [Switch(group_size=12), Switch(capacity_factor=None), TopK(num_experts=2)])
def test_what_several_processes_train_as_one_does(experts):
    check_over_processes(model(experts), 2, sharded=True)
    check_over_processes(model(TopK(num_experts=5)), 2)
    check_over_processes(model(Switch(), steps=("attention",)), 2)
    pairs = EncoderDecoder(
        source_vocab=7, target_vocab=11, width=16, encoder=Stack(context=8, num_layers=1),
        decoder=Stack(context=6, num_layers=2, blocks=(Block(steps=CROSS), Block(steps=CROSS, feed_forward=Switch(num_experts=3)))),
    )  # fmt: skip
    with pytest.raises(
        ConfigError, match=r"^decoder\.blocks\.1\.feed_forward\.group_size=none .* --set decoder\.blocks\.1\..*=6"
    ):
        check_over_processes(pairs, 2)


@pytest.mark.parametrize("name", ["switch-nano", "gshard-nano"])
def test_the_presets_are_nano_with_experts(name):
    config, nano = preset(name), presets.nano()
    assert config.recipe == nano.recipe and config.name == name
    dense, experts = config.model.blocks
    assert dense == nano.model.blocks[0]
    mixture = experts.feed_forward
    assert mixture.num_chosen * mixture.hidden_width(256) == dense.feed_forward.hidden_width(256)
    assert mixture.expert.activation == dense.feed_forward.activation
    assert [type(config.model.block(layer).feed_forward) for layer in range(4)] == [Dense, type(mixture)] * 2
