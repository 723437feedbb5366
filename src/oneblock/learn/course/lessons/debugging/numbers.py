"""Numbers of the lesson `debugging`: each fault made small enough to be computed."""

from __future__ import annotations

import math
from statistics import mean, median, pstdev
from typing import Any

from oneblock.learn.course.lessons.debugging.planted import (
    FAULTS,
    LENGTH,
    NEXT,
    PLANTED,
    VOCABULARY,
    at_depth,
    blocked,
    cached,
    leaks,
    log,
    stream,
)

__all__ = ["FAULTS", "LENGTH", "PLANTED", "at_depth", "blocked", "cached", "leaks"]

STEP = 600
SCORES = (2.0, 1.0, 0.0, -1.0)
GROWTHS = (1, 4, 16, 64)
VALUES = (1.0, 2.0, 4.0, 8.0)
CHANGED = (1.0, 2.0, 4.0, -8.0)
KEYS, QUERY_PLACE = 4, 3
LOSSES = (2.10, 2.08, 2.11, 2.07, 2.09, 2.12, 2.08, 2.90)
LAYER_NORMS = (0.3,) * 11 + (12.0,)
CLIP = 1.0
DEPTHS = (12, 24, 36)
START_STD, RATE = 0.02, 1.8
TO_STD = 1.4826
GRADIENT, SETTLED = 0.004, 101


# First question: the stream


def stream_rows() -> list[tuple[int, float, float, float]]:
    """Block, healthy, planted, and by what the planted one grew in this block."""
    well, ill = stream(), stream(True)
    return [(layer, well[layer], ill[layer], ill[layer] / ill[layer - 1]) for layer in range(1, 9)]


def figure_stream() -> str:
    """The stream after each block. The planted fault lifts it once, in block 5; the blocks behind it only carry it."""
    from oneblock.learn.course.figures import lines

    return lines(
        "Stream after each block, with and without the fault",
        {"healthy": stream(), "planted in block 5": stream(True)},
        x="block",
        y="root mean square",
    )


# Second question: attention logits


def softmax(scores: Any) -> list[float]:
    """Shares: exp of each, over the sum; the largest taken away first."""
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    return [power / sum(powers) for power in powers]


def sharp(growth: float) -> dict[str, Any]:
    """What larger scores make of the weights, of their entropy and of the slope that comes back."""
    weights = softmax([growth * score for score in SCORES])
    entropy = -sum(p * math.log(p) for p in weights if p > 0)
    return {
        "growth": growth,
        "largest": growth * max(SCORES),
        "weights": weights,
        "entropy": entropy / math.log(len(weights)),
        "slope": weights[0] * sum(weights[1:]),
    }


# Third question: the mask


def mixed(values: Any, query: int, last: int) -> float:
    """The mean of the values that a query may see: those of the keys 0 to `last`."""
    seen = [values[key] for key in range(len(values)) if key <= min(last, len(values) - 1)]
    return sum(seen) / len(seen)


def leak(ahead: int) -> list[float]:
    """By how much each token's output moves when the last value is changed; `ahead` keys of the future are seen."""
    return [
        abs(mixed(CHANGED, query, query + ahead) - mixed(VALUES, query, query + ahead)) for query in range(len(VALUES))
    ]


def chance(vocabulary: int = VOCABULARY) -> float:
    """The least loss on tokens drawn at random: ln V."""
    return math.log(vocabulary)


def leaked_loss(share: float, vocabulary: int = VOCABULARY) -> float:
    """The loss on random tokens of a model that knows the next one in this share of places, and guesses elsewhere."""
    return (1 - share) * chance(vocabulary)


# Fourth question: positions in the cache


def rotary_weights(query_place: int, keys: int = KEYS) -> list[float]:
    """Weights of one query over equal keys: score cos(distance), the rotary score of pairs of length 1."""
    return softmax([math.cos(query_place - key) for key in range(keys)])


def drift(query_place: int) -> float:
    """The largest change of a weight when the query stands at a place that is not its own."""
    right, wrong = rotary_weights(QUERY_PLACE), rotary_weights(query_place)
    return max(abs(a - b) for a, b in zip(right, wrong, strict=True))


# Reading a log


def usual() -> float:
    """The median of the points before the last."""
    return float(median(LOSSES[:-1]))


def spread() -> float:
    """The median distance from that median."""
    return float(median(abs(loss - usual()) for loss in LOSSES[:-1]))


def deviations() -> float:
    """How many robust deviations the last point lies above the median."""
    return (LOSSES[-1] - usual()) / (TO_STD * spread())


def plain_deviations() -> float:
    """The same with mean and standard deviation, the spike itself among the points."""
    return (LOSSES[-1] - mean(LOSSES)) / pstdev(LOSSES)


def global_norm(norms: Any = LAYER_NORMS) -> float:
    """All gradients as one vector: the root of the sum of the squared norms."""
    return math.sqrt(sum(norm**2 for norm in norms))


def factor() -> float:
    """By what clipping multiplies every gradient."""
    return min(1.0, CLIP / global_norm())


def adam_ratio(gradients: Any, beta1: float = 0.9, beta2: float = 0.99) -> float:
    """AdamW's step as a share of the learning rate, after these gradients of one weight; it began without moments."""
    first = square = 0.0
    for gradient in gradients:
        first = beta1 * first + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
    count = len(gradients)
    return (first / (1 - beta1**count)) / math.sqrt(square / (1 - beta2**count))


def swinging(count: int) -> list[float]:
    """Gradients that change sign at every step, as those of a weight that has settled do."""
    return [GRADIENT * (-1) ** step for step in range(count)]


SHOWN = (0, 29, 30, 31, 32, 59)


def figure_log() -> str:
    """Three of the four trainings. A bad batch is one point; a rate that is too high begins a step later and stays."""
    from oneblock.learn.course.figures import lines

    return lines(
        "Loss of a healthy training, of one with a bad batch, and of one whose rate jumps",
        {fault: [loss for loss, _ in log(fault)] for fault in ("bad batch", "rate × 40", "healthy")},
        x="step",
        y="loss",
        marks=False,
        rule=(chance(NEXT), "ln 3"),
    )


# Depth


def residual_start(layers: int) -> float:
    """The standard deviation at which GPT-2 starts what writes to the stream: 0.02 / √(2L)."""
    return START_STD / math.sqrt(2 * layers)


def sum_of_equal(layers: int, first: int = 1) -> float:
    """By what independent contributions of one size make the stream grow: √(layers / first)."""
    return math.sqrt(layers / first)


def grown(rate: float, layers: int) -> float:
    """What a factor in each block makes of 1 over so many blocks."""
    return rate**layers
