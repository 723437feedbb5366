"""Attention without order, four ways to give it one, and what each has of the distance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oneblock.learn.course.figures import heat, lines

Vector = Sequence[float]

# Three words of two features. Queries, keys and values are the words themselves.
WORDS = {"dog": [1.0, 0.0], "bites": [0.0, 1.0], "man": [1.0, 1.0]}


def softmax(scores: Vector) -> list[float]:
    """Shares of scores."""
    parts = [math.exp(score - max(scores)) for score in scores]
    return [part / sum(parts) for part in parts]


def dot(a: Vector, b: Vector) -> float:
    """The sum of products."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def attend(text: str, causal: bool = False, shift: bool = False) -> dict[str, list[float]]:
    """What each word of a text gets; with `shift`, after its sinusoidal position was added."""
    words = text.split()
    x = [[a + b for a, b in zip(WORDS[w], pe(p, 2) if shift else (0, 0), strict=True)] for p, w in enumerate(words)]
    out = {}
    for p, word in enumerate(words):
        seen = x[: p + 1] if causal else x
        shares = softmax([dot(x[p], key) / math.sqrt(2) for key in seen])
        out[word] = [dot(shares, column) for column in zip(*seen, strict=True)]
    return out


def first_seen(position: int) -> float:
    """What equal weights under a causal mask make of a feature that only the first token has."""
    return 1 / (position + 1)


def theta(pair: int, width: int, base: float = 10000.0) -> float:
    """The angle per step of a pair of features."""
    return base ** (-2 * pair / width)


def pe(position: int, width: int = 4) -> list[float]:
    """[sin, cos, sin, cos, …], one pair for each frequency."""
    out = []
    for pair in range(width // 2):
        angle = position * theta(pair, width)
        out += [math.sin(angle), math.cos(angle)]
    return out


def wavelength(pair: int, width: int) -> float:
    """Steps until a pair is where it was."""
    return 2 * math.pi / theta(pair, width)


def likeness(p: int, q: int, width: int = 4) -> float:
    """The dot product of two positions."""
    return dot(pe(p, width), pe(q, width))


def stepped() -> list[float]:
    """Position 2 from position 1 alone: its first pair turned by 1."""
    s, c = pe(1)[:2]
    return [s * math.cos(1) + c * math.sin(1), c * math.cos(1) - s * math.sin(1)]


def turned(x: Vector, position: int) -> list[float]:
    """A pair turned by position · 1."""
    a, b = x
    cos, sin = math.cos(position), math.sin(position)
    return [a * cos - b * sin, a * sin + b * cos]


query, key = [1.0, 0.0], [1.0, 0.0]
rope_pairs = [(3, 1), (7, 5), (103, 101), (3, 2)]


def rope_score(p: int, q: int) -> float:
    """A turned query held against a turned key."""
    return dot(turned(query, p), turned(key, q))


def slope(head: int, heads: int = 8) -> float:
    """ALiBi's slope of a head, from 1 on."""
    return 2 ** (-8 * head / heads)


def alibi(m: float, position: int = 3) -> list[float]:
    """What is added to the scores of a query at `position`."""
    return [-m * (position - seen) for seen in range(position + 1)]


learned = 1024 * 768
ratio = math.sqrt(512)


def figure_waves() -> str:
    """The sines of the four pairs of D = 8, over forty positions. Each is ten times slower than the one before."""
    at = [i / 4 for i in range(161)]
    pairs = {f"pair {i}": [math.sin(p * theta(i, 8)) for p in at] for i in range(4)}
    return lines("Sinusoids, D = 8", pairs, x="position", y="sine", xs=at, marks=False)


def figure_likeness() -> str:
    """PE(p)·PE(q) for D = 32, eight positions: constant along every diagonal, largest where p = q."""
    rows = [[likeness(p, q, 32) for q in range(8)] for p in range(8)]
    sides = [str(p) for p in range(8)]
    return heat("How alike two positions are", rows, digits=1, sides=sides, heads=sides, x="q", y="p")
