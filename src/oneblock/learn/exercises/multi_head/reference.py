"""Attention in several heads, right: one projection for q, k, v; heads are an axis, and share keys in groups."""

import math

import torch
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    def __init__(self, width: int, num_heads: int, num_kv_heads: int | None = None) -> None:
        super().__init__()
        groups = num_heads if num_kv_heads is None else num_kv_heads
        if width % num_heads or num_heads % groups:
            raise ValueError(f"{num_heads} heads must divide the width {width}, and {groups} groups the heads")
        self.num_heads, self.num_kv_heads = num_heads, groups
        self.head_width = width // num_heads
        self.qkv = nn.Linear(width, (num_heads + 2 * groups) * self.head_width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        shared = self.num_kv_heads * self.head_width
        q, k, v = self.qkv(x).split([x.shape[-1], shared, shared], dim=-1)
        q, k, v = (part.unflatten(-1, (-1, self.head_width)).transpose(1, 2) for part in (q, k, v))
        repeat = self.num_heads // self.num_kv_heads
        k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_width)
        if mask is not None:
            # B×T×S gets an axis for the heads; T×S lines up by itself.
            mask = mask.unsqueeze(1) if mask.dim() == 3 else mask
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        heads = scores.softmax(dim=-1) @ v
        return self.output(heads.transpose(1, 2).flatten(2))
