"""Bytes of attention written out and in tiles, the online softmax by hand, and what our CPU kernel does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from oneblock.learn.course.figures import bars

Vector = Sequence[float]

KIB, MIB, GIB = 2**10, 2**20, 2**30
T, WIDTH, BYTES = 1024, 64, 2  # a text, a head, bfloat16
matrix = T * WIDTH * BYTES  # queries, or keys, values, outputs
table = T * T * BYTES  # scores, or weights
# One head, every product and the softmax a pass of its own: read q, k; write, read s; write, read p; read v; write o.
moves = {
    "read q and k": 2 * matrix,
    "write the scores": table,
    "read the scores": table,
    "write the weights": table,
    "read the weights and v": table + matrix,
    "write the output": matrix,
}
written_out = sum(moves.values())
least = 4 * matrix
operations = 4 * T * T * WIDTH


def tiled(rows: int, length: int = T, width: int = WIDTH) -> int:
    """Bytes by tiles of `rows` queries: q and o once, k and v once for each tile."""
    size = length * width * BYTES
    return 2 * size + 2 * size * math.ceil(length / rows)


def stored(length: int, heads: int = 32) -> int:
    """Bytes of one layer's weights, if they are kept for the backward pass."""
    return heads * length * length * BYTES


def kept(length: int, heads: int = 32) -> int:
    """Bytes of what is kept in their place: one float32 a row."""
    return heads * length * 4


# The online softmax by hand.
scores = [1.0, 3.0, 2.0, 5.0]
values = [[1.0, 0.0], [0.0, 2.0], [3.0, 1.0], [1.0, 1.0]]


class Step(NamedTuple):
    """What is known after a block of keys: the largest score, the sum, the mix, and the factor that corrected both."""

    m: float
    l: float  # noqa: E741
    mix: list[float]
    factor: float


def steps(size: int = 2) -> list[Step]:
    """What is known after each block of so many keys."""
    largest, total, mix, known = -math.inf, 0.0, [0.0, 0.0], []
    for start in range(0, len(scores), size):
        new = max(largest, *scores[start : start + size])
        factor = math.exp(largest - new)
        total, mix = total * factor, [number * factor for number in mix]
        for score, value in zip(scores[start : start + size], values[start : start + size], strict=True):
            part = math.exp(score - new)
            total += part
            mix = [number + part * more for number, more in zip(mix, value, strict=True)]
        largest = new
        known.append(Step(largest, total, mix, factor))
    return known


def online(size: int = 2) -> list[float]:
    """The output by blocks of keys."""
    last = steps(size)[-1]
    return [number / last.l for number in last.mix]


def at_once() -> list[float]:
    """The output from all scores at once."""
    parts = [math.exp(score - max(scores)) for score in scores]
    columns = zip(*values, strict=True)
    return [sum(p * v for p, v in zip(parts, column, strict=True)) / sum(parts) for column in columns]


def agree() -> bool:
    """Blocks of one, two and four keys give what all at once give."""
    for size in (1, 2, 4):
        for got, right in zip(online(size), at_once(), strict=True):
            if not math.isclose(got, right, rel_tol=1e-14):
                return False
    return True


without_correction = [(math.exp(-2) + 3 * math.exp(-3) + 1), (2 + math.exp(-3) + 1)]
wrong_total = 1 + math.exp(-2) + 1 + math.exp(-3)
wrong = [number / wrong_total for number in without_correction]
logsum = math.log(sum(math.exp(score) for score in scores))
again = [math.exp(score - logsum) for score in scores]


def fused() -> bool:
    """PyTorch's fused attention is the written-out one, within 1e-6."""
    chance = torch.Generator().manual_seed(1)
    q, k, v = torch.randn(3, 2, 8, 16, generator=chance)
    hidden = torch.ones(8, 8).triu(1).bool()
    scores = (q @ k.transpose(-2, -1) / 4).masked_fill(hidden, -torch.inf)
    wanted = scores.softmax(-1) @ v
    got = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return bool((got - wanted).abs().max() < 1e-6)


# Our CPU kernel: rows of queries in a block, and the columns that it computes, rounded up to 32.
def block_rows(length: int) -> int:
    """Queries in a block."""
    return 64 if length <= 512 else 32


def block_bytes(length: int) -> int:
    """Scores of a block in float32."""
    return block_rows(length) * length * 4


def computed_share(length: int) -> float:
    """Which share of the table of scores is computed."""
    rows = block_rows(length)
    cells = sum(rows * math.ceil((start + rows) / 32) * 32 for start in range(0, length, rows))
    return cells / length**2


# Milliseconds a layer at 16 × 256 tokens, 4 heads of 64, bfloat16, two threads: docs/decisions/006.
torch_forward, torch_backward, our_forward, our_backward = 9.1, 26.9, 2.4, 5.8


def figure_bytes() -> str:
    """What one head of width 64 moves for 1024 tokens. Least: each input and output once."""
    counts = {
        "written out": written_out,
        "tiles of 64": tiled(64),
        "tiles of 256": tiled(256),
        "least": least,
    }
    return bars("Bytes moved by one head", {name: count / MIB for name, count in counts.items()}, y="MiB")
