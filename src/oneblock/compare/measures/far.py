"""The loss far beyond the trained length, on tokens that have enough before them either way."""

from __future__ import annotations

from torch import nn

from oneblock.compare.measures.subject import Found, Subject
from oneblock.train.evaluate import evaluating

FAR, ROWS = 4, 24
"""How many times the trained length is looked at, and in how many texts."""


def measure(subject: Subject) -> Found:
    """The loss of the last eighth of long texts, and what it is above the same tokens' with less before them.

    The same tokens both times, each with at least 7/8 of the trained length before it, so that neither early tokens nor
    other words decide.
    """
    context = subject.context
    ends = subject.windows(FAR * context + 1, ROWS)
    judged = max(context // 8, 1)
    losses = []
    with evaluating(subject.model):
        for length in (FAR * context, context):
            window = ends[:, -(length + 1) :]
            logits = subject.model(window[:, :-1])[:, -judged:].float()
            losses.append(float(nn.functional.cross_entropy(logits.flatten(0, 1), window[:, -judged:].flatten())))
    return Found(measures={"far_loss": losses[0], "stretch": losses[0] - losses[1]})
