"""Exercise 15: the diffusion transformer, whose layers are told what to do by a condition."""

import torch

from oneblock.learn.asker import Asker, Failed, describe
from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.dit.graph import CHECKS
from oneblock.learn.exercises.dit.twin import make
from oneblock.learn.exercises.dit.variants import RIGHT, WRONG


def _squares(a: Asker) -> object:
    image = torch.arange(1, 9, dtype=a.dtype).reshape(1, 1, 2, 4)
    got = a.call("patchify", image, 2)
    if not isinstance(got, torch.Tensor) or got.dim() != 3:
        raise Failed(a.found(f"patchify gives {describe(got)}"))
    return got.sort(-1).values


EXERCISE = Exercise(
    name="dit",
    title="the diffusion transformer: patches, and a block that is told",
    names=("patchify", "unpatchify", "modulate", "DiTBlock"),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    worked=(
        Worked(
            says="The image 1 2 3 4 over 5 6 7 8 in patches of 2: the left square and the right one, each sorted here.",
            run=_squares,
            right=torch.tensor([[[1, 2, 5, 6], [3, 4, 7, 8]]], dtype=torch.float64),
        ),
        Worked(
            says="modulate of tokens (1, 2) and (3, 4) with shift (10, 20) and scale (1, 0): x · (2, 1) + (10, 20).",
            run=lambda a: a.call("modulate", a.tensor([[[1, 2], [3, 4]]]), a.tensor([[10, 20]]), a.tensor([[1, 0]])),
            right=torch.tensor([[[12, 22], [16, 24]]], dtype=torch.float64),
        ),
    ),
)
