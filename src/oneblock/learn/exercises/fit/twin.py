"""Training with switches: without any it is right; each variant sets one or more."""

import copy
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

OPTIMISERS = {
    "adamw": lambda own: torch.optim.AdamW(own, lr=3e-3),
    "adam": lambda own: torch.optim.Adam(own, lr=1e-3),
    "adam, 3e-4": lambda own: torch.optim.Adam(own, lr=3e-4),
    "sgd": lambda own: torch.optim.SGD(own, lr=0.1),
    "momentum": lambda own: torch.optim.SGD(own, lr=0.03, momentum=0.9, nesterov=True),
    "rmsprop": lambda own: torch.optim.RMSprop(own, lr=1e-3),
    "adagrad": lambda own: torch.optim.Adagrad(own, lr=0.05),
    "tiny": lambda own: torch.optim.AdamW(own, lr=1e-6, weight_decay=0.0),
    "ascent": lambda own: torch.optim.SGD(own, lr=0.05, maximize=True),
}


def _taken(batches: Any, steps: int, how: str) -> Iterator[Tensor]:
    if how == "cycle":
        yield from itertools.cycle(batches)
    elif how == "first only":
        one = next(iter(batches))
        while True:
            yield one
    elif how == "list":
        batches = list(batches)
    elif how == "indexed":
        for at in range(steps):
            yield batches[at % len(batches)]
    elif how == "reversed" and isinstance(batches, list):
        batches = batches[::-1]
    elif how == "turns" and isinstance(batches, list):
        batches = batches + batches[::-1]
    elif how == "shuffled" and isinstance(batches, list):
        while True:
            yield from (batches[int(i)] for i in torch.randperm(len(batches)))
    elif how == "second first":
        batches = batches[1:] or batches if isinstance(batches, list) else batches
    elif how == "each twice":
        for batch in itertools.cycle(batches):
            yield batch
            yield batch
    elif how == "joined" and isinstance(batches, list):
        rows = [row[None] for batch in batches for row in batch]
        yield from itertools.cycle(rows)
    while True:
        source = iter(batches)
        try:
            while True:
                yield next(source)
        except StopIteration:
            if how == "once":
                return


def _loss(model: nn.Module, tokens: Tensor, shift: int, inputs: str, reduction: str, form: str) -> Tensor:
    given = tokens[:, :-1] if inputs == "without the last" else tokens
    logits = model(given)
    logits, targets = logits[:, : tokens.shape[1] - shift], tokens[:, shift:]
    if form == "backwards":
        logits, targets = model(tokens)[:, 1:], tokens[:, :-1]
    if form == "softmax twice":
        logits = logits.softmax(-1)
    if form == "last":
        logits, targets = logits[:, -1:], targets[:, -1:]
    if form == "bits":
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()) / math.log(2)
    if form == "smoothed labels":
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.1)
    if form == "log_softmax":
        return -logits.log_softmax(-1).gather(-1, targets[..., None]).mean()
    total = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return total / {"mean": targets.numel(), "sum": 1, "rows": len(tokens), "tokens": tokens.numel()}[reduction]


def _step(model: nn.Module, optimizer: Any, loss: Tensor, zero: str, step: str, at: int) -> None:
    """Clear, backward, step; in the order that the switches say."""
    if step == "before backward":
        optimizer.step()
    if zero in ("before", "every second") and (zero == "before" or at % 2 == 0):
        optimizer.zero_grad()
    if step == "by hand":
        own = list(model.parameters())
        for p, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
            p.data -= 0.1 * gradient
        return
    if step != "without backward":
        loss.backward(retain_graph=step == "two backward")
    if step == "two backward":
        loss.backward()
    if zero == "between":
        optimizer.zero_grad()
    if step == "clipped":
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if step == "doubled":
        optimizer.step()
    if step not in ("never", "before backward") and (step != "every second" or at % 2):
        optimizer.step()
    if zero == "after":
        optimizer.zero_grad()


class _Both:
    """Two optimisers, each with parameters of its own."""

    def __init__(self, *each: Any) -> None:
        self.each = each

    def zero_grad(self) -> None:
        for optimizer in self.each:
            optimizer.zero_grad()

    def step(self) -> None:
        for optimizer in self.each:
            optimizer.step()


def _in_parts(model: nn.Module, tokens: Tensor, optimizer: Any, parts: str) -> float:
    """A step whose batch goes through row by row; the loss is the mean of theirs."""
    total = 0.0
    for at, row in enumerate(tokens):
        loss = _loss(model, row[None], 1, "all", "mean", "plain")
        if at == 0 or parts in ("cleared", "updates"):
            optimizer.zero_grad()
        (loss if parts == "summed" else loss / len(tokens)).backward()
        if parts == "updates":
            optimizer.step()
        total += loss.item() / len(tokens)
    if parts != "updates":
        optimizer.step()
    return total


def _said(losses: list[float], reported: str) -> Any:
    if reported == "running mean":
        return [sum(losses[: i + 1]) / (i + 1) for i in range(len(losses))]
    if reported == "smoothed":
        return list(itertools.accumulate(losses, lambda old, new: 0.9 * old + 0.1 * new))
    if reported == "best":
        return list(itertools.accumulate(losses, min))
    if reported == "capped":
        return [min(loss, 10.0) for loss in losses]
    if reported == "rounded":
        return [round(loss, 3) for loss in losses]
    if reported == "perplexity":
        return [math.exp(loss) for loss in losses]
    if reported == "last":
        return losses[-1]
    if reported == "mean":
        return sum(losses) / len(losses)
    if reported == "every second":
        return losses[::2]
    if reported == "numbered":
        return list(enumerate(losses))
    return {"tuple": tuple(losses), "nothing": None, "model, losses": (None, losses)}.get(reported, losses)


def fit(
    model: nn.Module,
    batches: Any,
    steps: int,
    *,
    order: str = "round",
    more: int = 0,
    shift: int = 1,
    inputs: str = "all",
    reduction: str = "mean",
    form: str = "plain",
    zero: str = "before",
    step: str = "each",
    reported: str = "raw",
    optimiser: str = "adamw",
    trained: str = "all",
    anew: bool = False,
    mode: str = "train",
    schedule: str = "none",
    after: bool = False,
    put_back: bool = False,
    parts: str = "none",
    averaged: bool = False,
    two: bool = False,
    stops: bool = False,
) -> Any:
    trained_model = copy.deepcopy(model) if trained == "copy" else model
    own = list(trained_model.parameters())
    matrices = [p for p in own if p.dim() > 1]
    own = {"first": own[:1], "last": own[-1:], "matrices": matrices}.get(trained, own)
    make_one = OPTIMISERS[optimiser]
    optimizer: Any = make_one(own) if not two else _Both(make_one(own[:1]), OPTIMISERS["sgd"](own[1:]))
    falling: Any = None
    if schedule == "cosine":
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    elif schedule == "from zero":
        falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda at: at / 3)
    if mode != "as found":
        trained_model.train(mode != "eval")
    losses: list[Any] = []
    means: list[Tensor] = []
    source = _taken(batches, steps, order)
    for at in range(steps + more):
        tokens = next(source, None)
        if tokens is None:
            break
        if parts != "none":
            losses.append(_in_parts(trained_model, tokens, optimizer, parts))
            continue
        loss = _loss(trained_model, tokens, shift, inputs, reduction, form)
        if anew:
            optimizer = make_one(own)
        _step(trained_model, optimizer, loss, zero, step, at)
        if falling:
            falling.step()
        if after:
            with torch.no_grad():
                loss = _loss(trained_model, tokens, shift, inputs, reduction, form)
        if averaged:
            new = [p.detach().clone() for p in own]
            count = len(losses)
            means = [(m * count + p) / (count + 1) for m, p in zip(means or new, new, strict=True)]
        if put_back and (not losses or loss.item() < min(losses)):
            kept = copy.deepcopy(model.state_dict())
        if stops and loss.item() < 1e-6:
            break
        losses.append(loss.detach() if reported == "tensors" else loss.item())
    if averaged:
        with torch.no_grad():
            [p.copy_(m) for p, m in zip(own, means, strict=True)]
    if mode == "frozen afterwards":
        model.requires_grad_(False)
    if put_back:
        model.load_state_dict(kept)
    if mode == "eval afterwards":
        model.eval()
    return _said(losses, reported)


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    return {"fit": functools.partial(fit, **switches)}  # type: ignore[arg-type]
