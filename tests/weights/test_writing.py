"""Which family can express a model, and what it says where none can."""

from dataclasses import replace

import pytest
import torch

import oneblock
from oneblock.config import (
    Alibi,
    Attention,
    Block,
    Config,
    Decoder,
    Dense,
    DiT,
    Encoder,
    Gated,
    LayerNorm,
    Learned,
    NTKScaling,
    RMSNorm,
    Rope,
    Scaled,
    TopK,
)
from oneblock.config.part import Part
from oneblock.weights.canonical import canonical
from oneblock.weights.errors import WeightsError
from oneblock.weights.families import FAMILIES
from oneblock.weights.family import Row, links, row
from oneblock.weights.reading import shapes_of
from oneblock.weights.transforms import Sizes
from oneblock.weights.writing import express, said_by

LLAMA = Decoder(
    vocab_size=13,
    width=12,
    context=16,
    num_layers=3,
    blocks=(Block(norm=RMSNorm(), attention=Attention(num_heads=2), feed_forward=Gated(hidden=11)),),
)
GPT2 = Decoder(
    vocab_size=13,
    width=12,
    context=16,
    num_layers=3,
    position=Learned(),
    blocks=(
        Block(
            norm=LayerNorm(),
            attention=Attention(num_heads=2, bias=True, output_bias=True),
            feed_forward=Dense(activation="gelu_tanh", bias=True),
        ),
    ),
)


def family(name):
    return next(each for each in FAMILIES if each.name == name)


def with_block(model, **changes):
    return replace(model, blocks=(replace(model.blocks[0], **changes),))


def with_attention(model, **changes):
    return with_block(model, attention=replace(model.blocks[0].attention, **changes))


def said(model, name="custom"):
    return express(Config(name=name, model=model))


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("nano", "arcee"),
        ("decoder_8x512", "gpt_neox"),
        ("gpt2", "gpt2"),
        ("gpt2_xl", "gpt2"),
        ("llama_nano", "llama"),
        ("llama_small", "llama"),
        ("minimind", "qwen3"),
    ],
)
def test_presets_go_out(preset, name):
    assert express(getattr(oneblock.presets, preset)()).family.name == name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LLAMA, "llama"),
        (with_attention(LLAMA, window=5), "mistral"),
        (with_attention(LLAMA, qk_norm=RMSNorm()), "qwen3"),
        (with_block(LLAMA, feed_forward=TopK(num_experts=5, expert=Gated(hidden=11))), "mixtral"),
        (GPT2, "gpt2"),
        (replace(with_block(GPT2, steps=("attention+feed_forward",)), position=Rope(), tied=False), "gpt_neox"),
    ],
)
def test_the_family_that_fits_is_found(model, name):
    assert said(model).family.name == name


def test_a_model_s_own_family_comes_first():
    assert said(LLAMA, name="mistral").family.name == "mistral"


def test_a_bias_that_is_not_here_goes_out_as_zeros():
    bare = with_block(
        with_attention(GPT2, bias=False, output_bias=False),
        norm=LayerNorm(bias=False),
        feed_forward=Dense(activation="gelu_tanh"),
    )
    model = oneblock.build(bare, seed=0)
    theirs = dict(said(bare).tensors(model.state_dict()))
    assert theirs["transformer.h.1.attn.c_attn.bias"].shape == (36,)
    assert theirs["transformer.h.1.attn.c_attn.bias"].abs().max() == 0
    assert theirs["transformer.h.2.ln_1.bias"].abs().max() == 0
    assert torch.equal(theirs["transformer.h.2.mlp.c_fc.weight"], model.blocks[2].feed_forward.up.weight.T)


def test_a_gain_that_is_not_here_goes_out_as_ones_but_not_where_one_is_added():
    bare = with_block(LLAMA, norm=RMSNorm(gain=False))
    theirs = dict(said(bare).tensors(oneblock.build(bare, seed=0).state_dict()))
    assert torch.equal(theirs["model.layers.0.input_layernorm.weight"], torch.ones(12))
    assert "norm" in said_by(family("gemma2"), bare)


@pytest.mark.parametrize(
    ("model", "name", "option"),
    [
        (with_block(LLAMA, placement="peri"), "llama", r"blocks.0.attention_only.placement=peri, and there it is pre"),
        (with_block(LLAMA, norm=LayerNorm()), "llama", "blocks.0.attention_only.norm=layer, and there it is rms"),
        (with_block(LLAMA, feed_forward=Dense()), "llama", "blocks.0.feed_forward=dense, and there it is gated"),
        (with_block(LLAMA, residual=Scaled(branch=0.5)), "llama", "residual=scaled, and there it is on"),
        (with_attention(LLAMA, soft_cap=30.0), "llama", "blocks.0.attention.soft_cap=30.0, and there it is none"),
        (with_attention(LLAMA, scale=0.3), "llama", "blocks.0.attention.scale=0.3"),
        (with_attention(LLAMA, qk_norm=RMSNorm()), "llama", "blocks.0.attention.qk_norm=rms, and there it is none"),
        (replace(LLAMA, position=Alibi()), "llama", "blocks.0.attention.position=alibi, and there it is rope"),
        (replace(LLAMA, position=Rope(style="interleaved")), "llama", "style=interleaved, and there it is half"),
        (replace(LLAMA, position=Rope(fraction=1 / 3, theta=5e5)), "llama", "position.fraction=0.33"),
        (replace(LLAMA, position=Rope(scaling=NTKScaling())), "llama", "scaling=ntk, and there it is none"),
        (replace(LLAMA, embedding_scale=True), "llama", "embedding_scale=true, and there it is false"),
        (replace(LLAMA, head_bias=True), "llama", "head_bias=true, and there it is false"),
        (replace(LLAMA, embedding_norm=RMSNorm()), "llama", "embedding_norm=rms, and there it is none"),
        (replace(LLAMA, final_norm=LayerNorm()), "llama", "final_norm=layer, and there it is rms"),
        (with_attention(GPT2, num_kv_heads=1), "gpt2", "blocks.0.attention.num_kv_heads=1, and there it is 2"),
        (with_attention(GPT2, head_width=5), "gpt2", "blocks.0.attention.head_width=5, and there it is 6"),
        (GPT2, "gptj", "blocks.0.steps=attention,feed_forward, and there it is attention+feed_forward"),
    ],
)
def test_the_option_in_the_way_is_named(model, name, option):
    reason = said_by(family(name), model)
    assert isinstance(reason, str)
    assert option in reason


def test_a_pattern_of_different_blocks_is_no_llama():
    other = replace(LLAMA.blocks[0], feed_forward=Gated(hidden=7))
    reason = said_by(family("llama"), replace(LLAMA, blocks=(LLAMA.blocks[0], other)))
    assert reason == "blocks.1.feed_forward.hidden=7, and there it is 11"


def test_where_none_can_each_says_why():
    with pytest.raises(WeightsError) as caught:
        express(oneblock.presets.switch_nano())
    lines = str(caught.value).splitlines()
    assert lines[0] == "no family can express this model. What stands in the way:"
    assert {line.split(":")[0].strip() for line in lines[1:]} == {
        each.name for each in FAMILIES if each.kind is Decoder and each.write
    }
    assert any("arcee: blocks.1.feed_forward=switch, and there it is dense" in line for line in lines)


EQUAL = [
    (LLAMA, replace(LLAMA, blocks=LLAMA.blocks * 3)),
    (LLAMA, with_attention(LLAMA, num_kv_heads=2, head_width=6, scale=6**-0.5)),
    (LLAMA, with_attention(LLAMA, position=Rope(), dropout=0.1)),
    (LLAMA, replace(with_block(LLAMA, dropout=0.2), embedding_dropout=0.1, final_norm=RMSNorm())),
    (GPT2, with_block(GPT2, feed_forward=Dense(activation="gelu_tanh", hidden=48, bias=True))),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_the_same_function_has_one_canonical_form(a, b):
    assert a != b
    assert canonical(a) == canonical(b)


DIFFERENT = [
    with_attention(LLAMA, window=5),
    with_attention(LLAMA, num_kv_heads=1),
    with_block(LLAMA, norm=RMSNorm(eps=1e-6)),
    with_block(LLAMA, steps=("feed_forward", "attention")),
    replace(LLAMA, tied=False),
    replace(LLAMA, context=17),
]


@pytest.mark.parametrize("other", DIFFERENT)
def test_another_function_stays_another(other):
    assert canonical(LLAMA) != canonical(other)


@pytest.mark.parametrize("preset", oneblock.presets.PRESETS)
def test_every_preset_has_a_canonical_form_that_is_its_own(preset):
    model = oneblock.presets.preset(preset).model
    once = canonical(model)
    assert isinstance(once, Part)
    assert canonical(once) == once


def test_kinds_without_a_family_say_so():
    encoder = oneblock.presets.encoder_nano()
    assert isinstance(encoder.model, Encoder)
    with pytest.raises(WeightsError):
        express(encoder, [each for each in FAMILIES if each.kind in (Decoder, DiT)])


def test_a_name_without_a_row_is_told():
    shapes = shapes_of(LLAMA)
    with pytest.raises(WeightsError, match=r"no row of the table has blocks\.0\.attention"):
        links((row("embedding.weight", "a"), row("norm.weight", "b")), shapes, LLAMA)


def test_a_row_counts_where_the_model_has_its_names():
    shapes = shapes_of(LLAMA)
    table = [row(name, name) for name in shapes] + [row("blocks.{i}.attention.qkv.bias", "c")]
    found = links(table, shapes, LLAMA)
    assert len(found) == len(shapes)
    sizes = {link.ours[0]: link.sizes for link in found}
    assert sizes["blocks.1.attention.qkv.weight"] == Sizes(2, 2, 6)
    assert sizes["embedding.weight"] == Sizes()
    assert Row(("a",), ("b",)) == row("a", "b")
