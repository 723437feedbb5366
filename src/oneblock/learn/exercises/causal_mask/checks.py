"""What the causal mask must do."""

from __future__ import annotations

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.causal_mask.reference import causal_mask


def compared(a: Asker, queries: int, keys: int) -> Finding | None:
    """One table against the right one."""
    return a.same(a.call("causal_mask", queries, keys), causal_mask(queries, keys), f"causal_mask({queries}, {keys})")


def square(a: Asker) -> Finding | None:
    (size,) = a.primes(1)
    return compared(a, 5, 5) or compared(a, size, size)


def more_keys(a: Asker) -> Finding | None:
    few, many = sorted(a.primes(2))
    return compared(a, few, many) or compared(a, 3, 7)


def one_query(a: Asker) -> Finding | None:
    (keys,) = a.primes(1)
    return compared(a, 1, keys) or compared(a, 1, 1)


def more_queries(a: Asker) -> Finding | None:
    few, many = sorted(a.primes(2))
    return compared(a, many, few) or compared(a, 7, 3)


def long(a: Asker) -> Finding | None:
    return next((found for sizes in ((131, 131), (67, 1031), (1031, 5)) if (found := compared(a, *sizes))), None)


CHECKS = (
    Check(
        id="square",
        run=square,
        hints=(
            "With as many queries as keys, query i sees the keys 0 … i: a boolean lower triangle.",
            "Look at the diagonal, at the dtype, and at what True means.",
            "mask[i, j] = (j <= i)",
        ),
    ),
    Check(
        id="more_keys",
        run=more_keys,
        needs=("square",),
        hints=(
            "The last query belongs to the last key; the shape is num_queries × num_keys.",
            "Look at where the triangle begins when there are more keys than queries.",
            "mask[i, j] = (j <= i + num_keys - num_queries)",
        ),
    ),
    Check(
        id="one_query",
        run=one_query,
        needs=("more_keys",),
        hints=(
            "A single query is the newest token: it sees every key.",
            "Look at the shift for num_queries = 1.",
            "mask[0, j] = (j <= num_keys - 1), always true",
        ),
    ),
    Check(
        id="more_queries",
        run=more_queries,
        needs=("more_keys",),
        hints=(
            "With more queries than keys the last query still belongs to the last key; the first see none.",
            "Look for max(0, …), abs(…), or a case of its own.",
            "the same formula: i + num_keys - num_queries may be negative, and then no j is small enough",
        ),
    ),
    Check(
        id="long",
        run=long,
        needs=("more_queries",),
        hints=(
            "Any number of queries and keys, such as 67 and 1,031.",
            "Look for a table of fixed size, a window, or numbers in a dtype that ends at 127.",
            "make places and keys with torch.arange from the two arguments",
        ),
    ),
)
