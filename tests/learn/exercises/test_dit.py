"""The diffusion transformer: each wrong variant dies by the check meant for it, each right one passes, the stub has the names."""

import ast
import dataclasses

import pytest
import torch
import torch.nn.functional as F

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.judge import judge
from oneblock.learn.prove import here

EXERCISE = exercise_named("dit")
IDS = [check.id for check in EXERCISE.checks]


def up_to_its_death(wrong):
    """The exercise with the checks that come before, and the one that the variant is to fail."""
    last = max((IDS.index(name) for name in wrong.dies if name in IDS), default=0)
    return dataclasses.replace(EXERCISE, checks=EXERCISE.checks[: last + 1])


@pytest.mark.parametrize("wrong", EXERCISE.wrong[::2], ids=lambda wrong: wrong.name)
def test_a_wrong_one_dies_by_the_check_meant_for_it(wrong):
    outcome = judge(up_to_its_death(wrong), Desk(EXERCISE.make(**wrong.switches)).answer, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies


@pytest.mark.slow
@pytest.mark.parametrize("wrong", EXERCISE.wrong, ids=lambda wrong: wrong.name)
def test_a_wrong_one_is_named(wrong):
    outcome, diagnosis = here(EXERCISE, wrong.switches, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies
    assert diagnosis.named == (wrong.name,)


@pytest.mark.parametrize("right", [None, *EXERCISE.right], ids=lambda right: right.name if right else "twin")
def test_a_right_one_passes(right):
    outcome, _ = here(EXERCISE, right.switches if right else {}, seed=0)
    assert outcome.passed, outcome.root


def test_the_stub_has_the_names_and_their_arguments():
    arguments = {}
    for entry in ast.parse(text_of("dit", "stub")).body:
        if isinstance(entry, ast.FunctionDef):
            arguments[entry.name] = [argument.arg for argument in entry.args.args]
        elif isinstance(entry, ast.ClassDef):
            for method in entry.body[1:]:
                arguments[f"{entry.name}.{method.name}"] = [argument.arg for argument in method.args.args[1:]]
    assert arguments == {
        "patchify": ["images", "patch"],
        "unpatchify": ["tokens", "patch", "height", "width"],
        "modulate": ["x", "shift", "scale"],
        "DiTBlock.__init__": ["width", "num_heads"],
        "DiTBlock.forward": ["x", "c"],
    }


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
