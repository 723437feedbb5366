"""Exercise 8: a GPT, whole."""

import torch

from oneblock.learn.asker import Asker
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.tiny_gpt.checks import CHECKS
from oneblock.learn.exercises.tiny_gpt.twin import make
from oneblock.learn.exercises.tiny_gpt.variants import RIGHT, WRONG


def _without_branches(a: Asker) -> object:
    """Width 2: the last norm makes (1, −1) or (−1, 1) of every row; branches whose last layers are zero add nothing."""
    module = a.build("TinyGPT", 3, 2, 1, 1, 2)
    table = a.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    weights = {name: torch.zeros(shape) for name, shape in (
        ("norm1.weight", 2), ("norm1.bias", 2), ("norm2.weight", 2), ("norm2.bias", 2))}  # fmt: skip
    weights |= {"attention.qkv.weight": torch.zeros(6, 2), "attention.output.weight": torch.zeros(2, 2)}
    weights |= {"feed_forward.up.weight": torch.zeros(8, 2), "feed_forward.down.weight": torch.zeros(2, 8)}
    weights = {f"blocks.0.{name}": tensor for name, tensor in weights.items()}
    weights |= {
        "token_embedding.weight": 1000 * table,
        "position_embedding.weight": a.tensor([[0.0, 0.0], [0.0, 5000.0]]),
    }
    weights |= {"norm.weight": torch.ones(2), "norm.bias": torch.zeros(2), "head.weight": 1000 * table}
    module.load(weights)
    return (module(torch.tensor([[0, 0]])) / 1000).round(decimals=3)


EXERCISE = Exercise(
    name="tiny_gpt",
    title="a GPT, whole",
    names=("TinyGPT",),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="Width 2, blocks add nothing, tokens 0 0. In thousands: token 0 is (1, 0), positions are (0, 0) and "
            "(0, 5), so the stream is (1, 0) and (1, 5), and the norm gives (1, −1) and (−1, 1). The head's rows "
            "are (1, 0), (0, 1), (2, 1), and the logits in thousands:",
            run=_without_branches,
            right=torch.tensor([[[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]], dtype=torch.float64),
        ),
    ),
)
