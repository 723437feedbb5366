"""Llama (Touvron et al. 2023; Llama 3, Dubey et al. 2024): pre-norm RMSNorm, rotary positions, SwiGLU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import write_rope
from oneblock.weights.family import Family
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    options.must("rope_interleaved", False)
    feed_forward = replace(like.gated(options), bias=options["mlp_bias"])
    block = Block(norm=like.rms(options), attention=like.attention(options), feed_forward=feed_forward)
    return like.decoder(options, block)


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    mlp_bias = getattr(model.blocks[0].feed_forward, "bias", False)
    return like.fields(model) | {"mlp_bias": mlp_bias} | write_rope(model.position)


LLAMA = Family(
    name="llama",
    model_type="llama",
    architectures=("LlamaForCausalLM", "LlamaModel"),
    defaults=like.DEFAULTS | {"mlp_bias": False},
    read=read,
    write=write,
    rows=like.PLAIN,
    **like.NAMES,
)
