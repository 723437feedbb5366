"""Sampling: what has slipped through before."""

import pytest

from oneblock.learn.exercises import exercise_named
from oneblock.learn.prove import here


@pytest.mark.parametrize("name", ["first_rows_count", "bare_exponential"])
def test_rows_of_different_shares_and_logits_in_the_thousands_are_asked(name):
    exercise = exercise_named("sample")
    wrong = next(each for each in exercise.wrong if each.name == name)
    outcome, diagnosis = here(exercise, wrong.switches, seed=0)
    assert outcome.root.id in wrong.dies and diagnosis.named == (name,)
