"""The loss by what was spent for it: seconds, or FLOPs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from oneblock.compare.engine import Outcome

Run = Mapping[str, Any]
Cost = Callable[[str, Run], float]
"""A variant's label, a run's result -> what a step costs."""


def _seconds(outcome: Outcome) -> Cost:
    """Seconds of a step, of the seed whose median step is the quickest: the one least disturbed by a busy machine."""
    costs = {
        label: min(float(run["measures"].get("step_seconds", math.nan)) for run in runs)
        for label, runs in outcome.runs.items()
    }
    return lambda label, run: costs[label]


def _gigaflops(outcome: Outcome) -> Cost:
    """10⁹ FLOPs, forward and backward, of all tokens of a step."""
    costs = {
        variant.label: 1e-9 * variant.flops * variant.config.recipe.batch_size * variant.config.model.context
        for variant in outcome.plan.variants
    }
    return lambda label, run: costs[label]


SPENT: Mapping[str, Callable[[Outcome], Cost]] = {"loss by second": _seconds, "loss by FLOPs": _gigaflops}
"""Name of a curve -> what a step costs."""


def over_cost(outcome: Outcome, name: str, label: str, run: Run) -> list[list[float]]:
    """A run's training loss over what it had cost until then."""
    cost = SPENT[name](outcome)(label, run)
    return [[step * cost, loss] for step, loss in run["curve"]]
