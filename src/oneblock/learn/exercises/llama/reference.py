"""The four swaps from GPT to Llama, right: rotary positions, SwiGLU, ALiBi, heads in groups."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rope(x: Tensor, positions: Tensor, base: float, style: str) -> Tensor:
    width = x.shape[-1]
    frequencies = base ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
    angles = positions[..., None] * frequencies
    if angles.dim() == 3:
        # B×T positions serve every head: axes of size 1 between batch and T.
        angles = angles.reshape(len(angles), *[1] * (x.dim() - 3), *angles.shape[1:])
    cos, sin = angles.cos(), angles.sin()
    if style == "half":
        one, two = x.chunk(2, dim=-1)
        return torch.cat((one * cos - two * sin, two * cos + one * sin), dim=-1)
    if style == "interleaved":
        one, two = x[..., 0::2], x[..., 1::2]
        return torch.stack((one * cos - two * sin, two * cos + one * sin), dim=-1).flatten(-2)
    raise ValueError(f"style is 'half' or 'interleaved', not {style!r}")


class SwiGLU(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


def slopes(num_heads: int) -> list[float]:
    power = 2 ** int(math.log2(num_heads))
    found = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    # The rest: every other one of those for twice as many heads.
    return found + [2 ** (-4 * (2 * head + 1) / power) for head in range(num_heads - power)]


def alibi(num_heads: int, num_queries: int, num_keys: int) -> Tensor:
    places = torch.arange(num_queries)[:, None] + num_keys - num_queries
    distance = (places - torch.arange(num_keys)[None, :]).abs()
    return -torch.tensor(slopes(num_heads))[:, None, None] * distance


class MultiHeadAttention(nn.Module):
    def __init__(self, width: int, num_heads: int, num_kv_heads: int | None = None) -> None:
        super().__init__()
        groups = num_heads if num_kv_heads is None else num_kv_heads
        if width % num_heads or num_heads % groups:
            raise ValueError(f"{num_heads} heads must divide the width {width}, and {groups} groups the heads")
        self.num_heads, self.num_kv_heads, self.head = num_heads, groups, width // num_heads
        self.qkv = nn.Linear(width, (num_heads + 2 * groups) * self.head, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        heads = self.qkv(x).unflatten(-1, (-1, self.head)).transpose(1, 2)
        q, k, v = heads.split([self.num_heads, self.num_kv_heads, self.num_kv_heads], dim=1)
        # Group 0 for the first H/G query heads, group 1 for the next.
        k, v = (part.repeat_interleave(self.num_heads // self.num_kv_heads, dim=1) for part in (k, v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head)
        if mask is not None:
            mask = mask.unsqueeze(1) if mask.dim() == 3 else mask
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return self.output((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
