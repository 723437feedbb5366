"""Exercise 9: training, step by step."""

import math

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.fit.graph import CHECKS
from oneblock.learn.exercises.fit.twin import make
from oneblock.learn.exercises.fit.variants import RIGHT, WRONG


def _of_two(a: Asker, batches: list[list[list[int]]], steps: int) -> object:
    """Token 0 is followed by 0 with a chance of 1/4 and by 1 with 3/4; token 1 by either with 1/2."""
    model = a.build("Watched", 2, 1.0, True)
    model.load(
        {
            "token.weight": a.tensor([[0.0, math.log(3)], [0.0, 0.0]]),
            "past.weight": torch.zeros(2, 2),
            "usual": torch.zeros(2),
        }
    )
    model.train()
    got = a.call("fit", model.handle, [torch.tensor(batch) for batch in batches], steps)
    plain = isinstance(got, list | tuple) and all(isinstance(entry, float) for entry in got)
    return a.tensor(list(got)) if plain else got


EXERCISE = Exercise(
    name="fit",
    title="training, step by step",
    names=("fit",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="A model: 0 is followed by 0 with chance 1/4, by 1 with 3/4, and 1 by each with 1/2. One step "
            "on the batch 0 1 1: the chances of 1 after 0 and of 1 after 1 are 3/4 and 1/2, the loss is "
            "(ln 4/3 + ln 2) / 2.",
            run=lambda a: _of_two(a, [[[0, 1, 1]]], 1),
            right=torch.tensor([math.log(8 / 3) / 2], dtype=torch.float64),
        ),
        Worked(
            says="The same model, its weights put back before every step: batches 0 0 and 1 0, steps = 3. The losses "
            "are ln 4, ln 2, ln 4.",
            run=lambda a: _of_two(a, [[[0, 0]], [[1, 0]]], 3),
            right=torch.tensor([math.log(4), math.log(2), math.log(4)], dtype=torch.float64),
        ),
    ),
)
