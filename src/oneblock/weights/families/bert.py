"""BERT (Devlin et al. 2019), and what was made from it, such as MiniLM: post-norm, learned positions, two segments."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.encoder import Encoder, Head, NoHead, TransformedHead
from oneblock.config.feedforward import Dense
from oneblock.config.norm import LayerNorm
from oneblock.config.position import Learned
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of
from oneblock.weights.family import Family, Row, joined, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import QKV


def read(options: Options) -> Encoder:
    """Their configuration as ours, without a head."""
    return _read(options, NoHead())


def read_masked(options: Options) -> Encoder:
    """Their configuration as ours, with the head that tells hidden tokens."""
    norm = LayerNorm(eps=options["layer_norm_eps"])
    activation = options.one_of("hidden_act", ACTIVATIONS)
    tied = options["tie_word_embeddings"]
    return _read(options, TransformedHead(activation=activation, norm=norm, tied=tied))


def _read(options: Options, head: Head) -> Encoder:
    options.must("position_embedding_type", "absolute")
    options.must("is_decoder", False)
    options.must("add_cross_attention", False)
    options.ignore("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "tie_word_embeddings")
    options.ignore("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head")
    options.ignore("pooler_type", "directionality")
    norm = LayerNorm(eps=options["layer_norm_eps"])
    return Encoder(
        vocab_size=options["vocab_size"],
        context=options["max_position_embeddings"],
        num_layers=options["num_hidden_layers"],
        width=options["hidden_size"],
        num_segments=options["type_vocab_size"],
        position=Learned(),
        embedding_norm=norm,
        head=head,
        blocks=(
            Block(
                norm=norm,
                placement="post",
                attention=Attention(num_heads=options["num_attention_heads"], bias=True, output_bias=True),
                feed_forward=Dense(
                    activation=options.one_of("hidden_act", ACTIVATIONS),
                    hidden=options["intermediate_size"],
                    bias=True,
                ),
            ),
        ),
    )


def write(model: Encoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    block = model.blocks[0]
    return {
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.context,
        "num_hidden_layers": model.num_layers,
        "hidden_size": model.width,
        "type_vocab_size": model.num_segments or 1,
        "num_attention_heads": block.attention.num_heads,
        "intermediate_size": block.feed_forward.hidden_width(model.width),
        "hidden_act": activation_name(block.feed_forward, "gelu"),
        "layer_norm_eps": eps_of(model.embedding_norm, 1e-12),
        "tie_word_embeddings": getattr(model.head, "tied", True),
    }


def _rows(prefix: str, gain: str = "weight", bias: str = "bias") -> tuple[Row, ...]:
    """The table; `gain` and `bias` are what norms call theirs."""
    embeddings, layer = f"{prefix}embeddings", f"{prefix}encoder.layer.{{i}}"

    def norm(ours: str, theirs: str) -> tuple[Row, Row]:
        return row(f"{ours}.weight", f"{theirs}.{gain}"), row(f"{ours}.bias", f"{theirs}.{bias}")

    return (
        row("embedding.weight", f"{embeddings}.word_embeddings.weight"),
        row("embedding.segments.weight", f"{embeddings}.token_type_embeddings.weight"),
        row("position.weight", f"{embeddings}.position_embeddings.weight"),
        *norm("embedding.norm", f"{embeddings}.LayerNorm"),
        *joined(
            "blocks.{i}.attention.qkv",
            tuple(f"{layer}.attention.self.{name}" for name in ("query", "key", "value")),
            QKV,
        ),
        *linear("blocks.{i}.attention.output", f"{layer}.attention.output.dense"),
        *norm("blocks.{i}.attention_residual.norm", f"{layer}.attention.output.LayerNorm"),
        *linear("blocks.{i}.feed_forward.up", f"{layer}.intermediate.dense"),
        *linear("blocks.{i}.feed_forward.down", f"{layer}.output.dense"),
        *norm("blocks.{i}.feed_forward_residual.norm", f"{layer}.output.LayerNorm"),
        *linear("head.dense", "cls.predictions.transform.dense"),
        *norm("head.norm", "cls.predictions.transform.LayerNorm"),
        row("head.logits.weight", "cls.predictions.decoder.weight"),
        row("head.logits.bias", "cls.predictions.bias"),
    )


DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "tie_word_embeddings": True,
}

# What tells whether one text follows another; a head's copies of what the embedding and its own bias hold.
LEFT_ASIDE = ("*embeddings.position_ids", "*pooler.dense.*", "cls.seq_relationship.*")
HEADLESS = (*LEFT_ASIDE, "cls.predictions.*")

BERT = Family(
    name="bert-mlm",
    model_type="bert",
    architectures=("BertForMaskedLM", "BertForPreTraining"),
    read=read_masked,
    write=write,
    prefix="bert.",
    rows=_rows("bert."),
    layouts=(_rows("bert.", "gamma", "beta"),),
    copies={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    ignored=LEFT_ASIDE,
    defaults=DEFAULTS,
    kind=Encoder,
)

BERT_WITHOUT_HEAD = Family(
    name="bert",
    model_type="bert",
    architectures=("BertModel",),
    read=read,
    write=write,
    rows=_rows(""),
    layouts=(_rows("bert."), _rows("", "gamma", "beta"), _rows("bert.", "gamma", "beta")),
    ignored=HEADLESS,
    defaults=DEFAULTS,
    kind=Encoder,
)
