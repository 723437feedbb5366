"""Exercise 2: attention, by which each token takes from others what it looks for."""

import math

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.attention.checks import CHECKS
from oneblock.learn.exercises.attention.twin import make
from oneblock.learn.exercises.attention.variants import RIGHT, WRONG


def _two_keys(a: Asker) -> object:
    # Scores 0 and ln 3 · 2, divided by √4: the weights are 1 : 3.
    q, k = a.tensor([[1.0, 0.0, 0.0, 0.0]]), a.tensor([[0.0, 1.0, 0.0, 0.0], [2 * math.log(3), 0.0, 0.0, 0.0]])
    return a.call("attention", q, k, a.tensor([[4.0], [8.0]]))[0]


def _masked(a: Asker) -> object:
    q, k = a.tensor([[1.0], [1.0]]), a.tensor([[0.0], [0.0]])
    return a.call("attention", q, k, a.tensor([[4.0], [8.0]]), torch.tensor([[True, False], [True, True]]))[0]


EXERCISE = Exercise(
    name="attention",
    title="attention: look, weigh, take",
    names=("attention",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="One query of width 4 against two keys, scores 0 and 2 ln 3, over √4: 0 and ln 3, so weights 1/4 and "
            "3/4; the values are 4 and 8.",
            run=_two_keys,
            right=torch.tensor([[7.0]], dtype=torch.float64),
        ),
        Worked(
            says="Two equal keys with values 4 and 8; the first query may see the first only, the second sees both.",
            run=_masked,
            right=torch.tensor([[4.0], [6.0]], dtype=torch.float64),
        ),
    ),
)
