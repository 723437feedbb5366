"""MiniMind (jingyaogong/minimind): Qwen3's shape under its own name, dense or with experts in every layer.

Its class is no part of transformers, so that it goes out as Qwen3.
"""

from __future__ import annotations

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Gated, TopK
from oneblock.config.position import Rope
from oneblock.weights.families import llama_like as like
from oneblock.weights.families.qwen3_moe import QWEN3_MOE, num_experts
from oneblock.weights.family import Family
from oneblock.weights.options import Options


def read(options: Options) -> Decoder:
    """Its configuration as ours."""
    # Its YaRN starts at another length and ends at another pair than the published one.
    options.must("inference_rope_scaling", False)
    options.must("rope_scaling", None)
    options.must("rope_parameters", None)
    options.ignore("dropout", "flash_attn", "router_aux_loss_coef", "aux_loss_alpha", "seq_aux")
    norm, attention = like.rms(options), like.attention(options, qk_norm=like.rms(options))
    feed_forward: Gated | TopK = like.gated(options)
    if options["use_moe"]:
        feed_forward = TopK(
            num_experts=num_experts(options),
            k=options["num_experts_per_tok"],
            renormalise=options["norm_topk_prob"],
            expert=like.gated(options, hidden="moe_intermediate_size"),
        )
    options.ignore("num_experts", "num_local_experts", "num_experts_per_tok", "norm_topk_prob", "moe_intermediate_size")
    block = Block(norm=norm, attention=attention, feed_forward=feed_forward)
    return like.decoder(options, block, position=Rope(theta=options.positive("rope_theta")))


MINIMIND = Family(
    name="minimind",
    model_type="minimind",
    architectures=("MiniMindForCausalLM",),
    defaults=like.DEFAULTS
    | {
        "vocab_size": 6400,
        "hidden_size": 768,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 2432,
        "max_position_embeddings": 32768,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": True,
        "use_moe": False,
        "num_experts": 4,
        "num_experts_per_tok": 1,
        "norm_topk_prob": True,
    },
    read=read,
    rows=QWEN3_MOE.rows,
    **like.NAMES,
)
