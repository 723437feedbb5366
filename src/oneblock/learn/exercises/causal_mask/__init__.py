"""Exercise 3: the causal mask, by which no token sees what comes after it."""

import torch

from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.causal_mask.checks import CHECKS
from oneblock.learn.exercises.causal_mask.twin import make
from oneblock.learn.exercises.causal_mask.variants import RIGHT, WRONG

EXERCISE = Exercise(
    name="causal_mask",
    title="the causal mask: nobody reads ahead",
    names=("causal_mask",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Three tokens, all at once: the first sees itself, the second two, the third all.",
            run=lambda a: a.call("causal_mask", 3, 3),
            right=torch.tensor([[True, False, False], [True, True, False], [True, True, True]]),
        ),
        Worked(
            says="Two new tokens after one that is in the cache (2 queries, 3 keys): the first sees two keys.",
            run=lambda a: a.call("causal_mask", 2, 3),
            right=torch.tensor([[True, True, False], [True, True, True]]),
        ),
    ),
)
