"""The vision encoder: a Vision Transformer (ViT)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.errors import ConfigError
from oneblock.config.feedforward import Dense
from oneblock.config.init import INITS, Init, Normal
from oneblock.config.norm import NORMS, LayerNorm, Norm
from oneblock.config.part import Part, choice, count, option
from oneblock.config.position import Learned, NoPosition
from oneblock.config.rules import check_stack

PLACES = {"none": NoPosition, "learned": Learned}
Places = NoPosition | Learned


def vision_block(num_heads: int) -> Block:
    """The paper's block: pre-norm, biases everywhere, exact GELU."""
    return Block(
        norm=LayerNorm(eps=1e-6),
        attention=Attention(num_heads=num_heads, bias=True, output_bias=True),
        feed_forward=Dense(activation="gelu", bias=True),
    )


@dataclass(frozen=True, kw_only=True)
class Vision(Part):
    """An image in, what its patches mean or of which class it is out (Dosovitskiy et al. 2021).

    channels, image_height, image_width: of the images it is made for; image_width None: square
    patch:       side of the squares an image is cut into; each is one token, behind a class token
    position:    learned: a vector for the class token and for each patch
    other_sizes: images of another size: refused, or their positions interpolated (bicubic, as DINOv2)
    num_classes: logits for each image; None: the vectors of all tokens
    head_reads:  the class token, or with it the mean over the patches (DINOv2)
    """

    channels: int = count()
    image_height: int = count()
    image_width: int | None = count(None)
    patch: int = count()
    width: int = count()
    num_layers: int = count()
    blocks: tuple[Block, ...] = field(default=(vision_block(8),))
    position: Places = option(PLACES, Learned())
    other_sizes: str = choice("refused", "refused", "bicubic")
    final_norm: Norm = option(NORMS, LayerNorm(eps=1e-6))
    num_classes: int | None = count(None)
    head_reads: str = choice("class", "class", "class_and_mean")
    init: Init = option(INITS, Normal())

    def __post_init__(self) -> None:
        super().__post_init__()
        height, width = self.sides
        for name, side in (("image_height", height), ("image_width", width)):
            if side % self.patch:
                fitting = [n for n in range(1, min(height, 64) + 1) if gcd(height, width) % n == 0]
                raise ConfigError("patch", self.patch, f"must divide {name}={side}", fitting)
        check_stack(self, self.width, causal=False)

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
        """T, the tokens of one image, the class token among them."""
        return self.grid[0] * self.grid[1] + 1

    @property
    def head_width(self) -> int:
        """How many features of an image the head reads."""
        return self.width * (2 if self.head_reads == "class_and_mean" else 1)
