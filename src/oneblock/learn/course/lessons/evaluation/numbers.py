"""Numbers of the lesson `evaluation`: losses and their units, noise, and sampling from a small distribution."""

from __future__ import annotations

import math
from typing import Any

LOGITS = (2.0, 1.0, 0.0)
GIVEN = (1 / 2, 1 / 4, 1 / 4, 1 / 8)
TRUE = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
EVEN = (1 / 4, 1 / 4, 1 / 4, 1 / 4)

TOKEN_LOSS, CHARACTERS_PER_TOKEN = 3.0, 2.6
CHARACTER_LOSS = 1.43

# Validation losses of three seeds of one recipe, measured (docs/results/quality.md).
SEEDS = (1.4299, 1.4209, 1.4439)
PAIRS_A = (1.4299, 1.4209, 1.4439)
PAIRS_B = (1.4199, 1.4119, 1.4329)

WINDOW_SPREAD = 0.20
WINDOWS = (20, 200, 2000)

NAMES = ("the", "a", "his", "blue", "xylem")
SHARES = (0.50, 0.25, 0.15, 0.07, 0.03)
TOP_K, TOP_P = 3, 0.8
TEXT = "abab"
RIGHT = 0.99
CLAIM = 1.39
TEMPERATURES = (0.5, 2.0)
SQUARES = sum(share**2 for share in SHARES)
SMALL = 0.02
CLAIMED_GAIN = 0.01
A_LOSS, A_CHARACTERS = 2.4, 1.5
B_LOSS, B_CHARACTERS = 3.6, 3.0


# A loss and its units


def softmax(logits: Any = LOGITS) -> list[float]:
    """Shares of logits."""
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def losses(logits: Any = LOGITS) -> list[float]:
    """The loss for each token that might be the right one: −ln of its share."""
    return [-math.log(share) for share in softmax(logits)]


def mean_loss(given: Any = GIVEN) -> float:
    """The mean of −ln over the shares that the right tokens were given."""
    return -sum(math.log(share) for share in given) / len(given)


def perplexity(loss: float) -> float:
    """e to the loss."""
    return math.exp(loss)


def mean_of_perplexities(given: Any = GIVEN) -> float:
    """What one must not report: the mean of 1 / share."""
    return sum(1 / share for share in given) / len(given)


def bits(loss: float, characters_per_token: float = 1.0) -> float:
    """Bits for each character: nats for each token / (ln 2 · characters for each token)."""
    return loss / (math.log(2) * characters_per_token)


def entropy(true: Any = TRUE) -> float:
    """The least loss that anybody can reach on this source, in bits."""
    return -sum(share * math.log2(share) for share in true)


def cross_entropy(true: Any = TRUE, model: Any = EVEN) -> float:
    """The loss of a model on the source, in bits."""
    return -sum(share * math.log2(said) for share, said in zip(true, model, strict=True))


# The held-out split


def windows() -> list[int]:
    """Every target of 11 tokens, in windows of 4, two at a time."""
    import numpy as np

    from oneblock.data.batches import evaluation_windows

    found = []
    for _, targets, valid in evaluation_windows(np.arange(11), 4, 2):
        found += targets[valid].tolist()
    return found


def standard_error(count: int) -> float:
    """How uncertain a mean over so many windows is."""
    return WINDOW_SPREAD / math.sqrt(count)


def expected_lowest(count: int) -> float:
    """By how many standard deviations the lowest of so many equally good results lies below their mean."""
    step, total, x = 0.001, 0.0, -8.0
    while x < 8.0:
        density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        above = 0.5 * math.erfc(x / math.sqrt(2))
        total += x * count * density * above ** (count - 1) * step
        x += step
    return -total


# Seeds


def mean(values: Any) -> float:
    """The mean."""
    return sum(values) / len(values)


def deviation(values: Any) -> float:
    """The standard deviation, n − 1 below."""
    return math.sqrt(sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1))


def t_of_two(probability: float = 0.975) -> float:
    """Student's t for three values (two degrees of freedom), exact."""
    return (2 * probability - 1) * math.sqrt(2 / (4 * probability * (1 - probability)))


def noise_floor(values: Any = SEEDS) -> float:
    """What two sets of three runs of one recipe differ by in 19 cases of 20: t · s · √(2/n)."""
    return t_of_two() * deviation(values) * math.sqrt(2 / len(values))


def differences() -> list[float]:
    """B − A for each seed."""
    return [b - a for a, b in zip(PAIRS_A, PAIRS_B, strict=True)]


def t_of_pairs() -> float:
    """The mean difference over its standard error."""
    return mean(differences()) / (deviation(differences()) / math.sqrt(len(PAIRS_A)))


# Writing


def all_right(count: int, right: float = RIGHT) -> float:
    """The chance that so many choices in a row are all right."""
    return right**count


def peeking(text: str, place: int) -> str:
    """Says what stands behind; where nothing does, the same again."""
    return text[place + 1] if place + 1 < len(text) else text[place]


def teacher_forced() -> float:
    """The share of right answers when the whole text is there."""
    places = range(len(TEXT) - 1)
    return sum(peeking(TEXT, place) == TEXT[place + 1] for place in places) / len(places)


def free_running(count: int = 6) -> str:
    """What it writes after the text's first token."""
    text = TEXT[0]
    for _ in range(count):
        text += peeking(text, len(text) - 1)
    return text


def at_temperature(temperature: float, shares: Any = SHARES) -> list[float]:
    """Shares to the power 1 / temperature, divided by their sum."""
    powers = [share ** (1 / temperature) for share in shares]
    return [power / sum(powers) for power in powers]


def kept(temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> list[float]:
    """Shares after temperature, top-k and top-p, by this package's own filters."""
    import torch

    from oneblock.decoding.sampling import keep_top_k, keep_top_p

    scores = torch.tensor([SHARES], dtype=torch.float64).log() / temperature
    if top_k is not None:
        scores = keep_top_k(scores, top_k)
    if top_p is not None:
        scores = keep_top_p(scores, top_p)
    found: list[float] = scores.softmax(-1)[0].tolist()
    return found


def sums(shares: Any = SHARES) -> list[float]:
    """Running sums."""
    total, found = 0.0, []
    for share in shares:
        total += share
        found.append(total)
    return found


def figure_temperature() -> str:
    """The same five words at three temperatures. Low: the best one wins. High: the odd one gets its turn."""
    from oneblock.learn.course.figures import bars

    columns = [at_temperature(t) for t in (0.5, 1.0, 2.0)]
    return bars(
        "Shares of five words at three temperatures",
        {name: tuple(column[row] for column in columns) for row, name in enumerate(NAMES)},
        series=("T = 0.5", "T = 1", "T = 2"),
        y="share",
    )
