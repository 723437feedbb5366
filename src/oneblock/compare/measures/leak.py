"""Does the model see what it is to tell? Changed futures, blocked scores, and a loss as generation would have it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.compare.measures.subject import Found, Subject, log10_or_none
from oneblock.nn.attend import Fused, WrittenOut
from oneblock.train.evaluate import evaluating

ROWS, TEXTS = 4, 192


def measure(subject: Subject) -> Found:
    """How far a change of one token reaches back, what of the gradient is at blocked scores, and `leak_gap`.

    A model with a right mask says at a place the same whether the text goes on or ends there. One that saw the future
    in training is asked in generation for what it has never learned: from the past alone.
    """
    written = _written_out(subject.model)
    return Found(
        measures={
            "leak": log10_or_none(_reaches_back(written, subject)),
            "blocked_gradient": log10_or_none(_blocked_share(written, subject)),
            "leak_gap": _gap(subject),
        }
    )


def _written_out(model: nn.Module) -> Any:
    """A copy in float64 and eval mode, its attention written out so that scores can be looked at."""
    made = copy.deepcopy(model).double().eval()
    for parent in list(made.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Fused):
                setattr(parent, name, WrittenOut(child.scale, None, child.p).eval())
    return made


def _reaches_back(model: Any, subject: Subject) -> float:
    tokens = subject.windows(subject.context, ROWS)
    changed, at = tokens.clone(), subject.context // 2
    changed[:, at] = (changed[:, at] + 1) % subject.config.model.vocab_size  # type: ignore[union-attr]
    with torch.no_grad():
        return float((model(tokens) - model(changed))[:, :at].abs().max())


def _blocked_share(model: Any, subject: Subject) -> float:
    scores: list[Tensor] = []

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        scores.append(given[0])

    handles = [m.softmax.register_forward_pre_hook(look) for m in model.modules() if isinstance(m, WrittenOut)]
    tokens = subject.windows(subject.context, ROWS)
    with torch.enable_grad():
        logits = model(tokens)[:, :-1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        grads = torch.autograd.grad(loss, scores)
    for handle in handles:
        handle.remove()
    # triu(1): the places of later keys.
    blocked = sum(float(grad.triu(1).square().sum()) for grad in grads)
    whole = sum(float(grad.square().sum()) for grad in grads)
    return (blocked / whole) ** 0.5 if whole else 0.0


def _gap(subject: Subject) -> float:
    """The loss at the middle of texts that end there, less that at the same places of texts that go on."""
    texts, half = subject.windows(subject.context, TEXTS), max(subject.context // 2, 1)
    with evaluating(subject.model):
        losses = [
            float(nn.functional.cross_entropy(subject.model(given)[:, half - 1].float(), texts[:, half]))
            for given in (texts[:, :half], texts)
        ]
    return losses[0] - losses[1]
