"""Attention: how tokens look at one another."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.norm import NORMS, NoNorm, Norm
from oneblock.config.part import Part, choice, count, flag, option, positive, share
from oneblock.config.position import POSITIONS, Position


@dataclass(frozen=True, kw_only=True)
class Attention(Part):
    """softmax(q kᵀ · scale + bias, masked) v, by heads.

    num_kv_heads: groups that share keys and values; None: one for each head, 1: multi-query
    head_width:   K; None: width / num_heads
    qk_norm:      a norm on queries and keys before they are rotated, over each head or over all of them at once
    soft_cap:     c · tanh(scores / c), before the mask
    window:       how many positions a query sees, itself included, to each side where both are seen; None: all
    scale:        None: 1/√K
    position:     None: the model's
    """

    num_heads: int = count(8)
    num_kv_heads: int | None = count(None)
    head_width: int | None = count(None)
    bias: bool = flag(False)
    output_bias: bool = flag(False)
    qk_norm: Norm = option(NORMS, NoNorm())
    qk_norm_over: str = choice("head", "head", "all_heads")
    soft_cap: float | None = positive(None)
    window: int | None = count(None)
    scale: float | None = positive(None)
    dropout: float = share(0.0)
    position: Position | None = option(POSITIONS, None)

    @property
    def num_groups(self) -> int:
        """G, the number of key/value heads."""
        return self.num_kv_heads or self.num_heads

    def width_of_head(self, width: int) -> int:
        """K, the width of one head."""
        return self.head_width or width // self.num_heads
