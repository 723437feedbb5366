"""Exercise 0: the four computations of a transformer on plain lists, before any tensor."""

import math

import torch

from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.lists.checks import CHECKS, read
from oneblock.learn.exercises.lists.twin import make
from oneblock.learn.exercises.lists.variants import RIGHT, WRONG

EXERCISE = Exercise(
    name="lists",
    title="softmax, attention, norm and residual on plain lists",
    names=("softmax", "attention", "layer_norm", "residual"),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    packages=("torch", "numpy", "scipy", "statistics", "jax", "tensorflow"),
    worked=(
        Worked(
            says="softmax of [0, ln 2, ln 3]: the exponentials are 1, 2, 3, their sum is 6.",
            run=lambda a: read(a.call("softmax", [0.0, math.log(2), math.log(3)])),
            right=torch.tensor([1 / 6, 2 / 6, 3 / 6], dtype=torch.float64),
        ),
        Worked(
            says="attention of the query [2, 0, 0, 0]: its scores for [ln 2, 0, 0, 0] and [0, 1, 0, 0] are 2 ln 2 / 2 "
            "and 0, the weights 2/3 and 1/3; of the values [3] and [6] that makes 2 + 2.",
            run=lambda a: read(
                a.call(
                    "attention",
                    [[2.0, 0.0, 0.0, 0.0]],
                    [[math.log(2), 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]],
                    [[3.0], [6.0]],
                )
            ),
            right=torch.tensor([[4.0]], dtype=torch.float64),
        ),
        Worked(
            says="layer_norm of [3, 5, 7], eps 0: the mean is 5, the variance (4 + 0 + 4) / 3, its root 1.633.",
            run=lambda a: read(a.call("layer_norm", [3.0, 5.0, 7.0], 0.0)),
            right=torch.tensor([-math.sqrt(1.5), 0.0, math.sqrt(1.5)], dtype=torch.float64),
        ),
        Worked(
            says="layer_norm of [1, 3], eps 3: mean 2, variance 1, and 1 + 3 has the root 2.",
            run=lambda a: read(a.call("layer_norm", [1.0, 3.0], 3.0)),
            right=torch.tensor([-0.5, 0.5], dtype=torch.float64),
        ),
        Worked(
            says="residual of [2, −1, 3] with a branch that says [4, 2, −1].",
            run=lambda a: read(a.call("residual", [2.0, -1.0, 3.0], a.lend(lambda x: [4.0, 2.0, -1.0]))),
            right=torch.tensor([6.0, 1.0, 2.0], dtype=torch.float64),
        ),
    ),
)
