"""What the checks of attention in several heads have in common: weights, the right module, and what is asked."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Remote, describe
from oneblock.learn.child.wire import Handle
from oneblock.learn.exercise import Finding
from oneblock.learn.exercises.multi_head.reference import MultiHeadAttention

Weights = dict[str, Tensor]


def weights_of(a: Asker, heads: int, groups: int, width: int, times: float = 1.0) -> Weights:
    """Weights under which scores are about 1, so that no head attends to one token alone."""
    head = width // heads
    qkv = a.randn((heads + 2 * groups) * head, width) / math.sqrt(width)
    return {"qkv.weight": qkv * times, "output.weight": a.randn(width, width) / math.sqrt(width)}


def right_one(weights: Weights, heads: int, groups: int) -> MultiHeadAttention:
    """The right module with these weights."""
    width = weights["output.weight"].shape[0]
    module = MultiHeadAttention(width, heads, groups).to(weights["output.weight"].dtype)
    module.load_state_dict(weights)
    return module


def built(a: Asker, weights: Weights, heads: int, groups: int) -> Remote:
    """The learner's module with these weights."""
    width = weights["output.weight"].shape[0]
    more = () if groups == heads else (groups,)
    module = a.build("MultiHeadAttention", width, heads, *more)
    try:
        module.load(weights)
    except Failed:
        # What there is tells one misconception from another.
        module.weights()
        raise
    return module


def steps(weights: Weights, heads: int, groups: int, x: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
    """What arises on the way."""
    head, given = x.shape[-1] // heads, x @ weights["qkv.weight"].T
    q, k, v = given.split([heads * head, groups * head, groups * head], -1)
    q, k, v = (part.unflatten(-1, (-1, head)).transpose(1, 2) for part in (q, k, v))
    k, v = (part.repeat_interleave(heads // groups, 1) for part in (k, v))
    product = q @ k.transpose(-2, -1)
    scores = product / math.sqrt(head)
    if mask is not None:
        mask = mask[:, None] if mask.dim() == 3 else mask
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    found = scores.softmax(-1)
    return {
        "q of all heads": q,
        "q kᵀ": product,
        "the weights": found,
        "what the heads find": found @ v,
        "the answer": right_one(weights, heads, groups)(x, mask).detach(),
    }


def judged(
    a: Asker,
    weights: Weights,
    heads: int,
    groups: int,
    given: dict[str, tuple[Any, ...]],
    tolerance: float | None = None,
) -> Finding | None:
    """One module on several inputs. All are asked before any is judged."""
    module, right = built(a, weights, heads, groups), right_one(weights, heads, groups)
    answers = {told: module(*args) for told, args in given.items()}
    for told, args in given.items():
        got = answers[told]
        if isinstance(got, tuple | list | Handle):
            return a.found(f"forward gives {describe(got)}; one tensor, the answer, is asked", about=got)
        way = lambda: steps(weights, heads, groups, *args)  # noqa: B023, E731
        found = a.same(got, right(*args).detach(), f"the answer{told}", steps=way, tolerance=tolerance)
        if found:
            return found
    return None
