"""Cross-attention: tokens of one text look at another, which an encoder has read."""

from __future__ import annotations

from torch import Tensor, nn

from oneblock.config import attention as config
from oneblock.nn.attend import make_attend
from oneblock.nn.attention import qk_norms
from oneblock.nn.branch import Branch
from oneblock.nn.context import Context
from oneblock.nn.linear import Linear


class CrossAttention(Branch):
    """output(heads): queries from the stream B × T × D, keys and values from the memory B × S × D.

    As in Vaswani 2017, section 3.2.3: no causal mask, no positions across, only the memory's pads are hidden. The
    memory's keys and values are projected once: for a forward pass, or with a cache for all that it holds. `slot` is
    their place there. People get wrong: norming the memory again; the norm in front is the queries' alone.
    """

    def __init__(
        self,
        option: config.Attention,
        width: int,
        *,
        slot: int = 0,
        fused: bool = True,
        norm_in: nn.Module | None = None,
        norm_out: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(norm_in, norm_out, dropout)
        heads, groups, head_width = option.num_heads, option.num_groups, option.width_of_head(width)
        self.num_heads, self.num_kv_heads, self.head_width, self.slot = heads, groups, head_width, slot
        self.sizes = [groups * head_width, groups * head_width]
        self.query = Linear(width, heads * head_width, bias=option.bias)
        self.key_value = Linear(width, sum(self.sizes), bias=option.bias)
        self.output = Linear(heads * head_width, width, bias=option.output_bias)
        self.q_norm, self.k_norm = qk_norms(option, head_width)
        scale = option.scale or head_width**-0.5
        self.attend = make_attend(scale=scale, soft_cap=option.soft_cap, dropout=option.dropout, fused=fused)

    def keys_values(self, memory_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory, each B × G × S × K."""
        k_BGSK, v_BGSK = (self._heads(part) for part in self.key_value(memory_BSD).split(self.sizes, dim=-1))
        return self.k_norm(k_BGSK), v_BGSK

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        q_BHTK = self.q_norm(self._heads(self.query(x_BTD)))
        k_BGSK, v_BGSK = ctx.recall(self.slot, self.keys_values)
        heads_BHTK = self.attend(q_BHTK, k_BGSK, v_BGSK, ctx.visible_memory(), None)
        return self.output(heads_BHTK.transpose(1, 2).flatten(2))

    def _heads(self, x_BTE: Tensor) -> Tensor:
        return x_BTE.unflatten(2, (-1, self.head_width)).transpose(1, 2)
