"""Training: what has slipped through before, and loops that are right."""

import pytest
import torch

from oneblock.learn.child.given import Watched
from oneblock.learn.exercises import exercise_named
from oneblock.learn.exercises.fit.checks import parts_of
from oneblock.learn.prove import here


@pytest.mark.parametrize(
    "name", ["forgetful", "matrices_only", "put_back", "from_zero", "left_frozen", "averaged", "parts_summed"]
)
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


@pytest.mark.parametrize("name", ["in_parts", "two_optimisers"])
def test_the_same_update_made_otherwise_is_right(name):
    exercise = exercise_named("fit")
    right = next(each for each in exercise.right if each.name == name)
    outcome, _ = here(exercise, right.switches, seed=1)
    assert outcome.passed


def test_passes_are_the_parts_of_a_batch_only_in_its_order_and_whole():
    one, two = torch.arange(6).reshape(3, 2), torch.arange(4).reshape(2, 2)
    assert parts_of([one, two], [one, two], 2) == [1, 2]
    assert parts_of([one[:2], one[2:], two[:1], two[1:]], [one, two], 2) == [2, 4]
    # The model may get all tokens but the last.
    assert parts_of([one[:2, :1], one[2:, :1], two], [one, two], 2) == [2, 3]
    for seen in ([one[2:], one[:2], two], [one, one, two], [one[:2], two, one[2:]], [one]):
        assert parts_of(seen, [one, two], 2) is None
