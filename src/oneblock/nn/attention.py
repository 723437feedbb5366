"""Multi-head, grouped-query and multi-query attention."""

from __future__ import annotations

from torch import Tensor, nn

from oneblock.config import attention as config
from oneblock.nn.attend import make_attend
from oneblock.nn.branch import Branch
from oneblock.nn.context import Context
from oneblock.nn.linear import Linear
from oneblock.nn.norm import make_norm
from oneblock.nn.position import Position


class OverHeads(nn.Module):
    """A norm over all heads' features at once (OLMo 2), for a tensor that is split into heads."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x_BHTK: Tensor) -> Tensor:
        heads, width = x_BHTK.shape[1], x_BHTK.shape[3]
        return self.norm(x_BHTK.transpose(1, 2).flatten(2)).unflatten(2, (heads, width)).transpose(1, 2)


def qk_norms(option: config.Attention, head_width: int) -> tuple[nn.Module, nn.Module]:
    """The norms on queries and on keys: over each head, or over all heads at once."""
    if option.qk_norm_over == "head":
        return make_norm(option.qk_norm, head_width), make_norm(option.qk_norm, head_width)
    queries, keys = option.num_heads * head_width, option.num_groups * head_width
    return OverHeads(make_norm(option.qk_norm, queries)), OverHeads(make_norm(option.qk_norm, keys))


class Attention(Branch):
    """output(heads), each head softmax(q kᵀ · scale) v over what it may see (Vaswani 2017, section 3.2).

    One fused projection gives queries, keys and values (rows in that order, heads one after another); with fewer
    key/value heads than query heads each group of H/G neighbouring heads shares one (Ainslie et al. 2023).
    B × T × D -> B × T × D. `slot` is this attention's place in the cache.
    """

    def __init__(
        self,
        option: config.Attention,
        width: int,
        *,
        position: Position,
        slot: int = 0,
        fused: bool = True,
        norm_in: nn.Module | None = None,
        norm_out: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(norm_in, norm_out, dropout)
        heads, groups, head_width = option.num_heads, option.num_groups, option.width_of_head(width)
        self.num_heads, self.num_kv_heads, self.head_width = heads, groups, head_width
        self.window, self.slot, self.position = option.window, slot, position
        self.sizes = [heads * head_width, groups * head_width, groups * head_width]
        self.qkv = Linear(width, sum(self.sizes), bias=option.bias)
        self.output = Linear(heads * head_width, width, bias=option.output_bias)
        self.q_norm, self.k_norm = qk_norms(option, head_width)
        scale = option.scale or head_width**-0.5
        self.attend = make_attend(scale=scale, soft_cap=option.soft_cap, dropout=option.dropout, fused=fused)

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        q_BHTK, k_BGTK, v_BGTK = (
            part.unflatten(2, (-1, self.head_width)).transpose(1, 2)
            for part in self.qkv(x_BTD).split(self.sizes, dim=-1)
        )
        q_BHTK, k_BGTK = self.position.rotate(self.q_norm(q_BHTK), self.k_norm(k_BGTK), ctx)
        k_BGSK, v_BGSK = ctx.remember(self.slot, k_BGTK, v_BGTK)
        mask, bias = ctx.visible(self.window), self.position.bias(ctx)
        heads_BHTK = self.attend(q_BHTK, k_BGSK, v_BGSK, mask, bias)
        return self.output(heads_BHTK.transpose(1, 2).flatten(2))
