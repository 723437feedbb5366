"""Training: what has slipped through before, and loops that are right."""

import pytest
import torch

from oneblock.learn.child.given import Watched
from oneblock.learn.exercises import exercise_named
from oneblock.learn.prove import here


@pytest.mark.parametrize("name", ["forgetful", "matrices_only", "put_back", "from_zero", "left_frozen"])
def test_optimisers_made_anew_and_weights_put_back_are_seen(name):
    exercise = exercise_named("fit")
    wrong = next(each for each in exercise.wrong if each.name == name)
    outcome, diagnosis = here(exercise, wrong.switches, seed=0)
    assert outcome.root.id in wrong.dies and diagnosis.named == (name,)


def test_only_an_optimiser_that_remembers_can_forget():
    model = Watched(3)
    for kind, forgets in ((torch.optim.SGD, False), (torch.optim.AdamW, True)):
        for _ in range(2):
            optimizer = kind(model.parameters(), lr=0.1)
            model(torch.tensor([[0, 1, 2]])).sum().backward()
            optimizer.step()
        assert model.course()["forgetful"] is forgets
