"""The numbers that a page carries for its picture to play with: drawn once with a fixed seed, in plain Python."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

WORDS = ("The", "sky", "is", "blue", "and", "clear")
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LAYERS, WIDTH = 48, 8


def mask() -> dict[str, Any]:
    """Scores q·k/√d of six tokens, width 8: what a mask is laid over."""
    draw = random.Random(8)
    q, k = (_matrix(draw, len(WORDS), WIDTH) for _ in range(2))
    scores = [[_dot(a, b) / math.sqrt(WIDTH) for b in k] for a in q]
    return {"words": WORDS, "scores": _rounded(scores, 2)}


def scale() -> dict[str, Any]:
    """q·k of one query with six keys at every head width, the same numbers taken further, and how they spread.

    spread: the standard deviation of q·k over 400 pairs of that width.
    """
    draw = random.Random(59)
    q = _matrix(draw, 1, WIDTHS[-1])[0]
    keys = _matrix(draw, 6, WIDTHS[-1])
    draw = random.Random(1)
    pairs = [(_matrix(draw, 1, WIDTHS[-1])[0], _matrix(draw, 1, WIDTHS[-1])[0]) for _ in range(400)]
    products = [[_dot(q[:d], key[:d]) for key in keys] for d in WIDTHS]
    sums = [_partial(a, b) for a, b in pairs]
    spread = [math.sqrt(sum(row[index] ** 2 for row in sums) / len(sums)) for index in range(len(WIDTHS))]
    return {"widths": WIDTHS, "products": _rounded(products, 3), "spread": [round(value, 3) for value in spread]}


def cache() -> dict[str, Any]:
    """The text, and the model and machine whose milliseconds are told."""
    return {
        "words": ("The", "sky", "is", "blue", "and", "the", "sun", "is", "out", "."),
        "prompt": 3,
        "layers": 12,
        "width": 768,
        "flops": 200e9,
        "bandwidth": 20e9,
        "bytes": 2,
    }


def depth() -> dict[str, Any]:
    """One 8 × 8 matrix for each of 48 layers, entries of spread 1/√8, and a first vector."""
    draw = random.Random(3)
    first = [draw.gauss(0, 1) for _ in range(WIDTH)]
    layers = [[[x / math.sqrt(WIDTH) for x in row] for row in _matrix(draw, WIDTH, WIDTH)] for _ in range(LAYERS)]
    return {"first": [round(x, 3) for x in first], "layers": [_rounded(layer, 3) for layer in layers]}


DATA: dict[str, Callable[[], dict[str, Any]]] = {"mask": mask, "scale": scale, "cache": cache, "depth": depth}
"""Picture -> what its page carries."""


def _matrix(draw: random.Random, rows: int, columns: int) -> list[list[float]]:
    return [[draw.gauss(0, 1) for _ in range(columns)] for _ in range(rows)]


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _partial(a: list[float], b: list[float]) -> list[float]:
    """a·b of the first d features, for every d in WIDTHS."""
    sums, total, start = [], 0.0, 0
    for d in WIDTHS:
        total += _dot(a[start:d], b[start:d])
        sums.append(total)
        start = d
    return sums


def _rounded(rows: list[list[float]], digits: int) -> list[list[float]]:
    return [[round(value, digits) for value in row] for row in rows]
