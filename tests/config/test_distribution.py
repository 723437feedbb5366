"""Who holds what: two words, refused where they are others, and absent from configurations of before."""

import pytest

from oneblock.config.distribution import Distribution
from oneblock.config.errors import ConfigError
from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.config.serial import config_from_dict, to_dict


def test_both_words_can_be_set_and_come_back():
    config = override(nano(), "recipe.distribution.parameters=sharded", "recipe.distribution.experts=sharded")
    assert config.recipe.distribution == Distribution(parameters="sharded", experts="sharded")
    assert config_from_dict(to_dict(config)) == config


def test_a_configuration_of_before_holds_everything_everywhere():
    before = to_dict(nano())
    del before["recipe"]["distribution"]
    assert config_from_dict(before) == nano() and nano().recipe.distribution == Distribution()


@pytest.mark.parametrize("field", ["parameters", "experts"])
def test_other_words_are_refused(field):
    with pytest.raises(ConfigError, match=f"recipe.distribution.{field}=split is not one of the choices"):
        override(nano(), f"recipe.distribution.{field}=split")
