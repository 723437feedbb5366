"""OLMo 2 (OLMo team 2024): norms behind each branch only, and one on all heads' queries and keys at once."""

from __future__ import annotations

from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import write_rope
from oneblock.weights.family import Family, row
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    norm = like.rms(options)
    attention = like.attention(options, qk_norm=norm, qk_norm_over="all_heads")
    block = Block(norm=norm, placement="out", attention=attention, feed_forward=like.gated(options))
    return like.decoder(options, block)


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    return like.fields(model) | write_rope(model.position)


OLMO2 = Family(
    name="olmo2",
    model_type="olmo2",
    architectures=("Olmo2ForCausalLM", "Olmo2Model"),
    defaults=like.DEFAULTS | {"vocab_size": 50304, "rms_norm_eps": 1e-5},
    read=read,
    write=write,
    rows=(
        *like.AROUND,
        *like.ATTENTION,
        row("blocks.{i}.attention.q_norm.norm.weight", "model.layers.{i}.self_attn.q_norm.weight"),
        row("blocks.{i}.attention.k_norm.norm.weight", "model.layers.{i}.self_attn.k_norm.weight"),
        *like.FEED_FORWARD,
        # The name that in Llama is the norm in front of the feed-forward.
        row("blocks.{i}.attention.norm_out.weight", "model.layers.{i}.post_attention_layernorm.weight"),
        row("blocks.{i}.feed_forward.norm_out.weight", "model.layers.{i}.post_feedforward_layernorm.weight"),
    ),
    **like.NAMES,
)
