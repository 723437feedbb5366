"""What models cost, beside counts made by hand and the facts of published models."""

import subprocess
import sys

import pytest
import torch

from oneblock import build, override, presets
from oneblock.config import (
    PRESETS,
    Attention,
    Block,
    Decoder,
    Dense,
    Gated,
    LayerNorm,
    Learned,
    NoPosition,
    RMSNorm,
    preset,
)
from oneblock.inspect.statistics import (
    PARTS,
    cache_bytes_per_token,
    flops_per_token,
    forward_flops_per_token,
    parameters,
    parts,
)


def built(config):
    with torch.device("meta"):
        return build(config)


@pytest.mark.parametrize("name", PRESETS)
def test_parts_of_a_preset_sum_to_its_parameters(name):
    model = built(preset(name))
    counts = parts(model)
    assert sum(counts.values()) == sum(parameter.numel() for parameter in model.parameters())
    assert tuple(counts) == PARTS
    assert parameters(preset(name)) == counts


def test_the_configuration_counts_what_the_model_has(models):
    for config in models:
        assert parameters(config) == parts(built(config)), config
    seen = {part for config in models for part, count in parameters(config).items() if count}
    assert seen == set(PARTS) - {"cross_attention", "condition", "modulation"}


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
        ("llama-small", 134_515_008),
        ("minimind", 63_912_192),
    ],
)
def test_published_sizes(name, total):
    assert sum(parameters(preset(name)).values()) == total


def nanogpt(num_layers, num_heads, width, context):
    """nanoGPT on characters, its linear layers and norms without bias."""
    block = Block(attention=Attention(num_heads=num_heads), feed_forward=Dense(), norm=LayerNorm(bias=False))
    return Decoder(
        vocab_size=65, context=context, width=width, num_layers=num_layers,
        blocks=(block,), position=Learned(),
    )  # fmt: skip


def test_training_flops_are_those_of_nanogpt():
    assert flops_per_token(nanogpt(6, 6, 384, 256)) == 70_958_592
    assert flops_per_token(nanogpt(4, 4, 128, 64)) == 5_168_640


# D = 6, H·K = 2·4, G·K = 1·4, gated with F = 10, V = 7, T = 5, W = 3.
ATTENTION, FEED_FORWARD, HEAD = 6 * (8 + 4 + 4) + 8 * 6, 3 * 6 * 10, 7 * 6


def grouped(**changes):
    block = Block(
        steps=("attention", "attention", "feed_forward"),
        attention=Attention(num_heads=2, num_kv_heads=1, head_width=4, bias=True),
        feed_forward=Gated(hidden=10, bias=True),
        norm=RMSNorm(),
    )
    windowed = override(block, "attention.window=3")
    return Decoder(
        vocab_size=7, context=5, width=6, num_layers=3,
        blocks=(block, windowed), position=NoPosition(), **changes,
    )  # fmt: skip


def test_forward_flops_by_hand():
    products = 3 * (2 * ATTENTION + FEED_FORWARD) + HEAD
    # Two attentions in each layer; the middle layer sees 3 positions, the others all 5.
    scores = 2 * (4 * 8 * 5 + 4 * 8 * 3 + 4 * 8 * 5)
    assert forward_flops_per_token(grouped()) == 2 * products + scores
    assert forward_flops_per_token(grouped(tied=False)) == forward_flops_per_token(grouped())
    longer = 2 * (4 * 8 * 11 + 4 * 8 * 3 + 4 * 8 * 11)
    assert forward_flops_per_token(grouped(), context=11) == 2 * products + longer
    assert forward_flops_per_token(grouped(), context=2) == 2 * products + 6 * 4 * 8 * 2


def test_training_flops_by_hand():
    biases = 3 * (2 * (8 + 4 + 4) + 10 + 10 + 6)
    norms = 3 * 3 * 6 + 6
    everything = 3 * (2 * ATTENTION + FEED_FORWARD) + HEAD + biases + norms
    scores = 3 * 2 * (4 * 8 * 5 + 4 * 8 * 3 + 4 * 8 * 5)
    assert sum(parameters(grouped()).values()) == everything
    assert flops_per_token(grouped()) == 6 * everything + scores
    # An embedding that is only looked up costs nothing; learned positions neither.
    assert flops_per_token(grouped(tied=False)) == flops_per_token(grouped())
    learned = override(grouped(), "position=learned")
    assert flops_per_token(learned) == flops_per_token(grouped())


def test_forward_flops_are_those_torch_counts():
    """torch counts the products of a real forward pass, attention written out."""
    from torch.utils.flop_counter import FlopCounterMode

    config = override(presets.llama_nano(), "width=48", "num_layers=3", "context=11", "vocab_size=13")
    model, batch = build(config, seed=0, fused=False), 2
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(batch, 11, dtype=torch.long))
    assert counter.get_total_flops() == batch * 11 * forward_flops_per_token(config)


KIB = 1024


@pytest.mark.parametrize(
    ("config", "kib"),
    [
        (presets.gpt2(), 36),
        (presets.minimind(), 12),
        (nanogpt(6, 6, 384, 256), 9),
        (presets.nano(), 4),
        (presets.llama_nano(), 2),
    ],
)
def test_cache_bytes(config, kib):
    assert cache_bytes_per_token(config, 2) == kib * KIB
    assert cache_bytes_per_token(config, 4) == 2 * kib * KIB


def test_cache_bytes_are_those_of_the_cache(models):
    for config in models:
        cache = build(config, seed=0).cache(batch=1, capacity=1)
        assert cache.num_bytes == cache_bytes_per_token(config, 4), config


def test_no_torch_is_loaded():
    program = (
        "import sys; from oneblock import presets; from oneblock.inspect import statistics, draw;"
        "statistics.flops_per_token(presets.nano()); draw.draw(presets.nano()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
