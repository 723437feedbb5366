"""One fused projection to queries, keys and values against three: the same numbers, in how many products."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.compare.measures.subject import Found, Subject
from oneblock.compare.measures.turns import forward_and_backward, in_turns, longer, training_step
from oneblock.nn.attention import Attention
from oneblock.nn.linear import Linear

ALONE, STEPS, TOKENS = 200, 20, 200
"""Rounds of the projection alone, of a step, and of one token's projection."""


class Parts(tuple[Tensor, ...]):
    """Queries, keys and values that are tensors of their own already, so that nothing is left to be split."""

    def split(self, sizes: list[int], dim: int = -1) -> Parts:
        """Themselves."""
        return self


class Three(nn.Module):
    """A projection for queries, one for keys and one for values, with the rows of a fused one as their weights."""

    def __init__(self, fused: nn.Linear, sizes: list[int]) -> None:
        super().__init__()
        biases = [None] * len(sizes) if fused.bias is None else fused.bias.detach().split(sizes)
        weights = fused.weight.detach().split(sizes)
        self.each = nn.ModuleList(_linear(weight, bias) for weight, bias in zip(weights, biases, strict=True))

    def forward(self, x_BTD: Tensor) -> Parts:
        """B × T × D -> their outputs, each B × T × its own width."""
        return Parts(one(x_BTD) for one in self.each)


def measure(subject: Subject) -> Found:
    """How much longer three take than one: alone, forward and with backward; for one token; in a step of training.

    Medians of ln ratios, in turns. Alone they get as many tokens as a batch has.
    """
    config: Any = subject.config
    rows, device = config.recipe.batch_size, next(subject.model.parameters()).device
    models = {"fused": copy.deepcopy(subject.model).float(), "three": with_three(subject.model).float()}
    layers = {name: _Projection(next(_attentions(model))) for name, model in models.items()}
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(rows, subject.context, config.model.width, generator=generator).to(device)
    one_11D = x_BTD[:1, :1].contiguous()
    tokens = subject.windows(subject.context, rows)
    with torch.inference_mode():
        forward = in_turns({name: partial(of, x_BTD) for name, of in layers.items()}, ALONE, device)
        token = in_turns({name: partial(of, one_11D) for name, of in layers.items()}, TOKENS, device)
    learning = {name: forward_and_backward(of, x_BTD, list(of.parameters())) for name, of in layers.items()}
    with torch.random.fork_rng(devices=[]):
        steps = in_turns({name: training_step(model, tokens) for name, model in models.items()}, STEPS, device)
    of = {
        "projection_gain": forward,
        "projection_token_gain": token,
        "projection_training_gain": in_turns(learning, ALONE, device),
        "projection_step_gain": steps,
    }
    return Found(measures={name: longer(seconds["three"], seconds["fused"]) for name, seconds in of.items()})


class _Projection(nn.Module):
    """An attention's projection, and what it does first with what comes of it."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.qkv, self.sizes = attention.qkv, attention.sizes

    def forward(self, x_BTD: Tensor) -> Sequence[Tensor]:
        """B × T × D -> queries, keys, values."""
        parts: Sequence[Tensor] = self.qkv(x_BTD).split(self.sizes, dim=-1)
        return parts


def with_three(model: nn.Module) -> nn.Module:
    """A copy of a model whose attentions have three projections each, of the same weights."""
    made = copy.deepcopy(model)
    for attention in _attentions(made):
        attention.qkv = Three(attention.qkv, attention.sizes)
    return made


def _attentions(model: nn.Module) -> Any:
    return (module for module in model.modules() if isinstance(module, Attention))


def _linear(weight_ED: Tensor, bias_E: Tensor | None) -> Linear:
    # No weights are drawn on the meta device.
    made = Linear(weight_ED.shape[1], weight_ED.shape[0], bias=bias_E is not None, device="meta")
    made.weight = nn.Parameter(weight_ED.clone())
    if bias_E is not None:
        made.bias = nn.Parameter(bias_E.clone())
    return made
