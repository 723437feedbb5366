"""Longer texts with and without the early-token effect: the same tokens, judged in three ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.compare.measures.far import FAR
from oneblock.compare.measures.subject import Found, Subject
from oneblock.train.evaluate import evaluating

ROWS, STEPS = 48, 8
"""Texts; and the steps in which a window of the trained length moves on by itself."""


def measure(subject: Subject) -> Found:
    """The loss of the tokens behind the first window of a text of four: whole, in windows cut, in windows that slide.

    Of windows laid side by side, the trained length L each, a token has L/2 before it on average, and the first has
    none. A window that slides by L/8 and judges its last L/8 gives each token 7/8 L or more. `naive_change` is the long
    text less the windows side by side, `fixed_change` the long text less those that slide, `early_cost` what lies
    between: naive = fixed − early. Press et al. 2022, appendix B (whose windows slide by one token).
    """
    context = subject.context
    text = subject.windows(FAR * context + 1, ROWS)
    inputs, targets = text[:, :-1], text[:, 1:]
    step = max(context // STEPS, 1)
    with evaluating(subject.model):
        whole = _losses(subject.model, inputs, targets)[:, context:]
        cut = _losses(subject.model, inputs.reshape(-1, context), targets.reshape(-1, context))
        ends = range(context + step, FAR * context + 1, step)
        slid = [
            _losses(subject.model, inputs[:, end - context : end], targets[:, end - context : end])[:, -step:]
            for end in ends
        ]
    side_by_side = cut.view(len(text), -1)[:, context:]
    judged = step * len(slid)
    of_whole, of_cut, of_slid = (
        float(losses[:, :judged].double().mean()) for losses in (whole, side_by_side, torch.cat(slid, dim=1))
    )
    return Found(
        measures={
            "naive_change": of_whole - of_cut,
            "fixed_change": of_whole - of_slid,
            "early_cost": of_cut - of_slid,
        }
    )


def _losses(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    logits = model(inputs).float()
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
