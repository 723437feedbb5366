"""GPT-NeoX and Pythia (Black et al. 2022): attention and feed-forward side by side, a quarter of each head turns."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Dense
from oneblock.config.norm import LayerNorm
from oneblock.config.position import Rope
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of, rope_fields, rope_of, rope_parameters
from oneblock.weights.family import Family, joined, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import QKV_OF_EACH_HEAD

STEPS = {True: ("attention+feed_forward",), False: ("attention", "feed_forward")}


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    options.ignore("attention_dropout", "hidden_dropout", "classifier_dropout")
    width, heads, context = (
        options.count(name) for name in ("hidden_size", "num_attention_heads", "max_position_embeddings")
    )
    turning = rope_fields(options)
    share = turning.positive("partial_rotary_factor", options.positive("rotary_pct"))
    # They round down to whole features, and the rotated width is the denominator.
    head_width = max(width // heads, 1)
    fraction = int(head_width * share) / head_width
    bias = options["attention_bias"]
    return Decoder(
        vocab_size=options["vocab_size"],
        context=context,
        num_layers=options["num_hidden_layers"],
        width=width,
        position=rope_of(turning, options.positive("rotary_emb_base"), context, fraction),
        tied=options["tie_word_embeddings"],
        blocks=(
            Block(
                steps=STEPS[bool(options["use_parallel_residual"])],
                norm=LayerNorm(eps=options["layer_norm_eps"]),
                attention=Attention(num_heads=heads, bias=bias, output_bias=bias),
                feed_forward=Dense(
                    activation=options.one_of("hidden_act", ACTIVATIONS), hidden=options["intermediate_size"], bias=True
                ),
            ),
        ),
    )


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    block, rope = model.blocks[0], model.position if isinstance(model.position, Rope) else Rope()
    return {
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.context,
        "num_hidden_layers": model.num_layers,
        "hidden_size": model.width,
        "tie_word_embeddings": model.tied,
        "num_attention_heads": block.attention.num_heads,
        "attention_bias": block.attention.bias or block.attention.output_bias,
        "use_parallel_residual": block.steps == STEPS[True],
        "layer_norm_eps": eps_of(block.norm),
        "hidden_act": activation_name(block.feed_forward, "gelu"),
        "intermediate_size": block.feed_forward.hidden_width(model.width),
        "rotary_pct": rope.fraction,
        "rotary_emb_base": rope.theta,
        "rope_parameters": rope_parameters(rope) | {"partial_rotary_factor": rope.fraction},
    }


ROWS = (
    row("embedding.weight", "gpt_neox.embed_in.weight"),
    *linear("blocks.{i}.attention.norm_in", "gpt_neox.layers.{i}.input_layernorm"),
    *joined("blocks.{i}.attention.qkv", ("gpt_neox.layers.{i}.attention.query_key_value",), QKV_OF_EACH_HEAD),
    *linear("blocks.{i}.attention.output", "gpt_neox.layers.{i}.attention.dense"),
    *linear("blocks.{i}.feed_forward.norm_in", "gpt_neox.layers.{i}.post_attention_layernorm"),
    *linear("blocks.{i}.feed_forward.up", "gpt_neox.layers.{i}.mlp.dense_h_to_4h"),
    *linear("blocks.{i}.feed_forward.down", "gpt_neox.layers.{i}.mlp.dense_4h_to_h"),
    *linear("norm", "gpt_neox.final_layer_norm"),
)

GPT_NEOX = Family(
    name="gpt_neox",
    model_type="gpt_neox",
    architectures=("GPTNeoXForCausalLM", "GPTNeoXModel"),
    defaults={
        "vocab_size": 50432,
        "hidden_size": 6144,
        "num_hidden_layers": 44,
        "num_attention_heads": 64,
        "intermediate_size": 24576,
        "hidden_act": "gelu",
        "max_position_embeddings": 2048,
        "layer_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "attention_bias": True,
        "rotary_pct": 0.25,
        "rotary_emb_base": 10_000.0,
    },
    read=read,
    write=write,
    prefix="gpt_neox.",
    rows=(*ROWS, row("head.weight", "embed_out.weight")),
    layouts=((*ROWS, row("head.weight", "lm_head.weight")),),
    copies={"embed_out.weight": "gpt_neox.embed_in.weight", "lm_head.weight": "gpt_neox.embed_in.weight"},
    ignored=(
        "gpt_neox.layers.*.attention.bias",
        "gpt_neox.layers.*.attention.masked_bias",
        "gpt_neox.layers.*.attention.rotary_emb.inv_freq",
    ),
)
