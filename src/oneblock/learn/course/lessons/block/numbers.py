"""The numbers of the lesson on the block."""

from itertools import pairwise
from math import sqrt

from oneblock.learn.course.figures import Arrow, Box, belt, flow

TOKEN = [2.0, -1.0, 3.0]
WEIGHTS = [0.7, 0.2, 0.1]
VALUES = [[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
OUTPUT = [[0.3, 0.1, 0.0], [0.2, 0.2, -0.2]]
UP = [
    [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1],
    [1, 1, 0], [-1, -1, 0], [0, 1, 1], [0, -1, -1], [1, 0, 1], [-1, 0, -1],
]  # fmt: skip
DOWN = [
    [-0.2, 0.0, 0.0], [0.2, 0.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, 0.2],
    [0.1, 0.0, 0.0], [-0.1, 0.1, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, -0.1], [0.0, -0.1, 0.1], [0.0, 0.0, 0.1],
]  # fmt: skip
PLAIN, MATRIX = [2.0, 1.0, -1.0], [[1, 2, 0], [0, 1, -1], [2, 0, 1]]
WIDTH, BLOCKS = 512, 12
TRY_WEIGHTS = [0.5, 0.5, 0.0]
CIRCULATING = [0.51, -1.40, 0.89]
CIRCULATING_FIRST, ITS_INPUT = [0.27, -1.34, 1.07], [1.0, -1.0, 2.0]


def add(x: list[float], y: list[float]) -> list[float]:
    return [a + b for a, b in zip(x, y, strict=True)]


def ln(x: list[float]) -> list[float]:
    mean = sum(x) / len(x)
    std = sqrt(sum((value - mean) ** 2 for value in x) / len(x))
    return [(value - mean) / std for value in x]


def times(row: list[float], matrix: list[list[float]]) -> list[float]:
    return [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*matrix, strict=True)]


def mix(weights: list[float] = WEIGHTS) -> list[float]:
    return times(weights, VALUES)


def from_attention() -> list[float]:
    return times(mix(), OUTPUT)


def hidden(x: list[float]) -> list[float]:
    return [max(0.0, sum(a * b for a, b in zip(unit, x, strict=True))) for unit in UP]


def feed_forward(x: list[float]) -> list[float]:
    return times(hidden(x), DOWN)


def block(x: list[float] = TOKEN) -> list[float]:
    x = add(x, from_attention())
    return add(x, feed_forward(ln(x)))


ASKED, ASKED_SLIP = [3.0, 4.0, 7.0], [0.0, 1.0, 0.0]


def asked_middle() -> list[float]:
    """The stream of the completion check between its two benches."""
    return add(ASKED, ASKED_SLIP)


def asked_slip() -> list[float]:
    """What its feed-forward, twice the ReLU, writes of the normed copy."""
    return [2 * max(0.0, value) for value in ln(asked_middle())]


def asked() -> list[float]:
    """What leaves its block."""
    return add(asked_middle(), asked_slip())


def middle() -> list[float]:
    """The stream between the two benches."""
    return add(TOKEN, from_attention())


def inspected() -> list[float]:
    """What the feed-forward reads."""
    return ln(middle())


def slip() -> list[float]:
    """What the feed-forward writes."""
    return feed_forward(inspected())


def gaps(x: list[float]) -> float:
    """The distance of the first two features as a share of that of the last two: no norm changes it."""
    return (x[0] - x[1]) / (x[2] - x[1])


def units() -> list[tuple[str, float, list[float]]]:
    """Each inner unit: what it reads, its value after ReLU, what it writes for each unit of that value."""
    found = []
    for unit, value, writes in zip(UP, hidden(inspected()), DOWN, strict=True):
        sign = "−" if min(unit) < 0 else ""
        reads = f" {sign or '+'} ".join(f"h{index + 1}" for index, weight in enumerate(unit) if weight)
        found.append((f"{sign}{reads}", value, writes))
    return found


def fired() -> int:
    """How many of the inner units are not zero."""
    return sum(1 for value in hidden(inspected()) if value > 0)


def sublayer(v: list[float]) -> list[float]:
    """The matrix times a column: the sublayer of the comparison of norm places."""
    return [sum(a * b for a, b in zip(row, v, strict=True)) for row in MATRIX]


def post(x: list[float] = PLAIN) -> list[float]:
    return ln(add(x, sublayer(x)))


def pre(x: list[float] = PLAIN) -> list[float]:
    return add(x, sublayer(ln(x)))


def peri(x: list[float] = PLAIN) -> list[float]:
    return add(x, ln(sublayer(ln(x))))


def per_norm() -> float:
    """What a norm leaves of each of two equally large, unrelated parts of its input."""
    return 1 / sqrt(2)


def bypass_share(blocks: int = BLOCKS) -> float:
    """What post-norm leaves of the bypass after that many blocks of two sublayers, under the same guess."""
    return per_norm() ** (2 * blocks)


def attention_weights(width: int = WIDTH) -> int:
    """Queries, keys, values and output: four square matrices."""
    return 4 * width * width


def feed_forward_weights(width: int = WIDTH) -> int:
    """Up to four times the width, and back."""
    return 2 * width * (4 * width)


def figure_belt() -> str:
    """A block as a station. At the first bench the worker may read parcels that came before, at the second this one."""
    return belt("One station, two benches", parcel="x", before=2, frame="a block")


def figure_block() -> str:
    """The pre-norm block, from bottom to top as information flows. The straight line on the left is the bypass: nothing
    stands on it but the two additions."""
    told = (
        "From x a straight line runs up through two plus signs. Beside it, norm 1 and attention lead into the first, "
        "norm 2 and the feed-forward into the second."
    )
    return drawn("The pre-norm block", told)


def drawn(title: str, told: str, additions: tuple[str, str] = ("", "")) -> str:
    """The pre-norm block, with a label for each of its two additions."""
    boxes = [
        Box(id="out", text="x out", at=(0, 0), kind="end"),
        Box(id="add2", text=additions[1], at=(0, 1), kind="add"),
        Box(id="ffn", text="feed-forward", at=(1, 2), kind="feed_forward"),
        Box(id="norm2", text="norm 2", at=(1, 3), kind="norm"),
        Box(id="split2", at=(0, 4), kind="dot"),
        Box(id="add1", text=additions[0], at=(0, 5), kind="add"),
        Box(id="attention", text="attention", at=(1, 6), kind="attention"),
        Box(id="norm1", text="norm 1", at=(1, 7), kind="norm"),
        Box(id="split1", at=(0, 8), kind="dot"),
        Box(id="in", text="x in", at=(0, 9), kind="end"),
    ]
    line = ["in", "split1", "add1", "split2", "add2", "out"]
    branches = [["split1", "norm1", "attention", "add1"], ["split2", "norm2", "ffn", "add2"]]
    arrows = [Arrow(start=a, to=b, thick=True) for a, b in pairwise(line)]
    arrows += [Arrow(start=a, to=b) for branch in branches for a, b in pairwise(branch)]
    return flow(title, boxes, arrows, told=told)


def figure_places() -> str:
    """One sublayer under post-norm and under pre-norm. The thick line is the bypass. Under post-norm it runs into the
    norm, under pre-norm it is clean."""
    boxes = [
        Box(id="post out", text="out", at=(0, 0), kind="end"),
        Box(id="post norm", text="norm", at=(0, 1), kind="bad"),
        Box(id="post add", at=(0, 2), kind="add"),
        Box(id="post f", text="sublayer", at=(1, 3), kind="attention"),
        Box(id="post split", at=(0, 5), kind="dot"),
        Box(id="post in", text="post-norm: x", at=(0, 6), kind="end"),
        Box(id="pre out", text="out", at=(2, 0), kind="end"),
        Box(id="pre add", at=(2, 2), kind="add"),
        Box(id="pre f", text="sublayer", at=(3, 3), kind="attention"),
        Box(id="pre norm", text="norm", at=(3, 4), kind="norm"),
        Box(id="pre split", at=(2, 5), kind="dot"),
        Box(id="pre in", text="pre-norm: x", at=(2, 6), kind="end"),
    ]
    lines = [
        ["post in", "post split", "post add", "post norm", "post out"],
        ["pre in", "pre split", "pre add", "pre out"],
    ]
    branches = [["post split", "post f", "post add"], ["pre split", "pre norm", "pre f", "pre add"]]
    arrows = [Arrow(start=a, to=b, thick=True) for line in lines for a, b in pairwise(line)]
    arrows += [Arrow(start=a, to=b) for branch in branches for a, b in pairwise(branch)]
    told = (
        "Post-norm: x runs to a plus sign, then through a norm, then out; the sublayer beside it. Pre-norm: x runs to "
        "a plus sign and out, with no norm on the way; beside it a norm and then the sublayer."
    )
    return flow("Where the norm stands: post and pre", boxes, arrows, told=told)
