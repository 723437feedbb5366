"""What training must do, whatever the optimiser: told by a model that records its passes, gradients and weights."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.learn.asker import TOLERANCE, Asker, Remote, describe
from oneblock.learn.exercise import Check, Finding

VOCAB = 7
NAMES = ("usual", "token.weight", "past.weight")
"""Of the lent model's parameters, in their order."""


def some_batches(a: Asker) -> list[Tensor]:
    """Three of different shapes."""
    return [a.randint(0, VOCAB, rows, length) for rows, length in ((2, 5), (3, 7), (1, 4))]


def lent(a: Asker, *, still: bool, scale: float = 1.0) -> tuple[Remote, list[Tensor]]:
    """A model in train mode, and its weights."""
    model = a.build("Watched", VOCAB, scale, still)
    drawn = {"token.weight": a.randn(VOCAB, VOCAB), "past.weight": a.randn(VOCAB, VOCAB), "usual": a.randn(VOCAB)}
    model.load(drawn)
    weights = [drawn[name] for name in NAMES]
    model.train()
    return model, weights


def loss_of(weights: list[Tensor], tokens: Tensor, scale: float = 1.0) -> Tensor:
    """The loss that the lent model has with these weights."""
    usual, token, past = weights
    count = torch.arange(1, tokens.shape[1] + 1, dtype=token.dtype)[:, None]
    logits = scale * (token[tokens] + past[tokens].cumsum(1) / count + usual)
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def losses_found(a: Asker, got: Any, count: int) -> Finding | None:
    """A finding unless it is so many floats."""
    if not isinstance(got, list | tuple):
        return a.found(f"fit gives {describe(got)}; a list of the {count} losses is asked")
    if len(got) != count:
        return a.found(f"fit with steps={count} gives {len(got)} losses; there is one for each step")
    odd = next((entry for entry in got if type(entry) is not float), None)
    if odd is not None:
        return a.found(f"among the losses is {describe(odd)}; floats are asked, as loss.item() gives them")
    return None


def losses_right(a: Asker, got: Any, right: list[Tensor], told: str) -> Finding | None:
    """A finding unless these are the losses."""
    wrong = losses_found(a, got, len(right))
    if wrong:
        return wrong
    for at, (mine, one) in enumerate(zip(got, right, strict=True)):
        # Written so that NaN fails.
        if not abs(mine - float(one)) < TOLERANCE[a.dtype] * max(1.0, float(one)):
            return a.found(f"{told}, loss {at + 1} of {len(right)} is {mine:.9g}; right is {float(one):.9g}")
    return None


def first(a: Asker) -> Finding | None:
    answers = []
    for batch in some_batches(a):
        model, weights = lent(a, still=True)
        answers.append((a.call("fit", model.handle, [batch], 1), [loss_of(weights, batch)]))
    told = "one step on one batch"
    return next((found for got, right in answers if (found := losses_right(a, got, right, told))), None)


def order(a: Asker) -> Finding | None:
    answers = []
    batches = some_batches(a)
    for steps in (7, 2, 3):
        model, weights = lent(a, still=True)
        got = a.call("fit", model.handle, batches, steps)
        right = [loss_of(weights, batches[at % 3]) for at in range(steps)]
        answers.append((got, right, f"a list of 3 batches and steps={steps} (a model whose weights go back each time)"))
    return next((found for answer in answers if (found := losses_right(a, *answer))), None)


def iterator(a: Asker) -> Finding | None:
    batches = some_batches(a)
    answers = []
    for steps in (2, 4):
        model, weights = lent(a, still=True)
        feed = a.call("Feed", batches, steps + 3)
        got = a.call("fit", model.handle, feed, steps)
        right = [loss_of(weights, batches[at % 3]) for at in range(steps)]
        answers.append((got, right, f"an iterator of batches and steps={steps}"))
    return next((found for answer in answers if (found := losses_right(a, *answer))), None)


def gradients(a: Asker) -> Finding | None:
    batches, steps = some_batches(a), 4
    model, weights = lent(a, still=True)
    a.call("fit", model.handle, batches, steps)
    given = model.method("gradients")
    right = []
    for at in range(steps):
        leaves = [w.clone().requires_grad_(True) for w in weights]
        right.append(torch.autograd.grad(loss_of(leaves, batches[at % 3]), leaves))
    for at, (entry, expected) in enumerate(zip(given, right, strict=False)):
        # Gradients that never stood in .grad (autograd.grad) are seen by what the weights become.
        for name, one in zip(NAMES, expected, strict=True):
            found = entry.get(name)
            wrong = None if found is None else a.same(found, one, f"the gradient in step {at + 1}")
            if wrong and at:
                return a.found(f"{wrong.message}: is something of the step before still in it?")
            if wrong:
                return a.found(f"{wrong.message}: it is not that of the loss")
    return None


def updates(a: Asker) -> Finding | None:
    batches, steps = some_batches(a), 5
    model, _ = lent(a, still=False)
    got = a.call("fit", model.handle, batches, steps, judged=False)
    course = model.method("course")
    then = model.method("weights_then", judged=False)
    # The last loss is the largest here: who puts the best weights back puts back others.
    again, weights = lent(a, still=False)
    harder = sorted(batches, key=lambda batch: float(loss_of(weights, batch)))
    a.call("fit", again.handle, harder, len(harder), judged=False)
    other = again.method("course")
    wrong = losses_found(a, got, steps)
    if wrong:
        return wrong
    if len(then) - 1 != steps:
        passes = len(then) - 1
        return a.found(
            f"with steps={steps} there were {passes} passes of the model you were given; one a step is asked"
        )
    for at, count in enumerate(course["steps"]):
        if count > 1:
            return a.found(f"in step {at + 1} the optimiser steps {count} times; exactly one update a step is asked")
    for at, moved in enumerate(course["changed"]):
        if not any(moved):
            return a.found(f"step {at + 1} of {steps} leaves all weights as they were; each step is an update")
        if not all(moved):
            return a.found(
                f"step {at + 1} of {steps} leaves some of the model's weights as they were: train all of them"
            )
    if course["put_back"] or other["put_back"]:
        return a.found(
            "afterwards the model has weights that it had before the last update; leave it as the updates do"
        )
    if course["forgetful"]:
        return a.found(
            "each step has an optimiser of its own, which knows nothing of earlier gradients: make one, before the loop"
        )
    right = [loss_of(weights, batches[at % 3]) for at, weights in enumerate(then[:-1])]
    wrong = losses_right(a, got, right, "each loss is that before its update")
    if wrong:
        return wrong
    down = 0.0
    for at, (one, two) in enumerate(pairwise(then)):
        leaves = [w.clone().requires_grad_(True) for w in one]
        slopes = torch.autograd.grad(loss_of(leaves, batches[at % 3]), leaves)
        down += sum(float(((new - old) * slope).sum()) for old, new, slope in zip(one, two, slopes, strict=True))
    return None if down < 0 else a.found("the updates go along the gradients, not against them: the loss rises")


def mode(a: Asker) -> Finding | None:
    model, _ = lent(a, still=True)
    a.call("fit", model.handle, some_batches(a), 3)
    training = model.method("course")["training"]
    after = [model.get(name) for name in ("training", "token.training")]
    learnable = [model.get(f"{name}.requires_grad") for name in NAMES]
    if not all(training):
        return a.found("the model came in train mode, and you train it in eval mode: dropout would be off")
    if not all(after):
        return a.found("the model came in train mode and is left in eval mode")
    if not all(learnable):
        return a.found("parameters that could be trained before are left frozen (requires_grad is False)")
    return None


def learns(a: Asker) -> Finding | None:
    # After token i comes token i + 2: there is nothing else to learn.
    rows = (a.randint(0, VOCAB, 5, 1) + 2 * torch.arange(11)) % VOCAB
    model = a.build("Watched", VOCAB, 24.0, False, False)
    model.load(
        {
            "token.weight": torch.zeros(VOCAB, VOCAB),
            "past.weight": torch.zeros(VOCAB, VOCAB),
            "usual": torch.zeros(VOCAB),
        }
    )
    model.train()
    steps = 200
    got = a.call("fit", model.handle, [rows, rows.roll(1, 0)], steps, judged=False)
    wrong = losses_found(a, got, steps)
    if wrong:
        return wrong
    start, end = sum(got[:5]) / 5, sum(got[-5:]) / 5
    if end < 0.7 * start:
        return None
    return a.found(
        f"after {steps} steps on a text that repeats the loss is {end:.3g}, after 5 it was {start:.3g}; "
        "below 0.7 times that is asked: take larger steps (lr)"
    )


CHECKS = (
    Check(
        id="first",
        run=first,
        hints=(
            "The first loss is that of the model as it came, the mean over all predicted tokens.",
            "Look at the shift by one, at the mean, and at what you put into the list.",
            "logits[:, :-1] against tokens[:, 1:], cross-entropy, mean; append loss.item()",
        ),
    ),
    Check(
        id="order",
        run=order,
        needs=("first",),
        hints=(
            "There is a raw loss for each of `steps` steps; batches come in order, and a list from its start again.",
            "Look at how often the loop runs, and at what comes after the last batch.",
            "for step in range(steps): batch = the next one; if there is none, begin the list again",
        ),
    ),
    Check(
        id="iterator",
        run=iterator,
        needs=("order",),
        hints=(
            "batches may be an iterator that has no length and no end.",
            "Look for len, for an index, for list(batches), and for iter(batches) in every step.",
            "source = iter(batches) once; next(source); on StopIteration source = iter(batches)",
        ),
    ),
    Check(
        id="gradients",
        run=gradients,
        needs=("order",),
        hints=(
            "Each step's gradients are those of its own batch's loss.",
            "Look at where gradients are cleared.",
            "optimizer.zero_grad(); loss.backward(); optimizer.step()",
        ),
    ),
    Check(
        id="updates",
        run=updates,
        needs=("order", "gradients"),
        hints=(
            "Each step changes every parameter once, against its gradient, after its loss was taken.",
            "Look at the order of zero_grad, backward and step, and at which parameters the optimiser has.",
            "one optimiser over model.parameters() before the loop; zero_grad, backward, step in it",
        ),
    ),
    Check(
        id="mode",
        run=mode,
        needs=("order",),
        hints=(
            "A model that comes in train mode learns in train mode and is left in it.",
            "Look for eval().",
            "model.train() before the loop, and nothing after it",
        ),
    ),
    Check(
        id="learns",
        run=learns,
        needs=("updates",),
        hints=(
            "In 200 steps the loss on a text that repeats falls below 0.7 times what it was.",
            "Look at the size of the steps.",
            "torch.optim.AdamW(model.parameters(), lr=1e-3)",
        ),
    ),
)
