"""The linear map, and how a compiled step of decoding computes it for a single row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.nn import one_row


def linear(x: Tensor, weight_ED: Tensor, bias_E: Tensor | None = None) -> Tensor:
    """x Wᵀ + b over the last dimension: … × D -> … × E.

    Compiled for one row on a CPU it is one pass over the weights (`one_row`); a library's matrix product, made for
    many rows, takes about twice as long.
    """
    if one_row.single(x):
        y = one_row.times(x, weight_ED)
        return (y if bias_E is None else y + bias_E.to(y.dtype)).to(x.dtype)
    return F.linear(x, weight_ED, bias_E)


class Linear(nn.Linear):
    """`linear` with its own weight and bias."""

    def forward(self, x: Tensor) -> Tensor:
        """… × D -> … × E."""
        return linear(x, self.weight, self.bias)


class TiedLinear(nn.Module):
    """`linear` with the table of an embedding, V × D, as its weight (Press and Wolf 2017): … × D -> … × V."""

    def __init__(self, embedding: nn.Embedding, bias: bool) -> None:
        super().__init__()
        self._embedding = [embedding]  # in a list, so that the table is registered once
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings)) if bias else None

    @property
    def table(self) -> Tensor:
        """V × D, the embedding's."""
        return self._embedding[0].weight

    def forward(self, x: Tensor) -> Tensor:
        """… × D -> … × V."""
        return linear(x, self.table, self.bias)
