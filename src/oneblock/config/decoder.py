"""The decoder-only model."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.init import INITS, Init, Normal
from oneblock.config.part import count, flag, option, positive
from oneblock.config.rules import check_stack
from oneblock.config.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Decoder(Stack):
    """Tokens in, next-token logits out.

    tied:            the head is the embedding, transposed
    embedding_scale: the embedding ×√width (Vaswani, Gemma)
    logit_soft_cap:  c · tanh(logits / c)
    """

    vocab_size: int = count()
    width: int = count()
    embedding_scale: bool = flag(False)
    tied: bool = flag(True)
    head_bias: bool = flag(False)
    logit_soft_cap: float | None = positive(None)
    init: Init = option(INITS, Normal())

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stack(self, self.width)
