"""softmax(q kᵀ · scale + bias, masked) v: written out, and by the machine's fast kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.nn import one_query
from oneblock.nn.causal import causal_attention
from oneblock.nn.context import Mask
from oneblock.nn.dropout import make_dropout
from oneblock.nn.one_query import for_each_head


class Softmax(nn.Module):
    """softmax over the keys, in float32 or wider. A module, so that a hook sees the attention weights."""

    def forward(self, scores_BHTS: Tensor) -> Tensor:
        return scores_BHTS.softmax(dim=-1, dtype=torch.promote_types(scores_BHTS.dtype, torch.float32))


class WrittenOut(nn.Module):
    """The readable reference: every step of Vaswani 2017, eq. 1, with the field's additions in their order.

        scores = q kᵀ · scale          scale = 1/√K: without it scores grow with K and the softmax saturates
        scores = c · tanh(scores / c)  where there is a soft cap: before the mask, or −∞ would become −c
        scores = scores + bias         ALiBi, T5
        scores = −∞ where masked       before the softmax, or the rows would not sum to 1
        out    = softmax(scores) v

    q B × H × T × K, k B × G × S × K, v B × G × S × K -> B × H × T × K; query head i reads group ⌊i·G/H⌋.
    """

    def __init__(self, scale: float, soft_cap: float | None, dropout: float) -> None:
        super().__init__()
        self.scale, self.soft_cap = scale, soft_cap
        self.softmax, self.dropout = Softmax(), make_dropout(dropout)

    def forward(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Mask, bias: Tensor | None) -> Tensor:
        k_BHSK, v_BHSK = for_each_head(k_BGSK, q_BHTK), for_each_head(v_BGSK, q_BHTK)
        scores_BHTS = q_BHTK @ k_BHSK.transpose(-2, -1) * self.scale
        if self.soft_cap is not None:
            scores_BHTS = self.soft_cap * torch.tanh(scores_BHTS / self.soft_cap)
        if bias is not None:
            scores_BHTS = scores_BHTS + bias.to(scores_BHTS.dtype)
        allowed = mask.dense(q_BHTK.shape[2], k_BGSK.shape[2], q_BHTK.device)
        if allowed is not None:
            scores_BHTS = scores_BHTS.masked_fill(~allowed, -torch.inf)
        weights_BHTS = self.softmax(scores_BHTS)
        return self.dropout(weights_BHTS).to(v_BHSK.dtype) @ v_BHSK


class Fused(nn.Module):
    """The same by a fused kernel: weights are never stored, so a soft cap cannot be had."""

    def __init__(self, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale, self.p = scale, dropout

    def forward(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Mask, bias: Tensor | None) -> Tensor:
        dropped = self.p if self.training else 0.0
        if mask.triangle and bias is None and not dropped:
            return causal_attention(q_BHTK, for_each_head(k_BGSK, q_BHTK), for_each_head(v_BGSK, q_BHTK), self.scale)
        added = mask.allowed
        if bias is not None:
            allowed = mask.dense(q_BHTK.shape[2], k_BGSK.shape[2], q_BHTK.device)
            added = bias.to(q_BHTK.dtype)
            if allowed is not None:
                added = added.masked_fill(~allowed, -torch.inf)
        if one_query.single(q_BHTK) and not dropped:
            return one_query.attend(q_BHTK, k_BGSK, v_BGSK, added, self.scale)
        return F.scaled_dot_product_attention(
            q_BHTK,
            k_BGSK,
            v_BGSK,
            attn_mask=added,
            dropout_p=dropped,
            is_causal=mask.triangle and bias is None,
            scale=self.scale,
            enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
        )


def make_attend(*, scale: float, soft_cap: float | None, dropout: float, fused: bool) -> nn.Module:
    """The fused form where it is wanted and can express the attention, else the written-out one."""
    return Fused(scale, dropout) if fused and soft_cap is None else WrittenOut(scale, soft_cap, dropout)
