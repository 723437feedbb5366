"""Rotary positions: the frequencies, their scalings, and the rotation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from oneblock.config import position as config


def frequencies(option: config.Rope, head_width: int) -> tuple[Tensor, float]:
    """θ_i = theta^(−2i/r) for i < r/2, after scaling, in float64, and the factor on cos and sin.

    r is the rotated width, an even share of the head's K (Su et al. 2021, eq. 15).
    """
    rotated = round(option.fraction * head_width)
    power = torch.arange(0, rotated, 2, dtype=torch.float64) / rotated
    theta = option.theta**-power
    return SCALINGS[type(option.scaling)](theta, option, rotated)


def _plain(theta: Tensor, option: config.Rope, rotated: int) -> tuple[Tensor, float]:
    return theta, 1.0


def _linear(theta: Tensor, option: config.Rope, rotated: int) -> tuple[Tensor, float]:
    assert isinstance(option.scaling, config.LinearScaling)
    return theta / option.scaling.factor, 1.0


def _ntk(theta: Tensor, option: config.Rope, rotated: int) -> tuple[Tensor, float]:
    assert isinstance(option.scaling, config.NTKScaling)
    if rotated <= 2:
        return theta, 1.0
    base = option.theta * option.scaling.factor ** (rotated / (rotated - 2))
    return base ** -(torch.arange(0, rotated, 2, dtype=torch.float64) / rotated), 1.0


def _yarn(theta: Tensor, option: config.Rope, rotated: int) -> tuple[Tensor, float]:
    """Peng et al. 2023: pairs that turn more than beta_fast times in the original context keep their frequency."""
    scaling = option.scaling
    assert isinstance(scaling, config.YarnScaling)

    def pair(turns: float) -> float:
        return rotated * math.log(scaling.original_context / (2 * math.pi * turns)) / (2 * math.log(option.theta))

    low, high = max(math.floor(pair(scaling.beta_fast)), 0), min(math.ceil(pair(scaling.beta_slow)), rotated - 1)
    index = torch.arange(rotated // 2, dtype=torch.float64)
    ramp = ((index - low) / max(high - low, 0.001)).clamp(0, 1)
    return theta * (1 - ramp) + theta / scaling.factor * ramp, 0.1 * math.log(scaling.factor) + 1


def _llama3(theta: Tensor, option: config.Rope, rotated: int) -> tuple[Tensor, float]:
    scaling = option.scaling
    assert isinstance(scaling, config.Llama3Scaling)
    turns = scaling.original_context * theta / (2 * math.pi)
    kept = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1)
    return kept * theta + (1 - kept) * theta / scaling.factor, 1.0


SCALINGS: dict[type, Callable[[Tensor, config.Rope, int], tuple[Tensor, float]]] = {
    config.NoScaling: _plain,
    config.LinearScaling: _linear,
    config.NTKScaling: _ntk,
    config.YarnScaling: _yarn,
    config.Llama3Scaling: _llama3,
}


def rotate_half(x_BHTK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + r/2) of the first r features: (a, b) -> (a cos − b sin, a sin + b cos)."""
    rotated = 2 * cos.shape[-1]
    a, b = x_BHTK[..., :rotated].to(cos.dtype).chunk(2, dim=-1)
    turned = torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x_BHTK.dtype)
    return turned if rotated == x_BHTK.shape[-1] else torch.cat([turned, x_BHTK[..., rotated:]], dim=-1)


def rotate_interleaved(x_BHTK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the neighbours (2i, 2i + 1) of the first r features."""
    rotated = 2 * cos.shape[-1]
    a, b = x_BHTK[..., :rotated].to(cos.dtype).unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x_BHTK.dtype)
    return turned if rotated == x_BHTK.shape[-1] else torch.cat([turned, x_BHTK[..., rotated:]], dim=-1)


ROTATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "half": rotate_half,
    "interleaved": rotate_interleaved,
}
