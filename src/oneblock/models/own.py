"""A block that somebody else has written, in the place of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneblock.models.decoder import Decoder
from oneblock.nn.context import Context


class OwnBlock(nn.Module):
    """`own(x)`, B × T × D -> B × T × D and causal, called as a block of ours is.

    It knows no cache and no pads. So the cache keeps what came in (half of it as keys, half as values) and the block
    computes the whole text again for each token, and rows with pads are computed one by one, without their pads.
    """

    def __init__(self, own: nn.Module, width: int, slot: int) -> None:
        super().__init__()
        self.own, self.width, self.slot = own, width, slot
        self.room = -(-width // 2)

    def forward(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        """What it makes of the stream; ctx tells of the cache and of pads."""
        place = ctx.place
        if place is None and ctx.cache is None and ctx.padding_BS is None:
            alone_BTD: Tensor = self.own(x_BTD)
            return alone_BTD
        both_B1TD = F.pad(x_BTD, (0, 2 * self.room - self.width)).unsqueeze(1)
        seen = ctx.remember(self.slot, *both_B1TD.split(self.room, dim=-1))
        seen_BSD = torch.cat(seen, dim=-1).squeeze(1)[..., : self.width]
        if place is not None and ctx.pads_B is not None:
            return self._last_of_each(seen_BSD, place, ctx.pads_B)
        if ctx.padding_BS is None:
            made_BSD: Tensor = self.own(seen_BSD)
            # What stands behind the place is later, and the block does not see it.
            return made_BSD[:, -ctx.num_queries :] if place is None else made_BSD.index_select(1, place)
        rows = []
        for row_SD, pads_S in zip(seen_BSD, ctx.padding_BS, strict=True):
            made_SD = torch.zeros_like(row_SD)
            if not bool(pads_S.all()):
                made_SD = made_SD.index_put((~pads_S,), self.own(row_SD[~pads_S].unsqueeze(0)).squeeze(0))
            rows.append(made_SD[-ctx.num_queries :])
        return torch.stack(rows)

    def _last_of_each(self, seen_BSD: Tensor, place: Tensor, pads_B: Tensor) -> Tensor:
        """In a step of fixed shape: each text moved to its row's beginning, and its token at the place, B × 1 × D."""
        last = seen_BSD.shape[1] - 1
        columns_BS = torch.arange(last + 1, device=place.device) + pads_B.unsqueeze(1)
        made_BSD = self.own(seen_BSD.gather(1, _for_each_feature(columns_BS.clamp(max=last), self.width)))
        return made_BSD.gather(1, _for_each_feature((place - pads_B).unsqueeze(1), self.width))


def _for_each_feature(index_BS: Tensor, width: int) -> Tensor:
    return index_BS.unsqueeze(-1).expand(-1, -1, width)


def with_own_blocks(model: Any, make: Callable[[int, int, int], nn.Module]) -> Decoder:
    """The decoder with `make(width, num_heads, hidden)` in the place of each of its blocks; its weights are fresh."""
    assert isinstance(model, Decoder)
    option, width = model.config, model.config.width
    for at in range(option.num_layers):
        block: Any = option.block(at)
        own = make(width, block.attention.num_heads, block.feed_forward.hidden_width(width))
        model.blocks[at] = OwnBlock(own, width, at)
    model.slots = [(1, -(-width // 2))] * option.num_layers
    return model
