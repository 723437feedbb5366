"""What softmax must do."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.softmax.reference import softmax


def steps(x: Tensor, dim: int) -> dict[str, Tensor]:
    """What arises on the way."""
    shifted = x - x.amax(dim=dim, keepdim=True)
    return {
        "x − max": shifted,
        "exp(x − max)": shifted.exp(),
        "the sum of the exponentials": shifted.exp().sum(dim=dim, keepdim=True),
    }


def values(a: Asker) -> Finding | None:
    x = a.randn(*a.primes(3)) * 2
    # Everything is asked before anything is judged: a diagnosis has more to go by.
    given = {dim: a.call("softmax", x, dim) for dim in (1, -1, 0)}
    for dim, got in given.items():
        found = a.same(got, softmax(x, dim), f"softmax(x, dim={dim})", steps=lambda: steps(x, dim))  # noqa: B023
        if found:
            return found
    return None


def shapes(a: Asker) -> Finding | None:
    for shape, dim in (((7,), 0), ((3, 5), -2), ((2, 3, 2, 5), 2), ((3, 1), 1)):
        x = a.randn(*shape)
        found = a.same(a.call("softmax", x, dim), softmax(x, dim), f"softmax of shape {list(shape)}, dim={dim}")
        if found:
            return found
    return None


def large(a: Asker) -> Finding | None:
    near = a.randn(5, 3)
    # exp overflows beyond this.
    most = math.log(torch.finfo(a.dtype).max)
    lone, far = near.clone(), near + a.tensor([1e4, -1e4, 1e4, -1e4, 0.0])[:, None]
    lone[0, 0] += 1.35 * most
    asked = {
        "softmax of scores near ±10,000": far,
        f"softmax where one score stands {1.35 * most:.0f} above the others": lone,
        "softmax where one score stands 10,000 above the others": near + a.tensor([1e4, 0.0, 0.0]),
    }
    given = [a.call("softmax", x, -1) for x in asked.values()]
    # In float32 numbers near 10,000 are 0.001 apart.
    tolerance = 5e-3 if a.dtype == torch.float32 else None
    for got, (what, x) in zip(given, asked.items(), strict=True):
        found = a.same(got, softmax(x, -1), what, tolerance=tolerance)
        if found:
            return found
    return None


def gradient(a: Asker) -> Finding | None:
    x = a.randn(5, 3)
    weigh = a.randn(5, 3)
    found = a.grads("softmax", x, 1, weigh=weigh)["inputs"].get("0.0")
    if found is None:
        return a.found("no gradient reaches x: is a part of it cut off (detach, item, numpy)?")
    share = softmax(x, 1)
    right = share * (weigh - (share * weigh).sum(1, keepdim=True))
    return a.same(found, right, "the gradient for x")


def float32(a: Asker) -> Finding | None:
    x = a.randn(3, 7, dtype=torch.float32)
    return a.same(a.call("softmax", x, 1), softmax(x, 1), "softmax in float32")


CHECKS = (
    Check(
        id="values",
        run=values,
        hints=(
            "Along dim the shares add up to 1, and each is exp of its score over the sum of all.",
            "Look at the axis of the sum, and at what the exponentials are divided by.",
            "e = exp(x − something that is the same along dim); return e / (sum of e along dim, the axis kept)",
        ),
    ),
    Check(
        id="shapes",
        run=shapes,
        needs=("values",),
        hints=(
            "It works for every shape and every dim, also negative ones.",
            "Look for an axis or a number of axes that is fixed.",
            "use dim itself in every reduction, with keepdim=True",
        ),
    ),
    Check(
        id="large",
        run=large,
        needs=("values",),
        hints=(
            "Only differences of scores count, so scores of 10,000 are as good as scores of 0.",
            "Look at what stands inside exp: it must never be far above 0, in any row.",
            "x − (the largest of x along dim, the axis kept), then exp",
        ),
    ),
    Check(
        id="gradient",
        run=gradient,
        needs=("values",),
        hints=(
            "The gradient flows back through the shares to the scores.",
            "Look for detach, .data, item, numpy or a no_grad block.",
            "compute everything with torch operations on x",
        ),
    ),
    Check(
        id="float32",
        run=float32,
        needs=("values",),
        hints=(
            "The dtype that comes in is the dtype that goes out.",
            "Look for .float(), .double() or a tensor made with a dtype of its own.",
            "leave out every change of dtype, or return result.to(x.dtype)",
        ),
    ),
)
