"""The exercise `sample`: each wrong variant dies where it should and is named, each right one passes."""

import inspect

import pytest

from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.prove import here

EXERCISE = exercise_named("sample")


@pytest.mark.parametrize("wrong", EXERCISE.wrong[::3], ids=lambda each: each.name)
def test_a_wrong_variant_dies_by_its_check(wrong):
    outcome, _ = here(EXERCISE, wrong.switches, seed=0)
    assert outcome.root is not None and outcome.root.id in wrong.dies


@pytest.mark.parametrize("right", EXERCISE.right, ids=lambda each: each.name)
def test_a_right_variant_passes(right):
    outcome, diagnosis = here(EXERCISE, right.switches, seed=0)
    assert outcome.passed and diagnosis is None, outcome.root


def test_the_stub_has_the_names_and_arguments():
    names: dict[str, object] = {}
    exec(text_of("sample", "stub"), names)
    assert list(inspect.signature(names["sample"]).parameters) == [
        "logits", "temperature", "top_k", "top_p", "generator",
    ]  # fmt: skip
    with pytest.raises(NotImplementedError):
        names["sample"](None, 1.0, None, None, None)
