"""Qwen3 (Qwen team 2025): Llama with an RMSNorm on each head's queries and keys, and windows from some layer on."""

from __future__ import annotations

from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import pattern, read_rope, write_rope
from oneblock.weights.families.windows import late_windows, window_fields
from oneblock.weights.family import Family
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    norm, feed_forward = like.rms(options), like.gated(options)
    blocks = [
        Block(norm=norm, attention=like.attention(options, qk_norm=norm, window=window), feed_forward=feed_forward)
        for window in late_windows(options)
    ]
    position = read_rope(options, 10_000.0, context=options["max_position_embeddings"])
    return like.decoder(options, pattern(blocks), position=position)


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    return like.fields(model) | window_fields(model) | write_rope(model.position)


QWEN3 = Family(
    name="qwen3",
    model_type="qwen3",
    architectures=("Qwen3ForCausalLM", "Qwen3Model"),
    defaults=like.DEFAULTS
    | {
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
    },
    read=read,
    write=write,
    rows=(*like.PLAIN, *like.QK_NORM),
    **like.NAMES,
)
