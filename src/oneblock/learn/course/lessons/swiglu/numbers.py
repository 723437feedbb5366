"""The numbers of the lesson swiglu."""

import math
from collections.abc import Callable

from oneblock.config.dense import Dense, Gated
from oneblock.learn.course.figures import lines

# A token of two features, an inner width of two. Rows of the matrices are the inner numbers.
TOKEN = [1.0, 2.0]
GATE = [[1.5, 0.0], [-3.0, 1.0]]
UP = [[0.0, -1.0], [1.0, 1.0]]
DOWN = [[1.0, 0.0], [0.0, 2.0]]


def product(matrix: list[list[float]], x: list[float]) -> list[float]:
    return [sum(weight * value for weight, value in zip(row, x, strict=True)) for row in matrix]


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def relu(z: float) -> float:
    return max(z, 0.0)


def gelu(z: float) -> float:
    return z * 0.5 * (1 + math.erf(z / math.sqrt(2)))


def swish(z: float, beta: float = 1.0) -> float:
    return z * sigmoid(beta * z)


def slope(f: Callable[[float], float], z: float) -> float:
    """f′(z) by a small step to both sides."""
    return (f(z + 1e-5) - f(z - 1e-5)) / 2e-5


gates = product(GATE, TOKEN)
ups = product(UP, TOKEN)


def swiglu(x: list[float] = TOKEN) -> list[float]:
    """down(silu(gate(x)) · up(x))"""
    gate, up = product(GATE, x), product(UP, x)
    inner = [swish(g) * u for g, u in zip(gate, up, strict=True)]
    return product(DOWN, inner)


inner = [swish(g) * u for g, u in zip(gates, ups, strict=True)]

# One gate of 1.5 and one up of −2.
A, B = 1.5, -2.0
FAMILY: dict[str, Callable[[float], float]] = {
    "GLU": sigmoid,
    "bilinear": lambda z: z,
    "ReGLU": relu,
    "GEGLU": gelu,
    "SwiGLU": swish,
}


def gated(name: str, gate: float = A, up: float = B) -> float:
    return FAMILY[name](gate) * up


# A product of two features. Scaling the token by 2 multiplies it by 4.
def relu_layer(x: list[float], factor: float = 1.0) -> float:
    """A dense layer with one inner number, weights 1 and 1."""
    return relu(sum(factor * value for value in x))


def bilinear(x: list[float], factor: float = 1.0) -> float:
    """One gate that reads the first feature, one up that reads the second."""
    return factor * x[0] * factor * x[1]


def kink_error(pieces: int = 1) -> float:
    """How far a line of so many equal pieces is from s² on [0, 1], at best."""
    return 1 / (8 * pieces**2)


PIECES = 8

# Widths. STRETCH: what Llama 3 makes of the rule. QUICK: the β that comes near GELU.
WIDTH, STRETCH, QUICK = 768, 1.3, 1.702
DENSE_INNER = 4 * WIDTH
GATED_INNER = Gated().hidden_width(WIDTH)
dense_weights = 2 * WIDTH * Dense().hidden_width(WIDTH)
gated_weights = 3 * WIDTH * GATED_INNER
wide_weights = 3 * WIDTH * DENSE_INNER


def hidden(width=4096, multiple_of=1024, factor=1.3) -> int:
    """2/3 of four times the width, times a factor, rounded up."""
    inner = int(2 * 4 * width / 3)
    inner = int(factor * inner)
    return math.ceil(inner / multiple_of) * multiple_of


two_thirds = int(2 * 4 * 4096 / 3)
stretched = int(STRETCH * two_thirds)
llama3 = hidden()
llama2 = hidden(4096, 256, 1.0)
minimind = math.ceil(768 * math.pi / 64) * 64


def rounded(width: int, multiple_of: int) -> int:
    """Our own option's inner width."""
    return Gated(multiple_of=multiple_of).hidden_width(width)


def excess(width: int, multiple_of: int) -> float:
    """By what share rounding makes a gated layer larger than the dense one."""
    return 3 * rounded(width, multiple_of) / (2 * 4 * width) - 1


# Table 1 of the paper: held-out log-perplexity after 65,536 and 524,288 steps.
SCORES = {
    "ReLU": (1.997, 1.677),
    "GELU": (1.983, 1.679),
    "Swish": (1.994, 1.683),
    "GLU": (1.982, 1.663),
    "Bilinear": (1.960, 1.648),
    "ReGLU": (1.953, 1.645),
    "GEGLU": (1.942, 1.633),
    "SwiGLU": (1.944, 1.636),
}


def gain(name: str, steps: int = 1) -> float:
    """Against ReLU, in nats; steps 0: the short runs, 1: the long ones."""
    return SCORES[name][steps] - SCORES["ReLU"][steps]


def perplexity_ratio(name: str = "SwiGLU") -> float:
    return math.exp(gain(name))


STD_RELU = 0.005
in_spreads = -gain("SwiGLU", 0) / STD_RELU

# A block of width D: attention 4·D², feed-forward 8·D².
share_of_block = 8 / 12


def figure_activations() -> str:
    """Three activations. ReLU is flat on the left: no slope, no gradient. GELU and SiLU dip below zero and bend."""
    xs = [step / 10 for step in range(-40, 31)]
    curves = {"ReLU": relu, "GELU": gelu, "SiLU": swish}
    return lines(
        "Three activations",
        {name: [f(x) for x in xs] for name, f in curves.items()},
        x="z",
        y="value",
        xs=xs,
        marks=False,
    )
