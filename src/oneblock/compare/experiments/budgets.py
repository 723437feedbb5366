"""Budgets that fit an experiment's number of variants and the depth it needs."""

from collections.abc import Mapping
from dataclasses import replace

from oneblock.compare.experiment import Budget


def deeper(budgets: Mapping[str, Budget], **layers: int) -> dict[str, Budget]:
    """The budgets with so many layers, name by name."""
    return {name: replace(of, settings=(*of.settings, f"num_layers={layers[name]}")) for name, of in budgets.items()}


def with_steps(budgets: Mapping[str, Budget], **steps: int) -> dict[str, Budget]:
    """The budgets with so many steps, where a name is given."""
    return {
        name: replace(of, settings=(*of.settings, f"recipe.steps={steps[name]}")) if name in steps else of
        for name, of in budgets.items()
    }
