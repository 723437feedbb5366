"""Qwen2 (Yang et al. 2024): Llama with biases on queries, keys and values, and windows from some layer on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import write_rope
from oneblock.weights.families.windows import window_fields, windowed
from oneblock.weights.family import Family
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    return with_attention(options, replace(like.attention(options), bias=True, output_bias=False))


def with_attention(options: Options, attention: Attention) -> Decoder:
    """Their configuration as ours, with this attention in place of theirs."""
    block = Block(norm=like.rms(options), attention=attention, feed_forward=like.gated(options))
    return like.decoder(options, *windowed(options, block))


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    return like.fields(model) | window_fields(model) | write_rope(model.position)


QWEN2 = Family(
    name="qwen2",
    model_type="qwen2",
    architectures=("Qwen2ForCausalLM", "Qwen2Model"),
    defaults=like.DEFAULTS
    | {
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
    },
    read=read,
    write=write,
    rows=like.PLAIN,
    **like.NAMES,
)
