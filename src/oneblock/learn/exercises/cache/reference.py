"""The key/value cache, right: keys and values before the groups are spread over the heads, joined along time."""

import math
from typing import Any

import torch
from torch import Tensor

Cache = tuple[Tensor, Tensor]


def attend_with_cache(attention: Any, x: Tensor, cache: Cache | None, position: int) -> tuple[Tensor, Cache]:
    heads, groups = attention.num_heads, attention.num_kv_heads
    head_width = x.shape[-1] // heads
    sizes = [heads * head_width, groups * head_width, groups * head_width]
    q, k, v = (part.unflatten(-1, (-1, head_width)).transpose(1, 2) for part in attention.qkv(x).split(sizes, dim=-1))
    if cache is not None:
        k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
    new = (k, v)
    k, v = (part.repeat_interleave(heads // groups, dim=1) for part in new)
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_width)
    place = position + torch.arange(x.shape[1])[:, None]
    scores = scores.masked_fill(torch.arange(k.shape[2]) > place, -math.inf)
    return attention.output((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)), new
