"""Exercise 1: softmax, the step that turns scores into shares."""

import math

import torch

from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.softmax.checks import CHECKS
from oneblock.learn.exercises.softmax.twin import make
from oneblock.learn.exercises.softmax.variants import RIGHT, WRONG

EXERCISE = Exercise(
    name="softmax",
    title="softmax: from scores to shares",
    names=("softmax",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    forbids=("softmax", "log_softmax", "softmin", "_softmax", "_log_softmax", "cross_entropy"),
    worked=(
        Worked(
            says="softmax of [0, ln 2, ln 3]: the exponentials are 1, 2, 3, their sum is 6.",
            run=lambda a: a.call("softmax", a.tensor([0.0, math.log(2), math.log(3)]), 0),
            right=torch.tensor([1 / 6, 2 / 6, 3 / 6], dtype=torch.float64),
        ),
        Worked(
            says="softmax of [[0, ln 3], [ln 4, 0]] along dim 1: each row by itself, 1 : 3 and 4 : 1.",
            run=lambda a: a.call("softmax", a.tensor([[0.0, math.log(3)], [math.log(4), 0.0]]), 1),
            right=torch.tensor([[1 / 4, 3 / 4], [4 / 5, 1 / 5]], dtype=torch.float64),
        ),
    ),
)
