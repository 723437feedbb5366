"""Exercise 7: the loss, which says how surprised a model was by the next token."""

import math

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.loss.checks import CHECKS
from oneblock.learn.exercises.loss.twin import make
from oneblock.learn.exercises.loss.variants import RIGHT, WRONG


def _loss(a: Asker, tokens: list[int], pad: int | None = None) -> object:
    # Shares 1/4 and 3/4, then 1/2 and 1/2, then whatever: nothing comes after the last.
    logits = a.tensor([[[0.0, math.log(3)], [0.0, 0.0], [9.0, 0.0]]])
    more = () if pad is None else (pad,)
    return a.call("next_token_loss", logits, torch.tensor([tokens]), *more)


EXERCISE = Exercise(
    name="loss",
    title="the loss: how surprising was the next token",
    names=("next_token_loss",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Two words, three tokens 0, 1, 0; the logits have shares 1/4, 3/4 at the first place and 1/2, 1/2 at "
            "the second. Token 1 had 3/4, then token 0 had 1/2: (ln 4/3 + ln 2) / 2. The third place has no target.",
            run=lambda a: _loss(a, [0, 1, 0]),
            right=torch.tensor((math.log(4 / 3) + math.log(2)) / 2, dtype=torch.float64),
        ),
        Worked(
            says="The same logits, tokens 1, 1, 0, and 0 is the pad: only the first target counts, ln 4/3.",
            run=lambda a: _loss(a, [1, 1, 0], 0),
            right=torch.tensor(math.log(4 / 3), dtype=torch.float64),
        ),
    ),
)
