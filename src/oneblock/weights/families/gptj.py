"""GPT-J (Wang and Komatsuzaki 2021): one norm before attention and feed-forward side by side, neighbours turn."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Dense
from oneblock.config.norm import LayerNorm
from oneblock.config.position import Rope
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of
from oneblock.weights.family import Family, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import QKV


def read(options: Options) -> Decoder:
    """Their configuration as ours."""
    options.ignore("resid_pdrop", "embd_pdrop", "attn_pdrop", "rotary", "scale_attn_weights", "n_ctx")
    width, heads = options.count("n_embd"), options.count("n_head")
    return Decoder(
        vocab_size=options["vocab_size"],
        context=options["n_positions"],
        num_layers=options["n_layer"],
        width=width,
        position=Rope(style="interleaved", fraction=options.count("rotary_dim") / max(width // heads, 1)),
        tied=options["tie_word_embeddings"],
        head_bias=True,
        blocks=(
            Block(
                steps=("attention+feed_forward",),
                shared_norm=True,
                norm=LayerNorm(eps=options["layer_norm_epsilon"]),
                attention=Attention(num_heads=heads),
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
    turned = getattr(model.position, "fraction", 1.0) * block.attention.width_of_head(model.width)
    return {
        "vocab_size": model.vocab_size,
        "n_positions": model.context,
        "n_layer": model.num_layers,
        "n_embd": model.width,
        "n_head": block.attention.num_heads,
        "n_inner": block.feed_forward.hidden_width(model.width),
        "rotary_dim": round(turned),
        "layer_norm_epsilon": eps_of(block.norm),
        "activation_function": activation_name(block.feed_forward, "gelu_new"),
        "tie_word_embeddings": model.tied,
    }


GPTJ = Family(
    name="gptj",
    model_type="gptj",
    architectures=("GPTJForCausalLM",),
    defaults={
        "vocab_size": 50400,
        "n_positions": 2048,
        "n_embd": 4096,
        "n_layer": 28,
        "n_head": 16,
        "n_inner": None,
        "rotary_dim": 64,
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
        "tie_word_embeddings": False,
    },
    read=read,
    write=write,
    prefix="transformer.",
    rows=(
        row("embedding.weight", "transformer.wte.weight"),
        *linear("blocks.{i}.attention_feed_forward_norm", "transformer.h.{i}.ln_1"),
        row(
            "blocks.{i}.attention.qkv.weight",
            tuple(f"transformer.h.{{i}}.attn.{part}_proj.weight" for part in "qkv"),
            QKV,
        ),
        row("blocks.{i}.attention.output.weight", "transformer.h.{i}.attn.out_proj.weight"),
        *linear("blocks.{i}.feed_forward.up", "transformer.h.{i}.mlp.fc_in"),
        *linear("blocks.{i}.feed_forward.down", "transformer.h.{i}.mlp.fc_out"),
        *linear("norm", "transformer.ln_f"),
        *linear("head", "lm_head"),
    ),
    copies={"lm_head.weight": "transformer.wte.weight"},
    ignored=("transformer.h.*.attn.bias", "transformer.h.*.attn.masked_bias"),
)
