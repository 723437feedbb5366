"""Budgets that fit an experiment's number of variants and the depth it needs."""

from collections.abc import Mapping
from dataclasses import replace

from oneblock.compare.experiment import BUDGETS, Budget


def deeper(budgets: Mapping[str, Budget], **layers: int) -> dict[str, Budget]:
    """The budgets with so many layers, name by name."""
    return {name: replace(of, settings=(*of.settings, f"num_layers={layers[name]}")) for name, of in budgets.items()}


def with_steps(budgets: Mapping[str, Budget], **steps: int) -> dict[str, Budget]:
    """The budgets with so many steps, where a name is given."""
    return {
        name: replace(of, settings=(*of.settings, f"recipe.steps={steps[name]}")) if name in steps else of
        for name, of in budgets.items()
    }


def deep(quick: tuple[int, int], standard: tuple[int, int], full: int) -> dict[str, Budget]:
    """(layers, steps) of 256 tokens at a width of 32, with two rates at quick; full: layers of the base's own width."""
    small = ("context=32", "width=32", "block.attention.num_heads=2", "recipe.batch_size=8")

    def budget(layers: int, steps: int) -> Budget:
        return Budget(settings=(*small, f"num_layers={layers}", f"recipe.steps={steps}"))

    return {
        "quick": replace(budget(*quick), rates=(1 / 3, 1.0)),
        "standard": budget(*standard),
        "full": replace(BUDGETS["full"], settings=(*BUDGETS["full"].settings, f"num_layers={full}")),
    }
