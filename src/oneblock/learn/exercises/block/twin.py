"""The block with switches: without any it is right; each variant sets one or more."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def activated(x: Tensor, name: str) -> Tensor:
    """What stands between `up` and `down`."""
    known: dict[str, Callable[[Tensor], Tensor]] = {
        "exact": nn.functional.gelu,
        "tanh": functools.partial(nn.functional.gelu, approximate="tanh"),
        "erf": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
        "quick": lambda x: x * torch.sigmoid(1.702 * x),
        "relu": torch.relu,
        "silu": nn.functional.silu,
        "none": lambda x: x,
        "tanh alone": torch.tanh,
        "sigmoid": torch.sigmoid,
        "share": lambda x: (1 + torch.erf(x / math.sqrt(2))) / 2,
    }
    return known[name](x)


class FeedForward(nn.Module):
    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        activation: str = "exact",
        ff_bias: bool = False,
        ff_form: str = "linear",
        ff_at: str = "between",
        ff_hidden: str = "given",
        ff_residual: bool = False,
        ff_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = 4 * width if ff_hidden == "four times" else hidden
        self.activation, self.form, self.at = activation, ff_form, ff_at
        self.residual, self.dropout = ff_residual, ff_dropout
        self.up: nn.Module
        self.down: nn.Module
        up, down = nn.Linear(width, hidden, bias=ff_bias), nn.Linear(hidden, width, bias=ff_bias)
        if ff_form == "sequence":
            self.net = nn.Sequential(up, nn.GELU(), down)
        elif ff_form == "convolution":
            self.up, self.down = nn.Conv1d(width, hidden, 1, bias=ff_bias), nn.Conv1d(hidden, width, 1, bias=ff_bias)
        else:
            self.up, self.down = up, down

    def forward(self, x: Tensor) -> Tensor:
        up, down = (self.net[0], self.net[2]) if self.form == "sequence" else (self.up, self.down)
        turned = self.form == "convolution"
        came, x = x, x.transpose(1, 2) if turned else x
        if self.at == "before":
            given = down(up(activated(x, self.activation)))
        elif self.at == "after":
            given = activated(down(up(x)), self.activation)
        elif self.at == "twice":
            given = activated(down(activated(up(x), self.activation)), self.activation)
        else:
            given = down(activated(up(x), self.activation))
        given = given.transpose(1, 2) if turned else given
        given = nn.functional.dropout(given, self.dropout) if self.dropout else given
        return given + came if self.residual else given


def turned(x: Tensor) -> Tensor:
    """Rotary positions, first half with second."""
    pairs = x.shape[-1] // 2
    angles = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * 10000.0 ** (
        -torch.arange(pairs, dtype=x.dtype) / pairs
    )
    one, two = x.chunk(2, -1)
    return torch.cat([one * angles.cos() - two * angles.sin(), two * angles.cos() + one * angles.sin()], -1)


class Attention(nn.Module):
    """Heads under a mask; several ways to leave the right one."""

    def __init__(self, width: int, num_heads: int, see: str, form: str, unchecked: bool) -> None:
        super().__init__()
        if width % num_heads and not unchecked:
            raise ValueError("heads must divide the width")
        self.heads, self.see, self.form, self.table = num_heads, see, form, torch.zeros(0)
        if form == "split":
            self.q, self.k = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
            self.v = nn.Linear(width, width, bias=False)
        else:
            self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def may(self, tokens: int) -> Tensor:
        """Which keys a query may see."""
        if self.see == "first length":
            # Made at the first call and kept.
            self.table = self.table if len(self.table) else torch.ones(tokens, tokens, dtype=torch.bool).tril()
            return self.table
        if self.see == "sixteen":
            return torch.ones(16, 16, dtype=torch.bool).tril()[:tokens, :tokens]
        all_ones, moved = torch.ones(tokens, tokens, dtype=torch.bool), {"one ahead": 1, "window": 0}
        if self.see == "thousand":
            return torch.ones(1024, 1024, dtype=torch.bool).tril()[:tokens, :tokens]
        if self.see == "last 64":
            return all_ones.tril() & all_ones.triu(-63)
        if self.see == "everything":
            return all_ones
        if self.see == "later":
            return all_ones.triu()
        if self.see == "not itself":
            return all_ones.tril(-1) | (torch.arange(tokens) == 0)
        if self.see == "window":
            return all_ones.tril() & all_ones.triu(-2)
        return all_ones.tril(moved.get(self.see, 0))

    def forward(self, x: Tensor) -> Tensor:
        parts = (self.q(x), self.k(x), self.v(x)) if self.form == "split" else self.qkv(x).chunk(3, -1)
        heads = 1 if self.form == "one head" else self.heads
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
        if self.form == "turned" and q.shape[-1] % 2 == 0:
            q, k = (turned(part) for part in (q, k))
        scores = q @ k.transpose(-2, -1)
        scores = scores / math.sqrt(q.shape[-1]) if self.form != "unscaled" else scores
        may = self.may(x.shape[1])
        if self.form == "added":
            scores = scores + torch.zeros(may.shape, dtype=scores.dtype).masked_fill(~may, -math.inf)
        else:
            scores = scores.masked_fill(~may, torch.finfo(scores.dtype).min)
        return self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Norm(nn.Module):
    """LayerNorm, or what people take for it."""

    def __init__(self, width: int, kind: str, eps: float) -> None:
        super().__init__()
        self.kind, self.eps = kind, eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "none":
            return x
        if self.kind == "rms":
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight + self.bias
        axes = (-2, -1) if self.kind == "two" else (1,) if self.kind == "tokens" else (-1,)
        correction = 1 if self.kind == "unbiased" else 0
        mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=correction, keepdim=True)
        scaled = (x - mean) * torch.rsqrt(variance + self.eps)
        return scaled if self.kind == "bare" else scaled * self.weight + self.bias


def normed(width: int, kind: str, eps: float) -> nn.Module:
    """torch's own, with or without gain and bias, or another."""
    if kind in ("layer", "no affine"):
        return nn.LayerNorm(width, eps=eps, elementwise_affine=kind == "layer")
    return Norm(width, kind, eps)


class Block(nn.Module):
    def __init__(
        self,
        width: int,
        num_heads: int,
        hidden: int,
        *,
        place: str = "pre",
        bypass: str = "both",
        order: str = "attention first",
        norms: str = "two",
        norm: str = "layer",
        eps: float = 1e-5,
        see: str = "causal",
        form: str = "one",
        names: str = "ours",
        unchecked: bool = False,
        in_place: bool = False,
        detached: str = "",
        frozen: bool = False,
        inner: str = "given",
        **more: Any,
    ) -> None:
        super().__init__()
        self.place, self.bypass, self.order, self.norms, self.names = place, bypass, order, norms, names
        self.in_place, self.detached = in_place, detached
        first, second = normed(width, norm, eps), normed(width, norm, eps)
        second = first if norms == "shared" else second
        attention = Attention(width, num_heads, see, form, unchecked)
        feed_forward = FeedForward(width, 4 * width if inner == "four times" else hidden, **more)
        if frozen:
            first.requires_grad_(False)
        if names == "GPT-2":
            self.ln_1, self.attn, self.ln_2, self.mlp = first, attention, second, feed_forward
        else:
            self.norm1, self.attention, self.feed_forward = first, attention, feed_forward
            if norms != "one":
                self.norm2 = second

    def forward(self, x: Tensor) -> Tensor:
        if self.names == "GPT-2":
            steps = [(self.ln_1, self.attn), (self.ln_2, self.mlp)]
        else:
            one, two = self.norm1, getattr(self, "norm2", self.norm1)
            one, two = {"first twice": (one, one), "second twice": (two, two), "swapped": (two, one)}.get(
                self.norms, (one, two)
            )
            steps = [(one, self.attention), (two, self.feed_forward)]
        steps = steps[::-1] if self.order == "feed-forward first" else steps
        if self.in_place:
            x += steps[0][1](steps[0][0](x))
            return x + steps[1][1](steps[1][0](x))
        if self.place == "parallel":
            return x + sum(step(norm(x)) for norm, step in steps)
        came = x
        for at, (norm, step) in enumerate(steps):
            kept = x.detach() if self.detached == "bypass" else x
            if self.place == "post":
                x = norm(x + step(x))
                continue
            read = (
                x
                if self.place == "after step" or (self.place, at) in {("first only", 1), ("second only", 0)}
                else norm(x)
            )
            given = norm(step(read)) if self.place == "after step" else step(read)
            given = given.detach() if self.detached == f"step {at}" else given
            if self.bypass == "normed":
                x = read + given
            elif self.bypass == "from the start" and at == 1:
                x = came + given
            elif self.bypass == "halved":
                x = (kept + given) / math.sqrt(2)
            elif self.bypass == "doubled" and at == 1:
                x = kept + given + came
            elif self.bypass in ("both", "from the start", "doubled") or self.bypass == f"step {at} only":
                x = kept + given
            else:
                x = given
        return steps[0][0](x) if self.place == "final norm too" else x


GPT2 = {"norm1": "ln_1", "attention": "attn", "norm2": "ln_2", "feed_forward": "mlp"}
SEQUENCE = {
    "up": "net.0",
    "down": "net.2",
    "feed_forward.up": "feed_forward.net.0",
    "feed_forward.down": "feed_forward.net.2",
}


def _convolved(name: str) -> Any:
    """Our matrix with one more axis, of size 1."""
    return lambda matrix: {name: matrix[..., None]}


def make(**switches: Any) -> dict[str, object]:
    """The names a learner would write."""
    inner = {name: value for name, value in switches.items() if name.startswith(("ff_", "activation"))}
    names: dict[str, object] = {
        "FeedForward": functools.partial(FeedForward, **inner),
        "Block": functools.partial(Block, **switches),
    }
    if switches.get("names") == "GPT-2":
        names["mapping"] = lambda: GPT2
    elif switches.get("form") == "split":
        names["mapping"] = lambda: {"attention.qkv": ["attention.q", "attention.k", "attention.v"]}
    elif switches.get("ff_form") == "sequence":
        names["mapping"] = lambda: SEQUENCE
    elif switches.get("ff_form") == "convolution":
        ours = ("up.weight", "down.weight", "feed_forward.up.weight", "feed_forward.down.weight")
        names["mapping"] = lambda: {name: _convolved(name) for name in ours}
    return names
