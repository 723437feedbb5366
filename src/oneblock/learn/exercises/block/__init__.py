"""Exercise 6: the block, which reads the residual stream and adds to it, twice."""

import math

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.block.checks import CHECKS
from oneblock.learn.exercises.block.twin import make
from oneblock.learn.exercises.block.variants import RIGHT, WRONG


def _large(a: Asker) -> object:
    # GELU of 100 is 100, of −100 it is 0, by either form.
    module = a.build("FeedForward", 1, 2)
    module.load({"up.weight": a.tensor([[100.0], [-100.0]]), "down.weight": a.tensor([[1.0, 5.0]])})
    return module(a.tensor([[[1.0], [2.0]]]))


def _attention_only(a: Asker) -> object:
    # q = k = 0, so a token takes the mean of what it may see; feed_forward adds nothing.
    two, off = torch.eye(2, dtype=a.dtype), torch.zeros(2, 2, dtype=a.dtype)
    module = a.build("Block", 2, 1, 2)
    module.load(
        {
            "norm1.weight": a.tensor([1.0, 1.0]) * math.sqrt(1 + 1e-5),
            "norm1.bias": a.tensor([0.0, 0.0]),
            "attention.qkv.weight": torch.cat([off, off, two]),
            "attention.output.weight": two,
            "norm2.weight": a.tensor([1.0, 1.0]),
            "norm2.bias": a.tensor([0.0, 0.0]),
            "feed_forward.up.weight": two,
            "feed_forward.down.weight": off,
        }
    )
    return module(a.tensor([[[4.0, 2.0], [5.0, 7.0]]]))


EXERCISE = Exercise(
    name="block",
    title="the block: read the stream, add to it, twice",
    names=("FeedForward", "Block"),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="FeedForward of width 1, hidden 2: up is [100, −100], down [1, 5]. GELU keeps large numbers and makes "
            "0 of very negative ones, so 1 becomes gelu(100) · 1 + gelu(−100) · 5.",
            run=_large,
            right=torch.tensor([[[100.0], [200.0]]], dtype=torch.float64),
        ),
        Worked(
            says="A block of width 2 on the tokens [4, 2] and [5, 7], whose feed_forward adds nothing and whose "
            "attention weighs alike what it may see. norm1 makes [1, −1] and [−1, 1] of them; token 0 sees itself, "
            "token 1 both, whose mean is [0, 0]. Each is added to the stream.",
            run=_attention_only,
            right=torch.tensor([[[5.0, 1.0], [5.0, 7.0]]], dtype=torch.float64),
        ),
    ),
)
