"""A diffusion transformer's parts with switches: without any they are right; each variant sets some."""

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def patchify(
    images: Tensor, patch: int, *, cut: str = "right", numbers: str = "ijc", checked: bool = True,
    cut_off: bool = False, channels: str = "all", images_in_place: bool = False,
) -> Tensor:  # fmt: skip
    batch, count, height, width = images.shape
    if checked and (height % patch or width % patch):
        raise ValueError("patches do not divide the image")
    if images_in_place:
        images.clamp_(-0.5, 0.5)
    rows, columns = height // patch, width // patch
    images = images[:, :, : rows * patch, : columns * patch]
    images = images.mean(1, keepdim=True).expand_as(images) if channels == "mean" else images
    images = images.detach() if cut_off else images
    numbers_in_all = patch * patch * count
    if cut == "reshape":
        return images.reshape(batch, rows * columns, numbers_in_all)
    if cut == "unfold":
        return F.unfold(images, patch, stride=patch).transpose(1, 2)
    if cut == "unfold as it is":
        return F.unfold(images, patch, stride=patch)
    if cut == "loop":
        squares = [
            images[:, :, i : i + patch, j : j + patch].flatten(1)
            for i in range(0, height, patch)
            for j in range(0, width, patch)
        ]
        return torch.stack(squares, 1)
    if cut == "strips":
        return images.permute(0, 2, 3, 1).reshape(batch, rows * columns, numbers_in_all)
    if cut == "scattered":
        x = images.reshape(batch, count, patch, rows, patch, columns).permute(0, 3, 5, 2, 4, 1)
        return x.reshape(batch, rows * columns, numbers_in_all)
    x = images.reshape(batch, count, rows, patch, columns, patch)
    if cut == "columns first":
        x = x.permute(0, 4, 2, 3, 5, 1).reshape(batch, rows * columns, numbers_in_all)
    else:
        axes = {"c": 1, "i": 3, "j": 5}
        x = x.permute(0, 2, 4, *(axes[letter] for letter in numbers)).reshape(batch, rows * columns, numbers_in_all)
    if cut == "changing":
        x = torch.stack([token.roll(n) for n, token in enumerate(x.unbind(1))], 1)
    return x.reshape(batch, rows, columns, -1) if cut == "grid" else x


def unpatchify(
    tokens: Tensor, patch: int, height: int | None = None, width: int | None = None, *, numbers: str = "ijc",
    joined: str = "right", sides: str = "pixels", own: str = "",
) -> Tensor:  # fmt: skip
    batch, count, size = tokens.shape
    channels = size // patch**2
    if height is None or width is None or sides == "square":
        height = width = math.isqrt(count) * patch
        if sides == "square" and (height // patch) ** 2 != count:
            raise RuntimeError("shapes")
    rows, columns = (height, width) if sides == "patches" else (height // patch, width // patch)
    rows, columns = (columns, rows) if sides == "turned" else (rows, columns)
    numbers = own or numbers
    order = {letter: (channels if letter == "c" else patch) for letter in numbers}
    x = tokens.reshape(batch, rows, columns, *order.values())
    at = {letter: 3 + place for place, letter in enumerate(numbers)}
    if joined == "reshape":
        return tokens.reshape(batch, channels, height, width)
    if joined == "scattered":
        return x.permute(0, at["c"], at["i"], 1, at["j"], 2).reshape(batch, channels, rows * patch, columns * patch)
    if joined == "patch turned":
        return x.permute(0, at["c"], 1, at["j"], 2, at["i"]).reshape(batch, channels, rows * patch, columns * patch)
    if joined == "image turned":
        return x.permute(0, at["c"], 2, at["j"], 1, at["i"]).reshape(batch, channels, columns * patch, rows * patch)
    if joined == "channels last":
        return x.permute(0, 1, at["i"], 2, at["j"], at["c"]).reshape(batch, rows * patch, columns * patch, channels)
    return x.permute(0, at["c"], 1, at["i"], 2, at["j"]).reshape(batch, channels, rows * patch, columns * patch)


def modulate(x: Tensor, shift: Tensor, scale: Tensor, *, how: str = "right", lined: str = "batch") -> Tensor:
    if lined == "batch":
        shift, scale = shift[:, None], scale[:, None]
    elif lined == "mean":
        shift, scale = shift.mean(0), scale.mean(0)
    return {
        "right": x * (1 + scale) + shift,
        "bare": x * scale + shift,
        "shift first": (x + shift) * (1 + scale),
        "swapped": x * (1 + shift) + scale,
        "minus": x * (1 + scale) - shift,
        "no shift": x * (1 + scale),
        "exponential": x * scale.exp() + shift,
        "lerp": x + scale * x + shift,
    }[how]


# A name of its own: `modulate` may come to stand for a variant.
bent = modulate


class Attention(nn.Module):
    def __init__(self, width: int, num_heads: int, how: dict[str, Any]) -> None:
        super().__init__()
        if width % num_heads and how.get("heads_checked", True):
            raise ValueError("heads do not divide the width")
        self.head, self.how, self.separate = width // num_heads, how, how.get("layers") == "separate"
        inner = self.head * num_heads
        if self.separate:
            self.wq, self.wk, self.wv = (nn.Linear(width, inner, bias=False) for _ in range(3))
        else:
            self.qkv = nn.Linear(width, 3 * inner, bias=False)
        self.output = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = (self.wq(x), self.wk(x), self.wv(x)) if self.separate else self.qkv(x).chunk(3, -1)
        batch, length, _ = x.shape
        if self.how.get("heads") == "viewed":
            q, k, v = (part.reshape(batch, -1, length, self.head) for part in parts)
        else:
            q, k, v = (part.reshape(batch, length, -1, self.head).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(-2, -1) * (1.0 if self.how.get("scale") == "none" else self.head**-0.5)
        if self.how.get("sees") == "past":
            scores = scores.masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), -1e9)
        elif self.how.get("sees") == "last 64":
            scores = scores.masked_fill(torch.arange(length) < length - 64, -1e9)
        elif self.how.get("sees") == "itself":
            scores = scores.masked_fill(~torch.eye(length, dtype=torch.bool), -1e9)
        mixed = scores.softmax(-1) @ v
        return self.output(mixed.transpose(1, 2).reshape(batch, length, -1))


class DiTBlock(nn.Module):
    def __init__(self, width: int, num_heads: int, **how: Any) -> None:
        super().__init__()
        self.how, self.width = how, width
        self.attention = Attention(width, num_heads, how)
        hidden = how.get("hidden", 4) * width
        self.up, self.down = (
            nn.Linear(width, hidden, bias=how.get("biases", False)),
            nn.Linear(hidden, width, bias=False),
        )
        affine = how.get("gains")
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=how.get("eps", 1e-6), elementwise_affine=affine is not None) for _ in range(2)
        )
        if affine == "frozen":
            for parameter in self.norms.parameters():
                parameter.requires_grad_(False)
        linear = nn.Linear(width, how.get("parts", 6) * width, bias=how.get("modulation_bias", True))
        if how.get("start", "zero") == "zero":
            nn.init.zeros_(linear.weight)
        if how.get("start", "zero") in ("zero", "weight") and linear.bias is not None:
            nn.init.zeros_(linear.bias)
        if how.get("start") == "gates":
            with torch.no_grad():
                for at in (2, 5):
                    linear.weight[at * width : (at + 1) * width] = 0
                    linear.bias[at * width : (at + 1) * width] = 0
        self.modulation = nn.Sequential(nn.SiLU(), linear) if how.get("sequence") else linear

    def parts(self, c: Tensor) -> dict[str, Tensor]:
        how = self.how
        c = c.mean(0, keepdim=True).expand_as(c) if how.get("condition") == "mean" else c
        if not how.get("sequence"):
            c = {"silu": F.silu, "none": lambda t: t, "gelu": F.gelu, "twice": lambda t: F.silu(F.silu(t)),
                 "after": lambda t: t}[how.get("before", "silu")](c)  # fmt: skip
        made = self.modulation(c)
        made = F.silu(made) if how.get("before") == "after" else made
        names = {
            "right": "s1 c1 g1 s2 c2 g2",
            "scale first": "c1 s1 g1 c2 s2 g2",
            "gate first": "g1 s1 c1 g2 s2 c2",
            "second first": "s2 c2 g2 s1 c1 g1",
            "in turn": "s1 s2 c1 c2 g1 g2",
            "gates last": "s1 c1 s2 c2 g1 g2",
        }[how.get("chunks", "right")].split()
        if how.get("chunks_strided"):
            return dict(zip(names, made.unflatten(-1, (self.width, 6)).unbind(-1), strict=True))
        return dict(zip(names, made.chunk(6, -1), strict=True))

    def normed(self, x: Tensor, at: int) -> Tensor:
        kind = self.how.get("norm", "layer")
        if kind == "rms":
            return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
        if kind == "none" or (kind == "first only" and at == 1):
            return x
        if kind == "unbiased":
            return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-6).sqrt()
        return self.norms[at](x)

    def branch(self, x: Tensor, at: int, p: dict[str, Tensor]) -> Tensor:
        how = self.how
        shift, scale = p[f"s{at + 1}"], p[f"c{at + 1}"]
        if how.get("modulated") == "first only" and at == 1:
            shift, scale = torch.zeros_like(shift), torch.zeros_like(scale)
        if how.get("modulated") == "bounded":
            scale = scale.clamp(-1, 1)
        elif how.get("modulated") == "half a shift":
            shift = shift / 2
        elif how.get("modulated") == "first for both":
            shift, scale = p["s1"], p["c1"]
        n = self.normed(x, at)
        h = n if how.get("modulated") == "after" else bent(n, shift, scale, how=how.get("formula", "right"))
        if at == 0:
            y = self.attention(h)
        else:
            u = self.up(h)
            acts = {"gelu": F.gelu(u), "tanh": F.gelu(u, approximate="tanh"), "relu": u.relu(), "silu": F.silu(u),
                    "none": u}  # fmt: skip
            y = self.down(acts[how.get("act", "gelu")])
        if how.get("modulated") == "after":
            y = bent(y, shift, scale)
        return bent(n, shift, scale) + y if how.get("skip") == "modulated" else y

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        p, how = self.parts(c), self.how
        first, second = p["g1"][:, None], p["g2"][:, None]
        if how.get("gate") == "first for both":
            second = first
        elif how.get("gate") == "one more":
            first, second = 1 + first, 1 + second
        elif how.get("gate") == "none":
            first, second = torch.ones_like(first), torch.ones_like(second)
        elif how.get("gate") == "sigmoid":
            first, second = first.sigmoid(), second.sigmoid()
        elif how.get("gate") == "tanh":
            first, second = first.tanh(), second.tanh()
        if how.get("x_cut"):
            y = x + first * self.branch(x.detach(), 0, p)
            return y + second * self.branch(y, 1, p)
        if how.get("gate") == "stream":
            x = first * (x + self.branch(x, 0, p))
            return second * (x + self.branch(x, 1, p))
        if how.get("skip") == "none":
            x = first * self.branch(x, 0, p)
            return second * self.branch(x, 1, p)
        if how.get("order") == "feed-forward first":
            x = x + second * self.branch(x, 1, p)
            return x + first * self.branch(x, 0, p)
        if how.get("order") == "side by side":
            return x + first * self.branch(x, 0, p) + second * self.branch(x, 1, p)
        if how.get("skip") == "contribution":
            y = x + first * self.branch(x, 0, p)
            return y + second * self.branch(y, 1, p) - x
        x = x + first * self.branch(x, 0, p)
        return x + second * self.branch(x, 1, p)


PATCHES = ("cut", "numbers", "checked", "cut_off", "channels", "images_in_place")
JOINS = ("numbers", "joined", "sides", "own")
MODULATION = ("how", "lined")


def make(**switches: Any) -> dict[str, Any]:
    """The names a learner would write."""
    patches, joins, bends = ({n: v for n, v in switches.items() if n in kind} for kind in (PATCHES, JOINS, MODULATION))
    rest = {n: v for n, v in switches.items() if n not in (*PATCHES, *JOINS, *MODULATION)}
    return {
        "patchify": functools.partial(patchify, **patches),
        "unpatchify": functools.partial(unpatchify, **joins),
        "modulate": functools.partial(modulate, **bends),
        "DiTBlock": functools.partial(DiTBlock, **rest),
    }
