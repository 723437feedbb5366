"""What a tiny GPT must do."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.learn.asker import Asker, Raised, Remote, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.tiny_gpt.decoder import DECODER
from oneblock.learn.exercises.tiny_gpt.right import CONTEXT, HEADS, LAYERS, VOCAB, WIDTH, Weights, some_weights, steps


def built(a: Asker, weights: Weights) -> Remote:
    """The learner's model under these weights."""
    module = a.build("TinyGPT", VOCAB, WIDTH, HEADS, LAYERS, CONTEXT)
    module.load(weights)
    return module


def layout(a: Asker) -> Finding | None:
    weights = some_weights(a)
    module = a.build("TinyGPT", VOCAB, WIDTH, HEADS, LAYERS, CONTEXT)
    # What a diagnosis goes by where the weights do not fit.
    module.weights()
    module.load(weights)
    sizes = ((3, CONTEXT), (2, 1), (1, 4))
    given = [module(a.randint(0, VOCAB, *size)) for size in sizes]
    for got, size in zip(given, sizes, strict=True):
        if not isinstance(got, Tensor) or tuple(got.shape) != (*size, VOCAB):
            said = f"shape {list(got.shape)}" if isinstance(got, Tensor) else describe(got)
            return a.found(f"tokens {list(size)} of {VOCAB} give logits {[*size, VOCAB]}; yours: {said}", about=got)
        if got.dtype != a.dtype or not bool(torch.isfinite(got).all()):
            return a.found(f"the logits are not finite numbers of {str(a.dtype)[6:]}, which the weights are", about=got)
    return None


def causal(a: Asker) -> Finding | None:
    module = built(a, some_weights(a))
    tokens = a.randint(0, VOCAB, 2, CONTEXT)
    other = tokens.clone()
    cut = 4
    other[:, cut:] = (other[:, cut:] + 1 + a.randint(0, VOCAB - 1, 2, CONTEXT - cut)) % VOCAB
    one, two = module(tokens), module(other)
    if not isinstance(one, Tensor) or not isinstance(two, Tensor) or one.shape != two.shape or one.dim() != 3:
        return a.found(f"the logits are {describe(one)}")
    found = a.same(two[:, :cut], one[:, :cut], "the logits")
    return (
        a.found(f"tokens from place {cut} on were changed, and logits before it moved: they see later tokens")
        if found
        else None
    )


def values(a: Asker) -> Finding | None:
    weights = some_weights(a)
    return judged(a, built(a, weights), weights, HEADS, ((3, 5), (2, CONTEXT), (5, 1)))


def sizes(a: Asker) -> Finding | None:
    # Heads of an even width, more layers, and a text that is long.
    width, heads, layers, longest = 8, 2, 5, 131
    weights = some_weights(a, width, layers, longest)
    module = a.build("TinyGPT", VOCAB, width, heads, layers, longest)
    module.load(weights)
    return judged(a, module, weights, heads, ((2, 5), (1, longest)))


def judged(
    a: Asker, module: Remote, weights: Weights, heads: int, lengths: tuple[tuple[int, int], ...]
) -> Finding | None:
    """The logits for texts of these sizes, held against both forms of GELU."""
    asked = [a.randint(0, VOCAB, *size) for size in lengths]
    given = [module(tokens) for tokens in asked]
    for got, tokens in zip(given, asked, strict=True):
        finds = []
        for form in ("none", "tanh"):
            right = steps(weights, tokens, form, heads)
            finds.append(a.same(got, right["the logits"], f"the logits for tokens {list(tokens.shape)}",
                                steps=lambda r=right: r))  # type: ignore[misc]  # fmt: skip
        if all(finds):
            return finds[0]
    return None


def context(a: Asker) -> Finding | None:
    module = built(a, some_weights(a))
    tokens = a.randint(0, VOCAB, 2, CONTEXT + 1)
    module(tokens[:, :CONTEXT])
    for length in (CONTEXT + 1, 2 * CONTEXT):
        try:
            module(a.randint(0, VOCAB, 2, length))
        except Raised as error:
            if "ValueError" in error.error["kinds"]:
                continue
            return a.found(f"{length} tokens, context {CONTEXT}: ValueError is asked; {error}", line=error.line)
        return a.found(f"{length} tokens, context {CONTEXT}: ValueError is asked, and nothing is said")
    return None


def refuses(a: Asker) -> Finding | None:
    return a.raises("TinyGPT", 11, 10, 3, 1, 5)


def start(a: Asker) -> Finding | None:
    for vocab, width, heads, layers in ((97, 48, 3, 4), (31, 96, 4, 2)):
        module = a.build("TinyGPT", vocab, width, heads, layers, 17)
        tokens, targets = a.randint(0, vocab, 16, 17), a.randint(0, vocab, 16, 17)
        # Not on the tokens themselves: a tied head favours them, and is right.
        loss = float(F.cross_entropy(module(tokens).double().flatten(0, 1), targets.flatten()))
        # Written so that NaN fails.
        if not abs(loss - math.log(vocab)) < 0.4:
            return a.found(
                f"a fresh model's loss is {loss:.2f} on random next tokens; ln {vocab} = {math.log(vocab):.2f} is that "
                "of even chances, and up to 0.4 beside it are allowed"
            )
    return None


def gradient(a: Asker) -> Finding | None:
    weights = some_weights(a)
    module = built(a, weights)
    module.train()
    found = module.grads(a.randint(0, VOCAB, 3, CONTEXT), weigh=a.randn(3, CONTEXT, VOCAB))
    for name, slope in found["parameters"].items():
        if slope is None or not bool(slope.abs().sum() > 0):
            return a.found(f"no gradient reaches {name}: it is never used, or cut off (detach, no_grad)")
        if not bool(torch.isfinite(slope).all()):
            return a.found(f"the gradient of {name} is not finite")
    return None


CHECKS = (
    Check(
        id="layout",
        run=layout,
        hints=(
            "The parameters are those of the lesson, and tokens B×T become logits B×T×V.",
            "Look at the names, at biases, nn.ModuleList, the feed-forward's width; then at what forward returns.",
            "the names of the lesson, or mapping(); head(norm(x)) with x B×T×D",
        ),
    ),
    Check(
        id="causal",
        run=causal,
        needs=("layout",),
        hints=(
            "A change of later tokens moves no earlier logits.",
            "Look at the mask of your block.",
            "key j is seen by query i where j <= i",
        ),
    ),
    Check(
        id="values",
        run=values,
        needs=("layout", "causal"),
        hints=(
            "With given weights the logits are head(norm(blocks(token + position))).",
            "Follow the stream: embeddings, each block with its own weights, the last norm, the head.",
            "x = token_embedding(tokens) + position_embedding(arange(T)); x = block(x) for each; head(norm(x))",
        ),
    ),
    Check(
        id="sizes",
        run=sizes,
        needs=("values",),
        hints=(
            "Five layers, heads of four numbers, 131 tokens: the sizes are those of the arguments.",
            "Look for numbers that stand for a size, for a window, and for heads that are treated apart.",
            "blocks from num_layers, positions from context, a mask T×T made in forward",
        ),
    ),
    Check(
        id="context",
        run=context,
        needs=("layout",),
        hints=(
            "As many tokens as `context` are fine; one more is a ValueError.",
            "Look at the start of forward.",
            "if T > context: raise ValueError(…)",
        ),
    ),
    Check(
        id="refuses",
        run=refuses,
        needs=("layout",),
        hints=(
            "A width that the heads do not divide is a ValueError.",
            "Look at where the head's width is computed.",
            "if width % num_heads: raise ValueError(…)",
        ),
    ),
    Check(
        id="start",
        run=start,
        needs=("values",),
        hints=(
            "A fresh model gives every token about the same chance: its loss is near ln V.",
            "Look at how large the head's weights are at the start; a tied head has the embedding's.",
            "nn.init.normal_(token_embedding.weight, std=0.02), and the same for the head",
        ),
    ),
    Check(
        id="gradient",
        run=gradient,
        needs=("values",),
        hints=(
            "Every parameter has a gradient.",
            "Look for detach, no_grad, .data, item.",
            "everything between tokens and logits is torch operations",
        ),
    ),
    *DECODER,
)
