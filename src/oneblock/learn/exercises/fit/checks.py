"""What training must do, whatever the optimiser: told by a model that records its passes, gradients and weights."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.learn.asker import TOLERANCE, Asker, Remote, describe
from oneblock.learn.exercise import Finding

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


def sure_of_zero(a: Asker, much: float) -> tuple[Remote, list[Tensor]]:
    """A model whose logits are so much for token 0 and 0 for all others, and its weights."""
    model = a.build("Watched", VOCAB, 1.0, True)
    usual, none = torch.zeros(VOCAB, dtype=a.dtype), torch.zeros(VOCAB, VOCAB, dtype=a.dtype)
    usual[0] = much
    model.load({"usual": usual, "token.weight": none, "past.weight": none})
    model.train()
    return model, [usual, none, none]


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


def parts_of(seen: Any, batches: list[Tensor], steps: int) -> list[int] | None:
    """Where each step's passes end, counted from 0: a batch goes through whole, or in parts, row after row."""
    if len(seen) == steps:
        return list(range(1, steps + 1))
    at, ends = 0, []
    for step in range(steps):
        batch, rows = batches[step % len(batches)], 0
        while rows < len(batch) and at < len(seen):
            part = seen[at]
            if part.dim() != 2 or not torch.equal(part, batch[rows : rows + len(part), : part.shape[1]]):
                return None
            rows, at = rows + max(1, len(part)), at + 1
        ends.append(at)
        if rows != len(batch):
            return None
    return ends if at == len(seen) else None


def first(a: Asker) -> Finding | None:
    answers = []
    for batch in some_batches(a):
        model, weights = lent(a, still=True)
        answers.append((a.call("fit", model.handle, [batch], 1), [loss_of(weights, batch)]))
    # A large loss is a loss like any other: the model is sure of token 0, and the text has none.
    model, weights = sure_of_zero(a, 30.0)
    batch = a.randint(1, VOCAB, 2, 5)
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
    # And so is a loss of 0: token 0 is sure, and the texts have no other.
    model, _ = sure_of_zero(a, 1e3)
    got = a.call("fit", model.handle, [torch.zeros(2, 5, dtype=torch.int64)], 3)
    answers.append((got, [torch.zeros(())] * 3, "steps=3 on a text that the model knows by heart"))
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
    given, seen = model.method("gradients"), model.method("seen", judged=False)
    # Where a batch goes through in parts, their gradients add up: the last one has all.
    ends = parts_of(seen, batches, steps) or range(1, len(given) + 1)
    right = []
    for at in range(steps):
        leaves = [w.clone().requires_grad_(True) for w in weights]
        right.append(torch.autograd.grad(loss_of(leaves, batches[at % 3]), leaves))
    for at, (end, expected) in enumerate(zip(ends, right, strict=False)):
        entry = given[end - 1]
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
    then, seen = model.method("weights_then", judged=False), model.method("seen", judged=False)
    # The last loss is the largest here: who puts the best weights back puts back others.
    again, weights = lent(a, still=False)
    harder = sorted(batches, key=lambda batch: float(loss_of(weights, batch)))
    a.call("fit", again.handle, harder, len(harder), judged=False)
    other = again.method("course")
    wrong = losses_found(a, got, steps)
    if wrong:
        return wrong
    ends = parts_of(seen, batches, steps)
    if ends is None:
        return a.found(
            f"with steps={steps} there were {len(seen)} passes of the model you were given; in each step its batch "
            "goes through once (whole, or in parts, row after row)"
        )
    begins = [0, *ends[:-1]]
    for at, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        count = max(
            sum(course["steps"][begin:end]), 1 + sum(any(moved) for moved in course["changed"][begin : end - 1])
        )
        if count > 1:
            return a.found(f"in step {at + 1} there are {count} updates; exactly one update a step is asked")
    then = [then[at] for at in (0, *ends)]
    for at, moved in enumerate(course["changed"][end - 1] for end in ends):
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
    if course["changed_after"] or other["changed_after"]:
        return a.found(
            "afterwards the model has other weights than the last update gave it, such as a mean of several: leave it "
            "as the updates do"
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
