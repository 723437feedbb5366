"""What stands before the first block: from tokens to the stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneblock.config.stack import Stack
from oneblock.nn.branch import Times
from oneblock.nn.dropout import make_dropout
from oneblock.nn.norm import make_norm


class Segments(nn.Embedding):
    """x + table[segment], B × T × D (Devlin et al. 2019, section 3.2); without segments all tokens are of the first."""

    def forward(self, x_BTD: Tensor, segments_BT: Tensor | None) -> Tensor:  # type: ignore[override]
        if segments_BT is None:
            return x_BTD + self.weight[0]
        self._check(segments_BT, x_BTD)
        return x_BTD + super().forward(segments_BT)

    def _check(self, segments_BT: Tensor, x_BTD: Tensor) -> None:
        shape = tuple(x_BTD.shape[:2])
        if segments_BT.shape != shape or segments_BT.is_floating_point() or segments_BT.dtype == torch.bool:
            given = f"{segments_BT.dtype} {tuple(segments_BT.shape)}"
            raise ValueError(f"segments must be whole numbers of the tokens' shape {shape}, got {given}")
        if torch.compiler.is_compiling() or not segments_BT.numel():
            return
        wrong = [int(end) for end in (segments_BT.min(), segments_BT.max()) if not 0 <= end < self.num_embeddings]
        if wrong:
            raise ValueError(f"segment {wrong[0]} is not one of the model's, 0…{self.num_embeddings - 1}")


class NoSegments(nn.Module):
    """x: all tokens are of one kind."""

    def forward(self, x_BTD: Tensor, segments_BT: Tensor | None) -> Tensor:
        if segments_BT is not None:
            raise ValueError(
                "segments were given to a model without segments; give none, or build it with num_segments"
            )
        return x_BTD


class Embedding(nn.Embedding):
    """table[token], then what the configuration puts on it: a scale, its segment's vector, a norm, dropout."""

    def __init__(
        self, option: Stack, vocab_size: int, width: int, *, scaled: bool, num_segments: int | None = None
    ) -> None:
        super().__init__(vocab_size, width)
        self.scale = Times(width**0.5) if scaled else nn.Identity()
        self.segments = Segments(num_segments, width) if num_segments else NoSegments()
        self.norm = make_norm(option.embedding_norm, width)
        self.drop = make_dropout(option.embedding_dropout)


class SharedEmbedding(nn.Module):
    """Another embedding's table; scale, norm and dropout are its own."""

    def __init__(self, option: Stack, table: Embedding, *, scaled: bool) -> None:
        super().__init__()
        self._table = [table]  # in a list, so that the table is registered once
        self.scale = Times(table.embedding_dim**0.5) if scaled else nn.Identity()
        self.segments = NoSegments()
        self.norm = make_norm(option.embedding_norm, table.embedding_dim)
        self.drop = make_dropout(option.embedding_dropout)

    @property
    def weight(self) -> Tensor:
        """The table, V × D."""
        return self._table[0].weight

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.weight)
