"""How weights start: each scheme a function of a parameter's role, fan-in and depth."""

from __future__ import annotations

import math

import torch
from torch import nn

from oneblock.config import init as config
from oneblock.nn.attention import Attention
from oneblock.nn.feedforward import Dense, Gated
from oneblock.nn.position import Learned, T5Bias


def writes_to_stream(model: nn.Module) -> set[nn.Linear]:
    """The matrices whose output is added to the residual stream."""
    found = {module.output for module in model.modules() if isinstance(module, Attention)}
    return found | {module.down for module in model.modules() if isinstance(module, Dense | Gated)}


@torch.no_grad()
def initialise(model: nn.Module, option: config.Init, *, tied: bool) -> None:
    """Draw every matrix and table from torch's generator; biases 0, gains as their norms made them.

    tied: whether the head is the embedding read backwards.
    """
    last = writes_to_stream(model)
    depth = math.sqrt(max(len(last), 1))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            _matrix(module.weight, option, writes=module in last, depth=depth)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding | Learned | T5Bias):
            _table(module.weight, option, tied)


def _matrix(weight: torch.Tensor, option: config.Init, *, writes: bool, depth: float) -> None:
    fan_out, fan_in = weight.shape
    match option:
        case config.Normal():
            weight.normal_(0.0, option.std / (depth if writes and option.scale_residual else 1.0))
        case config.FanIn():
            scale = {"scaled": 1 / depth, "full": 1.0, "zero": 0.0}[option.output] if writes else 1.0
            weight.normal_(0.0, scale * fan_in**-0.5)
        case config.Xavier():
            bound = math.sqrt(6 / (fan_in + fan_out))
            weight.uniform_(-bound, bound)


def _table(weight: torch.Tensor, option: config.Init, tied: bool) -> None:
    match option:
        case config.Normal():
            weight.normal_(0.0, option.embedding_std or option.std)
        case config.FanIn():
            weight.normal_(0.0, option.embedding_std or (weight.shape[1] ** -0.5 if tied else 1.0))
        case config.Xavier():
            weight.normal_(0.0, weight.shape[1] ** -0.5)
