"""Faults that a comparison plants on purpose, as `fault=NAME` among a variant's settings: what no option offers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from oneblock.config.errors import OneblockError
from oneblock.nn.attend import Fused, WrittenOut
from oneblock.nn.attention import Attention
from oneblock.nn.branch import Branch
from oneblock.nn.context import Context, Mask
from oneblock.nn.cross_attention import CrossAttention
from oneblock.nn.one_query import for_each_head


class NoMask(WrittenOut):
    """Every query sees every key, later ones too."""

    def forward(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Mask, bias: Tensor | None) -> Tensor:
        return super().forward(q_BHTK, k_BGSK, v_BGSK, Mask(False, None), bias)


class MaskAfterSoftmax(WrittenOut):
    """Weights of later keys are set to 0 when the softmax has been taken over them: rows no longer sum to 1."""

    def forward(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Mask, bias: Tensor | None) -> Tensor:
        k_BHSK, v_BHSK = for_each_head(k_BGSK, q_BHTK), for_each_head(v_BGSK, q_BHTK)
        scores_BHTS = q_BHTK @ k_BHSK.transpose(-2, -1) * self.scale
        if bias is not None:
            scores_BHTS = scores_BHTS + bias.to(scores_BHTS.dtype)
        weights_BHTS = self.softmax(scores_BHTS)
        allowed = mask.dense(q_BHTK.shape[2], k_BGSK.shape[2], q_BHTK.device)
        if allowed is not None:
            weights_BHTS = weights_BHTS.masked_fill(~allowed, 0.0)
        return weights_BHTS.to(v_BHSK.dtype) @ v_BHSK


class Nothing(Branch):
    """A sublayer that contributes 0 whatever it is given; no norm after it makes something of that."""

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        return torch.zeros_like(x_BTD)


class Shift(Branch):
    """A sublayer that contributes 1 to every feature of every token."""

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        return torch.ones_like(x_BTD)


ATTENDS: dict[str, Callable[[float, float | None, float], nn.Module]] = {
    "no-mask": NoMask,
    "mask-after-softmax": MaskAfterSoftmax,
}
"""Faults of every attention -> what it attends by."""
BRANCHES: dict[str, tuple[type[Branch], Callable[[], Branch]]] = {
    "no-cross-attention": (CrossAttention, Nothing),
    "shift": (Attention, Shift),
}
"""Faults of whole branches -> which are replaced, and by what."""
FAULTS = (*ATTENDS, *BRANCHES)


def plant(model: nn.Module, fault: str) -> None:
    """Put the fault into every attention, or cross-attention, of a model, in place; "" is none."""
    if not fault:
        return
    planted = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if fault in BRANCHES:
                replaced, by = BRANCHES[fault]
                if isinstance(child, replaced):
                    setattr(parent, name, by())
                    planted += 1
            elif isinstance(child, Fused):
                setattr(parent, name, ATTENDS[fault](child.scale, None, child.p).train(child.training))
                planted += 1
            elif isinstance(child, WrittenOut):
                raise OneblockError(f"fault={fault}: is for attention without a soft cap")
    if not planted:
        raise OneblockError(f"fault={fault}: a {type(model).__name__} has nothing to plant it in")
