"""The diffusion transformer: the reference against what others compute."""

import torch
import torch.nn.functional as F

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.judge import judge

EXERCISE = exercise_named("dit")


def test_the_reference_cuts_as_unfold_does():
    names: dict = {}
    exec(text_of("dit", "reference"), names)
    x = torch.randn(2, 3, 4, 6).double()
    right = F.unfold(x, 2, stride=2).transpose(1, 2).unflatten(-1, (3, 4)).transpose(2, 3).flatten(2)
    torch.testing.assert_close(names["patchify"](x, 2), right)
    torch.testing.assert_close(names["unpatchify"](right, 2, 4, 6), x)


def test_a_block_of_other_names_is_found_by_shape_and_by_mapping():
    text = text_of("dit", "reference").replace("self.modulation", "self.ada")
    for told in ("", "\ndef mapping():\n    return {'modulation': 'ada'}\n"):
        names: dict = {}
        exec(text + told, names)
        outcome = judge(EXERCISE, Desk(names).answer, seed=0)
        assert outcome.passed, outcome.root
