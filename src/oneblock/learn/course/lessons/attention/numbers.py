"""Weighted means, scores by hand, why 1/√d, why −∞ before the softmax, heads, and the lab's thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from oneblock.learn.course.figures import Arrow, Box, flow, heat, lines

Vector = Sequence[float]
Rows = Sequence[Vector]

weights = [0.7, 0.2, 0.1]
values = [[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]


def mix(shares: Vector, rows: Rows = values) -> list[float]:
    """The weighted mean of rows."""
    return [sum(share * row[i] for share, row in zip(shares, rows, strict=True)) for i in range(len(rows[0]))]


def softmax(scores: Vector) -> list[float]:
    """Shares of scores."""
    top = max(scores)
    parts = [math.exp(score - top) for score in scores]
    return [part / sum(parts) for part in parts]


mean_mix = mix([1 / 3] * 3)
shifted = [math.log(6), math.log(3), 0.0]

# The worked example: three tokens, queries and keys of width 2.
Q = [[1, 0], [0, 1], [1, 1]]
K = [[1, 1], [1, 0], [0, 2]]
V = [[1, 2], [3, 4], [5, 6]]


def scores(query: Vector, keys: Rows = K) -> list[float]:
    """q·k for every key, before the scale."""
    return [float(sum(a * b for a, b in zip(query, key, strict=True))) for key in keys]


def attend(seen: int, query: Vector) -> tuple[list[float], list[float]]:
    """Weights over all keys, and output, of a query that sees the first `seen` of them."""
    kept = [score / math.sqrt(2) for score in scores(query)[:seen]]
    shares = softmax(kept) + [0.0] * (len(K) - seen)
    return shares, mix(shares, V)


full = [attend(3, q) for q in Q]
causal = [attend(i + 1, q) for i, q in enumerate(Q)]

# Why 1/√d. Scores with the spread that scaled attention sees, and the same times √d.
WIDTHS = (4, 16, 64, 128)
standard = [1.0, 0.5, 0.0, -1.0]


def unscaled(width: int) -> list[float]:
    """The standard scores as they are without the root."""
    return [score * math.sqrt(width) for score in standard]


def two_keys(gap: float) -> tuple[float, float]:
    """The larger share of two keys whose scores differ by `gap`, and its slope p (1 − p)."""
    share = 1 / (1 + math.exp(-gap))
    return share, share * (1 - share)


def measured(width: int, count: int = 4096) -> float:
    """The variance of q·k over random pairs of that width."""
    chance = torch.Generator().manual_seed(width)
    q, k = torch.randn(2, count, width, generator=chance)
    return float((q * k).sum(-1).var())


def largest_share(width: int, scaled: bool, keys: int = 16, count: int = 256) -> float:
    """The mean of the largest weight among 16 random keys."""
    chance = torch.Generator().manual_seed(width)
    q, k = torch.randn(count, 1, width, generator=chance), torch.randn(count, keys, width, generator=chance)
    products = (q * k).sum(-1) / (math.sqrt(width) if scaled else 1)
    return float(products.softmax(-1).amax(-1).mean())


def slopes(shares: Vector) -> list[list[float]]:
    """How each share (row) moves with each score (column): p_i (δ_ij − p_j)."""
    return [[p * ((i == j) - q) for j, q in enumerate(shares)] for i, p in enumerate(shares)]


# One row of scores whose third key is in the future.
row = [2.0, 1.0, 3.0]
zeroed = [*softmax(row)[:2], 0.0]
louder = [*softmax([2.0, 1.0, 5.0])[:2], 0.0]
before = [*softmax(row[:2]), 0.0]
zero_score = softmax([2.0, 1.0, 0.0])
leak = slopes(softmax(row))[0][2]


def renormalised(blocked: float = 200.0) -> list[float]:
    """Zeros after the softmax, and then each row divided by its sum, in float32."""
    shares = torch.tensor([2.0, 1.0, blocked]).softmax(-1)
    kept = shares * torch.tensor([1.0, 1.0, 0.0])
    return [float(share) for share in kept / kept.sum()]


# Heads.
one_head = mix([0.5, 0.0, 0.5])
two_heads = [*mix([1, 0, 0]), *mix([0, 0, 1])]


def parameters(width: int) -> int:
    """Of q, k, v and the output projection together, without biases."""
    return 4 * width * width


def fused_difference() -> float:
    """The largest difference between one projection of 3·D rows and three of D rows."""
    chance = torch.Generator().manual_seed(0)
    x, stacked = torch.randn(5, 6, generator=chance), torch.randn(18, 6, generator=chance)
    together = x @ stacked.T
    apart = torch.cat([x @ part.T for part in stacked.chunk(3)], -1)
    return float((together - apart).abs().max())


fused_bound, single_bound = math.sqrt(6 / (4 * 512)), math.sqrt(6 / (2 * 512))


def attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Causal attention, for the thresholds."""
    products = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    hidden = torch.ones(q.shape[-2], k.shape[-2]).triu(1).bool()
    shares = products.masked_fill(hidden, -torch.inf).softmax(-1)
    return shares @ v, shares


def lab() -> dict[str, object]:
    """What the lab asks of attention."""
    chance = torch.Generator().manual_seed(1)
    q, k, v = torch.randn(3, 2, 8, 16, generator=chance)
    output, weights = attention(q, k, v)
    return {
        "shape": tuple(output.shape),
        "above": bool(torch.triu(weights, 1).abs().max() < 1e-6),
        "rows": bool((weights.sum(-1) - 1).abs().max() < 1e-6),
    }


def figure_open() -> str:
    """Weights of the three queries, every key open. Each row adds up to 1."""
    return heat(
        "Attention weights, all open", [w for w, _ in full], digits=3, sides=["q 0", "q 1", "q 2"],
        heads=["k 0", "k 1", "k 2"], x="key", y="query",
    )  # fmt: skip


def figure_causal() -> str:
    """The same under a causal mask: closed cells are exactly 0, and each row still adds up to 1."""
    rows = [[w if j <= i else None for j, w in enumerate(shares)] for i, (shares, _) in enumerate(causal)]
    return heat(
        "Attention weights, causal", rows, digits=3, sides=["q 0", "q 1", "q 2"], heads=["k 0", "k 1", "k 2"],
        x="key", y="query",
    )  # fmt: skip


def figure_saturation() -> str:
    """The mean of the largest of 16 weights, of random queries and keys, against the width of the head."""
    wide = (1, 4, 16, 64, 128, 256)
    return lines(
        "Saturation and the width of a head",
        {
            "without 1/√d": [largest_share(width, scaled=False) for width in wide],
            "with 1/√d": [largest_share(width, scaled=True) for width in wide],
        },
        x="width d of a head", y="largest of 16 weights", xs=wide, y_range=(0.0, 1.0), rule=(1 / 16, "all equal"),
    )  # fmt: skip


def figure_heads() -> str:
    """Multi-head attention with its shapes: B texts, T tokens, H heads of width d, D = H·d."""
    boxes = [
        Box(id="x", text="x: B×T×D", at=(1, 0), kind="end"),
        Box(id="qkv", text="one projection\nD → 3·D, then cut", at=(1, 1), kind="attention"),
        Box(id="q", text="q\nB×H×T×d", at=(0, 2)),
        Box(id="k", text="k\nB×H×T×d", at=(1, 2)),
        Box(id="v", text="v\nB×H×T×d", at=(2, 2)),
        Box(id="scores", text="q·k/√d + mask\nB×H×T×T", at=(0.5, 3), kind="attention"),
        Box(id="softmax", text="softmax over keys", at=(0.5, 4), kind="attention"),
        Box(id="mix", text="weights · v\nB×H×T×d", at=(1, 5), kind="attention"),
        Box(id="out", text="heads side by side,\noutput D → D", at=(1, 6), kind="attention"),
        Box(id="y", text="B×T×D", at=(1, 7), kind="end"),
    ]
    pairs = [
        "x qkv",
        "qkv q",
        "qkv k",
        "qkv v",
        "q scores",
        "k scores",
        "scores softmax",
        "softmax mix",
        "v mix",
        "mix out",
    ]
    arrows = [Arrow(start=a, to=b) for a, b in (pair.split() for pair in [*pairs, "out y"])]
    return flow("Attention in several heads", boxes, arrows)
