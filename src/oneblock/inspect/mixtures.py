"""What a mixture of experts costs, from its configuration."""

from __future__ import annotations

from typing import NamedTuple

from oneblock.config.experts import Limited, Mixture
from oneblock.config.feedforward import Dense, Gated


class Cost(NamedTuple):
    """Parameters, those that one token passes, and how many of these are weights of a matrix product."""

    parameters: int
    active: int
    in_products: int


def dense_cost(option: Dense | Gated, width: int) -> Cost:
    """One feed-forward: every token passes all of it."""
    hidden, inner = option.hidden_width(width), 2 if isinstance(option, Gated) else 1
    weights = (inner + 1) * width * hidden
    parameters = weights + option.bias * (inner * hidden + width)
    return Cost(parameters, parameters, weights)


def mixture_cost(option: Mixture, width: int) -> Cost:
    """The router, k of the E experts, and the shared ones."""
    one, router = dense_cost(option.expert, width), width * option.num_experts
    together = option.shared_option(width)
    shared = dense_cost(together, width) if together else Cost(0, 0, 0)
    return Cost(
        option.num_experts * one.parameters + shared.parameters + router,
        option.num_chosen * one.parameters + shared.parameters + router,
        option.num_chosen * one.in_products + shared.in_products + router,
    )


def capacity_flops(option: Mixture, width: int, length: int, *, training: bool) -> int:
    """Forward FLOPs a token that a capacity adds or saves, in one row of `length` tokens.

    Sorted, at most E·C of S tokens are computed, and no empty place is. By einsum all E·C places are, empty or not,
    and the masks take 4·E·C·D more. Without a capacity, or where there are places enough, it is 0 when sorted.
    """
    tokens = min(getattr(option, "group_size", None) or length, length)
    limit = option.limit(tokens, training=training) if isinstance(option, Limited) else None
    if limit is None:
        return 0
    places = option.num_experts * min(limit, tokens)
    one, masks = 2 * dense_cost(option.expert, width).in_products, 4 * places * width
    if option.dispatch == "einsum":
        return round(one * (places / tokens - option.num_chosen)) + masks
    return round(one * min(0.0, places / tokens - option.num_chosen))
