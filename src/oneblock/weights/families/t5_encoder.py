"""The encoder of T5 alone: vectors of texts, as models of sentences and of images use it."""

from __future__ import annotations

from typing import Any

from oneblock.config.encoder import Encoder, NoHead
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.stack import Stack
from oneblock.weights.families import t5
from oneblock.weights.family import Family, Row
from oneblock.weights.options import Options


def read(options: Options) -> Encoder:
    """Their configuration as ours: the encoder of what it would be with a decoder."""
    whole = t5.read(options)
    stack = whole.encoder
    return Encoder(
        vocab_size=whole.source_vocab,
        context=stack.context,
        num_layers=stack.num_layers,
        width=whole.width,
        blocks=stack.blocks,
        position=stack.position,
        head=NoHead(),
    )


def write(model: Encoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    stack = Stack(context=model.context, num_layers=model.num_layers, blocks=model.blocks, position=model.position)
    # Of a decoder nothing is written but its number of layers, which nobody reads here.
    decoder = t5.read(Options({"num_layers": 1}, defaults=t5.DEFAULTS)).decoder
    whole = EncoderDecoder(
        source_vocab=model.vocab_size,
        target_vocab=model.vocab_size,
        width=model.width,
        encoder=stack,
        decoder=decoder,
        shared_embedding=True,
    )
    return t5.write(whole) | {"is_encoder_decoder": False, "tie_word_embeddings": True}


def _alone(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Rows of the encoder in a pair as those of an encoder."""
    return tuple(
        entry._replace(
            ours=tuple(name.removeprefix("encoder.") for name in entry.ours),
            unless=entry.unless.removeprefix("encoder."),
        )
        for entry in rows
    )


T5_ENCODER = Family(
    name="t5-encoder",
    model_type="t5",
    architectures=("T5EncoderModel",),
    defaults=t5.DEFAULTS,
    read=read,
    write=write,
    rows=_alone((t5.AROUND[0], *t5.stack_rows("encoder"), *t5.feed_forward_rows("encoder"))),
    copies={"encoder.embed_tokens.weight": t5.TABLE},
    ignored=("decoder.*", t5.HEAD),
    kind=Encoder,
)
