"""Transforms: how tensors of another layout become ours, each with its way back.

A transform links one or more of their tensors to one or more of ours. It moves numbers and changes none (`PLUS_ONE`
shifts them), so that a model goes in and out without loss. They also run on tensors without content, which gives the
shapes that a file must have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Tensors = Sequence[Tensor]


class Sizes(NamedTuple):
    """What a transform may need to know of the attention, or the patches, its tensors belong to."""

    num_heads: int = 1
    num_kv_heads: int = 1
    head_width: int = 1
    patch: int = 1

    @property
    def rows(self) -> list[int]:
        """Rows of queries, keys and values."""
        return [count * self.head_width for count in (self.num_heads, self.num_kv_heads, self.num_kv_heads)]


class Transform(NamedTuple):
    """A name, the way in and the way back; each from a list of tensors to a list of tensors."""

    name: str
    to_ours: Callable[[Tensors, Sizes], Tensors]
    to_theirs: Callable[[Tensors, Sizes], Tensors]


SAME = Transform("same", lambda theirs, sizes: theirs, lambda ours, sizes: ours)

TRANSPOSED = Transform(
    "transposed",  # a Conv1D of GPT-2 keeps its weight as in × out
    lambda theirs, sizes: [tensor.T for tensor in theirs],
    lambda ours, sizes: [tensor.T for tensor in ours],
)

QKV = Transform(
    "q, k and v apart",
    lambda theirs, sizes: [torch.cat(list(theirs))],
    lambda ours, sizes: ours[0].split(sizes.rows),
)

KV = Transform(
    "k and v apart",
    lambda theirs, sizes: [torch.cat(list(theirs))],
    lambda ours, sizes: ours[0].split(sizes.rows[1:]),
)

QKV_OF_EACH_HEAD = Transform(
    "q, k, v of each head in turn",  # GPT-NeoX, BLOOM; ours are all q, all k, all v
    lambda theirs, sizes: [theirs[0].unflatten(0, (sizes.num_heads, 3, -1)).transpose(0, 1).flatten(0, 2)],
    lambda ours, sizes: [ours[0].unflatten(0, (3, sizes.num_heads, -1)).transpose(0, 1).flatten(0, 2)],
)

FUSED_ROWS = Transform(
    "fused rows",  # the rows of two of ours one after another, such as gate and up
    lambda theirs, sizes: theirs[0].chunk(2),
    lambda ours, sizes: [torch.cat(list(ours))],
)

STACKED = Transform(
    "stacked",  # one tensor for each expert
    lambda theirs, sizes: [torch.stack(list(theirs))],
    lambda ours, sizes: ours[0].unbind(0),
)

FUSED_ROWS_OF_EACH_EXPERT = Transform(
    "fused rows of each expert",  # E × 2F × D: each expert's gate, then its up
    lambda theirs, sizes: theirs[0].chunk(2, dim=1),
    lambda ours, sizes: [torch.cat(list(ours), dim=1)],
)

PLUS_ONE = Transform(
    "gain less one",  # theirs is added to 1, ours is the gain itself
    lambda theirs, sizes: [tensor + 1 for tensor in theirs],
    lambda ours, sizes: [tensor - 1 for tensor in ours],
)


def rows_from(offset: int) -> Transform:
    """Their table has `offset` rows in front that no token reads (BART: 2); on the way back they are zeros."""

    def back(ours: Tensors, sizes: Sizes) -> Tensors:
        return [torch.cat([tensor.new_zeros(offset, *tensor.shape[1:]), tensor]) for tensor in ours]

    return Transform(f"rows from {offset}", lambda theirs, sizes: [tensor[offset:] for tensor in theirs], back)


def _to_half(rows: Tensor, heads: int) -> Tensor:
    """Each head's rows from neighbours as pairs (2i, 2i + 1) to halves (i, i + K/2)."""
    return rows.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def _to_neighbours(rows: Tensor, heads: int) -> Tensor:
    return rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def _qk(turn: Callable[[Tensor, int], Tensor], parts: Tensors, sizes: Sizes) -> list[Tensor]:
    q, k, v = parts
    return [turn(q, sizes.num_heads), turn(k, sizes.num_kv_heads), v]


QKV_OF_NEIGHBOURS = Transform(
    "q, k and v apart, rotated as neighbours",  # Meta's Llama, GGUF: turned into the pairing of halves
    lambda theirs, sizes: [torch.cat(_qk(_to_half, theirs, sizes))],
    lambda ours, sizes: _qk(_to_neighbours, ours[0].split(sizes.rows), sizes),
)

PATCHES = Transform(
    "a convolution of patches",  # D × C × p × p; ours is a matrix of rows, columns, then channels
    lambda theirs, sizes: [theirs[0].permute(0, 2, 3, 1).flatten(1)],
    lambda ours, sizes: [ours[0].unflatten(1, (sizes.patch, sizes.patch, -1)).permute(0, 3, 1, 2)],
)

FOR_A_BATCH = Transform(
    "for a batch",  # 1 × T × D, a table that is added to a batch as it is
    lambda theirs, sizes: [theirs[0].squeeze(0)],
    lambda ours, sizes: [ours[0].unsqueeze(0)],
)

ONE_TOKEN = Transform(
    "one token",  # 1 × 1 × D
    lambda theirs, sizes: [theirs[0].flatten()],
    lambda ours, sizes: [ours[0][None, None]],
)
