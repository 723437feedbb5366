"""Exercise 13: experts, feed-forwards of which each token uses a few."""

import math

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.experts.graph import CHECKS
from oneblock.learn.exercises.experts.twin import make
from oneblock.learn.exercises.experts.variants import RIGHT, WRONG


def _logits(a: Asker) -> torch.Tensor:
    return a.tensor([[math.log(5), math.log(3), math.log(2)], [math.log(2), math.log(6), math.log(4)]])


EXERCISE = Exercise(
    name="experts",
    title="experts: more weights, the same work",
    names=("route", "MixtureOfExperts", "load_balancing_loss"),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Two tokens, three experts, probabilities (5, 3, 2)/10 and (2, 6, 4)/12; with k = 1 the weights are",
            run=lambda a: a.call("route", _logits(a), 1)[0],
            right=torch.tensor([[0.5], [0.5]], dtype=torch.float64),
        ),
        Worked(
            says="The same with k = 2: 5 : 3 for experts 0 and 1, and 6 : 4 for experts 1 and 2.",
            run=lambda a: a.call("route", _logits(a), 2)[0],
            right=torch.tensor([[5 / 8, 3 / 8], [3 / 5, 2 / 5]], dtype=torch.float64),
        ),
        Worked(
            says="The same with capacity = 1: token 0 has taken expert 1 by its second choice: token 1 is late there.",
            run=lambda a: a.call("route", _logits(a), 2, 1)[0],
            right=torch.tensor([[5 / 8, 3 / 8], [0, 2 / 5]], dtype=torch.float64),
        ),
        Worked(
            says="Probabilities (1/2, 1/2) and (1, 0), both tokens on expert 0: f = (1, 0), P = (3/4, 1/4), E = 2.",
            run=lambda a: a.call("load_balancing_loss", a.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0], [0]])),
            right=torch.tensor(1.5, dtype=torch.float64),
        ),
    ),
)
