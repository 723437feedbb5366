"""What a TransformerDecoder must do, where there is one: nobody has to write it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.learn.asker import Asker, Raised, Remote, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.tiny_gpt.right import HEADS, LAYERS, WIDTH, Weights, some_weights, streams

NAME = "TransformerDecoder"
BIG = 1e4


def stack(a: Asker, num_layers: int, *more: int) -> Remote | None:
    """The learner's stack of so many layers; None where nobody wrote it."""
    try:
        return a.build(NAME, num_layers, *more)
    except Raised as error:
        if error.error["type"] == "KeyError" and not error.error["line"]:
            return None
        raise


def fill(a: Asker, module: Remote) -> Weights:
    """Numbers for all its matrices, whatever they are called, for it may start with zeros; gains stay as they are."""
    own = {name: tensor for name, tensor in module.weights().items() if tensor.dim() > 1}
    given = {name: a.randn(*tensor.shape) / math.sqrt(tensor.shape[-1]) for name, tensor in own.items()}
    module.ask("load", theirs=True, weights=given)
    return given


def shapes(a: Asker) -> Finding | None:
    module = stack(a, 3, 24)
    if module is None:
        return None
    fill(a, module)
    # More tokens than a mask that somebody has made for a few.
    x, cut = a.randn(2, 37, 24), 11
    later = torch.cat((x[:, :cut], a.randn(2, 37 - cut, 24)), dim=1)
    one, two, short = module(x), module(later), module(x[:1, :1])
    for got, given in ((one, x), (short, x[:1, :1])):
        if not isinstance(got, Tensor) or got.shape != given.shape:
            return a.found(f"{NAME} gives {describe(got)} for {describe(given)}; the shape stays", about=got)
    if a.same(two[:, :cut], one[:, :cut], "it"):
        return a.found(f"{NAME} sees later tokens: those from place {cut} on were changed, and earlier ones moved")
    if not bool((one - x).abs().max() > 1e-6):
        return a.found(f"{NAME} gives x as it came")
    return a.raises(NAME, 1, 10, 3) or a.raises(NAME, 2, 20)


def layers(a: Asker) -> Finding | None:
    stacks = [stack(a, number, 24) for number in (1, 2, 3)]
    deep = stacks[2]
    if deep is None:
        return None
    sizes = [sum(t.numel() for t in module.weights().values()) for module in stacks if module is not None]
    if not sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0:
        counts = ", ".join(f"{size:,}" for size in sizes)
        return a.found(
            f"{NAME} with 1, 2 and 3 layers of width 24 has {counts} parameters: each layer brings the same number of "
            "its own (nn.ModuleList of new blocks; in a plain list they are nobody's)"
        )
    given = fill(a, deep)
    now = deep.weights()
    # What a diagnosis goes by where all shapes are right.
    deep(a.randn(2, 5, 24))
    for name, tensor in given.items():
        other = next((n for n, t in given.items() if n != name and t.shape == tensor.shape and t.equal(now[name])), "")
        if other:
            return a.found(f"{NAME}: {name} and {other} are one parameter; each layer needs its own")
    return None


def used(a: Asker) -> Finding | None:
    module = stack(a, 3, 24)
    if module is None:
        return None
    fill(a, module)
    for name, slope in module.grads(a.randn(2, 5, 24), weigh=a.randn(2, 5, 24))["parameters"].items():
        if slope is None or not bool(slope.abs().sum() > 0):
            return a.found(f"{NAME}: no gradient reaches {name}: go through every layer, and cut nothing off")
    return None


def stream(a: Asker) -> Finding | None:
    module = stack(a, 3, 24, 3)
    if module is None:
        return None
    fill(a, module)
    x = a.randn(2, 5, 24)
    got = module(BIG * x)
    fine = (x, F.layer_norm(x, (24,)), x / x.square().mean(-1, keepdim=True).sqrt())
    scaled = (got / BIG, got, got)
    if any(a.same(one, right, "it", tolerance=0.01) is None for one, right in zip(scaled, fine, strict=True)):
        return None
    return a.found(
        f"{NAME}: of a stream 10,000 times as large little but itself may come out, for each layer adds what it makes "
        "of a normed copy (pre-norm), and nothing else is done to the stream; yours has a mean square of "
        f"{float((got / BIG).square().mean()):.3g} of it, not {float(x.square().mean()):.3g}",
        about=got,
    )


def exact(a: Asker) -> Finding | None:
    """Where its blocks have the names of TinyGPT's, by number; other names are fine, and are not asked."""
    module = stack(a, LAYERS, WIDTH, HEADS)
    if module is None:
        return None
    weights = {name: tensor for name, tensor in some_weights(a).items() if name.startswith("blocks.")}
    loaded = module.ask("load", weights=weights)
    own = module.weights()
    x = a.randn(3, 5, WIDTH)
    got = module(x)
    at_its_end = [own[name] for name in loaded["left"] if name in own]
    if loaded["missing"] or loaded["shapes"] or any(t.shape != (WIDTH,) for t in at_its_end) or len(at_its_end) > 2:
        return None
    finds = []
    for form in ("none", "tanh"):
        last = streams(weights, x, form)[-1]
        finds.append(a.same(got, last, f"{NAME}, its blocks' weights given,"))
        finds.append(a.same(got, F.layer_norm(last, (WIDTH,)), "it", tolerance=1e-4))
        finds.append(a.same(got, last / last.square().mean(-1, keepdim=True).sqrt(), "it", tolerance=1e-4))
    return finds[0] if all(finds) else None


DECODER = (
    Check(
        id="decoder_layers",
        run=layers,
        needs=("layout",),
        hints=(
            "Each layer of TransformerDecoder, if it is there, has parameters of its own.",
            "Look at how the blocks are made: anew for each layer, and in an nn.ModuleList.",
            "nn.ModuleList(Block(…) for _ in range(num_layers))",
        ),
    ),
    Check(
        id="decoder",
        run=shapes,
        needs=("decoder_layers",),
        hints=(
            "TransformerDecoder is the stack alone: B×T×D to B×T×D, causal.",
            "Look at its forward, and at what happens to heads that do not divide the width.",
            "for block in blocks: x = block(x)",
        ),
    ),
    Check(
        id="decoder_used",
        run=used,
        needs=("decoder",),
        hints=(
            "Every layer is used, and gradients reach all of them.",
            "Look at which of the blocks forward goes through; then for detach and no_grad.",
            "for block in blocks: x = block(x)",
        ),
    ),
    Check(
        id="decoder_stream",
        run=stream,
        needs=("decoder",),
        hints=(
            "The stream goes through all layers as it is; each adds to it.",
            "Look at what stands on the bypass: a norm, a factor, a layer without x + …",
            "x = x + attention(norm1(x)); x = x + feed_forward(norm2(x))",
        ),
    ),
    Check(
        id="decoder_values",
        run=exact,
        needs=("decoder_used", "decoder_stream"),
        hints=(
            "With given weights it is the blocks of exercise 6, one after another.",
            "Look at their order, and at the number of heads that each is given.",
            "Block(hidden_size, num_heads, 4 * hidden_size), block 0 first",
        ),
    ),
)
