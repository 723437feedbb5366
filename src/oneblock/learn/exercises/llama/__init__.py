"""Exercise 12: rotary positions, SwiGLU, ALiBi and heads in groups."""

import math

import torch

from oneblock.learn.asker import Asker, Failed, describe
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.llama.graph import CHECKS
from oneblock.learn.exercises.llama.twin import make
from oneblock.learn.exercises.llama.variants import RIGHT, WRONG


def _quarter(a: Asker, style: str) -> object:
    # base (2/π)²: the second pair's angle is a quarter turn where the first's is one radian · position.
    return a.call("rope", a.tensor([[0.0, 1.0, 0.0, 2.0]]), torch.tensor([1]), (2 / math.pi) ** 2, style)


def _gated(a: Asker) -> object:
    module = a.build("SwiGLU", 1, 1)
    module.load(
        {name: a.tensor([[w]]) for name, w in (("gate.weight", math.log(3)), ("up.weight", 4), ("down.weight", 1))}
    )
    return module(a.tensor([[1.0]]))


def _apart(a: Asker) -> object:
    bias = a.call("alibi", 3, 1, 2)
    if not isinstance(bias, torch.Tensor) or tuple(bias.shape) != (3, 1, 2):
        raise Failed(a.found(f"alibi(3, 1, 2) is {describe(bias)}"))
    return (bias[..., 0] - bias[..., 1]).to(a.dtype)


EXERCISE = Exercise(
    name="llama",
    title="from GPT to Llama: rotary, SwiGLU, ALiBi, groups",
    names=("rope", "SwiGLU", "alibi", "MultiHeadAttention"),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="rope of (0, 1, 0, 2), half: pair 0 is (0, 0), pair 1 is (1, 2). With base (2/π)² pair 1's angle at "
            "position 1 is a quarter turn, so (1, 2) becomes (−2, 1).",
            run=lambda a: _quarter(a, "half"),
            right=torch.tensor([[0.0, -2.0, 0.0, 1.0]], dtype=torch.float64),
        ),
        Worked(
            says="rope of (0, 0, 1, 2), interleaved, at position 1: pair 1 is (1, 2), and becomes (−2, 1).",
            run=lambda a: a.call(
                "rope", a.tensor([[0.0, 0.0, 1.0, 2.0]]), torch.tensor([1]), (2 / math.pi) ** 2, "interleaved"
            ),
            right=torch.tensor([[0.0, 0.0, -2.0, 1.0]], dtype=torch.float64),
        ),
        Worked(
            says="SwiGLU of 1, width 1: gate ln 3, up 4, down 1. sigmoid(ln 3) = 3/4, so silu is 3/4 · ln 3, times 4.",
            run=_gated,
            right=torch.tensor([[3 * math.log(3)]], dtype=torch.float64),
        ),
        Worked(
            says="alibi(3, 1, 2): the one query is at the second key. Slopes 1/16, 1/256, 1/4; first key less second:",
            run=_apart,
            right=torch.tensor([[-1 / 16], [-1 / 256], [-1 / 4]], dtype=torch.float64),
        ),
    ),
)
