"""Rules of encoders and encoder-decoders: what does not fit, and how it is said."""

import json
import re
from dataclasses import replace

import pytest

from oneblock.config import (
    PRESETS,
    Attention,
    Block,
    ConfigError,
    Decoder,
    Encoder,
    EncoderDecoder,
    NoHead,
    NoPosition,
    Only,
    Stack,
    T5Bias,
    Vision,
    config_from_dict,
    from_dict,
    override,
    preset,
    presets,
    to_dict,
)

HEADS = Attention(num_heads=3)
WITH_MEMORY = ("attention", "cross_attention", "feed_forward")
READS = Block(attention=HEADS)
WRITES = Block(steps=WITH_MEMORY, attention=HEADS, cross_attention=HEADS)


def encoder(block=READS, **changes):
    return Encoder(**{"vocab_size": 11, "context": 7, "width": 12, "num_layers": 2, "blocks": (block,)} | changes)


def pair(encoder=None, decoder=None, **changes):
    stacks = {
        "encoder": Stack(**{"context": 7, "num_layers": 2, "blocks": (READS,)} | (encoder or {})),
        "decoder": Stack(**{"context": 5, "num_layers": 2, "blocks": (WRITES,)} | (decoder or {})),
    }
    return EncoderDecoder(**{"source_vocab": 11, "target_vocab": 13, "width": 12} | stacks | changes)


def with_across(**options):
    return {"blocks": (Block(steps=WITH_MEMORY, attention=HEADS, cross_attention=Attention(**options)),)}


@pytest.mark.parametrize(
    ("make", "path", "rule"),
    [
        (lambda: encoder(WRITES), "block.steps", "no encoder's memory"),
        (
            lambda: Decoder(vocab_size=11, context=7, width=12, num_layers=1, blocks=(WRITES,)),
            "block.steps",
            "no encoder's memory",
        ),
        (lambda: pair(encoder={"blocks": (WRITES,)}), "encoder.block.steps", "no encoder's memory"),
        (lambda: pair(decoder={"blocks": (READS,)}), "decoder.block.steps", "has no cross_attention"),
        (
            lambda: pair(decoder=with_across(num_heads=5)),
            "decoder.block.cross_attention.num_heads",
            "must divide width=12",
        ),
        (
            lambda: pair(decoder=with_across(num_heads=3, num_kv_heads=2)),
            "decoder.block.cross_attention.num_kv_heads",
            "must divide num_heads=3",
        ),
        (
            lambda: pair(decoder=with_across(num_heads=3, window=2)),
            "decoder.block.cross_attention.window",
            "whole memory",
        ),
        (
            lambda: pair(decoder=with_across(num_heads=3, position=T5Bias())),
            "decoder.block.cross_attention.position",
            "no positions",
        ),
        (lambda: encoder(position=T5Bias(num_buckets=5, max_distance=9)), "position.num_buckets", "must be even"),
        (
            lambda: encoder(Block(attention=Attention(num_heads=3, position=T5Bias(num_buckets=7)))),
            "block.attention.position.num_buckets",
            "must be even",
        ),
        (lambda: pair(shared_embedding=True), "shared_embedding", "source_vocab=11 is not target_vocab=13"),
        (lambda: pair(encoder={"num_layers": 1, "blocks": (READS, READS)}), "encoder.num_layers", "fewer than the 2"),
        (lambda: encoder(num_layers=0), "num_layers", "1 or more"),
        (lambda: override(preset("vaswani"), "width=511"), "width", "must be even"),
    ],
)
def test_what_does_not_fit_is_said(make, path, rule):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.path == path and rule in str(caught.value)


def test_what_fits():
    assert pair(decoder={"position": T5Bias(num_buckets=5)}).decoder.position.num_buckets == 5
    assert pair(decoder=with_across(num_heads=3, position=NoPosition())).decoder.blocks[0].count("cross_attention") == 1
    # A step may be left out of a preset's block, and what it was stands.
    left_out = Block(steps=("feed_forward",), attention=Attention(num_heads=5))
    assert encoder(left_out).tied and not encoder(head=NoHead()).tied
    assert pair(decoder={"blocks": (WRITES, replace(WRITES, steps=READS.steps))}).decoder.blocks[1].attention == HEADS
    assert pair().vocab_size == 13 and pair().context == 5


OF_NO_STEP = "is of a cross_attention, which the block has not (steps=attention,feed_forward)"


@pytest.mark.parametrize(
    ("make", "before"),
    [
        (encoder, ""),
        (lambda block: Decoder(vocab_size=11, context=7, width=12, num_layers=1, blocks=(block,)), ""),
        (lambda block: pair(encoder={"blocks": (block,)}), "encoder."),
        (lambda block: Vision(channels=1, image_height=8, patch=4, width=12, num_layers=1, blocks=(block,)), ""),
    ],
)
def test_options_of_a_step_that_no_block_can_take_are_refused(make, before):
    for block, path, value, instead in (
        (
            replace(READS, cross_attention=Attention(num_heads=7)),
            "cross_attention.num_heads",
            "7",
            "attention.num_heads",
        ),
        (
            replace(READS, cross_attention_only=Only(dropout=0.5)),
            "cross_attention_only.dropout",
            "0.5",
            "attention_only.",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            make(block)
        said = str(caught.value)
        assert said.startswith(f"{before}block.{path}={value} {OF_NO_STEP}, and there is no encoder's memory")
        assert f"; try {instead}" in said
        assert make(READS) is not None


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("encoder-nano", ["block.cross_attention.num_heads=3"], rf"^block\.cross_attention\.num_heads=3 {re.escape(OF_NO_STEP)}"),
        # As by default: nothing would read it all the same.
        ("encoder-nano", ["block.cross_attention.num_heads=8"], "steps=attention,feed_forward; try"),
        ("nano", ["block.steps=attention", "block.feed_forward.ratio=3"], "block.feed_forward.ratio=3 is of a step that is not taken there: steps=attention; try steps=attention,feed_forward"),
        ("nano", ["model.block.feed_forward_only.dropout=0.5", "block.steps=attention"], "not taken there"),
        ("nano", ["blocks=2", "blocks.1.steps=attention", "blocks.1.feed_forward=swiglu"], "^blocks.1.feed_forward=swiglu"),
        ("seq2seq-nano", ["decoder.blocks=2", "decoder.blocks.0.steps=attention", "decoder.blocks.0.cross_attention.num_heads=2"], "^decoder.blocks.0.cross_attention.num_heads=2"),
        ("seq2seq-nano", ["encoder.block.cross_attention.num_heads=2"], "^encoder.block.cross_attention.num_heads=2"),
    ],
)  # fmt: skip
def test_a_setting_that_nothing_reads_is_refused(name, settings, says):
    with pytest.raises(ConfigError, match=says):
        override(preset(name), *settings)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("nano", ["block.steps=attention"]),
        ("nano", ["blocks=2", "blocks.1.steps=attention", "block.feed_forward=swiglu"]),
        ("nano", ["blocks=2", "blocks.1.feed_forward=swiglu", "blocks=1", "width=128"]),
        ("seq2seq-nano", ["decoder.blocks=2", "decoder.blocks.0.steps=attention,feed_forward"]),
        ("seq2seq-nano", ["decoder.block.cross_attention.num_heads=2", "encoder.block.feed_forward.ratio=3"]),
    ],
)
def test_settings_that_some_block_reads_are_not(name, settings):
    assert override(preset(name), *settings) != preset(name)


def test_runs_of_older_versions_load_with_what_they_let_stand():
    for name, place in (("encoder-nano", ()), ("seq2seq-nano", ("encoder",)), ("nano", ())):
        data = to_dict(preset(name))
        stack = data["model"]
        for part in place:
            stack = stack[part]
        stack["blocks"][0]["cross_attention"]["num_heads"] = 7
        assert config_from_dict(json.loads(json.dumps(data))) == preset(name)
        assert stack["blocks"][0]["cross_attention"]["num_heads"] == 7, "what was given is left as it was"
    data = to_dict(preset("seq2seq-nano"))
    data["model"]["decoder"]["blocks"][0]["cross_attention"]["num_heads"] = 2
    assert config_from_dict(data).model.decoder.blocks[0].cross_attention.num_heads == 2


@pytest.mark.parametrize("make", [encoder, pair])
def test_json_loses_nothing(make):
    config = make()
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize("name", ["encoder-nano", "seq2seq-nano", "vaswani"])
def test_presets_go_through_json_by_their_kind(name):
    config = preset(name)
    data = json.loads(json.dumps(to_dict(config)))
    assert data["model"]["type"] == ("encoder" if name == "encoder-nano" else "encoder_decoder")
    assert config_from_dict(data) == config and name in PRESETS


def test_settings_reach_every_place():
    changed = override(
        presets.seq2seq_nano(),
        "encoder.block.placement=peri",
        "decoder.block.cross_attention.num_heads=2",
        "decoder.num_layers=5",
        "decoder.block.cross_attention_only.placement=post",
        "shared_embedding=true",
        "source_vocab=72",
    ).model
    assert changed.encoder.blocks[0].placement == "peri" and changed.decoder.blocks[0].placement == "pre"
    assert changed.decoder.blocks[0].cross_attention.num_heads == 2 and changed.decoder.num_layers == 5
    assert changed.decoder.blocks[0].only("cross_attention").placement == "post"
    encoder = override(
        presets.encoder_nano(), "head=transformed", "pool=first", "pool.normalise=true", "head.tied=false"
    )
    assert not encoder.model.tied and encoder.model.pool.normalise
    assert override(presets.encoder_nano(), "head=untied").model.head.tied is False
    with pytest.raises(ConfigError, match="encoder.block.norm=nonsense"):
        override(presets.vaswani(), "encoder.block.norm=nonsense")


def test_configs_of_runs_from_before_still_load():
    data = to_dict(presets.nano())
    for name in ("cross_attention", "cross_attention_only"):
        del data["model"]["blocks"][0][name]
    assert config_from_dict(data) == presets.nano()
