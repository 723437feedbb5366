"""What stands before the first block: from tokens to the stream."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from oneblock.config.stack import Stack
from oneblock.nn.branch import Times
from oneblock.nn.dropout import make_dropout
from oneblock.nn.norm import make_norm


class Embedding(nn.Embedding):
    """table[token], then what the configuration puts on it: a scale, a norm, dropout."""

    def __init__(self, option: Stack, vocab_size: int, width: int, *, scaled: bool) -> None:
        super().__init__(vocab_size, width)
        self.scale = Times(width**0.5) if scaled else nn.Identity()
        self.norm = make_norm(option.embedding_norm, width)
        self.drop = make_dropout(option.embedding_dropout)


class SharedEmbedding(nn.Module):
    """Another embedding's table; scale, norm and dropout are its own."""

    def __init__(self, option: Stack, table: Embedding, *, scaled: bool) -> None:
        super().__init__()
        self._table = [table]  # in a list, so that the table is registered once
        self.scale = Times(table.embedding_dim**0.5) if scaled else nn.Identity()
        self.norm = make_norm(option.embedding_norm, table.embedding_dim)
        self.drop = make_dropout(option.embedding_dropout)

    @property
    def weight(self) -> Tensor:
        """The table, V × D."""
        return self._table[0].weight

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.weight)
