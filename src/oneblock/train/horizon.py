"""How many steps a run has, and when it looks up from them.

Under `minutes` the length of a step is measured once, at the start; then the number of steps is fixed and stored, so
that the schedule, and with it a resumed run, does not depend on how busy the machine is later.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from oneblock.config.recipe import Recipe

EVALUATION_SHARE = 0.08
"""Of a run's time, at most, for looking at held-out text."""


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """The number of steps, and every how many of them the run evaluates, samples and saves."""

    steps: int
    evaluate_every: int
    sample_every: int
    checkpoint_every: int

    def to_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)


def of_steps(recipe: Recipe, steps: int, evaluations: int = 20) -> Horizon:
    """The horizon of a run whose number of steps is known."""
    return Horizon(
        steps=steps,
        evaluate_every=recipe.evaluate_every or max(1, -(-steps // evaluations)),
        sample_every=recipe.sample_every or max(1, -(-steps // 5)),
        checkpoint_every=recipe.checkpoint_every or max(1, -(-steps // 10)),
    )


def of_time(
    recipe: Recipe,
    *,
    done: int,
    remaining: float,
    step_seconds: float,
    evaluation_seconds: float,
    last_seconds: float,
) -> Horizon:
    """The horizon that fits `remaining` seconds, `last_seconds` of them for what follows the last step.

    As many evaluations as fit into EVALUATION_SHARE of the time, from 4 to 40.
    """
    budget = max(remaining - last_seconds, 0.0)
    evaluations = int(min(max(EVALUATION_SHARE * budget / max(evaluation_seconds, 1e-9), 4), 40))
    if recipe.evaluate_every is None:
        budget -= evaluations * evaluation_seconds
        steps = int(budget / step_seconds)
    else:
        steps = int(budget / (step_seconds + evaluation_seconds / recipe.evaluate_every))
    return of_steps(recipe, done + max(steps, 1), evaluations)
