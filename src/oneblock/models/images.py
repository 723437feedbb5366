"""What models of images share: their blocks, how their tables start, and what they take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.config.images import Images
from oneblock.config.position import NoPosition
from oneblock.models.stack import make_blocks
from oneblock.nn.linear import Linear

TABLE_STD = 0.02


def patch_embedding(config: Images) -> Linear:
    """The map of a patch's pixels to its vector."""
    return Linear(config.patch**2 * config.channels, config.width)


def image_blocks(config: Images, *, fused: bool) -> nn.ModuleList:
    """A block for each layer. Positions are added to the patches: an attention has its own, or none."""
    return make_blocks(config, config.width, position=NoPosition(), fused=fused)


@torch.no_grad()
def draw_table(weight: Tensor) -> None:
    """N(0, 0.02²), in place: what is looked up or added, and passes no product of its own."""
    weight.normal_(0.0, TABLE_STD)


def check_images(images_BCHW: Tensor, shape: tuple[int, int, int], *, any_size: bool = False) -> None:
    """ValueError unless they are numbers B × C × H × W of that shape C × H × W; any_size: of C alone."""
    given = tuple(images_BCHW.shape)
    fits = len(given) == 4 and (given[1] == shape[0] if any_size else given[1:] == shape)
    if not fits or not images_BCHW.is_floating_point():
        raise ValueError(f"images must be numbers of shape {in_words(shape)}, got {images_BCHW.dtype} {given}")


def in_words(shape: tuple[int, int, int]) -> str:
    """B × 3 × 32 × 32."""
    return " × ".join(map(str, ("B", *shape)))
