"""Cache bytes of real shapes, which head reads which, what is shared, and the mean of heads."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oneblock.learn.course.figures import bars, heat

Vector = Sequence[float]

KIB, MIB, GIB = 2**10, 2**20, 2**30


def cache_bytes(layers: int, groups: int, width: int, tokens: int = 1, texts: int = 1, size: int = 2) -> int:
    """2 · L · G · K · tokens · texts · bytes a number: keys and values of every layer."""
    return 2 * layers * groups * width * tokens * texts * size


# Name -> layers, query heads, key/value heads, head width.
SHAPES = {
    "GPT-2 small": (12, 12, 12, 64),
    "Llama 2 7B": (32, 32, 32, 128),
    "Llama 3 8B": (32, 32, 8, 128),
    "Mistral 7B": (32, 32, 8, 128),
    "Qwen3 0.6B": (28, 16, 8, 128),
    "MiniMind 3": (8, 8, 4, 96),
}


def per_token(name: str) -> int:
    """Cache bytes of one token."""
    layers, _, groups, width = SHAPES[name]
    return cache_bytes(layers, groups, width)


def eight_b(groups: int, tokens: int = 1, texts: int = 1) -> int:
    """Cache bytes of Llama 3 8B's shape with so many key/value heads."""
    return cache_bytes(32, groups, 128, tokens, texts)


llama3_parameters = 8_030_261_248
bandwidth = 1e12  # bytes a second, a round number for a large accelerator


def reading(size: float) -> float:
    """Milliseconds to read so many bytes once."""
    return 1000 * size / bandwidth


def group_of(head: int, heads: int = 4, groups: int = 2) -> int:
    """The key/value head that a query head reads."""
    return head // (heads // groups)


blocks = [group_of(head) for head in range(4)]
tiles = [head % 2 for head in range(4)]


def attention_parameters(width: int, heads: int, groups: int, head: int) -> int:
    """Queries, keys, values, output."""
    return 2 * width * heads * head + 2 * width * groups * head


shared_weights = attention_parameters(4096, 32, 32, 128) - attention_parameters(4096, 32, 8, 128)

# Four query heads of width 1, two key/value heads, three tokens.
queries = [2.0, 1.0, -1.0, 3.0]
keys = [[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]
values = [[1.0, 2.0, 3.0], [4.0, 0.0, 2.0]]


def softmax(scores: Vector) -> list[float]:
    """Shares of scores."""
    parts = [math.exp(score - max(scores)) for score in scores]
    return [part / sum(parts) for part in parts]


def head_output(query: float, key: Vector, value: Vector) -> float:
    """One head of width 1: the mix of its values."""
    return sum(p * v for p, v in zip(softmax([query * k for k in key]), value, strict=True))


def outputs(reads: Sequence[int]) -> list[float]:
    """What each query head gets when it reads these key/value heads."""
    return [head_output(q, keys[g], values[g]) for q, g in zip(queries, reads, strict=True)]


# Two full heads that are to become one group.
W_key = [[1.0, 3.0, 0.0], [3.0, 1.0, 2.0]]


def pooled(rows: Sequence[Vector] = W_key) -> list[float]:
    """The mean of the heads' rows, number by number."""
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


old_pair = [head_output(queries[i], keys[i], values[i]) for i in range(2)]
new_pair = [head_output(queries[i], pooled(keys), pooled(values)) for i in range(2)]

# Ainslie et al. 2023, table 1, T5-XXL: seconds a sample, mean of the tasks.
PUBLISHED = {
    "MHA-Large": ("0.37", "46.0"),
    "MHA-XXL": ("1.51", "47.2"),
    "MQA-XXL": ("0.24", "46.6"),
    "GQA-8-XXL": ("0.28", "47.1"),
}


def figure_reads() -> str:
    """Which key/value head each of four query heads reads, with two groups: neighbours share."""
    rows = [[1.0 if group_of(head) == group else None for group in range(2)] for head in range(4)]
    return heat(
        "Who reads whom",
        rows,
        digits=0,
        sides=[f"query head {head}" for head in range(4)],
        heads=["k, v 0", "k, v 1"],
    )


def figure_cache() -> str:
    """The cache of one text of 8192 tokens in Llama 3 8B's shape, with 32, 8, 4 and 1 key/value heads."""
    return bars(
        "Cache of 8192 tokens",
        {f"{groups} heads": eight_b(groups, 8192) / GIB for groups in (32, 8, 4, 1)},
        y="GiB",
        digits=3,
    )
