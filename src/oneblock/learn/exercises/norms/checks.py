"""What the two norms must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.norms.reference import layer_norm, rms_norm

RIGHT: dict[str, Callable[..., Tensor]] = {"layer_norm": layer_norm, "rms_norm": rms_norm}
SMALL = 1e-12
"""An eps that no number shows: what is wrong about eps has a check of its own."""


def layer_steps(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> dict[str, Tensor]:
    """What arises on the way."""
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    scaled = (x - mean) / (variance + eps).sqrt()
    return {"the mean of each token": mean, "√(variance + eps)": (variance + eps).sqrt(),
            "(x − mean) / √(variance + eps)": scaled, "that times weight": scaled * weight}  # fmt: skip


def rms_steps(x: Tensor, weight: Tensor, eps: float) -> dict[str, Tensor]:
    """What arises on the way."""
    root = (x.square().mean(-1, keepdim=True) + eps).sqrt()
    return {"√(mean square + eps)": root, "x / √(mean square + eps)": x / root}


def compared(a: Asker, name: str, given: dict[str, tuple[Any, ...]]) -> Finding | None:
    """One of the two on several inputs, each against the right one. All are asked before any is judged."""
    answers = {told: a.call(name, *args) for told, args in given.items()}
    steps = layer_steps if name == "layer_norm" else rms_steps
    for told, args in given.items():
        found = a.same(answers[told], RIGHT[name](*args), f"{name} of {told}", steps=lambda: steps(*args))  # noqa: B023
        if found:
            return found
    return None


def learned(a: Asker, name: str, width: int) -> tuple[Tensor, ...]:
    """Gain and bias that are not what they are at first; rms_norm has no bias."""
    return (a.randn(width), a.randn(width))[: 2 if name == "layer_norm" else 1]


def tokens(a: Asker, *shape: int) -> Tensor:
    """Tokens of different size, none of mean 0: neither the mean nor the size can be left out unseen."""
    size, place = 0.5 + a.rand(*shape[:-1], 1), 1 + a.rand(*shape[:-1], 1)
    return size * (a.randn(*shape) + place)


def values(name: str) -> Callable[[Asker], Finding | None]:
    """One token, several, and a batch of several."""

    def run(a: Asker) -> Finding | None:
        # Of two numbers the absolute deviation is the standard one, so a token has more.
        batch, time, width = sorted(a.primes(3))
        more = learned(a, name, width)
        return compared(
            a,
            name,
            {
                "one token": (tokens(a, width), *more, SMALL),
                "several tokens": (tokens(a, time, width), *more, SMALL),
                "a batch": (tokens(a, batch, time, width), *more, SMALL),
            },
        )

    return run


def eps(name: str) -> Callable[[Asker], Finding | None]:
    """Where eps counts: small numbers, and an eps that is not small."""

    def run(a: Asker) -> Finding | None:
        width = 7
        more = learned(a, name, width)
        x = a.randn(3, width)
        flat = a.tensor([[0.0] * width, [2.0] * width])
        return compared(
            a,
            name,
            {
                "numbers near 1 with eps 0.3": (x, *more, 0.3),
                "numbers near 0.001 with eps 1e-5": (x * 1e-3, *more, 1e-5),
                "numbers near 0.1 with eps 0.01": (x * 0.1, *more, 0.01),
                "tokens whose numbers are all equal, with eps 1e-5": (flat, *more, 1e-5),
            },
        )

    return run


def sizes(name: str) -> Callable[[Asker], Finding | None]:
    """Any number of axes, one feature, tokens of very different size."""

    def run(a: Asker) -> Finding | None:
        far = a.tensor([1e-2, 1.0, 1e3])[:, None]
        return compared(
            a,
            name,
            {
                "shape 2×3×2×5": (tokens(a, 2, 3, 2, 5), *learned(a, name, 5), 1e-6),
                "shape 1×7": (tokens(a, 1, 7), *learned(a, name, 7), 1e-6),
                "shape 5×1": (tokens(a, 5, 1), *learned(a, name, 1), 0.1),
                "shape 7×7": (tokens(a, 7, 7), *learned(a, name, 7), 1e-6),
                "tokens near 0.01, 1 and 1000": (far * a.randn(3, 11), *learned(a, name, 11), 1e-6),
            },
        )

    return run


def gradient(name: str) -> Callable[[Asker], Finding | None]:
    """Through x, weight and bias; and finite for a token whose numbers are all equal."""

    def run(a: Asker) -> Finding | None:
        x, more = tokens(a, 3, 2, 5), learned(a, name, 5)
        flat = torch.cat([tokens(a, 1, 5), a.tensor([[0.0] * 5, [2.0] * 5])])
        weigh, other = a.randn(3, 2, 5), a.randn(3, 5)
        found = a.grads(name, x, *more, 0.1, weigh=weigh)["inputs"]
        equal = a.grads(name, flat, *more, 0.1, weigh=other)["inputs"]
        for got, args, weight, told in (
            (found, (x, *more), weigh, ""),
            (equal, (flat, *more), other, " where all numbers of a token are equal"),
        ):
            leaves = [t.clone().requires_grad_(True) for t in args]
            right = torch.autograd.grad((RIGHT[name](*leaves, 0.1) * weight).sum(), leaves)
            for at, (of, expected) in enumerate(zip(("x", "weight", "bias"), right, strict=False)):
                if got.get(f"0.{at}") is None:
                    return a.found(f"{name}: no gradient reaches {of}: is it cut off (detach, item, no_grad)?")
                wrong = a.same(got[f"0.{at}"], expected, f"{name}: the gradient for {of}{told}")
                if wrong:
                    return wrong
        return None

    return run


def float32(a: Asker) -> Finding | None:
    x, weight, bias = (t.float() for t in (tokens(a, 3, 7), a.randn(7), a.randn(7)))
    return compared(a, "layer_norm", {"float32": (x, weight, bias, 1e-5)}) or compared(
        a, "rms_norm", {"float32": (x, weight, 1e-5)}
    )


def _four(name: str, short: str, formula: str, scale: str) -> tuple[Check, ...]:
    """The checks that both norms have."""
    return (
        Check(
            id=f"{short}_values",
            run=values(name),
            hints=(
                f"Each token by itself: {formula}.",
                "Look at the axis and at what it is divided by (D numbers, the root, weight"
                + (", bias)." if name == "layer_norm" else "; no mean is taken away)."),
                scale,
            ),
        ),
        Check(
            id=f"{short}_eps",
            run=eps(name),
            needs=(f"{short}_values",),
            hints=(
                "eps keeps a token whose numbers are nearly equal from being blown up: it stands under the root.",
                "Look at the line with the root: what is added, and before or after the root is taken?",
                f"sqrt({'variance' if name == 'layer_norm' else 'mean square'} + eps), with the eps that comes in",
            ),
        ),
        Check(
            id=f"{short}_sizes",
            run=sizes(name),
            needs=(f"{short}_eps",),
            hints=(
                "Any number of axes may stand in front, and any of them may be 1.",
                "Look for an axis or a number of axes that is fixed.",
                "dim=-1 and keepdim=True in each mean",
            ),
        ),
        Check(
            id=f"{short}_gradient",
            run=gradient(name),
            needs=(f"{short}_eps",),
            hints=(
                "Gradients flow to x, also through what it is divided by, and to what is learned.",
                "Look for detach, .data, item, a no_grad block; and for a root that is taken of 0 alone.",
                "compute everything with torch operations on what comes in; take one root, with eps under it",
            ),
        ),
    )


CHECKS = (
    *_four(
        "layer_norm",
        "layer",
        "(x − mean) / √(variance + eps) · weight + bias, the variance divided by D",
        "c = x - mean of x over dim -1; v = mean of c² over dim -1; c / sqrt(v + eps) * weight + bias",
    ),
    *_four(
        "rms_norm",
        "rms",
        "x / √(mean square + eps) · weight",
        "m = mean of x² over dim -1; x / sqrt(m + eps) * weight",
    ),
    Check(
        id="float32",
        run=float32,
        needs=("layer_values", "rms_values"),
        hints=(
            "The dtype that comes in is the dtype that goes out.",
            "Look for .float(), .double() or a tensor made with a dtype of its own.",
            "leave out every change of dtype, or return result.to(x.dtype)",
        ),
    ),
)
