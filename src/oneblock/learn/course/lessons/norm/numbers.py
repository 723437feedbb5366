"""Three drifts, LayerNorm by hand, what ε does, and pre-norm against post-norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oneblock.learn.course.figures import columns, lines

Vector = Sequence[float]

growing = [[2 * 3**layer, 4 * 3**layer, 6 * 3**layer] for layer in range(3)]
shrinking = [[1.0, 0.5, -0.5], [0.2, 0.1, -0.1], [0.04, 0.02, -0.02]]
shifting = [[2 + 10 * layer, 4 + 10 * layer, 6 + 10 * layer] for layer in range(3)]
small = [0.2, 0.4, 0.6]
equal = [4.0, 4.0, 4.0]


def mean(x: Vector) -> float:
    """The mean of a token's numbers."""
    return sum(x) / len(x)


def variance(x: Vector) -> float:
    """The mean squared distance from the mean, divided by D."""
    return mean([(value - mean(x)) ** 2 for value in x])


def std(x: Vector) -> float:
    """The root of the variance."""
    return math.sqrt(variance(x))


def centred(x: Vector) -> list[float]:
    """What is left when the mean is taken away."""
    return [value - mean(x) for value in x]


def squares(x: Vector) -> list[float]:
    """Each number squared."""
    return [value * value for value in x]


def ln(x: Vector, eps: float = 0.0) -> list[float]:
    """LayerNorm without gain and bias."""
    return [value / math.sqrt(variance(x) + eps) for value in centred(x)]


def ln_sample(x: Vector) -> list[float]:
    """The same with D − 1 in the variance: not LayerNorm."""
    return [value / math.sqrt(variance(x) * len(x) / (len(x) - 1)) for value in centred(x)]


def ln_outside(x: Vector, eps: float) -> list[float]:
    """The same with ε outside the root: not LayerNorm."""
    return [value / (std(x) + eps) for value in centred(x)]


def over_positions(tokens: Sequence[Vector]) -> list[list[float]]:
    """A norm over the wrong axis: each feature over the tokens."""
    columns = [ln(column) for column in zip(*tokens, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def add(x: Vector, y: Vector) -> list[float]:
    """Feature by feature."""
    return [a + b for a, b in zip(x, y, strict=True)]


def gap_ratio(x: Vector) -> float:
    """The first gap over the second: no shift and no scale changes it."""
    return (x[1] - x[0]) / (x[2] - x[1])


pair = [[2.0, 4.0, 6.0], [12.0, 14.0, 16.0]]
changed_pair = [[2.0, 4.0, 6.0], [12.0, 14.0, -20.0]]
ln_357 = ln([3, 5, 7])
gain, bias = [2.0, 1.0, 0.5], [0.0, 1.0, 0.0]


def with_gain(x: Vector) -> list[float]:
    """LayerNorm with a gain and a bias."""
    return [g * value + b for g, value, b in zip(gain, ln(x), bias, strict=True)]


# A worked token under pre-norm: the stream, what the branch adds, the stream after it.
token, slip = [2.0, -1.0, 3.0], [0.4, 0.2, -0.1]
after = add(token, slip)
# A worked token under post-norm.
post_token, post_slip = [2.0, 4.0, 6.0], [0.6, -0.2, 0.1]
post_sum = add(post_token, post_slip)
# Figures that circulate for the three inputs above.
circulating = [[-1.05, -0.29, 1.34], [0.27, -1.34, 1.07], [0.51, -1.40, 0.89]]
circulating_inputs = [post_sum, token, after]
taken_for = [1.0, -1.0, 2.0]

# Two features follow one another for a whole stack; the matrix of the branch in the last worked example.
stream = [2.0, 1.0, -1.0]
matrix = [[1, 2, 0], [0, 1, -1], [2, 0, 1]]


def branch(x: Vector) -> list[float]:
    """A branch that is one matrix."""
    return [sum(w * value for w, value in zip(row, x, strict=True)) for row in matrix]


def pre() -> list[float]:
    """x + f(N(x))."""
    return add(stream, branch(ln(stream)))


def post() -> list[float]:
    """N(x + f(x))."""
    return ln(add(stream, branch(stream)))


def bypass(blocks: int, norms: int = 2) -> float:
    """What the bypass alone carries back through post-norm blocks, if branch and stream are equally large."""
    return math.sqrt(2) ** (-norms * blocks)


def stream_rms(blocks: int, branches: int = 2) -> float:
    """The size of a pre-norm stream that starts at 1 and is added independent contributions of size 1."""
    return math.sqrt(1 + branches * blocks)


def slope_row(x: Vector, of: int) -> list[float]:
    """How output `of` of LayerNorm moves when each input moves: (δ − 1/D − y y/D) / σ."""
    y, size = ln(x), len(x)
    return [((i == of) - 1 / size - y[of] * y[i] / size) / std(x) for i in range(size)]


lost = 1 - ln(shrinking[2], 1e-5)[0] / ln(shrinking[2])[0]


def figure_drifts() -> str:
    """The three drifts over six layers. Behind a norm (ε = 0) the standard deviation is 1 at every layer."""
    layers = range(6)
    drifts = {
        "std, grows × 3": [std([v * 3**layer for v in (2, 4, 6)]) for layer in layers],
        "std, shrinks × 1/5": [std([v / 5**layer for v in shrinking[0]]) for layer in layers],
        "mean, + 10 a layer": [mean([v + 10 * layer for v in (2, 4, 6)]) for layer in layers],
    }
    return lines("Three drifts before the norm", drifts, x="layer", y="size, log scale", log=True, rule=(1.0, "normed"))


def figure_normed() -> str:
    """The last token of each of the three tables, normalised: the size and the place are gone, the pattern is there."""
    last = {"grew": growing[2], "shrank": shrinking[2], "moved": shifting[2]}
    return columns("The same three tokens behind the norm", {name: ln(x) for name, x in last.items()}, digits=2)
