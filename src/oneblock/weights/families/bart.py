"""BART (Lewis et al. 2020) and Marian (Junczys-Dowmunt et al. 2018): post-norm encoder-decoders with biases."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.feedforward import Dense
from oneblock.config.norm import LayerNorm, NoNorm, Norm
from oneblock.config.position import Learned, Position, Sinusoidal
from oneblock.config.stack import Stack
from oneblock.weights.families.common import ACTIVATIONS, activation_name
from oneblock.weights.family import Family, Row, joined, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import KV, QKV, Transform, rows_from

SIDES = ("encoder", "decoder")
TABLE, HEAD, BIAS = "model.shared.weight", "lm_head.weight", "final_logits_bias"

ONE_ROW = Transform(
    "one row",  # a vector kept as 1 × V
    lambda theirs, sizes: [tensor.squeeze(0) for tensor in theirs],
    lambda ours, sizes: [tensor.unsqueeze(0) for tensor in ours],
)


def read_bart(options: Options) -> EncoderDecoder:
    """Their configuration as ours."""
    options.must("normalize_before", False)
    options.must("normalize_embedding", True)
    options.must("add_final_layer_norm", False)
    options.must("add_bias_logits", False)
    options.must("static_position_embeddings", False)
    vocabulary = options["vocab_size"]
    return _read(options, Learned(), LayerNorm(), vocabulary, vocabulary, shared=True)


def read_marian(options: Options) -> EncoderDecoder:
    """Their configuration as ours."""
    options.must("normalize_before", False)
    options.must("normalize_embedding", False)
    options.must("add_final_layer_norm", False)
    options.must("add_bias_logits", False)
    options.must("static_position_embeddings", True)
    vocabulary = options["vocab_size"]
    return _read(
        options,
        Sinusoidal(layout="concatenated"),
        NoNorm(),
        vocabulary,
        options.get("decoder_vocab_size", None) or vocabulary,
        shared=options["share_encoder_decoder_embeddings"],
    )


def _read(
    options: Options, position: Position, norm: Norm, source_vocab: int, target_vocab: int, *, shared: bool
) -> EncoderDecoder:
    options.ignore("dropout", "attention_dropout", "activation_dropout", "classifier_dropout", "classif_dropout")
    options.ignore("encoder_layerdrop", "decoder_layerdrop", "init_std", "num_hidden_layers", "extra_pos_embeddings")
    options.ignore("force_bos_token_to_be_generated", "share_encoder_decoder_embeddings", "is_encoder_decoder")
    stacks = {
        side: Stack(
            context=options["max_position_embeddings"],
            num_layers=options[f"{side}_layers"],
            blocks=(_block(options, side),),
            position=position,
            embedding_norm=norm,
        )
        for side in SIDES
    }
    return EncoderDecoder(
        source_vocab=source_vocab,
        target_vocab=target_vocab,
        width=options["d_model"],
        shared_embedding=shared,
        embedding_scale=options["scale_embedding"],
        tied=options["tie_word_embeddings"],
        # A model saved without its head has no such bias.
        head_bias=options.names is None or BIAS in options.names,
        encoder=stacks["encoder"],
        decoder=stacks["decoder"],
    )


def _block(options: Options, side: str) -> Block:
    attention = Attention(num_heads=options[f"{side}_attention_heads"], bias=True, output_bias=True)
    return Block(
        steps=("attention", "cross_attention", "feed_forward") if side == "decoder" else ("attention", "feed_forward"),
        attention=attention,
        cross_attention=attention if side == "decoder" else Attention(),
        feed_forward=Dense(
            activation=options.one_of("activation_function", ACTIVATIONS),
            hidden=options[f"{side}_ffn_dim"],
            bias=True,
        ),
        placement="post",
    )


def write(model: EncoderDecoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    stacks = {"encoder": model.encoder, "decoder": model.decoder}
    fields: dict[str, Any] = {}
    for side, stack in stacks.items():
        block = stack.blocks[0]
        fields |= {
            f"{side}_layers": stack.num_layers,
            f"{side}_attention_heads": block.attention.num_heads,
            f"{side}_ffn_dim": block.feed_forward.hidden_width(model.width),
        }
    return fields | {
        "vocab_size": model.source_vocab,
        "max_position_embeddings": model.encoder.context,
        "d_model": model.width,
        "activation_function": activation_name(model.encoder.blocks[0].feed_forward, "gelu", "swish"),
        "scale_embedding": model.embedding_scale,
        "tie_word_embeddings": model.tied,
        "is_encoder_decoder": True,
    }


def write_marian(model: EncoderDecoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    shared = {"share_encoder_decoder_embeddings": model.shared_embedding, "decoder_vocab_size": model.target_vocab}
    return write(model) | shared


def _attention(ours: str, theirs: str, first: str, transform: Transform) -> tuple[Row, ...]:
    names = tuple(f"{theirs}.{part}_proj" for part in ("qkv" if first == "qkv" else "kv"))
    return (*joined(f"{ours}.{first}", names, transform), *linear(f"{ours}.output", f"{theirs}.out_proj"))


def _stack(side: str) -> tuple[Row, ...]:
    ours, theirs = f"{side}.blocks.{{i}}", f"model.{side}.layers.{{i}}"
    across = (
        *linear(f"{ours}.cross_attention.query", f"{theirs}.encoder_attn.q_proj"),
        *_attention(f"{ours}.cross_attention", f"{theirs}.encoder_attn", "key_value", KV),
        *linear(f"{ours}.cross_attention_residual.norm", f"{theirs}.encoder_attn_layer_norm"),
    )
    return (
        row(f"{side}.position.weight", f"model.{side}.embed_positions.weight", rows_from(2)),
        *linear(f"{side}.embedding.norm", f"model.{side}.layernorm_embedding"),
        *_attention(f"{ours}.attention", f"{theirs}.self_attn", "qkv", QKV),
        *linear(f"{ours}.attention_residual.norm", f"{theirs}.self_attn_layer_norm"),
        *(across if side == "decoder" else ()),
        *linear(f"{ours}.feed_forward.up", f"{theirs}.fc1"),
        *linear(f"{ours}.feed_forward.down", f"{theirs}.fc2"),
        *linear(f"{ours}.feed_forward_residual.norm", f"{theirs}.final_layer_norm"),
    )


STACKS = tuple(entry for side in SIDES for entry in _stack(side))
AROUND = (row("head.weight", HEAD), row("head.bias", BIAS, ONE_ROW))
COPIES = {"model.encoder.embed_tokens.weight": TABLE, "model.decoder.embed_tokens.weight": TABLE, HEAD: TABLE}
TWO_TABLES = row(
    tuple(f"{side}.embedding.weight" for side in SIDES), tuple(f"model.{side}.embed_tokens.weight" for side in SIDES)
)
ONE_TABLE = row("encoder.embedding.weight", TABLE)

DEFAULTS: dict[str, Any] = {
    "vocab_size": 50265,
    "max_position_embeddings": 1024,
    **{f"{side}_layers": 12 for side in SIDES},
    **{f"{side}_ffn_dim": 4096 for side in SIDES},
    **{f"{side}_attention_heads": 16 for side in SIDES},
    "activation_function": "gelu",
    "d_model": 1024,
    "scale_embedding": False,
    "tie_word_embeddings": True,
}

BART = Family(
    name="bart",
    model_type="bart",
    architectures=("BartForConditionalGeneration", "BartModel"),
    defaults=DEFAULTS,
    read=read_bart,
    write=write,
    prefix="model.",
    rows=(ONE_TABLE, *STACKS, *AROUND),
    copies=COPIES,
    ignored=("model.encoder.version", "model.decoder.version"),
    kind=EncoderDecoder,
)

MARIAN = Family(
    name="marian",
    model_type="marian",
    architectures=("MarianMTModel", "MarianModel"),
    defaults=DEFAULTS | {"vocab_size": 58101, "share_encoder_decoder_embeddings": True},
    read=read_marian,
    write=write_marian,
    prefix="model.",
    rows=(ONE_TABLE._replace(unless="decoder.embedding.weight"), TWO_TABLES, *STACKS, *AROUND),
    copies=COPIES,
    ignored=("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"),
    kind=EncoderDecoder,
)
