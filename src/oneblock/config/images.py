"""What every model of images has: their size, their patches, where patches stand, and the blocks."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from oneblock.config.block import Block
from oneblock.config.errors import ConfigError, divisors
from oneblock.config.norm import Norm
from oneblock.config.part import Part, count
from oneblock.config.position import Learned, NoPosition


@dataclass(frozen=True, kw_only=True)
class Sinusoidal2D(Part):
    """Fixed sines and cosines added to the patches: half of the features tell the column, half the row."""


PatchPosition = NoPosition | Learned | Sinusoidal2D


@dataclass(frozen=True, kw_only=True)
class Images(Part):
    """Images cut into patches, which are tokens for a stack of blocks; each model says its own defaults.

    channels, image_height, image_width: of the images, in pixels or latents; image_width None: square
    patch:       side of the squares an image is cut into; each is one token
    position:    what is added to the patches
    final_norm:  after the last block
    num_classes: of the images; None: they have none
    """

    channels: int = count()
    image_height: int = count()
    image_width: int | None = count(None)
    patch: int = count()
    width: int = count()
    num_layers: int = count()
    blocks: tuple[Block, ...]
    position: PatchPosition
    final_norm: Norm
    num_classes: int | None = count(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        height, width = self.sides
        for name, side in (("image_height", height), ("image_width", width)):
            if side % self.patch:
                raise ConfigError("patch", self.patch, f"must divide {name}={side}", divisors(gcd(height, width)))

    def block(self, layer: int) -> Block:
        """The block of one layer."""
        return self.blocks[layer % len(self.blocks)]

    @property
    def heads_of_shared_position(self) -> tuple[int, ...]:
        """None: its positions are added to the patches, and no attention shares a scheme."""
        return ()

    @property
    def tied(self) -> bool:
        """False: its head is a matrix of its own."""
        return False

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.image_height, self.image_width or self.image_height

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width = self.sides
        return height // self.patch, width // self.patch

    @property
    def context(self) -> int:
        """T, the tokens of one image: its patches."""
        rows, columns = self.grid
        return rows * columns
