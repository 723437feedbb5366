"""The attention of one query on a CPU: the form it has in a compiled step of decoding."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.nn import one_token

FEATURES = 32
"""K must be a multiple of this: what the kernel takes at a time."""


def single(q_BHTK: Tensor) -> bool:
    """Whether this is compiled for one query of one row on a CPU, and no gradient is asked for."""
    return one_token.asked(q_BHTK) and q_BHTK.shape[0] == q_BHTK.shape[2] == 1


def attend(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, added: Tensor | None, scale: float) -> Tensor:
    """softmax(q kᵀ · scale + added) v, 1 × H × 1 × K: by the kernel, or written as sums.

    added: what is added to the scores, or, boolean, where they stand; broadcastable to 1 × H × 1 × S.
    """
    seen = added is None or (added.dtype == torch.bool and added.numel() == k_BGSK.shape[2])
    if not (seen and one_token.ready() and _suits(q_BHTK, k_BGSK, v_BGSK)):
        return as_sums(q_BHTK, k_BGSK, v_BGSK, added, scale)
    seen_S = k_BGSK.new_ones(k_BGSK.shape[2], dtype=torch.bool) if added is None else added.reshape(-1)
    heads_BHTK = torch.ops.oneblock.one_query.default(q_BHTK.float(), k_BGSK, v_BGSK, seen_S, scale)
    return heads_BHTK.to(v_BGSK.dtype)


def as_sums(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, added: Tensor | None, scale: float) -> Tensor:
    """The same, its products written as sums: compiled, one pass over keys and values."""
    wide = torch.promote_types(q_BHTK.dtype, torch.float32)
    k_BHSK, v_BHSK = for_each_head(k_BGSK, q_BHTK), for_each_head(v_BGSK, q_BHTK)
    scores_BHTS = (q_BHTK.to(wide) * k_BHSK.to(wide)).sum(-1).unsqueeze(2) * scale
    if added is not None:
        hidden = added.dtype == torch.bool
        scores_BHTS = scores_BHTS.masked_fill(~added, -torch.inf) if hidden else scores_BHTS + added.to(wide)
    weights_BHTS = scores_BHTS.softmax(-1)
    return (weights_BHTS.transpose(2, 3) * v_BHSK.to(wide)).sum(2, keepdim=True).to(v_BHSK.dtype)


def for_each_head(x_BGSK: Tensor, q_BHTK: Tensor) -> Tensor:
    """Keys or values as the query heads read them, B × H × S × K: those of group ⌊i·G/H⌋ for head i."""
    repeats = q_BHTK.shape[1] // x_BGSK.shape[1]
    return x_BGSK.repeat_interleave(repeats, dim=1) if repeats > 1 else x_BGSK


def _suits(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor) -> bool:
    kept = k_BGSK.dtype == v_BGSK.dtype and k_BGSK.dtype in (torch.float32, torch.bfloat16)
    # Of a wider q the answer would be a narrower one.
    narrow = torch.promote_types(q_BHTK.dtype, torch.float32) == torch.float32
    shaped = k_BGSK.shape == v_BGSK.shape and k_BGSK.shape[-1] % FEATURES == 0
    return kept and narrow and shaped and k_BGSK.stride(-1) == v_BGSK.stride(-1) == 1
