"""T5 and T5 v1.1 (Raffel et al. 2020): pre-norm RMSNorm, no biases, unscaled attention, a shared bias of distance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.feedforward import Dense, Gated
from oneblock.config.norm import RMSNorm
from oneblock.config.position import T5Bias
from oneblock.config.stack import Stack
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of
from oneblock.weights.family import Family, Row, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import KV, QKV

WITH_MEMORY = ("attention", "cross_attention", "feed_forward")
SIDES = ("encoder", "decoder")
TABLE, HEAD = "shared.weight", "lm_head.weight"
# Early files have a table that cross-attention never read.
UNREAD = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)


def read(options: Options) -> EncoderDecoder:
    """Their configuration as ours."""
    options.ignore("dropout_rate", "classifier_dropout", "num_decoder_layers", "n_positions", "output_past")
    feed_forward = _feed_forward(options)
    tied, scaled = _head(options)
    return encoder_decoder(options, _blocks(options, feed_forward), tied=tied, scaled=scaled)


def encoder_decoder(
    options: Options, blocks: dict[str, tuple[Block, ...]], *, tied: bool, scaled: bool
) -> EncoderDecoder:
    """What all that is built like T5 has around its blocks."""
    layers = options.count("num_layers")
    numbers = {"encoder": layers, "decoder": options.count("num_decoder_layers", layers)}
    position = T5Bias(
        num_buckets=options["relative_attention_num_buckets"],
        max_distance=options["relative_attention_max_distance"],
    )
    stacks = {
        name: Stack(context=options["n_positions"], num_layers=numbers[name], blocks=blocks[name], position=position)
        for name in numbers
    }
    vocabulary = options["vocab_size"]
    return EncoderDecoder(
        source_vocab=vocabulary,
        target_vocab=vocabulary,
        width=options["d_model"],
        shared_embedding=True,
        tied=tied,
        head_scale=scaled,
        encoder=stacks["encoder"],
        decoder=stacks["decoder"],
    )


def _blocks(options: Options, feed_forward: Dense | Gated) -> dict[str, tuple[Block, ...]]:
    attention = attention_of(options)
    reads = Block(attention=attention, feed_forward=feed_forward, norm=norm_of(options))
    return {"encoder": (reads,), "decoder": (replace(reads, steps=WITH_MEMORY, cross_attention=attention),)}


def attention_of(options: Options) -> Attention:
    """Its attention: a width of heads of its own, scores as they are."""
    return Attention(num_heads=options["num_heads"], head_width=options["d_kv"], scale=1.0)


def norm_of(options: Options) -> RMSNorm:
    """Its norm."""
    return RMSNorm(eps=options["layer_norm_epsilon"])


def _feed_forward(options: Options) -> Dense | Gated:
    """`feed_forward_proj`, unless the fields that are made of it stand there: those are what its class obeys."""
    words = str(options["feed_forward_proj"])
    gated, _, named = words.rpartition("-")
    kind = Gated if options.get("is_gated_act", gated == "gated") else Dense
    activation = options.one_of("dense_act_fn", ACTIVATIONS, "gelu_new" if words == "gated-gelu" else named)
    return kind(activation=activation, hidden=options["d_ff"])


def _head(options: Options) -> tuple[bool, bool]:
    """Whether the head is the embedding, and whether what enters it is scaled.

    Up to transformers 4 both are `tie_word_embeddings`. Since 5 that is always true, `scale_decoder_outputs` tells the
    one, and the other is told by whether the file has a head.
    """
    tied = options["tie_word_embeddings"] is not False
    scaled = options.get("scale_decoder_outputs", tied)
    if tied and options.names is not None and "scale_decoder_outputs" in options.fields:
        tied = HEAD not in options.names
    return tied, scaled


def write(model: EncoderDecoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    feed_forward = model.encoder.blocks[0].feed_forward
    gated, named = isinstance(feed_forward, Gated), activation_name(feed_forward, "gelu_new")
    word = {"gelu_new": "gelu"}.get(named, named) if gated else named
    return written(model) | {
        "feed_forward_proj": f"gated-{word}" if gated else word,
        "is_gated_act": gated,
        "dense_act_fn": named,
        "scale_decoder_outputs": model.head_scale,
    }


def written(model: EncoderDecoder) -> dict[str, Any]:
    """What all that is built like T5 has."""
    first, position = model.encoder.blocks[0], model.encoder.position
    return {
        "vocab_size": model.target_vocab,
        "n_positions": model.encoder.context,
        "d_model": model.width,
        "d_kv": first.attention.width_of_head(model.width),
        "d_ff": first.feed_forward.hidden_width(model.width),
        "num_layers": model.encoder.num_layers,
        "num_decoder_layers": model.decoder.num_layers,
        "num_heads": first.attention.num_heads,
        "relative_attention_num_buckets": getattr(position, "num_buckets", 32),
        "relative_attention_max_distance": getattr(position, "max_distance", 128),
        "layer_norm_epsilon": eps_of(first.norm, 1e-6),
        "tie_word_embeddings": model.tied,
        "is_encoder_decoder": True,
    }


def _attention(ours: str, theirs: str, *, across: bool = False) -> tuple[Row, ...]:
    q, k, v = (f"{theirs}.{part}.weight" for part in "qkv")
    made = (
        (row(f"{ours}.query.weight", q), row(f"{ours}.key_value.weight", (k, v), KV))
        if across
        else (row(f"{ours}.qkv.weight", (q, k, v), QKV),)
    )
    return (*made, row(f"{ours}.output.weight", f"{theirs}.o.weight"))


def stack_rows(side: str) -> tuple[Row, ...]:
    """One stack's rows, feed-forwards left out."""
    ours, theirs, last = places(side)
    across = (
        row(f"{ours}.cross_attention.norm_in.weight", f"{theirs}.1.layer_norm.weight"),
        *_attention(f"{ours}.cross_attention", f"{theirs}.1.EncDecAttention", across=True),
    )
    return (
        row(f"{side}.position.weight", f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        row(f"{side}.norm.weight", f"{side}.final_layer_norm.weight"),
        row(f"{ours}.attention.norm_in.weight", f"{theirs}.0.layer_norm.weight"),
        *_attention(f"{ours}.attention", f"{theirs}.0.SelfAttention"),
        *(across if side == "decoder" else ()),
        row(f"{ours}.feed_forward.norm_in.weight", f"{last}.layer_norm.weight"),
    )


def places(side: str) -> tuple[str, str, str]:
    """Our block of a stack, their layers of it, and the last of those, the feed-forward."""
    theirs = f"{side}.block.{{i}}.layer"
    return f"{side}.blocks.{{i}}", theirs, f"{theirs}.{2 if side == 'decoder' else 1}"


def feed_forward_rows(side: str) -> tuple[Row, ...]:
    """One stack's feed-forwards: dense, or gated."""
    block, _, last = places(side)
    ours, theirs = f"{block}.feed_forward", f"{last}.DenseReluDense"
    return (
        row(f"{ours}.up.weight", f"{theirs}.wi.weight", unless=f"{ours}.gate.weight"),
        row((f"{ours}.gate.weight", f"{ours}.up.weight"), (f"{theirs}.wi_0.weight", f"{theirs}.wi_1.weight")),
        row(f"{ours}.down.weight", f"{theirs}.wo.weight"),
    )


AROUND = (row("encoder.embedding.weight", TABLE), row("head.weight", HEAD))
COPIES = {"encoder.embed_tokens.weight": TABLE, "decoder.embed_tokens.weight": TABLE, HEAD: TABLE}

# Its class knows no longest text; the first models were trained on 512 tokens.
DEFAULTS = {
    "vocab_size": 32128,
    "n_positions": 512,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_decoder_layers": None,
    "num_heads": 8,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
}

T5 = Family(
    name="t5",
    model_type="t5",
    architectures=("T5ForConditionalGeneration", "T5Model", "T5WithLMHeadModel"),
    defaults=DEFAULTS,
    read=read,
    write=write,
    rows=(*AROUND, *(entry for side in SIDES for entry in (*stack_rows(side), *feed_forward_rows(side)))),
    copies=COPIES,
    ignored=UNREAD,
    kind=EncoderDecoder,
)
