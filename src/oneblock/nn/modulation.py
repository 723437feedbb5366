"""Modulation: shift, scale and gate of every branch, from the condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.config import modulation as config
from oneblock.nn.context import Context
from oneblock.nn.linear import Linear


class Unmodulated:
    """What a branch without a condition does: nothing."""

    def enter(self, x_BTD: Tensor) -> Tensor:
        """x."""
        return x_BTD

    def leave(self, contribution_BTD: Tensor) -> Tensor:
        """The contribution."""
        return contribution_BTD


class Modulated(NamedTuple):
    """One branch's vectors, each B × 1 × D: the same for all tokens of a row. `gate` None: there is none."""

    shift: Tensor
    scale: Tensor
    gate: Tensor | None = None

    def enter(self, x_BTD: Tensor) -> Tensor:
        """x·(1 + scale) + shift, so that zeros change nothing."""
        return x_BTD * (1 + self.scale) + self.shift

    def leave(self, contribution_BTD: Tensor) -> Tensor:
        """gate ⊙ contribution."""
        return contribution_BTD if self.gate is None else self.gate * contribution_BTD


PLAIN = Unmodulated()


class NoModulation(nn.Module):
    """Every branch as it is."""

    def __init__(self, branches: Sequence[str]) -> None:
        super().__init__()
        self.made: dict[str, Unmodulated | Modulated] = dict.fromkeys(branches, PLAIN)

    def forward(self, ctx: Context) -> dict[str, Unmodulated | Modulated]:
        return self.made


class AdaLN(nn.Module):
    """W·SiLU(c) + b, cut into shift, scale (and gate) of the first branch, then of the next (Peebles and Xie 2023).

    c: `ctx.condition_BD`. W and b start at zero (`initialise`), so a norm starts plain and a gate shut. People get
    wrong: the order (shift stands before scale), and scaling by `scale` instead of 1 + scale.
    """

    def __init__(self, branches: Sequence[str], width: int, *, gated: bool) -> None:
        super().__init__()
        self.branches, self.each = list(branches), 3 if gated else 2
        self.project = Linear(width, len(self.branches) * self.each * width)

    def forward(self, ctx: Context) -> dict[str, Unmodulated | Modulated]:
        assert ctx.condition_BD is not None, "a modulated block needs a condition: Context(…, condition_BD=…)"
        parts_B1D = self.project(F.silu(ctx.condition_BD)).unsqueeze(1).chunk(len(self.branches) * self.each, dim=-1)
        return {
            name: Modulated(*parts_B1D[self.each * index : self.each * (index + 1)])
            for index, name in enumerate(self.branches)
        }


def make_modulation(option: config.Modulation, branches: Sequence[str], width: int) -> nn.Module:
    """The modulation an option asks for, for the branches of those names in their order."""
    match option:
        case config.NoModulation():
            return NoModulation(branches)
        case config.AdaLN():
            return AdaLN(branches, width, gated=False)
        case config.AdaLNZero():
            return AdaLN(branches, width, gated=True)
