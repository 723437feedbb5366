"""A tiny GPT with switches: without any it is right; each variant sets one or more."""

import functools
import math
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.learn.exercises.block.twin import turned

F = nn.functional
ACTIVE = {"gelu": F.gelu, "tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu, "none": lambda x: x}
NAMES = {
    "token_embedding": "wte", "position_embedding": "wpe", "norm": "ln_f", "head": "lm_head", "blocks": "h",
}  # fmt: skip


class Block(nn.Module):
    def __init__(self, width: int, heads: int, switches: dict[str, Any]) -> None:
        super().__init__()
        if width % heads and switches["refuses"] == "ValueError":
            raise ValueError("the heads must divide the width")
        self.heads, self.switches, hidden = heads, switches, switches["wider"] * width
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=switches["eps"]) for _ in range(2))
        self.attention: Any = nn.Module()
        self.feed_forward: Any = nn.Module()
        self.attention.qkv, self.attention.output = (
            nn.Linear(width, size, bias=switches["bias"]) for size in (3 * width, width)
        )
        self.feed_forward.up = nn.Linear(width, hidden, bias=switches["bias"])
        self.feed_forward.down = nn.Linear(hidden, width, bias=switches["bias"])
        if switches["start"] == "zero branches":
            nn.init.zeros_(self.attention.output.weight)
            nn.init.zeros_(self.feed_forward.down.weight)

    def attend(self, x: Tensor) -> Tensor:
        heads = 1 if self.switches["heads"] == "one" else self.heads
        q, k, v = (p.unflatten(-1, (heads, -1)).transpose(1, 2) for p in self.attention.qkv(x).chunk(3, -1))
        if self.switches["heads"] == "turned" and q.shape[-1] % 2 == 0:
            q, k = (turned(part) for part in (q, k))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        place = torch.arange(x.shape[1])
        ahead = {"right": 0, "one ahead": 1, "none": 10**6, "not itself": -1}.get(self.switches["mask"], 0)
        may = (place[None, :] <= place[:, None] + ahead) | (place[None, :] == 0)
        if self.switches["mask"] == "last 64":
            may = may & (place[None, :] > place[:, None] - 64)
        mixed = scores.masked_fill(~may, torch.finfo(scores.dtype).min).softmax(-1) @ v
        return self.attention.output(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        active = ACTIVE[self.switches["active"]]
        think = lambda y: self.feed_forward.down(active(self.feed_forward.up(y)))  # noqa: E731
        form = self.switches["block"]
        if form == "post":
            x = self.norm1(x + self.attend(x))
            return self.norm2(x + think(x))
        if form == "no residual":
            return think(self.norm2(self.attend(self.norm1(x))))
        if form == "parallel":
            return x + self.attend(self.norm1(x)) + think(self.norm2(x))
        if form == "feed-forward first":
            x = x + think(self.norm2(x))
            return x + self.attend(self.norm1(x))
        x = x + self.attend(self.norm1(x))
        x = x + think(self.norm2(x))
        return F.dropout(x, 0.1, training=form == "dropout" or self.training) if "dropout" in form else x


DEFAULTS: dict[str, Any] = {
    "refuses": "ValueError", "wider": 4, "eps": 1e-5, "bias": False, "start": "small", "heads": "asked",
    "mask": "right",
    "active": "gelu", "block": "pre", "stack": "all", "tied": False, "names": "ours", "position": "added",
    "token": "plain", "last": "norm", "gives": "logits", "long": "ValueError", "layers": 0, "decoder": "absent",
}  # fmt: skip


class TinyGPT(nn.Module):
    def __init__(
        self, vocab_size: int, width: int, num_heads: int, num_layers: int, context: int, *, switches: dict[str, Any]
    ) -> None:
        super().__init__()
        self.switches, self.context = switches, context
        called = NAMES if switches["names"] == "theirs" else {name: name for name in NAMES}
        self.called = called
        blocks: Any = [Block(width, num_heads, switches) for _ in range(num_layers + switches["layers"])]
        if switches["stack"] == "one object":
            blocks = [blocks[0]] * num_layers
        setattr(self, called["token_embedding"], nn.Embedding(vocab_size, width))
        setattr(self, called["position_embedding"], nn.Embedding(context, width))
        setattr(self, called["blocks"], blocks if switches["stack"] == "plain list" else nn.ModuleList(blocks))
        setattr(self, called["norm"], nn.LayerNorm(width, eps=switches["eps"]))
        setattr(self, called["head"], nn.Linear(width, vocab_size, bias=switches["bias"]))
        token, head = self.part("token_embedding"), self.part("head")
        if switches["start"] in ("small", "zero branches"):
            for module in (token, self.part("position_embedding"), head):
                nn.init.normal_(module.weight, std=0.02)
        elif switches["start"] == "large head":
            nn.init.normal_(head.weight)
        elif switches["start"] == "zero head":
            nn.init.zeros_(head.weight)
        if switches["tied"]:
            head.weight = token.weight

    def part(self, name: str) -> Any:
        return getattr(self, self.called[name])

    def forward(self, tokens: Tensor) -> Tensor:
        length, how = tokens.shape[1], self.switches["position"]
        if length > self.context - (self.switches["long"] == "one too few"):
            if self.switches["long"] in ("ValueError", "one too few"):
                raise ValueError(f"{length} tokens")
            if self.switches["long"] == "cut":
                tokens = tokens[:, -self.context :]
                length = self.context
        x = self.part("token_embedding")(tokens)
        if self.switches["token"] == "times root":
            x = x * math.sqrt(x.shape[-1])
        place = torch.arange(length)
        if self.switches["long"] == "round":
            place = place % self.context
        place = {"reversed": length - 1 - place, "first": place * 0, "one on": (place + 1) % self.context}.get(
            how, place
        )
        rows = self.part("position_embedding")(tokens % self.context if how == "by token" else place)
        if how == "by text":
            rows = self.part("position_embedding")(torch.arange(len(tokens)) % self.context)[:, None]
        if how not in ("none", "after", "multiplied"):
            x = x + rows
        x = x * rows if how == "multiplied" else x
        x = self.part("norm")(x) if self.switches["last"] == "first" else x
        blocks = list(self.part("blocks"))
        stack = self.switches["stack"]
        blocks = {"backwards": blocks[::-1], "first only": blocks[:1], "not the last": blocks[:-1]}.get(stack, blocks)
        blocks = [blocks[0]] * len(blocks) if stack == "first again" else blocks
        if stack == "side by side":
            x = x + sum(block(x) - x for block in blocks)
        else:
            for block in blocks:
                x = block(x)
                x = self.part("norm")(x) if self.switches["last"] == "after each" else x
        x = x + rows if how == "after" else x
        x = self.part("norm")(x) if self.switches["last"] == "norm" else x
        x = x[:, -1:] if self.switches["gives"] == "last" else x
        logits = self.part("head")(x)
        gives = self.switches["gives"]
        if gives == "shares":
            return logits.softmax(-1)
        if gives == "log shares":
            return logits.log_softmax(-1)
        return logits.transpose(1, 2) if gives == "B×V×T" else logits


class Decoder(nn.Module):
    def __init__(self, num_layers: int, hidden_size: int, num_heads: int = 8, *, switches: dict[str, Any]) -> None:
        super().__init__()
        self.form = form = switches["decoder"]
        changed: dict[str, dict[str, Any]] = {
            "leaks": {"mask": "none"}, "no residual": {"block": "no residual"}, "post": {"block": "post"},
            "parallel": {"block": "parallel"}, "turned": {"block": "feed-forward first"}, "one head": {"heads": "one"},
            "any heads": {"refuses": "no"}, "narrow": {"wider": 2}, "zero": {"start": "zero branches"},
            "biases": {"bias": True}, "relu": {"active": "relu"},
        }  # fmt: skip
        num_heads = 4 if form == "four heads" else num_heads
        if form == "any heads" and hidden_size % num_heads:
            num_heads = 1
        blocks: Any = [Block(hidden_size, num_heads, switches | changed.get(form, {})) for _ in range(num_layers)]
        blocks = [blocks[0]] * num_layers if form == "one object" else blocks
        self.called = "layers" if form == "layers" else "blocks"
        setattr(self, self.called, blocks if form == "plain list" else nn.ModuleList(blocks))
        self.norm = nn.LayerNorm(hidden_size) if form in ("with norm", "norm first", "after each") else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        blocks = list(getattr(self, self.called))
        blocks = {"backwards": blocks[::-1], "not the last": blocks[:-1], "first again": blocks[:1] * len(blocks)}.get(
            self.form, blocks
        )
        x = self.norm(x) if self.form == "norm first" else x
        for block in blocks:
            x = block(x.detach() if self.form == "detached" else x)
            x = x / math.sqrt(2) if self.form == "halved" else x
            x = self.norm(x) if self.form == "after each" else x
        if self.form == "rms":
            return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return self.norm(x[:, -1] if self.form == "last" else x) if self.form not in ("norm first", "after each") else x


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    every = DEFAULTS | switches
    names: dict[str, object] = {"TinyGPT": functools.partial(TinyGPT, switches=every)}
    if every["decoder"] != "absent":
        names["TransformerDecoder"] = functools.partial(Decoder, switches=every)
    if every["names"] == "theirs":
        names["mapping"] = lambda: dict(NAMES)
    return names
