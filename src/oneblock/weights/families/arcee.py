"""Arcee's AFM (2025): Llama whose feed-forward has no gate, with max(x, 0)² inside; `nano` goes out as this."""

from __future__ import annotations

from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Dense
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import ACTIVATIONS, write_rope
from oneblock.weights.family import Family
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    feed_forward = Dense(
        activation=options.one_of("hidden_act", ACTIVATIONS),
        hidden=options["intermediate_size"],
        bias=options["mlp_bias"],
    )
    block = Block(norm=like.rms(options), attention=like.attention(options), feed_forward=feed_forward)
    return like.decoder(options, block)


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    mlp_bias = getattr(model.blocks[0].feed_forward, "bias", False)
    return like.fields(model, word="relu2") | {"mlp_bias": mlp_bias} | write_rope(model.position)


ARCEE = Family(
    name="arcee",
    model_type="arcee",
    architectures=("ArceeForCausalLM", "ArceeModel"),
    defaults=like.DEFAULTS
    | {
        "hidden_size": 2560,
        "intermediate_size": 18432,
        "hidden_act": "relu2",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "mlp_bias": False,
    },
    read=read,
    write=write,
    rows=like.PLAIN,
    **like.NAMES,
)
