"""What every stack of blocks has, whatever stands before and after it."""

from __future__ import annotations

from dataclasses import dataclass, field

from oneblock.config.block import Block
from oneblock.config.norm import NORMS, NoNorm, Norm
from oneblock.config.part import Part, count, option, share
from oneblock.config.position import POSITIONS, Position, Rope


@dataclass(frozen=True, kw_only=True)
class Stack(Part):
    """Blocks one after another, with positions.

    context:    the longest sequence it is trained on and asked for
    blocks:     a pattern of blocks, tiled over `num_layers`
    final_norm: after the last block; None: the last block's norm where its layout leaves the stream un-normed
    """

    context: int = count()
    num_layers: int = count()
    blocks: tuple[Block, ...] = field(default=(Block(),))
    position: Position = option(POSITIONS, Rope())
    embedding_norm: Norm = option(NORMS, NoNorm())
    embedding_dropout: float = share(0.0)
    final_norm: Norm | None = option(NORMS, None)

    def block(self, layer: int) -> Block:
        """The block of one layer."""
        return self.blocks[layer % len(self.blocks)]

    @property
    def heads_of_shared_position(self) -> tuple[int, ...]:
        """The head counts of the blocks whose attention takes the stack's own position scheme."""
        sharing = (block for block in self.blocks if block.num_attentions and block.attention.position is None)
        return tuple(block.attention.num_heads for block in sharing)

    @property
    def last_norm(self) -> Norm:
        """The norm after the last block: `final_norm`, or what the last block's layout asks for."""
        if self.final_norm is not None:
            return self.final_norm
        last = self.block(self.num_layers - 1)
        own = last.only(last.branches[-1][-1])
        return NoNorm() if own.placement in ("post", "none") else own.norm
