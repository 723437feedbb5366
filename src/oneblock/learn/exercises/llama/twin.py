"""The four swaps with switches: without any they are right; each variant sets some."""

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def angles_of(x: Tensor, positions: Tensor, base: float, exponent: str, places: str, batch: str) -> Tensor:
    """…×T×K/2, with axes so that they line up with x."""
    width = x.shape[-1]
    i = torch.arange(width // 2, dtype=x.dtype)
    power = {"2i/K": 2 * i / width, "i/K": i / width, "4i/K": 4 * i / width, "from one": 2 * (i + 1) / width}
    power |= {"reversed": 2 * i.flip(0) / width, "none": 0 * i}
    if exponent == "exp":
        frequencies = torch.exp(-math.log(base) * power["2i/K"])
    else:
        frequencies = base ** -power[exponent]
    p = positions.to(x.dtype)
    if places in ("table of 64", "grown table"):
        # What lies beyond its end raises.
        p = torch.arange(64 if places == "table of 64" else int(positions.max()) + 1, dtype=x.dtype)[positions]
    p = {
        "counted": torch.arange(p.shape[-1], dtype=x.dtype).expand_as(p),
        "plus one": p + 1,
        "at most 2048": p.clamp_max(2048),
        "modulo 1024": p % 1024,
        "half precision": p.bfloat16().to(x.dtype),
    }.get(places, p)
    if places == "heads" and x.dim() == 4:
        return torch.arange(x.shape[1], dtype=x.dtype)[:, None, None] * frequencies
    if p.dim() == 2 and batch == "first row":
        p = p[0]
    if p.dim() == 2 and batch == "raw":
        return p[..., None] * frequencies
    angles = p[..., None] * frequencies
    return angles.reshape(len(angles), *[1] * (x.dim() - 3), *angles.shape[1:]) if angles.dim() == 3 else angles


def rope(
    x: Tensor,
    positions: Tensor,
    base: float,
    style: str,
    *,
    pairs: str = "asked",
    exponent: str = "2i/K",
    places: str = "given",
    batch: str = "rows",
    turn: str = "left",
    laid: str = "back",
    form: str = "plain",
    fixed: bool = False,
    part: bool = False,
    degrees: bool = False,
    table: str = "own",
    x_in_place: bool = False,
) -> Tensor:
    base = 10000.0 if fixed else base
    style = {"asked": style, "half": "half", "interleaved": "interleaved"}.get(pairs) or (
        "interleaved" if style == "half" else "half"
    )
    angles = angles_of(x, positions, base, exponent, places, batch)
    angles = angles * math.pi / 180 if degrees else angles
    if table == "float32":
        angles = angles.float().to(x.dtype)
    cos, sin = angles.cos(), angles.sin()
    if table == "half precision":
        cos, sin = cos.bfloat16().to(x.dtype), sin.bfloat16().to(x.dtype)
    sin = -sin if turn == "right" else sin
    cos, sin = (sin, cos) if turn == "swapped" else (cos, sin)
    one, two = x.chunk(2, -1) if style == "half" else (x[..., 0::2], x[..., 1::2])
    if form == "complex":
        turned = torch.view_as_complex(torch.stack((one, two), -1).contiguous()) * torch.polar(
            torch.ones_like(angles), angles
        )
        a, b = turned.real, turned.imag
    elif form == "doubled" and style == "half":
        a, b = (x * torch.cat((cos, cos), -1) + torch.cat((-two, one), -1) * torch.cat((sin, sin), -1)).chunk(2, -1)
    elif form == "blocks":
        a, b = (x * torch.cat((cos, cos), -1)).chunk(2, -1) if style == "half" else (one * cos, two * cos)
        both = torch.cat((sin, sin), -1)
        rest = torch.stack((-two, one), -1).flatten(-2) if style == "interleaved" else torch.cat((-two, one), -1)
        rest = rest * both
        a = a + (rest[..., 0::2] if style == "interleaved" else rest.chunk(2, -1)[0])
        b = b + (rest[..., 1::2] if style == "interleaved" else rest.chunk(2, -1)[1])
    else:
        a = one * cos - two * sin
        b = {"mirror": two * cos - one * sin}.get(turn, two * cos + one * sin)
    if x_in_place:
        x.mul_(1.0 + 1e-3)
    if part:
        keep = a.shape[-1] // 2
        a, b = torch.cat((a[..., :keep], one[..., keep:]), -1), torch.cat((b[..., :keep], two[..., keep:]), -1)
    if style == "half" or laid == "halves":
        return torch.stack((a, b), -1).flatten(-2) if laid == "woven" else torch.cat((a, b), -1)
    return torch.stack((a, b), -1).flatten(-2)


class SwiGLU(nn.Module):
    def __init__(
        self, width: int, hidden: int, *, gated: str = "gate", act: str = "silu", joined: str = "product",
        bias: bool = False, names: str = "ours", gate_cut: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.called = ("gate", "up", "down") if names == "ours" else ("w1", "w3", "w2")
        for name, sizes in zip(self.called, ((width, hidden), (width, hidden), (hidden, width)), strict=True):
            setattr(self, name, nn.Linear(*sizes, bias=bias))
        self.gated, self.act, self.joined, self.gate_cut = gated, act, joined, gate_cut

    def forward(self, x: Tensor) -> Tensor:
        gate, up, down = (getattr(self, name) for name in self.called)
        g, u = gate(x), up(x)
        g = g.detach() if self.gate_cut else g
        g, u = (u, g) if self.gated == "up" else (g, u)
        acts = {"silu": F.silu(g), "sigmoid": g.sigmoid(), "gelu": F.gelu(g), "relu": g.relu(), "none": g}
        acts |= {"by hand": g * g.sigmoid(), "quick": g * (1.702 * g).sigmoid(), "tanh": g.tanh()}
        acts |= {"softmax": g.softmax(-1)}
        h = acts[self.act]
        joined = {"product": h * u, "sum": h + u, "gate only": h, "up only": F.silu(u), "after": F.silu(g * u)}
        joined |= {"both": h * F.silu(u), "with x": h * u + u}
        return down(joined[self.joined])


def slopes_of(heads: int, kind: str) -> Tensor:
    power = 2 ** int(math.log2(heads))

    def plain(n: int) -> list[float]:
        return [2 ** (-8 * (head + 1) / n) for head in range(n)]

    first, rest = plain(power), plain(2 * power)[0::2][: heads - power]
    found = {
        "paper": first + rest,
        "plain": plain(heads),
        "next power": plain(power if power == heads else 2 * power)[:heads],
        "even": first + plain(2 * power)[1::2][: heads - power],
        "in a row": first + plain(2 * power)[: heads - power],
        "front": rest + first,
        "sorted": sorted(first + rest, reverse=True),
        "from one": [2 ** (-8 * head / heads) for head in range(heads)],
        "halves": [2.0 ** -(head + 1) for head in range(heads)],
        "linear": [1 / (head + 1) for head in range(heads)],
        "one": [1.0] * heads,
        "reversed": (first + rest)[::-1],
    }
    return torch.tensor(found[kind], dtype=torch.float64)


def alibi(
    num_heads: int,
    num_queries: int,
    num_keys: int,
    *,
    slopes: str = "paper",
    sign: int = -1,
    align: str = "right",
    distance: str = "plain",
    future: str = "distance",
    bias_shape: str = "H×T×S",
    bias_dtype: str = "float32",
) -> Tensor:
    more = num_keys - num_queries
    ahead = {"right": more, "left": 0, "absolute": abs(more), "reversed": -more}[align]
    apart = torch.arange(num_queries)[:, None] + ahead - torch.arange(num_keys)[None, :]
    d = {"plain": apart.abs(), "square": apart**2, "root": apart.abs() ** 0.5, "clipped": apart.abs().clamp_max(3),
         "log": torch.log1p(apart.abs()), "keys": -torch.arange(num_keys)[None, :].expand_as(apart),
         "signed": apart, "queries": torch.arange(num_queries)[:, None].expand_as(apart)}[distance]  # fmt: skip
    d = d.double()
    bias = sign * slopes_of(num_heads, slopes)[:, None, None] * d
    if future == "hidden":
        bias = bias.masked_fill(apart < 0, -math.inf)
    elif future == "zero":
        bias = bias.masked_fill(apart < 0, 0.0)
    bias = {"H×T×S": bias, "H×S×T": bias.transpose(-2, -1), "1×H×T×S": bias[None], "T×S×H": bias.permute(1, 2, 0)}[
        bias_shape
    ]
    return {"float32": bias.float(), "float64": bias, "whole": bias.round().long()}[bias_dtype]


class MultiHeadAttention(nn.Module):
    def __init__(
        self, width: int, num_heads: int, num_kv_heads: int | None = None, *, reads: str = "blocks", order: str = "qkv",
        checked: bool = True, scale: str = "head", told: str = "both", shared: str = "asked", masks: str = "used",
        repeat: str = "repeat", turned: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        groups = num_heads if num_kv_heads is None or shared == "never" else num_kv_heads
        if checked and (width % num_heads or num_heads % groups):
            raise ValueError("sizes do not divide")
        self.heads, self.groups, self.head = num_heads, groups, width // num_heads
        if told == "both":
            self.num_heads, self.num_kv_heads = num_heads, groups
        elif told == "heads for groups":
            self.num_heads, self.num_kv_heads = num_heads, num_heads
        self.qkv = nn.Linear(width, (num_heads + 2 * groups) * self.head, bias=False)
        self.output = nn.Linear(num_heads * self.head, width, bias=False)
        self.reads, self.order, self.scale, self.masks, self.repeat = reads, order, scale, masks, repeat
        # Rotary positions need an even width.
        self.turned = turned and self.head % 2 == 0

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        counts = {"q": self.heads, "k": self.groups, "v": self.groups}
        heads = self.qkv(x).unflatten(-1, (-1, self.head)).transpose(1, 2)
        if self.order == "by group":
            each = heads.unflatten(1, (self.groups, -1))
            q, k, v = each[:, :, :-2].flatten(1, 2), each[:, :, -2], each[:, :, -1]
        else:
            parts = dict(zip(self.order, heads.split([counts[part] for part in self.order], 1), strict=True))
            q, k, v = parts["q"], parts["k"], parts["v"]
        if self.turned:
            q, k = (rope(part, torch.arange(x.shape[1]), 10000.0, "half") for part in (q, k))
        times = self.heads // self.groups
        if self.reads == "turns":
            k, v = k.repeat(1, times, 1, 1), v.repeat(1, times, 1, 1)
        elif self.reads == "first":
            k, v = k[:, :1].expand_as(q), v[:, :1].expand_as(q)
        elif self.reads == "mean":
            k, v = k.mean(1, keepdim=True).expand_as(q), v.mean(1, keepdim=True).expand_as(q)
        elif self.reads == "values turn":
            k, v = k.repeat_interleave(times, 1), v.repeat(1, times, 1, 1)
        elif self.repeat == "repeat":
            index = torch.arange(self.heads) // max(1, times)
            k, v = k[:, index.clamp_max(self.groups - 1)], v[:, index.clamp_max(self.groups - 1)]
        else:
            k, v = (part[:, :, None].expand(-1, -1, times, -1, -1).flatten(1, 2) for part in (k, v))
        by = {"head": self.head, "width": x.shape[-1], "group": self.head * times}[self.scale]
        scores = q @ k.transpose(-2, -1) / math.sqrt(by)
        if mask is not None and self.masks != "ignored":
            mask = mask.unsqueeze(1) if mask.dim() == 3 and self.masks != "as it comes" else mask
            mask = mask[:, :1] if mask.dim() == 4 and self.masks == "first head" else mask
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


GATED = ("gated", "act", "joined", "bias", "names", "gate_cut")
BIAS = ("slopes", "sign", "align", "distance", "future", "bias_shape", "bias_dtype")
HEADS = ("reads", "order", "checked", "scale", "told", "shared", "masks", "repeat", "turned")


def make(**switches: Any) -> dict[str, Any]:
    """The names a learner would write."""
    groups: dict[str, dict[str, Any]] = {"gated": {}, "bias": {}, "heads": {}, "rope": {}}
    for name, value in switches.items():
        kind = "gated" if name in GATED else "bias" if name in BIAS else "heads" if name in HEADS else "rope"
        groups[kind][name] = value
    found: dict[str, Any] = {
        "rope": functools.partial(rope, **groups["rope"]),
        "SwiGLU": functools.partial(SwiGLU, **groups["gated"]),
        "alibi": functools.partial(alibi, **groups["bias"]),
        "MultiHeadAttention": functools.partial(MultiHeadAttention, **groups["heads"]),
    }
    if switches.get("names") == "theirs":
        found["mapping"] = lambda: {"gate": "w1", "up": "w3", "down": "w2"}
    return found
