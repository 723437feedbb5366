"""The loss at every place of a long text, and what a naive evaluation would make of it."""

from __future__ import annotations

from torch import Tensor, nn

from oneblock.compare.measures.far import FAR, ROWS
from oneblock.compare.measures.subject import Found, Subject
from oneblock.train.evaluate import evaluating

BUCKETS = 8
"""Points of the curve for each trained length."""


def measure(subject: Subject) -> Found:
    """The loss by position up to four times the trained length; the mean over such windows less that over short ones.

    The naive difference judges the same tokens, but in short windows many of them stand early, with little before
    them: a scheme that makes nothing of the distant past gains by it all the same (Press et al. 2022, appendix B).
    """
    context = subject.context
    text = subject.windows(FAR * context + 1, ROWS)
    inputs, targets = text[:, :-1], text[:, 1:]
    with evaluating(subject.model):
        far = _losses(subject.model, inputs, targets)
        near = _losses(subject.model, inputs.reshape(-1, context), targets.reshape(-1, context))
    size = max(context // BUCKETS, 1)
    points = [[float(at + size), float(far[:, at : at + size].mean())] for at in range(0, FAR * context, size)]
    return Found(
        measures={"naive_stretch": float(far.mean() - near.mean())},
        curves={"loss by position": points},
    )


def _losses(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    logits = model(inputs).float()
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
