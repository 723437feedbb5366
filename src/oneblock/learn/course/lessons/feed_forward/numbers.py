"""What a mean cannot do, a feed-forward by hand, activations, widths and parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from oneblock.learn.course.figures import bars, lines

Vector = Sequence[float]
Rows = Sequence[Vector]

# Width 2, inner width 4, so that it fits on paper. Rows of UP are what the inner units look for.
UP = [[1, 0], [-1, 0], [1, 1], [0, -1]]
DOWN = [[1, 0, 2, 1], [0, 1, 0, -1]]
token, mirrored = [1.0, -2.0], [-1.0, 2.0]


def times(matrix: Rows, x: Vector) -> list[float]:
    """A matrix times a vector, one row a number."""
    return [float(sum(w * value for w, value in zip(row, x, strict=True))) for row in matrix]


def relu(value: float) -> float:
    """The value where it is positive, else 0."""
    return max(value, 0.0)


def gelu(value: float) -> float:
    """x Φ(x), exact."""
    return value * 0.5 * (1 + math.erf(value / math.sqrt(2)))


def gelu_tanh(value: float) -> float:
    """GELU as GPT-2 has it."""
    return 0.5 * value * (1 + math.tanh(math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)))


def silu(value: float) -> float:
    """x σ(x)."""
    return value / (1 + math.exp(-value))


def inner(x: Vector) -> list[float]:
    """What the inner units have before the activation."""
    return times(UP, x)


def feed_forward(x: Vector, act: Callable[[float], float] = relu) -> list[float]:
    """down(act(up(x)))."""
    return times(DOWN, [act(value) for value in inner(x)])


def linear(x: Vector) -> list[float]:
    """The same without an activation."""
    return times(DOWN, inner(x))


# Another one, of width 2 and inner width 3, for the completion check.
ASKED_UP, ASKED_DOWN, ASKED = [[1, 1], [1, -1], [-1, 0]], [[1, 0, 2], [0, 1, 2]], [2.0, -1.0]
asked_inner = times(ASKED_UP, ASKED)
asked = times(ASKED_DOWN, [relu(value) for value in asked_inner])

product = [[sum(DOWN[i][k] * UP[k][j] for k in range(4)) for j in range(2)] for i in range(2)]


def both(a: float, b: float) -> float:
    """One unit that answers to two features together: relu(a + b − 1)."""
    return relu(a + b - 1)


def absolute(x: float) -> float:
    """|x| from two units: relu(x) + relu(−x)."""
    return relu(x) + relu(-x)


POINTS = (-3.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0)
quirk = max(abs(gelu(i / 1000) - gelu_tanh(i / 1000)) for i in range(-4000, 4000))


def slope(act: Callable[[float], float], at: float) -> float:
    """The slope of an activation, by a small step to both sides."""
    return (act(at + 1e-5) - act(at - 1e-5)) / 2e-5


def attention_parameters(width: int) -> int:
    """Queries, keys, values, output."""
    return 4 * width * width


def plain_parameters(width: int, hidden: int) -> int:
    """Two matrices, no biases."""
    return 2 * width * hidden


def gated_parameters(width: int, hidden: int) -> int:
    """Three matrices, no biases."""
    return 3 * width * hidden


share = plain_parameters(512, 2048) / (plain_parameters(512, 2048) + attention_parameters(512))
GPT2 = 124_439_808  # all parameters of GPT-2 small, with a tied head
gpt2_part = 12 * plain_parameters(768, 3072) / GPT2


def up_to(value: float, multiple: int) -> int:
    """The next multiple."""
    return math.ceil(value / multiple) * multiple


def llama_width(width: int = 4096, factor: float = 1.3, multiple: int = 1024) -> int:
    """Two thirds of 4·D, times a factor, rounded up to a multiple."""
    hidden = int(2 * 4 * width / 3)
    return up_to(int(factor * hidden), multiple)


two_thirds = 8 * 4096 / 3
llama2, llama3 = llama_width(4096, 1.0, 256), llama_width()


def equal_inner(times_width: float, width: int = 512) -> tuple[float, float]:
    """A width and its inner width with as many parameters a block as `width` with 4 × inner: 4·D² + 2·D·m·D."""
    wide = math.sqrt(12 * width * width / (4 + 2 * times_width))
    return wide, times_width * wide


def figure_activations() -> str:
    """ReLU, GELU and SiLU. The smooth two dip below 0 and have a slope there."""
    at = [i / 10 for i in range(-40, 31)]
    bends = {"ReLU": relu, "GELU": gelu, "SiLU": silu}
    return lines(
        "Three activations", {name: [act(x) for x in at] for name, act in bends.items()}, x="x", y="act(x)", xs=at,
        marks=False,
    )  # fmt: skip


def figure_parameters() -> str:
    """Millions of parameters of attention, with a key head for each query head, and of four feed-forwards."""
    counts = {
        "attention": attention_parameters(4096),
        "plain, 4·D": plain_parameters(4096, 16384),
        "gated, 8·D/3": gated_parameters(4096, 10922),
        "Llama 2": gated_parameters(4096, llama2),
        "Llama 3": gated_parameters(4096, llama3),
    }
    millions = {name: count / 1e6 for name, count in counts.items()}
    return bars("Parameters of a block, D = 4096", millions, y="millions", digits=1)
