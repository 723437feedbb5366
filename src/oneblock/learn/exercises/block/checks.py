"""What the block must do."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.block.asking import (
    block_steps,
    block_weights,
    built,
    either,
    feed_forward_steps,
    feed_forward_weights,
    judged,
)

WIDTH, HEADS, HIDDEN = 10, 2, 13
SILENT = ("attention.output.weight", "feed_forward.down.weight")
"""Where these are 0, both steps add nothing."""


def feed_forward(a: Asker) -> Finding | None:
    batch, time = a.primes(2)
    weights = feed_forward_weights(a, 5, 13)
    module = built(a, "FeedForward", (5, 13), weights)
    given = {"": a.randn(batch, time, 5), " for large numbers": 5 * a.randn(2, 3, 5)}
    answers = {told: module(x) for told, x in given.items()}
    for told, x in given.items():
        steps = lambda form: feed_forward_steps(weights, x, form)  # noqa: B023, E731
        found = either(a, answers[told], steps, f"FeedForward's answer{told}")
        if found:
            return found
    return None


def identity(a: Asker) -> Finding | None:
    batch, time = a.primes(2)
    x = a.randn(batch, time, WIDTH)
    weights = block_weights(a, WIDTH, HIDDEN)
    silent = {name: torch.zeros_like(weights[name]) if name in SILENT else weights[name] for name in weights}
    module = built(a, "Block", (WIDTH, HEADS, HIDDEN), silent)
    got = module(x)
    # Not judged here: what the steps add tells one misconception from another.
    module.load(weights)
    module(x)
    return a.same(got, x, "a block whose two steps add nothing must be the identity; its answer")


def causal(a: Asker) -> Finding | None:
    time, at = 7, 3
    module = built(a, "Block", (WIDTH, HEADS, HIDDEN), block_weights(a, WIDTH, HIDDEN))
    x = a.randn(3, time, WIDTH)
    other = x.clone()
    other[:, at + 1 :] = a.randn(3, time - at - 1, WIDTH)
    one, two = module(x), module(other)
    if not isinstance(one, Tensor) or one.shape != x.shape:
        return a.found(f"the block gives {describe(one)}; a tensor {list(x.shape)} is right", about=one)
    if not bool(torch.isfinite(one).all()):
        return a.found("the block's answer is not finite", about=one)
    found = a.same(
        two[:, : at + 1], one[:, : at + 1], f"the answer at tokens 0 to {at} after later tokens have changed"
    )
    return found and a.found(f"{found.message}: these tokens see later ones", about=two)


def values(a: Asker) -> Finding | None:
    # Long enough for a token to have several before it.
    batch, time = [(3, 5), (2, 7), (3, 7)][int(a.randint(0, 3, 1))]
    # Heads of odd width and of even: some do something else to the even ones, such as turning pairs.
    cases = [[(10, 2, 13), (15, 3, 11)][int(a.randint(0, 2, 1))], (8, 2, 11)]
    answers = [
        judged(a, block_weights(a, w, hidden), heads, {"": a.randn(batch, time, w)}) for w, heads, hidden in cases
    ]
    return next(filter(None, answers), None)


def sizes(a: Asker) -> Finding | None:
    x = a.randn(2, 5, WIDTH)
    for told, zeroed in (
        ("", ()),
        (" where attention adds nothing", SILENT[:1]),
        (" where feed_forward adds nothing", SILENT[1:]),
    ):
        weights = block_weights(a, WIDTH, HIDDEN, zeroed=zeroed)
        given = {f"{told} for numbers near {size:g}": size * x for size in (0.003, 1e3)}
        found = judged(a, weights, HEADS, given)
        if found:
            return found
    return None


def lengths(a: Asker) -> Finding | None:
    given = {f" for {time} token{'s' * (time > 1)}": a.randn(2, time, WIDTH) for time in (3, 1, 7, 40)}
    found = judged(
        a,
        block_weights(a, WIDTH, HIDDEN),
        HEADS,
        given | {" for one text": a.randn(1, 5, WIDTH), " for five": a.randn(5, 3, WIDTH)},
    )
    return found or judged(a, block_weights(a, 4, 3), 1, {" for 1,031 tokens": a.randn(1, 1031, 4)})


def refuses(a: Asker) -> Finding | None:
    return a.raises("Block", 10, 3, 20)


def gradient(a: Asker) -> Finding | None:
    weights = block_weights(a, WIDTH, HIDDEN)
    x, weigh = a.randn(2, 5, WIDTH), a.randn(2, 5, WIDTH)
    found = built(a, "Block", (WIDTH, HEADS, HIDDEN), weights).grads(x, weigh=weigh)
    got = found["inputs"].get("0.0")
    if got is None:
        return a.found("no gradient reaches x: is something cut off (detach, item, numpy)?")

    def right(form: str) -> dict[str, Tensor]:
        leaf = x.clone().requires_grad_(True)
        total = (block_steps(weights, HEADS, leaf, form)["the answer"] * weigh).sum()
        return {"the answer": torch.autograd.grad(total, leaf)[0]}

    wrong = either(a, got, right, "the gradient for x")
    if wrong:
        return a.found(wrong.message)
    for name, own in found["parameters"].items():
        if own is None:
            return a.found(f"no gradient reaches {name}")
        if not bool(torch.isfinite(own).all()) or not bool(own.abs().max() > 0):
            return a.found(f"the gradient for {name} is 0 everywhere or not finite: it does not learn")
    learned = sum(own.numel() for own in found["parameters"].values())
    asked = sum(tensor.numel() for tensor in weights.values())
    if learned < asked:
        return a.found(f"{learned} numbers can be learned; {asked} are asked: is a part frozen, or used for two?")
    return None


def float32(a: Asker) -> Finding | None:
    weights = {name: tensor.float() for name, tensor in block_weights(a, WIDTH, HIDDEN).items()}
    x = a.randn(2, 5, WIDTH).float()
    module = built(a, "Block", (WIDTH, HEADS, HIDDEN), weights)
    module.ask("mode", dtype="torch.float32")
    return either(a, module(x), lambda form: block_steps(weights, HEADS, x, form), "the answer in float32")


def lab_shape(a: Asker) -> Finding | None:
    got = a.build("Block", 16, 4, 64)(a.randn(2, 8, 16), judged=False)
    if isinstance(got, Tensor) and tuple(got.shape) == (2, 8, 16):
        return None
    return a.found(f"a fresh Block(16, 4, 64) makes {describe(got)} of a 2×8×16 tensor; 2×8×16 is right")


def lab_backward(a: Asker) -> Finding | None:
    x = a.randn(2, 8, 16)
    found = a.build("Block", 16, 4, 64).grads(x, weigh=a.randn(2, 8, 16), judged=False)["inputs"].get("0.0")
    if found is None or not bool(torch.isfinite(found).all()) or not bool((found.abs().amax(-1) > 0).all()):
        return a.found("the gradient does not come back through the stream of a fresh block to every token")
    return None


CHECKS = (
    Check(
        id="feed_forward",
        run=feed_forward,
        hints=(
            "Each token by itself: up to `hidden` numbers, GELU, down to D.",
            "Look at what stands between the two matrices, and whether they have a bias.",
            "return down(gelu(up(x)))",
        ),
    ),
    Check(
        id="identity",
        run=identity,
        needs=("feed_forward",),
        hints=(
            "Where both steps add nothing (their last matrices are 0) the block gives x itself, exactly.",
            "Look at the bypass: what do you add to, and does a norm or a factor stand on the way?",
            "x = x + step(norm(x)), twice: the x before the norm",
        ),
    ),
    Check(
        id="causal",
        run=causal,
        needs=("identity",),
        hints=(
            "What comes later changes nothing at a token.",
            "Look at the mask that you give to attention.",
            "mask[i, j] = (j <= i), True = may attend, for as many tokens as x has",
        ),
    ),
    Check(
        id="values",
        run=values,
        needs=("causal",),
        hints=(
            "First attention reads norm1(x), then feed_forward reads norm2 of the stream that attention has added to.",
            "Look at what each step reads, and which norm is whose.",
            "x = x + attention(norm1(x), mask); x = x + feed_forward(norm2(x)); return x",
        ),
    ),
    Check(
        id="sizes",
        run=sizes,
        needs=("values",),
        hints=(
            "Both norms have an eps of 1e-5, which shows where numbers are small.",
            "Look at how the norms are made.",
            "nn.LayerNorm(width, eps=1e-5)",
        ),
    ),
    Check(
        id="lengths",
        run=lengths,
        needs=("values",),
        hints=(
            "Texts have any length, and the next may be longer than the last.",
            "Look at the size of the mask, and whether one is kept.",
            "make the mask in forward, x.shape[1] × x.shape[1]",
        ),
    ),
    Check(
        id="refuses",
        run=refuses,
        needs=("values",),
        hints=(
            "Block(10, 3, 20) is a ValueError: 3 heads do not divide 10.",
            "Look at your MultiHeadAttention.",
            "if width % num_heads: raise ValueError(…)",
        ),
    ),
    Check(
        id="gradient",
        run=gradient,
        needs=("values",),
        hints=(
            "Gradients reach x, through the bypass and through both steps, and every parameter.",
            "Look for detach, .data, item, a no_grad block, and parts that are frozen.",
            "compute everything with torch operations on what comes in",
        ),
    ),
    Check(
        id="float32",
        run=float32,
        needs=("values",),
        hints=(
            "The dtype that comes in is the dtype that goes out.",
            "Look for tensors made with a dtype of their own.",
            "a boolean mask needs none",
        ),
    ),
    Check(
        id="lab_shape",
        run=lab_shape,
        needs=("values",),
        hints=("A block keeps the shape of x.", "Look at the last line.", "return x + …"),
    ),
    Check(
        id="lab_backward",
        run=lab_backward,
        needs=("lab_shape",),
        hints=(
            "The gradient comes back through the stream to every token, from the first step on.",
            "Look at the bypass.",
            "x = x + …",
        ),
    ),
)
