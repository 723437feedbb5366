"""The proof: every exercise's wrong variants die where they should, its right ones pass, and are named."""

from dataclasses import replace

import pytest
import torch
from toy_exercise import make_exercise

from oneblock.learn.exercises import NAMES, exercise_named
from oneblock.learn.prove import in_child, prove


def test_a_proof_counts_what_goes_otherwise():
    exercise = make_exercise()
    good = prove(exercise, seeds=[1, 2], dtypes=[torch.float64], children=0)
    assert good.good and (good.runs, good.failed, good.diagnosed, good.cases) == (8, 4, 4, [])
    low, flat = exercise.wrong[1], exercise.wrong[0]
    bad = prove(
        replace(exercise, wrong=(flat, replace(low, dies=("values",)))), seeds=[1], dtypes=[torch.float64], children=0
    )
    assert not bad.good and bad.other_check == 1 and "low (seed 1, float64) failed zero, not values" in bad.cases[0]
    bad = prove(replace(exercise, wrong=(replace(flat, switches={}),)), seeds=[1], dtypes=[torch.float64], children=0)
    assert not bad.good and bad.false_accepts == 1
    bad = prove(replace(exercise, right=(replace(exercise.right[0], switches={"extra": 1.0}),)), seeds=[1], children=0)
    assert not bad.good and bad.false_rejects == 2


def test_a_variant_is_graded_in_a_process_as_a_file_is():
    exercise = exercise_named("softmax")
    grade = in_child(exercise, {"base": 2.0}, seed=0)
    assert not grade.passed and grade.named == ("base_two",)


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_is_whole(name):
    exercise = exercise_named(name)
    assert exercise.name == name and exercise.title and exercise.worked
    assert len(exercise.wrong) >= 10 and len(exercise.right) >= 3
    ids = {check.id for check in exercise.checks} | {"loads", "own_work", "world", "inputs", "again"}
    for variant in exercise.wrong:
        assert set(variant.dies) <= ids and variant.dies, variant.name
        assert not variant.says.endswith("."), variant.name
    for check in exercise.checks:
        assert len(check.hints) == 3 and all(check.hints), check.id
    assert set(exercise.names) <= set(exercise.make())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_variant_is_judged_rightly(name):
    proof = prove(exercise_named(name), seeds=[11, 12], children=0)
    assert proof.good, proof.cases
