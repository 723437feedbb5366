"""What cross-attention and an encoder-decoder must do."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Remote
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.cross_attention.reference import CrossAttention
from oneblock.learn.exercises.cross_attention.whole_graph import WHOLE

HEADS, HEAD = 3, 5


def pair(a: Asker, width: int = HEADS * HEAD, heads: int = HEADS) -> tuple[Remote, CrossAttention]:
    """The learner's module and ours, with the same weights."""
    module = a.build("CrossAttention", width, heads)
    ours = CrossAttention(width, heads).to(a.dtype)
    weights = {name: 1.5 * a.randn(*t.shape) / math.sqrt(width) for name, t in ours.named_parameters()}
    module.load(weights)
    ours.load_state_dict(weights)
    return module, ours


def steps(ours: CrossAttention, x: Tensor, memory: Tensor) -> dict[str, Tensor]:
    """What arises on the way, where there is no mask."""
    q, (k, v) = ours.query(x), ours.key_value(memory).chunk(2, -1)
    q, k, v = ours.heads(q), ours.heads(k), ours.heads(v)
    scores = q @ k.transpose(-2, -1)
    weights = (scores / math.sqrt(q.shape[-1])).softmax(-1)
    found = {"query(x)": q, "the keys": k, "the values": v, "q kᵀ of each head": scores}
    found |= {"q kᵀ / √K": scores / math.sqrt(q.shape[-1]), "the weights": weights, "weights v": weights @ v}
    return {name: value.detach() for name, value in found.items()}


def some_mask(a: Asker, *shape: int) -> Tensor:
    """A random mask under which every row sees something, and not everything."""
    mask = a.rand(*shape) < 0.5
    mask[..., 0] |= ~mask.any(-1)
    mask[..., -1] &= ~mask.all(-1)
    return mask


def sizes(a: Asker) -> tuple[int, int, int]:
    """Batch, target and source lengths: different, and none of them the number of heads."""
    batch, queries, keys = [size for size in a.primes(6) if size != HEADS][:3]
    return batch, queries, keys


def values(a: Asker) -> Finding | None:
    batch, queries, keys = sizes(a)
    module, ours = pair(a)
    asked = [(a.randn(batch, queries, 15), a.randn(batch, keys, 15)), (a.randn(2, 3, 15), a.randn(2, 7, 15))]
    asked += [(a.randn(2, 7, 15), a.randn(2, 5, 15)), (a.randn(1, 1, 15), a.randn(1, 131, 15))]
    given = [module(x, memory) for x, memory in asked]
    for got, (x, memory) in zip(given, asked, strict=True):
        said = f"the output for {x.shape[1]} queries and {memory.shape[1]} memory tokens"
        found = a.same(got, ours(x, memory).detach(), said, steps=lambda: steps(ours, x, memory))  # noqa: B023
        if found:
            return found
    return None


def head_counts(a: Asker) -> Finding | None:
    for width, heads in ((14, 2), (7, 1), (5, 5), (8, 2)):
        module, ours = pair(a, width, heads)
        x, memory = a.randn(2, 3, width), a.randn(2, 5, width)
        found = a.same(module(x, memory), ours(x, memory).detach(), f"the output for width {width}, {heads} heads")
        if found:
            return found
    return None


def divides(a: Asker) -> Finding | None:
    return a.raises("CrossAttention", 7, 2) or a.raises("CrossAttention", 10, 3)


def masked(a: Asker, kinds: tuple[str, ...], lengths: tuple[int, int, int] | None = None) -> Finding | None:
    """The output under masks of these kinds."""
    batch, queries, keys = lengths or sizes(a)
    module, ours = pair(a)
    x, memory = a.randn(batch, queries, 15), a.randn(batch, keys, 15)
    shapes = {"B×S": (batch, keys), "B×T×S": (batch, queries, keys), "B×1×1×S": (batch, 1, 1, keys)}
    masks = {kind: some_mask(a, *shapes[kind]) for kind in kinds}
    given = {kind: module(x, memory, memory_mask=mask) for kind, mask in masks.items()}
    for kind, got in given.items():
        right = ours(x, memory, masks[kind]).detach()
        found = a.same(got, right, f"the output under a memory_mask of {kind} = {list(masks[kind].shape)}")
        if found:
            return found
    return None


def mask(a: Asker) -> Finding | None:
    # Batch = T first: who takes one for the other raises nothing there.
    return masked(a, ("B×S",), (5, 5, 7)) or masked(a, ("B×S",), (2, 5, 5)) or masked(a, ("B×S",))


def mask_shapes(a: Asker) -> Finding | None:
    return masked(a, ("B×T×S", "B×1×1×S"))


def mask_equal(a: Asker) -> Finding | None:
    # Where batch, heads and lengths are one number, a mask on the wrong axes raises nothing.
    module, ours = pair(a)
    x, memory = a.randn(3, 3, 15), a.randn(3, 3, 15)
    masks = [some_mask(a, *shape) for shape in ((3, 3), (3, 3, 3), (3, 1, 1, 3))]
    given = [module(x, memory, m) for m in masks]
    for got, m in zip(given, masks, strict=True):
        found = a.same(
            got, ours(x, memory, m).detach(), f"the output under a mask {list(m.shape)}, where B = T = S = H = 3"
        )
        if found:
            return found
    return None


def padding(a: Asker) -> Finding | None:
    module, _ = pair(a)
    x, memory = a.randn(2, 3, 15), a.randn(2, 7, 15)
    real = torch.tensor([[True] * 5 + [False] * 2] * 2)
    changed = torch.where(real[..., None], memory, 100 * a.randn(2, 7, 15))
    got, other, short = module(x, memory, real), module(x, changed, real), module(x, memory[:, :5])
    return a.same(other, got, "the output after other numbers in masked memory tokens") or a.same(
        got, short, "the output with two masked memory tokens, held against that without them,"
    )


def large(a: Asker) -> Finding | None:
    module, ours = pair(a)
    x, memory = a.randn(2, 3, 15), a.randn(2, 5, 15)
    weights = {name: t.detach().clone() for name, t in ours.named_parameters()}
    # One feature is the same in every memory token: it moves all scores of a query by one large number.
    weights["key_value.weight"][:15, 0] *= 3e3
    weights["key_value.weight"][15:, 0] = 0
    memory[..., 0] = 1
    module.load(weights)
    ours.load_state_dict(weights)
    tolerance = 0.02 if a.dtype == torch.float32 else None
    return a.same(
        module(x, memory), ours(x, memory).detach(), "the output for scores in the thousands", tolerance=tolerance
    )


def hidden(a: Asker) -> Finding | None:
    module, ours = pair(a)
    weights = {name: 100 * t.detach() for name, t in ours.named_parameters()}
    x, memory, own = a.randn(2, 7, 15), a.randn(2, 7, 15), torch.eye(7, dtype=torch.bool).expand(2, 7, 7)
    module.load(weights)
    ours.load_state_dict(weights)
    # Each sees one alone, whatever its score is and those of the hidden ones are.
    return a.same(module(x, memory, own), ours(x, memory, own).detach(), "the output for large scores under a mask")


def gradient(a: Asker) -> Finding | None:
    module, ours = pair(a)
    x, memory, weigh = a.randn(2, 3, 15), a.randn(2, 5, 15), a.randn(2, 3, 15)
    found = module.grads(x, memory, weigh=weigh)
    leaves = [t.clone().requires_grad_(True) for t in (x, memory)]
    right = torch.autograd.grad((ours(*leaves) * weigh).sum(), leaves)
    for place, name, expected in zip(("0.0", "0.1"), ("x", "memory"), right, strict=True):
        got = found["inputs"].get(place)
        if got is None:
            return a.found(f"no gradient reaches {name}: is something cut off, or is {name} not used?")
        wrong = a.same(got, expected, f"the gradient for {name}")
        if wrong:
            return wrong
    idle = [name for name, g in found["parameters"].items() if g is None or not bool((g.abs() > 0).any())]
    return a.found(f"no gradient reaches the parameters {', '.join(idle)}") if idle else None


def float32(a: Asker) -> Finding | None:
    module = a.build("CrossAttention", 15, 3)
    module.ask("mode", dtype="float32")
    x, memory, real = a.randn(2, 3, 15).float(), a.randn(2, 5, 15).float(), some_mask(a, 2, 5)
    got = module(x, memory, real)
    if not isinstance(got, Tensor) or got.dtype != torch.float32 or not bool(torch.isfinite(got).all()):
        return a.found("in float32 the output must be float32 and finite")
    return None


CHECKS = (
    Check(
        id="values",
        run=values,
        hints=(
            "Each head: softmax(q kᵀ / √K) v with q from x, k and v from memory; then output. T and S differ.",
            "Follow the shapes: query(x) B×T×D, key_value(memory) B×S×2D, per head T×K, S×K, S×K; scores T×S.",
            "q = heads(query(x)); k, v = halves of key_value(memory), each into heads; softmax over S; heads side by "
            "side; output(…)",
        ),
    ),
    Check(
        id="head_counts",
        run=head_counts,
        needs=("values",),
        hints=(
            "It works for one head, and for as many heads as the width has numbers.",
            "Look for a size or a count that is fixed.",
            "K = width // num_heads everywhere",
        ),
    ),
    Check(
        id="divides",
        run=divides,
        needs=("values",),
        hints=(
            "A width that the number of heads does not divide is a ValueError.",
            "Look at the constructor.",
            "if width % num_heads: raise ValueError(…)",
        ),
    ),
    Check(
        id="mask",
        run=mask,
        needs=("values",),
        hints=(
            "memory_mask B×S hides memory tokens: one row a sentence, True = may attend, for all heads and queries.",
            "Look at the axes that the mask gets before it meets the scores B×H×T×S, and at what hidden scores become.",
            "scores = very negative where not mask[:, None, None, :], before the softmax",
        ),
    ),
    Check(
        id="mask_shapes",
        run=mask_shapes,
        needs=("mask",),
        hints=(
            "A mask of B×T×S has a row for each query, one of B×1×1×S is ready to use.",
            "Look at the axes that you add: where is the axis of heads?",
            "3 axes: mask[:, None]; 4 axes: as it is",
        ),
    ),
    Check(
        id="mask_equal",
        run=mask_equal,
        needs=("mask_shapes",),
        hints=(
            "The first axis of a mask is always the batch, also where other sizes happen to be the same number.",
            "Look at what the first axis of the mask lines up with.",
            "go by the number of axes of the mask, not by their sizes",
        ),
    ),
    Check(
        id="padding",
        run=padding,
        needs=("mask",),
        hints=(
            "Masked memory tokens might as well not be there.",
            "Look at where the mask is put in.",
            "hidden scores become very negative before the softmax",
        ),
    ),
    Check(
        id="large",
        run=large,
        needs=("values",),
        hints=(
            "Only differences of scores count.",
            "Look at your softmax.",
            "subtract each query's largest score before exp, or use torch.softmax",
        ),
    ),
    Check(
        id="hidden",
        run=hidden,
        needs=("mask_shapes", "large"),
        hints=(
            "A hidden token has a share of 0 whatever its score and those of the others are.",
            "Look at the number that stands for −∞: is it low enough?",
            "fill hidden scores with the lowest number of the dtype",
        ),
    ),
    Check(
        id="gradient",
        run=gradient,
        needs=("values",),
        hints=(
            "Gradients reach x, memory (through it the encoder learns) and every layer.",
            "Look for detach, .data, a no_grad block, or a layer that is made and not used.",
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
    *WHOLE,
)
