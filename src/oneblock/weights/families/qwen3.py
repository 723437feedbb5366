"""Qwen3 (Qwen team 2025): Qwen2 with an RMSNorm on each head's queries and keys in place of their biases."""

from __future__ import annotations

from dataclasses import replace

from oneblock.config.decoder import Decoder
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.qwen2 import QWEN2, with_attention
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    return with_attention(options, like.attention(options, qk_norm=like.rms(options)))


QWEN3 = replace(
    QWEN2,
    name="qwen3",
    model_type="qwen3",
    architectures=("Qwen3ForCausalLM", "Qwen3Model"),
    defaults={**QWEN2.defaults, "head_dim": 128},
    read=read,
    rows=(*QWEN2.rows, *like.QK_NORM),
)
