"""The numbers of the lesson on plain stacks that fail."""

from math import sqrt

from oneblock.learn.course.figures import lines

START = 4.0
GROWS, SHRINKS, TURNS = 1.8, 0.2, -1.2
STEPS, DEPTH = 3, 12
TOKEN: list[float] = [2, 1, -1]
FACTOR, BIAS, TENTH = 3, [0, 0, -1], 0.1
TRY, TRY_FACTOR = 5.0, 1.5
SPIKE = 600
LAYERS = 24
DRIFT = 1.1


def stack(
    factor: float = GROWS,
    x: float = START,
    layers: int = STEPS,
) -> list[float]:
    values = [x]
    for _ in range(layers):
        x = factor * x
        values.append(x)
    return values


def grow(x: list[float] = TOKEN) -> list[list[float]]:
    first = [FACTOR * v + bias for v, bias in zip(x, BIAS, strict=True)]
    second = [FACTOR * v for v in first]
    return [x, first, second]


def shrink(x: list[float] = TOKEN) -> list[list[float]]:
    """Each of two layers leaves a tenth."""
    return [x, [TENTH * value for value in x], [TENTH * TENTH * value for value in x]]


def norm(x: list[float]) -> float:
    """The length of a vector: the root of the sum of its squares."""
    return sqrt(sum(value * value for value in x))


def norms(tokens: list[list[float]]) -> list[float]:
    return [norm(token) for token in tokens]


def stacks() -> list[tuple[str, list[float]]]:
    """The three stacks: what each does, and its values."""
    return [
        ("explodes", stack(GROWS)),
        ("collapses", stack(SHRINKS)),
        ("oscillates", stack(TURNS)),
    ]


def figure_stacks() -> str:
    """Three plain stacks that begin with the same number: one explodes, one collapses, one turns its sign each time."""
    return lines(
        "One number in three plain stacks",
        {f"×{str(factor).replace('-', '−')}": stack(factor) for factor in (GROWS, SHRINKS, TURNS)},
        x="layer",
        y="value",
    )
