"""Parameter counts, against the formulas of the families."""

import pytest
import torch

from oneblock import build, presets
from oneblock.config import PRESETS, Block, EncoderDecoder, LayerNorm, override, preset


def count(config):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config).parameters())


def gpt2(model):
    d = model.width
    return model.vocab_size * d + model.context * d + model.num_layers * (12 * d * d + 13 * d) + 2 * d


def llama(model, *, qk_norm, norms=2):
    d, attention = model.width, model.blocks[0].attention
    heads, groups, width = attention.num_heads, attention.num_groups, attention.width_of_head(d)
    hidden = model.blocks[0].feed_forward.hidden_width(d)
    layer = 2 * d * heads * width + 2 * d * groups * width + 3 * d * hidden + norms * d + (2 * width if qk_norm else 0)
    return model.vocab_size * d * (1 if model.tied else 2) + model.num_layers * layer + d


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_gpt2(name, expected):
    config = preset(name)
    assert count(config) == gpt2(config.model) == expected


def test_llamas():
    small, mini, nano = presets.llama_small(), presets.minimind(), presets.llama_nano()
    assert count(small) == llama(small.model, qk_norm=False) == 134_515_008
    assert count(mini) == llama(mini.model, qk_norm=True) == 63_912_192
    assert count(nano) == llama(nano.model, qk_norm=False)
    untied = override(mini, "tied=false", "block.placement=peri")
    assert count(untied) == llama(untied.model, qk_norm=True, norms=4)


def test_the_published_shapes_of_larger_ones():
    """Counts of Llama 2 7B, Llama 3 8B, Mistral 7B, Qwen3 0.6B and Gemma 2 2B, from their public shapes."""
    shapes = [
        (6_738_415_616, 32000, 4096, 32, 32, 32, 128, 11008, False, "pre", "none"),
        (8_030_261_248, 128256, 4096, 32, 32, 8, 128, 14336, False, "pre", "none"),
        (7_241_732_096, 32000, 4096, 32, 32, 8, 128, 14336, False, "pre", "none"),
        (596_049_920, 151936, 1024, 28, 16, 8, 128, 3072, True, "pre", "rms"),
        (2_614_341_888, 256000, 2304, 26, 8, 4, 256, 9216, True, "peri", "none"),
    ]
    for expected, vocab, width, layers, heads, groups, head_width, hidden, tied, placement, qk_norm in shapes:
        config = override(
            presets.llama_small(),
            f"vocab_size={vocab}",
            "block.attention.head_width=64",
            f"width={width}",
            f"num_layers={layers}",
            "block.attention.num_kv_heads=none",
            f"block.attention.num_heads={heads}",
            f"block.attention.num_kv_heads={groups}",
            f"block.attention.head_width={head_width}",
            f"block.feed_forward.hidden={hidden}",
            f"tied={tied}",
            f"block.placement={placement}",
            f"block.attention.qk_norm={qk_norm}",
        )
        assert count(config) == expected


def test_nano_and_the_originals_decoder():
    d = 256
    assert count(presets.nano()) == 65 * d + 4 * (12 * d * d + 2 * d) + d
    d = 512
    assert count(presets.vaswani_decoder()) == 65 * d + 6 * (12 * d * d + 13 * d)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds(name):
    with torch.device("meta"):
        model = build(preset(name))
        option = preset(name).model
        stacks = [(model, option)]
        if isinstance(option, EncoderDecoder):
            stacks = [(model.encoder, option.encoder), (model.decoder, option.decoder)]
        assert all(len(stack.blocks) == own.num_layers for stack, own in stacks)
    assert preset(name).name == name == preset(name.replace("-", "_")).name


def test_norms_of_a_layout_are_counted():
    d = 256
    counts = {
        placement: count(override(presets.nano(), f"block.placement={placement}"))
        for placement in ("pre", "post", "peri", "out", "none")
    }
    base = counts["none"]
    assert {name: value - base for name, value in counts.items()} == {
        "pre": 4 * 2 * d + d,
        "post": 4 * 2 * d,
        "peri": 4 * 4 * d + d,
        "out": 4 * 2 * d + d,
        "none": 0,
    }
    assert Block().norm == LayerNorm()
