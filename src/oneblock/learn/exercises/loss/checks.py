"""What the loss must do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.loss.reference import next_token_loss


def steps(logits: Tensor, tokens: Tensor, pad: int | None = None) -> dict[str, Tensor]:
    """What arises on the way."""
    logs = logits[:, :-1].log_softmax(-1)
    each = -logs.gather(-1, tokens[:, 1:, None])[..., 0]
    counted = each if pad is None else each[tokens[:, 1:] != pad]
    return {"log softmax of the logits but the last": logs, "the loss of each target": each,
            "those that count": counted, "their mean": counted.mean()}  # fmt: skip


def compared(a: Asker, given: dict[str, tuple[Any, ...]], tolerance: float | None = None) -> Finding | None:
    """Several inputs, each against the right loss. All are asked before any is judged."""
    answers = {told: a.call("next_token_loss", *args) for told, args in given.items()}
    for told, args in given.items():
        way = lambda: steps(*args)  # noqa: B023, E731
        found = a.same(answers[told], next_token_loss(*args), f"the loss{told}", steps=way, tolerance=tolerance)
        if found:
            return found
    return None


def unlike(a: Asker, batch: int, time: int, words: int) -> Tensor:
    """Tokens of which no two within three places are the same."""
    first, step = a.randint(0, words, batch, 1), 1 + a.randint(0, 2, batch, 1)
    return (first + step * torch.arange(time)) % words


def shift(a: Asker) -> Finding | None:
    batch, time, words = 2, 5, 7
    tokens = unlike(a, batch, time, words)
    given: dict[str, tuple[Any, ...]] = {}
    for far, told in ((1, "the next token"), (0, "the token they read"), (2, "the token after the next")):
        sure = 20.0 * torch.nn.functional.one_hot(tokens.roll(-far, dims=1), words).to(a.dtype)
        given[f" of logits that are sure of {told}"] = (sure + a.rand(batch, time, words), tokens)
    return compared(a, given)


def values(a: Asker) -> Finding | None:
    given: dict[str, tuple[Any, ...]] = {}
    for told, (batch, time, words) in (
        ("", (3, 5, 7)),
        ("", a.primes(3)),
        (" of one text", (1, 7, 5)),
        (" of two tokens", (3, 2, 5)),
        (" of a long text and many words", (2, 131, 137)),
    ):
        tokens = a.randint(0, words, batch, time)
        tokens[0, 1] = 0  # token 0 is a target like any other, with every seed
        given[f"{told} (logits {batch}×{time}×{words})"] = (2 * a.randn(batch, time, words), tokens)
    return compared(a, given)


def padded(a: Asker, pad: int, words: int) -> tuple[Tensor, Tensor]:
    """Logits, and tokens with pads behind, in front and between, another number in each text."""
    tokens = a.randint(0, words - 1, 4, 7)
    tokens = tokens + (tokens >= pad)
    tokens[0, 4:] = pad
    tokens[1, :3] = pad
    tokens[2, 3] = pad
    return 2 * a.randn(4, 7, words), tokens


def pad(a: Asker) -> Finding | None:
    words = 11
    logits, tokens = padded(a, 3, words)
    last, ends = padded(a, words - 1, words)
    return compared(
        a,
        {
            " with pad=3": (logits, tokens, 3),
            " with the last token as pad": (last, ends, words - 1),
            " where no target is pad": (logits[3:], tokens[3:], 3),
            # Of one alone the pads' loss may be about that of the rest.
            **{f" of text {n} alone, with pad=3": (logits[n : n + 1], tokens[n : n + 1], 3) for n in range(3)},
            " without pad, on the same tokens": (logits, tokens),
        },
    )


def pad_zero(a: Asker) -> Finding | None:
    logits, tokens = padded(a, 0, 11)
    return compared(a, {" with pad=0": (logits, tokens, 0), " without pad, on the same tokens": (logits, tokens)})


def large(a: Asker) -> Finding | None:
    tokens = a.randint(0, 5, 2, 7)
    near, far = a.randn(2, 7, 5), 1e4 * a.randn(2, 7, 5)
    return compared(
        a,
        {
            " of logits near 10,000": (near + 1e4, tokens),
            " of logits near −10,000": (near - 1e4, tokens),
            " of logits that are thousands apart": (far, tokens),
            " of logits that are 30 apart": (30 * near, tokens),
        },
        # In float32 numbers near 10,000 are 0.001 apart.
        tolerance=5e-3 if a.dtype == torch.float32 else None,
    )


def gradient(a: Asker) -> Finding | None:
    logits, tokens = padded(a, 3, 11)
    for hidden in (None, 3):
        found = a.grads("next_token_loss", logits, tokens, hidden)["inputs"].get("0.0")
        if found is None:
            return a.found("no gradient reaches the logits: is something cut off (detach, item, numpy)?")
        leaf = logits.clone().requires_grad_(True)
        (right,) = torch.autograd.grad(next_token_loss(leaf, tokens, hidden), leaf)
        wrong = a.same(
            found, right, f"the gradient for the logits{'' if hidden is None else ' where targets are pads'}"
        )
        if wrong:
            return wrong
    return None


def float32(a: Asker) -> Finding | None:
    logits, tokens = padded(a, 3, 11)
    return compared(a, {" in float32": (logits.float(), tokens, 3)})


CHECKS = (
    Check(
        id="shift",
        run=shift,
        hints=(
            "Logits that are sure of the next token, and right, have a loss near 0.",
            "Look at which logits stand against which tokens; and whether cross_entropy is given logits.",
            "logits[:, :-1] against tokens[:, 1:]",
        ),
    ),
    Check(
        id="values",
        run=values,
        needs=("shift",),
        hints=(
            "The mean of −log softmax(logits)[target] over all texts and places.",
            "Look at what the sum is divided by, and at the axis of the softmax.",
            "losses = logsumexp of the logits over V − the target's logit; mean of all of them",
        ),
    ),
    Check(
        id="pad",
        run=pad,
        needs=("values",),
        hints=(
            "A target that is pad is neither in the sum nor in the number it is divided by.",
            "Look at which token decides (the target, not the one read), and at the mean.",
            "keep = tokens[:, 1:] != pad; sum of the losses kept / number kept",
        ),
    ),
    Check(
        id="pad_zero",
        run=pad_zero,
        needs=("pad",),
        hints=(
            "pad=0 is a token like any other; None is no token.",
            "Look at the line that asks whether there is a pad.",
            "if pad is not None: …",
        ),
    ),
    Check(
        id="large",
        run=large,
        needs=("values",),
        hints=(
            "Logits of ±10,000 have a finite loss, and it is exact.",
            "Look for exp, softmax and log one after another.",
            "log softmax(x)[i] = x[i] - logsumexp(x), or log_softmax, or cross_entropy",
        ),
    ),
    Check(
        id="gradient",
        run=gradient,
        needs=("pad",),
        hints=(
            "The gradient for the logits is (softmax − 1 at the target) / number that count, and 0 at pads.",
            "Look for detach, .data, item, numpy or a no_grad block.",
            "compute everything with torch operations on the logits",
        ),
    ),
    Check(
        id="float32",
        run=float32,
        needs=("pad",),
        hints=(
            "The dtype of the logits is the dtype of the loss.",
            "Look for .float(), .double() or a tensor made with a dtype of its own.",
            "leave out every change of dtype",
        ),
    ),
)
