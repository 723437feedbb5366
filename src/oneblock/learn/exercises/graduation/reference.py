"""Llama's block, right."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x / torch.sqrt(x.square().mean(dim=-1, keepdim=True) + self.eps)


def rope(x: Tensor, base: float, style: str) -> Tensor:
    width = x.shape[-1]
    frequencies = base ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
    angles = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    if style == "half":
        one, two = x.chunk(2, dim=-1)
        return torch.cat((one * cos - two * sin, two * cos + one * sin), dim=-1)
    one, two = x[..., 0::2], x[..., 1::2]
    return torch.stack((one * cos - two * sin, two * cos + one * sin), dim=-1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, width: int, num_heads: int, num_kv_heads: int, base: float, style: str) -> None:
        super().__init__()
        self.head, self.base, self.style = width // num_heads, base, style
        self.sizes = [num_heads * self.head, num_kv_heads * self.head, num_kv_heads * self.head]
        self.shared = num_heads // num_kv_heads
        self.qkv = nn.Linear(width, sum(self.sizes), bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.shape[1]
        q, k, v = (
            part.unflatten(-1, (-1, self.head)).transpose(1, 2) for part in self.qkv(x).split(self.sizes, dim=-1)
        )
        q, k = rope(q, self.base, self.style), rope(k, self.base, self.style)
        k, v = (part.repeat_interleave(self.shared, dim=1) for part in (k, v))
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(-2, -1) / math.sqrt(self.head)).masked_fill(later, -math.inf)
        return self.output((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class LlamaBlock(nn.Module):
    def __init__(
        self, width: int, num_heads: int, num_kv_heads: int, hidden: int, base: float, eps: float, style: str
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(width, eps), RMSNorm(width, eps)
        self.attention = Attention(width, num_heads, num_kv_heads, base, style)
        self.feed_forward = SwiGLU(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))
