"""Mixtral (Jiang et al. 2024): Llama whose feed-forward is the two best of several experts."""

from __future__ import annotations

from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import TopK
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import write_rope
from oneblock.weights.family import Family, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import STACKED


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    options.ignore("output_router_logits", "router_aux_loss_coef", "router_jitter_noise")
    experts = TopK(
        num_experts=options["num_local_experts"], k=options["num_experts_per_tok"], expert=like.gated(options)
    )
    attention = like.attention(options, window=options["sliding_window"])
    block = Block(norm=like.rms(options), attention=attention, feed_forward=experts)
    return like.decoder(options, block)


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    block = model.blocks[0]
    return (
        like.fields(model)
        | {
            "sliding_window": block.attention.window,
            "num_local_experts": getattr(block.feed_forward, "num_experts", 1),
            "num_experts_per_tok": getattr(block.feed_forward, "k", 1),
        }
        | write_rope(model.position)
    )


MOE = "model.layers.{i}.block_sparse_moe"
AROUND_EXPERTS = (*like.AROUND, *like.NORMS, *like.ATTENTION)

MIXTRAL = Family(
    name="mixtral",
    model_type="mixtral",
    architectures=("MixtralForCausalLM", "MixtralModel"),
    defaults=like.DEFAULTS
    | {
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096 * 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1_000_000.0,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    },
    read=read,
    write=write,
    rows=(
        *AROUND_EXPERTS,
        row("blocks.{i}.feed_forward.router.weight", f"{MOE}.gate.weight"),
        row("blocks.{i}.feed_forward.experts.gate.weight", f"{MOE}.experts.{{e}}.w1.weight", STACKED),
        row("blocks.{i}.feed_forward.experts.down.weight", f"{MOE}.experts.{{e}}.w2.weight", STACKED),
        row("blocks.{i}.feed_forward.experts.up.weight", f"{MOE}.experts.{{e}}.w3.weight", STACKED),
    ),
    layouts=((*AROUND_EXPERTS, like.ROUTER, *like.FUSED_EXPERTS),),
    **like.NAMES,
)
