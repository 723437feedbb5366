"""Gemma 1, 2 and 3 (Gemma team 2024, 2024, 2025): gains of 1 + weight, the embedding ×√width.

Gemma 1 is pre-norm. The others have norms on both sides of each branch, and windows. Gemma 2 caps scores and logits,
every other layer has a window. Gemma 3 norms queries and keys instead, five layers of six have a window, and those turn
by another base.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Gated
from oneblock.config.position import Rope
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import ACTIVATIONS, rope_of, rope_parameters, write_rope
from oneblock.weights.families.windows import GLOBAL, LOCAL, layer_types, windows_of
from oneblock.weights.family import Family, row
from oneblock.weights.options import Options


def _blocks(options: Options, every: int, **attention: Any) -> list[Block]:
    """A block for each layer, with a window but for each `every`-th one."""
    options.must("use_bidirectional_attention", False, None)
    options.ignore("hidden_act", "cache_implementation")
    layers = range(options.count("num_hidden_layers"))
    types = options.list_of("layer_types", str) or layer_types((layer + 1) % every != 0 for layer in layers)
    return [
        Block(
            norm=like.rms(options, one_plus=True),
            placement="peri",
            attention=like.attention(
                options, window=window, scale=options.positive("query_pre_attn_scalar") ** -0.5, **attention
            ),
            feed_forward=like.gated(options, activation="hidden_activation"),
        )
        for window in windows_of(types, options["sliding_window"], options)
    ]


def _fields(model: Decoder) -> dict[str, Any]:
    windows = [model.block(layer).attention.window for layer in range(model.num_layers)]
    attention = model.blocks[0].attention
    scale = attention.scale or attention.width_of_head(model.width) ** -0.5
    return like.fields(model, activation="hidden_activation", word="gelu_pytorch_tanh") | {
        "query_pre_attn_scalar": _whole(scale**-2),
        "sliding_window": next((each for each in windows if each is not None), None),
        "layer_types": layer_types(each is not None for each in windows),
        "final_logit_softcapping": model.logit_soft_cap,
    }


def _whole(number: float) -> float | int:
    """A number that is whole but for rounding, as that."""
    return round(number) if abs(number - round(number)) < 1e-6 else number


def read_1(options: Options) -> Decoder:
    """Gemma 1's configuration as ours."""
    options.must("use_bidirectional_attention", False, None)
    options.ignore("hidden_activation")
    # The first files say `gelu` and mean the approximation.
    words = ACTIVATIONS | {"gelu": "gelu_tanh"}
    feed_forward = Gated(activation=options.one_of("hidden_act", words), hidden=options["intermediate_size"])
    block = Block(norm=like.rms(options, one_plus=True), attention=like.attention(options), feed_forward=feed_forward)
    return like.decoder(options, block, embedding_scale=True)


def write_1(model: Decoder) -> dict[str, Any]:
    """Our configuration as Gemma 1's."""
    return like.fields(model, word="gelu_pytorch_tanh") | write_rope(model.position)


def read_2(options: Options) -> Decoder:
    """Gemma 2's configuration as ours."""
    blocks = _blocks(options, 2, soft_cap=options["attn_logit_softcapping"])
    return like.decoder(options, *blocks, embedding_scale=True, logit_soft_cap=options["final_logit_softcapping"])


def write_2(model: Decoder) -> dict[str, Any]:
    """Our configuration as Gemma 2's."""
    cap = model.blocks[0].attention.soft_cap
    return _fields(model) | {"attn_logit_softcapping": cap} | write_rope(model.position)


def read_3(options: Options) -> Decoder:
    """Gemma 3's configuration as ours."""
    options.must("attn_logit_softcapping", None)
    turns = _turns(options)
    every = options.count("_sliding_window_pattern", options.count("sliding_window_pattern"))
    blocks = [
        replace(block, attention=replace(block.attention, position=turns[LOCAL]))
        if block.attention.window is not None
        else block
        for block in _blocks(options, every, qk_norm=like.rms(options, one_plus=True))
    ]
    cap = options["final_logit_softcapping"]
    return like.decoder(options, *blocks, position=turns[GLOBAL], embedding_scale=True, logit_soft_cap=cap)


def _turns(options: Options) -> dict[str, Rope]:
    """Rotary positions of both types of layer, in either generation of config.json."""
    newer, older = options.within("rope_parameters"), options.within("rope_scaling")
    turning = {LOCAL: newer.within(LOCAL), GLOBAL: newer.within(GLOBAL) if newer.fields else older}
    thetas = {LOCAL: options.positive("rope_local_base_freq"), GLOBAL: options.positive("rope_theta")}
    context = options.count("max_position_embeddings")
    return {kind: rope_of(turning[kind], thetas[kind], context) for kind in thetas}


def write_3(model: Decoder) -> dict[str, Any]:
    """Our configuration as Gemma 3's."""
    ropes = {
        LOCAL if block.attention.window is not None else GLOBAL: block.attention.position or model.position
        for block in model.blocks
    }
    parameters = {kind: rope_parameters(rope) for kind, rope in ropes.items() if isinstance(rope, Rope)}
    return _fields(model) | ({"rope_parameters": parameters} if parameters else {})


DEFAULTS = like.DEFAULTS | {
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}
PERI = tuple(
    row(f"blocks.{{i}}.{branch}.{place}.weight", f"model.layers.{{i}}.{name}_layernorm.weight")
    for branch, place, name in (
        ("attention", "norm_in", "input"),
        ("attention", "norm_out", "post_attention"),
        ("feed_forward", "norm_in", "pre_feedforward"),
        ("feed_forward", "norm_out", "post_feedforward"),
    )
)
ROWS = (*like.AROUND, *PERI, *like.ATTENTION, *like.FEED_FORWARD)

GEMMA = Family(
    name="gemma",
    model_type="gemma",
    architectures=("GemmaForCausalLM", "GemmaModel"),
    defaults=like.DEFAULTS
    | {
        "vocab_size": 256000,
        "hidden_size": 3072,
        "intermediate_size": 24576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "hidden_act": "gelu_pytorch_tanh",
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    read=read_1,
    write=write_1,
    rows=like.PLAIN,
    **like.NAMES,
)

GEMMA2 = Family(
    name="gemma2",
    model_type="gemma2",
    architectures=("Gemma2ForCausalLM", "Gemma2Model"),
    defaults=DEFAULTS
    | {
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    read=read_2,
    write=write_2,
    rows=ROWS,
    **like.NAMES,
)

GEMMA3 = Family(
    name="gemma3",
    model_type="gemma3_text",
    architectures=("Gemma3ForCausalLM", "Gemma3TextModel"),
    defaults=DEFAULTS
    | {
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "final_logit_softcapping": None,
        "sliding_window_pattern": 6,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
    },
    read=read_3,
    write=write_3,
    rows=(*ROWS, *like.QK_NORM),
    **like.NAMES,
)
