"""The vision encoder: a Vision Transformer (ViT)."""

from __future__ import annotations

from dataclasses import dataclass, field

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.feedforward import Dense
from oneblock.config.images import Images
from oneblock.config.init import INITS, Init, Normal
from oneblock.config.norm import NORMS, LayerNorm, Norm
from oneblock.config.part import choice, option
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
class Vision(Images):
    """An image in, what its patches mean or of which class it is out (Dosovitskiy et al. 2021).

    position:    learned: a vector for the class token, which stands in front of the patches, and for each patch
    other_sizes: images of another size: refused, or their positions interpolated (bicubic, as DINOv2)
    num_classes: logits for each image; None: the vectors of all tokens
    head_reads:  the class token, or with it the mean over the patches (DINOv2)
    """

    blocks: tuple[Block, ...] = field(default=(vision_block(8),))
    position: Places = option(PLACES, Learned())
    final_norm: Norm = option(NORMS, LayerNorm(eps=1e-6))
    other_sizes: str = choice("refused", "refused", "bicubic")
    head_reads: str = choice("class", "class", "class_and_mean")
    init: Init = option(INITS, Normal())

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stack(self, self.width, causal=False)

    @property
    def context(self) -> int:
        """T, the tokens of one image, the class token among them."""
        return super().context + 1

    @property
    def head_width(self) -> int:
        """How many features of an image the head reads."""
        return self.width * (2 if self.head_reads == "class_and_mean" else 1)
