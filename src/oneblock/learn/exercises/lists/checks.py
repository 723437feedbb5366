"""What the four must do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.lists.reference import attention, layer_norm, residual, softmax

PLAIN = "plain lists of floats are asked"


def numbers(value: Any) -> Tensor | None:
    """Lists of floats, of lists of floats, as a tensor; None for anything else, and for rows of unequal length."""
    if not isinstance(value, list):
        return None
    rows = value if value and all(isinstance(row, list) for row in value) else [value]
    if len({len(row) for row in rows}) > 1 or not all(type(each) in (float, int) for row in rows for each in row):
        return None
    return torch.tensor(value, dtype=torch.float64)


def read(value: Any) -> Any:
    """As a tensor where it is lists of floats; else as it is."""
    found = numbers(value)
    return value if found is None else found


def same(a: Asker, got: Any, right: list[Any], what: str, tolerance: float = 1e-9) -> Finding | None:
    """A finding unless `got` is lists of floats, as many as in `right`, and the same numbers."""
    found = numbers(got)
    if found is None:
        return a.found(f"{what} is {describe(got)}; {PLAIN}", about=got)
    expected = torch.tensor(right, dtype=torch.float64)
    if found.shape != expected.shape:
        mine, theirs = ("×".join(map(str, shape)) for shape in (found.shape, expected.shape))
        return a.found(f"{what} has {mine} numbers; right is {theirs}", about=got)
    wrong = a.same(found, expected, what, tolerance=tolerance)
    return wrong and a.found(wrong.message, about=got)


def draw(a: Asker, *shape: int) -> Any:
    """Normal numbers as lists."""
    return a.randn(*shape).double().tolist()


def shares(a: Asker) -> Finding | None:
    given = [draw(a, size) for size in (*a.primes(2), 1)]
    answers = [a.call("softmax", x) for x in given]
    for x, got in zip(given, answers, strict=True):
        if found := same(a, got, softmax(x), f"softmax of {len(x)} scores"):
            return found
    return None


def large(a: Asker) -> Finding | None:
    near = draw(a, 5)
    # In this order each wrong shift stumbles over another.
    given = {
        "scores of which one stands 600 above and one 600 below": [near[0], 600.0, *near[1:], -600.0],
        "scores of which the first stands 1,000 below the others": [-1e3, *near],
        "scores near 10,000": [x + 1e4 for x in near],
        "scores near −10,000": [x - 1e4 for x in near],
        "scores of which the last stands 5,000 above the others": [*near, 5e3],
    }
    answers = {what: a.call("softmax", x) for what, x in given.items()}
    for what, x in given.items():
        if found := same(a, answers[what], softmax(x), f"softmax of {what}"):
            return found
    return None


def mixes(a: Asker) -> Finding | None:
    sizes = sorted(a.primes(4))
    # All different, and more keys than queries.
    queries, keys, wide, long = sizes[0], sizes[1], sizes[2], sizes[3]
    given = [
        (draw(a, queries, wide), draw(a, keys, wide), draw(a, keys, long)),
        (draw(a, keys, long), draw(a, queries, long), draw(a, queries, wide)),
        (draw(a, 3, 2), draw(a, 3, 2), draw(a, 3, 2)),
        (draw(a, 17, 2), draw(a, 19, 2), draw(a, 19, 3)),
    ]
    answers = [a.call("attention", *each) for each in given]
    for (q, k, v), got in zip(given, answers, strict=True):
        if found := same(a, got, attention(q, k, v), f"attention of {len(q)} queries and {len(k)} keys"):
            return found
    return None


def sharp(a: Asker) -> Finding | None:
    q, k, v = draw(a, 3, 5), draw(a, 7, 5), draw(a, 7, 2)
    far = [[5000 * number for number in query] for query in q]
    return same(a, a.call("attention", far, k, v), attention(far, k, v), "attention with scores of thousands")


def norm(a: Asker) -> Finding | None:
    given = [[20 * x + 7 for x in draw(a, size)] for size in (7, 3, 11)]
    answers = [a.call("layer_norm", x, 1e-12) for x in given]
    for x, got in zip(given, answers, strict=True):
        # What eps does, and where, is asked apart.
        if found := same(a, got, layer_norm(x, 1e-12), f"layer_norm of {len(x)} numbers", 1e-4):
            return found
    return None


def small(a: Asker) -> Finding | None:
    given = [
        (draw(a, 5), 0.3),
        ([x / 1000 for x in draw(a, 5)], 1e-5),
        ([2.0] * 5, 1e-5),
        ([x / 10 for x in draw(a, 3)], 0.01),
    ]
    answers = [a.call("layer_norm", *each) for each in given]
    for (x, eps), got in zip(given, answers, strict=True):
        if found := same(a, got, layer_norm(x, eps), f"layer_norm with eps {eps:g}"):
            return found
    return None


def added(a: Asker) -> Finding | None:
    x, y, factor = draw(a, 5), draw(a, 3), draw(a, 1)[0]

    def branch(given: list[float]) -> list[float]:
        return [factor * number * number - sum(given) / 3 for number in given]

    given = {
        "one that squares and takes a third of the sum away": (x, branch),
        "one that says 0": (y, lambda seen: [0.0] * len(seen)),
    }
    answers = {what: a.call("residual", each, a.lend(f)) for what, (each, f) in given.items()}
    for what, (each, f) in given.items():
        if found := same(a, answers[what], residual(each, f), f"residual with a branch, {what}"):
            return found
    return None


CHECKS = (
    Check(
        id="softmax",
        run=shares,
        hints=(
            "Each share is exp of its score over the sum of all the exponentials.",
            "Look at what the exponentials are divided by, and at what comes out: a list, as long as the scores.",
            "e = [exp(number - largest) for each number]; [each / sum of e for each of e]",
        ),
    ),
    Check(
        id="large",
        run=large,
        needs=("softmax",),
        hints=(
            "Only differences of scores count, so scores of 10,000 are as good as scores of 0.",
            "Look at what stands inside exp: it must never be far above 0.",
            "take the largest score from every score, then exp",
        ),
    ),
    Check(
        id="attention",
        run=mixes,
        needs=("softmax",),
        hints=(
            "For each query: scores over the keys, softmax of them, the values added up by these weights.",
            "Look at the number under the root (how long a query is), at whose scores go into one softmax (one "
            "query's), and at what is mixed (values).",
            "for query in q: weights = softmax of [dot(query, key) / sqrt(len(query)) for key in k]; then for each i "
            "the sum of weight * value[i]",
        ),
    ),
    Check(
        id="sharp",
        run=sharp,
        needs=("attention", "large"),
        hints=(
            "Attention with large scores is attention still.",
            "Look at which softmax attention calls.",
            "call your own softmax",
        ),
    ),
    Check(
        id="layer_norm",
        run=norm,
        hints=(
            "(x − mean) / √(variance + eps), the variance divided by the number of features.",
            "Look at what is divided by: the root of the mean of the squares of what is left.",
            "c = [number - mean for each]; variance = sum of c·c / len(x); [each / sqrt(variance + eps) for each of c]",
        ),
    ),
    Check(
        id="eps",
        run=small,
        needs=("layer_norm",),
        hints=(
            "eps stands under the root, and is what comes in.",
            "Look at the line with the root: what is added, before or after the root is taken?",
            "math.sqrt(variance + eps)",
        ),
    ),
    Check(
        id="residual",
        run=added,
        hints=(
            "What was there, and what f says of it, number by number.",
            "Look at +: on two lists it joins them.",
            "y = f(x); [first + second for each pair of x and y]",
        ),
    ),
)
