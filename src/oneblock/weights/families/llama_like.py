"""What Llama's descendants share: field names, tensor names, and the decoder they describe."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Gated
from oneblock.config.norm import NoNorm, RMSNorm
from oneblock.config.position import Position
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of, pattern, read_rope
from oneblock.weights.family import Row, joined, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import FUSED_ROWS_OF_EACH_EXPERT, QKV

DEFAULTS = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10_000.0,
    "attention_bias": False,
    "tie_word_embeddings": False,
}
"""Of Llama's class; a descendant's are these with its own put over them."""


def decoder(options: Options, *blocks: Block, position: Position | None = None, **more: Any) -> Decoder:
    """The decoder around its blocks: one for all layers, or one for each. `position`: None for rotary ones."""
    options.ignore("attention_dropout")
    return Decoder(
        vocab_size=options["vocab_size"],
        context=options["max_position_embeddings"],
        num_layers=options["num_hidden_layers"],
        width=options["hidden_size"],
        tied=options["tie_word_embeddings"],
        blocks=pattern(blocks),
        position=position or read_rope(options),
        **more,
    )


def attention(options: Options, **more: Any) -> Attention:
    """Their attention as ours; biases everywhere or nowhere."""
    return Attention(
        num_heads=options["num_attention_heads"],
        num_kv_heads=options["num_key_value_heads"] or options["num_attention_heads"],
        head_width=options["head_dim"],
        bias=options["attention_bias"],
        output_bias=options["attention_bias"],
        **more,
    )


def gated(options: Options, *, activation: str = "hidden_act", hidden: str = "intermediate_size") -> Gated:
    """Their feed-forward as ours."""
    return Gated(activation=options.one_of(activation, ACTIVATIONS), hidden=options[hidden])


def rms(options: Options, *, one_plus: bool = False) -> RMSNorm:
    """Their norm as ours."""
    return RMSNorm(eps=options["rms_norm_eps"], one_plus=one_plus)


def fields(model: Decoder, *, activation: str = "hidden_act", word: str = "silu") -> dict[str, Any]:
    """What all of them write. `activation`: its field's name; `word`: the word it prefers."""
    block = model.blocks[0]
    norm = block.only("attention").norm
    return {
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.context,
        "num_hidden_layers": model.num_layers,
        "hidden_size": model.width,
        "tie_word_embeddings": model.tied,
        "rms_norm_eps": eps_of(norm if not isinstance(norm, NoNorm) else model.last_norm, 1e-6),
        "num_attention_heads": block.attention.num_heads,
        "num_key_value_heads": block.attention.num_groups,
        "head_dim": block.attention.width_of_head(model.width),
        "attention_bias": block.attention.bias or block.attention.output_bias,
        activation: activation_name(block.feed_forward, word),
        "intermediate_size": block.feed_forward.hidden_width(model.width),
    }


AROUND = (
    row("embedding.weight", "model.embed_tokens.weight"),
    row("norm.weight", "model.norm.weight"),
    row("head.weight", "lm_head.weight"),
)
ATTENTION = (
    *joined("blocks.{i}.attention.qkv", tuple(f"model.layers.{{i}}.self_attn.{part}_proj" for part in "qkv"), QKV),
    *linear("blocks.{i}.attention.output", "model.layers.{i}.self_attn.o_proj"),
)
FEED_FORWARD = tuple(
    entry
    for part in ("gate", "up", "down")
    for entry in linear(f"blocks.{{i}}.feed_forward.{part}", f"model.layers.{{i}}.mlp.{part}_proj")
)
NORMS = (
    row("blocks.{i}.attention.norm_in.weight", "model.layers.{i}.input_layernorm.weight"),
    row("blocks.{i}.feed_forward.norm_in.weight", "model.layers.{i}.post_attention_layernorm.weight"),
)
QK_NORM = (
    row("blocks.{i}.attention.q_norm.weight", "model.layers.{i}.self_attn.q_norm.weight"),
    row("blocks.{i}.attention.k_norm.weight", "model.layers.{i}.self_attn.k_norm.weight"),
)
ROUTER = row("blocks.{i}.feed_forward.router.weight", "model.layers.{i}.mlp.gate.weight")
FUSED_EXPERTS = (
    row(
        ("blocks.{i}.feed_forward.experts.gate.weight", "blocks.{i}.feed_forward.experts.up.weight"),
        "model.layers.{i}.mlp.experts.gate_up_proj",
        FUSED_ROWS_OF_EACH_EXPERT,
    ),
    row("blocks.{i}.feed_forward.experts.down.weight", "model.layers.{i}.mlp.experts.down_proj"),
)
"""Experts as transformers 5 has them in memory: all of a layer in one tensor, gate before up."""
PLAIN: tuple[Row, ...] = (*AROUND, *NORMS, *ATTENTION, *FEED_FORWARD)

NAMES: dict[str, Any] = {
    "prefix": "model.",
    "copies": {"lm_head.weight": "model.embed_tokens.weight"},
    "ignored": ("model.layers.*.self_attn.rotary_emb.inv_freq",),
}
"""What every one of these tables says of its names."""
