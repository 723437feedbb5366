"""What the checks of the block have in common: weights, the right numbers step by step, and what is asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Remote, describe, differs
from oneblock.learn.exercise import Finding

Weights = dict[str, Tensor]
FORMS = ("none", "tanh")
"""torch's names for GELU itself and for its form with tanh; both are right."""


def feed_forward_weights(a: Asker, width: int, hidden: int) -> Weights:
    """Large enough that GELU is far from a straight line."""
    return {
        "up.weight": 2 * a.randn(hidden, width) / math.sqrt(width),
        "down.weight": a.randn(width, hidden) / math.sqrt(hidden),
    }


def block_weights(a: Asker, width: int, hidden: int, *, zeroed: tuple[str, ...] = ()) -> Weights:
    """Of the whole block. zeroed: those that are 0."""
    weights = {
        "norm1.weight": a.randn(width),
        "norm1.bias": a.randn(width),
        "attention.qkv.weight": a.randn(3 * width, width) / math.sqrt(width),
        "attention.output.weight": a.randn(width, width) / math.sqrt(width),
        "norm2.weight": a.randn(width),
        "norm2.bias": a.randn(width),
        **{f"feed_forward.{name}": tensor for name, tensor in feed_forward_weights(a, width, hidden).items()},
    }
    return {name: torch.zeros_like(tensor) if name in zeroed else tensor for name, tensor in weights.items()}


def feed_forward_steps(weights: Weights, x: Tensor, form: str) -> dict[str, Tensor]:
    """What arises on the way; the answer last."""
    inner = x @ weights["up.weight"].T
    active = F.gelu(inner, approximate=form)
    return {"x Wupᵀ": inner, "gelu of that": active, "the answer": active @ weights["down.weight"].T}


def block_steps(weights: Weights, heads: int, x: Tensor, form: str) -> dict[str, Tensor]:
    """What arises on the way; the answer last."""
    width, tokens = x.shape[-1], x.shape[1]
    one = F.layer_norm(x, (width,), weights["norm1.weight"], weights["norm1.bias"], 1e-5)
    q, k, v = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in (one @ weights["attention.qkv.weight"].T).chunk(3, -1)
    )
    scores = q @ k.transpose(-2, -1) / math.sqrt(width // heads)
    later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    shares = scores.masked_fill(later, torch.finfo(scores.dtype).min).softmax(-1)
    found = (shares @ v).transpose(1, 2).flatten(2) @ weights["attention.output.weight"].T
    middle = x + found
    two = F.layer_norm(middle, (width,), weights["norm2.weight"], weights["norm2.bias"], 1e-5)
    inner = {name.removeprefix("feed_forward."): weights[name] for name in weights if name.startswith("feed_forward.")}
    thought = feed_forward_steps(inner, two, form)["the answer"]
    return {
        "norm1(x)": one,
        "the weights of attention": shares,
        "attention(norm1(x))": found,
        "x + attention(norm1(x))": middle,
        "norm2 of that": two,
        "feed_forward of that": thought,
        "the answer": middle + thought,
    }


def built(a: Asker, name: str, args: tuple[int, ...], weights: Weights) -> Remote:
    """The learner's module with these weights."""
    module = a.build(name, *args)
    try:
        module.load(weights)
    except Failed:
        # What there is tells one misconception from another.
        module.weights()
        raise
    return module


def either(a: Asker, got: Any, steps: Callable[[str], dict[str, Tensor]], what: str) -> Finding | None:
    """A finding unless `got` is right by one of the two forms of GELU; about the nearer one."""
    if not isinstance(got, Tensor):
        return a.found(f"{what} is {describe(got)}; a tensor is asked", about=got)
    ways = {form: steps(form) for form in FORMS}
    if any(differs(got, way["the answer"], what) is None for way in ways.values()):
        return None
    form = FORMS[0]
    if got.shape == ways[form]["the answer"].shape:
        form = min(FORMS, key=lambda form: float((got - ways[form]["the answer"]).abs().nan_to_num(1e30).sum()))
    return a.same(got, ways[form]["the answer"], what, steps=lambda: ways[form])


def judged(a: Asker, weights: Weights, heads: int, given: dict[str, Tensor]) -> Finding | None:
    """One block on several inputs. All are asked before any is judged."""
    width, hidden = weights["norm1.weight"].shape[0], weights["feed_forward.up.weight"].shape[0]
    module = built(a, "Block", (width, heads, hidden), weights)
    answers = {told: module(x) for told, x in given.items()}
    for told, x in given.items():
        steps = lambda form: block_steps(weights, heads, x, form)  # noqa: B023, E731
        found = either(a, answers[told], steps, f"the block's answer{told}")
        if found:
            return found
    return None
