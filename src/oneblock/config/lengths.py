"""What a preset's long runs have other than its short ones: data seen many times needs more regularisation."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.config import Config
from oneblock.config.override import override
from oneblock.config.presets import preset
from oneblock.config.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Long:
    """From so many minutes, or steps, on: these settings."""

    minutes: float
    steps: int
    settings: tuple[str, ...]

    def suits(self, recipe: Recipe) -> bool:
        """Whether a recipe is as long as that."""
        return (recipe.minutes or 0) >= self.minutes or (recipe.steps or 0) >= self.steps


_NANO = Long(minutes=15.0, steps=3000, settings=("block.dropout=0.15", "embedding_dropout=0.15"))
LONG = dict.fromkeys(("nano", "switch-nano", "gshard-nano"), _NANO)
"""By preset; chosen on the held-out end of the training split (docs/results/quality.md)."""


def for_length(name: str, *settings: str) -> tuple[Config, tuple[str, ...]]:
    """A preset with these settings, and what its length set beneath them: nothing for a run of the usual length."""
    config = override(preset(name), *settings)
    long = LONG.get(config.name)
    if long is None or not long.suits(config.recipe):
        return config, ()
    return override(preset(name), *long.settings, *settings), long.settings
