"""The diffusion transformer's configuration: what it derives, what it refuses, and that it is kept."""

import json

import pytest

from oneblock.config import (
    DDPM,
    AdaLN,
    AdaLNZero,
    Block,
    Config,
    ConfigError,
    DiT,
    Learned,
    NoModulation,
    Recipe,
    RectifiedFlow,
    Sinusoidal2D,
    dit_block,
    from_dict,
    override,
    presets,
    to_dict,
)
from oneblock.config.objective import Denoise


def option(**settings):
    plain = {
        "channels": 3, "image_height": 12, "image_width": 20, "patch": 4, "width": 24, "num_layers": 2,
        "blocks": (dit_block(3),), "num_classes": 5,
    }  # fmt: skip
    return DiT(**plain | settings)


def test_what_it_derives():
    model = option()
    assert (model.sides, model.grid, model.context) == ((12, 20), (3, 5), 15)
    assert option(image_width=None).grid == (3, 3)
    assert (model.answer_channels, model.num_labels) == (6, 6)
    assert option(process=DDPM(variance="beta")).answer_channels == 3
    assert option(process=RectifiedFlow()).answer_channels == 3
    assert option(num_classes=None).num_labels == 0 and option(class_dropout=0.0).num_labels == 5


def test_the_papers_block():
    block = dit_block(6)
    norm = block.norm
    assert (norm.eps, norm.gain, norm.bias) == (1e-6, False, False)
    assert block.attention.bias and block.attention.output_bias and block.attention.num_heads == 6
    assert (block.feed_forward.activation, block.feed_forward.ratio, block.feed_forward.bias) == ("gelu_tanh", 4, True)
    assert isinstance(block.modulation, AdaLNZero) and block.dropout == 0
    assert option().final_norm == norm


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"patch": 3}, "patch=3 must divide image_width=20; try 1, 2, 4"),
        ({"patch": 5}, "patch=5 must divide image_height=12; try 1, 2, 4"),
        ({"width": 30}, "width=30 must be a multiple of 4 for 2-D sines.* try 32, position=learned"),
        ({"time_width": 7}, "time_width=7 must be even"),
        ({"num_layers": 1, "blocks": (dit_block(3), dit_block(6))}, "num_layers=1 is fewer than the 2 blocks"),
        ({"blocks": (dit_block(5),)}, "block.attention.num_heads=5 must divide width=24"),
        ({"blocks": (Block(steps=("attention", "cross_attention")),)}, "has a cross_attention"),
        ({"class_dropout": 1.0}, "class_dropout=1.0 must be from 0 to 1"),
        ({"num_classes": 0}, "num_classes=0 must be 1 or more"),
    ],
)
def test_what_it_refuses(settings, says):
    with pytest.raises(ConfigError, match=says):
        option(**settings)


def test_learned_positions_may_have_any_width():
    assert option(width=30, position=Learned()).width == 30


def test_a_schedule_whose_steps_would_be_more_than_all():
    with pytest.raises(ConfigError, match="num_steps=20 makes β·1000/num_steps = 1, .* try 21 or more"):
        DDPM(num_steps=20)
    assert DDPM(num_steps=21).num_steps == 21


@pytest.mark.parametrize("name", ["adaln", "adaln_zero"])
@pytest.mark.parametrize("make", [presets.nano, presets.gpt2])
def test_a_model_without_a_condition_cannot_be_modulated(name, make):
    with pytest.raises(ConfigError, match="block.modulation=AdaLN.* reads a condition, and this model has none"):
        override(make(), f"block.modulation={name}")


def test_it_is_kept_and_overridden():
    model = option(process=RectifiedFlow(time="logit_normal", shift=2.0), position=Sinusoidal2D())
    data = json.loads(json.dumps(to_dict(model)))
    assert from_dict(DiT, data) == model
    whole = Config(model=model, recipe=Recipe(objective=Denoise(), steps=7))
    assert from_dict(Config, json.loads(json.dumps(to_dict(whole)))) == whole
    changed = override(whole, "process=ddpm", "process.variance=beta", "block.modulation=adaln", "position=learned")
    assert changed.model.process == DDPM(variance="beta") and changed.model.position == Learned()
    assert changed.model.blocks[0].modulation == AdaLN()
    with pytest.raises(ConfigError, match="patch=8 must divide image_height=12; try 1, 2, 4"):
        override(whole, "patch=8")


def test_configurations_of_old_runs_still_load():
    data = to_dict(presets.nano())
    for block in data["model"]["blocks"]:
        del block["modulation"]
    assert from_dict(Config, data) == presets.nano()
    assert presets.nano().model.blocks[0].modulation == NoModulation()
