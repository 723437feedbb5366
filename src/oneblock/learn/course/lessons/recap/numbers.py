"""The numbers of the recap: what its exercises compute."""

from itertools import pairwise
from math import exp, inf, sqrt

from oneblock.learn.course.figures import Arrow, Box, flow

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
    boxes = [
        Box(id="out", text="x out", at=(0, 0), kind="end"),
        Box(id="add2", text="adds what was made of it", at=(0, 1), kind="add"),
        Box(id="ffn", text="feed-forward", at=(1, 2), kind="feed_forward"),
        Box(id="norm2", text="norm 2", at=(1, 3), kind="norm"),
        Box(id="split2", at=(0, 4), kind="dot"),
        Box(id="add1", text="adds what was found", at=(0, 5), kind="add"),
        Box(id="attention", text="attention", at=(1, 6), kind="attention"),
        Box(id="norm1", text="norm 1", at=(1, 7), kind="norm"),
        Box(id="split1", at=(0, 8), kind="dot"),
        Box(id="in", text="x in", at=(0, 9), kind="end"),
    ]
    line = ["in", "split1", "add1", "split2", "add2", "out"]
    branches = [["split1", "norm1", "attention", "add1"], ["split2", "norm2", "ffn", "add2"]]
    arrows = [Arrow(start=a, to=b, thick=True) for a, b in pairwise(line)]
    arrows += [Arrow(start=a, to=b) for branch in branches for a, b in pairwise(branch)]
    told = (
        "A straight line from x to x with two plus signs. The first, labelled 'adds what was found', takes norm 1 and "
        "attention; the second, labelled 'adds what was made of it', takes norm 2 and the feed-forward."
    )
    return flow("The block, with both additions labelled", boxes, arrows, told=told)
