"""MultiHeadAttention with switches: without any it is right; each variant sets one or more."""

import functools
import math

import torch
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    def __init__(
        self,
        width: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        *,
        layout: str = "one",
        order: str = "qkv",
        cut: str = "heads",
        join: str = "swapped",
        scale: str = "root",
        product: str = "transpose",
        axis: int = -1,
        shift: bool = True,
        mask_as: str = "four",
        masked: str = "lowest",
        polarity: str = "may",
        causal: bool = False,
        kept: bool = False,
        groups: str = "neighbours",
        sizes: str = "checked",
        bias: bool = False,
        projected: str = "output",
        gives: str = "output",
        dropout: float = 0.0,
        detached: str = "",
        residual: bool = False,
        in_place: bool = False,
        named: bool = True,
        frozen: bool = False,
        dtype: str = "kept",
        window: int = 0,
    ) -> None:
        super().__init__()
        shared = 1 if num_kv_heads is None and groups == "one" else num_kv_heads
        shared = num_heads if shared is None or groups == "ignored" else shared
        if sizes == "asserted":
            assert width % num_heads == 0 and num_heads % shared == 0
        if width % num_heads and sizes not in ("floored", "unchecked"):
            raise ValueError("heads must divide the width")
        if num_heads % shared and sizes not in ("groups unchecked", "unchecked"):
            raise ValueError("groups must divide the heads")
        self.heads, self.shared, self.head = num_heads, shared, width // num_heads
        if named:
            self.num_heads, self.num_kv_heads = num_heads, shared
        self.order, self.cut, self.join, self.scale, self.product, self.axis = order, cut, join, scale, product, axis
        self.shift, self.mask_as, self.masked, self.polarity, self.causal = shift, mask_as, masked, polarity, causal
        self.layout, self.groups, self.projected, self.gives, self.dropout = layout, groups, projected, gives, dropout
        self.detached, self.residual, self.in_place, self.kept, self.dtype = detached, residual, in_place, kept, dtype
        self.last: Tensor | None = None
        self.window = window
        rows, inner = self.head * shared, self.head * num_heads
        if layout == "split":
            self.to_q = nn.Linear(width, inner, bias=False)
            self.to_k, self.to_v = nn.Linear(width, rows, bias=False), nn.Linear(width, rows, bias=False)
        elif layout == "query, key_value":
            self.query, self.key_value = nn.Linear(width, inner, bias=False), nn.Linear(width, 2 * rows, bias=False)
        elif layout == "turned":
            self.w_in = nn.Parameter(torch.randn(width, inner + 2 * rows) / math.sqrt(width))
        elif layout == "a list":
            self.many = [nn.Linear(width, self.head, bias=False) for _ in range(num_heads + 2 * shared)]
        else:
            self.qkv = nn.Linear(width, inner + 2 * rows, bias=bias)
        if projected != "none":
            self.output = nn.Linear(inner, width, bias=bias)
            self.output.requires_grad_(not frozen)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v, each B×T×(heads · K)."""
        inner, rows = self.heads * self.head, self.shared * self.head
        if self.layout == "split":
            together = torch.cat([self.to_q(x), self.to_k(x), self.to_v(x)], -1)
        elif self.layout == "query, key_value":
            together = torch.cat([self.query(x), self.key_value(x)], -1)
        elif self.layout == "turned":
            together = x @ self.w_in
        elif self.layout == "a list":
            together = torch.cat([one(x) for one in self.many], -1)
        else:
            together = self.qkv(x)
        if self.order == "triples":
            # Head after head, q, k, v of each: as NeoX keeps them.
            q, k, v = together.unflatten(-1, (self.heads, 3, self.head)).unbind(-2)
            return q.flatten(-2), k.flatten(-2), v.flatten(-2)
        named = dict(
            zip(self.order, together.split([inner if p == "q" else rows for p in self.order], -1), strict=True)
        )
        return named["q"], named["k"], named["v"]

    def by_heads(self, part: Tensor) -> Tensor:
        """B×heads×T×K."""
        batch, time, _ = part.shape
        if self.cut == "view":
            return part.reshape(batch, -1, time, self.head)
        if self.cut == "width first":
            return part.reshape(batch, time, self.head, -1).permute(0, 3, 1, 2)
        return part.reshape(batch, time, -1, self.head).transpose(1, 2)

    def shown(self, mask: Tensor | None, batch: int) -> Tensor | None:
        """The mask as it lines up with the scores."""
        if self.kept:
            mask = self.last if mask is None else mask
            self.last = mask
        if mask is None or self.mask_as == "ignored":
            return None
        if self.mask_as == "first head" and mask.dim() == 4:
            mask = mask[:, :1]
        if self.mask_as == "first text" and mask.dim() > 2:
            mask = mask[:1]
        if self.mask_as == "turned":
            mask = mask.transpose(-2, -1)
        if self.mask_as == "expanded":
            mask = mask[None] if mask.dim() == 2 else mask
            mask = mask[:, None] if mask.dim() == 3 else mask
            return mask.expand(batch, self.heads, -1, -1)
        if self.mask_as == "text for head" and mask.dim() == 3:
            return mask[None]
        return mask[:, None] if mask.dim() == 3 and self.mask_as != "as it comes" else mask

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        """B×H×T×S, divided."""
        divisor = {"root": math.sqrt(self.head), "none": 1.0, "width": float(self.head), "heads": math.sqrt(self.heads)}
        divisor |= {"root of D": math.sqrt(self.head * self.heads), "both": 1.0}
        if self.scale == "both":
            q, k = q * self.head**-0.25, k * self.head**-0.25
        if self.product == "einsum":
            return torch.einsum("bhtk,bhsk->bhts", q, k) / divisor[self.scale]
        return q @ k.transpose(-2, -1) / divisor[self.scale]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> object:
        came, batch = x, x.shape[0]
        if self.in_place:
            x.mul_(2.0)
            x = x / 2
        q, k, v = map(self.by_heads, self.parts(x))
        k = k.detach() if self.detached == "k" else k
        v = k if self.detached == "v for k" else v
        times = self.heads // self.shared
        if self.groups == "in turn":
            k, v = k.repeat(1, times, 1, 1), v.repeat(1, times, 1, 1)
        elif self.groups == "first":
            k, v = k[:, :1], v[:, :1]
        elif self.groups == "five":
            k, v = (t[:, :, None].expand(-1, -1, times, -1, -1).flatten(1, 2) for t in (k, v))
        elif self.groups == "values in turn":
            k, v = k.repeat_interleave(times, 1), v.repeat(1, times, 1, 1)
        elif times > 1:
            k, v = k.repeat_interleave(times, 1), v.repeat_interleave(times, 1)
        scores = self.scores(q, k)
        may = self.shown(mask, batch)
        if self.causal:
            lower = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
            may = lower if may is None else may & lower
        if may is not None:
            may = ~may if self.polarity == "hides" else may
            low = {"infinite": -math.inf, "big": -1e9, "zero": 0.0, "ten": -10.0, "tiny": 1e-9}
            low["ten thousand"] = -1e4
            if self.masked == "added":
                scores = scores + torch.zeros(may.shape, dtype=scores.dtype).masked_fill(~may, -1e9)
            elif self.masked == "less a hundred":
                scores = scores - 100.0 * (~may).to(scores.dtype)
            elif self.masked == "added as numbers":
                scores = scores + may.to(scores.dtype)
            elif self.masked != "after":
                scores = scores.masked_fill(~may, low.get(self.masked, torch.finfo(scores.dtype).min))
        if self.window:
            scores = scores.masked_fill(torch.arange(x.shape[1]) < x.shape[1] - self.window, -1e30)
        if self.shift:
            scores = scores - scores.amax(self.axis, keepdim=True)
        weights = scores.exp() / scores.exp().sum(self.axis, keepdim=True)
        if may is not None and self.masked == "after":
            weights = weights * may
        if self.dropout:
            weights = nn.functional.dropout(weights, self.dropout)
        heads = weights @ v
        if self.join == "as it lies":
            joined = heads.reshape(batch, x.shape[1], -1)
        elif self.join == "width first":
            joined = heads.permute(0, 2, 3, 1).flatten(2)
        elif self.join == "averaged":
            joined = heads.mean(1).repeat(1, 1, self.heads)
        else:
            joined = heads.transpose(1, 2).flatten(2)
        given = self.output(joined) if self.projected == "output" else joined
        given = given + came if self.residual else given
        given = given.detach() if self.detached == "all" else given
        given = given.float() if self.dtype == "float32" else given
        return (given, weights) if self.gives == "output, weights" else given


LAYOUTS: dict[str, dict[str, object]] = {
    "split": {"qkv": ["to_q", "to_k", "to_v"]},
    "query, key_value": {"qkv.weight": ["query.weight", "key_value.weight"]},
    "turned": {"qkv.weight": "w_in.T"},
}


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    names: dict[str, object] = {"MultiHeadAttention": functools.partial(MultiHeadAttention, **switches)}  # type: ignore[arg-type]
    table = LAYOUTS.get(str(switches.get("layout", "one")))
    return names | ({"mapping": lambda: table} if table else {})
