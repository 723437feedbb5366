"""The encoder-decoder: one stack reads the source, another writes the target and looks at what the first has made."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.init import INITS, Init, Normal
from oneblock.config.part import Part, count, flag, option, positive
from oneblock.config.rules import check_encoder_decoder
from oneblock.config.stack import Stack


@dataclass(frozen=True, kw_only=True)
class EncoderDecoder(Part):
    """Source and target tokens in, logits for the target's next tokens out (Vaswani et al. 2017, section 3.1).

    shared_embedding: one table for source and target
    tied:             the head is the target's table, transposed
    embedding_scale:  the embeddings ×√width (Vaswani)
    head_scale:       what enters the head /√width (T5 v1.0, whose tied table has unit variance)
    logit_soft_cap:   c · tanh(logits / c)
    """

    source_vocab: int = count()
    target_vocab: int = count()
    width: int = count()
    encoder: Stack
    decoder: Stack
    shared_embedding: bool = flag(False)
    embedding_scale: bool = flag(False)
    tied: bool = flag(True)
    head_bias: bool = flag(False)
    head_scale: bool = flag(False)
    logit_soft_cap: float | None = positive(None)
    init: Init = option(INITS, Normal())

    def __post_init__(self) -> None:
        super().__post_init__()
        check_encoder_decoder(self)

    @property
    def vocab_size(self) -> int:
        """The tokens it writes."""
        return self.target_vocab

    @property
    def context(self) -> int:
        """The longest target."""
        return self.decoder.context
