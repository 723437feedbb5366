"""GPT-2 (Radford et al. 2019): pre-norm, learned positions; its four matrices are kept as in × out."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Dense
from oneblock.config.norm import LayerNorm
from oneblock.config.position import Learned
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of
from oneblock.weights.family import Family, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import TRANSPOSED


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    options.must("scale_attn_weights", True)
    options.must("scale_attn_by_inverse_layer_idx", False)
    options.must("add_cross_attention", False)
    options.ignore("reorder_and_upcast_attn", "n_ctx", "resid_pdrop", "embd_pdrop", "attn_pdrop")
    width = options.count("n_embd")
    norm = LayerNorm(eps=options["layer_norm_epsilon"])
    return Decoder(
        vocab_size=options["vocab_size"],
        context=options["n_positions"],
        num_layers=options["n_layer"],
        width=width,
        position=Learned(),
        tied=options["tie_word_embeddings"],
        blocks=(
            Block(
                norm=norm,
                attention=Attention(num_heads=options["n_head"], bias=True, output_bias=True),
                feed_forward=Dense(
                    activation=options.one_of("activation_function", ACTIVATIONS),
                    hidden=options["n_inner"] or 4 * width,
                    bias=True,
                ),
            ),
        ),
    )


def write(model: Decoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    block = model.blocks[0]
    return {
        "vocab_size": model.vocab_size,
        "n_positions": model.context,
        "n_layer": model.num_layers,
        "n_embd": model.width,
        "n_head": block.attention.num_heads,
        "n_inner": block.feed_forward.hidden_width(model.width),
        "layer_norm_epsilon": eps_of(block.norm),
        "activation_function": activation_name(block.feed_forward, "gelu_new"),
        "tie_word_embeddings": model.tied,
    }


GPT2 = Family(
    name="gpt2",
    model_type="gpt2",
    architectures=("GPT2LMHeadModel", "GPT2Model"),
    defaults={
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_inner": None,
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
        "tie_word_embeddings": True,
    },
    read=read,
    write=write,
    prefix="transformer.",
    rows=(
        row("embedding.weight", "transformer.wte.weight"),
        row("position.weight", "transformer.wpe.weight"),
        *linear("blocks.{i}.attention.norm_in", "transformer.h.{i}.ln_1"),
        *linear("blocks.{i}.attention.qkv", "transformer.h.{i}.attn.c_attn", TRANSPOSED),
        *linear("blocks.{i}.attention.output", "transformer.h.{i}.attn.c_proj", TRANSPOSED),
        *linear("blocks.{i}.feed_forward.norm_in", "transformer.h.{i}.ln_2"),
        *linear("blocks.{i}.feed_forward.up", "transformer.h.{i}.mlp.c_fc", TRANSPOSED),
        *linear("blocks.{i}.feed_forward.down", "transformer.h.{i}.mlp.c_proj", TRANSPOSED),
        *linear("norm", "transformer.ln_f"),
        row("head.weight", "lm_head.weight"),
    ),
    copies={"lm_head.weight": "transformer.wte.weight"},
    ignored=("transformer.h.*.attn.bias", "transformer.h.*.attn.masked_bias"),
)
