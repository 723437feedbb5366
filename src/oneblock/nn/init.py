"""How weights start: each scheme a function of a parameter's role, fan-in and depth."""

from __future__ import annotations

import math

import torch
from torch import nn

from oneblock.config import init as config
from oneblock.nn.attention import Attention
from oneblock.nn.cross_attention import CrossAttention
from oneblock.nn.dense import Dense, Gated
from oneblock.nn.experts.mixture import Mixture, TopK
from oneblock.nn.experts.stacked import StackedLinear
from oneblock.nn.modulation import AdaLN
from oneblock.nn.position import Learned, T5Bias


def writes_to_stream(model: nn.Module) -> set[nn.Module]:
    """The matrices whose output is added to the residual stream; of experts the stacked ones."""
    attentions = (module for module in model.modules() if isinstance(module, Attention | CrossAttention))
    found: set[nn.Module] = {module.output for module in attentions}
    found |= {module.down for module in model.modules() if isinstance(module, Dense | Gated)}
    return found | {module.experts.down for module in model.modules() if isinstance(module, Mixture)}


def num_additions(model: nn.Module) -> int:
    """How many branches are added to the stream; shared experts are part of their mixture's addition."""
    kinds = Attention | CrossAttention | Dense | Gated | Mixture
    branches = sum(isinstance(module, kinds) for module in model.modules())
    return branches - sum(isinstance(module, TopK) and module.shared is not None for module in model.modules())


@torch.no_grad()
def initialise(model: nn.Module, option: config.Init, *, tied: bool) -> None:
    """Draw every matrix and table from torch's generator; biases 0, gains as their norms made them.

    tied: whether the head is the embedding read backwards.
    """
    last = writes_to_stream(model)
    depth = math.sqrt(max(num_additions(model), 1))
    for module in model.modules():
        if isinstance(module, nn.Linear | StackedLinear):
            _matrix(module.weight, option, writes=module in last, depth=depth)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding | Learned | T5Bias):
            _table(module.weight, option, tied)
    for module in model.modules():
        if isinstance(module, AdaLN):
            module.project.weight.zero_()
        if isinstance(module, Mixture) and module.init_scale:
            _small(module, module.init_scale)


def _matrix(weight: torch.Tensor, option: config.Init, *, writes: bool, depth: float) -> None:
    fan_out, fan_in = weight.shape[-2:]
    match option:
        case config.Normal():
            weight.normal_(0.0, option.std / (depth if writes and option.scale_residual else 1.0))
        case config.FanIn():
            scale = {"scaled": 1 / depth, "full": 1.0, "zero": 0.0}[option.output] if writes else 1.0
            weight.normal_(0.0, scale * fan_in**-0.5)
        case config.Xavier():
            bound = math.sqrt(6 / (fan_in + fan_out))
            weight.uniform_(-bound, bound)


def _small(mixture: Mixture, scale: float) -> None:
    """Truncated normal, σ = √(scale / fan-in), cut at 2σ, for the router and the experts (Fedus et al. 2022, 2.4)."""
    for module in mixture.modules():
        if isinstance(module, nn.Linear | StackedLinear):
            std = math.sqrt(scale / module.weight.shape[-1])
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)


def _table(weight: torch.Tensor, option: config.Init, tied: bool) -> None:
    match option:
        case config.Normal():
            weight.normal_(0.0, option.embedding_std or option.std)
        case config.FanIn():
            weight.normal_(0.0, option.embedding_std or (weight.shape[1] ** -0.5 if tied else 1.0))
        case config.Xavier():
            weight.normal_(0.0, weight.shape[1] ** -0.5)
