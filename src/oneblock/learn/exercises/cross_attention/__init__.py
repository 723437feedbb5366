"""Exercise 14: cross-attention and the encoder-decoder, where one sequence looks at another."""

import math

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.cross_attention.checks import CHECKS
from oneblock.learn.exercises.cross_attention.twin import make
from oneblock.learn.exercises.cross_attention.variants import RIGHT, WRONG


def _one_head(a: Asker, *mask: torch.Tensor) -> object:
    # Width 1: each projection is one number, the score of a memory token m is x · m.
    module = a.build("CrossAttention", 1, 1)
    one = a.tensor([[1.0]])
    module.load({"query.weight": one, "key_value.weight": a.tensor([[1.0], [4.0]]), "output.weight": one})
    return module(a.tensor([[[math.log(3)], [0.0]]]), a.tensor([[[0.0], [1.0], [2.0]]])[:, : 3 if mask else 2], *mask)


EXERCISE = Exercise(
    name="cross_attention",
    title="cross-attention: one sequence reads another",
    names=("CrossAttention", "EncoderDecoder"),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Width 1, one head, every weight 1 but the value's, which is 4. Memory 0 and 1, so the values "
            "are 0 and 4. The query ln 3 has scores 0 and ln 3, weights 1/4 and 3/4; the query 0 has 1/2 and 1/2.",
            run=_one_head,
            right=torch.tensor([[[3.0], [2.0]]], dtype=torch.float64),
        ),
        Worked(
            says="The same with a third memory token 2, and memory_mask [[True, True, False]], which hides it.",
            run=lambda a: _one_head(a, torch.tensor([[True, True, False]])),
            right=torch.tensor([[[3.0], [2.0]]], dtype=torch.float64),
        ),
    ),
)
