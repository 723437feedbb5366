"""Steps from time, with made-up seconds: nothing here looks at a clock."""

import pytest

from oneblock.config.recipe import Recipe
from oneblock.train.horizon import EVALUATION_SHARE, Horizon, of_steps, of_time

RECIPE = Recipe(steps=None, minutes=3.0)


def measured(recipe=RECIPE, **changes):
    seconds = {"done": 20, "remaining": 170.0, "step_seconds": 0.25, "evaluation_seconds": 0.5, "last_seconds": 7.0}
    return of_time(recipe, **seconds | changes)


def cost(horizon, done, step_seconds, evaluation_seconds):
    steps = range(done + 1, horizon.steps + 1)
    looks = sum(step % horizon.evaluate_every == 0 or step == horizon.steps for step in steps)
    return len(steps) * step_seconds + looks * evaluation_seconds


@pytest.mark.parametrize("step_seconds", [0.013, 0.25, 1.7])
@pytest.mark.parametrize("evaluation_seconds", [0.011, 0.5, 4.1])
@pytest.mark.parametrize("remaining", [41.0, 170.0, 1790.0])
@pytest.mark.parametrize("every", [None, 7])
def test_it_fits_and_uses_the_time(step_seconds, evaluation_seconds, remaining, every):
    recipe = Recipe(steps=None, minutes=3.0, evaluate_every=every)
    horizon = measured(recipe, step_seconds=step_seconds, evaluation_seconds=evaluation_seconds, remaining=remaining)
    spent = cost(horizon, 20, step_seconds, evaluation_seconds)
    # One look more or less than planned, for steps come in whole numbers.
    assert remaining - 7.0 - 2 * evaluation_seconds - 2 * step_seconds <= spent
    assert spent <= remaining - 7.0 + 2 * evaluation_seconds


def test_numbers_worked_out_by_hand():
    # 163 s; 8 % of that is 26 looks of 0.5 s, so 13 s; 150 s of steps are 600, after the 20 done.
    assert measured() == Horizon(steps=620, evaluate_every=24, sample_every=124, checkpoint_every=62)


def test_looking_takes_its_share_at_most():
    horizon = measured(evaluation_seconds=1.0, remaining=1007.0)
    looks = horizon.steps // horizon.evaluate_every
    assert 30 <= looks <= 40 and looks * 1.0 <= EVALUATION_SHARE * 1000


@pytest.mark.parametrize(("evaluation_seconds", "looks"), [(1e-6, 40), (400.0, 4)])
def test_four_to_forty_looks(evaluation_seconds, looks):
    horizon = measured(evaluation_seconds=evaluation_seconds, remaining=10_000.0)
    assert looks - 2 <= horizon.steps / horizon.evaluate_every <= looks + 1


@pytest.mark.parametrize("remaining", [0.0, -30.0, 3.0, 7.1])
def test_without_time_one_more_step(remaining):
    assert measured(remaining=remaining).steps == 21


def test_of_steps():
    plain = Recipe(steps=997)
    assert of_steps(plain, 997) == Horizon(steps=997, evaluate_every=50, sample_every=200, checkpoint_every=100)
    assert of_steps(Recipe(steps=1), 1) == Horizon(steps=1, evaluate_every=1, sample_every=1, checkpoint_every=1)
    given = Recipe(steps=997, evaluate_every=3, sample_every=5, checkpoint_every=7)
    assert of_steps(given, 997) == Horizon(steps=997, evaluate_every=3, sample_every=5, checkpoint_every=7)


def test_to_a_checkpoint_and_back():
    horizon = measured()
    assert Horizon(**horizon.to_dict()) == horizon
