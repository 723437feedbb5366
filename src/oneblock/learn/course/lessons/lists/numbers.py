"""A line of tensors that is wrong and runs, and the four first parts on plain lists, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oneblock.learn.course.figures import belt

Vector = Sequence[float]
Rows = Sequence[Vector]

# Two tokens of two features: square, so that a wrong axis raises no error.
square = [[1.0, 3.0], [5.0, 6.0]]
row_means = [sum(row) / 2 for row in square]
column_means = [sum(column) / 2 for column in zip(*square, strict=True)]
right = [[value - row_means[i] for value in row] for i, row in enumerate(square)]
# What `x - x.mean(dim=-1)` does without keepdim: the means of the rows are laid over the columns.
wrong = [[value - row_means[j] for j, value in enumerate(row)] for row in square]

# Softmax.
scores = [2.0, 1.0, 0.0]
exponentials = [math.exp(score) for score in scores]
total = sum(exponentials)
shares = [part / total for part in exponentials]
thirds = [math.log(1), math.log(2), math.log(3)]
far = [1000, 999]


def dot(a: Vector, b: Vector) -> float:
    """The sum of the products, pair by pair."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def too_large() -> str:
    """What plain Python says to exp of a large score."""
    try:
        return str(math.exp(1000))
    except OverflowError as error:
        return f"OverflowError: {error}"


def shifted_parts() -> list[float]:
    """The exponentials of the far scores when the largest is subtracted first."""
    return [math.exp(score - max(far)) for score in far]


# Attention of one query.
query = [1.0, 2.0]
keys = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
values = [[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
products = [dot(query, key) for key in keys]
scaled = [product / math.sqrt(2) for product in products]
parts = [math.exp(score - max(scaled)) for score in scaled]
weights = [part / sum(parts) for part in parts]
output = [dot(weights, column) for column in zip(*values, strict=True)]
first_two = [math.exp(score - max(scaled[:2])) for score in scaled[:2]]
causal = [*(part / sum(first_two) for part in first_two), 0.0]

# LayerNorm and the residual.
token = [2.0, 4.0, 6.0]
mean = sum(token) / 3
variance = sum((value - mean) ** 2 for value in token) / 3
normed = [(value - mean) / math.sqrt(variance) for value in token]
stream, slip = [2.0, -1.0, 3.0], [0.4, 0.2, -0.1]
summed = [a + b for a, b in zip(stream, slip, strict=True)]


def joined() -> list[float]:
    """What + does to two lists."""
    return stream + slip


def shared_rows() -> list[list[int]]:
    """Three rows made by *: one row, three times."""
    rows = [[0, 0]] * 3
    rows[0][1] = 7
    return rows


def changed_by_caller() -> list[float]:
    """A list that was passed on and changed there."""

    def branch(x: list[float]) -> list[float]:
        x[0] = 0.0
        return x

    given = [2.0, -1.0, 3.0]
    branch(given)
    return given


multiplications = {length: 12 * length * length * 64 for length in (8, 1024)}


def figure_belt() -> str:
    """One station. The copy is inspected at each bench, the slip is added, and the parcel stays on the belt."""
    return belt("A station of the belt", stations=("attention", "feed-forward"), before=2)
