"""`Branch`: what a sublayer contributes, and `Residual`: how contributions join the stream."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from oneblock.config import residual as config
from oneblock.nn.context import Context
from oneblock.nn.dropout import make_dropout
from oneblock.nn.modulation import PLAIN, Modulated, Unmodulated


class Branch(nn.Module, ABC):
    """contribution = gate ⊙ norm_out(mix(norm_in(x)·(1 + scale) + shift)); what is absent is the identity.

    `mix` is what attention, a feed-forward or a mixture of experts does; each is a final subclass.
    """

    def __init__(self, norm_in: nn.Module | None = None, norm_out: nn.Module | None = None, dropout: float = 0.0):
        super().__init__()
        self.norm_in = norm_in or nn.Identity()
        self.norm_out = norm_out or nn.Identity()
        self.drop = make_dropout(dropout)

    @abstractmethod
    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        """The sublayer itself."""

    def forward(self, x_BTD: Tensor, ctx: Context, modulation: Unmodulated | Modulated = PLAIN) -> Tensor:
        x_BTD = modulation.enter(self.norm_in(x_BTD))
        return modulation.leave(self.drop(self.norm_out(self.mix(x_BTD, ctx))))


class Times(nn.Module):
    """x · scale, a constant."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class TimesLearned(nn.Module):
    """x · weight, one number (ReZero) or one for each feature (LayerScale)."""

    def __init__(self, start: float, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), float(start)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Residual(nn.Module):
    """x = norm(skip(x) + scale(contributions)).

    `skip` None: the stream is dropped. `norm` stands on the stream itself in post-norm, else it is the identity.
    """

    def __init__(self, skip: nn.Module | None, scale: nn.Module | None = None, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.skip = skip
        self.scale = scale or nn.Identity()
        self.norm = norm or nn.Identity()

    def forward(self, x_BTD: Tensor, contribution_BTD: Tensor) -> Tensor:
        contribution_BTD = self.scale(contribution_BTD)
        joined_BTD = contribution_BTD if self.skip is None else self.skip(x_BTD) + contribution_BTD
        return self.norm(joined_BTD)


def make_residual(option: config.Residual, width: int, norm: nn.Module | None) -> Residual:
    """The residual an option asks for."""
    match option:
        case config.NoResidual():
            return Residual(None, norm=norm)
        case config.Added():
            return Residual(nn.Identity(), norm=norm)
        case config.Scaled():
            learned_width = {"no": 0, "scalar": 1, "vector": width}[option.learned]
            scale = TimesLearned(option.branch, learned_width) if learned_width else _times(option.branch)
            return Residual(_times(option.skip), scale, norm)


def _times(scale: float) -> nn.Module:
    return nn.Identity() if scale == 1 else Times(scale)
