"""The key/value cache with switches: without any it is right; each variant sets one or more."""

import functools
import math
from typing import Any

import torch
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """The layers alone. layout: "one" layer for q, k, v, or "separate" ones."""

    def __init__(self, width: int, num_heads: int, num_kv_heads: int | None = None, *, layout: str = "one") -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.layout = num_heads, num_kv_heads or num_heads, layout
        head = width // num_heads
        self.sizes = [num_heads * head, self.num_kv_heads * head, self.num_kv_heads * head]
        if layout == "separate":
            self.to_q, self.to_k, self.to_v = (nn.Linear(width, size, bias=False) for size in self.sizes)
            self.to_out = nn.Linear(width, width, bias=False)
        else:
            self.qkv = nn.Linear(width, sum(self.sizes), bias=False)
            self.output = nn.Linear(width, width, bias=False)

    def project(self, x: Tensor) -> list[Tensor]:
        if self.layout == "separate":
            return [self.to_q(x), self.to_k(x), self.to_v(x)]
        return list(self.qkv(x).split(self.sizes, dim=-1))

    def merge(self, x: Tensor) -> Tensor:
        merged: Tensor = self.to_out(x) if self.layout == "separate" else self.output(x)
        return merged


class Kept:
    """A cache that is an object."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v


def _opened(cache: Any, form: str, position: int) -> tuple[Tensor, Tensor] | None:
    if cache is None:
        return None
    if form == "dict":
        return cache["k"], cache["v"]
    if form == "object":
        return cache.k, cache.v
    if form == "stacked":
        return cache[0], cache[1]
    if form in ("buffer", "short buffer"):
        return cache[0][:, :, :position], cache[1][:, :, :position]
    if form == "tokens":
        return torch.stack([k for k, _ in cache], 2), torch.stack([v for _, v in cache], 2)
    if form == "appended":
        return torch.cat([k for k, _ in cache], 2), torch.cat([v for _, v in cache], 2)
    return cache[0], cache[1]


def _closed(k: Tensor, v: Tensor, cache: Any, form: str, new: tuple[Tensor, Tensor], position: int) -> Any:
    if form == "dict":
        return {"v": v, "k": k}
    if form == "object":
        return Kept(k, v)
    if form == "stacked":
        return torch.stack([k, v])
    if form == "tokens":
        return [(k[:, :, i], v[:, :, i]) for i in range(k.shape[2])]
    if form == "appended":
        cache = [] if cache is None else cache
        cache.append(new)
        return cache
    if form in ("buffer", "short buffer"):
        size = (*k.shape[:2], 64, k.shape[-1])
        cache = (torch.zeros(size, dtype=k.dtype), torch.zeros(size, dtype=k.dtype)) if cache is None else cache
        if form == "buffer" and k.shape[2] > cache[0].shape[2]:
            # Twice as long, with what is there at its front.
            cache = tuple(torch.cat([kept, kept.new_zeros(*k.shape[:2], k.shape[2], k.shape[-1])], 2) for kept in cache)
        for buffer, part in zip(cache, new, strict=True):
            buffer[:, :, position : position + part.shape[2]] = part
        return cache
    return (k, v)


def _joined(old: tuple[Tensor, Tensor] | None, k: Tensor, v: Tensor, how: str) -> tuple[Tensor, Tensor]:
    if old is None:
        return (torch.cat([k, k], 2), torch.cat([v, v], 2)) if how == "doubled" else (k, v)
    if how == "ignored":
        return k, v
    if how == "old only":
        return old
    if how == "in front":
        return torch.cat([k, old[0]], 2), torch.cat([v, old[1]], 2)
    if how == "keys for values":
        return torch.cat([old[0], k], 2), torch.cat([old[0], v], 2)
    if how == "values for keys":
        return torch.cat([old[1], k], 2), torch.cat([old[1], v], 2)
    if how == "first text":
        old = (old[0][:1].expand_as(old[0]), old[1][:1].expand_as(old[1]))
    if how == "added":
        # Sums where it should join.
        size = old[0].shape[2]
        more = k.shape[2] - size
        if more >= 0:
            return k + nn.functional.pad(old[0], (0, 0, 0, more)), v + nn.functional.pad(old[1], (0, 0, 0, more))
        return nn.functional.pad(k, (0, 0, 0, -more)) + old[0], nn.functional.pad(v, (0, 0, 0, -more)) + old[1]
    return torch.cat([old[0], k], 2), torch.cat([old[1], v], 2)


def _may(queries: int, keys: int, position: int, how: str, first: bool) -> Tensor:
    """T×S, True = may attend."""
    place, key = torch.arange(queries)[:, None] + keys - queries, torch.arange(keys)[None, :]
    everything = torch.ones(queries, keys, dtype=torch.bool)
    if how == "none" or (how == "first chunk only" and not first) or (how == "not for one" and queries == 1):
        return everything
    if how == "top left":
        return key <= torch.arange(queries)[:, None]
    if how == "past only":
        return (key < place) | (key == 0)
    if how == "one ahead":
        return key <= place + 1
    if how == "position":
        return (key <= position).expand(queries, keys)
    if how == "itself":
        return (key == place) | (key < keys - queries)
    if how == "by position":
        return key <= position + torch.arange(queries)[:, None]
    if how == "window":
        return (key <= place) & (key > place - 8)
    return key <= place


def turned(x: Tensor, position: int) -> Tensor:
    """Rotary positions, first half with second."""
    pairs, place = x.shape[-1] // 2, position + torch.arange(x.shape[-2], dtype=x.dtype)
    angles = place[:, None] * 10000.0 ** (-torch.arange(pairs, dtype=x.dtype) / pairs)
    one, two = x.chunk(2, -1)
    return torch.cat([one * angles.cos() - two * angles.sin(), two * angles.cos() + one * angles.sin()], -1)


def attend_with_cache(
    attention: Any,
    x: Tensor,
    cache: Any,
    position: int,
    *,
    form: str = "pair",
    join: str = "after",
    store: str = "all",
    mask: str = "right",
    fill: float = -math.inf,
    spread: str = "interleave",
    early: bool = False,
    scale: str = "root",
    merge: str = "output",
    turned_back: bool = True,
    gives: str = "output, cache",
    kept: str = "returned",
    dtype: str = "kept",
    in_place: bool = False,
    loop: bool = False,
    layout: str = "one",
) -> Any:
    heads, groups = attention.num_heads, attention.num_kv_heads
    width = x.shape[-1] // heads
    if loop and x.shape[1] > 1:
        outputs = []
        for i in range(x.shape[1]):
            one, cache = attend_with_cache(attention, x[:, i : i + 1], cache, position + i, form=form)
            outputs.append(one)
        return torch.cat(outputs, 1), cache
    if kept == "on the module":
        cache = getattr(attention, "kept", None)
    if kept == "on the module, first":
        cache = getattr(attention, "kept", None) if cache is not None else None
    if in_place:
        x.mul_(1.5)
    split = attention.project(x) if hasattr(attention, "project") else list(attention.qkv(x).chunk(3, -1))
    q, k, v = (part.unflatten(-1, (-1, width)).transpose(1, 2) for part in split)
    if merge == "turned" and width % 2 == 0:
        q, k, merge = turned(q, position), turned(k, position), "output"
    if early:
        k, v = (part.repeat_interleave(heads // groups, dim=1) for part in (k, v))
    if scale == "in the cache":
        k = k / math.sqrt(width)
    new = (k, v)
    old = _opened(cache, form, position)
    k, v = _joined(old, k, v, join)
    stored = {"all": (k, v), "chunk": new, "last": (k[:, :, -1:], v[:, :, -1:])}.get(store, (k, v))
    if store == "first" and old is not None:
        stored = old
    if store == "eight":
        stored = (k[:, :, -8:], v[:, :, -8:])
    if store == "last 64":
        stored = (k[:, :, -64:], v[:, :, -64:])
    if dtype == "float32":
        stored = (stored[0].float().to(k.dtype), stored[1].float().to(k.dtype))
    elif dtype == "bfloat16":
        stored = (stored[0].bfloat16().to(k.dtype), stored[1].bfloat16().to(k.dtype))
    made = _closed(*stored, cache, form, new, position)
    if kept != "returned":
        attention.kept = made
    if not early:
        ratio = heads // groups
        k, v = (
            part.repeat_interleave(ratio, dim=1) if spread == "interleave" else part.repeat(1, ratio, 1, 1)
            for part in (k, v)
        )
    by = {"root": math.sqrt(width), "none": 1.0, "model": math.sqrt(x.shape[-1]), "in the cache": math.sqrt(width)}
    scores = torch.einsum("bhtk,bhsk->bhts", q, k) / by[scale]
    may = _may(x.shape[1], k.shape[2], position, mask, cache is None)
    if mask == "after":
        shares = scores.softmax(-1) * _may(x.shape[1], k.shape[2], position, "right", False)
    else:
        shares = scores.masked_fill(~may, fill).softmax(-1 if mask != "queries" else -2)
    mixed = shares @ v
    mixed = mixed.transpose(1, 2).flatten(2) if turned_back else mixed.reshape(x.shape)
    output = mixed
    if merge in ("output", "turned"):
        output = attention.merge(mixed) if hasattr(attention, "merge") else attention.output(mixed)
    if gives == "last":
        output = output[:, -1:]
    if gives == "output":
        return output
    return (made, output) if gives == "cache, output" else (output, made)


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    names: dict[str, object] = {
        "MultiHeadAttention": functools.partial(MultiHeadAttention, layout=str(switches.get("layout", "one"))),
        "attend_with_cache": functools.partial(attend_with_cache, **switches),  # type: ignore[arg-type]
    }
    if switches.get("layout") == "separate":
        names["mapping"] = lambda: {"qkv": ["to_q", "to_k", "to_v"], "output": "to_out"}
    return names
