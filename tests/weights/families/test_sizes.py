"""Published models by their configurations alone: the numbers of parameters that their own classes have."""

import pytest

from oneblock.config import Rope
from oneblock.weights.families import FAMILIES
from oneblock.weights.options import Options
from oneblock.weights.reading import shapes_of


def sizes(width, layers, heads, hidden, vocabulary, **more):
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": hidden,
        "vocab_size": vocabulary,
    } | more


PUBLISHED = {
    "GPT-2 small": ("gpt2", {}, 124_439_808),
    "GPT-2 XL": ("gpt2", {"n_embd": 1600, "n_layer": 48, "n_head": 25}, 1_557_611_200),
    "Llama 2 7B": ("llama", sizes(4096, 32, 32, 11008, 32000), 6_738_415_616),
    "Llama 3 8B": ("llama", sizes(4096, 32, 32, 14336, 128256, num_key_value_heads=8), 8_030_261_248),
    "SmolLM2 135M": (
        "llama",
        sizes(576, 30, 9, 1536, 49152, num_key_value_heads=3, tie_word_embeddings=True),
        134_515_008,
    ),
    "Mistral 7B": ("mistral", sizes(4096, 32, 32, 14336, 32000, num_key_value_heads=8), 7_241_732_096),
    "Qwen3 0.6B": (
        "qwen3",
        sizes(1024, 28, 16, 3072, 151936, num_key_value_heads=8, head_dim=128, tie_word_embeddings=True),
        596_049_920,
    ),
    "Gemma 2 2B": ("gemma2", sizes(2304, 26, 8, 9216, 256000, num_key_value_heads=4), 2_614_341_888),
    "Gemma 3 1B": ("gemma3", sizes(1152, 26, 4, 6912, 262144, num_key_value_heads=1), 999_885_952),
    "OLMo 2 7B": ("olmo2", sizes(4096, 32, 32, 11008, 100352), 7_298_617_344),
    "Mixtral 8x7B": ("mixtral", {}, 46_702_792_704),
    "GPT-J 6B": ("gptj", {}, 6_050_882_784),
    "GPT-NeoX 20B": ("gpt_neox", {"vocab_size": 50432}, 20_554_567_680),
    "MiniMind 3": ("minimind", {}, 63_912_192),
    "MiniMind 3 MoE": ("minimind", {"use_moe": True, "moe_intermediate_size": 2432}, 198_416_640),
}


def read(name, fields):
    family = next(each for each in FAMILIES if each.name == name)
    return family.read(Options(fields, name, defaults=family.defaults))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    family, fields, parameters = PUBLISHED[name]
    found = 0
    for shape in shapes_of(read(family, fields)).values():
        count = 1
        for size in shape:
            count *= size
        found += count
    assert found == parameters


def test_defaults_of_the_classes():
    """What a field that is absent means differs from family to family."""
    assert read("gpt2", {}).tied
    assert not read("llama", {}).tied
    assert read("gemma2", {}).tied
    assert read("mistral", {}).blocks[0].attention.window == 4096
    assert read("mixtral", {}).blocks[0].attention.window is None
    assert read("mistral", {"sliding_window": None}).blocks[0].attention.window is None
    assert read("mixtral", {}).position == Rope(theta=1_000_000.0)
    assert read("gpt_neox", {}).position.fraction == 24 / 96
    assert read("gptj", {}).position == Rope(style="interleaved", fraction=64 / 256)
    assert read("olmo2", {}).blocks[0].norm.eps == 1e-5
    assert read("gemma2", {}).logit_soft_cap == 30.0


def test_layers_with_and_without_windows():
    two, three = read("gemma2", {}), read("gemma3", {})
    assert [two.block(layer).attention.window for layer in range(4)] == [4096, None, 4096, None]
    windows = [three.block(layer).attention.window for layer in range(12)]
    assert [layer for layer, window in enumerate(windows) if window is None] == [5, 11]
    assert three.block(0).attention.position == Rope(theta=10_000.0)
    assert (three.block(5).attention.position or three.position) == Rope(theta=1_000_000.0)
    assert len(two.blocks) == 2
    # 26 layers are no multiple of 6; the pattern is six long all the same.
    assert (three.num_layers, len(three.blocks)) == (26, 6)
