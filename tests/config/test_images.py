"""What every model of images has, whichever it is."""

import json
from dataclasses import replace

import pytest

from oneblock.config import ConfigError, DiT, LayerNorm, Learned, Vision, dit_block, from_dict, to_dict, vision_block
from oneblock.config.images import Images

SIZES = {"channels": 2, "image_height": 15, "image_width": 10, "patch": 5, "width": 12, "num_layers": 5}
KINDS = {DiT: dit_block(3), Vision: vision_block(2)}
EACH = pytest.mark.parametrize("kind", KINDS)


def model(kind, **settings):
    return kind(**SIZES | {"blocks": (KINDS[kind], KINDS[kind])} | settings)


@EACH
def test_what_it_derives(kind):
    made = model(kind)
    assert isinstance(made, Images)
    assert (made.sides, made.grid, made.tied) == ((15, 10), (3, 2), False)
    assert made.context == 6 + (kind is Vision)
    assert model(kind, image_width=None).grid == (3, 3)
    assert made.heads_of_shared_position == ()
    first, second = KINDS[kind], replace(KINDS[kind], placement="peri")
    pattern = model(kind, blocks=(first, second))
    assert [pattern.block(layer) for layer in range(3)] == [first, second, first]


@EACH
def test_patches_that_do_not_fit(kind):
    with pytest.raises(ConfigError, match="^patch=3 must divide image_width=10; try 1, 5$"):
        model(kind, patch=3)
    with pytest.raises(ConfigError, match="^patch=2 must divide image_height=15; try 1, 5$"):
        model(kind, patch=2)


@EACH
def test_fields_of_the_base_are_checked_and_kept(kind):
    with pytest.raises(ConfigError, match="position=.* is not one of the options"):
        model(kind, position=LayerNorm())
    with pytest.raises(ConfigError, match="image_width=0 must be 1 or more"):
        model(kind, image_width=0)
    made = model(kind, position=Learned(), num_classes=3)
    assert from_dict(kind, json.loads(json.dumps(to_dict(made)))) == made


def test_each_has_its_own_defaults():
    sizes = SIZES | {"width": 16}
    dit, vision = DiT(**sizes), Vision(**sizes)
    assert dit.blocks == (dit_block(8),) and vision.blocks == (vision_block(8),)
    assert not dit.final_norm.gain and vision.final_norm.gain
    assert to_dict(dit)["position"]["type"] == "sinusoidal_2d" and to_dict(vision)["position"]["type"] == "learned"
