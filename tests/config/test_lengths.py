"""A preset's long runs."""

from __future__ import annotations

import pytest

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.errors import ConfigError
from oneblock.config.lengths import LONG, for_length
from oneblock.config.override import override
from oneblock.config.presets import PRESETS, preset


def dropped(config: Config) -> tuple[float, float]:
    """By the blocks, and by the embedding."""
    assert isinstance(config.model, Decoder)
    return config.model.blocks[0].dropout, config.model.embedding_dropout


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), 0.05),
        (("recipe.minutes=14.9",), 0.05),
        (("recipe.minutes=15",), 0.15),
        (("recipe.minutes=30",), 0.15),
        (("recipe.steps=2999",), 0.05),
        (("recipe.steps=3000",), 0.15),
        (("recipe.minutes=30", "recipe.steps=7"), 0.05),  # the later length counts
    ],
)
def test_nano_drops_more_in_a_long_run(settings: tuple[str, ...], expected: float) -> None:
    config, added = for_length("nano", *settings)
    assert dropped(config) == (expected, expected)
    assert bool(added) == (expected == 0.15)


def test_what_a_person_sets_comes_after() -> None:
    config, added = for_length("nano", "recipe.minutes=30", "block.dropout=0.31")
    assert dropped(config) == (0.31, 0.15)
    assert added


def test_nothing_else_changes() -> None:
    config, added = for_length("nano", "recipe.minutes=30", "width=128")
    assert config == override(preset("nano"), *added, "recipe.minutes=30", "width=128")


@pytest.mark.parametrize("name", sorted(set(PRESETS) - set(LONG)))
def test_other_presets_are_the_same_at_every_length(name: str) -> None:
    assert for_length(name, "recipe.minutes=700") == (override(preset(name), "recipe.minutes=700"), ())


def test_every_long_run_is_one_of_a_preset_and_longer_than_its_own() -> None:
    for name, long in LONG.items():
        assert not long.suits(preset(name).recipe)
        assert for_length(name, f"recipe.steps={long.steps}")[1] == long.settings


def test_bad_settings_are_still_refused() -> None:
    with pytest.raises(ConfigError, match="dropout"):
        for_length("nano", "recipe.minutes=30", "block.dropout=2")
