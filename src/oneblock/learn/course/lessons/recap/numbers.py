"""The numbers of the recap: what its exercises compute."""

from math import exp, inf, sqrt

from oneblock.learn.course.lessons.block.numbers import drawn

TOKEN = [3.0, 5.0, 7.0]
SHIFTED = [2.0, 4.0, 6.0]
SCORES, ROW = [1.0, 0.0, 2.0, 4.0], 2
SHALLOW, DEEP, START = 12, 36, 0.02
DOUBLING = 2


def ln(x: list[float] = TOKEN) -> list[float]:
    mean = sum(x) / len(x)
    std = sqrt(sum((value - mean) ** 2 for value in x) / len(x))
    return [(value - mean) / std for value in x]


def std(x: list[float] = TOKEN) -> float:
    """The root of the mean squared distance from the mean."""
    return sqrt(sum((value - sum(x) / len(x)) ** 2 for value in x) / len(x))


def masked(scores: list[float] = SCORES, row: int = ROW) -> list[float]:
    """One row of scores under the causal mask, then softmax."""
    shares = [exp(score if key <= row else -inf) for key, score in enumerate(scores)]
    return [share / sum(shares) for share in shares]


def growth(layers: int) -> float:
    """How far unrelated contributions of equal size, two for each layer, make the stream grow."""
    return sqrt(2 * layers)


def start(layers: int) -> float:
    """GPT-2's standard deviation for weights that write to the stream."""
    return START / sqrt(2 * layers)


def figure_block() -> str:
    """The drawing to explain everything with: one block, each addition labelled."""
    told = (
        "A straight line from x to x with two plus signs. The first, labelled 'adds what was found', takes norm 1 and "
        "attention; the second, labelled 'adds what was made of it', takes norm 2 and the feed-forward."
    )
    return drawn("The block, with both additions labelled", told, ("adds what was found", "adds what was made of it"))
