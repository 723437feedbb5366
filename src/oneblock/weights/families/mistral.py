"""Mistral (Jiang et al. 2023): Llama with a window on every layer."""

from __future__ import annotations

from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import write_rope
from oneblock.weights.family import Family
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    attention = like.attention(options, window=options["sliding_window"])
    block = Block(norm=like.rms(options), attention=attention, feed_forward=like.gated(options))
    return like.decoder(options, block)


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    return like.fields(model) | {"sliding_window": model.blocks[0].attention.window} | write_rope(model.position)


MISTRAL = Family(
    name="mistral",
    model_type="mistral",
    architectures=("MistralForCausalLM", "MistralModel"),
    defaults=like.DEFAULTS
    | {
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096 * 32,
        "sliding_window": 4096,
    },
    read=read,
    write=write,
    rows=like.PLAIN,
    **like.NAMES,
)
