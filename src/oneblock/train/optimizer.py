"""The optimisers a recipe asks for, on a model's parameters by their role."""

from __future__ import annotations

import torch
from torch import nn

from oneblock.config.recipe import AdamW, Muon, Optimizer
from oneblock.nn.attention import Attention
from oneblock.nn.cross_attention import CrossAttention
from oneblock.nn.experts.router import Router
from oneblock.nn.position import Learned, T5Bias
from oneblock.train.muon import Muon as MuonOptimizer
from oneblock.train.optimizers import OptimizerSet, adamw, decay_groups, hidden_matrices


def tables(model: nn.Module) -> set[int]:
    """The ids of embeddings and position tables: rows that are looked up."""
    found = [module.weight for module in model.modules() if isinstance(module, nn.Embedding | Learned | T5Bias)]
    return {id(weight) for weight in found}


def make_optimizer(model: nn.Module, option: Optimizer) -> OptimizerSet:
    """AdamW on everything, or Muon on the blocks' matrices and AdamW on the rest."""
    if isinstance(option, AdamW):
        return OptimizerSet(_adamw(model, list(model.named_parameters()), option))
    inside = [(name, p) for name, p in model.named_parameters() if "blocks." in name]
    routers = {id(module.weight) for module in model.modules() if isinstance(module, Router)}
    outside = tables(model) | routers | {id(p) for p in model.parameters()} - {id(p) for _, p in inside}
    hidden, rest = hidden_matrices(model.named_parameters(), outside)
    optimizers: list[torch.optim.Optimizer] = [_muon(model, hidden, option)]
    if rest:
        optimizers.append(_adamw(model, rest, option.rest))
    return OptimizerSet(*optimizers)


def _adamw(model: nn.Module, named: list[tuple[str, nn.Parameter]], option: AdamW) -> torch.optim.AdamW:
    known = {id(p) for _, p in named}
    groups = decay_groups(
        named,
        option.weight_decay,
        embeddings=tables(model) & known,
        decay_embeddings=option.decay_embeddings,
    )
    return adamw(groups, option.learning_rate, (option.beta1, option.beta2), option.eps)


def _muon(model: nn.Module, hidden: list[tuple[str, nn.Parameter]], option: Muon) -> MuonOptimizer:
    splits = {}
    if option.split_qkv:
        splits = {m.qkv.weight: m.sizes for m in model.modules() if isinstance(m, Attention)}
        pairs = [m.key_value.weight for m in model.modules() if isinstance(m, CrossAttention)]
        splits |= {weight: [len(weight) // 2] * 2 for weight in pairs}
    return MuonOptimizer(
        hidden,
        lr=option.learning_rate,
        momentum=option.momentum,
        nesterov=option.nesterov,
        ns_steps=option.ns_steps,
        weight_decay=option.weight_decay,
        adjust_lr=option.adjust,
        splits=splits,
    )
