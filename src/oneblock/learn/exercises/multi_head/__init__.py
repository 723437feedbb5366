"""Exercise 4: attention in several heads, each with a question of its own."""

import math

import torch
from torch import Tensor

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.multi_head.checks import CHECKS
from oneblock.learn.exercises.multi_head.twin import make
from oneblock.learn.exercises.multi_head.variants import RIGHT, WRONG


def _asked(a: Asker, heads: int, qkv: list[list[float]], x: list[list[float]], mask: Tensor | None = None) -> object:
    width = len(x[0])
    module = a.build("MultiHeadAttention", width, heads)
    module.load({"qkv.weight": a.tensor(qkv), "output.weight": torch.eye(width, dtype=a.dtype)})
    return module(a.tensor([x])) if mask is None else module(a.tensor([x]), mask)


def _two_heads(a: Asker) -> object:
    # Head 0 asks q = x₀, keys k = x₀; head 1 has q = 0 and so weighs alike. Both take values v = x.
    ln3 = math.log(3)
    q, k, v = [[1.0, 0.0], [0.0, 0.0]], [[ln3, 0.0], [0.0, 0.0]], [[8.0, 0.0], [0.0, 1.0]]
    return _asked(a, 2, [*q, *k, *v], [[1.0, 2.0], [0.0, 6.0]])


def _masked(a: Asker) -> object:
    zero, v = [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]
    mask = torch.tensor([[True, False], [True, True]])
    return _asked(a, 2, [*zero, *zero, *v], [[4.0, 2.0], [8.0, 6.0]], mask)


EXERCISE = Exercise(
    name="multi_head",
    title="several heads: many questions at once",
    names=("MultiHeadAttention",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Two heads of one number each (√K is 1), two tokens [1, 2] and [0, 6], `output` the identity. Head 0 "
            "has q = x₀, k = ln 3 · x₀, v = 8 · x₀: token 0 scores ln 3 and 0, weighs 3/4 and 1/4, and gets 3/4 · 8; "
            "token 1 scores 0 and 0. Head 1 has q = 0 and v = x₁: the mean of 2 and 6.",
            run=_two_heads,
            right=torch.tensor([[[6.0, 4.0], [4.0, 4.0]]], dtype=torch.float64),
        ),
        Worked(
            says="Two heads whose q and k are 0, v = x, tokens [4, 2] and [8, 6]; the first token may see itself only.",
            run=_masked,
            right=torch.tensor([[[4.0, 2.0], [6.0, 4.0]]], dtype=torch.float64),
        ),
    ),
)
