"""What stands after the last norm: from the stream to logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.config.encoder import Head, NoHead, TokenHead, TransformedHead
from oneblock.models.embedding import Embedding
from oneblock.nn.activation import ACTIVATIONS
from oneblock.nn.linear import Linear, TiedLinear
from oneblock.nn.norm import make_norm


class Transformed(nn.Module):
    """logits(norm(act(dense(x)))): the head of BERT (Devlin et al. 2019, as released)."""

    def __init__(self, option: TransformedHead, width: int, logits: nn.Module) -> None:
        super().__init__()
        self.dense = Linear(width, width, bias=option.dense_bias)
        self.activation = ACTIVATIONS[option.activation]
        self.norm = make_norm(option.norm, width)
        self.logits = logits

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.logits(self.norm(self.activation(self.dense(x_BTD))))


class SoftCap(nn.Module):
    """c · tanh(logits / c) (Gemma 2)."""

    def __init__(self, cap: float) -> None:
        super().__init__()
        self.cap = cap

    def forward(self, logits: Tensor) -> Tensor:
        return self.cap * torch.tanh(logits / self.cap)


def token_head(embedding: Embedding, *, tied: bool, bias: bool) -> nn.Module:
    """Logits for every token of the embedding's table."""
    if tied:
        return TiedLinear(embedding, bias)
    return Linear(embedding.embedding_dim, embedding.num_embeddings, bias=bias)


def soft_cap(cap: float | None) -> nn.Module:
    """The cap on logits, or nothing."""
    return nn.Identity() if cap is None else SoftCap(cap)


def encoder_head(option: Head, embedding: Embedding) -> nn.Module:
    """The head an encoder's option asks for; without one the stream is the answer."""
    match option:
        case NoHead():
            return nn.Identity()
        case TokenHead():
            return token_head(embedding, tied=option.tied, bias=option.bias)
        case TransformedHead():
            logits = token_head(embedding, tied=option.tied, bias=option.bias)
            return Transformed(option, embedding.embedding_dim, logits)
