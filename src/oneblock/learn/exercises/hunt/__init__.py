"""Exercise 16: the hunt: a test of attention."""

from typing import Any

import torch

from oneblock.learn.asker import Asker, Raised
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.attention.twin import make as attention
from oneblock.learn.exercises.hunt.checks import CHECKS, HUNTED, hunted
from oneblock.learn.exercises.hunt.twin import make
from oneblock.learn.exercises.hunt.variants import RIGHT, WRONG


def _verdicts(a: Asker, *switches: Any) -> object:
    """1 where the learner's test raises AssertionError, 0 where it returns."""
    if hunted(a).name != "attention":
        return torch.tensor([0, *(1 for _ in switches[1:])])
    found = []
    for each in switches:
        try:
            lent: Any = attention(**each)[HUNTED["attention"]]
            a.call("test", a.lend(lent))
            found.append(0)
        except Raised as error:
            found.append(1 if error.error["type"] == "AssertionError" else -1)
    return torch.tensor(found)


EXERCISE = Exercise(
    name="hunt",
    title="the hunt: write the test",
    names=("test",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Three implementations: right; without 1/√K; with the mask turned round. 1 is AssertionError, 0 is "
            "a test that returns.",
            run=lambda a: _verdicts(a, {}, {"scale": "none"}, {"polarity": "hides"}),
            right=torch.tensor([0, 1, 1]),
        ),
    ),
)
