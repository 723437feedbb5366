"""What attention in several heads must do."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Raised, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.multi_head.asking import built, judged, right_one, weights_of


def sizes(a: Asker) -> tuple[int, int, int, int]:
    """Batch, time, heads and the width of one: different primes, so that a swapped axis cannot hide."""
    heads, batch = [(2, 3), (3, 2)][int(a.randint(0, 2, 1))]
    time, head = [(5, 7), (7, 5)][int(a.randint(0, 2, 1))]
    return batch, time, heads, head


def some_mask(a: Asker, *shape: int) -> Tensor:
    """A random mask under which every query sees something, and not everything."""
    mask = a.rand(*shape) < 0.5
    mask[..., 0] |= ~mask.any(-1)
    mask[..., -1] &= ~mask.all(-1)
    return mask


def values(a: Asker) -> Finding | None:
    batch, time, heads, head = sizes(a)
    width = heads * head
    given = {"": (a.randn(batch, time, width),), " for one token": (a.randn(batch, 1, width),)}
    return judged(a, weights_of(a, heads, heads, width), heads, heads, given)


def one_head(a: Asker) -> Finding | None:
    for heads, width in ((1, 5), (5, 5)):
        given = {f" with {heads} head{'s' * (heads > 1)} of {width} numbers in all": (a.randn(2, 3, width),)}
        found = judged(a, weights_of(a, heads, heads, width), heads, heads, given)
        if found:
            return found
    return None


def mask(a: Asker) -> Finding | None:
    _, time, heads, head = sizes(a)
    # As many texts as heads too: there a mask of the texts could be taken for one of the heads unseen.
    texts = (heads + 1, heads, 1)
    weights = weights_of(a, heads, heads, heads * head)
    shapes = [
        (batch, shape) for batch in texts for shape in ((batch, 1, time, time), (time, time), (batch, time, time))
    ]
    shapes.append((texts[0], (texts[0], heads, time, time)))
    given: dict[str, tuple[Tensor, ...]] = {
        f" for {batch} text{'s' * (batch > 1)} under a mask {'×'.join(map(str, shape))}": (
            a.randn(batch, time, heads * head),
            some_mask(a, *shape),
        )
        for batch, shape in shapes
    }
    # Of a shape seen before: one that was kept would be taken for it.
    given[" under another mask for all"] = given[f" for 1 text under a mask {time}×{time}"][0], some_mask(a, time, time)
    given[" under another mask of the texts"] = (
        a.randn(texts[0], time, heads * head),
        some_mask(a, texts[0], 1, time, time),
    )
    given[" without a mask, after calls with one"] = (a.randn(2, time, heads * head),)
    return judged(a, weights, heads, heads, given)


def groups(a: Asker) -> Finding | None:
    _, time, _, head = sizes(a)
    for heads, shared in ((6, 3), (6, 2), (4, 1), (4, 2)):
        weights = weights_of(a, heads, shared, heads * head)
        x = a.randn(3, time, heads * head)
        told = f" with {heads} heads in {shared} group{'s' * (shared > 1)}"
        given = {told: (x,), f"{told} under a mask of the heads": (x, some_mask(a, 3, heads, time, time)),
                 f"{told} under a mask of the texts": (x, some_mask(a, 3, time, time))}  # fmt: skip
        found = judged(a, weights, heads, shared, given)
        if found:
            return found
    return None


def refuses(a: Asker) -> Finding | None:
    for args in ((10, 3), (12, 5), (12, 6, 4), (12, 4, 3), (12, 4, 8)):
        found = a.raises("MultiHeadAttention", *args)
        if found:
            return found
    return None


def names(a: Asker) -> Finding | None:
    for args, heads, shared in (((12, 6, 3), 6, (3,)), ((12, 4), 4, (4, None))):
        module = a.build("MultiHeadAttention", *args)
        for name, right in (("num_heads", (heads,)), ("num_kv_heads", shared)):
            try:
                got = module.get(name)
            except Raised:
                return a.found(f"MultiHeadAttention has no {name}; later exercises ask for it")
            if got not in right:
                return a.found(f"{name} of MultiHeadAttention{args} is {describe(got)}; {right[0]} is right")
    return None


def large(a: Asker) -> Finding | None:
    heads, width = 3, 15
    weights = weights_of(a, heads, heads, width, times=100.0)
    x = a.randn(2, 5, width)
    module, right = built(a, weights, heads, heads), right_one(weights, heads, heads)(x).detach()
    got = module(x)
    # In float32 scores near 10,000 are 0.001 apart, and the values are near 100.
    return a.same(got, right, "the answer for scores near 10,000", tolerance=0.5 if a.dtype == torch.float32 else None)


def hidden(a: Asker) -> Finding | None:
    heads, width, time = 3, 15, 7
    weights = weights_of(a, heads, heads, width, times=200.0)
    # Each token sees itself alone, whatever its score is and those of the hidden ones are.
    return judged(a, weights, heads, heads, {" for scores near ±40,000 under a mask that shows each token itself alone":
                                             (a.randn(2, time, width), torch.eye(time, dtype=torch.bool))})  # fmt: skip


def long(a: Asker) -> Finding | None:
    given = {" for 131 tokens": (a.randn(1, 131, 8),),
             " for 131 tokens under a mask": (a.randn(1, 131, 8), some_mask(a, 131, 131))}  # fmt: skip
    return judged(a, weights_of(a, 2, 2, 8), 2, 2, given)


def gradient(a: Asker) -> Finding | None:
    heads, shared, width, batch, time = 6, 3, 12, 2, 5
    weights, x, weigh = weights_of(a, heads, shared, width), a.randn(batch, time, width), a.randn(batch, time, width)
    found = built(a, weights, heads, shared).grads(x, weigh=weigh)
    leaf, right = x.clone().requires_grad_(True), right_one(weights, heads, shared)
    (expected,) = torch.autograd.grad((right(leaf) * weigh).sum(), leaf)
    if found["inputs"].get("0.0") is None:
        return a.found("no gradient reaches x: is something cut off (detach, item, numpy)?")
    learned = sum(gradient.numel() for gradient in found["parameters"].values() if gradient is not None)
    for name, gradient in found["parameters"].items():
        if gradient is None:
            return a.found(f"no gradient reaches {name}")
        if not bool(torch.isfinite(gradient).all()):
            return a.found(f"the gradient for {name} is not finite")
        if not bool(gradient.abs().max() > 0):
            return a.found(f"the gradient for {name} is 0 everywhere: it does not learn")
    asked = sum(tensor.numel() for tensor in weights.values())
    if learned < asked:
        return a.found(f"{learned} numbers can be learned; {asked} are asked: make nn.Linear in __init__, none frozen")
    return a.same(found["inputs"]["0.0"], expected, "the gradient for x")


def float32(a: Asker) -> Finding | None:
    heads, width, time = 3, 15, 7
    weights = {name: tensor.float() for name, tensor in weights_of(a, heads, heads, width).items()}
    x, allowed = a.randn(2, time, width).float(), some_mask(a, time, time)
    module = built(a, weights, heads, heads)
    module.ask("mode", dtype="torch.float32")
    return a.same(module(x, allowed), right_one(weights, heads, heads)(x, allowed).detach(), "the answer in float32")


def lab_heads(a: Asker) -> Finding | None:
    module = a.build("MultiHeadAttention", 16, 4)
    if not any(name == "" for name, _ in module.inventory()):
        return a.found("MultiHeadAttention is no nn.Module")
    heads = module.get("num_heads")
    if not (heads > 1 and 16 % heads == 0):
        return a.found(f"MultiHeadAttention(16, 4) has {heads} heads; it has more than one, and they divide 16")
    return None


CHECKS = (
    Check(
        id="values",
        run=values,
        hints=(
            "Each head is attention by itself on its own K numbers of every token; `output` mixes what they find.",
            "Follow the shapes: B×T×D, B×T×H×K, swapped B×H×T×K, scores B×H×T×T, and back the same way.",
            "q, k, v = qkv(x) in three; each: view B×T×H×K, swap 1 and 2; softmax(q kᵀ / √K) v; swap, join, output",
        ),
    ),
    Check(
        id="one_head",
        run=one_head,
        needs=("values",),
        hints=(
            "One head, or heads of one number each, are nothing special.",
            "Look for squeeze(), and for a case of its own.",
            "the same lines as for many heads",
        ),
    ),
    Check(
        id="mask",
        run=mask,
        needs=("values",),
        hints=(
            "A key that the mask hides has no share, for T×T, B×T×T, B×1×T×T and B×H×T×T.",
            "Look at how the mask lines up with B×H×T×T, which way round it is, and what hidden scores become.",
            "three axes: mask = mask[:, None]; scores very negative where not mask; then softmax",
        ),
    ),
    Check(
        id="groups",
        run=groups,
        needs=("mask",),
        hints=(
            "With G groups `qkv` has D + 2·G·K rows, and query head i reads group i // (H/G).",
            "Look at how q, k, v are cut apart, and in which order groups are repeated.",
            "k = each group H/G times in a row (repeat_interleave along the heads); the same for v",
        ),
    ),
    Check(
        id="refuses",
        run=refuses,
        needs=("values",),
        hints=(
            "Sizes that do not divide are told when the class is made, not cut down silently.",
            "Look at __init__ where K = D // H.",
            "if width % num_heads or num_heads % num_kv_heads: raise ValueError(…)",
        ),
    ),
    Check(
        id="names",
        run=names,
        needs=("groups",),
        hints=(
            "num_heads and num_kv_heads can be read from the module.",
            "Look at __init__.",
            "self.num_heads = num_heads; self.num_kv_heads = num_heads where none are given",
        ),
    ),
    Check(
        id="lab_heads",
        run=lab_heads,
        needs=("names",),
        hints=(
            "The class makes a module with more than one head, which divide the width.",
            "Look at __init__.",
            "class MultiHeadAttention(nn.Module), super().__init__() first",
        ),
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
        id="hidden",
        run=hidden,
        needs=("mask", "large"),
        hints=(
            "A hidden key has a share of 0 whatever its score and those of the others are.",
            "Look at the number that stands for −∞: is it low enough?",
            "fill hidden scores with the lowest number of the dtype",
        ),
    ),
    Check(
        id="long",
        run=long,
        needs=("mask",),
        hints=(
            "A text may have any length, and heads any width.",
            "Look for a number that stands for a length.",
            "no size is written out: all come from x and from the arguments of __init__",
        ),
    ),
    Check(
        id="gradient",
        run=gradient,
        needs=("groups",),
        hints=(
            "Gradients reach x, through q, k and v, and every parameter.",
            "Look for detach, .data, item, numpy or a no_grad block, and for parameters that nothing uses.",
            "compute everything with torch operations on what comes in",
        ),
    ),
    Check(
        id="float32",
        run=float32,
        needs=("mask",),
        hints=(
            "The dtype that comes in is the dtype that goes out.",
            "Look for tensors made with a dtype of their own.",
            "torch.finfo(scores.dtype).min is the lowest number of any dtype",
        ),
    ),
)
