"""The diffusion transformer (DiT)."""

from __future__ import annotations

from dataclasses import dataclass, field

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.diffusion import DDPM, PROCESSES, Process
from oneblock.config.errors import ConfigError
from oneblock.config.feedforward import Dense
from oneblock.config.images import Images, PatchPosition, Sinusoidal2D
from oneblock.config.modulation import AdaLNZero
from oneblock.config.norm import NORMS, LayerNorm, Norm
from oneblock.config.part import count, option, share
from oneblock.config.position import Learned, NoPosition
from oneblock.config.rules import check_stack

PLAIN_NORM = LayerNorm(eps=1e-6, gain=False, bias=False)

PATCH_POSITIONS = {"none": NoPosition, "learned": Learned, "sinusoidal_2d": Sinusoidal2D}


def dit_block(num_heads: int) -> Block:
    """The paper's block: adaLN-Zero, norms without parameters, biases everywhere, GELU in its tanh form."""
    return Block(
        attention=Attention(num_heads=num_heads, bias=True, output_bias=True),
        feed_forward=Dense(activation="gelu_tanh", bias=True),
        norm=PLAIN_NORM,
        modulation=AdaLNZero(),
    )


@dataclass(frozen=True, kw_only=True)
class DiT(Images):
    """A noisy image, its time and its class in, what was added to it out (Peebles and Xie 2023).

    class_dropout: share of the labels that training replaces by "no class", which guidance needs; 0: no such label
    time_width:    cosines and sines that tell the time, half of each
    process:       how images are noised, and so what is asked of the model
    """

    blocks: tuple[Block, ...] = field(default=(dit_block(8),))
    position: PatchPosition = option(PATCH_POSITIONS, Sinusoidal2D())
    final_norm: Norm = option(NORMS, PLAIN_NORM)
    class_dropout: float = share(0.1)
    time_width: int = count(256, minimum=2)
    process: Process = option(PROCESSES, DDPM())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_width % 2:
            rule = "must be even: half of them are cosines, half sines"
            raise ConfigError("time_width", self.time_width, rule, (self.time_width + 1,))
        if isinstance(self.position, Sinusoidal2D) and self.width % 4:
            rule = "must be a multiple of 4 for 2-D sines: a sine and a cosine for row and column"
            raise ConfigError("width", self.width, rule, (4 * (self.width // 4 + 1), "position=learned"))
        check_stack(self, self.width, causal=False, has_condition=True)

    @property
    def answer_channels(self) -> int:
        """C', what the model says of each pixel: one number a channel, two where it learns the variance."""
        learned = isinstance(self.process, DDPM) and self.process.variance == "learned"
        return self.channels * (2 if learned else 1)

    @property
    def num_labels(self) -> int:
        """Rows of the label table: the classes and, where some labels are dropped, "no class" behind them; 0: none."""
        return 0 if self.num_classes is None else self.num_classes + (self.class_dropout > 0)
