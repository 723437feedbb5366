"""Exercise 10: sampling, from logits to a token."""

import math

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.sample.checks import CHECKS
from oneblock.learn.exercises.sample.twin import make
from oneblock.learn.exercises.sample.variants import RIGHT, WRONG

SHARES = (0.15, 0.5, 0.05, 0.3)


def _left(a: Asker, top_k: int | None, top_p: float | None) -> object:
    """Which tokens come in 400 draws."""
    logits = a.tensor([[math.log(share) for share in SHARES]]).repeat(400, 1)
    ids = a.call("sample", logits, 1.0, top_k, top_p, a.generator_of(1))
    return ids.unique() if isinstance(ids, torch.Tensor) else ids


EXERCISE = Exercise(
    name="sample",
    title="sampling: from logits to a token",
    names=("sample",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Temperature 0, logits 1, 3, 2 and 5, 4, 0: the best tokens are 1 and 0.",
            run=lambda a: a.call(
                "sample", a.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 0.0]]), 0.0, None, None, a.generator_of(1)
            ),
            right=torch.tensor([1, 0]),
        ),
        Worked(
            says="Tokens 0 to 3 with shares 0.15, 0.5, 0.05, 0.3 and top_k = 2: which come in 400 draws?",
            run=lambda a: _left(a, 2, None),
            right=torch.tensor([1, 3]),
        ),
        Worked(
            says="The same shares, top_p = 0.6: 0.5 is not enough, 0.5 + 0.3 crosses it. Which come in 400 draws?",
            run=lambda a: _left(a, None, 0.6),
            right=torch.tensor([1, 3]),
        ),
        Worked(
            says="The same, top_k = 3 and top_p = 0.83: of what top_k leaves, the shares are 0.526, 0.316, 0.158, and "
            "the first two cross it. Which come in 400 draws?",
            run=lambda a: _left(a, 3, 0.83),
            right=torch.tensor([1, 3]),
        ),
    ),
)
