"""Forty comparisons of real trainings: what is planted is found, and where nothing is, nothing is said. Minutes."""

from dataclasses import replace

import pytest

from oneblock.compare.cell import Cell
from oneblock.compare.engine import compare
from oneblock.compare.experiment import INSIDE, SUPPORTED
from oneblock.compare.plan import plan
from oneblock.compare.store import Store

REPETITIONS, SEEDS, ENOUGH = 40, 5, 38
OTHERS = 10_000
SLOW_LEARNER = "recipe.optimizer.learning_rate=0.0004"


def verdicts(experiment, budget, folder, settings):
    found = []
    for repetition in range(REPETITIONS):
        store = Store(folder)
        made = plan(
            experiment({"a": (), "b": settings}),
            budget,
            seeds=SEEDS,
            first_seed=repetition * SEEDS,
            settings=["width=20"],
        )
        outcome = compare(made, store)
        store.close()
        assert outcome.findings[0].floor > 0 and outcome.findings[0].difference != 0
        found.append(outcome.verdict)
    return found


@pytest.fixture
def budget(tiny):
    """One rate: what a rate is worth is not the question here."""
    return replace(tiny, rates=(1.0,), settings=(*tiny.settings, "recipe.steps=25"))


@pytest.mark.slow
def test_the_same_variant_with_other_seeds_is_inside_the_noise(experiment, budget, tmp_path, monkeypatch):
    """b is trained as a is, and with seeds of its own: all that differs is what another seed changes."""
    run = Cell.run

    def as_a(self):
        optimizer = self.config.recipe.optimizer
        if optimizer.learning_rate == 0.012:
            return run(self)
        same = replace(self.config.recipe, optimizer=replace(optimizer, learning_rate=0.012))
        return run(replace(self, config=replace(self.config, recipe=same), seed=self.seed + OTHERS))

    monkeypatch.setattr(Cell, "run", as_a)
    found = verdicts(experiment, budget, tmp_path / "store", (SLOW_LEARNER,))
    assert found.count(INSIDE) >= ENOUGH, found


@pytest.mark.slow
def test_a_variant_that_learns_slowly_is_found(experiment, budget, tmp_path):
    found = verdicts(experiment, budget, tmp_path / "store", (SLOW_LEARNER,))
    assert found.count(SUPPORTED) >= ENOUGH, found
