"""ModernBERT (Warner et al. 2024): pre-norm without biases, GEGLU, rotary positions, windows in two of three layers."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block, Only
from oneblock.config.encoder import Encoder, Head, NoHead, TransformedHead
from oneblock.config.feedforward import Gated
from oneblock.config.norm import LayerNorm, NoNorm
from oneblock.config.position import NoPosition, Rope
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of, rope_of, rope_parameters
from oneblock.weights.families.windows import GLOBAL, LOCAL, layer_types, windows_of
from oneblock.weights.family import Family, Row, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import FUSED_ROWS

OLDER = {GLOBAL: "global_rope_theta", LOCAL: "local_rope_theta"}
"""What transformers 4 called the base of each."""
DEFAULTS = {
    "vocab_size": 50368,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "hidden_activation": "gelu",
    "max_position_embeddings": 8192,
    "norm_eps": 1e-5,
    "norm_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "global_attn_every_n_layers": 3,
    "local_attention": 128,
    "global_rope_theta": 160_000.0,
    "local_rope_theta": 10_000.0,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "decoder_bias": True,
    "tie_word_embeddings": True,
}


def read(options: Options) -> Encoder:
    """Their configuration as ours, without a head."""
    return _read(options, NoHead())


def read_masked(options: Options) -> Encoder:
    """Their configuration as ours, with the head that tells hidden tokens."""
    head = TransformedHead(
        activation=options.one_of("classifier_activation", ACTIVATIONS),
        norm=_norm(options),
        dense_bias=options["classifier_bias"],
        tied=options["tie_word_embeddings"],
        bias=options["decoder_bias"],
    )
    return _read(options, head)


def _read(options: Options, head: Head) -> Encoder:
    options.ignore("attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout", "classifier_pooling")
    options.ignore("classifier_activation", "classifier_bias", "decoder_bias", "tie_word_embeddings")
    options.ignore("initializer_cutoff_factor", "deterministic_flash_attn", "reference_compile")
    options.ignore(
        "repad_logits_with_grad",
        "sparse_prediction",
        "sparse_pred_ignore_index",
        "layer_norm_eps",
        "position_embedding_type",
    )
    norm = _norm(options)
    return Encoder(
        vocab_size=options["vocab_size"],
        context=options["max_position_embeddings"],
        num_layers=options["num_hidden_layers"],
        width=options["hidden_size"],
        position=NoPosition(),
        embedding_norm=norm,
        final_norm=norm,
        head=head,
        blocks=_blocks(options, norm),
    )


def _norm(options: Options) -> LayerNorm:
    return LayerNorm(eps=options["norm_eps"], bias=options["norm_bias"])


def _blocks(options: Options, norm: LayerNorm) -> tuple[Block, ...]:
    """A block for each layer: the embedding is normed already when it enters the first attention."""
    bias, feed_forward, ropes = options["attention_bias"], _feed_forward(options), _ropes(options)
    number, every = options.count("num_hidden_layers"), options.count("global_attn_every_n_layers")
    types = options.list_of("layer_types", str) or layer_types(layer % every != 0 for layer in range(number))
    windows = windows_of(types, options.count("local_attention") // 2 + 1, options)
    return tuple(
        Block(
            norm=norm,
            attention=Attention(
                num_heads=options["num_attention_heads"],
                bias=bias,
                output_bias=bias,
                window=window,
                position=ropes[GLOBAL if window is None else LOCAL],
            ),
            feed_forward=feed_forward,
            attention_only=Only(norm=NoNorm()) if layer == 0 else Only(),
        )
        for layer, window in enumerate(windows)
    )


def _feed_forward(options: Options) -> Gated:
    return Gated(
        activation=options.one_of("hidden_activation", ACTIVATIONS),
        hidden=options["intermediate_size"],
        bias=options["mlp_bias"],
    )


def _ropes(options: Options) -> dict[str, Rope]:
    turning, context = options.within("rope_parameters"), options.count("max_position_embeddings")
    return {kind: rope_of(turning.within(kind), options.positive(name), context) for kind, name in OLDER.items()}


def write(model: Encoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    layers = [model.block(layer) for layer in range(model.num_layers)]
    kinds = layer_types(block.attention.window is not None for block in layers)
    first = layers[0]
    windows = {block.attention.window for block in layers} - {None}
    ropes: dict[str, Any] = {
        kind: {"rope_type": "default", "rope_theta": DEFAULTS[name]} for kind, name in OLDER.items()
    }
    for block, kind in zip(layers, kinds, strict=True):
        position = block.attention.position or model.position
        if isinstance(position, Rope):
            ropes[kind] = rope_parameters(position)
    head = model.head if isinstance(model.head, TransformedHead) else TransformedHead(dense_bias=False)
    return {
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.context,
        "num_hidden_layers": model.num_layers,
        "hidden_size": model.width,
        "num_attention_heads": first.attention.num_heads,
        "intermediate_size": first.feed_forward.hidden_width(model.width),
        "hidden_activation": activation_name(first.feed_forward, "gelu"),
        "norm_eps": eps_of(model.embedding_norm),
        "norm_bias": bool(getattr(model.embedding_norm, "bias", False)),
        "attention_bias": first.attention.bias or first.attention.output_bias,
        "mlp_bias": bool(getattr(first.feed_forward, "bias", False)),
        "local_attention": 2 * (min(windows) - 1) if windows else 128,  # type: ignore[type-var, operator]
        "layer_types": kinds,
        "rope_parameters": ropes,
        "global_rope_theta": ropes[GLOBAL]["rope_theta"],
        "local_rope_theta": ropes[LOCAL]["rope_theta"],
        "classifier_activation": activation_name(head, "gelu"),
        "classifier_bias": head.dense_bias,
        "decoder_bias": head.bias,
        "tie_word_embeddings": head.tied,
    }


def _rows(prefix: str) -> tuple[Row, ...]:
    layer = f"{prefix}layers.{{i}}"
    return (
        row("embedding.weight", f"{prefix}embeddings.tok_embeddings.weight"),
        *linear("embedding.norm", f"{prefix}embeddings.norm"),
        *linear("blocks.{i}.attention.norm_in", f"{layer}.attn_norm"),
        *linear("blocks.{i}.attention.qkv", f"{layer}.attn.Wqkv"),
        *linear("blocks.{i}.attention.output", f"{layer}.attn.Wo"),
        *linear("blocks.{i}.feed_forward.norm_in", f"{layer}.mlp_norm"),
        *(
            row(tuple(f"blocks.{{i}}.feed_forward.{half}.{part}" for half in ("gate", "up")), theirs, FUSED_ROWS)
            for part, theirs in (("weight", f"{layer}.mlp.Wi.weight"), ("bias", f"{layer}.mlp.Wi.bias"))
        ),
        *linear("blocks.{i}.feed_forward.down", f"{layer}.mlp.Wo"),
        *linear("norm", f"{prefix}final_norm"),
        *linear("head.dense", "head.dense"),
        *linear("head.norm", "head.norm"),
        *linear("head.logits", "decoder"),
    )


MODERNBERT = Family(
    name="modernbert-mlm",
    model_type="modernbert",
    architectures=("ModernBertForMaskedLM",),
    read=read_masked,
    write=write,
    prefix="model.",
    rows=_rows("model."),
    copies={"decoder.weight": "model.embeddings.tok_embeddings.weight"},
    defaults=DEFAULTS,
    kind=Encoder,
)

MODERNBERT_WITHOUT_HEAD = Family(
    name="modernbert",
    model_type="modernbert",
    architectures=("ModernBertModel",),
    read=read,
    write=write,
    rows=_rows(""),
    layouts=(_rows("model."),),
    ignored=("head.*", "decoder.*"),
    defaults=DEFAULTS,
    kind=Encoder,
)
