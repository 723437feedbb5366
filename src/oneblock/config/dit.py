"""The diffusion transformer (DiT)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.diffusion import DDPM, PROCESSES, Process
from oneblock.config.errors import ConfigError
from oneblock.config.feedforward import Dense
from oneblock.config.modulation import AdaLNZero
from oneblock.config.norm import NORMS, LayerNorm, Norm
from oneblock.config.part import Part, count, option, share
from oneblock.config.position import Learned, NoPosition
from oneblock.config.rules import check_stack

PLAIN_NORM = LayerNorm(eps=1e-6, gain=False, bias=False)


@dataclass(frozen=True, kw_only=True)
class Sinusoidal2D(Part):
    """Fixed sines and cosines added to the patches: half of the features tell the column, half the row."""


PATCH_POSITIONS = {"none": NoPosition, "learned": Learned, "sinusoidal_2d": Sinusoidal2D}
PatchPosition = NoPosition | Learned | Sinusoidal2D


def dit_block(num_heads: int) -> Block:
    """The paper's block: adaLN-Zero, norms without parameters, biases everywhere, GELU in its tanh form."""
    return Block(
        attention=Attention(num_heads=num_heads, bias=True, output_bias=True),
        feed_forward=Dense(activation="gelu_tanh", bias=True),
        norm=PLAIN_NORM,
        modulation=AdaLNZero(),
    )


@dataclass(frozen=True, kw_only=True)
class DiT(Part):
    """A noisy image, its time and its class in, what was added to it out (Peebles and Xie 2023).

    channels, image_height, image_width: of the images, in pixels or latents; image_width None: square
    patch:         side of the squares an image is cut into; each is one token
    num_classes:   None: images have none
    class_dropout: share of the labels that training replaces by "no class", which guidance needs; 0: no such label
    time_width:    cosines and sines that tell the time, half of each
    process:       how images are noised, and so what is asked of the model
    """

    channels: int = count()
    image_height: int = count()
    image_width: int | None = count(None)
    patch: int = count()
    width: int = count()
    num_layers: int = count()
    blocks: tuple[Block, ...] = field(default=(dit_block(8),))
    num_classes: int | None = count(None)
    class_dropout: float = share(0.1)
    time_width: int = count(256, minimum=2)
    position: PatchPosition = option(PATCH_POSITIONS, Sinusoidal2D())
    final_norm: Norm = option(NORMS, PLAIN_NORM)
    process: Process = option(PROCESSES, DDPM())

    def __post_init__(self) -> None:
        super().__post_init__()
        height, width = self.sides
        for name, side in (("image_height", height), ("image_width", width)):
            if side % self.patch:
                fitting = [n for n in range(1, height + 1) if gcd(height, width) % n == 0]
                raise ConfigError("patch", self.patch, f"must divide {name}={side}", fitting)
        if self.time_width % 2:
            rule = "must be even: half of them are cosines, half sines"
            raise ConfigError("time_width", self.time_width, rule, (self.time_width + 1,))
        if isinstance(self.position, Sinusoidal2D) and self.width % 4:
            rule = "must be a multiple of 4 for 2-D sines: a sine and a cosine for row and column"
            raise ConfigError("width", self.width, rule, (4 * (self.width // 4 + 1), "position=learned"))
        check_stack(self, self.width, causal=False, has_condition=True)

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
        """T, the tokens of one image."""
        return self.grid[0] * self.grid[1]

    @property
    def answer_channels(self) -> int:
        """C', what the model says of each pixel: one number a channel, two where it learns the variance."""
        learned = isinstance(self.process, DDPM) and self.process.variance == "learned"
        return self.channels * (2 if learned else 1)

    @property
    def num_labels(self) -> int:
        """Rows of the label table: the classes and, where some labels are dropped, "no class" behind them; 0: none."""
        return 0 if self.num_classes is None else self.num_classes + (self.class_dropout > 0)
