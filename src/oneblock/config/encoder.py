"""The encoder-only model, its heads, and how it makes one vector of a text."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.feedforward import ACTIVATIONS
from oneblock.config.init import INITS, Init, Normal
from oneblock.config.norm import NORMS, LayerNorm, Norm
from oneblock.config.part import Part, choice, count, flag, option
from oneblock.config.rules import check_stack
from oneblock.config.stack import Stack


@dataclass(frozen=True, kw_only=True)
class NoHead(Part):
    """The stream after the final norm is the answer."""


@dataclass(frozen=True, kw_only=True)
class TokenHead(Part):
    """Logits for every token, x · W + b; `tied`: W is the embedding, transposed."""

    tied: bool = flag(True)
    bias: bool = flag(False)


@dataclass(frozen=True, kw_only=True)
class TransformedHead(Part):
    """Logits of norm(act(x · dense)), as BERT's (Devlin et al. 2019); `dense_bias`: of that first matrix."""

    activation: str = choice("gelu", *ACTIVATIONS)
    norm: Norm = option(NORMS, LayerNorm())
    dense_bias: bool = flag(True)
    tied: bool = flag(True)
    bias: bool = flag(True)


HEADS = {
    "none": NoHead,
    "token": TokenHead,
    "transformed": TransformedHead,
    # The field's names for particular ones.
    "tied": TokenHead(tied=True),
    "untied": TokenHead(tied=False),
}
Head = NoHead | TokenHead | TransformedHead


@dataclass(frozen=True, kw_only=True)
class MeanPool(Part):
    """The mean over the real tokens; `normalise`: brought to length 1, so that a dot product is the cosine."""

    normalise: bool = flag(True)


@dataclass(frozen=True, kw_only=True)
class FirstPool(Part):
    """The first real token's vector (BERT's class token)."""

    normalise: bool = flag(False)


POOLS = {"mean": MeanPool, "first": FirstPool}
Pool = MeanPool | FirstPool


@dataclass(frozen=True, kw_only=True)
class Encoder(Stack):
    """Tokens in, what each means among all the others out: logits, or vectors where there is no head.

    embedding_scale: the embedding ×√width
    num_segments:    kinds of tokens (BERT: those of a first and of a second text), each with a learned vector that is
                     added to its tokens' embedding; None: there is one kind
    pool:            how `vectors` makes one vector of a text
    """

    vocab_size: int = count()
    width: int = count()
    embedding_scale: bool = flag(False)
    num_segments: int | None = count(None)
    head: Head = option(HEADS, TokenHead())
    pool: Pool = option(POOLS, MeanPool())
    init: Init = option(INITS, Normal())

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stack(self, self.width, causal=False)

    @property
    def tied(self) -> bool:
        """Whether a head is the embedding, transposed."""
        return not isinstance(self.head, NoHead) and self.head.tied
