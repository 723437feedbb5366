"""Qwen3-MoE (Qwen team 2025): Qwen3 whose feed-forwards are experts, in all layers or in some."""

from __future__ import annotations

from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Gated, TopK
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.common import write_rope
from oneblock.weights.family import Family, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import STACKED


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    options.ignore("output_router_logits", "router_aux_loss_coef", "max_window_layers")
    norm = like.rms(options)
    experts = TopK(
        num_experts=num_experts(options),
        k=options["num_experts_per_tok"],
        renormalise=options["norm_topk_prob"],
        expert=like.gated(options, hidden="moe_intermediate_size"),
    )
    dense, step = like.gated(options), options.count("decoder_sparse_step")
    kept_dense = options.list_of("mlp_only_layers", int)
    given = options["sliding_window"]
    window = given if options["use_sliding_window"] else None
    blocks = [
        Block(
            norm=norm,
            attention=like.attention(options, qk_norm=norm, window=window),
            feed_forward=dense if layer in kept_dense or (layer + 1) % step else experts,
        )
        for layer in range(options.count("num_hidden_layers"))
    ]
    return like.decoder(options, *blocks)


def num_experts(options: Options) -> int:
    """How many experts, under either of the two names transformers has had for it."""
    return options.count("num_local_experts", options.count("num_experts"))


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    each = [model.block(layer).feed_forward for layer in range(model.num_layers)]
    experts = next((one for one in each if isinstance(one, TopK)), TopK())
    hidden = experts.hidden_width(model.width)
    dense = next((one.hidden_width(model.width) for one in each if isinstance(one, Gated)), 3 * hidden)
    window = model.blocks[0].attention.window
    return (
        like.fields(model)
        | {
            "intermediate_size": dense,
            "moe_intermediate_size": hidden,
            "num_experts": experts.num_experts,
            "num_local_experts": experts.num_experts,
            "num_experts_per_tok": experts.k,
            "norm_topk_prob": experts.renormalise,
            "mlp_only_layers": [layer for layer, one in enumerate(each) if not isinstance(one, TopK)],
            "decoder_sparse_step": 1,
            "use_sliding_window": window is not None,
            "sliding_window": window,
        }
        | write_rope(model.position)
    )


AROUND_EXPERTS = (*like.PLAIN, *like.QK_NORM, like.ROUTER)

QWEN3_MOE = Family(
    name="qwen3_moe",
    model_type="qwen3_moe",
    architectures=("Qwen3MoeForCausalLM", "Qwen3MoeModel"),
    defaults=like.DEFAULTS
    | {
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 24,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "norm_topk_prob": False,
        "decoder_sparse_step": 1,
        "use_sliding_window": False,
        "sliding_window": 4096,
    },
    read=read,
    write=write,
    rows=(
        *AROUND_EXPERTS,
        *(
            row(
                f"blocks.{{i}}.feed_forward.experts.{part}.weight",
                f"model.layers.{{i}}.mlp.experts.{{e}}.{part}_proj.weight",
                STACKED,
            )
            for part in ("gate", "up", "down")
        ),
    ),
    layouts=((*AROUND_EXPERTS, *like.FUSED_EXPERTS),),
    **like.NAMES,
)
