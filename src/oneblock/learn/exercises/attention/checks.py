"""What attention must do."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.attention.reference import attention


def steps(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
    """What arises on the way."""
    product = q @ k.transpose(-2, -1)
    output, weights = attention(q, k, v, mask)
    return {"q kᵀ": product, "q kᵀ / √K": product / math.sqrt(q.shape[-1]), "the weights": weights, "output": output}


def pair(a: Asker, *args: Any) -> tuple[Any, Any]:
    """(output, weights), or a finding that it is not that."""
    got = a.call("attention", *args)
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Failed(a.found(f"attention gives {describe(got)}; (output, weights) is asked"))
    return got[0], got[1]


def compared(a: Asker, *args: Any, told: str = "", tolerance: float | None = None) -> Finding | None:
    """Output and weights against the right ones."""
    right_output, right_weights = attention(*args)
    output, weights = pair(a, *args)
    way = lambda: steps(*args)  # noqa: E731
    return a.same(weights, right_weights, f"weights{told}", steps=way, tolerance=tolerance) or a.same(
        output, right_output, f"output{told}", steps=way, tolerance=tolerance
    )


def inputs(a: Asker, *front: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v whose four sizes are different primes."""
    queries, keys, width, value_width = a.primes(4)
    return a.randn(*front, queries, width), a.randn(*front, keys, width), a.randn(*front, keys, value_width)


def some_mask(a: Asker, *shape: int) -> Tensor:
    """A random mask under which every query sees something and, where there are two keys, not everything."""
    mask = a.rand(*shape) < 0.5
    mask[..., 0] |= ~mask.any(-1)
    every = mask.all(-1)
    mask[..., -1] &= ~every if shape[-1] > 1 else True
    return mask


def values(a: Asker) -> Finding | None:
    for front in ((), (2,), (2, 3)):
        found = compared(a, *inputs(a, *front), told=f" with {len(front)} axes in front" if front else "")
        if found:
            return found
    return None


def mask(a: Asker) -> Finding | None:
    q, k, v = inputs(a, 2, 3)
    sizes = q.shape[-2], k.shape[-2]
    for shape in (sizes, (2, 1, *sizes), (3, *sizes)):
        found = compared(a, q, k, v, some_mask(a, *shape), told=f" under a mask {'×'.join(map(str, shape))}")
        if found:
            return found
    return None


def long(a: Asker) -> Finding | None:
    q, k, v = a.randn(3, 5), a.randn(131, 5), a.randn(131, 2)
    return compared(a, q, k, v, told=" with 131 keys") or compared(
        a, q, k, v, some_mask(a, 3, 131), told=" with 131 keys under a mask"
    )


def hidden(a: Asker) -> Finding | None:
    # Scores near −20,000, which a hidden one at −10,000 would beat. K = 16 and whole numbers: exact in float32 too.
    q, k, v = torch.zeros(3, 16, dtype=a.dtype), torch.zeros(7, 16, dtype=a.dtype), a.randn(7, 5)
    q[:, 0], q[:, 1] = 200.0, a.randint(1, 4, 3).to(a.dtype)
    k[:, 0], k[:, 1] = -400.0, a.randint(-3, 4, 7).to(a.dtype)
    found = compared(a, q, k, v, some_mask(a, 3, 7), told=" for scores near −20,000 under a mask")
    if found:
        return found
    # Hidden keys whose scores are the largest by 60: less than what float32 has shares for.
    large, beyond = q.clone(), k.clone()
    large[:, 0], beyond[:, 0] = 40.0, torch.tensor([0, 6, 0, 0, 6, 0, 0])
    seen = (beyond[:, 0] == 0).expand(3, 7)
    return compared(a, large, beyond, v, seen, told=" where hidden scores are the largest by far")


def large(a: Asker) -> Finding | None:
    q, k, v = inputs(a)
    # Scores of about 10,000 whose differences are small.
    q, k = torch.ones_like(q), torch.ones_like(k) * (1e4 / math.sqrt(q.shape[-1])) + k
    # In float32 numbers near 10,000 are 0.001 apart.
    tolerance = 0.02 if a.dtype == torch.float32 else None
    return compared(a, q, k, v, told=" for scores near 10,000", tolerance=tolerance)


def empty_mask(a: Asker, queries: int, keys: int) -> Tensor:
    """Its second query may attend to nothing."""
    hidden = some_mask(a, queries, keys)
    hidden[1] = False
    return hidden


def empty_row(a: Asker) -> Finding | None:
    q, k, v = inputs(a)
    allowed = empty_mask(a, q.shape[-2], k.shape[-2])
    output, weights = pair(a, q, k, v, allowed)
    right_output, right_weights = attention(q, k, v, allowed)
    if isinstance(weights, Tensor) and weights.shape == right_weights.shape:
        # Any shares will do there, or none: a mask of −10⁹ that is added leaves the differences of the scores.
        row = weights[1].double()
        shares = bool((row >= 0).all()) and min(abs(float(row.sum())), abs(float(row.sum()) - 1)) < 1e-5
        right_weights[1] = weights[1] if shares else right_weights[1]
        right_output[1] = right_weights[1] @ v
    told = "where one query may attend to nothing"
    return a.same(weights, right_weights, f"weights {told}") or a.same(output, right_output, f"output {told}")


def empty_gradient(a: Asker) -> Finding | None:
    q, k, v = inputs(a)
    allowed = empty_mask(a, q.shape[-2], k.shape[-2])
    found = a.grads("attention", q, k, v, allowed, weigh=a.randn(q.shape[-2], v.shape[-1]))
    for place, name in (("0.0", "q"), ("0.1", "k"), ("0.2", "v")):
        gradient = found["inputs"].get(place)
        if gradient is None:
            return a.found(f"no gradient reaches {name}")
        if not bool(torch.isfinite(gradient).all()):
            return a.found(f"the gradient for {name} is not finite where one query may attend to nothing")
    return None


def gradient(a: Asker) -> Finding | None:
    q, k, v = inputs(a, 2)
    weigh = a.randn(2, q.shape[-2], v.shape[-1])
    found = a.grads("attention", q, k, v, weigh=weigh)["inputs"]
    leaves = [t.clone().requires_grad_(True) for t in (q, k, v)]
    right = torch.autograd.grad((attention(*leaves)[0] * weigh).sum(), leaves)
    for place, name, expected in zip(("0.0", "0.1", "0.2"), "qkv", right, strict=True):
        if found.get(place) is None:
            return a.found(f"no gradient reaches {name}: is something cut off (detach, item, numpy)?")
        wrong = a.same(found[place], expected, f"the gradient for {name}")
        if wrong:
            return wrong
    return None


def float32(a: Asker) -> Finding | None:
    q, k, v = (t.float() for t in inputs(a, 3))
    return compared(a, q, k, v, some_mask(a, q.shape[-2], k.shape[-2]), told=" in float32")


def lab(a: Asker) -> tuple[Tensor, Tensor]:
    """Two texts of eight tokens of width 16 under a causal mask."""
    q, k, v = a.randn(2, 8, 16), a.randn(2, 8, 16), a.randn(2, 8, 16)
    return pair(a, q, k, v, torch.ones(8, 8, dtype=torch.bool).tril())


def lab_shape(a: Asker) -> Finding | None:
    output, _ = lab(a)
    return (
        None if tuple(output.shape) == (2, 8, 16) else a.found(f"output is {list(output.shape)}; (2, 8, 16) is right")
    )


def lab_causal(a: Asker) -> Finding | None:
    _, weights = lab(a)
    leak = float(weights.triu(1).abs().max())
    return (
        None if leak < 1e-6 else a.found(f"a token attends to later ones: weights up to {leak:.2g} above the diagonal")
    )


def lab_rows(a: Asker) -> Finding | None:
    _, weights = lab(a)
    return a.same(weights.sum(-1), torch.ones(2, 8, dtype=a.dtype), "the sum of each query's weights")


CHECKS = (
    Check(
        id="values",
        run=values,
        hints=(
            "Without a mask the output is softmax(q kᵀ / √K) v, for any number of axes in front.",
            "Follow the shapes: scores T×S, softmax over S, output T×W; and look at what the scores are divided by.",
            "scores = q @ k with its last two axes swapped / sqrt(last size of q); w = softmax(scores, -1); w @ v, w",
        ),
    ),
    Check(
        id="lab_shape",
        run=lab_shape,
        needs=("values",),
        hints=("For T = S = 8 and width 16 the output is (2, 8, 16).", "Look at the last product.", "weights @ v"),
    ),
    Check(
        id="mask",
        run=mask,
        needs=("values",),
        hints=(
            "A key that the mask hides has a weight of 0, and the other weights still add up to 1.",
            "Look between scores and softmax: which way round is the mask, and what do hidden scores become?",
            "scores = scores, but very negative where not mask; then softmax",
        ),
    ),
    Check(
        id="lab_causal",
        run=lab_causal,
        needs=("mask",),
        hints=(
            "Under a causal mask no weight stands above the diagonal.",
            "Look at where the mask is put in.",
            "hidden scores become very negative before the softmax",
        ),
    ),
    Check(
        id="lab_rows",
        run=lab_rows,
        needs=("mask",),
        hints=("Each query's weights add up to 1.", "Look at the axis of the softmax.", "softmax(scores, dim=-1)"),
    ),
    Check(
        id="large",
        run=large,
        needs=("values",),
        hints=(
            "Scores of 10,000 are as good as scores of 0: only differences count.",
            "Look at your softmax.",
            "subtract the largest score of each query before exp",
        ),
    ),
    Check(
        id="long",
        run=long,
        needs=("mask",),
        hints=(
            "Every query attends to all keys that it may see, however many there are.",
            "Look for a number that stands for a length.",
            "no size is written out: all come from the shapes of q, k and v",
        ),
    ),
    Check(
        id="hidden",
        run=hidden,
        needs=("mask", "large"),
        hints=(
            "A hidden key has a share of 0 whatever its score and those of the others are.",
            "Look at the number that stands for −∞, or at what is taken from hidden scores: is it large enough?",
            "fill hidden scores with the lowest number of the dtype",
        ),
    ),
    Check(
        id="empty_row",
        run=empty_row,
        needs=("mask",),
        hints=(
            "A query that may attend to nothing gets something finite: zeros, or the plain mean of the values.",
            "Look at what softmax makes of a row that is −∞ everywhere.",
            "fill hidden scores with the lowest number of the dtype, not with −∞",
        ),
    ),
    Check(
        id="gradient",
        run=gradient,
        needs=("values",),
        hints=(
            "Gradients reach q, k and v.",
            "Look for detach, .data, item, numpy or a no_grad block.",
            "compute everything with torch operations on what comes in",
        ),
    ),
    Check(
        id="empty_gradient",
        run=empty_gradient,
        needs=("empty_row", "gradient"),
        hints=(
            "Where a query may attend to nothing, gradients are finite too.",
            "NaN that is replaced afterwards is still there on the way back.",
            "see that no NaN arises: fill hidden scores with the lowest number of the dtype, not with −∞",
        ),
    ),
    Check(
        id="float32",
        run=float32,
        needs=("mask",),
        hints=(
            "The dtype that comes in is the dtype that goes out.",
            "Look for tensors made with a dtype of their own, and for numbers that float32 does not have.",
            "torch.finfo(scores.dtype).min is the lowest number of any dtype",
        ),
    ),
)
