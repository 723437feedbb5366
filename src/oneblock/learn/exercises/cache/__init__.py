"""Exercise 11: the key/value cache, by which a token costs one token."""

from typing import Any

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.cache.checks import CHECKS, step
from oneblock.learn.exercises.cache.twin import make
from oneblock.learn.exercises.cache.variants import RIGHT, WRONG


def _decoded(a: Asker, *sizes: int) -> Any:
    """One head of width 1 whose q is 1 everywhere, whose k is 0, and whose output is v: the mean of all so far."""
    module = a.build("MultiHeadAttention", 2, 1)
    qkv = a.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    module.load({"qkv.weight": qkv, "output.weight": a.tensor([[1.0, 0.0], [0.0, 1.0]])})
    x = a.tensor([[[4.0, 0.0], [8.0, 6.0], [0.0, 3.0], [4.0, 3.0]]])
    cache, at, outputs = None, 0, []
    for size in sizes:
        output, cache = step(a, module, x[:, at : at + size], cache, at)
        if not isinstance(output, torch.Tensor) or output.shape != (1, size, 2):
            return output
        outputs.append(output)
        at += size
    return torch.cat(outputs, 1)[0]


RIGHT_MEANS = torch.tensor([[4.0, 0.0], [6.0, 3.0], [4.0, 3.0], [4.0, 3.0]], dtype=torch.float64)
EXERCISE = Exercise(
    name="cache",
    title="the key/value cache: a token costs one token",
    names=("attend_with_cache",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Keys are all zero, so every token gets the mean of the values up to its own, and values are the "
            "tokens: (4, 0), (8, 6), (0, 3), (4, 3). All four at once.",
            run=lambda a: _decoded(a, 4),
            right=RIGHT_MEANS,
        ),
        Worked(
            says="The same tokens (4, 0), (8, 6), (0, 3), (4, 3), one at a time: each gets the mean up to itself.",
            run=lambda a: _decoded(a, 1, 1, 1, 1),
            right=RIGHT_MEANS,
        ),
        Worked(
            says="The same tokens, first two, then two: the third must not see the fourth.",
            run=lambda a: _decoded(a, 2, 2),
            right=RIGHT_MEANS,
        ),
    ),
)
