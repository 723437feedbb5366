"""A model as columns: each one stack, with what stands before and after it. An encoder-decoder has two."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from oneblock.config.config import Config, Model, model_of
from oneblock.config.decoder import Decoder
from oneblock.config.encoder import Encoder, Head, NoHead, TokenHead
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Column(Stack):
    """A stack from its tokens to its answer.

    owns_table: its embedding is not another column's; head_scale: x/√width in front of the head
    reads:      the context of the memory that its cross-attentions read, 0 for none
    """

    title: str
    causal: bool
    vocab_size: int
    width: int
    embedding_scale: bool
    head: Head
    owns_table: bool = True
    num_segments: int | None = None
    head_scale: bool = False
    logit_soft_cap: float | None = None
    tokens: str = "tokens"
    answer: str = "logits"
    reads: int = 0

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding, transposed."""
        return not isinstance(self.head, NoHead) and self.head.tied


def columns(config: Config | Model) -> tuple[Column, ...]:
    """The columns of a model of tokens, in the order in which they run."""
    model = model_of(config)
    match model:
        case Decoder():
            head = TokenHead(tied=model.tied, bias=model.head_bias)
            return (_column(model, model, title="decoder", head=head, logit_soft_cap=model.logit_soft_cap),)
        case Encoder():
            answer = "vectors" if isinstance(model.head, NoHead) else "logits"
            own = {"head": model.head, "answer": answer, "num_segments": model.num_segments}
            return (_column(model, model, title="encoder", causal=False, **own),)
        case EncoderDecoder():
            return _encoder(model), _decoder(model)
        case _:
            raise TypeError(f"a {type(model).__name__} is no model of tokens, and has no columns")


def _encoder(model: EncoderDecoder) -> Column:
    words = {"title": "encoder", "tokens": "source tokens", "answer": "memory"}
    return _column(
        model.encoder, model, **words, causal=False, vocab_size=model.source_vocab, width=model.width, head=NoHead()
    )


def _decoder(model: EncoderDecoder) -> Column:
    return _column(
        model.decoder,
        model,
        title="decoder",
        tokens="target tokens",
        width=model.width,
        head=TokenHead(tied=model.tied, bias=model.head_bias),
        owns_table=not model.shared_embedding,
        head_scale=model.head_scale,
        logit_soft_cap=model.logit_soft_cap,
        reads=model.encoder.context,
    )


def _column(stack: Stack, model: Decoder | Encoder | EncoderDecoder, **given: Any) -> Column:
    of_stack = {spec.name: getattr(stack, spec.name) for spec in fields(Stack)}
    of_model = {name: getattr(model, name) for name in ("vocab_size", "width", "embedding_scale")}
    return Column(**of_stack, **({"causal": True} | of_model | given))
