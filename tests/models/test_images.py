"""What models of images share: their blocks, their tables, and what they take."""

import pytest
import torch

from oneblock.config import Attention, Block, T5Bias, Vision, vision_block
from oneblock.models.images import check_images, draw_table, image_blocks, patch_embedding

WITH_BIAS = Block(attention=Attention(num_heads=3, position=T5Bias(num_buckets=8)))


def config(**settings):
    sizes = {"channels": 2, "image_height": 15, "image_width": 10, "patch": 5, "width": 12, "num_layers": 3}
    return Vision(**sizes | {"blocks": (vision_block(2), WITH_BIAS)} | settings)


def test_blocks_follow_the_pattern_and_have_places_of_their_own():
    blocks = image_blocks(config(), fused=True)
    assert [block.attention.num_heads for block in blocks] == [2, 3, 2]
    assert [block.attention.slot for block in blocks] == [0, 1, 2]


def test_a_patch_becomes_a_vector():
    made = patch_embedding(config())
    assert (made.in_features, made.out_features) == (5 * 5 * 2, 12) and made.bias is not None


def test_tables_are_drawn_small():
    weight = torch.nn.Parameter(torch.zeros(97, 101))
    torch.manual_seed(0)
    draw_table(weight)
    assert 0.019 < weight.std() < 0.021 and abs(weight.mean()) < 1e-3


@pytest.mark.parametrize("shape", [(2, 2, 15, 10), (7, 2, 15, 10)])
def test_images_that_fit(shape):
    check_images(torch.zeros(shape), (2, 15, 10))


@pytest.mark.parametrize(
    "given",
    [
        torch.zeros(2, 2, 10, 15),
        torch.zeros(2, 15, 10),
        torch.zeros(2, 3, 15, 10),
        torch.zeros(2, 2, 15, 10, dtype=torch.uint8),
    ],
)
def test_images_that_do_not(given):
    with pytest.raises(ValueError, match=r"numbers of shape B × 2 × 15 × 10, got torch.* \(2, "):
        check_images(given, (2, 15, 10))


def test_another_size_where_any_will_do():
    check_images(torch.zeros(2, 2, 10, 15), (2, 15, 10), any_size=True)
    with pytest.raises(ValueError, match="must be numbers"):
        check_images(torch.zeros(2, 3, 15, 10), (2, 15, 10), any_size=True)
